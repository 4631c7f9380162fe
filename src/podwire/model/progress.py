"""How long work tells how far it is: one callable, given by whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, float | None], None]
"""(what is being done now, fraction 0.0 to 1.0 or None when that cannot be known)."""


def silent(_step: str, _fraction: float | None) -> None:
    """A Progress that shows nothing."""
