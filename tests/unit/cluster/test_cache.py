"""Sealed directories: damage is noticed, half-made ones do not count, two makers take turns."""

import json
import os
import threading
from pathlib import Path

import pytest

from podwire.cluster.cache import MANIFEST, inspect, locked, replacing, seal, swap_in
from podwire.model.progress import silent


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    directory = tmp_path / "whole"
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "a").write_text("content of a")
    (directory / "b").write_text("content of b")
    seal(directory, ["bin/a", "b"], {"origin": "here"})
    return directory


def test_a_whole_directory_tells_its_facts(whole: Path) -> None:
    found = inspect(whole)
    assert found is not None
    assert found.damage == ()
    assert found.facts == {"origin": "here"}


@pytest.mark.parametrize("spoil", ["CONTENT of a", "longer content of a", None])
def test_damage_names_the_file(whole: Path, spoil: str | None) -> None:
    file = whole / "bin" / "a"
    if spoil is None:
        file.unlink()
    else:
        file.write_text(spoil)
        os.utime(file, (1, 1))
    found = inspect(whole)
    assert found is not None
    assert found.damage == ("bin/a",)


def test_a_new_mtime_is_no_damage_and_is_remembered(whole: Path) -> None:
    os.utime(whole / "b", (12345, 12345))
    found = inspect(whole)
    assert found is not None
    assert found.damage == ()
    manifest = json.loads((whole / MANIFEST).read_text())
    assert manifest["files"]["b"]["mtime_ns"] == 12345 * 10**9


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99, "files": {}, "facts": {}}'])
def test_an_unreadable_manifest_is_none(whole: Path, text: str) -> None:
    (whole / MANIFEST).write_text(text)
    assert inspect(whole) is None


def test_no_manifest_is_none(whole: Path) -> None:
    (whole / MANIFEST).unlink()
    assert inspect(whole) is None
    assert inspect(whole / "nowhere") is None


def test_replacing_takes_the_place_of_what_was_there(whole: Path) -> None:
    with replacing(whole) as new:
        (new / "c").write_text("c")
        assert (whole / "b").exists()
    assert [path.name for path in whole.iterdir()] == ["c"]
    assert [path.name for path in whole.parent.iterdir()] == ["whole"]


def break_off(target: Path) -> None:
    with replacing(target) as new:
        (new / "c").write_text("c")
        raise ValueError("half-way")


def test_a_failure_half_way_leaves_the_old(whole: Path) -> None:
    with pytest.raises(ValueError, match="half-way"):
        break_off(whole)
    found = inspect(whole)
    assert found is not None
    assert not found.damage
    assert [path.name for path in whole.parent.iterdir()] == ["whole"]


def test_what_a_killed_maker_left_is_not_taken_over(whole: Path) -> None:
    left = whole.parent / ".whole.new"
    left.mkdir()
    (left / "rubbish").write_text("rubbish")
    with replacing(whole) as new:
        assert list(new.iterdir()) == []


def test_swap_in_works_without_a_predecessor(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    swap_in(tmp_path / "new", tmp_path / "target")
    assert (tmp_path / "target").is_dir()


def test_the_second_maker_says_that_it_waits_and_then_gets_the_lock(tmp_path: Path) -> None:
    said: list[str] = []
    waiting, got = threading.Event(), threading.Event()

    def tell(step: str, _: float | None) -> None:
        said.append(step)
        waiting.set()

    def second() -> None:
        with locked(tmp_path / "thing", "the thing", tell):
            got.set()

    with locked(tmp_path / "thing", "the thing", silent):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        assert not got.is_set()
    thread.join(10)
    assert got.is_set()
    assert "the thing" in said[0]


def test_a_lock_that_is_free_is_taken_without_a_word(tmp_path: Path) -> None:
    said: list[str] = []
    with locked(tmp_path / "thing", "the thing", lambda step, _: said.append(step)):
        pass
    assert said == []
