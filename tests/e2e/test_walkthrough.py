"""docs/walkthrough.md as a reader types it, from the first command to the last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import PODWIRE, LabHarness
from tests.e2e.tour import Reader, commands

DOCUMENT = Path(__file__).parents[2] / "docs/walkthrough.md"
LABS = ("tour", "transparent", "kubenet")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    labs = [LabHarness(name, tmp_path) for name in LABS]
    files = tmp_path / "files"
    files.mkdir()
    typing = Reader(PODWIRE, labs[0].env, files)
    try:
        yield typing
    finally:
        typing.close()
        for one in labs:
            one.podwire("down")


def test_everything_is_as_the_document_says(reader: Reader, tmp_path: Path) -> None:
    for command in commands(DOCUMENT.read_text()):
        reader.follow(command)
    figures = sorted(one.name for one in (tmp_path / "files").glob("*.svg"))
    text, images = DOCUMENT.read_text(), DOCUMENT.with_name("images")
    assert len(figures) == 6
    assert all(f"(images/{one})" in text and (images / one).exists() for one in figures)
