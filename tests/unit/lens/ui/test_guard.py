"""Who gets something of the page's server, and who does not."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from podwire.lens.ui.guard import TOKEN_HEADER, Guard, new_token

HOST = "127.0.0.1:8377"
TOKEN = {TOKEN_HEADER: "right"}


async def said(request: Request) -> PlainTextResponse:
    return PlainTextResponse("said")


METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
ROUTES = [Route("/", said, methods=METHODS), Route("/api/object", said, methods=METHODS)]


class Client:
    """Asks the guarded application."""

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        transport = httpx.ASGITransport(Guard(Starlette(routes=ROUTES), "right", 8377))

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as door:
                return await door.request(method, path, headers=headers)

        return asyncio.run(ask())

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.request("GET", path, headers)


@pytest.fixture
def client() -> Client:
    return Client()


def test_the_page_is_everybodys_and_data_only_theirs_who_have_the_token(client: Client) -> None:
    assert client.get("/").text == "said"
    assert client.get("/api/object", headers=TOKEN).text == "said"
    for given in ({}, {TOKEN_HEADER: ""}, {TOKEN_HEADER: "wrong"}, {TOKEN_HEADER: "right "[:-2]}):
        answer = client.get("/api/object", headers=given)
        assert answer.status_code == 401
        assert "podwire ui" in answer.text


def test_a_token_in_the_address_or_a_cookie_is_none(client: Client) -> None:
    assert client.get("/api/object?token=right").status_code == 401
    cookie = {"Cookie": f"token=right; {TOKEN_HEADER}=right"}
    assert client.get("/api/object", headers=cookie).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", f"{HOST}.evil.example"]
)
def test_another_host_is_refused(client: Client, host: str) -> None:
    """A name that somebody lets point to loopback (DNS rebinding)."""
    for path in ("/", "/api/object"):
        assert client.get(path, headers={**TOKEN, "Host": host}).status_code == 421


def test_localhost_is_a_name_of_it(client: Client) -> None:
    assert client.get("/api/object", headers={**TOKEN, "Host": "localhost:8377"}).is_success


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:8377"},
        {"Origin": "http://127.0.0.1:8378"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_foreign_origin_gets_nothing_even_with_the_token(
    client: Client, headers: dict[str, str]
) -> None:
    answer = client.get("/api/object", headers={**TOKEN, **headers})
    assert answer.status_code == 403
    assert not [one for one in answer.headers if one.startswith("access-control")]


def test_its_own_origin_is_none_of_those(client: Client) -> None:
    own = {**TOKEN, "Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}
    assert client.get("/api/object", headers=own).is_success


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_it_only_shows(client: Client, method: str) -> None:
    answer = client.request(method, "/api/object", headers=TOKEN)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_every_answer_says_what_a_page_may_do(client: Client) -> None:
    for path, headers in (("/", {}), ("/api/object", TOKEN), ("/none", {}), ("/api/object", {})):
        answer = client.get(path, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_no_two_sessions_have_one_token() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(len(one) for one in tokens) >= 43
