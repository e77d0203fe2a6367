"""Whether a picture betrays a body that it does not show, by its shadow or by light from it.

A model that sees a shadow beside a screen has no need to remember what went behind it. So pictures are drawn with each
hidden body and without it, and compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.checks.clip_protocol import moving, outside
from physbench.checks.finding import Finding, Shot, failed, fine
from physbench.clips.clip import Clip
from physbench.looks.known_looks import draw
from physbench.world.scene import RenderSpec

Image = NDArray[np.uint8]

DRAWN_SIDE = 128  # px
HIDDEN_MOMENTS = 4  # of each body and clip that are drawn
BETRAYING_LEVELS = 4.0  # of 255, by which a pixel may differ: less is lost in noise


@dataclass(frozen=True, eq=False)
class HiddenDifference:
    """How two pictures differ, with a hidden body and without it."""

    body: str
    time: float  # s
    levels: float  # of 255, largest over pixels and channels
    pictures: tuple[Image, Image]  # (H, W, 3) with and without


def hidden_differences(clip: Clip, look: str) -> Iterator[HiddenDifference]:
    """Draw moments of a clip at which a body is wholly hidden in the window, with and without it.

    Raises UsageError where the look cannot be drawn.
    """
    spec = RenderSpec(DRAWN_SIDE, DRAWN_SIDE, clip.spec.fps, look)
    for index, body in moving(clip):
        inside = outside(clip, index) <= 0
        hidden = inside & (clip.visible_area[:, index] == 0) & (clip.full_area[:, index] > 0)
        frames = np.flatnonzero(hidden)
        if not len(frames):
            continue
        chosen = frames[np.unique(np.linspace(0, len(frames) - 1, HIDDEN_MOMENTS).round().astype(int))]
        times, states = clip.times[chosen], clip.states[chosen]
        bodies = tuple(replace(each, drawn=False) if each is body else each for each in clip.scene.bodies)
        shown = draw(clip.scene, times, states, spec)
        left_out = draw(replace(clip.scene, bodies=bodies), times, states, spec).frames
        for k in np.flatnonzero(shown.visible_area[:, index] == 0):  # in larger pictures a rim of it may be seen
            pair, time = (shown.frames[k], left_out[k]), float(times[k])
            levels = float(np.abs(pair[0].astype(int) - pair[1]).max())
            yield HiddenDifference(body.name, time, levels, pair)


def check_hidden(clip: Clip, look: str) -> Iterator[Finding]:
    """Nothing in the picture tells that a hidden body is there."""
    worst = max(hidden_differences(clip, look), key=lambda each: each.levels, default=None)
    if worst is None:
        return
    measured = f"by {worst.levels:.0f} of 255 levels (at most {BETRAYING_LEVELS:g})"
    if worst.levels <= BETRAYING_LEVELS:
        yield fine(
            "hidden", f"pictures with {worst.body} and without it, while it is hidden, differ {measured}", worst.levels
        )
        return
    yield failed(
        "hidden",
        f"at {worst.time:.2f} s {worst.body} is hidden, and the picture without it differs {measured}",
        "Its shadow or its light tells where it is. Let a screen hide it, and no other object.",
        clip,
        Shot(clip, (worst.time,) * 2, None, worst.pictures, (f"{worst.time:.2f} s", f"without {worst.body}")),
    )
