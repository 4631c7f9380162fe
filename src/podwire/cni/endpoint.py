"""One attachment in the plugin's terms: who holds it, its namespace, its answer, what CHECK says.

Must not know the order of a call's steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from podwire.cni import modes
from podwire.cni.addresses import DNS, ips_and_routes
from podwire.ipam.lease import OWN_IPAM, Holder, Lease
from podwire.ipam.ledger import Ledger
from podwire.kernel.netns import NetNamespace
from podwire.kernel.wire import describe
from podwire.model.bridge_mode import pod_mac
from podwire.model.cni import Request
from podwire.model.cni_error import FAILED, INVALID_ENVIRONMENT, CniError
from podwire.model.cni_result import Dns, Interface, Result
from podwire.model.dual_stack import NEXT_HOP6
from podwire.model.errors import KernelError
from podwire.model.netconf import NetConf
from podwire.model.wiring import Difference, Veth, Wiring


def holder_of(request: Request, conf: NetConf, bridge: str) -> Holder:
    names = (conf.name, request.container_id, request.ifname)
    return Holder(
        container_id=request.container_id,
        ifname=request.ifname,
        netns=request.netns,
        pod_namespace=request.pod_namespace,
        pod_name=request.pod_name,
        network=conf.name,
        host_link=modes.supported(conf.mode).link(conf.name, request),
        mac=pod_mac(*names),
        bridge=bridge,
        ipam=conf.ipam.type or OWN_IPAM,
    )


def own_link(ledger: Ledger, lease: Lease, holder: Holder, request: Request) -> Lease:
    """A link's name that is this pod's alone, also while its predecessor of the same name lives.

    The older lease keeps a name that two have: both are in the ledger before either looks.
    """
    own = modes.container_link(lease.network, request)
    if lease.host_link == own or all(one.id >= lease.id for one in ledger.of_link(lease.host_link)):
        return lease
    return ledger.take_over(lease, replace(holder, host_link=own))


def pod_namespace(request: Request, host: NetNamespace) -> NetNamespace:
    try:
        pod = NetNamespace.open(request.netns)
    except KernelError as error:
        raise CniError(FAILED, f"Failed to create endpoint: {error}") from error
    if pod.inode == host.inode:
        pod.close()
        raise CniError(
            INVALID_ENVIRONMENT, f"CNI_NETNS {request.netns} is the node's own network namespace"
        )
    return pod


def names_of(config: Any) -> tuple[str, str]:
    """Network and bridge of a configuration that may be wrong otherwise: DEL must still work."""
    name, bridge = config.get("name"), config.get("bridge")
    return (
        name if isinstance(name, str) and name else "azure",
        bridge if isinstance(bridge, str) else "",
    )


def result_of(lease: Lease, wiring: Wiring, conf: NetConf) -> Result:
    """The pod's link is the second one: portmap skips addresses of links without a sandbox."""
    pair = next(one for one in wiring if isinstance(one, Veth))
    ips, routes = ips_and_routes(lease, NEXT_HOP6, 1)
    return Result(
        interfaces=(
            Interface(lease.host_link, pair.mac or "", mtu=pair.mtu),
            Interface(lease.ifname, lease.mac, lease.netns, pair.mtu),
        ),
        ips=ips,
        routes=routes,
        dns=Dns(conf.dns.nameservers or DNS, conf.dns.domain, conf.dns.search, conf.dns.options),
    )


def difference_text(one: Difference) -> str:
    name = describe(one.wanted)
    if one.seen is None:
        return f"{name} is missing"
    if "absent" in one.fields:
        return f"{name} should not be there"
    wrong = (
        f"{field} is {getattr(one.seen, field, None)!r}, not {getattr(one.wanted, field, None)!r}"
        for field in one.fields
    )
    return f"{name}: {', '.join(wrong)}"


def against_previous(conf: NetConf, lease: Lease) -> list[str]:
    """What the runtime remembers of the ADD must be what the ledger holds."""
    if conf.previous is None:
        return []
    told = [one.address for one in conf.previous.ips]
    held = [one for one in (lease.cidr, lease.cidr6) if one]
    if told and not set(held) <= set(told):
        return [f"prevResult has {', '.join(told)}, the ledger {', '.join(held)}"]
    return []
