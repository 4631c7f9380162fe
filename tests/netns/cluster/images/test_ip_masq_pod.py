"""azure-ip-masq-agent's pod: the image, run as the manifest runs it, beside an API over HTTPS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cri_api.v1 import api_pb2 as cri

from podwire.cluster.ip_masq import config_map
from podwire.cluster.manifests import ip_masq_agent_manifest
from podwire.kernel.netns import NetNamespace
from tests.unit.cluster.clusterdns.api_server import ApiState, api_server

from .conftest import Container, Machine, proportional, security, until

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_MEGABYTE = 1024


@dataclass(frozen=True, slots=True)
class Agent:
    machine: Machine
    container: Container
    state: ApiState
    config: Path

    def chain(self) -> str:
        return self.machine.run("iptables", "-t", "nat", "-S", "IP-MASQ-AGENT", check=False).stdout


@pytest.fixture
def agent(machine: Machine) -> Iterator[Agent]:
    pod = next(
        document["spec"]["template"]["spec"]
        for document in yaml.safe_load_all(ip_masq_agent_manifest())
        if document["kind"] == "DaemonSet"
    )
    (described,) = pod["containers"]
    account, config = (machine.inside(machine.work / one) for one in ("masq-account", "config"))
    account.parent.mkdir(parents=True, exist_ok=True)
    config.mkdir()
    file = config / "ip-masq-agent"
    file.write_text(config_map(["10.220.0.0/16", "10.200.0.0/16"])["data"]["ip-masq-agent"])
    with NetNamespace.open(int(machine.node.pid or 0)) as space, space.entered():
        served = api_server(account)
        state, port = served.__enter__()
    host = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}
    environment = {**host, described["env"][0]["name"]: "node1"}
    container = None
    try:
        container = machine.start(
            "ip-masq-agent",
            described["image"],
            envs=[cri.KeyValue(key=key, value=value) for key, value in environment.items()],
            mounts=[
                cri.Mount(container_path=path, host_path=str(machine.work / name), readonly=True)
                for path, name in ((ACCOUNT, "masq-account"), ("/etc/config", "config"))
            ],
            security_context=security(described["securityContext"]),
        )
        yield Agent(machine, container, state, file)
    finally:
        if container:
            container.remove()
        served.__exit__(None, None, None)


def test_the_pod_writes_the_chain_and_tells_what_is_wrong(agent: Agent) -> None:
    def said() -> str:
        return agent.container.log.read_text() if agent.container.log.exists() else "nothing"

    until(lambda: agent.chain().count("RETURN") == 2, f"the chain; it said: {said()}")
    assert agent.chain().splitlines()[-1].endswith("-j MASQUERADE")
    whole = agent.chain()

    agent.config.write_text("nonMasqueradeCIDRs: [10.0.0.0/99]")
    until(lambda: agent.state.posted, "the event")
    ((_, event),) = agent.state.posted
    assert "10.0.0.0/99" in event["message"]
    assert event["source"]["host"] == "node1"
    assert agent.chain() == whole

    agent.config.write_text("nonMasqueradeCIDRs: []")
    until(lambda: agent.chain().count("RETURN") == 1, "the edit")
    memory = proportional(agent.container)
    assert memory < 15 * _MEGABYTE, f"{memory} kB"
    took, code = agent.container.stop()
    assert code == 0
    assert took < 2, "it must end on TERM, not by the kill after the grace of 10 s"
