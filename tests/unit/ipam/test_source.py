from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from podwire.ipam.source import Card, SubnetAddresses, parse_interfaces
from podwire.ipam.wireserver import fetch
from podwire.model.errors import UnavailableError

DOCUMENT = b"""<Interfaces><Interface MacAddress="000D3A8A50DA" IsPrimary="true">
<IPSubnet Prefix="10.220.2.0/24"><IPAddress Address="10.220.2.4" IsPrimary="true"/>
<IPAddress Address="10.220.2.5" IsPrimary="false"/><IPAddress Address="10.220.2.6"/>
</IPSubnet></Interface><Interface MacAddress="002248AABBCC" IsPrimary="false"/></Interfaces>"""
CARDS = (
    Card(
        "00:0d:3a:8a:50:da",
        True,
        (SubnetAddresses("10.220.2.0/24", "10.220.2.4", ("10.220.2.5", "10.220.2.6")),),
    ),
    Card("00:22:48:aa:bb:cc", False, ()),
)


def test_cards_with_the_nodes_own_address_apart() -> None:
    assert parse_interfaces(DOCUMENT) == CARDS
    assert CARDS[0].subnets[0].gateway == "10.220.2.1"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<Interfaces",
        b"<Interfaces/>",
        DOCUMENT.replace(b"10.220.2.6", b"10.220.2.666"),
        DOCUMENT.replace(b"10.220.2.0/24", b"10.220.2.0/33"),
        DOCUMENT.replace(b"000D3A8A50DA", b"000D3A"),
    ],
)
def test_a_document_without_sense_is_refused(document: bytes) -> None:
    with pytest.raises(UnavailableError, match="wire server"):
        parse_interfaces(document)


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200 if "type=" in self.path else 404)
            self.end_headers()
            self.wfile.write(DOCUMENT)

        def log_message(self, *_: object) -> None:
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", paths
    http.shutdown()
    thread.join()
    http.server_close()


def test_fetch_asks_for_the_interfaces(server: tuple[str, list[str]]) -> None:
    url, paths = server
    assert fetch(f"{url}/machine/plugins?comp=nmagent&type=getinterfaceinfov1") == CARDS
    assert paths == ["/machine/plugins?comp=nmagent&type=getinterfaceinfov1"]


def test_fetch_tells_who_does_not_answer(server: tuple[str, list[str]]) -> None:
    url, _ = server
    with pytest.raises(UnavailableError, match="answers 404"):
        fetch(f"{url}/other")
    with pytest.raises(UnavailableError, match="does not answer"):
        fetch("http://127.0.0.1:1/machine?type=x", timeout=0.5)
