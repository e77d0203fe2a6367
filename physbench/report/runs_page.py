"""The runs of a folder as a page, with a link to each report."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from physbench.errors import PhysbenchError
from physbench.printable import printable
from physbench.report.page_environment import page_environment
from physbench.report.skill_table import skill_rows
from physbench.results.number_format import AXIS_NAMES, GUARD_MEANING, fixed
from physbench.results.run_comparison import compare
from physbench.results.run_listing import SORTED_BY, RunSummary, sorted_runs
from physbench.scoring.scorer_protocol import AXES
from physbench.storage.run_folder import RunFolder
from physbench.storage.sealed_file import read_sealed_json

FEWER_RESAMPLES = 1000  # of a page that is waited for


@dataclass(frozen=True)
class RunRow:
    """One row, in words."""

    name: str
    link: str  # "" where there is no report
    model: str
    suite: str
    overall: str
    axes: tuple[str, ...]
    key: str  # by which it is named in a request
    state: str
    changed: str
    note: str


def report_link(run: RunSummary) -> str:
    """Where the report of a run is served."""
    return f"/report/{run_key(run)}"


def run_key(run: RunSummary) -> str:
    """By which a run is named in a request: a hash of its path, so that nothing in a path counts."""
    return hashlib.sha256(run.path.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def report_file(run: RunSummary) -> Path | None:
    """The report of a run, or None: there is none, or it is a link to somewhere else."""
    path = RunFolder(Path(run.path)).report
    linked = path.is_symlink() or path.parent.is_symlink()
    return path if path.is_file() and not linked else None


def overall_words(run: RunSummary) -> str:
    """ "0.50 [0.43, 0.57]"; a dash with the reason where there is no overall."""
    if run.overall is None:
        return f"– {run.reason}".rstrip()
    return f"{run.overall:.2f}" + (f" [{run.interval[0]:.2f}, {run.interval[1]:.2f}]" if run.interval else "")


def axis_words(run: RunSummary, axis: str) -> str:
    """ "0.46"; a dash where there is no skill, and "" where the run has no result."""
    return fixed(run.axes[axis]) if axis in run.axes else ""


def state_words(run: RunSummary) -> str:
    """ "finished"; "partial: 14 of 56"; "12 of 56 scored"."""
    if run.state == "partial":
        return f"partial: {run.done} of {run.of}"
    return f"{run.done} of {run.of} scored" if run.state == "unfinished" else run.state


def runs_page(folder: Path, runs: Sequence[RunSummary], by: str = "changed") -> str:
    """HTML. Every text is escaped: names of folders and models may hold anything. by: as of `sorted_runs`."""
    rows = [_row(folder, run) for run in sorted_runs(runs, by)]
    page = page_environment("physbench.report").get_template("runs.html.j2")
    columns = ("run", "model", "suite", "overall", *AXES, "state", "changed")
    return page.render(
        folder=printable(str(folder.resolve())),
        rows=rows,
        notes=any(row.note for row in rows),
        columns=[(name, AXIS_NAMES.get(name, name), name in SORTED_BY, name in ("overall", *AXES)) for name in columns],
        by=by,
    )


def two_runs_page(folder: Path, pair: Sequence[RunSummary]) -> str:
    """HTML of two runs side by side: skills of all levels, and in a sentence which one is ahead."""
    results = [read_sealed_json(RunFolder(Path(run.path)).result, required=False) for run in pair]
    levels = [{(line.level, line.name): line.cells for line in skill_rows(result)} for result in results]
    axes = [axis for axis in AXES if any(axis in result["axes"] for result in results)]
    rows = []
    for level, name in dict.fromkeys(key for each in levels for key in each):
        cells = [
            tuple(f"{cell.text}{' lost' if cell.note == 'lost' else ''}" for cell in each[level, name])
            if (level, name) in each
            else ("",) * (1 + len(axes))
            for each in levels
        ]
        rows.append((level, printable(name), list(zip(*cells, strict=False))))  # by axis, both runs
    try:
        said = compare(*(RunFolder(Path(run.path)) for run in pair), resamples=FEWER_RESAMPLES).against[0].sentence
    except (PhysbenchError, OSError) as error:
        said = str(error)
    page = page_environment("physbench.report").get_template("two_runs.html.j2")
    return page.render(
        folder=printable(str(folder.resolve())),
        pair=[_row(folder, run) for run in pair],
        columns=["overall", *(AXIS_NAMES[axis] for axis in axes)],
        rows=rows,
        said=printable(said),
        guards=GUARD_MEANING,
    )


def _row(folder: Path, run: RunSummary) -> RunRow:
    path = Path(run.path)
    name = str(path.relative_to(folder)) if path.is_relative_to(folder) and path != folder else path.name or run.path
    tags = " ".join(f"[{tag}]" for tag in run.tags)
    return RunRow(
        name=printable(name),
        link=report_link(run) if report_file(run) else "",
        model=printable(run.model),
        suite=printable(run.suite),
        overall=overall_words(run),
        axes=tuple(axis_words(run, axis) for axis in AXES),
        key=run_key(run) if run.axes else "",
        state=state_words(run),
        changed=datetime.fromtimestamp(run.changed).strftime("%Y-%m-%d %H:%M"),
        note=printable(" ".join(part for part in (tags, run.note) if part)),
    )
