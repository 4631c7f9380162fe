"""The pictures are byte for byte those that were looked at (golden.py writes them anew)."""

from __future__ import annotations

import pytest

from tests.unit.lens.draw.golden import HERE, IMAGES, files, images

WANTED = files()
PICTURES = images()


@pytest.mark.parametrize("name", sorted(WANTED))
def test_golden(name: str) -> None:
    assert (HERE / name).read_text() == WANTED[name]


def test_no_file_is_left_over() -> None:
    assert {one.name for one in HERE.iterdir()} == set(WANTED)


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_pictures_of_the_documentation_are_made_by_this_version(name: str) -> None:
    assert (IMAGES / name).read_text() == PICTURES[name]
