"""The report of a run on the suite `expectation`: page, sentences, films, figure, runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from physbench.clips.clip import Row
from physbench.clips.store import clip_store
from physbench.clips.suite import EXPECTATION_SUITE, suite_label
from physbench.result.document import (
    ExpectationKindResult,
    ExpectationResult,
    NoticedFrom,
    ObserverResult,
    PairShare,
    Record,
    ResultDocument,
    read_result,
)
from physbench.result.formats import ascii_minus, bracket, counted, fixed, joined, number
from physbench.result.manifest import read_manifest
from physbench.result.report import charts
from physbench.result.report.page import GLOSSARY, INLINE_ONLY, SCRIPT, page_environment
from physbench.result.report.pictures import Player, player
from physbench.result.report.tables import Cell, Table, TableRow
from physbench.result.sentences import distinct_names
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import write_text
from physbench.support.run_folder import RunFolder
from physbench.surprise.ask import PairReading
from physbench.surprise.clip_films import SPRITE_FRAMES
from physbench.surprise.films import film_of
from physbench.surprise.pairs import CONTROLS, IMPOSSIBLE_KINDS, FilmPair
from physbench.surprise.readings import relative, size_text, threshold_text
from physbench.world.scene import RenderSpec

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console

# Pairs of films that the page plays: what the model noticed, what it missed, and its false alarms.

NOTICED_PAIR, MISSED_PAIR, FALSE_ALARM = "noticed", "missed", "false alarm"


@dataclass(frozen=True)
class ChosenPair:
    """A pair to show."""

    pair: FilmPair
    verdict: str  # NOTICED_PAIR, MISSED_PAIR or FALSE_ALARM
    words: str  # why, with figures

    @property
    def title(self) -> str:
        """ "noticed: jumps, 0.4 diameters"."""
        if self.pair.control:
            return f"{self.verdict}: {CONTROLS[self.pair.kind]}"
        kind = IMPOSSIBLE_KINDS[self.pair.kind]
        size = f", {size_text(self.pair.size)} {kind.unit}" if kind.unit else ""
        return f"{self.verdict}: {kind.noun}{size}"


def chosen_pairs(readings: Sequence[PairReading], alarm_level: float | None) -> list[ChosenPair]:
    """One pair each of some kinds: the clearest that were noticed, the largest that were missed, the worst false alarm.

    Args:
        readings: What the model makes of all pairs and controls.
        alarm_level: Surprise over its usual level from which on a film raises an alarm.
    """
    possible, other = relative(readings)
    good = [k for k, reading in enumerate(readings) if not reading.failed]
    apart = {k: other[k] - possible[k] for k in good}

    def amount(k: int) -> float:
        pair = readings[k].pair
        return IMPOSSIBLE_KINDS[pair.kind].amount(pair.size)

    def one_a_kind(order: Sequence[int]) -> list[int]:
        first: dict[str, int] = {}
        for k in order:
            first.setdefault(readings[k].pair.kind, k)
        return list(first.values())[:2]  # hits, misses and false alarms

    pairs = [k for k in good if not readings[k].pair.control]
    hits = sorted((k for k in pairs if readings[k].right == 1), key=lambda k: -apart[k])
    misses = sorted((k for k in pairs if readings[k].right < 1), key=lambda k: (-amount(k), apart[k]))
    alarms = [] if alarm_level is None else [k for k in good if readings[k].pair.control and other[k] > alarm_level]
    chosen = [(NOTICED_PAIR, k) for k in one_a_kind(hits)] + [(MISSED_PAIR, k) for k in one_a_kind(misses)]
    chosen += [(FALSE_ALARM, k) for k in one_a_kind(sorted(alarms, key=lambda k: -other[k]))]
    return [ChosenPair(readings[k].pair, verdict, _words(float(possible[k]), float(other[k]))) for verdict, k in chosen]


def _words(possible: float, other: float) -> str:
    return f"Surprise over its usual level: {number(possible, 3)} at the left, {number(other, 3)} at the right."


def play(chosen: ChosenPair, spec: RenderSpec) -> Player | None:
    """Both films after the hand-over, the possible one at the left; None where they cannot be made on this machine."""
    pair = chosen.pair
    try:
        clip = clip_store().get(pair.row, spec)
        left, right = (film_of(clip, source, SPRITE_FRAMES).frames for source in (pair.possible, pair.impossible))
    except (PhysbenchError, ImportError):
        return None
    after = clip.handover + 1
    marks = () if pair.control else (pair.event,)
    return player(pair.id, left[after:], right[after:], spec.fps, marks)


# What a model tells apart of each kind, as a figure of matplotlib and as a table.


def kinds_frame(document: ResultDocument) -> pd.DataFrame:
    """One row a kind: share told apart with its interval, the best baseline, threshold with unit, pairs."""
    import pandas as pd

    expectation = document.expectation
    assert expectation is not None
    rows = []
    for name, kind in expectation.kinds.items():
        low, high = kind.interval or (None, None)
        rows.append(
            {
                "kind": name,
                "told_apart": kind.accuracy,
                "low": low,
                "high": high,
                "best_baseline": best_baseline(kind),
                "threshold": None if kind.threshold is None else kind.threshold.size,
                "unit": kind.unit,
                "pairs": kind.pairs,
            }
        )
    return pd.DataFrame(rows)


def kinds_figure(document: ResultDocument) -> Figure:
    """One row a kind: the share told apart with its 95 % interval, and the best baseline; the line is guessing."""
    model_colour = "#1f57b0"
    import matplotlib.pyplot as plt

    expectation = document.expectation
    assert expectation is not None
    table = kinds_frame(document)
    figure, panel = plt.subplots(figsize=(6.5, 0.28 * len(table) + 1.3), layout="constrained")  # inches
    plt.close(figure)
    places = range(len(table))
    panel.hlines(places, table["low"], table["high"], color=model_colour, linewidth=4, alpha=0.35)
    name = document.model.name.replace("$", r"\$")  # which begins a formula
    panel.plot(table["told_apart"], places, "o", color=model_colour, markersize=6, label=name)
    panel.plot(
        table["best_baseline"], places, "|", color="#8a8f98", markersize=10, label=f"best {expectation.baseline}"
    )
    panel.axvline(0.5, color="0.6", linewidth=0.8)
    panel.set_yticks(places, [kind.noun for kind in expectation.kinds.values()])
    panel.set_xlim(-0.03, 1.03)
    panel.invert_yaxis()
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0)
    panel.set_xlabel("share of the pairs told apart; guessing gives 0.5", fontsize=9)
    figure.legend(loc="outside upper center", ncols=2, fontsize=9, frameon=False)
    return figure


# What a run on the suite `expectation` says: sentences, and the table on a terminal.


def decided(kind: ExpectationKindResult) -> bool:
    """True if enough clips were shown to say whether a kind is noticed."""
    return kind.threshold is not None or (not kind.unit and kind.interval is not None)


def noticed(kind: ExpectationKindResult) -> bool:
    """True if a model notices a kind: it has a threshold, or, without sizes, tells three of four pairs apart."""
    if kind.threshold is not None:
        return kind.threshold.size is not None
    return decided(kind) and kind.accuracy is not None and kind.accuracy >= 0.75  # of the pairs of a kind without sizes


def expectation_sentences(result: ExpectationResult) -> list[str]:
    """The answer in words: what is noticed and from which size on, what never is, and what pixels tell alone."""
    sentences = [_noticing([kind for kind in result.kinds.values() if decided(kind)])]
    if result.counted.accuracy is not None:
        percent = f"{fixed(100 * result.counted.accuracy, 0)} % {_percent(result.counted)}".rstrip()
        sentences.append(f"Tells {percent} of the pairs apart that no {result.baseline} solves; guessing gives 50 %.")
    else:
        sentences.append(f"A {result.baseline} solves every kind and size that was shown, so that there is no mean.")
    if result.not_shown:
        sentences.append(f"States of bodies do not show {joined(result.not_shown)}: it is not asked about these.")
    if result.ahead:
        sentences.append(
            f"Its surprise at a frame depends on up to {number(result.ahead, 2)} s that come after it: whole films are "
            "compared, and no time of a peak is read."
        )
    if result.looks_ahead:
        sentences.append(f"It sees what comes: its {result.looks_ahead}. Its figures are not surprise.")
    return sentences


def _noticing(kinds: Sequence[ExpectationKindResult]) -> str:
    """ "Notices jumps from 0.4 diameters on and vanishing; never a change of hue"."""
    seen = sorted((kind for kind in kinds if noticed(kind)), key=lambda kind: -(kind.accuracy or 0))
    unseen = sorted((kind for kind in kinds if not noticed(kind)), key=lambda kind: kind.accuracy or 0)
    most_kinds_named = 3  # kinds in a sentence
    parts = [f"{kind.noun} {kind.said}".strip() for kind in seen[:most_kinds_named]]
    parts += _further(len(seen) - most_kinds_named)
    missed = [kind.noun for kind in unseen[:most_kinds_named]]
    missed += _further(len(unseen) - most_kinds_named)
    if not parts and not missed:
        return "Too few clips were shown to say what it notices."
    if not parts:
        return f"Notices none of what was shown: {joined(missed)}."
    return f"Notices {joined(parts)}" + (f"; never {joined(missed)}." if missed else ".")


def _further(kinds: int) -> list[str]:
    return [counted(kinds, "further kind")] if kinds > 0 else []


def _percent(share: PairShare) -> str:
    if share.interval is None:
        return ""
    return bracket([100 * end for end in share.interval], 0)


def print_expectation(document: ResultDocument, console: Console) -> None:
    """Print a result on a terminal."""
    from rich.table import Table
    from rich.text import Text

    result = document.expectation
    assert result is not None
    console.print()
    suite = document.suite_label
    head = f"  {suite}, {counted(result.everything.pairs, 'pair')}, {document.render_spec}"
    console.print(Text(document.model.name, style="bold").append(head, style="dim"))
    if document.note:
        console.print(Text(document.note, style="yellow"))
    console.print()
    for sentence in document.sentences:
        console.print(Text(ascii_minus(sentence)))
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    others = [name for name, each in result.observers.items() if name not in result.baselines and each.pairs]
    for name in ("impossible", "noticed", "interval", "told apart", f"{result.baseline}s", *others, "pairs"):
        table.add_column(name, justify="left" if name in ("impossible", "noticed", "interval") else "right")
    for kind in result.kinds.values():
        *cells, pairs = table_cells(kind)
        cells += [fixed(mean_of(kind, name)) for name in others]
        table.add_row(*map(ascii_minus, (*cells, pairs)), style="dim" if kind.counted is None else "")
    console.print(table)
    console.print()
    line = Text("mean ", style="bold")
    line.append(ascii_minus(f"{fixed(result.counted.accuracy)} {bracket(result.counted.interval)}"), style="bold cyan")
    line.append(
        f"  of what no {result.baseline} solves (chance 0.50); of all {fixed(result.everything.accuracy)}, "
        f"by the maximum {fixed(result.everything_maximum.accuracy)}; AUROC {fixed(result.auroc)}",
        style="dim",
    )
    console.print(line)
    if result.beyond_memory.pairs:
        text = f"beyond memory: {counted(result.beyond_memory.pairs, 'pair')}, "
        console.print(Text(text + f"{fixed(result.beyond_memory.accuracy)} told apart", style="dim"))
    alarms = ", ".join(f"{name} {fixed(control.alarms)}" for name, control in result.controls.items())
    if alarms:
        alarms = f"; lawful and new: {alarms}"
    console.print(Text(f"alarms: impossible films {fixed(result.hits)}{alarms}", style="dim"))
    observers = ", ".join(f"{name} {fixed(result.observers[name].all)}" for name in result.baselines)
    console.print(Text(f"{result.baseline}s on all: {observers}", style="dim"))
    others_text = "; ".join(
        f"{name} {observer_text(each)}" for name, each in result.observers.items() if name not in result.baselines
    )
    console.print(Text(ascii_minus(f"beside it: {others_text}"), style="dim"))
    if document.failures:
        reason = document.failures[0].reason
        console.print(
            Text(f"{counted(len(document.failures), 'film')} failed and counted against the model: {reason}", "red")
        )


def observer_text(observer: ObserverResult) -> str:
    """ "0.50 [0.44, 0.56] of 60 pairs", or why there is nothing."""
    if not observer.pairs:
        return observer.reason
    return f"{fixed(observer.all)} {bracket(observer.interval)}".rstrip() + f" of {counted(observer.pairs, 'pair')}"


def mean_of(kind: ExpectationKindResult, name: str) -> float | None:
    """Mean over sizes of what somebody beside the model tells apart; None where he judges none."""
    known = [value for size in kind.sizes if (value := {**size.baselines, **size.beside}.get(name)) is not None]
    return sum(known) / len(known) if known else None


def best_baseline(kind: ExpectationKindResult) -> float | None:
    """Mean over sizes of what the best baseline of each tells apart; None where there is none."""
    best = [max((b for b in size.baselines.values() if b is not None), default=None) for size in kind.sizes]
    known = [value for value in best if value is not None]
    return sum(known) / len(known) if known else None


def table_cells(kind: ExpectationKindResult) -> tuple[str, ...]:
    """Cells of a kind: its noun, size from which it is noticed, interval, accuracy, the best baseline, pairs."""
    best = best_baseline(kind)
    pixels = "–" if best is None else fixed(best)
    seen = kind.said or ("too few clips" if not decided(kind) else "yes" if noticed(kind) else "no")
    if kind.threshold is not None and kind.threshold.below_smallest:
        seen += " or less"
    return kind.noun, seen, interval_text(kind), fixed(kind.accuracy), pixels, str(kind.pairs)


def interval_text(kind: ExpectationKindResult) -> str:
    """The interval of a threshold in its unit; "or never" for an end that no size that was shown reaches."""
    if kind.threshold is None or kind.threshold.interval is None or kind.threshold.size is None:
        return ""
    low, high = (None if end is None else size_text(end) for end in kind.threshold.interval)
    if low is None:
        return ""
    return f"{low} or never" if high is None else f"{low} to {high}"


# The report of a run on the suite `expectation`: thresholds with their units, curves, and surprise over time.


def write_expectation_page(
    folder: RunFolder,
    document: ResultDocument,
    readings: Sequence[PairReading],
    parts: Mapping[Row, Mapping[str, Any]],
    spec: RenderSpec,
) -> None:
    """Write report/index.html of a run.

    Args:
        readings: What the model makes of each pair and control.
        parts: What is stored of each clip.
        spec: Size and rate of the films.
    """
    from markupsafe import Markup

    result = document.expectation
    assert result is not None
    environment = page_environment("physbench.result.report", drawn=Markup, fixed=fixed)
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
    """Table of kinds and the sizes from which they are noticed, beside the best baseline that knows no physics."""
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
    noticing = [(name, each) for name, each in kind.baseline_thresholds.items() if each.size is not None]
    if not noticing:
        return "never" if kind.threshold is not None else "–"
    own = IMPOSSIBLE_KINDS[next(name for name, each in IMPOSSIBLE_KINDS.items() if each.noun == kind.noun)]
    name, best = min(noticing, key=lambda item: own.amount(item[1].size or 0.0))
    return f"{threshold_text(own, best)} ({name})"


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
            cells.append(Cell(threshold_text(IMPOSSIBLE_KINDS[name], threshold) or fixed(mean_of(kind, other))))
        rows.append(TableRow(kind.noun, tuple(cells)))
    columns = ("impossible", "model", *others)
    return Table("Thresholds beside others", columns, (tuple(rows),), words=tuple(range(1, len(columns))))


def curve_chart(name: str, kind: ExpectationKindResult) -> str:
    """Share of pairs told apart by the size of a violation, with the fitted curve and the baselines."""
    sizes = [size.size for size in kind.sizes]
    amounts = np.array([IMPOSSIBLE_KINDS[name].amount(size) for size in sizes])
    apart = 0.045 * np.ptp(np.log10(amounts)) or 0.02
    panel = charts.Plot(
        (0.36 * charts.INCH, 0.12 * charts.INCH, 2.54 * charts.INCH, 1.36 * charts.INCH),
        (float(min(amounts)) * 10**-apart, float(max(amounts)) * 10**apart),
        (-0.04, 1.06),
        "x",
    )
    for level in (0.5, 0.75):
        panel.line(amounts[[0, -1]] * 10.0 ** np.array([-apart, apart]), [level, level], charts.LINE, 0.8)
    for baseline in kind.sizes[0].baselines:
        colour = charts.FREEZE if baseline in ("frozen frame", "frozen state") else charts.CONSTANT_VELOCITY
        panel.line(amounts, _known(size.baselines.get(baseline) for size in kind.sizes), colour, 0.8)
    accuracies = _known(size.accuracy for size in kind.sizes)
    panel.line(amounts, _known(size.curve for size in kind.sizes), charts.MODEL, 1.8)
    for amount, accuracy in zip(amounts, accuracies, strict=True):
        if np.isfinite(accuracy):
            panel.mark(float(amount), accuracy, "o", 5, charts.MODEL)
    panel.axis_y([0, 0.5, 0.75, 1], ["0", ".5", ".75", "1"])
    panel.axis_x(list(amounts), [f"{size:g}" for size in sizes], kind.unit)
    words = f"{kind.noun}: share of pairs told apart by size; {kind.said}."
    return charts.inline(3.0, 1.9, [panel], f"curve-{name}", words)


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
    panel = charts.Plot(
        (0.42 * charts.INCH, 0.14 * charts.INCH, 2.48 * charts.INCH, 1.2 * charts.INCH), across, (low, high + margin)
    )
    panel.line([pair.event, pair.event], [low, high + margin], charts.SOFT, 0.8, dash="1.6,1.6")
    for name, colour, width in ((pair.possible, charts.TRUTH, 1.0), (pair.impossible, charts.MODEL, 1.8)):
        panel.line(times, films[name], colour, width)
    power = int(np.floor(np.log10(max(abs(low), abs(high))))) if low or high else 0
    power = 0 if -2 <= power <= 2 else power
    ticks, labels = charts.even_ticks(low / 10.0**power, (high + margin) / 10.0**power, 5)
    panel.axis_y([tick * 10.0**power for tick in ticks], labels)
    panel.axis_x(*charts.even_ticks(*across, 5), "seconds from the hand-over")
    if power:
        panel.heading(f"1e{power}")
    return charts.inline(3.0, 1.7, [panel], f"film-{pair.id}", f"Surprise over time at the films of {pair.id}.")


class KindNoticed(Record):
    """Result of one model on one kind."""

    noun: str = Field(description='What is noticed: "jumps".')
    said: str = Field(description='The threshold in words; "yes" or "no" where there is no size; "" if undecided.')
    threshold: NoticedFrom | None = Field(description="Null for a kind without sizes.")
    accuracy: float | None = Field(description="Share of the pairs told apart.")


class ThresholdColumn(Record):
    """One run."""

    path: str = Field(description="Its folder.")
    name: str = Field(description="Name of the model.")
    unit: str = Field(description="What its surprise is measured in.")
    baseline: str = Field(description='What a baseline without physics is called: "pixel baseline".')
    counted: PairShare = Field(description="Mean over kinds of what no baseline without physics notices.")
    everything: PairShare = Field(description="Mean over kinds of all sizes.")
    auroc: float | None = Field(description="Impossible films against lawful ones of any clip.")
    kinds: dict[str, KindNoticed] = Field(description="By kind; a kind that it was not asked about is missing.")


class ThresholdTable(Record):
    """Some runs on the same pairs."""

    schema_version: int = Field(default=1, description="Version of this document's layout.")
    version: int = Field(description="Version of the suite.")
    provisional: bool = Field(default=False, description="True where its headline scorers may still change.")
    runs: list[ThresholdColumn] = Field(description="In the order in which they were given.")


def shows_films(folder: RunFolder) -> bool:
    """True if a folder holds a run of this suite. Raises UsageError where it holds no run."""
    return read_manifest(folder).suite.name == EXPECTATION_SUITE


def threshold_table(folders: Sequence[RunFolder]) -> ThresholdTable:
    """Thresholds of some runs. Raises UsageError where one is of another suite, unfinished, or shows other pairs."""
    manifests = [read_manifest(folder) for folder in folders]
    for folder, manifest in zip(folders, manifests, strict=True):
        if manifest.suite.name != EXPECTATION_SUITE:
            raise UsageError(
                f"{folder.path} is a run of {manifest.suite.name}, and {folders[0].path} of {EXPECTATION_SUITE}: "
                "compare runs of one suite."
            )
        if not folder.result.is_file():
            raise UsageError(f"{folder.path} is not finished. Repeat its command with --resume.")
        if manifest.suite.hash != manifests[0].suite.hash:
            raise UsageError(
                f"{folder.path} shows other pairs than {folders[0].path}: give both the same --limit and --tasks, and "
                "the same version of the suite."
            )
    names = distinct_names([(str(m.model.name), str(f.path)) for f, m in zip(folders, manifests, strict=True)])
    results = [read_result(folder.result).expectation for folder in folders]
    columns = [
        _column(folder, name, result)
        for folder, name, result in zip(folders, names, results, strict=True)
        if result is not None
    ]
    suite = manifests[0].suite
    return ThresholdTable(version=suite.version, provisional=suite.in_development, runs=columns)


def _column(folder: RunFolder, name: str, result: ExpectationResult) -> ThresholdColumn:
    kinds = {}
    for key, kind in result.kinds.items():
        sizeless = "" if kind.unit or kind.interval is None else "yes" if noticed(kind) else "no"
        kinds[key] = KindNoticed(
            noun=kind.noun, said=kind.said or sizeless, threshold=kind.threshold, accuracy=kind.accuracy
        )
    return ThresholdColumn(
        path=str(folder.path),
        name=name,
        unit=result.unit,
        baseline=result.baseline,
        counted=result.counted,
        everything=result.everything,
        auroc=result.auroc,
        kinds=kinds,
    )


def print_thresholds(table: ThresholdTable, console: Console) -> None:
    """Print a row for each kind and a column for each run."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in ("impossible", *(run.name for run in table.runs)):
        shown.add_column(Text(name), overflow="fold")
    nouns = {key: kind.noun for run in table.runs for key, kind in run.kinds.items()}
    for key, noun in nouns.items():
        cells = []
        for run in table.runs:
            kind = run.kinds.get(key)
            cells.append("not asked" if kind is None else f"{kind.said or 'too few clips'} ({fixed(kind.accuracy)})")
        shown.add_row(noun, *(Text(ascii_minus(cell)) for cell in cells))
    for noun, shares in (
        ("mean of what counts", [run.counted for run in table.runs]),
        ("mean of all", [run.everything for run in table.runs]),
    ):
        cells = [f"{fixed(share.accuracy)} {bracket(share.interval)}".rstrip() for share in shares]
        shown.add_row(noun, *(Text(ascii_minus(cell)) for cell in cells), style="bold")
    console.print()
    console.print(shown)
    console.print()
    note = "Noticed in 75 % of the pairs; in brackets the share of all sizes told apart, guessing gives 0.50."
    console.print(Text(f"{suite_label(EXPECTATION_SUITE, table.version, table.provisional)}. {note}", style="dim"))
    first, *others = ((tuple(run.kinds), run.baseline, run.counted.pairs, run.everything.pairs) for run in table.runs)
    if any(other != first for other in others):
        note = "Their means are not of the same pairs: other kinds were asked, or other pairs were left out."
        console.print(Text(note, style="yellow"))
