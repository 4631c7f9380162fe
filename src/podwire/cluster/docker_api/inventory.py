"""All containers of a node as Docker would list them, and finding one of them by what people type.

Must not know of HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from podwire.cluster.cri import CriClient
from podwire.cluster.cri_values import Container, Image, Pod
from podwire.cluster.docker_api import names
from podwire.cluster.docker_api.views import Entry, container_entry, sandbox_entry
from podwire.model.errors import InvalidInputError


async def entries(cri: CriClient, *, every: bool) -> list[Entry]:
    """The containers and sandboxes, newest first; `every`: also those that do not run."""
    pods, containers, images = await asyncio.gather(cri.pods(), cri.containers(), cri.images())
    by_id = {one.id: one for one in pods}
    found = await asyncio.gather(
        *(_container(cri, one, by_id, images) for one in containers if _shown(one, every)),
        *(_sandbox(cri, one, images) for one in pods if every or one.ready),
    )
    return sorted((one for one in found if one is not None), key=lambda one: -one.created)


def _shown(container: Container, every: bool) -> bool:
    return every or container.state == "running"


async def _container(
    cri: CriClient, container: Container, pods: Mapping[str, Pod], images: Sequence[Image]
) -> Entry | None:
    detail = await cri.container_status(container.id)
    if detail is None:
        return None
    return container_entry(container, detail, pods.get(container.pod_id), images)


async def _sandbox(cri: CriClient, pod: Pod, images: Sequence[Image]) -> Entry | None:
    detail = await cri.pod_status(pod.id)
    return None if detail is None else sandbox_entry(detail, images)


async def find(cri: CriClient, asked: str) -> Entry | None:
    """The container of that id, name, or beginning of an id; None when there is none.

    Raises InvalidInputError when several ids begin so.
    """
    pods, containers = await asyncio.gather(cri.pods(), cri.containers())
    by_id = {one.id: one for one in pods}
    known = {one.id: names.sandbox_name(one) for one in pods}
    known |= {one.id: names.container_name(one, by_id.get(one.pod_id)) for one in containers}
    identity = choose(known, asked)
    if identity is None:
        return None
    images = await cri.images()
    if pod := by_id.get(identity):
        return await _sandbox(cri, pod, images)
    container = next(one for one in containers if one.id == identity)
    return await _container(cri, container, by_id, images)


def choose(known: Mapping[str, str], asked: str) -> str | None:
    """The id that `asked` means, of ids and their names: Docker's order of precedence."""
    if not asked or asked in known:
        return asked or None
    name = asked.removeprefix("/")
    named = [identity for identity, one in known.items() if one == name]
    return named[0] if named else unique(known, asked)


def unique(ids: Iterable[str], prefix: str) -> str | None:
    """The one id that begins so; None for none. Raises InvalidInputError for several."""
    found = [one for one in ids if prefix and one.startswith(prefix)]
    if len(found) > 1:
        raise InvalidInputError(
            f"multiple IDs found with provided prefix: {prefix}; give more of the id"
        )
    return found[0] if found else None
