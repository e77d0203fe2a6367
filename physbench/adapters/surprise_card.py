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
    """

    unit: str = "a number of the model's own"
    answers: Literal["surprise"] = field(default="surprise", init=False)
