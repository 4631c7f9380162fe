import asyncio
import json
import socket
import ssl

import pytest

from podwire.cluster.api_client import ApiClient
from podwire.cluster.pki import Credential, Pki
from podwire.model.errors import ApiError, UnavailableError
from tests.unit.cluster.specs import API_ADDRESS, SPEC


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki.ensure(tmp_path_factory.mktemp("pki"), SPEC, API_ADDRESS)


class Server:
    """A TLS server that plays given answers, one list for each connection, and keeps what came."""

    def __init__(self, pki, *connections):
        self.connections = list(connections)
        self.requests = []
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki.ca))
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_cert_chain(pki.certificate("apiserver"), pki.key("apiserver"))

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.play, "127.0.0.1", 0, ssl=self.context)
        self.address = self.server.sockets[0].getsockname()
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def play(self, reader, writer):
        for answer in self.connections.pop(0):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            self.requests.append((head, await reader.readexactly(length)))
            if answer is None:
                await asyncio.sleep(60)
            writer.write(answer)
            await writer.drain()
        writer.close()


def answer(body, status="200 OK", extra=""):
    text = json.dumps(body).encode() if not isinstance(body, bytes) else body
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n{extra}\r\n".encode() + text


def talk(pki, connections, call, credential="admin", timeout=5.0):
    async def main():
        async with Server(pki, *connections) as server:
            own = pki.credential(credential) if isinstance(credential, str) else credential
            async with ApiClient(server.address, own, timeout=timeout) as client:
                return await call(client), server.requests

    return asyncio.run(main())


def test_json_both_ways_and_one_connection_for_many_requests(pki):
    async def call(client):
        first = await client.put("/api/v1/x", {"a": "ä"})
        return first, await client.get("/api/v1/x", labelSelector="a=b,c")

    result, requests = talk(pki, [[answer({"n": 1}), answer({"n": 2})]], call)
    assert result == ({"n": 1}, {"n": 2})
    assert json.loads(requests[0][1]) == {"a": "ä"}
    assert requests[0][0].startswith("PUT /api/v1/x HTTP/1.1\r\n")
    assert "Content-Type: application/json\r\n" in requests[0][0]
    assert requests[1][0].startswith("GET /api/v1/x?labelSelector=a%3Db%2Cc HTTP/1.1\r\n")


def test_patches_say_of_which_kind_they_are(pki):
    async def call(client):
        await client.merge("/x", {"a": None})
        await client.apply("/x", {"a": 1})

    _, requests = talk(pki, [[answer({}), answer({})]], call)
    assert "Content-Type: application/merge-patch+json\r\n" in requests[0][0]
    assert "PATCH /x?fieldManager=podwire&force=true HTTP/1.1\r\n" in requests[1][0]
    assert "Content-Type: application/apply-patch+yaml\r\n" in requests[1][0]


def test_chunked_body(pki):
    chunks = b'6;x=1\r\n{"a": \r\nA\r\n"0123456"}\r\n0\r\nTrailer: x\r\n\r\n'
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def call(client):
        return await client.get("/x"), await client.get("/x")

    result, _ = talk(pki, [[head + chunks, answer({"b": 1})]], call)
    assert result == ({"a": "0123456"}, {"b": 1})


def test_body_until_the_end(pki):
    head = b"HTTP/1.0 200 OK\r\n\r\n"
    result, _ = talk(pki, [[head + b"ok"]], lambda client: client.text("/readyz"))
    assert result == "ok"


def test_connection_that_the_server_closed_meanwhile_is_replaced(pki):
    async def call(client):
        await client.get("/x")
        await asyncio.sleep(0.05)
        return await client.get("/x")

    result, _ = talk(pki, [[answer({"n": 1})], [answer({"n": 2})]], call)
    assert result == {"n": 2}


def test_post_is_never_sent_twice(pki):
    async def call(client):
        await client.get("/x")
        return await client.post("/x", {})

    _, requests = talk(pki, [[answer({}), b""], [answer({})]], call)
    assert [head.split()[0] for head, _ in requests] == ["GET", "POST"]


def test_server_that_says_close_is_not_asked_again_on_that_connection(pki):
    async def call(client):
        await client.get("/x")
        return await client.get("/x")

    closing = answer({"n": 1}, extra="Connection: close\r\n")
    result, _ = talk(pki, [[closing, answer({"n": 9})], [answer({"n": 2})]], call)
    assert result == {"n": 2}


def test_refusal_carries_the_api_s_message(pki):
    body = {"kind": "Status", "message": 'nodes "x" not found', "reason": "NotFound", "code": 404}
    with pytest.raises(ApiError) as caught:
        talk(pki, [[answer(body, "404 Not Found")]], lambda client: client.get("/x"))
    assert caught.value.status == 404
    assert caught.value.reason == "NotFound"
    assert 'nodes "x" not found' in str(caught.value)


@pytest.mark.parametrize("body", [b"[+]ping ok\n[-]etcd failed", b'"text"', b"\xff"])
def test_refusal_in_plain_text(pki, body):
    with pytest.raises(ApiError, match="HTTP 500"):
        talk(pki, [[answer(body, "500 No")]], lambda client: client.text("/readyz"))


def test_deleting_what_is_not_there_is_no_error(pki):
    body = answer({"kind": "Status", "reason": "NotFound"}, "404 Not Found")
    talk(pki, [[body]], lambda client: client.delete("/x"))
    with pytest.raises(ApiError):
        talk(pki, [[answer({}, "403 Forbidden")]], lambda client: client.delete("/x"))


def test_no_answer_in_time(pki):
    with pytest.raises(UnavailableError, match=r"GET https://127\.0\.0\.1:\d+/x: no answer within"):
        talk(pki, [[None]], lambda client: client.get("/x"), timeout=0.2)


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b""]
)
def test_answer_that_is_no_answer(pki, garbage):
    with pytest.raises(UnavailableError):
        talk(pki, [[garbage]], lambda client: client.get("/x"))


def test_answer_that_is_no_json(pki):
    with pytest.raises(UnavailableError, match="no JSON"):
        talk(pki, [[answer(b"<html>")]], lambda client: client.get("/x"))


def test_nobody_listens(pki):
    async def main():
        async with Server(pki) as server:
            address = server.address
        await ApiClient(address, pki.credential("admin")).get("/x")

    with pytest.raises(UnavailableError, match=r"(?i)connect"):
        asyncio.run(main())


def test_server_of_another_authority_is_not_trusted(pki, tmp_path):
    other = Pki.ensure(tmp_path, SPEC, API_ADDRESS)
    admin = pki.credential("admin")
    mixed = Credential(admin.certificate, admin.key, other.ca)
    with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
        talk(pki, [[answer({})]], lambda client: client.get("/x"), mixed)


def test_a_connection_given_up_as_it_is_made_takes_nobody_elses_number(pki, monkeypatch):
    """The deadline passes in the moment in which the handshake has ended: the loop still watches
    the socket, so its number must not be free."""
    open_connection, made = asyncio.open_connection, []

    async def too_late(**given):
        made.append(await open_connection(**given))
        raise TimeoutError

    async def call(client):
        monkeypatch.setattr(asyncio, "open_connection", too_late)
        with pytest.raises(UnavailableError, match="no answer within"):
            await client.get("/x")
        others = [socket.socket() for _ in range(5)]
        for one in others:
            asyncio.get_running_loop().add_reader(one, lambda: None)
            asyncio.get_running_loop().remove_reader(one)
            one.close()
        made[0][1].close()

    talk(pki, [[]], call)


def collect(pki, connections, timeout=5.0, silence=5.0):
    async def call(client):
        return [line async for line in client.lines("/x", silence, watch="1")]

    return talk(pki, connections, call, timeout=timeout)


def test_lines_come_as_they_are_whatever_the_chunks(pki):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    lines, requests = collect(
        pki, [[head + b'5\r\n{"a":\r\n7\r\n1}\n{}\n{\r\n2\r\n}\n\r\n0\r\n\r\n']]
    )
    assert lines == [b'{"a":1}', b"{}", b"{}"]
    assert requests[0][0].startswith("GET /x?watch=1 HTTP/1.1\r\n")


def test_lines_that_are_refused_or_end_without_an_end(pki):
    body = answer({"kind": "Status", "message": "too old", "reason": "Expired"}, "410 Gone")
    with pytest.raises(ApiError, match="too old") as caught:
        collect(pki, [[body]])
    assert caught.value.status == 410
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(UnavailableError):
        collect(pki, [[head + b"5\r\n{"]])
    with pytest.raises(UnavailableError):
        collect(pki, [[head + b"3\r\n{}\n\r\n", None]], silence=0.2)
