"""Scenes whose future the context leaves open: which of several ways it goes is a matter of chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from physbench.clips.task import HALF_WINDOW, Level, Parameter, Params, Task, declare, event_in, hues
from physbench.world.bodies import ball, floor, shelf, wall
from physbench.world.scene import Body, Camera, Scene, hue_name

CAMERA = Camera("front", (0.0, 0.0, 2.45))
ROWS = 3  # of pins, one more in each
PIN = 0.14  # m, radius
PITCH = 1.2  # m between the pins of a row
TOP, DROP = 3.25, 1.05  # m, height of the first pin, and from row to row
DIVIDER = 0.06  # m, half width of the walls between the bins
DEPTH = 0.12  # m, half of the walls' extent across the plane of motion


class Galton(Task):
    """A ball falls through rows of pins into one of four bins: into which one, no picture tells for sure.

    What happens: a ball lies on a shelf, above the middle of the first pin but for a few millimetres. The shelf
    vanishes, the ball falls and hits the first pin, which throws it to the side on which it lay; it hits pins of the
    next rows, or jumps over some, and ends in one of four bins between dark walls, mostly an outer one. There it still
    bounces at the end; in a tenth of the clips it is then above the walls, and counts for the bin below it.

    Law: free fall, z(t) = z0 - g t^2 / 2, and at a hit on a smooth pin v -> v - (1 + e) (v . n) n along the line n of
    the middles (Newton 1687, Principia, corollary VI to the laws of motion). Each hit multiplies the distance of two
    paths (Sinai 1970, Russ. Math. Surv. 25, 137), so that what no picture shows decides in the end (Galton 1889,
    Natural inheritance). Each lawful path is right; samples are right if they end in the bins as often as lawful paths
    from all that the context allows.

    {parameters}

    offset is that of the ball from the middle of the first pin. Mass is density x volume and plays no part.

    Camera: from the front, 5.12 m wide, the floor at its lower border. Actions: none.
    Hand-over: held until `release`, in flight at 0, first hit in [0.2 s, 0.5 s], horizon 6 s. All of it stays in view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "chance/galton-v1"
    levels: ClassVar[Mapping[str, Level]] = {
        "difficulty": lambda p: -abs(p["offset"]),
        "event": lambda p: pin_contact(p),
    }
    parameters = declare(
        gravity=Parameter.fixed(3.71, "m/s2", "downwards, as on Mars"),
        restitution=Parameter.fixed(0.7, "", "of the ball with pins, walls and floor"),
        friction=Parameter.fixed(0.0, "", "of the ball with pins, walls and floor"),
        radius=Parameter("m", "visible", (0.40, 0.42), "of the ball"),
        **hues("hue"),
        release=Parameter.fixed(-0.4, "s", "when the shelf vanishes"),
        height=Parameter("m", "visible", (0.68, 0.73), "of the ball over the first pin, between their surfaces"),
        middle=Parameter("m", "visible", (0.0, 0.06), "of pins and walls, to the right", signed=True),
        offset=Parameter("m", "visible", (0.001, 0.012), "of the ball, to the right", (0.014, 0.02), True),
    )
    horizon = 6.0  # s

    def accepts(self, p: Params) -> bool:
        """Seen in flight before the hand-over; the first hit in time."""
        seen = p["gravity"] * p["release"] ** 2 / 2
        return seen >= 0.26 and event_in(pin_contact(p), self.horizon)

    def scene(self, p: Params) -> Scene:
        x = p["middle"] + p["offset"]
        start = TOP + PIN + p["height"] + p["radius"]
        body = ball("ball", p["radius"], (x, 0.0, start), p["hue"], restitution=p["restitution"], release=p["release"])
        pins = tuple(
            Body(
                f"pin {row}.{k}",
                "sphere",
                (PIN,),
                "fixed",
                (p["middle"] + (k - row / 2) * PITCH, 0.0, TOP - row * DROP),
                grey=0.2,
            )
            for row in range(ROWS)
            for k in range(row + 1)
        )
        borders = [p["middle"] + (k - (ROWS + 1) / 2) * PITCH for k in range(ROWS + 2)]
        heights = [
            HALF_WINDOW,
            *[0.75 / 2] * ROWS,
            HALF_WINDOW,
        ]  # m, half of each wall's
        walls = tuple(
            wall(f"wall {k}", (DIVIDER, DEPTH, half), (border, 0.0, half))
            for k, (border, half) in enumerate(zip(borders, heights, strict=True))
        )
        return Scene(
            bodies=(body, floor(friction=0.0), *pins, *walls, shelf("shelf", x, start - p["radius"], p["release"])),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            bins=tuple(borders[1:-1]),
            prompt=f"On Mars, a {hue_name(p['hue'])} ball falls onto a board of pins, bounces from pin to pin and ends "
            "in one of four bins between dark walls. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball is let go above a board of pins, with four bins between "
            "dark walls below. It falls as slowly as on Mars.",
        )


def pin_contact(p: Params) -> float:
    """Time s at which the ball meets the first pin."""
    return p["release"] + math.sqrt(2 * p["height"] / p["gravity"])
