"""podwire explain from a file: text, JSON, exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.lens import build

from podwire.cli.main import cli
from podwire.lens import codec
from podwire.lens.snapshot import Snapshot


def run(tmp_path: Path, seen: Snapshot, *words: str) -> Result:
    path = tmp_path / "seen.json"
    path.write_text(codec.to_json(seen))
    return CliRunner().invoke(cli, ["explain", *words, "--from", str(path)])


def test_a_way_is_told_line_by_line(tmp_path: Path) -> None:
    done = run(tmp_path, build.lab(), "client-1", "svc/web", "--entries")
    assert done.exit_code == 0
    assert "pod default/client-1 (10.220.2.6) -> service default/web (10.200.0.80):80, tcp" in (
        done.output
    )
    assert " >  50.0%  10.220.2.5:80         delivered  pod default/web-1" in done.output
    assert "destination becomes 10.220.2.5:80  [10.220.2.6:40000 -> 10.220.2.5:80]" in done.output
    assert "iptables: -A KUBE-SEP-" in done.output
    assert "delivered, the least MTU on the way is 1500" in done.output


def test_the_culprit_comes_with_the_commands_that_show_and_mend_it(tmp_path: Path) -> None:
    seen = build.edit_link(build.lab(), "node/n1", "azv5", hairpin=False)
    done = run(tmp_path, seen, "web-1", "svc/web")
    assert done.exit_code == 3
    assert (
        "dropped, the least MTU on the way is 1500 (50% of connections: backend 10.220.2.5:80)"
        in (done.output)
    )
    assert "hairpin-off: port azv5 of azure0 may not send back" in done.output
    assert "  see    podwire node exec n1 -- bridge -d link show dev azv5" in done.output
    assert "  mend   podwire node exec n1 -- bridge link set dev azv5 hairpin on" in done.output


def test_json_has_the_culprit_for_machines(tmp_path: Path) -> None:
    seen = build.edit_link(build.lab(), "node/n1", "azv5", port_state="disabled")
    done = run(tmp_path, seen, "client-1", "web-1:80", "-o", "json")
    told = json.loads(done.output)
    assert (told["verdict"], told["culprit"]["fault"]) == ("dropped", "port-disabled")
    assert told["culprit"]["object"] == "link node/n1 azv5"
    assert told["hops"][0]["place"] == "pod route"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nobody", "web-1"), "nobody is nothing in this snapshot"),
        (("client-1", "svc/web", "--backend", "9.9.9.9:80"), "has no backend 9.9.9.9:80"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    done = run(tmp_path, build.lab(), *words)
    assert done.exit_code == 1
    assert why in str(done.exception)
