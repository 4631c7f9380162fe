"""The parts of the build that are decided without a compiler."""

import io
import tarfile
from pathlib import Path

import pytest

from podwire.cluster import kubernetes_source
from podwire.cluster.kubernetes_source import (
    available_memory,
    check_room,
    ldflags,
    openapi_packages,
    patch_series,
    upstream_version,
)
from podwire.model.errors import UnavailableError


@pytest.mark.parametrize(
    ("debian", "version"),
    [
        ("1.20.5+really1.20.2-1.1+deb12u1", "v1.20.2"),
        ("1.20.2-1", "v1.20.2"),
        ("1.32.3+ds-2", "v1.32.3"),
    ],
)
def test_the_upstream_version_of_debians(debian: str, version: str) -> None:
    assert upstream_version(debian) == version


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(UnavailableError, match="no known version"):
        upstream_version("")


def test_the_version_is_linked_in_below_the_trees_own_name() -> None:
    flags = ldflags("v1.20.2", "2021-01-13T13:20:00Z").split()
    place = "k8s.io/kubernetes/vendor/k8s.io/component-base/version"
    assert flags[:2] == ["-s", "-w"]
    assert f"{place}.gitVersion=v1.20.2" in flags
    assert f"{place}.gitMinor=20" in flags


def test_the_packages_that_ask_for_openapi(tmp_path: Path) -> None:
    marked = [
        "pkg/apis/abac/v0/doc.go",
        "staging/src/k8s.io/api/core/v1/doc.go",
        "staging/src/k8s.io/api/core/v1/types.go",
        "staging/src/k8s.io/code-generator/examples/doc.go",
        "staging/src/k8s.io/sample-apiserver/pkg/doc.go",
    ]
    for name in marked:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("// +k8s:openapi-gen=true\npackage x\n")
    (tmp_path / "pkg" / "other.go").write_text("package other\n")
    assert openapi_packages(tmp_path) == [
        "k8s.io/kubernetes/pkg/apis/abac/v0",
        "k8s.io/kubernetes/vendor/k8s.io/api/core/v1",
    ]


def test_patches_are_written_in_the_order_of_their_series(tmp_path: Path) -> None:
    files = {"series": b"# first\nb.patch\na.patch -p1\n\n", "a.patch": b"A", "b.patch": b"B"}
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:xz") as packaging:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"debian/patches/{name}")
            entry.size = len(content)
            packaging.addfile(entry, io.BytesIO(content))
    held.seek(0)
    with tarfile.open(fileobj=held) as packaging:
        written = patch_series(packaging, tmp_path)
    assert [Path(name).read_bytes() for name in written] == [b"B", b"A"]


def test_the_memory_that_is_available(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 4000000 kB\nMemAvailable:    3000 kB\n")
    assert available_memory(tmp_path / "meminfo") == 3000 * 1024


@pytest.mark.parametrize(
    ("limit", "named"),
    [("DISK_NEEDED", "GiB of disk"), ("MEMORY_NEEDED", "GiB of memory")],
)
def test_a_machine_that_is_too_small_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, named: str
) -> None:
    check_room(tmp_path)
    monkeypatch.setattr(kubernetes_source, limit, 1 << 60)
    with pytest.raises(UnavailableError, match=named):
        check_room(tmp_path)
