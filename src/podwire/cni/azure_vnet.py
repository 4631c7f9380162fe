"""azure-vnet, the network plugin: ADD, DEL and CHECK of a pod's attachment.

Source: CNI specification 1.0.0; Azure CNI v1.1.8 (configuration, names, log, error texts).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import lru_cache

from podwire.cni import endpoint, gc, modes, pods, status
from podwire.cni.addresses import (
    give_back_unknown,
    ipam_result,
    refresh,
    take,
    take_from_plugin,
)
from podwire.cni.gotext import config_text, request_text, result_text
from podwire.cni.node import DEFAULT_BRIDGE, Node, find_node, known_node, wire_node
from podwire.cni.settings import Settings
from podwire.cni.workbench import Workbench
from podwire.ipam.lease import ATTACHED, OWN_IPAM, Glance, Holder, Lease, Survivor
from podwire.ipam.ledger import Ledger
from podwire.kernel.netns import NetNamespace
from podwire.kernel.pods import wired_pods
from podwire.kernel.wire import observe
from podwire.model.bridge_mode import HOST, POD, endpoint_id, host_veth_name, pod_mac
from podwire.model.cni import Request, decode_config
from podwire.model.cni_error import (
    CHECK_FAILED,
    INVALID_CONFIG,
    KERNEL_REFUSED,
    NO_ADDRESS,
    TRY_AGAIN,
    UNKNOWN_CONTAINER,
    CniError,
)
from podwire.model.cni_result import Result
from podwire.model.errors import KernelError, PodwireError
from podwire.model.netconf import NetConf
from podwire.model.wiring import diff


class AzureVnet:
    """The plugin in one process. Each verb logs its call, also when it fails."""

    def __init__(self, settings: Settings, bench: Workbench | None = None) -> None:
        self._settings = settings
        self._bench = bench or Workbench(settings)
        self._log = self._bench.log("azure-vnet")

    def add(self, request: Request) -> Result:
        """Give the pod its network; once more, the same answer. Raises PodwireError; then nothing
        of this call is left, or a later call removes it."""
        with self._call(request) as done:
            conf = self._read(request)
            _refuse_other_modes(conf)
            with self._bench.host() as host, self._ledger(conf.bridge, host) as ledger:
                glance = ledger.glance()
                pods.recover(ledger, request, host, self._log, glance.unfinished)
                with endpoint.pod_namespace(request, host) as pod:
                    result = self._add(request, conf, ledger, {HOST: host, POD: pod}, glance)
            done["result"] = result
            return result

    def delete(self, request: Request) -> None:
        """Take the pod's network away. Nothing of it being there is success."""
        with self._call(request):
            network, bridge = endpoint.names_of(request.config)
            with self._bench.host() as host, self._ledger(bridge, host) as ledger:
                pods.recover(ledger, request, host, self._log)
                self._delete(request, network, ledger, host)

    def check(self, request: Request) -> None:
        """Raises CniError 104 with each difference between the kernel and the wiring, in words."""
        with self._call(request):
            conf = self._read(request)
            _refuse_other_modes(conf)
            with self._bench.host() as host, self._ledger(conf.bridge, host) as ledger:
                lease = self._attached(request, conf, ledger)
                modes.agree(conf.mode, ledger, host, conf.bridge)
                node = known_node(conf, ledger, host)
                with endpoint.pod_namespace(request, host) as pod:
                    wanted = node.wiring + pods.wiring_of(lease, node)
                    found = diff(wanted, observe(wanted, {HOST: host, POD: pod}))
            said = [endpoint.difference_text(one) for one in found] + endpoint.against_previous(
                conf, lease
            )
            if said:
                raise CniError(
                    CHECK_FAILED, f"the pod's network is not as wired: {'; '.join(said)}"
                )

    def gc(self, request: Request) -> None:
        """Remove every attachment that `cni.dev/valid-attachments` does not list. Another IPAM
        plugin hears of each by DEL, as of the journal's end. Raises CniError 7, 100."""
        with self._call(request):
            _, bridge = endpoint.names_of(request.config)
            gc.valid_attachments(request.config)
            with self._bench.host() as host, self._ledger(bridge, host) as ledger:
                pods.recover(ledger, request, host, self._log)
                gc.remove_all(
                    gc.stale(ledger, request.config, wired=True),
                    lambda lease: pods.remove(ledger, lease, request, host, self._log),
                )

    def status(self, request: Request) -> None:
        """Raises CniError 50, or 51 when the pods that are there suffer too."""
        with self._call(request):
            conf = self._read(request)
            _refuse_other_modes(conf)
            with self._bench.host() as host, self._ledger(conf.bridge, host) as ledger:
                status.addresses(
                    conf.ipam.type,
                    request,
                    lambda: refresh(ledger, self._settings, self._log, request),
                )
                status.network(ledger, lambda: find_node(conf, ledger, host))

    def crashed(self, trace: str) -> None:
        self._log.write(f"[azure-vnet] [cni-net] {trace}")

    def _add(
        self,
        request: Request,
        conf: NetConf,
        ledger: Ledger,
        places: dict[str, NetNamespace],
        glance: Glance,
    ) -> Result:
        pool, ours = glance.pool, conf.ipam.type in ("", OWN_IPAM)
        if ours and refresh(ledger, self._settings, self._log, request, glance):
            pool = ledger.pool()
        node = wire_node(
            conf,
            ledger,
            pool,
            places[HOST],
            self._bench,
            self._log,
            restore=lambda: pods.restore(ledger, places[HOST], self._log),
        )
        holder = endpoint.holder_of(request, conf, node.bridge)
        subnet = pool.subnet or node.uplink.addresses[0]
        self._log.write(f"[cni-net] Found network {conf.name} with subnet {subnet}.")
        lease = self._take(request, conf, ledger, holder, node, places)
        if lease.unknown:  # the kernel told of it, and the wire server lists it no more
            pods.remove(ledger, lease, request, places[HOST], self._log)
            lease = self._take(request, conf, ledger, holder, node, places)
        if lease.state == ATTACHED:
            have = pods.wiring_of(lease, node)
            if lease.container_id and not diff(have, observe(have, places)):
                return endpoint.result_of(lease, have, conf)
            holder = replace(holder, host_link=lease.host_link or holder.host_link)
            lease = ledger.take_over(lease, holder)
        try:
            modes.agree(conf.mode, ledger, places[HOST], conf.bridge)
            lease = endpoint.own_link(ledger, lease, holder, request)
            self._log.write(
                f"[cni-net] Creating endpoint {endpoint_id(request.container_id, request.ifname)}."
            )
            wiring = pods.wiring_of(lease, node)
            pods.wire(ledger, lease, wiring, places, self._log)
            return endpoint.result_of(lease, wiring, conf)
        except BaseException as error:
            self._roll_back(ledger, lease, request, places[HOST])
            if isinstance(error, KernelError):
                raise CniError(KERNEL_REFUSED, f"Failed to create endpoint: {error}") from error
            raise

    def _take(
        self,
        request: Request,
        conf: NetConf,
        ledger: Ledger,
        holder: Holder,
        node: Node,
        places: dict[str, NetNamespace],
    ) -> Lease:
        """An address for the pod, from what pods that are gone still hold when nothing is free."""
        self._log.write(f"[cni] Calling plugin {holder.ipam} ADD nwCfg:{config_text(conf)}.")
        host = places[HOST]

        def take_one() -> Lease:
            if holder.ipam == OWN_IPAM:
                card, both = node.uplink.mac, node.uplink.dual_stack
                return take(ledger, holder, request, self._settings, mac=card, both=both)
            return take_from_plugin(
                *(ledger, holder, request),
                link=lambda: pods.wire_link(holder, node, places),
                undo=lambda lease: pods.remove(ledger, lease, request, host, self._log),
            )

        try:
            lease = take_one()
        except CniError as error:
            if not self._is_released(error, request, ledger, host):
                self._log.write(f"[cni] Plugin {holder.ipam} returned err:{error}.")
                raise
            lease = take_one()
        told = result_text(ipam_result(lease, conf.dns.nameservers), interfaces=False)
        self._log.write(f"[cni] Plugin {holder.ipam} returned result:{told}, err:<nil>.")
        return lease

    def _is_released(
        self, error: CniError, request: Request, ledger: Ledger, host: NetNamespace
    ) -> bool:
        """Whether what stood in the way of an address is gone now."""
        if error.code == NO_ADDRESS:
            if pods.reclaim(ledger, request, host, self._log):
                return True
            return pods.await_release(ledger, self._settings.lock_wait)
        if error.code == TRY_AGAIN:
            return pods.await_release(ledger, self._settings.lock_wait, request.container_id)
        return False

    def _roll_back(
        self, ledger: Ledger, lease: Lease, request: Request, host: NetNamespace
    ) -> None:
        self._log.write("CNI error. Delete Endpoint and rules that are created.")
        try:
            pods.remove(ledger, lease, request, host, self._log)
        except PodwireError as error:
            self._log.write(f"[cni-net] Cannot undo yet: {error}; the next call does.")

    def _delete(self, request: Request, network: str, ledger: Ledger, host: NetNamespace) -> None:
        names = (network, request.container_id, request.ifname)
        label = endpoint_id(request.container_id, request.ifname)
        deadline = time.monotonic() + self._settings.lock_wait
        while True:
            lease = ledger.find_surely(request.container_id, request.ifname, pod_mac(*names))
            if lease is None:
                break
            self._log.write(f"[net] Deleting endpoint {label} from network {network}.")
            try:
                later, waiting = self._bench.later, request.waiting
                if pods.remove(ledger, lease, request, host, self._log, later, waiting):
                    return
            except KernelError as error:
                raise CniError(TRY_AGAIN, f"failed to delete endpoint: {error}") from error
            if time.monotonic() > deadline or not request.waiting():
                raise CniError(TRY_AGAIN, f"{label} is {lease.state} in process {lease.owner_pid}")
            time.sleep(0.02)
        self._log.write(f"[cni-net] Endpoint {label} holds no address.")
        if request.waiting():  # else it may be another ADD's by now
            pods.unwire_link(host_veth_name(*names), request.ifname, host)
        give_back_unknown(request)

    def _attached(self, request: Request, conf: NetConf, ledger: Ledger) -> Lease:
        mac = pod_mac(conf.name, request.container_id, request.ifname)
        lease = ledger.find(request.container_id, request.ifname, mac)
        if lease is None or not lease.container_id:
            raise CniError(
                UNKNOWN_CONTAINER,
                f"Endpoint not found: container {request.container_id} has no {request.ifname} "
                "here; ADD it again",
            )
        if lease.state != ATTACHED:
            raise CniError(TRY_AGAIN, f"{request.ifname} is {lease.state} in another call")
        return lease

    def _read(self, request: Request) -> NetConf:
        conf = _conf_of(request.stdin) if request.stdin else NetConf.parse(request.config)
        self._log.write(f"[cni-net] Read network configuration {config_text(conf)}.")
        return conf

    def _ledger(self, bridge: str, host: NetNamespace) -> AbstractContextManager[Ledger]:
        name = bridge or DEFAULT_BRIDGE

        def survivors() -> Iterator[Survivor]:
            for one in wired_pods(host, name):
                self._log.write(f"[ipam] Adopting {one.ip}, which the kernel shows in use.")
                yield Survivor(*one)

        return self._bench.ledger(survivors)

    @contextmanager
    def _call(self, request: Request) -> Iterator[dict[str, Result]]:
        """The first and the last line of a call."""
        started = time.monotonic()
        verb, done = request.command, dict[str, Result]()
        with self._log.gathered():
            text = request_text(request)
            self._log.write(f"[cni-net] Processing {verb} command with args {text}.")
            try:
                yield done
            except BaseException as error:
                self._log.write(f"[azure-vnet] [cni-net] {error}{_details(error)}.")
                self._log.write(self._completion(request, f"err:{error}", started))
                raise
            said = f"result:{result_text(done['result'], interfaces=True)} " if done else ""
            self._log.write(self._completion(request, f"{said}err:<nil>", started))

    def _completion(self, request: Request, said: str, started: float) -> str:
        pod = f"{request.pod_namespace}/{request.pod_name}"
        if not request.pod_name:
            pod = request.container_id
        took = (time.monotonic() - started) * 1000
        return (
            f"[cni-net] {request.command} command completed with {said}. "
            f"Pod:{pod} Duration:{took:.1f}ms"
        )


@lru_cache(maxsize=4)
def _conf_of(stdin: str) -> NetConf:
    """Kept: call after call, a node's runtime sends the same."""
    return NetConf.parse(decode_config(stdin.encode())[1])


def _details(error: BaseException) -> str:
    return f" ({error.details})" if isinstance(error, CniError) and error.details else ""


def _refuse_other_modes(conf: NetConf) -> None:
    modes.supported(conf.mode)
    if conf.multi_tenancy:
        raise CniError(
            INVALID_CONFIG,
            "network configuration: multiTenancy is true; this version has no CNS to ask: "
            "set it to false",
        )
