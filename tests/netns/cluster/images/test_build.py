"""The images made from Debian's packages: the same bytes each time, in small layers."""

from __future__ import annotations

import shutil
from pathlib import Path

from podwire.cluster.images.build import build_images
from podwire.cluster.images.store import ImageSet
from podwire.model.layout import CACHE

MEGABYTE = 1 << 20
LIMITS = {
    "pause": 0.01,
    "nginx": 12,
    "cluster-dns": 10,
    "tools": 22,
    "ip-masq-agent": 10,
    "ssh-server": 9,
}


def test_a_second_build_gives_the_same_digests(images: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "debs").symlink_to(CACHE / "debs")
    again = build_images(tmp_path)
    assert {one.short: one.digest for one in again.images} == {
        one.short: one.digest for one in images.images
    }
    shutil.rmtree(again.storage)
    left = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert [name for name in left if not name.startswith(".")] == [again.directory.name]


def test_images_stay_small(images: ImageSet) -> None:
    sizes = {one.short: one.size / MEGABYTE for one in images.images}
    assert {name for name, size in sizes.items() if size > LIMITS[name]} == set()
