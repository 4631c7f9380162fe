"""Who may ask: a page in any other tab can send requests to loopback, and must get nothing.

What is served is root's knowledge of a machine. So: the Host that the server has, no foreign
Origin, GET alone, and for all that is data the session's token, which no other site knows, in a
header, which no other site can send without being asked first (CORS, which is never granted).
Cookies are not used: those of a host are sent to all of its ports. Source: RFC 9110; Fetch
Metadata Request Headers; Content Security Policy Level 3.
"""

from __future__ import annotations

import hmac
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "x-podwire-token"
DATA = "/api/"
"""Below this a token is needed; the rest is the page itself, the same for everybody."""
NO_TOKEN = "The token of this session is missing: open the address that `podwire ui` printed."
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def new_token() -> str:
    return secrets.token_urlsafe(32)


class Guard:
    """Around an ASGI application that listens on `port` of loopback."""

    def __init__(self, application: ASGIApp, token: str, port: int) -> None:
        self._application, self._token = application, token
        self._hosts = {f"{host}:{port}" for host in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the page speaks HTTP alone, not {scope['type']}")
        refusal = self._refusal(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        await (refusal or self._application)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            return PlainTextResponse(f"This page is not at {host!r}.\n", 421)
        origin = headers.get("origin", f"http://{host}").lower()
        site = headers.get("sec-fetch-site", "none")
        if origin != f"http://{host}" or (site not in ("none", "same-origin") and _data(scope)):
            return PlainTextResponse("Other sites get nothing here.\n", 403)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("This page only shows.\n", 405, {"Allow": "GET, HEAD"})
        given = headers.get(TOKEN_HEADER, "").encode()
        if _data(scope) and not hmac.compare_digest(given, self._token.encode()):
            return PlainTextResponse(f"{NO_TOKEN}\n", 401)
        return None


def _data(scope: Scope) -> bool:
    return str(scope["path"]).startswith(DATA)
