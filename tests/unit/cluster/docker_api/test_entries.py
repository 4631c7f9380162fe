"""Docker's JSON objects from the CRI's values, and the filters of `docker ps`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from podwire.cluster.cri_values import Container, ContainerDetail, Image, Pod, PodDetail
from podwire.cluster.docker_api import views
from podwire.cluster.docker_api.filters import parse_filters, select
from podwire.cluster.docker_api.inventory import choose
from podwire.model.errors import InvalidInputError

SECOND = 1_000_000_000
ID, IMAGE = "c" * 64, "sha256:" + "1" * 64
SPEC: dict[str, Any] = {
    "process": {"args": ["/e", "x"], "env": ["A=1"], "user": {"uid": 5, "gid": 6}, "cwd": "/w"},
    "mounts": [
        {"destination": "/etc/hosts", "type": "bind", "source": "/h"},
        {"destination": "/data", "type": "bind", "source": "/d", "options": ["ro"]},
        {"destination": "/proc", "type": "proc"},
    ],
    "linux": {"cgroupsPath": "/kubepods/podu/c", "resources": {"memory": {"limit": 99}}},
}
POD = Pod("p" * 64, "web-0", "shop", "u", 0, True, SECOND, {"app": "web"}, {"note": "x"})
CONTAINER = Container(ID, POD.id, "web", 1, IMAGE, IMAGE, "running", 0, {"a": "b"}, {"n": "1"})
DETAIL = ContainerDetail(
    id=ID,
    image="docker.io/library/web:latest",
    state="running",
    pid=42,
    created=SECOND,
    started=2 * SECOND,
    finished=0,
    exit_code=0,
    reason="",
    message="",
    log_path="/var/log/pods/x/0.log",
    info={"runtimeSpec": SPEC},
)
ENTRY = views.container_entry(CONTAINER, DETAIL, POD, [])


def exited(**changes: Any) -> views.Entry:
    values = {"state": "exited", "finished": 10 * SECOND, "exit_code": 137, **changes}
    return views.container_entry(CONTAINER, replace(DETAIL, **values), POD, [])


def test_summary_of_a_running_container() -> None:
    found = views.summary(ENTRY, 2 * SECOND + 26 * 60 * SECOND)
    assert found["Names"] == ["/k8s_web_web-0_shop_u_1"]
    assert (found["Image"], found["Command"]) == ("web", "/e x")
    assert (found["State"], found["Status"]) == ("running", "Up 26 minutes")
    assert found["Created"] == 1
    assert found["Labels"]["io.kubernetes.docker.type"] == "container"
    assert found["Labels"]["annotation.n"] == "1"
    assert found["HostConfig"]["NetworkMode"] == f"container:{POD.id}"
    assert [one["Destination"] for one in found["Mounts"]] == ["/data"]


def test_what_ended() -> None:
    entry = exited(reason="OOMKilled", message="too much")
    assert views.status_text(entry, 310 * SECOND) == "Exited (137) 5 minutes ago"
    state = views.inspection(entry)["State"]
    assert (state["Pid"], state["Running"], state["OOMKilled"]) == (0, False, True)
    assert state["Error"] == "too much"
    assert views.status_text(exited(state="created"), 0) == "Created"


def test_inspection() -> None:
    found = views.inspection(ENTRY)
    assert found["Name"] == "/k8s_web_web-0_shop_u_1"
    assert found["State"]["Pid"] == 42
    assert found["State"]["StartedAt"] == "1970-01-01T00:00:02Z"
    assert found["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert (found["Path"], found["Args"]) == ("/e", ["x"])
    assert found["HostsPath"] == "/h"
    assert found["Config"]["User"] == "5:6"
    assert found["HostConfig"]["Memory"] == 99
    assert found["HostConfig"]["CgroupParent"] == "/kubepods/podu"
    assert found["LogPath"] == "/var/log/pods/x/0.log"


def test_a_sandbox() -> None:
    image = Image(IMAGE, ("example.net/pause:3",), (), 1)
    info = {"image": "example.net/pause:3", "runtimeSpec": {"process": {"args": ["/pause"]}}}
    entry = views.sandbox_entry(PodDetail(POD, 41, "10.0.0.1", info), [image])
    assert (entry.name, entry.image, entry.image_id) == (
        *("k8s_POD_web-0_shop_u_0", "example.net/pause:3", IMAGE),
    )
    found = views.inspection(entry)
    assert found["State"]["Pid"] == 41
    assert found["HostConfig"]["NetworkMode"] == "none"
    assert found["Config"]["Labels"]["io.kubernetes.container.name"] == "POD"


def test_a_sandbox_that_ended_and_has_no_specification() -> None:
    detail = PodDetail(replace(POD, ready=False), 41, "", {"image": "p", "runtimeSpec": None})
    entry = views.sandbox_entry(detail, [])
    assert views.summary(entry, 0)["Status"] == "Exited (0)"
    assert views.inspection(entry)["State"]["Pid"] == 0


def test_the_nodes_network() -> None:
    config = {"linux": {"security_context": {"namespace_options": {"network": 2}}}}
    detail = replace(DETAIL, info={"config": config, "runtimeSpec": SPEC})
    entry = views.container_entry(CONTAINER, detail, POD, [])
    assert views.inspection(entry)["HostConfig"]["NetworkMode"] == "host"


@pytest.mark.parametrize(
    ("asked", "images", "shown"),
    [
        (IMAGE, [Image(IMAGE, ("docker.io/library/web:1",), (), 1)], "web:1"),
        (IMAGE, [Image(IMAGE, (), ("docker.io/library/web@sha256:ab",), 1)], "web@sha256:ab"),
        ("", [], IMAGE),
    ],
)
def test_an_image_without_a_name_of_its_own(asked: str, images: list[Image], shown: str) -> None:
    entry = views.container_entry(CONTAINER, replace(DETAIL, image=asked), POD, images)
    assert entry.image == shown


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 2),
        ('{"name": ["k8s_web_"]}', 2),
        ('{"name": ["^/k8s_POD"]}', 0),
        ('{"name": {"web-0": true}}', 2),
        ('{"status": ["exited"]}', 1),
        ('{"status": ["exited", "running"]}', 2),
        ('{"label": ["a"]}', 2),
        ('{"label": ["a=b", "a=c"]}', 0),
        ('{"id": ["cc"]}', 2),
        ('{"id": ["d"]}', 0),
        ('{"ancestor": ["web:latest"], "status": ["running"]}', 1),
        ('{"exited": ["137"]}', 1),
        ('{"name": []}', 2),
    ],
)
def test_filters(text: str, count: int) -> None:
    assert len(select([ENTRY, exited()], parse_filters(text))) == count


@pytest.mark.parametrize("text", ["[", "[1]", '{"a": 1}', '{"size": ["1"]}', '{"name": ["("]}'])
def test_filters_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInputError, match="invalid filter"):
        select([ENTRY], parse_filters(text))


def test_choose_by_id_name_and_prefix() -> None:
    known = {"abc": "one", "abd": "two", "one": "three"}
    assert choose(known, "abc") == "abc"
    assert choose(known, "one") == "one"
    assert choose(known, "/two") == "abd"
    assert choose(known, "abd"[:3]) == "abd"
    assert choose(known, "o") == "one"
    assert choose(known, "x") is None
    assert choose(known, "") is None
    with pytest.raises(InvalidInputError, match="multiple IDs"):
        choose(known, "ab")
