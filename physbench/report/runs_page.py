"""The runs of a folder as a page, with a link to each report."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from physbench.printable import printable
from physbench.report.page_environment import page_environment
from physbench.results.run_listing import RunSummary
from physbench.storage.run_folder import RunFolder


@dataclass(frozen=True)
class RunRow:
    """One row, in words."""

    name: str
    link: str  # "" where there is no report
    model: str
    suite: str
    overall: str
    state: str
    changed: str
    note: str


def report_link(run: RunSummary) -> str:
    """Where the report of a run is served: the name is a hash of its path, so that nothing in a path counts."""
    return f"/report/{hashlib.sha256(run.path.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}"


def report_file(run: RunSummary) -> Path | None:
    """The report of a run, or None: there is none, or it is a link to somewhere else."""
    path = RunFolder(Path(run.path)).report
    linked = path.is_symlink() or path.parent.is_symlink()
    return path if path.is_file() and not linked else None


def overall_words(run: RunSummary) -> str:
    """ "0.50 [0.43, 0.57]"; "" where there is no overall."""
    if run.overall is None:
        return ""
    return f"{run.overall:.2f}" + (f" [{run.interval[0]:.2f}, {run.interval[1]:.2f}]" if run.interval else "")


def state_words(run: RunSummary) -> str:
    """ "finished"; "partial: 14 of 56"; "12 of 56 scored"."""
    if run.state == "partial":
        return f"partial: {run.done} of {run.of}"
    return f"{run.done} of {run.of} scored" if run.state == "unfinished" else run.state


def runs_page(folder: Path, runs: Sequence[RunSummary]) -> str:
    """HTML. Every text is escaped: names of folders and models may hold anything."""
    rows = [_row(folder, run) for run in runs]
    page = page_environment("physbench.report").get_template("runs.html.j2")
    return page.render(folder=printable(str(folder.resolve())), rows=rows, notes=any(row.note for row in rows))


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
        state=state_words(run),
        changed=datetime.fromtimestamp(run.changed).strftime("%Y-%m-%d %H:%M"),
        note=printable(" ".join(part for part in (tags, run.note) if part)),
    )
