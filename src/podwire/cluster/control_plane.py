"""The managed control plane: etcd, API server, controller manager and scheduler as programs.

They share one network namespace that is no node's, as in AKS: the API server listens on all its
addresses, everything else on its loopback alone. Source: the flags of Kubernetes 1.20 (and what
later releases dropped), etcd 3.4.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from podwire.cluster.api_client import ApiClient
from podwire.cluster.kubeconfig import kubeconfig, write_kubeconfig
from podwire.cluster.pki import Pki
from podwire.kernel.process import Program, Running, Supervisor, log_tail
from podwire.model.cluster import API_PORT, CLUSTER_DOMAIN, ClusterSpec
from podwire.model.errors import PodwireError, ProcessError, UnavailableError
from podwire.model.ip_modes import NODE_PREFIX
from podwire.model.layout import ClusterLayout

_ETCD_CLIENT = "https://127.0.0.1:2379"
_ETCD_PEER = "https://127.0.0.1:2380"
_ISSUER = f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}"
_POLL = 0.05
_HOPELESS = 4

_ENV = {"GOMAXPROCS": "2", "GODEBUG": "madvdontneed=1", "NO_PROXY": "*", "no_proxy": "*"}
"""Go 1.15 keeps freed memory mapped unless told so (later releases do it by themselves). A proxy of
the user's shell must not carry the API server's calls to kubelets and webhooks."""


class Binaries(Protocol):
    """version: as in 1.20.2 or v1.20.2; directory: has kube-apiserver and its like."""

    @property
    def version(self) -> str: ...
    @property
    def directory(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class _Place:
    """What all four programs are told: where they run and where their files are."""

    layout: ClusterLayout
    pki: Pki
    address: str
    netns: str
    cgroups: tuple[Path, ...]

    def program(self, name: str, executable: Path, *flags: str) -> Program:
        return Program(
            name=name,
            argv=(str(executable), *flags),
            log=self.layout.log(name),
            node=self.layout.directory,
            env=_ENV,
            netns=self.netns,
            cgroups=self.cgroups,
        )


def control_plane_programs(
    spec: ClusterSpec,
    binaries: Binaries,
    etcd: Path,
    pki: Pki,
    layout: ClusterLayout,
    address: str,
    netns: str,
    cgroups: Sequence[Path] = (),
) -> tuple[Program, ...]:
    """The four programs, in the order in which `start_control_plane` starts them.

    etcd: its executable; netns: path of the network namespace, with `address` on its eth0.
    `prepare_control_plane` must have run.
    """
    place = _Place(layout, pki, address, netns, tuple(cgroups))
    old = _minor(binaries.version) < 23
    return (
        _etcd(place, etcd),
        _apiserver(place, binaries.directory / "kube-apiserver", spec),
        _controller_manager(place, binaries.directory / "kube-controller-manager", old, spec),
        _scheduler(place, binaries.directory / "kube-scheduler", old),
    )


def api_url(address: str) -> str:
    """The API server as nodes and pods reach it."""
    return f"https://{address}:{API_PORT}"


def prepare_control_plane(pki: Pki, layout: ClusterLayout, address: str) -> None:
    """Write what the programs read besides certificates: two kubeconfigs, etcd's directory."""
    directory = layout.control_plane
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / "etcd").mkdir(mode=0o700, exist_ok=True)
    for name in ("controller-manager", "scheduler"):
        config = kubeconfig(
            api_url(address), pki.credential(name), user=f"system:kube-{name}", embed=False
        )
        write_kubeconfig(directory / f"{name}.kubeconfig", config)


def _etcd(place: _Place, executable: Path) -> Program:
    """No fsync: what a killed etcd wrote is in the page cache and survives it; only a crash of
    the whole machine may lose it. Entries since the last snapshot are held in memory: few here."""
    pki = place.pki
    certificate, key = pki.certificate("etcd-server"), pki.key("etcd-server")
    return place.program(
        "etcd",
        executable,
        "--name=podwire",
        f"--data-dir={place.layout.control_plane / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={_ETCD_CLIENT}",
        f"--advertise-client-urls={_ETCD_CLIENT}",
        f"--listen-peer-urls={_ETCD_PEER}",
        f"--initial-advertise-peer-urls={_ETCD_PEER}",
        f"--initial-cluster=podwire={_ETCD_PEER}",
        "--client-cert-auth",
        f"--trusted-ca-file={pki.etcd_ca}",
        f"--cert-file={certificate}",
        f"--key-file={key}",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={pki.etcd_ca}",
        f"--peer-cert-file={certificate}",
        f"--peer-key-file={key}",
        "--snapshot-count=5000",
    )


def _apiserver(place: _Place, executable: Path, spec: ClusterSpec) -> Program:
    return place.program(
        "kube-apiserver",
        executable,
        "--bind-address=0.0.0.0",
        f"--secure-port={API_PORT}",
        f"--advertise-address={place.address}",
        f"--service-cluster-ip-range={spec.service_cidr}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--kubelet-preferred-address-types=InternalIP,Hostname",
        "--profiling=false",
        *_apiserver_trust(place.pki),
    )


def _apiserver_trust(pki: Pki) -> tuple[str, ...]:
    """Whom the API server believes, and how it proves who it is: to clients, etcd and kubelets."""
    return (
        f"--cert-dir={pki.directory}",
        f"--tls-cert-file={pki.certificate('apiserver')}",
        f"--tls-private-key-file={pki.key('apiserver')}",
        f"--client-ca-file={pki.ca}",
        f"--etcd-servers={_ETCD_CLIENT}",
        f"--etcd-cafile={pki.etcd_ca}",
        f"--etcd-certfile={pki.certificate('etcd-client')}",
        f"--etcd-keyfile={pki.key('etcd-client')}",
        f"--kubelet-certificate-authority={pki.ca}",
        f"--kubelet-client-certificate={pki.certificate('apiserver-kubelet-client')}",
        f"--kubelet-client-key={pki.key('apiserver-kubelet-client')}",
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={pki.service_account_public_key}",
        f"--service-account-signing-key-file={pki.service_account_key}",
        f"--requestheader-client-ca-file={pki.front_proxy_ca}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki.certificate('front-proxy-client')}",
        f"--proxy-client-key-file={pki.key('front-proxy-client')}",
    )


def _controller_manager(place: _Place, executable: Path, old: bool, spec: ClusterSpec) -> Program:
    pki = place.pki
    return place.program(
        "kube-controller-manager",
        executable,
        *_component(place, "controller-manager", old),
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki.service_account_key}",
        f"--root-ca-file={pki.ca}",
        f"--cluster-signing-cert-file={pki.ca}",
        f"--cluster-signing-key-file={pki.key('ca')}",
        *(_pod_cidrs(spec.pod_cidr) if spec.is_kubenet else ()),
    )


def _pod_cidrs(pod_cidr: str) -> tuple[str, ...]:
    """Each node gets a part of it; the routes to those are the lab's to make."""
    return (
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={pod_cidr}",
        f"--node-cidr-mask-size={NODE_PREFIX}",
        "--configure-cloud-routes=false",
    )


def _scheduler(place: _Place, executable: Path, old: bool) -> Program:
    return place.program("kube-scheduler", executable, *_component(place, "scheduler", old))


def _component(place: _Place, name: str, old: bool) -> tuple[str, ...]:
    """No leader election: there is one of each. At the default of 20 requests a second the first
    service account would come 11.5 s after the start instead of 4.4 s. old: there is a plain-HTTP
    port to switch off.
    """
    config = place.layout.control_plane / f"{name}.kubeconfig"
    return (
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--client-ca-file={place.pki.ca}",
        f"--requestheader-client-ca-file={place.pki.front_proxy_ca}",
        "--bind-address=127.0.0.1",
        f"--tls-cert-file={place.pki.certificate(name)}",
        f"--tls-private-key-file={place.pki.key(name)}",
        "--leader-elect=false",
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--profiling=false",
        *(("--port=0",) if old else ()),
    )


def _minor(version: str) -> int:
    found = re.fullmatch(r"v?1\.(\d+)(\..*)?", version)
    if found is None:
        raise ProcessError(f"Kubernetes version {version!r} is not of the form v1.20.2")
    return int(found[1])


async def start_control_plane(
    supervisor: Supervisor,
    programs: Sequence[Program],
    client: ApiClient,
    *,
    timeout: float = 60.0,
) -> None:
    """Start etcd and the API server at once, the others as soon as it answers.

    Started sooner, they find nobody and come back only after seconds: 6.7 s instead of 4.2 s until
    a Deployment's pod is scheduled. On return nodes may register; `wait_ready` for the rest.
    """
    first, second = programs[:2], programs[2:]
    running = [await supervisor.start(one) for one in first]
    await wait_answering(client, running, timeout=timeout)
    for one in second:
        await supervisor.start(one)


async def wait_answering(
    client: ApiClient, programs: Sequence[Running] = (), *, timeout: float = 60.0
) -> None:
    """Until the API server answers at all: nodes may register then (see `wait_ready`)."""
    await _wait(client, "/livez/ping", programs, timeout)


async def wait_ready(
    client: ApiClient, programs: Sequence[Running] = (), *, timeout: float = 60.0
) -> None:
    """Until /readyz says ok: built-in roles, namespaces and priorities are there.

    programs: what the supervisor knows of them; when one keeps dying the wait ends at once.
    Raises ProcessError with the end of the log, UnavailableError after `timeout` seconds.
    """
    await _wait(client, "/readyz", programs, timeout)


async def _wait(client: ApiClient, path: str, programs: Sequence[Running], timeout: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while True:
        try:
            await client.text(path)
            return
        except PodwireError as error:
            _refuse_hopeless(programs)
            if loop.time() > end:
                raise UnavailableError(
                    f"the API server is not ready after {timeout:g} s: {error}{_logs(programs)}"
                ) from error
        await asyncio.sleep(_POLL)


def _refuse_hopeless(programs: Sequence[Running]) -> None:
    for one in programs:
        if one.restarts >= _HOPELESS:
            raise ProcessError(
                f"{one.program.label} keeps ending ({one.last_exit}); its log "
                f"{one.program.log} ends with:\n{log_tail(one.program)}"
            )


def _logs(programs: Sequence[Running]) -> str:
    return "".join(f"\nlog of {one.program.label}: {one.program.log}" for one in programs)
