"""Commands that somebody far away runs: on a node, or with kubectl against a cluster.

Source: Azure's run-command for scale sets and AKS's `command invoke`, which are what asks.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from podwire.cluster.control_plane import api_url
from podwire.cluster.kubeconfig import kubeconfig, write_kubeconfig
from podwire.lab.cluster import Cluster
from podwire.lab.lab_node import LabNode
from podwire.model.errors import InvalidInputError, ProcessError

TIMEOUT = 600.0
OUTPUT_LIMIT = 512 * 1024
_SCRIPT = 'cd "$1" && export KUBECONFIG="$1/.kubeconfig" PATH="$2:$PATH" && eval "$3"'


@dataclass(frozen=True, slots=True)
class CommandResult:
    """output: stdout and stderr as they came, its end cut off beyond OUTPUT_LIMIT bytes."""

    exit_code: int
    output: str


async def run_on_node(lab_node: LabNode, script: str, *, timeout: float = TIMEOUT) -> CommandResult:
    """A bash script as root on the node.

    Raises ProcessError when the node is down, or the script is not done within `timeout` seconds;
    it is ended then.
    """
    return await _run(lab_node, ["/bin/bash", "-c", script], timeout)


async def run_in_cluster(
    cluster: Cluster,
    command: str,
    files: Mapping[str, bytes],
    api_address: str,
    *,
    timeout: float = TIMEOUT,
) -> CommandResult:
    """A bash command on one of its nodes, as the cluster's administrator: kubectl is there.

    files: what it finds in its working directory, by relative path. All is removed afterwards.
    Raises InvalidInputError for a path that leads out, else as `run_on_node`.
    """
    lab_node = cluster.first_node()
    directory = Path(tempfile.mkdtemp(prefix="command-", dir=lab_node.node.root / "tmp"))
    try:
        await asyncio.to_thread(_fill, directory, files)
        credential = cluster.pki.credential("admin")
        config = kubeconfig(api_url(api_address), credential, user="admin", embed=True)
        write_kubeconfig(directory / ".kubeconfig", config)
        inside = f"/tmp/{directory.name}"
        programs = str(cluster.site.materials.binaries.directory)
        argv = ["/bin/bash", "-c", _SCRIPT, "bash", inside, programs, command]
        return await _run(lab_node, argv, timeout)
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, True)


def _fill(directory: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise InvalidInputError(
                f"file {name!r} leads out of the command's directory; name it relative to that",
                code="InvalidParameter",
                target="context",
            )
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


async def _run(lab_node: LabNode, argv: Sequence[str], timeout: float) -> CommandResult:
    name = lab_node.node.name
    process = await asyncio.create_subprocess_exec(
        *lab_node.node.enter(argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(timeout):
            output = await _limited(process)
            code = await process.wait()
    except TimeoutError as error:
        raise ProcessError(f"the command on {name} was not done after {timeout:g} s") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return CommandResult(code, output.decode(errors="replace"))


async def _limited(process: asyncio.subprocess.Process) -> bytes:
    """Read to the end, so that it can write on, and keep what fits."""
    assert process.stdout is not None
    kept = b""
    while chunk := await process.stdout.read(64 * 1024):
        kept += chunk[: OUTPUT_LIMIT - len(kept)]
    return kept
