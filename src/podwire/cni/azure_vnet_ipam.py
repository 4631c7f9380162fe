"""azure-vnet-ipam, the IPAM plugin alone: addresses of the node's card for any network plugin.

Source: Azure CNI v1.1.8, cni/ipam/ipam.go (result, error texts, log). It shares azure-vnet's
ledger. Must not touch a link: the plugin that calls it makes and removes the network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from podwire.cni import gc, status
from podwire.cni.addresses import ipam_result, refresh
from podwire.cni.gotext import request_text, result_text
from podwire.cni.node import DEFAULT_BRIDGE
from podwire.cni.settings import Settings
from podwire.cni.sources import wanted
from podwire.cni.workbench import Workbench
from podwire.ipam.lease import ATTACHED, OWN_IPAM, Holder, Survivor
from podwire.ipam.ledger import Ledger
from podwire.kernel.netns import NetNamespace
from podwire.kernel.pods import wired_pods
from podwire.model.cni import Request
from podwire.model.cni_error import UNKNOWN_CONTAINER, CniError
from podwire.model.cni_result import Result
from podwire.model.netconf import IpamConf


class AzureVnetIpam:
    """The plugin in one process."""

    def __init__(self, settings: Settings, bench: Workbench | None = None) -> None:
        self._settings = settings
        self._bench = bench or Workbench(settings)
        self._log = self._bench.log("azure-vnet-ipam")

    def add(self, request: Request) -> Result:
        """An address for the container's interface; once more, the same. Raises PodwireError."""
        with self._call(request):
            IpamConf.of(request.config)
            subnet, address, address6 = wanted(request)
            if ":" in subnet:  # IPv6 alone, for who asks for that
                address, address6 = address6, ""
            with self._ledger() as ledger:
                self._forget_dead(ledger)
                refresh(ledger, self._settings, self._log, request)
                lease = ledger.allocate(
                    _holder(request),
                    subnet=subnet,
                    address=address,
                    address6=address6,
                    state=ATTACHED,
                    cooling_seconds=self._settings.cooling_seconds,
                    waiting=request.waiting,
                )
            for cidr in filter(None, (lease.cidr, lease.cidr6)):
                self._log.write(f"[cni-ipam] Allocated address {cidr}.")
            result = ipam_result(lease)
            self._log.write(f"[cni-ipam] Result {result_text(result, interfaces=False)}.")
            return result

    def delete(self, request: Request) -> None:
        """Free the address. Needs no network state and never asks the wire server."""
        with self._call(request), self._ledger() as ledger:
            freed = ledger.release(request.container_id, request.ifname)
            for address in (one for lease in freed for one in (lease.address, lease.address6)):
                if address:
                    self._log.write(f"[ipam] Released address {address}.")
            if not freed:
                self._log.write("Address not found. Not Returning error")

    def check(self, request: Request) -> None:
        """Raises CniError 3 when the container's interface holds no address."""
        with self._call(request), self._ledger() as ledger:
            if ledger.find(request.container_id, request.ifname) is None:
                raise CniError(
                    UNKNOWN_CONTAINER,
                    f"container {request.container_id} holds no address for {request.ifname}",
                )

    def gc(self, request: Request) -> None:
        """Free what `cni.dev/valid-attachments` does not list, of networks that others made."""
        with self._call(request):
            gc.valid_attachments(request.config)
            with self._ledger() as ledger:
                gc.remove_all(
                    gc.stale(ledger, request.config, wired=False),
                    lambda lease: ledger.release(lease.container_id, lease.ifname),
                )

    def status(self, request: Request) -> None:
        """Raises CniError 50 when no source of addresses was ever heard."""
        with self._call(request), self._ledger() as ledger:
            IpamConf.of(request.config)
            status.addresses(
                OWN_IPAM, request, lambda: refresh(ledger, self._settings, self._log, request)
            )

    def crashed(self, trace: str) -> None:
        self._log.write(f"[azure-vnet-ipam] [cni-ipam] {trace}")

    def _ledger(self) -> AbstractContextManager[Ledger]:
        return self._bench.ledger(_survivors)

    def _forget_dead(self, ledger: Ledger) -> None:
        """Free what pods that are gone still hold, when nothing else is free."""
        if ledger.has_free() or not ledger.pool().subnet:
            return
        for lease in ledger.leases():
            if not lease.host_link and lease.netns and not os.path.exists(lease.netns):
                self._log.write(f"[ipam] Reclaiming {lease.address}: {lease.netns} is gone.")
                ledger.release(lease.container_id, lease.ifname)

    @contextmanager
    def _call(self, request: Request) -> Iterator[None]:
        verb = request.command
        with self._log.gathered():
            text = request_text(request)
            self._log.write(f"[cni-ipam] Processing {verb} command with args {text}.")
            try:
                yield
            except BaseException as error:
                self._log.write(f"[azure-vnet-ipam] [cni-ipam] {error}.")
                self._log.write(f"[cni-ipam] {verb} command completed with err:{error}.")
                raise
            self._log.write(f"[cni-ipam] {verb} command completed with err:<nil>.")


def _holder(request: Request) -> Holder:
    holder = Holder(request.container_id, request.ifname, request.netns)
    holder = replace(holder, network=request.config.get("name", ""))
    return replace(holder, pod_namespace=request.pod_namespace, pod_name=request.pod_name)


def _survivors() -> list[Survivor]:
    with NetNamespace.current() as host:
        return [Survivor(*one) for one in wired_pods(host, DEFAULT_BRIDGE)]
