"""Roles of the scorers that come with physbench."""

from __future__ import annotations

import pytest

from physbench.errors import PhysbenchError
from physbench.scoring import reading_roles


def test_a_list_of_scorers_older_than_the_code_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the code was replaced and not installed again: its entry points lack the scorer."""
    monkeypatch.setattr(reading_roles, "builtin_scorers", lambda: ())
    reading_roles.scorer_of.cache_clear()
    try:
        with pytest.raises(PhysbenchError, match="Install physbench again"):
            reading_roles.scorer_of("early-sign")
    finally:
        reading_roles.scorer_of.cache_clear()
