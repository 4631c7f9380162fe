"""Events about Services, as `kubectl describe service` shows them: the same one is counted.

Best effort, as everybody's events are. Source: Kubernetes core/v1 Event; the event recorder of
client-go (name, aggregation by message).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from podwire.cluster.api_client import ApiClient, Object
from podwire.model.errors import ApiError, UnavailableError

COMPONENT = "service-controller"
_REMEMBERED = 1000


class Recorder:
    """tell: is given what could not be recorded."""

    def __init__(self, client: ApiClient, tell: Callable[[str], None]) -> None:
        self._client, self._tell = client, tell
        self._seen: dict[tuple[str, str, str], tuple[str, int]] = {}

    async def normal(self, service: Object, reason: str, message: str) -> None:
        await self._record(service, "Normal", reason, message)

    async def warning(self, service: Object, reason: str, message: str) -> None:
        await self._record(service, "Warning", reason, message)

    async def _record(self, service: Object, kind: str, reason: str, message: str) -> None:
        key = (service["metadata"]["uid"], reason, message)
        try:
            self._seen[key] = await self._again(key) or await self._first(
                service, kind, reason, message
            )
        except (ApiError, UnavailableError) as error:
            self._tell(f"event {reason} is lost: {error}")
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    async def _again(self, key: tuple[str, str, str]) -> tuple[str, int] | None:
        """Count one that is there; None when it is not, or is too old to be."""
        path, count = self._seen.pop(key, ("", 0))
        if not path:
            return None
        try:
            await self._client.merge(path, {"count": count + 1, "lastTimestamp": _now()})
        except ApiError as error:
            if error.status != 404:
                raise
            return None
        return path, count + 1

    async def _first(
        self, service: Object, kind: str, reason: str, message: str
    ) -> tuple[str, int]:
        metadata = service["metadata"]
        space = f"/api/v1/namespaces/{metadata['namespace']}/events"
        name = f"{metadata['name']}.{secrets.token_hex(8)}"
        now = _now()
        involved = {one: metadata[one] for one in ("name", "namespace", "uid", "resourceVersion")}
        body: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {"apiVersion": "v1", "kind": "Service", **involved},
            "source": {"component": COMPONENT},
            "type": kind,
            "reason": reason,
            "message": message,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self._client.post(space, body)
        return f"{space}/{name}", 1


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
