"""The endpoint as a web application: who may talk to it, how much, and what is written in its log.

Must not know what is answered. Loopback's users are not the only ones who reach it: any page in a
browser can send requests there, so a foreign Host or Origin is refused before anything is read.
Source: RFC 9110; Azure Resource Manager's common request and response headers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from podwire.arm import metadata
from podwire.arm.desk import Answer, Ask
from podwire.arm.dispatch import Dispatcher
from podwire.arm.errors import ArmError, as_arm_error, not_offered
from podwire.arm.ids import parse
from podwire.arm.store import Body
from podwire.arm.tokens import Tokens
from podwire.model.errors import PodwireError

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a request's body, as in Azure."""
TIME_LIMIT = 30.0
"""Seconds for one request, its body's arrival included."""
_GRAPH = ("/v1.0/", "/beta/")
"""Where Microsoft Graph is, which `az` looks for at this endpoint too."""
_NO_LOGIN = "A cluster needs none: az aks create without --service-principal"
METHODS = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")
log = logging.getLogger("podwire.arm.requests")


class Web:
    """port: the one that it is reached at, which the Host header must name."""

    def __init__(self, dispatcher: Dispatcher, tokens: Tokens, port: int) -> None:
        self.dispatcher = dispatcher
        self.tokens = tokens
        self.port = port
        self._hosts = {f"{host}:{port}" for host in ("localhost", "127.0.0.1")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request (ASGI)."""
        request = Request(scope, receive)
        begun = time.monotonic()
        name = str(uuid.uuid4())
        response = await self._within_bounds(request)
        response.headers["x-ms-request-id"] = name
        response.headers["x-ms-correlation-request-id"] = name
        response.headers["Cache-Control"] = "no-store"
        if client := request.headers.get("x-ms-client-request-id"):
            response.headers["x-ms-client-request-id"] = client
        _write_log(request, response.status_code, time.monotonic() - begun, name)
        await response(scope, receive, send)

    async def _within_bounds(self, request: Request) -> Response:
        try:
            self._check_caller(request)
            async with asyncio.timeout(TIME_LIMIT):
                return await self._answer(request)
        except PodwireError as error:
            return self._refusal(as_arm_error(error))
        except TimeoutError:
            return self._refusal(
                ArmError(408, "RequestTimeout", f"The request took over {TIME_LIMIT:.0f} seconds.")
            )
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            logging.getLogger("podwire.arm").exception("%s %s", request.method, _path(request))
            message = f"a bug in the endpoint: {type(error).__name__}: {error}"
            return self._refusal(ArmError(500, "InternalServerError", message))

    async def _answer(self, request: Request) -> Response:
        match request.method, _path(request):
            case "GET", "/metadata/endpoints":
                return respond(Answer(200, metadata.endpoints(self._base(request))))
            case "GET", path if path in metadata.OPENID_PATHS:
                return respond(Answer(200, metadata.openid(self._base(request))))
            case "POST", "/adfs/oauth2/token":
                return respond(metadata.token(self.tokens, metadata.form(await _bytes(request))))
            case _:
                return await self._arm(request)

    def _check_caller(self, request: Request) -> None:
        host = request.headers.get("host", "").lower()
        if host not in self._hosts:
            raise ArmError(403, "ForbiddenHost", f"This endpoint is not {host!r}.")
        origin = request.headers.get("origin")
        if origin is not None and origin.lower() != f"https://{host}":
            raise ArmError(403, "ForbiddenOrigin", f"Requests of {origin!r} are not answered here.")

    def _refusal(self, error: ArmError) -> Response:
        headers = {}
        if error.status == 401:
            authority = f"https://localhost:{self.port}/adfs"
            headers["WWW-Authenticate"] = (
                f'Bearer authorization_uri="{authority}", error="invalid_token", '
                f'error_description="{error.message}"'
            )
        headers["x-ms-failure-cause"] = "gateway"
        return respond(Answer(error.status, error.body(), headers))

    async def _arm(self, request: Request) -> Response:
        if request.method not in METHODS:
            raise ArmError(405, "MethodNotAllowed", f"There is no method '{request.method}' here.")
        self.tokens.check(request.headers.get("authorization", ""))
        if _path(request).startswith(_GRAPH):
            raise not_offered(f"Microsoft Graph (users, groups, service principals). {_NO_LOGIN}")
        ask = Ask(
            method=request.method,
            target=parse(_path(request)),
            base=self._base(request),
            query={name.lower(): value for name, value in request.query_params.items()},
            headers=dict(request.headers),
            body=await _body(request),
        )
        return respond(await self.dispatcher.answer(ask))

    def _base(self, request: Request) -> str:
        return f"https://{request.headers['host']}"


def _path(request: Request) -> str:
    """Decoded once, by the server; `request.url` would take a decoded ? for a query's start."""
    return str(request.scope["path"])


def _write_log(request: Request, status: int, seconds: float, name: str) -> None:
    """No header and no body: what is secret is there."""
    path = _path(request).encode("unicode_escape").decode()[:2000]
    version = request.query_params.get("api-version", "-")[:40]
    spent = seconds * 1000
    log.info("%s %s %r %d %.1f ms %s", request.method, path, version, status, spent, name)


async def _bytes(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > BODY_LIMIT:
            raise ArmError(
                413,
                "RequestContentTooLarge",
                f"The request content is larger than {BODY_LIMIT} bytes.",
            )
    return bytes(content)


async def _body(request: Request) -> Body:
    content = await _bytes(request)
    if not content.strip() or request.method in ("GET", "HEAD"):
        return {}
    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _undeserializable(str(error)) from error
    if not isinstance(body, dict):
        raise _undeserializable("it is not an object")
    return body


def _undeserializable(why: str) -> ArmError:
    return ArmError(
        400,
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: '{why}'.",
    )


def respond(answer: Answer) -> Response:
    content = b"" if answer.body is None else json.dumps(answer.body).encode()
    headers = {**answer.headers}
    if answer.body is not None:
        headers["Content-Type"] = "application/json; charset=utf-8"
    return Response(content, answer.status, headers)
