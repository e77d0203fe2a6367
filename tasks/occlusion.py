"""Bodies that get out of sight and come back."""

from __future__ import annotations

import math

from physbench.clips.task import Parameter, Params, Task, declare
from physbench.clips.task_helpers import RELEASE, hues, inside
from physbench.world.bodies import HOLDER_GAP, ball, floor, holder, nearer_scale, screen
from physbench.world.scene import Body, Camera, Scene, hue_name

CAMERA = Camera("front", (0.0, 0.0, 1.3))
SCREEN_Y = -0.85  # m, the face of the screen that the camera sees
VIEW_BEFORE = 0.4  # s of motion in full view before something is hidden
VIEW_AFTER = 0.4  # s in full view after it
OUT_BY = 0.9  # share of the horizon by which both are over
SLIVER = 0.195  # a segment of this many radii is 5 % of a disc


def rolling(name: str, p: Params, side: float, start: float, hue: float, radius: float, lane: float = 0.0) -> Body:
    """A ball that is held at `start` (m before the middle) and rolls off without slipping at the release.

    side: 1 if it rolls to the right, -1 if to the left. lane: y, m.
    """
    velocity = side * abs(p["velocity"] if "velocity" in p else p[f"speed_{name}"])
    return ball(
        name,
        radius,
        (-side * start, lane, radius),
        hue,
        velocity=(velocity, 0.0, 0.0),
        spin=(0.0, velocity / radius, 0.0),
        restitution=p["restitution"],
        friction=p["friction"],
        release=p["release"],
    )


def block(name: str, side: float, start: float, radius: float, release: float, lane: float = 0.0) -> Body:
    """The holder that backs such a ball."""
    x = -side * (start + radius + HOLDER_GAP)
    return holder(name, (0.05, 0.2, 0.5 * radius), (x, lane, 0.5 * radius), release)


class ScreenPass(Task):
    """A ball passes behind a screen and comes out on the other side.

    What happens: a ball lies on the floor in front of a grey block. The block vanishes and the ball rolls off at
    constant speed, behind a screen that hides it entirely, out on the other side and towards the border.

    Law: persistence of what is not seen (Piaget 1954, The Construction of Reality in the Child; Baillargeon 1987,
    doi:10.1037/0012-1649.23.5.655) and inertia: rolling without slipping, v = omega r, at constant speed.

    {parameters}

    start is the distance from the middle at which the ball is held; hidden_at is the time at which less than 5 % of it
    are left to see, hidden_for how long that lasts: both together with the speed place the screen.

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, then in full view for at least 0.4 s, its middle in view at 0; hidden from a time
    in [0.2 s, 1 s] on, fully out and in full view for 0.4 s by 3.6 s; horizon 4 s; it may leave later.
    May be hidden: the ball, by the screen.

    Version history: v1, first release.
    """

    id = "occlusion/screen-pass-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        friction=Parameter.fixed(0.5, "", "of ball and floor"),
        restitution=Parameter.fixed(0.0, "", "of ball and floor"),
        radius=Parameter("m", "visible", (0.40, 0.50), "of the ball", ood=(0.52, 0.58)),
        **hues("hue"),
        release=RELEASE,
        velocity=Parameter("m/s", "visible", (0.8, 1.3), "of rolling, to the right", ood=(1.35, 1.6), signed=True),
        start=Parameter("m", "visible", (1.75, 2.1), "distance from the middle where it is held"),
        hidden_at=Parameter("s", "visible", (0.25, 0.95), "when less than 5 % are left to see"),
        hidden_for=Parameter("s", "visible", (0.3, 0.8), "how long that lasts"),
        screen_height=Parameter("m", "visible", (1.3, 2.2), "above the floor"),
    )
    horizon = 4.0  # s

    def accepts(self, p: Params) -> bool:
        """Seen long enough before it is hidden, out in time, and in view for a while after the screen."""
        speed, radius = abs(p["velocity"]), p["radius"]
        near, far = self.edges(p)
        at_0 = -p["start"] - speed * p["release"]
        out = (far + radius - at_0) / speed
        return (
            inside((p["start"], at_0 + speed * (out + VIEW_AFTER)), radius)
            and at_0 + speed * (p["release"] + VIEW_BEFORE) + radius <= near
            and at_0 <= near
            and out <= OUT_BY * self.horizon - VIEW_AFTER
        )

    def edges(self, p: Params) -> tuple[float, float]:
        """Where the screen begins and ends in the plane of motion, m along the ball's path from the middle."""
        speed, radius = abs(p["velocity"]), p["radius"]
        hidden = -p["start"] + speed * (p["hidden_at"] - p["release"])
        near = hidden - (1 - SLIVER) * radius
        far = hidden + speed * p["hidden_for"] + (1 - SLIVER) * radius
        return near, far

    def scene(self, params: Params) -> Scene:
        p, radius = params, params["radius"]
        side = math.copysign(1.0, p["velocity"])
        near, far = (edge * nearer_scale(CAMERA, SCREEN_Y) for edge in self.edges(p))
        return Scene(
            bodies=(
                rolling("ball", p, side, p["start"], p["hue"], radius),
                floor(),
                screen("screen", (far - near) / 2, side * (near + far) / 2, p["screen_height"], SCREEN_Y),
                block("holder", side, p["start"], radius, p["release"]),
            ),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue'])} ball rolls over the floor at constant speed, passes behind a dark grey "
            "screen and comes out on the other side. Static camera, seen from the side.",
        )
