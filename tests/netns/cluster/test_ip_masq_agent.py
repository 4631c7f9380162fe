"""The agent's program against the real iptables, in a network namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from podwire.cluster.ipmasqagent.chain import JUMP
from podwire.kernel.netns import NetNamespace

FIRST = "nonMasqueradeCIDRs: [10.220.0.0/16, 10.200.0.0/16]\nmasqLinkLocal: true\n"
PROGRAM = ("-m", "podwire.cluster.ipmasqagent")


@dataclass
class Run:
    """A namespace in which the program runs, which follows `config` and writes `log`."""

    space: NetNamespace
    config: Path
    log: Path

    def iptables(self, *words: str) -> str:
        argv = ["nsenter", f"--net={self.space.path}", "iptables", "-t", "nat", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout

    def kept(self) -> list[str] | None:
        """The destinations that the chain returns for; None unless MASQUERADE of all else follows
        and POSTROUTING leads there once."""
        if self.iptables("-S", "POSTROUTING").count(JUMP) != 1:
            return None
        rules = self.iptables("-S", "IP-MASQ-AGENT").splitlines()[1:]
        if not rules or not rules[-1].endswith("-j MASQUERADE") or " -d " in rules[-1]:
            return None
        assert all(one.endswith("-j RETURN") for one in rules[:-1])
        return [one.split()[3] for one in rules[:-1]]

    def handles(self) -> str:
        argv = ["nsenter", f"--net={self.space.path}", "nft", "-a", "list", "chain", "ip", "nat"]
        return subprocess.run(
            [*argv, "IP-MASQ-AGENT"], capture_output=True, text=True, check=True
        ).stdout

    def edit(self, text: str) -> None:
        """As the kubelet does: whole or not at all."""
        new = self.config.with_suffix(".new")
        new.write_text(text)
        new.rename(self.config)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    config = tmp_path / "ip-masq-agent"
    config.write_text(FIRST + "resyncInterval: 1s\n")
    with NetNamespace.create() as space:
        yield Run(space, config, tmp_path / "log")


@pytest.fixture
def agent(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    argv = ["nsenter", f"--net={run.space.path}", sys.executable, *PROGRAM, str(run.config)]
    env = {one: value for one, value in os.environ.items() if not one.startswith("KUBERNETES_")}
    with run.log.open("wb") as log, subprocess.Popen(argv, stderr=log, env=env) as process:
        yield process
        process.kill()


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_the_chain_follows_the_config_map(run: Run, agent: subprocess.Popen[bytes]) -> None:
    until(lambda: run.kept() == ["10.220.0.0/16", "10.200.0.0/16"], "the chain")

    run.edit("nonMasqueradeCIDRs: [10.0.0.0/8]\nresyncInterval: 1s\n")
    until(lambda: run.kept() == ["169.254.0.0/16", "10.0.0.0/8"], "the edit")

    before = run.handles()
    for wrong, said in (("nonMasqueradeCIDRs: [10.0.0.0/99]", "10.0.0.0/99"), ("{", "no YAML")):
        run.edit(wrong)
        until(lambda said=said: said in run.log.read_text(), "the complaint")
        assert run.handles() == before, "an invalid edit must not touch the chain"

    run.iptables("-F", "IP-MASQ-AGENT")
    run.edit("nonMasqueradeCIDRs: []\nmasqLinkLocal: true\nresyncInterval: 1s\n")
    until(lambda: run.kept() == [], "an empty list")

    run.config.unlink()
    until(
        lambda: run.kept() == ["169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
        "the defaults",
    )
    agent.terminate()
    assert agent.wait(10) == 0
    assert run.kept() is not None, "the chain stays when the agent ends"


@pytest.mark.usefixtures("agent")
def test_what_others_remove_comes_back_and_what_is_theirs_stays(run: Run) -> None:
    until(lambda: run.kept() is not None, "the chain")
    whole = run.kept()
    theirs = "-A POSTROUTING -s 10.9.9.9/32 -j ACCEPT"
    run.iptables(*theirs.split())
    run.iptables("-F", "IP-MASQ-AGENT")
    until(lambda: run.kept() == whole, "the flushed chain")
    run.iptables("-D", "IP-MASQ-AGENT", "1")
    until(lambda: run.kept() == whole, "the deleted rule")
    run.iptables("-F", "POSTROUTING")
    run.iptables(*theirs.split())
    until(lambda: run.kept() == whole, "the jump")
    assert theirs in run.iptables("-S", "POSTROUTING")
    run.iptables("-F")
    run.iptables("-X")
    until(lambda: run.kept() == whole, "everything")
    before = run.handles()
    time.sleep(2.5)
    assert run.handles() == before, "what is right is not written again"


def test_an_agent_that_starts_with_a_wrong_config_map_keeps_the_chain_of_its_predecessor(
    run: Run, request: pytest.FixtureRequest
) -> None:
    run.iptables("-N", "IP-MASQ-AGENT")
    run.iptables("-A", "IP-MASQ-AGENT", "-d", "10.1.0.0/16", "-j", "RETURN")
    before = run.handles()
    run.edit("nonMasqueradeCIDRs: nothing")
    request.getfixturevalue("agent")
    until(lambda: "stays as it was" in run.log.read_text(), "the complaint")
    assert run.handles() == before
