"""ssh to the nodes, as the document does it: no key opens, VMAccess, then kubectl ssh-jump."""

from __future__ import annotations

import pytest

from podwire.cluster import vm_access
from podwire.cluster.cgroups import LabCgroups
from podwire.cluster.node import Node
from podwire.cluster.vm_access_settings import VmAccess
from podwire.model.layout import LabLayout
from tests.e2e.harness import LabHarness
from tests.e2e.ssh_jump import POD, make_key, ssh_jump


@pytest.fixture(scope="module")
def public_key(lab: LabHarness) -> str:
    return make_key(lab.home).with_suffix(".pub").read_text()


def running_node(lab: LabHarness, name: str) -> Node:
    """A node of the running lab, as its daemon holds it."""
    layout = LabLayout(lab.name)
    cgroups = LabCgroups.find(layout)
    assert cgroups is not None
    facts = next(one for one in lab.status()["nodes"] if one["name"] == name)
    return Node(name, layout, cgroups, pid=facts["pid"], groups=cgroups.node(name))


def test_ssh_jump_gets_in_after_vm_access_and_not_before(lab: LabHarness, public_key: str) -> None:
    node, other = lab.nodes()[:2]
    refused = ssh_jump(lab, node, "true")
    assert refused.returncode == 255
    assert f"azureuser@{node}: Permission denied (publickey)" in refused.stderr
    wish = VmAccess.of({"username": "azureuser", "ssh_key": public_key})
    vm_access.apply(running_node(lab, node), wish)
    done = ssh_jump(lab, node, "hostname; id -un; exit 7")
    assert (done.stdout.split(), done.returncode) == ([node, "azureuser"], 7), done.stderr
    assert ssh_jump(lab, other, "true").returncode == 255


DOCUMENT = """
docker ps | grep k8s_nginx_nginx
pid=$(docker inspect --format '{{ .State.Pid }}' $(docker ps | grep k8s_nginx_nginx | cut -c1-12))
sudo nsenter -t $pid -n ip addr show eth0 | grep inet
sudo brctl show
route -n
tail -1 /var/log/azure-vnet.log
"""
"""What the reader types in the shell that ssh-jump gives."""


def test_the_documents_commands_work_in_the_shell(lab: LabHarness, public_key: str) -> None:
    node = lab.nodes()[0]
    wish = VmAccess.of({"username": "azureuser", "ssh_key": public_key})
    vm_access.apply(running_node(lab, node), wish)
    pod = next(one for one in lab.pods("run=nginx") if one["spec"]["nodeName"] == node)
    shell = ssh_jump(lab, node, "-tt", stdin=f"{DOCUMENT}exit 3\n")
    assert shell.returncode == 3, shell.stderr
    assert f"azureuser@{node}:~$ " in shell.stdout
    assert f"k8s_nginx_{pod['metadata']['name']}_default" in shell.stdout
    assert f"inet {pod['status']['podIP']}/24 " in shell.stdout
    assert "azure0" in shell.stdout
    assert "10.220.2.1 " in shell.stdout


def test_pods_find_nodes_by_name(lab: LabHarness, public_key: str) -> None:
    ssh_jump(lab, lab.nodes()[0], "true")
    search = "default.svc.cluster.local svc.cluster.local cluster.local internal.cloudapp.net"
    assert f"search {search}\n" in lab.in_pod(POD, "cat", "/etc/resolv.conf")
    for node in lab.nodes():
        for name in (node, f"{node}.internal.cloudapp.net"):
            lab.in_pod(POD, "nc", "-z", "-w5", name, "22")
