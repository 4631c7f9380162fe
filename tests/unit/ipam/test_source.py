from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from podwire.ipam.source import LARGEST, Card, SubnetAddresses, parse_interfaces
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


def test_a_card_with_both_families() -> None:
    second = b"""<IPSubnet Prefix="2001:db8:2::/64"><IPAddress Address="2001:db8:2::4"
    IsPrimary="true"/><IPAddress Address="2001:DB8:2:0::5"/></IPSubnet></Interface><Int"""
    both = DOCUMENT.replace(b"</Interface><Int", second)
    found = SubnetAddresses("2001:db8:2::/64", "2001:db8:2::4", ("2001:db8:2::5",))
    assert parse_interfaces(both)[0].subnets == (*CARDS[0].subnets, found)


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


@pytest.mark.parametrize(
    "doctype",
    [
        b"<!DOCTYPE Interfaces>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">',
    ],
)
def test_a_doctype_is_refused_however_good_the_rest(doctype: bytes) -> None:
    with pytest.raises(UnavailableError, match="has a DOCTYPE"):
        parse_interfaces(doctype + DOCUMENT)


@contextmanager
def answering(write: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The URL of a server whose whole answer, status line and all, is what `write` writes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # the client hangs up: that is the point
                write(self)

        def log_message(self, *_: object) -> None:
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/machine?type=x"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@pytest.mark.parametrize(("excess", "read"), [(0, True), (1, False)])
def test_four_mebibytes_are_read_and_not_one_byte_more(excess: int, read: bool) -> None:
    body = DOCUMENT + b" " * (LARGEST - len(DOCUMENT) + excess)

    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body)

    with answering(write) as url:
        if read:
            assert fetch(url, timeout=30) == CARDS
            return
        with pytest.raises(UnavailableError, match=f"more than {LARGEST} bytes"):
            fetch(url, timeout=30)


HEAD = b"HTTP/1.0 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("at_once", "dripped"),
    [
        (b"", HEAD + DOCUMENT),
        (HEAD, DOCUMENT),
        (b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DOCUMENT), DOCUMENT),
    ],
    ids=["from the status line on", "a body to its end", "a body of known length"],
)
def test_a_server_that_drips_is_cut_off_when_the_time_is_over(
    at_once: bytes, dripped: bytes
) -> None:
    """No wait between two bytes is as long as the time limit; all of them together are."""
    hung_up = threading.Event()

    def write(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(at_once)
            for at in range(len(dripped)):
                hung_up.wait(0.02)
                handler.wfile.write(dripped[at : at + 1])
        except OSError:
            hung_up.set()

    with answering(write) as url:
        with pytest.raises(UnavailableError, match=r"not within 0\.3 s|longer than 0\.3 s"):
            fetch(url, timeout=0.3)
        assert hung_up.wait(10), "the connection stayed open"
