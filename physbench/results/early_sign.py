"""The first thing that moves in a training: how much nearer than a frozen frame the pixels are to ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from physbench.scoring.reading_roles import reading_of


def early_sign(readings: Mapping[str, Any]) -> float | None:
    """Mean over families of the mean over tasks, from the readings of a result document; None where no task has it."""
    families: dict[str, list[float]] = {}
    for task, row in readings.get(reading_of("early-sign"), {}).get("tasks", {}).items():
        if row["value"] is not None:
            families.setdefault(task.split("/")[0], []).append(row["value"])
    return float(np.mean([np.mean(values) for values in families.values()])) if families else None
