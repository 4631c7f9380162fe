"""Names, commands, and the words for durations."""

from __future__ import annotations

import pytest

from podwire.cluster.cri_values import Container, Pod
from podwire.cluster.docker_api import names

POD = Pod("p", "web-0", "shop", "u-1", 2, True, 0, {}, {})
CONTAINER = Container("c", "p", "web", 3, "", "", "running", 0, {}, {})


def test_dockershims_names() -> None:
    assert names.sandbox_name(POD) == "k8s_POD_web-0_shop_u-1_2"
    assert names.container_name(CONTAINER, POD) == "k8s_web_web-0_shop_u-1_3"


def test_a_container_whose_sandbox_is_gone_has_its_labels() -> None:
    labels = {
        "io.kubernetes.pod.name": "a",
        "io.kubernetes.pod.namespace": "b",
        "io.kubernetes.pod.uid": "c",
    }
    orphan = Container("c", "p", "web", 3, "", "", "exited", 0, labels, {})
    assert names.container_name(orphan, None) == "k8s_web_a_b_c_3"


@pytest.mark.parametrize(
    ("reference", "short"),
    [
        ("docker.io/library/nginx:latest", "nginx"),
        ("docker.io/library/nginx:1.19", "nginx:1.19"),
        ("docker.io/someone/thing:latest", "someone/thing"),
        ("mcr.microsoft.com/oss/kubernetes/pause:1.3.1",) * 2,
        ("sha256:" + "1" * 64,) * 2,
    ],
)
def test_familiar(reference: str, short: str) -> None:
    assert names.familiar(reference) == short


def test_command_line() -> None:
    args = ["/docker-entrypoint.sh", "nginx", "-g", "daemon off;"]
    assert names.command_line(args) == "/docker-entrypoint.sh nginx -g 'daemon off;'"
    assert names.command_line([]) == ""
