"""What there is to collect, and how it is reached: values, made by whoever knows."""

from __future__ import annotations

from dataclasses import dataclass

from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import VirtualNetwork


@dataclass(frozen=True, slots=True)
class Door:
    """A node. netns: path of its network namespace; pid: a process with its mounts, by which its
    files are seen; cluster: the name of its cluster, "" if unknown."""

    name: str
    netns: str
    pid: int
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace that is no node's and no pod's. id, kind: as a Space's; an empty id is made of
    the inode."""

    id: str
    kind: str
    netns: str


@dataclass(frozen=True, slots=True)
class Api:
    """An API server. known: what is known of its cluster without asking; kubeconfig: path, "" for
    kubectl's own choice; unreachable: why it need not be asked, else "". answered: what it said
    before, if that shall do: then it is not asked."""

    known: Cluster
    kubectl: str = "kubectl"
    kubeconfig: str = ""
    unreachable: str = ""
    answered: Cluster | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """All of it. lab: its name, "" for a machine's own node."""

    doors: tuple[Door, ...]
    lab: str = ""
    apis: tuple[Api, ...] = ()
    places: tuple[Place, ...] = ()
    vnets: tuple[VirtualNetwork, ...] = ()
