"""The birth of a pod for the page: which line is about which thing."""

from __future__ import annotations

from podwire.lens.logs import Call, Line
from podwire.lens.ui.births import told
from tests.unit.lens.saved import saved


def test_lines_name_the_things_of_the_picture() -> None:
    snapshot = saved("bridge")
    node = next(one for one in snapshot.nodes if one.attachments.leases)
    lease = node.attachments.leases[0]
    key, link = f"{lease.pod_namespace}/{lease.pod_name}", lease.host_link
    said = {
        "Processing ADD command with args {}": [f"pod {key}"],
        "Setting link azure0 state up.": [f"link {node.space} azure0"],
        f"Creating veth pair {link} {link}2.": [f"link {node.space} {link}"],
        f"Adding MAC DNAT rule for IP address {lease.address}/24": [f"pod {key}"],
        "merging address space": [],
        "Entering netns /var/run/netns/x.": [f"pod {key}"],
        "Setting link eth0 state up.": [f"link pod/{key} eth0", f"pod {key}"],
        "Exiting netns /var/run/netns/x.": [],
        "Connecting interface eth0.": [f"link {node.space} eth0"],
        f"ADD command completed with result:{lease.address}": [f"pod {key}"],
    }
    lines = tuple(Line("", 3, "info", "net", one, one) for one in said)
    found = told(snapshot, key, node.name, Call("ADD", lease.container_id, "eth0", key, lines))
    assert dict(zip(said, found["objects"], strict=True)) == said
    assert len(found["lines"]) == len(said)
