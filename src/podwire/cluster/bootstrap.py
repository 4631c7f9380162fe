"""What a new cluster needs beyond Kubernetes' own defaults, and small questions to its API.

Labels: AKS's of late 2020. `kubectl get nodes` shows the role from kubernetes.io/role, which
kubelets may not set themselves (NodeRestriction): so it is set through the API once they are there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from podwire.cluster.api_client import ApiClient, Object
from podwire.cluster.pki import KUBELET_CLIENT_USER
from podwire.model.cluster import ClusterSpec
from podwire.model.errors import ApiError, InvalidInputError, UnavailableError
from podwire.model.node_pool import Pool

_POLL = 0.1
_PATIENCE = 180.0
"""Seconds: a machine that is busy takes its time, and giving up costs more than waiting."""

KUBELET_ADMIN: Object = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "podwire:apiserver-kubelet-client"},
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "system:kubelet-api-admin",
    },
    "subjects": [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": KUBELET_CLIENT_USER}
    ],
}
"""Lets the API server ask kubelets for logs, exec, port-forward, stats (the role is built in)."""


async def apply_bootstrap(client: ApiClient, extra: Iterable[Object | None] = ()) -> None:
    """Apply what every lab cluster has, then `extra` objects (as DNS). Idempotent.

    The API server must be ready: it makes the built-in roles before it says so.
    """
    await apply_objects(client, (KUBELET_ADMIN, *extra))


async def apply_objects(client: ApiClient, objects: Iterable[Object | None]) -> None:
    """Server-side apply of any objects, in order, one request each (5 ms; kubectl takes a second).

    None, which an empty document of a YAML stream is, is skipped.
    Raises InvalidInputError for a kind that the API does not know, ApiError for what it refuses.
    """
    known: dict[str, Object] = {}
    for one in (one for one in objects if one is not None):
        version = str(one.get("apiVersion", ""))
        if version not in known:
            known[version] = await client.get(_group_path(version))
        await client.apply(object_path(one, known[version]), one)


def object_path(one: Object, resources: Object) -> str:
    """Where `one` lives. resources: the APIResourceList of its apiVersion."""
    kind, version = one.get("kind"), str(one.get("apiVersion", ""))
    for resource in resources.get("resources", ()):
        if resource["kind"] == kind and "/" not in resource["name"]:
            metadata = one["metadata"]
            space = metadata.get("namespace", "default") if resource["namespaced"] else ""
            inside = f"/namespaces/{space}" if space else ""
            return f"{_group_path(version)}{inside}/{resource['name']}/{metadata['name']}"
    raise InvalidInputError(f"the cluster's API has no {kind!r} in {version!r}; check the manifest")


def _group_path(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def node_labels(spec: ClusterSpec, pool: Pool) -> dict[str, str]:
    """The labels of a node of the cluster's pool, as AKS sets them (zone 0: no zones)."""
    size, region, zone = pool.vm_size, spec.location, "0"
    return {
        "agentpool": pool.name,
        "kubernetes.azure.com/cluster": spec.node_resource_group[:63].rstrip("-_."),
        "kubernetes.azure.com/mode": pool.mode.lower(),
        "kubernetes.azure.com/role": "agent",
        "kubernetes.io/role": "agent",
        "node.kubernetes.io/instance-type": size,
        "beta.kubernetes.io/instance-type": size,
        "topology.kubernetes.io/region": region,
        "failure-domain.beta.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": zone,
        "failure-domain.beta.kubernetes.io/zone": zone,
    }


async def label_node(
    client: ApiClient, name: str, labels: Mapping[str, str], *, timeout: float = _PATIENCE
) -> None:
    """Set labels on a node, waiting until its kubelet has registered it."""

    async def once() -> bool:
        await client.merge(_node(name), {"metadata": {"labels": dict(labels)}})
        return True

    await _until(once, lambda: f"node {name} did not register", timeout)


async def forget_nodes(client: ApiClient, *, keep: Collection[str]) -> None:
    """Delete the Node objects of machines that shall not be any more, and the pods that were there.

    Nobody drained them; Kubernetes' own garbage collector would wait 40 s, and what replaces the
    pods with it, the cluster's DNS for one.
    """
    for one in (await client.get("/api/v1/nodes"))["items"]:
        if one["metadata"]["name"] not in keep:
            await client.delete(_node(one["metadata"]["name"]))
    for pod in (await client.get("/api/v1/pods"))["items"]:
        if pod["spec"].get("nodeName", "") not in ("", *keep):
            where = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
            await client.delete(f"{where}/{pod['metadata']['name']}?gracePeriodSeconds=0")


async def wait_node_ready(client: ApiClient, name: str, *, timeout: float = _PATIENCE) -> None:
    """Raises UnavailableError with what the node says of itself after `timeout` seconds."""
    said = "it has not registered"

    async def once() -> bool:
        nonlocal said
        ready, said = node_ready(await client.get(_node(name)))
        return ready

    await _until(once, lambda: f"node {name} is not Ready: {said}", timeout)


def node_ready(node: Object) -> tuple[bool, str]:
    """Whether the node is Ready, and its kubelet's message about it."""
    for one in node.get("status", {}).get("conditions", ()):
        if one["type"] == "Ready":
            return one["status"] == "True", str(one.get("message", ""))
    return False, "its kubelet has not reported yet"


async def wait_default_account(
    client: ApiClient, namespace: str = "default", *, timeout: float = _PATIENCE
) -> None:
    """Until pods can be made in `namespace`: they need its service account `default`.

    Up to 1.23 also the account's token, a Secret that the controller manager makes.
    """
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    version = await client.get("/version")
    with_token = int("".join(one for one in str(version["minor"]) if one.isdigit())) < 24

    async def once() -> bool:
        return bool((await client.get(path)).get("secrets")) or not with_token

    missing = f"namespace {namespace} has no usable service account `default`; see the log of "
    await _until(once, lambda: f"{missing}kube-controller-manager", timeout)


async def _until(
    once: Callable[[], Awaitable[bool]], failure: Callable[[], str], timeout: float
) -> None:
    """Call `once` until it says True. What it asks for may not be there yet (404), and the API
    server may be away for a moment."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while True:
        try:
            if await once():
                return
        except UnavailableError:
            pass
        except ApiError as error:
            if error.status != 404 and error.status < 500:
                raise
        if loop.time() > end:
            raise UnavailableError(f"{failure()} (waited {timeout:g} s)")
        await asyncio.sleep(_POLL)


def _node(name: str) -> str:
    return f"/api/v1/nodes/{name}"
