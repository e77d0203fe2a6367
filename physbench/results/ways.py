"""The lawful way around a break of a clip that the report shows.

A run keeps it for the first breaks at each tolerance. Of the few clips that are shown the others are found here, by
shadowing their stored tracks once more, which takes less than a second a clip.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.shadows import shadowed
from physbench.scoring.trace import Trace
from physbench.tracks.tracks import Tracks
from physbench.world.camera import PLANE_AXES, depth_axis, px_from_world

if TYPE_CHECKING:
    from physbench.scoring.shadowing import Break, Rung, Shadowing

Array = NDArray[np.float32]


def is_known(onward: Array) -> NDArray[np.bool_]:
    """Which lawful ways (B, L, 2) have a place at all: (B,)."""
    return np.asarray(np.isfinite(onward[:, :, 0]).any(axis=1))


def with_ways(clip: Clip, found: Trace, tracks: Tracks, wanted: Iterable[int]) -> Trace:
    """The trace with the lawful ways of the `wanted` breaks, where there are any.

    The trace as it is where the run kept them all, where shadowing raises, and where it does not find the breaks of the
    run again (another version made them).
    """
    known = is_known(found.onward)
    missing = [b for b in wanted if not known[b]]
    if not missing:
        return found
    try:
        again = shadowed(clip, tracks)
        breaks = [] if again is None else [(r, each) for r, rung in enumerate(again.rungs) for each in rung.breaks]
        if again is None or [(r, b.disc, b.frame) for r, b in breaks] != _breaks(found):
            return found
        onward, reach = found.onward.copy(), found.onward.shape[1] // 2
        for b in missing:
            r, each = breaks[b]
            onward[b] = lawful_way(clip, again, again.rungs[r], each, reach)
    except MemoryError:
        raise
    except Exception:  # of a picture more or less: the report does without it, and says so
        return found
    return replace(found, onward=onward)


def _breaks(found: Trace) -> list[tuple[int, int, int]]:
    return list(zip(found.rung.tolist(), found.body.tolist(), found.frame.tolist(), strict=True))


def lawful_way(clip: Clip, found: Shadowing, rung: Rung, at: Break, reach: int) -> Array:
    """The lawful way (2 reach + 1, 2) px around a break; NaN where there is none.

    The arc in front of the break goes on. Where none leads to it, as at a speed that the task does not declare, it is
    the arc that begins there.
    """
    problem, total = found.problem, len(found.problem.seen.times)
    way = np.full((2 * reach + 1, 2), np.nan, dtype=np.float32)
    own = [arc for arc in rung.chain.arcs if arc.disc == at.disc]
    leads, begins = ([arc for arc in own if getattr(arc, end) == at.frame] for end in ("last", "first"))
    if not (leads or begins):
        return way
    arc = (leads or begins)[0]
    before = [each for each in rung.chain.arcs if each.disc != at.disc or each.first < arc.first or each is arc]
    arcs = [replace(each, last=total) if each is arc else each for each in before]
    end = min(at.frame + reach, total - 1)
    frames = np.arange(max(at.frame - reach, arc.first, 0), end + 1)
    simulated = problem.simulate(arcs, end)
    place = simulated.at(problem.seen.steps[frames])[0][0, :, at.disc]  # (F, 2) m
    camera = clip.scene.camera
    points = np.zeros((len(frames), 3))
    points[:, list(PLANE_AXES[camera.view])] = place
    points[:, depth_axis(camera)] = problem.forward.depth[at.disc]
    way[frames - at.frame + reach] = px_from_world(camera, clip.spec, points)
    return way
