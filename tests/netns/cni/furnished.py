"""A node that has Debian's packages: a mount namespace where they look installed.

They are unpacked into the cache, installed nowhere, and laid over the machine's /usr; files of the
test's own lie over /etc, and a tmpfs is at /run. The machine sees none of it, and needs no systemd.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from podwire.cluster.packages import unpack
from podwire.model.layout import CACHE

from .node import Node

# Ignored by process 1, SIGCHLD makes the kernel reap whom dead parents left to it. It ends with
# the pipe that the test holds, and with it everything in its pid namespace.
_FIRST = """
set -e
trap '' CHLD
mount -t overlay none -o lowerdir=$1/usr:/usr /usr
mount -t overlay none -o lowerdir=$2:/etc /etc
mount -t tmpfs none /run
mkdir -p /run/lib /run/work /run/systemd
mount -t overlay none -o lowerdir=/var/lib,upperdir=/run/lib,workdir=/run/work /var/lib
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
echo ready
exec cat
"""


def furnish(
    node: Node, packages: Sequence[str], etc: Mapping[str, str], *, own_pids: bool = False
) -> None:
    """Lay `packages`, with all that they depend on, over the node's file system, until its end.

    etc: texts by path below /etc. own_pids: the node's processes are numbered by themselves and
    end with it, whoever started them; then no path of /proc of the test's processes is valid there.
    """
    tree = unpack(packages, CACHE / f"test-{packages[0]}", with_dependencies=True, essential=False)
    own = node.directory / "etc"
    own.mkdir()
    for name, text in etc.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(text)
    pids = ("--pid", "--fork", "--kill-child=KILL", "--mount-proc") if own_pids else ()
    script = ("sh", "-c", _FIRST, "sh", str(tree), str(own))
    first = subprocess.Popen(
        ["unshare", "--mount", "--propagation=private", *pids, *script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    node.stack.callback(_end, first)
    assert first.stdout is not None
    assert first.stdout.readline() == "ready\n"
    node.mounts = first.pid
    if own_pids:
        (child,) = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        node.mounts = int(child)
    joined = ("--mount", "--pid") if own_pids else ("--mount",)
    node.entry = ("nsenter", f"--target={node.mounts}", *joined, f"--net={node.netns.path}")


@contextmanager
def program(node: Node, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs on the node until the end of the block; what it says is in programs.log."""
    with (node.directory / "programs.log").open("ab") as log:
        tied = ("setpriv", "--pdeathsig", "KILL", "--")
        process = subprocess.Popen([*tied, *node.entry, *argv], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(node: Node, *argv: str) -> None:
    """Until the command works on the node."""
    deadline = time.monotonic() + 30
    while subprocess.run([*node.entry, *argv], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, (node.directory / "programs.log").read_text()
        time.sleep(0.02)


def _end(first: subprocess.Popen[str]) -> None:
    assert first.stdin is not None
    assert first.stdout is not None
    first.stdin.close()
    first.wait(10)
    first.stdout.close()
