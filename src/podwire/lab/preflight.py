"""What the machine must offer, looked at before anything is built. Each refusal names the thing.

Two passes: `check_resources` needs no tools (root, memory, disk); `check_kernel` makes each kind of
kernel object once in a throwaway namespace, since a kernel's configuration is no proof.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from podwire.model.errors import PodwireError
from podwire.model.layout import LabLayout

_MIB = 1024 * 1024
BASE_MEMORY = 1000 * _MIB
NODE_MEMORY = 160 * _MIB
BASE_DISK = 1024 * _MIB
NODE_DISK = 150 * _MIB

TOOLS = {
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "brctl": "bridge-utils",
    "route": "net-tools",
    "unshare": "util-linux",
    "modprobe": "kmod",
    "ps": "procps",
    "sudo": "sudo",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "gcc": "gcc",
    "dpkg-source": "dpkg-dev",
}
"""Command -> Debian package: what the lab runs on the machine, and what a node's shell has."""

MODULES = ("overlay", "veth", "bridge", "br_netfilter", "nf_tables", "nf_conntrack")
_PROBES = (
    ("namespaces (net, mount, pid, uts, ipc, cgroup)", "true"),
    ("veth links", "ip link add name v0 type veth peer name v1"),
    ("bridges", "ip link add name b0 type bridge"),
    ("nftables, family bridge", "nft add table bridge probe"),
    ("nftables, family ip", "nft add table ip probe"),
    ("br_netfilter", "test -e /proc/sys/net/bridge/bridge-nf-call-iptables"),
    ("iptables nat", "iptables -t nat -S"),
    ("iptables conntrack match", "iptables -A INPUT -m conntrack --ctstate NEW"),
    ("iptables statistic match", "iptables -A INPUT -m statistic --mode random --probability 0.5"),
    ("iptables comment match", "iptables -A INPUT -m comment --comment x"),
    ("iptables MASQUERADE", "iptables -t nat -A POSTROUTING -j MASQUERADE"),
    (
        "overlayfs",
        "mount -t tmpfs t /mnt && cd /mnt && mkdir l u w m && "  # noqa: ISC004
        "mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m",
    ),
)


def check_root() -> None:
    if os.geteuid() != 0:
        raise PodwireError(
            "podwire makes namespaces and mounts and must be root (uid 0, not "
            f"{os.geteuid()}); run it with sudo"
        )


def check_resources(layout: LabLayout, nodes: int) -> None:
    """Enough memory and disk for `nodes`, by what was measured. Raises PodwireError."""
    need = BASE_MEMORY + nodes * NODE_MEMORY
    have = available_memory()
    if have < need:
        raise PodwireError(
            f"{nodes} nodes need about {need // _MIB} MiB of memory, {have // _MIB} MiB are "
            "available; ask for fewer with --nodes"
        )
    need = BASE_DISK + nodes * NODE_DISK
    for place in (layout.state_root, layout.cache):
        have = shutil.disk_usage(_existing(place)).free
        if have < need:
            raise PodwireError(
                f"{nodes} nodes need about {need // _MIB} MiB of disk below {place}, "
                f"{have // _MIB} MiB are free"
            )


def available_memory() -> int:
    """Bytes, as the kernel estimates (MemAvailable)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def load_modules() -> None:
    """Load what is a module here; what is built in or missing is check_kernel's business.

    br_netfilter makes bridged packets pass the machine's own iptables the moment it is loaded; if
    we are the one to load it, that is switched off again for the machine (it is per namespace).
    """
    switch = Path("/proc/sys/net/bridge")
    had = switch.exists()
    for module in MODULES:
        subprocess.run(["modprobe", "-q", module], check=False, capture_output=True)
    if not had and switch.exists():
        for name in ("iptables", "ip6tables", "arptables"):
            (switch / f"bridge-nf-call-{name}").write_text("0")


def check_kernel() -> None:
    """Try each feature in a namespace of its own. Raises PodwireError that names all missing."""
    script = "".join(f"({probe}) >/dev/null 2>&1 || echo '{name}'\n" for name, probe in _PROBES)
    enter = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork"]
    run = subprocess.run([*enter, "sh", "-c", script], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise PodwireError(f"this kernel lacks {_PROBES[0][0]}: {run.stderr.strip()}")
    if missing := run.stdout.split("\n")[:-1]:
        raise PodwireError(
            f"this kernel lacks: {'; '.join(missing)}. Podwire needs each of them "
            "(CONFIG_VETH, CONFIG_BRIDGE, CONFIG_BRIDGE_NETFILTER, CONFIG_NF_TABLES_BRIDGE, "
            "CONFIG_OVERLAY_FS, ...)"
        )
