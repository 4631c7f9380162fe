"""Driving a lab as a person does: the podwire command, the real kubectl, commands on nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PODWIRE = str(Path(sys.executable).with_name("podwire"))


def run(
    *argv: str, env: dict[str, str] | None = None, timeout: float = 120, cwd: str | None = None
) -> str:
    """The command's stdout; an AssertionError with all it said when it fails."""
    done = subprocess.run(
        argv, capture_output=True, text=True, env=env, timeout=timeout, cwd=cwd, check=False
    )
    said = f"{' '.join(argv)}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    return done.stdout


def refused(*argv: str, env: dict[str, str] | None = None) -> str:
    """The stderr of a command that must fail."""
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=120, check=False)
    assert done.returncode != 0, f"{' '.join(argv)} succeeded:\n{done.stdout}"
    return done.stderr


def wait_for(what: str, check: Callable[[], Any], timeout: float = 180) -> Any:
    """The first true value of `check`; what it last raised or gave is in the failure."""
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            if last := check():
                return last
        except (AssertionError, subprocess.TimeoutExpired) as error:
            last = error
        time.sleep(0.25)
    raise AssertionError(f"{what}: not within {timeout} s; last: {last}")


@dataclass
class LabHarness:
    """One lab. home: the directory that stands for the user's home."""

    name: str
    home: Path

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.home),
            "KUBECONFIG": str(self.home / ".kube/config"),
            "PODWIRE_LAB": self.name,
        }

    def podwire(self, *words: str, timeout: float = 1500) -> str:
        return run(PODWIRE, *words, env=self.env, timeout=timeout)

    def podwire_refused(self, *words: str) -> str:
        return refused(PODWIRE, *words, env=self.env)

    @property
    def shell_env(self) -> dict[str, str]:
        """The environment after `eval "$(podwire env)"`, as bash makes it."""
        script = f'eval "$({PODWIRE} env)" && env -0'
        out = run("/bin/bash", "-c", script, env=self.env)
        return dict(one.split("=", 1) for one in out.split("\0") if "=" in one)

    def kubectl(self, *words: str, timeout: float = 120) -> str:
        return run(self.kubectl_path, *words, env=self.env, timeout=timeout)

    @property
    def kubectl_path(self) -> str:
        return self.status()["kubectl"]

    def get(self, *words: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def status(self) -> dict[str, Any]:
        out = subprocess.run(
            [PODWIRE, "status", "-o", "json"],
            capture_output=True,
            text=True,
            env=self.env,
            check=False,
        )
        assert out.stdout, out.stderr
        return json.loads(out.stdout)

    def on_node(self, node: str, command: str, timeout: float = 60) -> str:
        """stdout of a shell command line run on the node."""
        words = ("node", "exec", node, "--", "/bin/bash", "-lc", command)
        return run(PODWIRE, *words, env=self.env, timeout=timeout)

    def in_pod(self, pod: str, *command: str) -> str:
        return self.kubectl("exec", pod, "--", *command)

    def nodes(self) -> list[str]:
        return [one["name"] for one in self.status()["nodes"]]

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """Running pods, by node name."""
        items = self.get("pods", "-l", selector)["items"]
        alive = [one for one in items if "deletionTimestamp" not in one["metadata"]]
        return sorted(alive, key=lambda pod: pod["spec"].get("nodeName", ""))

    def rolled_out(self, deployment: str, timeout: float = 180) -> None:
        self.kubectl("rollout", "status", deployment, f"--timeout={timeout}s", timeout=timeout + 10)

    def apply(self, manifest: str, *words: str) -> None:
        """words: kubectl's further options."""
        done = subprocess.run(
            [self.kubectl_path, *words, "apply", "-f", "-"],
            input=manifest,
            capture_output=True,
            text=True,
            env=self.env,
            check=False,
        )
        assert done.returncode == 0, done.stderr
