"""The list of pairs: what it holds, that it is what this code makes, and that a part of it stays balanced."""

from __future__ import annotations

from collections import Counter

import pytest

from physbench.clips.suite import find_suite
from physbench.support.errors import UsageError
from physbench.surprise.pairs import CONTROLS, IMPOSSIBLE_KINDS, all_pairs, find_pairs, measured, pairs_hash
from physbench.validity.violations import REGISTRY, find_acts


def test_every_kind_has_pairs_at_all_its_sizes_from_several_tasks() -> None:
    pairs = [pair for pair in all_pairs() if not pair.control]
    for name, kind in IMPOSSIBLE_KINDS.items():
        own = [pair for pair in pairs if pair.kind == name]
        assert len({pair.row for pair in own}) >= 8
        assert {pair.size for pair in own} == set(kind.sizes)
        assert len(kind.sizes) >= 5 or not kind.sized
    assert len({pair.id for pair in all_pairs()}) == len(all_pairs()) > 1200
    assert {pair.kind for pair in all_pairs() if pair.control} == set(CONTROLS)
    assert {pair.row for pair in all_pairs()} <= set(find_suite("expectation").rows)


def test_kinds_are_violations_and_their_amounts_rise() -> None:
    for name, kind in IMPOSSIBLE_KINDS.items():
        amounts = [kind.amount(size) for size in kind.sizes]
        assert amounts == sorted(amounts) and amounts[0] > 0
        assert [kind.severity(amount) for amount in amounts] == pytest.approx(kind.sizes)
        assert [find_acts(f"{name}:{size:g}")[0].severity for size in kind.sizes] == list(kind.sizes)
        assert not REGISTRY[name].lawful and (not kind.sized or "{}" in kind.threshold)


@pytest.mark.parametrize("kind", ["teleport", "return-late"])
def test_the_list_is_what_this_code_makes(kind: str) -> None:
    pair = next(pair for pair in all_pairs() if pair.kind == kind)
    assert measured(pair.row, IMPOSSIBLE_KINDS[kind], pair.size) == pair


def test_evidence_behind_a_screen_lies_before_its_event() -> None:
    for pair in all_pairs():
        assert (pair.seen is not None) == pair.kind.startswith("return-"), pair.id
        assert pair.hidden >= 0 and (pair.seen is None or pair.hidden > 0)


@pytest.mark.parametrize("limit", [28, 100])
def test_a_limit_keeps_kinds_balanced_and_spreads_over_tasks(limit: int) -> None:
    pairs = find_pairs(limit)
    kinds = Counter(pair.kind for pair in pairs if not pair.control)
    assert sum(kinds.values()) == limit and set(kinds) == set(IMPOSSIBLE_KINDS)
    assert max(kinds.values()) - min(kinds.values()) <= max(1, limit // 28)
    assert len({pair.row.task for pair in pairs}) >= 8
    assert {pair.kind for pair in pairs if pair.control} == set(CONTROLS)


def test_all_sizes_of_a_clip_come_before_the_next_clip() -> None:
    pairs = [pair for pair in find_pairs(10, "teleport") if not pair.control]
    assert sorted(Counter(pair.row for pair in pairs).values()) == [5, 5]


def test_wrong_choices_are_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean teleport"):
        find_pairs(None, "telport")
    with pytest.raises(UsageError, match="at least one pair"):
        find_pairs(0)


def test_another_choice_is_another_hash() -> None:
    assert pairs_hash(find_pairs()) == pairs_hash(find_pairs(10**6)) != pairs_hash(find_pairs(100))
