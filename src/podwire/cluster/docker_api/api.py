"""The read-only Docker Engine API of one node: which request gets which answer.

It comes up before containerd does, and outlives it: /_ping, /version and /info always answer, the
rest says 503 as long as containerd does not. Nothing can be changed through it, and it says so.

A kubelet's cAdvisor (1.20) asks of every container whether Docker runs it, when its factory for
Docker comes first (their order is by chance). Seen with a real kubelet: told yes of a running one,
it says "failed to identify the read-write layer ID" and has no metrics of it; told no, its factory
for containerd takes it. So it alone is told no.

Source: Docker Engine API 1.40; cAdvisor, container/docker/factory.go (CanHandleAndAccept).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from podwire.cluster import accounts
from podwire.cluster.cri import DOCUMENTS, CriClient, Image
from podwire.cluster.docker_api import daemon_info, inventory, logs, processes, views
from podwire.cluster.docker_api.filters import parse_filters, select
from podwire.cluster.docker_api.http import HttpServer, Request, Response
from podwire.cluster.docker_api.paths import resolve_in_root
from podwire.cluster.docker_api.views import Entry
from podwire.cluster.node_files import DOCKER_GROUP
from podwire.model.errors import InvalidInputError, PodwireError, UnavailableError

_PREFIX = re.compile(r"/v\d+\.\d+(?=/)")
_CADVISORS = ("kubelet", "cadvisor")
_COUNT_TIMEOUT = 0.5
"""Seconds that /info waits for containerd's counts; a kubelet waits for /info."""
READ_ONLY = (
    "Podwire's Docker API is a read-only view of the node's containerd: {} is not served. "
    "Change things with kubectl; on the node, with crictl or `ctr -n k8s.io`"
)
_EXEC = (
    "Podwire's Docker API is a read-only view of the node's containerd and runs nothing. "
    "Use `kubectl exec`, or `crictl exec -it ID COMMAND` on the node"
)

_Answer: TypeAlias = Callable[[Request, "re.Match[str]"], Awaitable[Response]]


class DockerApi:
    """cri_socket: of containerd, as this process reaches it; root: of the node, likewise."""

    def __init__(self, cri_socket: Path, root: Path, node_name: str) -> None:
        self._cri_socket = cri_socket
        self._root = root
        self._node_name = node_name
        self._cri: CriClient | None = None
        self._connecting = asyncio.Lock()
        self._image_info: dict[str, Image] = {}
        self._http = HttpServer(self._handle, daemon_info.HEADERS)
        self._server: asyncio.Server | None = None
        self._routes: list[tuple[str, re.Pattern[str], _Answer]] = [
            ("GET", re.compile(r"/_ping"), self._ping),
            ("GET", re.compile(r"/version"), self._version),
            ("GET", re.compile(r"/info"), self._info),
            ("GET", re.compile(r"/containers/json"), self._list),
            ("GET", re.compile(r"/containers/(.+)/json"), self._inspect),
            ("GET", re.compile(r"/containers/(.+)/logs"), self._logs),
            ("GET", re.compile(r"/containers/(.+)/top"), self._top),
            ("GET", re.compile(r"/images/json"), self._images),
            ("GET", re.compile(r"/images/(.+)/json"), self._image),
            ("GET", re.compile(r"/podwire/cri/(\w+)(?:/(.+))?"), self._document),
            ("POST", re.compile(r"/containers/(.+)/(exec|attach)"), self._no_exec),
        ]

    async def serve(self, socket_path: Path) -> asyncio.Server:
        """Listen at `socket_path`, which may lie below `root`: links in it are the node's.

        The socket is the node's group docker's, if it has one, as dockerd's is.
        Raises InvalidInputError when the socket cannot be made there.
        """
        if socket_path.is_relative_to(self._root):
            inside = PurePosixPath("/") / socket_path.relative_to(self._root)
            socket_path = resolve_in_root(self._root, inside)
        self._server = await self._http.serve(socket_path)
        if (group := _group(self._root)) is not None:
            os.chown(socket_path, -1, group)
        return self._server

    async def close(self) -> None:
        """Stop listening, end the open connections, let go of containerd."""
        if self._server is not None:
            self._server.close()
        await self._http.close()
        if self._cri is not None:
            await self._cri.close()
            self._cri = None

    async def _handle(self, request: Request) -> Response:
        try:
            return await self._route(request)
        except UnavailableError as error:
            return _message(503, str(error))
        except InvalidInputError as error:
            return _message(400, str(error))
        except PodwireError as error:
            return _message(500, str(error))
        except Exception as error:  # noqa: BLE001 - a client gets an answer whatever happens
            return _message(500, f"{type(error).__name__}: {error}")

    async def _route(self, request: Request) -> Response:
        path = _PREFIX.sub("", request.path, count=1)
        method = "GET" if request.method == "HEAD" else request.method
        for known, pattern, answer in self._routes:
            if known == method and (match := pattern.fullmatch(path)):
                return await answer(request, match)
        return _message(404 if method == "GET" else 501, READ_ONLY.format(f"{method} {path}"))

    async def _client(self) -> CriClient:
        async with self._connecting:
            if self._cri is None:
                self._cri = await CriClient.connect(self._cri_socket)
            return self._cri

    async def _ping(self, _request: Request, _match: re.Match[str]) -> Response:
        return Response(200, b"OK", "text/plain; charset=utf-8")

    async def _version(self, _request: Request, _match: re.Match[str]) -> Response:
        return _json(daemon_info.version())

    async def _info(self, _request: Request, _match: re.Match[str]) -> Response:
        counts = daemon_info.Counts()
        with suppress(UnavailableError, TimeoutError):
            async with asyncio.timeout(_COUNT_TIMEOUT):
                counts = await self._counts()
        return _json(daemon_info.info(self._node_name, counts))

    async def _counts(self) -> daemon_info.Counts:
        cri = await self._client()
        pods, containers, images = await asyncio.gather(cri.pods(), cri.containers(), cri.images())
        running = sum(one.state == "running" for one in containers)
        running += sum(one.ready for one in pods)
        return daemon_info.Counts(len(pods) + len(containers), running, len(images))

    async def _list(self, request: Request, _match: re.Match[str]) -> Response:
        filters = parse_filters(request.query.get("filters", ""))
        limit = _number(request, "limit")
        every = _flag(request, "all") or limit > 0 or "status" in filters or "exited" in filters
        found = select(await inventory.entries(await self._client(), every=every), filters)
        now = time.time_ns()
        return _json([views.summary(one, now) for one in found[: limit if limit > 0 else None]])

    async def _find(self, asked: str) -> Entry | None:
        return await inventory.find(await self._client(), asked)

    async def _inspect(self, request: Request, match: re.Match[str]) -> Response:
        entry = None if _asked_by_cadvisor(request) else await self._find(match[1])
        return _no_container(match[1]) if entry is None else _json(views.inspection(entry))

    async def _logs(self, request: Request, match: re.Match[str]) -> Response:
        entry = await self._find(match[1])
        if entry is None:
            return _no_container(match[1])
        wanted = logs.parse_request(request.query, tty=entry.tty)
        kind = "raw" if entry.tty else "multiplexed"
        content_type = f"application/vnd.docker.{kind}-stream"
        if not entry.log_path:  # a sandbox has no log
            return Response(200, b"", content_type)
        path = resolve_in_root(self._root, entry.log_path)

        async def running() -> bool:
            with suppress(UnavailableError):
                detail = await (await self._client()).container_status(entry.id)
                return detail is not None and detail.state in ("created", "running")
            return True

        return Response(200, logs.stream(path, wanted, running), content_type)

    async def _top(self, request: Request, match: re.Match[str]) -> Response:
        entry = await self._find(match[1])
        if entry is None:
            return _no_container(match[1])
        if request.query.get("ps_args", "-ef") not in ("", "-ef"):
            raise InvalidInputError("this API lists processes as `ps -ef` does, and not otherwise")
        try:
            if not entry.pid:
                raise ProcessLookupError
            rows = await asyncio.to_thread(processes.process_rows, self._root, entry.pid)
        except (FileNotFoundError, ProcessLookupError):
            return _message(409, f"Container {entry.id} is not running")
        return _json({"Titles": list(processes.TITLES), "Processes": rows})

    async def _images(self, _request: Request, _match: re.Match[str]) -> Response:
        cri = await self._client()
        found = await asyncio.gather(*(self._with_info(cri, one) for one in await cri.images()))
        found.sort(key=lambda one: (-_created(one), one.tags, one.id))  # containerd's is by chance
        return _json([views.image_summary(one, _created(one)) for one in found])

    async def _with_info(self, cri: CriClient, image: Image) -> Image:
        """The image with its configuration, which never changes: asked for once."""
        if image.id not in self._image_info:
            self._image_info[image.id] = await cri.image(image.id) or image
        known = self._image_info[image.id]
        return Image(image.id, image.tags, image.digests, image.size, known.info)

    async def _image(self, _request: Request, match: re.Match[str]) -> Response:
        image = await (await self._client()).image(match[1])
        if image is None:
            return _message(404, f"No such image: {match[1]}")
        return _json(views.image_inspection(image))

    async def _document(self, _request: Request, match: re.Match[str]) -> Response:
        """What crictl shows, in the JSON that it prints: /podwire/cri/pods, .../inspect/ID."""
        what, asked = match[1], match[2] or ""
        if what not in DOCUMENTS or bool(asked) != what.startswith("inspect"):
            return _message(404, f"no such document; there are {', '.join(DOCUMENTS)}")
        cri = await self._client()
        if asked:
            things = await (cri.pods() if what == "inspectp" else cri.containers())
            asked = inventory.unique([one.id for one in things], asked) or ""
        document = await cri.document(what, asked) if asked or not match[2] else None
        if document is None:
            kind = "pod sandbox" if what == "inspectp" else "container"
            return _message(404, f"no such {kind}: {match[2]}")
        return _json(document)

    async def _no_exec(self, _request: Request, _match: re.Match[str]) -> Response:
        return _message(501, _EXEC)


def _asked_by_cadvisor(request: Request) -> bool:
    """Go's default agent, and a kubelet (or cAdvisor itself) at the other end of the socket."""
    if not request.headers.get("user-agent", "").startswith("Go-http-client/"):
        return False
    try:
        name = Path(f"/proc/{request.peer}/comm").read_text().strip()
    except OSError:
        return True
    return name in _CADVISORS


def _group(root: Path) -> int | None:
    """The number of the node's group docker; None when it has none."""
    try:
        return accounts.number(resolve_in_root(root, "/etc/group").read_text(), DOCKER_GROUP)
    except OSError:
        return None


def _json(value: Any) -> Response:
    return Response(200, json.dumps(value, ensure_ascii=False).encode() + b"\n")


def _message(status: int, text: str) -> Response:
    return Response(status, json.dumps({"message": text}).encode() + b"\n")


def _no_container(asked: str) -> Response:
    return _message(404, f"No such container: {asked}")


def _flag(request: Request, name: str) -> bool:
    return request.query.get(name, "").lower() not in ("", "0", "no", "false", "none")


def _number(request: Request, name: str) -> int:
    text = request.query.get(name, "0") or "0"
    try:
        return int(text)
    except ValueError:
        raise InvalidInputError(f"{name}={text!r} is no whole number") from None


def _created(image: Image) -> int:
    """Seconds since the epoch; 0 when the image does not say."""
    text = (image.info.get("imageSpec") or {}).get("created") or ""
    return (logs.parse_time(text) or 0) // 1_000_000_000
