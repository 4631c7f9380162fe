"""`podwire support-bundle`: what somebody else needs to find a fault, without the secrets.

Here is the list of what may go in: files by name, and commands. `lens.bundle` reads, frees of
secrets and packs.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from podwire import __version__
from podwire.cli.snapshots import Source, snapshot_options, take
from podwire.cni.settings import Settings
from podwire.lab import control
from podwire.lab.preflight import check_root
from podwire.lens import codec
from podwire.lens.bundle import Item, Packed, Text, output, pack, tail
from podwire.model.errors import InvalidInputError, PodwireError

_READERS = 4
_PLUGIN_LOGS = ("azure-vnet.log*", "azure-vnet-ipam.log*")
_NODE_LOGS = (
    *_PLUGIN_LOGS,
    *(f"{one}.log" for one in ("podwire-agent", "kubelet", "containerd", "kube-proxy", "init")),
    *(f"{one}.log" for one in ("ip-masq-agent", "dockerd", "cri-dockerd")),
)
_PLANE = tuple(
    f"{one}.log" for one in ("kube-controller-manager", "kube-scheduler", "kube-apiserver", "etcd")
)
_UNITS = ("podwire-agent", "kubelet", "containerd", "docker")
_LINES = "3000"
_VERSIONS = (
    ("uname", "-a"),
    ("nft", "--version"),
    ("iptables", "--version"),
    ("ip", "-V"),
    ("containerd", "--version"),
    ("kubelet", "--version"),
)


@click.command("support-bundle")
@snapshot_options
@click.option(
    "--out", metavar="FILE.tar.gz", default="", help="Where to put it; else here, by date."
)
def support_bundle(source: Source, out: str) -> None:
    """Snapshot, logs, findings and versions in one file to send, with secrets removed.

    Of the lab, also when it does not run; else of this machine's own node. With --from only what a
    saved snapshot tells. It changes nothing, and sends nothing.

    \b
    podwire support-bundle --out trouble.tar.gz
    tar -xzOf trouble.tar.gz --wildcards '*/MANIFEST'       # what is in it, what was removed
    podwire explain POD SERVICE --from trouble.tar.gz       # whoever gets it looks around in it
    """
    if not source.file:
        check_root()
    path = Path(out or _name(source))
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / codec.BUNDLED
        first = _snapshot(source, saved)
        items = [first, *_reports(source, saved), *([] if source.file else _live(source))]
        packed = _write(path, items)
    _say(path, packed)


def _name(source: Source) -> str:
    return time.strftime(f"podwire-support-{source.layout.name}-%Y%m%d-%H%M%S.tar.gz")


def _snapshot(source: Source, saved: Path) -> Item:
    """Saved for the reports as well. A bundle is made without one too: nothing may run any more."""
    origin = source.file or "podwire snapshot"
    try:
        taken = take(source)
    except PodwireError as error:
        if source.file:
            raise
        return Item(codec.BUNDLED, origin, _failing(error))
    saved.touch(mode=0o600)
    saved.write_text(codec.to_json(taken))
    return Item(codec.BUNDLED, origin, lambda: Text(codec.to_json(taken)))


def _failing(error: PodwireError) -> Callable[[], Text]:
    def read() -> Text:
        raise error

    return read


def _reports(source: Source, saved: Path) -> Iterator[Item]:
    """What the commands say."""
    if saved.exists():
        yield _podwire("doctor.txt", "doctor", "--from", str(saved))
        yield _podwire("doctor.json", "doctor", "--from", str(saved), "--output", "json")
    if source.file:
        return
    lab = f"--name={source.layout.name}"
    nodes = _nodes(source)
    if nodes is None:
        yield _podwire("ipam.txt", "ipam", "show")
        yield _podwire("ipam-check.txt", "ipam", "check")
        return
    yield _podwire("status.txt", "status", lab)
    for node in nodes:
        yield _podwire(f"nodes/{node}/ipam.txt", "ipam", "show", lab, f"--node={node}")
        yield _podwire(f"nodes/{node}/ipam-check.txt", "ipam", "check", lab, f"--node={node}")


def _podwire(name: str, *words: str) -> Item:
    argv = [sys.executable, "-I", "-m", "podwire.cli.main", *words]
    return replace(output(argv, f"reports/{name}"), origin=" ".join(["$ podwire", *words]))


def _nodes(source: Source) -> list[str] | None:
    """Of the lab; none of one that does not run, None without a lab."""
    if not source.chosen and control.daemon_pid(source.layout) is None:
        return [] if source.layout.logs.is_dir() else None
    with suppress(PodwireError):
        return [one["name"] for one in control.ask(source.layout, op="status")["nodes"]]
    return []


def _live(source: Source) -> Iterator[Item]:
    """Versions, then the logs, those that tell most first: the bundle may get full."""
    yield Item("versions/podwire.txt", "podwire", lambda: Text(_versions()))
    yield tail(Path("/etc/os-release").resolve(), "versions/os-release.txt")
    for program in _VERSIONS:
        if shutil.which(program[0]):
            yield output(program, f"versions/{program[0]}.txt")
    yield from _lab_logs(source.layout.logs)
    for pattern in _NODE_LOGS:
        for path in sorted(Path(Settings().log_dir).glob(pattern)):
            yield tail(path, f"logs/machine/{path.name}")
    if shutil.which("journalctl"):
        units = [word for one in _UNITS for word in ("-u", one)]
        argv = ["journalctl", *units, "-n", _LINES, "--no-pager"]
        yield output(argv, "logs/machine/journal.txt")


def _versions() -> str:
    return f"podwire {__version__}\nPython {sys.version}\n"


def _lab_logs(logs: Path) -> Iterator[Item]:
    """Of nodes, of the lab, of control planes. What pods print is theirs, and not taken."""
    for where in (*(f"*/{one}" for one in _NODE_LOGS), "*.log", *(f"*/{one}" for one in _PLANE)):
        for path in sorted(logs.glob(where)):
            yield tail(path, f"logs/lab/{path.relative_to(logs)}")


def _write(path: Path, items: Iterable[Item]) -> tuple[Packed, ...]:
    """Root's alone from its first byte on, and whole or not there."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file, ThreadPoolExecutor(_READERS) as readers:
            packed = pack(items, file, path.name.partition(".tar")[0], __version__, readers)
        part.replace(path)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}; see --out") from error
    finally:
        part.unlink(missing_ok=True)
    return packed


def _say(path: Path, packed: Iterable[Packed]) -> None:
    removed: Counter[str] = Counter()
    for one in packed:
        removed.update(one.removed)
        if one.missing:
            click.echo(f"missing {one.item.name}: {one.missing}", err=True)
    told = ", ".join(f"{kind} {times}" for kind, times in sorted(removed.items())) or "nothing"
    click.echo(f"removed: {told}", err=True)
    click.echo(f"its MANIFEST lists what is in it: read it before you send {path}", err=True)
    click.echo(path)
