"""Checks of the entries of a board before a page is made of them: files, identity, clips, references, skills.

Hashes find damage. Who makes them again on purpose is found where a number does not follow from the qualities of the
clips, or these are not measured on what everybody was measured on. Not found: qualities of a model that fit together,
and what is no skill (intervals, strength, speed, readings, badge): the worth of these is that of who keeps the board.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physbench.errors import PhysbenchError, UsageError
from physbench.leaderboard.eligibility import Candidate, board_suite, refuse_ineligible
from physbench.leaderboard.entry import KEPT_SOURCES, PACKED_FILES, Entry, unpack
from physbench.results.answers import asked_axes
from physbench.results.schema import ResultDocument
from physbench.results.skill import Kind, Qualities, clip_qualities, kinds, skills, task_means
from physbench.results.task_roles import kinds_of
from physbench.storage.sealed_file import PACKED
from physbench.world.scene import RenderSpec

if TYPE_CHECKING:
    import pandas as pd

SAME = 1e-6  # of a skill or a quality
ABOUT, HEADLINES, UNSEEN = "about.json", "headlines.parquet", "unseen.parquet"
ROW = ["clip", "sample", "reading"]


def check_entries(board: Path, found: Sequence[Entry]) -> None:
    """Unpack the entries of a board for readers, and raise UsageError with the first that is not what was added."""
    whole = [path for path in (board / "entries").iterdir() if not path.name.startswith(".")]
    for path in sorted(set(whole) - {entry.path for entry in found}):
        raise UsageError(f"{path}: holds no result.json{PACKED}. Add the run again, or remove it.")
    references: dict[tuple[str, int, str], tuple[Entry, Mapping[str, pd.DataFrame]]] = {}
    others = [_candidate(entry) for entry in found]
    for entry, candidate in zip(found, others, strict=True):
        _refuse_other_files(entry)
        refuse_ineligible(entry.path, candidate, board, others)
        if candidate.name != entry.name:
            raise _refusal(entry, f"is a result of {candidate.name}")
        unpack(entry)
        try:
            tables = entry.tables()
            problem = _other_references(entry, tables, references) or next(_problems(entry.result, tables), "")
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            problem = f"its tables and its result do not belong together ({type(error).__name__}: {error})"
        except PhysbenchError as error:
            problem = str(error)
        if problem:
            raise _refusal(entry, problem)


def _refusal(entry: Entry, problem: str) -> UsageError:
    return UsageError(f"{entry.path}: {problem}. Add the run again, or remove it.")


def _candidate(entry: Entry) -> Candidate:
    try:
        return entry.candidate
    except (KeyError, ValueError, TypeError) as error:
        raise _refusal(entry, f"its card cannot be read ({type(error).__name__}: {error})") from error


def _refuse_other_files(entry: Entry) -> None:
    """Raise UsageError where the files are not those that were added."""
    packed = [f"{name}{PACKED}" for name in PACKED_FILES]
    kept = {*packed, HEADLINES, *([UNSEEN] if entry.result.unseen_constants is not None else [])}
    there = {path.name for path in entry.path.iterdir()}
    if entry.path.is_symlink() or any(path.is_symlink() for path in entry.path.iterdir()):
        raise _refusal(entry, "is a link, or holds one")
    for name in sorted(set(entry.about.files) ^ kept):
        raise _refusal(entry, f"{ABOUT} names other files than an entry has: {name}")
    for name in sorted(there - kept - {ABOUT, *PACKED_FILES}):
        raise _refusal(entry, f"holds {name}, which no entry has")
    for name, known in entry.about.files.items():
        path = entry.path / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != known:
            raise _refusal(entry, f"{name} is not the file that was added")


def _problems(result: ResultDocument, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """What of a result does not follow from the clips, in words."""
    if not result.model.name.isprintable():
        yield "the name of its model is not printable"
    clips = {row.id for row in board_suite().rows}
    for source in KEPT_SOURCES:
        table = tables[source]
        if set(table["clip"]) != clips:
            yield f"{source} has {table['clip'].nunique()} clips, the suite {len(clips)}"
        if table.duplicated(ROW).any():
            yield f"{source} has a reading twice"
        quality = table["quality"].to_numpy(float)
        if np.any((quality < 0) | (quality > 1)):
            yield f"{source} has a quality outside of 0 to 1"
    axes = asked_axes(result.model.card)
    qualities = clip_qualities({"model": tables["model"]}, tables["truth"], tables["freeze"], axes)
    right = _suite_kinds(qualities, result)
    yield from _other_kinds(qualities, right, result)
    yield from _other_skills(qualities, right, result)


def _suite_kinds(qualities: Qualities, result: ResultDocument) -> dict[str, tuple[Kind, ...]]:
    """What each task counts as by axis, as the suite says."""
    size, _, rest = result.render_spec.partition("@")
    height, width = (int(side) for side in size.split("x"))
    spec = RenderSpec(height, width, float(rest.partition("-")[0]), result.look)
    return kinds(qualities, kinds_of(result.suite.version, spec, result.context))


def _other_kinds(qualities: Qualities, right: Mapping[str, tuple[Kind, ...]], result: ResultDocument) -> Iterator[str]:
    """Tasks that count otherwise than the suite says."""
    if set(right) != set(result.tasks):
        yield f"it has {len(result.tasks)} tasks, the suite {len(right)}"
    for task, row in right.items():
        for axis, kind in zip(qualities.axes, row, strict=True):
            if result.tasks[task][axis].kind != kind:
                yield f"{axis} of {task} counts as {result.tasks[task][axis].kind}, and is {kind}"


def _other_skills(qualities: Qualities, right: Mapping[str, tuple[Kind, ...]], result: ResultDocument) -> Iterator[str]:
    """Skills that do not follow from the qualities: overall, of families, axes and tasks."""
    means = task_means(qualities.means(), qualities.counts())
    here = skills(means, right, 0, slice(1, 3))
    if set(here.family) != set(result.by_family):
        yield f"overall is made of {sorted(here.family)}, not of {sorted(result.by_family)}"
    pairs = [("overall", result.overall.skill, float(here.overall))]
    pairs += [(f"overall of {name}", each.skill, float(here.family[name])) for name, each in result.by_family.items()]
    for a, axis in enumerate(qualities.axes):
        pairs.append((axis, result.axes[axis].skill, float(here.axis[a])))
        pairs += [
            (f"{axis} of {task}", said[axis].skill, float(here.task[task][a])) for task, said in result.tasks.items()
        ]
        for family, said in result.families.items():
            pairs.append((f"{axis} of {family}", said[axis].skill, float(here.informative[family][a])))
    for name, skill, found in pairs:
        if (skill is None) != math.isnan(found) or (skill is not None and abs(skill - found) > SAME):
            yield f"{name} is {skill}, and {found:.6f} from the clips"


def _other_references(
    entry: Entry,
    tables: Mapping[str, pd.DataFrame],
    known: dict[tuple[str, int, str], tuple[Entry, Mapping[str, pd.DataFrame]]],
) -> str:
    """How ground truth or the frozen frame differ from those of another entry that was shown the same; "" if not."""
    result = entry.result
    first, theirs = known.setdefault((result.render_spec, result.context, result.look), (entry, tables))
    for source in KEPT_SOURCES[1:]:
        mine, other = (each[source].set_index(ROW)["quality"].sort_index() for each in (tables, theirs))
        if not mine.index.equals(other.index) or not np.allclose(mine, other, rtol=0, atol=SAME, equal_nan=True):
            return f"its {source} is not that of {first.name}"
    return ""
