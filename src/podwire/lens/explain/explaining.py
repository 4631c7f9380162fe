"""explain: from a snapshot and two things to an explanation.

A service is asked for every backend that its rules choose among: one that fails is what a person
meets as "it fails sometimes", so that is the way which is shown, unless a backend is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from podwire.lens import names
from podwire.lens.explain.attempt import Attempt, Question, attempt
from podwire.lens.explain.dns import resolve
from podwire.lens.explain.faults import culprit
from podwire.lens.explain.values import Branch, Culprit, Explanation
from podwire.lens.explain.world import World
from podwire.lens.kube_chains import Backend
from podwire.lens.kube_values import Service
from podwire.lens.names import Target, Thing
from podwire.lens.snapshot import Snapshot
from podwire.lens.vicinity import seen_from
from podwire.model.errors import InvalidInputError

MOST_BACKENDS = 32
"""How many backends of a service are walked."""
PROTOCOLS = ("tcp", "udp", "icmp")


def explain(
    snapshot: Snapshot,
    source: Thing,
    target: Target,
    *,
    protocol: str = "tcp",
    size: int = 0,
    backend: str = "",
) -> Explanation:
    """The way of a first packet from `source` to `target`, and of its answer.

    size: bytes of the packet, 0 for a small one. backend: ADDRESS:PORT or the name of a pod, which
    of a service's. Raises InvalidInputError for what cannot be asked.
    """
    world = World(seen_from(snapshot, source.cluster))
    if target.thing.kind == "name":
        return _named(world, source, target, protocol, size)
    target = _with_port(world, target, protocol)
    if not target.address:
        return _without_address(world, source, target)
    question = Question(source, target.address, target.port, protocol, size)
    first = attempt(world, question)
    ways = first.choice.seen
    if not ways:
        _refuse_backend(backend, target, ())
        return _told(world, source, target, first, ())
    tried = list(_backends(world, question, ways, first))
    chosen = _chosen(world, backend, target, ways, tried)
    branches = tuple(
        _branch(world, target, way, one, chosen=n == chosen)
        for n, (way, one) in enumerate(zip(ways, tried, strict=False))
    )
    return _told(world, source, target, tried[chosen], branches)


def _backends(
    world: World, question: Question, ways: tuple[Backend, ...], first: Attempt
) -> Iterator[Attempt]:
    yield first
    for one in ways[1:MOST_BACKENDS]:
        yield attempt(world, question, one.target)


def _chosen(
    world: World,
    backend: str,
    target: Target,
    ways: tuple[Backend, ...],
    tried: list[Attempt],
) -> int:
    if backend:
        address = backend
        if ":" not in backend:
            found = names.thing(world.snapshot, backend, target.thing.cluster).address
            address = next(
                (one.target for one in ways if one.target.startswith(f"{found}:")), backend
            )
        _refuse_backend(address, target, ways)
        return min(next(n for n, one in enumerate(ways) if one.target == address), len(tried) - 1)
    failing = (n for n, one in enumerate(tried) if one.verdict != "delivered")
    return next(failing, 0)


def _refuse_backend(backend: str, target: Target, ways: tuple[Backend, ...]) -> None:
    if backend and backend not in {one.target for one in ways}:
        have = ", ".join(one.target for one in ways) or "none"
        raise InvalidInputError(f"{target} has no backend {backend}; it has: {have}")


def _branch(world: World, target: Target, way: Backend, tried: Attempt, *, chosen: bool) -> Branch:
    pod = world.pod_addresses.get(way.target.partition(":")[0])
    blamed = _stale(world, target, way, tried) if tried.culprit else None
    return Branch(
        backend=way.target,
        probability=round(way.chance, 4),
        rule=f"-A {way.chain} {way.rule}",
        pod=pod.key if pod else "",
        chosen=chosen,
        verdict=tried.verdict,
        culprit=blamed or tried.culprit,
    )


def _stale(world: World, target: Target, way: Backend, tried: Attempt) -> Culprit | None:
    """When the rules lead to what the API server does not list, or whose pod is gone."""
    service = _service(world, target)
    if service is None or tried.culprit is None:
        return None
    listed = [one for one in service.endpoints if f"{one.address}:{one.port}" == way.target]
    known = {pod.key for one in world.snapshot.clusters for pod in one.pods}
    if any(one.ready and (not one.pod or one.pod in known) for one in listed):
        return None
    space = next((one.space for one in tried.hops if one.space.startswith("node/")), "")
    stack = world.stack(space) or world.stack(tried.hops[0].space)
    assert stack is not None
    text = (
        f"the rules of {stack.label} for service {service.key} lead to {way.target} (probability "
        f"{way.chance:.2f}), which is no endpoint that lives: {tried.culprit.text}"
    )
    return culprit(
        *(world, "endpoint-stale", text, "iptables nat", stack),
        thing=f"service {service.key}",
        entry=next((one.entry for one in tried.hops if one.place == "iptables nat"), None),
        show=f"iptables-save -t nat | grep {way.target}",
        mend=f"iptables -t nat -D {way.chain} {way.rule}",
    )


def _service(world: World, target: Target) -> Service | None:
    pair = (
        names.service_of(world.snapshot, target.service, target.address) if target.service else None
    )
    return pair[1] if pair else world.service_at(target.address)


def _told(
    world: World, source: Thing, target: Target, one: Attempt, branches: tuple[Branch, ...]
) -> Explanation:
    mine = next((branch.culprit for branch in branches if branch.chosen), None)
    blamed = mine or one.culprit
    suspects = [*one.suspects, *(b.culprit for b in branches if b.culprit and not b.chosen)]
    mtus = {key: mtu for key, mtu in one.mtus.items() if key[0].partition("/")[0] in _COUNTED}
    return Explanation(
        source,
        target,
        one.hops,
        one.reply,
        one.verdict,
        None if one.verdict == "delivered" else blamed,
        branches,
        tuple(_warnings(world, one, suspects, mtus)),
        min(mtus.values(), default=0),
        tuple(suspects),
    )


_COUNTED = ("pod", "node")


def _warnings(
    world: World, one: Attempt, suspects: list[Culprit], mtus: dict[tuple[str, str], int]
) -> Iterator[str]:
    yield from dict.fromkeys(each.text for each in suspects)
    if len(set(mtus.values())) > 1:
        least = min(mtus, key=lambda key: mtus[key])
        yield (
            f"MTUs differ on the way: {mtus[least]} of {least[1]} in {least[0]}, "
            f"{max(mtus.values())} elsewhere; try --size {max(mtus.values())}"
        )
    notes = (note for hop in (*one.hops, *one.reply) for note in hop.notes)
    yield from dict.fromkeys(note for note in notes if note.startswith("not understood"))
    spaces = dict.fromkeys(hop.space for hop in (*one.hops, *one.reply))
    for space in spaces:
        stack = world.stack(space)
        for part, why in stack.space.unread.items() if stack else ():
            yield f"the snapshot has no {part} of {space}: {why}"
    yield from (f"while the snapshot was taken: {one}" for one in world.snapshot.changed)


def _with_port(world: World, target: Target, protocol: str) -> Target:
    """Without a port: the lowest one on which the target listens."""
    if target.port or protocol not in ("tcp", "udp") or target.service:
        return target
    stack = world.stack(target.thing.space)
    ports = [
        one.port
        for one in (stack.space.sockets if stack else ())
        if one.protocol == protocol and not one.address.startswith("127.")
    ]
    return replace(target, port=min(ports, default=0))


def _without_address(world: World, source: Thing, target: Target) -> Explanation:
    stack = world.stack(source.space)
    assert stack is not None
    text = f"{target.thing.object} has no address in this snapshot"
    if target.thing.kind == "service":
        text += "; it is headless: ask for one of its pods"
    found = culprit(world, "pod-gone", text, "names", stack, thing=target.thing.object)
    return Explanation(source, target, (), (), "unknown", found)


def _named(world: World, source: Thing, target: Target, protocol: str, size: int) -> Explanation:
    answer = resolve(world, source, target.thing.name)
    if answer.service is None:
        notes = (answer.note,) if answer.note else ()
        return Explanation(
            *(source, target, answer.hops, (), answer.verdict, answer.culprit), warnings=notes
        )
    port = f":{target.port}" if target.port else ""
    word = f"svc/{answer.service.key}{port}"
    found = names.target(world.snapshot, word, protocol, source.cluster)
    return explain(world.snapshot, source, found, protocol=protocol, size=size)
