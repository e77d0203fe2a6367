"""What a scorer is: a pure function of (clip, rollout, tracks) and its declaration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.tracks.tracks import Tracks

Axis = Literal["consistency", "permanence", "drift"]
AXES: tuple[Axis, ...] = ("consistency", "permanence", "drift")
Better = Literal["lower", "higher", "neither"]
Status = Literal["ok", "failed", "unavailable", "not applicable"]


@dataclass(frozen=True)
class Reading:
    """A value in the scorer's unit; or None with a status and the reason."""

    value: float | None
    status: Status = "ok"
    reason: str = ""
    unit: str | None = None  # None: the scorer's


@dataclass(frozen=True)
class ScoreRow:
    """One row of scores.parquet: one reading of one sample of one clip."""

    clip: str  # Row.id
    task: str
    split: str
    seed: int
    sample: int
    reading: str  # scorer id, or "id.key" for the further readings of a scorer
    axis: str | None  # only on the headline reading of an axis
    value: float | None
    unit: str
    quality: float | None  # 0..1; 0 for a failed clip; None for diagnostics and what does not apply
    status: Status
    reason: str


# A dict holds the scorer's own reading under "" and further ones, without quality, under their names.
ScorerFunction = Callable[[Clip, Rollout, Tracks], "Reading | dict[str, Reading]"]
# (clip, context, tracks of all samples of the clip, None for one that failed)
TogetherFunction = Callable[[Clip, int, Sequence["Tracks | None"]], "dict[str, Reading]"]
# (clip with a change, its tracks, the clip that it is a change of, its tracks), of one sample of both
PairFunction = Callable[[Clip, Tracks, Clip, Tracks], "dict[str, Reading]"]


@dataclass(frozen=True)
class Scorer:
    """A scorer's declaration. `quality` maps a value to 0..1; None: a diagnostic, outside every mean."""

    id: str  # "permanence/survival"
    version: int
    axis: Axis | None
    unit: str
    better: Better
    quality: Callable[[float], float] | None
    noise_floor: str  # what ground truth reads through the same chain
    source: str  # doi, arXiv or formula
    needs: tuple[str, ...]
    headline: bool  # its quality is the axis's quality
    function: ScorerFunction
    together: TogetherFunction | None = None  # reads all samples of a clip; `function` is for runs of one sample
    pair: PairFunction | None = None  # reads a clip with a change beside the one without; `function` is for all others
    costly: bool = False  # read only where it is named in full, and by `physbench scorers check`

    @property
    def doc(self) -> str:
        return self.function.__doc__ or ""


def scorer(
    *,
    id: str,
    version: int,
    axis: Axis | None,
    unit: str,
    better: Better,
    quality: Callable[[float], float] | None,
    noise_floor: str,
    source: str,
    needs: tuple[str, ...] = ("tracks",),
    headline: bool = False,
    together: TogetherFunction | None = None,
    pair: PairFunction | None = None,
    costly: bool = False,
) -> Callable[[ScorerFunction], Scorer]:
    """Declare a scorer beside its code. The decorated name becomes the `Scorer`; call `.function` for the reading.

    Raises ValueError where `axis` or `better` is none that there is.
    """
    for name, value, known in (("axis", axis, (None, *AXES)), ("better", better, get_args(Better))):
        if value not in known:
            raise ValueError(f"@scorer {id}: {name}={value!r}, expected one of {', '.join(map(repr, known))}")

    def declare(function: ScorerFunction) -> Scorer:
        return Scorer(
            id,
            version,
            axis,
            unit,
            better,
            quality,
            noise_floor,
            source,
            needs,
            headline,
            function,
            together,
            pair,
            costly,
        )

    return declare
