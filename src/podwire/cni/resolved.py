"""What systemd-resolved has for a link: servers, domains and the rest, read and given.

resolved knows DNS by link: what the card has is lost to the node when its addresses go to a bridge.
All goes by resolvectl, which asks systemd-networkd for the links that that one manages. Must not
know which link's settings go where, and never starts anything.
Source: resolvectl(1), systemd-resolved.service(8), unix(7).
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Mapping

from podwire.model.errors import UnavailableError

SOCKET = "/run/systemd/resolve/io.systemd.Resolve"
"""Of systemd 246 and later. It stays when resolved stops."""
SETTINGS = ("dns", "domain", "default-route", "llmnr", "mdns", "dnsovertls", "dnssec", "nta")
"""Subcommands of resolvectl, each of which reads and sets one."""
LinkDns = Mapping[str, list[str]]
"""By SETTINGS, the words that resolvectl prints for it and takes."""
_SECONDS = 5.0
_SETTLE_SECONDS = 6.0
_CREDENTIALS = struct.Struct("3i")


def runs(path: str = SOCKET) -> bool:
    """Whether resolved answers, and for the links of this thread's network namespace.

    The second: on a machine with namespaces, its file system shows the machine's resolved, which
    takes a link's number in the namespace for that of another link. A file of /proc/PID/net is one
    inode for all of a namespace, and may be looked at where /proc/PID/ns may not.
    """
    with socket.socket(socket.AF_UNIX) as plug:
        plug.settimeout(_SECONDS)
        try:
            plug.connect(path)
            raw = plug.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            theirs = os.stat(f"/proc/{_CREDENTIALS.unpack(raw)[0]}/net/dev")
        except OSError:
            return False
    return os.path.samestat(theirs, os.stat("/proc/thread-self/net/dev"))


def read(link: str) -> LinkDns:
    """What resolved has for `link`. Raises UnavailableError."""
    return {name: _listed(name, link) for name in SETTINGS}


def give(link: str, wanted: LinkDns, *, used: bool = True) -> None:
    """Set what differs and read it back, until it is there, and (used) servers are asked.

    For a moment a new link, or a new address of it, is unknown to resolved. Raises
    UnavailableError when it still is not as wanted after some seconds.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        try:
            wrong = _set_what_differs(link, wanted, used)
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
        else:
            if not wrong:
                return
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"systemd-resolved has {wrong} for {link}, though it was given "
                    f"{ {name: wanted[name] for name in wrong} }"
                )
        time.sleep(0.05)


def revert(link: str) -> None:
    """Take from the link what was set; systemd-networkd's own stays. Raises UnavailableError."""
    _resolvectl("revert", link)


def _set_what_differs(link: str, wanted: LinkDns, used: bool) -> LinkDns:
    """What differs even then, as resolved has it."""
    for name in _different(read(link), wanted):
        _resolvectl(name, link, *(wanted[name] or [""]))
    wrong = dict(_different(read(link), wanted))
    if used and wanted["dns"] and not _is_used(link):
        wrong["dns"] = ["no scope"]
    return wrong


def _different(have: LinkDns, wanted: LinkDns) -> LinkDns:
    """Of `have`, what is not as wanted. The order of servers and of domains is theirs to count."""
    return {name: words for name, words in have.items() if words != wanted[name]}


def _is_used(link: str) -> bool:
    """Whether resolved asks by this link: it has the link's addresses then."""
    lines = (line.partition(":") for line in _resolvectl("status", link).splitlines())
    return any(name.strip() == "Current Scopes" and "DNS" in of.split() for name, _, of in lines)


def _listed(name: str, link: str) -> list[str]:
    """From a line such as `Link 2 (eth0): 168.63.129.16 10.0.0.10`."""
    return _resolvectl(name, link).partition("):")[2].split()


def _resolvectl(*words: str) -> str:
    try:
        done = subprocess.run(
            ["resolvectl", *words], capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"cannot run resolvectl {' '.join(words)}: {error}") from error
    if done.returncode != 0:
        raise UnavailableError(f"resolvectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
