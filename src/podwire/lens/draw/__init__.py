"""Figures: a pure layout of a snapshot, and renderers of it."""

from __future__ import annotations

from podwire.lens.draw.metrics import PIXELS, Metrics
from podwire.lens.draw.scene import Scene
from podwire.lens.draw.services import services
from podwire.lens.draw.veth import veth
from podwire.lens.draw.vnet import vnet
from podwire.lens.draw.wiring import wiring
from podwire.lens.snapshot import Snapshot
from podwire.model.errors import InvalidInputError

FIGURES = {
    "wiring": wiring,
    "veth": veth,
    "services": services,
    "vnet": vnet,
}
"""Of one snapshot; `compare` takes two sides."""


def scene(
    snapshot: Snapshot, figure: str, *, node: str = "", pod: str = "", metrics: Metrics = PIXELS
) -> Scene:
    """The figure of a snapshot. node: of this one alone; pod: NAMESPACE/NAME, of this one alone.

    Raises InvalidInputError: an unknown figure, node or pod; nothing of that kind to draw.
    """
    draw = FIGURES.get(figure)
    if draw is None:
        raise InvalidInputError(f"there is no figure {figure!r}; there are: {', '.join(FIGURES)}")
    return draw(snapshot, metrics, node, pod)
