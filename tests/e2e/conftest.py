"""One lab for all tests of the document; tests that end or break labs bring up their own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e.harness import LabHarness


def pytest_itemcollected(item: pytest.Item) -> None:
    """Two workers (Makefile): who uses the one lab does so in one of them, any other module's tests
    are in either, together."""
    assert isinstance(item, pytest.Function)
    shared = "lab" in item.fixturenames and not hasattr(item.module, "lab")
    item.add_marker(pytest.mark.xdist_group("lab" if shared else item.path.stem))


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    assert os.geteuid() == 0, "the end-to-end tests make namespaces: run them as root"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHarness]:
    """The document's cluster as `podwire up` leaves it, with a tools pod on every node."""
    made = LabHarness("e2e", tmp_path_factory.mktemp("home"))
    try:
        made.podwire("up", "--cluster", "azurecni-cluster")
        yield made
    finally:
        made.podwire("down")
