"""The lines of azure-vnet.log, in the order in which they are tried: pattern, what it means, the
thing that came to be, the command that shows it. `meaning` fills in the braces."""

from __future__ import annotations

_INSIDE = "nsenter --net={netns} "
TABLE: tuple[tuple[str, str, str, str], ...] = (
    (
        r"Processing ADD command with args",
        (
            "The runtime (containerd, for kubelet) calls the plugin: here is a container and its "
            "network namespace {netns}; give it the interface {ifname}."
        ),
        "",
        "ls -l {netns}",
    ),
    (
        r"Read network configuration",
        (
            "The plugin reads on stdin what the runtime's list says: mode, bridge, who gives "
            "addresses."
        ),
        "",
        "cat /etc/cni/net.d/10-azure.conflist",
    ),
    (
        r"Creating bridge (?P<name>\S+?)\.$",
        "The node's first pod: the bridge {name} is made, to which the card is moved.",
        "link {host} {name}",
        "ip -d link show {name}",
    ),
    (
        r"Loading the nftables table (?P<family>\S+) (?P<table>\S+?)\.$",
        (
            "The MAC NAT: Azure's fabric takes frames of the card's MAC alone, so pods' MACs are "
            "hidden behind it."
        ),
        "space {host}",
        "nft list table {family} {table}",
    ),
    (
        r"Wireserver call (?P<url>http://[^/\s]+)",
        "Azure's wire server at {url} is asked which addresses the node's card has.",
        "",
        "podwire ipam show",
    ),
    (r"merging address space", "The ledger learns them.", "", "podwire ipam show"),
    (
        r"Creating network (?P<network>\S+?)\.$",
        (
            "It is the node's first pod, or somebody changed what the plugin made: the node's own "
            "part is wired first."
        ),
        "",
        "",
    ),
    (
        r"Found master interface (?P<nic>\S+?)\.$",
        "{nic} is the card whose addresses pods get.",
        "link {host} {nic}",
        "ip -d link show {nic}",
    ),
    (r"Added ExternalInterface (?P<nic>\S+) ", "{nic} is known by its subnet.", "", ""),
    (
        r"Connecting interface (?P<nic>\S+?)\.$",
        "{nic} is to become a port of the bridge, with no moment without a network.",
        "",
        "",
    ),
    (
        r"Adding SNAT rule for egress traffic on (?P<nic>\S+?)\.$",
        "What leaves by {nic} carries its MAC, whoever sent it.",
        "space {host}",
        "nft list chain bridge azure-vnet to_fabric",
    ),
    (
        r"Adding ARP reply rule for primary IP address (?P<ip>[\d.]+)",
        "Who asks for the node's own address {ip} is answered by the node.",
        "space {host}",
        "nft list set bridge azure-vnet node_ip",
    ),
    (
        r"Adding DNAT rule for ingress ARP traffic",
        "Answers to pods' ARP requests come to the card's MAC, and are handed on.",
        "space {host}",
        "nft list chain bridge azure-vnet reply_for_pod",
    ),
    (
        r"Adding IP address (?P<cidr>\S+) to interface (?P<name>\S+?)\.$",
        "The node's own address moves to the bridge.",
        "address {host} {name} {cidr}",
        "ip address show {name}",
    ),
    (
        r"Setting link (?P<name>(?!azv)\S+) master (?P<master>\S+?)\.$",
        "The card {name} becomes a port of {master}.",
        "link {host} {name}",
        "bridge link show dev {name}",
    ),
    (
        r"Setting link (?P<name>\S+) hairpin on",
        "A frame that came by {name} may leave by it: from one pod's address to another's.",
        "link {host} {name}",
        "bridge -d link show dev {name}",
    ),
    (
        r"Adding IP route \{Dst:\{IP:(?P<dst>\S+) .*Gw:(?P<via>\S+) .* to interface (?P<name>\w+)",
        "The node's route to {dst} by {via} leads through {name} now.",
        "space {host}",
        "ip route",
    ),
    (
        r"Deleting IP address (?P<cidr>\S+) from interface (?P<name>\S+?)\.$",
        "{name} has it no more: the bridge has.",
        "link {host} {name}",
        "ip address show {name}",
    ),
    (
        r"Deleting IP route (?P<dst>\S+) from interface (?P<name>\S+?)\.$",
        "Nothing is routed to {dst} by {name} itself any more.",
        "link {host} {name}",
        "ip route show dev {name}",
    ),
    (r"Connected interface (?P<nic>\S+) to bridge", "The move is done.", "", "bridge link"),
    (
        r"Applied dns config of (?P<nic>\S+) on (?P<name>\S+?)\.$",
        "DNS servers that were {nic}'s are {name}'s.",
        "",
        "resolvectl dns {name}",
    ),
    (r"Created network", "The node is wired; now the pod.", "", "ip address"),
    (
        r"Found network \S+ with subnet (?P<subnet>\S+)\.",
        "The node is wired already; pods' addresses come from {subnet}, the VNet's own subnet.",
        "",
        "podwire ipam show",
    ),
    (
        r"Calling plugin (?P<ipam>\S+) ADD",
        (
            "{ipam} is asked for an address. From here on the ledger holds it for this container, "
            "before the kernel has anything: whatever dies now, it is known whose it was."
        ),
        "",
        "podwire ipam show",
    ),
    (
        r"Plugin \S+ returned result",
        "The address is {address}: one of those that Azure gave the node's card.",
        "",
        "podwire ipam show | grep -w {address}",
    ),
    (
        r"(?P<mode>Bridge|Transparent) client$",
        "How the pod is wired is decided: {mode} mode.",
        "",
        "",
    ),
    (
        r"Creating endpoint|Creating a new endpoint",
        "The pod's network begins to be made.",
        "",
        "",
    ),
    (
        r"Creating veth pair (?P<name>\S+) ",
        "A cable of two ends: {name} stays on the node, the other becomes the pod's {ifname}.",
        "link {host} {name}",
        "ip -d link show {name}",
    ),
    (
        r"Setting link (?P<name>azv\w+) state up",
        "The node's end is switched on.",
        "link {host} {name}",
        "ip link show {name}",
    ),
    (
        r"Setting link (?P<name>azv\w+) master (?P<master>\S+?)\.$",
        "The node's end is plugged into {master}: it is a port of the bridge now.",
        "link {host} {name}",
        "bridge link show dev {name}",
    ),
    (
        r"Setting hairpin for hostveth (?P<name>\S+)",
        (
            "Hairpin: a frame may leave by the port that it came by, so that a pod reaches "
            "itself by its own service."
        ),
        "link {host} {name}",
        "bridge -d link show dev {name}",
    ),
    (
        r"Adding ARP reply rule for IP address",
        "Whoever asks for {address} gets its answer: an element of the MAC NAT's map.",
        "space {host}",
        "nft get element bridge azure-vnet pod_mac '{{ {address} }}'",
    ),
    (
        r"Adding MAC DNAT rule for IP address",
        "What comes for {address} with the card's MAC gets the pod's MAC: the same element.",
        "space {host}",
        "nft get element bridge azure-vnet pod_mac '{{ {address} }}'",
    ),
    (
        r"Adding element (?P<item>\S+) .* to the set (?P<set>\S+?)\.$",
        "A port whose own broadcasts are not sent back to it, in spite of hairpin.",
        "space {host}",
        "nft list set bridge azure-vnet {set}",
    ),
    (
        r"Adding static arp for IP address \S+ and MAC (?P<mac>\S+) in VM",
        "The node knows the pod's MAC {mac} for good: it never has to ask.",
        "space {host}",
        "ip neighbour show {address}",
    ),
    (
        r"Adding static arp for IP address (?P<ip>\S+) and MAC (?P<mac>\S+) in Container",
        "The pod knows its next hop's MAC {mac} for good: it never has to ask.",
        "space {pod}",
        _INSIDE + "ip neighbour show",
    ),
    (
        r"Adding route for the ip (?P<dst>\S+)",
        "The node routes {dst} to the pod's end of the cable.",
        "space {host}",
        "ip route show {dst}",
    ),
    (
        r"Opening netns|Entering netns",
        "From here on the plugin works inside the pod's network namespace.",
        "space {pod}",
        _INSIDE + "ip address",
    ),
    (
        r"Setting link \S+ netns",
        "The other end of the cable is in the pod's namespace.",
        "link {pod} {ifname}",
        _INSIDE + "ip -d link show {ifname}",
    ),
    (
        r"Setting link \S+ name (?P<name>\S+?)\.$",
        "In the pod that end is called {name}.",
        "link {pod} {name}",
        _INSIDE + "ip -d link show {name}",
    ),
    (
        r"Setting sysctl (?P<name>\S+?)=(?P<value>\S+)",
        "{name} is set to {value}: router advertisements of strangers are not for this link.",
        "",
        "",
    ),
    (
        r"Setting link (?P<own>\S+) state up",
        "The end in the pod is switched on: both are, so the cable has a carrier.",
        "link {pod} {own}",
        _INSIDE + "ip link show {own}",
    ),
    (
        r"Setting link (?P<name>\S+) state up",
        "{name} is switched on.",
        "link {host} {name}",
        "ip link show {name}",
    ),
    (
        r"Adding IP address (?P<cidr>\S+) to link (?P<name>\S+?)\.$",
        "The pod has its address: {cidr}, as any machine of the VNet has one.",
        "address {pod} {name} {cidr}",
        _INSIDE + "ip address show {name}",
    ),
    (
        r"Adding IP route \{Dst:\{IP:(?P<dst>\S+) .*Gw:(?P<via>\S+) .* to link \S+",
        "The pod's route to {dst}, by {via}.",
        "space {pod}",
        _INSIDE + "ip route",
    ),
    (
        r"Exiting netns",
        "The pod's side is done.",
        "",
        "",
    ),
    (
        r"ADD command completed with .*err:<nil>",
        (
            "The runtime gets the result, keeps it, and starts the pod's containers: they find "
            "{ifname} with {address}."
        ),
        "{podthing}",
        "kubectl get pods -A -o wide | grep -w {address}",
    ),
    (
        r"ADD command completed with",
        "The ADD failed: the runtime deletes what there is and tries again.",
        "",
        "",
    ),
)
