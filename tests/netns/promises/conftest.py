from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..cni.node import Node, build


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    with ExitStack() as stack:
        yield build(tmp_path, stack)


@pytest.fixture(scope="module", params=["bridge", "transparent"])
def shared_node(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Node]:
    """One node of each mode for many small tests; each leaves it bare."""
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    with ExitStack() as stack:
        yield build(tmp_path_factory.mktemp("node"), stack, mode=request.param)
