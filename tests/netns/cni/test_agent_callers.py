"""Who may call the agent: root, from the agent's own network namespace."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podwire.cni.agent.frame import BadFrameError, Call, call_frame, read_answer
from podwire.cni.agent.server import CallServer, listen
from podwire.kernel.netns import NetNamespace

CALL = Call("azure-vnet", {"CNI_COMMAND": "ADD"}, b"{}")
NOBODY = 65534


@pytest.fixture
def served() -> Iterator[Path]:
    """A server's socket that everybody can connect to, so that only its own check is left."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "agent.sock")
        server = CallServer(str(path), lambda call: (0, call.plugin.encode()))
        thread = threading.Thread(target=server.serve)
        thread.start()
        path.parent.chmod(0o755)
        path.chmod(0o777)
        yield path
        server.close()
        thread.join()


def answered(path: Path, before: Callable[[], object]) -> bool:
    """Whether a process that did `before` gets an answer; False when it is turned away."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            before()
            status = 0 if _ask(path) else 1
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 1)
    return status == 0


def _ask(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
        try:
            peer.sendall(call_frame(CALL))
            return read_answer(peer, seconds=20) == (0, b"azure-vnet")
        except (BadFrameError, ConnectionError):
            return False


def test_root_of_this_network_namespace_is_answered(served: Path) -> None:
    assert answered(served, lambda: None)


def test_another_user_is_not(served: Path) -> None:
    assert not answered(served, lambda: os.setuid(NOBODY))


def test_another_network_namespace_is_another_node(served: Path) -> None:
    with NetNamespace.create() as elsewhere:
        assert not answered(served, elsewhere.entered().__enter__)


def test_its_sockets_are_roots_alone(tmp_path: Path) -> None:
    path = tmp_path / "run/agent.sock"
    with listen(str(path)):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
