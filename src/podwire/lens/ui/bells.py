"""What rings when something changes: the kernel, for each namespace, and commands that print.

For one event loop. Must not know what is done about it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

from podwire.kernel.bell import Bell
from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError

AGAIN = 2.0
"""Seconds until a command that ended is started again."""
_PIECE = 1 << 16
log = logging.getLogger(__name__)


class KernelBells:
    """Calls `heard` with a name when links, addresses or routes change in its namespace."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._bells: dict[int, Bell] = {}

    def hang(self, names: Mapping[str, str]) -> None:
        """Listen in these namespaces, by path, each with a name, and in no other."""
        there: set[int] = set()
        for path, name in names.items():
            with suppress(KernelError), NetNamespace.open(path) as namespace:
                there.add(namespace.inode)
                if namespace.inode not in self._bells:
                    self._hang_one(namespace, name)
        for inode in set(self._bells) - there:
            self._silence(self._bells.pop(inode))

    def close(self) -> None:
        for bell in self._bells.values():
            self._silence(bell)
        self._bells.clear()

    def _hang_one(self, namespace: NetNamespace, name: str) -> None:
        try:
            bell = Bell(namespace)
        except KernelError as error:
            log.warning("no bell: %s", error)
            return
        self._bells[namespace.inode] = bell
        asyncio.get_running_loop().add_reader(bell.fileno(), self._rang, bell, name)

    def _rang(self, bell: Bell, name: str) -> None:
        if bell.rang():
            self._heard(name)

    def _silence(self, bell: Bell) -> None:
        asyncio.get_running_loop().remove_reader(bell.fileno())
        bell.close()


async def follow(command: tuple[str, ...], heard: Callable[[], None]) -> None:
    """Call `heard` whenever the command prints; start it again when it ends. Until cancelled."""
    while True:
        with suppress(OSError):
            await _follow_once(command, heard)
        await asyncio.sleep(AGAIN)


async def _follow_once(command: tuple[str, ...], heard: Callable[[], None]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # ^C is this process's
    )
    assert process.stdout is not None
    try:
        while await process.stdout.read(_PIECE):
            heard()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
