"""What each step of the way up does: the one place where VNet, cluster and programs meet."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from dnslib import DNSRecord

from podwire.cluster import bootstrap, containerd, control_plane, kube_proxy, kubelet, registry
from podwire.cluster.api_client import ApiClient
from podwire.cluster.cni_agent import agent_program
from podwire.cluster.furnish import furnish
from podwire.cluster.images.build import build_images
from podwire.cluster.images.store import ImageSet
from podwire.cluster.kubeconfig import kubeconfig, write_kubeconfig
from podwire.cluster.kubernetes_binaries import KubernetesBinaries, find_kubernetes
from podwire.cluster.manifests import NGINX_FILE, cluster_dns_manifest
from podwire.cluster.node import Node
from podwire.cluster.packages import ensure_installed, unpack
from podwire.cluster.pki import Pki
from podwire.kernel.netns import NetNamespace
from podwire.kernel.process import Program
from podwire.kernel.rtnetlink import RtNetlink
from podwire.lab import preflight
from podwire.lab.lab import Lab
from podwire.lab.lab_node import LabNode
from podwire.lab.relay import Relay, connect_in, connect_unix, listen_in, loopback_listener
from podwire.lab.store import nic_from
from podwire.model.cluster import (
    API_ADDRESS,
    API_PORT,
    CONTROL_PLANE_SUBNET,
    MIRROR_PORT,
    REGISTRY_PORT,
    ClusterSpec,
)
from podwire.model.errors import ProcessError, UnavailableError
from podwire.model.progress import Progress
from podwire.model.vnet import Nic, allocate
from podwire.vnet.dns import machine_resolvers
from podwire.vnet.fabric import Fabric
from podwire.vnet.servers import serve

DAEMONS = (*containerd.PACKAGES, "etcd-server")
"""Debian packages that are unpacked into the cache, never installed: each starts a service."""
OWN = Path(sys.executable).with_name("podwire")
"""The command, for people: on the machine and on the nodes."""
_DNS_TIMEOUT = 60.0
_WORKLOAD_TIMEOUT = 120.0


class Builder:
    """One way up of one lab. wanted: what the daemon was asked for, see `podwire up`."""

    def __init__(self, lab: Lab, wanted: dict[str, Any]) -> None:
        self.lab, self.wanted = lab, wanted
        self.spec: ClusterSpec = lab.spec
        self.layout = lab.layout
        self.parts = lab.parts
        self.node_names = [self.spec.node_name(one) for one in range(self.spec.node_count)]
        self.wants_workload = bool(wanted["workload"])
        self._nics = self._allocate_nics()
        self._trees = self.layout.cache / "packages" / "daemons"
        self._binaries: KubernetesBinaries
        self._images: ImageSet
        self._pki: Pki

    def _allocate_nics(self) -> list[Nic]:
        """One NIC a node, 1 + max-pods addresses each; those of an earlier life are kept."""
        store, spec = self.lab.store, self.spec
        subnet = spec.vnet.subnet(spec.subnet)
        have = {name: nic_from(body) for name, body in store.all("nic").items()}
        with store.transaction():
            for name in self.node_names:
                if name not in have:
                    taken = [one for nic in have.values() for one in nic.addresses]
                    addresses = allocate(subnet, 1 + spec.max_pods, taken)
                    have[name] = Nic(name, mac_of(self.layout.name, name), subnet, addresses)
                    body = {
                        "name": name,
                        "mac": have[name].mac,
                        "subnet": {"name": subnet.name, "prefix": subnet.prefix},
                        "addresses": list(addresses),
                    }
                    store.put("nic", name, body)
        return [have[name] for name in self.node_names]

    async def machine(self, progress: Progress) -> None:
        def look() -> None:
            ensure_installed(preflight.TOOLS, progress)
            preflight.load_modules()
            preflight.check_kernel()

        await asyncio.to_thread(look)

    async def packages(self, progress: Progress) -> None:
        cache = self.layout.cache
        await asyncio.to_thread(unpack, DAEMONS, self._trees, progress, cache=cache)

    async def kubernetes(self, progress: Progress) -> None:
        directory = self.wanted["kubernetes_dir"]

        def find() -> KubernetesBinaries:
            return find_kubernetes(
                cache=self.layout.cache,
                directory=Path(directory) if directory else None,
                version=self.wanted["kubernetes_version"] or None,
                progress=progress,
            )

        self._binaries = await asyncio.to_thread(find)
        self.parts.kubernetes = self._binaries.version
        for program in (self._binaries.program("kubectl"), OWN):
            link = self.layout.run / "bin" / program.name
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(program)

    async def images(self, progress: Progress) -> None:
        self._images = await asyncio.to_thread(build_images, self.layout.cache, progress)

    async def hub(self, _: Progress) -> None:
        """Whether docker.io can be asked: a machine without a network finds out within 5 s."""
        self.parts.mirror = await asyncio.to_thread(registry.docker_hub_answers)

    async def vnet(self, _: Progress) -> None:
        """The fabric, its servers, and the control plane's namespace on it."""
        parts = self.parts
        parts.fabric = Fabric.create(self.spec.vnet)
        parts.servers = await serve(parts.fabric, parts.directory, machine_resolvers())
        parts.control_plane = NetNamespace.create()
        mac = mac_of(self.layout.name, "control-plane")
        nic = Nic("control-plane", mac, CONTROL_PLANE_SUBNET, (API_ADDRESS,))
        parts.fabric.attach(nic, parts.control_plane)
        _loopback_up(parts.control_plane)
        for one in self._nics:
            parts.directory.add(
                one.name,
                one,
                resource_group=self.spec.node_resource_group,
                location=self.spec.location,
            )

    @property
    def _control_plane(self) -> NetNamespace:
        assert self.parts.control_plane is not None
        return self.parts.control_plane

    async def registry(self, progress: Progress) -> None:
        """The lab's own images, and docker.io's through a mirror when that answers."""
        make = functools.partial(
            registry.registry_program,
            self.layout.cache,
            self._images,
            API_ADDRESS,
            REGISTRY_PORT,
            self.layout.log("registry"),
            self._control_plane.path,
            progress,
        )
        await self._start(await asyncio.to_thread(make))
        if self.parts.mirror:
            await self._mirror(progress)

    async def _mirror(self, progress: Progress) -> None:
        """It needs the machine's network, so it listens on a unix socket there, and is relayed."""
        path = self.layout.run / "mirror.sock"
        log = self.layout.log("mirror")
        make = functools.partial(
            registry.mirror_program, self.layout.cache, path, log, progress=progress
        )
        await self._start(await asyncio.to_thread(make))
        listener = listen_in(self._control_plane, API_ADDRESS, MIRROR_PORT)
        await self._relay(Relay(listener, lambda: connect_unix(path)))

    async def _start(self, program: Program) -> None:
        groups = self.lab.cgroups.group("control-plane")
        await self.lab.supervisor.start(replace(program, cgroups=groups))

    async def _relay(self, relay: Relay) -> None:
        await relay.start()
        self.parts.relays.append(relay)

    async def certificates(self, _: Progress) -> None:
        nodes = {nic.name: nic.primary for nic in self._nics}
        self._pki = await asyncio.to_thread(Pki.ensure, self.layout.pki, self.spec, nodes)

    async def control_plane(self, _: Progress) -> None:
        space, admin = self._control_plane, self._pki.credential("admin")
        control_plane.prepare_control_plane(self._pki, self.layout)
        programs = control_plane.control_plane_programs(
            self.spec,
            self._binaries,
            containerd.find_program(self._trees, "etcd"),
            self._pki,
            self.layout,
            space.path,
            self.lab.cgroups.group("control-plane"),
        )
        self.parts.client = ApiClient((API_ADDRESS, API_PORT), admin, namespace=space)
        await self._relay_api(space)
        await control_plane.start_control_plane(self.lab.supervisor, programs, self.parts.client)

    async def _relay_api(self, space: NetNamespace) -> None:
        """127.0.0.1:PORT of the machine -> the API server. The port stays the lab's for good."""
        kept = self.lab.store.get("setting", "api_port")
        listener = loopback_listener(kept["port"] if kept else 0)
        self.parts.api_port = listener.getsockname()[1]
        self.lab.store.put("setting", "api_port", {"port": self.parts.api_port})

        await self._relay(Relay(listener, lambda: connect_in(space, API_ADDRESS, API_PORT)))

    @property
    def _client(self) -> ApiClient:
        assert self.parts.client is not None
        return self.parts.client

    async def cluster(self, _: Progress) -> None:
        """What a new cluster is given through the API, and the admin's kubeconfig."""
        server = f"https://127.0.0.1:{self.parts.api_port}"
        admin = kubeconfig(server, self._pki.credential("admin"), user="admin", name=self.spec.name)
        write_kubeconfig(self.layout.state / "admin.kubeconfig", admin)
        running = list(self.lab.supervisor.running.values())
        await control_plane.wait_ready(self._client, running)
        dns = cluster_dns_manifest(self.spec.dns_service_ip)
        await bootstrap.apply_bootstrap(self._client, yaml.safe_load_all(dns))

    async def boot_node(self, number: int) -> None:
        """Namespaces, files, eth0, Docker API, CNI agent, containerd."""
        nic = self._nics[number]
        assert self.parts.fabric is not None
        node = Node(
            nic.name,
            self.layout,
            self.lab.cgroups,
            ip=nic.primary,
            inside=(self._binaries.directory,),
            steps=(
                containerd.program_link(OWN),
                *self._containerd_steps(),
                *self._kubelet_steps(nic),
            ),
        )
        lab_node = LabNode(node, nic, self.parts.fabric, self.lab.supervisor, furnish)
        self.parts.nodes[nic.name] = lab_node
        await lab_node.boot()
        await lab_node.start(agent_program, containerd.containerd_program)

    def _containerd_steps(self) -> tuple[Any, ...]:
        local = f"http://{API_ADDRESS}:{REGISTRY_PORT}"
        mirror = f"http://{API_ADDRESS}:{MIRROR_PORT}" if self.parts.mirror else None
        mirrors = registry.containerd_mirrors(local, mirror)
        return containerd.containerd_steps(self._trees, mirrors)

    def _settings(self, nic: Nic) -> kubelet.KubeletSettings:
        return kubelet.KubeletSettings(
            nic.name,
            nic.primary,
            self._binaries.version,
            self.spec.dns_service_ip,
            self.spec.max_pods,
            kubelet.node_labels(self.spec),
        )

    def _kubelet_steps(self, nic: Nic) -> tuple[Any, ...]:
        secrets = kubelet.KubeletSecrets.of(self._pki, nic.name)
        program = self._binaries.program
        proxy = kube_proxy.kube_proxy_kubeconfig(self._pki)
        return (
            *kubelet.kubelet_steps(self._settings(nic), program("kubelet"), secrets),
            *kube_proxy.kube_proxy_steps(nic.name, nic.subnet.prefix, program("kube-proxy"), proxy),
        )

    async def join_node(self, number: int) -> None:
        nic = self._nics[number]
        lab_node = self.parts.nodes[nic.name]
        await containerd.wait_containerd(lab_node.node)
        settings = self._settings(nic)
        await lab_node.start(
            lambda node: kubelet.kubelet_program(node, settings), kube_proxy.kube_proxy_program
        )

    async def node_ready(self, number: int) -> None:
        name = self.node_names[number]
        await bootstrap.label_node(self._client, name, bootstrap.node_labels(self.spec))
        await bootstrap.wait_node_ready(self._client, name)

    async def dns(self, _: Progress) -> None:
        """kubernetes.default resolves through the service, asked from the first node."""
        pid = self.parts.nodes[self.node_names[0]].node.pid
        assert pid is not None
        name = "kubernetes.default.svc.cluster.local"
        with NetNamespace.open(pid) as space:

            async def answers() -> bool:
                return await asyncio.to_thread(_resolves, space, self.spec.dns_service_ip, name)

            await _until(answers, _DNS_TIMEOUT, f"cluster DNS does not answer for {name}")

    async def workload(self, progress: Progress) -> None:
        await bootstrap.wait_default_account(self._client)
        await self._kubectl("apply", "-f", str(NGINX_FILE))
        path = "/apis/apps/v1/namespaces/default/deployments/nginx"

        async def runs() -> bool:
            found = await self._client.get(path)
            ready = found.get("status", {}).get("readyReplicas", 0)
            want = min(found["spec"]["replicas"], self.spec.node_count)
            progress(f"{ready} of {want} pods ready", ready / want)
            return bool(ready >= want)

        await _until(runs, _WORKLOAD_TIMEOUT, "the nginx pods do not run; `kubectl describe pods`")

    async def _kubectl(self, *words: str) -> None:
        """As the reader would: a later `kubectl apply` of the same file then changes nothing."""
        config = self.layout.state / "admin.kubeconfig"
        argv = [str(self._binaries.program("kubectl")), "--kubeconfig", str(config), *words]
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        if process.returncode:
            raise ProcessError(f"kubectl {' '.join(words)}: {said.decode().strip()}")


def mac_of(lab: str, name: str) -> str:
    """A MAC with Azure's vendor prefix, the same whenever the NIC is made again."""
    tail = hashlib.sha256(f"{lab}/{name}".encode()).digest()[:3]
    return "00:0d:3a:" + tail.hex(":")


def _loopback_up(space: NetNamespace) -> None:

    with RtNetlink(space) as door:
        door.set_link(door.index("lo"), up=True)


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
