"""Putting the plugins on a node: executables, the code that they import, the conflist.

Works on a node's root file system seen from outside as well as on the running one. What a plugin
needs to find its state is written into it here; it reads no environment for that.
"""

from __future__ import annotations

import hashlib
import json
import os
import py_compile
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from podwire.cni import shims
from podwire.cni.loglines import FORMATS
from podwire.cni.settings import COOLING_SECONDS, INTERFACES_FILE, SOCKET, Settings
from podwire.cni.systemd import UNIT, unit_text
from podwire.ipam.ledger import STATE_DIR
from podwire.ipam.wireserver import URL
from podwire.model.errors import InvalidInputError

ROOMS = ("model", "kernel", "ipam", "cni")
"""The node half: all that a plugin imports."""
CONFLIST = "10-azure.conflist"
LIB_DIR = "/opt/cni/lib"
IN_PROCESS = "in-process"
"""Below lib_dir: what the shims become when no agent answers."""
AGENT = "podwire-agent"
"""Below lib_dir: the agent with the same code and the same fixed values."""
_PLUGINS = {
    "azure-vnet": ("podwire.cni.azure_vnet", "AzureVnet"),
    "azure-vnet-ipam": ("podwire.cni.azure_vnet_ipam", "AzureVnetIpam"),
}
_EXECUTABLE = '''\
#!/usr/bin/python3 -IS
"""{name}, a CNI plugin. Written by Podwire's installer: install anew instead of editing."""
import gc
import sys

gc.disable()  # one call of milliseconds leaves no garbage worth a collection
sys.path.insert(0, {library!r})

from podwire.cni.protocol import serve


def plugin():
    from {module} import {factory}
    from podwire.cni.settings import Settings

    return {factory}({settings!r})


serve({name!r}, plugin)
'''
_AGENT = '''\
#!/usr/bin/python3 -IS
"""The plugins' resident agent. Written by Podwire's installer: install anew instead of editing."""
import sys

sys.path.insert(0, {library!r})

from podwire.cni.agent.main import main
from podwire.cni.settings import Settings

sys.exit(main(settings={settings!r}, socket={socket!r}))
'''


def install(
    root: Path,
    *,
    bin_dir: str = "/opt/cni/bin",
    conf_dir: str = "/etc/cni/net.d",
    lib_dir: str = LIB_DIR,
    state_dir: str = STATE_DIR,
    log_dir: str = "/var/log",
    log_format: str = "text",
    mode: str = "bridge",
    ipam: Mapping[str, str] | None = None,
    wire_server_url: str = URL,
    interfaces_file: str = INTERFACES_FILE,
    cooling_seconds: float = COOLING_SECONDS,
    shim: str = "none",
    socket: str = SOCKET,
    agent_seconds: float = 10.0,
    systemd_dir: str = "",
    agent_options: Sequence[str] = (),
) -> None:
    """Put both plugins and the conflist on the node whose root directory is `root`.

    The directories are absolute paths as the node sees them. Each file appears whole or not at
    all; a node that runs an older version may be upgraded under way. shim: what a runtime
    executes: none, the plugins themselves; c, python, or auto (C where it can be had), a shim
    that asks the agent at `socket` and becomes the plugin when it has no answer after
    `agent_seconds`. ipam: further keys of the conflist's ipam, as in {"environment": "mas"}.
    systemd_dir: where to put the agent's unit, "" for none; agent_options: its further words.
    Raises InvalidInputError, UnavailableError without a compiler for shim c.
    """
    if shim != "none" and shim not in shims.KINDS:
        raise InvalidInputError(f"shim {shim!r} is unknown; use none, {', '.join(shims.KINDS)}")
    if mode not in ("bridge", "transparent"):
        raise InvalidInputError(f"CNI mode {mode!r} is unknown; use bridge or transparent")
    if log_format not in FORMATS:
        raise InvalidInputError(f"log format {log_format!r} is unknown; use text or json")
    settings = Settings(
        state_dir=state_dir,
        log_dir=log_dir,
        log_format=log_format,
        wire_server_url=wire_server_url,
        cooling_seconds=cooling_seconds,
        interfaces_file=interfaces_file,
    )
    library = _install_library(root, lib_dir)
    executables = {name: _executable(name, library, settings) for name in _PLUGINS}
    if shim != "none":
        place = f"{lib_dir}/{IN_PROCESS}"
        made = {
            name: shims.make(
                shim,
                name,
                library,
                socket=socket,
                plugin=f"{place}/{name}",
                seconds=agent_seconds,
            )
            for name in _PLUGINS
        }
        _put(_below(root, place), executables)
        agent = _AGENT.format(library=library, settings=settings, socket=socket)
        _put(_below(root, lib_dir), {AGENT: agent.encode()})
        executables = made
        if systemd_dir:
            unit = unit_text((f"{lib_dir}/{AGENT}", *agent_options))
            write_whole(_below(root, systemd_dir) / UNIT, unit.encode(), 0o644)
    _put(_below(root, bin_dir), executables)
    write_whole(_below(root, conf_dir) / CONFLIST, _conflist(mode, ipam or {}), 0o644)
    _forget_old_libraries(_below(root, lib_dir), os.path.basename(library))


def remove(root: Path, *, bin_dir: str, lib_dir: str) -> None:
    """Take the plugins' executables and their library off the node."""
    for name in _PLUGINS:
        (_below(root, bin_dir) / name).unlink(missing_ok=True)
    (_below(root, lib_dir) / AGENT).unlink(missing_ok=True)
    in_process = _below(root, lib_dir) / IN_PROCESS
    if in_process.exists():
        shutil.rmtree(in_process)
    for library in _libraries(_below(root, lib_dir)):
        shutil.rmtree(library)


def _executable(name: str, library: str, settings: Settings) -> bytes:
    module, factory = _PLUGINS[name]
    return _EXECUTABLE.format(
        name=name, library=library, module=module, factory=factory, settings=settings
    ).encode()


def _put(directory: Path, executables: Mapping[str, bytes]) -> None:
    for name, text in executables.items():
        write_whole(directory / name, text, 0o755)


def _conflist(mode: str, ipam: Mapping[str, str]) -> bytes:
    network = {
        "type": "azure-vnet",
        "mode": mode,
        "bridge": "azure0",
        "ipsToRouteViaHost": ["169.254.20.10"],
        "ipam": {"type": "azure-vnet-ipam", **ipam},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    document: dict[str, Any] = {
        "cniVersion": "0.3.0",
        "name": "azure",
        "plugins": [network, ports],
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _install_library(root: Path, lib_dir: str) -> str:
    """The directory for sys.path, as the node sees it: named by its content, written once."""
    sources = _sources()
    digest = hashlib.sha256(b"".join(name.encode() + text for name, text in sources)).hexdigest()
    library = f"{lib_dir}/podwire-{digest[:12]}"
    place = _below(root, library)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".podwire-", dir=place.parent))
        _fill(new, sources, library)
        new.chmod(0o755)
        try:
            new.rename(place)
        except OSError:
            shutil.rmtree(new)  # another installer was faster
            if not place.exists():
                raise
    return library


def _sources() -> list[tuple[str, bytes]]:
    """(path below sys.path, text) of each file of the node half."""
    package = Path(__file__).resolve().parent.parent
    files = [package / "__init__.py"]
    for room in ROOMS:
        files += sorted((package / room).rglob("*.py"))
    return [(str(one.relative_to(package.parent)), one.read_bytes()) for one in files]


def _fill(directory: Path, sources: list[tuple[str, bytes]], library: str) -> None:
    """Unchecked byte code: the directory's name changes with its content, so no stat is needed."""
    for name, text in sources:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        py_compile.compile(
            str(path),
            dfile=f"{library}/{name}",
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def _forget_old_libraries(directory: Path, current: str) -> None:
    """All but the current one and the newest other, which calls in flight may still import from."""
    others = [one for one in _libraries(directory) if one.name != current]
    for old in sorted(others, key=lambda one: one.stat().st_mtime)[:-1]:
        shutil.rmtree(old)


def _libraries(directory: Path) -> list[Path]:
    return [one for one in directory.glob("podwire-*") if one.is_dir()]


def write_whole(path: Path, text: bytes, mode: int) -> None:
    """Whole or not at all, and never over what a running process executes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(fd, "wb") as file:
            file.write(text)
            file.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
