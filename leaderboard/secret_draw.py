"""What a check draws at random, from one secret: which stored clips a model is asked for again, and fresh seeds.

The secret comes from the randomness of the system when the check begins, so that nobody can prepare for the clips. It
is printed at the end: who gives it again repeats the check on the same clips.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from physbench.clips.clip import Row
from physbench.clips.suite import FRESH_SEEDS, Suite, fresh_suite, spread
from physbench.errors import UsageError

SECRET_BYTES = 16
SECRET = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class SecretDraw:
    """Numbers that follow from a secret and from what they are for."""

    secret: str = field(default_factory=lambda: secrets.token_hex(SECRET_BYTES))

    def __post_init__(self) -> None:
        if not SECRET.fullmatch(self.secret):
            raise UsageError(
                f"--draw: expected the 32 hexadecimal digits that a check printed, got {self.secret!r:.80}."
            )

    def number(self, *what: object) -> int:
        """A number of 256 bits, another one for each purpose."""
        return int(hashlib.sha256("|".join([self.secret, *map(str, what)]).encode()).hexdigest(), 16)

    @property
    def salt(self) -> str:
        """Secret that a model's generators depend on."""
        return f"{self.number('salt'):064x}"

    def stored_rows(self, rows: tuple[Row, ...], count: int) -> tuple[Row, ...]:
        """`count` of the rows from all tasks and splits in turn, in their old order; a clip with its changes."""
        place = {row: position for position, row in enumerate(rows)}
        order = sorted(rows, key=lambda row: (self.number("stored", row.unchanged.id), place[row]))
        return tuple(sorted(spread(tuple(order), count), key=lambda row: place[row]))

    def fresh_rows(self, suite: Suite, per_task: int) -> tuple[Row, ...]:
        """Clips of the suite's tasks, splits and changes on `per_task` seeds of each task that no store holds."""

        def seed(task: str, index: int) -> int:
            return FRESH_SEEDS[self.number("fresh", task, index) % len(FRESH_SEEDS)]

        return fresh_suite(suite, per_task, seed).rows
