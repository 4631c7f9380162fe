"""How a cluster comes to be: what each step does. Which steps there are says `bringup`.

The one place where VNet, cluster and programs meet. Every step is idempotent, so that a daemon that
starts again over an old store goes the same way.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import yaml
from dnslib import DNSRecord

from podwire.cluster import (
    bootstrap,
    containerd,
    control_plane,
    kube_proxy,
    kubelet,
    kubenet,
    registry,
    ssh,
)
from podwire.cluster.api_client import ApiClient
from podwire.cluster.cni_agent import agent_program
from podwire.cluster.furnish import furnish, furnish_kubenet
from podwire.cluster.ip_masq import apply_ip_masq_agent, non_masquerade_cidrs
from podwire.cluster.kubeconfig import kubeconfig, write_kubeconfig
from podwire.cluster.manifests import NGINX_FILE, cluster_dns_manifest
from podwire.cluster.node import Node
from podwire.cluster.node_root import Step as NodeStep
from podwire.cluster.pki import Pki
from podwire.kernel.netns import NetNamespace
from podwire.lab.cluster import Cluster
from podwire.lab.controllers import keep_controllers
from podwire.lab.lab_node import LabNode
from podwire.lab.materials import OWN
from podwire.lab.nics import Member, members, plug_control_plane, pool_row, release
from podwire.lab.relay import Relay, connect_in, loopback_listener
from podwire.lab.store import Access
from podwire.model.cluster import API_PORT, MIRROR_PORT, PLATFORM_ADDRESS, REGISTRY_PORT
from podwire.model.errors import ApiError, ProcessError, UnavailableError
from podwire.model.progress import Progress
from podwire.model.vnet import Nic

_DNS_TIMEOUT = 60.0
_WORKLOAD_TIMEOUT = 120.0
_DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")


class Builder:
    """Builds one cluster, or what is missing of it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.site, self.network = cluster.site, cluster.network
        self.layout, self.materials = cluster.layout, cluster.site.materials
        self.nic = plug_control_plane(cluster.site, cluster.spec, cluster.network.vnet)

    @property
    def api_address(self) -> str:
        return self.nic.primary

    async def certificates(self, _: Progress) -> None:
        nodes = {
            one.nic.name: one.nic.primary for one in members(self.site.store, self.cluster.spec)
        }
        await asyncio.to_thread(
            Pki.ensure, self.layout.pki, self.cluster.spec, self.api_address, nodes
        )

    async def control_plane(self, _: Progress) -> None:
        cluster, pki = self.cluster, self.cluster.pki
        space = cluster.space = self.network.plug(self.nic)
        await asyncio.to_thread(
            control_plane.prepare_control_plane, pki, self.layout, self.api_address
        )
        programs = control_plane.control_plane_programs(
            cluster.spec,
            self.materials.binaries,
            containerd.find_program(self.materials.trees, "etcd"),
            pki,
            self.layout,
            self.api_address,
            space.path,
            self.site.cgroups.group(self.layout.directory),
        )
        admin = pki.credential("admin")
        cluster.api = ApiClient((self.api_address, API_PORT), admin, namespace=space)
        await self._relay_api(space)
        await control_plane.start_control_plane(self.site.supervisor, programs, cluster.api)

    async def _relay_api(self, space: NetNamespace) -> None:
        """127.0.0.1:PORT of the machine -> the API server. The port stays its own."""
        setting = self.cluster.port_setting
        kept = self.site.store.setting(setting)
        listener = loopback_listener(kept["port"] if kept else 0)
        self.cluster.api_port = listener.getsockname()[1]
        self.site.store.put_setting(setting, {"port": self.cluster.api_port})
        self.cluster.relay = Relay(listener, lambda: connect_in(space, self.api_address, API_PORT))
        await self.cluster.relay.start()

    async def bootstrap(self, _: Progress) -> None:
        """What a new cluster is given through the API, and the admin's kubeconfig."""
        cluster, spec = self.cluster, self.cluster.spec
        admin = kubeconfig(
            cluster.server, cluster.pki.credential("admin"), user="admin", name=spec.name
        )
        write_kubeconfig(self.layout.admin_kubeconfig, admin)
        running = list(self.site.supervisor.running.values())
        await control_plane.wait_ready(cluster.client, running)
        dns = cluster_dns_manifest(spec.dns_service_ip)
        await bootstrap.apply_bootstrap(cluster.client, yaml.safe_load_all(dns))
        wanted = {one.nic.name for one in members(self.site.store, spec)}
        await bootstrap.forget_nodes(cluster.client, keep=wanted)
        await apply_ip_masq_agent(cluster.client, self._unmasqueraded())
        keep_controllers(cluster)

    def _unmasqueraded(self) -> tuple[str, ...]:
        spec, vnet = self.cluster.spec, self.network.vnet
        subnet = vnet.subnet(spec.subnet).prefix
        return tuple(non_masquerade_cidrs(vnet.prefixes, subnet, spec.service_cidr, spec.pod_cidr))

    async def boot_node(self, member: Member) -> None:
        """Namespaces, files, eth0, Docker API, CNI agent, containerd."""
        cluster, nic = self.cluster, member.nic
        node = Node(
            nic.name,
            self.site.layout,
            self.site.cgroups,
            ip=nic.primary,
            inside=(self.materials.binaries.directory,),
            steps=self._node_steps(member),
        )
        self.network.enter(nic, cluster.spec)
        mode = "transparent" if cluster.spec.network_policy else "bridge"
        put = furnish_kubenet if self.cluster.spec.is_kubenet else partial(furnish, mode=mode)
        lab_node = LabNode(
            node,
            nic,
            self.network.fabric,
            self.site.supervisor,
            put,
            pool=member.pool.name,
            instance=member.number,
        )
        cluster.nodes[nic.name] = lab_node
        await lab_node.boot()
        access = self.site.store.get(Access, pool_row(cluster.spec, member.pool.name)) or Access()
        await lab_node.grant(access.of(member.number))
        keeper = partial(kubenet.keeper_program, pod_cidr=cluster.spec.pod_cidr)
        wiring = keeper if self.cluster.spec.is_kubenet else agent_program
        await lab_node.start(wiring, containerd.containerd_program, ssh.sshd_program)

    def _node_steps(self, member: Member) -> tuple[NodeStep, ...]:
        nic = member.nic
        local = f"http://{PLATFORM_ADDRESS}:{REGISTRY_PORT}"
        mirror = f"http://{PLATFORM_ADDRESS}:{MIRROR_PORT}" if self.materials.mirror else None
        mirrors = registry.containerd_mirrors(local, mirror)
        pki, program = self.cluster.pki, self.materials.binaries.program
        secrets = kubelet.KubeletSecrets.of(pki, nic.name, self.api_address)
        proxy = kube_proxy.kube_proxy_kubeconfig(pki, self.api_address)
        return (
            containerd.program_link(OWN),
            *containerd.containerd_steps(
                self.materials.trees,
                mirrors,
                cni_template=kubenet.TEMPLATE if self.cluster.spec.is_kubenet else "",
            ),
            *(kubenet.kubenet_steps() if self.cluster.spec.is_kubenet else ()),
            *ssh.sshd_steps(self.materials.ssh, self.site.layout.node_state(nic.name)),
            *kubelet.kubelet_steps(self._settings(member), program("kubelet"), secrets),
            *kube_proxy.kube_proxy_steps(
                nic.name, self._pod_range(nic), program("kube-proxy"), proxy
            ),
        )

    def _pod_range(self, nic: Nic) -> str:
        return self.cluster.spec.pod_cidr if self.cluster.spec.is_kubenet else nic.subnet.prefix

    def _settings(self, member: Member) -> kubelet.KubeletSettings:
        spec, nic, pool = self.cluster.spec, member.nic, member.pool
        return kubelet.KubeletSettings(
            nic.name,
            nic.primary,
            self.materials.binaries.version,
            spec.dns_service_ip,
            pool.max_pods,
            kubelet.node_labels(spec, pool),
        )

    async def join_node(self, member: Member) -> None:
        lab_node = self.cluster.nodes[member.nic.name]
        await containerd.wait_containerd(lab_node.node)
        settings = self._settings(member)
        await lab_node.start(
            lambda node: kubelet.kubelet_program(node, settings), kube_proxy.kube_proxy_program
        )

    async def node_ready(self, member: Member) -> None:
        client, name = self.cluster.client, member.nic.name
        labels = bootstrap.node_labels(self.cluster.spec, member.pool)
        await bootstrap.label_node(client, name, labels)
        await bootstrap.wait_node_ready(client, name)
        self.cluster.nodes[name].watch()

    async def drain(self, name: str) -> None:
        """Its pods go elsewhere, or end, within their own grace periods.

        Raises ProcessError when one may not be evicted in time, as a disruption budget can demand.
        """
        await self.kubectl("drain", name, *_DRAIN)

    async def end_node(self, name: str) -> None:
        """Its machine and its Node object are gone; the NIC's row is the caller's."""
        with suppress(ApiError):
            await self.cluster.client.delete(f"/api/v1/nodes/{name}")
        lab_node = self.cluster.nodes.pop(name)
        await lab_node.end()
        self.network.unplug(name)

    async def remove_node(self, name: str) -> None:
        """Drained, ended, and its addresses free."""
        await self.drain(name)
        await self.end_node(name)
        self.cluster.pki.remove_node(name)
        release(self.site.store, name)

    async def dns(self, _: Progress) -> None:
        """kubernetes.default resolves through the service, asked from a node."""
        pid = self.cluster.first_node().node.pid
        assert pid is not None
        name, server = "kubernetes.default.svc.cluster.local", self.cluster.spec.dns_service_ip
        with NetNamespace.open(pid) as space:

            async def answers() -> bool:
                return await asyncio.to_thread(_resolves, space, server, name)

            await _until(answers, _DNS_TIMEOUT, f"cluster DNS does not answer for {name}")

    async def workload(self, progress: Progress) -> None:
        client = self.cluster.client
        await bootstrap.wait_default_account(client)
        await self.kubectl("apply", "-f", str(NGINX_FILE))
        path = "/apis/apps/v1/namespaces/default/deployments/nginx"

        async def runs() -> bool:
            found = await client.get(path)
            ready = found.get("status", {}).get("readyReplicas", 0)
            want = min(found["spec"]["replicas"], self.cluster.spec.node_count)
            progress(f"{ready} of {want} pods ready", ready / want)
            return bool(ready >= want)

        await _until(runs, _WORKLOAD_TIMEOUT, "the nginx pods do not run; `kubectl describe pods`")

    async def kubectl(self, *words: str) -> None:
        """As the reader would: a later `kubectl apply` of the same file then changes nothing."""
        config = str(self.layout.admin_kubeconfig)
        argv = [str(self.materials.binaries.program("kubectl")), "--kubeconfig", config, *words]
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        if process.returncode:
            raise ProcessError(f"kubectl {' '.join(words)}: {said.decode().strip()}")


def _resolves(space: NetNamespace, server: str, name: str) -> bool:
    with space.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.3)
        try:
            asker.sendto(DNSRecord.question(name).pack(), (server, 53))
            return bool(DNSRecord.parse(asker.recv(4096)).rr)
        except OSError:
            return False


async def _until(check: Callable[[], Any], timeout: float, failure: str) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while not await check():
        if loop.time() > end:
            raise UnavailableError(f"{failure} (waited {timeout:g} s)")
        await asyncio.sleep(0.1)
