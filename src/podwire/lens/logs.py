"""The plugins' log read back: the call that made a pod, line by line. The one reader of it.

`read` looks with a node's own eyes; all else is pure. A call's lines are written in few pieces
(`cni.log.Log.gathered`), and the agent's calls share one process id, so pieces of two calls may
take turns: a line goes to the call whose container, namespace, link or address it names, else to
the one that its process spoke of last. Must not know what the lines are shown for.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from podwire.cni.loglines import Parts, split
from podwire.cni.settings import Settings
from podwire.kernel.mountns import inside

PLUGIN = "azure-vnet"
MOST_BYTES = 16 << 20
"""Of the newest files; what is older is not read."""
_TEXT = re.compile(r"(?P<stamp>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<pid>\d+)\] (?P<said>.*)")
_BEGIN = re.compile(r"Processing (?P<verb>[A-Z]+) command with args \{(?P<args>.*)")
_END = re.compile(r"(?P<verb>[A-Z]+) command completed with (?P<said>.*)")
_FIELD = re.compile(r"\b(ContainerID|Netns|IfName|K8S_POD_NAME|K8S_POD_NAMESPACE)[:=]([^\s;}]*)")
_TOOK = re.compile(r"Pod:\S* Duration:(?P<took>[\d.]+)ms")
_NAMES = (
    re.compile(r"Creating veth pair (\S+) \S+\."),
    re.compile(r"returned result:IP:\[\{Version:4 .*?\{IP:([\d.]+) "),
    re.compile(r"Creating endpoint (\S+)\."),
)
"""What later lines of a call name it by."""


@dataclass(frozen=True, slots=True)
class Line:
    """stamp: as written, to the second in the text form. level: "info", "error". component: the
    package that speaks, as in "net", or "". text: without stamp and tags; raw: as in the file."""

    stamp: str
    pid: int
    level: str
    component: str
    text: str
    raw: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the plugin. verb: "ADD", "DEL", "CHECK", ...; pod: namespace/name, "" if unknown.

    ended: its last line is there; failed: it told an error. took: milliseconds, None if not ended.
    """

    verb: str
    container_id: str
    ifname: str
    pod: str
    lines: tuple[Line, ...]
    ended: bool = False
    failed: bool = False
    took: float | None = None


def read(pid: int, directory: str = Settings().log_dir, plugin: str = PLUGIN) -> str:
    """The log of the node that process `pid` is on, oldest line first, "" when there is none.

    Raises KernelError when there is no such process, UnicodeError never.
    """
    return inside(pid, lambda: read_here(directory, plugin))


def read_here(directory: str = Settings().log_dir, plugin: str = PLUGIN) -> str:
    """The same of the caller's own files."""
    path, texts, room = os.path.join(directory, f"{plugin}.log"), list[str](), MOST_BYTES
    for number in range(8):
        with suppress(FileNotFoundError), open(f"{path}.{number}" if number else path, "rb") as one:
            found = one.read()
            texts.append(found[-room:].decode(errors="replace"))
            room -= len(found)
        if room <= 0:
            break
    return "".join(reversed(texts))


def birth(text: str, container_id: str, ifname: str = "") -> Call | None:
    """The last ADD of a container, None when the log does not go back that far."""
    found = [one for one in calls(_since(text, container_id)) if one.container_id == container_id]
    mine = [one for one in found if one.verb == "ADD" and ifname in ("", one.ifname)]
    return mine[-1] if mine else None


def calls(text: str) -> list[Call]:
    """All calls in the order of their first lines. Lines before the first are nobody's."""
    done: list[_Open] = []
    of_process: dict[int, list[_Open]] = {}
    for line in lines(text):
        open_ones = of_process.setdefault(line.pid, [])
        begin = _BEGIN.match(line.text)
        if begin:
            open_ones.append(_Open.of(begin["verb"], begin["args"]))
            done.append(open_ones[-1])
        owner = _owner(open_ones, line)
        if owner is None:
            continue
        owner.take(line)
        open_ones.remove(owner)
        if not owner.ended:
            open_ones.append(owner)  # the last one is who spoke last
    return [one.call() for one in done]


def lines(text: str) -> Iterator[Line]:
    """Of both forms that the plugin writes; anything else is left out."""
    for raw in text.splitlines():
        found = _json(raw) if raw.startswith("{") else _text(raw)
        if found is not None:
            yield found


@dataclass(slots=True)
class _Open:
    """A call while its lines come. names: what tells that a line is of this call."""

    verb: str
    container_id: str
    ifname: str
    pod: str
    names: list[str]
    lines: list[Line] = field(default_factory=list)
    ended: bool = False
    failed: bool = False
    took: float | None = None

    @classmethod
    def of(cls, verb: str, args: str) -> _Open:
        told: dict[str, str] = {}
        for key, value in _FIELD.findall(args):
            told.setdefault(key, value)
        namespace, name = told.get("K8S_POD_NAMESPACE", ""), told.get("K8S_POD_NAME", "")
        pod = f"{namespace}/{name}" if name else ""
        names = [one for one in (told.get("ContainerID"), told.get("Netns"), pod) if one]
        return cls(verb, told.get("ContainerID", ""), told.get("IfName", ""), pod, names)

    def take(self, line: Line) -> None:
        self.lines.append(line)
        for pattern in _NAMES:
            self.names += pattern.findall(line.text)
        self.failed = self.failed or line.level == "error"
        end = _END.match(line.text)
        if end and end["verb"] == self.verb:
            took = _TOOK.search(line.text)
            self.ended, self.took = True, float(took["took"]) if took else None
            self.failed = self.failed or "err:<nil>" not in line.text

    def call(self) -> Call:
        facts = (self.verb, self.container_id, self.ifname, self.pod, tuple(self.lines))
        return Call(*facts, self.ended, self.failed, self.took)


def _owner(open_ones: Sequence[_Open], line: Line) -> _Open | None:
    named = (one for one in reversed(open_ones) if any(_says(line.text, n) for n in one.names))
    return next(named, open_ones[-1] if open_ones else None)


def _says(text: str, name: str) -> bool:
    """As a word of its own: 10.0.0.4 is not in 10.0.0.40, and azv1 is in its veth's end azv12."""
    at = text.find(name)
    while at >= 0:
        after = text[at + len(name) : at + len(name) + 1]
        if not (after.isdigit() and name[-1].isdigit() and "." in name):
            return True
        at = text.find(name, at + 1)
    return False


def _text(raw: str) -> Line | None:
    match = _TEXT.fullmatch(raw)
    return _line(match["stamp"], int(match["pid"]), split(match["said"]), raw) if match else None


def _json(raw: str) -> Line | None:
    try:
        told = json.loads(raw)
        parts = Parts(told["level"], told.get("component", ""), told["msg"])
        return _line(told["ts"], int(told["pid"]), parts, raw)
    except (ValueError, LookupError, TypeError):
        return None


def _line(stamp: str, pid: int, parts: Parts, raw: str) -> Line:
    return Line(stamp, pid, parts.level, parts.component, parts.message, raw)


def _since(text: str, container_id: str) -> str:
    """From the first line that names the container: logs are long, calls are not."""
    at = text.find(container_id) if container_id else -1
    return text[text.rfind("\n", 0, at) + 1 :] if at >= 0 else ""
