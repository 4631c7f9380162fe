"""Asking Azure's wire server which addresses this node's cards have.

Source: Azure CNI's IPAM (ipam/azure.go): one GET of the nmagent plugin, XML back.
Must not know the ledger; a caller holds no lock while it asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podwire.model.errors import UnavailableError
from podwire.model.vnet import WIRE_SERVER

if TYPE_CHECKING:
    from podwire.ipam.source import Card

URL = f"http://{WIRE_SERVER}/machine/plugins?comp=nmagent&type=getinterfaceinfov1"
TIMEOUT = 5.0
"""Seconds for the connection, and again for each piece of the answer."""
_LARGEST = 4 << 20


def fetch(url: str = URL, *, timeout: float = TIMEOUT) -> tuple[Card, ...]:
    """The node's cards now. Raises UnavailableError with the address and the reason."""
    import http.client  # late: costs more than everything else, and most calls ask nothing
    from urllib.parse import urlsplit

    from podwire.ipam.source import parse_interfaces

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        answer = connection.getresponse()
        body = answer.read(_LARGEST)
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(
            f"the wire server at {url} does not answer: {error}; check the node's route to it"
        ) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise UnavailableError(f"the wire server at {url} answers {answer.status} {answer.reason}")
    return parse_interfaces(body)
