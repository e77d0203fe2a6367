"""When each object should be visible, from ground truth or the prediction's own lawful extrapolation.

An object is expected to be visible where ground truth shows it, and where its own lawful segment, continued, shows it.
It is not expected where that continuation is hidden or outside the view, in a segment with no break before it: a lawful
future that is not the recorded one may take a body behind a screen or out of the image. A continuation counts as
outside only if the track went there. An object that is detected all the same is expected.

Behind one image ground truth may show an object too briefly for its motion to be judged. A prediction that shows it for
longer is judged here all the same, so that a ball that lawfully rolls the other way is expected where it rolls. Ground
truth decides only where the prediction shows too little for any lawful motion, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.shadowing.hypothesis import Arc, Hypothesis
from physbench.shadowing.lawful_segments import LawfulSegments, SegmentSearch
from physbench.shadowing.segment_init import MIN_SEGMENT_POINTS, is_long_enough
from physbench.shadowing.shadow import Shadowing
from physbench.shadowing.sight_model import SHARE_MARGIN
from physbench.shadowing.tolerance_levels import TOLERANCES, at_levels
from physbench.tracks.finite_differences import runs
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import (
    MAX_GAP,
    MIN_DETECTED_SHARE,
    POSITION_SHARE,
    VISIBLE_SHARE,
    detected,
    has_position,
    in_frame,
    inside_view,
    truth_framed,
    whole_area,
)
from physbench.world.camera import px_from_plane
from physbench.world.scene import PHYSICS_HZ

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# The tolerance level that decides what is lawful: the middle one. At 0.2 diameters a short context constrains the
# velocity so little that balls which come to rest in front of a screen have no break. At 0.03 every violation reads as
# at 0.08, since the continuation is fitted to all that was shown, but the noise of many models is a break.
LAWFUL_LEVEL = 1
EXIT_TIME = 0.2  # s, a frame at least, before its continuation leaves the view; an object that left is seen in it


@dataclass(frozen=True, eq=False)
class ImageTrajectory:
    """How one object should be seen in the T frames of the window."""

    position: Array  #: (T, 2) px of its centre; NaN where it is not known
    share: Array  #: (T,) of it that is visible; 0 where it is not known
    inside: Mask  #: (T,) where its centre is in the image


@dataclass(frozen=True)
class LawfulSegment:
    """A lawful part of the motion of one object between its breaks, in frames of the window."""

    first: int  #: where it begins
    until: int  #: where its break is dated, as the motion after it explains more from there on; T without a break
    first_miss: int  #: first frame that it does not explain, not before `until`; T where there is none
    unbroken: bool  #: no break comes before it


@dataclass(frozen=True, eq=False)
class LawfulContinuation:
    """The lawful segments of one object in a prediction, and how it goes on from each."""

    clip: Clip  #: ground truth
    shadowing: Shadowing  #: of the tracks
    disc: int  #: of the forward model
    trajectory: ImageTrajectory  #: on all lawful segments, where they are

    @property
    def broken(self) -> bool:
        """Whether its motion has a break."""
        return any(each.disc == self.disc for each in self._chain.breaks)

    @property
    def until(self) -> int:
        """The frame (0..T) at which the segment before the first break ends; 0 where that segment is not known."""
        return next((each.until for each in self.segments if each.unbroken), 0)

    @cached_property
    def segments(self) -> tuple[LawfulSegment, ...]:
        """The segments of which enough is seen to continue them, in the order of time."""
        times = self.shadowing.problem.seen.times
        breaks = sorted((each for each in self._chain.breaks if each.disc == self.disc), key=lambda b: b.frame)
        dated = [min(each.frame, int(np.searchsorted(times, each.time - 1e-9))) for each in breaks]
        missed = [each.frame for each in breaks]
        found = []
        for k, (begin, until, miss) in enumerate(
            zip([0, *missed], [*dated, len(times)], [*missed, len(times)], strict=True)
        ):
            firsts = [arc.first for arc in self._chain.arcs if arc.disc == self.disc and begin <= arc.first < miss]
            if firsts:
                found.append(LawfulSegment(min(firsts), until, miss, k == 0))
        return tuple(each for each in found if self._known(each))

    def _known(self, segment: LawfulSegment) -> bool:
        """Whether enough is seen of a segment; of the first, also that it begins and is seen in the prediction."""
        seen = self.shadowing.problem.seen
        from_start = segment.first <= np.searchsorted(seen.times, 1e-9)
        shown = from_start and seen.present[segment.first : segment.until, self.disc].any()
        return bool(self.enough_known(segment.first, segment.until) and (shown or not segment.unbroken))

    def enough_known(self, first: int, until: int) -> bool:
        """Whether enough positions are known between two frames to continue the motion."""
        seen = self.shadowing.problem.seen
        return is_long_enough(seen.times[first:until][seen.known[first:until, self.disc]])

    def continued(self, frame: int) -> ImageTrajectory:
        """How the object is seen if its lawful motion before a frame of a segment continues.

        Later frames are left out: the best fit would bend towards where the object wrongly is. The earlier motion of
        other objects is included: it may have met them.
        """
        problem = self.shadowing.problem
        arcs = [replace(arc, last=min(arc.last, frame)) for arc in self._chain.arcs if arc.first < frame]
        if frame < len(problem.seen.times):
            before = Hypothesis(problem.forward, problem.seen.until(frame))
            found = SegmentSearch(before, self._chain.tolerance, only_first=True, arcs=arcs).run()
            arcs = arcs if found.breaks else found.arcs
        return self._with_arcs(arcs, frame)

    def continued_from_handover(self, frame: int) -> ImageTrajectory | None:
        """As `continued`, without the context; None where too little is shown from the hand-over to that frame.

        A body that is slower than in the context may stay within the tolerance of one motion, and yet return late.
        """
        problem = self.shadowing.problem
        seen, since = problem.seen.until(frame), int(np.searchsorted(problem.seen.times, -1e-9))
        place = seen.position.copy()
        place[:since] = np.nan
        seen = replace(seen, position=place, start=np.maximum(seen.start, since))
        if seen.known[:, self.disc].sum() < MIN_SEGMENT_POINTS:
            return None
        found = SegmentSearch(Hypothesis(problem.forward, seen), self._chain.tolerance, only_first=True).run()
        if found.breaks or all(arc.disc != self.disc for arc in found.arcs):
            return None
        return self._with_arcs(found.arcs, frame)

    def _with_arcs(self, arcs: Sequence[Arc], frame: int) -> ImageTrajectory:
        """How the object is seen if all bodies stay to the end on the arcs on which they are at a frame."""
        problem = self.shadowing.problem
        steps = np.round(problem.seen.times * PHYSICS_HZ)  # of the frames: the first place may be an earlier one
        ahead = [replace(arc, last=len(steps)) if arc.last >= frame else arc for arc in arcs]
        simulated = problem.simulate(ahead, len(steps) - 1)
        return _image_trajectories(self.clip, self.shadowing, simulated.positions(steps)[0])[self.disc]

    @property
    def _chain(self) -> LawfulSegments:
        return self.shadowing.levels[LAWFUL_LEVEL].segments


def true_trajectory(clip: Clip, context: int, column: int) -> ImageTrajectory:
    """How ground truth shows an object."""
    window = clip.window(context)
    inside = inside_view(clip, context)[:, column]
    return ImageTrajectory(clip.px_positions()[window, column], clip.visible_share()[window, column], inside)


def lawful_continuations(clip: Clip, shadowing: Shadowing | None) -> dict[int, LawfulContinuation]:
    """Objects with a lawful segment that can be continued, by column of the tracks.

    shadowing: None where the scene has no forward model. No object has such a segment where nothing is explained, as
    where too little is shown. One that shadowing does not judge is judged here, by the same search.
    """
    if shadowing is None or shadowing.problem.seen.sight is None:
        return {}
    too_brief = shadowing.problem.seen.too_brief
    judged = [disc for disc in range(len(shadowing.problem.forward.index)) if disc not in too_brief]
    found = _continuations(clip, shadowing, judged)
    if too_brief:
        found |= _continuations(clip, _all_judged(shadowing), too_brief)
    return dict(sorted(found.items()))


def _continuations(clip: Clip, shadowing: Shadowing, discs: Sequence[int]) -> dict[int, LawfulContinuation]:
    """Those of some bodies that have a segment to continue, by column of the tracks."""
    level = shadowing.levels[LAWFUL_LEVEL]
    if not discs or not level.weight.any():
        return {}
    trajectories = _image_trajectories(clip, shadowing, level.segments.position)
    index = shadowing.problem.forward.index
    found = {
        clip.tracked.index(index[disc]): LawfulContinuation(clip, shadowing, disc, trajectories[disc]) for disc in discs
    }
    return {column: each for column, each in found.items() if each.segments}


def _all_judged(shadowing: Shadowing) -> Shadowing:
    """The same tracks, shadowed with breaks of the bodies, too, that ground truth shows too briefly.

    A velocity that the task does not declare is a break, so that a frozen picture decides nothing. No body is expected:
    ground truth gives no time for which it has to be shown.
    """
    problem = Hypothesis(shadowing.problem.forward, replace(shadowing.problem.seen, too_brief=()))
    return replace(shadowing, problem=problem, levels=at_levels(problem, TOLERANCES[: LAWFUL_LEVEL + 1]))


def _image_trajectories(clip: Clip, shadowing: Shadowing, position: Array) -> list[ImageTrajectory]:
    """How bodies at positions (T, N, 2) m in their planes are seen."""
    sight = shadowing.problem.seen.sight
    assert sight is not None
    px = px_from_plane(clip.scene.camera, clip.spec, sight.apparent_position(position))
    share, inside = sight.visible_share(position[None])[0], sight.inside(position)
    return [ImageTrajectory(px[:, disc], share[:, disc], inside[:, disc]) for disc in range(position.shape[1])]


def present(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation]) -> Mask:
    """Where something of an object was seen (C + T, K). continuations: of the same tracks, by their columns.

    The tracker reports an object as absent if it shows much less of itself than ground truth does; on its own lawful
    trajectory that part may be hidden. Where that trajectory, or ground truth, shows half of an object, a detection
    without a position for more than MAX_GAP s does not count: a bar of its hue is not the object.
    """
    there, area = detected(clip, tracks), tracks.area >= MIN_DETECTED_SHARE * whole_area(clip, tracks.context)
    for column, each in continuations.items():
        there[: each.until, column] |= area[: each.until, column]
    share = clip.visible_share()[clip.window(tracks.context)]
    for column, each in continuations.items():
        share[: each.until, column] = each.trajectory.share[: each.until]
    gap, dt = there & ~has_position(tracks) & (share >= POSITION_SHARE), 1 / clip.spec.fps
    for column, unplaced in enumerate(gap.T):
        for run in runs(unplaced):
            there[run, column] = len(run) * dt <= MAX_GAP + 1e-9
    return there


def expected_visible(clip: Clip, tracks: Tracks, continuations: Mapping[int, LawfulContinuation], there: Mask) -> Mask:
    """Where an object should be visible (C + T, K), from ground truth or its own lawful continuation.

    continuations: of the same tracks, by their columns; ground truth alone decides for other objects. there: `present`.
    """
    expected = truth_framed(clip, tracks)
    for column, each in continuations.items():
        trajectory = each.trajectory
        hidden = trajectory.inside & (trajectory.share < VISIBLE_SHARE + SHARE_MARGIN)
        outside = ~trajectory.inside & np.isfinite(trajectory.position[:, 0])
        away = hidden | _left_view(tracks.times, outside, there[:, column])
        away[each.until :] = False
        framed = in_frame(clip, tracks, trajectory.position)
        shown = trajectory.inside & (trajectory.share >= VISIBLE_SHARE) & framed
        expected[:, column] = (expected[:, column] | shown) & ~(away & ~there[:, column])
    expected[: tracks.context] = False
    return expected


def _left_view(times: Array, outside: Mask, there: Mask) -> Mask:
    """Frames (T,) of stays outside the view before which the object was seen to leave."""
    left, reached = np.zeros_like(outside), max(EXIT_TIME, float(times[1] - times[0]))
    for run in runs(outside):
        before = (times < times[run[0]] - 1e-9) & (times >= times[run[0]] - reached - 1e-9)
        left[run] = bool(there[before].any())
    return left
