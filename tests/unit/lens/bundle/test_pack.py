"""What is packed: all that can be read, bounded, without secrets, and told in the MANIFEST."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from podwire.lens import codec
from podwire.lens.bundle import Item, Packed, Text, output, pack, tail
from podwire.model.errors import InvalidInputError, KernelError
from tests.unit.lens.bundle.planted import PLANTED
from tests.unit.lens.saved import saved


def packed(*items: Item) -> tuple[dict[str, str], tuple[Packed, ...], bytes]:
    """name without its directory -> text."""
    out = io.BytesIO()
    with ThreadPoolExecutor(2) as readers:
        told = pack(items, out, "top", "1.2", readers)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        files = {one.name: tar.extractfile(one) for one in tar}
        texts = {name: file.read().decode() for name, file in files.items() if file}
    assert all(name.startswith("top/") for name in texts)
    return {name[4:]: text for name, text in texts.items()}, told, out.getvalue()


def planted(name: str) -> Item:
    return Item(name, "a test", lambda: Text("\n".join(one.text for one in PLANTED)))


def test_no_planted_secret_is_in_any_file(tmp_path: Path) -> None:
    log = tmp_path / "azure-vnet.log"
    log.write_text("\n\n".join(one.text for one in PLANTED))
    argv = ["sh", "-c", f"cat {log}; echo --token sesame99"]
    items = [
        Item(f"{at}.txt", "a test", lambda t=one.text: Text(t)) for at, one in enumerate(PLANTED)
    ]
    files, _, _ = packed(*items, tail(log, "a.log"), output(argv, "b.txt"), planted("c.json"))
    assert files["b.txt"]
    left = [
        (one.kind, name)
        for one in PLANTED
        for secret in one.gone
        for name, text in files.items()
        if secret in text
    ]
    assert left == []
    assert "sesame99" not in files["MANIFEST"]


def test_the_manifest_tells_of_each_file(tmp_path: Path) -> None:
    log = tmp_path / "kubelet.log"
    log.write_text("first line\nsecond --token abc\nthird\n")

    def gone() -> Text:
        raise KernelError("process 7 is gone, its token=sesame1 as well")

    files, told, _ = packed(
        tail(log, "logs/kubelet.log", most=28),
        tail(tmp_path / "none", "logs/none"),
        Item("x", "y", gone),
    )
    assert files["logs/kubelet.log"] == "second --token [removed]\nthird\n"[:31]
    assert [bool(one.missing) for one in told] == [False, True, True]
    lines = [one.strip() for one in files["MANIFEST"].splitlines()]
    assert f"from {log}" in lines
    assert "the 11 bytes before it were left out" in lines
    assert "removed: named secret 1" in lines
    assert "missing: No such file or directory" in lines
    assert "missing: process 7 is gone, its token=[removed] as well" in lines
    assert "Podwire 1.2" in files["MANIFEST"]


@pytest.mark.parametrize("make", [lambda at: at.symlink_to("/etc/passwd"), os.mkfifo])
def test_a_file_that_leads_elsewhere_is_not_followed(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "azure-vnet.log")
    files, told, _ = packed(tail(tmp_path / "azure-vnet.log", "a.log"))
    assert set(files) == {"MANIFEST"}
    assert told[0].missing


def test_a_full_bundle_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[pack.__module__], "LIMIT", 10)
    files, told, _ = packed(
        Item("a", "", lambda: Text("12345678")),
        Item("b", "", lambda: Text("1234")),
        Item("c", "", lambda: Text("12")),
    )
    assert set(files) == {"a", "c", "MANIFEST"}
    assert "full" in told[1].missing


def test_what_a_program_says_and_how_it_ended() -> None:
    files, told, _ = packed(
        output(["sh", "-c", "echo out; echo err >&2; exit 3"], "a"),
        output(["/no/such/program"], "b"),
    )
    assert files["a"] == "out\nerr\n(ended with status 3)\n"
    assert "/no/such/program" in told[1].missing


def test_json_that_is_none_is_a_text() -> None:
    files, _, _ = packed(Item("a.json", "", lambda: Text("error: --token sesame2")))
    assert files["a.json"] == "error: --token [removed]"


def test_the_snapshot_is_read_out_of_a_bundle(tmp_path: Path) -> None:
    text = codec.to_json(saved("bridge"))
    _, _, whole = packed(
        Item("a.txt", "", lambda: Text("x")), Item(codec.BUNDLED, "", lambda: Text(text))
    )
    path = tmp_path / "b.tar.gz"
    path.write_bytes(whole)
    assert codec.load(path) == saved("bridge")
    assert codec.from_bytes(whole) == saved("bridge")


def test_a_bundle_without_one_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(packed(Item("a.txt", "", lambda: Text("x")))[2])
    with pytest.raises(InvalidInputError, match=r"b\.tar\.gz has no snapshot\.json"):
        codec.load(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InvalidInputError, match=r"cannot read the snapshot .*b\.tar\.gz"):
        codec.load(path)
