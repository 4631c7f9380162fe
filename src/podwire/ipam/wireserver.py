"""Asking Azure's wire server which addresses this node's cards have.

Source: Azure CNI's IPAM (ipam/azure.go): one GET of the nmagent plugin, XML back.
Must not know the ledger; a caller holds no lock while it asks.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podwire.ipam.source import LARGEST
from podwire.model.errors import UnavailableError
from podwire.model.vnet import WIRE_SERVER

if TYPE_CHECKING:
    from threading import Event

    from podwire.ipam.source import Card

URL = f"http://{WIRE_SERVER}/machine/plugins?comp=nmagent&type=getinterfaceinfov1"
TIMEOUT = 5.0
"""Seconds for the whole exchange."""


@dataclass(frozen=True, slots=True)
class WireServer:
    """The source `azure`."""

    url: str = URL
    timeout: float = TIMEOUT

    @property
    def name(self) -> str:
        return f"wire server {self.url}"

    @property
    def local(self) -> bool:
        return False

    def cards(self) -> tuple[Card, ...]:
        return fetch(self.url, timeout=self.timeout)


def fetch(url: str = URL, *, timeout: float = TIMEOUT) -> tuple[Card, ...]:
    """The node's cards now. Raises UnavailableError with the address and the reason."""
    from podwire.ipam.source import parse_interfaces

    return parse_interfaces(_get(url, timeout))


def _get(url: str, timeout: float) -> bytes:
    """A server that drips its answer is cut off too: the socket is shut when the time is over."""
    import http.client  # late: costs more than everything else, and most calls ask nothing
    import threading
    import time
    from urllib.parse import urlsplit

    parts, deadline = urlsplit(url), time.monotonic() + timeout
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    late, alarm = threading.Event(), None
    try:
        connection.connect()
        # The socket itself: the connection forgets it when the answer says that it is the last.
        left = max(0.0, deadline - time.monotonic())
        alarm = threading.Timer(left, _cut, (connection.sock, late))
        alarm.daemon = True
        alarm.start()
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        with connection.getresponse() as answer:
            body = answer.read(LARGEST + 1)
    except (OSError, http.client.HTTPException) as error:
        why = f"not within {timeout:g} seconds" if late.is_set() else error
        raise UnavailableError(
            f"the wire server at {url} does not answer: {why}; check the node's route to it"
        ) from error
    finally:
        if alarm is not None:
            alarm.cancel()
        connection.close()
    if late.is_set():
        raise UnavailableError(f"the wire server at {url} takes longer than {timeout:g} seconds")
    if answer.status != 200:
        raise UnavailableError(f"the wire server at {url} answers {answer.status} {answer.reason}")
    if len(body) > LARGEST:
        raise UnavailableError(f"the wire server at {url} answers more than {LARGEST} bytes")
    return body


def _cut(plug: socket.socket, late: Event) -> None:
    late.set()
    with suppress(OSError):
        plug.shutdown(socket.SHUT_RDWR)
