"""The lawful way around a break of a clip that the report shows.

A run keeps it around the first miss of the first breaks at each tolerance. Where that does not reach back to the moment
at which the motions part, and for other breaks, it is found here by shadowing the stored tracks of the clip once more.
That takes less than a second a clip (3 s for 28 of `core`); after a context of one image the first clip of a task takes
2 to 5 s, since the speeds that the task declares are read off 128 draws (a minute for 28 clips of 14 tasks). Only clips
that the report shows are asked for, two a task at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.shadows import shadowed
from physbench.scoring.trace import Trace, followed
from physbench.tracks.tracks import Tracks

if TYPE_CHECKING:
    from physbench.scoring.shadowing import Break, Rung, Shadowing

Array = NDArray[np.float32]

MOST_WORDS = 160  # characters of an error that are shown


@dataclass(frozen=True, eq=False)
class Ways:
    """Lawful ways of B breaks."""

    places: Array  # (B, L, 2) px around the moment of each break; NaN where not known
    why_not: str  # why some that were wanted could not be looked for; "" where all were

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which have a place at all: (B,)."""
        return np.asarray(np.isfinite(self.places[:, :, 0]).any(axis=1))


def begins(found: Trace, b: int) -> bool:
    """Whether nothing comes before a break: what is unlawful is how the motion starts."""
    return bool(found.time[b] == 0 and found.jump[b] == 0)


def moment(found: Trace, b: int) -> int:
    """Frame around which a break is drawn: that of its time, where the motions part; of a beginning its first one."""
    return int(found.frame[b]) if begins(found, b) else int(np.argmin(np.abs(found.times - found.time[b])))


def lawful_ways(clip: Clip, found: Trace, tracks: Tracks, wanted: Iterable[int]) -> Ways:
    """Lawful ways around the moments of breaks, those `wanted` found again where the run kept none of that moment.

    They stay as the run kept them, with the reason, where shadowing raises or does not find the run's breaks again.
    """
    places, reach = _kept(found), found.onward.shape[1] // 2
    missing = [b for b in wanted if not np.isfinite(places[b, reach]).all()]
    if not missing:
        return Ways(places, "")
    try:
        again = shadowed(clip, tracks)
        if again is None:
            return Ways(places, "this version of physbench does not shadow the scene")
        breaks = [(r, each) for r, rung in enumerate(again.rungs) for each in rung.breaks]
        if [(r, b.disc, b.frame) for r, b in breaks] != _breaks(found):
            return Ways(places, "shadowed again, the tracks have other breaks than the run found")
        for b in missing:
            r, each = breaks[b]
            way = lawful_way(clip, again, again.rungs[r], each, reach, moment(found, b))
            if np.isfinite(way).any():
                places[b] = way
    except MemoryError:
        raise
    except Exception as error:  # a picture more or less is no reason to end a report
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return Ways(places, f"shadowing raised {words[:MOST_WORDS].rstrip(': ')}")
    return Ways(places, "")


def _kept(found: Trace) -> Array:
    """The lawful ways that the run kept, moved from around the first miss to around the moment."""
    length = found.onward.shape[1]
    places = np.full_like(found.onward, np.nan)
    for b in range(len(places)):
        source = np.arange(length) - (int(found.frame[b]) - moment(found, b))
        inside = (source >= 0) & (source < length)
        places[b, inside] = found.onward[b, source[inside]]
    return places


def _breaks(found: Trace) -> list[tuple[int, int, int]]:
    return list(zip(found.rung.tolist(), found.body.tolist(), found.frame.tolist(), strict=True))


def lawful_way(clip: Clip, found: Shadowing, rung: Rung, at: Break, reach: int, middle: int) -> Array:
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
    end = min(middle + reach, total - 1)
    frames = np.arange(max(middle - reach, arc.first, 0), end + 1)
    if not len(frames):
        return way
    way[frames - middle + reach] = followed(clip, problem, arcs, frames, at.disc)
    return way
