"""The report of a run on the suite `expectation`: thresholds with their units, curves, and surprise over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from physbench.report.svg import CONSTANT_VELOCITY, FREEZE, LINE, MODEL, SOFT, TRUTH, drawing, inline
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
    with drawing(3.0, 1.9, (0.36, 0.1, 0.12, 0.42)) as (figure, axes):
        axes.set_xscale("log")
        for level in (0.5, 0.75):
            axes.axhline(level, color=LINE, lw=0.8, zorder=1)
        for baseline in kind.sizes[0].baselines:
            values = [size.baselines.get(baseline) for size in kind.sizes]
            colour = FREEZE if baseline in GREY_BASELINES else CONSTANT_VELOCITY
            axes.plot(amounts, [np.nan if v is None else v for v in values], color=colour, lw=0.8, zorder=2)
        axes.plot(amounts, [np.nan if s.curve is None else s.curve for s in kind.sizes], color=MODEL, lw=1.8, zorder=4)
        axes.plot(amounts, [np.nan if s.accuracy is None else s.accuracy for s in kind.sizes], "o", color=MODEL, ms=4)
        axes.set_ylim(-0.04, 1.06)
        axes.set_yticks([0, 0.5, 0.75, 1], ["0", ".5", ".75", "1"])
        axes.minorticks_off()
        axes.set_xticks(amounts, [f"{size:g}" for size in sizes])
        axes.set_xlabel(kind.unit)
        return inline(figure, f"curve-{name}", f"{kind.noun}: share of pairs told apart by size; {kind.said}.")


def film_chart(pair: FilmPair, part: Mapping[str, Any]) -> str:
    """Surprise over time at the two films of a pair."""
    times = np.array(part["times"], dtype=np.float64)
    with drawing(3.0, 1.7, (0.42, 0.1, 0.1, 0.36)) as (figure, axes):
        for name, colour, width in ((pair.possible, TRUTH, 1.0), (pair.impossible, MODEL, 1.8)):
            values = [np.nan if value is None else value for value in part["films"][name]]
            axes.plot(times, values, color=colour, lw=width, zorder=3)
        axes.axvline(pair.event, color=SOFT, lw=0.8, ls=(0, (2, 2)), zorder=2)
        drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines[:2]])
        if np.isfinite(drawn).any() and 0 <= np.nanmin(drawn) <= np.nanmax(drawn) / 2:  # else small changes are lost
            axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
        axes.set_xlabel("seconds from the hand-over")
        return inline(figure, f"film-{pair.id}", f"Surprise over time at the films of {pair.id}.")
