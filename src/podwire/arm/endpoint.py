"""The endpoint, running: store, certificate, profile, and the HTTPS server on loopback.

Opened by the daemon with the lab that it speaks for.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler

import uvicorn

from podwire.arm.backend import Backend
from podwire.arm.files import ArmFiles
from podwire.arm.profile import Profile
from podwire.arm.registry import build
from podwire.arm.store import ArmStore
from podwire.arm.tokens import Tokens
from podwire.arm.web import Web
from podwire.cluster.certificates import Authority, Leaf
from podwire.lab.steps import Emit
from podwire.model.layout import LabLayout

ADDRESS = "127.0.0.1"
_LEAF = Leaf("arm", "localhost", dns=("localhost",), ips=(ADDRESS,), server=True)


class _Server(uvicorn.Server):
    """Signals are the daemon's."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Endpoint:
    """web: what answers, for those who ask without a socket."""

    def __init__(self, files: ArmFiles, store: ArmStore, web: Web) -> None:
        self.files = files
        self.web = web
        self._store = store
        self._server = _Server(_config(files, web))
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return self.web.port

    @classmethod
    async def open(cls, layout: LabLayout, lab: Backend, emit: Emit) -> Endpoint:
        """Serve, and go on with the operations that an earlier daemon began."""
        files = ArmFiles(layout)
        store = ArmStore(files.store)
        _log_to(files)
        files.pki.mkdir(exist_ok=True, mode=0o700)
        authority = Authority.ensure(files.pki, "arm-ca", f"Podwire lab {layout.name}")
        authority.ensure_leaf(_LEAF)
        subscription, tokens = _subscription(store), Tokens.ensure(store)
        dispatcher = build(subscription, store, lab, emit)
        listener = _listen(store)
        web = Web(dispatcher, tokens, listener.getsockname()[1])
        endpoint = cls(files, store, web)
        Profile(files, f"https://localhost:{web.port}", subscription, tokens.secret).write()
        endpoint._serving = asyncio.create_task(endpoint._server.serve([listener]))
        dispatcher.desk.operations.resume()
        return endpoint

    async def close(self) -> None:
        """What is under way stays noted, for the next daemon."""
        self._server.should_exit = True
        await self.web.dispatcher.desk.operations.close()
        if self._serving is not None:
            with suppress(asyncio.CancelledError):
                await self._serving
        self._store.close()


def _config(files: ArmFiles, web: Web) -> uvicorn.Config:
    return uvicorn.Config(
        web,
        ssl_certfile=files.pki / "arm.crt",
        ssl_keyfile=str(files.pki / "arm.key"),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=200,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=64 * 1024,
    )


def _listen(store: ArmStore) -> socket.socket:
    """On the lab's own port, chosen once; another one when that is taken meanwhile.

    The protocol is named because asyncio sets TCP_NODELAY only then; without it each answer waits
    40 ms for the client's delayed acknowledgement.
    """
    wanted = int(store.secret("port") or 0)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, wanted))
    except OSError:
        listener.bind((ADDRESS, 0))
    store.put_secret("port", str(listener.getsockname()[1]))
    return listener


def _subscription(store: ArmStore) -> str:
    found = store.secret("subscription")
    if found is None:
        found = str(uuid.uuid4())
        store.put_secret("subscription", found)
    return found


def _log_to(files: ArmFiles) -> None:
    """Requests and failures, in a file of at most two times 8 MB."""
    files.log.parent.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger("podwire.arm")
    for old in list(logger.handlers):
        logger.removeHandler(old)
    handler = RotatingFileHandler(files.log, maxBytes=8_000_000, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
