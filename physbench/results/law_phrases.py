"""What a sentence may name as broken: phrases and thresholds, as declared beside the scorers.

The manifest of a run holds those of scorers that do not come with physbench: where a result is built, the file or the
package with the scorer may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from physbench.errors import UsageError
from physbench.scoring.reading_roles import builtin_scorers, reading_name
from physbench.scoring.scorer_protocol import Scorer

OWN_LAWS = "own_laws"  # of the manifest


@dataclass(frozen=True)
class LawPhrase:
    """How a sentence names a reading that is off, and when it is."""

    phrase: str  # "gravity {}": {} is the value with its unit
    breaks_at: float  # difference from ground truth, in the reading's unit
    needs_constants: bool  # left out where the context does not show every constant
    seen: tuple[str, str] = ("", "")  # what one would see where the reading is too small, and too large

    def __post_init__(self) -> None:
        two = len(self.seen) == 2 and all(isinstance(text, str) for text in self.seen)
        if self.phrase.count("{}") != 1 or not self.breaks_at > 0 or not two:
            raise ValueError(f"expected a phrase with one {{}}, a threshold above 0 and two sights, got {self}")

    def say(self, value: str) -> str:
        """ "gravity 6.2 m/s²"."""
        return self.phrase.replace("{}", value)

    @property
    def prefix(self) -> str:
        """What stands before a value without a space, as in "r^-2", and belongs to that of ground truth too."""
        return self.phrase[: self.phrase.index("{}")].rpartition(" ")[2]


def phrases_of(scorers: Iterable[Scorer]) -> dict[str, LawPhrase]:
    """What scorers declare, by reading."""
    return {
        reading_name(each.id, key): LawPhrase(
            phrase, each.breaks_at, key in each.needs_constants, dict(each.seen).get(key, ("", ""))
        )
        for each in scorers
        if each.breaks_at is not None
        for key, phrase in each.phrases
    }


@cache
def builtin_phrases() -> Mapping[str, LawPhrase]:
    """Those of the scorers that come with physbench."""
    return phrases_of(builtin_scorers())


def own_laws_document(scorers: Iterable[Scorer]) -> dict[str, Any]:
    """For the manifest: what scorers that do not come with physbench declare."""
    known = {each.id for each in builtin_scorers()}
    found = phrases_of(each for each in scorers if each.id not in known)
    return {name: asdict(law) for name, law in found.items()}


def law_phrases(manifest: Mapping[str, Any]) -> dict[str, LawPhrase]:
    """Those of a run. Manifests of older versions hold none of their own.

    Raises UsageError where the manifest is damaged.
    """
    try:
        own = {name: LawPhrase(**law) for name, law in (manifest.get(OWN_LAWS) or {}).items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"manifest.json: {OWN_LAWS} cannot be read ({error}). Run it again with --fresh.") from error
    return {**own, **builtin_phrases()}
