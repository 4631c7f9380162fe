"""The way up: which steps make a lab, and which need which. What a step does is in `Builder`.

Each step is idempotent, so that a daemon that starts again over an old store goes the same way.
"""

from __future__ import annotations

import asyncio
from typing import Any

from podwire.lab.builder import Builder
from podwire.lab.lab import Lab
from podwire.lab.steps import Emit, Step, carry_out
from podwire.model.errors import PodwireError


async def bring_up(lab: Lab, wanted: dict[str, Any], emit: Emit) -> None:
    """Make the lab as wanted.

    Raises StepFailedError; nothing of the lab runs then, and the next `up` starts afresh.
    """
    lab.state = "starting"
    builder = Builder(lab, wanted)
    try:
        await carry_out(steps(builder), emit)
    except (PodwireError, asyncio.CancelledError):
        lab.state = "failed"
        await lab.end_parts()
        raise
    for node in lab.parts.nodes.values():
        node.watch()
    lab.state = "running"


def steps(builder: Builder) -> list[Step]:
    """All steps; their order is what each one needs."""
    found = [
        Step("machine", "Look at this machine", builder.machine),
        Step("packages", "Daemons from Debian packages", builder.packages, ("machine",)),
        Step("kubernetes", "Kubernetes programs", builder.kubernetes, ("machine",)),
        Step("images", "Container images", builder.images, ("packages",)),
        Step("hub", "Is there a registry?", builder.hub),
        Step("vnet", "VNet: fabric, wire server, IMDS, DNS", builder.vnet, ("machine",)),
        Step("registry", "Image registry", builder.registry, ("images", "vnet", "packages", "hub")),
        Step("pki", "Certificates", builder.certificates),
        Step(
            "control-plane",
            "Control plane: etcd, API server, scheduler, controllers",
            builder.control_plane,
            ("kubernetes", "packages", "vnet", "pki"),
        ),
        Step("cluster", "Roles, DNS, kubeconfig", builder.cluster, ("control-plane",)),
    ]
    ready = []
    for number, name in enumerate(builder.node_names):
        found += _node_steps(builder, number, name)
        ready.append(f"node-{number}-ready")
    found.append(Step("dns", "Cluster DNS answers", builder.dns, (*ready, "cluster")))
    if builder.wants_workload:
        needs = (*ready, "cluster")
        found.append(Step("workload", "The document's nginx", builder.workload, needs))
    return found


def _node_steps(builder: Builder, number: int, name: str) -> list[Step]:
    async def boot(_: object) -> None:
        await builder.boot_node(number)

    async def join(_: object) -> None:
        await builder.join_node(number)

    async def ready(_: object) -> None:
        await builder.node_ready(number)

    base = f"node-{number}"
    needs = ("packages", "kubernetes", "vnet", "pki", "hub")
    joined = (f"{base}-join", "cluster", "registry")
    return [
        Step(base, f"Node {name}: namespaces, eth0, containerd", boot, needs),
        Step(f"{base}-join", f"Node {name}: kubelet, kube-proxy", join, (base, "control-plane")),
        Step(f"{base}-ready", f"Node {name}: Ready", ready, joined),
    ]
