"""The watch loop against a server that lists, watches, forgets, fails and hangs up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podwire.cluster.clusterdns import watch
from podwire.cluster.clusterdns.watch import ApiServer, Document, Watcher

from .api_server import ApiState, api_server, service

PATH = "/api/v1/services"


class Seen:
    """What a watcher told: the objects as they stand, by name."""

    def __init__(self) -> None:
        self.objects: dict[str, Document] = {}
        self.replaced = 0

    def replace(self, documents: list[Document]) -> None:
        self.objects = {one["metadata"]["name"]: one for one in documents}
        self.replaced += 1

    def put(self, document: Document) -> None:
        self.objects[document["metadata"]["name"]] = document

    def remove(self, document: Document) -> None:
        del self.objects[document["metadata"]["name"]]


def until(holds: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[ApiState, ApiServer]]:
    account = tmp_path / "account"
    with api_server(account) as (state, port):
        yield state, ApiServer("127.0.0.1", port, account)


Start = Callable[[ApiServer, Seen], None]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts watchers, which end with the test."""
    watchers: list[Watcher] = []

    def run(api: ApiServer, seen: Seen) -> None:
        watchers.append(Watcher(api, PATH, seen))
        watchers[-1].start()

    yield run
    for one in watchers:
        one.ended.set()


@pytest.fixture
def watched(served: tuple[ApiState, ApiServer], start: Start) -> tuple[ApiState, Seen]:
    state, api = served
    state.put(PATH, service("first", "10.0.0.1"))
    seen = Seen()
    start(api, seen)
    until(lambda: "first" in seen.objects)
    return state, seen


def test_changes_arrive_as_they_happen(watched: tuple[ApiState, Seen]) -> None:
    state, seen = watched
    state.put(PATH, service("second", "10.0.0.2"))
    until(lambda: "second" in seen.objects)
    state.put(PATH, service("second", "10.0.0.3"))
    until(lambda: seen.objects["second"]["spec"]["clusterIP"] == "10.0.0.3")
    state.delete(PATH, "second")
    until(lambda: "second" not in seen.objects)
    assert seen.replaced == 1


def test_other_kinds_do_not_disturb(watched: tuple[ApiState, Seen]) -> None:
    state, seen = watched
    state.put("/api/v1/endpoints", service("endless", "10.0.0.9"))
    state.put(PATH, service("second", "10.0.0.2"))
    until(lambda: "second" in seen.objects)
    assert set(seen.objects) == {"first", "second"}


def test_a_watch_that_ended_goes_on_where_it_was(watched: tuple[ApiState, Seen]) -> None:
    state, seen = watched
    state.put(PATH, service("second", "10.0.0.2"))
    until(lambda: "second" in seen.objects)
    state.hang_up()
    state.put(PATH, service("third", "10.0.0.3"))
    until(lambda: "third" in seen.objects)
    assert seen.replaced == 1, "it listed again though the server still knew its version"


def test_a_bookmark_moves_the_version_on(watched: tuple[ApiState, Seen]) -> None:
    state, seen = watched
    for _ in range(3):
        state.bookmark(PATH)
    wanted = f"resourceVersion={len(state.events)}"
    until(lambda: _bounced(state) and wanted in state.requests[-1])
    assert seen.replaced == 1


def _bounced(state: ApiState) -> bool:
    state.hang_up()
    time.sleep(0.05)
    return True


def test_gone_in_a_watch_leads_to_a_new_list(watched: tuple[ApiState, Seen]) -> None:
    state, seen = watched
    state.delete(PATH, "first")
    until(lambda: not seen.objects)
    with state._changed:
        state.hang_up()
        state.put("/api/v1/endpoints", service("other", "10.0.0.9"))
        state.put(PATH, service("missed", "10.0.0.2"))
        state.forget()
    until(lambda: set(seen.objects) == {"missed"})
    assert seen.replaced == 2


def test_a_failing_server_is_asked_again(
    served: tuple[ApiState, ApiServer], start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    state, api = served
    state.broken = 2
    state.put(PATH, service("first", "10.0.0.1"))
    seen = Seen()
    start(api, seen)
    until(lambda: "first" in seen.objects)
    assert "500" in capsys.readouterr().err


def test_the_token_is_read_for_each_request(watched: tuple[ApiState, Seen], tmp_path: Path) -> None:
    state, seen = watched
    token = (tmp_path / "account" / "token").read_text()
    (tmp_path / "account" / "token").write_text("expired")
    state.hang_up()
    state.put(PATH, service("second", "10.0.0.2"))
    time.sleep(0.3)
    assert "second" not in seen.objects
    (tmp_path / "account" / "token").write_text(token)
    until(lambda: "second" in seen.objects)


def test_a_server_with_another_certificate_is_not_believed(
    served: tuple[ApiState, ApiServer], tmp_path: Path
) -> None:
    state, api = served
    with api_server(tmp_path / "other"):
        stranger = ApiServer("127.0.0.1", api.port, tmp_path / "other")
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.get(PATH)
    assert not state.requests


def test_a_watch_that_always_ends_at_once_is_not_asked_in_a_loop(
    served: tuple[ApiState, ApiServer], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, api = served
    monkeypatch.setattr(watch, "_DELAYS", (0.2,))
    stop = threading.Event()

    def slam() -> None:
        while not stop.wait(0.005):
            state.hang_up()

    slamming = threading.Thread(target=slam)
    slamming.start()
    try:
        start(api, Seen())
        time.sleep(1.0)
        assert len(state.requests) < 12
    finally:
        stop.set()
        slamming.join()
