"""The Kubernetes versions that a region has: what `az aks get-versions` lists."""

from __future__ import annotations

from podwire.arm.desk import Answer, Ask
from podwire.arm.kinds.base import Kind
from podwire.arm.store import Body


class KubernetesVersions(Kind):
    name = "Microsoft.ContainerService/locations/kubernetesVersions"

    def listing(self, ask: Ask) -> Answer:
        known = self.desk.versions()
        minors: dict[str, list[str]] = {}
        for one in known:
            minors.setdefault(one.rpartition(".")[0], []).append(one)
        return Answer(200, {"values": [_minor(name, minors[name], known) for name in minors]})


def _minor(name: str, patches: list[str], known: list[str]) -> Body:
    return {
        "version": name,
        "isDefault": known[-1] in patches,
        "isPreview": False,
        "capabilities": {"supportPlan": ["KubernetesOfficial"]},
        "patchVersions": {one: {"upgrades": known[known.index(one) + 1 :]} for one in patches},
    }
