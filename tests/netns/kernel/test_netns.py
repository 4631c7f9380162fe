"""Namespaces: made, opened, entered and left."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from podwire.kernel import sysctl
from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError


@pytest.fixture
def made() -> Iterator[NetNamespace]:
    with NetNamespace.create() as one:
        yield one


def test_a_new_one_is_another(made: NetNamespace) -> None:
    with NetNamespace.current() as mine, NetNamespace.create() as third:
        assert len({mine.inode, made.inode, third.inode}) == 3
    assert f"net:[{made.inode}]" == os.readlink(made.path)


def test_entered_and_back(made: NetNamespace) -> None:
    before = os.readlink("/proc/thread-self/ns/net")
    with made.entered():
        assert os.readlink("/proc/thread-self/ns/net") == f"net:[{made.inode}]"
        assert [name for _, name in socket.if_nameindex()] == ["lo"]
    assert os.readlink("/proc/thread-self/ns/net") == before


def test_back_also_after_an_error(made: NetNamespace) -> None:
    before = os.readlink("/proc/thread-self/ns/net")
    with pytest.raises(ZeroDivisionError), made.entered():
        _ = 1 / 0
    assert os.readlink("/proc/thread-self/ns/net") == before


def test_programs_join_by_its_path(made: NetNamespace) -> None:
    argv = ["nsenter", f"--net={made.path}", "readlink", "/proc/self/ns/net"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"net:[{made.inode}]"


def test_opened_by_path_and_by_pid(made: NetNamespace) -> None:
    with NetNamespace.open(Path(made.path)) as again:
        assert again.inode == made.inode
    child = subprocess.Popen(["nsenter", f"--net={made.path}", "cat"], stdin=subprocess.PIPE)
    try:
        deadline = 200
        while _inode_of(child.pid) != made.inode and deadline:
            deadline -= 1
            os.sched_yield()
        with NetNamespace.open(child.pid) as of_child:
            assert of_child.inode == made.inode
    finally:
        child.communicate()


def _inode_of(pid: int) -> int:
    with NetNamespace.open(pid) as one:
        return one.inode


def test_socket_stays_inside(made: NetNamespace) -> None:
    with made.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.bind(("0.0.0.0", 80))
    with pytest.raises(OSError, match="unreachable"), made.socket(2, 1) as one:
        one.connect(("127.0.0.1", 80))


def test_what_is_no_namespace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"cannot open network namespace .*none: No such file"):
        NetNamespace.open(tmp_path / "none")
    (tmp_path / "plain").touch()
    with pytest.raises(KernelError, match="plain is no network namespace"):
        NetNamespace.open(tmp_path / "plain")
    with pytest.raises(KernelError, match="is no network namespace"):
        NetNamespace.open("/proc/self/ns/uts")
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for a writer
    for other in (tmp_path / "pipe", tmp_path, "/dev/null", "a\0b"):
        with pytest.raises(KernelError, match="cannot open network namespace"):
            NetNamespace.open(other)


def test_sysctls_are_the_namespaces_own(made: NetNamespace) -> None:
    name = "net/ipv4/ip_forward"
    with NetNamespace.current() as mine:
        here = sysctl.read(mine, name)
        for value in ("1", "0", "1"):
            assert sysctl.write(made, name, value)
            assert sysctl.read(made, name) == value
        assert sysctl.read(mine, name) == here
    assert sysctl.read(made, "net/ipv4/conf/none/forwarding") is None
    assert not sysctl.write(made, "net/ipv4/conf/none/forwarding", "1")
    with pytest.raises(KernelError, match="cannot write /proc/sys/net/ipv4/ip_forward: Invalid"):
        sysctl.write(made, name, "many")
