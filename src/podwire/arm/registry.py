"""All kinds of resources that the endpoint answers for, put together over one desk."""

from __future__ import annotations

from podwire.arm.adopt import Adoption
from podwire.arm.backend import Backend
from podwire.arm.desk import Desk
from podwire.arm.dispatch import Dispatcher
from podwire.arm.kinds import network
from podwire.arm.kinds.addresses import PublicAddresses
from podwire.arm.kinds.agent_pools import AgentPools, UpgradeProfiles
from podwire.arm.kinds.authorization import RoleAssignments, RoleDefinitions
from podwire.arm.kinds.base import Kind
from podwire.arm.kinds.cluster_actions import CommandResults, ManagedClusters
from podwire.arm.kinds.compute import (
    InstanceViews,
    MachineNics,
    Machines,
    ScaleSetNics,
    ScaleSets,
    ScaleSetViews,
)
from podwire.arm.kinds.deployments import Deployments
from podwire.arm.kinds.groups import Groups
from podwire.arm.kinds.nodes_network import NetworkInterfaces, Unmade
from podwire.arm.kinds.platform import Platform
from podwire.arm.kinds.stored import Part
from podwire.arm.kinds.usage import Availability, Usages
from podwire.arm.kinds.versions import KubernetesVersions
from podwire.arm.operations import Deed, Operations
from podwire.arm.render import NodeGroups
from podwire.arm.store import ArmStore
from podwire.arm.translate.balancers import BALANCERS
from podwire.arm.world import DeskWorld, RuleBook
from podwire.lab.steps import Emit


def build(subscription: str, store: ArmStore, lab: Backend, emit: Emit) -> Dispatcher:
    """What answers requests. `dispatcher.desk.operations.resume()` goes on with what was begun."""
    deeds: dict[str, Deed] = {}
    operations = Operations(store, deeds)
    nodes = NodeGroups(subscription, store, lab)
    parts: dict[str, str] = {}
    desk = Desk(subscription, store, operations, lab, nodes, emit)
    world = DeskWorld(desk, parts)
    desk.rules = RuleBook(world)
    kinds: dict[str, Kind] = {}
    for kind in (*_kinds(desk, nodes, kinds), Usages(desk, world), Availability(desk, world)):
        kinds[kind.name.lower()] = kind
        deeds.update(kind.deeds)
        if isinstance(kind, Part):
            parts[kind.name.lower()] = kind.prop
    groups = kinds[Groups.name.lower()]
    assert isinstance(groups, Groups)
    platform = Platform(desk, groups, [one.name for one in kinds.values()])
    return Dispatcher(desk, kinds, platform, Adoption(desk))


def _kinds(desk: Desk, nodes: NodeGroups, kinds: dict[str, Kind]) -> list[Kind]:
    clusters = ManagedClusters(desk)
    pools = AgentPools(desk, clusters)
    return [
        Groups(desk, kinds),
        Deployments(desk),
        *_network(desk, nodes),
        clusters,
        pools,
        CommandResults(desk),
        *(
            UpgradeProfiles(desk, name, pools)
            for name in (
                f"{clusters.name}/upgradeProfiles",
                f"{clusters.name}/availableAgentPoolVersions",
                f"{pools.name}/upgradeProfiles",
            )
        ),
        KubernetesVersions(desk),
        ScaleSets(desk, nodes),
        ScaleSetNics(desk, nodes),
        Machines(desk, nodes),
        MachineNics(desk, nodes),
        InstanceViews(desk, nodes),
        ScaleSetViews(desk, nodes),
        RoleDefinitions(desk),
        RoleAssignments(desk),
    ]


def _network(desk: Desk, nodes: NodeGroups) -> list[Kind]:
    vnets = network.VirtualNetworks(desk)
    tables = network.RouteTables(desk)
    groups = network.SecurityGroups(desk)
    services = "; make a Service of type LoadBalancer, and the cluster makes it"
    return [
        vnets,
        network.Subnets(desk, vnets),
        network.Peerings(desk, vnets),
        tables,
        network.Routes(desk, tables),
        groups,
        network.SecurityRules(desk, groups),
        NetworkInterfaces(desk, nodes),
        Unmade(desk, BALANCERS, f"load balancers of one's own{services}"),
        PublicAddresses(desk),
    ]
