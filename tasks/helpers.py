"""What several tasks share: hues, holders, release times, the view of a floor."""

from __future__ import annotations

from collections.abc import Mapping

from physbench.clips.task import Parameter
from physbench.world.scene import Body, Quaternion, Vector
from physbench.world.scene import hue_name as hue_name

HALF = 2.56  # m, half of the window
HOLDER_GREY = 0.38

RELEASE = Parameter("s", "visible", (-1.0, -0.4), "when the holders vanish", grid=0.05)


def hues(*names: str) -> Mapping[str, Parameter]:
    """One hue for each name, drawn from the palette in all splits; a task's `accepts` keeps them apart."""
    return {name: Parameter("", "visible", (0, 4), "index into the palette", grid=1) for name in names}


def holder(name: str, size: Vector, position: Vector, release: float, orientation: Quaternion | None = None) -> Body:
    """A grey box that carries or backs a held body, touches nothing, and vanishes at the release."""
    turned = (0.0, 0.0, 0.0, 1.0) if orientation is None else orientation
    return Body(name, "box", size, "kinematic", position, turned, grey=HOLDER_GREY, collides=False, until=release)
