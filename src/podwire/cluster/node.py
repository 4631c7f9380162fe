"""A node: one process that holds a set of namespaces with a root file system of its own.

Must not know what runs on it. The node lives as long as that process (its PID 1): the kernel ends
everything on it, and drops its mounts and links, when PID 1 dies; and PID 1 dies with the process
that booted the node. So nothing of a node can be left but directories and empty cgroups.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from podwire.cluster import node_init, node_root
from podwire.cluster.cgroups import LabCgroups, NodeCgroups, of_this_machine
from podwire.cluster.node_files import PATH
from podwire.kernel.process import Program, command_line, log_tail
from podwire.model.errors import ProcessError
from podwire.model.layout import LabLayout

_UNSHARE = ("unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork",
            "--kill-child=KILL", "--propagation", "private")  # fmt: skip
_BOOT_TIMEOUT = 30.0
_SHELL = {"HOME": "/root", "PATH": PATH, "LC_ALL": "C.UTF-8"}
_DAEMONS = {**_SHELL, "NO_PROXY": "*", "no_proxy": "*"}
"""A node's programs keep the daemon's environment but for these; a proxy that the user's shell
speaks of cannot be reached from a node."""


@dataclass(slots=True)
class Node:
    """A node that can be booted, shut down, and booted again (as a machine can: its disk stays).

    pid: the machine's number of its PID 1, None while it is down.
    ip: its own address, for /etc/hosts. seed: a directory to copy to /var/lib/containerd at the
    first boot. inside: further directories of the machine that it must be able to read.
    steps: what is put into its root at every boot, as containerd_steps and the like return it.
    """

    name: str
    layout: LabLayout
    cgroups: LabCgroups
    ip: str = ""
    seed: Path | None = None
    inside: tuple[Path, ...] = ()
    steps: tuple[node_root.Step, ...] = field(default=(), repr=False)
    pid: int | None = None
    groups: NodeCgroups | None = None
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    _pidfd: int = field(default=-1, repr=False)

    async def boot(self) -> int:
        """Make the namespaces and the root, with loopback up and no other link; return `pid`.

        Call from the event loop's main thread: the node's life is tied to the calling thread's.
        Raises ProcessError when it cannot be made, KernelError, UnavailableError (cgroups).
        """
        if self.pid is not None:
            raise ProcessError(f"node {self.name} is up already (PID {self.pid}); shut it down")
        await asyncio.to_thread(self._prepare)
        self.groups = self.cgroups.node(self.name)
        try:
            await asyncio.wait_for(self._start(), _BOOT_TIMEOUT)
        except BaseException:
            await self.shutdown()
            raise
        assert self.pid is not None
        return self.pid

    async def wait_dead(self) -> None:
        """Return when PID 1 has died, for whatever reason; `boot` then makes the node anew."""
        if self._pidfd >= 0:
            await _readable(self._pidfd)
        await self._forget()

    async def shutdown(self) -> None:
        """End everything on the node, now; nothing when it is down.

        Raises ProcessError when the kernel cannot finish, since nobody reaps what was on it.
        """
        try:
            if self._pidfd >= 0:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                await self._gone()
            elif self._process is not None:
                with suppress(ProcessLookupError):
                    self._process.kill()
                await asyncio.to_thread(self.cgroups.kill, self.name)
        finally:
            await self._forget()

    async def _gone(self) -> None:
        """PID 1 ends when all on the node are reaped. Those that were entered from outside are so
        by the nsenter before them, unless it is stopped (^Z): then it has to be killed as well."""
        if await _readable(self._pidfd, 1.0):
            return
        await asyncio.to_thread(self.cgroups.kill, self.name)
        if not await _readable(self._pidfd, 10.0):
            raise ProcessError(
                f"node {self.name} does not end: its processes are dead but not reaped; "
                "does this machine's PID 1 reap orphans? (docker run --init)"
            )

    async def destroy(self) -> None:
        """Shut down, then remove the node's cgroups and its disk."""
        await self.shutdown()
        await asyncio.to_thread(self._remove_cgroups)
        await asyncio.to_thread(shutil.rmtree, self.layout.node_state(self.name), True)

    @property
    def root(self) -> Path:
        """The node's root directory, as the machine can read and write it. Up only."""
        if self.pid is None:
            raise ProcessError(f"node {self.name} is down; see {self._log}")
        return Path(f"/proc/{self.pid}/root")

    def program(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None
    ) -> Program:
        """A program on this node, in its namespaces and cgroups, for a Supervisor. Up only."""
        if self.pid is None or self.groups is None:
            raise ProcessError(f"node {self.name} is down, so {name} cannot run on it")
        return Program(
            name=name,
            argv=tuple(argv),
            log=self.layout.node_log(self.name, name),
            node=self.name,
            env={**_DAEMONS, **(env or {})},
            namespaces=self.pid,
            cgroups=self.groups.leaf,
        )

    def enter(self, command: Sequence[str]) -> list[str]:
        """The argv that runs `command` on this node. Up only."""
        if self.pid is None or self.groups is None:
            raise ProcessError(f"node {self.name} is down, so {command[0]} cannot run on it")
        return enter_argv(self.pid, self.name, self.groups.leaf, command)

    @property
    def _log(self) -> Path:
        return self.layout.node_log(self.name, "init")

    def _prepare(self) -> None:
        """The directories that the node's root is made of; what a former life left is gone."""
        self._remove_cgroups()
        state = self.layout.node_state(self.name)
        images = state / node_root.STATE["/var/lib/containerd"]
        if self.seed is not None and not images.exists():
            copy_seed(self.seed, images)
        for one in (*node_root.STATE.values(), "root"):
            (state / one).mkdir(parents=True, exist_ok=True)
        self._log.parent.mkdir(parents=True, exist_ok=True)

    def _remove_cgroups(self) -> None:
        self.cgroups.kill(self.name)
        self.cgroups.remove(self.name)

    async def _start(self) -> None:
        assert self.groups is not None
        plan = node_root.root_plan(self.layout, self.name, self.ip, _machine(self), self.steps)
        reading, writing = os.pipe()
        init = [sys.executable, "-I", "-S", node_init.__file__, str(writing)]
        program = Program("init", (*_UNSHARE, *init), self._log, cgroups=self.groups.root)
        try:
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *command_line(program),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=[writing],
                    start_new_session=True,
                )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        pid = await self._hand_over(node_root.encode(plan), reading, program)
        self._pidfd = os.pidfd_open(pid)
        self.groups.settle([self._process.pid, pid])
        self.pid = pid

    async def _hand_over(self, plan: bytes, reading: int, program: Program) -> int:
        """Give the plan to node_init and take its answer, the pid."""
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # it ended already; the answer says why
            self._process.stdin.write(plan)
            await self._process.stdin.drain()
            self._process.stdin.close()
        answer = await _read_line(reading)
        word, _, rest = answer.partition(" ")
        if word != "ready":
            why = rest or log_tail(program)
            raise ProcessError(f"node {self.name} cannot boot: {why}; see {self._log}")
        return int(rest)

    async def _forget(self) -> None:
        if self._process is not None:
            await self._process.wait()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self.pid, self._process, self._pidfd = None, None, -1


def _machine(node: Node) -> node_root.Machine:
    etc, layout = Path("/etc"), node.layout
    points = node_root.mount_points(Path("/proc/self/mountinfo").read_text())
    needed = (layout.cache, *node.inside, *node_root.own_directories(node.steps))
    own = (*node_root.PRIVATE, *node_root.STATE, str(layout.state_root))
    hidden = (*own, "/var/log", "/dev", "/proc", "/sys")
    return node_root.Machine(
        hierarchies=of_this_machine(),
        passwd=(etc / "passwd").read_text(),
        group=(etc / "group").read_text(),
        init=compiled_init(layout.cache),
        inside=node_root.needed_inside((one for one in needed if one.is_dir()), points, hidden),
        split=tuple(one for one in node_root.SPLIT_OFF if one in points),
    )


def compiled_init(cache: Path) -> Path | None:
    """The C program that is a node's PID 1, compiled once; None when this machine cannot.

    node_init then stays as PID 1 itself: the same, with 8 MB of memory in place of 0.1.
    """
    source = Path(node_init.__file__).with_suffix(".c")
    made = cache / "podwire-init"
    with suppress(FileNotFoundError):
        if made.stat().st_mtime >= source.stat().st_mtime:
            return made
    if shutil.which("gcc") is None:
        return None
    cache.mkdir(parents=True, exist_ok=True)
    half = cache / f".podwire-init.{os.getpid()}"
    argv = ["gcc", "-static", "-Os", "-s", "-o", str(half), str(source)]
    if subprocess.run(argv, check=False, capture_output=True).returncode != 0:
        return None  # a compiler without the static C library
    half.replace(made)
    return made


def copy_seed(seed: Path, target: Path) -> None:
    """Copy a directory tree as it is (device nodes, attributes), all of it or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    argv = ["cp", "-a", "--reflink=auto", str(seed), str(half)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ProcessError(f"cannot copy {seed} to {target}: {done.stderr.strip()}")
    half.rename(target)


def enter_argv(
    pid: int, node: str, cgroups: Sequence[Path | str], command: Sequence[str]
) -> list[str]:
    """The argv that runs `command` on a node as root in /root, with its cgroups joined.

    For execvp: terminal, exit status and standard files are the caller's. `nsenter` stays between
    (a process cannot move itself into another pid namespace). ^C, ^Z and the like signal it and the
    command, so it ignores them: they are the command's to answer, and nsenter ends or stops as the
    command does. Another signal that ends nsenter gives the command SIGHUP, as when a terminal goes
    away.
    """
    procs = [shlex.quote(str(Path(one) / "cgroup.procs")) for one in cgroups]
    join = "".join(f"echo 0 > {one} && " for one in procs)
    clean = {**_SHELL, "USER": "root", "LOGNAME": "root", "PS1": f"root@{node}:\\w# "}
    if term := os.environ.get("TERM"):
        clean["TERM"] = term
    inside = ["env", "-i", "--default-signal=INT,QUIT,TSTP", "-C", "/root"]
    inside += [f"{key}={value}" for key, value in clean.items()]
    tied = ["setpriv", "--pdeathsig", "HUP", "--"]
    argv = ["nsenter", "-t", str(pid), "-a", "--", *tied, *inside, *command]
    return ["/bin/sh", "-c", f"{join}trap '' INT QUIT TSTP && exec \"$@\"", "sh", *argv]


async def _readable(descriptor: int, timeout: float | None = None) -> bool:
    """Wait until it can be read (a pidfd: until the process has ended); False after `timeout`."""
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    mine = os.dup(descriptor)  # the loop knows one reader per number
    loop.add_reader(mine, seen.set)
    try:
        await asyncio.wait_for(seen.wait(), timeout)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(mine)
        os.close(mine)
    return True


async def _read_line(descriptor: int) -> str:
    """One line, or what came before the end; closes the descriptor."""
    got = b""
    try:
        while not got.endswith(b"\n"):
            await _readable(descriptor)
            if not (more := os.read(descriptor, 4096)):
                break
            got += more
    finally:
        os.close(descriptor)
    return got.decode(errors="replace").strip()
