"""`podwire up`: the document's cluster, running."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cattrs
import click

from podwire.cli.options import lab_option
from podwire.cli.output import StepDisplay, print_table
from podwire.cluster import user_kubeconfig
from podwire.cluster.kubernetes_binaries import check_wish
from podwire.cluster.pki import Pki
from podwire.lab import control, preflight
from podwire.lab.defaults import SUBNETS, document_cluster, document_vnet
from podwire.lab.store import Store
from podwire.model.aks_rules import DEFAULT_POD_CIDR, check_cluster, mode_of
from podwire.model.cluster import AZURE, ClusterSpec
from podwire.model.errors import InvalidInputError
from podwire.model.layout import DEFAULT_LAB, LabLayout
from podwire.model.node_pool import Pool
from podwire.model.vnet import VNet


@click.command()
@lab_option
@click.option("--nodes", type=int, default=3, show_default=True, help="How many nodes.")
@click.option("--max-pods", type=int, help="Pods per node. Default: 30, with kubenet 110.")
@click.option("--cluster", default=None, help="The cluster's name, and its kubeconfig context.")
@click.option("--vnet-cidr", default="10.220.0.0/16", show_default=True, help="The VNet's range.")
@click.option(
    "--subnet-cidr",
    help="Nodes' subnet, and with plugin azure their pods'. Default: "
    + ", ".join(f"{plugin} {prefix}" for plugin, prefix in SUBNETS.items())
    + ".",
)
@click.option(
    "--network-plugin",
    type=click.Choice(list(SUBNETS)),
    default=AZURE,
    show_default=True,
    help="azure: pods have addresses of the subnet. kubenet: of the pod CIDR, a /24 a node.",
)
@click.option(
    "--pod-cidr", help=f"The pods' range, with kubenet alone. Default: {DEFAULT_POD_CIDR}."
)
@click.option(
    "--network-policy",
    type=click.Choice(["none", "azure", "calico"]),
    default="none",
    show_default=True,
    help="Wires pods in transparent mode with plugin azure. kubenet: not azure.",
)
@click.option("--service-cidr", default="10.200.0.0/16", show_default=True)
@click.option("--dns-service-ip", default="10.200.0.10", show_default=True)
@click.option(
    "--kubernetes-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Use the programs in this directory (kube-apiserver, kubelet, ...).",
)
@click.option(
    "--kubernetes-version", help="Which Kubernetes, as in v1.20.2; default: what is here."
)
@click.option("--empty", is_flag=True, help="No VNet and no cluster: wait for what `az` asks for.")
@click.option(
    "--outbound",
    is_flag=True,
    help="Let nodes and pods out onto this machine's network, TCP and UDP, by source NAT.",
)
@click.option("--workload/--no-workload", default=True, help="Apply the document's nginx.yaml.")
def up(layout: LabLayout, workload: bool, empty: bool, **options: Any) -> None:
    """Bring up a VNet and a Kubernetes cluster on it, and leave them running.

    Takes what it needs from the cache, else downloads or builds it once (minutes). A second `up`
    of a running lab changes nothing. Options named as those of `az aks create` mean the same, and
    what is refused is refused with Azure's code and text.

    \b
    The document's cluster, and the one of its chapter on kubenet:
      podwire up
      podwire up --name kubenet --network-plugin kubenet --pod-cidr 10.100.0.0/16
    Transparent mode, two nodes:
      podwire up --name policy --network-policy azure --nodes 2
    """
    if empty:
        _prepare(layout, outbound=options["outbound"])
        return
    plugin = options["network_plugin"]
    vnet = document_vnet(
        vnet_cidr=options["vnet_cidr"],
        subnet_cidr=options["subnet_cidr"] or SUBNETS[plugin],
        plugin=plugin,
    )
    spec = _spec(layout, vnet, options)
    check_cluster(spec, vnet)
    check_wish(options["kubernetes_dir"], options["kubernetes_version"])
    preflight.check_root()
    preflight.check_resources(layout, spec.node_count)
    kubeconfig = user_kubeconfig.kubeconfig_path()
    user = user_kubeconfig.user_name(spec.resource_group, spec.name)
    user_kubeconfig.check(kubeconfig, lab=layout.name, context=spec.name, user=user)
    control.ensure_daemon(layout)
    wanted = {
        "vnet": cattrs.unstructure(vnet),
        "cluster": cattrs.unstructure(spec),
        "kubernetes": {
            "directory": str(options["kubernetes_dir"] or ""),
            "version": options["kubernetes_version"] or "",
        },
        "workload": workload,
        "outbound": options["outbound"],
    }
    with StepDisplay() as display:
        for event in control.request(layout, {"op": "up", "wanted": wanted}):
            display.show(event)
    _merge(layout, spec, kubeconfig, user)
    _tell(layout, spec, vnet, workload)


def _prepare(layout: LabLayout, *, outbound: bool) -> None:
    preflight.check_root()
    preflight.check_resources(layout, nodes=0)
    control.ensure_daemon(layout)
    with StepDisplay() as display:
        for event in control.request(layout, {"op": "prepare", "outbound": outbound}):
            display.show(event)
    click.echo(f'\nNext:\n  eval "$({sys.argv[0]} env{_name_option(layout)})"', err=True)
    click.echo("  az group create -n NetworkLab -l eastus", err=True)


def _name_option(layout: LabLayout) -> str:
    return "" if layout.name == DEFAULT_LAB else f" --name {layout.name}"


def _merge(layout: LabLayout, spec: ClusterSpec, path: Path, user: str) -> None:
    """Noted first, so that `down` finds the entry also when we are ended in between.

    A lab is in one kubeconfig at a time, the one of its latest `up`.
    """
    store = Store(layout.store)
    old = store.setting("merged")
    store.put_setting("merged", {"path": str(path)})
    store.close()
    if old is not None and old["path"] != str(path):
        user_kubeconfig.remove(Path(old["path"]), lab=layout.name)
    api = _facts(layout, spec)["api"]
    admin = Pki(layout.cluster(spec.key).pki).credential("admin")
    user_kubeconfig.merge(
        path, lab=layout.name, context=spec.name, user=user, server=api, credential=admin
    )


def _facts(layout: LabLayout, spec: ClusterSpec) -> dict[str, Any]:
    clusters: list[dict[str, Any]] = control.ask(layout, op="status")["clusters"]
    return next(one for one in clusters if one["name"] == spec.name)


def _spec(layout: LabLayout, vnet: VNet, options: dict[str, Any]) -> ClusterSpec:
    """Raises InvalidInputError as `az` itself does: a pod CIDR with plugin azure."""
    spec = document_cluster(layout.name, vnet, options["network_plugin"])
    if options["pod_cidr"] and not spec.is_kubenet:
        raise InvalidInputError(
            "Please specify network plugin mode `overlay` when using --pod-cidr or use network "
            "plugin `kubenet`. (The lab has no overlay.)"
        )
    max_pods = options["max_pods"]
    if max_pods is None:
        max_pods = mode_of(spec).default_max_pods
    return replace(
        spec,
        name=options["cluster"] or spec.name,
        service_cidr=options["service_cidr"],
        dns_service_ip=options["dns_service_ip"],
        pod_cidr=options["pod_cidr"] or spec.pod_cidr,
        network_policy=options["network_policy"].replace("none", ""),
        pools=(Pool("nodepool1", options["nodes"], max_pods),),
    )


def _tell(layout: LabLayout, spec: ClusterSpec, vnet: VNet, workload: bool) -> None:
    """Fig. 1 of the document, as the real kubectl prints it, and what to type next."""
    status = control.ask(layout, op="status")
    if workload:
        for what in (["svc"], ["pods", "-o", "wide", "--sort-by=.spec.nodeName"]):
            click.echo(f"$ kubectl get {' '.join(what)}", err=True)
            config = str(layout.cluster(spec.key).admin_kubeconfig)
            kubectl = [status["kubectl"], "--kubeconfig", config]
            subprocess.run([*kubectl, "get", *what], check=False)
            click.echo("", err=True)
    print_table(("RANGE", "CIDR", "WHO HAS IT"), _ranges(spec, vnet), err=True)
    click.echo("\nNext:", err=True)
    click.echo(f'  eval "$({sys.argv[0]} env{_name_option(layout)})"', err=True)
    click.echo("  kubectl get nodes -o wide", err=True)
    look = "ip route" if spec.network_policy and not spec.is_kubenet else "brctl show"
    node = spec.node_name(spec.pools[0].name, 0)
    click.echo(f"  podwire node shell {node}   # then: {look}", err=True)


def _ranges(spec: ClusterSpec, vnet: VNet) -> list[tuple[str, str, str]]:
    subnet = vnet.subnet(spec.subnet).prefix
    services = ("services", spec.service_cidr, "services; they exist on the nodes only")
    if not spec.is_kubenet:
        return [("subnet", subnet, "nodes and pods"), services]
    pods = ("pods", spec.pod_cidr, "pods; a /24 a node, a route to each")
    return [("subnet", subnet, "nodes"), pods, services]
