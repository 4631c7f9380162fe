"""What the API server holds of one kind of object, kept up to date by a watch.

Must not know what the objects mean. Source: Kubernetes API concepts, "Efficient detection of
changes" (list, watch, bookmarks, 410 Gone).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable

from podwire.cluster.api_client import ApiClient, Object
from podwire.model.errors import ApiError, UnavailableError

_WATCH_SECONDS = 300
_SILENCE = _WATCH_SECONDS + 15.0
_GONE = 410
_DELAYS = (0.1, 0.2, 0.5, 1.0, 2.0)


class Informer:
    """objects: the whole truth as last heard of, by namespace/name; only when `synced`.

    path: as in /api/v1/services. changed: called after each change.
    """

    def __init__(self, client: ApiClient, path: str, changed: Callable[[], None]) -> None:
        self._client, self._path, self._changed = client, path, changed
        self.objects: dict[str, Object] = {}
        self.synced = False
        self._version = ""
        self._failures = 0

    def put(self, one: Object) -> None:
        """What the server has answered to a write, so that nobody acts on what was before it.

        A later one stays: versions are etcd's revisions, which grow.
        """
        known = self.objects.get(key_of(one))
        if known is None or _version(known) < _version(one):
            self.objects[key_of(one)] = one

    async def run(self) -> None:
        """Follow, until cancelled."""
        while True:
            try:
                await self._step()
            except ApiError as error:
                self._version = "" if error.status == _GONE else self._version
                await self._pause()
            except UnavailableError:
                await self._pause()

    async def _step(self) -> None:
        if not self._version:
            await self._list()
        lines = self._client.lines(
            self._path,
            _SILENCE,
            watch="1",
            allowWatchBookmarks="true",
            timeoutSeconds=str(_WATCH_SECONDS),
            resourceVersion=self._version,
        )
        async for line in lines:
            self._hear(json.loads(line))

    async def _list(self) -> None:
        listing = await self._client.get(self._path)
        self.objects = {key_of(one): one for one in listing.get("items") or ()}
        self._version = listing["metadata"]["resourceVersion"]
        self.synced = True
        self._changed()

    def _hear(self, event: Object) -> None:
        one = event["object"]
        if event["type"] == "ERROR":
            text = f"{self._path}: {one.get('message')}"
            raise ApiError(text, status=int(one.get("code", 0)))
        self._failures = 0
        self._version = one["metadata"]["resourceVersion"]
        if event["type"] == "BOOKMARK":
            return
        if event["type"] == "DELETED":
            self.objects.pop(key_of(one), None)
        else:
            self.put(one)
        self._changed()

    async def _pause(self) -> None:
        delay = _DELAYS[min(self._failures, len(_DELAYS) - 1)]
        self._failures += 1
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))


def key_of(one: Object) -> str:
    """namespace/name, or the name alone of what has no namespace."""
    metadata = one["metadata"]
    name: str = metadata["name"]
    return f"{metadata['namespace']}/{name}" if "namespace" in metadata else name


def _version(one: Object) -> int:
    return int(one["metadata"]["resourceVersion"])
