"""The process that is a lab. `podwire up` starts it as `python -m podwire.arm.daemon NAME`.

Everything of the lab hangs below it and ends with it. Serves one unix socket, root's alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from podwire.lab.control import lock_daemon
from podwire.lab.lab import Lab
from podwire.lab.steps import StepEvent
from podwire.lab.work import Work
from podwire.model.errors import PodwireError
from podwire.model.layout import LabLayout

Say: TypeAlias = Callable[[dict[str, Any]], None]
_LINE_LIMIT = 1024 * 1024


class Daemon:
    """Answers requests about one lab until it is told to go."""

    def __init__(self, layout: LabLayout) -> None:
        self.layout = layout
        self.lab = Lab(layout)
        self.gone = asyncio.Event()
        self._busy = asyncio.Lock()

    async def run(self) -> None:
        self.layout.socket.unlink(missing_ok=True)
        await self.lab.open()
        server = await asyncio.start_unix_server(
            self._serve, str(self.layout.socket), limit=_LINE_LIMIT
        )
        self.layout.socket.chmod(0o600)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.gone.set)
        await self.gone.wait()
        server.close()
        await self.lab.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(answer: dict[str, Any]) -> None:
            writer.write(json.dumps(answer).encode() + b"\n")

        error = ""
        try:
            await self._answer(json.loads(await reader.readline()), reader, say)
        except (PodwireError, OSError) as trouble:
            error = str(trouble)
        except Exception as trouble:  # noqa: BLE001 - the process boundary: a bug is shown, not hidden
            traceback.print_exc()
            error = f"internal error: {trouble!r}; see {self.layout.log('daemon')}"
        say({"end": True, "error": error})
        with suppress(OSError):
            await writer.drain()
            writer.close()

    async def _answer(
        self, question: dict[str, Any], reader: asyncio.StreamReader, say: Say
    ) -> None:
        match question.get("op"):
            case "ping":
                say({"pid": os.getpid()})
            case "status":
                say(await self.lab.status())
            case "facts":
                say(await self.lab.facts())
            case "up":
                async with self._busy:
                    await self.lab.up(question["wanted"], lambda event: say(event.as_json()))
            case "prepare":
                outbound = bool(question.get("outbound"))
                await self.lab.prepare(lambda event: say(event.as_json()), outbound=outbound)
            case "events":
                await self._follow(reader, say)
            case "down":
                await self.lab.down(lambda event: say(event.as_json()))
                self.gone.set()
            case other:
                raise PodwireError(f"the daemon knows no operation {other!r}")

    async def _follow(self, reader: asyncio.StreamReader, say: Say) -> None:
        """Tell every event of the lab until who asked has gone."""

        def tell(work: Work, event: StepEvent) -> None:
            say({**event.as_json(), "subject": work.subject, "work": work.title})

        self.lab.works.listeners.add(tell)
        try:
            await reader.read()
        finally:
            self.lab.works.listeners.discard(tell)


def main(arguments: list[str], make: Callable[[LabLayout], Daemon] = Daemon) -> int:
    layout = LabLayout(arguments[0])
    lock = lock_daemon(layout)
    if lock is None:
        print(f"lab {layout.name} has a daemon already", file=sys.stderr)  # noqa: T201
        return 1
    asyncio.run(make(layout).run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
