"""kubectl as people use it, the real one: logs, exec, cp, port-forward, delete."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.harness import LabHarness, wait_for


@pytest.fixture(scope="module")
def pod(lab: LabHarness) -> str:
    lab.rolled_out("deployment/nginx")
    return lab.pods("run=nginx")[0]["metadata"]["name"]


def test_logs(lab: LabHarness, pod: str) -> None:
    lab.in_pod(pod, "curl", "-sS", "http://127.0.0.1/a-page-that-is-logged")
    wait_for("the log line", lambda: "a-page-that-is-logged" in lab.kubectl("logs", pod))


def test_exec_with_a_terminal(lab: LabHarness, pod: str) -> None:
    master, slave = pty.openpty()
    argv = [lab.kubectl_path, "exec", "-it", pod, "--", "sh"]
    shell = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=lab.env)
    os.close(slave)
    os.write(master, b"tty && echo from-$(hostname)\nexit\n")
    seen = b""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and shell.poll() is None:
        if select.select([master], [], [], 0.5)[0]:
            try:
                seen += os.read(master, 4096)
            except OSError:
                break
    assert shell.wait(10) == 0
    os.close(master)
    assert b"/dev/pts/" in seen
    assert f"from-{pod}".encode() in seen


def test_cp_both_ways(lab: LabHarness, pod: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a file for the pod\n")
    lab.kubectl("cp", str(tmp_path / "there"), f"{pod}:/tmp/there")
    lab.kubectl("cp", f"{pod}:/tmp/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "a file for the pod\n"


def test_port_forward(lab: LabHarness, pod: str) -> None:
    argv = [lab.kubectl_path, "port-forward", pod, ":80"]
    forward = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=lab.env)
    try:
        assert forward.stdout is not None
        line = forward.stdout.readline()
        port = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert port, line
        with urllib.request.urlopen(f"http://127.0.0.1:{port.group(1)}/", timeout=10) as page:
            assert page.status == 200
            assert b"nginx" in page.read()
    finally:
        forward.terminate()
        forward.wait(10)


def test_a_deleted_pod_is_replaced_and_its_address_freed(lab: LabHarness, pod: str) -> None:
    lab.kubectl("delete", "pod", pod, timeout=120)
    lab.rolled_out("deployment/nginx")
    assert pod not in [one["metadata"]["name"] for one in lab.pods("run=nginx")]
    holders = [h["pod"] for node in lab.status()["nodes"] for h in node["addresses"]["holders"]]
    assert f"default/{pod}" not in holders


def test_the_machines_own_kubectl_works_too(lab: LabHarness) -> None:
    """A recent kubectl against this API server; only if the machine has one."""
    own = subprocess.run(["/bin/sh", "-c", "command -v kubectl"], capture_output=True, text=True)
    kubectl = own.stdout.strip() or lab.kubectl_path
    out = subprocess.run([kubectl, "get", "nodes"], capture_output=True, text=True, env=lab.env)
    assert out.returncode == 0, out.stderr
    assert out.stdout.count(" Ready ") == 3
