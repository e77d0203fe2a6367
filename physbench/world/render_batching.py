"""Which parts of which frames can share one picture.

A picture costs the renderer more for its size than for what is in it. Moving bodies of several frames that lie in
different parts of the image are therefore drawn in one go, each as its own copy, and cut apart again: the pixels of a
body do not depend on what is drawn elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.world.scene import RenderSpec

BATCH_GRID = 64  # cells across the image in which bodies are kept apart
MAX_COPIES = 8  # of one body in a picture, at most

Box = tuple[int, int, int, int]  # px left, top, right, bottom (exclusive)


@dataclass(frozen=True)
class RenderItem:
    """A part of frame `frame` that holds `bodies`, which may touch or hide each other, and none of the others."""

    frame: int
    box: Box
    bodies: tuple[int, ...]


def items(frame: int, boxes: NDArray[np.int64], bodies: Iterable[int]) -> list[RenderItem]:
    """Join the boxes (N, 4) of a frame's bodies that overlap until none do; empty ones are dropped."""
    left = [((a, b, c, d), (body,)) for (a, b, c, d), body in zip(boxes.tolist(), bodies, strict=True) if c > a]
    todo: list[tuple[Box, tuple[int, ...]]] = list(left)
    done: list[tuple[Box, tuple[int, ...]]] = []
    while todo:
        (a, b, c, d), held = todo.pop()
        for other, others in done:
            if a < other[2] and other[0] < c and b < other[3] and other[1] < d:
                done.remove((other, others))
                around = (min(a, other[0]), min(b, other[1]), max(c, other[2]), max(d, other[3]))
                todo.append((around, tuple(sorted(held + others))))
                break
        else:
            done.append(((a, b, c, d), held))
    return [RenderItem(frame, box, held) for box, held in done]


def batch(parts: Iterable[RenderItem], spec: RenderSpec) -> list[list[RenderItem]]:
    """Put items into pictures in which no two have a cell in common, each into the first that has room.

    Pictures with more copies come first.
    """
    height, width = max(1, -(-spec.height // BATCH_GRID)), max(1, -(-spec.width // BATCH_GRID))  # px of a cell
    pictures: list[list[RenderItem]] = []
    taken: list[int] = []
    copies: list[dict[int, int]] = []
    for item in parts:
        left, top, right, bottom = item.box
        row = (1 << -(-right // width)) - (1 << left // width)
        cells = 0
        for i in range(top // height, -(-bottom // height)):
            cells |= row << i * BATCH_GRID
        for p, used in enumerate(copies):
            if not taken[p] & cells and all(used.get(body, 0) < MAX_COPIES for body in item.bodies):
                break
        else:
            p = len(pictures)
            pictures.append([])
            taken.append(0)
            copies.append({})
        pictures[p].append(item)
        taken[p] |= cells
        for body in item.bodies:
            copies[p][body] = copies[p].get(body, 0) + 1
    return sorted(pictures, key=lambda picture: -sum(len(item.bodies) for item in picture))


def copies_needed(pictures: list[list[RenderItem]]) -> list[dict[int, int]]:
    """How many copies of each body the pictures from each one on need at most."""
    needed: dict[int, int] = {}
    result = []
    for picture in reversed(pictures):
        here: dict[int, int] = {}
        for item in picture:
            for body in item.bodies:
                here[body] = here.get(body, 0) + 1
        needed = {body: max(needed.get(body, 0), here.get(body, 0)) for body in needed | here}
        result.append(needed)
    return result[::-1]
