"""Roles of the scorers that come with physbench."""

from __future__ import annotations

import pytest

from physbench.score import score_clip
from physbench.support.errors import PhysbenchError


def test_a_list_of_scorers_older_than_the_code_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the code was replaced and not installed again: its entry points lack the scorer."""
    monkeypatch.setattr(score_clip, "builtin_scorers", lambda: ())
    score_clip.scorer_of.cache_clear()
    try:
        with pytest.raises(PhysbenchError, match="Install physbench again"):
            score_clip.scorer_of("early-sign")
    finally:
        score_clip.scorer_of.cache_clear()
