from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.arm.client import CLUSTER, Client, cluster


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path / "arm.sqlite")
    yield made
    made.close()


@pytest.fixture
def document(client: Client) -> Client:
    """With the document's group, VNet and subnets."""
    client.document()
    return client


@pytest.fixture
def running(document: Client) -> Client:
    """With the document's cluster."""
    document.put(CLUSTER, cluster())
    return document
