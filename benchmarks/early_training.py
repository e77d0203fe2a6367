"""Which scalars of a result order the first stages of a training.

    python benchmarks/early_training.py [objects|simple] [--steps 1,10,30,60,100,200,400] [--clips 120] [--limit 2]
                                        [--device cpu] [--kept DIR]

Trains the architecture once for each number of steps of its main stage, from the same seed on clips of the train split,
evaluates each checkpoint on `smoke` without the diagnosis, and prints the scalars with their rank correlation with the
number of steps (Spearman). Checkpoints are kept in DIR and not trained again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from physbench import evaluate
from physbench.reference.train import train

STEPS = "1,10,30,60,100,200,400"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="objects", choices=("objects", "simple"))
    parser.add_argument("--steps", default=STEPS)
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--limit", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kept", type=Path, default=None)
    options = parser.parse_args()
    steps = [int(each) for each in options.steps.split(",")]
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        for count in steps:
            checkpoint = trained(options, count, options.kept or Path(place))
            row = evaluate(
                str(checkpoint),
                limit=options.limit,
                report=False,
                diagnosis=False,
                device=options.device,
                out=Path(place) / f"run-{count}",
                workers=1,
            ).scalars("", detail="axes")
            print(f"{count} steps: " + ", ".join(f"{name} {value:.4f}" for name, value in row.items()), flush=True)
            for name, value in row.items():
                found.setdefault(name, []).append(value)
    print(f"\n{'':<16}" + "".join(f"{count:>8}" for count in steps) + "   Spearman")
    for name, values in found.items():
        if len(values) == len(steps):
            rank = "constant" if np.ptp(values) == 0 else f"{spearmanr(steps, values).statistic:.2f}"
            print(f"{name:<16}" + "".join(f"{value:8.3f}" for value in values) + f"   {rank:>8}")


def trained(options: argparse.Namespace, steps: int, place: Path) -> Path:
    """The checkpoint after so many steps, trained where it is not there."""
    folder = place / f"{options.name}-{options.clips}-{steps}"
    checkpoint = folder / f"{options.name}.safetensors"
    if not checkpoint.exists():
        started = (folder / "state.safetensors").exists()
        how = {"clips": options.clips, "steps": steps, "device": options.device, "resume": started, "workers": 1}
        train(options.name, out=folder, **how)
    return checkpoint


if __name__ == "__main__":
    main()
