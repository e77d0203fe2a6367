"""Sharing pictures between frames."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from physbench.world.drawing import MAX_COPIES, RenderItem, batch, copies_needed, items
from physbench.world.scene import RenderSpec

box = st.tuples(st.integers(0, 90), st.integers(0, 60), st.integers(1, 30), st.integers(1, 30)).map(
    lambda b: (b[0], b[1], min(b[0] + b[2], 96), min(b[1] + b[3], 64))
)


def overlap(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@given(st.lists(box, max_size=6))
def test_items_hold_every_body_once_and_do_not_overlap(boxes: list[tuple[int, ...]]) -> None:
    parts = items(3, np.array(boxes, dtype=np.int64).reshape(-1, 4), range(len(boxes)))
    assert sorted(body for part in parts for body in part.bodies) == list(range(len(boxes)))
    for i, part in enumerate(parts):
        assert not any(overlap(part.box, other.box) for other in parts[:i])
        for body in part.bodies:
            a, b, c, d = boxes[body]
            assert part.box[0] <= a and part.box[1] <= b and part.box[2] >= c and part.box[3] >= d


@given(st.lists(box, max_size=40))
def test_no_two_items_of_a_picture_overlap(boxes: list[tuple[int, int, int, int]]) -> None:
    parts = [RenderItem(t, b, (t % 3,)) for t, b in enumerate(boxes)]
    pictures = batch(parts, RenderSpec(64, 96, 30))
    assert sorted(item.frame for picture in pictures for item in picture) == list(range(len(boxes)))
    for picture in pictures:
        for i, item in enumerate(picture):
            assert not any(overlap(item.box, other.box) for other in picture[:i])
        for body in range(3):
            assert sum(body in item.bodies for item in picture) <= MAX_COPIES


def test_copies_suffice_and_shrink() -> None:
    parts = [RenderItem(t, (8 * t, 0, 8 * t + 8, 8), (0,)) for t in range(6)] + [RenderItem(6, (0, 0, 64, 64), (0, 1))]
    pictures = batch(parts, RenderSpec(64, 64, 30))
    assert [len(picture) for picture in pictures] == [6, 1]
    assert copies_needed(pictures) == [{0: 6, 1: 1}, {0: 1, 1: 1}]
