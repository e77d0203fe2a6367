"""A result as Markdown for a model card or a comment, and as CSV for a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from physbench.report.clip_count_text import counting, partly
from physbench.report.event_text import event_sentences
from physbench.report.free_constant_text import unseen_sentences
from physbench.report.skill_table import SkillCell, skill_rows
from physbench.results.csv_text import cell_text, csv_text
from physbench.results.number_format import (
    AXIS_NAMES,
    MAY_CHANGE,
    bracket,
    counted,
    failures_by_reason,
    fixed,
    suite_name,
)

if TYPE_CHECKING:
    from physbench.storage.run_folder import RunFolder

Format = Literal["html", "md", "csv", "json"]
FORMATS: tuple[Format, ...] = ("html", "md", "csv", "json")

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


def markdown(result: Mapping[str, Any]) -> str:
    """The answer in words, the table of skills and notes on it."""
    model, suite, counts = result["model"], result["suite"], result["counts"]
    some = f" of {suite['of']}" if suite["of"] not in (None, suite["clips"]) else ""
    samples = f", {counts['samples']} samples a clip" if counts["samples"] > 1 else ""
    clips = f"{suite['clips']}{some} clips" if some else counted(suite["clips"], "clip")
    about = f"physbench {suite_name(result)}, {clips}{samples}, "
    about += f"{result['render_spec']}, {model['track']}"
    lines = [f"### {_plain(model['name'])}: {about}", ""]
    lines += [f"**{_plain(sentence)}**  " for sentence in result["sentences"]]
    lines.append("")
    limits = [result["note"], MAY_CHANGE if result["provisional"] else ""]
    if any(limits):
        text = "; ".join(limit for limit in limits if limit)
        lines += [f"> {text[0].upper()}{text[1:]}.", ""]
    if counts["scored"]:
        overall = result["overall"]
        found = f"{fixed(overall['skill'])} {bracket(overall['interval'])}".strip()
        lines += [f"Overall skill {found}" + (f" ({overall['reason']})" if overall["skill"] is None else ""), ""]
        axes = [AXIS_NAMES.get(axis, axis) for axis in result["axes"]]
        lines += [f"| skill | {' | '.join(axes)} |", "| --- |" + " ---: |" * len(axes)]
        for line in skill_rows(result):
            name = f"**{line.name}**" if line.level in ("all", "family") else _plain(line.name)
            lines.append(f"| {name} | {' | '.join(_cell(cell) for cell in line.cells)} |")
        lines += [
            "",
            "1 is ground truth, 0 the frozen last frame. Where a frozen frame keeps what ground truth keeps, a model "
            "can only lose: kept, or the share of it that it lost.",
            "",
        ]
        if best := result["best_of"]:
            text = f"Best of {best['samples']} samples, chosen after the fact and not the score: "
            lines += [f"{text}{fixed(best['overall'])}.", ""]
        if freed := unseen_sentences(result):
            lines += [" ".join(map(_plain, freed)), ""]
        if avoided := event_sentences(result):
            lines += [" ".join(map(_plain, avoided)), ""]
    if said := counting(result) + partly(result):
        lines += [" ".join(map(_plain, said)), ""]
    if counts["failed"]:
        reasons = failures_by_reason(result["failures"])
        said = [f"{_plain(reason)} ({n})" if len(reasons) > 1 else _plain(reason) for reason, n in reasons[:3]]
        more = f"; and {len(reasons) - 3} more reasons" if len(reasons) > 3 else ""
        share = f"{counts['failed']} of {counted(counts['clips'], 'clip')}"
        lines += [f"{share} failed and count as 0: {'; '.join(said)}{more}", ""]
    hashes = f"suite `{suite['hash'][:12]}`" + (f", model `{model['sha256'][:12]}`" if model["sha256"] else "")
    lines.append(f"{hashes}, physbench {result['physbench_version']}")
    return "\n".join(lines) + "\n"


def _cell(cell: SkillCell) -> str:
    return cell.note if cell.note in ("not scored", "not asked") else f"{cell.text} {cell.note}".strip()


def _plain(text: str) -> str:
    """Text of models and users, escaped so that no Markdown renders it."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&!])", r"\\\1", " ".join(text.split()))


def csv_of_tasks(result: Mapping[str, Any]) -> str:
    """One row per task and axis, columns CSV_COLUMNS; empty where there is no value."""
    return csv_text(CSV_COLUMNS, _task_rows(result))


def _task_rows(result: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    suite = result["suite"]
    head = (result["model"]["name"], suite["name"], suite["version"], result["render_spec"])
    for task, axes in result["tasks"].items():
        for axis, found in axes.items():
            skill, quality = found["skill_interval"] or (None, None), found["interval"] or (None, None)
            references = [found["references"].get(name) for name in ("truth", "freeze", "constant-velocity")]
            values = (found["skill"], *skill, found["quality"], *quality, *references, found["clips"])
            yield (*head, task, axis, found["kind"], *values)


def csv_of_clips(folder: RunFolder) -> str:
    """Every reading of every sample of every clip: scores.parquet as CSV."""
    from physbench.results.read_run import read_scores

    table = read_scores(folder)
    for name in table.select_dtypes(exclude="number"):
        table[name] = table[name].map(cell_text)
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text
