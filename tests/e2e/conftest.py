"""One lab for all tests of the document, one for each of two workers (Makefile); tests that end or
break labs bring up their own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e.harness import LabHarness


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    assert os.geteuid() == 0, "the end-to-end tests make namespaces: run them as root"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHarness]:
    """The document's cluster as `podwire up` leaves it, with a tools pod on every node."""
    name = f"e2e{os.environ.get('PYTEST_XDIST_WORKER', '')}"
    made = LabHarness(name, tmp_path_factory.mktemp("home"))
    try:
        made.podwire("up", "--cluster", "azurecni-cluster")
        yield made
    finally:
        made.podwire("down")
