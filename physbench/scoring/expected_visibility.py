"""What a prediction owes by its own lawful motion: permanence asks for what truth shows or what the prediction implies.

An object is due where ground truth shows it, or where its own lawful segment, continued, does. It is excused where that
continuation is hidden or outside the view, in a segment with no break before it: a lawful future that is not the
recorded one may take a body behind a screen or out of the picture. It is outside only if its track went there. What is
seen all the same is due.
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
from physbench.shadowing.segment_init import LEAST_POINTS, lasts
from physbench.shadowing.shadow import Shadowing
from physbench.shadowing.sight_model import UNSURE
from physbench.tracks.finite_differences import runs
from physbench.tracks.tracks import Tracks
from physbench.tracks.visibility import (
    MAX_GAP,
    MIN_DETECTED_SHARE,
    VISIBLE_SHARE,
    detected,
    has_position,
    inside_view,
    truth_visible,
    whole_area,
)
from physbench.world.camera import px_from_plane

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Of the tolerances, that says what is lawful: the middle one. At 0.2 diameters a short context leaves a speed so free
# that balls which come to rest in front of a screen have no break. At 0.03 no violation is read otherwise than at 0.08,
# since how a body goes on is fitted to all that was shown, but many a model's noise is a break.
RUNG = 1
REACHED = 0.2  # s before its continuation leaves the view, a frame at least, in which an object is seen, if it left
PLACED = 0.5  # of an object that its course shows: it has a position then


@dataclass(frozen=True, eq=False)
class ImageTrajectory:
    """How one object should be seen in the T frames of the window."""

    place: Array  # (T, 2) px of its middle; NaN where it is not known
    share: Array  # (T,) of it that is visible; 0 where it is not known
    inside: Mask  # (T,) where its middle is in the image


@dataclass(frozen=True)
class LawfulSegment:
    """A lawful stretch of the motion of one object between its breaks, in frames of the window."""

    first: int  # where it begins
    until: int  # where its break is dated: the motion behind it explains more from there on; T where there is none
    miss: int  # first frame that it misses, not before `until`; T as well
    unbroken: bool  # no break comes before it


@dataclass(frozen=True, eq=False)
class LawfulContinuation:
    """The lawful segments of one object in a prediction, and how it goes on from each."""

    clip: Clip
    shadowing: Shadowing
    disc: int  # of the forward model
    course: ImageTrajectory  # on all lawful segments, where they are

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
        """The segments in which enough is seen to go on from, in the order of time."""
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
        """Whether enough is seen of a segment; of the first, from the first predicted frame on, and in one."""
        detected = self.shadowing.problem.seen
        at_once = segment.first <= np.searchsorted(detected.times, 1e-9)
        shown = at_once and detected.there[segment.first : segment.until, self.disc].any()
        return bool(self.tells(segment.first, segment.until) and (shown or not segment.unbroken))

    def tells(self, first: int, until: int) -> bool:
        """Whether enough places are known between two frames to go on from."""
        detected = self.shadowing.problem.seen
        return lasts(detected.times[first:until][detected.known[first:until, self.disc]])

    def onward(self, frame: int) -> ImageTrajectory:
        """How the object is seen if it goes on lawfully from what is shown before a frame of a segment.

        What is shown later has no say: else the motion that fits best would bend towards where it wrongly is. What
        others did before has: it may have met them.
        """
        problem = self.shadowing.problem
        arcs = [replace(arc, last=min(arc.last, frame)) for arc in self._chain.arcs if arc.first < frame]
        if frame < len(problem.seen.times):
            before = Hypothesis(problem.forward, problem.seen.until(frame))
            found = SegmentSearch(before, self._chain.tolerance, only_first=True, arcs=arcs).run()
            arcs = arcs if found.breaks else found.arcs
        return self._followed(arcs, frame)

    def onward_alone(self, frame: int) -> ImageTrajectory | None:
        """As `onward`, from the hand-over on alone; None where too little is shown from there to that frame.

        A body that is slower than in the context may stay within the tolerance of one motion, and be late for it.
        """
        problem = self.shadowing.problem
        detected, since = problem.seen.until(frame), int(np.searchsorted(problem.seen.times, -1e-9))
        place = detected.place.copy()
        place[:since] = np.nan
        detected = replace(detected, place=place, start=np.maximum(detected.start, since))
        if detected.known[:, self.disc].sum() < LEAST_POINTS:
            return None
        found = SegmentSearch(Hypothesis(problem.forward, detected), self._chain.tolerance, only_first=True).run()
        if found.breaks or all(arc.disc != self.disc for arc in found.arcs):
            return None
        return self._followed(found.arcs, frame)

    def _followed(self, arcs: Sequence[Arc], frame: int) -> ImageTrajectory:
        """How the object is seen if all go on to the end in the arcs in which they are at a frame."""
        problem = self.shadowing.problem
        steps = problem.seen.steps
        ahead = [replace(arc, last=len(steps)) if arc.last >= frame else arc for arc in arcs]
        way = problem.simulate(ahead, len(steps) - 1)
        return _courses(self.clip, self.shadowing, way.places(steps)[0])[self.disc]

    @property
    def _chain(self) -> LawfulSegments:
        return self.shadowing.rungs[RUNG].chain


def true_trajectory(clip: Clip, context: int, column: int) -> ImageTrajectory:
    """How ground truth shows an object."""
    window = clip.window(context)
    inside = inside_view(clip, context)[:, column]
    return ImageTrajectory(clip.px_positions()[window, column], clip.visible_share()[window, column], inside)


def lawful_continuations(clip: Clip, shadowing: Shadowing | None) -> dict[int, LawfulContinuation]:
    """Objects with a lawful segment that tells how they go on, by column of the tracks.

    shadowing: None where there is none. No object has one where nothing is explained, as where too little is shown; nor
    has one that is not judged.
    """
    if shadowing is None or shadowing.problem.seen.sight is None or not shadowing.rungs[RUNG].weight.any():
        return {}
    courses = _courses(clip, shadowing, shadowing.rungs[RUNG].chain.place)
    found = {
        clip.tracked.index(index): LawfulContinuation(clip, shadowing, disc, courses[disc])
        for disc, index in enumerate(shadowing.problem.forward.index)
        if disc not in shadowing.problem.seen.brief
    }
    return {column: each for column, each in found.items() if each.segments}


def _courses(clip: Clip, shadowing: Shadowing, place: Array) -> list[ImageTrajectory]:
    """How bodies at places (T, N, 2) m in their planes are seen."""
    sight = shadowing.problem.seen.sight
    assert sight is not None
    px = px_from_plane(clip.scene.camera, clip.spec, sight.looks(place))
    share, inside = sight.share(place[None])[0], sight.inside(place)
    return [ImageTrajectory(px[:, disc], share[:, disc], inside[:, disc]) for disc in range(place.shape[1])]


def present(clip: Clip, tracks: Tracks, own: Mapping[int, LawfulContinuation]) -> Mask:
    """Where something of an object was seen (C + T, K). own: of the same tracks, by their columns.

    The tracker calls absent what shows much less of itself than ground truth does; while an object goes on lawfully,
    its own way may hide that part. Where its way, or ground truth's, shows half of an object, it is not there if it is
    seen without a position for more than VAGUE s: a bar of its hue is not the object.
    """
    there, area = detected(clip, tracks), tracks.area >= MIN_DETECTED_SHARE * whole_area(clip, tracks.context)
    for column, each in own.items():
        there[: each.until, column] |= area[: each.until, column]
    share = clip.visible_share()[clip.window(tracks.context)]
    for column, each in own.items():
        share[: each.until, column] = each.course.share[: each.until]
    vague, dt = there & ~has_position(tracks) & (share >= PLACED), 1 / clip.spec.fps
    for column, unplaced in enumerate(vague.T):
        for run in runs(unplaced):
            there[run, column] = len(run) * dt <= MAX_GAP + 1e-9
    return there


def expected_visible(clip: Clip, tracks: Tracks, own: Mapping[int, LawfulContinuation], there: Mask) -> Mask:
    """Where an object is due (C + T, K): as truth or its own lawful continuation has it.

    own: of the same tracks, by their columns; truth alone decides for those that are not in it. there: `present`.
    """
    owed = truth_visible(clip, tracks.context)
    for column, each in own.items():
        course = each.course
        hidden = course.inside & (course.share < VISIBLE_SHARE + UNSURE)
        outside = ~course.inside & np.isfinite(course.place[:, 0])
        away = hidden | _left(tracks.times, outside, there[:, column])
        away[each.until :] = False
        shown = course.inside & (course.share >= VISIBLE_SHARE)
        owed[:, column] = (owed[:, column] | shown) & ~(away & ~there[:, column])
    owed[: tracks.context] = False
    return owed


def _left(times: Array, outside: Mask, there: Mask) -> Mask:
    """Frames (T,) of stays outside the view before which the object was seen on its way out."""
    left, reached = np.zeros_like(outside), max(REACHED, float(times[1] - times[0]))
    for run in runs(outside):
        before = (times < times[run[0]] - 1e-9) & (times >= times[run[0]] - reached - 1e-9)
        left[run] = bool(there[before].any())
    return left
