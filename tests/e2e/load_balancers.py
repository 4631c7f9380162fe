"""Services of type LoadBalancer in a running lab, seen from everywhere on the VNet.

`check_load_balancers` is one test's body, for a lab with the document's nginx on two nodes or more.
A stranger is the control plane's network namespace: on the VNet, but not in the cluster, so that
only the fabric brings its packets to a node.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.harness import LabHarness, run, wait_for

_INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"
_CURL = ("curl", "-sS", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}")
_SELECTOR = {"run": "nginx"}


def check_load_balancers(lab: LabHarness) -> None:
    lab.rolled_out("deployment/nginx")
    with _service(lab, "shared", internal=True) as shared, _service(lab, "public") as public:
        assert public.startswith("198.18.")
        _check_reach(lab, shared)
        _check_reach(lab, public)
        _check_several_at_once(lab, shared)
    with _service(lab, "local", internal=True, externalTrafficPolicy="Local") as local:
        _check_client_is_seen(lab, local)
        _check_refused(lab, taken=local)
    wait_for("the address is nobody's", lambda: not _answers(lab, local))


def _check_reach(lab: LabHarness, address: str) -> None:
    for _ in range(10):
        assert _from_stranger(lab, address) == "200"
    for node in lab.nodes():
        assert lab.on_node(node, f"{' '.join(_CURL)} http://{address}/") == "200"
    pod = lab.pods("run=nginx")[0]["metadata"]["name"]
    page = f"exec 3<>/dev/tcp/{address}/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3"
    assert "200 OK" in lab.in_pod(pod, "bash", "-c", page)


def _check_several_at_once(lab: LabHarness, kept: str) -> None:
    """One goes, the others do not notice; its address is the next one's."""
    with _service(lab, "one", internal=True) as first:
        assert _answers(lab, first)
    with _service(lab, "two", internal=True) as second:
        assert second == first
        assert _answers(lab, second)
        assert _from_stranger(lab, kept) == "200"


def _check_client_is_seen(lab: LabHarness, address: str) -> None:
    for _ in range(20):
        assert _from_stranger(lab, address) == "200"
    stranger = run(*_enter(lab), "hostname", "-I").split()[0]
    logs = [
        lab.kubectl("logs", pod["metadata"]["name"], "--tail=20") for pod in lab.pods("run=nginx")
    ]
    seen = [line.split()[0] for log in logs for line in log.splitlines() if "curl/" in line]
    assert seen.count(stranger) >= 20


def _check_refused(lab: LabHarness, taken: str) -> None:
    lab.apply(_manifest("refused", internal=True, loadBalancerIP=taken))

    def told() -> bool:
        events = lab.kubectl("describe", "service", "refused")
        return "SyncLoadBalancerFailed" in events and "PrivateIPAddressIsAllocated" in events

    wait_for("the refusal is told", told)
    assert "<pending>" in lab.kubectl("get", "service", "refused")
    lab.kubectl("delete", "service", "refused")


def _manifest(name: str, *, internal: bool, **spec: object) -> str:
    notes = {_INTERNAL: "true"} if internal else {}
    ports = [{"port": 80, "targetPort": 80}]
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "annotations": notes},
        "spec": {"type": "LoadBalancer", "selector": _SELECTOR, "ports": ports, **spec},
    }
    return json.dumps(body)


@contextmanager
def _service(
    lab: LabHarness, name: str, *, internal: bool = False, **spec: object
) -> Iterator[str]:
    """The address of a Service that answers, and that is deleted at the end."""
    lab.apply(_manifest(name, internal=internal, **spec))

    def shown() -> str:
        ingress = lab.get("service", name)["status"]["loadBalancer"].get("ingress")
        return ingress[0]["ip"] if ingress else ""

    address = wait_for(f"{name} has an address", shown)
    wait_for(f"{name} answers", lambda: _answers(lab, address))
    try:
        yield address
    finally:
        lab.kubectl("delete", "service", name)


def _answers(lab: LabHarness, address: str) -> bool:
    """Asked once, and not for long: who is lost on the way is asked again by `wait_for`."""
    try:
        return run(*_enter(lab), *_CURL, "-m", "0.5", f"http://{address}/") == "200"
    except AssertionError:
        return False


def _from_stranger(lab: LabHarness, address: str) -> str:
    return run(*_enter(lab), *_CURL, f"http://{address}/")


def _enter(lab: LabHarness) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{_api_server(lab)}/ns/net")


def _api_server(lab: LabHarness) -> int:
    """A process in the control plane's network namespace."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            words = _words(int(entry.name))
            mine = f"/podwire/{lab.name}/" in " ".join(words)
            if words and os.path.basename(words[0]) == "kube-apiserver" and mine:
                return int(entry.name)
    raise AssertionError(f"lab {lab.name} has no API server")


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []
