"""Pairs of films that the page plays: what the model noticed, what it missed, and its false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from physbench.clips.store import clip_store
from physbench.errors import PhysbenchError
from physbench.expectation.expectation_kinds import CONTROLS, IMPOSSIBLE_KINDS
from physbench.expectation.expectation_readings import size_text
from physbench.expectation.film_alarms import relative
from physbench.expectation.film_pairs import FilmPair
from physbench.expectation.films import film_of
from physbench.expectation.pixel_baselines import SPRITE_FRAMES
from physbench.expectation.surprise_series import PairReading
from physbench.report.clip_player import Player, player
from physbench.results.number_format import number
from physbench.world.scene import RenderSpec

SHOWN_EACH = 2  # hits, misses and false alarms
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
        return list(first.values())[:SHOWN_EACH]

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
