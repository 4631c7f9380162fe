"""Commands as they are typed where the doctor runs: on the node itself, or beside a lab. Pure."""

from __future__ import annotations

import shlex
from dataclasses import replace

from podwire.lens.commands import lab_option, on_node
from podwire.lens.doctor.values import Finding
from podwire.lens.snapshot import OF

CNI = "podwire cni"
_NODES = ("sysctl", "ip", "iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy", "nft",
          "systemctl", "modprobe", "pkill", "bridge", "rm")  # fmt: skip
"""Programs that work on the machine that they run on."""


def fix(node: str) -> str:
    return own("doctor --fix", node)


def own(words: str, node: str) -> str:
    """A command of this product that takes --node."""
    return f"podwire {words} --node {node}"


def new_pod(space: str) -> str:
    """What is broken inside a pod goes with it. space: the id of its space."""
    name, _, cluster = space.partition(OF)
    _, *names = name.split("/")
    if len(names) == 2:
        context = f" --context {cluster}" if cluster else ""
        return f"kubectl{context} delete pod -n {names[0]} {names[1]}"
    return f"delete the pod of container {names[-1][:12]}"


def placed(finding: Finding, lab: str) -> Finding:
    """The finding with its command for where people are: lab "" is the node itself."""
    command = finding.remedy
    option = f" --node {finding.node}"
    if not finding.node:
        return finding
    if command.endswith(option):
        command = command.removesuffix(option) + (f"{lab_option(lab)}{option}" if lab else "")
    elif lab and (command.startswith(CNI) or command.partition(" ")[0] in _NODES):
        command = _there(command, finding.node, lab)
    return replace(finding, remedy=command)


def _there(command: str, node: str, lab: str) -> str:
    if "&&" in command:
        command = f"sh -c {shlex.quote(command)}"
    return on_node(lab, node) + command
