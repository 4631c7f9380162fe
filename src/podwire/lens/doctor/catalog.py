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
