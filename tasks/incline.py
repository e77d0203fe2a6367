"""Bodies that roll and slide on a ramp."""

from __future__ import annotations

import math

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import Parameter, Params, Task, declare
from physbench.clips.task_helpers import RELEASE, draw_evenly, event_in, hues
from physbench.dynamics.ramp_phases import Phase, distance_at, ramp_phases
from physbench.dynamics.rolling_sliding import INERTIA
from physbench.world.bodies import HOLDER_GAP, holder, turned_from_front, wall
from physbench.world.scene import Body, Camera, Scene, Shape, box_mass, cylinder_mass, hue_name, ramp, sphere_mass

FREE_RAMP = 0.06  # m that stay free at the upper end of the ramp
RAMP_END = 2.44  # m from the middle of the window to the ends of the ramp
RAMP_HEIGHT = -0.35  # m, of the middle of the ramp above that of the window
BOARD_THICKNESS = 0.5  # m, thickness of the ramp as it is seen
STOP, STOP_HEIGHT = 0.42, 0.7  # m, along the ramp and over it
BODY_DEPTH = 0.4  # m, half of the bodies' extent across the plane of motion
SURELY_STAYS = 0.05  # least |friction - tan angle| of a box, so that it surely stays or surely slides
LEAST_RELEASE_SPEED, LEAST_PATH = 0.6, 0.3  # m/s at the release and m before the hand-over
REST_DISTANCE = 1.15  # diameters between where it is at the hand-over and where it comes to rest
SHAPES: tuple[Shape, ...] = ("sphere", "cylinder", "box")


class Incline(Task):
    """A ball, a cylinder or a box is pushed up or down a ramp whose grey shows how rough it is.

    What happens: a body is held on a ramp by a grey block. The block vanishes and the body moves off, up or down the
    slope. On its way up it slows down and turns back, or stays where it stops if it is a box on a rough ramp. On its
    way down it gains speed until it meets the stop at the foot of the ramp, where it stays; a box on a rough ramp
    slows down and may come to rest before.

    Law: friction (Coulomb 1785) and rolling. With a the angle, mu the friction: a box is slowed by g (sin a + mu cos a)
    on its way up and pulled by g (sin a - mu cos a) on its way down; if mu > tan a it stays where it stops. A ball is
    accelerated by 5/7 g sin a, a cylinder, whose axis the viewer looks along, by 2/3 g sin a, downwards on both ways,
    while they roll; where mu < 2/7 tan a (ball) or 1/3 tan a (cylinder) they slip and it is g (sin a - mu cos a). The
    stop takes all speed and holds nothing.

    The ramp's friction is seen in its grey, which the stop has too: grey = 0.95 - 0.5 x friction, so that smooth ramps
    are light.

    {parameters}

    A box is a cube of the silhouette's area. Balls and cylinders start with the spin of rolling. Mass is density x
    volume.

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, moving at 0; the first turn, stop or contact with the stop in [0.2 s, 2.4 s],
    horizon 4 s. All of it stays in view, and where it comes to rest it is at least 1.15 diameters from where it was at
    the hand-over.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "falling/incline-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.0, "", "of the body with ramp and stop"),
        shape=Parameter("", "visible", (0, 2), "ball, cylinder, box", grid=1),
        size=Parameter("m", "visible", (0.40, 0.46), "radius of the disc of its silhouette's area", ood=(0.47, 0.52)),
        **hues("hue"),
        ramp_friction=Parameter(
            "", "visible", (0.04, 0.46), "of the body on the ramp, seen in its grey", ood=(0.48, 0.6)
        ),
        angle=Parameter("rad", "visible", (0.14, 0.36), "of the ramp", ood=(0.38, 0.46)),
        side=Parameter("", "visible", (1, 1), "1: the ramp rises to the right", signed=True),
        release=RELEASE,
        velocity=Parameter("m/s", "visible", (-2.4, 5.0), "at the release, up the ramp"),
        start=Parameter("m", "visible", (0.1, 3.6), "way along the ramp that it is from the stop"),
    )
    horizon = 4.0  # s

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        return draw_evenly("shape", self.parameters, rng, split, self.accepts)

    def accepts(self, p: Params) -> bool:
        """Seen in motion before the hand-over, decided in time, in view, and not at rest near where it was then."""
        if p["shape"] == 2 and abs(p["ramp_friction"] - math.tan(p["angle"])) < SURELY_STAYS:
            return False
        phases = phases_of(p)
        at_0, last = distance_at(phases, 0.0), phases[-1]
        rests = last.velocity == 0 and last.acceleration == 0 and last.start < self.horizon
        return (
            abs(p["velocity"]) >= LEAST_RELEASE_SPEED
            and event_in(phases[1].start, self.horizon)
            and abs(at_0 - p["start"]) >= LEAST_PATH
            and max(phase.distance for phase in phases) <= ramp_length(p) - STOP - 2 * reach_of(p) - FREE_RAMP
            and (not rests or abs(last.distance - at_0) >= 2 * REST_DISTANCE * p["size"])
        )

    def scene(self, params: Params) -> Scene:
        p, turned = params, turned_from_front(params["side"] * params["angle"])
        x, z = ramp_point(p, STOP + p["start"] - HOLDER_GAP, 0.5 * p["size"])
        block = holder("holder", (0.05, 0.2, 0.5 * p["size"]), (x, 0.0, z), p["release"], turned)
        return Scene(
            bodies=(held_body(p), *ramp_with_stop(p), block),
            camera=Camera("front", (0.0, 0.0, 0.0)),
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=self.prompt(p),
        )

    def prompt(self, p: Params) -> str:
        what = f"A {hue_name(p['hue'])} {('ball', 'cylinder', 'box')[int(p['shape'])]}"
        moves = ("rolls", "rolls", "slides")[int(p["shape"])]
        way = "up" if p["velocity"] > 0 else "down"
        side = "right" if p["side"] > 0 else "left"
        return (
            f"{what} {moves} {way} a ramp that rises to the {side} and has a stop at its foot. The lighter the ramp, "
            "the smoother it is. Static camera, seen from the side."
        )


def phases_of(p: Params) -> list[Phase]:
    """The motion from the release on, in closed form."""
    return ramp_phases(p["release"], p["start"], p["velocity"], *slope_accelerations(p))


def slope_accelerations(p: Params) -> tuple[float, float]:
    """By how much the body is slowed on its way up, and what it gains on its way down, m/s2."""
    weight = p["gravity"] * math.sin(p["angle"])
    grip = p["gravity"] * p["ramp_friction"] * math.cos(p["angle"])
    if p["shape"] < 2:
        k = INERTIA[SHAPES[int(p["shape"])]]
        pull = weight - min(grip, weight * k / (1 + k))
        return pull, pull
    return weight + grip, weight - grip


def ramp_with_stop(p: Params) -> tuple[Body, Body]:
    """The board and the stop at its foot, in the grey of their friction."""
    tilt, depth = p["side"] * p["angle"], BODY_DEPTH + 0.1
    grey, friction = round(0.95 - 0.5 * p["ramp_friction"], 6), p["ramp_friction"]
    left = ramp_point(p, 0.0 if p["side"] > 0 else ramp_length(p), 0.0)
    x, z = ramp_point(p, STOP / 2, STOP_HEIGHT / 2)
    half_extents = (STOP / 2, depth, STOP_HEIGHT / 2)
    return (
        ramp("ramp", left, tilt, ramp_length(p), thickness=BOARD_THICKNESS, depth=depth, grey=grey, friction=friction),
        wall("stop", half_extents, (x, 0.0, z), turned_from_front(tilt), grey=grey),
    )


def held_body(p: Params) -> Body:
    """The body at its release."""
    reach, kind = reach_of(p), int(p["shape"])
    turned = turned_from_front(p["side"] * p["angle"])
    x, z = ramp_point(p, STOP + reach + p["start"], reach)
    sizes = ((reach,), (reach, 2 * BODY_DEPTH), (reach, BODY_DEPTH, reach))
    masses = (sphere_mass(reach), cylinder_mass(reach, 2 * BODY_DEPTH), box_mass((reach, BODY_DEPTH, reach)))
    across = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))  # of a cylinder: its axis is that of the view
    spin = p["side"] * p["velocity"] / reach if kind < 2 else 0.0
    return Body(
        "body",
        SHAPES[kind],
        sizes[kind],
        "moving",
        (x, 0.0, z),
        (turned, across, turned)[kind],
        velocity=(p["velocity"] * (p["side"] * math.cos(p["angle"])), 0.0, p["velocity"] * math.sin(p["angle"])),
        spin=(0.0, spin, 0.0),
        hue=int(p["hue"]),
        mass=masses[kind],
        restitution=p["restitution"],
        friction=1.0,
        flat=True,
        release=p["release"],
    )


def reach_of(p: Params) -> float:
    """From the centre of the body to the ramp, and to the stop when it lies there, m."""
    return p["size"] * (1.0 if p["shape"] < 2 else math.sqrt(math.pi) / 2)


def ramp_length(p: Params) -> float:
    """Of the ramp, m."""
    return 2 * RAMP_END / math.cos(p["angle"])


def ramp_point(p: Params, distance: float, height: float) -> tuple[float, float]:
    """Point (x, z) m that lies `distance` up the ramp from its lower end and `height` over it."""
    cosine, sine = math.cos(p["angle"]), math.sin(p["angle"])
    along, half = distance - ramp_length(p) / 2, p["side"]
    return half * (along * cosine - height * sine), RAMP_HEIGHT + along * sine + height * cosine
