"""What `physbench models check` says at its end."""

from __future__ import annotations

from physbench.cli.models import NOTHING, summed_up


def test_the_last_word_counts_what_was_found() -> None:
    assert summed_up(0, 0, failed=False) == NOTHING
    assert summed_up(0, 3, failed=False) == "it can be evaluated; see the 3 notes above"
    assert summed_up(1, 1, failed=False) == "it can be evaluated; see the problem and note above"
    assert summed_up(2, 0, failed=True) == "it cannot be evaluated: see the 2 problems above"
