"""Shadowing, once for all that read it: the scorers of one prediction are given the same tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from physbench.clips.clip import Clip, Row
from physbench.scoring.scorer_protocol import Reading
from physbench.tracks.tracks import Tracks
from physbench.world.scene import RenderSpec

if TYPE_CHECKING:
    from physbench.shadowing import Shadowing

Key = tuple[Row, RenderSpec, bool]


@dataclass(frozen=True)
class _Failure:
    """An error without its traceback, whose frames would hold the tracks and the clip for good."""

    kind: type[Exception]
    words: str

    def again(self) -> Exception:
        try:
            return self.kind(self.words)
        except Exception:  # a kind that takes other arguments
            return RuntimeError(f"{self.kind.__name__}: {self.words}")


# As long as the tracks are there, and no longer. An error is kept too: it costs as much as an answer.
_DONE: WeakKeyDictionary[Tracks, dict[Key, Shadowing | _Failure | None]] = WeakKeyDictionary()


def shadowed(clip: Clip, tracks: Tracks, *, free: bool = False) -> Shadowing | None:
    """Shadow the tracks of a prediction, or return what was found when this was last asked for the same tracks.

    free: the reading with unseen constants. None where the scene has no forward model that is fast enough. Raises what
    shadowing raises.
    """
    from physbench.shadowing import shadow

    found, key = _DONE.setdefault(tracks, {}), (clip.row, clip.spec, free)
    if key not in found:
        try:
            found[key] = shadow(clip, tracks, free=free)
        except MemoryError:
            raise
        except Exception as error:
            found[key] = _Failure(type(error), str(error))
            raise
    answer = found[key]
    if isinstance(answer, _Failure):
        raise answer.again()
    return answer


def known_shadowing(clip: Clip, tracks: Tracks) -> Shadowing | None:
    """What `shadowed` has found of these tracks, if it was asked and found something. Costs nothing."""
    answer = _DONE.get(tracks, {}).get((clip.row, clip.spec, False))
    return None if isinstance(answer, _Failure) else answer


def not_modelled(clip: Clip) -> Reading:
    """The reading of a clip that cannot be shadowed, with the reason."""
    from physbench.shadowing import why_not

    return Reading(None, "not applicable", f"cannot be shadowed: {why_not(clip)}")


def nothing_due(found: Shadowing) -> Reading:
    """That of nothing that is due it can be told whether it moves lawfully."""
    brief = "the context shows no speed, and ground truth moving objects for less than a segment needs"
    return Reading(None, "not applicable", brief if found.problem.seen.too_brief else "no moving object is due")
