"""How long work tells how far it is: one callable, given by whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, float | None], None]
"""(what is being done now, fraction 0.0 to 1.0 or None when that cannot be known)."""


def silent(_step: str, _fraction: float | None) -> None:
    """A Progress that shows nothing."""


def portion(progress: Progress, start: float, end: float) -> Progress:
    """A Progress for a part of a work: its 0.0 to 1.0 are `start` to `end` of the whole."""

    def part(step: str, fraction: float | None) -> None:
        progress(step, start + (end - start) * (fraction or 0.0))

    return part
