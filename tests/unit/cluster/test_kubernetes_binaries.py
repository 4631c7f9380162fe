"""Where Kubernetes comes from: each source in its turn, and what is said when there is none."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podwire.cluster import kubernetes_source
from podwire.cluster.kubernetes_binaries import (
    DEFAULT_VERSION,
    PROGRAMS,
    KubernetesBinaries,
    find_kubernetes,
)
from podwire.cluster.kubernetes_release import release_url
from podwire.cluster.kubernetes_source import SourcePackage
from podwire.model.errors import InvalidInputError, ProcessError, UnavailableError
from podwire.model.progress import silent
from tests.unit.cluster.release_site import Site, mute, program, serving

SOURCE = SourcePackage("v1.20.2", "1.20.5+really1.20.2-1.1", ())


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture
def find(site: Site, tmp_path: Path) -> Callable[..., KubernetesBinaries]:
    def find(**wish: object) -> KubernetesBinaries:
        known: dict[str, object] = {"cache": tmp_path, "releases": site.url, "answer_limit": 5.0}
        return find_kubernetes(**{**known, **wish})  # type: ignore[arg-type]

    return find


@pytest.fixture(autouse=True)
def no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """apt is another test's matter; here Debian has no source unless a test says so."""

    def nothing(*_: object) -> SourcePackage:
        raise UnavailableError("no source")

    monkeypatch.setattr(kubernetes_source, "source_package", nothing)


def six(directory: Path, version: str = "v1.2.3") -> Path:
    directory.mkdir(parents=True)
    for name in PROGRAMS:
        (directory / name).write_bytes(program(version, name))
        (directory / name).chmod(0o755)
    return directory


# (a) a directory


def test_a_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    found = find_kubernetes(cache=tmp_path / "c", directory=six(tmp_path / "six"))
    assert found.version == "v1.2.3"
    assert found.program("kubelet") == tmp_path / "six" / "kubelet"
    assert not (tmp_path / "c").exists()


def test_a_directory_that_lacks_some_names_them(tmp_path: Path) -> None:
    directory = six(tmp_path / "six")
    (directory / "kubelet").unlink()
    (directory / "kube-proxy").chmod(0o644)
    with pytest.raises(InvalidInputError, match="has no executable kubelet, kube-proxy; needed"):
        find_kubernetes(cache=tmp_path, directory=directory)


def test_a_directory_of_several_versions_is_refused(tmp_path: Path) -> None:
    directory = six(tmp_path / "six")
    (directory / "kubectl").write_bytes(program("v1.9.9"))
    with pytest.raises(InvalidInputError, match=r"several versions.*kubectl v1\.9\.9"):
        find_kubernetes(cache=tmp_path, directory=directory)


def test_a_directory_of_another_version_than_asked_is_refused(tmp_path: Path) -> None:
    directory = six(tmp_path / "six")
    with pytest.raises(InvalidInputError, match=r"has Kubernetes v1\.2\.3, but v1\.20\.15"):
        find_kubernetes(cache=tmp_path, directory=directory, version="1.20.15")


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 3\n", "#!/bin/sh\necho hello\n", "\x7fELF"])
def test_a_program_that_does_not_say_its_version_is_named(tmp_path: Path, script: str) -> None:
    directory = six(tmp_path / "six")
    (directory / "kube-scheduler").write_text(script)
    with pytest.raises(InvalidInputError, match="kube-scheduler does not"):
        find_kubernetes(cache=tmp_path, directory=directory)


@pytest.mark.parametrize("version", ["", "latest", "1.20", "v1.20.2/../..", "1.20.2 "])
def test_a_malformed_version_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(InvalidInputError, match=r"is not of the form 1\.20\.2"):
        find_kubernetes(cache=tmp_path, version=version)


# (c) the release, (b) the cache


def test_the_release_is_downloaded_once(
    site: Site, find: Callable[..., KubernetesBinaries], tmp_path: Path
) -> None:
    site.add_release(DEFAULT_VERSION)
    seen: list[tuple[str, float | None]] = []
    found = find(progress=lambda *step: seen.append(step))
    assert found.version == DEFAULT_VERSION
    assert found.directory == tmp_path / "kubernetes" / DEFAULT_VERSION
    assert {path.name for path in found.directory.iterdir()} == {*PROGRAMS, "manifest.json"}
    assert all(os.access(found.program(name), os.X_OK) for name in PROGRAMS)
    fractions = [part for _, part in seen if part is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    before = len(site.requests)
    assert find() == found
    assert len(site.requests) == before


@pytest.mark.parametrize("asked", ["1.21.3", "v1.21.3"])
def test_a_version_that_is_asked_for(
    site: Site, find: Callable[..., KubernetesBinaries], asked: str
) -> None:
    site.add_release("v1.21.3", algorithm="sha512")
    assert find(version=asked).version == "v1.21.3"


def test_another_version_in_the_cache_is_not_taken_for_the_default(
    site: Site, find: Callable[..., KubernetesBinaries]
) -> None:
    site.add_release("v1.21.3")
    find(version="v1.21.3")
    site.add_release(DEFAULT_VERSION)
    assert find().version == DEFAULT_VERSION


def test_a_corrupt_cache_is_noticed_and_fetched_anew(
    site: Site, find: Callable[..., KubernetesBinaries]
) -> None:
    site.add_release(DEFAULT_VERSION)
    kubelet = find().program("kubelet")
    good = kubelet.read_bytes()
    kubelet.write_bytes(good.replace(b"echo", b"echx"))
    os.utime(kubelet, (1, 1))
    said: list[str] = []
    again = find(progress=lambda step, _: said.append(step))
    assert again.program("kubelet").read_bytes() == good
    assert any("damaged (kubelet)" in step for step in said)


def test_a_cache_without_manifest_does_not_count(
    site: Site, find: Callable[..., KubernetesBinaries], tmp_path: Path
) -> None:
    six(tmp_path / "kubernetes" / DEFAULT_VERSION, "v9.9.9")
    site.add_release(DEFAULT_VERSION)
    assert b"v9.9.9" not in find().program("kubectl").read_bytes()


def test_a_cut_download_goes_on_at_the_next_call(
    site: Site, find: Callable[..., KubernetesBinaries]
) -> None:
    site.add_release(DEFAULT_VERSION)
    site.cut[release_url("", DEFAULT_VERSION) + "/kubelet"] = [1000, 0]
    with pytest.raises(UnavailableError, match="the next run goes on"):
        find()
    site.requests.clear()
    find()
    fetched = [(Path(path).name, part) for path, part in site.requests if "sha" not in path]
    assert fetched == [("kubelet", "bytes=1000-"), ("kube-proxy", ""), ("kubectl", "")]


def test_a_wrong_checksum_is_an_error_that_names_both(
    site: Site, find: Callable[..., KubernetesBinaries], tmp_path: Path
) -> None:
    site.add_release(DEFAULT_VERSION)
    path = release_url("", DEFAULT_VERSION) + "/kubelet"
    site.files[path] += b"# altered\n"
    got = hashlib.sha256(site.files[path]).hexdigest()
    with pytest.raises(ProcessError) as caught:
        find()
    assert got in str(caught.value)
    assert site.files[f"{path}.sha256"].decode() in str(caught.value)
    assert not list(tmp_path.rglob("kubelet*"))


def test_programs_of_another_version_than_the_site_says_are_not_kept(
    site: Site, find: Callable[..., KubernetesBinaries], tmp_path: Path
) -> None:
    site.add_release(DEFAULT_VERSION, says="v6.6.6")
    with pytest.raises(ProcessError, match=r"should hold Kubernetes v1\.20\.2"):
        find()
    assert not list(tmp_path.rglob("kubelet*"))


def test_two_callers_share_one_download(
    site: Site, find: Callable[..., KubernetesBinaries]
) -> None:
    site.add_release(DEFAULT_VERSION)
    found: list[KubernetesBinaries] = []
    threads = [threading.Thread(target=lambda: found.append(find())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == 1
    assert len(found) == 3
    assert len([path for path, _ in site.requests if path.endswith("/kubelet")]) == 1


# (d) Debian's source


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A source package whose build is quick; returns the workshops that were used."""
    roots: list[Path] = []

    def build(_source: object, _names: object, root: Path, *_: object) -> tuple[Path, str]:
        roots.append(root)
        return six(root / "out", SOURCE.version), "go1.15.15"

    monkeypatch.setattr(kubernetes_source, "source_package", lambda *_: SOURCE)
    monkeypatch.setattr(kubernetes_source, "build", build)
    return roots


def test_a_mute_site_falls_through_to_the_source(debian: list[Path], tmp_path: Path) -> None:
    with mute() as url:
        found = find_kubernetes(cache=tmp_path, releases=url, answer_limit=0.2)
    assert found.version == SOURCE.version
    assert SOURCE.debian in found.origin
    assert "go1.15.15" in found.origin
    assert debian
    assert not debian[0].exists()
    with mute() as url:
        assert find_kubernetes(cache=tmp_path, releases=url) == found
    assert len(debian) == 1


def test_a_site_without_the_release_falls_through_to_the_source(
    site: Site, find: Callable[..., KubernetesBinaries], debian: list[Path]
) -> None:
    assert find(version="v1.20.2").origin.startswith("built from Debian's kubernetes")
    assert len(site.requests) == 2
    assert debian


def test_a_page_in_place_of_a_checksum_is_no_release(
    site: Site, find: Callable[..., KubernetesBinaries], debian: list[Path]
) -> None:
    site.add_release(DEFAULT_VERSION)
    for path in [path for path in site.files if path.endswith("sha256")]:
        site.files[path] = b"<html>please sign in</html>"
    find()
    assert debian


def test_another_version_than_the_sources_says_what_can_be_had(
    find: Callable[..., KubernetesBinaries], debian: list[Path]
) -> None:
    with pytest.raises(UnavailableError, match=r"v1\.21\.3 cannot be.*had are v1\.20\.2, built"):
        find(version="1.21.3")
    assert not debian


def test_no_source_at_all_says_what_to_do(find: Callable[..., KubernetesBinaries]) -> None:
    with pytest.raises(UnavailableError, match="give a directory that holds kube-apiserver"):
        find(progress=silent)
