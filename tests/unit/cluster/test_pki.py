import datetime
import stat
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from podwire.cluster import certificates
from podwire.cluster.pki import Pki
from tests.unit.cluster.specs import API_ADDRESS, SPEC

NODES = {SPEC.node_name("nodepool1", number): f"10.220.2.{4 + 31 * number}" for number in range(3)}
NODE = SPEC.node_name("nodepool1", 0)


@pytest.fixture
def pki(tmp_path):
    return Pki.ensure(tmp_path / "pki", SPEC, API_ADDRESS, NODES)


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def contents(pki):
    return {one.name: one.read_bytes() for one in pki.directory.iterdir()}


def changed(pki, before):
    after = contents(pki)
    return {name.rsplit(".", 1)[0] for name in after if after[name] != before.get(name)}


def name(certificate, oid):
    return [one.value for one in certificate.subject.get_attributes_for_oid(oid)]


def test_api_server_is_found_under_every_name_that_people_and_pods_use(pki):
    names = load(pki.certificate("apiserver")).extensions
    names = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        SPEC.api_fqdn,
    }
    addresses = {"127.0.0.1", "172.31.0.4", "10.200.0.1"}
    assert set(names.get_values_for_type(x509.IPAddress)) == {IPv4Address(a) for a in addresses}


def test_kubelet_is_a_node_to_the_node_authorizer(pki):
    client = load(pki.kubelet_client(NODE).certificate)
    assert name(client, NameOID.COMMON_NAME) == [f"system:node:{NODE}"]
    assert name(client, NameOID.ORGANIZATION_NAME) == ["system:nodes"]
    usage = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_kubelet_serves_under_its_name_and_address_and_cannot_pose_as_a_client(pki):
    server = load(pki.kubelet_server(NODE).certificate).extensions
    names = server.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NODE]
    assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("10.220.2.4")]
    usage = server.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_admin_is_the_masters_group(pki):
    admin = load(pki.credential("admin").certificate)
    assert name(admin, NameOID.ORGANIZATION_NAME) == ["system:masters"]


@pytest.mark.parametrize(
    ("leaf", "authority"),
    [("apiserver", "ca"), ("etcd-client", "etcd_ca"), ("front-proxy-client", "front_proxy_ca")],
)
def test_each_door_has_its_own_authority(pki, leaf, authority):
    certificate = load(pki.certificate(leaf))
    for one in ("ca", "etcd_ca", "front_proxy_ca"):
        signer = load(getattr(pki, one))
        if one == authority:
            certificate.verify_directly_issued_by(signer)
        else:
            with pytest.raises(ValueError, match="does not match"):
                certificate.verify_directly_issued_by(signer)


def test_keys_are_the_owner_s_alone(pki):
    assert stat.S_IMODE(pki.directory.stat().st_mode) == 0o700
    keys = list(pki.directory.glob("*.key"))
    assert {stat.S_IMODE(one.stat().st_mode) for one in keys} == {0o600}
    assert len(keys) == 12 + 1 + 2 * len(NODES)


def test_lifetimes(pki):
    def days(path):
        certificate = load(path)
        return (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days

    assert days(pki.ca) == 3650
    assert days(pki.certificate("apiserver")) == 730


def test_second_time_changes_nothing(pki):
    before = contents(pki)
    Pki.ensure(pki.directory, SPEC, API_ADDRESS, NODES)
    assert contents(pki) == before


def test_other_service_range_reissues_the_api_server_s_alone(pki):
    before = contents(pki)
    Pki.ensure(pki.directory, replace(SPEC, service_cidr="10.201.0.0/16"), API_ADDRESS, NODES)
    assert changed(pki, before) == {"apiserver"}


def test_other_node_address_reissues_that_serving_certificate_alone(pki):
    before = contents(pki)
    Pki.ensure(pki.directory, SPEC, API_ADDRESS, {**NODES, NODE: "10.220.2.200"})
    assert changed(pki, before) == {f"kubelet-server-{NODE}"}


@pytest.mark.parametrize("damage", [b"", b"-----BEGIN CERTIFICATE-----\nxx", b"\xff\xfe"])
@pytest.mark.parametrize("file", ["scheduler.crt", "scheduler.key"])
def test_damaged_pair_is_reissued(pki, file, damage):
    (pki.directory / file).write_bytes(damage)
    before = contents(pki)
    Pki.ensure(pki.directory, SPEC, API_ADDRESS, NODES)
    assert changed(pki, before) == {"scheduler"}


def test_certificate_with_another_s_key_is_reissued(pki):
    (pki.directory / "scheduler.key").write_bytes((pki.directory / "admin.key").read_bytes())
    before = contents(pki)
    Pki.ensure(pki.directory, SPEC, API_ADDRESS, NODES)
    assert changed(pki, before) == {"scheduler"}


def test_lost_authority_reissues_all_that_it_signed(pki):
    before = contents(pki)
    (pki.directory / "ca.key").unlink()
    Pki.ensure(pki.directory, SPEC, API_ADDRESS, NODES)
    kept = {"etcd-ca", "etcd-server", "etcd-client", "front-proxy-ca", "front-proxy-client", "sa"}
    assert changed(pki, before) == {one.rsplit(".", 1)[0] for one in before} - kept


@pytest.mark.parametrize(("age", "expected"), [(695, set()), (705, {"leaves"}), (3640, {"all"})])
def test_reissued_a_month_before_the_end(pki, monkeypatch, age, expected):
    before = contents(pki)
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=age)
    monkeypatch.setattr(certificates, "_now", lambda: later)
    Pki.ensure(pki.directory, SPEC, API_ADDRESS, NODES)
    found = changed(pki, before)
    authorities = {"ca", "etcd-ca", "front-proxy-ca"}
    every = {one.rsplit(".", 1)[0] for one in before} - {"sa"}
    assert found == (every if expected == {"all"} else every - authorities if expected else set())


def test_node_that_joins_later_and_leaves(pki):
    before = contents(pki)
    pki.ensure_node(SPEC, "late", "10.220.2.97")
    assert changed(pki, before) == {"kubelet-client-late", "kubelet-server-late"}
    pki.remove_node("late")
    pki.remove_node("late")
    assert contents(pki) == before


def test_service_account_pair_belongs_together_and_is_mended(pki):
    pki.service_account_public_key.write_bytes(b"nonsense")
    Pki.ensure(pki.directory, SPEC, API_ADDRESS, NODES)
    key = serialization.load_pem_private_key(pki.service_account_key.read_bytes(), None)
    public = serialization.load_pem_public_key(pki.service_account_public_key.read_bytes())
    assert key.public_key() == public


def test_longest_cluster_name_fits(tmp_path):
    Pki.ensure(tmp_path / "pki", replace(SPEC, name="a" * 63), API_ADDRESS)
