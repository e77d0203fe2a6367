"""The films of a clip, possible, impossible and controls, and their windows.

"truth" is the clip itself, "teleport:0.4" a violation of it at a size, "stranger-near" and "flicker:10" are controls.
A violation that changes a look behind a screen has two more films, with the looks A and B before and after it:

    truth                 A A   possible        return-hue:45         A B   impossible
    return-hue:45/other   B B   possible        return-hue:45/back    B A   impossible

Every frame of the possible two is a frame of the impossible two at the same moment, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.models.protocol import SPEED
from physbench.support.arrays import Array, Image
from physbench.support.errors import UsageError
from physbench.validity.sources import show
from physbench.validity.violations import Inapplicable, Violated, find_acts, violate
from physbench.validity.violations.violation_looks import WHITE_LEVEL
from physbench.world.scene import PHYSICS_HZ

# Windows of a film: what a model of frames is shown, what it is to predict, and how wrong the prediction is.
#
# Every 0.1 s a model is shown the last C true frames and predicts those of the next 0.2 s. The surprise of a window is
# the mean squared error of these frames. It is filed under the last of them: what it depends on has all happened then.


@dataclass(frozen=True)
class WindowTimes:
    """Windows of a film, in s."""

    predicted: float = 0.2  # s that are predicted
    stride: float = 0.1  # s from one prediction to the next
    shown_before: float = 1.0  # s before the hand-over from which on surprise is read, for a model's own usual level


WINDOW = WindowTimes()


@dataclass(frozen=True, eq=False)
class WindowGrid:
    """The windows of all films of a clip. N windows."""

    starts: NDArray[np.int64]  # (N,) index of the last frame that is shown
    ahead: int  # frames that are predicted
    context: int  # frames that are shown
    times: Array  # (N,) s of the last predicted frame

    @property
    def ends(self) -> NDArray[np.int64]:
        """Index (N,) of the last predicted frame."""
        return self.starts + self.ahead

    def unaffected(self, first: int) -> NDArray[np.bool_]:
        """Mask (N,) of windows that show and predict nothing from frame index `first` on."""
        return np.asarray(self.ends < first)


def window_grid(clip: Clip, context: int) -> WindowGrid:
    """The windows of the films of a clip, one of them at the hand-over.

    Raises UsageError where the film is shorter than what the model is shown and predicts.
    """
    ahead, stride = (max(1, int(span * clip.spec.fps + 0.5)) for span in (WINDOW.predicted, WINDOW.stride))
    earliest = max(context - 1, clip.handover - int(WINDOW.shown_before * clip.spec.fps))
    starts = np.arange(clip.handover - (clip.handover - earliest) // stride * stride, len(clip.times) - ahead, stride)
    starts = starts[starts >= context - 1]
    if not (starts >= clip.handover).any():
        raise UsageError(
            f"A film of {clip.id} has {len(clip.times)} frames, of which the model is shown {context} before the first "
            f"{ahead} that it predicts: nothing is left. Give it a shorter context."
        )
    return WindowGrid(starts, ahead, context, clip.times[starts + ahead])


def window_clip(clip: Clip, grid: WindowGrid, number: int) -> Clip:
    """One window of a film, given as a clip: its hand-over is the last frame that is shown."""
    start = int(grid.starts[number])
    part = slice(start + 1 - grid.context, start + 1 + grid.ahead)
    return replace(
        clip,
        times=clip.times[part] - clip.times[start],
        frames=clip.frames[part],
        states=clip.states[part],
        visible_area=clip.visible_area[part],
        full_area=clip.full_area[part],
    )


def targets(frames: Image, grid: WindowGrid, number: int) -> Image:
    """The true frames (ahead, H, W, 3) of a window."""
    start = int(grid.starts[number])
    return frames[start + 1 : start + 1 + grid.ahead]


def squared_error(predicted: Image | Array, true: Image) -> float:
    """Mean squared error of frames (..., 3), predicted ones in 0..255; in units of white squared."""
    return float(np.mean((np.asarray(predicted, dtype=np.float64) - true) ** 2)) / WHITE_LEVEL**2


POSSIBLE = "truth"
OTHER_LOOK, BACK_AGAIN = "/other", "/back"  # after the name of a violation: B throughout, and B before A
RATE_SPAN = 20 / PHYSICS_HZ  # s ahead from which the rate of a clock is taken: it goes in whole steps of the simulation


@dataclass(frozen=True, eq=False)
class Film:
    """A film from the start of the clip's history to the end of its horizon, and its name."""

    source: str
    frames: Image  # (T, H, W, 3), at the times of the clip


def film_of(clip: Clip, source: str, context: int) -> Film:
    """Make a film of a clip.

    Args:
        clip: The clip, whose frames are the possible film.
        source: Name of the film, see above.
        context: Frames that a model is given before the hand-over; a near stranger is one of the futures that these
            allow.

    Raises Inapplicable: the violation has nothing to violate in this clip.
    """
    if source == POSSIBLE:
        return Film(source, clip.frames)
    if source.endswith((OTHER_LOOK, BACK_AGAIN)):
        world = with_other_look(clip, source)
        return Film(source, world.frames(clip.times, clip.spec))
    after = show(clip, context, source).frames
    return Film(source, np.concatenate([clip.frames[: clip.handover + 1], after]))


def with_other_look(clip: Clip, source: str) -> Violated:
    """The world in which a body has its second look throughout ("/other"), or up to the change alone ("/back")."""
    world = violate(clip.scene, find_acts(source.removesuffix(OTHER_LOOK).removesuffix(BACK_AGAIN)), clip.id)
    if not world.plan.appearances or world.plan.hooks or world.plan.clocks or world.plan.bends:
        raise Inapplicable("only a change of look has a second order")
    appearances = tuple(
        replace(each, since=-np.inf, until=np.inf if source.endswith(OTHER_LOOK) else each.since)
        for each in world.plan.appearances
    )
    return Violated(world.scene, world.acts, (replace(world.plan, appearances=appearances),), world.seed)


def film_states(clip: Clip, source: str) -> tuple[Array, float]:
    """States (T, N, 13) of a film at the times of the clip, and s of the last lawful one.

    Raises Inapplicable where the violation has nothing to violate in this clip.
    """
    if source == POSSIBLE:
        return clip.states, np.inf
    world = violate(clip.scene, find_acts(source), clip.id)
    onset = min(event.onset for event in world.events)
    states, late = clip.states.copy(), clip.times > onset + 1e-9
    if late.any():
        states[late] = _shown_states(world, clip.times[late])
    return states, onset


def _shown_states(world: Violated, times: Array) -> Array:
    """States (T, N, 13) as they are shown at times (T,) s, with the velocities and spins that this motion has.

    Where a clock runs wrong, those of the simulation belong to a faster or slower motion than the one that is shown.
    """
    states = world.states(times).copy()
    for index, body in enumerate(world.scene.bodies):
        # Clocks of all the world, then its own.
        clocks = [clock for owner in (None, body.name) for whose, clock in world.plan.clocks if whose == owner]
        if clocks:
            behind, now, half, then = (times + share * RATE_SPAN for share in (-1.0, 0.0, 0.5, 1.0))
            for clock in clocks:
                behind, now, half, then = (clock(each) for each in (behind, now, half, then))
            # Just before a clock turns round, what it does next is no rate of now.
            steady = np.abs((then - half) - (half - now)) < 1 / PHYSICS_HZ
            rate = np.where(steady, then - now, now - behind) / RATE_SPAN
            states[:, index, SPEED.start :] *= rate[:, None]
    return states


def first_difference(one: NDArray[Any], other: NDArray[Any]) -> int:
    """Index of the first moment at which two films (T, ...) differ; T where none does."""
    differ = np.flatnonzero((one != other).reshape(len(one), -1).any(axis=1))
    return int(differ[0]) if len(differ) else len(one)
