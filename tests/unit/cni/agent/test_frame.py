from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.cni.agent.frame import (
    LIMIT,
    VARIABLES,
    BadFrameError,
    Call,
    answer_frame,
    call_frame,
    parse_call,
    read_answer,
    read_call,
)

_values = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
_calls = st.builds(
    Call,
    st.sampled_from(["azure-vnet", "azure-vnet-ipam"]),
    st.dictionaries(st.sampled_from(VARIABLES), _values),
    st.binary(),
)


@given(_calls)
def test_a_call_is_read_as_it_was_written(call: Call) -> None:
    assert parse_call(call_frame(call)[4:])[:3] == call[:3]


@given(st.binary() | st.binary().map(lambda tail: b"PODWIRE1\0azure-vnet\0" + tail))
def test_any_bytes_are_a_call_or_are_refused(data: bytes) -> None:
    try:
        call = parse_call(data)
    except BadFrameError:
        return
    assert set(call.env) <= set(VARIABLES)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"PODWIRE1\0\0",
        b"PODWIRE2\0azure-vnet\0\0{}",
        b"PODWIRE1\0azure-vnet\0CNI_COMMAND=ADD",
        b"PODWIRE1\0azure-vnet\0LD_PRELOAD=/evil.so\0\0{}",
        b"PODWIRE1\0azure-vnet\0CNI_COMMAND\0\0{}",
    ],
)
def test_what_is_no_call_is_refused(frame: bytes) -> None:
    with pytest.raises(BadFrameError):
        parse_call(frame)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ((LIMIT + 1).to_bytes(4, "big"), "the limit is"),
        (b"\xff\xff\xff\xff" + b"x" * 100, "the limit is"),
        (b"\0\0\0\x20PODWIRE1", "ended before its length"),
        (b"\0\0", "ended before its length"),
    ],
)
def test_a_length_is_not_believed(sent: bytes, said: str) -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(sent)
        there.shutdown(socket.SHUT_WR)
        with pytest.raises(BadFrameError, match=said):
            read_call(here, seconds=5)


def test_a_peer_that_goes_silent_is_left() -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"\0\0\0\x20PODWIRE1")
        with pytest.raises(BadFrameError):
            read_call(here, seconds=0.05)


def test_an_answer_is_read_as_it_was_written() -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(answer_frame(1, b'{"code": 11}\n'))
        assert read_answer(here, seconds=5) == (1, b'{"code": 11}\n')


def test_a_call_tells_whether_its_caller_still_waits() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(call_frame(Call("azure-vnet", {"CNI_COMMAND": "ADD"}, b"{}")))
        call = read_call(ours, seconds=5)
        assert call.waiting()
        theirs.sendall(b"more than was asked")
        assert call.waiting()
        theirs.shutdown(socket.SHUT_WR)
        assert call.waiting()
        theirs.close()
        assert not call.waiting()
