"""Telling the cluster what is wrong: an event about the ConfigMap, from the pod's own account.

Must not know what the trouble is. Source: Kubernetes API, core/v1 Event.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
COMPONENT = "azure-ip-masq-agent"
_SECONDS = 3.0
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Teller:
    """node: where this agent runs; config_map: its name, in `namespace`; account: directory with
    `token` and `ca.crt`."""

    host: str
    port: int
    node: str
    config_map: str
    namespace: str = "kube-system"
    account: Path = ACCOUNT

    def tell(self, reason: str, message: str) -> bool:
        """A Warning event; whether the cluster has it. The same one twice is one event."""
        return in_child(lambda: self._send(reason, message))

    def _send(self, reason: str, message: str) -> None:
        """Raises OSError, HTTPException."""
        import hashlib

        base = f"/api/v1/namespaces/{self.namespace}"
        _, about = self._request("GET", f"{base}/configmaps/{self.config_map}")
        uid = about.get("metadata", {}).get("uid", "")
        version = about.get("metadata", {}).get("resourceVersion", "")
        digest = hashlib.sha256(f"{self.node}\0{version}\0{message}".encode()).hexdigest()[:16]
        event = self._event(f"{self.config_map}.{digest}", uid, reason, message)
        status, answer = self._request("POST", f"{base}/events", event)
        if status not in (201, 409):
            raise OSError(f"the API refuses the event: {status} {answer.get('message', '')}")

    def _event(self, name: str, uid: str, reason: str, message: str) -> dict[str, Any]:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        about = {"apiVersion": "v1", "kind": "ConfigMap", "name": self.config_map}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": self.namespace},
            "involvedObject": {**about, "namespace": self.namespace, "uid": uid},
            "type": "Warning",
            "reason": reason,
            "message": message[:1000],
            "source": {"component": COMPONENT, "host": self.node},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        import http.client
        import json
        import ssl

        context = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
        door = http.client.HTTPSConnection(self.host, self.port, timeout=_SECONDS, context=context)
        token = (self.account / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            door.request(method, path, json.dumps(body) if body else None, headers)
            response = door.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        finally:
            door.close()


def in_child(work: Callable[[], None]) -> bool:
    """Whether `work` went well, within three tries, in a process of its own.

    TLS costs 6 MB, which the agent then never has: such messages are rare, and there is an agent on
    every node.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    try:
        os._exit(0 if _goes_well(work) else 1)
    finally:
        os._exit(1)


def _goes_well(work: Callable[[], None]) -> bool:
    for number in range(_TRIES):
        try:
            work()
            return True
        except Exception as error:  # noqa: BLE001  the child's boundary; HTTP alone has many kinds
            os.write(2, f"no event: {type(error).__name__}: {error}\n".encode())
            if number + 1 < _TRIES:
                time.sleep(1)
    return False
