"""The card of a model that is shown whole films and answers with its surprise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from physbench.adapters.model_protocol import ModelCard

MAX_UNIT = 80  # characters
LONGEST_SIGHT = 1_000_000  # s


@dataclass(frozen=True)
class SurpriseCard(ModelCard):
    """What the harness must know of a model that answers with surprise.

    Attributes:
        unit: What its surprise is measured in, for the report: "L1 in latent space", "nats a frame".
        sees: How far back (s) the surprise at a frame can reach; None: to the beginning of the film.
        ahead: How far ahead (s) it can reach: above 0 for networks that see all frames of a call at once. Whole films
            can be compared then, and no moments of them.
    """

    unit: str = "a number of the model's own"
    sees: float | None = None
    ahead: float = 0.0
    answers: Literal["surprise"] = field(default="surprise", init=False)
