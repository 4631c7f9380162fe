"""An SVG as PNG, by the program that this machine has for it: no library is needed for the rest."""

from __future__ import annotations

import shutil
import subprocess

from podwire.model.errors import ProcessError

_PROGRAM = "rsvg-convert"
_PACKAGE = "librsvg2-bin"
_SCALE = "2"
"""Twice the pixels, so that it is sharp on paper and on dense screens."""


def render(picture: str) -> bytes:
    """picture: SVG of theme light or dark. Raises ProcessError when the program is missing or
    fails."""
    program = shutil.which(_PROGRAM)
    if program is None:
        raise ProcessError(
            f"to make a PNG takes the program {_PROGRAM}; install the package {_PACKAGE} "
            f"(apt install {_PACKAGE}), or take --format svg or html"
        )
    done = subprocess.run(
        [program, "--unlimited", "--zoom", _SCALE, "--format", "png"],
        input=picture.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise ProcessError(f"{program} made no PNG: {said or f'exit status {done.returncode}'}")
    return done.stdout
