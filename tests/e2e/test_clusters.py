"""Clusters side by side in one VNet: made, scaled, upgraded, stopped, started, deleted."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.harness import PODWIRE, run

PARTS = ("side_by_side", "scale", "upgrade", "stop_and_start", "policy", "delete")


def test_the_life_of_two_clusters_in_one_vnet() -> None:
    root = str(Path(__file__).parents[2])
    try:
        said = run(sys.executable, "-m", "tests.e2e.clusters", "e2e-two", cwd=root, timeout=600)
    finally:
        run(PODWIRE, "down", "--name", "e2e-two")
    assert said.split("\n")[:-1] == [f"{one} done" for one in PARTS]
