"""CHECK finds each single object that was removed or altered, and names it; ADD repairs it.

A second pod beside it must be whole again too, also when what was broken is the node's.
"""

from __future__ import annotations

from podwire.cni import pods
from podwire.cni.node import find_node
from podwire.kernel.wire import describe
from podwire.model.netconf import NetConf
from podwire.model.wiring import Wiring

from ..cni.node import GATEWAY, Node, Pod
from .harm import harms, words
from .harness import agree, bare, call, leases, usable

SUBJECT, BYSTANDER = "a" * 64, "b" * 64


def wiring(node: Node, pod: Pod) -> Wiring:
    with node.ledger() as ledger:
        found = find_node(NetConf.parse(node.config), ledger, node.netns)
    lease = next(one for one in leases(node) if one.container_id == pod.id)
    return found.wiring + pods.wiring_of(lease, found)


def checked(node: Node, pod: Pod) -> str:
    said = call(node, "CHECK", pod)
    return str(said.document["msg"]) if said.document else ""


def run(node: Node, pod: Pod, place: str, command: str) -> None:
    where = pod if place == "pod" else node
    where.run(*words(command))


def whole(node: Node, pod: Pod) -> None:
    assert checked(node, pod) == ""
    usable(node, pod)


def test_check_finds_and_add_repairs_every_object(shared_node: Node) -> None:
    node = shared_node
    subject, bystander = node.pod(SUBJECT), node.pod(BYSTANDER)
    addresses = {call(node, "ADD", one).address for one in (subject, bystander)}
    whole(node, subject)
    done, wrong = 0, []
    for one in wiring(node, subject):
        for what, place, command in harms(one):
            run(node, subject, place, command)
            said = checked(node, subject)
            if describe(one) not in said:
                wrong.append(f"{describe(one)} {what}: CHECK says {said!r}")
            if what == "another gateway" and place == "host":
                node.run(*f"ip route replace default via {GATEWAY} dev azure0".split())
            addresses.add(call(node, "ADD", subject).address)
            for pod in (subject, bystander):
                if said := checked(node, pod):
                    wrong.append(f"{describe(one)} {what}, ADD again; {pod.id[0]}: {said!r}")
                    call(node, "ADD", pod)
            done += 1
    assert not wrong, "\n".join(wrong)
    assert done > {"bridge": 40, "transparent": 20}[node.mode], done
    assert len(addresses) == 2
    agree(node, [subject, bystander])
    for pod in (subject, bystander):
        usable(node, pod)
        assert call(node, "DEL", pod).status == 0
    bare(node)
