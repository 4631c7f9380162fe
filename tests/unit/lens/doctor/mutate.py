"""Snapshots with one thing changed, as a fault would change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from podwire.lens.doctor.judge import judge
from podwire.lens.snapshot import Link, Node, Snapshot, Space
from tests.unit.lens.saved import saved

Change = Callable[[Snapshot], Snapshot]


def found(name: str, *changes: Change) -> list[tuple[str, str]]:
    """(id, thing) of what is found in the saved snapshot of this name once it is changed."""
    return [(one.id, one.thing) for one in judge(changed(name, *changes)).findings]


def changed(name: str, *changes: Change) -> Snapshot:
    snapshot = saved(name)
    for one in changes:
        snapshot = one(snapshot)
    return snapshot


def node(name: str, at: int = 0) -> Node:
    return saved(name).nodes[at]


def pod(name: str, word: str = "nginx", at: int = 0) -> str:
    """Key of a pod of the at-th node."""
    spaces = [one for one in node(name, at).pods if word in one]
    return spaces[0].removeprefix("pod/")


def lease(name: str, word: str = "nginx", at: int = 0) -> Any:
    leases = node(name, at).attachments.leases
    return next(one for one in leases if word in one.pod_name)


def space(id: str, **parts: Callable[[Any], Any]) -> Change:  # noqa: A002
    """Parts of a space, each made of what it was; for tuples a filter that returns None drops."""

    def change(snapshot: Snapshot) -> Snapshot:
        return replace(
            snapshot,
            spaces=tuple(_parts(one, parts) if one.id == id else one for one in snapshot.spaces),
        )

    return change


def _parts(one: Space, parts: dict[str, Callable[[Any], Any]]) -> Space:
    return replace(one, **{name: make(getattr(one, name)) for name, make in parts.items()})


def each(make: Callable[[Any], Any]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Each item made anew; None drops it."""
    return lambda items: tuple(new for one in items if (new := make(one)) is not None)


def without(wrong: Callable[[Any], bool]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return lambda items: tuple(one for one in items if not wrong(one))


def plus(*more: Any) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return lambda items: (*items, *more)


def link(space_id: str, name: str, **values: Any) -> Change:
    def make(one: Link) -> Link:
        return replace(one, **values) if one.name == name else one

    return space(space_id, links=each(make))


def sysctl(space_id: str, name: str, value: str) -> Change:
    return space(space_id, sysctls=lambda have: {**have, name: value})


def of_node(name: str, make: Callable[[Node], Node]) -> Change:
    """The node of this name made anew."""

    def change(snapshot: Snapshot) -> Snapshot:
        nodes = tuple(make(one) if one.name == name else one for one in snapshot.nodes)
        return replace(snapshot, nodes=nodes)

    return change


def attachments(name: str, **parts: Callable[[Any], Any]) -> Change:
    def make(one: Node) -> Node:
        have = one.attachments
        new = {part: make(getattr(have, part)) for part, make in parts.items()}
        return replace(one, attachments=replace(have, **new))

    return of_node(name, make)


def cluster(**parts: Callable[[Any], Any]) -> Change:
    def change(snapshot: Snapshot) -> Snapshot:
        one = snapshot.clusters[0]
        new = {part: make(getattr(one, part)) for part, make in parts.items()}
        return replace(snapshot, clusters=(replace(one, **new),))

    return change


def where(test: Callable[[Any], bool], **values: Any) -> Callable[[Any], Any]:
    """For `each`: new values where `test` holds."""
    return lambda one: replace(one, **values) if test(one) else one
