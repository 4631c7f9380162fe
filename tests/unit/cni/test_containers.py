"""What is seen of the runtime: a command's ids, the results that libcni keeps."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from podwire.cni import containers
from podwire.cni.containers import Containers, look
from podwire.model.errors import InvalidInputError

ID = "a" * 64


@pytest.fixture(autouse=True)
def _no_crictl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "bin" / "crictl"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def kept(**other: Any) -> dict[str, Any]:
    """As libcni 1.x writes it."""
    result = {"cniVersion": "1.0.0", "ips": [{"address": "10.220.2.5/24"}]}
    return {
        "kind": "cniCacheV1",
        "containerId": ID,
        "config": "e30=",
        "ifName": "eth0",
        "networkName": "azure",
        "result": result,
        **other,
    }


def test_crictl_is_asked_where_it_is(tmp_path: Path) -> None:
    assert look(caches=()).ids is None
    script(tmp_path, f'test "$*" = "pods -q --no-trunc" && echo {ID}')
    seen = look(caches=())
    assert (seen.ids, seen.told_by) == ({ID}, "crictl")


def test_a_crictl_that_fails_is_nobodys_word(tmp_path: Path) -> None:
    script(tmp_path, "echo 'no endpoint' >&2; exit 1")
    seen = look(caches=())
    assert seen.ids is None
    assert "no endpoint" in seen.told_by


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 3", "ended with 3"),
        ("echo POD ID", "'POD'"),
        (f"echo {ID[:11]}", "at least 12"),
        (f"echo '{ID}/x'", "no container id"),
        (r"printf '\377\377\377\377\377\377\377\377\377\377\377\377'", "no container id"),
    ],
)
def test_a_command_that_was_named_must_work(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        look([script(tmp_path, text)], caches=())
    with pytest.raises(InvalidInputError, match="cannot be asked"):
        look([str(tmp_path / "nothing")], caches=())


def test_a_command_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "TIMEOUT", 0.05)
    with pytest.raises(InvalidInputError, match="timed out"):
        look([script(tmp_path, "exec sleep 60")], caches=())


def test_no_container_at_all_is_an_answer(tmp_path: Path) -> None:
    assert look([script(tmp_path, "true")], caches=()).ids == frozenset()


def test_results_that_libcni_keeps(tmp_path: Path) -> None:
    (tmp_path / "azure-a").write_text(json.dumps(kept()))
    texts: list[Any] = [7, [], {}, kept(result=7), kept(result={"ips": [7]}), kept(ifName=None)]
    for number, text in enumerate(texts):
        (tmp_path / f"bad-{number}").write_text(json.dumps(text))
    (tmp_path / "garbage").write_bytes(b"\xff\0{")
    (tmp_path / "directory").mkdir()
    old = tmp_path / "azure-old"
    old.write_text(json.dumps(kept()))
    os.utime(old, (0, 0))  # of another boot
    (one,) = look(caches=[str(tmp_path), str(tmp_path / "none")]).kept
    assert (one.network, one.container_id, one.ifname) == ("azure", ID, "eth0")
    assert one.addresses == ("10.220.2.5",)


@pytest.mark.parametrize(
    ("seen", "lacks"),
    [
        (Containers(), False),
        (Containers(frozenset()), True),
        (Containers(frozenset([ID])), False),
        (Containers(frozenset([ID[:12]])), False),
        (Containers(frozenset(["b" * 64])), True),
        (Containers(frozenset(), own=frozenset([ID])), False),
    ],
)
def test_what_the_runtime_lacks(seen: Containers, lacks: bool) -> None:
    assert seen.lacks(ID) is lacks
    assert not seen.lacks("cnitool-1")
    assert not seen.lacks("")
