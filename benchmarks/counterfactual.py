"""What `consistency/counterfactual` reads of wrong pushes: the figures of docs/methodology.md, and its noise floor.

    python benchmarks/counterfactual.py [--seeds 16] [--tasks GLOB] [--size 64] [--fps 15] [--context 8] [--wide 1]

The true clip without its push is read beside one in which the push is the true one times a factor, simulated, drawn and
tracked; medians over the pairs of a task, least and most in brackets. A frozen frame stands in for both clips. With
`--wide inf` the sums of C go on to the end of the predictability times.

The file is a model too, which knows all but takes pushes for `factor` of what they are (0.5):

    physbench eval benchmarks/counterfactual.py:weak --privileged --suite counterfactuals --model-arg factor=0.5
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import torch
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.clips.generate import render_spec
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.models.protocol import ModelCard
from physbench.scorers.diagnostics import counterfactual
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.world.bullet import simulate_ensemble
from physbench.world.drawing import render

Frames = NDArray[np.uint8]

FACTORS = {"the true one": 1.0, "half of it": 0.5, "twice": 2.0, "the other way": -1.0, "none": 0.0}
FROZEN = "a frozen frame"
READINGS = {"C": "", "pushed": "pushed", "others": "others", "sign": "sign", "error": "error"}


def pushed(clip: Clip, factor: float) -> Frames:
    """The future (T, H, W, 3) of a clip in which every push is `factor` times what it is."""
    if factor == 1:
        return clip.future()
    pushes = tuple(
        replace(push, impulse=(factor * push.impulse[0], factor * push.impulse[1], factor * push.impulse[2]))
        for push in clip.scene.impulses
    )
    scene, ahead = replace(clip.scene, impulses=pushes), clip.times[clip.handover + 1 :]
    states = simulate_ensemble(scene, 0.0, clip.states[clip.handover][None], ahead)[0]
    return render(scene, ahead, states, clip.spec).frames


def seen(clip: Clip, context: int, future: Frames) -> Tracks:
    return track(clip, context, np.concatenate([clip.context(context), future]))


def read(quiet: Clip, clip: Clip, context: int) -> dict[str, dict[str, float]]:
    """By push: the readings of a pair, NaN where one does not apply."""
    frozen = [np.repeat(each.frames[each.handover][None], each.horizon, axis=0) for each in (quiet, clip)]
    before = seen(quiet, context, quiet.future())
    futures = {name: (before, pushed(clip, factor)) for name, factor in FACTORS.items()}
    futures[FROZEN] = (seen(quiet, context, frozen[0]), frozen[1])
    found = {}
    for name, (without, future) in futures.items():
        readings = counterfactual.of_pair(quiet, without, clip, seen(clip, context, future))
        values = {label: readings[key].value if key in readings else None for label, key in READINGS.items()}
        found[name] = {label: np.nan if value is None else value for label, value in values.items()}
    return found


class Weak:
    """Knows everything, but takes a push for `factor` of what it is."""

    card = ModelCard("half the push", (64, 64), 15.0, 8, track="privileged")

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def rollout_clips(
        self, clips: Sequence[Clip], *, horizon: int, generators: Sequence[torch.Generator]
    ) -> torch.Tensor:
        futures = np.stack([pushed(clip, self.factor) for clip in clips])
        return torch.from_numpy(futures).permute(0, 1, 4, 2, 3).float() / 255


def weak(*, device: torch.device, dtype: torch.dtype, factor: str = "0.5") -> Weak:
    return Weak(float(factor))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=16, help="pairs a task")
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--context", type=int, default=8)
    parser.add_argument(
        "--wide", type=float, default=counterfactual.CHANGE.most, help="diameters up to which C is read"
    )
    arguments = parser.parse_args()
    counterfactual.CHANGE = replace(counterfactual.CHANGE, most=arguments.wide)
    spec, store = render_spec(arguments.size, arguments.fps), ClipStore()
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for row in find_suite("counterfactuals").rows:
        if row.change and row.seed < arguments.seeds and fnmatchcase(row.task, f"*{arguments.tasks}*"):
            pair = read(store.get(row, spec), store.get(row.unchanged, spec), arguments.context)
            for name, values in pair.items():
                found[row.task, name].append(values)
    print("| task | push | pairs |", " | ".join(READINGS), "|")
    print("| --- |" + " --- |" * (2 + len(READINGS)))
    for (task, name), values in found.items():
        cells = [_cell(np.array([one[label] for one in values])) for label in READINGS]
        print("|", " | ".join([task.split("/")[1], name, str(len(values)), *cells]), "|")


def _cell(values: NDArray[np.float64]) -> str:
    """Median (least, most) of the values that apply."""
    known = np.round(values[np.isfinite(values)], 3) + 0.0  # no -0
    if not len(known):
        return "not applicable"
    return f"{np.median(known):.3f} ({known.min():.3f}, {known.max():.3f})".replace("-", "−")


if __name__ == "__main__":
    main()
