"""The uplink's DNS servers and domains on machines with systemd-resolved, moved between links.

resolved knows DNS by link: what the card has is lost to the node when its addresses go to the
bridge. Whether it runs is told by its socket, whatever the distribution.
Source: resolvectl(1), systemd-resolved.service(8).
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from podwire.model.errors import UnavailableError

SOCKET = "/run/systemd/resolve/io.systemd.Resolve"
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LinkDns:
    """servers: addresses, as resolvectl writes them; domains: with their leading ~."""

    servers: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


def read(link: str, *, socket: str = SOCKET) -> LinkDns | None:
    """What resolved has for `link`; None when it does not run. Raises UnavailableError."""
    if not os.path.exists(socket):
        return None
    return LinkDns(_listed("dns", link), _listed("domain", link))


def give(link: str, wanted: LinkDns) -> None:
    """Set and verify it; what is not as wanted then is taken back, and UnavailableError raised."""
    try:
        _resolvectl("dns", link, *(wanted.servers or ("",)))
        _resolvectl("domain", link, *(wanted.domains or ("",)))
        have = LinkDns(_listed("dns", link), _listed("domain", link))
    except UnavailableError:
        _revert(link)
        raise
    if have != wanted:
        _revert(link)
        raise UnavailableError(
            f"systemd-resolved has {have} for {link}, though it was given {wanted}; "
            f"see `resolvectl status {link}`"
        )


def _revert(link: str) -> None:
    try:
        _resolvectl("revert", link)
    except UnavailableError:
        return  # the failure before it is the one to tell


def _listed(what: str, link: str) -> tuple[str, ...]:
    """From a line such as `Link 2 (eth0): 168.63.129.16 10.0.0.10`."""
    return tuple(_resolvectl(what, link).partition("): ")[2].split())


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
