"""The report of a run on the suite `expectation`: thresholds with their units, curves, and surprise over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from physbench.clips.clip import Row
from physbench.expectation.expectation_kinds import IMPOSSIBLE_KINDS
from physbench.expectation.expectation_readings import said
from physbench.expectation.expectation_text import mean_of, noticed, table_cells
from physbench.expectation.film_pairs import FilmPair
from physbench.expectation.shown_films import chosen_pairs, play
from physbench.expectation.surprise_series import PairReading
from physbench.report.page_environment import page_environment
from physbench.report.report_page import INLINE_ONLY, SCRIPT
from physbench.report.svg import (
    CONSTANT_VELOCITY,
    FREEZE,
    INCH,
    LINE,
    MODEL,
    SOFT,
    TRUTH,
    Plot,
    even_ticks,
    inline,
)
from physbench.report.table_view import Cell, Table, TableRow
from physbench.results.expectation_schema import ExpectationKindResult, ExpectationResult
from physbench.results.number_format import fixed, number
from physbench.results.schema import ResultDocument
from physbench.storage.atomic_write import write_text
from physbench.storage.run_folder import RunFolder
from physbench.world.scene import RenderSpec

GREY_BASELINES = ("frozen frame", "frozen state")  # drawn in grey, the other baselines in another colour


def write_expectation_page(
    folder: RunFolder,
    document: ResultDocument,
    readings: Sequence[PairReading],
    parts: Mapping[Row, Mapping[str, Any]],
    spec: RenderSpec,
) -> None:
    """Write report/index.html of a run.

    Args:
        folder: The run.
        document: Its result.
        readings: What the model makes of each pair and control.
        parts: What is stored of each clip.
        spec: Size and rate of the films.
    """
    from markupsafe import Markup

    from physbench.report.glossary import GLOSSARY

    result = document.expectation
    assert result is not None
    environment = page_environment("physbench.report", drawn=Markup, fixed=fixed)
    text = environment.get_template("expectation.html.j2").render(
        document=document,
        suite=document.suite_label,
        result=result,
        kinds=kinds_table(result),
        controls=controls_table(result),
        observers=observers_table(result),
        thresholds=thresholds_table(result),
        curves=[(kind.noun, curve_chart(name, kind)) for name, kind in result.kinds.items() if kind.threshold],
        films=[
            (chosen, play(chosen, spec), film_chart(chosen.pair, parts[chosen.pair.row]))
            for chosen in chosen_pairs(readings, result.alarm_level)
        ],
        inline_only=INLINE_ONLY,
        glossary=GLOSSARY,
        script=Markup(SCRIPT),
    )
    write_text(folder.report, text)


def kinds_table(result: ExpectationResult) -> Table:
    """What is noticed and from which size on, beside the best baseline that knows no physics."""
    rows = []
    for kind in result.kinds.values():
        noun, seen, interval, accuracy, pixels, pairs = table_cells(kind)
        best = _best_baseline(kind)
        cells = (
            Cell(seen, interval),
            Cell(best),
            Cell(accuracy, "" if kind.interval is None else f"[{fixed(kind.interval[0])}, {fixed(kind.interval[1])}]"),
            Cell(pixels),
            Cell(_left_out(kind)),
            Cell("–" if kind.peak is None else f"{number(kind.peak, 2)} s"),
            Cell(pairs),
        )
        rows.append(TableRow(noun, cells, "" if noticed(kind) else "beside"))
    columns = (
        "impossible",
        "noticed",
        f"best {result.baseline}",
        "told apart",
        f"{result.baseline}s",
        "sizes in the mean",
        "peak after the event",
        "pairs",
    )
    return Table("What is noticed, by kind of impossible event", columns, (tuple(rows),), words=(1, 2, 5))


def _best_baseline(kind: ExpectationKindResult) -> str:
    """From where on the baseline notices the kind that notices the most of it."""
    found = [(name, each) for name, each in kind.baseline_thresholds.items() if each.size is not None]
    if not found:
        return "never" if kind.threshold is not None else "–"
    own = IMPOSSIBLE_KINDS[next(name for name, each in IMPOSSIBLE_KINDS.items() if each.noun == kind.noun)]
    name, best = min(found, key=lambda item: own.amount(item[1].size or 0.0))
    return f"{said(own, best)} ({name})"


def _left_out(kind: ExpectationKindResult) -> str:
    counted = [size.size for size in kind.sizes if size.counts]
    if len(kind.sizes) == 1:
        return "yes" if counted else "no"
    if not counted:
        return "none"
    return "all" if len(counted) == len(kind.sizes) else ", ".join(f"{size:g}" for size in counted)


def controls_table(result: ExpectationResult) -> Table:
    """False alarms."""
    rows = [TableRow("impossible films", (Cell(fixed(result.hits)), Cell(str(result.everything.pairs))), "sum")]
    rows += [
        TableRow(control.shows, (Cell(fixed(control.alarms)), Cell(str(control.films))))
        for control in result.controls.values()
    ]
    return Table("Alarms", ("film", "alarms", "films"), (tuple(rows),))


def observers_table(result: ExpectationResult) -> Table:
    """The model beside others."""
    own = (Cell(fixed(result.counted.accuracy)), Cell(fixed(result.everything.accuracy)), Cell(fixed(result.auroc)))
    rows = [TableRow("model", (*own, Cell(str(result.everything.pairs))), "sum")]
    for name, each in result.observers.items():
        cells = (Cell(fixed(each.counted)), Cell(fixed(each.all)), Cell(fixed(each.auroc)))
        rows.append(TableRow(name, (*cells, Cell(str(each.pairs) if each.pairs else each.reason))))
    return Table("The model beside others", ("", "in the mean", "all kinds", "AUROC", "pairs"), (tuple(rows),))


def thresholds_table(result: ExpectationResult) -> Table:
    """From which size on the model and everybody beside it notices each kind; without sizes the share told apart."""
    others = [name for name, each in result.observers.items() if each.pairs]
    rows = []
    for name, kind in result.kinds.items():
        cells = [Cell(kind.said or fixed(kind.accuracy))]
        for other in others:
            threshold = {**kind.baseline_thresholds, **kind.beside_thresholds}.get(other)
            cells.append(Cell(said(IMPOSSIBLE_KINDS[name], threshold) or fixed(mean_of(kind, other))))
        rows.append(TableRow(kind.noun, tuple(cells)))
    columns = ("impossible", "model", *others)
    return Table("Thresholds beside others", columns, (tuple(rows),), words=tuple(range(1, len(columns))))


def curve_chart(name: str, kind: ExpectationKindResult) -> str:
    """Share of pairs told apart by the size of a violation, with the fitted curve and the baselines."""
    sizes = [size.size for size in kind.sizes]
    amounts = np.array([IMPOSSIBLE_KINDS[name].amount(size) for size in sizes])
    apart = 0.045 * np.ptp(np.log10(amounts)) or 0.02
    panel = Plot(
        (0.36 * INCH, 0.12 * INCH, 2.54 * INCH, 1.36 * INCH),
        (float(min(amounts)) * 10**-apart, float(max(amounts)) * 10**apart),
        (-0.04, 1.06),
        "x",
    )
    for level in (0.5, 0.75):
        panel.line(amounts[[0, -1]] * 10.0 ** np.array([-apart, apart]), [level, level], LINE, 0.8)
    for baseline in kind.sizes[0].baselines:
        colour = FREEZE if baseline in GREY_BASELINES else CONSTANT_VELOCITY
        panel.line(amounts, _known(size.baselines.get(baseline) for size in kind.sizes), colour, 0.8)
    told = _known(size.accuracy for size in kind.sizes)
    panel.line(amounts, _known(size.curve for size in kind.sizes), MODEL, 1.8)
    for amount, accuracy in zip(amounts, told, strict=True):
        if np.isfinite(accuracy):
            panel.mark(float(amount), accuracy, "o", 5, MODEL)
    panel.axis_y([0, 0.5, 0.75, 1], ["0", ".5", ".75", "1"])
    panel.axis_x(list(amounts), [f"{size:g}" for size in sizes], kind.unit)
    words = f"{kind.noun}: share of pairs told apart by size; {kind.said}."
    return inline(3.0, 1.9, [panel], f"curve-{name}", words)


def _known(values: Iterable[float | None]) -> list[float]:
    """Values with NaN for those that are not known."""
    return [np.nan if value is None else value for value in values]


def film_chart(pair: FilmPair, part: Mapping[str, Any]) -> str:
    """Surprise over time at the two films of a pair."""
    times = np.array(part["times"], dtype=np.float64)
    films = {name: _known(part["films"][name]) for name in (pair.possible, pair.impossible)}
    drawn = np.concatenate(list(films.values()))
    drawn = drawn[np.isfinite(drawn)] if np.isfinite(drawn).any() else np.array([0.0, 1.0])
    low, high = float(drawn.min()), float(drawn.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    low = 0.0 if 0 <= low <= high / 2 else low - margin  # else small changes are lost
    margin_x = 0.05 * float(np.ptp(times)) or 0.5
    across = (float(times.min()) - margin_x, float(times.max()) + margin_x)
    panel = Plot((0.42 * INCH, 0.14 * INCH, 2.48 * INCH, 1.2 * INCH), across, (low, high + margin))
    panel.line([pair.event, pair.event], [low, high + margin], SOFT, 0.8, dash="1.6,1.6")
    for name, colour, width in ((pair.possible, TRUTH, 1.0), (pair.impossible, MODEL, 1.8)):
        panel.line(times, films[name], colour, width)
    power = int(np.floor(np.log10(max(abs(low), abs(high))))) if low or high else 0
    power = 0 if -2 <= power <= 2 else power
    ticks, labels = even_ticks(low / 10.0**power, (high + margin) / 10.0**power, 5)
    panel.axis_y([tick * 10.0**power for tick in ticks], labels)
    panel.axis_x(*even_ticks(*across, 5), "seconds from the hand-over")
    if power:
        panel.heading(f"1e{power}")
    return inline(3.0, 1.7, [panel], f"film-{pair.id}", f"Surprise over time at the films of {pair.id}.")
