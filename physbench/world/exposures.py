"""Which frames can share one picture.

A picture costs the renderer more for its size than for what is in it. Frames whose moving bodies lie in different
parts of the image are therefore drawn in one go, each with its own copies of the bodies, and cut apart again: the
pixels of a body do not depend on what is drawn elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.world.scene import RenderSpec

GRID = 64  # cells across the image in which bodies are kept apart


def share(boxes: NDArray[np.int64], spec: RenderSpec, most: int) -> list[list[int]]:
    """Put frames into groups of at most `most` in which no two frames have boxes with a cell in common.

    boxes: (T, N, 4) px left, top, right, bottom. Frames without any box are left out. Larger groups come first.
    """
    height, width = max(1, -(-spec.height // GRID)), max(1, -(-spec.width // GRID))  # px of a cell
    groups: list[list[int]] = []
    taken: list[int] = []
    for t, frame in enumerate(boxes):
        cells = 0
        for left, top, right, bottom in frame.tolist():
            if right > left:
                row = (1 << -(-right // width)) - (1 << left // width)
                for i in range(top // height, -(-bottom // height)):
                    cells |= row << i * GRID
        if not cells:
            continue
        for g, members in enumerate(groups):
            if len(members) < most and not taken[g] & cells:
                members.append(t)
                taken[g] |= cells
                break
        else:
            groups.append([t])
            taken.append(cells)
    return sorted(groups, key=len, reverse=True)


def merged(boxes: NDArray[np.int64]) -> list[tuple[int, int, int, int]]:
    """Join boxes (N, 4) that overlap until none do; empty ones are dropped."""
    todo = [(a, b, c, d) for a, b, c, d in boxes.tolist() if c > a]
    done: list[tuple[int, int, int, int]] = []
    while todo:
        a, b, c, d = todo.pop()
        for other in done:
            if a < other[2] and other[0] < c and b < other[3] and other[1] < d:
                done.remove(other)
                todo.append((min(a, other[0]), min(b, other[1]), max(c, other[2]), max(d, other[3])))
                break
        else:
            done.append((a, b, c, d))
    return done
