"""The card of a model that answers with states, and the named columns of what it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from physbench.adapters.model_protocol import ModelCard
from physbench.errors import ModelError

STATE_COLUMNS = ("x", "y", "z", "qx", "qy", "qz", "qw", "vx", "vy", "vz", "wx", "wy", "wz")  # m, -, m/s, rad/s
PLACE, SPEED = slice(0, 3), slice(7, 10)  # of STATE_COLUMNS
SHAPE_NUMBERS = ("sphere", "box", "cylinder", "plane")  # the number of a shape is its place here
SIZES = ("size_1", "size_2", "size_3")  # m: radius; half extents; radius and length
BODY_COLUMNS = ("shape", *SIZES, "mass", "friction", "restitution", "pull", "release", "moves")
STATIC_COLUMNS = ("shape", *SIZES, "x", "y", "z", "qx", "qy", "qz", "qw", "friction", "restitution")
# Where a clip is rendered to see which objects a camera would show, and at what distance tracking noise would matter.
VIEW = (128, 128)  # px
MAX_BODIES = 1000  # rows that a model may want to be given
GIVEN_VELOCITY_TIME = 0.5  # s

Columns = Literal["all", "positions+velocities", "positions"]
Space = Literal["world", "plane"]
Units = Literal["m", "px"]
Layout = Literal["objects", "flat"]


@dataclass(frozen=True)
class StateCard(ModelCard):
    """What the harness must know of a model that answers with states. It has no image size.

    Attributes:
        columns: What a row holds: "all" 13 columns (STATE_COLUMNS), "positions+velocities", or "positions".
        space: "world": three axes; "plane": the two of the plane of motion, x to the right and y up.
        units: "m": m and m/s; "px": px and px/s in an image, x to the right and y down, from its top left corner.
        window_px: Side of that image, which shows 5.12 m.
        layout: "objects": (B, C, N, S); "flat": (B, C, N * S).
        bodies: Number of rows N, padded with zeros; None: as many as the largest clip of the batch needs.
        image_size: Of the pictures of ground truth and of the report. Not a choice of the model.
    """

    image_size: tuple[int, int] = field(default=VIEW, init=False)
    columns: Columns = "all"
    space: Space = "world"
    units: Units = "m"
    window_px: float = 128.0
    layout: Layout = "objects"
    bodies: int | None = None
    answers: Literal["states"] = field(default="states", init=False)

    @property
    def axes(self) -> int:
        """Coordinates of a position: 3, or 2 in the plane of motion."""
        return 3 if self.space == "world" else 2

    @property
    def scored_context(self) -> int:
        """Context that counts as seen: a given velocity counts as much as the last GIVEN_VELOCITY_TIME s of places."""
        seen = super().scored_context
        return seen if self.columns == "positions" else max(seen, int(GIVEN_VELOCITY_TIME * self.fps + 1e-9) + 1)

    @property
    def width(self) -> int:
        """Columns S of a row."""
        return {"all": len(STATE_COLUMNS), "positions+velocities": 2 * self.axes, "positions": self.axes}[self.columns]


def check_state_card(card: StateCard, where: str) -> None:
    """Raise ModelError where a field that only a StateCard has cannot be used."""
    for name, known in (("columns", Columns), ("space", Space), ("units", Units), ("layout", Layout)):
        if getattr(card, name) not in get_args(known):
            raise ModelError(
                f"{where}: expected {name} to be one of {', '.join(get_args(known))}, got {getattr(card, name)!r}."
            )
    if card.columns == "all" and card.space == "plane":
        raise ModelError(f"{where}: all columns are those of the world: set columns='positions+velocities'.")
    if card.units == "px" and card.space == "world":
        raise ModelError(f"{where}: units='px' are those of the plane of motion: set space='plane'.")
    if isinstance(card.window_px, bool) or not isinstance(card.window_px, int | float) or not 0 < card.window_px < 1e6:
        raise ModelError(f"{where}: expected window_px above 0 and below a million, got {card.window_px!r}.")
    if card.bodies is not None and (type(card.bodies) is not int or not 1 <= card.bodies <= MAX_BODIES):
        raise ModelError(
            f"{where}: expected bodies to be a whole number from 1 to {MAX_BODIES} or None, got {card.bodies!r}."
        )
