"""Where ledger, kernel and runtime disagree: each leak with its cause, and what mends it.

Pure: from one survey. A disagreement is a leak that `gc` may end only when two of the three prove
it; one alone may be wrong, or on its way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from podwire.cni.survey import Survey
from podwire.ipam.lease import ATTACHED, OWN_IPAM, PENDING, Lease, Survivor
from podwire.kernel.pods import pods_of

FREE, REMOVE, ADOPT = "free", "remove", "adopt"
"""What `gc` does: end a lease with its network; remove what has no lease; make it a lease."""
GRACE = 300.0
"""Seconds. A runtime lists a container some time after its ADD; kubelet gives it two minutes."""
GC = "podwire ipam gc"
"""The command that does it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """kind: a word for programs. gc: what `gc` does with it, "" when it leaves it to people.

    since: Unix time of the lease, None without one. survivor: what the kernel shows without a
    lease, for `gc`.
    """

    kind: str
    cause: str
    consequence: str
    remedy: str
    gc: str = ""
    address: str = ""
    host_link: str = ""
    container_id: str = ""
    ifname: str = ""
    pod: str = ""
    since: float | None = None
    lease: Lease | None = None
    survivor: Survivor | None = None


def findings(seen: Survey, *, now: float, grace: float = GRACE) -> list[Finding]:
    """All, leases first, by address. now: Unix time; grace: younger leases are not held against
    the runtime's list."""
    if not seen.has_ledger:
        return list(_lost_ledger(seen))
    found = [one for lease in seen.leases for one in _of_lease(lease, seen, now - grace)]
    strays = list(_stray_addresses(seen))
    taken = {one.host_link for one in strays}
    return [
        *found,
        *strays,
        *_stray_links(seen, taken),
        *_stray_loops(seen),
        *_unknown_to_ledger(seen),
    ]


def pod_name(lease: Lease) -> str:
    """NAMESPACE/NAME, "" when its runtime told none."""
    return f"{lease.pod_namespace}/{lease.pod_name}" if lease.pod_name else ""


def _of_lease(lease: Lease, seen: Survey, old: float) -> Iterator[Finding]:
    if lease.id in seen.leaked:
        yield _dead_call(lease) if lease.state != ATTACHED else _gone(lease)
        return
    if lease.state != ATTACHED:
        return
    twice = list(_twice(lease, seen))
    yield from twice
    if lease.id in seen.missing and not twice:
        yield _not_wired(lease, seen.missing[lease.id])
    if lease.since < old and seen.containers.lacks(lease.container_id):
        yield _unknown_container(lease, seen)
    given = (lease.address, lease.address6)
    if any(one.address in given and not one.listed for one in seen.addresses):
        yield _about(
            lease,
            "unlisted",
            "the source of addresses lists it no more: it was taken off the node's NIC",
            "packets for it may not come to this node any more; another machine may get it",
            f"give it back to the NIC, or {_end_pod(lease)}",
        )


def _gone(lease: Lease) -> Finding:
    if not lease.container_id:
        cause = "only the kernel told of it after the ledger was lost, and its link is gone now"
    elif lease.host_link:
        cause = (
            f"its pod's link {lease.host_link} is gone, and with it the pod's network namespace: "
            "the runtime never sent DEL, or gave it up"
        )
    else:
        cause = (
            f"its pod's network namespace {lease.netns} is gone: the runtime never sent DEL, "
            "or gave it up"
        )
    consequence = "held for nobody, until no other address is free: then an ADD takes it"
    return _freed(lease, "gone", cause, consequence)


def _dead_call(lease: Lease) -> Finding:
    verb = "ADD" if lease.state == PENDING else "DEL"
    return _freed(
        lease,
        "dead-call",
        f"process {lease.owner_pid}, which worked on its {verb}, was killed in the middle",
        "held, perhaps half wired, until the node's next ADD or DEL undoes it",
    )


def _unknown_container(lease: Lease, seen: Survey) -> Finding:
    who = seen.containers.told_by
    where = lease.host_link or lease.id
    kind, cause = "unknown-container", f"the runtime ({who}) does not know its container"
    if where in seen.empty:
        return _freed(
            lease,
            kind,
            f"{cause}, and no process lives in its pod, whose network namespace was left behind",
            "held for nobody, for as long as the namespace is there",
        )
    return _about(
        lease,
        kind,
        f"{cause}; but processes may live in its pod",
        "held, though the runtime may never send DEL",
        f"end what runs in {lease.netns or 'its namespace'}, or "
        f"podwire ipam release --force {lease.address}",
    )


def _not_wired(lease: Lease, missing: tuple[str, ...]) -> Finding:
    return _about(
        lease,
        "not-wired",
        f"the kernel lacks, or has otherwise: {', '.join(missing)}",
        "its pod cannot be reached, in part or at all",
        f"{_end_pod(lease)}: the new one is wired whole",
    )


def _twice(lease: Lease, seen: Survey) -> Iterator[Finding]:
    """Each other holder of a lease's address."""
    others = list(_other_places(lease, seen))
    others += [
        f"the pod of {one.address} ({pod_name(one) or one.container_id[:12]}) has it too"
        for one in seen.leases
        if one.id != lease.id
        and one.container_id != lease.container_id
        and lease.address in seen.inside.get(one.id, ())
    ]
    for cause in others:
        yield _about(
            lease,
            "double",
            cause,
            "packets for it go to one of the two, and not always to the same",
            f"take it from the other, then {_end_pod(lease)}",
        )


def _other_places(lease: Lease, seen: Survey) -> Iterator[str]:
    kernel, address = seen.kernel, lease.address
    if address in kernel.own:
        yield "the node itself has it on a link"
    for where, macs in (("neighbour", kernel.neighbours), ("MAC NAT", kernel.elements)):
        mac = macs.get(address, lease.mac) if lease.bridge else lease.mac
        if mac != lease.mac:
            link = kernel.ends.get(mac, "")
            owner = f"the pod at {link}" if link else "nobody on this node"
            yield f"the kernel's {where} entry leads to {mac}, {owner}, not to {lease.mac}"
    for one in kernel.routed:
        if one.ip == address and one.host_link != lease.host_link:
            yield f"the pod at {one.host_link} has it too"


def _stray_addresses(seen: Survey) -> Iterator[Finding]:
    """Pods, or what is left of them, of which no lease tells."""
    leases = (*seen.leases, *seen.others)
    held = {one.address for one in leases}
    links = {one.host_link for one in leases if one.host_link}
    ours = {one.address for one in seen.addresses} | set(seen.kernel.elements)
    for pod in pods_of(seen.kernel, seen.bridge):
        if pod.ip in held or (pod.ip not in ours and not pod.host_link):
            continue  # a permanent neighbour of somebody else's
        link = "" if pod.host_link in links else pod.host_link
        survivor = Survivor(pod.ip, pod.mac, link, pod.bridge, pod.ip6)
        yield _stray_pod(survivor, seen) if link else _stray_rest(survivor)


def _stray_pod(one: Survivor, seen: Survey) -> Finding:
    kept = next((it for it in seen.containers.kept if one.address in it.addresses), None)
    who = f" (container {kept.container_id[:12]} by {kept.path})" if kept else ""
    return Finding(
        "stray-pod",
        f"a pod{who} is wired with it, and no lease tells so: the ledger lost it",
        "an ADD may give it to another pod",
        f"{GC} makes it a lease, which DEL or its pod's end frees",
        ADOPT,
        one.address,
        one.host_link,
        kept.container_id if kept else "",
        kept.ifname if kept else "",
        survivor=one,
    )


def _stray_rest(one: Survivor) -> Finding:
    return Finding(
        "stray-address",
        f"the kernel leads it to {one.mac}, of no pod, and no lease tells of it",
        "packets for it are lost",
        GC,
        REMOVE,
        one.address,
        survivor=one,
    )


def _stray_links(seen: Survey, taken: set[str]) -> Iterator[Finding]:
    known = taken | {one.host_link for one in (*seen.leases, *seen.others)}
    for name in sorted(set(seen.kernel.links) - known):
        empty = name in seen.empty
        alive = "" if empty else "; but processes may live at its other end"
        yield Finding(
            "stray-link",
            f"a pod's link without an address, and no lease tells of it{alive}",
            "it has a port of the bridge and serves nobody",
            GC if empty else f"see who it is, then ip link del {name}",
            REMOVE if empty else "",
            host_link=name,
        )


def _stray_loops(seen: Survey) -> Iterator[Finding]:
    known = {one.host_link for one in (*seen.leases, *seen.others)}
    for name in sorted(seen.kernel.loops - known - set(seen.kernel.links)):
        yield Finding(
            "stray-element",
            "the MAC NAT's set of ports names a link that is not there",
            "a later link of this name would not hear its own broadcasts: harmless, but dirt",
            GC,
            REMOVE,
            host_link=name,
        )


def _unknown_to_ledger(seen: Survey) -> Iterator[Finding]:
    """What the runtime runs and remembers to have attached."""
    leases = (*seen.leases, *seen.others)
    known = {(one.container_id, one.ifname) for one in leases}
    adopted = {one.address for one in leases if not one.container_id}
    ours = {one.address for one in seen.addresses}
    wired = {one.ip for one in pods_of(seen.kernel, seen.bridge)}
    for one in seen.containers.kept:
        if (one.container_id, one.ifname) in known or not ours & set(one.addresses):
            continue
        runs = one.container_id in (seen.containers.ids or ())
        if runs and not set(one.addresses) & (adopted | wired):
            yield Finding(
                "no-lease",
                f"the runtime runs it with this address ({one.path}), and no lease tells of it",
                "its pod has no network",
                f"delete the pod of container {one.container_id[:12]}",
                address=one.addresses[0],
                container_id=one.container_id,
                ifname=one.ifname,
            )


def _lost_ledger(seen: Survey) -> Iterator[Finding]:
    pods = pods_of(seen.kernel, seen.bridge)
    if pods:
        yield Finding(
            "lost-ledger",
            f"there is no ledger of this boot and node, and the kernel shows {len(pods)} pods: "
            "it was deleted, or the state directory is another",
            "nobody knows whose addresses these are until their DEL or ADD comes",
            "give --state-dir as the plugins were installed with; the next ADD or DEL makes a "
            "ledger and holds what the kernel shows",
        )


def _freed(lease: Lease, kind: str, cause: str, consequence: str) -> Finding:
    if lease.ipam != OWN_IPAM:
        remedy = f"the node's next ADD or DEL: {lease.ipam} gave it, which only plugins call"
        return _about(lease, kind, cause, consequence, remedy)
    return _about(lease, kind, cause, consequence, GC, FREE)


def _about(
    lease: Lease, kind: str, cause: str, consequence: str, remedy: str, gc: str = ""
) -> Finding:
    return Finding(
        *(kind, cause, consequence, remedy, gc),
        address=lease.address,
        host_link=lease.host_link,
        container_id=lease.container_id,
        ifname=lease.ifname,
        pod=pod_name(lease),
        since=lease.since,
        lease=lease,
    )


def _end_pod(lease: Lease) -> str:
    if lease.pod_name:
        return f"kubectl delete pod -n {lease.pod_namespace} {lease.pod_name}"
    return f"delete the pod of container {lease.container_id[:12] or 'unknown'}"
