"""A miniature of Azure's network in own namespaces: a fabric, nodes with one NIC, pods."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest

from podwire.kernel import wire
from podwire.kernel.netns import NetNamespace
from podwire.kernel.uplink import find_uplink
from podwire.model import bridge_mode
from podwire.model.bridge_mode import PodNetwork, Uplink
from podwire.model.vnet import FABRIC_MAC
from podwire.model.wiring import Address, KernelObject, Route, Sysctl, Veth, Wiring

GATEWAY = "10.220.2.1"
BRIDGE = "azure0"
HOST_ROUTED = "169.254.20.10"
_TIMERS = re.compile(r"\w+_timer +[0-9.]+")
NIC_MACS = {"node1": "00:0d:3a:8a:50:da", "node2": "00:0d:3a:8a:50:db"}
NODE_IPS = {"node1": "10.220.2.4", "node2": "10.220.2.35"}


@pytest.fixture(autouse=True, scope="session")
def _root() -> None:
    if os.geteuid() != 0:
        pytest.fail("these tests need root: they make network namespaces")


def run(namespace: NetNamespace, *argv: str, check: bool = True) -> str:
    """Run a program inside the namespace; its output."""
    with namespace.entered():
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    if check:
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def pings(namespace: NetNamespace, target: str, *, size: int = 56) -> bool:
    answer = run(namespace, "ping", "-c2", "-i0.1", "-W2", f"-s{size}", "-Mdo", target, check=False)
    return "2 received" in answer or " 2 packets received" in answer


def state_of(namespace: NetNamespace) -> str:
    """All that a wiring can touch in the namespace, as text; counters and timers left out."""
    commands = (
        ("ip", "-o", "-d", "link"),
        ("ip", "-o", "-4", "addr"),
        ("ip", "route", "show", "table", "all"),
        ("ip", "neigh", "show", "nud", "permanent"),
        ("nft", "-a", "list", "ruleset"),
    )
    return _TIMERS.sub("", "\n".join(run(namespace, *one) for one in commands))


@dataclass
class Pod:
    namespace: NetNamespace
    network: PodNetwork
    wiring: Wiring
    places: dict[str, NetNamespace]

    @property
    def ip(self) -> str:
        return self.network.ip

    @property
    def host_veth(self) -> str:
        one = self.network
        return bridge_mode.host_veth_name(one.network_id, one.container_id, one.ifname)

    def realise(self) -> None:
        wire.realise(self.wiring, self.places)

    def unwire(self) -> None:
        wire.unwire(self.wiring, self.places)


@dataclass
class Node:
    name: str
    namespace: NetNamespace
    uplink: Uplink
    wiring: Wiring
    stack: ExitStack
    made: int = 0

    @property
    def ip(self) -> str:
        return NODE_IPS[self.name]

    @property
    def places(self) -> dict[str, NetNamespace]:
        return {"host": self.namespace}

    def realise(self) -> None:
        wire.realise(self.wiring, self.places)

    def new_pod(self) -> Pod:
        """A pod that is not wired yet, with the node's next address."""
        self.made += 1
        first, last = self.ip.rsplit(".", 1)
        namespace = self.stack.enter_context(NetNamespace.create())
        container = f"{self.name}-{self.made}".encode().hex().ljust(64, "0")
        network = PodNetwork(
            container,
            "azure",
            "eth0",
            f"{first}.{int(last) + self.made}/24",
            GATEWAY,
            bridge_mode.pod_mac("azure", container, "eth0"),
        )
        run(namespace, "ip", "link", "set", "lo", "up")
        wiring = bridge_mode.pod_wiring(self.uplink, BRIDGE, network)
        return Pod(namespace, network, wiring, {"host": self.namespace, "pod": namespace})

    def add_pod(self) -> Pod:
        pod = self.new_pod()
        pod.realise()
        return pod


@dataclass
class Lab:
    fabric: NetNamespace
    nodes: dict[str, Node] = field(default_factory=dict)


def nic_wiring(node: str, addresses: int) -> Wiring:
    """The NIC `eth0` of a node on the fabric, which answers each ARP request on its end."""
    end = f"nic-{node}"
    first, last = NODE_IPS[node].rsplit(".", 1)
    owned = [f"{first}.{int(last) + at}/32" for at in range(addresses)]
    return Wiring.of(
        [
            Veth("fabric", end, node, "eth0", mac=FABRIC_MAC, peer_mac=NIC_MACS[node]),
            Sysctl("fabric", f"net/ipv4/conf/{end}/proxy_arp", "1"),
            Sysctl("fabric", f"net/ipv4/neigh/{end}/proxy_delay", "0"),
            *(Route("fabric", one, end) for one in owned),
            Address(node, "eth0", f"{NODE_IPS[node]}/24"),
            Route(node, bridge_mode.DEFAULT_ROUTE, "eth0", via=GATEWAY),
            Route(node, "168.63.129.16/32", "eth0", via=GATEWAY),
            Route(node, "169.254.169.254/32", "eth0", via=GATEWAY),
        ]
    )


@contextmanager
def built() -> Iterator[Lab]:
    """Fabric and two nodes whose NICs still hold their addresses; no bridge yet."""
    with ExitStack() as stack:
        fabric = stack.enter_context(NetNamespace.create())
        run(fabric, "ip", "link", "set", "lo", "up")
        base: list[KernelObject] = [
            Sysctl("fabric", "net/ipv4/ip_forward", "1"),
            Address("fabric", "lo", f"{GATEWAY}/32"),
        ]
        wire.realise(Wiring.of(base), {"fabric": fabric})
        lab = Lab(fabric)
        for name in NIC_MACS:
            namespace = stack.enter_context(NetNamespace.create())
            run(namespace, "ip", "link", "set", "lo", "up")
            wire.realise(nic_wiring(name, 31), {"fabric": fabric, name: namespace})
            uplink = find_uplink(namespace, None, BRIDGE)
            wiring = bridge_mode.node_wiring(uplink, BRIDGE, (HOST_ROUTED,))
            lab.nodes[name] = Node(name, namespace, uplink, wiring, stack)
        yield lab


@pytest.fixture
def bare_lab() -> Iterator[Lab]:
    with built() as lab:
        yield lab


@pytest.fixture
def lab(bare_lab: Lab) -> Lab:
    """Both nodes have their bridge."""
    for node in bare_lab.nodes.values():
        node.realise()
    return bare_lab
