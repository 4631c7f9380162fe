"""A name asked for: whether a pod's question reaches a server that knows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from podwire.lens.explain.attempt import Question, attempt
from podwire.lens.explain.faults import culprit
from podwire.lens.explain.resolve import ResolvConf, find, is_clusters, parse
from podwire.lens.explain.values import Culprit, Entry, Hop, Verdict
from podwire.lens.explain.world import World
from podwire.lens.kube_values import Service
from podwire.lens.names import Thing

_PORT = 53


@dataclass(frozen=True, slots=True)
class Resolved:
    """service: None when the name is none of the cluster's or the question fails. hops: of the
    question, when it fails."""

    service: Service | None = None
    hops: tuple[Hop, ...] = ()
    verdict: Verdict = "delivered"
    culprit: Culprit | None = None
    note: str = ""


def resolve(world: World, source: Thing, name: str) -> Resolved:
    stack = world.stack(source.space)
    assert stack is not None
    conf = parse(stack.space.resolv_conf)
    found = find(world.snapshot, name, conf)
    if wrong := _wrong_servers(world, source, name, conf):
        return Resolved(verdict="refused", culprit=wrong)
    asked = attempt(world, Question(source, conf.servers[0], _PORT, "udp"))
    if asked.verdict != "delivered":
        why = asked.culprit
        if why is not None:
            why = replace(why, text=f"DNS ({conf.servers[0]} for {name}): {why.text}")
        return Resolved(None, (*asked.hops, *asked.reply), asked.verdict, why)
    if found is not None:
        return Resolved(found[1])
    if is_clusters(name):
        return Resolved(verdict="refused", culprit=_no_such_name(world, source, name))
    note = f"{name} is no service of the cluster: its address is not in the snapshot; give it"
    return Resolved(verdict="unknown", note=note)


def _wrong_servers(world: World, source: Thing, name: str, conf: ResolvConf) -> Culprit | None:
    stack = world.stack(source.space)
    assert stack is not None
    clusters = {one.dns_ip for one in world.snapshot.clusters if one.dns_ip}
    if conf.servers and (not is_clusters(name) or conf.servers[0] in clusters or not clusters):
        return None
    have = ", ".join(conf.servers) or "nobody"
    text = f"resolv.conf of {source.name} names {have} as its server"
    text += f", and the cluster's is {min(clusters)}" if clusters else ""
    return culprit(
        *(world, "dns-resolv-conf", text, "resolv.conf", stack),
        thing=source.object,
        entry=Entry("resolv.conf", f"nameserver {have}", source.object),
        show=f"kubectl exec -n {source.name.replace('/', ' ', 1)} -- cat /etc/resolv.conf",
    )


def _no_such_name(world: World, source: Thing, name: str) -> Culprit:
    stack = world.stack(source.space)
    assert stack is not None
    text = f"the cluster has no service that {name} names"
    return culprit(
        *(world, "dns-no-such-name", text, "dns", stack),
        show="kubectl get services --all-namespaces",
    )
