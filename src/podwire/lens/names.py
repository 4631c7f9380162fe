"""What a person's word means: pod, service, node, address or DNS name -> things of a snapshot.

Must not know what is asked about them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address
from typing import Literal, TypeAlias

from podwire.lens.kube_values import Cluster, Pod, Service
from podwire.lens.snapshot import OF, Node, Snapshot
from podwire.lens.vicinity import own_first
from podwire.model.errors import InvalidInputError

Kind: TypeAlias = Literal["pod", "node", "service", "address", "name"]
_PORT = re.compile(r"^(?P<rest>[^:]+):(?P<port>[A-Za-z0-9-]+)$")
_EXAMPLES = (
    "a pod (NAMESPACE/NAME or NAME), svc/NAMESPACE/NAME, a node, an IPv4 address, a DNS name; "
    "of one cluster of several as in svc/web@CLUSTER"
)


@dataclass(frozen=True, slots=True)
class Thing:
    """kind "address": of nothing that the snapshot has; "name": one for DNS to resolve.

    name: as in "default/web" or "n1". space: the id of its network namespace, "" for none.
    address: "" when it has none. node: the name of the node where it is, "" for none. cluster: the
    one that has it, "" for none.
    """

    kind: Kind
    name: str
    address: str = ""
    space: str = ""
    node: str = ""
    host_network: bool = False
    cluster: str = ""

    @property
    def object(self) -> str:
        """Its `data-object`."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to. port: 0 where there is none; service: namespace/name when the address is one's."""

    thing: Thing
    port: int = 0
    service: str = ""

    @property
    def address(self) -> str:
        return self.thing.address

    def __str__(self) -> str:
        return self.thing.name + (f":{self.port}" if self.port else "")


def source(snapshot: Snapshot, word: str) -> Thing:
    """Where packets come from. Raises InvalidInputError when it is nothing that can send."""
    found = thing(snapshot, word)
    if not found.space:
        raise InvalidInputError(
            f"{word} has no network namespace in this snapshot, so nothing is known of what it "
            f"sends; take a running pod or a node: {_listed(_senders(snapshot))}"
        )
    return found


def target(snapshot: Snapshot, word: str, protocol: str = "tcp", home: str = "") -> Target:
    """Where packets go: a thing with an optional :PORT, a number or the name of a service's port.

    Without a port a service's first one of the protocol is meant. home: the cluster that is meant
    where several have such a thing. Raises InvalidInputError.
    """
    match = _PORT.match(word)
    rest, port = (match["rest"], match["port"]) if match else (word, "")
    found = thing(snapshot, rest, home)
    service = _service_at(snapshot, found)
    number = _port(word, port, service, protocol)
    return Target(found, number, service.key if service else "")


def thing(snapshot: Snapshot, word: str, home: str = "") -> Thing:
    """Raises InvalidInputError for what names nothing or several things."""
    every, (word, _, cluster) = snapshot, word.partition(OF)
    if cluster:
        snapshot = _of_cluster(snapshot, cluster)
    found = _thing(own_first(snapshot, home), word)
    mine = [one for one in found if one.cluster == home]
    return _only(word, mine or found, every)


def _of_cluster(snapshot: Snapshot, name: str) -> Snapshot:
    """What this one alone has."""
    clusters = tuple(one for one in snapshot.clusters if one.name == name)
    if not clusters:
        have = _listed([one.name for one in snapshot.clusters])
        raise InvalidInputError(f"{name} is no cluster of this snapshot; it has: {have}")
    nodes = tuple(one for one in snapshot.nodes if one.cluster == name)
    mine = {space for one in nodes for space in (one.space, *one.pods)}
    spaces = tuple(one for one in snapshot.spaces if one.id in mine)
    return replace(snapshot, clusters=clusters, nodes=nodes, spaces=spaces)


def _thing(snapshot: Snapshot, word: str) -> list[Thing]:
    if _is_address(word):
        return [at_address(snapshot, word)]
    if word.startswith(("svc/", "service/")):
        return list(_services(snapshot, word.partition("/")[2]))
    if word.startswith(("pod/", "node/")):
        kind, _, word = word.partition("/")
        finder = _pods if kind == "pod" else _nodes
        return list(finder(snapshot, word))
    found = [*_pods(snapshot, word), *_nodes(snapshot, word)]
    found = found or list(_services(snapshot, word))
    if not found and "/" not in word and "." in word:
        return [Thing("name", word)]
    return found


def at_address(snapshot: Snapshot, address: str) -> Thing:
    """Who has the address, as the snapshot's objects say it; nobody: a thing of kind "address"."""
    for cluster in snapshot.clusters:
        for pod in cluster.pods:
            if pod.address == address and not pod.host_network and pod.phase not in _OVER:
                return pod_thing(snapshot, pod, cluster.name)
        for service in cluster.services:
            if address == service.cluster_ip or address in service.external:
                return Thing("service", service.key, address, cluster=cluster.name)
    for node in snapshot.nodes:
        if address in addresses(snapshot, node.space):
            return _node_thing(node, address)
    for space in snapshot.spaces:
        if space.kind == "pod" and address in addresses(snapshot, space.id):
            return Thing("pod", space.id.removeprefix("pod/"), address, space.id)
    return Thing("address", address, address)


def pod_thing(snapshot: Snapshot, pod: Pod, cluster: str) -> Thing:
    """A pod of the host's network is where its node is."""
    node = snapshot.node(pod.node)
    space = node.space if pod.host_network and node else pod.space
    return Thing("pod", pod.key, pod.address, space, pod.node, pod.host_network, cluster)


def _node_thing(node: Node, address: str) -> Thing:
    return Thing("node", node.name, address, node.space, node.name, cluster=node.cluster)


def service_of(snapshot: Snapshot, key: str, address: str = "") -> tuple[Cluster, Service] | None:
    """By namespace/name, of several the one that has the address."""
    pairs = ((one, service) for one in snapshot.clusters for service in one.services)
    found = [pair for pair in pairs if pair[1].key == key]
    at = (one for one in found if address in (one[1].cluster_ip, *one[1].external))
    return next(at, found[0] if found else None)


_OVER = ("Succeeded", "Failed")


def _is_address(word: str) -> bool:
    try:
        IPv4Address(word)
    except AddressValueError:
        return False
    return True


def addresses(snapshot: Snapshot, space_id: str) -> list[str]:
    """Those of a namespace's links, [] when the snapshot has no such."""
    space = snapshot.space(space_id)
    return [one.ip for one in space.addresses] if space else []


def _pods(snapshot: Snapshot, word: str) -> Iterator[Thing]:
    known = set()
    for cluster in snapshot.clusters:
        for pod in cluster.pods:
            known.add(pod.space)
            if word in (pod.key, pod.name) or (not pod.host_network and pod.space == f"pod/{word}"):
                yield pod_thing(snapshot, pod, cluster.name)
    owners = {one: node for node in snapshot.nodes for one in node.pods}
    for space in snapshot.spaces:
        name = space.id.removeprefix("pod/")
        if space.kind == "pod" and space.id not in known and word in (name, name.split("/")[-1]):
            address = next((one.ip for one in space.addresses if one.scope == "global"), "")
            node = owners.get(space.id)
            where = (node.name, node.cluster) if node else ("", "")
            yield Thing("pod", name, address, space.id, where[0], cluster=where[1])


def _nodes(snapshot: Snapshot, word: str) -> Iterator[Thing]:
    for node in snapshot.nodes:
        if node.name == word:
            yield _node_thing(node, _node_address(snapshot, node))


def _node_address(snapshot: Snapshot, node: Node) -> str:
    """The API server's word, else the first address that is not only the node's own."""
    for cluster in snapshot.clusters:
        for one in cluster.nodes:
            if one.name == node.name and one.address:
                return one.address
    space = snapshot.space(node.space)
    found = (one for one in (space.addresses if space else ()) if one.scope == "global")
    return next((one.ip for one in found if ":" not in one.cidr), "")


def _services(snapshot: Snapshot, word: str) -> Iterator[Thing]:
    for cluster in snapshot.clusters:
        for one in cluster.services:
            if word in (one.key, one.name):
                address = "" if one.cluster_ip == "None" else one.cluster_ip
                yield Thing("service", one.key, address, cluster=cluster.name)


def _only(word: str, found: list[Thing], snapshot: Snapshot) -> Thing:
    if len(found) == 1:
        return found[0]
    if found:
        apart = len({one.cluster for one in found}) > 1
        many = _listed(
            [
                one.object.replace(" ", "/", 1) + (f"{OF}{one.cluster}" if apart else "")
                for one in found
            ]
        )
        raise InvalidInputError(f"{word} is several things; say which: {many}")
    raise InvalidInputError(
        f"{word} is nothing in this snapshot; give {_EXAMPLES}. Pods and nodes: "
        f"{_listed(_senders(snapshot))}"
    )


def _senders(snapshot: Snapshot) -> list[str]:
    pods = [pod.key for one in snapshot.clusters for pod in one.pods if pod.space]
    return [*pods, *(node.name for node in snapshot.nodes)]


def _listed(words: list[str], most: int = 8) -> str:
    more = f", ... ({len(words) - most} more)" if len(words) > most else ""
    return (", ".join(words[:most]) or "none") + more


def _service_at(snapshot: Snapshot, found: Thing) -> Service | None:
    named = found.kind == "service"
    pair = service_of(snapshot, found.name, found.address) if named else None
    return pair[1] if pair else None


def _port(word: str, port: str, service: Service | None, protocol: str) -> int:
    if port.isdigit():
        if not 0 < int(port) < 65536:
            raise InvalidInputError(f"{word}: {port} is no port; take one of 1 to 65535")
        return int(port)
    if service is None:
        if port:
            raise InvalidInputError(
                f"{word}: {port} is no number, and only ports of services have names"
            )
        return 0
    mine = [one for one in service.ports if one.protocol.lower() == protocol]
    for one in mine:
        if not port or one.name == port:
            return one.port
    if protocol == "icmp" and not port:
        return 0
    have = ", ".join(f"{one.port}/{one.protocol} {one.name}".strip() for one in service.ports)
    raise InvalidInputError(
        f"service {service.key} has no {protocol} port {port!r}; it has: {have or 'none'}"
    )
