"""The page's server as it is started: `podwire ui --from FILE`, asked over its socket."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from podwire.lens.ui.guard import TOKEN_HEADER
from tests.unit.lens.saved import saved

PODWIRE = (sys.executable, "-m", "podwire.cli.main")
SAVED = Path(__file__).parent.parent / "snapshots" / "bridge.json.gz"


@dataclass
class Page:
    process: subprocess.Popen[str]
    port: int
    token: str

    def ask(self, path: str, token: str | None = None) -> tuple[int, str, str]:
        """Status, content type, body."""
        door = HTTPConnection("127.0.0.1", self.port, timeout=20)
        door.request("GET", path, headers={TOKEN_HEADER: token or self.token})
        answer = door.getresponse()
        found = answer.status, answer.getheader("content-type") or "", answer.read().decode()
        door.close()
        return found

    def events(self, wanted: str, query: str = "") -> Iterator[tuple[str, Any]]:
        """Until one of this name has come."""
        door = HTTPConnection("127.0.0.1", self.port, timeout=20)
        door.request("GET", f"/api/events?{query}", headers={TOKEN_HEADER: self.token})
        answer = door.getresponse()
        name = ""
        while name != wanted:
            name = answer.readline().decode().removeprefix("event: ").strip()
            yield name, json.loads(answer.readline().decode().removeprefix("data: "))
            assert answer.readline() == b"\n"
        door.close()


def start(*words: str) -> subprocess.Popen[str]:
    argv = [*PODWIRE, "ui", "--no-browser", *words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    process = start("--from", str(SAVED))
    assert process.stdout is not None
    try:
        address = process.stdout.readline()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/#token=([\w-]+)\n", address)
        assert found, (address, process.poll())
        yield Page(process, int(found[1]), found[2])
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "^C ends it.\n")


def test_the_page_needs_nothing_that_is_elsewhere(page: Page) -> None:
    waiting, seen = ["/", "/picture.css"], set[str]()
    while waiting:
        path = waiting.pop()
        status, kind, text = page.ask(path, "none")
        assert status == 200, path
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text
        seen.add(path)
        found = re.findall(r'(?:src|href)="([\w./-]+)"|from "\./([\w.-]+)"', text)
        waiting += [f"/{a or b}" for a, b in found if f"/{a or b}" not in seen]
        if path.endswith(".js"):
            assert "javascript" in kind
    assert len(seen) > 12


@pytest.mark.parametrize("path", ["/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "/x"])
def test_only_the_page_is_served(page: Page, path: str) -> None:
    assert page.ask(path)[0] == 404


def test_without_the_token_there_is_no_data(page: Page) -> None:
    for path in ("/api/events", "/api/object?id=x", "/api/path", "/api/log", "/api/none"):
        assert page.ask(path, "wrong")[0] == 401


def test_the_stream_tells_the_picture_first(page: Page) -> None:
    told = dict(events := list(page.events("state")))
    assert [name for name, _ in events] == ["picture", "addresses", "things", "state"]
    assert told["picture"]["fresh"]
    assert told["picture"]["width"] > 100
    assert told["state"]["live"] is False
    assert told["state"]["problem"] == ""
    assert {one["kind"] for one in told["addresses"]} == {"node", "subnet"}


def test_one_node_alone_and_one_that_is_not_there(page: Page) -> None:
    name = saved("bridge").nodes[0].name
    told = dict(page.events("state", f"node={name}"))
    nodes = [one["object"] for one in told["picture"]["put"] if one["id"].startswith("node:")]
    assert nodes == [f"node {name}"]
    told = dict(page.events("state", "node=none"))
    assert "picture" not in told
    assert name in told["state"]["problem"]


def test_questions_are_answered(page: Page) -> None:
    list(page.events("state"))
    pod = next(one.key for each in saved("bridge").clusters for one in each.pods if one.space)
    status, _, text = page.ask(f"/api/object?id={quote(f'pod {pod}')}")
    assert (status, json.loads(text)["title"]) == (200, f"pod {pod}")
    status, _, text = page.ask(f"/api/path?from={quote(pod)}&to=svc/default/nginx")
    assert (status, json.loads(text)["verdict"]) == (200, "delivered")
    status, _, text = page.ask(f"/api/log?pod={quote(pod)}")
    assert status == 503
    assert "where the node is" in json.loads(text)["error"]


@pytest.mark.parametrize(
    "path", ["/api/object", "/api/object?id=pod%20a/b", "/api/path?from=x&to=y", "/api/log?pod=a/b",
             "/api/events?figure=none", "/api/path?from=default/nginx"]
)  # fmt: skip
def test_a_wrong_question_is_told_what_is_wrong(page: Page, path: str) -> None:
    list(page.events("state"))
    status, _, text = page.ask(path)
    assert status == 404
    assert len(json.loads(text)["error"]) > 10


def test_a_port_that_is_taken_is_told(page: Page) -> None:
    process = start("--from", str(SAVED), "--port", str(page.port))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"port {page.port}" in err
    assert "--port" in err


def test_a_file_that_is_none_is_told_at_once(tmp_path: Path) -> None:
    process = start("--from", str(tmp_path / "none.json"))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "none.json" in err


def test_a_page_that_looks_does_not_hold_the_end_up() -> None:
    process = start("--from", str(SAVED))
    assert process.stdout is not None
    found = re.search(r":(\d+)/#token=([\w-]+)", process.stdout.readline())
    assert found
    page = Page(process, int(found[1]), found[2])
    events = page.events("never")
    next(events)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "^C ends it.\n")
    events.close()
