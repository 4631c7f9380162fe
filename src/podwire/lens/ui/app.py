"""What the page asks for: its own files, a stream of changes, and three questions.

Must not know who asks (`guard`), nor where snapshots come from (`feed`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from podwire.lens import logs
from podwire.lens.draw import FIGURES, scene, svg
from podwire.lens.explain import explain
from podwire.lens.names import source, target
from podwire.lens.snapshot import Snapshot
from podwire.lens.ui import lookup
from podwire.lens.ui.addresses import use
from podwire.lens.ui.births import told
from podwire.lens.ui.details import details
from podwire.lens.ui.paths import journey
from podwire.lens.ui.pieces import Picture, delta, picture
from podwire.lens.ui.things import things
from podwire.lens.ui.watcher import State, Watcher
from podwire.model.errors import InvalidInputError, PodwireError, UnavailableError

PAGE = Path(__file__).with_name("page")
ALIVE = 15.0
"""Seconds after which a stream that has nothing to say says that it lives."""
Answer = Callable[[Request], Awaitable[Response]]


def application(watcher: Watcher) -> Starlette:
    routes = [
        Route("/picture.css", _picture_css),
        Route("/api/events", _told(partial(_events, watcher))),
        Route("/api/object", _told(partial(_object, watcher))),
        Route("/api/log", _told(partial(_log, watcher))),
        Route("/api/path", _told(partial(_path, watcher))),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    return Starlette(routes=routes)


def _told(answer: Answer) -> Answer:
    """What went wrong in words, and as a status."""

    async def tell(request: Request) -> Response:
        try:
            return await answer(request)
        except InvalidInputError as error:
            return JSONResponse({"error": str(error)}, 404)
        except PodwireError as error:
            return JSONResponse({"error": str(error)}, 503)

    return tell


def _picture_css(request: Request) -> Response:
    """The look of the picture: draw's, with a theme that the page may choose itself."""
    chosen = "".join(
        f":root[data-theme={theme}] .podwire{{{svg.variables(theme)}}}"
        for theme in ("light", "dark")
    )
    return Response(svg.style(svg.AUTO) + chosen, media_type="text/css")


async def _events(watcher: Watcher, request: Request) -> Response:
    view = View.of(request)
    said = _stream(watcher, view)
    return StreamingResponse(said, media_type="text/event-stream")


async def _stream(watcher: Watcher, view: View) -> AsyncIterator[str]:
    states = watcher.states()
    ahead = asyncio.ensure_future(anext(states, None))
    try:
        while True:
            done, _ = await asyncio.wait({ahead}, timeout=ALIVE)
            if not done:
                yield ": alive\n\n"
                continue
            state = ahead.result()
            if state is None:
                return
            for event, value in await asyncio.to_thread(list, view.news(state, watcher.feed.live)):
                yield f"event: {event}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"
            ahead = asyncio.ensure_future(anext(states, None))
    finally:
        ahead.cancel()


@dataclass(slots=True)
class View:
    """What one page looks at, and what it has been sent of it."""

    figure: str
    node: str = ""
    pod: str = ""
    picture: Picture | None = None
    sent: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request) -> View:
        """Raises InvalidInputError."""
        asked = request.query_params
        figure = asked.get("figure", "wiring")
        if figure not in FIGURES:
            raise InvalidInputError(f"there is no figure {figure!r}; take one of {list(FIGURES)}")
        return cls(figure, asked.get("node", ""), asked.get("pod", ""))

    def news(self, state: State, live: bool) -> Iterator[tuple[str, Any]]:
        """Events: what differs from what was sent. The picture first: people wait for it."""
        problem = state.error
        if state.snapshot is not None:
            try:
                yield from self._picture(state.snapshot)
            except InvalidInputError as error:
                problem = problem or str(error)
            yield from self._other("addresses", [asdict(one) for one in use(state.snapshot)])
            yield from self._other("things", [asdict(one) for one in things(state.snapshot)])
        yield "state", _state(state, live, problem)

    def _picture(self, snapshot: Snapshot) -> Iterator[tuple[str, Any]]:
        made = picture(scene(snapshot, self.figure, node=self.node, pod=self.pod))
        if made != self.picture:
            yield "picture", delta(self.picture, made)
            self.picture = made

    def _other(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        if self.sent.get(name) != value:
            self.sent[name] = value
            yield name, value


def _state(state: State, live: bool, problem: str) -> dict[str, Any]:
    snapshot = state.snapshot
    return {
        "number": state.number,
        "live": live,
        "problem": problem,
        "figures": list(FIGURES),
        "lab": snapshot.lab if snapshot else "",
        "taken": snapshot.taken if snapshot else 0,
        "took": snapshot.took if snapshot else 0,
        "changed": list(snapshot.changed) if snapshot else [],
    }


async def _object(watcher: Watcher, request: Request) -> Response:
    found = details(await _now(watcher), _word(request, "id"))
    return JSONResponse(asdict(found))


async def _log(watcher: Watcher, request: Request) -> Response:
    """The ADD of a pod: the last one of its lease's container."""
    snapshot, key = await _now(watcher), _word(request, "pod")
    container, node, name = lookup.container_of(snapshot, key)
    text = await asyncio.to_thread(watcher.feed.log, node)
    call = await asyncio.to_thread(logs.birth, text, container)
    if call is None:
        raise UnavailableError(
            f"{logs.PLUGIN}.log of {node} has no ADD of {name}: another plugin made its network, "
            "or the log was rotated away"
        )
    return JSONResponse(told(snapshot, key, node, call))


async def _path(watcher: Watcher, request: Request) -> Response:
    snapshot, protocol = await _now(watcher), request.query_params.get("protocol", "tcp")
    from_, to = _word(request, "from"), _word(request, "to")

    def work() -> dict[str, Any]:
        begin = source(snapshot, from_)
        end = target(snapshot, to, protocol, begin.cluster)
        return journey(snapshot, explain(snapshot, begin, end, protocol=protocol))

    return JSONResponse(await asyncio.to_thread(work))


async def _now(watcher: Watcher) -> Snapshot:
    found = watcher.state.snapshot
    if found is None:
        raise UnavailableError("no snapshot has been taken yet; ask again in a second")
    return found


def _word(request: Request, name: str) -> str:
    found = request.query_params.get(name, "")
    if not found:
        raise InvalidInputError(f"say which: ?{name}=...")
    return found
