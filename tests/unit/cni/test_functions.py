"""The public package, as the author of a plugin uses it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import podwire.cni

PROGRAM = """
from podwire.cni import CniError, IpConfig, PodwireError, Request, Result, plugin
def add(request):
    if request.args.get("FAIL") == "plain":
        raise PodwireError("no")
    if request.args.get("FAIL") == "defect":
        return 1 / 0
    return request.previous or Result(ips=(IpConfig("10.0.0.2/24"),))
def delete(request):
    raise CniError(11, "later")
plugin(add=add, delete=delete, name="mine")
"""
ENV = {"CNI_CONTAINERID": "c", "CNI_NETNS": "/n", "CNI_IFNAME": "eth0"}


def run(verb: str, config: dict, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**ENV, "PYTHONPATH": ":".join(sys.path), "CNI_COMMAND": verb, **env},
        input=json.dumps(config),
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_verb() -> None:
    config = {"cniVersion": "1.1.0", "name": "n"}
    added = json.loads(run("ADD", config).stdout)
    assert (added["cniVersion"], added["ips"]) == ("1.1.0", [{"address": "10.0.0.2/24"}])
    later = run("DEL", config)
    assert (later.returncode, json.loads(later.stdout)["code"]) == (1, 11)
    for verb in ("CHECK", "GC", "STATUS"):  # not given: nothing is wrong
        assert (run(verb, config).returncode, run(verb, config).stdout) == (0, "")
    assert json.loads(run("VERSION", config).stdout)["supportedVersions"][-1] == "1.1.0"


def test_the_previous_result_is_passed_on() -> None:
    before = {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.0.0.9/24"}]}
    added = run("ADD", {"cniVersion": "0.4.0", "prevResult": before})
    assert json.loads(added.stdout)["ips"] == before["ips"]
    wrong = json.loads(run("ADD", {"prevResult": {"ips": [{"address": 7}]}}).stdout)
    assert wrong["code"] == 6


@pytest.mark.parametrize(
    ("config", "env", "code"),
    [
        ({"cniVersion": "9.0.0"}, {}, 1),
        ({}, {"CNI_ARGS": "FAIL=plain"}, 100),
        ({}, {"CNI_ARGS": "FAIL=defect"}, 999),
        ({}, {"CNI_IFNAME": ""}, 4),
    ],
)
def test_failures(config: dict, env: dict[str, str], code: int) -> None:
    done = run("ADD", config, **env)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, code)
    assert ("ZeroDivisionError" in done.stderr) == (code == 999)


def test_every_public_name_is_there_and_no_other() -> None:
    for name in podwire.cni.__all__:
        assert getattr(podwire.cni, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        podwire.cni.nothing  # noqa: B018
