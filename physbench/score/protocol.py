"""Scorers: pure functions of a tracked prediction, what they are given, their declaration; rows of readings on disk.

The stage between tracks and scorers: `score_clip` makes one `Observation` of a prediction, whose analyses are made once
and only on demand, and each scorer is given the analyses that it declares in `needs=`. The files of rows have the same
bytes for any number of workers and interruptions.
"""

from __future__ import annotations

import inspect
import io
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args, overload

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.shadowing import Shadowing, shadow, why_not
from physbench.shadowing.context import unknown_parameters
from physbench.support.arrays import Mask
from physbench.support.files import EMPTY_SEAL, SEAL, read_sealed_json, write_sealed, write_sealed_json
from physbench.support.plugins import note_user_line, user_line
from physbench.track.tracks import Tracks
from physbench.world.camera import plane_from_world

if TYPE_CHECKING:
    from physbench.score.motion import BodyMotion, ContactInterval, Energies, FreeSegment
    from physbench.score.predictability import Predictability
    from physbench.score.visibility import LawfulContinuation, Return

Value = TypeVar("Value")


@dataclass(frozen=True)
class _Failure:
    """An error without its traceback, whose frames would keep the clip and the tracks in memory."""

    kind: type[Exception]
    words: str
    line: str  # of the user's code, such as that of a task, or ""

    def again(self) -> Exception:
        try:
            error = self.kind(self.words)
        except Exception:  # a kind that takes other arguments
            error = RuntimeError(f"{self.kind.__name__}: {self.words}")
        note_user_line(error, self.line)
        return error


def _read_only(answer: Any) -> Any:
    """An answer that no reader can change for the next one."""
    if isinstance(answer, np.ndarray):
        answer.setflags(write=False)
    return MappingProxyType(answer) if isinstance(answer, dict) else answer


class Analysis(Generic[Value]):
    """A property of an `Observation` that is made when it is first read, and kept.

    An error is kept too, since it costs as much as an answer: it is raised again for each reader.
    """

    def __init__(self, make: Callable[[Observation], Value]) -> None:
        self.make = make
        self.name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, observation: None, owner: type[Observation]) -> Analysis[Value]: ...
    @overload
    def __get__(self, observation: Observation, owner: type[Observation]) -> Value: ...
    def __get__(self, observation: Observation | None, owner: type[Observation]) -> Analysis[Value] | Value:
        if observation is None:
            return self
        values = observation._values
        if self.name not in values:
            started = time.monotonic()
            try:
                values[self.name] = _read_only(self.make(observation))
            except MemoryError:  # of this machine, not of the prediction
                raise
            except Exception as error:
                values[self.name] = _Failure(type(error), str(error), user_line(error))
                raise
            finally:
                observation.seconds[self.name] = time.monotonic() - started
        answer: Any = values[self.name]
        if isinstance(answer, _Failure):
            raise answer.again()
        return answer  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Observation:
    """Prediction of a model for a clip, as the tracker saw it, with what follows from it.

    Attributes:
        clip: ground truth.
        rollout: the predicted frames.
        tracks: the objects in the context frames and the predicted ones; K of them in T frames.
        store: whether an analysis may write what it computes into the cache folder.
        seconds: s that tracking ("tracks") and each analysis took, by name, with what an analysis needs itself.
    """

    clip: Clip
    rollout: Rollout
    tracks: Tracks
    store: bool = True
    seconds: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _values: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def known(self, name: str) -> Any:
        """An analysis that has been made; None where it has not, or where it raised. Computes nothing."""
        value = self._values.get(name)
        return None if isinstance(value, _Failure) else value

    @Analysis
    def shadowing(self) -> Shadowing | None:
        """Lawful segments and breaks; None where no law moves the scene."""
        return shadow(self.clip, self.tracks)

    @Analysis
    def free_constants(self) -> Shadowing | None:
        """Shadowing with the constants free that the context does not show.

        None where it shows all of them, and where no motion is judged.
        """
        shadowing = self.shadowing
        if shadowing is None or not shadowing.problem.seen.expected_visible.any():
            return None
        pulled = shadowing.problem.law.has_free_constant and not shadowing.problem.seen.tells_forces
        if not pulled and not unknown_parameters(self.clip, self.tracks.context):
            return None
        return shadow(self.clip, self.tracks, free=True)

    @Analysis
    def lawful_continuations(self) -> Mapping[int, LawfulContinuation]:
        """Continuations of objects from their lawful segments, by column of the tracks; only objects that have one."""
        from physbench.score.visibility import lawful_continuations

        return lawful_continuations(self.clip, self.shadowing)

    @Analysis
    def present(self) -> Mask:
        """(T, K) where something of an object was seen."""
        from physbench.score.visibility import present

        return present(self.clip, self.tracks, self.lawful_continuations)

    @Analysis
    def expected_visible(self) -> Mask:
        """(T, K) predicted frames in which an object should be visible, as truth or its lawful continuation has it."""
        from physbench.score.visibility import expected_visible

        return expected_visible(self.clip, self.tracks, self.lawful_continuations, self.present)

    @Analysis
    def returns(self) -> tuple[Return, ...]:
        """Outcome of each time in which an object should be hidden, by object and time."""
        from physbench.score.visibility import returns

        return returns(self.clip, self.tracks, self.lawful_continuations)

    @Analysis
    def motions(self) -> tuple[BodyMotion, ...]:
        """The tracked bodies that move, in the plane of motion, with their laws."""
        from physbench.score.motion import body_motions

        return body_motions(self.clip, self.tracks)

    @Analysis
    def contacts(self) -> Mapping[int, tuple[ContactInterval, ...]]:
        """Contacts of every moving body, by column of the tracks, in the order of time."""
        from physbench.score.motion import contacts_of

        return contacts_of(self.clip, self.tracks, self.motions)

    @Analysis
    def free_segments(self) -> Mapping[int, tuple[FreeSegment, ...]]:
        """Frames between the contacts and impulses of every moving body, by column of the tracks."""
        from physbench.score.motion import free_segments

        return {
            motion.column: free_segments(self.clip, motion, self.tracks.times, self.contacts[motion.column])
            for motion in self.motions
        }

    @Analysis
    def energies(self) -> tuple[Energies, ...]:
        """Energy and momentum of each group of moving bodies that touch each other."""
        from physbench.score.motion import energies

        return energies(self.clip, self.tracks, self.motions, self.contacts, self.free_segments)

    @Analysis
    def predictability(self) -> Predictability:
        """For how long the clip can be predicted from the context."""
        from physbench.score.predictability import predictability

        return predictability(self.clip, self.tracks.context, store=self.store)


ANALYSES = tuple(name for name, value in vars(Observation).items() if isinstance(value, Analysis))


# What a scorer is: a pure function of a tracked prediction, and its declaration.

Axis = Literal["consistency", "permanence", "drift"]
AXES: tuple[Axis, ...] = ("consistency", "permanence", "drift")
Better = Literal["lower", "higher", "neither"]
Status = Literal["ok", "failed", "unavailable", "not applicable"]
# What results, reports and the leaderboard look readings up by, instead of names. Each belongs to one reading.
ReadingRole = Literal[
    "lawfulness",  # quality of the motion under the scene's laws; a trace is stored beside it
    "explained-share",  # of the time in which objects should be visible, mean of the tolerances
    "lawful-time",  # s before the first break, at most the horizon
    "strict-lawfulness",  # the same at the smallest tolerance alone
    "first-break",  # s, at the smallest tolerance; the horizon where there is none. Its reason names the body
    "strength",  # diameters, the smallest tolerance without a break; lower is better
    "jitter",  # diameters, of positions about the lawful motion, from frame to frame
    "undetermined-share",  # of that time, in segments too short to judge
    "freed-constants",  # the same quality where constants that the context does not show are free
    "freed-factor",  # what was found for them, times those of the scene
    "event-balance",  # events shown less those expected, behind one image; further keys of its scorer: by kind
    "stand-in",  # replaces lawfulness where that is not valid; does not apply to most scenes
    "predictability",  # s for which the context determines what happens
    "survival",  # share of objects in view that are kept
    "reemergence",  # share of hidden objects that come back
    "unknown-objects",  # share of the frames with something that the scene does not hold
    "doubled-objects",  # share of the frames with an object twice
    "push-effect",  # share of the effect of a push that is predicted
    "push-effect-on-others",  # the same in bodies that are not pushed themselves
    "command-followed",  # size of what a push or a driven body does, over what it should
    "camera-followed",  # share of the turns of the camera's path that a prediction shows
    "shown-gravity",  # m/s2, by falls
    "shown-restitution",  # by bounces
    "frame-smear",  # how far bodies are drawn out along their motion, as means of neighbouring frames are
    "samples-score",  # CRPS of the positions of several samples of a clip, diameters
    "open-score",  # the same of what the context leaves open
    "samples-apart",  # mean distance of two samples over that of two simulations
    "samples-spread",  # error of the samples' mean that their spread stands for, diameters
    "samples-error",  # error of that mean, diameters
    "chance-distance",  # total variation between the ends of a clip's samples and those that chance picks
    "open-chance",  # the same of as many simulations
    "velocity-error",  # PhyWorld's, by its paper; further keys: by its code, and the share of balls that are missing
    "early-sign",  # moves in a training while every axis still reads as a frozen frame; 0 is that frame, 1 is truth
]
EVENT_KINDS = ("meeting", "bounce", "hiding")  # what decides a scene; keys of the scorer that reads them
LAWS = "laws"  # part before the slash in ids of scorers of one law each; reports list this group first


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


Answer = TypeVar("Answer")
Text = TypeVar("Text", bound=str)

# What every scorer is given: `rollout.frames` and `tracks`; "looks" are areas, hues and states of visibility in these.
INPUTS = ("frames", "tracks", "looks")

# Takes (clip, rollout, tracks), and by keyword the analyses of an Observation that the scorer declares in `needs`.
# A dict holds the scorer's own reading under "" and further ones, without quality, under their names.
ScorerFunction = Callable[..., "Reading | dict[str, Reading]"]
# Takes (clip, rollout, tracks), and by keyword some of the same analyses. None: the scorer's function is to read.
Precheck = Callable[..., "Reading | dict[str, Reading] | None"]
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
    precheck: Precheck | None = None  # gives the readings of a clip for which the analyses are not needed
    together: TogetherFunction | None = None  # reads all samples of a clip; `function` is for runs of one sample
    pair: PairFunction | None = None  # reads a clip with a change beside the one without; `function` is for all others
    costly: bool = False  # read only where it is named in full, and by `physbench scorers check`
    packages: tuple[str, ...] = ()  # that may not be installed; without them the reading is unavailable
    families: tuple[str, ...] = ()  # of tasks in whose clips alone it reads; () for all
    # The following are by key of the reading, "" for the scorer's own.
    phrases: tuple[tuple[str, str], ...] = ()  # how a sentence names it where it is off: "gravity {}"
    seen: tuple[tuple[str, tuple[str, str]], ...] = ()  # what one would see where it is too small, and too large
    breaks_at: float | None = None  # difference from ground truth, in `unit`, from which the law counts as broken
    needs_constants: tuple[str, ...] = ()  # its right value depends on constants that a context may not show
    roles: tuple[tuple[str, ReadingRole], ...] = ()  # of scorers that come with physbench

    def reads(self, family: str) -> bool:
        """True if it reads clips of tasks of a family."""
        return not self.families or family in self.families

    @property
    def needs_picture(self) -> bool:
        """True if it reads what only a picture shows, so that it does not apply to states."""
        # States without a picture have no frames or looks
        return self.axis == "permanence" or any(need in ("frames", "looks") for need in self.needs)

    @property
    def doc(self) -> str:
        return self.function.__doc__ or ""

    def read(self, observation: Observation) -> Reading | dict[str, Reading]:
        """Readings of a prediction: of the scorer's function or, where it gives readings, its precheck.

        Each is given the analyses that it takes. Those of the function are not made where the precheck gives readings.
        """
        early = None if self.precheck is None else self._call(self.precheck, observation)
        return self._call(self.function, observation) if early is None else early

    def _call(self, function: Callable[..., Answer], observation: Observation) -> Answer:
        """The answer of a function that is given those of the analyses that it takes."""
        given = {name: getattr(observation, name) for name in _taken(function, self.needs)}
        return function(observation.clip, observation.rollout, observation.tracks, **given)


@lru_cache(1024)
def _taken(function: Callable[..., object], needs: tuple[str, ...]) -> tuple[str, ...]:
    """The analyses among needs that a function takes by keyword: all of them where it has `**`."""
    parameters = list(inspect.signature(function).parameters.values())
    # The first three are given by position: clip, rollout and tracks.
    by_keyword = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = {parameter.name for parameter in parameters[3:] if parameter.kind in by_keyword}
    every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return tuple(need for need in needs if need not in INPUTS and (every or need in names))


def scorer(
    *,
    id: str,
    version: int = 1,
    axis: Axis | None = None,
    unit: str = "1",
    better: Better,
    quality: Callable[[float], float] | None = None,
    noise_floor: str,
    source: str,
    needs: str | Sequence[str] = ("tracks",),
    headline: bool = False,
    precheck: Precheck | None = None,
    together: TogetherFunction | None = None,
    pair: PairFunction | None = None,
    costly: bool = False,
    packages: tuple[str, ...] = (),
    families: tuple[str, ...] = (),
    phrase: str | Mapping[str, str] = "",
    seen: tuple[str, str] | Mapping[str, tuple[str, str]] | None = None,
    breaks_at: float | None = None,
    needs_constants: str | Sequence[str] = (),
    roles: Mapping[str, ReadingRole] | None = None,
) -> Callable[[ScorerFunction], Scorer]:
    """Declare a scorer beside its code. The decorated name becomes the `Scorer`; call `.read` for the reading.

    Args:
        needs: Names of analyses of an `Observation`, such as "shadowing". The function is given them by keyword.
            "frames" and "looks" say that it reads pictures, so that it is not asked of states.
        precheck: Called as the function is, before it. Returns the readings of a clip to which the scorer does not
            apply, or None. The function is then not called, and its analyses are not made: only those that the
            precheck itself takes by keyword.
        phrase: How a sentence names the reading where it is off, "gravity {}" with {} for value and unit. A
            reading with a phrase can be named in the headline. A mapping gives phrases by key.
        seen: What somebody who watches would see where a reading with a phrase is too small, and where it is too large:
            ("things fall too slowly", "things fall too fast"). A mapping gives pairs by key.
        breaks_at: By how much, in `unit`, a reading must differ from ground truth for its law to count as broken.
        needs_constants: Keys of phrases that are left out where the context does not show every constant.
        roles: By key, the roles of readings. Ignored for scorers that do not come with physbench.

    Raises:
        ValueError: `axis`, `better`, a need or a role is unknown, `needs` and the keywords of the function or of the
            precheck differ, a phrase does not have {} once or is that of a reading that the function cannot give,
            `seen` or `breaks_at` is wrong or stands without a phrase, or `needs_constants` names no key of `phrase`.
    """
    needs, needs_constants = _names(id, "needs", needs), _names(id, "needs_constants", needs_constants)
    phrases = _by_key(id, "phrase", {"": phrase} if isinstance(phrase, str) and phrase else phrase or {})
    own_roles = _by_key(id, "roles", roles or {})
    sights = _sights(id, seen, phrases)
    choices: list[tuple[str, str | None, tuple[str | None, ...]]] = [
        ("axis", axis, (None, *AXES)),
        ("better", better, get_args(Better)),
        *(("needs", need, (*INPUTS, *ANALYSES)) for need in needs),
        *(("roles", role, get_args(ReadingRole)) for role in own_roles.values()),
    ]
    for name, value, known in choices:
        if value not in known:
            raise ValueError(f"@scorer {id}: {name}={value!r}, expected one of {', '.join(map(repr, known))}")
    _check_phrases(id, phrases, breaks_at, needs_constants, other_use=bool(own_roles))
    if precheck is not None and not callable(precheck):
        raise ValueError(f"@scorer {id}: precheck={precheck!r}, expected a function")

    def declare(function: ScorerFunction) -> Scorer:
        _check_keywords(id, needs, function, precheck)
        if together is None and pair is None:
            # Refuse phrases of further readings where the function's annotation says that there are none.
            further = [key for key in phrases if key]
            if further and inspect.signature(function).return_annotation in (Reading, "Reading", "physbench.Reading"):
                raise ValueError(
                    f"@scorer {id}: phrase={further[0]!r}, but the function returns a Reading: only a dict has further "
                    "readings"
                )
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
            precheck=precheck,
            together=together,
            pair=pair,
            costly=costly,
            packages=tuple(packages),
            families=tuple(families),
            phrases=tuple(phrases.items()),
            seen=tuple(sights.items()),
            breaks_at=breaks_at,
            needs_constants=needs_constants,
            roles=tuple(own_roles.items()),
        )

    return declare


def _names(id: str, what: str, value: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several as a tuple."""
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"@scorer {id}: {what}={value!r}, expected a name or a tuple of names")
    return names


def _by_key(id: str, what: str, value: Mapping[str, Text]) -> dict[str, Text]:
    """A declaration by key of a reading."""
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        example = {"phrase": '"gravity {}" or {"": "gravity {}"}', "roles": '{"": "lawfulness"}'}[what]
        raise ValueError(f"@scorer {id}: {what}={value!r}, expected text by key, as in {example}")
    return dict(value)


def _sights(id: str, seen: object, phrases: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Visible signs, by key of a phrase."""
    by_key: dict[str, Any] = dict(seen) if isinstance(seen, Mapping) else {"": seen} if seen else {}
    for key, pair in by_key.items():
        if key not in phrases or not (isinstance(pair, tuple | list) and [type(text) for text in pair] == [str, str]):
            raise ValueError(
                f"@scorer {id}: seen={seen!r}, expected two texts beside a phrase: what one would see where it is too "
                "small, and where it is too large"
            )
    return {key: (pair[0], pair[1]) for key, pair in by_key.items()}


def _check_phrases(
    id: str, phrases: Mapping[str, str], breaks_at: object, needs_constants: Sequence[str], *, other_use: bool
) -> None:
    """Refuse phrases, thresholds and keys that do not belong together. other_use: of the threshold, without phrases."""
    for text in phrases.values():
        if text.count("{}") != 1:
            raise ValueError(f'@scorer {id}: phrase={text!r}, expected {{}} once, as in "gravity {{}}"')
    number = isinstance(breaks_at, int | float) and not isinstance(breaks_at, bool) and 0 < breaks_at < math.inf
    if not number and (phrases or breaks_at is not None):
        raise ValueError(f"@scorer {id}: breaks_at={breaks_at!r}, expected a number above 0 beside a phrase")
    if number and not phrases and not other_use:
        raise ValueError(f'@scorer {id}: breaks_at={breaks_at!r} without a phrase, expected one, as in "gravity {{}}"')
    for key in needs_constants:
        if key not in phrases:
            keys = f"a key of phrase: {', '.join(map(repr, phrases))}" if phrases else "a phrase with this key"
            raise ValueError(f"@scorer {id}: needs_constants={key!r}, expected {keys}")


def _check_keywords(id: str, needs: Sequence[str], function: ScorerFunction, precheck: Precheck | None) -> None:
    """Refuse needs that nothing takes, and functions that take by keyword only what they are not given."""
    functions = {"function": function} | ({} if precheck is None else {"precheck": precheck})
    taken = {need for each in functions.values() for need in _taken(each, tuple(needs))}
    for need in needs:
        if need not in (*INPUTS, *taken):
            raise ValueError(
                f"@scorer {id}: needs={need!r}, but the function has no parameter of that name after the first three"
            )
    for what, each in functions.items():
        for name, parameter in inspect.signature(each).parameters.items():
            required = parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
            if required and (name not in needs or name in INPUTS):
                raise ValueError(f"@scorer {id}: the {what} takes {name!r}, which is not in its needs")


def not_modelled(clip: Clip) -> Reading:
    """The reading of a clip that cannot be shadowed, with the reason."""
    return Reading(None, "not applicable", f"cannot be shadowed: {why_not(clip)}")


def nothing_expected(shadowing: Shadowing) -> Reading:
    """The reading of a clip in which no moving object is visible for long enough to be judged."""
    brief = "the context shows no velocity, and ground truth shows moving objects too briefly to fit a segment"
    return Reading(
        None, "not applicable", brief if shadowing.problem.seen.too_brief else "no moving object should be visible"
    )


def no_gravity(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | None:
    """Not applicable without gravity in the plane of motion."""
    if np.any(plane_from_world(clip.scene.camera, np.asarray(clip.scene.gravity, dtype=np.float64))):
        return None
    return Reading(None, "not applicable", "nothing falls in this scene")


SHARD_COLUMNS = tuple(item.name for item in fields(ScoreRow))
SHARD_VERSION = "1"
NOT_ROWS = (OSError, ValueError, KeyError, TypeError, RecursionError)  # where a part cannot be read


def rows_document(rows: Iterable[ScoreRow]) -> list[dict[str, Any]]:
    """Rows as JSON values; a float survives the way there and back exactly."""
    return [{name: getattr(row, name) for name in SHARD_COLUMNS} for row in rows]


def rows_from(document: Iterable[dict[str, Any]]) -> list[ScoreRow]:
    return [ScoreRow(**row) for row in document]


def write_part(path: Path, rows: Sequence[ScoreRow]) -> None:
    """Write one clip's rows, whole or not at all."""
    document = {"schema_version": SHARD_VERSION, "rows": rows_document(rows)}
    write_sealed_json(path, document, indent=0, allow_nan=True)


def read_part(path: Path) -> list[ScoreRow] | None:
    """Return the rows of a part, or None where there is none or it is damaged: it is then scored again."""
    try:
        return checked_part(path)
    except NOT_ROWS:
        return None


def checked_part(path: Path) -> list[ScoreRow]:
    """Return the rows of a part. Raises one of NOT_ROWS where there is none or it is damaged."""
    document = read_sealed_json(path)
    if document["schema_version"] != SHARD_VERSION:
        raise ValueError(f"schema version {document['schema_version']} instead of {SHARD_VERSION}")
    return rows_from(document["rows"])


def write_scores(path: Path, rows: Sequence[ScoreRow]) -> None:
    """Write scores.parquet from rows in their final order. Nothing in it depends on time, place or worker."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"seed": pa.int64(), "sample": pa.int64(), "value": pa.float64(), "quality": pa.float64()}
    schema = pa.schema(
        [pa.field(name, kinds.get(name, pa.string())) for name in SHARD_COLUMNS],
        metadata={"physbench_schema_version": SHARD_VERSION, SEAL: EMPTY_SEAL.decode()},
    )
    columns = [[getattr(row, name) for row in rows] for name in SHARD_COLUMNS]
    table = pa.table(
        [pa.array(values, type=item.type) for values, item in zip(columns, schema, strict=True)], schema=schema
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", version="2.6", row_group_size=max(1, len(rows)))
    write_sealed(path, buffer.getvalue())
