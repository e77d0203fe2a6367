"""The trace: what shadowing found in one prediction, as small arrays that draw its lawful segments and breaks later."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.support.errors import UsageError
from physbench.support.files import NOT_ARRAYS, read_sealed_npz, write_sealed_npz
from physbench.track.tracks import Tracks
from physbench.world.camera import PLANE_AXES, depth_axis, px_from_world
from physbench.world.scene import PHYSICS_HZ

if TYPE_CHECKING:
    from physbench.shadowing import Break, Shadowing, ToleranceLevel

Array = NDArray[np.float32]

KEPT_WINDOW = 0.4  # s before and after the moment of a break in which the lawful path is kept
MAX_KEPT = 8  # breaks of a clip whose lawful path is kept


@dataclass(frozen=True, eq=False)
class Trace:
    """R tolerance levels, T frames of the model's window (context first), N shadowed moving bodies, B breaks.

    Fields have the names under which they are stored: `rungs` are tolerances, `rung` is the index of one.
    """

    rungs: Array  # (R,) diameters
    columns: NDArray[np.int16]  # (N,) the bodies among the tracked objects
    times: Array  # (T,) s
    due: NDArray[np.bool_]  # (T, N) frames that count, at the largest tolerance
    weight: NDArray[np.float16]  # (R, T, N): 0 unexplained, 2^-k explained after k breaks
    rung: NDArray[np.int16]  # (B,) index of the tolerance at which a break was found
    body: NDArray[np.int16]  # (B,) 0..N - 1
    frame: NDArray[np.int16]  # (B,) first frame that the motion before it misses
    time: Array  # (B,) s at which the motions before and after it part
    gross: NDArray[np.bool_]  # (B,)
    jump: Array  # (B,) diameters; NaN where nothing lawful follows
    kick: Array  # (B,) m/s; NaN likewise
    lawful: Array  # (B, L, 2) px: the lawful path within KEPT_WINDOW s of the moment of a break; NaN: none

    @property
    def explained(self) -> NDArray[np.float64]:
        """Weight over time (T, N), mean over the tolerances; NaN where a frame does not count."""
        return np.where(self.due, self.weight.astype(np.float64).mean(axis=0), np.nan)

    def begins(self, b: int) -> bool:
        """True if nothing comes before a break: the motion starts unlawfully."""
        return bool(self.time[b] == 0 and self.jump[b] == 0)

    def moment(self, b: int) -> int:
        """Frame at which a break is drawn: that of its time; of an unlawful start the first frame."""
        return int(self.frame[b]) if self.begins(b) else int(np.argmin(np.abs(self.times - self.time[b])))

    def distinct(self) -> list[int]:
        """Each break once, at the largest tolerance at which it occurs: by falling tolerance, then by time.

        A break within KEPT_WINDOW s of another one of the same body at a larger tolerance is the same break.
        """
        chosen: list[int] = []
        for b in sorted(range(len(self.rung)), key=lambda b: (-int(self.rung[b]), float(self.time[b]))):
            same = (c for c in chosen if self.body[c] == self.body[b] and self.rung[c] > self.rung[b])
            if not any(abs(float(self.time[c]) - float(self.time[b])) <= KEPT_WINDOW for c in same):
                chosen.append(b)
        return chosen


def trace(clip: Clip, tracks: Tracks, shadowed: Shadowing | None) -> Trace | None:
    """The trace of what shadowing found in tracks; None where there is nothing."""
    if shadowed is None:
        return None
    index = shadowed.problem.law.index
    reach = round(KEPT_WINDOW / float(tracks.times[1] - tracks.times[0]))
    breaks = [(r, each) for r, level in enumerate(shadowed.levels) for each in level.breaks]
    result = Trace(
        rungs=np.array([level.tolerance for level in shadowed.levels], dtype=np.float32),
        columns=np.array([clip.tracked.index(i) for i in index], dtype=np.int16),
        times=tracks.times.astype(np.float32),
        due=shadowed.levels[-1].counted,
        weight=np.stack([level.weight for level in shadowed.levels]).astype(np.float16),
        rung=np.array([r for r, _ in breaks], dtype=np.int16),
        body=np.array([each.body for _, each in breaks], dtype=np.int16),
        frame=np.array([each.frame for _, each in breaks], dtype=np.int16),
        time=np.array([each.time for _, each in breaks], dtype=np.float32),
        gross=np.array([each.gross for _, each in breaks], dtype=np.bool_),
        jump=_numbers([each.position_jump for _, each in breaks]),
        kick=_numbers([each.velocity_jump for _, each in breaks]),
        lawful=np.full((len(breaks), 2 * reach + 1, 2), np.nan, dtype=np.float32),
    )
    for b in result.distinct()[:MAX_KEPT]:
        r, each = breaks[b]
        # The scores are already known: a path that fails must not end a run.
        with suppress(ArithmeticError, LookupError, RuntimeError, ValueError):
            result.lawful[b] = lawful_path(clip, shadowed, shadowed.levels[r], each, reach, result.moment(b))
    return result


def _numbers(values: Sequence[float | None]) -> Array:
    """Values with NaN for what is unknown."""
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float32)
    return np.where(np.isfinite(numbers), numbers, np.float32(np.nan))


def lawful_path(clip: Clip, shadowed: Shadowing, level: ToleranceLevel, at: Break, reach: int, middle: int) -> Array:
    """The lawful path (2 reach + 1, 2) px around frame `middle` at a break; NaN where there is none.

    It continues the arc before the break. Where there is none, as at a velocity that the task does not declare, it is
    the arc that begins at the break.
    """
    problem, total = shadowed.problem, len(shadowed.problem.seen.times)
    path = np.full((2 * reach + 1, 2), np.nan, dtype=np.float32)
    own = [arc for arc in level.segments.arcs if arc.body == at.body]
    leads, follows = ([arc for arc in own if getattr(arc, end) == at.frame] for end in ("last", "first"))
    if not (leads or follows):
        return path
    arc = (leads or follows)[0]
    before = [each for each in level.segments.arcs if each.body != at.body or each.first < arc.first or each is arc]
    arcs = [replace(each, last=total) if each is arc else each for each in before]
    frames = np.arange(max(middle - reach, arc.first, 0), min(middle + reach, total - 1) + 1)
    if not len(frames):
        return path
    steps = np.round(problem.seen.times[frames] * PHYSICS_HZ)
    position = problem.simulate(arcs, int(frames[-1])).at(steps)[0][0, :, at.body]  # (F, 2) m
    camera = clip.scene.camera
    points = np.zeros((len(frames), 3))
    points[:, list(PLANE_AXES[camera.view])] = position
    points[:, depth_axis(camera)] = problem.law.depth[at.body]
    path[frames - middle + reach] = px_from_world(camera, clip.spec, points)
    return path


def save_trace(path: Path, trace: Trace) -> None:
    """Write what shadowing found as .npz without pickle."""
    write_sealed_npz(path, vars(trace))


def load_trace(path: Path) -> Trace | None:
    """Read what `save_trace` wrote; None where there is none. Raises UsageError where it is damaged."""
    try:
        return Trace(**read_sealed_npz(path))
    except FileNotFoundError:
        return None
    except NOT_ARRAYS as error:
        raise UsageError(f"{path}: cannot be read ({error}). Resume the run to make it again.") from error
