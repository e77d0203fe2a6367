"""How long a run with `--budget` may go on beginning rollouts."""

from __future__ import annotations

import re
import time

from physbench.errors import UsageError

UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
LONGEST_BUDGET = 1000 * UNIT_SECONDS["h"]
_FORM = re.compile(
    r"(?:(?P<h>\d{1,6}(?:\.\d+)?)h)?(?:(?P<m>\d{1,6}(?:\.\d+)?)m)?(?:(?P<s>\d{1,6}(?:\.\d+)?)s)?", re.ASCII
)


def parse_budget(text: str) -> float:
    """Seconds of a time such as "2h", "30m", "90s" or "1h30m".

    >>> parse_budget("1h30m")
    5400.0

    Raises:
        UsageError: It is none, or not above 0, or longer than 1,000 hours.
    """
    found = _FORM.fullmatch(text.strip())
    if not text.strip() or found is None:
        raise UsageError(f"--budget: expected a time such as 90s, 30m, 2h or 1h30m, got '{text}'.")
    seconds = sum(float(found[unit] or 0) * size for unit, size in UNIT_SECONDS.items())
    if not 0 < seconds <= LONGEST_BUDGET:
        raise UsageError(f"--budget: expected more than nothing and at most 1000h, got '{text}'.")
    return seconds


def is_spent(budget: str | None, started: float) -> bool:
    """Whether the time is over that a run has which started then (`time.monotonic`); None: it has all of it."""
    return budget is not None and time.monotonic() - started >= parse_budget(budget)
