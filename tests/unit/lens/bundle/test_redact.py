"""What looks like a secret, or is named like one, goes; what decides on packets stays."""

from __future__ import annotations

import json

import pytest

from podwire.lens import codec
from podwire.lens.bundle.redact import MARK, redact, redact_json
from tests.unit.lens.bundle.planted import PLANTED, Planted
from tests.unit.lens.saved import NAMES, saved


@pytest.mark.parametrize("one", PLANTED, ids=lambda one: one.kind)
def test_a_secret_in_a_text(one: Planted) -> None:
    said, removed = redact(one.text)
    assert [secret for secret in one.gone if secret in said] == []
    assert one.kept in said
    assert MARK in said
    assert removed.total() >= 1


@pytest.mark.parametrize("one", PLANTED, ids=lambda one: one.kind)
def test_a_secret_in_a_string_of_a_document(one: Planted) -> None:
    said, removed = redact_json(json.dumps({"a": [{"b": one.text}], "n": 1}))
    assert [secret for secret in one.gone if secret in json.loads(said)["a"][0]["b"]] == []
    assert json.loads(said)["n"] == 1
    assert removed.total() >= 1


@pytest.mark.parametrize(
    ("document", "left"),
    [
        ({"kind": "Secret", "data": {"a": "x"}}, {"kind": "Secret", "data": {"a": MARK}}),
        ({"kind": "ConfigMap", "data": {"a": "x"}}, {"kind": "ConfigMap", "data": {"a": "x"}}),
        ({"protectedSettings": {"a": ["x"]}}, {"protectedSettings": {"a": [MARK]}}),
        ({"env": [{"name": "A", "value": "x"}]}, {"env": [{"name": MARK, "value": MARK}]}),
        ({"access_token": "x", "tokens": 3}, {"access_token": MARK, "tokens": 3}),
    ],
)
def test_a_document_by_its_names(document: object, left: object) -> None:
    assert json.loads(redact_json(json.dumps(document))[0]) == left


def test_what_is_redacted_stays_so_and_is_counted_once() -> None:
    for one in PLANTED:
        said, _ = redact(one.text)
        assert redact(said)[0] == said, one.kind
    assert redact("Authorization: Bearer abcdefgh1234")[1].total() == 1


@pytest.mark.parametrize(
    "line",
    [
        "2026/11/25 09:00:01 [7] ADD command with args {ContainerID:8f1d Netns:/proc/9}",
        '-A KUBE-SVC-TCOU7JCQXEZGVUNU -m comment --comment "kube-system/kube-dns:dns" -j MARK',
        'I1125 09:00:01.000000 77 reflector.go:351] Caches populated for *v1.Secret from "factory"',
        'E1125 pod_workers.go:1298] "Error syncing pod" err="failed to pull image: not found"',
        "E1125 reflector.go:138] Failed to watch *v1.Secret: failed to list: forbidden",
        "W | auth: simple token is not cryptographically signed",
        '{"type":"azure-vnet","mode":"bridge","ipam":{"type":"azure-vnet-ipam"}}',
    ],
)
def test_what_helps_is_left_as_it_is(line: str) -> None:
    assert redact(line) == (line, {})


@pytest.mark.parametrize("name", NAMES)
def test_a_snapshot_of_a_lab_loses_nothing(name: str) -> None:
    text = codec.to_json(saved(name))
    said, removed = redact_json(text)
    assert removed == {}
    assert codec.from_json(said) == saved(name)
