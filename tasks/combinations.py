"""Scenes that combine four of eight kinds of element with a thrown ball, after PhyWorld's question about combinations.

PhyWorld (Kang et al. 2024, arXiv 2411.02385, section 4) draws such scenes with PHYRE (Bakhtin et al. 2019, arXiv
1908.05656) and neither code is released. What differs here: bar, ramp and jar are fixed, and what is
fixed is smooth; masses and sizes are ours.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import EVENT_UNTIL, HALF_WINDOW, Level, Parameter, Params, Task, declare, draw, inside
from physbench.world.bodies import ball, floor, shelf, turned_from_front, wall
from physbench.world.geometry import gap
from physbench.world.scene import PALETTE, Body, Camera, Scene, hue_name

KINDS = ("ball", "heavy ball", "static ball", "bar", "standing bar", "ramp", "jar", "wall")
PAIRS = (("ball", "wall"), ("heavy ball", "ramp"), ("static ball", "standing bar"), ("bar", "jar"))
TRAINED, HELD_OUT = 60, 10  # templates


def _templates() -> tuple[tuple[str, ...], ...]:
    """All 70 combinations: six that hold each pair of kinds, others in a fixed order, and last those held out.

    Two of PAIRS joined are a template, six in all: kinds of two pairs meet in one of them, kinds of one pair in three.
    Fewer do not do: a kind has seven others and meets three in a template, so that it is in three of them.
    """
    six = [tuple(kind for kind in KINDS if kind in one + other) for one, other in combinations(PAIRS, 2)]
    others = [each for each in combinations(KINDS, 4) if each not in six]
    # seed: ten templates at the end hold each kind five times and each pair of kinds one to three times
    random.Random(5804).shuffle(others)
    return (*six, *others)


TEMPLATES = _templates()

CENTER_Z = 2.2  # m, height of the middle of the window above the floor


@dataclass(frozen=True)
class Elements:
    """Sizes and places of the elements of a scene."""

    depth: float = 0.5  # m, half of the extent of boxes across the plane of motion
    grey: float = 0.3
    spacing: float = 0.08  # m between elements on the floor
    clearance: float = 0.12  # m over them
    lowest: float = 1.0  # m over the floor, of what hangs in the air
    highest: float = 2.9  # the same
    bar_depth: float = 0.2  # m, half of the extent of the standing bar, which is lighter than a ball
    bar: float = 0.28  # m, half thickness of a bar
    board: float = 0.07  # m, half thickness of a ramp
    jar: float = 0.05  # m, half thickness of the wall of a jar
    wall: float = 0.08  # m, half thickness of a wall


ELEMENT = Elements()


SIDE = 0.1  # m, half thickness of the walls at both sides of the window, beside which all bodies are whole
ROOM = HALF_WINDOW - 2 * SIDE  # m, half of the width between them
FLIGHT_STEP = 1 / 120  # s


@dataclass(frozen=True)
class Extent:
    """Half width and half height m of an element."""

    x: float
    z: float


def extents(p: Params) -> dict[str, Extent]:
    """Extents of the elements of a template."""
    cos, sin = math.cos(p["ramp_angle"]), abs(math.sin(p["ramp_angle"]))
    every = {
        "ball": Extent(p["ball_radius"], p["ball_radius"]),
        "heavy ball": Extent(p["heavy_radius"], p["heavy_radius"]),
        "static ball": Extent(p["static_radius"], p["static_radius"]),
        "bar": Extent(p["bar_length"], ELEMENT.board),
        "standing bar": Extent(ELEMENT.bar, p["standing_height"]),
        "ramp": Extent(p["ramp_length"] * cos + ELEMENT.board * sin, p["ramp_length"] * sin + ELEMENT.board * cos),
        "jar": Extent(p["jar_width"] + 2 * ELEMENT.jar, p["jar_height"] / 2),
        "wall": Extent(ELEMENT.wall, p["wall_height"] / 2),
    }
    return {kind: every[kind] for kind in TEMPLATES[int(p["template"])]}


def places(p: Params) -> dict[str, tuple[float, float]]:
    """Middles (x, z) m of the elements: in a row along the floor and in another in the air, in neither on each other.

    Of a row in the order of their `place`, which is the share of the free room to the left of an element.
    """
    size = extents(p)
    x = {}
    hanging = ("static ball", "bar", "ramp")  # the others stand or lie on the floor
    for row in ([k for k in size if k not in hanging], [k for k in size if k in hanging]):
        left, free = -ROOM, 2 * ROOM + ELEMENT.spacing - sum(2 * size[kind].x + ELEMENT.spacing for kind in row)
        for kind in sorted(row, key=lambda kind: place_of(p, kind)):
            x[kind] = left + place_of(p, kind) * free + size[kind].x
            left += 2 * size[kind].x + ELEMENT.spacing
    z = {kind: size[kind].z for kind in size if kind not in hanging}
    for kind in (kind for kind in size if kind in hanging):
        under = [2 * z[k] for k in size if k not in hanging and abs(x[k] - x[kind]) < size[k].x + size[kind].x]
        low = max([ELEMENT.lowest, *(top + ELEMENT.clearance for top in under)])
        z[kind] = low + size[kind].z + p[f"{kind.split()[0]}_above"] * (ELEMENT.highest - low - 2 * size[kind].z)
    return {kind: (x[kind], z[kind]) for kind in size}


def place_of(p: Params, kind: str) -> float:
    """The declared place of an element, 0..1."""
    return p[f"place_{KINDS.index(kind) + 1}"]


def hue_of(p: Params, k: int) -> int:
    """Hue of the k-th moving body, 0 that of the thrown ball: all differ."""
    return int(p["hue"] + k * p["hue_step"]) % len(PALETTE)


def elements(p: Params) -> list[Body]:
    """The bodies of the four elements at rest."""
    e, bodies, hue = p["restitution"], [], 1
    for kind, (x, z) in places(p).items():
        if kind in ("ball", "heavy ball"):
            radius = p["ball_radius"] if kind == "ball" else p["heavy_radius"]
            bodies.append(ball(kind, radius, (x, 0.0, z), hue_of(p, hue), restitution=e, friction=p["friction"]))
            hue += 1
        elif kind == "standing bar":
            bodies.append(
                Body(
                    kind,
                    "box",
                    (ELEMENT.bar, ELEMENT.bar_depth, z),
                    "moving",
                    (x, 0.0, z),
                    hue=hue_of(p, hue),
                    restitution=0.0,
                    friction=p["friction"],
                    flat=True,
                )
            )
            hue += 1
        elif kind == "static ball":
            bodies.append(Body(kind, "sphere", (p["static_radius"],), "fixed", (x, 0.0, z), grey=ELEMENT.grey))
        elif kind == "jar":
            out, half = p["jar_width"] + ELEMENT.jar, (ELEMENT.jar, ELEMENT.depth, z)
            bodies += [
                wall(f"jar {name}", half, (x + side * out, 0.0, z), grey=ELEMENT.grey)
                for name, side in (("left", -1), ("right", 1))
            ]
        elif kind == "wall":
            bodies.append(wall(kind, (ELEMENT.wall, ELEMENT.depth, z), (x, 0.0, z), grey=ELEMENT.grey))
        else:
            length, turn = (p["bar_length"], 0.0) if kind == "bar" else (p["ramp_length"], p["ramp_angle"])
            bodies.append(
                wall(
                    kind,
                    (length, ELEMENT.depth, ELEMENT.board),
                    (x, 0.0, z),
                    turned_from_front(turn),
                    grey=ELEMENT.grey,
                )
            )
    return bodies


def room() -> list[Body]:
    """The floor and the walls at both sides, between which everything stays."""
    half = (SIDE, ELEMENT.depth, HALF_WINDOW)
    sides = (("left", -1), ("right", 1))
    return [floor(), *(wall(f"{name} side", half, (side * (ROOM + SIDE), 0.0, CENTER_Z)) for name, side in sides)]


def thrown(p: Params) -> Body:
    return ball(
        "thrown ball",
        p["radius"],
        (p["start_x"], 0.0, p["start_z"]),
        hue_of(p, 0),
        velocity=(p["velocity_x"], 0.0, p["velocity_z"]),
        restitution=p["restitution"],
        friction=p["friction"],
        release=p["release"],
    )


def first_contact(p: Params) -> tuple[float, bool]:
    """Time s, to FLIGHT_STEP, at which the thrown ball first meets something, and whether that is an element.

    -inf where it is held too near to something, inf where it meets nothing until EVENT_UNTIL.
    """
    bodies, elsewhere = elements(p), room()
    count = len(bodies)
    bodies += elsewhere
    flown = np.arange(0.0, EVENT_UNTIL * Throw.horizon - p["release"], FLIGHT_STEP)
    path = np.zeros((len(flown), 3))
    path[:, 0] = p["start_x"] + p["velocity_x"] * flown
    path[:, 2] = p["start_z"] + p["velocity_z"] * flown - p["gravity"] * flown**2 / 2
    one = thrown(p)
    gaps = np.array([gap(one, path, body, body.position) for body in bodies])  # (B, T)
    if gaps[:, 0].min() < 0.25:  # m between the ball that is held and all else
        return -math.inf, False
    touched = (gaps <= 0).any(axis=0)
    if not touched.any():
        return math.inf, False
    first = int(touched.argmax())
    return float(flown[first] + p["release"]), int(gaps[:, first].argmin()) < count


class Throw(Task):
    """A ball is thrown among four of eight kinds of element, in one of 70 combinations.

    What happens: four elements stand on the floor or hang in the air, all at rest: of a ball, a heavy ball, a fixed
    ball, a fixed bar, a standing bar, a fixed ramp, a jar and a wall. A ball lies on a small grey shelf; the shelf
    vanishes and the ball flies off, meets an element or several, and sets in motion what it hits if that can move.

    Law: free fall (Galilei 1638, Discorsi, fourth day); impacts with restitution and conserved momentum (Newton 1687,
    Principia, corollary III to the laws of motion); friction on the floor and between bodies that move (Coulomb 1785,
    Theorie des machines simples). Balls that are hit while they touch others, and a bar that topples, have no closed
    form: the law `bullet` simulates them.

    {parameters}

    template numbers the combinations: the first 6 hold each pair of kinds, and 6, 30 and 60 are nested sets to learn
    from; the split ood draws from the 10 that are held out. Lengths of boards and bars are half lengths. A place is a
    share of the free room in the row of what stands on the floor, or of what hangs; above is the share of the room over
    what is below. What is declared of kinds that a template lacks plays no part. Mass is density x volume.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: held until `release`, in flight at 0, the first contact, with an element, in [0.25 s, 0.96 s]; horizon
    1.6 s. Two grey walls at the sides keep all in view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "combo/throw-v1"
    suite = "combo"
    templates: ClassVar[Mapping[str, range]] = {  # of clips that are judged, by split, and of the nested training sets
        "test": range(6),  # of every training set, so that one suite serves all
        "ood": range(TRAINED, TRAINED + HELD_OUT),
        "combo-6": range(6),
        "combo-30": range(30),
        "combo-60": range(TRAINED),
    }
    levels: ClassVar[Mapping[str, Level]] = {"event": lambda p: first_contact(p)[0]}
    parameters = declare(
        template=Parameter(
            "", "visible", (0, TRAINED - 1), "which combination", (TRAINED, TRAINED + HELD_OUT - 1), grid=1
        ),
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.7, "", "of a ball with what is fixed; of two balls 0.49; of the bar 0"),
        friction=Parameter.fixed(0.6, "", "of what moves and the floor; of two that move 0.36, with elements 0"),
        hue=Parameter("", "visible", (0, 4), "index into the palette, of the thrown ball", grid=1),
        hue_step=Parameter("", "visible", (1, 4), "from one moving body to the next", grid=1),
        release=Parameter("s", "visible", (-0.6, -0.4), "when the shelf vanishes", grid=0.05),
        radius=Parameter("m", "visible", (0.40, 0.44), "of the thrown ball"),
        start_x=Parameter("m", "visible", (-2.0, 2.0), "where it is held"),
        start_z=Parameter("m", "visible", (1.8, 3.9), "height of its middle"),
        velocity_x=Parameter("m/s", "visible", (0.5, 2.2), "thrown sideways", signed=True),
        velocity_z=Parameter("m/s", "visible", (0.5, 4.0), "thrown upwards"),
        **{f"place_{k + 1}": Parameter("", "visible", (0.0, 1.0), f"of the {kind}") for k, kind in enumerate(KINDS)},
        ball_radius=Parameter("m", "visible", (0.40, 0.44), "of the ball"),
        heavy_radius=Parameter("m", "visible", (0.50, 0.55), "of the heavy ball"),
        static_radius=Parameter("m", "visible", (0.25, 0.35), "of the fixed ball"),
        static_above=Parameter("", "visible", (0.0, 1.0), "of the fixed ball"),
        bar_length=Parameter("m", "visible", (0.45, 0.6), "of the bar"),
        bar_above=Parameter("", "visible", (0.0, 1.0), "of the bar"),
        standing_height=Parameter("m", "visible", (0.5, 0.54), "half height of the standing bar"),
        ramp_length=Parameter("m", "visible", (0.5, 0.65), "of the ramp"),
        ramp_angle=Parameter("rad", "visible", (0.4, 0.7), "above 0 if it rises to the right", signed=True),
        ramp_above=Parameter("", "visible", (0.0, 1.0), "of the ramp"),
        jar_width=Parameter("m", "visible", (0.54, 0.6), "half width of the jar, inside"),
        jar_height=Parameter("m", "visible", (0.7, 0.95), "of the jar"),
        wall_height=Parameter("m", "visible", (0.9, 1.5), "of the wall"),
    )
    horizon = 1.6  # s

    def template(self, rng: np.random.Generator, split: Split) -> int:
        """Draw the template of a clip, which comes first."""
        return int(self.parameters["template"].draw(rng, split))

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        chosen = Parameter.fixed(self.template(rng, split), "", "")
        return draw({**self.parameters, "template": chosen}, rng, split, self.accepts)

    def accepts(self, p: Params) -> bool:
        """The throw stays in the window and meets an element in time."""
        radius = p["radius"]
        highest = p["start_z"] + (p["velocity_x"] ** 2 + p["velocity_z"] ** 2) / (2 * p["gravity"])
        if not inside((p["start_x"], highest - CENTER_Z), radius):
            return False
        when, element = first_contact(p)
        return element and when >= 0.25  # s

    def scene(self, p: Params) -> Scene:
        names = [f"a {kind}" for kind in TEMPLATES[int(p["template"])]]
        hues = {body.name: hue_name(body.hue) for body in elements(p) if body.hue is not None}
        told = [f"a {hues[kind]} {kind}" if kind in hues else f"a {kind}" for kind in TEMPLATES[int(p["template"])]]
        return Scene(
            bodies=(
                thrown(p),
                *elements(p),
                *room(),
                shelf("holder", p["start_x"], p["start_z"] - p["radius"], p["release"]),
            ),
            camera=Camera("front", (0.0, 0.0, CENTER_Z)),
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(hue_of(p, 0))} ball is thrown among {', '.join(names[:-1])} and {names[-1]}, meets "
            "some of them and moves on. Static camera, seen from the side.",
            caption=f"A {hue_name(hue_of(p, 0))} exercise ball is thrown among {', '.join(told[:-1])} and {told[-1]}.",
        )
