"""What shadowing found of one prediction, as small arrays: enough to draw its lawful segments and breaks later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.shadows import known_shadowing
from physbench.tracks.tracks import Tracks
from physbench.world.camera import PLANE_AXES, depth_axis, px_from_world

if TYPE_CHECKING:
    from physbench.scoring.shadowing import Break, Rung, Shadowing
    from physbench.scoring.shadowing.problem import Arc, Problem

Array = NDArray[np.float32]

AROUND = 0.4  # s before and behind a break in which the lawful way is kept
MOST_ONWARD = 3  # breaks of a tolerance whose lawful continuation is kept: the first ones


@dataclass(frozen=True, eq=False)
class Trace:
    """R tolerances, T frames of the model's window (context first), N moving bodies that are shadowed, B breaks."""

    rungs: Array  # (R,) diameters
    columns: NDArray[np.int16]  # (N,) the bodies among the tracked objects
    times: Array  # (T,) s
    due: NDArray[np.bool_]  # (T, N) what shares are of, at the largest tolerance
    weight: NDArray[np.float16]  # (R, T, N): 0 unexplained, 2^-k explained behind k breaks
    rung: NDArray[np.int16]  # (B,) tolerance at which a break was found
    body: NDArray[np.int16]  # (B,) 0..N - 1
    frame: NDArray[np.int16]  # (B,) first frame that belongs to what comes behind it
    time: Array  # (B,) s at which the motion before and that behind it part
    gross: NDArray[np.bool_]  # (B,)
    jump: Array  # (B,) diameters; NaN where nothing lawful follows
    kick: Array  # (B,) m/s; NaN likewise
    onward: Array  # (B, L, 2) px: the lawful way from AROUND s before a break to AROUND s behind it; NaN where not kept

    @property
    def explained(self) -> NDArray[np.float64]:
        """Weight over time, mean of the tolerances; NaN where a body is not due: (T, N)."""
        return np.where(self.due, self.weight.astype(np.float64).mean(axis=0), np.nan)


def trace(clip: Clip, tracks: Tracks) -> Trace | None:
    """The trace of tracks that a scorer has shadowed; None where none has, or shadowing does not apply or failed.

    None, too, where drawing the lawful ways fails: the scores are there, and one picture less must not end a run.
    """
    found = known_shadowing(clip, tracks)
    if found is None:
        return None
    try:
        return _trace(clip, tracks, found)
    except MemoryError:
        raise
    except Exception:
        return None


def _trace(clip: Clip, tracks: Tracks, found: Shadowing) -> Trace:
    index = found.problem.forward.index
    fps = 1 / float(tracks.times[1] - tracks.times[0])
    breaks = [(r, each) for r, rung in enumerate(found.rungs) for each in rung.breaks]
    onward = np.full((len(breaks), 2 * round(AROUND * fps) + 1, 2), np.nan, dtype=np.float32)
    kept = dict.fromkeys(range(len(found.rungs)), 0)
    for b, (r, each) in enumerate(breaks):
        if kept[r] < MOST_ONWARD:
            kept[r] += 1
            onward[b] = _onward(clip, found, found.rungs[r], each, onward.shape[1] // 2)

    return Trace(
        rungs=np.array([rung.tolerance for rung in found.rungs], dtype=np.float32),
        columns=np.array([clip.tracked.index(i) for i in index], dtype=np.int16),
        times=tracks.times.astype(np.float32),
        due=found.rungs[-1].due,
        weight=np.stack([rung.weight for rung in found.rungs]).astype(np.float16),
        rung=np.array([r for r, _ in breaks], dtype=np.int16),
        body=np.array([each.disc for _, each in breaks], dtype=np.int16),
        frame=np.array([each.frame for _, each in breaks], dtype=np.int16),
        time=np.array([each.time for _, each in breaks], dtype=np.float32),
        gross=np.array([each.gross for _, each in breaks], dtype=np.bool_),
        jump=_numbers([each.jump for _, each in breaks]),
        kick=_numbers([each.kick for _, each in breaks]),
        onward=onward,
    )


def _numbers(values: Sequence[float | None]) -> Array:
    """NaN for what is not known."""
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float32)
    return np.where(np.isfinite(numbers), numbers, np.float32(np.nan))


def _onward(clip: Clip, found: Shadowing, rung: Rung, at: Break, reach: int) -> Array:
    """The lawful way (2 reach + 1, 2) px around a break: the arc in front of it goes on; NaN where there is none."""
    problem, total = found.problem, len(found.problem.seen.times)
    way = np.full((2 * reach + 1, 2), np.nan, dtype=np.float32)
    first, end = max(at.frame - reach, 0), min(at.frame + reach, total - 1)
    before = [arc for arc in rung.chain.arcs if arc.disc == at.disc and arc.last == at.frame]
    if not before:
        return way
    others = [arc for arc in rung.chain.arcs if not (arc.disc == at.disc and arc.first >= at.frame)]
    arcs = [replace(arc, last=total) if arc is before[0] else arc for arc in others]
    frames = np.arange(max(first, before[0].first), end + 1)
    way[frames - at.frame + reach] = followed(clip, problem, arcs, frames, at.disc)
    return way


def followed(clip: Clip, problem: Problem, arcs: Sequence[Arc], frames: NDArray[np.intp], disc: int) -> Array:
    """Where the picture shows a body (F, 2) px in `frames` (F,), ascending, if all follow these arcs."""
    place = problem.simulate(list(arcs), int(frames[-1])).at(problem.seen.steps[frames])[0][0, :, disc]  # (F, 2) m
    camera = clip.scene.camera
    points = np.zeros((len(frames), 3))
    points[:, list(PLANE_AXES[camera.view])] = place
    points[:, depth_axis(camera)] = problem.forward.depth[disc]
    return np.asarray(px_from_world(camera, clip.spec, points), dtype=np.float32)
