from __future__ import annotations

import datetime
import json
import os
import time

import pytest

from podwire.cni.loglines import json_line, json_lines, split, text_lines

NOW = 1606266864.5


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("[cni-net] Created network azure.", ("info", "cni-net", "Created network azure.")),
        ("[azure-vnet] [cni-net] No address.", ("error", "cni-net", "No address.")),
        ("CNI error. Delete Endpoint", ("info", "", "CNI error. Delete Endpoint")),
        ("[10.0.0.1] told", ("info", "", "[10.0.0.1] told")),
        ("[cni]", ("info", "", "[cni]")),
        ("", ("info", "", "")),
    ],
)
def test_a_messages_tags_say_who_speaks_and_how_bad_it_is(
    message: str, parts: tuple[str, str, str]
) -> None:
    assert split(message) == parts


def test_a_json_line_has_the_fields_of_zap_and_the_time_with_its_zone() -> None:
    line = json_line("[net] Creating veth pair azv1 azv2.", NOW)
    document = json.loads(line)
    assert line.endswith("}\n")
    at = datetime.datetime.fromisoformat(document.pop("ts"))
    assert at.timestamp() == NOW
    assert document == {
        "level": "info",
        "component": "net",
        "msg": "Creating veth pair azv1 azv2.",
        "pid": os.getpid(),
    }


def test_neither_form_lets_a_message_forge_a_line() -> None:
    for form in (text_lines, json_lines):
        assert form([('x\n{"level": "error"}\x1b[2J', NOW)]).count("\n") == 1
    assert json.loads(json_line("a\nb", NOW))["msg"] == "a\nb"


def test_text_has_the_local_time() -> None:
    stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(NOW))
    assert text_lines([("x", NOW)]) == f"{stamp} [{os.getpid()}] x\n"
