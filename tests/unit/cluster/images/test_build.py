"""When a set is made: once, and again when it is damaged, changed or out of date."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from podwire.cluster.apt import Archive
from podwire.cluster.images import build
from podwire.cluster.images.build import build_images
from podwire.cluster.images.oci import Settings
from podwire.cluster.images.recipes import Materials, Recipe
from podwire.cluster.images.rootfs import RootFs
from podwire.cluster.images.store import ImageSet, import_archives, repository_of
from podwire.model.errors import UnavailableError
from podwire.model.progress import silent

NAMES = ("docker.io/library/nginx:latest", "docker.io/library/nginx:1")


class World:
    """What there is to build from. version: of the only package; gone: apt has nothing."""

    def __init__(self, path: Path) -> None:
        self.version = "1"
        self.gone = False
        self.made = 0
        self.lists = path / "lists"
        self.lists.mkdir()

    def gather(self, tree: Path, _cache: Path, _progress: object) -> Materials:
        if self.gone:
            raise UnavailableError("apt has nothing")
        self.made += 1
        tree.mkdir(parents=True)
        return Materials(tree, tree / "pause", "python3", {}, "1")

    def contents(self, _tree: Path) -> tuple[str, ...]:
        return (f"nginx-light={self.version}",)

    def recipes(self, _made: Materials) -> tuple[Recipe, ...]:
        return (Recipe("nginx", NAMES, Settings(cmd=(self.version,)), lambda _: RootFs()),)

    def archives(self, packages: Sequence[str], _progress: object) -> list[Archive]:
        if self.gone:
            raise UnavailableError("apt has nothing")
        return [Archive(f"{name}_{self.version}_amd64.deb", 1, "sha256", "") for name in packages]

    def apt_updated(self) -> None:
        status = self.lists.stat()
        os.utime(self.lists, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    for name in ("gather", "contents", "recipes"):
        monkeypatch.setattr(build, name, getattr(world, name))
    monkeypatch.setattr(build, "APT_LISTS", world.lists)
    monkeypatch.setattr(build.apt, "machine", lambda _cache: world)
    return world


def test_the_second_time_nothing_is_made(world: World, tmp_path: Path) -> None:
    first = build_images(tmp_path)
    assert build_images(tmp_path) == first
    assert world.made == 1
    assert first.image("nginx").names == NAMES
    assert first.packages == ("nginx-light=1",)


def test_making_it_again_gives_the_same_files(world: World, tmp_path: Path) -> None:
    first, second = build_images(tmp_path / "a"), build_images(tmp_path / "b")
    assert first.images == second.images
    assert files(first) == files(second)
    assert world.made == 2


def files(images: ImageSet) -> dict[str, bytes]:
    found = images.directory.rglob("*")
    return {
        str(path.relative_to(images.directory)): path.read_bytes()
        for path in found
        if path.is_file() and path.name != "manifest.json"
    }


@pytest.mark.parametrize("harm", ["remove", "shorten", "change", "manifest"])
def test_a_damaged_set_is_made_again(world: World, tmp_path: Path, harm: str) -> None:
    whole = files(build_images(tmp_path))
    images = build_images(tmp_path)
    layer = max(images.storage.rglob("data"), key=lambda path: path.stat().st_size)
    if harm == "remove":
        layer.unlink()
    elif harm == "shorten":
        os.truncate(layer, 5)
    elif harm == "change":
        layer.write_bytes(b"x" * layer.stat().st_size)
    else:
        (images.directory / "manifest.json").write_text("{}")
    assert files(build_images(tmp_path)) == whole
    assert world.made == 2


def test_an_interrupted_build_is_not_taken_for_one(world: World, tmp_path: Path) -> None:
    images = build_images(tmp_path)
    (images.directory / "manifest.json").unlink()
    build_images(tmp_path)
    assert world.made == 2


def test_newer_packages_are_taken_when_apt_has_learnt_of_them(world: World, tmp_path: Path) -> None:
    old = build_images(tmp_path)
    world.version = "2"
    assert build_images(tmp_path) == old, "apt is not asked before its lists change"
    world.apt_updated()
    new = build_images(tmp_path)
    assert new.packages == ("nginx-light=2",)
    assert new.image("nginx").digest != old.image("nginx").digest
    assert not list(new.directory.parent.glob("*-tree")), "the unpacked packages are removed"


def test_unchanged_packages_are_no_reason_to_build(world: World, tmp_path: Path) -> None:
    build_images(tmp_path)
    world.apt_updated()
    build_images(tmp_path)
    world.gone = True
    build_images(tmp_path)
    assert world.made == 1


def test_without_apt_the_present_set_serves_on(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = build_images(tmp_path)
    world.apt_updated()
    world.gone = True
    assert build_images(tmp_path) == old
    monkeypatch.setattr(build, "_still_newest", lambda *_: False)
    world.apt_updated()
    told: list[str] = []
    assert build_images(tmp_path, lambda step, _: told.append(step)) == old
    assert "keeping the images" in told[-1]


def test_without_apt_and_without_a_set_the_reason_is_told(world: World, tmp_path: Path) -> None:
    world.gone = True
    with pytest.raises(UnavailableError, match="apt has nothing"):
        build_images(tmp_path, silent)
    assert not list((tmp_path / "images").glob("[0-9a-f]*"))


def test_another_recipe_is_another_set(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_images(tmp_path)
    monkeypatch.setattr(build, "recipe_digest", lambda: "0" * 16)
    assert build_images(tmp_path).directory != first.directory
    assert first.directory.is_dir()


def test_the_registrys_storage_knows_names_and_digests(world: World, tmp_path: Path) -> None:
    images = build_images(tmp_path)
    root = images.storage / "docker/registry/v2"
    digest = images.image("nginx").digest
    for tag in ("latest", "1"):
        link = root / f"repositories/library/nginx/_manifests/tags/{tag}/current/link"
        assert link.read_text() == digest
    manifest = root / f"blobs/sha256/{digest[7:9]}/{digest[7:]}/data"
    layers = {path.parent.name for path in root.glob("repositories/library/nginx/_layers/*/*/link")}
    assert all(layer in manifest.read_text() for layer in layers)
    assert len(layers) == 2
    assert [path.name for path in import_archives(images)] == ["nginx.tar"]


def test_references_are_split_as_a_client_does() -> None:
    assert repository_of("docker.io/library/nginx:latest") == ("library/nginx", "latest")
    name = "mcr.microsoft.com/oss/kubernetes/pause:1.3.1"
    assert repository_of(name) == ("oss/kubernetes/pause", "1.3.1")
