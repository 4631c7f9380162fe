"""The small text files in which a node differs from the machine. Pure."""

from __future__ import annotations

import hashlib

from podwire.model.vnet import WIRE_SERVER

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/cni/bin"
"""The PATH of everything that runs on a node."""
RESOLV_CONF = f"nameserver {WIRE_SERVER}\n"
PROFILE = f"# The PATH of a node, for login shells.\nexport PATH={PATH}\n"
BASHRC = "PS1='\\u@\\h:\\w# '\nalias ls='ls --color=auto'\n"
ROOT_PROFILE = '[ -n "$BASH" ] && . ~/.bashrc\n'
_STATIC = 100
"""Accounts below this number are the same on every Debian; others belong to the machine alone."""
_NOBODY = 65534


def hosts(name: str, ip: str) -> str:
    """/etc/hosts of node `name`; ip "" when it has none yet."""
    own = f"{ip} {name}\n" if ip else f"127.0.1.1 {name}\n"
    return f"127.0.0.1 localhost\n{own}::1 ip6-localhost ip6-loopback\n"


def machine_id(lab: str, name: str) -> str:
    """A /etc/machine-id of its own for each node, the same whenever the node is made again."""
    return hashlib.sha256(f"podwire/{lab}/{name}".encode()).hexdigest()[:32] + "\n"


def system_accounts(text: str) -> str:
    """/etc/passwd or /etc/group without the machine's own users, whose numbers mean others in a
    pod's image (`ps` on the node would show nginx's worker under a name of the machine)."""
    kept = [line for line in text.splitlines() if _is_static(line.split(":"))]
    return "".join(f"{line}\n" for line in kept)


def _is_static(parts: list[str]) -> bool:
    if len(parts) < 3 or not parts[2].isdigit():
        return False
    return int(parts[2]) < _STATIC or int(parts[2]) == _NOBODY
