"""Which scalars of a result order the first stages of a training.

    python benchmarks/early_training.py [objects|simple] [--steps 400] [--stages 8] [--clips 120] [--device cpu]
                                        [--kept DIR]

Trains an architecture once for so many steps of its main stage on clips of the train split, and keeps its weights at
stages that are spaced evenly in the logarithm of the steps done. Each is evaluated on `smoke` without the diagnosis;
the scalars are printed with their rank correlation with the number of steps (Spearman). DIR keeps what was made.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from physbench import evaluate
from physbench.clips.store import ClipStore
from physbench.data.episodes import ClipEpisodes, training_rows
from physbench.models.checkpoints import save_checkpoint
from physbench.reference.train import learn
from physbench.support import plugins


class Watched:
    """An architecture whose weights are kept at some steps of all stages together."""

    def __init__(self, architecture: Any, steps: set[int], place: Path) -> None:
        self.architecture, self.steps, self.place, self.done = architecture, steps, place, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.architecture, name)

    def stages(self, net: Any, config: Any, *more: Any) -> Any:
        found = self.architecture.stages(net, config, *more)
        for stage in found:
            stage.loss = self.watched(stage.loss, net, config)
        return found

    def watched(self, loss: Any, net: Any, config: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            if self.done in self.steps:
                self.save(net, config)
            self.done += 1
            return loss(*arguments)

        return counted

    def save(self, net: Any, config: Any) -> None:
        path = self.place / f"{self.done:06d}.safetensors"
        card = self.architecture.card(config)
        state = {name: value.detach().clone() for name, value in net.state_dict().items()}
        save_checkpoint(path, state, architecture=self.architecture.name, config=config, card=card, training={})


def train(name: str, place: Path, *, steps: int, stages: int, clips: int, device: str) -> list[Path]:
    """The checkpoints of all stages, the first before any step."""
    architecture = plugins.load("physbench.architectures", name)
    config = architecture.config()
    card = architecture.card(config)
    rows, _ = training_rows(clips)
    store = ClipStore()
    store.ensure(rows, card.spec, workers=1)
    episodes = ClipEpisodes(rows, card.spec, card.context_frames, store)
    total = sum(stage.steps for stage in architecture.stages(architecture.net(config), config, episodes, place, steps))
    wanted = {0, *np.geomspace(10, total - 1, stages - 1).round().astype(int).tolist()}
    place.mkdir(parents=True, exist_ok=True)
    watched = Watched(architecture, wanted, place)
    threads = architecture.threads or torch.get_num_threads()
    learn(
        watched, config, episodes, place, {}, seed=0, steps=steps, minutes=None, device=device, resume=False,
        threads=threads,
    )  # fmt: skip
    return sorted(place.glob("[0-9]*.safetensors"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="objects", choices=("objects", "simple"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--stages", type=int, default=8)
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kept", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = (options.kept or Path(temporary)) / f"{options.name}-{options.clips}-{options.steps}"
        kept = sorted(place.glob("[0-9]*.safetensors"))
        how = {"steps": options.steps, "stages": options.stages, "clips": options.clips, "device": options.device}
        checkpoints = kept if len(kept) == options.stages else train(options.name, place, **how)
        found: dict[str, list[float]] = {}
        for checkpoint in checkpoints:
            out, quick = Path(temporary) / f"run-{checkpoint.stem}", {"report": False, "diagnosis": False}
            result = evaluate(str(checkpoint), device=options.device, out=out, workers=1, **quick)
            row = result.scalars("", detail="axes")
            print(f"{int(checkpoint.stem)} steps: " + ", ".join(f"{k} {v:.4f}" for k, v in row.items()), flush=True)
            for name, value in row.items():
                found.setdefault(name, []).append(value)
    steps = [int(each.stem) for each in checkpoints]
    print(f"\n{'steps':<16}" + "".join(f"{count:>8}" for count in steps) + "   Spearman")
    for name, values in found.items():
        if len(values) == len(steps):
            rank = "constant" if np.ptp(values) == 0 else f"{spearmanr(steps, values).statistic:.2f}"
            print(f"{name:<16}" + "".join(f"{value:8.3f}" for value in values) + f"   {rank:>8}")


if __name__ == "__main__":
    main()
