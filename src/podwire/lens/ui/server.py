"""The page's server: on loopback alone, until it is told to end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from podwire.lens.ui.app import application
from podwire.lens.ui.feed import Feed
from podwire.lens.ui.guard import Guard, new_token
from podwire.lens.ui.watcher import Watcher
from podwire.model.errors import InvalidInputError

ADDRESS = "127.0.0.1"


class _Server(uvicorn.Server):
    """Signals are handled here, so that the streams end before the server waits for them."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def serve(feed: Feed, port: int, opened: Callable[[str], None]) -> None:
    """Until SIGINT or SIGTERM. port: 0 for any free one; opened: is told the page's address, with
    the session's token, once it answers. Raises InvalidInputError when the port is taken."""
    asyncio.run(_serve(feed, port, opened))


async def _serve(feed: Feed, port: int, opened: Callable[[str], None]) -> None:
    listener = _listen(port)
    token, number = new_token(), int(listener.getsockname()[1])
    watcher = Watcher(feed)
    server = _Server(_config(Guard(application(watcher), token, number)))
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, end.set)
    looking = asyncio.create_task(watcher.run())
    serving = asyncio.create_task(server.serve([listener]))
    opened(f"http://{ADDRESS}:{number}/#token={token}")
    ended = asyncio.create_task(end.wait())
    await asyncio.wait({ended, serving}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await watcher.close()
    await serving
    await looking


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
        listener.listen(128)  # from now on a browser is answered, if a moment later
    except OSError as error:
        listener.close()
        raise InvalidInputError(
            f"port {port} of {ADDRESS} cannot be had: {error.strerror}; take another with --port, "
            "or 0 for any"
        ) from error
    return listener


def _config(web: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        web,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=100,
        timeout_graceful_shutdown=1,
    )
