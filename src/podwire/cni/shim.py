"""The shim where there is no C compiler: passes one call to the agent, else becomes the plugin.

The Python twin of `shim/azure-vnet.c`, in the same wire format (`cni/agent/frame.py`). It is
imported as a module of its own, by its directory, and imports only what is built into the
interpreter: each import from disk costs a caller a millisecond.
"""

import _socket
import posix
import sys

_LIMIT = 1 << 20
_INPUT_LIMIT = 5 << 20
_KNOWN = (
    b"CNI_COMMAND",
    b"CNI_CONTAINERID",
    b"CNI_NETNS",
    b"CNI_IFNAME",
    b"CNI_ARGS",
    b"CNI_PATH",
)


def main(name: str, path: str, plugin: str, seconds: float) -> None:
    """Ends the process, or executes `plugin` in its place with stdin from its start."""
    verb = posix.environ.get(b"CNI_COMMAND")
    if len(sys.argv) == 1 and verb and verb != b"VERSION":
        stdin = _read_stdin()
        answer = _ask(path, _frame(name, stdin), seconds)
        if answer is not None:
            posix._exit(answer[0] if _write(1, answer[1:]) else 1)  # noqa: SLF001  os would be an import
        _replay(stdin)
    posix.execv(plugin, [plugin, *sys.argv[1:]])


def _frame(name: str, stdin: bytes) -> bytes:
    words = [b"PODWIRE1", name.encode()]
    words += [one + b"=" + posix.environ[one] for one in _KNOWN if one in posix.environ]
    body = b"\0".join(words) + b"\0\0" + stdin
    return len(body).to_bytes(4, "big") + body


def _ask(path: str, frame: bytes, seconds: float) -> bytes | None:
    """Exit status and stdout; None when the agent does not answer."""
    if len(frame) - 4 > _LIMIT:
        return None
    peer = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    peer.settimeout(seconds)
    try:
        peer.connect(path)
        peer.sendall(frame)
        size = int.from_bytes(_receive(peer, 4), "big")
        return _receive(peer, size) if size else None
    except (OSError, EOFError):
        return None


def _receive(peer: _socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = peer.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _read_stdin() -> bytes:
    data = b""
    while len(data) <= _INPUT_LIMIT and (part := posix.read(0, 1 << 16)):
        data += part
    return data


def _replay(stdin: bytes) -> None:
    fd = posix.memfd_create("stdin")
    _write(fd, stdin)
    posix.lseek(fd, 0, 0)
    posix.dup2(fd, 0)


def _write(fd: int, data: bytes) -> bool:
    try:
        while data:
            data = data[posix.write(fd, data) :]
    except OSError:
        return False
    return True
