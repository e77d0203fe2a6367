"""What a scorer is: a pure function of a tracked prediction, and its declaration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from physbench.clips.clip import Clip
from physbench.scoring.observation import ANALYSES, Observation
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


INPUTS = ("frames", "tracks")  # what every scorer is given: `rollout.frames` and `tracks`

# Takes (clip, rollout, tracks), and by keyword the analyses of an Observation that the scorer declares in `needs`.
# A dict holds the scorer's own reading under "" and further ones, without quality, under their names.
ScorerFunction = Callable[..., "Reading | dict[str, Reading]"]
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
    needs: tuple[str, ...]  # of INPUTS and of the analyses of an Observation
    headline: bool  # its quality is the axis's quality
    function: ScorerFunction
    together: TogetherFunction | None = None  # reads all samples of a clip; `function` is for runs of one sample
    pair: PairFunction | None = None  # reads a clip with a change beside the one without; `function` is for all others
    costly: bool = False  # read only where it is named in full, and by `physbench scorers check`
    packages: tuple[str, ...] = ()  # that may not be installed; without them the reading is unavailable

    @property
    def doc(self) -> str:
        return self.function.__doc__ or ""

    def read(self, observation: Observation) -> Reading | dict[str, Reading]:
        """What the scorer reads from a prediction: its function, given the analyses that it needs."""
        given = {name: getattr(observation, name) for name in self.needs if name not in INPUTS}
        return self.function(observation.clip, observation.rollout, observation.tracks, **given)


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
    packages: tuple[str, ...] = (),
) -> Callable[[ScorerFunction], Scorer]:
    """Declare a scorer beside its code. The decorated name becomes the `Scorer`; call `.read` for the reading.

    needs: names of analyses of an `Observation`, such as "shadowing": the function is given them by keyword. Raises
    ValueError where `axis`, `better` or a need is none that there is, and where `needs` and the function's keywords
    differ.
    """
    choices: list[tuple[str, str | None, tuple[str | None, ...]]] = [
        ("axis", axis, (None, *AXES)),
        ("better", better, get_args(Better)),
    ]
    choices += [("needs", need, (*INPUTS, *ANALYSES)) for need in needs]
    for name, value, known in choices:
        if value not in known:
            raise ValueError(f"@scorer {id}: {name}={value!r}, expected one of {', '.join(map(repr, known))}")

    def declare(function: ScorerFunction) -> Scorer:
        _check_keywords(id, function, [need for need in needs if need not in INPUTS])
        return Scorer(
            id=id,
            version=version,
            axis=axis,
            unit=unit,
            better=better,
            quality=quality,
            noise_floor=noise_floor,
            source=source,
            needs=needs,
            headline=headline,
            function=function,
            together=together,
            pair=pair,
            costly=costly,
            packages=packages,
        )

    return declare


def _check_keywords(id: str, function: ScorerFunction, needs: Sequence[str]) -> None:
    """Refuse a function that has no parameter for what it is given, or is not given what it takes by keyword only."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    names = {parameter.name for parameter in parameters}
    for need in needs:
        if need not in names:
            raise ValueError(f"@scorer {id}: needs={need!r}, but the function has no parameter of that name")
    for parameter in parameters:
        required = parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
        if required and parameter.name not in needs:
            raise ValueError(f"@scorer {id}: the function takes {parameter.name!r}, which is not in its needs")
