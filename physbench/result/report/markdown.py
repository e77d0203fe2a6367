"""A result as Markdown, as metadata of a model card, as CSV, and as Jupyter shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from physbench.result.document import Interval, ResultDocument
from physbench.result.formats import AXIS_NAMES, SATURATED_MEANING, bracket, cell_text, csv_text, fixed
from physbench.result.read import read_scores
from physbench.result.report import tables
from physbench.result.report.page import page_environment
from physbench.result.report.summary import summary_view
from physbench.support.printable import printable
from physbench.support.run_folder import RunFolder

# A result as Markdown and metadata for a model card or a comment, and as CSV for a spreadsheet.

Format = Literal["html", "md", "model-index", "csv", "json"]
FORMATS: tuple[Format, ...] = ("html", "md", "model-index", "csv", "json")

CSV_COLUMNS = (
    "model",
    "suite",
    "suite_version",
    "render_spec",
    "task",
    "axis",
    "kind",
    "skill",
    "skill_low",
    "skill_high",
    "quality",
    "quality_low",
    "quality_high",
    "truth",
    "freeze",
    "constant_velocity",
    "clips",
)


def markdown(result: ResultDocument) -> str:
    """The answer in words, the table of skills and notes on it."""
    view = summary_view(result)
    lines = [f"### {_plain(view.model)}: physbench {', '.join((*view.run, result.model.track))}", ""]
    lines += [*(f"**{_plain(sentence)}**  " for sentence in view.sentences), ""]
    if view.limits:
        lines += [f"> {view.limits}", ""]
    notes = [view.counting]
    if view.scored:
        reason = f" ({view.overall.reason})" if view.overall.value == "–" else ""
        lines += [f"Overall skill {view.overall.text}{reason}", ""]
        lines += [f"| skill | overall | {' | '.join(figure.name for figure in view.axes.values())} |"]
        lines += ["| --- |" + " ---: |" * (len(view.axes) + 1)]
        for line in tables.skill_rows(result):
            name = f"**{line.name}**" if line.level in ("all", "family") else _plain(line.name)
            lines.append(f"| {name} | {' | '.join(_cell(cell) for cell in line.cells)} |")
        lines.append("")
        for shown, legend in (
            (tables.velocity_errors(result), tables.VELOCITY_LEGEND),
            (tables.combinations(result), tables.COMBINATIONS_LEGEND),
        ):
            if shown is None:
                continue
            words = 1 + len(shown.words)
            lines += [
                f"| {' | '.join(shown.columns)} |",
                "|" + " --- |" * words + " ---: |" * (len(shown.columns) - words),
            ]
            for row in shown.groups[0]:
                lines.append(f"| {row.name} | {' | '.join(f'{c.text} {c.note}'.strip() for c in row.cells)} |")
            lines += ["", _plain(legend), ""]
        notes = [*view.legend[:2], view.best_of, view.distribution, view.unseen, view.events, view.counting]
    if view.failed:
        reasons = [f"{reason} ({n})" if len(view.reasons) > 1 else reason for reason, n in view.reasons]
        more = f"; and {view.more_reasons} more reasons" if view.more_reasons else ""
        notes.append(f"{view.failed}: {'; '.join(reasons)}{more}")
    for text in notes:
        lines += [_plain(text), ""] if text else []
    suite, model = result.suite, result.model
    hashes = f"suite `{suite.hash[:12]}`" + (f", model `{model.sha256[:12]}`" if model.sha256 else "")
    lines.append(f"{hashes}, physbench {result.physbench_version}")
    return "\n".join(lines) + "\n"


def _cell(cell: tables.Cell) -> str:
    return cell.note if cell.note in ("unscored", "absent") else f"{cell.text} {cell.note}".strip()


def _plain(text: str) -> str:
    """Text of models and users, escaped so that no Markdown renders it."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&!])", r"\\\1", printable(" ".join(text.split())))


def model_index(result: ResultDocument) -> str:
    """YAML for the head of a model card on a hub: skill overall, by axis and by family, with intervals.

    A skill that is null has no place in that format: it is named in a comment with its reason.
    Source: https://github.com/huggingface/hub-docs/blob/main/modelcard.md.
    """
    suite, model = result.suite, result.model
    columns: dict[str, tuple[float | None, Interval | None, str]] = {
        "Skill overall": (result.overall.skill, result.overall.interval, result.overall.reason)
    }
    for axis, value in result.axes.items():
        columns[f"Skill: {AXIS_NAMES[axis]}"] = (value.skill, value.interval, value.reason)
    for family, added in result.by_family.items():
        columns[f"Skill: {family}"] = (added.skill, added.interval, added.reason)
    lines, without = [], []
    for name, (skill, interval, reason) in columns.items():
        if skill is None:
            without.append(f"# {name}: not known. {printable(' '.join(reason.split()))}".rstrip())
            continue
        lines += [f"    - type: physbench-skill\n      name: {_yaml(name)}\n      value: {_yaml(round(skill, 4))}"]
        if interval is not None:
            low, high = (round(end, 4) for end in interval)
            lines.append(f"      args:\n        interval_95: {_yaml([low, high])}")
    shown = "image-to-video" if model.card.context_frames == 1 else "video-to-video"
    shown = shown if model.card.sees_pictures else "time-series-forecasting"
    part = "" if suite.complete else f", {suite.clips} clips"
    head = [
        "model-index:",
        f"- name: {_yaml(model.name)}",
        "  results:",
        "  - task:",
        f"      type: {shown}",
        '      name: "Prediction of what happens next in physical scenes"',
        "    dataset:",
        "      type: physbench",
        f"      name: {_yaml(f'physbench {suite.name} {suite.version}{part}')}",
        f"      config: {_yaml(result.render_spec)}",
        f"      split: {_yaml(' and '.join(result.splits))}",
        f"      revision: {_yaml(suite.hash)}",
        "    metrics:",
    ]
    return "\n".join([*without, *head, *lines]) + ("" if lines else " []") + "\n"


def _yaml(value: object) -> str:
    """A value in one line of YAML: numbers as JSON has them; characters beyond ASCII, and quotes, are escaped."""
    if not isinstance(value, str):
        return json.dumps(value)
    plain = (each if " " <= each <= "~" and each not in '"\\' else f"\\U{ord(each):08x}" for each in value)
    return f'"{"".join(plain)}"'


def csv_of_tasks(result: ResultDocument) -> str:
    """One row per task and axis, columns CSV_COLUMNS; empty where there is no value."""
    return csv_text(CSV_COLUMNS, _task_rows(result))


def _task_rows(result: ResultDocument) -> Iterator[tuple[object, ...]]:
    suite = result.suite
    head = (result.model.name, suite.name, suite.version, result.render_spec)
    for task, axes in result.tasks.items():
        for axis, value in axes.items():
            skill, quality = value.skill_interval or (None, None), value.interval or (None, None)
            references = [value.references.get(name) for name in ("truth", "freeze", "constant-velocity")]
            values = (value.skill, *skill, value.quality, *quality, *references, value.clips)
            yield (*head, task, axis, value.kind, *values)


def csv_of_clips(folder: RunFolder) -> str:
    """Every reading of every sample of every clip: scores.parquet as CSV."""
    table = read_scores(folder)
    for name in table.select_dtypes(exclude="number"):
        table[name] = table[name].map(cell_text)
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text


def notebook_html(result: ResultDocument, report: Path | None) -> str:
    """The answer in words and the table of skills, with a link to the report where there is one."""
    environment = page_environment("physbench.result.report", fixed=fixed, bracket=bracket)
    return environment.get_template("notebook.html.j2").render(
        result=result,
        suite=result.suite_label,
        columns=["overall", *(AXIS_NAMES[axis] for axis in result.axes)],
        rows=tables.skill_rows(result),
        guards=SATURATED_MEANING,
        report=None if report is None else report.absolute().as_uri(),
    )
