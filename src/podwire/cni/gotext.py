"""Requests, configurations and results as azure-vnet.log shows them: Go's printed structs."""

from __future__ import annotations

from podwire.cni.narrate import go_mask
from podwire.model.cni import Request
from podwire.model.cni_result import IpConfig, PodRoute, Result
from podwire.model.netconf import NetConf


def request_text(request: Request) -> str:
    """With the comma that DEL's line has after the path, and ADD's has not."""
    comma = "," if request.command == "DEL" else ""
    return (
        f"{{ContainerID:{request.container_id} Netns:{request.netns} IfName:{request.ifname} "
        f"Args:{request.args_text} Path:{request.path}{comma} StdinData:{request.stdin.strip()}}}"
    )


def config_text(conf: NetConf) -> str:
    hosts = " ".join(conf.ips_to_route_via_host)
    ipam = conf.ipam
    return (
        f"&{{CNIVersion:{conf.cni_version} Name:{conf.name} Type:{conf.type} Mode:{conf.mode} "
        f"Master:{conf.master} Bridge:{conf.bridge} IPsToRouteViaHost:[{hosts}] "
        f"MultiTenancy:{str(conf.multi_tenancy).lower()} "
        f"Ipam:{{Type:{ipam.type} Subnet:{ipam.subnet} Address:{ipam.ip_address}}} "
        f"DNS:{{Nameservers:[{' '.join(conf.dns.nameservers)}]}}}}"
    )


def result_text(result: Result, *, interfaces: bool) -> str:
    links = " ".join(
        f"{{Name:{one.name} Mac:{one.mac} Sandbox:{one.sandbox}}}" for one in result.interfaces
    )
    dns = result.dns
    return (
        (f"Interfaces:[{links}], " if interfaces else "")
        + f"IP:[{' '.join(_ip(one) for one in result.ips)}], "
        + f"Routes:[{' '.join(_route(one) for one in result.routes)}], "
        + f"DNS:{{Nameservers:[{' '.join(dns.nameservers)}] Domain:{dns.domain} "
        + f"Search:[{' '.join(dns.search)}] Options:[{' '.join(dns.options)}]}}"
    )


def _ip(one: IpConfig) -> str:
    index = "<nil>" if one.interface is None else one.interface
    return (
        f"{{Version:{one.family} Interface:{index} Address:{_net(one.address)} "
        f"Gateway:{one.gateway}}}"
    )


def _route(one: PodRoute) -> str:
    return f"{{Dst:{_net(one.dst)} GW:{one.gw}}}"


def _net(cidr: str) -> str:
    ip, _, length = cidr.partition("/")
    bits = 128 if ":" in ip else 32
    return f"{{IP:{ip} Mask:{go_mask(length or str(bits), bits)}}}"
