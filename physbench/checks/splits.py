"""The splits: parameters in their ranges, ood outside them, and no clip in two of them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from physbench.checks.finding import Finding, failed, fine, remark
from physbench.clips.clip import Row
from physbench.clips.generate import make_params
from physbench.clips.task import SPLITS, Task

SEEDS = range(500, 530)
SLOW_DRAW = 0.2  # s to draw one clip


def check_splits(task: Task) -> Iterator[Finding]:
    """Draw clips of every split, without simulating them."""
    drawn: dict[tuple[float, ...], str] = {}
    started = time.perf_counter()
    found: list[Finding] = []
    for split in SPLITS:
        for seed in SEEDS:
            params = make_params(Row(task.id, split, seed))
            if list(params) != list(task.parameters):
                yield failed(
                    "splits",
                    f"sample() gives {', '.join(params)}, declared are {', '.join(task.parameters)}",
                    "Derive the class from physbench.Task, or return draw(self.parameters, rng, split, self.accepts).",
                )
                return
            for name, parameter in task.parameters.items():
                if not parameter.contains(params[name], split):
                    found.append(
                        failed(
                            "splits",
                            f"{name} = {params[name]:g} in {split}, whose range is {parameter.span(split)}",
                            "Draw with draw(self.parameters, ...), and change no value afterwards.",
                        )
                    )
            key = tuple(params.values())
            if key in drawn:
                found.append(
                    failed(
                        "splits",
                        f"{split} {seed} and {drawn[key]} have the same parameters",
                        "Use the generator that sample() is given, and more than one parameter that varies.",
                    )
                )
            drawn[key] = f"{split} {seed}"
    seconds = (time.perf_counter() - started) / len(SEEDS) / len(SPLITS)
    if found:
        yield found[0]
        return
    yield fine("splits", f"{len(drawn)} draws, all different and in the ranges of their splits")
    if seconds > SLOW_DRAW:
        yield remark("splits", f"a draw takes {seconds:.2f} s", "Let `accepts` allow more, or narrow the ranges.")
