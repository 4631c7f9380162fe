"""Which steps make a cluster as it shall be, and which need which. What a step does: `building`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from podwire.lab.building import Builder
from podwire.lab.cluster import Cluster
from podwire.lab.nics import Member, members
from podwire.lab.steps import Emit, Step, carry_out, known_needs
from podwire.model.progress import Progress


async def converge(cluster: Cluster, emit: Emit) -> None:
    """Make the cluster as the store has it: all of it, the nodes that are missing, or without
    those that are too many.

    Raises StepFailedError.
    """
    await carry_out(steps(Builder(cluster)), emit)


def steps(builder: Builder) -> list[Step]:
    """Everything that is not so yet."""
    cluster = builder.cluster
    wanted = {one.nic.name: one for one in members(cluster.site.store, cluster.spec)}
    missing = [one for name, one in wanted.items() if name not in cluster.nodes]
    surplus = [name for name in cluster.nodes if name not in wanted]
    found = [Step("pki", "Certificates", builder.certificates)] if missing else []
    fresh = cluster.api is None
    if fresh:
        found = [*found, *_first_steps(builder)]
    for one in missing:
        found += node_steps(builder, one)
    ready = tuple(f"{one.nic.name}-ready" for one in missing)
    if fresh:
        found += _last_steps(builder, ready)
    for name in surplus:
        found.append(_leave(builder, name, ready))
    return known_needs(found)


def _first_steps(builder: Builder) -> list[Step]:
    network = builder.network
    return [
        *builder.materials.steps(),
        Step("vnet", "VNet: fabric, wire server, IMDS, DNS", network.start, ("machine",)),
        Step(
            "registry",
            "Image registry",
            network.serve_images,
            ("images", "vnet", "packages", "hub"),
        ),
        Step(
            "control-plane",
            "Control plane: etcd, API server, scheduler, controllers",
            builder.control_plane,
            ("kubernetes", "packages", "vnet", "pki"),
        ),
        Step("cluster", "Roles, DNS, kubeconfig", builder.bootstrap, ("control-plane",)),
    ]


def _last_steps(builder: Builder, ready: tuple[str, ...]) -> list[Step]:
    needs = (*ready, "cluster")
    found = [Step("dns", "Cluster DNS answers", builder.dns, needs)] if ready else []
    if builder.cluster.wanted.workload and ready:
        found.append(Step("workload", "The document's nginx", builder.workload, needs))
    return found


def node_steps(builder: Builder, member: Member) -> list[Step]:
    """From nothing to Ready; the last step is named NAME-ready."""
    name = member.nic.name
    needs = ("packages", "kubernetes", "vnet", "pki", "hub")
    return [
        _step(name, f"Node {name}: namespaces, eth0, containerd", builder.boot_node, member, needs),
        _step(
            f"{name}-join",
            f"Node {name}: kubelet, kube-proxy",
            builder.join_node,
            member,
            (name, "control-plane"),
        ),
        _step(
            f"{name}-ready",
            f"Node {name}: Ready",
            builder.node_ready,
            member,
            (f"{name}-join", "cluster", "registry"),
        ),
    ]


def _step(
    name: str,
    title: str,
    run: Callable[[Member], Awaitable[None]],
    member: Member,
    needs: tuple[str, ...],
) -> Step:
    async def act(_: Progress) -> None:
        await run(member)

    return Step(name, title, act, needs)


def _leave(builder: Builder, name: str, needs: tuple[str, ...]) -> Step:
    async def act(_: Progress) -> None:
        await builder.remove_node(name)

    return Step(f"{name}-leave", f"Node {name}: drained, removed", act, needs)
