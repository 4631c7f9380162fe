"""What a namespace's stack says that it threw away, by cause: the counters of procfs.

Source: proc(5) (/proc/net/snmp, netstat, dev), net/ipv4/proc.c,
net/netfilter/nf_conntrack_standalone.c.
"""

from __future__ import annotations

from pathlib import Path

from podwire.kernel.netns import NetNamespace

_NET = Path("/proc/thread-self/net")
_CONNTRACK = ("drop", "early_drop", "insert_failed", "invalid")


def read_counters(namespace: NetNamespace) -> dict[str, int]:
    """As in "Ip.OutNoRoutes", "conntrack.drop", "link.eth0.rx_drop"; since the namespace is."""
    with namespace.entered():
        return {**_pairs("snmp"), **_pairs("netstat"), **_conntrack(), **_links()}


def _text(name: str) -> str:
    try:
        return (_NET / name).read_text()
    except OSError:
        return ""


def _pairs(name: str) -> dict[str, int]:
    """A line of names and one of numbers, each with the same first word."""
    found: dict[str, int] = {}
    lines = _text(name).splitlines()
    for names, numbers in zip(lines[::2], lines[1::2], strict=False):
        group, *words = names.split()
        values = (int(one) for one in numbers.split()[1:])
        found.update(zip((f"{group.rstrip(':')}.{one}" for one in words), values, strict=False))
    return found


def _conntrack() -> dict[str, int]:
    lines = [one.split() for one in _text("stat/nf_conntrack").splitlines()]
    if not lines:
        return {}
    at = {name: lines[0].index(name) for name in _CONNTRACK if name in lines[0]}
    return {
        f"conntrack.{name}": sum(int(line[where], 16) for line in lines[1:])
        for name, where in at.items()
    }


def _links() -> dict[str, int]:
    found: dict[str, int] = {}
    for line in _text("dev").splitlines()[2:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) >= 12:
            found[f"link.{name.strip()}.rx_drop"] = int(words[3])
            found[f"link.{name.strip()}.tx_drop"] = int(words[11])
    return found
