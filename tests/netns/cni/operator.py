"""The command line as an operator on a node types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from podwire.cli.main import cli
from podwire.model.errors import PodwireError

from ..promises.harness import leases
from .node import Node, Pod, until

RUNTIME_SILENT = "--runtime=true"
"""A runtime that knows no container."""


def ipam(node: Node, command: str, *words: str) -> Result:
    """`podwire ipam COMMAND` on the node."""
    places = [f"--state-dir={node.settings.state_dir}"]
    if command in ("gc", "release"):
        places.append(f"--log-dir={node.settings.log_dir}")
    with node.netns.entered():
        return CliRunner().invoke(cli, ["ipam", command, *places, *words], catch_exceptions=False)


def refused(node: Node, command: str, *words: str) -> str:
    """The error that `podwire ipam COMMAND` ends with."""
    with pytest.raises(PodwireError) as error:
        ipam(node, command, *words)
    return str(error.value)


def found(node: Node, *words: str) -> list[dict[str, Any]]:
    """What `check` finds; its exit status says whether it found anything."""
    done = ipam(node, "check", "-o", "json", *words)
    listed: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    assert done.exit_code == (1 if listed else 0), done.output
    return listed


def kinds(node: Node, *words: str) -> list[tuple[str, str, str]]:
    """(kind, address or link, what gc would do) of each finding."""
    return [
        (one["kind"], one["address"] or one["host_link"], one["gc"]) for one in found(node, *words)
    ]


def mended(node: Node, *words: str) -> list[tuple[str, str]]:
    """(action, address or link) of all that `gc` did; all that is proven must be done."""
    done = ipam(node, "gc", "-o", "json", *words)
    assert done.exit_code == 0, done.output
    outcomes = json.loads(done.stdout)["outcomes"]
    return [(one["action"], one["address"] or one["host_link"]) for one in outcomes]


def added(node: Node, identity: str, **given: Any) -> Pod:
    pod = node.pod(identity)
    answer = node.call("ADD", pod, **given)
    assert answer.status == 0, answer
    return pod


def end(node: Node, pod: Pod) -> None:
    """The pod's namespace goes, and no DEL comes."""
    pod.netns.close()
    links = {one.host_link for one in leases(node) if one.container_id == pod.id}
    until(lambda: not links & set(node.azv_links()))


@contextmanager
def process_in(pod: Pod) -> Iterator[None]:
    with subprocess.Popen(["nsenter", f"--net={pod.netns.path}", "sleep", "600"]) as process:
        until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
        yield
        process.kill()
