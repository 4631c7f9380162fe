"""CHECK finds each IPv6 object that was removed or altered, and names it; ADD repairs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from podwire.cni import pods
from podwire.cni.node import known_node
from podwire.kernel.wire import describe
from podwire.model.netconf import NetConf
from podwire.model.wiring import KernelObject

from ..cni import dual
from ..cni.node import CONFIG, Node, Pod
from .harm import harms
from .harness import call, leases
from .test_every_object import run


@pytest.fixture(params=["bridge", "transparent"])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {**CONFIG, "mode": request.param}


def ipv6_objects(node: Node, pod: Pod, config: dict[str, Any]) -> Iterator[KernelObject]:
    with node.ledger() as ledger:
        found = known_node(NetConf.parse(config), ledger, node.netns)
    (lease,) = [one for one in leases(node) if one.container_id == pod.id]
    for one in found.wiring + pods.wiring_of(lease, found):
        name = describe(one)
        if ":" in name or "net/ipv6" in name:
            yield one


def test_check_finds_and_add_repairs_every_ipv6_object(node: Node, config: dict[str, Any]) -> None:
    dual.plain(node)
    subject, bystander = node.pod("a" * 64), node.pod("b" * 64)
    for pod in (subject, bystander):
        pod.name = f"pod-{pod.id[0]}"
        assert call(node, "ADD", pod, config).status == 0
    objects = list(ipv6_objects(node, subject, config))
    wrong = []
    for one in objects:
        for what, place, command in harms(one):
            run(node, subject, place, command)
            said = str(call(node, "CHECK", subject, config).document)
            if describe(one) not in said:
                wrong.append(f"{describe(one)} {what}: CHECK says {said}")
            if what == "another gateway" and place == "host":
                node.run(*f"ip route replace ::/0 via {dual.PLAIN_GATEWAY} dev azure0".split())
            assert call(node, "ADD", subject, config).status == 0
            for pod in (subject, bystander):
                if said := call(node, "CHECK", pod, config).document:
                    wrong.append(f"{describe(one)} {what}, ADD again; {pod.id[0]}: {said}")
                    call(node, "ADD", pod, config)
    assert not wrong, "\n".join(wrong)
    assert len(objects) > (8 if config["mode"] == "transparent" else 14)
    dual.ping6(subject.netns, f"{dual.PREFIX}6")
    for pod in (subject, bystander):
        assert call(node, "DEL", pod, config).status == 0
    assert dual.PREFIX + "5" not in node.run("ip", "-6", "route")
