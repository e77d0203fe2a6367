"""Which films the page plays."""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.surprise.ask import PairReading
from physbench.surprise.pairs import CONTROLS, IMPOSSIBLE_KINDS, FilmPair, control_pair
from physbench.surprise.report import FALSE_ALARM, MISSED_PAIR, NOTICED_PAIR, chosen_pairs, play
from physbench.world.scene import RenderSpec

ROW = Row("falling/projectile-v1", "test", 0)


def reading(kind: str, size: float, possible: float, impossible: float, *, failed: bool = False) -> PairReading:
    pair = FilmPair(ROW, kind, size, 1.0, None, "truth", f"{kind}:{size:g}")
    return PairReading(pair, possible, impossible, possible, impossible, 1.0, failed=failed)


def control(name: str, surprise: float) -> PairReading:
    return PairReading(control_pair(ROW, name), 1.0, surprise, 1.0, surprise, 1.0)


def test_hits_misses_and_false_alarms_are_of_different_kinds_and_the_clearest() -> None:
    sizes = IMPOSSIBLE_KINDS["teleport"].sizes
    first, second = list(CONTROLS)[:2]
    readings = [
        *(reading("teleport", size, 1.0, 1.0 + size) for size in sizes),
        reading("vanish", IMPOSSIBLE_KINDS["vanish"].sizes[0], 1.0, 9.0, failed=True),
        *(reading("gravity", size, 1.0, 0.5) for size in IMPOSSIBLE_KINDS["gravity"].sizes),
        control(first, 5.0),
        control(second, 1.0),
    ]
    found = chosen_pairs(readings, 2.0)
    assert [(each.verdict, each.pair.kind) for each in found] == [
        (NOTICED_PAIR, "teleport"),
        (MISSED_PAIR, "gravity"),
        (FALSE_ALARM, first),
    ]
    assert found[0].pair.size == sizes[-1]
    gravity = IMPOSSIBLE_KINDS["gravity"]
    assert gravity.amount(found[1].pair.size) == max(map(gravity.amount, gravity.sizes))
    assert found[0].title.startswith("noticed: jumps, ") and found[0].title.endswith("diameters")
    assert "1.00 at the left, 5.00 at the right" in found[2].words
    assert chosen_pairs([], None) == []


def test_both_films_play_after_the_hand_over_with_the_event_marked() -> None:
    spec = RenderSpec(64, 64, 10.0)
    clip = ClipStore().get(ROW, spec)
    pair = FilmPair(ROW, "teleport", 0.8, 1.0, None, "truth", "teleport:0.8")
    shown = play(chosen_pairs([PairReading(pair, 1.0, 2.0, 1.0, 2.0, 1.0)], None)[0], spec)
    assert shown is not None and shown.breaks == (1.0,) and shown.moments <= clip.horizon
    assert np.isclose(shown.seconds, clip.horizon / 10.0)
