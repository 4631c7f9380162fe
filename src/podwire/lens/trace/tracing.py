"""trace: send one packet through what a snapshot shows, look at every hop, say what happened."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from podwire.kernel.capture import filter_of
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nftrace import NETWORK, Match
from podwire.lens.explain import Explanation, explain
from podwire.lens.explain.resolve import find, parse
from podwire.lens.names import Target, Thing, at_address, service_of
from podwire.lens.snapshot import Snapshot
from podwire.lens.trace.compare import differences
from podwire.lens.trace.evidence import causes
from podwire.lens.trace.flow import Flow, of_packet, sightings
from podwire.lens.trace.judge import Judgement, judge
from podwire.lens.trace.packets import parse as parse_frame
from podwire.lens.trace.places import involved, opened
from podwire.lens.trace.probe import NUMBERS, Probe, send
from podwire.lens.trace.recording import Recorder, Recording
from podwire.lens.trace.rules import rules_met, translated_to
from podwire.lens.trace.values import Captured, Cause, Outcome, RuleMet, Sighting, Trace
from podwire.lens.vicinity import seen_from
from podwire.model.errors import InvalidInputError

_SETTLE = 0.03
"""Seconds in which frames that are on their way when the answer is there still pass."""
_DNS_PORT = 53
_IP_SOURCE, _IP_DESTINATION = 12, 16
"""Where the addresses are in a header of IPv4."""


@dataclass(frozen=True, slots=True)
class Request:
    """protocol: "tcp", "udp", "icmp". size: bytes of the IP packet (with TCP: of one that is sent
    once connected), 0 for a small one. wait: seconds for the answer. watch: seconds to wait for
    real traffic instead of a probe, 0 for a probe."""

    source: Thing
    target: Target
    protocol: str = "tcp"
    size: int = 0
    wait: float = 1.0
    watch: float = 0.0


def trace(snapshot: Snapshot, request: Request) -> tuple[Trace, tuple[Captured, ...]]:
    """One packet and its answer, and the frames that were theirs. A name is looked up first, by a
    packet to its DNS server: where that ends the trace ends.

    Raises InvalidInputError for what cannot be asked, KernelError when nothing can be captured.
    """
    snapshot = seen_from(snapshot, request.source.cluster)
    if request.target.thing.kind == "name":
        return _named(snapshot, request)
    check(request)
    began = time.monotonic()
    with ExitStack() as stack:
        foreseen = _explained(snapshot, request)
        ids = involved(snapshot, request.source, request.target, _spaces_of(foreseen))
        places, gone = opened(snapshot, ids, stack)
        if request.source.space not in places:
            raise InvalidInputError(f"{request.source.name} is gone; trace something that runs")
        probe = Probe.new(
            request.protocol, request.target.address, request.target.port, request.size
        )
        sequence = probe.sequence if request.protocol == "tcp" and not request.watch else None
        matches = tuple(_ends(request, foreseen)) if request.watch else probe.matches
        with Recorder(places, filter_of(NUMBERS[request.protocol], sequence), matches) as recorder:
            if request.watch:
                flow, outcome = _watched(recorder, request)
            else:
                outcome = send(places[request.source.space], probe, request.wait)
                flow = probe.flow
            time.sleep(_SETTLE)
        recording = recorder.recording
        recording.unseen += [f"{one} is gone" for one in gone]
        near = {*_next_hops(snapshot, ids), request.target.address}
        seen = sightings(recording.frames, flow, near)
        rules = tuple(_rules(snapshot, places, recording, flow))
        if goals := translated_to(rules) - near:  # who is asked for by ARP, maybe in vain
            seen = sightings(recording.frames, flow, near | goals)
    made = _made(snapshot, request, foreseen, seen, rules, recording, outcome)
    return replace(made, took=time.monotonic() - began), _own_frames(recording.frames, seen)


def _rules(
    snapshot: Snapshot, places: Mapping[str, NetNamespace], recording: Recording, flow: Flow
) -> Iterator[RuleMet]:
    for one in snapshot.spaces:
        if one.id in places:
            yield from rules_met(one, places[one.id], recording.events.get(one.id, ()), flow)


def check(request: Request) -> None:
    """Raises InvalidInputError with the way out."""
    target, protocol = request.target, request.protocol
    if not target.address:
        raise InvalidInputError(f"{target.thing.name} has no address; `podwire explain` says why")
    if protocol != "icmp" and not target.port and not request.watch:
        raise InvalidInputError(
            f"{target.thing.name} needs a port with {protocol}: {target.thing.name}:80, "
            "or take --proto icmp"
        )


def _named(snapshot: Snapshot, request: Request) -> tuple[Trace, tuple[Captured, ...]]:
    name = request.target.thing.name
    space = snapshot.space(request.source.space)
    conf = parse(space.resolv_conf if space else "")
    if not conf.servers:
        raise InvalidInputError(f"the resolv.conf of {request.source.name} names no server")
    server = at_address(snapshot, conf.servers[0])
    key = server.name if server.kind == "service" else ""
    asked = Target(server, _DNS_PORT, key if service_of(snapshot, key) else "")
    lookup = replace(request, target=asked, protocol="udp", size=0)
    done, frames = trace(snapshot, lookup)
    pair = find(snapshot, name, conf)
    if done.state != "delivered" or pair is None:
        why = "" if pair else f"; {name} is no service's name, so that the lookup alone was traced"
        return replace(done, text=f"the DNS lookup: {done.text}{why}"), frames
    service = pair[1]
    port = request.target.port or (service.ports[0].port if service.ports else 0)
    thing = Thing("service", service.key, service.cluster_ip)
    return trace(snapshot, replace(request, target=Target(thing, port, service.key)))


def _ends(request: Request, foreseen: Explanation | None) -> Iterator[Match]:
    """For nftables tracing: all that goes from or to an end of the real traffic, as far as the
    rules of its protocol are concerned. Which of it was the packet is told afterwards."""
    backends = (one.backend.partition(":")[0] for one in foreseen.branches) if foreseen else ()
    for address in {request.source.address, request.target.address, *backends} - {""}:
        for offset in (_IP_SOURCE, _IP_DESTINATION):
            wanted = IPv4Address(address).packed
            yield Match(NUMBERS[request.protocol], offset, wanted, NETWORK)


def _watched(recorder: Recorder, request: Request) -> tuple[Flow, Outcome]:
    """The first packet that matches, and a while for its answer."""
    flows: list[Flow] = []

    def is_it(one: Captured) -> bool:
        packet = parse_frame(one.data)
        fits = (
            packet is not None
            and one.space == request.source.space
            and packet.kind == request.protocol
            and packet.asks
            and packet.dst == request.target.address
            and (packet.kind == "icmp" or request.target.port in (0, packet.dport))
        )
        if fits and packet is not None and not flows:
            flows.append(of_packet(packet))
        return fits

    if not recorder.watch(is_it, request.watch):
        raise InvalidInputError(
            f"nothing went from {request.source.name} to {request.target} within "
            f"{request.watch:g} s; leave --watch away to send a probe"
        )
    recorder.watch(lambda _: False, request.wait)
    return flows[0], Outcome("watched", "real traffic")


def _made(
    snapshot: Snapshot,
    request: Request,
    foreseen: Explanation | None,
    seen: Sequence[Sighting],
    rules: tuple[RuleMet, ...],
    recording: Recording,
    outcome: Outcome,
) -> Trace:
    home = request.source.space
    found: Judgement = judge(snapshot, seen, rules, outcome, home)
    more: tuple[Cause, ...] = ()
    if found.state != "delivered":
        more = tuple(causes(snapshot, seen, found.last, rules, recording.counters, home))
    backend = _backend(seen)
    explained = _of_backend(snapshot, request, backend) or foreseen
    told = [one for one in seen if outcome.state != "stalled" or one.packet.payload]
    return Trace(
        *(request.source, request.target, request.protocol, found.state, found.text),
        tuple(seen),
        rules,
        tuple(dict.fromkeys((*found.causes, *more))),
        outcome,
        found.last,
        backend,
        differs=tuple(differences(snapshot, explained, told, found.state)) if explained else None,
        explained=_said(explained) if explained else "",
        unseen=(*recording.unseen, *_legacy(snapshot, seen)),
    )


def _explained(snapshot: Snapshot, request: Request, backend: str = "") -> Explanation | None:
    """None for what cannot be asked."""
    try:
        return explain(
            snapshot,
            request.source,
            request.target,
            protocol=request.protocol,
            size=request.size,
            backend=backend,
        )
    except InvalidInputError:
        return None


def _of_backend(snapshot: Snapshot, request: Request, backend: str) -> Explanation | None:
    """The way to the backend that the packet came to. None when no service was asked, or its rules
    do not have this one: that is a difference of its own."""
    asked = request.target.service and backend
    return _explained(snapshot, request, backend) if asked else None


def _spaces_of(explained: Explanation | None) -> set[str]:
    """Through which explain leads the packet, as to where an address is translated."""
    hops = (*explained.hops, *explained.reply) if explained else ()
    return {one.space for one in hops}


def _said(explained: Explanation) -> str:
    blamed = f": {explained.culprit.text}" if explained.culprit else ""
    return f"{explained.verdict}{blamed}"


def _backend(seen: Iterable[Sighting]) -> str:
    probes = [one.packet for one in seen if one.role == "probe" and one.packet.kind != "fragment"]
    return f"{probes[-1].dst}:{probes[-1].dport}" if probes else ""


def _next_hops(snapshot: Snapshot, ids: Iterable[str]) -> set[str]:
    spaces = (snapshot.space(one) for one in ids)
    return {route.via for one in spaces if one for route in one.routes if route.via}


def _legacy(snapshot: Snapshot, seen: Iterable[Sighting]) -> Iterable[str]:
    passed = {one.space for one in seen}
    for one in snapshot.spaces:
        if one.id in passed and any(table.legacy for table in one.iptables):
            yield f"rules of iptables-legacy in {one.id} cannot be traced; the sightings hold"


def _own_frames(frames: Iterable[Captured], seen: Iterable[Sighting]) -> tuple[Captured, ...]:
    mine = {(one.at, one.space, one.link, one.outgoing) for one in seen}
    return tuple(one for one in frames if (one.at, one.space, one.link, one.outgoing) in mine)
