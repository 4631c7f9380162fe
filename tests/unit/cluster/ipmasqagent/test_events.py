"""Events over HTTPS, with the account of a pod."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from podwire.cluster.ipmasqagent import events
from podwire.cluster.ipmasqagent.events import Teller
from tests.unit.cluster.clusterdns.api_server import ApiState, api_server

NODE = "aks-nodepool1-12345678-vmss000000"
NAME = "azure-ip-masq-agent-config"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ApiState, Teller]]:
    monkeypatch.setattr(events.time, "sleep", lambda _seconds: None)
    with api_server(tmp_path / "account") as (state, port):
        yield state, Teller("127.0.0.1", port, NODE, NAME, account=tmp_path / "account")


def test_an_event_is_about_the_config_map(served: tuple[ApiState, Teller]) -> None:
    state, teller = served
    assert teller.tell("InvalidConfig", "it is no YAML")
    ((path, event),) = state.posted
    assert path == "/api/v1/namespaces/kube-system/events"
    assert event["metadata"]["name"].startswith(f"{NAME}.")
    assert event["involvedObject"]["name"] == NAME
    assert (event["type"], event["reason"]) == ("Warning", "InvalidConfig")
    assert event["message"] == "it is no YAML"
    assert event["source"] == {"component": "azure-ip-masq-agent", "host": NODE}
    assert f"/api/v1/namespaces/kube-system/configmaps/{NAME}" in state.requests


def test_the_same_twice_is_one_event(served: tuple[ApiState, Teller]) -> None:
    state, teller = served
    assert teller.tell("InvalidConfig", "a")
    assert teller.tell("InvalidConfig", "a")
    assert teller.tell("InvalidConfig", "b")
    assert [event["message"] for _, event in state.posted] == ["a", "b"]


def test_an_api_that_fails_twice_is_asked_again(served: tuple[ApiState, Teller]) -> None:
    state, teller = served
    state.broken = 2
    assert teller.tell("InvalidConfig", "a")


def test_nobody_is_told_when_the_api_refuses_or_is_away(
    served: tuple[ApiState, Teller], tmp_path: Path
) -> None:
    state, teller = served
    assert not Teller("127.0.0.1", 1, NODE, NAME, account=tmp_path / "account").tell("R", "m")
    (tmp_path / "account" / "token").write_text("another")
    assert not teller.tell("R", "m")
    assert state.posted == []
