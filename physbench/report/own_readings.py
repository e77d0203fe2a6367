"""What scorers that do not come with physbench read, in a line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from physbench.results.number_format import counted, number, unit
from physbench.scoring.reading_roles import builtin_scorers

BASIS = ("truth", "freeze")  # references that stand beside


def own_readings(result: Mapping[str, Any]) -> list[str]:
    """ "own/speed-error 0.42 m/s (truth 0.01, freeze 1.1; median of 14 tasks)"; [] without such scorers."""
    shipped = {each.id for each in builtin_scorers()}
    found = []
    for name, reading in sorted(result["readings"].items()):
        if name.split(".")[0] in shipped:
            continue
        rows = [row for row in reading["tasks"].values() if row["value"] is not None]
        if not rows:
            continue
        beside = [
            [row["references"][base] for row in rows if row["references"].get(base) is not None] for base in BASIS
        ]
        words = [f"{base} {number(float(np.median(each)))}" for base, each in zip(BASIS, beside, strict=True) if each]
        value = f"{number(float(np.median([row['value'] for row in rows])))} {unit(reading['unit'])}".strip()
        tasks = counted(len(rows), "task")
        found.append(f"{name} {value} ({', '.join(words)}; median of {tasks})")
    return found
