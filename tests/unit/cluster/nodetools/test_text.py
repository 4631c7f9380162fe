"""Tables, durations, sizes, YAML."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from podwire.cluster.nodetools import text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
WORDS = st.sampled_from(
    ["no", "Null", "1e3", "a-b", "x/y.z", "-", "~", "on", "0x1f", "12:30", "a_b"]
)


def test_a_table() -> None:
    rows = [["A", "LONG ONE", "C"], ["x" * 12, "y", ""]]
    assert text.table(rows, width=10) == (
        "A              LONG ONE   C\nxxxxxxxxxxxx   y          \n"
    )
    assert text.table([], width=10) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (26 * 60, "26 minutes"),
        (3600, "About an hour"),
        (90 * 60, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert text.human_duration(seconds) == words


def test_sizes_and_cut_texts() -> None:
    assert text.human_size(1_546_962) == "1.55MB"
    assert text.human_size(389_120, 4) == "389.1kB"
    assert text.human_size(0) == "0B"
    assert text.human_size(5e15) == "5e+03TB"
    assert text.ellipsis("/docker-entrypoint.sh nginx", 20) == "/docker-entrypoint.…"
    assert text.ellipsis("short", 20) == "short"


@given(JSON | st.dictionaries(WORDS, WORDS | st.lists(WORDS)))
def test_yaml_means_what_the_json_did(value: Any) -> None:
    assert yaml.safe_load(text.yaml(value)) == value


def test_yaml_reads_well() -> None:
    assert text.yaml({"a": {"b": [1, {"c": "d"}]}, "e": []}) == (
        "a:\n  b:\n  - 1\n  - c: d\ne: []\n"
    )
