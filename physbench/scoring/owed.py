"""What a prediction owes by its own lawful motion: permanence asks for what truth shows or what the prediction implies.

An object is due where ground truth shows it, or where its own lawful segment, continued, does. It is excused where that
continuation is hidden or outside the view, in a segment with no break before it: a lawful future that is not the
recorded one may take a body behind a screen or out of the picture. It is outside only if its track went there. What is
seen all the same is due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.due import DUE_SHARE, TRACE, due, inside_view, seen, whole_area
from physbench.scoring.paths import runs
from physbench.scoring.shadowing.chain import Chain, Chainer
from physbench.scoring.shadowing.problem import Arc, Problem
from physbench.scoring.shadowing.restart import LEAST_POINTS, LEAST_SPAN
from physbench.scoring.shadowing.shadow import Shadowing
from physbench.scoring.shadowing.sight import UNSURE
from physbench.tracks.tracks import Tracks
from physbench.world.camera import px_from_plane

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Of the tolerances, that says what is lawful: the middle one. At 0.2 diameters a short context leaves a speed so free
# that balls which come to rest in front of a screen have no break. At 0.03 no violation is read otherwise than at 0.08,
# since how a body goes on is fitted to all that was shown, but many a model's noise is a break.
RUNG = 1
REACHED = 0.2  # s before its continuation leaves the view in which an object is seen, if it left


@dataclass(frozen=True, eq=False)
class Course:
    """How one object should be seen in the T frames of the window."""

    place: Array  # (T, 2) px of its middle; NaN where it is not known
    share: Array  # (T,) of it that is visible; 0 where it is not known
    inside: Mask  # (T,) where its middle is in the image


@dataclass(frozen=True, eq=False)
class Lawful:
    """The first lawful segment of one object in a prediction, and how it goes on from there."""

    clip: Clip
    shadowing: Shadowing
    disc: int  # of the forward model
    course: Course  # on all lawful segments, where they are

    @property
    def until(self) -> int:
        """First frame (0..T) that the first segment misses; T where there is no break."""
        breaks = self._chain.breaks
        return min((each.frame for each in breaks if each.disc == self.disc), default=len(self.course.share))

    @property
    def known(self) -> bool:
        """Whether the first segment begins by the first predicted frame, and enough is seen in it to go on from."""
        seen, part = self.shadowing.problem.seen, slice(0, self.until)
        first = min((arc.first for arc in self._chain.arcs if arc.disc == self.disc), default=len(seen.times))
        if first > np.searchsorted(seen.times, 1e-9):
            return False
        times = seen.times[part][seen.known[part, self.disc]]
        long = len(times) >= LEAST_POINTS and times[-1] - times[0] >= LEAST_SPAN - 1e-9
        return bool(long and seen.there[part, self.disc].any())

    def onward(self, frame: int) -> Course:
        """How the object is seen if it goes on lawfully from what is shown before a frame of the first segment.

        What is shown later has no say: else the motion that fits best would bend towards where it wrongly is.
        """
        problem = self.shadowing.problem
        arcs = [arc for arc in self._chain.arcs if arc.first < frame <= arc.last]
        if frame < len(problem.seen.times):
            before = Problem(problem.forward, problem.seen.until(frame))
            ended = [replace(arc, last=frame) for arc in arcs]
            found = Chainer(before, self._chain.tolerance, only_first=True, arcs=ended).run()
            arcs = arcs if found.breaks else found.arcs
        return self._followed(arcs)

    def onward_alone(self, frame: int) -> Course | None:
        """As `onward`, from the hand-over on alone; None where too little is shown from there to that frame.

        A body that is slower than in the context may stay within the tolerance of one motion, and be late for it.
        """
        problem = self.shadowing.problem
        seen, since = problem.seen.until(frame), int(np.searchsorted(problem.seen.times, -1e-9))
        place = seen.place.copy()
        place[:since] = np.nan
        seen = replace(seen, place=place, start=np.maximum(seen.start, since))
        if seen.known[:, self.disc].sum() < LEAST_POINTS:
            return None
        found = Chainer(Problem(problem.forward, seen), self._chain.tolerance, only_first=True).run()
        if found.breaks or all(arc.disc != self.disc for arc in found.arcs):
            return None
        return self._followed(found.arcs)

    def _followed(self, arcs: Sequence[Arc]) -> Course:
        """How the object is seen if all go on in these arcs to the end."""
        problem = self.shadowing.problem
        steps = problem.seen.steps
        way = problem.simulate([replace(arc, last=len(steps)) for arc in arcs], len(steps) - 1)
        return _courses(self.clip, self.shadowing, way.places(steps)[0])[self.disc]

    @property
    def _chain(self) -> Chain:
        return self.shadowing.rungs[RUNG].chain


def true_course(clip: Clip, context: int, column: int) -> Course:
    """How ground truth shows an object."""
    window = clip.window(context)
    inside = inside_view(clip, context)[:, column]
    return Course(clip.px_positions()[window, column], clip.visible_share()[window, column], inside)


def lawful(clip: Clip, shadowing: Shadowing | None) -> dict[int, Lawful]:
    """Objects with a first lawful segment that tells how they go on, by column of the tracks.

    shadowing: None where there is none. No object has one where nothing is explained, as where too little is shown.
    """
    if shadowing is None or shadowing.problem.seen.sight is None or not shadowing.rungs[RUNG].weight.any():
        return {}
    courses = _courses(clip, shadowing, shadowing.rungs[RUNG].chain.place)
    found = {
        clip.tracked.index(index): Lawful(clip, shadowing, disc, courses[disc])
        for disc, index in enumerate(shadowing.problem.forward.index)
    }
    return {column: each for column, each in found.items() if each.known}


def _courses(clip: Clip, shadowing: Shadowing, place: Array) -> list[Course]:
    """How bodies at places (T, N, 2) m in their planes are seen."""
    sight = shadowing.problem.seen.sight
    assert sight is not None
    px = px_from_plane(clip.scene.camera, clip.spec, sight.looks(place))
    share, inside = sight.share(place[None])[0], sight.inside(place)
    return [Course(px[:, disc], share[:, disc], inside[:, disc]) for disc in range(place.shape[1])]


def present(clip: Clip, tracks: Tracks, own: Mapping[int, Lawful]) -> Mask:
    """Where something of an object was seen (C + T, K). own: of the same tracks, by their columns.

    The tracker calls absent what shows much less of itself than ground truth does; while an object goes on lawfully,
    its own way may hide that part.
    """
    there, area = seen(clip, tracks), tracks.area >= TRACE * whole_area(clip, tracks.context)
    for column, each in own.items():
        there[: each.until, column] |= area[: each.until, column]
    return there


def lawfully_due(clip: Clip, tracks: Tracks, own: Mapping[int, Lawful]) -> Mask:
    """Where an object is due (C + T, K): as truth or its own lawful continuation has it.

    own: of the same tracks, by their columns; truth alone decides for those that are not in it.
    """
    owed, there = due(clip, tracks.context), present(clip, tracks, own)
    for column, each in own.items():
        course = each.course
        hidden = course.inside & (course.share < DUE_SHARE + UNSURE)
        outside = ~course.inside & np.isfinite(course.place[:, 0])
        away = hidden | _left(tracks.times, outside, there[:, column])
        away[each.until :] = False
        shown = course.inside & (course.share >= DUE_SHARE)
        owed[:, column] = (owed[:, column] | shown) & ~(away & ~there[:, column])
    owed[: tracks.context] = False
    return owed


def _left(times: Array, outside: Mask, there: Mask) -> Mask:
    """Frames (T,) of stays outside the view before which the object was seen on its way out."""
    left = np.zeros_like(outside)
    for run in runs(outside):
        before = (times < times[run[0]] - 1e-9) & (times >= times[run[0]] - REACHED - 1e-9)
        left[run] = bool(there[before].any())
    return left
