from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.unit.lens.doctor.mutate import changed, link, node, pod, sysctl
from tests.unit.lens.saved import NAMES, saved

from podwire.cli.main import cli
from podwire.lens.codec import to_json
from podwire.lens.doctor.judge import judge
from podwire.model.errors import InvalidInputError

SICK = (
    link(f"pod/{pod('bridge')}", "eth0", up=False),
    sysctl(node("bridge", 1).space, "net.ipv4.ip_forward", "0"),
)


def _doctor(tmp_path, snapshot, *words):
    path = tmp_path / "snapshot.json"
    path.write_text(to_json(snapshot))
    return CliRunner().invoke(cli, ["doctor", "--from", str(path), *words])


@pytest.mark.parametrize("name", NAMES)
def test_healthy_says_nothing_and_0(tmp_path, name):
    done = _doctor(tmp_path, saved(name))
    assert (done.exit_code, "nothing found: 2 nodes, 3 pods" in done.output) == (0, True)


def test_findings_are_told_with_3(tmp_path):
    snapshot = changed("bridge", *SICK)
    done = _doctor(tmp_path, snapshot)
    assert done.exit_code == 3
    for one in judge(snapshot).findings:
        assert one.evidence in done.output
        assert one.remedy in done.output
    assert "2 errors (2 nodes, 3 pods); `podwire doctor --fix` can mend 1" in done.output


def test_one_node_alone_by_the_end_of_its_name(tmp_path):
    done = _doctor(tmp_path, changed("bridge", *SICK), "--node", "1", "-o", "json")
    assert done.exit_code == 3
    found = json.loads(done.output)["findings"]
    assert [one["id"] for one in found] == ["sysctl-wrong"]


def test_json_says_the_same(tmp_path):
    document = json.loads(_doctor(tmp_path, changed("bridge", *SICK), "-o", "json").output)
    assert {one["id"]: one["ours"] for one in document["findings"]} == {
        "pod-wiring": True,
        "sysctl-wrong": False,
    }
    assert document["done"] is None
    assert document["rooms"][0]["free"] == 28


def test_what_is_refused(tmp_path):
    for words, said in (
        (("--fix",), "--fix mends live nodes only"),
        (("--node", "nobody"), f"there are: {node('bridge').name}, {node('bridge', 1).name}"),
    ):
        refused = _doctor(tmp_path, saved("bridge"), *words)
        assert isinstance(refused.exception, InvalidInputError)
        assert said in str(refused.exception)
