import asyncio
import dataclasses
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from podwire.cluster.control_plane import (
    control_plane_programs,
    prepare_control_plane,
    wait_ready,
)
from podwire.cluster.pki import Pki
from podwire.kernel.process import Program, Running
from podwire.model.errors import ProcessError, UnavailableError
from podwire.model.layout import LabLayout
from tests.unit.cluster.specs import API_ADDRESS, SPEC


@dataclass(frozen=True)
class Binaries:
    version: str
    directory: Path = Path("/k8s")


def programs(version="v1.20.2", cgroups=(), spec=SPEC):
    made = control_plane_programs(
        spec,
        Binaries(version),
        Path("/etcd/usr/bin/etcd"),
        Pki(Path("/pki")),
        LabLayout("t").cluster(SPEC.key),
        API_ADDRESS,
        "/proc/7/fd/9",
        cgroups,
    )
    return {one.name: one for one in made}


def flags(program):
    pairs = (one.removeprefix("--").partition("=") for one in program.argv[1:])
    return {name: value for name, _equals, value in pairs}


def test_nodes_of_a_kubenet_cluster_are_given_a_part_of_the_pod_cidr_each():
    spec = dataclasses.replace(SPEC, network_plugin="kubenet", pod_cidr="10.100.0.0/16")
    with_ranges = flags(programs(spec=spec)["kube-controller-manager"])
    without = flags(programs()["kube-controller-manager"])
    assert {one: with_ranges[one] for one in with_ranges.keys() - without.keys()} == {
        "allocate-node-cidrs": "true",
        "cluster-cidr": "10.100.0.0/16",
        "node-cidr-mask-size": "24",
        "configure-cloud-routes": "false",
    }


def test_order_and_place():
    made = programs(cgroups=[Path("/cg")])
    names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    assert list(made) == names
    for name, one in made.items():
        assert one.netns == "/proc/7/fd/9"
        assert one.cgroups == (Path("/cg"),)
        assert one.log == Path(f"/var/log/podwire/t/networklab.azurecni-cluster/{name}.log")
        assert one.env["NO_PROXY"] == "*"
    assert made["kube-scheduler"].argv[0] == "/k8s/kube-scheduler"
    assert made["etcd"].argv[0] == "/etcd/usr/bin/etcd"


def test_only_the_api_server_listens_beyond_loopback():
    made = programs()
    assert flags(made["kube-apiserver"])["bind-address"] == "0.0.0.0"
    for name in ("kube-controller-manager", "kube-scheduler"):
        assert flags(made[name])["bind-address"] == "127.0.0.1"
    urls = [value for name, value in flags(made["etcd"]).items() if name.endswith("urls")]
    assert len(urls) == 4
    assert all(one.startswith("https://127.0.0.1:") for one in urls)


def test_etcd_lets_in_only_who_has_a_certificate_of_its_own_authority():
    etcd, apiserver = (flags(programs()[one]) for one in ("etcd", "kube-apiserver"))
    assert "client-cert-auth" in etcd
    assert "peer-client-cert-auth" in etcd
    assert etcd["trusted-ca-file"] == etcd["peer-trusted-ca-file"] == "/pki/etcd-ca.crt"
    assert apiserver["etcd-certfile"] == "/pki/etcd-client.crt"
    assert apiserver["etcd-servers"] == etcd["listen-client-urls"]


def test_api_server_is_secured_as_aks_does_it():
    apiserver = flags(programs()["kube-apiserver"])
    assert apiserver["secure-port"] == "443"
    assert apiserver["advertise-address"] == "172.31.0.4"
    assert apiserver["service-cluster-ip-range"] == "10.200.0.0/16"
    assert apiserver["authorization-mode"] == "Node,RBAC"
    assert apiserver["enable-admission-plugins"] == "NodeRestriction"
    assert "anonymous-auth" not in apiserver
    assert "insecure-port" not in apiserver


@pytest.mark.parametrize(
    ("version", "has_port"),
    [("1.20.2", True), ("v1.22.17", True), ("v1.23.0", False), ("v1.33.1-rc.0+x", False)],
)
def test_plain_http_is_switched_off_where_it_exists(version, has_port):
    made = programs(version)
    for name in ("kube-controller-manager", "kube-scheduler"):
        assert (flags(made[name]).get("port") == "0") is has_port


@pytest.mark.parametrize("version", ["", "1", "2.0.0", "latest", "v1.x"])
def test_version_that_cannot_be_read_is_named(version):
    with pytest.raises(ProcessError, match=repr(version)):
        programs(version)


def test_prepared_files_are_those_that_the_programs_read(tmp_path):
    lab = LabLayout("t", tmp_path / "state", tmp_path / "run", tmp_path / "log")
    layout = lab.cluster(SPEC.key)
    pki = Pki.ensure(layout.pki, SPEC, API_ADDRESS)
    prepare_control_plane(pki, layout, API_ADDRESS)
    prepare_control_plane(pki, layout, API_ADDRESS)
    made = control_plane_programs(
        SPEC, Binaries("1.20.2"), Path("/etcd"), pki, layout, API_ADDRESS, "/n"
    )
    for program in made:
        paths = [value for value in flags(program).values() if value.startswith(str(tmp_path))]
        assert paths
        assert [one for one in paths if not Path(one).exists()] == []
    config = yaml.safe_load((layout.control_plane / "scheduler.kubeconfig").read_bytes())
    assert config["clusters"][0]["cluster"]["server"] == "https://172.31.0.4:443"
    assert stat.S_IMODE((layout.control_plane / "etcd").stat().st_mode) == 0o700


class Silent:
    async def text(self, path):
        raise UnavailableError(f"{path}: nobody there")


def test_wait_ends_at_once_when_a_program_keeps_dying(tmp_path):
    log = tmp_path / "log"
    log.write_text("cannot open the data\n")
    running = Running(Program("etcd", (), log), restarts=4, last_exit="exit 1")
    with pytest.raises(ProcessError, match=r"(?s)etcd keeps ending \(exit 1\).*open the data"):
        asyncio.run(wait_ready(Silent(), [running]))


def test_wait_names_what_it_waited_for_and_the_logs(tmp_path):
    running = Running(Program("etcd", (), tmp_path / "etcd.log"))
    with pytest.raises(UnavailableError) as caught:
        asyncio.run(wait_ready(Silent(), [running], timeout=0.1))
    assert "/readyz: nobody there" in str(caught.value)
    assert str(tmp_path / "etcd.log") in str(caught.value)
