"""Reading part by part: what cannot be read is noted by name, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from podwire.model.errors import PodwireError

T = TypeVar("T")
P = ParamSpec("P")


class Reading:
    """unread: part -> why, in words."""

    def __init__(self) -> None:
        self.unread: dict[str, str] = {}

    def part(self, name: str, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `read` returns, given the rest; else None, and a note.

        ValueError, LookupError: a program or a file said something that is not understood.
        """
        try:
            return read(*args, **kwargs)
        except (PodwireError, OSError, ValueError, LookupError) as error:
            self.unread[name] = str(error) or type(error).__name__
            return None
