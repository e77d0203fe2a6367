"""Blocks on top of one another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import Parameter, Params, Task, declare, draw
from physbench.clips.task_helpers import HALF_WINDOW, hues, numbered
from physbench.world.bodies import floor, holder, wall
from physbench.world.scene import FLOOR_GREY, Body, Camera, Outcome, Scene, box_mass, hue_name

BLOCK_DEPTH = 0.5  # m, half of the blocks' extent across the plane of motion
EDGE_DISTANCE = 0.05  # m between a centre of mass and the edge of what carries it, on either side
LEAST_SUPPORT = 0.15  # m that a block lies on the one below, at least
OUTERMOST = 1.35  # m from the middle to the outermost edge, at most
WALL_GREY = 0.75
WALL_GAP = 0.06  # m between the walls and the blocks
FALLING_SHARE = 0.55  # of towers
MAX_BLOCKS = 4
PLACES = range(1, MAX_BLOCKS + 1)  # of blocks, from below
KERB = 1.0  # m, height of the kerbs


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
    horizon = 4.0  # s

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        blocks = self.parameters["blocks"].draw(rng, split)  # first: each number is equally frequent
        falls = bool(rng.random() < FALLING_SHARE)
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
            all(right - left >= LEAST_SUPPORT for left, right in overlaps)
            and all(abs(margin) >= EDGE_DISTANCE for margin in support_margins(p))
            and all(margin >= EDGE_DISTANCE for margin in loaded_margins(p))
            and reach <= OUTERMOST
        )

    def scene(self, params: Params) -> Scene:
        p, friction = params, math.sqrt(params["friction"])
        blocks, top = tower(p)
        falling = [Outcome(what, block.name) for what in ("falls", "falls left") for block in blocks[1:]]
        return Scene(
            bodies=(*blocks, floor(friction=friction), *kerbs(friction), *walls_beside(blocks, top)),
            camera=Camera("front", (0.0, 0.0, 1.8)),
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=self.prompt(p),
            outcomes=(*falling, Outcome("hangs", None)),
        )

    def prompt(self, p: Params) -> str:
        names = [hue_name(p[f"hue_{i}"]) for i in range(1, int(p["blocks"]) + 1)]
        return (
            f"A tower of blocks stands on a flat floor between two walls: {', '.join(names)}, from below. The walls "
            "vanish, and the tower stands or topples. Static camera, seen from the side."
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
                (width, BLOCK_DEPTH, height),
                "moving",
                (x, 0.0, top + height),
                hue=int(p[f"hue_{i}"]),
                mass=box_mass((width, BLOCK_DEPTH, height)),
                restitution=p["restitution"],
                friction=math.sqrt(p["friction"]),
                flat=True,
                release=0.0,
            )
        )
        top += 2 * height
    return blocks, top


def kerbs(friction: float) -> list[Body]:
    """What keeps fallen blocks in view."""
    size = (0.06, BLOCK_DEPTH, KERB / 2)
    return [
        wall(f"kerb {side}", size, (x, 0.0, KERB / 2), grey=FLOOR_GREY, friction=friction)
        for side, x in (("left", -HALF_WINDOW + 0.06), ("right", HALF_WINDOW - 0.06))
    ]


def walls_beside(blocks: Sequence[Body], top: float) -> list[Body]:
    """What holds a tower of height `top` m until the hand-over."""
    left = min(block.position[0] - block.size[0] for block in blocks) - WALL_GAP
    right = max(block.position[0] + block.size[0] for block in blocks) + WALL_GAP
    return [
        holder(f"wall {side}", (0.05, 0.2, top / 2), (x, 0.0, top / 2), 0.0, grey=WALL_GREY)
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
    """Where block k + 1 lies on block k, from x to x in m."""
    edges = [(centres[i] - widths[i], centres[i] + widths[i]) for i in (k, k + 1)]
    return max(left for left, _ in edges), min(right for _, right in edges)
