"""A cluster as its API server has it, asked by `kubectl get --raw`: one process for each kind.

kubectl, since whatever way a kubeconfig proves who it is works then.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any, TypeVar

from podwire.lens.collect import kube_objects as objects
from podwire.lens.collect.doors import Api
from podwire.lens.kube_values import Cluster
from podwire.model.errors import UnavailableError

T = TypeVar("T")
_TIMEOUT = 8
_PATHS = {
    "version": "/version",
    "pods": "/api/v1/pods",
    "services": "/api/v1/services",
    "nodes": "/api/v1/nodes",
    "network policies": "/apis/networking.k8s.io/v1/networkpolicies",
}
_SLICES = "/apis/discovery.k8s.io/{}/endpointslices"
_DNS = ("kube-system", "kube-dns")


def ask(api: Api, programs: Executor) -> Cluster:
    """What is known already, and what it answers; `why_not` says what it does not.

    programs: runs what waits for kubectl; this itself must not run there.
    """
    if api.answered is not None:
        return api.answered
    if api.unreachable:
        return replace(api.known, asked=False, why_not=api.unreachable)
    asked = {kind: programs.submit(_raw, api, path) for kind, path in _PATHS.items()}
    refusals: list[str] = []
    version = _answer(asked["version"], "version", refusals).get("gitVersion", "")
    if refusals:
        return replace(api.known, asked=False, why_not=refusals[0].removeprefix("version: "))
    slices = programs.submit(_raw, api, _SLICES.format(_slices_version(version)))
    ends = objects.endpoints(_items(_answer(slices, "endpoint slices", refusals)))

    def those(kind: str, make: Callable[[Any], T]) -> tuple[T, ...]:
        return tuple(make(one) for one in _items(_answer(asked[kind], kind, refusals)))

    services = those("services", lambda one: objects.service(one, ends))
    dns = next((one.cluster_ip for one in services if (one.namespace, one.name) == _DNS), "")
    return replace(
        api.known,
        asked=True,
        version=version,
        nodes=those("nodes", objects.node),
        pods=those("pods", objects.pod),
        services=services,
        policies=those("network policies", objects.policy),
        dns_ip=api.known.dns_ip or dns,
        why_not="; ".join(refusals),
    )


def _slices_version(version: str) -> str:
    """Of discovery.k8s.io: v1 is there since Kubernetes 1.21, v1beta1 until 1.24."""
    found = re.match(r"v(\d+)\.(\d+)", version)
    return "v1beta1" if found and (int(found[1]), int(found[2])) < (1, 21) else "v1"


def _answer(asked: Future[dict[str, Any]], kind: str, refusals: list[str]) -> dict[str, Any]:
    try:
        return asked.result()
    except UnavailableError as error:
        refusals.append(f"{kind}: {error}")
        return {}


def _items(answer: dict[str, Any]) -> Sequence[Any]:
    return answer.get("items") or ()


def watching(api: Api) -> tuple[str, ...]:
    """A command that prints something whenever a pod changes, until the server ends it."""
    where = ("--kubeconfig", api.kubeconfig) if api.kubeconfig else ()
    return (api.kubectl, *where, "get", "--raw", "/api/v1/pods?watch=true")


def _raw(api: Api, path: str) -> dict[str, Any]:
    """Raises UnavailableError with what kubectl says."""
    where = ["--kubeconfig", api.kubeconfig] if api.kubeconfig else []
    argv = [api.kubectl, *where, f"--request-timeout={_TIMEOUT}s", "get", "--raw", path]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * _TIMEOUT, check=False
        )
        if done.returncode == 0:
            return dict(json.loads(done.stdout))
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        said = lines[-1] if lines else f"kubectl ended with {done.returncode}"
    except OSError as error:
        said = f"cannot run {api.kubectl}: {error.strerror}"
    except subprocess.TimeoutExpired:
        said = f"no answer within {2 * _TIMEOUT} s"
    except ValueError as error:
        said = f"{path} is no JSON: {error}"
    raise UnavailableError(said)
