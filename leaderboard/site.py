"""Builds the page of a board from its entries: one file with everything inline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from physbench.leaderboard.entry import Entry, describe, entries
from physbench.leaderboard.ranking import Rank, ResampledSkill, rank, resampled_skill
from physbench.report.free_constant_text import family_factors
from physbench.results import number_format
from physbench.results.answers import answers_states, asked_axes
from physbench.results.bootstrap import RESAMPLES
from physbench.results.free_constant_skill import AXIS
from physbench.results.schema import ResultDocument, SkillValue
from physbench.results.skill import Kind
from physbench.storage.atomic_write import write_text

TRACK_TITLES = {
    "zero-shot": ("Zero-shot", "Models that were not trained on clips of physbench."),
    "trained": ("Trained", "Models that were trained on its train split."),
    "privileged": ("Privileged", "References that see hidden states. They are not competitors."),
}


@dataclass(frozen=True)
class RankedEntry:
    """One row of a table."""

    entry: Entry
    rank: Rank
    result: ResultDocument
    about: dict[str, str]

    @property
    def axes(self) -> list[SkillValue]:
        """Those that the model is asked about."""
        return [self.result.axes[axis] for axis in asked_axes(self.result.model.card)]

    @property
    def beyond_memory(self) -> SkillValue:
        """Overall skill minus that of the memory of as many training clips."""
        found = self.result.beyond_memory
        if found is None or found.overall is None:
            reason = "the result is of an older program" if found is None else found.reason
            return SkillValue(skill=None, interval=None, reason=reason)
        return found.overall

    @property
    def strength(self) -> float | None:
        """Median strength over all clips in diameters; None where it was not read."""
        return None if self.result.strength is None else self.result.strength.all.median

    @property
    def factors(self) -> dict[str, str]:
        """By family: the median factor on what the context does not show."""
        return family_factors(self.result.model_dump(mode="json"))


def ranked_entries(found: Sequence[Entry], resamples: int) -> dict[str, list[RankedEntry]]:
    """The entries of every track, ranked within it by overall skill, best first."""

    def overall(entry: Entry) -> ResampledSkill:
        axes = asked_axes(entry.result.model.card)
        return resampled_skill(entry.tables(), resamples=resamples, fixed=kinds_of(entry.result), axes=axes)

    return _ranked(found, overall)


def ranked_with_free_constants(found: Sequence[Entry], resamples: int) -> dict[str, list[RankedEntry]]:
    """The entries whose context does not show every constant, ranked likewise by consistency where these are free."""

    def freed(entry: Entry) -> ResampledSkill:
        tables, fixed = entry.unseen_tables(), unseen_kinds_of(entry.result)
        return resampled_skill(tables, resamples=resamples, fixed=fixed, axes=(AXIS,))

    return _ranked([entry for entry in found if _unseen_skill(entry.result) is not None], freed)


def _ranked(found: Sequence[Entry], by: Callable[[Entry], ResampledSkill]) -> dict[str, list[RankedEntry]]:
    tracks: dict[str, list[RankedEntry]] = {}
    for track in TRACK_TITLES:
        members = [entry for entry in found if entry.result.model.track == track]
        if not members:
            continue
        ranks = rank([by(entry) for entry in members])
        rows = [RankedEntry(e, r, e.result, dict(describe(e.result))) for e, r in zip(members, ranks, strict=True)]
        tracks[track] = sorted(rows, key=lambda line: (line.rank.rank, line.result.model.name))
    return tracks


def build(board: Path, *, resamples: int = RESAMPLES) -> Path:
    """Write BOARD/index.html from its entries and return its path. Raises UsageError where there are none."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = entries(board)
    environment = Environment(
        loader=PackageLoader("physbench.leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    asked = asked_axes(found[0].result.model.card)
    names = {axis: name for axis, name in number_format.AXIS_NAMES.items() if axis in asked}
    environment.filters |= {"fixed": number_format.fixed, "bracket": number_format.bracket}
    page = environment.get_template("board.html.j2").render(
        tracks=ranked_entries(found, resamples),
        unseen=ranked_with_free_constants(found, resamples),
        titles=TRACK_TITLES,
        axis_names=names,
        states=answers_states(found[0].result.model.card),
        suite=found[0].result.suite,
        provisional=found[0].result.provisional,
        percent=percent,
    )
    path = board / "index.html"
    write_text(path, page)
    return path


def kinds_of(result: ResultDocument) -> dict[str, dict[str, Kind]]:
    """What each task counted as, by axis."""
    return {task: {axis: found.kind for axis, found in axes.items()} for task, axes in result.tasks.items()}


def unseen_kinds_of(result: ResultDocument) -> dict[str, dict[str, Kind]]:
    """The same of consistency with unseen constants free."""
    tasks = {} if result.unseen_constants is None else result.unseen_constants.tasks
    return {task: {AXIS: found.kind} for task, found in tasks.items()}


def _unseen_skill(result: ResultDocument) -> float | None:
    return None if result.unseen_constants is None else result.unseen_constants.consistency.skill


def percent(skill: float) -> float:
    """Where a skill from -0.25 to 1 lies on its bar, in percent of the bar's width."""
    return round(100 * (min(max(skill, -0.25), 1.0) + 0.25) / 1.25, 2)
