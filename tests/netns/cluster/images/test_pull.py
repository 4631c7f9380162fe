"""What a kubelet's pulls get, from the real registry through a real containerd."""

from __future__ import annotations

import json

import grpc
import pytest

from podwire.cluster.images.store import ImageSet, import_archives

from .conftest import LOCAL, Machine

pytestmark = pytest.mark.usefixtures("machine")


@pytest.mark.parametrize(
    ("asked", "short"),
    [
        ("nginx", "nginx"),
        ("docker.io/library/nginx:latest", "nginx"),
        ("mcr.microsoft.com/oss/kubernetes/pause:1.3.1", "pause"),
        ("k8s.gcr.io/pause:3.2", "pause"),
        ("registry.k8s.io/pause:3.2", "pause"),
        ("podwire/tools", "tools"),
        ("registry.podwire.internal/podwire/cluster-dns:latest", "cluster-dns"),
    ],
)
def test_image_is_pulled_under_the_name_that_was_asked(
    machine: Machine, images: ImageSet, asked: str, short: str
) -> None:
    machine.pull(asked)
    listed = machine.run("ctr", "-n", "k8s.io", "images", "ls").stdout
    assert images.image(short).digest in listed


def test_an_unknown_image_is_refused(machine: Machine) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        machine.pull("mcr.microsoft.com/oss/no/such:1")
    assert "no/such" in str(caught.value.details())


def test_the_registry_takes_no_uploads(machine: Machine) -> None:
    upload = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST")
    answer = machine.run(*upload, f"{LOCAL}/v2/library/nginx/blobs/uploads/")
    assert answer.stdout == "405"


def test_the_catalog_lists_every_repository(machine: Machine) -> None:
    catalog = json.loads(machine.run("curl", "-sf", f"{LOCAL}/v2/_catalog").stdout)
    assert catalog["repositories"] == [
        "corbinu/ssh-server",
        "library/nginx",
        "oss/kubernetes/ip-masq-agent",
        "oss/kubernetes/pause",
        "pause",
        "podwire/cluster-dns",
        "podwire/tools",
    ]


def test_archives_import_without_a_registry(machine: Machine, images: ImageSet) -> None:
    ctr = ("ctr", "-n", "seed", "images")
    try:
        for archive in import_archives(images):
            machine.run(*ctr, "import", "--no-unpack", str(archive))
        names = machine.run(*ctr, "ls", "-q").stdout.split()
        assert sorted(names) == sorted(name for one in images.images for name in one.names)
    finally:
        machine.run(*ctr, "rm", *(name for one in images.images for name in one.names))
