"""docs/walkthrough.md, executed: every command block is typed, and what it says is compared.

A block is fenced with ```console. A line `PROMPT$ command` is typed into the bash of that prompt,
which lives as long as the document, so that variables stay; with no name before the `$` it is the
reader's own shell, with `node0#` (any name of a node's end and `#`) root's shell on that node. What
follows is what must come out: `…` stands for anything within a line, a line of `…` alone for any
lines, and runs of blanks are equal. A command must end with exit status 0, and a command whose
block shows no output may say anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PROMPT = re.compile(r"(?P<shell>|node\S+)(?P<sign>[$#]) (?P<command>.+)")
_END = "\x1e"
_PATIENCE = 60.0
"""Seconds in which what a block shows must become true: pods take a while."""


@dataclass
class Command:
    """line: where it stands in the document, from 1. expected: None when nothing is shown."""

    line: int
    shell: str
    text: str
    expected: list[str] = field(default_factory=list)


def commands(document: str) -> Iterator[Command]:
    """All of a Markdown document, in order. Raises ValueError for a block with no prompt."""
    inside, current = False, None
    for number, line in enumerate(document.splitlines(), 1):
        if line.startswith("```"):
            if current:
                yield current
            inside, current = line == "```console", None
        elif inside and (match := _PROMPT.fullmatch(line)):
            if current:
                yield current
            current = Command(number, match["shell"], match["command"])
        elif inside and current and current.text.endswith("\\"):
            current.text += f"\n{line}"
        elif inside and current:
            current.expected.append(line)
        elif inside:
            raise ValueError(f"line {number}: a console block begins with a prompt, not {line!r}")


def is_as_shown(said: str, expected: list[str]) -> bool:
    """Whether an output is what a block shows."""
    parts = [_any_lines() if line.strip() == "…" else _one_line(line) for line in expected]
    return re.fullmatch("".join(parts), _plain(said)) is not None


def _any_lines() -> str:
    return r"(?:.*\n)*?"


def _one_line(line: str) -> str:
    words = re.split(r"(\s+|…)", line.strip())
    made = (
        ".*?" if one == "…" else r"[ \t]+" if not one.strip() else re.escape(one) for one in words
    )
    return rf"[ \t]*{''.join(one for one, text in zip(made, words, strict=True) if text)}[ \t]*\n"


def _plain(said: str) -> str:
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in said.splitlines())
    return "".join(f"{line}\n" for line in lines)


class Shell:
    """A bash that stays, fed one command at a time."""

    def __init__(self, argv: list[str], env: Mapping[str, str], directory: Path) -> None:
        self._bash = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, command: str) -> tuple[str, int]:
        """What it says, stderr included, and its exit status."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{command}\nprintf '{_END}%s\\n' $?\n")
        self._bash.stdin.flush()
        said = ""
        for line in self._bash.stdout:
            if _END in line:
                rest, _, status = line.partition(_END)
                return said + rest, int(status)
            said += line
        raise AssertionError(f"the shell ended at: {command}\n{said}")

    def close(self) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._bash.wait(20)


class Reader:
    """Who types the document. podwire: the command; directory: where files that it writes go."""

    def __init__(self, podwire: str, env: Mapping[str, str], directory: Path) -> None:
        self._podwire, self._directory = podwire, directory
        path = f"{Path(podwire).parent}:{os.environ['PATH']}"
        self._env = {**env, "PATH": path, "PS1": "", "COLUMNS": "200", "NO_COLOR": "1"}
        self._shells: dict[str, Shell] = {}

    def follow(self, command: Command) -> None:
        """Raises AssertionError with the line, what was shown and what came out."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            said, status = self._shell(command.shell).type(command.text)
            fine = not command.expected or is_as_shown(said, command.expected)
            if status == 0 and fine:
                return
            if time.monotonic() > deadline or (status == 0 and not command.expected):
                shown = "\n".join(command.expected)
                raise AssertionError(
                    f"line {command.line}: {command.text}\nexit status {status}\n"
                    f"--- shown\n{shown}\n--- came\n{said}"
                )
            time.sleep(0.5)

    def _shell(self, name: str) -> Shell:
        if name not in self._shells:
            argv = ["/bin/bash"]
            if name:
                node = name.removeprefix("node")
                argv = [self._podwire, "node", "exec", node, "--", "/bin/bash", "-l"]
            self._shells[name] = Shell(argv, self._env, self._directory)
        return self._shells[name]

    def close(self) -> None:
        for one in self._shells.values():
            one.close()
