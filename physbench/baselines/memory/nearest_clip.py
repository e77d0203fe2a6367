"""Which clip of the memory is most like a context: a distance in metres, over all clips at once.

Two clips with the same number of objects are compared object by object. The distance of two objects is made of their
differences in place, in velocity times COMPARED_VELOCITY_TIME, in acceleration times ACCELERATION_TIME^2, in radius,
and in the pushes to come; the distance of two pictures is that of their greys. Objects are paired so that the sum of
the squares is least. Hues are drawn at random and tell nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from physbench.baselines.memory.recorded_motion import KICK_NUMBERS, MOTION_HZ, PAST_SAMPLES, RecordedMotion
from physbench.errors import ModelError

Array = NDArray[np.float64]

CURVED_FROM = 5  # frames that show an acceleration
SEEN_IN_MOTION = 0.4  # s before the hand-over for which every task shows motion
COMPARED_VELOCITY_TIME = 2.0  # s; this and the next three by leaving out one of 1,500 clips: the optimum is flat
ACCELERATION_TIME = 0.5  # s
GREY_DISTANCE = 10.0  # m for a picture that is black instead of white
RADIUS_WEIGHT = 1.0
OBJECT_NUMBERS = 7 + KICK_NUMBERS  # of an object


@dataclass(frozen=True, eq=False)
class Recalled:
    """A clip of the memory, and which of its objects each object of the context is."""

    motion: RecordedMotion
    order: tuple[int, ...]  # (K,)
    distance: float  # m, see above


def motion_at_handover(times: Array, position: Array) -> Array:
    """Place, velocity and acceleration at time 0 of objects, from a parabola through their last positions.

    Args:
        times: (C,) s, the last one 0.
        position: (C, K, 2) m, NaN where unknown.

    Returns:
        (K, 6): m, m/s and m/s2; NaN where an object was never seen. What fewer frames do not show is 0: one shows no
        velocity, fewer than CURVED_FROM no acceleration.
    """
    found = np.full((position.shape[1], 6), np.nan)
    for own, track in zip(found, np.moveaxis(position, 1, 0), strict=True):
        known = np.flatnonzero(np.isfinite(track[:, 0]))
        recent = known[times[known] >= -SEEN_IN_MOTION - 1e-9]
        used = recent if len(recent) else known[-1:]
        if not len(used):
            continue
        terms = 3 if len(used) >= CURVED_FROM else min(len(used), 2)
        powers = times[used, None] ** np.arange(terms)
        own[:] = 0.0
        own[: 2 * terms] = np.linalg.lstsq(powers, track[used], rcond=None)[0].ravel()
        own[4:] *= 2.0
    return found


def object_numbers(motion: Array, radius: Array, kicks: Array) -> Array:
    """What is compared of objects, in m (..., OBJECT_NUMBERS).

    motion: (..., 6) as `motion_at_handover` has it; radius: (...) m; kicks: (..., KICK_NUMBERS).
    """
    place, velocity, acceleration = motion[..., :2], motion[..., 2:4], motion[..., 4:]
    half = KICK_NUMBERS // 2
    return np.concatenate(
        [
            place,
            velocity * COMPARED_VELOCITY_TIME,
            acceleration * ACCELERATION_TIME**2,
            radius[..., None] * RADIUS_WEIGHT,
            kicks[..., :half] * COMPARED_VELOCITY_TIME,
            kicks[..., half:],
        ],
        axis=-1,
    )


class ClipIndex:
    """The clips of the memory as a context of some frames would show them, grouped by their number of objects.

    Args:
        motions: The clips.
        times: (C,) s of the frames of a context, the last one 0.
    """

    def __init__(self, motions: Iterable[RecordedMotion], times: Array) -> None:
        groups: dict[int, list[RecordedMotion]] = {}
        for motion in motions:
            groups.setdefault(len(motion.radius), []).append(motion)
        self.times = times
        self.groups = {count: (own, *self._numbers(own)) for count, own in groups.items() if count}

    def _numbers(self, motions: Sequence[RecordedMotion]) -> tuple[Array, Array]:
        """Objects (N, K, OBJECT_NUMBERS) and greys (N, G) in m."""
        seen = np.stack([past_at(motion, self.times) for motion in motions])  # (N, C, K, 2)
        clips, frames, objects, _ = seen.shape
        flat = np.moveaxis(seen, 1, 0).reshape(frames, clips * objects, 2)
        moving = motion_at_handover(self.times, flat).reshape(clips, objects, 6)
        radius, kicks = (np.stack([getattr(motion, name) for motion in motions]) for name in ("radius", "kicks"))
        return object_numbers(moving, radius, kicks), grey_numbers(np.stack([motion.greys for motion in motions]))

    def nearest(self, objects: Array, greys: Array) -> Recalled:
        """The clip that is most like a context.

        Args:
            objects: (K, OBJECT_NUMBERS) of its objects, see `object_numbers`.
            greys: (GREY_SIDE, GREY_SIDE) of 255.

        Raises:
            ModelError: No clip of the memory has as many objects.
        """
        if len(objects) not in self.groups:
            known = ", ".join(str(count) for count in sorted(self.groups))
            raise ModelError(
                f"baseline:memory: this picture shows {len(objects)} coloured objects, and its clips, which are those "
                f"of the tasks that come with physbench, have {known}. It cannot answer for other tasks."
            )
        motions, own, own_greys = self.groups[len(objects)]
        square, order = paired_squares(own, objects)
        square = square + ((own_greys - grey_numbers(greys[None])) ** 2).sum(-1)
        best = int(square.argmin())
        return Recalled(motions[best], order[best], float(np.sqrt(square[best])))


def paired_squares(clips: Array, objects: Array) -> tuple[Array, list[tuple[int, ...]]]:
    """Least sum of squared differences over all pairings of objects (K, OBJECT_NUMBERS) with those of N clips.

    Returns:
        The sums (N,) in m2, and of each clip the index of its object for each of `objects`.
    """
    count = len(objects)
    cost = ((objects[None, :, None] - clips[:, None]) ** 2).sum(-1)  # (N, K of the context, K of the clip)
    orders = list(permutations(range(count)))
    sums = np.stack([cost[:, range(count), order].sum(-1) for order in orders], axis=-1)  # (N, K!)
    return sums.min(-1), [orders[index] for index in sums.argmin(-1)]


def grey_numbers(greys: NDArray[np.generic]) -> Array:
    """Greys (N, GREY_SIDE, GREY_SIDE) of 255 -> (N, G) in m, so that a picture's distance does not depend on G."""
    flat = greys.reshape(len(greys), -1).astype(np.float64) / 255
    scaled: Array = flat * (GREY_DISTANCE / np.sqrt(flat.shape[1]))
    return scaled


def past_at(motion: RecordedMotion, times: Array) -> Array:
    """Positions (C, K, 2) m of a clip of the memory at times (C,) s up to 0."""
    return np.moveaxis(_sampled(motion.past, times * MOTION_HZ + PAST_SAMPLES - 1), 1, 0)


def displaced(ways: Array, times: Array) -> Array:
    """Displacements (K, T, 2) m after the hand-over at other times (t,) s > 0 -> (K, t, 2).

    After the end of what is stored it goes on in a straight line.
    """
    from_0 = np.concatenate([np.zeros_like(ways[:, :1]), ways], axis=1)
    return _sampled(from_0, times * MOTION_HZ)


def _sampled(ways: Array, place: Array) -> Array:
    """Values (K, S, 2) at fractional samples (t,), linear between two and beyond the last two -> (K, t, 2)."""
    place = np.round(place, 6)
    low = np.clip(np.floor(place).astype(int), 0, ways.shape[1] - 2)
    share = (place - low)[None, :, None]
    result: Array = (1 - share) * ways[:, low] + share * ways[:, low + 1]
    return result
