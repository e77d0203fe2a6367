"""Bodies under gravity: in free fall, on a ramp, on top of one another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import (
    HALF_WINDOW,
    RELEASE,
    Level,
    Parameter,
    Params,
    Task,
    declare,
    draw,
    event_in,
    hues,
    inside,
    numbered,
)
from physbench.laws.closed_form import Phase, distance_at, ramp_phases
from physbench.support.arrays import Array
from physbench.world.bodies import HOLDER_GAP, ball, floor, holder, shelf, turned_from_front, wall
from physbench.world.scene import (
    FLOOR_GREY,
    HORIZON,
    Body,
    Camera,
    Hinge,
    Outcome,
    Scene,
    Shape,
    Vector,
    box_mass,
    cylinder_mass,
    hue_name,
    ramp,
    rolling_inertia,
    sphere_mass,
)

CENTER_Z = 2.2  # m, height of the middle of the window above the floor


class Projectile(Task):
    """A ball is thrown, lands and bounces on.

    What happens: a ball rests on a small grey shelf. The shelf vanishes and the ball flies off with a drawn velocity;
    it reaches the floor after the hand-over and bounces on until the end.

    Law: free fall, z(t) = z0 + vz t - g t^2 / 2 with constant horizontal speed (Galilei 1638, Discorsi, fourth day);
    at a bounce vz -> -e vz (Newton's law of restitution). No air, no friction, no spin.

    {parameters}

    start_height is that of the ball's lowest point above the floor. Mass is density x volume.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: held until `release`, in flight at 0, first contact in [0.2 s, 2.4 s], horizon 4 s.
    The ball is in full view throughout, also on a twin with half the gravity from the hand-over on.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "falling/projectile-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "velocity_z", "event": lambda p: projectile_contact(p)}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.8, "", "of ball and floor"),
        friction=Parameter.fixed(0.0, "", "of ball and floor"),
        radius=Parameter("m", "visible", (0.40, 0.52), "of the ball", ood=(0.56, 0.66)),
        **hues("hue"),
        release=RELEASE,
        start_x=Parameter("m", "visible", (-2.1, 2.1), "where the ball is held"),
        start_height=Parameter("m", "visible", (0.6, 2.6), "of its lowest point above the floor"),
        velocity_x=Parameter("m/s", "visible", (0.25, 0.6), "thrown sideways", ood=(0.62, 0.75), signed=True),
        velocity_z=Parameter("m/s", "visible", (1.5, 5.0), "thrown upwards", ood=(5.2, 6.4)),
    )

    def accepts(self, p: Params) -> bool:
        """Contact in time; ground truth and the half-gravity twin in the window."""
        gravity, height, vz = p["gravity"], p["start_height"], p["velocity_z"]
        contact = projectile_contact(p)
        flown = -p["release"]
        height_0, vz_0 = height + vz * flown - gravity * flown**2 / 2, vz - gravity * flown
        peak = height + vz**2 / (2 * gravity)
        # With g / 2 it rises by vz_0^2 / g; what it bounces back to is e^2 of the height that its energy is worth.
        twin = height_0 + vz_0**2 / gravity
        twin_peak = twin if vz_0 > 0 else max(height_0, p["restitution"] ** 2 * twin)
        end_x = p["start_x"] + p["velocity_x"] * (HORIZON + flown)
        return (
            event_in(contact, spare=0.05)
            and inside((max(peak, twin_peak) + p["radius"] - CENTER_Z,), p["radius"])
            and inside((p["start_x"], end_x), p["radius"])
        )

    def scene(self, p: Params) -> Scene:
        radius = p["radius"]
        thrown = ball(
            "ball",
            radius,
            (p["start_x"], 0.0, p["start_height"] + radius),
            p["hue"],
            velocity=(p["velocity_x"], 0.0, p["velocity_z"]),
            restitution=p["restitution"],
            friction=p["friction"],
            release=p["release"],
        )
        return Scene(
            bodies=(thrown, floor(), shelf("holder", p["start_x"], p["start_height"], p["release"], 0.55 * radius)),
            camera=Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball is thrown through the air, lands on a flat floor and bounces on. "
            "Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball is thrown through the air above the floor.",
        )


def projectile_contact(p: Params) -> float:
    """Time s at which the ball lands."""
    gravity, height, vz = p["gravity"], p["start_height"], p["velocity_z"]
    return p["release"] + (vz + math.sqrt(vz**2 + 2 * gravity * height)) / gravity


class DropBounce(Task):
    """A ball is let go above a floor and bounces.

    What happens: a ball rests on a small grey shelf. The shelf vanishes and the ball falls straight down; it reaches
    the floor after the hand-over and bounces, lower each time. The darker the floor, the less it bounces.

    Law: free fall, z(t) = z0 - g t^2 / 2 (Galilei 1638, Discorsi, third day); every bounce takes the speed v to e v
    (Newton's law of restitution), so that each reaches e^2 of the height before and takes e times as long. No air, no
    friction, no spin.

    {parameters}

    start_height is that of the ball's lowest point above the floor. The floor's grey shows its restitution in all
    splits: grey = 0.2 + 1.2 (restitution - 0.7), from 0.2 (e = 0.7) to 0.44 (e = 0.9) of white. Mass is density x
    volume and plays no part.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: held until `release`, in free fall at 0, first contact in [0.2 s, 0.6 s], horizon 4 s. The ball is in
    full view throughout.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "falling/drop-bounce-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "start_height", "event": lambda p: drop_contact(p)}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter("", "visible", (0.7, 0.9), "of ball and floor, seen in the floor's grey"),
        friction=Parameter.fixed(0.0, "", "of ball and floor"),
        radius=Parameter("m", "visible", (0.40, 0.48), "of the ball", ood=(0.50, 0.54)),
        **hues("hue"),
        release=Parameter("s", "visible", (-0.6, -0.4), "when the shelf vanishes", grid=0.05),
        start_x=Parameter("m", "visible", (-1.9, 1.9), "where the ball is held"),
        start_height=Parameter("m", "visible", (2.1, 3.2), "of its lowest point above the floor", ood=(3.25, 3.6)),
    )

    def accepts(self, p: Params) -> bool:
        """Contact in time, in view from above."""
        highest = p["start_height"] + p["radius"] - CENTER_Z
        return event_in(drop_contact(p), spare=0.02) and inside((highest,), p["radius"])

    def scene(self, p: Params) -> Scene:
        radius = p["radius"]
        dropped = ball(
            "ball",
            radius,
            (p["start_x"], 0.0, p["start_height"] + radius),
            p["hue"],
            restitution=p["restitution"],
            friction=p["friction"],
            release=p["release"],
        )
        ground = floor(floor_grey(p["restitution"]))
        return Scene(
            bodies=(dropped, ground, shelf("holder", p["start_x"], p["start_height"], p["release"], 0.55 * radius)),
            camera=Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball is let go, falls straight down onto a flat floor and bounces, lower "
            "each time. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball is let go high above the floor.",
        )


def drop_contact(p: Params) -> float:
    """Time s at which the ball first meets the floor."""
    return p["release"] + math.sqrt(2 * p["start_height"] / p["gravity"])


def floor_grey(restitution: float) -> float:
    """Grey, 0..1, of a floor from which a ball bounces with this restitution."""
    return 0.2 + 1.2 * (restitution - 0.7)


# Bodies that roll and slide on a ramp.


@dataclass(frozen=True)
class Ramp:
    """The ramp, its stop and the extent of bodies on it."""

    end: float = 2.44  # m from the middle of the window to the ends of the ramp
    height: float = -0.35  # m, of the middle of the ramp above that of the window
    thickness: float = 0.5  # m, thickness of the ramp as it is seen
    free: float = 0.06  # m that stay free at the upper end of the ramp
    stop: float = 0.42  # m, of the stop along the ramp
    stop_height: float = 0.7  # m, of the stop over it
    body_depth: float = 0.4  # m, half of the bodies' extent across the plane of motion


RAMP = Ramp()


@dataclass(frozen=True)
class RunLimits:
    """Runs on the ramp that a clip may show."""

    least_speed: float = 0.6  # m/s at the release
    least_path: float = 0.3  # m before the hand-over
    rest_distance: float = 1.15  # diameters between where it is at the hand-over and where it comes to rest
    surely_stays: float = 0.05  # least |friction - tan angle| of a box, so that it surely stays or surely slides


RUN = RunLimits()


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
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "angle", "event": lambda p: phases_of(p)[1].start}
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
    evenly = "shape"

    def accepts(self, p: Params) -> bool:
        """Seen in motion before the hand-over, decided in time, in view, and not at rest near where it was then."""
        if p["shape"] == 2 and abs(p["ramp_friction"] - math.tan(p["angle"])) < RUN.surely_stays:
            return False
        phases = phases_of(p)
        at_0, last = distance_at(phases, 0.0), phases[-1]
        rests = last.velocity == 0 and last.acceleration == 0 and last.start < HORIZON
        return (
            abs(p["velocity"]) >= RUN.least_speed
            and event_in(phases[1].start)
            and abs(at_0 - p["start"]) >= RUN.least_path
            and max(phase.distance for phase in phases) <= ramp_length(p) - RAMP.stop - 2 * reach_of(p) - RAMP.free
            and (not rests or abs(last.distance - at_0) >= 2 * RUN.rest_distance * p["size"])
        )

    def scene(self, p: Params) -> Scene:
        turned = turned_from_front(p["side"] * p["angle"])
        x, z = ramp_point(p, RAMP.stop + p["start"] - HOLDER_GAP, 0.5 * p["size"])
        block = holder("holder", (0.05, 0.2, 0.5 * p["size"]), (x, 0.0, z), p["release"], turned)
        return Scene(
            bodies=(held_body(p), *ramp_with_stop(p), block),
            camera=Camera("front", (0.0, 0.0, 0.0)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=self.prompt(p),
            caption=self.caption(p),
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

    def caption(self, p: Params) -> str:
        thing = ("exercise ball", "cylinder", "foam block")[int(p["shape"])]
        moves = ("rolls", "rolls", "slides")[int(p["shape"])]
        way = "up" if p["velocity"] > 0 else "down"
        return (
            f"A {hue_name(p['hue'])} {thing} is given a push and {moves} {way} a ramp that rises to the "
            f"{'right' if p['side'] > 0 else 'left'} and has a stop at its foot. The lighter the ramp, the smoother it "
            "is."
        )


def phases_of(p: Params) -> list[Phase]:
    """The motion from the release on, in closed form."""
    return ramp_phases(p["release"], p["start"], p["velocity"], *slope_accelerations(p))


def slope_accelerations(p: Params) -> tuple[float, float]:
    """By how much the body is slowed on its way up, and what it gains on its way down, m/s2."""
    weight = p["gravity"] * math.sin(p["angle"])
    grip = p["gravity"] * p["ramp_friction"] * math.cos(p["angle"])
    if p["shape"] < 2:
        k = rolling_inertia(SHAPES[int(p["shape"])])
        pull = weight - min(grip, weight * k / (1 + k))
        return pull, pull
    return weight + grip, weight - grip


def ramp_with_stop(p: Params) -> tuple[Body, Body]:
    """The board and the stop at its foot, in the grey of their friction."""
    tilt, depth = p["side"] * p["angle"], RAMP.body_depth + 0.1
    grey, friction = round(0.95 - 0.5 * p["ramp_friction"], 6), p["ramp_friction"]
    left = ramp_point(p, 0.0 if p["side"] > 0 else ramp_length(p), 0.0)
    x, z = ramp_point(p, RAMP.stop / 2, RAMP.stop_height / 2)
    half_extents = (RAMP.stop / 2, depth, RAMP.stop_height / 2)
    return (
        ramp("ramp", left, tilt, ramp_length(p), thickness=RAMP.thickness, depth=depth, grey=grey, friction=friction),
        wall("stop", half_extents, (x, 0.0, z), turned_from_front(tilt), grey=grey),
    )


def held_body(p: Params) -> Body:
    """The body at its release."""
    reach, kind = reach_of(p), int(p["shape"])
    turned = turned_from_front(p["side"] * p["angle"])
    x, z = ramp_point(p, RAMP.stop + reach + p["start"], reach)
    sizes = ((reach,), (reach, 2 * RAMP.body_depth), (reach, RAMP.body_depth, reach))
    masses = (sphere_mass(reach), cylinder_mass(reach, 2 * RAMP.body_depth), box_mass((reach, RAMP.body_depth, reach)))
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
    return 2 * RAMP.end / math.cos(p["angle"])


def ramp_point(p: Params, distance: float, height: float) -> tuple[float, float]:
    """Point (x, z) m that lies `distance` up the ramp from its lower end and `height` over it."""
    cosine, sine = math.cos(p["angle"]), math.sin(p["angle"])
    along, half = distance - ramp_length(p) / 2, p["side"]
    return half * (along * cosine - height * sine), RAMP.height + along * sine + height * cosine


# Blocks on top of one another.


@dataclass(frozen=True)
class StackLimits:
    """Blocks on top of one another, and walls and kerbs beside them."""

    depth: float = 0.5  # m, half of the blocks' extent across the plane of motion
    edge_distance: float = 0.05  # m between a centre of mass and the edge of what carries it, on either side
    least_support: float = 0.15  # m that a block lies on the one below, at least
    outermost: float = 1.35  # m from the middle to the outermost edge, at most
    wall_grey: float = 0.75
    wall_gap: float = 0.06  # m between the walls and the blocks
    falling_share: float = 0.55  # of towers
    kerb: float = 1.0  # m, height of the kerbs


STACK = StackLimits()


MAX_BLOCKS = 4
PLACES = range(1, MAX_BLOCKS + 1)  # of blocks, from below


class Stack(Task):
    """A tower of blocks is let go: does it stand, or which blocks fall, and which way?

    What happens: two to four blocks are stacked with offsets between two light grey walls, which hold them. At the
    hand-over the walls vanish. The tower stands, or it topples: blocks tilt over an edge, slide, fall to the floor and
    come to rest. Two kerbs keep them in view.

    Law: statics (Archimedes, On the Equilibrium of Planes): a tower stands if, at each level, the middle of the mass of
    all blocks above lies over the face on which they rest. It is at least 5 cm inside or outside of that face, and what
    is below the lowest edge that fails would stand also while all the rest tips over that edge, so that the answer can
    be known. How blocks tumble, and which of them drag others along, has no closed form: that is simulated.

    {parameters}

    Blocks are counted from below; those beyond `blocks` are not there. An offset is that of a block's middle from the
    middle of the one below. Mass is density x volume; all blocks are equally deep.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: at rest between the walls until 0, when the walls vanish; horizon 4 s, of which the last are at rest.
    About 55 % of the towers fall. Everything stays in view.
    Outcomes: does each block but the lowest fall; does each that falls fall to the left; does anything hang in the air.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "falling/stack-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "blocks"}
    static_history = True
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.0, "", "of blocks and floor"),
        friction=Parameter.fixed(0.8, "", "of blocks and floor"),
        blocks=Parameter("", "visible", (2, MAX_BLOCKS), "how many", grid=1),
        **numbered(PLACES, width=Parameter("m", "visible", (0.48, 0.58), "half width of a block", ood=(0.6, 0.66))),
        **numbered(PLACES, height=Parameter("m", "visible", (0.27, 0.31), "half height of a block", ood=(0.32, 0.36))),
        **numbered(PLACES[1:], offset=Parameter("m", "visible", (-0.75, 0.75), "from the block below, to the right")),
        **hues(*(f"hue_{i}" for i in PLACES)),
        middle=Parameter("m", "visible", (-0.15, 0.15), "of the tower, to the right"),
    )

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        blocks = self.parameters["blocks"].draw(rng, split)  # first: each number is equally frequent
        falls = bool(rng.random() < STACK.falling_share)
        return draw(
            self.parameters,
            rng,
            split,
            lambda p: p["blocks"] == blocks and self.accepts(p) and (min(support_margins(p)) < 0) == falls,
        )

    def accepts(self, p: Params) -> bool:
        """Different hues, each block well on the one below, no centre of mass near an edge, near the middle."""
        if any(p[f"hue_{i}"] == p[f"hue_{j}"] for i, j in itertools.combinations(PLACES, 2)):
            return False
        centres, widths = block_centres(p), half_widths(p)
        overlaps = [_overlap(centres, widths, k) for k in range(len(centres) - 1)]
        reach = max(abs(x) + w for x, w in zip(centres, widths, strict=True))
        return (
            all(right - left >= STACK.least_support for left, right in overlaps)
            and all(abs(margin) >= STACK.edge_distance for margin in support_margins(p))
            and all(margin >= STACK.edge_distance for margin in loaded_margins(p))
            and reach <= STACK.outermost
        )

    def scene(self, p: Params) -> Scene:
        friction = math.sqrt(p["friction"])
        blocks, top = tower(p)
        falling = [Outcome(what, block.name) for what in ("falls", "falls left") for block in blocks[1:]]
        return Scene(
            bodies=(*blocks, floor(friction=friction), *kerbs(friction), *walls_beside(blocks, top)),
            camera=Camera("front", (0.0, 0.0, 1.8)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=self.prompt(p),
            caption=self.caption(p),
            outcomes=(*falling, Outcome("hangs", None)),
        )

    def prompt(self, p: Params) -> str:
        names = [hue_name(p[f"hue_{i}"]) for i in range(1, int(p["blocks"]) + 1)]
        return (
            f"A tower of blocks stands on a flat floor between two walls: {', '.join(names)}, from below. The walls "
            "vanish, and the tower stands or topples. Static camera, seen from the side."
        )

    def caption(self, p: Params) -> str:
        names = [hue_name(p[f"hue_{i}"]) for i in range(1, int(p["blocks"]) + 1)]
        return (
            f"A tower of foam blocks stands on the floor: {', '.join(names)}, from below. The two boards "
            "beside it have just been drawn back."
        )


def tower(p: Params) -> tuple[list[Body], float]:
    """The blocks, from below, and their height in m."""
    blocks: list[Body] = []
    top = 0.0
    for i, (x, width) in enumerate(zip(block_centres(p), half_widths(p), strict=True), start=1):
        height = p[f"height_{i}"]
        blocks.append(
            Body(
                f"block {i}",
                "box",
                (width, STACK.depth, height),
                "moving",
                (x, 0.0, top + height),
                hue=int(p[f"hue_{i}"]),
                mass=box_mass((width, STACK.depth, height)),
                restitution=p["restitution"],
                friction=math.sqrt(p["friction"]),
                flat=True,
                release=0.0,
            )
        )
        top += 2 * height
    return blocks, top


def kerbs(friction: float) -> list[Body]:
    """Kerbs that keep fallen blocks in view."""
    size = (0.06, STACK.depth, STACK.kerb / 2)
    return [
        wall(f"kerb {side}", size, (x, 0.0, STACK.kerb / 2), grey=FLOOR_GREY, friction=friction)
        for side, x in (("left", -HALF_WINDOW + 0.06), ("right", HALF_WINDOW - 0.06))
    ]


def walls_beside(blocks: Sequence[Body], top: float, bottom: float = 0.0) -> list[Body]:
    """Walls that hold blocks until the hand-over. top, bottom: where a wall ends and begins, m."""
    left = min(block.position[0] - block.size[0] for block in blocks) - STACK.wall_gap
    right = max(block.position[0] + block.size[0] for block in blocks) + STACK.wall_gap
    return [
        holder(f"wall {side}", (0.05, 0.2, (top - bottom) / 2), (x, 0.0, (top + bottom) / 2), 0.0, grey=STACK.wall_grey)
        for side, x in (("left", left - 0.05), ("right", right + 0.05))
    ]


def half_widths(p: Params) -> list[float]:
    """Half widths of the blocks that are there, m."""
    return [p[f"width_{i}"] for i in range(1, int(p["blocks"]) + 1)]


def block_centres(p: Params) -> list[float]:
    """Middles (x, m) of the blocks that are there; that of the outermost edges is `middle`."""
    x = list(itertools.accumulate((p[f"offset_{i}"] for i in range(2, int(p["blocks"]) + 1)), initial=0.0))
    widths = half_widths(p)
    left = min(c - w for c, w in zip(x, widths, strict=True))
    right = max(c + w for c, w in zip(x, widths, strict=True))
    return [c - (left + right) / 2 + p["middle"] for c in x]


def support_margins(p: Params) -> list[float]:
    """For each block but the highest: how far inside its face, m, the mass above has its middle (< 0: outside)."""
    centres = block_centres(p)
    return [_margin(p, k, centres) for k in range(len(centres) - 1)]


def loaded_margins(p: Params) -> list[float]:
    """The same below the lowest edge over which blocks tip, with all that tips resting on that edge."""
    centres, margins = block_centres(p), support_margins(p)
    tips = next((k for k, margin in enumerate(margins) if margin < 0), 0)
    left, right = _overlap(centres, half_widths(p), tips)
    over = centres[tips + 1] > centres[tips]
    moved = [*centres[: tips + 1], *[right if over else left] * (len(centres) - tips - 1)]
    return [_margin(p, k, centres, moved) for k in range(tips)]


def _margin(p: Params, k: int, centres: list[float], masses_at: list[float] | None = None) -> float:
    widths = half_widths(p)
    masses = [w * p[f"height_{i}"] for i, w in enumerate(widths, start=1)][k + 1 :]  # all are equally deep
    positions = (masses_at or centres)[k + 1 :]
    middle = sum(m * x for m, x in zip(masses, positions, strict=True)) / sum(masses)
    left, right = _overlap(centres, widths, k)
    return min(middle - left, right - middle)


def _overlap(centres: list[float], widths: list[float], k: int) -> tuple[float, float]:
    """Overlap of block k + 1 with block k, from x to x in m."""
    edges = [(centres[i] - widths[i], centres[i] + widths[i]) for i in (k, k + 1)]
    return max(left for left, _ in edges), min(right for _, right in edges)


# A block that sticks out over the edge of a pedestal.


class Overhang(Task):
    """A block sticks out over the edge of a pedestal and is let go: does it stay, or tip over the edge?

    What happens: a block lies on a dark pedestal between two light grey walls, which hold it. At the hand-over the
    walls vanish. The block stays, or it tips over the edge, falls to the floor and comes to rest.

    Law: statics (Archimedes, On the Equilibrium of Planes): a body stays if its centre of mass lies over the face on
    which it rests, and tips if it does not. It is at least 5 cm inside or outside of that face. How the block tumbles
    has no closed form: that is simulated.

    {parameters}

    offset is that of the block's middle from that of the pedestal. Mass is density x volume and plays no part.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: at rest between the walls until 0, when the walls vanish; horizon 4 s.
    Half of the blocks fall. Everything stays in view.
    Outcomes: does the block fall; if so, to the left, and when; does it hang in the air.
    May be hidden: nothing.

    Version history: v1, did not ask when; v2, asks when the block falls.
    """

    core = False

    id = "falling/overhang-v2"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": lambda p: -abs(overhang_margin(p))}
    static_history = True
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.0, "", "of block, pedestal and floor"),
        friction=Parameter.fixed(0.8, "", "of block, pedestal and floor"),
        width=Parameter("m", "visible", (0.5, 0.64), "half width of the block", ood=(0.67, 0.76)),
        height=Parameter("m", "visible", (0.27, 0.32), "half height of the block"),
        **hues("hue"),
        pedestal_width=Parameter("m", "visible", (0.25, 0.5), "half width of the pedestal"),
        pedestal_height=Parameter("m", "visible", (0.9, 1.5), "of the pedestal"),
        middle=Parameter("m", "visible", (-0.3, 0.3), "of the pedestal, to the right"),
        offset=Parameter("m", "visible", (0.1, 0.9), "of the block from the pedestal, to the right", signed=True),
    )

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        falls = bool(rng.random() < 0.5)  # first: both are as frequent
        return draw(self.parameters, rng, split, lambda p: self.accepts(p) and (overhang_margin(p) < 0) == falls)

    def accepts(self, p: Params) -> bool:
        """Well on the pedestal, its centre of mass not near the edge, near the middle of the window."""
        return (
            p["pedestal_width"] + p["width"] - abs(p["offset"]) >= STACK.least_support
            and abs(overhang_margin(p)) >= STACK.edge_distance
            and abs(p["middle"] + p["offset"]) + p["width"] <= 1.6  # m
        )

    def scene(self, p: Params) -> Scene:
        friction = math.sqrt(p["friction"])
        size = (p["width"], STACK.depth, p["height"])
        block = Body(
            "block",
            "box",
            size,
            "moving",
            (p["middle"] + p["offset"], 0.0, p["pedestal_height"] + p["height"]),
            hue=int(p["hue"]),
            mass=box_mass(size),
            restitution=p["restitution"],
            friction=friction,
            flat=True,
            release=0.0,
        )
        half = p["pedestal_height"] / 2
        pedestal = wall(
            "pedestal",
            (p["pedestal_width"], STACK.depth, half),
            (p["middle"], 0.0, half),
            grey=0.3,
            friction=friction,
        )
        walls = walls_beside([block], p["pedestal_height"] + 2 * p["height"], p["pedestal_height"])
        return Scene(
            bodies=(block, floor(friction=friction), pedestal, *kerbs(friction), *walls),
            camera=Camera("front", (0.0, 0.0, 1.8)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} block lies on a dark pedestal between two walls and sticks out over its "
            "edge. The walls vanish, and the block stays or tips over. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} foam block lies on a dark pedestal and sticks out over its edge. The "
            "two boards that held it have just been drawn back.",
            outcomes=(
                Outcome("falls", "block"),
                Outcome("falls left", "block"),
                Outcome("falls when", "block"),
                Outcome("hangs", None),
            ),
        )


def overhang_margin(p: Params) -> float:
    """Distance in m of the block's centre of mass from the edge of the pedestal (< 0: outside its face)."""
    return p["pedestal_width"] - abs(p["offset"])


# A seesaw.

PLANK_HALF = 0.1  # m, half of its thickness
TORQUE_MARGIN = 0.2  # by which the smaller torque is smaller than the larger one, at least
SIDES = ("left", "right")


class Seesaw(Task):
    """Two blocks lie on a seesaw that is let go: which side goes down?

    What happens: a plank lies level on a post in its middle, about which it can turn, and on two props under its ends.
    Two blocks of different size lie on it, one on each side. At the hand-over the props vanish, and one side goes down
    to the floor.

    Law: the lever (Archimedes, On the Equilibrium of Planes, propositions 6 and 7): the side goes down on which mass
    times distance from the axis is larger; the smaller product is .8 of it at most. Until it reaches the floor, the
    plank turns with the blocks as one body does. What the blocks do after that has no closed form: it is simulated.

    {parameters}

    width and height are half of those of a block, distance is that of its middle from the axis. Mass is density x
    volume.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: at rest on the props until 0, when these vanish; horizon 4 s.
    Left or right, the larger or the smaller block goes down, each in a quarter of the clips. Everything stays in view.
    Outcomes: is each block lower at the end, or higher; from when on is the one elsewhere that goes down.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/seesaw-v1"
    static_history = True
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": lambda p: -torque_margin(p)}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.0, "", "of plank, blocks and floor"),
        friction=Parameter.fixed(0.8, "", "of plank, blocks and floor"),
        **hues("hue_left", "hue_right"),
        length=Parameter("m", "visible", (1.8, 2.0), "half length of the plank", ood=(2.05, 2.2)),
        axis=Parameter("m", "visible", (0.85, 1.0), "height of the axis above the floor"),
        middle=Parameter("m", "visible", (-0.25, 0.25), "of the plank, to the right"),
        **{
            f"{what}_{side}": Parameter("m", "visible", span, f"of the {side} block")
            for side in SIDES
            for what, span in (("width", (0.46, 0.64)), ("height", (0.28, 0.38)), ("distance", (0.75, 1.45)))
        },
    )

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        sinks, larger = rng.integers(2, size=2).tolist()  # first: all four ends are as frequent

        def wanted(p: Params) -> bool:
            masses = [each.mass for each in _blocks(p)]
            return _sinking(p) == sinks and (masses[sinks] > masses[1 - sinks]) == larger and self.accepts(p)

        return draw(self.parameters, rng, split, wanted)

    def accepts(self, p: Params) -> bool:
        """Different hues, blocks on their sides of the plank, torques that differ."""
        sides = [(p[f"width_{side}"], p[f"distance_{side}"]) for side in SIDES]
        plank_end = 0.05  # m from a block to the end of the plank and to its middle, at least
        return (
            p["hue_left"] != p["hue_right"]
            and all(width + plank_end <= away <= p["length"] - plank_end - width for width, away in sides)
            and torque_margin(p) >= TORQUE_MARGIN
        )

    def scene(self, p: Params) -> Scene:
        x, axis, friction = p["middle"], p["axis"], math.sqrt(p["friction"])
        half, out = (axis - PLANK_HALF) / 2, p["length"] - 0.08
        size = (p["length"], STACK.depth, PLANK_HALF)
        plank = replace(_on_seesaw(p, "plank", x, axis, size), grey=0.2)
        post = wall("post", (0.1, 0.05, axis / 2), (x, 0.3, axis / 2), grey=0.3)
        props = [
            holder(f"{side} prop", (0.08, 0.2, half), (x + away, 0.0, half), 0.0, grey=STACK.wall_grey)
            for side, away in zip(SIDES, (-out, out), strict=True)
        ]
        left, right = (hue_name(p[f"hue_{side}"]) for side in SIDES)
        return Scene(
            bodies=(*_blocks(p), plank, floor(friction=friction), replace(post, collides=False), *props),
            camera=Camera("front", (0.0, 0.0, 1.8)),
            gravity=(0.0, 0.0, -p["gravity"]),
            fields=(Hinge("plank", (x, 0.0, axis)),),
            prompt=f"A {left} block on the left and a {right} block on the right lie on a seesaw, a dark plank on a "
            "post, with two props under its ends. The props vanish, and one side goes down to the floor. "
            "Static camera, seen from the side.",
            caption=f"A {left} foam block on the left and a {right} foam block on the right lie on a seesaw, a dark "
            "plank on a post. The two props under its ends have just been drawn back.",
            outcomes=(
                Outcome("sinks", "left block"),
                Outcome("sinks", "right block"),
                Outcome("falls when", f"{SIDES[_sinking(p)]} block"),
            ),
        )


def _on_seesaw(p: Params, name: str, x: float, z: float, size: Vector) -> Body:
    friction = math.sqrt(p["friction"])
    return Body(
        name, "box", size, "moving", (x, 0.0, z),
        restitution=p["restitution"], friction=friction, flat=True, release=0.0,
    )  # fmt: skip


def _blocks(p: Params) -> list[Body]:
    blocks = []
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        size = (p[f"width_{side}"], STACK.depth, p[f"height_{side}"])
        x, z = p["middle"] + sign * p[f"distance_{side}"], p["axis"] + PLANK_HALF + size[2]
        blocks.append(replace(_on_seesaw(p, f"{side} block", x, z, size), hue=int(p[f"hue_{side}"])))
    return blocks


def torques(p: Params) -> list[float]:
    """Mass times distance from the axis of the left and of the right block, kg m."""
    return [block.mass * p[f"distance_{side}"] for block, side in zip(_blocks(p), SIDES, strict=True)]


def torque_margin(p: Params) -> float:
    """By how much the smaller torque is smaller than the larger one, over the larger."""
    return 1 - min(torques(p)) / max(torques(p))


def _sinking(p: Params) -> int:
    """Index in SIDES of the side that goes down."""
    return int(np.argmax(torques(p)))


# A ball that is thrown at a container.


@dataclass(frozen=True)
class ContainerLimits:
    """The container, and throws that a clip may show."""

    wall: float = 0.06  # m, half the thickness of its walls
    grey: float = 0.3
    rim_distance: float = 0.06  # m between a ball and the rim, at least
    rim_height: float = 0.1  # m under the rim, at least, where a ball hits a wall
    rests_below: float = 0.05  # m/s after a bounce: a slower one is no bounce any more


CONTAINER = ContainerLimits()


class Container(Task):
    """A ball is thrown at a container: is it in there at the end?

    What happens: a ball lies on a small grey shelf, which vanishes: it flies off, into a container of two walls that
    stand on the floor, or not. Inside it bounces to and fro and comes to rest. Outside it bounces on, past the
    container or back from its wall.

    Law: free fall between bounces (Galilei 1638, Discorsi, fourth day); at a bounce from the floor vz -> -e vz, from a
    wall vx -> -e vx (Newton's law of restitution). No air, no friction, no spin. The ball passes the rims at 6 cm at
    least: a hit there would decide by a hair.

    {parameters}

    start is the distance from the middle of the window at which the ball is held, start_height that of its lowest point
    above the floor, middle the place of the container's middle along the throw. Mass is density x volume.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: held until `release`, in flight at 0, first contact in [0.2 s, 2.4 s], horizon 4 s. In half of the clips
    the ball is in the container at the end. All of it stays in view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/container-v1"
    levels: ClassVar[Mapping[str, Level]] = {
        "difficulty": lambda p: -abs(abs(p["aside"]) - p["half_width"]),
        "event": lambda p: thrown_legs(p, HORIZON)[1][0],
    }
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.6, "", "of the ball with floor and walls"),
        friction=Parameter.fixed(0.0, "", "of all"),
        radius=Parameter("m", "visible", (0.40, 0.46), "of the ball"),
        **hues("hue"),
        release=Parameter("s", "visible", (-0.6, -0.4), "when the shelf vanishes", grid=0.05),
        start=Parameter("m", "visible", (1.2, 2.1), "distance from the middle where the ball is held"),
        start_height=Parameter("m", "visible", (0.6, 2.8), "of its lowest point above the floor"),
        velocity_x=Parameter("m/s", "visible", (0.4, 1.6), "thrown sideways", signed=True),
        velocity_z=Parameter("m/s", "visible", (1.0, 4.5), "thrown upwards"),
        aside=Parameter("m", "visible", (-0.4, 2.4), "container's middle from where the ball would land, onwards"),
        half_width=Parameter("m", "visible", (0.65, 0.85), "half the container's width inside", ood=(0.86, 0.95)),
        height=Parameter("m", "visible", (0.95, 1.2), "of its walls"),
    )

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        stays = bool(rng.random() < 0.5)  # first: both are as frequent
        return draw(self.parameters, rng, split, lambda p: self.accepts(p) and stays_in(p) == stays)

    def accepts(self, p: Params) -> bool:
        """Contact in time, the rim not touched, in view."""
        radius, height = p["radius"], p["height"]
        peak = p["start_height"] + p["velocity_z"] ** 2 / (2 * p["gravity"])
        wide = p["half_width"] + 2 * CONTAINER.wall
        if not (inside((peak + radius - CENTER_Z, p["start"]), radius) and inside((container_middle(p),), wide)):
            return False
        legs = thrown_legs(p, HORIZON)
        if not event_in(legs[1][0], spare=0.02):
            return False
        x, z = path_of(legs, np.arange(p["release"], HORIZON, 1 / 100), p["gravity"]).T
        beside = np.abs(np.abs(x - container_middle(p)) - p["half_width"] - CONTAINER.wall) - CONTAINER.wall
        away = np.hypot(np.maximum(beside, 0.0), np.maximum(z - height, 0.0))
        clear = away[z > height - CONTAINER.rim_height].min(initial=math.inf) >= radius + CONTAINER.rim_distance
        return bool(clear) and inside((float(np.abs(x).max()),), radius)

    def scene(self, p: Params) -> Scene:
        radius, side = p["radius"], math.copysign(1.0, p["velocity_x"])
        thrown = ball(
            "ball",
            radius,
            (-side * p["start"], 0.0, p["start_height"] + radius),
            p["hue"],
            velocity=(p["velocity_x"], 0.0, p["velocity_z"]),
            restitution=p["restitution"],
            release=p["release"],
        )
        size, out = (CONTAINER.wall, 2 * RAMP.body_depth, p["height"] / 2), p["half_width"] + CONTAINER.wall
        walls = [
            wall(f"{name} wall", size, (side * container_middle(p) + x, 0.0, size[2]), grey=CONTAINER.grey)
            for name, x in (("left", -out), ("right", out))
        ]
        return Scene(
            bodies=(thrown, floor(), *walls, shelf("holder", -side * p["start"], p["start_height"], p["release"])),
            camera=Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball is thrown at an open container of two dark walls on a flat floor, "
            "lands in it or not, and bounces on. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball is thrown at an open container of two dark walls on the "
            "floor.",
        )


Leg = tuple[float, float, float, float, float]  # s, where it begins; m along the throw and up; m/s along and up


def thrown_legs(p: Params, horizon: float) -> list[Leg]:
    """The ball's motion from bounce to bounce, in closed form, along the throw; on the floor z = radius."""
    gravity, radius, e = p["gravity"], p["radius"], p["restitution"]
    near, far = p["half_width"] - radius, p["half_width"] + 2 * CONTAINER.wall + radius  # inside and outside of a wall
    stops = [(container_middle(p) + s * d, s * t) for s in (-1.0, 1.0) for d, t in ((near, 1.0), (far, -1.0))]
    leg = (p["release"], -p["start"], p["start_height"] + radius, abs(p["velocity_x"]), p["velocity_z"])
    legs = [leg]
    while leg[0] < horizon:
        time, x, z, vx, vz = leg
        flies = z > radius or vz > 0
        first, fallen = math.inf, gravity if flies else 0.0
        if flies:
            first = (vz + math.sqrt(vz**2 + 2 * gravity * (z - radius))) / gravity
        hits = [(place - x) / vx for place, way in stops if vx * way > 0 and (place - x) * way > 1e-9]
        hits = [t for t in hits if t < first and z + vz * t - fallen * t**2 / 2 < p["height"]]
        dt = min([first, *hits])
        if dt == math.inf:
            break
        x, z, vz = x + vx * dt, z + vz * dt - fallen * dt**2 / 2, vz - fallen * dt
        if hits:
            vx = -e * vx
        else:
            z, vz = radius, -e * vz if -e * vz > CONTAINER.rests_below else 0.0
        leg = (time + dt, x, z, vx, vz)
        legs.append(leg)
    return legs


def path_of(legs: Sequence[Leg], times: Array, gravity: float) -> Array:
    """Places (T, 2) m along the throw and up at times (T,) s, ascending."""
    rows = np.array(legs)[np.maximum(np.searchsorted([leg[0] for leg in legs], times, side="right") - 1, 0)]
    dt = np.maximum(times - rows[:, 0], 0.0)
    lowest = min(leg[2] for leg in legs)
    falls = gravity * ((rows[:, 2] > lowest) | (rows[:, 4] > 0))
    return np.stack([rows[:, 1] + rows[:, 3] * dt, rows[:, 2] + rows[:, 4] * dt - falls * dt**2 / 2], axis=-1)


def container_middle(p: Params) -> float:
    """The container's middle, m along the throw from that of the window."""
    rise, gravity = p["velocity_z"], p["gravity"]
    flight = (rise + math.sqrt(rise**2 + 2 * gravity * p["start_height"])) / gravity
    return -p["start"] + abs(p["velocity_x"]) * flight + p["aside"]


def stays_in(p: Params) -> bool:
    """True if the ball is in the container at the end."""
    times = np.array([HORIZON])
    x = path_of(thrown_legs(p, HORIZON), times, p["gravity"])[0, 0]
    return bool(abs(x - container_middle(p)) < p["half_width"])
