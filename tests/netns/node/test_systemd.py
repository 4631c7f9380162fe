"""The agent's unit under a real systemd, as an operator installs, uses and removes it.

systemd is PID 1 of a pid namespace inside a node. It sees the machine's sysctls read-only.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from podwire.cluster.containerd import containerd_steps
from podwire.cluster.node import Node
from podwire.cluster.node_root import File, Mount
from podwire.cluster.packages import unpack
from podwire.cni.shims import c_shim
from podwire.model.layout import CACHE

from .conftest import booted, output, until

PODWIRE = str(Path(sys.executable).with_name("podwire"))
TREE = CACHE / "packages" / "systemd-test"
UNITS = "/etc/systemd/system"
UNIT = "podwire-agent.service"
TARGETS = ("sysinit", "basic", "multi-user", "shutdown")
ARCH = f"{os.uname().machine}-linux-gnu"
LIBRARIES = f"{TREE}/usr/lib/{ARCH}:{TREE}/usr/lib/{ARCH}/systemd"
SYSTEMCTL = f"LD_LIBRARY_PATH={LIBRARIES} {TREE}/usr/bin/systemctl"
BOOT = f"""
set -e
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,bind,ro /proc/sys
touch /run/console
mount --bind /run/console /dev/console
mkdir -p /usr/lib/systemd /run/bin
mount --bind {TREE}/usr/lib/systemd /usr/lib/systemd
printf '#!/bin/sh\\nexec env {SYSTEMCTL} "$@"\\n' > /run/bin/systemctl
chmod +x /run/bin/systemctl
exec env -i container=podwire SYSTEMD_UNIT_PATH={UNITS} LD_LIBRARY_PATH={LIBRARIES} \\
    /usr/lib/systemd/systemd --unit=multi-user.target --log-target=console
"""
CARD = """
ip link add eth0 type veth peer name far
ip link set far up
ip link set eth0 up
ip addr add 10.1.0.4/24 dev eth0
ip route add default via 10.1.0.1
ip netns add web
"""


@dataclass
class Machine:
    """What systemd runs: commands are run as its own children would be."""

    node: Node
    pid: str

    async def run(self, line: str) -> str:
        argv = ["nsenter", "-t", self.pid, "-m", "-p", "--", "env"]
        argv += ["PATH=/run/bin:/usr/local/bin:/usr/sbin:/usr/bin", f"SYSTEMD_UNIT_PATH={UNITS}"]
        status, said = await output(self.node, *argv, "/bin/sh", "-c", line)
        assert status == 0, f"{line}: {said}\n{await self.console()}"
        return said.strip()

    async def console(self) -> str:
        return (await output(self.node, "tail", "-n", "30", "/run/console"))[1]

    async def shown(self, fact: str) -> str:
        """One of the agent's properties, as systemd knows it."""
        return await self.run(f"systemctl show -P {fact} {UNIT}")


@asynccontextmanager
async def with_systemd(node: Node, packages: Path) -> AsyncIterator[Machine]:
    unpack(("systemd",), TREE, with_dependencies=True, leave_out=("libc6",), cache=CACHE)
    c_shim("azure-vnet", socket="", plugin="", seconds=1)  # compiled where the node cannot write
    stub = "[Unit]\nDefaultDependencies=no\n"
    node.steps = (
        *containerd_steps(packages),
        Mount("tmpfs", UNITS, "tmpfs", (), "mode=755"),
        *(File(f"{UNITS}/{one}.target", stub) for one in TARGETS),
    )
    node.inside = (TREE, Path(PODWIRE).parent)
    async with booted(node):
        new = ("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount")
        command = node.enter([*new, "/bin/sh", "-c", BOOT])
        started = await asyncio.create_subprocess_exec(*command)
        try:
            root = node.root

            def boots() -> bool:
                return (root / "run/systemd/private").exists() or started.returncode is not None

            await until(boots, "systemd's socket")
            _, pid = await output(node, "pgrep", "-xo", "systemd")
            yield Machine(node, pid.strip())
        finally:
            await node.shutdown()
            await started.wait()


def test_the_agent_as_a_service_of_systemd(node: Node, packages: Path, run) -> None:
    async def work() -> None:
        async with with_systemd(node, packages) as machine:
            await machine.run("set -e" + CARD)
            await _installed(machine)
            await _serves_and_comes_back(machine)
            await _is_not_let_hang(machine)
            await _uninstalled(machine)

    run(work())


async def _installed(machine: Machine) -> None:
    source = "--source range --subnet 10.1.0.0/24 --range-start 10.1.0.10"
    said = await machine.run(f"{PODWIRE} cni install --enable --metrics-port 9100 {source}")
    assert f"agent: {UNIT} runs" in said
    verify = f"LD_LIBRARY_PATH={LIBRARIES} {TREE}/usr/bin/systemd-analyze verify"
    assert await machine.run(f"{verify} --man=no {UNITS}/{UNIT}") == ""
    assert await machine.run("systemctl is-enabled podwire-agent") == "enabled"
    on_socket = "--unix-socket /run/podwire-cni/metrics.sock http://agent/metrics"
    for where in (on_socket, "http://127.0.0.1:9100/metrics"):
        assert "# TYPE podwire_cni_calls_total counter" in await machine.run(f"curl -sS {where}")
    status = await machine.run("cat /proc/$(systemctl show -P MainPID podwire-agent)/status")
    assert re.search(r"^Seccomp:\s+2$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)


async def _serves_and_comes_back(machine: Machine) -> None:
    first = await machine.shown("MainPID")
    pod = "--conf /etc/cni/net.d/10-azure.conflist --netns web"
    assert "10.1.0.10/24" in await machine.run(f"{PODWIRE} cni add {pod} --pod default/web")
    log = await machine.run("cat /var/log/azure-vnet.log")
    assert f"[{first}] [cni-net] ADD command completed" in log
    await machine.run(f"kill -KILL {first}")
    second = await _restarted(machine, "1")
    await machine.run(f"{PODWIRE} cni del {pod}")
    log = await machine.run("cat /var/log/azure-vnet.log")
    assert f"[{second}] [cni-net] DEL command completed with err:<nil>" in log


async def _restarted(machine: Machine, times: str) -> str:
    """The pid of the agent that systemd has started again."""
    for _ in range(200):
        facts = [await machine.shown(one) for one in ("ActiveState", "NRestarts", "MainPID")]
        if facts[:2] == ["active", times]:
            return facts[2]
        await asyncio.sleep(0.1)
    raise AssertionError(f"not started again: {await machine.run(f'systemctl status {UNIT}')}")


async def _is_not_let_hang(machine: Machine) -> None:
    """With a shorter limit than the unit's."""
    drop_in = f"{UNITS}/{UNIT}.d/short.conf"
    await machine.run(f"mkdir {UNITS}/{UNIT}.d")
    await machine.run(f"printf '[Service]\\nWatchdogSec=1\\n' > {drop_in}")
    await machine.run(f"systemctl daemon-reload && systemctl restart {UNIT}")
    hanging = await machine.shown("MainPID")
    await machine.run(f"kill -STOP {hanging}")
    assert await _restarted(machine, "1") != hanging
    await machine.run(f"rm -r {UNITS}/{UNIT}.d && systemctl daemon-reload")


async def _uninstalled(machine: Machine) -> None:
    await machine.run("systemctl stop podwire-agent")
    assert await machine.shown("Result") == "success"
    await machine.run("systemctl start podwire-agent")
    await machine.run(f"{PODWIRE} cni uninstall")
    assert await machine.shown("LoadState") == "not-found"
    assert (
        await machine.run("pgrep -fx '/usr/bin/python3 .*podwire-agent .*' || echo none") == "none"
    )
    left = await machine.run(f"find {UNITS} /opt/cni/lib ! -name '*.target'")
    assert left.splitlines() == [UNITS, "/opt/cni/lib"]
