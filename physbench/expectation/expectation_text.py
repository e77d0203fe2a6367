"""What a run on the suite `expectation` says: sentences, and the table on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from physbench.expectation.expectation_readings import size_text
from physbench.results.expectation_schema import ExpectationKindResult, ExpectationResult, ObserverResult, PairShare
from physbench.results.number_format import ascii_minus, bracket, counted, fixed, joined, number
from physbench.results.schema import ResultDocument

if TYPE_CHECKING:
    from rich.console import Console

NOTICED = 0.75  # of the pairs of a kind without sizes
MOST_KINDS_NAMED = 3  # kinds in a sentence


def decided(kind: ExpectationKindResult) -> bool:
    """Whether enough clips were shown to say whether a kind is noticed."""
    return kind.threshold is not None or (not kind.unit and kind.interval is not None)


def noticed(kind: ExpectationKindResult) -> bool:
    """Whether a model notices a kind: it has a threshold, or, without sizes, tells three of four pairs apart."""
    if kind.threshold is not None:
        return kind.threshold.size is not None
    return decided(kind) and kind.accuracy is not None and kind.accuracy >= NOTICED


def expectation_sentences(result: ExpectationResult) -> list[str]:
    """The answer in words: what is noticed and from which size on, what never is, and what pixels tell alone."""
    sentences = [_noticing([kind for kind in result.kinds.values() if decided(kind)])]
    if result.counted.accuracy is not None:
        said = f"{fixed(100 * result.counted.accuracy, 0)} % {_percent(result.counted)}".rstrip()
        sentences.append(f"Tells {said} of the pairs apart that no {result.baseline} solves; guessing gives 50 %.")
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
    parts = [f"{kind.noun} {kind.said}".strip() for kind in seen[:MOST_KINDS_NAMED]]
    parts += _further(len(seen) - MOST_KINDS_NAMED)
    missed = [kind.noun for kind in unseen[:MOST_KINDS_NAMED]]
    missed += _further(len(unseen) - MOST_KINDS_NAMED)
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
    others_said = "; ".join(
        f"{name} {observer_text(each)}" for name, each in result.observers.items() if name not in result.baselines
    )
    console.print(Text(ascii_minus(f"beside it: {others_said}"), style="dim"))
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
    """What a kind is, from which size on it is noticed, the interval, accuracy, the best baseline, pairs."""
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
