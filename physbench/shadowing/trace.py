"""What shadowing found of one prediction, as small arrays: enough to draw its lawful segments and breaks later."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.storage.atomic_write import atomic_path
from physbench.tracks.tracks import Tracks
from physbench.tracks.tracks_file import DAMAGED
from physbench.world.camera import PLANE_AXES, depth_axis, px_from_world

if TYPE_CHECKING:
    from physbench.shadowing import Break, Shadowing, ToleranceLevel

Array = NDArray[np.float32]

AROUND = 0.4  # s before and behind the moment of a break in which the lawful way is kept
MOST_KEPT = 8  # breaks of a clip whose lawful way is kept


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
    lawful: Array  # (B, L, 2) px: the lawful way within AROUND s of the moment of a break; NaN where there is none

    @property
    def explained(self) -> NDArray[np.float64]:
        """Weight over time, mean of the tolerances; NaN where a body is not due: (T, N)."""
        return np.where(self.due, self.weight.astype(np.float64).mean(axis=0), np.nan)

    def begins(self, b: int) -> bool:
        """Whether nothing comes before a break: what is unlawful is how the motion starts."""
        return bool(self.time[b] == 0 and self.jump[b] == 0)

    def moment(self, b: int) -> int:
        """Frame at which a break is drawn: that of its time, where the motions part; of a beginning its first one."""
        return int(self.frame[b]) if self.begins(b) else int(np.argmin(np.abs(self.times - self.time[b])))

    def distinct(self) -> list[int]:
        """Each break once, at the largest tolerance at which it is one: those of larger tolerances first, then in time.

        One within AROUND of another of the same body at a larger tolerance is the same, and in the picture of that.
        """
        chosen: list[int] = []
        for b in sorted(range(len(self.rung)), key=lambda b: (-int(self.rung[b]), float(self.time[b]))):
            same = (c for c in chosen if self.body[c] == self.body[b] and self.rung[c] > self.rung[b])
            if not any(abs(float(self.time[c]) - float(self.time[b])) <= AROUND for c in same):
                chosen.append(b)
        return chosen


def trace(clip: Clip, tracks: Tracks, found: Shadowing | None) -> Trace | None:
    """The trace of what shadowing found of tracks; None where it found nothing."""
    if found is None:
        return None
    index = found.problem.forward.index
    reach = round(AROUND / float(tracks.times[1] - tracks.times[0]))
    breaks = [(r, each) for r, rung in enumerate(found.rungs) for each in rung.breaks]
    made = Trace(
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
        lawful=np.full((len(breaks), 2 * reach + 1, 2), np.nan, dtype=np.float32),
    )
    for b in made.distinct()[:MOST_KEPT]:
        r, each = breaks[b]
        # The scores are there, and one way less must not end a run.
        with suppress(ArithmeticError, LookupError, RuntimeError, ValueError):
            made.lawful[b] = lawful_way(clip, found, found.rungs[r], each, reach, made.moment(b))
    return made


def _numbers(values: Sequence[float | None]) -> Array:
    """NaN for what is not known."""
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float32)
    return np.where(np.isfinite(numbers), numbers, np.float32(np.nan))


def lawful_way(clip: Clip, found: Shadowing, rung: ToleranceLevel, at: Break, reach: int, middle: int) -> Array:
    """The lawful way (2 reach + 1, 2) px around frame `middle` at a break; NaN where there is none.

    The arc in front of the break goes on. Where none leads to it, as at a speed that the task does not declare, it is
    the arc that begins there.
    """
    problem, total = found.problem, len(found.problem.seen.times)
    way = np.full((2 * reach + 1, 2), np.nan, dtype=np.float32)
    own = [arc for arc in rung.chain.arcs if arc.disc == at.disc]
    leads, follows = ([arc for arc in own if getattr(arc, end) == at.frame] for end in ("last", "first"))
    if not (leads or follows):
        return way
    arc = (leads or follows)[0]
    before = [each for each in rung.chain.arcs if each.disc != at.disc or each.first < arc.first or each is arc]
    arcs = [replace(each, last=total) if each is arc else each for each in before]
    frames = np.arange(max(middle - reach, arc.first, 0), min(middle + reach, total - 1) + 1)
    if not len(frames):
        return way
    place = problem.simulate(arcs, int(frames[-1])).at(problem.seen.steps[frames])[0][0, :, at.disc]  # (F, 2) m
    camera = clip.scene.camera
    points = np.zeros((len(frames), 3))
    points[:, list(PLANE_AXES[camera.view])] = place
    points[:, depth_axis(camera)] = problem.forward.depth[at.disc]
    way[frames - middle + reach] = px_from_world(camera, clip.spec, points)
    return way


def save_trace(path: Path, found: Trace) -> None:
    """Write what shadowing found as .npz without pickle."""
    with atomic_path(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **vars(found))


def load_trace(path: Path) -> Trace | None:
    """Read what `save_trace` wrote; None where there is none that can be read: a report then does without it."""
    try:
        with np.load(path, allow_pickle=False) as data:
            fields: dict[str, Any] = {name: data[name] for name in data.files}
        return Trace(**fields)
    except DAMAGED:
        return None
