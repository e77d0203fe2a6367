"""What the checks of a submission found: one verdict each, and the badge that they earn together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["passed", "failed", "refused", "not possible"]
Badge = Literal["verified on fresh seeds", "re-scored", "self-reported"]
BADGES: dict[Badge, str] = {
    "verified on fresh seeds": "The board ran the model itself, on stored clips and on clips that were drawn for it "
    "alone, and read all tracks again.",
    "re-scored": "The board made the references and read all tracks again; it did not run the model.",
    "self-reported": "The board computed aggregates again from the readings as they were sent.",
}


@dataclass(frozen=True)
class Verdict:
    """What one check found."""

    check: str  # "rows", "qualities"
    outcome: Outcome
    detail: str  # what was found, or the first difference
    figures: dict[str, Any] = field(default_factory=dict)  # numbers behind it

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {"check": self.check, "outcome": self.outcome, "detail": self.detail, **self.figures}


def passed(check: str, detail: str, **figures: Any) -> Verdict:
    return Verdict(check, "passed", detail, figures)


def failed(check: str, detail: str, **figures: Any) -> Verdict:
    return Verdict(check, "failed", detail, figures)


def not_possible(check: str, why: str) -> Verdict:
    return Verdict(check, "not possible", why)


def refused(check: str, detail: str, **figures: Any) -> Verdict:
    """The model is not what it is said to be."""
    return Verdict(check, "refused", detail, figures)


@dataclass(frozen=True)
class Verification:
    """All verdicts on one submission, in the order of their cost."""

    verdicts: tuple[Verdict, ...]

    @property
    def problems(self) -> tuple[Verdict, ...]:
        """Checks that failed, or for which the model is refused."""
        return tuple(each for each in self.verdicts if each.outcome in ("failed", "refused"))

    @property
    def badge(self) -> Badge | None:
        """What a board may say of an entry; None where something failed."""
        return None if self.problems else earned([each.check for each in self.verdicts if each.outcome == "passed"])

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "accepted": not self.problems,
            "badge": self.badge,
            "checks": [each.document() for each in self.verdicts],
        }


RESCORED = ("references", "tracks")  # checks behind "re-scored"
FRESH_CHECKS = ("stored clips again", "fresh seeds")  # and those that "verified on fresh seeds" needs besides


def earned(checks: Sequence[str]) -> Badge:
    """The badge for checks that passed."""
    if not set(RESCORED) <= set(checks):
        return "self-reported"
    return "verified on fresh seeds" if set(FRESH_CHECKS) <= set(checks) else "re-scored"
