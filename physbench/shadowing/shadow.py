"""Shadowing of tracks or of states: the entry points of this package, and the trace that is kept of what they found.

A trace holds small arrays, which draw the lawful segments and the breaks of one prediction later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.laws.scene_law import SceneLaw, scene_law
from physbench.laws.support_check import Unsupported
from physbench.shadowing import levels
from physbench.shadowing.context import velocity_prior
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.levels import HIDDEN_TOLERANCE, TOLERANCES, ToleranceLevel
from physbench.shadowing.nuisances import FreeConstants, best_constants, without_common_pan, without_common_shift
from physbench.shadowing.observed_motion import (
    CONTEXT_TIME,
    PlacedBodies,
    from_states,
    from_tracks,
    offset,
    with_history,
)
from physbench.shadowing.search import briefly_visible, required_visibility
from physbench.support.arrays import Array, Mask
from physbench.support.errors import UsageError
from physbench.support.files import NOT_ARRAYS, read_sealed_npz, write_sealed_npz
from physbench.track.tracks import Tracks
from physbench.world.camera import PLANE_AXES, depth_axis, px_from_world
from physbench.world.scene import PHYSICS_HZ

if TYPE_CHECKING:
    from physbench.shadowing.search import Break

# Tracks whose frames show what is so at another time than theirs, put where they belong.


HALF = 0.499  # frames by which a frame may lie beside the time for which it stands


def retimed(tracks: Tracks, shown: Array) -> tuple[Tracks, Mask, Array]:
    """Tracks with predicted frames at the times that they show.

    Args:
        tracks: Of a prediction with T frames after its context.
        shown: (T,) what each predicted frame shows, in frames after the hand-over, ascending; NaN where it shows
            nothing new.

    Returns:
        The tracks; which frames (C + T,) are missing, since no frame shows that time; and by how many frames each
        (C + T,) lies after its time.
    """
    count, context = len(shown), tracks.context
    source, missing, late = np.arange(context + count), np.zeros(context + count, bool), np.zeros(context + count)
    for j in range(count):
        away = np.abs(shown - (j + 1))
        away = np.where(np.isfinite(away), away, np.inf)
        best = int(away.argmin())
        if away[best] <= 0.5:
            source[context + j] = context + best
            late[context + j] = np.clip(shown[best] - (j + 1), -HALF, HALF)
        else:
            source[context + j], missing[context + j] = source[context + j - 1], True
    taken = {
        name: value[source]
        for name, value in vars(tracks).items()
        if name not in ("names", "times", "context", "scenery") and value is not None
    }
    shifted = replace(tracks, **taken)
    shifted.position[missing], shifted.position_sd[missing] = np.nan, np.nan  # states stay: nobody is asked for them
    return shifted, missing, late


def at_their_times(seen: PlacedBodies, missing: Mask, late: Array) -> PlacedBodies:
    """Bodies placed by `retimed` tracks: missing frames are asked of nobody, the others stand where they belong."""
    after = late * float(np.median(np.diff(seen.times)))  # s
    gone = missing[:, None]
    return replace(
        seen,
        times=seen.times + after,
        steps=seen.steps + np.round(after * PHYSICS_HZ),  # the first place may be one of before the context
        expected_visible=seen.expected_visible & ~gone,
        present=seen.present & ~gone,
    )


@dataclass(frozen=True, eq=False)
class Shadowing:
    """Result of shadowing one prediction. Shares are 0..1 of counted object-time, means over tolerance levels."""

    problem: Hypothesis  #: the N bodies as judged in T frames (`problem.seen`) and the law
    levels: tuple[ToleranceLevel, ...]  #: by rising tolerance, those of TOLERANCES
    factor: float  #: on gravity or the strength of fields; 1 unless it was free
    parameters: Mapping[str, float] = field(default_factory=dict)  #: of the task, that were free; only changed values
    offset: float = float("nan")  #: diameters by which fixed bodies are shifted; NaN where none is tracked

    @property
    def explained(self) -> float:
        """Explained share E."""
        return float(np.mean([level.explained for level in self.levels]))

    @property
    def shadowed(self) -> float:
        """Shadowing time S as a share of the counted time."""
        return float(np.mean([level.shadowed for level in self.levels]))

    @property
    def quality(self) -> float:
        """Mean of E and S, of time and tolerances as they weigh (`levels.quality`)."""
        return levels.quality(self.levels)

    @property
    def explained_after_handover(self) -> float:
        """E where a break within HANDOVER_WINDOW s of the hand-over is forgiven."""
        return float(np.mean([level.explained_after_handover for level in self.levels]))

    @property
    def handover_discontinuity(self) -> tuple[float, float]:
        """Largest jumps within HANDOVER_WINDOW s of the hand-over in diameters and m/s, at the smallest tolerance.

        0 without such a break, NaN where no lawful motion follows any of them.
        """
        bodies = range(len(self.problem.seen.diameter))
        handover_breaks = [
            b for b in (levels.handover_break(self.levels[0].segments, n) for n in bodies) if b is not None
        ]
        lasting = [b for b in handover_breaks if np.isfinite(b.position_jump)]
        if handover_breaks and not lasting:
            return float("nan"), float("nan")
        return max((b.position_jump for b in lasting), default=0.0), max(
            (b.velocity_jump for b in lasting), default=0.0
        )

    @property
    def truncated(self) -> bool:
        """True if the limit of work ended the search at some tolerance level, so that part of it is unexplained."""
        return any(level.segments.truncated for level in self.levels)

    @property
    def jitter(self) -> float:
        """Rms in diameters of the distance that changes from frame to frame; NaN where little is explained."""
        level = next((each for each in reversed(self.levels) if each.tolerance <= HIDDEN_TOLERANCE), self.levels[-1])
        return levels.jitter(level.segments, self.problem.seen)

    @cached_property
    def strength(self) -> float:
        """The smallest tolerance in diameters without a break; costs a few more searches where there are breaks."""
        return levels.strength(self.problem, self.levels)


def shadow(
    clip: Clip,
    tracks: Tracks,
    *,
    free: bool = False,
    tolerances: tuple[float, ...] = TOLERANCES,
    shown: Array | None = None,
) -> Shadowing | None:
    """Shadow the tracks of a prediction.

    Args:
        tracks: What was tracked in the predicted frames, context included.
        free: Whether constants that the context does not show may differ from the scene's own, see `nuisances`.
        tolerances: In diameters, ascending.
        shown: (T,) what the predicted frames show, in frames after the hand-over, as `retimed` takes it; None: each
            what is so at its time. Times that no frame shows do not count.

    Returns what was found; None where `why_not` gives a reason.
    """
    law = scene_law_of(clip)
    if law is None:
        return None
    if shown is None:
        seen = place_bodies(clip, tracks, law)
    else:
        tracks, missing, late = retimed(tracks, shown)
        seen = at_their_times(place_bodies(clip, tracks, law), missing, late)
    constants, shift = FreeConstants(law), float(np.linalg.norm(offset(clip, tracks)))
    if free:
        constants = best_constants(clip, tracks.context, law, seen)

    def read(placed: PlacedBodies) -> Shadowing:
        problem = Hypothesis(constants.law, placed, None if constants.factor == 1.0 else constants.factor)
        return Shadowing(*levels.judge(problem, tolerances), constants.factor, constants.parameters, shift)

    shadowing = read(seen)
    if not shadowing.levels[0].breaks:
        return shadowing
    # What a picture may share is less than the largest tolerance, and all that there is at that.
    pictures = [(seen, shadowing)]
    panned = without_common_pan(clip, shadowing.problem.with_bodies(seen), shadowing.levels[0].segments.arcs)
    if panned is not None:
        pictures.append((panned, read(panned)))
    readings = [shadowing]
    for placed, each in pictures:
        if not each.levels[-1].breaks:
            steady = without_common_shift(clip, placed, each.levels[-1].segments.position)
            readings += [each] if steady is None else [each, read(steady)]
    return max(readings, key=lambda each: each.quality)


def shadow_states(clip: Clip, times: Array, states: Array, *, own_motion: bool = True) -> Shadowing | None:
    """Shadow predicted states, without a camera.

    Args:
        times: (T,) s, ascending and evenly spaced. Frames up to 0 s are context.
        states: (T, N, 13) of all bodies, in m and m/s.
        own_motion: Whether the search may begin with that of the scene, where its law offers it.

    Returns what was found; None where `why_not` gives a reason.
    """
    law = scene_law_of(clip)
    if law is None:
        return None
    seen = with_history(clip, from_states(clip, times, states, law), law)
    if not seen.tells_velocity.all():
        seen = replace(seen, velocity_prior=velocity_prior(clip, law.index))
    return Shadowing(*levels.judge(Hypothesis(law, seen, own_motion=own_motion), TOLERANCES), 1.0)


def place_bodies(clip: Clip, tracks: Tracks, law: SceneLaw) -> PlacedBodies:
    """Place bodies by tracks, with what the task declares about velocities that the context does not show."""
    seen = with_history(clip, from_tracks(clip, tracks, law), law)
    if seen.tells_velocity.all():
        return seen
    seen = replace(
        seen, too_brief=briefly_visible(clip, tracks.context, law), velocity_prior=velocity_prior(clip, law.index)
    )
    seen = replace(seen, expected_visible=seen.expected_visible & seen.judged)
    return replace(seen, min_visible=required_visibility(clip, Hypothesis(law, seen)))


def why_not(clip: Clip) -> str | None:
    """Reason that a clip cannot be shadowed, in words for reports; None where it can."""
    try:
        _law_of(clip)
    except Unsupported as error:
        return str(error)
    return None


def scene_law_of(clip: Clip) -> SceneLaw | None:
    """The law of a clip's scene from its last context frames on; None where `why_not` gives a reason."""
    try:
        return _law_of(clip)
    except Unsupported:
        return None


def _law_of(clip: Clip) -> SceneLaw:
    moving = [body for body in clip.scene.bodies if body.role == "moving"]
    for body in moving:
        if body.hue is None:
            raise Unsupported(f"{body.name} has no hue by which it could be followed")
    released = [body.release for body in moving if body.release is not None]
    return scene_law(clip.scene, max([-CONTEXT_TIME, *released]))


Floats = NDArray[np.float32]

KEPT_WINDOW = 0.4  # s before and after the moment of a break in which the lawful path is kept
MAX_KEPT = 8  # breaks of a clip whose lawful path is kept


@dataclass(frozen=True, eq=False)
class Trace:
    """R tolerance levels, T frames of the model's window (context first), N shadowed moving bodies, B breaks.

    Fields have the names under which they are stored: `rungs` are tolerances, `rung` is the index of one.
    """

    rungs: Floats  # (R,) diameters
    columns: NDArray[np.int16]  # (N,) the bodies among the tracked objects
    times: Floats  # (T,) s
    due: NDArray[np.bool_]  # (T, N) frames that count, at the largest tolerance
    weight: NDArray[np.float16]  # (R, T, N): 0 unexplained, 2^-k explained after k breaks
    rung: NDArray[np.int16]  # (B,) index of the tolerance at which a break was found
    body: NDArray[np.int16]  # (B,) 0..N - 1
    frame: NDArray[np.int16]  # (B,) first frame that the motion before it misses
    time: Floats  # (B,) s at which the motions before and after it part
    gross: NDArray[np.bool_]  # (B,)
    jump: Floats  # (B,) diameters; NaN where nothing lawful follows
    kick: Floats  # (B,) m/s; NaN likewise
    lawful: Floats  # (B, L, 2) px: the lawful path within KEPT_WINDOW s of the moment of a break; NaN: none

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


def _numbers(values: Sequence[float | None]) -> Floats:
    """Values with NaN for what is unknown."""
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float32)
    return np.where(np.isfinite(numbers), numbers, np.float32(np.nan))


def lawful_path(clip: Clip, shadowed: Shadowing, level: ToleranceLevel, at: Break, reach: int, middle: int) -> Floats:
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
