from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from podwire.cni.networklist import NetworkList
from podwire.model.cni_error import CniError
from podwire.model.errors import InvalidInputError

PLUGINS = [{"type": "a", "capabilities": {"portMappings": True, "bandwidth": False}, "x": 1}]


def parse(**changes: Any) -> NetworkList:
    return NetworkList.parse(
        {"cniVersion": "1.0.0", "name": "n", "plugins": PLUGINS, **changes}, "f"
    )


@pytest.mark.parametrize(
    ("changes", "agreed"),
    [
        ({}, "1.0.0"),
        ({"cniVersion": None}, "0.2.0"),
        ({"cniVersions": ["0.3.0", "1.1.0"]}, "1.1.0"),
        ({"cniVersions": ["2.0.0"]}, "1.0.0"),
        ({"cniVersion": "2.0.0", "cniVersions": ["0.4.0", "0.3.1"]}, "0.4.0"),
    ],
)
def test_the_newest_common_version_is_agreed_on(changes: dict[str, Any], agreed: str) -> None:
    assert parse(**changes).version == agreed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cniVersion": "2.0.0"}, "cniVersion is 2.0.0"),
        ({"cniVersions": "1.0.0"}, "cniVersions is '1.0.0'"),
        ({"plugins": []}, "plugins is []"),
        ({"plugins": [{"type": "a"}, {"type": "../b"}]}, "plugins[1].type is '../b'"),
        ({"plugins": [7]}, "plugins[0].type is None"),
        ({"name": "a/b"}, "name is 'a/b'"),
        ({"name": ""}, "name is ''"),
        ({"disableCheck": 1}, "disableCheck is 1"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse(**changes)
    assert str(refused.value).startswith("f: ")
    assert said in str(refused.value)


def test_what_a_plugin_gets_on_stdin() -> None:
    config = parse().configuration(PLUGINS[0], {"portMappings": [1], "bandwidth": 2, "ips": 3})
    assert config == {
        "type": "a",
        "x": 1,
        "name": "n",
        "cniVersion": "1.0.0",
        "runtimeConfig": {"portMappings": [1]},
    }


def test_a_verb_that_the_version_has_not() -> None:
    with pytest.raises(CniError, match=r"is 1.0.0, which has no GC; set it to 1.1.0"):
        parse().require("GC", "1.1.0")
    parse(cniVersion="1.1.0").require("GC", "1.1.0")


def test_a_directorys_first_file_and_one_plugin_alone(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="has no network configuration"):
        NetworkList.load(str(tmp_path))
    (tmp_path / "00-notes.txt").write_text("no configuration")
    (tmp_path / "20.conflist").write_text("{")
    (tmp_path / "10.conf").write_text(json.dumps({"name": "one", "type": "a"}))
    found = NetworkList.load(str(tmp_path))
    assert (found.name, [one["type"] for one in found.plugins]) == ("one", ["a"])
    with pytest.raises(InvalidInputError, match=r"20.conflist is no JSON"):
        NetworkList.load(str(tmp_path / "20.conflist"))
