"""azure-ip-masq-agent on a lab that runs, as a reader of the iptables chapter tries it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.e2e.harness import LabHarness, wait_for

_SPACE = ("-n", "kube-system")
CONFIG = "configmap/azure-ip-masq-agent-config"
_DEFAULTS = ["169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]


def kept(lab: LabHarness, node: str) -> list[str] | None:
    """The destinations for which a node's chain returns; None unless MASQUERADE follows."""
    rules = lab.on_node(node, "iptables -t nat -S IP-MASQ-AGENT || true").splitlines()[1:]
    if not rules or not rules[-1].endswith("-j MASQUERADE"):
        return None
    return [one.split()[3] for one in rules[:-1]]


def check_chain(lab: LabHarness, cidrs: Sequence[str]) -> None:
    """Every node's chain keeps pods' addresses towards `cidrs`, and is jumped to once."""
    for node in lab.nodes():
        wait_for(f"the chain on {node}", lambda node=node: kept(lab, node) == list(cidrs), 60)
        jumps = lab.on_node(node, "iptables -t nat -S POSTROUTING")
        assert jumps.count("-j IP-MASQ-AGENT") == 1
        assert (
            "ip-masq-agent: ensure nat POSTROUTING directs all non-LOCAL destination traffic to "
            "our custom IP-MASQ-AGENT chain" in jumps
        )


def check_edits(lab: LabHarness, cidrs: Sequence[str]) -> None:
    """An edit is there within a minute, a wrong one changes nothing and is told, and without a
    ConfigMap the agent's defaults hold. cidrs: what the chain has; it has that again at the end.

    Each step takes the kubelet some 10 s; what else the agent does is tested without one."""
    check_chain(lab, cidrs)
    node, before = lab.nodes()[0], lab.get(*_SPACE, CONFIG)["data"]["ip-masq-agent"]
    try:
        _put(lab, "nonMasqueradeCIDRs: [10.220.0.0/16]\nmasqLinkLocal: true\n")
        wait_for("the edit", lambda: kept(lab, node) == ["10.220.0.0/16"], 60)
        _put(lab, "nonMasqueradeCIDRs: [10.220.0.0/99]\n")
        describe = (*_SPACE, "describe", CONFIG)
        wait_for("the event", lambda: "10.220.0.0/99' is no" in lab.kubectl(*describe), 60)
        assert kept(lab, node) == ["10.220.0.0/16"]
        lab.kubectl(*_SPACE, "delete", CONFIG)
        wait_for("the defaults", lambda: kept(lab, node) == _DEFAULTS, 60)
    finally:
        _put(lab, before)
    check_chain(lab, cidrs)


def _put(lab: LabHarness, text: str) -> None:
    """The ConfigMap with this text, as `kubectl edit` would leave it."""
    metadata = {"name": CONFIG.partition("/")[2], "namespace": "kube-system"}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    lab.apply(json.dumps({**document, "data": {"ip-masq-agent": text}}))
