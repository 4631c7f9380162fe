"""The pictures are byte for byte those that were looked at (golden.py writes them anew)."""

from __future__ import annotations

import pytest

from tests.unit.lens.draw.golden import HERE, files

WANTED = files()


@pytest.mark.parametrize("name", sorted(WANTED))
def test_golden(name: str) -> None:
    assert (HERE / name).read_text() == WANTED[name]


def test_no_file_is_left_over() -> None:
    assert {one.name for one in HERE.iterdir()} == set(WANTED)
