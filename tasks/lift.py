"""A screen that moves itself."""

from __future__ import annotations

import math

from physbench.clips.task import Parameter, Params, Task, declare
from physbench.clips.task_helpers import FREE_BORDER, HALF_WINDOW, hues, inside
from physbench.tasks.occlusion import SCREEN_Y, SLIVER
from physbench.world.bodies import SCREEN_HALF_DEPTH, ball, nearer_scale, wall
from physbench.world.scene import FLOOR_GREY, HISTORY, SCREEN_GREY, Body, Camera, Scene, Waypoint, hue_name

LIFT_CAMERA = Camera("front", (0.0, 0.0, HALF_WINDOW))
PEDESTAL = 0.3  # m, half of the width of the pedestal


class ScreenLift(Task):
    """A screen moves across a ball that rests on a pedestal, covers it and uncovers it: the ball is still there.

    What happens: a ball rests on a pedestal. A grey plate in front of it moves upwards or downwards at constant speed
    throughout, covers the ball entirely and moves on, so that the ball is seen again.

    Law: persistence of what is covered (Piaget 1954, The Construction of Reality in the Child; Baillargeon, Spelke and
    Wasserman 1985, doi:10.1016/0010-0277(85)90008-3), and inertia: what rests stays at rest.

    {parameters}

    hidden_at is the time at which less than 5 % of the ball are left to see, and places the plate.

    Camera: from the front, 5.12 m wide, no ground. Actions: none.
    Hand-over: at rest by nature. At 0 the ball is in full view and all of the plate in the window, at least half of it
    for 0.5 s; the ball is hidden from a time in [0.2 s, 1 s] on, fully out by 3.6 s; horizon 4 s.
    May be hidden: the ball, by the plate.

    Version history: v1, first release.
    """

    id = "occlusion/screen-lift-v1"
    static_history = True
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        friction=Parameter.fixed(0.5, "", "of ball and pedestal"),
        restitution=Parameter.fixed(0.0, "", "of ball and pedestal"),
        radius=Parameter("m", "visible", (0.40, 0.50), "of the ball", ood=(0.52, 0.58)),
        **hues("hue"),
        place=Parameter("m", "visible", (-1.7, 1.7), "of the ball, to the right of the middle"),
        height=Parameter("m", "visible", (2.2, 2.9), "of the ball's middle above the lower border"),
        velocity=Parameter("m/s", "visible", (0.9, 1.4), "of the plate, upwards", ood=(1.45, 2.0), signed=True),
        hidden_at=Parameter("s", "visible", (0.5, 0.95), "when less than 5 % are left to see"),
        plate_height=Parameter("m", "visible", (1.2, 1.6), "of the plate, as seen"),
        plate_width=Parameter("m", "visible", (1.3, 2.0), "of the plate, as seen"),
    )
    horizon = 4.0  # s

    def accepts(self, p: Params) -> bool:
        """All seen at the hand-over, the plate for half a second; out in time."""
        speed, radius = abs(p["velocity"]), p["radius"]
        front, back = plate_edges(p)
        clear = (1 - SLIVER) * radius  # from the middle of the ball
        side = math.copysign(1.0, p["velocity"])
        border = HALF_WINDOW + side * (p["height"] - HALF_WINDOW)  # it comes from, m from the ball
        return (
            back >= -border + FREE_BORDER
            and (front + back) / 2 - 0.5 * speed >= -border
            and front <= -radius - FREE_BORDER
            and p["plate_height"] >= 2 * clear + 0.2 * speed
            and (radius - back) / speed <= 0.9 * self.horizon
            and p["plate_width"] >= 2 * radius + 0.2
            and inside((p["place"],), p["plate_width"] / 2)
        )

    def scene(self, params: Params) -> Scene:
        p, x, top = params, params["place"], params["height"] - params["radius"]
        way = "up" if p["velocity"] > 0 else "down"
        resting = ball(
            "ball",
            p["radius"],
            (x, 0.0, p["height"]),
            p["hue"],
            restitution=p["restitution"],
            friction=p["friction"],
        )
        half_extents, middle = (PEDESTAL, PEDESTAL, top / 2 + 0.5), (x, 0.0, top / 2 - 0.5)
        pedestal = wall("pedestal", half_extents, middle, grey=FLOOR_GREY, friction=1.0)
        return Scene(
            bodies=(resting, pedestal, moving_plate(p, self.horizon)),
            camera=LIFT_CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue'])} ball rests on a pedestal. A dark grey plate moves {way} in front of it at "
            "constant speed, covers it and uncovers it again. Static camera, seen from the side.",
        )


def plate_edges(p: Params) -> tuple[float, float]:
    """Leading and trailing edge of the plate at 0, as seen, m along its path from the middle of the ball."""
    front = (1 - SLIVER) * p["radius"] - abs(p["velocity"]) * p["hidden_at"]
    return front, front - p["plate_height"]


def moving_plate(p: Params, horizon: float) -> Body:
    """The plate on its way from the start of the history to the end of the horizon, s."""
    scale = nearer_scale(LIFT_CAMERA, SCREEN_Y)
    at_0 = p["height"] + math.copysign(1.0, p["velocity"]) * sum(plate_edges(p)) / 2 - HALF_WINDOW  # as seen

    def waypoint(time: float) -> Waypoint:
        rise = at_0 + p["velocity"] * time
        return Waypoint(time, (p["place"] * scale, SCREEN_Y + SCREEN_HALF_DEPTH, HALF_WINDOW + rise * scale))

    path = (waypoint(-HISTORY), waypoint(horizon))
    size = (p["plate_width"] / 2 * scale, SCREEN_HALF_DEPTH, p["plate_height"] / 2 * scale)
    return Body("plate", "box", size, "kinematic", path[0].position, grey=SCREEN_GREY, collides=False, path=path)
