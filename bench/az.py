"""What the Azure side takes: a cluster by `az aks create` and by `podwire up`, scaling, a load
balancer's address, planning.

    python -m bench.az [--runs N]

As root, from the checkout. The real `az` of .venv-az is used when it is there (`make az`). Each
figure stands beside its goal; `bench.arm` has the endpoint's GETs.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

from bench.up import machine
from rich.console import Console
from rich.table import Table
from tests.e2e.endpoint import Arm, cluster_body, vnet_body
from tests.e2e.harness import PODWIRE, LabHarness, run

from podwire.model.ip_modes import NODE_SUBNET, Ranges
from podwire.model.node_pool import Pool
from podwire.model.plan import plan_mode
from podwire.model.vnet import Subnet

LAB, GROUP = "bench-az", "Bench"
AZ = Path(__file__).parents[1] / ".venv-az/bin/az"
SUBNET = ("nodes", "10.220.4.0/22")
SERVICE = """
apiVersion: v1
kind: Service
metadata:
  name: bench
  annotations: {service.beta.kubernetes.io/azure-load-balancer-internal: "true"}
spec: {type: LoadBalancer, selector: {run: bench}, ports: [{port: 80}]}
"""
ADDRESSES = r"jsonpath={.metadata.name}={.status.loadBalancer.ingress[0].ip}{'\n'}"
PLAN_IN = ("plan", "--subnet", "10.1.0.0/16", "--mode", "node-subnet")
PLANNED = (*PLAN_IN, "--pool", "nodepool1:1000:max-pods=60")


def seconds(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def by_up(lab: LabHarness) -> float:
    """The document's cluster of 3 nodes, daemon and all."""
    spent = seconds(lambda: lab.podwire("up", "--no-workload"))
    lab.podwire("down")
    return spent


class Azure:
    """A lab that is empty but for a group and a VNet, and what is asked of it."""

    def __init__(self, lab: LabHarness) -> None:
        self.lab = lab
        lab.podwire("up", "--empty")
        self.arm = Arm(lab.name)
        self.arm.ask("PUT", self.arm.group(GROUP), {"location": "eastus"})
        vnet = self.arm.network(GROUP, "virtualNetworks", "net")
        self.arm.done("PUT", vnet, vnet_body(SUBNET))
        self.subnet = f"{vnet}/subnets/{SUBNET[0]}"
        self.cluster = self.arm.cluster(GROUP, "one")

    def create(self) -> float:
        if not AZ.exists():
            body = cluster_body(self.subnet, 3)
            return seconds(lambda: self.arm.done("PUT", self.cluster, body))
        env = self.lab.shell_env
        words = f"aks create -g {GROUP} -n one --network-plugin azure -c 3 --max-pods 30"
        networks = f"--vnet-subnet-id {self.subnet} --service-cidr 10.200.0.0/16"
        line = f"{AZ} {words} {networks} --dns-service-ip 10.200.0.10"
        run(str(AZ), "account", "show", env=env)  # its first start writes files
        return seconds(lambda: run("/bin/bash", "-c", line, env=env, timeout=300))

    def scale(self) -> float:
        """From 3 to 10 nodes, the operation's end seen: as `az aks scale`, without its start."""

        def scale() -> None:
            body = self.arm.get(self.cluster)
            body["properties"]["agentPoolProfiles"][0]["count"] = 10
            self.arm.done("PUT", self.cluster, body)

        return seconds(scale)

    def balance(self) -> float:
        """From `kubectl apply` to the address in the Service's status, seen by a kubectl that
        watches."""
        kubectl, config = self.lab.kubectl_path, str(self._config())
        watch = [kubectl, "--kubeconfig", config, "get", "service", "--watch", "-o", ADDRESSES]
        with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            watching.stdout.readline()  # the Service kubernetes: it watches now
            begun = time.monotonic()
            self.lab.apply(SERVICE, "--kubeconfig", config)
            while not re.search("bench=[0-9]", watching.stdout.readline()):
                pass
            spent = time.monotonic() - begun
            watching.kill()
        self.lab.kubectl("--kubeconfig", config, "delete", "service", "bench")
        return spent

    def _config(self) -> Path:
        return self.arm.files.lab.cluster(f"{GROUP}/one".lower()).admin_kubeconfig


def planned() -> float:
    """The rules alone, of 1,000 nodes in a /16."""
    ranges = Ranges(Subnet("nodes", "10.1.0.0/16"), pod_cidr=IPv4Network("10.244.0.0/16"))
    return seconds(lambda: plan_mode(NODE_SUBNET, [Pool("nodepool1", 1000, 60)], ranges))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    figures: dict[str, list[float]] = {}

    def note(name: str, spent: float) -> None:
        figures.setdefault(name, []).append(spent)

    with tempfile.TemporaryDirectory() as home:
        lab = LabHarness(LAB, Path(home))
        try:
            for _ in range(runs):
                note("up", by_up(lab))
                azure = Azure(lab)
                note("create", azure.create())
                for _ in range(5):
                    note("balance", azure.balance())
                note("scale", azure.scale())
                lab.podwire("down")
                note("plan", planned())
                note("plan command", seconds(lambda: run(PODWIRE, *PLANNED)))
        finally:
            lab.podwire("down")
    report({name: statistics.median(all_) for name, all_ in figures.items()})


def report(median: dict[str, float]) -> None:
    console = Console()
    console.print(machine())
    table = Table("seconds, median", "", "goal")
    create = "az aks create" if AZ.exists() else "PUT of the cluster (no az here)"
    rows = [
        ("podwire up --no-workload, 3 nodes", median["up"], ""),
        (f"{create}, the same", median["create"], ""),
        ("  above podwire up", median["create"] - median["up"], "3"),
        ("scale 3 -> 10 nodes", median["scale"], "15"),
        ("kubectl apply -> EXTERNAL-IP", median["balance"], "3"),
        ("plan 1,000 nodes in a /16: the rules", median["plan"], "0.1"),
        ("  podwire plan, the command", median["plan command"], ""),
    ]
    for what, value, goal in rows:
        table.add_row(what, f"{value:.1f}" if abs(value) >= 0.1 else f"{value:.4f}", goal)
    console.print(table)


if __name__ == "__main__":
    main()
