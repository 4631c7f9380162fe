"""What the fabric dropped, read from the named counters of its nft tables."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError


@dataclass(frozen=True, slots=True)
class Drops:
    """In packets. spoofed: IPv4 with a source MAC or address that is not the NIC's, or from a peer
    that may not send this;
    spoofed_arp: ARP with such a sender; unowned: to an address that no NIC has, or by a route
    that leads nowhere; denied: by a security group."""

    spoofed: int
    spoofed_arp: int
    unowned: int
    denied: int = 0


def read_drops(fabric: NetNamespace) -> Drops:
    """Raises KernelError when nft cannot be asked."""
    with fabric.entered():
        try:
            done = subprocess.run(
                ["nft", "-j", "list", "counters"], capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise KernelError(
                f"cannot run nft: {error.strerror}; install nftables", errno=error.errno or 0
            ) from error
    if done.returncode != 0:
        raise KernelError(f"nft refused to list the fabric's counters: {done.stderr.strip()}")
    return parse_drops(done.stdout)


def parse_drops(listing: str) -> Drops:
    """From `nft -j list counters`."""
    found = [one["counter"] for one in json.loads(listing)["nftables"] if "counter" in one]
    packets = {(one["family"], one["name"]): int(one["packets"]) for one in found}
    return Drops(
        spoofed=packets.get(("ip", "spoofed"), 0),
        spoofed_arp=packets.get(("arp", "spoofed"), 0),
        unowned=packets.get(("ip", "unowned"), 0),
        denied=packets.get(("ip", "denied"), 0),
    )
