"""The result of probing a model, as a JSON document, as CSV, as Markdown and as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from physbench.result.document import Record
from physbench.result.formats import bracket, csv_text, fixed, number

if TYPE_CHECKING:
    from rich.console import Console

MODEL, UNTRAINED, PIXELS, TRUTH = "model", "untrained", "pixels", "truth"
Interval = tuple[float, float]


class Score(Record):
    """One read-out."""

    r2: float = Field(description="1 exact; 0 as good as the mean of the task's fitted clips; below 0 worse.")
    interval: Interval | None = Field(description="95 % interval over clips; null with fewer than 8 clips.")
    error: float = Field(description="Root of the mean squared error, in the unit of the quantity.")


class Gain(Record):
    """R2 of the model less that of what stands beside it, on the same clips."""

    r2: float = Field(description="The difference.")
    interval: Interval | None = Field(description="95 % interval, paired by clip; null with fewer than 8 clips.")


class ProbeReading(Record):
    """A quantity that was read off one family's clips by read-outs of one family."""

    quantity: str = Field(description="Name of the quantity.")
    unit: str = Field(description="SI unit; empty for a ratio.")
    fitted_on: str = Field(description="Family of the clips that the read-outs were fitted on.")
    family: str = Field(description="Family of the clips that were read.")
    split: str = Field(description="Split of the clips that were read.")
    tasks: list[str] = Field(description="Tasks in which the quantity varies.")
    clips: int = Field(description="Clips that were read.")
    moments: int = Field(description="Moments of them, times bodies.")
    scores: dict[str, Score] = Field(description="By what was read: model, untrained, pixels.")
    gains: dict[str, Gain] = Field(description="Model over untrained and over pixels.")


class ForceReading(Record):
    """The exponent of the force that probed orbits of a task imply."""

    task: str = Field(description="Id of the task.")
    read: str = Field(description="Whose positions: truth, model, untrained, pixels.")
    exponent: float | None = Field(description="Of the distance; Newton's is -2. Null where it cannot be told.")
    interval: Interval | None = Field(description="95 % interval over clips.")
    share: float | None = Field(description="Share of the squared accelerations that such a force explains.")
    clips: int = Field(description="Clips whose orbits are long enough.")
    reason: str = Field(description="Reason that it cannot be told; empty where it can.")


class LeftOut(Record):
    """A quantity that was not read somewhere."""

    quantity: str = Field(description="Name of the quantity.")
    where: str = Field(description="Family, or tasks.")
    reason: str = Field(description="Reason.")


class ProbeDocument(Record):
    """The result of probing a model."""

    schema_version: Literal[1] = Field(description="Version of this document's layout.")
    physbench_version: str = Field(description="Version of the program.")
    model: str = Field(description="The model as it was named.")
    sha256: str | None = Field(description="Hash of the model; null where it cannot be known.")
    suite: str = Field(description="Suite and its version.")
    render_spec: str = Field(description="Size and rate of the clips.")
    fitted_split: str = Field(
        description="Split of the clips that read-outs are fitted on, and are cross-validated on."
    )
    moments_per_second: float = Field(description="Moments at which the model has latents.")
    features: dict[str, int] = Field(description="Numbers of a moment that are read, after averaging over space.")
    latents: str = Field(description="Shape of the model's latents of a moment.")
    readings: list[ProbeReading] = Field(description="All read-outs.")
    forces: list[ForceReading] = Field(description="Implied laws of force; empty without orbits.")
    left_out: list[LeftOut] = Field(description="Quantities that were not read, with the reason.")
    notes: list[str] = Field(description="Sentences for the reader.")


CSV_COLUMNS = (
    *("quantity", "unit", "fitted_on", "family", "split", "read", "r2", "low", "high", "error", "clips", "moments"),
)


def csv_table(document: ProbeDocument) -> str:
    """All read-outs, one a row."""
    rows = [
        (
            *(each.quantity, each.unit, each.fitted_on, each.family, each.split, name),
            *(score.r2, *(score.interval or (None, None)), score.error, each.clips, each.moments),
        )
        for each in document.readings
        for name, score in each.scores.items()
    ]
    return csv_text(CSV_COLUMNS, rows)


def _read(score: Score | None) -> str:
    return "–" if score is None else f"{fixed(score.r2)} {bracket(score.interval)}".rstrip()


def _gain(gain: Gain | None) -> str:
    if gain is None:
        return "–"
    return f"{gain.r2:+.2f} {bracket(gain.interval)}".rstrip().replace("-", "−")


def main_rows(document: ProbeDocument) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table of each family's own read-outs, with the ood split beside."""
    beside = {
        (each.family, each.quantity): each
        for each in document.readings
        if each.fitted_on == each.family and each.split == "ood" != document.fitted_split
    }
    names = [name for name in (MODEL, UNTRAINED, PIXELS) if name in document.features]
    columns = ["family", "quantity", *names, *([f"over {UNTRAINED}"] if UNTRAINED in names else []), "error", "clips"]
    columns += ["model, ood"] if beside else []
    rows = []
    for each in document.readings:
        if each.fitted_on != each.family or each.split != document.fitted_split:
            continue
        row = [each.family, each.quantity, *(_read(each.scores.get(name)) for name in names)]
        row += [_gain(each.gains.get(UNTRAINED))] if UNTRAINED in names else []
        row += [f"{number(each.scores[MODEL].error, 2)} {each.unit}".rstrip(), str(each.clips)]
        if beside:
            other = beside.get((each.family, each.quantity))
            row.append(_read(other.scores[MODEL] if other else None))
        rows.append(row)
    return columns, rows


def transfer_rows(document: ProbeDocument) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of R2 of the model's read-outs on other families; own ones are cross-validated."""
    chosen = [each for each in document.readings if each.split == document.fitted_split]
    families = sorted({each.family for each in chosen})
    values = {(each.quantity, each.fitted_on, each.family): each.scores[MODEL].r2 for each in chosen}
    keys = dict.fromkeys((each.quantity, each.fitted_on) for each in chosen if each.fitted_on != each.family)
    rows = [
        [quantity, fitted, *(fixed(values.get((quantity, fitted, family))) for family in families)]
        for quantity, fitted in keys
    ]
    return ["quantity", "fitted on", *(f"read on {family}" for family in families)], rows


def force_rows(document: ProbeDocument) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of implied laws of force."""
    rows = []
    for each in document.forces:
        exponent = f"{fixed(each.exponent)} {bracket(each.interval)}" if each.exponent is not None else "cannot be told"
        rows.append([each.task, each.read, exponent, fixed(each.share), str(each.clips), each.reason])
    return ["task", "positions of", "exponent", "share", "clips", "reason"], rows


def sentences(document: ProbeDocument) -> list[str]:
    """Sentences that stand beside the tables."""
    left = [f"Left out: {each.quantity} ({each.where}): {each.reason}." for each in document.left_out]
    features = ", ".join(f"{name} {count:,}" for name, count in document.features.items())
    return [
        f"{document.model} on {document.suite}, {document.render_spec}; latents {document.latents} at "
        f"{document.moments_per_second:g} a second. Numbers read a moment: {features}.",
        "R2 within tasks of ridge read-outs, cross-validated by clip on the split "
        f"{document.fitted_split}: 1 is exact, 0 no better than the mean of the task's other clips. "
        "[95 % interval over clips]",
        *document.notes,
        *left,
    ]


TABLES = (("", main_rows), ("Read-outs of one family on another, R2 of the model", transfer_rows))


def _tables(document: ProbeDocument) -> Iterable[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
    force_title = "Law of force that probed orbits imply, exponent of the distance (Newton's is −2)"
    for title, make in (*TABLES, (force_title, force_rows)):
        columns, rows = make(document)
        if rows:
            yield title, columns, rows


def markdown(document: ProbeDocument) -> str:
    """Tables and sentences as Markdown."""
    parts = [sentences(document)[0]]
    for title, columns, rows in _tables(document):
        lines = [f"**{title}**", ""] if title else []
        lines += [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *sentences(document)[1:]]) + "\n"


def print_probes(document: ProbeDocument, console: Console) -> None:
    """Tables and sentences on a terminal."""
    from rich.table import Table

    for title, columns, rows in _tables(document):
        if title:
            console.print(title, style="bold")
        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    for sentence in sentences(document):
        console.print(sentence)
