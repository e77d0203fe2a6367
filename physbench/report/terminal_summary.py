"""The result on a terminal: the sentences, a table of skill by task and axis, and notes on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from physbench.report.event_text import event_sentences
from physbench.report.free_constant_text import unseen_sentences
from physbench.report.skill_table import BEYOND_MEMORY, SkillCell, memory_note, skill_rows
from physbench.results import number_format
from physbench.results.answers import overall_meaning
from physbench.results.number_format import FAILED_ON, failures_by_reason

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

LEGEND = (
    "1 is ground truth, 0 the frozen last frame. Where a frozen frame keeps what ground truth keeps, a model can only "
    f"lose: kept, or the share of it that it lost. {number_format.DRIFT_IS_BETTER_HIGH}"
)
STRENGTH_LEGEND = (
    "Strength: the smallest distance in diameters within which the whole motion is lawful, median over clips; ground "
    "truth has 0.01, and less is better."
)
SHOWN_REASONS = 3
Document = Mapping[str, Any]


def signed(value: float | None, digits: int = 2) -> str:
    """ "0.41", "-0.20"; a dash for what does not exist."""
    return "–" if value is None else f"{value + 0.0:.{digits}f}".replace("-0.00", "0.00")


def bracket(interval: list[float] | tuple[float, float] | None, digits: int = 2) -> str:
    """ "[0.38, 0.44]", or nothing."""
    return "" if interval is None else f"[{signed(interval[0], digits)}, {signed(interval[1], digits)}]"


def print_summary(result: Document, console: Console) -> None:
    """Print a result document. Needs 72 columns and no colours."""
    from rich.text import Text

    model, suite = result["model"], result["suite"]
    head = Text()
    head.append(model["name"], style="bold")
    some = f" of {suite['of']}" if suite.get("of") not in (None, suite["clips"]) else ""
    clips = f"{suite['clips']}{some} clips" if some else number_format.counted(suite["clips"], "clip")
    if result["counts"]["samples"] > 1:
        clips += f" x {result['counts']['samples']} samples"
    head.append(f"  {number_format.suite_name(result)}, {clips}, {result['render_spec']}", style="dim")
    console.print()
    console.print(head)
    if result["note"] or result["provisional"]:
        notes = [
            result["note"],
            number_format.MAY_CHANGE if result["provisional"] else "",
        ]
        text = "; ".join(note for note in notes if note)
        console.print(Text(f"{text[0].upper()}{text[1:]}.", style="yellow"))
    console.print()
    for sentence in result["sentences"]:
        console.print(Text(sentence), soft_wrap=False)
    if result["counts"]["scored"]:
        console.print()
        console.print(_table(result))
        _overall(result, console)
    _remarks(result, console)


def _table(result: Document) -> Table:
    """Skill by family, task and axis; then that of all families with its interval, and of the references."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("skill", no_wrap=True)
    for axis in result["axes"]:
        name = number_format.AXIS_NAMES.get(axis, axis)
        table.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)  # two short lines
    sized = result.get("strength") is not None
    if sized:
        table.add_column("strength", justify="right", no_wrap=True, style="dim")
    lines = skill_rows(result)
    for line in sorted(lines, key=lambda line: line.level in ("all", "reference")):
        cells = [*(_cell(cell) for cell in line.cells), *([Text(line.strength)] if sized else [])]
        if line.level == "all":
            table.add_row(Text(line.name, style="bold"), *(Text(cell.plain, style="bold") for cell in cells))
            if any(found["interval"] for found in result["axes"].values()):
                intervals = [bracket(found["interval"]) for found in result["axes"].values()]
                table.add_row(Text("95 % interval", style="dim"), *(Text(text, style="dim") for text in intervals))
        elif line.level == "reference":
            table.add_row(Text(line.name, style="dim"), *(Text(cell.plain, style="dim") for cell in cells))
        elif line.level == "family":
            table.add_row(Text(line.name, style="bold"), *cells)
        else:
            table.add_row(Text(line.name if ": " in line.name else f"  {line.name}"), *cells)
    return table


def _cell(cell: SkillCell) -> Text:
    from rich.text import Text

    word = f" {cell.note}" if cell.note == "lost" else ""
    text = cell.note if cell.note in ("not scored", "not asked") else cell.text.replace("−", "-") + word
    return Text(text, style="dim" if cell.tone in ("kept", "none") else "")


def _overall(result: Document, console: Console) -> None:
    from rich.text import Text

    overall = result["overall"]
    line = Text("overall ", style="bold")
    line.append(signed(overall["skill"]), style="bold cyan")
    line.append(f" {bracket(overall['interval'])}".rstrip(), style="cyan")
    if overall["reason"] and (overall["skill"] is None or not result["note"]):
        line.append(f"  ({overall['reason']})", style="dim")
    for name, reference in result["references"].items():
        own, ahead = reference["overall"]["skill"], reference["ahead"]
        if own is not None:
            line.append(f"   {name.replace('-', ' ')} {signed(own)}", style="dim")
            if ahead["interval"]:
                line.append(f", {number_format.ahead(ahead['skill'], ahead['interval'])}", style="dim")
    if (beyond := result.get("beyond_memory")) and beyond["overall"] and beyond["overall"]["skill"] is not None:
        value = beyond["overall"]
        line.append(f"   {BEYOND_MEMORY} {signed(value['skill'])} {bracket(value['interval'])}".rstrip(), style="dim")
    console.print()
    console.print(line)
    if meaning := overall_meaning(result["model"]["card"]):
        console.print(Text(f"overall: {meaning}", style="dim"))
    if best := result.get("best_of"):
        text = f"best of {best['samples']} samples, chosen after the fact and not the score: {signed(best['overall'])}"
        console.print(Text(text, style="dim"))
    if freed := unseen_sentences(result):
        console.print(Text(" ".join(freed).replace("−", "-"), style="dim"))
    if avoided := event_sentences(result):
        console.print(Text(" ".join(avoided), style="yellow"))
    if note := memory_note(result):
        console.print(Text(note, style="dim"))
    console.print(Text(LEGEND, style="dim"))
    if result.get("strength"):
        console.print(Text(STRENGTH_LEGEND, style="dim"))


def _indented(reason: str) -> str:
    """A reason, which may have two lines, as a part of a list."""
    return reason.replace("\n", "\n    ")


def _remarks(result: Document, console: Console) -> None:
    from rich.text import Text

    counts = result["counts"]
    if counts["failed"]:
        reasons = failures_by_reason(result["failures"])
        share = f"{counts['failed']} of {number_format.counted(counts['clips'], 'clip')}"
        said = f"{share} failed and count" if counts["samples"] == 1 else f"In {share} a sample failed and counts"
        if len(reasons) == 1:
            console.print(Text(f"{said} as 0: {_indented(reasons[0][0])}", style="red"))
        else:
            console.print(Text(f"{said} as 0:", style="red"))
            for reason, count in reasons[:SHOWN_REASONS]:
                console.print(Text(f"  {count} x {_indented(reason)}", style="red"))
            if len(reasons) > SHOWN_REASONS:
                console.print(Text(f"  and {len(reasons) - SHOWN_REASONS} more, in result.json", style="red"))
    for reading, reason in result["unavailable"].items():
        if reason.startswith(FAILED_ON):
            console.print(Text(f"unavailable: {reading} {reason}", style="red"))
        else:
            console.print(Text(f"{reading} is unavailable: {reason}", style="dim"))
    speed = result["speed"]
    parts = [
        f"{speed['model_frames_per_s']:.0f} model frames/s" if speed["model_frames_per_s"] else "",
        f"{speed['total_seconds']:.0f} s in all" if speed["total_seconds"] else "",
        f"{speed['peak_memory_gb']:.1f} GB" if speed["peak_memory_gb"] else "",
    ]
    if any(parts):
        console.print(Text(", ".join(part for part in parts if part), style="dim"))
