"""The small text files in which a node differs from the machine. Pure."""

from __future__ import annotations

import hashlib

from podwire.model.vnet import WIRE_SERVER
from podwire.vnet.dns import INTERNAL_DOMAIN

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/cni/bin"
"""The PATH of everything that runs on a node."""
RESOLV_CONF = f"nameserver {WIRE_SERVER}\nsearch {INTERNAL_DOMAIN}\n"
"""As DHCP gives it to a VM; kubelet hands both on to pods. On Azure a label that only this VNet has
stands before the domain."""
PROFILE = f"# The PATH of a node, for login shells.\nexport PATH={PATH}\n"
BASHRC = "PS1='\\u@\\h:\\w\\$ '\nalias ls='ls --color=auto'\n"
BASH_PROFILE = '[ -n "$BASH" ] && . ~/.bashrc\n'
DOCKER_GROUP = "docker"
"""Its members may use /run/docker.sock, as with Docker's own daemon."""
OWN_ACCOUNTS = "sshd:x:74:65534:sshd:/run/sshd:/usr/sbin/nologin\n"
OWN_GROUPS = f"{DOCKER_GROUP}:x:998:\n"
"""What a node has besides the machine's static accounts. 74 is sshd's number on
other systems, and nobody's on Debian."""
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


def shadow(passwd: str) -> str:
    """The /etc/shadow of a node: its accounts, none with a password; the machine's stays unseen."""
    return "".join(f"{line.split(':')[0]}:*:19000:0:99999:7:::\n" for line in passwd.splitlines())


def _is_static(parts: list[str]) -> bool:
    if len(parts) < 3 or not parts[2].isdigit():
        return False
    return int(parts[2]) < _STATIC or int(parts[2]) == _NOBODY
