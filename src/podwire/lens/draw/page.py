"""A scene as one self-contained HTML page: the SVG, and what it says in words."""

from __future__ import annotations

from podwire.lens.draw import svg
from podwire.lens.draw.palette import THEMES
from podwire.lens.draw.scene import Scene

_STYLE = "margin:0 auto;padding:16px;max-width:max-content;font-family:" + svg.SANS


def render(scene: Scene, theme: str = svg.AUTO) -> str:
    """No script, nothing from elsewhere. Raises InvalidInputError for an unknown theme."""
    picture = svg.render(scene, theme)
    title = svg.escape(scene.title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title>"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>body{{{_STYLE}}}svg{{max-width:100%;height:auto}}{_paper(theme)}</style>"
        f"</head><body><main>\n{picture}</main></body></html>\n"
    )


def _paper(theme: str) -> str:
    if theme != svg.AUTO:
        return f"body{{background:{THEMES[theme].paper}}}"
    light, dark = (f"body{{background:{THEMES[one].paper}}}" for one in ("light", "dark"))
    return f":root{{color-scheme:light dark}}{light}@media (prefers-color-scheme:dark){{{dark}}}"
