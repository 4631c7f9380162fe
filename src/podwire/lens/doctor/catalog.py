"""Every kind of finding: how bad it is and what it does. docs/doctor.md has the same table.

The one place where a kind is named; must not know how it is found.
"""

from __future__ import annotations

from dataclasses import dataclass

from podwire.lens.doctor.values import ERROR, NOTE, WARNING, Finding


@dataclass(frozen=True, slots=True)
class Kind:
    """title: what was found, in a few words. consequence: what it does when nothing is done."""

    severity: str
    title: str
    consequence: str


KINDS = {
    "node-wiring": Kind(
        ERROR, "the node's own wiring is not whole", "pods of this node lose packets, maybe all"
    ),
    "pod-wiring": Kind(
        ERROR, "a pod's wiring is not whole", "the pod cannot be reached, in part or at all"
    ),
    "kubenet-wiring": Kind(
        ERROR,
        "what kubenet keeps of a node is not whole",
        "pods of this node lose packets, maybe all",
    ),
    "pod-range-unrouted": Kind(
        ERROR,
        "the VNet does not lead a node's range of pods to the node",
        "pods of other nodes do not reach its pods, nor these them",
    ),
    "mode-differs": Kind(
        ERROR,
        "the configuration wants another mode than the node is wired in",
        "each ADD is refused: no new pod starts",
    ),
    "lease-leaked": Kind(
        WARNING, "an address is held for a pod that is gone", "one address less for new pods"
    ),
    "lease-unknown": Kind(
        WARNING,
        "an address is held for a container that the runtime does not know",
        "held, though the runtime may never send DEL",
    ),
    "address-unlisted": Kind(
        WARNING,
        "a pod's address is not the node's NIC's any more",
        "packets for it may not come to this node; another machine may get it",
    ),
    "pod-unleased": Kind(
        ERROR, "a pod has an address that no lease tells of", "an ADD may give it to another pod"
    ),
    "stray-objects": Kind(
        NOTE, "the kernel has what was left of a pod", "dirt, or packets that are lost"
    ),
    "ledger-lost": Kind(
        ERROR,
        "the kernel shows pods, and there is no ledger of them",
        "nobody knows whose addresses these are until the next ADD or DEL",
    ),
    "address-twice": Kind(
        ERROR,
        "two have the same address",
        "packets for it go to one of the two, and not always to the same",
    ),
    "mac-twice": Kind(
        ERROR,
        "two have the same MAC",
        "frames for it go to one of the two, as a bridge learnt last",
    ),
    "addresses-exhausted": Kind(
        ERROR, "a node has no free address", "no pod that is scheduled there starts"
    ),
    "addresses-run-out": Kind(
        WARNING, "a node's addresses are used up soon", "then no pod that is scheduled there starts"
    ),
    "max-pods-over": Kind(
        WARNING,
        "kubelet admits more pods than the node has addresses",
        "the last of them stay in ContainerCreating",
    ),
    "subnet-full": Kind(
        WARNING, "a subnet has no room for one more node", "scaling up or upgrading fails"
    ),
    "foreign-drop": Kind(
        ERROR, "somebody else's filter drops packets of pods", "connections of pods hang or fail"
    ),
    "foreign-route": Kind(
        ERROR,
        "somebody else's route leads pods' packets elsewhere",
        "what is for these addresses does not come to their pods",
    ),
    "foreign-rule": Kind(
        WARNING,
        "somebody else's routing rule takes pods' packets to another table",
        "they may leave by another link, or by none",
    ),
    "sysctl-wrong": Kind(
        ERROR, "a kernel setting stands against pods' packets", "pods lose packets"
    ),
    "rp-filter-strict": Kind(
        WARNING,
        "the kernel drops what comes in by another link than the answer would leave by",
        "packets that come by a second NIC or a tunnel are lost without a trace",
    ),
    "conntrack-full": Kind(
        ERROR, "the connection table is nearly full", "new connections are dropped at random"
    ),
    "neighbours-full": Kind(
        WARNING, "the neighbour table is nearly full", "new neighbours cannot be reached"
    ),
    "mtu-differs": Kind(
        ERROR, "links on a pod's way have different MTUs", "large packets are lost, small ones pass"
    ),
    "link-down": Kind(ERROR, "a link is down", "nothing passes it"),
    "agent-silent": Kind(
        WARNING,
        "the agent does not answer",
        "each ADD starts the plugin's own program: slower by a few hundred milliseconds",
    ),
    "versions-differ": Kind(
        WARNING, "nodes of a cluster have different versions", "they may behave differently"
    ),
    "node-not-ready": Kind(
        ERROR, "Kubernetes holds a node for not ready", "its pods get no traffic and are evicted"
    ),
    "pod-without-network": Kind(
        ERROR, "a pod runs, and no network namespace on its node is its own", "it is unreachable"
    ),
    "address-differs": Kind(
        ERROR,
        "Kubernetes has another address for a pod than the kernel",
        "services and policies send its packets to the wrong address",
    ),
    "pod-waits-for-address": Kind(
        ERROR, "a pod waits for an address", "it stays in ContainerCreating or Pending"
    ),
    "service-without-endpoints": Kind(
        WARNING, "a service has no pod that is ready", "connections to it are refused"
    ),
    "dns-without-endpoints": Kind(
        ERROR, "cluster DNS has no pod that is ready", "no name is resolved in any pod"
    ),
    "service-rules-stale": Kind(
        WARNING,
        "a node's service rules lead to an endpoint that is not there",
        "some connections to the service hang",
    ),
    "service-rules-missing": Kind(
        WARNING,
        "a node's service rules lack an endpoint that is ready",
        "pods of that node reach fewer of the service's pods, or none",
    ),
}


def found(
    kind: str,
    thing: str,
    evidence: str,
    remedy: str,
    *,
    ours: bool = False,
    node: str = "",
    consequence: str = "",
) -> Finding:
    """A finding of a known kind. consequence: where this one's is known better than its kind's."""
    known = KINDS[kind]
    said = consequence or known.consequence
    return Finding(kind, known.severity, thing, evidence, said, remedy, ours, node)
