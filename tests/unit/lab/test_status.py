"""The lab's state from those of its clusters."""

from __future__ import annotations

import pytest

from podwire.lab.status import state_of


@pytest.mark.parametrize(
    ("clusters", "state"),
    [
        ([], "empty"),
        (["running", "stopped"], "running"),
        (["running", "updating"], "running"),
        (["running", "creating"], "starting"),
        (["stopping"], "starting"),
        (["creating", "failed"], "failed"),
    ],
)
def test_state(clusters: list[str], state: str) -> None:
    assert state_of(clusters) == state
