"""All scorers on one rollout of one clip, and readings by the role that scorers declare."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation, Reading, ReadingRole, Scorer, ScoreRow
from physbench.support import plugins
from physbench.support.errors import LawError, PhysbenchError, UsageError, nearest
from physbench.support.plugins import describe_error_in_file, entries, load
from physbench.track.tracks import Tracks, state_tracks

SCORER_GROUP = "physbench.scorers"


def find_scorers(glob: str | None = None, *, costly: bool = False) -> tuple[Scorer, ...]:
    """Return the registered scorers, sorted by id, and those of the files that `glob` names.

    glob: ids, the part after their slash, globs of them, or files (`physbench.support.plugins`), separated by
    commas. Files alone are added to all that is installed. Costly scorers are returned only where they are named in
    full, or with `costly`. Scorers that do not come with physbench are diagnostics: their quality is in the table of
    scores, and never that of an axis. Raises UsageError with the nearest names where nothing matches.
    """
    known = entries(SCORER_GROUP)
    parts = plugins.split_pattern(glob or "*")
    scorers: dict[str, Scorer] = {}
    for part in [part for part in parts if not plugins.names_files(part)] or ["*"]:
        names = [n for n in known if fnmatchcase(n, part) or fnmatchcase(n.split("/")[-1], part)]
        if not names:
            raise UsageError(f"There is no scorer named '{part}'.{_offered(part, tuple(known))}")
        for name in names:
            declared = load(SCORER_GROUP, name)
            if not isinstance(declared, Scorer) or declared.id != name:
                raise UsageError(
                    f"Entry point '{name}' in {SCORER_GROUP}: expected a scorer with this id but got {declared!r:.80}."
                )
            if declared.costly and not costly and part not in (name, name.split("/")[-1]):
                continue
            scorers[name] = (
                declared if known[name].value.startswith(f"{SCORER_GROUP}.") else replace(declared, headline=False)
            )
    for part in filter(plugins.names_files, parts):
        for file, name in plugins.open_files(part):
            declared_here = dict(plugins.public_members(file, lambda value: isinstance(value, Scorer)))
            for each in plugins.select_members(file, name, declared_here, "scorer").values():
                if each.id in known or each.id in scorers:
                    raise UsageError(f"{file.path}: there is a scorer '{each.id}' already. Give this one another id.")
                scorers[each.id] = replace(each, headline=False)
    return tuple(scorers[name] for name in sorted(scorers))


def _offered(part: str, known: Sequence[str]) -> str:
    """A suggestion for a name or glob that fits no scorer: a group, a similar name, or all groups."""
    groups = sorted({name.split("/")[0] for name in known})
    plain = part.strip("*?")
    if plain.strip("/") in groups:
        return f" Did you mean '{plain.strip('/')}/*'?"
    close = nearest(plain, known)
    if close.startswith(" Did"):
        return close
    return f" There are {', '.join(f'{group}/*' for group in groups)}: see `physbench scorers list`."


def score_clip(
    clip: Clip, rollout: Rollout, context: int, scorers: Sequence[Scorer], *, store: bool = True
) -> tuple[list[ScoreRow], Observation | None]:
    """Track a rollout and read it with every scorer.

    Returns one row per reading, in the order of `scorers`, and the observation that they read: the tracks with the
    analyses that were needed. It is None for a failed rollout, and for one that cannot be tracked; the readings are
    then failed with quality 0 wherever they would apply to a prediction in which nothing is seen. MemoryError is passed
    on. With store=False no analysis writes into the cache folder.
    """
    states, scorers = rollout.states, [scorer for scorer in scorers if scorer.reads(clip.row.family)]
    # All frames of a stored clip are needed beside a picture: those of the context would be unpacked twice.
    true = clip.frames if states is None else clip.context(context)
    nothing = replace(rollout, frames=true[:0], states=None if states is None else states[:0])
    tracks, started = None, time.monotonic()
    if rollout.failure is None:
        try:
            tracks = observed(clip, rollout, context)
        except MemoryError:  # of this machine, not of the model
            raise
        except Exception as error:  # a broken tracker must not lose a row either
            rollout = replace(nothing, failure=f"tracking: {type(error).__name__}: {error}")
    if tracks is None:
        try:
            tracks = observed(clip, nothing, context)
        except MemoryError:
            raise
        except Exception:  # not even the context: the further readings are not known
            failed = Reading(None, "failed", str(rollout.failure))
            return [_row(clip, rollout, scorer, "", failed) for scorer in scorers], None
    observation = Observation(clip, rollout, tracks, store)
    observation.seconds["tracks"] = time.monotonic() - started
    rows = read_observation(observation, scorers)
    return rows, None if rollout.failure is not None else observation


def read_observation(observation: Observation, scorers: Sequence[Scorer]) -> list[ScoreRow]:
    """Rows of a tracked prediction, one per reading, in the order of `scorers`; failed where its rollout failed."""
    rollout, rows = observation.rollout, []
    for scorer in scorers:
        if not scorer.reads(observation.clip.row.family):
            continue
        read: Callable[[], Reading | dict[str, Reading]] = partial(scorer.read, observation)
        if rollout.states is not None and scorer.needs_picture:
            read = partial(Reading, None, "not applicable", "states show no picture")
        for key, reading in _safely(scorer, read).items():
            if rollout.failure is not None and reading.status == "ok":
                reading = replace(reading, value=None, status="failed", reason=rollout.failure)
            rows.append(_row(observation.clip, rollout, scorer, key, reading))
    return rows


def observed(clip: Clip, rollout: Rollout, context: int) -> Tracks:
    """Tracks of the context and of a rollout: those of its states where it has any, else what a tracker sees."""
    from physbench.track.tracker import track, true_tracks

    if rollout.states is not None:
        return state_tracks(clip, context, rollout.states)
    frames, future = rollout.frames, clip.future()
    if np.array_equal(frames[-1:], future[-1:]) and np.array_equal(frames, future):
        return true_tracks(clip, context)  # which readings of other predictions ask for, too
    return track(clip, context, np.concatenate([clip.context(context), frames[: clip.horizon]]))


def score_together(
    clip: Clip, context: int, samples: Sequence[Tracks | None], scorers: Sequence[Scorer]
) -> list[ScoreRow]:
    """Read all samples of a clip (None for one that failed) with the scorers that read them together.

    The rows are those of sample 0.
    """
    rows = []
    for scorer in scorers:
        if scorer.together is not None:
            rows += _rows(clip, 0, scorer, partial(scorer.together, clip, context, samples))
    return rows


def score_pair(
    clip: Clip,
    tracks: Tracks | None,
    origin: Clip,
    before: Tracks | None,
    sample: int,
    scorers: Sequence[Scorer],
    not_read: str = "",
) -> list[ScoreRow]:
    """Read a clip with a change beside the one that it is a change of, with the scorers that read both.

    tracks, before: of the same sample of each; None for one that failed. not_read: why the pair is not read, or "". The
    rows are those of the clip with the change.
    """

    def read(scorer: Scorer) -> dict[str, Reading]:
        assert scorer.pair is not None
        if not_read:
            return {"": Reading(None, "not applicable", not_read)}
        if tracks is None or before is None:
            return {"": Reading(None, "failed", f"{clip.id if tracks is None else origin.id} failed")}
        return scorer.pair(clip, tracks, origin, before)

    paired = (scorer for scorer in scorers if scorer.pair is not None)
    return [row for scorer in paired for row in _rows(clip, sample, scorer, partial(read, scorer))]


def _rows(clip: Clip, sample: int, scorer: Scorer, read: Callable[[], dict[str, Reading]]) -> list[ScoreRow]:
    """Rows of readings of more than one rollout."""
    rollout = Rollout(clip.id, sample, clip.future()[:0])
    return [_row(clip, rollout, scorer, key, reading) for key, reading in _safely(scorer, read).items()]


def _safely(scorer: Scorer, read: Callable[[], Reading | dict[str, Reading]]) -> dict[str, Reading]:
    """The readings of a scorer; failed where it raises or gives no number. The reason then begins with its id."""
    try:
        answer = read()
        readings = dict(answer) if isinstance(answer, dict) else {"": answer}
        for key, reading in readings.items():
            if not isinstance(reading, Reading):
                named = f" as '{key}'" if key else ""
                readings[key] = Reading(None, "failed", f"{scorer.id} gave {reading!r:.80}{named}, which is no Reading")
            elif reading.status == "ok" and (reading.value is None or not math.isfinite(reading.value)):
                readings[key] = Reading(None, "failed", f"{scorer.id} gave {reading.value}", reading.unit)
    except MemoryError:
        raise
    except LawError as error:
        readings = {"": Reading(None, "failed", f"{scorer.id} cannot be read. {error}")}
    except Exception as error:
        place = Path(inspect.getsourcefile(scorer.function) or "")
        readings = {"": Reading(None, "failed", f"{scorer.id} raised {describe_error_in_file(error, place)}")}
    return readings


def quality_of(scorer: Scorer, reading: Reading) -> float | None:
    """Quality, 0..1, of a scorer's own reading; None where it has none. Raises what the scorer's map raises."""
    if scorer.quality is None:
        return None
    if reading.status == "failed":
        return 0.0
    if reading.status != "ok" or reading.value is None:
        return None
    return min(max(float(scorer.quality(reading.value)), 0.0), 1.0)


def _row(clip: Clip, rollout: Rollout, scorer: Scorer, key: str, reading: Reading) -> ScoreRow:
    quality = None
    if not key:
        try:
            quality = quality_of(scorer, reading)
        except Exception as error:  # in a user's declaration: it must not end the run
            reason = f"{scorer.id} raised {type(error).__name__} in its quality: {error}"
            reading, quality = Reading(None, "failed", reason, reading.unit), 0.0
    return ScoreRow(
        clip=clip.id,
        task=clip.row.task,
        split=clip.row.split,
        seed=clip.row.seed,
        sample=rollout.sample,
        reading=f"{scorer.id}.{key}" if key else scorer.id,
        axis=scorer.axis if scorer.headline and not key else None,
        value=None if reading.value is None else float(reading.value),
        unit=scorer.unit if reading.unit is None else reading.unit,
        quality=quality,
        status=reading.status,
        reason=reading.reason,
    )


# Finds readings by the roles that scorers declare, so that no other module has to know their names.


def reading_name(scorer: str, key: str) -> str:
    """ "laws/gravity" and "sideways" -> "laws/gravity.sideways", the name in tables; "" is the scorer's own reading."""
    return f"{scorer}.{key}" if key else scorer


@cache
def builtin_scorers() -> tuple[Scorer, ...]:
    """The scorers that come with physbench, sorted by id."""
    return tuple(
        load(SCORER_GROUP, name)
        for name, point in entries(SCORER_GROUP).items()
        if point.value.startswith(f"{SCORER_GROUP}.")
    )


@cache
def scorer_of(role: ReadingRole) -> Scorer:
    """The scorer that declares a role."""
    scorers = [each for each in builtin_scorers() if role in dict(each.roles).values()]
    if len(scorers) != 1:  # the code was replaced, and its list of scorers was not
        raise PhysbenchError(
            f"{len(scorers)} scorers of physbench have the role '{role}': what is installed is of another version than "
            "the code. Install physbench again (pip install -e .)."
        )
    return scorers[0]


@cache
def reading_of(role: ReadingRole) -> str:
    """Name of the reading that has a role, as it stands in score tables."""
    scorer = scorer_of(role)
    (key,) = (key for key, own in scorer.roles if own == role)
    return reading_name(scorer.id, key)
