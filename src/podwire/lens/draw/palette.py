"""Colours by role: Okabe and Ito's, which everybody tells apart, in light and dark.

No colour stands alone: roles differ in dash, weight and label as well. Source: Okabe, Ito,
"Color Universal Design" (2008).
"""

from __future__ import annotations

from dataclasses import dataclass

ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, RED, PURPLE, GREY = "#0072b2", "#d55e00", "#cc79a7", "#7f8790"

HUES = {
    "vnet": BLUE,
    "subnet": SKY,
    "gateway": BLUE,
    "node": GREY,
    "nic": BLUE,
    "cable": BLUE,
    "bridge": ORANGE,
    "port": ORANGE,
    "routes": RED,
    "route": RED,
    "veth": GREEN,
    "eth0": GREEN,
    "pod": PURPLE,
    "container": GREY,
    "service": YELLOW,
    "chain": ORANGE,
    "link": ORANGE,
    "dnat": RED,
    "range": BLUE,
    "pods-range": PURPLE,
    "services-range": YELLOW,
    "platform": GREY,
    "used": PURPLE,
    "primary": BLUE,
    "free": GREY,
    "reserved": GREY,
    "fact": GREY,
    "differs": ORANGE,
}
DASHES = {
    "differs": "4 3",
    "subnet": "7 4",
    "routes": "5 3",
    "route": "6 4",
    "chain": "2 2",
    "free": "2 2",
    "pods-range": "7 4",
    "services-range": "3 3",
}
WEIGHTS = {"bridge": 2.5, "port": 2.5, "cable": 2, "veth": 1.8, "route": 1.8, "nic": 1.8,
           "link": 1.5, "dnat": 1.5}  # fmt: skip
TINTS = {"vnet": 4, "subnet": 6, "node": 0, "pod": 8, "free": 0, "reserved": 28, "used": 45,
         "primary": 45, "fact": 0, "range": 4, "platform": 6, "pods-range": 5,
         "services-range": 8}  # fmt: skip
"""Percent of a box's hue in its filling; 14 for the others."""


@dataclass(frozen=True, slots=True)
class Theme:
    """paper: behind all; surface: of what has no tint; ink, faint: of text. lift: percent of ink
    in the lines' hues, for contrast."""

    paper: str
    surface: str
    ink: str
    faint: str
    index: str
    bad: str
    lift: int
    gain: float

    def line(self, role: str) -> str:
        hue = HUES.get(role, GREY)
        return mix(hue, self.ink, self.lift * (2 if hue in (YELLOW, SKY) else 1))

    def fill(self, role: str) -> str:
        tint = min(100, int(TINTS.get(role, 14) * self.gain))
        return mix(self.surface, HUES.get(role, GREY), tint)


LIGHT = Theme("#ffffff", "#ffffff", "#1b2430", "#56606c", "#005a8c", "#b34700", 18, 1.0)
DARK = Theme("#12161c", "#191f28", "#e8edf3", "#a3aebb", "#7cc4f0", "#ff9a4d", 10, 1.3)
THEMES = {"light": LIGHT, "dark": DARK}


def mix(one: str, other: str, percent: int) -> str:
    """#rrggbb: `percent` of `other` in `one`."""
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{a + (b - a) * percent // 100:02x}" for a, b in pairs)


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
