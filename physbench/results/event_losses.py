"""How often deciding events happen behind one image, beside how often they lawfully do: what dodging them costs.

Each clip gives the chance p that a lawful future of its image shows a kind of event. The number X of clips that show it
is then a sum of independent Bernoulli variables, which is Poisson binomial (Wang 1993, Statistica Sinica 3:295); its
distribution is made by convolution, exactly. Where P(X <= number shown) is below TOO_RARE, the task loses the share
1 - number shown / sum of p of its consistency: of what each clip has above the frozen frame, which shows no event.

The short-fall is relative to the mean, since that is the best estimate of the share of events that was avoided; it
is charged only where chance is out of question, since the same number would else be charged to lawful draws.

Several samples of a clip count as their mean. That is fair whether samples are independent or all alike: a mean spreads
no wider than one of them. A clip without a reading, such as one that failed, shows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.results.schema_parts import EventFrequencyResult
from physbench.scoring.reading_roles import reading_name, reading_of, scorer_of
from physbench.scoring.scorer_protocol import EVENT_KINDS

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

TOO_RARE = 0.001  # probability below which a number of events is not that of lawful draws
MIN_CLIPS = 24  # of a task that may show a kind of event


@dataclass(frozen=True)
class EventFrequency:
    """How often one kind of event happens in the clips of a task."""

    clips: int  # in which a lawful future may show it
    seen: float  # clips that show it, each the mean of its samples
    expected: float  # sum of the chances
    fewest: int  # the smallest number that is not too rare
    probability: float  # of so few in lawful futures

    @property
    def lost(self) -> float:
        """Share of the task's consistency that is lost, 0..1."""
        if self.clips < MIN_CLIPS or self.probability >= TOO_RARE:
            return 0.0
        return 1 - self.seen / self.expected


def sum_distribution(chances: Array) -> Array:
    """Probabilities (n + 1,) of the sums 0..n of independent events with chances (n,).

    >>> sum_distribution(np.array([0.5, 0.5]))
    array([0.25, 0.5 , 0.25])
    """
    found = np.ones(1)
    for chance in chances:
        found = np.convolve(found, [1 - chance, chance])
    return found


def event_frequencies(table: pd.DataFrame, truth: pd.DataFrame) -> dict[str, dict[str, EventFrequency]]:
    """By task and kind, what a score table shows in its clips; empty behind a video.

    truth: the score table of ground truth on these clips, which has the chances.
    """
    found: dict[str, dict[str, EventFrequency]] = {}
    truth = event_rows(truth)
    if truth.empty:
        return found
    samples, table = table.groupby("clip")["sample"].nunique(), event_rows(table)
    for kind in EVENT_KINDS:
        chances = _values(truth, f"{kind}-chance")
        chances = chances[chances["clip"].isin(samples.index)].drop_duplicates("clip").set_index("clip")
        shown = _values(table, kind).groupby("clip")["value"].sum()
        for task, own in chances.groupby("task"):
            share = shown.reindex(own.index, fill_value=0.0) / samples.reindex(own.index)
            found.setdefault(str(task), {})[kind] = frequency(
                own["value"].to_numpy(dtype=np.float64), share.to_numpy(dtype=np.float64)
            )
    return found


def event_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a score table that event frequencies are made of: what is shown, and in ground truth the chances."""
    return table[table["reading"].isin([_reading(f"{kind}{end}") for kind in EVENT_KINDS for end in ("", "-chance")])]


def frequency(chances: Array, shown: Array) -> EventFrequency:
    """The frequency of an event in n clips with chances (n,), of which each shows it in a share (n,) of its samples."""
    below = np.minimum(np.cumsum(sum_distribution(chances)), 1.0)  # (n + 1,) P(X <= k)
    seen = float(shown.sum())
    return EventFrequency(
        clips=len(chances),
        seen=seen,
        expected=float(chances.sum()),
        fewest=int(np.argmax(below >= TOO_RARE)),
        probability=float(below[int(seen + 1e-9)]),
    )


def event_losses(table: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float]:
    """By task, the share of its consistency that is lost: the largest of its kinds. Only tasks that lose any."""
    found = {task: max(each.lost for each in kinds.values()) for task, kinds in event_frequencies(table, truth).items()}
    return {task: lost for task, lost in found.items() if lost > 0}


def with_loss(quality: Array, frozen: Array, lost: float) -> Array:
    """Qualities of clips (n,) without a share of what they have above those of the frozen frame (n,)."""
    return np.asarray(quality - lost * np.maximum(quality - frozen, 0.0))


def axis_of_events() -> str:
    """The axis that loses."""
    return str(scorer_of("event-balance").axis)


def event_results(table: pd.DataFrame, truth: pd.DataFrame) -> dict[str, dict[str, EventFrequencyResult]]:
    """The frequencies of a run for its result, by task and kind."""
    return {
        task: {
            kind: EventFrequencyResult(
                clips=each.clips,
                seen=round(each.seen, 6),
                expected=round(each.expected, 6),
                fewest=each.fewest,
                probability=round(each.probability, 9),
                lost=round(each.lost, 6),
                reason="" if each.clips >= MIN_CLIPS else f"{each.clips} clips, {MIN_CLIPS} are needed",
            )
            for kind, each in kinds.items()
        }
        for task, kinds in event_frequencies(table, truth).items()
    }


def _reading(key: str) -> str:
    return reading_name(reading_of("event-balance"), key)


def _values(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows of a reading that have a value."""
    return table[(table["reading"] == _reading(key)) & table["value"].notna()]
