"""Which NICs a lab has, and which addresses each one holds: rows of the store.

An address belongs to a NIC from its row's making to its deletion, whether or not anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from podwire.lab.instances import Instances
from podwire.lab.site import Site
from podwire.lab.store import Access, Frontends, PluggedNic, Store, WantedCluster
from podwire.model.aks_rules import mode_of
from podwire.model.cluster import (
    CONTROL_PLANE_SUBNET,
    PLATFORM_ADDRESS,
    ClusterSpec,
)
from podwire.model.node_pool import Pool
from podwire.model.vnet import Nic, Subnet, VNet, allocate


def settle(site: Site, wanted: WantedCluster, vnet: VNet) -> None:
    """Write what is wanted: the cluster, the instances of its pools, a NIC for each of them.

    Of what shall be no more the NICs stay until `release`, for their machines still run. Raises
    InvalidInputError (SubnetIsFull) when a subnet has not enough addresses; nothing is written.
    """
    store, spec = site.store, wanted.spec
    with store.transaction():
        store.put(spec.key, wanted)
        plug_control_plane(site, spec, vnet)
        for pool in spec.pools:
            have = instances_of(store, spec, pool)
            put_instances(site, spec, pool, have.resized(pool.count), vnet)
        kept = {pool_row(spec, one.name) for one in spec.pools}
        for name in _pool_rows(store, spec.key):
            if name not in kept:
                store.delete(Instances, name)
                store.delete(Access, name)


def pool_row(spec: ClusterSpec, pool: str) -> str:
    """The name of the rows that concern this pool of the cluster."""
    return f"{spec.key}/{pool}"


def instances_of(store: Store, spec: ClusterSpec, pool: Pool) -> Instances:
    return store.get(Instances, pool_row(spec, pool.name)) or Instances()


def put_instances(
    site: Site, spec: ClusterSpec, pool: Pool, instances: Instances, vnet: VNet
) -> None:
    """The pool shall have these instances, each with a NIC."""
    site.store.put(pool_row(spec, pool.name), instances)
    subnet = vnet.subnet(spec.subnet_of(pool))
    count = mode_of(spec).node_cost(pool)
    for number in instances.numbers:
        _plug(site, spec.node_name(pool.name, number), subnet, count, vnet, spec)


def plug_control_plane(site: Site, spec: ClusterSpec, vnet: VNet) -> Nic:
    """The NIC of the cluster's control plane."""
    name = control_plane_name(spec.key)
    return _plug(site, name, CONTROL_PLANE_SUBNET, 1, vnet, spec)


@dataclass(frozen=True, slots=True)
class Member:
    """A node that shall be. number: its instance number in the pool."""

    pool: Pool
    number: int
    nic: Nic


def members(store: Store, spec: ClusterSpec) -> list[Member]:
    """The nodes that shall be, pool by pool, by instance number."""
    found = []
    for pool in spec.pools:
        for number in instances_of(store, spec, pool).numbers:
            plugged = store.get(PluggedNic, spec.node_name(pool.name, number))
            assert plugged is not None, f"instance {number} of {pool.name} has no NIC"
            found.append(Member(pool, number, plugged.nic))
    return found


def control_plane_name(cluster: str) -> str:
    return f"control-plane of {cluster}"


def _plug(site: Site, name: str, subnet: Subnet, count: int, vnet: VNet, spec: ClusterSpec) -> Nic:
    """The NIC of that name; one that is there keeps its addresses."""
    have = site.store.get(PluggedNic, name)
    if have is not None:
        return have.nic
    addresses = allocate(subnet, count, taken(site.store, vnet.key))
    # Pods of kubenet send through it with their own addresses.
    nic = Nic(name, site.mac_of(name), subnet, addresses, ip_forwarding=spec.is_kubenet)
    site.store.put(name, PluggedNic(nic, vnet.key, spec.key))
    return nic


def taken(store: Store, vnet: str) -> list[str]:
    """Every address of the VNet that a NIC, a load balancer or the lab itself has."""
    claims = (store.get(Frontends, vnet) or Frontends()).claims
    return [*nic_addresses(store, vnet), *(one.address for one in claims)]


def nic_addresses(store: Store, vnet: str) -> list[str]:
    plugged = (one for one in store.all(PluggedNic).values() if one.vnet == vnet)
    return [PLATFORM_ADDRESS, *(address for one in plugged for address in one.nic.addresses)]


RESERVED = "public addresses"
"""The name of the row of public addresses that are held by resources of their own."""


def public_addresses(store: Store, *, but: str = "") -> list[str]:
    """Those of the load balancers of every VNet but this one: public addresses are the lab's."""
    every = store.all(Frontends).items()
    others = (one for vnet, one in every if vnet not in (but, RESERVED))
    return [one.address for each in others for one in each.claims if one.subnet is None]


def reserved_addresses(store: Store) -> list[str]:
    """Public ones that a resource holds, for whoever asks for just this address."""
    return [one.address for one in (store.get(Frontends, RESERVED) or Frontends()).claims]


def release(store: Store, name: str) -> None:
    """The NIC's addresses are free again."""
    store.delete(PluggedNic, name)


def node_nics(store: Store, cluster: str) -> list[str]:
    """The names of the nodes of the cluster that hold addresses, also of those that shall go."""
    plane = control_plane_name(cluster)
    plugged = store.all(PluggedNic).items()
    return [name for name, one in plugged if one.cluster == cluster and name != plane]


def forget_cluster(store: Store, key: str) -> None:
    """Remove every row of the cluster; its addresses are free then."""
    with store.transaction():
        store.delete(WantedCluster, key)
        for name in _pool_rows(store, key):
            store.delete(Instances, name)
            store.delete(Access, name)
        for name, one in store.all(PluggedNic).items():
            if one.cluster == key:
                store.delete(PluggedNic, name)


def _pool_rows(store: Store, key: str) -> list[str]:
    return [one for one in store.all(Instances) if one.startswith(f"{key}/")]
