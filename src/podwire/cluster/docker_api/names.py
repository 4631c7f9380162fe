"""How Docker and dockershim name things: pure functions.

Source: dockershim's naming (k8s_<container>_<pod>_<namespace>_<uid>_<attempt>, POD for the
sandbox), the reference grammar of container images, and the command of `docker ps`.
"""

from __future__ import annotations

from podwire.cluster.cri_values import Container, Pod

POD_CONTAINER = "POD"
_HUB = ("docker.io/library/", "docker.io/")
_LABEL = "io.kubernetes."


def sandbox_name(pod: Pod) -> str:
    return f"k8s_{POD_CONTAINER}_{pod.name}_{pod.namespace}_{pod.uid}_{pod.attempt}"


def container_name(container: Container, pod: Pod | None) -> str:
    """The pod's part is of the labels that every kubelet sets where the sandbox is gone."""
    labels = container.labels
    name = pod.name if pod else labels.get(f"{_LABEL}pod.name", "")
    namespace = pod.namespace if pod else labels.get(f"{_LABEL}pod.namespace", "")
    uid = pod.uid if pod else labels.get(f"{_LABEL}pod.uid", "")
    return f"k8s_{container.name}_{name}_{namespace}_{uid}_{container.attempt}"


def familiar(reference: str) -> str:
    """An image's name without what everyone leaves out of it: the hub, and the tag `latest`."""
    return with_tag(reference).removesuffix(":latest")


def with_tag(reference: str) -> str:
    """An image's name without the hub's part: docker.io/library/nginx:1.19 -> nginx:1.19."""
    for prefix in _HUB:
        if reference.startswith(prefix):
            return reference.removeprefix(prefix)
    return reference


def command_line(args: list[str]) -> str:
    """A command as `docker ps` shows it: arguments that have spaces in single quotes."""
    return " ".join(
        [args[0], *(f"'{one}'" if " " in one else one for one in args[1:])] if args else []
    )
