"""A booted node: namespaces of its own, a root that cannot reach the machine's, sysctls kept."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from podwire.cluster.cgroups import LabCgroups
from podwire.cluster.node import Node
from podwire.cluster.node_root import MASKED_SYSCTLS, Mount
from podwire.model.errors import ProcessError
from podwire.model.layout import LabLayout

from .conftest import NAME, booted, output, until
from .machine import sysctl


@pytest.mark.parametrize("kind", ["net", "mnt", "uts", "ipc", "pid", "cgroup"])
def test_namespaces_are_its_own(node: Node, run, kind: str) -> None:
    async def work() -> str:
        async with booted(node):
            return os.readlink(f"/proc/{node.pid}/ns/{kind}")

    assert run(work()) != os.readlink(f"/proc/self/ns/{kind}")


def test_it_has_its_name_its_loopback_and_nothing_else_on_the_network(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            assert await output(node, "hostname") == (0, f"{NAME}\n")
            _, links = await output(node, "ip", "-br", "link")
            assert [line.split()[0] for line in links.splitlines()] == ["lo"]
            assert await output(node, "getent", "hosts", NAME) == (0, f"10.220.2.4      {NAME}\n")
            code, _ = await output(node, "ping", "-c1", "-W1", "127.0.0.1")
            assert code == 0
            assert await output(node, "cat", "/etc/resolv.conf") == (
                0,
                "nameserver 168.63.129.16\nsearch internal.cloudapp.net\n",
            )

    run(work())


def test_its_first_process_is_the_small_one_and_reaps_orphans(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            first = node.root / "proc/1/comm"  # it says "ready" just before it becomes that
            await until(lambda: first.read_text() == "podwire-init\n", "the small one runs")
            await output(node, "sh", "-c", "(sleep 0.1 &)")
            await asyncio.sleep(0.3)
            _, states = await output(node, "ps", "-eo", "stat=")
            assert "Z" not in states

    run(work())


@pytest.mark.parametrize(
    "directory", ["/etc", "/usr/local/bin", "/var", "/tmp", "/root", "/dev/shm"]
)
def test_what_it_writes_the_machine_does_not_see(node: Node, run, directory: str) -> None:
    path = Path(directory) / f"written-by-{node.layout.name}"

    async def work() -> None:
        async with booted(node):
            assert await output(node, "touch", str(path)) == (0, "")
            assert (node.root / str(path)[1:]).exists()
            assert not path.exists()

    run(work())
    assert not path.exists()


def test_it_can_neither_delete_the_machines_files_nor_make_devices_for_it(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            assert (await output(node, "rm", "/etc/debian_version"))[0] == 0
            assert (await output(node, "touch", "/dev/made"))[0] != 0
            assert (await output(node, "sh", "-c", "echo x > /dev/null"))[0] == 0

    run(work())
    assert Path("/etc/debian_version").exists()


def test_the_cache_is_there_and_cannot_be_changed(node: Node, run) -> None:
    name = f"written-by-{node.layout.name}"

    async def work() -> None:
        async with booted(node):
            assert (await output(node, "test", "-d", str(node.layout.cache)))[0] == 0
            await output(node, "touch", f"{node.layout.cache}/{name}")

    run(work())
    assert not (node.layout.cache / name).exists()


def test_a_directory_that_the_overlay_does_not_show_can_be_let_in(
    layout: LabLayout, cgroups: LabCgroups, tmp_path: Path, run
) -> None:
    shared = tmp_path / "shared"  # below /tmp, which a node has of its own
    shared.mkdir()
    (shared / "file").write_text("seen")
    node = Node(NAME, layout, cgroups, inside=(shared,))

    async def work() -> None:
        async with booted(node):
            assert await output(node, "cat", str(shared / "file")) == (0, "seen")
            assert (await output(node, "touch", str(shared / "new")))[0] != 0

    run(work())
    assert not (shared / "new").exists()


def test_its_log_directory_is_read_from_outside(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            await output(node, "sh", "-c", "echo hello > /var/log/azure-vnet.log")
            await output(node, "sh", "-c", "echo pod > /var/log/pods/x")

    run(work())
    assert node.layout.node_log(NAME, "azure-vnet").read_text() == "hello\n"


def test_a_kubelet_finds_its_sysctls_set_and_nobody_can_set_the_machines(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            for name, value in MASKED_SYSCTLS.items():
                assert await output(node, "cat", f"/proc/sys/{name}") == (0, f"{value}\n")
                code, _ = await output(node, "sh", "-c", f"echo 7 > /proc/sys/{name}")
                assert code == 0  # it is a plain file of the node
                assert sysctl(name) != "7\n"
            code, _ = await output(node, "sh", "-c", "echo 7 > /proc/sys/vm/swappiness")
            assert code != 0

    run(work())


def test_network_sysctls_are_its_own(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            forward = "/proc/sys/net/ipv4/ip_forward"
            assert await output(node, "cat", forward) == (0, "1\n")
            bridged = "/proc/sys/net/bridge/bridge-nf-call-iptables"
            assert await output(node, "cat", bridged) == (0, "1\n")
            before = sysctl("net/ipv4/ip_forward")
            assert (await output(node, "sh", "-c", f"echo 0 > {forward}"))[0] == 0
            assert sysctl("net/ipv4/ip_forward") == before

    run(work())


def test_its_processes_are_in_the_labs_cgroups_and_see_themselves_at_the_top(
    node: Node, run
) -> None:
    async def work() -> None:
        async with booted(node):
            assert node.pid in node.cgroups.pids(NAME)
            _, seen = await output(node, "cat", "/proc/self/cgroup")
            assert {line.split(":", 2)[2] for line in seen.splitlines()} <= {"/", "/init"}
            made = "/sys/fs/cgroup/memory/kubepods"
            if not node.cgroups.v2:
                assert (await output(node, "mkdir", made))[0] == 0
                assert any((root / NAME / "kubepods").is_dir() for root in node.cgroups.roots)

    run(work())


def test_only_static_accounts_are_known(node: Node, run) -> None:
    async def work() -> str:
        async with booted(node):
            return (await output(node, "cut", "-d:", "-f3", "/etc/passwd"))[1]

    assert all(int(one) < 100 or int(one) == 65534 for one in run(work()).split())


def test_a_node_that_is_up_is_not_booted_again(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            with pytest.raises(ProcessError, match="is up already"):
                await node.boot()

    run(work())


def test_a_root_that_cannot_be_made_says_why_and_leaves_nothing(
    layout: LabLayout, cgroups: LabCgroups, run
) -> None:
    broken = Mount("none", "/mnt", "no-such-filesystem")
    node = Node(NAME, layout, cgroups, steps=(broken,))

    async def work() -> None:
        with pytest.raises(ProcessError, match=r"cannot boot: .*no-such-filesystem"):
            await node.boot()
        assert node.pid is None
        assert cgroups.pids() == set()
        node.steps = ()
        async with booted(node):
            assert (await output(node, "true"))[0] == 0

    run(work())


def test_without_a_compiler_a_node_boots_as_well(
    layout: LabLayout, cgroups: LabCgroups, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podwire.cluster.node.compiled_init", lambda _cache: None)
    node = Node(NAME, layout, cgroups)

    async def work() -> None:
        async with booted(node):
            assert b"node_init.py" in (node.root / "proc/1/cmdline").read_bytes()
            await output(node, "sh", "-c", "(sleep 0.1 &)")
            await asyncio.sleep(0.3)
            assert "Z" not in (await output(node, "ps", "-eo", "stat="))[1]

    run(work())
