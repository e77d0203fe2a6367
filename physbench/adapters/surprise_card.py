"""The card of a model that is shown whole films and answers with its surprise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from physbench.adapters.model_protocol import ModelCard

MAX_UNIT = 80  # characters


@dataclass(frozen=True)
class SurpriseCard(ModelCard):
    """What the harness must know of a model that answers with surprise.

    Attributes:
        unit: What its surprise is measured in, for the report: "L1 in latent space", "nats a frame".
        sees: How far back (s) the surprise at a frame can reach; None: to the beginning of the film.
    """

    unit: str = "a number of the model's own"
    sees: float | None = None
    answers: Literal["surprise"] = field(default="surprise", init=False)
