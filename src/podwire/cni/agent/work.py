"""What the agent does: a call through the plugins' own code, recovery, and the gauges.

Must not know sockets or frames' bytes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

from podwire.cni import pods
from podwire.cni.agent.frame import BadFrameError, Call
from podwire.cni.agent.metrics import Metrics
from podwire.cni.agent.resident import Resident
from podwire.cni.azure_vnet import AzureVnet
from podwire.cni.azure_vnet_ipam import AzureVnetIpam
from podwire.cni.holdings import COOLING, FREE, count, holdings
from podwire.cni.log import Log
from podwire.cni.protocol import Plugin, answer
from podwire.cni.settings import Settings
from podwire.cni.workbench import Workbench
from podwire.ipam.lease import ATTACHED, OWN_IPAM
from podwire.ipam.ledger import FILE, Ledger
from podwire.kernel.netns import NetNamespace
from podwire.model.cni import VERBS, Request
from podwire.model.errors import PodwireError

_PLUGINS: dict[str, Callable[[Settings, Workbench], Plugin]] = {
    "azure-vnet": AzureVnet,
    "azure-vnet-ipam": AzureVnetIpam,
}


class Work:
    """One per agent; a thread has one call at a time, and owns what the call takes."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self._settings = settings
        self._bench = Resident(settings)

    def answer(self, call: Call) -> tuple[int, bytes]:
        """(exit status, stdout), as the in-process plugin gives them. Raises BadFrameError."""
        if call.plugin not in _PLUGINS:
            raise BadFrameError(f"there is no plugin {call.plugin!r} here")
        started = time.monotonic()

        def make() -> Plugin:
            return _PLUGINS[call.plugin](self._settings, self._bench)

        document, status = answer(call.plugin, make, call.env, lambda: call.stdin, call.waiting)
        verb = call.env.get("CNI_COMMAND", "")
        code = document["code"] if status and document else 0
        known = verb if verb in VERBS else "other"
        self.metrics.count(known, time.monotonic() - started, code)
        return status, b"" if document is None else json.dumps(document).encode() + b"\n"

    def after(self) -> bool:
        """What the caller did not wait for. Whether the thread may take another call: one that
        left something unfinished must end, so that others see it abandoned."""
        return self._bench.finished()

    def leave(self) -> None:
        """The calling thread takes no more calls."""
        self._bench.leave()

    def close(self) -> None:
        self._bench.close()

    def recover(self) -> int:
        """Undo what calls that died left; how many. What another IPAM plugin gave waits for the
        next call, which knows where that plugin is. Raises PodwireError."""
        if not os.path.exists(os.path.join(self._settings.state_dir, FILE)):
            return 0
        log = Log.of(self._settings, "azure-vnet")
        done = 0
        with NetNamespace.current() as host, self._ledger() as ledger:
            for lease in ledger.abandoned():
                if lease.ipam == OWN_IPAM:
                    log.write(f"[cni-net] Recovering {lease.state} {lease.address or 'lease'}.")
                    done += pods.remove(ledger, lease, Request("DEL"), host, log)
        return done

    def exposition(self) -> str:
        """Prometheus' text."""
        return self.metrics.text(self._gauges())

    def _gauges(self) -> dict[str, tuple[str, float]]:
        path = os.path.join(self._settings.state_dir, FILE)
        try:
            with self._ledger() as ledger:
                addresses, leases = ledger.addresses(), ledger.leases()
            size = os.path.getsize(path)
        except (PodwireError, OSError):
            return {}  # no ledger yet: nothing to tell is no failure of the agent
        cooling = self._settings.cooling_seconds
        states = count(holdings(addresses, leases, now=time.time(), cooling=cooling))
        gauges = {
            "ipam_addresses_free": (
                "Addresses that nobody holds and that do not cool.",
                states[FREE],
            ),
            "ipam_addresses_cooling": ("Addresses freed just now: given last.", states[COOLING]),
            "ipam_addresses_used": ("Addresses that are held.", len(leases)),
            "ipam_addresses_leaked": (
                "Held addresses whose pod is gone or whose call died: `podwire ipam check`.",
                sum(pods.is_leaked(one) for one in leases),
            ),
            "ipam_leases_working": (
                "Leases whose network is being made or removed.",
                sum(one.state != ATTACHED for one in leases),
            ),
            "ledger_bytes": ("The ledger's file.", size),
        }
        return {f"podwire_{name}": (told, float(value)) for name, (told, value) in gauges.items()}

    def _ledger(self) -> Ledger:
        return Ledger.open(self._settings.state_dir, create=False, wait=self._settings.lock_wait)
