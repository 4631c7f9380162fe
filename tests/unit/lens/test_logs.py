"""The plugins' log read back: which lines are one call's."""

from __future__ import annotations

from pathlib import Path

import pytest

from podwire.cni.loglines import json_line, text_lines
from podwire.lens import logs

NOW = 1700000000.0


def begin(container: str, pod: str, verb: str = "ADD") -> str:
    return (
        f"[cni-net] Processing {verb} command with args {{ContainerID:{container} "
        f"Netns:/var/run/netns/cni-{container} IfName:eth0 Args:K8S_POD_NAMESPACE=default;"
        f"K8S_POD_NAME={pod};IgnoreUnknown=1 Path:/opt/cni/bin StdinData:{{}}}}."
    )


def result(address: str) -> str:
    return (
        "[cni] Plugin azure-vnet-ipam returned result:IP:[{Version:4 Interface:<nil> "
        f"Address:{{IP:{address} Mask:ffffff00}} Gateway:10.0.0.1}}], err:<nil>."
    )


def end(pod: str, said: str = "result:IP err:<nil>", verb: str = "ADD") -> str:
    return f"[cni-net] {verb} command completed with {said}. Pod:default/{pod} Duration:12.5ms"


def test_a_call_is_told_from_its_first_to_its_last_line() -> None:
    said = ["[cni-net] before", begin("c1", "web"), "Bridge client", end("web"), "[ipam] after"]
    (one,) = logs.calls(text_lines((line, NOW) for line in said))
    assert (one.verb, one.container_id, one.ifname, one.pod) == ("ADD", "c1", "eth0", "default/web")
    assert [line.text for line in one.lines][1] == "Bridge client"
    assert len(one.lines) == 3
    assert (one.ended, one.failed, one.took) == (True, False, 12.5)


def test_pieces_of_two_calls_that_take_turns_in_one_process_are_told_apart() -> None:
    pieces = [
        [begin("c1", "one"), result("10.0.0.4"), "[net] Creating veth pair azv1 azv12."],
        [begin("c2", "two"), result("10.0.0.40"), "[net] Creating veth pair azvB azvB2."],
        ["[net] Adding MAC DNAT rule for IP address 10.0.0.4/24", "[net] Setting link eth0 up."],
        [end("two")],
        [end("one")],
    ]
    text = text_lines((line, NOW) for piece in pieces for line in piece)
    one, two = logs.calls(text)
    assert [line.text for line in one.lines[3:5]] == [
        "Adding MAC DNAT rule for IP address 10.0.0.4/24",
        "Setting link eth0 up.",
    ]
    assert [len(one.lines), len(two.lines)] == [6, 4]
    assert one.ended
    assert two.ended


def test_the_json_form_says_the_same() -> None:
    said = [begin("c1", "web"), "[azure-vnet] [cni-net] no address left.", end("web", "err:x")]
    (one,) = logs.calls("".join(json_line(line, NOW) for line in said))
    assert [line.level for line in one.lines] == ["info", "error", "info"]
    assert one.lines[1].component == "cni-net"
    assert one.failed
    assert one.ended


def test_birth_is_the_last_add_of_the_container() -> None:
    said = [begin("c1", "web"), end("web", "err:x"), begin("c1", "web"), end("web")]
    said += [begin("c1", "web", "DEL"), end("web", verb="DEL"), begin("c2", "b")]
    text = text_lines((line, NOW) for line in said)
    found = logs.birth(text, "c1")
    assert found is not None
    assert not found.failed
    other = logs.birth(text, "c2")
    assert other is not None
    assert not other.ended
    assert logs.birth(text, "c3") is None
    assert logs.birth(text, "c1", "eth1") is None


@pytest.mark.parametrize("junk", ["", "\n\n", "{", "{}", '[]\n{"level":1}', "not a line", "\x00"])
def test_what_is_no_line_is_left_out(junk: str) -> None:
    assert logs.calls(junk) == []


def test_rotated_files_are_read_oldest_first(tmp_path: Path) -> None:
    (tmp_path / "azure-vnet.log.1").write_text(text_lines([(begin("c1", "web"), NOW)]))
    (tmp_path / "azure-vnet.log").write_text(text_lines([(end("web"), NOW)]))
    found = logs.birth(logs.read_here(str(tmp_path)), "c1")
    assert found is not None
    assert found.ended
    assert logs.read_here(str(tmp_path / "none")) == ""
