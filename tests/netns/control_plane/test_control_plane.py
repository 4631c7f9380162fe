"""The real control plane: reachable, closed to strangers, and back by itself with all its data."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from podwire.cluster.api_client import ApiClient
from podwire.cluster.bootstrap import (
    apply_bootstrap,
    apply_objects,
    label_node,
    node_labels,
    wait_default_account,
    wait_node_ready,
)
from podwire.cluster.control_plane import wait_ready
from podwire.cluster.pki import KUBELET_CLIENT_USER, Credential, Pki
from podwire.cluster.user_kubeconfig import merge, remove
from podwire.cluster.views import list_pods, list_services
from podwire.model.cluster import API_PORT
from podwire.model.errors import ApiError, InvalidInputError, PodwireError, UnavailableError
from tests.netns.control_plane.conftest import API_ADDRESS, SPEC

NAMES = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def node(name):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


def deployment(name):
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "nginx", "image": "nginx"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


async def eventually(question, seconds=20.0):
    """The first true answer of `question`; an API server that is away is asked again."""
    end = time.monotonic() + seconds
    while True:
        try:
            if answer := await question():
                return answer
        except UnavailableError:
            pass
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.05)


def listening(plane):
    """(address, port) of every listening TCP socket in the control plane's namespace."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{plane.pid('etcd')}/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A":
                address, port = local.split(":")
                found.add(("any" if int(address, 16) == 0 else "loopback", int(port, 16)))
    return found


def test_all_four_run(plane):
    assert [one.rpartition("/")[2] for one in plane.supervisor.running] == NAMES
    assert [one.restarts for one in plane.supervisor.running.values()] == [0, 0, 0, 0]


def test_only_the_api_is_open_beyond_loopback_and_nothing_is_plain(plane):
    assert listening(plane) == {
        ("any", 443),
        ("loopback", 2379),
        ("loopback", 2380),
        ("loopback", 10257),
        ("loopback", 10259),
    }


def test_reachable_from_beyond_the_namespace(plane):
    async def ask():
        async with plane.client(plane.pki.credential("admin"), outside=True) as client:
            return await client.get("/version")

    assert plane.run(ask())["gitVersion"].startswith("v1.")


def test_stranger_with_a_certificate_of_another_authority_is_nobody(plane, tmp_path):
    other = Pki.ensure(tmp_path, SPEC, API_ADDRESS).credential("admin")

    async def ask():
        async with plane.client(Credential(other.certificate, other.key, plane.pki.ca)) as client:
            await client.get("/api/v1/nodes")

    with pytest.raises(ApiError) as caught:
        plane.run(ask())
    assert caught.value.status == 401


def test_etcd_opens_to_the_api_server_alone(plane):
    def ask(name):
        own = plane.pki.credential(name)
        trusting = Credential(own.certificate, own.key, plane.pki.etcd_ca)

        async def call():
            address = ("127.0.0.1", 2379)
            async with ApiClient(address, trusting, namespace=plane.inside) as client:
                return await client.get("/version")

        return plane.run(call())

    assert ask("etcd-client")["etcdserver"]
    for stranger in ("admin", "kubelet-client-node-a"):
        with pytest.raises(UnavailableError):
            ask(stranger)


def test_client_and_kubectl_see_each_other_s_objects(plane):
    plane.run(plane.admin.post("/api/v1/namespaces", namespace("by-client")))
    assert "by-client" in plane.kubectl("get", "namespaces")
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader", "namespace": "by-client"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    plane.kubectl("apply", "-f", "-", stdin=json.dumps(role))
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/by-client/roles/reader"
    assert plane.run(plane.admin.get(path))["rules"] == role["rules"]
    assert plane.run(plane.admin.merge(path, {"rules": []}))["rules"] is None
    plane.run(plane.admin.delete(path))
    plane.run(plane.admin.delete(path))


def test_refusal_carries_the_api_s_own_words(plane):
    plane.run(plane.admin.post("/api/v1/namespaces", namespace("twice")))
    with pytest.raises(ApiError, match='namespaces "twice" already exists') as caught:
        plane.run(plane.admin.post("/api/v1/namespaces", namespace("twice")))
    assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")


def test_bootstrap_lets_the_api_server_ask_kubelets(plane):
    attributes = {"resource": "nodes", "subresource": "proxy", "verb": "create"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": KUBELET_CLIENT_USER, "resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

    async def allowed():
        return (await plane.admin.post(path, review))["status"]["allowed"]

    assert not plane.run(allowed())
    plane.run(apply_bootstrap(plane.admin))
    plane.run(apply_bootstrap(plane.admin, [None, namespace("extra")]))
    assert plane.run(eventually(allowed))
    assert plane.run(plane.admin.get("/api/v1/namespaces/extra"))


def test_unknown_kind_is_refused_with_its_name(plane):
    one = {"apiVersion": "v1", "kind": "Pond", "metadata": {"name": "x"}}
    with pytest.raises(InvalidInputError, match="Pond"):
        plane.run(apply_objects(plane.admin, [one]))


def test_kubelet_may_register_itself_alone_and_not_choose_its_role(plane):
    async def act():
        async with plane.client(plane.pki.kubelet_client("node-a"), outside=True) as kubelet:
            await kubelet.post("/api/v1/nodes", node("node-a"))
            for refused in (
                kubelet.post("/api/v1/nodes", node("node-b")),
                kubelet.merge(
                    "/api/v1/nodes/node-a", {"metadata": {"labels": {"kubernetes.io/role": "x"}}}
                ),
                kubelet.get("/api/v1/namespaces/kube-system/secrets"),
            ):
                with pytest.raises(ApiError) as caught:
                    await refused
                assert caught.value.status == 403

    plane.run(act())
    plane.run(label_node(plane.admin, "node-a", node_labels(SPEC, SPEC.pools[0])))
    columns = plane.kubectl("get", "node", "node-a", "--no-headers").split()
    assert columns[:3] == ["node-a", "Unknown", "agent"]


def test_label_waits_for_a_node_that_registers_later(plane):
    async def act():
        waiting = asyncio.create_task(label_node(plane.admin, "node-b", {"a": "b"}))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        async with plane.client(plane.pki.kubelet_client("node-b")) as kubelet:
            await kubelet.post("/api/v1/nodes", node("node-b"))
        await waiting
        return await plane.admin.get("/api/v1/nodes/node-b")

    assert plane.run(act())["metadata"]["labels"]["a"] == "b"


def test_waiting_for_ready_ends_with_the_node_or_with_what_it_says(plane):
    async def report(ready):
        condition = {"type": "Ready", "status": ready, "message": "cni plugin not initialized"}
        patch = {"status": {"conditions": [condition]}}
        async with plane.client(plane.pki.kubelet_client("node-b")) as kubelet:
            await kubelet.merge("/api/v1/nodes/node-b/status", patch)

    plane.run(report("False"))
    with pytest.raises(UnavailableError, match="node-b is not Ready: cni plugin not initialized"):
        plane.run(wait_node_ready(plane.admin, "node-b", timeout=0.3))
    plane.run(report("True"))
    plane.run(wait_node_ready(plane.admin, "node-b", timeout=5))


def test_controllers_and_scheduler_work(plane):
    async def scheduler_spoke():
        async def question():
            path = "/api/v1/namespaces/default/pods"
            pods = (await plane.admin.get(path, labelSelector="app=made"))["items"]
            return len(pods) == 2 and all(one["status"].get("conditions") for one in pods)

        await wait_default_account(plane.admin)
        await apply_objects(plane.admin, [deployment("made")])
        await eventually(question)

    plane.run(scheduler_spoke())
    rows = plane.run(list_pods(plane.admin, "default"))
    assert len(rows) == 2
    assert {one.namespace for one in rows} == {"default"}
    services = plane.run(list_services(plane.admin))
    assert [(one.name, one.cluster_ip, one.ports) for one in services] == [
        ("kubernetes", "10.200.0.1", "443/TCP")
    ]


def test_service_account_token_opens_the_api(plane):
    async def token():
        await wait_default_account(plane.admin, "kube-system")
        path = "/api/v1/namespaces/kube-system/serviceaccounts/default/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return (await plane.admin.post(path, request))["status"]["token"]

    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": plane.run(token())},
    }
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    status = plane.run(plane.admin.post(path, review))["status"]
    assert status["user"]["username"] == "system:serviceaccount:kube-system:default"


def test_real_kubectl_keeps_our_marks_in_the_user_s_kubeconfig(plane, tmp_path):
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\nkind: Config\ncurrent-context: ''\n")
    server, admin = f"https://{API_ADDRESS}:{API_PORT}", plane.pki.credential("admin")
    merge(path, lab="t", context="ours", user="me", server=server, credential=admin)
    config = f"--kubeconfig={path}"
    plane.kubectl(config, "config", "set-context", "--current", "--namespace=kube-system")
    assert "default-token" in plane.kubectl(config, "get", "secrets")
    assert remove(path, lab="t")
    assert plane.kubectl(config, "config", "get-contexts", "--output=name") == ""


@pytest.mark.parametrize("victim", ["kube-apiserver", "etcd"])
def test_killed_program_comes_back_with_all_data(plane, victim):
    plane.run(plane.admin.post("/api/v1/namespaces", namespace(f"before-{victim}")))
    state = plane.running(victim)
    before, pid = state.restarts, plane.pid(victim)
    os.kill(pid, signal.SIGKILL)

    async def is_back():
        return state.restarts == before + 1 and state.pid not in (None, pid)

    async def readable():
        try:
            return await plane.admin.get(f"/api/v1/namespaces/before-{victim}")
        except ApiError as error:
            if error.status < 500:
                raise
            return None

    plane.run(eventually(is_back))
    plane.run(wait_ready(plane.admin))
    assert plane.run(eventually(readable))
    plane.run(eventually(lambda: plane.admin.post("/api/v1/namespaces", namespace(f"a-{victim}"))))
    assert state.last_exit == "signal 9"


def test_controllers_work_again_after_the_kills(plane):
    async def act():
        async def question():
            path = "/api/v1/namespaces/default/pods"
            return len((await plane.admin.get(path, labelSelector="app=later"))["items"]) == 2

        await apply_objects(plane.admin, [deployment("later")])
        await eventually(question, 40)

    plane.run(act())


def test_stopped_nothing_is_left(plane):
    pids = [plane.pid(one) for one in NAMES]
    plane.run(plane.supervisor.stop_all(grace=0.5))
    assert plane.supervisor.running == {}

    async def gone():
        return not any(os.path.exists(f"/proc/{one}") for one in pids)  # noqa: ASYNC240

    plane.run(eventually(gone))
    with pytest.raises(PodwireError):
        plane.run(plane.admin.get("/version"))
