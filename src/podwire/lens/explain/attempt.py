"""One packet and its answer: walked, and judged when both arrived somewhere.

Must not know of DNS, nor which backends a service has.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

from podwire.lens.explain import blame
from podwire.lens.explain.faults import culprit
from podwire.lens.explain.iptables import Choice
from podwire.lens.explain.routing import lookup, source_of, within
from podwire.lens.explain.skb import EPHEMERAL, Flow, Skb, Tuple
from podwire.lens.explain.trail import End, Trail
from podwire.lens.explain.values import Culprit, Hop, Verdict
from podwire.lens.explain.walk import Walk
from podwire.lens.explain.world import Stack, World
from podwire.lens.kube_chains import SNAT
from podwire.lens.names import Thing


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be walked. size: bytes, 0 for a small packet."""

    source: Thing
    destination: str
    port: int
    protocol: str
    size: int = 0


@dataclass(slots=True)
class Attempt:
    """suspects: what is wrong and does not stop it. choice: which backend, and which there are."""

    choice: Choice
    hops: tuple[Hop, ...] = ()
    reply: tuple[Hop, ...] = ()
    verdict: Verdict = "unknown"
    culprit: Culprit | None = None
    mtus: dict[tuple[str, str], int] = field(default_factory=dict)
    suspects: list[Culprit] = field(default_factory=list)


def attempt(world: World, question: Question, wanted: str = "") -> Attempt:
    """wanted: the backend, address:port, that a service's random rules shall choose."""
    stack = world.stack(question.source.space)
    assert stack is not None
    trail = Trail(world, Choice(wanted))
    walk = Walk(trail)
    result = Attempt(trail.choice)
    skb = _first_packet(stack, question)
    sent = skb.tuple
    there = _address_gone(world, stack, trail, skb) or walk.send(skb, stack)
    result.hops, trail.hops = tuple(trail.hops), []
    result.verdict, result.culprit = there.verdict, there.culprit
    if there.verdict == "delivered" and (wrong := _misdelivered(walk, there)):
        result.verdict, result.culprit = "dropped", wrong
    elif there.verdict == "delivered" and not _leaves(there):
        _answer(walk, there, stack, sent, result)
        result.reply = tuple(trail.hops)
    result.mtus = trail.mtus
    result.suspects = [*trail.suspects, *_suspects(walk, result, sent, there)]
    return result


def _first_packet(stack: Stack, question: Question) -> Skb:
    has_ports = question.protocol in ("tcp", "udp")
    skb = Skb(question.protocol, "", question.destination, size=question.size)
    if has_ports:
        skb.sport, skb.dport = EPHEMERAL, question.port
    skb.src = source_of(stack, lookup(stack, skb)) or question.source.address
    return skb


def _address_gone(world: World, stack: Stack, trail: Trail, skb: Skb) -> End | None:
    pod = world.pods.get(stack.id)
    missing = blame.missing_address(world, stack, pod.address, "pod route") if pod else None
    return trail.end("refused", stack, skb, missing) if missing else None


def _leaves(there: End) -> bool:
    """Out of all that the snapshot knows, where nothing is known of the answer."""
    return there.stack.space.kind == "fabric" and there.skb.dst not in there.stack.local


def _misdelivered(walk: Walk, there: End) -> Culprit | None:
    """Another than the one that should have the address took the packet."""
    address, meant = there.skb.dst, walk.world.meant(there.skb.dst)
    if not meant or there.stack.id == meant or len(walk.world.owners.get(address, ())) < 2:
        return None
    return walk.duplicate(there.stack, address, "local")


def _answer(walk: Walk, there: End, stack: Stack, sent: Tuple, result: Attempt) -> None:
    walk.trail.passed.clear()
    back = walk.send(there.skb.answer(), there.stack)
    if back.verdict != "delivered":
        result.verdict, result.culprit = back.verdict, _on_the_way_back(back)
        return
    expected = (sent[2], sent[3], sent[0], sent[1])
    if back.stack is stack and back.skb.tuple == expected:
        return
    result.verdict = "dropped"
    if back.stack is not stack:
        result.culprit = walk.duplicate(back.stack, back.skb.dst, "local")
    else:
        result.culprit = _unmatched(walk, back, expected)


def _on_the_way_back(back: End) -> Culprit | None:
    if back.culprit is None:
        return None
    return replace(back.culprit, text=f"the answer: {back.culprit.text}")


def _unmatched(walk: Walk, back: End, expected: Tuple) -> Culprit:
    """The answer is not the connection's: what translated the question has not seen the answer."""
    space = next((one for one, flows in walk.trail.flows.items() if _translated(flows)), "")
    node = walk.world.stack(space) or back.stack
    came = f"{back.skb.src}:{back.skb.sport}"
    text = (
        f"{back.stack.label} asked {expected[0]}:{expected[1]}, and {came} answers: the "
        f"answer does not pass {node.label}, which translated the question and did not masquerade"
    )
    return culprit(
        *(walk.world, "masquerade-missing", text, "iptables nat", node),
        show="iptables -t nat -S KUBE-POSTROUTING",
    )


def _translated(flows: list[Flow]) -> bool:
    return any(one.translated_destination for one in flows)


def _suspects(walk: Walk, result: Attempt, sent: Tuple, there: End) -> list[Culprit]:
    if result.verdict != "delivered":
        return []
    found = [_unwanted_masquerade(walk, result)]
    for address in dict.fromkeys((there.skb.dst, sent[0])):
        found.append(blame.missing_element(walk.trail, address, "bridge table"))
        if len(walk.world.owners.get(address, ())) > 1:
            found.append(walk.duplicate(there.stack, address, "local"))
    return [one for one in found if one is not None]


def _unwanted_masquerade(walk: Walk, result: Attempt) -> Culprit | None:
    """A pod's own address is hidden from the VNet, and not for a service's sake."""
    for before, hop in pairwise(result.hops):
        hides = before.packet.src != hop.packet.src and before.packet.src in walk.world.owners
        if not hides or hop.entry is None or "KUBE-POSTROUTING" in hop.entry.text:
            continue
        stack = walk.world.stack(hop.space)
        if stack and stack.space.kind == "node" and _must_show(walk.world, stack, hop):
            text = (
                f"{stack.label} hides a pod's address from {hop.packet.dst}, which is of the VNet "
                f"or the cluster: {hop.entry.text}"
            )
            return culprit(
                *(walk.world, "masquerade-unwanted", text, hop.place, stack),
                entry=hop.entry,
                show=hop.entry.show,
                mend="kubectl -n kube-system edit configmap azure-ip-masq-agent-config",
            )
    return None


def _must_show(world: World, stack: Stack, hop: Hop) -> bool:
    """Whether the hop's destination is one from which no pod of the node is to be hidden."""
    address, clusters = hop.packet.dst, world.snapshot.clusters
    if hop.entry is not None and SNAT in hop.entry.text:  # on purpose, but for its cluster's pods
        own = stack.node.cluster if stack.node else ""
        ranges = [one.pod_cidr for one in clusters if one.name == own]
        return any(within(address, one) for one in ranges if one)
    ranges = [one.pod_cidr for one in clusters]
    ranges += [prefix for one in world.snapshot.vnets for prefix in one.vnet.prefixes]
    return address in world.pod_addresses or any(within(address, one) for one in ranges if one)
