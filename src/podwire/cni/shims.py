"""Making what a runtime executes when there is an agent: the C shim, or its Python twin.

Must not know where things are put. The C program is compiled once and kept; an installation's
fixed values are written into its copy.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from podwire.model.errors import InvalidInputError, UnavailableError
from podwire.model.layout import CACHE

KINDS = ("auto", "c", "python")
_MARKER = b"PODWIRE-SHIM-CONFIG"
_ROOM = 1024
_FLAGS = (
    *("-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie"),
    *("-O2", "-fno-tree-loop-distribute-patterns"),
)
_PYTHON = '''\
#!/usr/bin/python3 -IS
"""{name}, a CNI plugin. Written by Podwire's installer: install anew instead of editing."""
import sys

sys.path.insert(0, {directory!r})

import shim

del sys.path[0]
shim.main({name!r}, {socket!r}, {plugin!r}, {seconds!r})
'''


def make(kind: str, name: str, library: str, *, socket: str, plugin: str, seconds: float) -> bytes:
    """The shim `name`; kind: c, python, or auto for C where it can be had.

    library: where the node half is installed. Raises InvalidInputError, UnavailableError.
    """
    if kind not in KINDS:
        raise InvalidInputError(f"shim {kind!r} is unknown; use auto, c or python")
    if kind != "python":
        try:
            return c_shim(name, socket=socket, plugin=plugin, seconds=seconds)
        except UnavailableError:
            if kind == "c":
                raise
    return python_shim(name, library=library, socket=socket, plugin=plugin, seconds=seconds)


def c_shim(name: str, *, socket: str, plugin: str, seconds: float, cache: Path = CACHE) -> bytes:
    """The program `name` that asks `socket` and falls back to `plugin` after `seconds`.

    Raises UnavailableError without a compiler and a compiled one, InvalidInputError when the
    paths are too long.
    """
    program = _compiled(cache).read_bytes()
    values = (name, socket, plugin, str(round(seconds * 1000)))
    config = b"\0".join((_MARKER, *(one.encode() for one in values))) + b"\0"
    if len(config) > _ROOM or len(socket.encode()) > 107:
        raise InvalidInputError(f"paths too long for a shim: {socket}, {plugin}")
    if program.count(_MARKER) != 1:
        raise UnavailableError("the compiled shim has no place for its configuration")
    at = program.index(_MARKER)
    return program[:at] + config.ljust(_ROOM, b"\0") + program[at + _ROOM :]


def python_shim(name: str, *, library: str, socket: str, plugin: str, seconds: float) -> bytes:
    """The same in Python. library: where the node half is installed."""
    return _PYTHON.format(
        name=name, directory=f"{library}/podwire/cni", socket=socket, plugin=plugin, seconds=seconds
    ).encode()


def _compiled(cache: Path) -> Path:
    """Raises UnavailableError."""
    source = _source()
    digest = hashlib.sha256(source.read_bytes() + repr(_FLAGS).encode()).hexdigest()[:12]
    program = cache / "shim" / f"azure-vnet-{os.uname().machine}-{digest}"
    if program.exists():
        return program
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise UnavailableError("there is no C compiler: install gcc, or choose the Python shim")
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as directory:
            made = Path(directory) / "shim"
            _compile(compiler, source, made)
            os.replace(made, program)
    except OSError as error:
        raise UnavailableError(
            f"cannot keep the compiled shim in {program.parent}: {error}"
        ) from error
    return program


def _compile(compiler: str, source: Path, made: Path) -> None:
    argv = [compiler, *_FLAGS, "-o", str(made), str(source)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"cannot compile the shim: {done.stderr.strip()}")


def _source() -> Path:
    """In a wheel beside this module, in a checkout in its own room."""
    here = Path(__file__).resolve()
    for path in (here.with_name("azure-vnet.c"), here.parents[3] / "shim" / "azure-vnet.c"):
        if path.exists():
            return path
    raise UnavailableError("this installation of Podwire has no shim/azure-vnet.c")
