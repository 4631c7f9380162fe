"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from podwire.model.layout import DEFAULT_LAB, LabLayout

F = TypeVar("F", bound=Callable[..., Any])


def _layout(_context: click.Context, _parameter: click.Parameter, name: str) -> LabLayout:
    return LabLayout(name)


def lab_option(command: F) -> F:
    """--name NAME, handed on as `layout: LabLayout`. Raises InvalidInputError for a bad name."""
    return click.option(
        "--name",
        "layout",
        default=DEFAULT_LAB,
        show_default=True,
        callback=_layout,
        envvar="PODWIRE_LAB",
        help="Which lab; several can run at once under different names.",
    )(command)
