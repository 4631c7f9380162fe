"""Valid calls with one thing wrong: they come as far as the ledger and the kernel.

Some are accepted after all; then DEL takes all of it away again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podwire.cni.azure_vnet import AzureVnet
from podwire.cni.protocol import answer

from ..promises.doors import Doors
from .node import Node, Pod
from .test_hostile_input import links, text, values

EXAMPLES = 200
ONE_SETTING = {
    "bridge": st.sampled_from(["a" * 16, "a/b", "", "..", "lo", "%d"]) | st.integers(),
    "master": st.sampled_from(["eth9", "lo", "a b"]) | st.integers(),
    "mode": text,
    "dns": values,
    "prevResult": values,
    "runtimeConfig": values | st.fixed_dictionaries({"ips": values}),
    "args": values,
    "ipsToRouteViaHost": st.sampled_from([["10.0.0.0/8"], ["::1"], ["1.2.3"], [1]]) | values,
    "ipam": st.fixed_dictionaries(
        {"type": st.just("azure-vnet-ipam")},
        optional={
            "subnet": st.sampled_from(["10.220.2.0/24", "0.0.0.0/0", "x"]) | values,
            "ipAddress": st.sampled_from(["10.220.2.5", "10.220.2.4", "8.8.8.8"]) | values,
            "environment": st.sampled_from(["azure", "mas", "fileIpam", "x"]) | values,
        },
    ),
    "anything": values,
}
WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
ONE_VARIABLE = {
    "CNI_CONTAINERID": st.sampled_from(["a.b", "a/b", "-", "$(touch x)"]) | WORD,
    "CNI_IFNAME": st.sampled_from(["lo", "eth0:1", "a" * 15, "a" * 16, "%d", "..", "é"]) | WORD,
    "CNI_ARGS": st.sampled_from(["IP=10.220.2.5", "IP=1.1.1.1", "K8S_POD_NAME=$(touch x)"]) | WORD,
    "CNI_PATH": WORD,
    "CNI_NETNS": st.sampled_from(["/proc/self/ns/net", "/proc/1/ns/uts", "/dev/null"]) | WORD,
}
CHANGES = st.one_of(
    *(st.tuples(st.just(name), one) for name, one in (ONE_SETTING | ONE_VARIABLE).items())
)


def test_one_thing_wrong(node: Node) -> None:
    pod = node.pod("a" * 64)
    for verb in ("ADD", "DEL"):  # the node is wired before and after
        assert node.call(verb, pod).status == 0
    deep = node.directory / "deep"
    assert node.fork(lambda: deep.write_text(str(asked_often(node, pod)))) == 0
    assert int(deep.read_text()) > EXAMPLES // 3, "too few came as far as ledger and kernel"
    assert not any("touch" in name for name in os.listdir("."))
    assert "Traceback" not in node.log


def asked_often(node: Node, pod: Pod) -> int:
    """How many calls came to where something is changed."""
    deep, before = 0, links()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CHANGES)
    def ask(change: tuple[str, Any]) -> None:
        nonlocal deep
        name, value = change
        env, config = node.environment("ADD", pod), dict(node.config)
        if name in ONE_VARIABLE:
            env[name] = value
        else:
            config[name] = value
        doors.moments.clear()
        said, status = asked(node, env, config)
        deep += bool(doors.moments)
        assert said is not None
        assert status == 0 or (said["code"] != 999 and said["msg"]), (change, said)
        if status == 0:
            assert asked(node, {**env, "CNI_COMMAND": "DEL"}, config) == (None, 0), change
        assert node.ledger().leases() == [], change
        assert node.azv_links() == [], change

    doors = Doors()
    with pytest.MonkeyPatch.context() as patch:
        doors.watch(patch)
        ask()
    assert links() == before
    return deep


def asked(
    node: Node, env: dict[str, str], config: dict[str, Any]
) -> tuple[dict[str, Any] | None, int]:
    body = json.dumps(config).encode()
    return answer("azure-vnet", lambda: AzureVnet(node.settings), env, lambda: body)


def test_a_namespace_of_a_process_that_dies(node: Node) -> None:
    """/proc/PID/ns/net goes at some moment of the call."""
    pod = node.pod("a" * 64)
    for verb in ("ADD", "DEL"):
        assert node.call(verb, pod).status == 0
    before = node.run("ip", "-o", "link")
    for delay in range(0, 60, 3):
        other = subprocess.Popen(["unshare", "-n", "sleep", "60"])
        while os.readlink(f"/proc/{other.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            pass
        end = threading.Timer(delay / 1000, other.send_signal, (signal.SIGKILL,))
        end.start()
        said = node.call("ADD", pod, CNI_NETNS=f"/proc/{other.pid}/ns/net")
        end.join()
        other.wait()
        assert said.status == 0 or said.document["code"] in (4, 11, 100, 103), said
        assert node.call("DEL", pod).status == 0
        assert (node.ledger().leases(), node.azv_links()) == ([], [])
        assert node.run("ip", "-o", "link") == before


def test_a_path_that_is_another_namespace_at_every_look(node: Node, tmp_path: Path) -> None:
    """A symlink between a pod's namespace and the node's own: the node's is never wired."""
    pod, path, ended = node.pod("a" * 64), tmp_path / "netns", threading.Event()
    assert node.call("ADD", pod).status == 0
    assert node.call("DEL", pod).status == 0
    before = node.run("ip", "-o", "link")
    targets = (pod.netns.path, node.netns.path, str(tmp_path), "/dev/zero", str(path))

    def flip() -> None:
        while not ended.is_set():
            for one in targets:
                ended.wait(0.0005)  # the machine has other things to do
                (tmp_path / "new").symlink_to(one)
                os.replace(tmp_path / "new", path)

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        for _ in range(20):
            said = node.call("ADD", pod, CNI_NETNS=str(path))
            assert said.status == 0 or said.document["code"] in (4, 100), said
            assert node.call("DEL", pod, CNI_NETNS=str(path)).status == 0
    finally:
        ended.set()
        thread.join()
    assert node.run("ip", "-o", "link") == before
    assert (node.ledger().leases(), node.azv_links()) == ([], [])
