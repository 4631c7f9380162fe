"""Logs: the CRI's format in, Docker's out, across growth and rotation."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.cluster.docker_api import logs
from podwire.cluster.docker_api.logs import LogFile, LogLine, LogRequest
from podwire.model.errors import InvalidInputError

TIME = 1_604_670_989_123_456_789
OUT = b"2020-11-06T13:56:29.123456789Z stdout F hello there"


def test_a_line() -> None:
    assert logs.parse_line(OUT) == LogLine(TIME, "stdout", b"hello there\n")
    partial = OUT.replace(b" F ", b" P ")
    assert logs.parse_line(partial) == LogLine(TIME, "stdout", b"hello there")
    zone = b"2020-11-06T15:56:29.123456789+02:00 stderr F "
    assert logs.parse_line(zone) == LogLine(TIME, "stderr", b"\n")


@pytest.mark.parametrize("raw", [b"", b"x", b"a b c d", OUT.replace(b"stdout", b"other")])
def test_no_line_of_the_format(raw: bytes) -> None:
    assert logs.parse_line(raw) is None


def test_frames() -> None:
    line = LogLine(TIME, "stderr", b"hi\n")
    assert logs.encode(line, LogRequest()) == b"\x02\0\0\0\0\0\0\x03hi\n"
    assert logs.encode(line, LogRequest(tty=True)) == b"hi\n"
    stamped = logs.encode(line, LogRequest(tty=True, timestamps=True))
    assert stamped == b"2020-11-06T13:56:29.123456789Z hi\n"


def test_requests() -> None:
    query = {"stdout": "1", "tail": "5", "since": "1604670989.5", "follow": "true"}
    found = logs.parse_request(query, tty=False)
    assert found.streams == frozenset({"stdout"})
    assert (found.tail, found.since, found.follow) == (5, 1_604_670_989_500_000_000, True)
    everything = logs.parse_request({"stderr": "true", "tail": "all", "since": "0"}, tty=False)
    assert (everything.tail, everything.since) == (None, 0)
    with pytest.raises(InvalidInputError, match="at least one stream"):
        logs.parse_request({"stdout": "0"}, tty=False)
    with pytest.raises(InvalidInputError, match="invalid time 'yesterday'"):
        logs.parse_request({"stdout": "1", "since": "yesterday"}, tty=False)


def test_moments() -> None:
    assert logs.parse_moment("2020-11-06T13:56:29.123456789Z") == TIME
    assert logs.parse_moment("1604670989.000000001") == 1_604_670_989_000_000_001
    assert logs.parse_moment("") == 0


@given(st.binary(max_size=300).map(lambda raw: raw.replace(b"x", b"\n")), st.integers(0, 6))
def test_tail_begins_where_the_last_lines_do(data: bytes, lines: int) -> None:
    offset = logs.tail_offset(io.BytesIO(data), lines)
    parts = data.split(b"\n")
    whole = [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
    assert data[offset:] == b"".join(whole[len(whole) - min(lines, len(whole)) :])


def test_tail_over_several_blocks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%d %s\n" % (number, b"y" * 1000) for number in range(500)))
    with path.open("rb") as file:
        file.seek(logs.tail_offset(file, 200))
        assert file.read().startswith(b"300 ")


def collect(path: Path, request: LogRequest, steps: list = (), alive: bool = False) -> bytes:  # type: ignore[type-arg,assignment]
    """Everything that the stream sends; each step is run when it asks if the container runs."""
    todo = list(steps)

    async def running() -> bool:
        if todo:
            todo.pop(0)()
            return True
        return alive

    async def work() -> bytes:
        return b"".join([piece async for piece in logs.stream(path, request, running)])

    return asyncio.run(asyncio.wait_for(work(), 20))


def line(text: str, stream: str = "stdout", second: int = 29) -> bytes:
    return f"2020-11-06T13:56:{second:02}.5Z {stream} F {text}\n".encode()


def test_streams_and_times_are_chosen(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line("a", second=1) + line("b", "stderr", 2) + b"junk\n" + line("c", second=3))
    raw = LogRequest(tty=True)
    assert collect(path, raw) == b"a\nb\nc\n"
    assert collect(path, LogRequest(streams=frozenset({"stderr"}), tty=True)) == b"b\n"
    assert collect(path, LogRequest(tail=1, tty=True)) == b"c\n"
    since = logs.parse_moment("2020-11-06T13:56:02Z")
    assert collect(path, LogRequest(since=since, tty=True)) == b"b\nc\n"
    until = logs.parse_moment("2020-11-06T13:56:02.9Z")
    assert collect(path, LogRequest(until=until, tty=True)) == b"a\nb\n"


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    assert collect(tmp_path / "none", LogRequest()) == b""


def test_a_line_longer_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line("z" * 200_000) + line("end"))
    assert collect(path, LogRequest(tty=True)) == b"z" * 200_000 + b"\nend\n"


def test_following_sees_growth_rotation_and_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line("first"))

    def append(data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)

    def rotate() -> None:
        append(line("before the move"))
        path.rename(tmp_path / "log.1")
        path.write_bytes(line("after the move"))

    half = line("in two halves")
    steps = [lambda: append(half[:30]), lambda: append(half[30:]), rotate]
    found = collect(path, LogRequest(tty=True, follow=True), steps)
    assert found == b"first\nin two halves\nbefore the move\nafter the move\n"


def test_following_a_log_that_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "log"
    request = LogRequest(tty=True, follow=True, tail=3)
    assert collect(path, request, [lambda: path.write_bytes(line("late"))]) == b"late\n"


def test_a_log_that_was_cut_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line("long enough to be cut") * 3)
    log = LogFile(path, None)
    assert len(log.read()) == 3
    path.write_bytes(line("new"))
    assert log.read() == [line("new").rstrip()]
    log.close()
