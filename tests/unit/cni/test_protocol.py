from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.cni.protocol import answer
from podwire.model.cni import Request
from podwire.model.cni_error import CniError
from podwire.model.cni_result import Result
from podwire.model.errors import KernelError

ENV = {"CNI_CONTAINERID": "c1", "CNI_NETNS": "/n", "CNI_IFNAME": "eth0", "CNI_PATH": "/opt"}


class Plugin:
    """Answers; or raises what it is given."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.traces: list[str] = []

    def add(self, request: Request) -> Result:
        if self.error:
            raise self.error
        return Result()

    def delete(self, request: Request) -> None:
        self.add(request)

    check = gc = status = delete

    def crashed(self, trace: str) -> None:
        self.traces.append(trace)


def ask(
    command: str, plugin: Plugin | None = None, stdin: bytes = b'{"cniVersion": "0.4.0"}'
) -> tuple[dict[str, Any] | None, int]:
    made = plugin or Plugin()
    return answer("test", lambda: made, {**ENV, "CNI_COMMAND": command}, lambda: stdin)


def test_add_prints_its_result_and_the_others_nothing() -> None:
    document, status = ask("ADD")
    assert (document and document["cniVersion"], status) == ("0.4.0", 0)
    assert ask("DEL") == ask("CHECK") == (None, 0)


def test_version_makes_no_plugin() -> None:
    def never() -> Plugin:
        raise AssertionError("a plugin was made")

    document, status = answer("test", never, {"CNI_COMMAND": "VERSION"}, lambda: b"")
    assert status == 0
    assert document is not None
    assert document["supportedVersions"][-1] == "1.1.0"


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
@pytest.mark.parametrize(
    ("error", "code", "msg"),
    [
        (CniError(11, "busy"), 11, "busy"),
        (KernelError("no veth", errno=1), 100, "no veth"),
        (KeyError("x"), 999, "test failed unexpectedly: KeyError: 'x'"),
        (KeyboardInterrupt(), 999, "test failed unexpectedly: KeyboardInterrupt: "),
    ],
)
def test_every_failure_is_one_document(
    command: str, error: BaseException, code: int, msg: str
) -> None:
    plugin = Plugin(error)
    document, status = ask(command, plugin)
    assert document is not None
    assert (document["code"], document["msg"], document["cniVersion"], status) == (
        code,
        msg,
        "0.4.0",
        1,
    )
    assert bool(plugin.traces) == (code == 999)
    assert "Traceback" not in json.dumps(document)


@given(st.binary(max_size=200), st.dictionaries(st.sampled_from([*ENV, "CNI_COMMAND"]), st.text()))
def test_whatever_comes_in_one_document_goes_out(stdin: bytes, env: dict[str, str]) -> None:
    document, status = answer("test", Plugin, env, lambda: stdin)
    assert status == (1 if document and "code" in document else 0)
    json.dumps(document)


PROGRAM = """
from podwire.cni.protocol import serve
def broken():
    raise RuntimeError("boom")
serve("test", broken)
"""


@pytest.mark.parametrize(
    ("argv", "env", "expected"),
    [
        ([], {**ENV, "CNI_COMMAND": "ADD"}, 999),
        ([], {}, 4),
        ([], {"CNI_COMMAND": "VERSION"}, None),
    ],
)
def test_a_process_prints_one_document_and_no_trace(
    argv: list[str], env: dict[str, str], expected: int | None
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *argv],
        env={**env, "PYTHONPATH": ":".join(sys.path)},
        input=b"{}",
        capture_output=True,
        check=False,
    )
    document = json.loads(done.stdout)
    assert document.get("code") == expected
    assert done.returncode == (0 if expected is None else 1)
    assert done.stderr == b""


def test_the_version_flag_of_operators() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "-v"],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("test (Podwire) ")
