"""Measures the errors of a checkpoint of `objects`: median in px, beside persistence and constant velocity.

    python benchmarks/reference.py [CHECKPOINT] [--clips 800] [--qualities]

Reads the clips of the train split that `physbench train objects --clips N` held out, never test or ood. Positions
of the model's slots are compared with true centres, of moving objects only, hidden ones included. --qualities scores
its frames of these clips as an evaluation does.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from importlib.resources import files

import numpy as np
import torch

from physbench.clips.clip import Clip
from physbench.clips.store import ClipStore
from physbench.data.clip_dataset import training_rows
from physbench.models.load_model import load_model
from physbench.reference.objects import ObjectsModel
from physbench.reference.objects_slots import read_slots
from physbench.reference.train import DEFAULT_CLIPS
from physbench.rollout.store import Rollout
from physbench.score.protocol import AXES
from physbench.score.score_clip import find_scorers, score_clip

TIMES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # s


def match(centre: np.ndarray, present: np.ndarray, truth: np.ndarray) -> list[int]:
    """The slot of each object, by positions in the last context frame: (N, 2), (N,), (K, 2) -> K indices."""
    distance = np.linalg.norm(centre[:, None] - truth[None], axis=-1) + 1e6 * (present[:, None] < 0.5)
    return [int(column.argmin()) for column in distance.T]


def errors(model: ObjectsModel, clip: Clip) -> dict[str, np.ndarray]:
    """Distances (horizon, K) px of the moving objects for the model, freeze and constant velocity."""
    context = model.card.context_frames
    truth = clip.px_positions()[clip.window(context)]
    moving = [k for k, body in enumerate(clip.tracked_bodies) if body.role == "moving"]
    frames = torch.from_numpy(clip.context(context).copy()).permute(0, 3, 1, 2)[None].float() / 255
    slots, _ = read_slots(model.net.segmenter, frames, context, occluders=model.net.painter.opacity)
    seen = truth[:context]
    which = match(slots.centre[0, -1].numpy(), slots.present[0].numpy(), truth[context - 1])
    positions = model.predict_positions(slots, clip.horizon, None)[0].numpy()[:, which]
    step = (seen[-1] - seen[-4]) / 3
    straight = seen[-1] + step * np.arange(1, clip.horizon + 1)[:, None, None]
    answers = {
        "objects": positions,
        "freeze": np.broadcast_to(seen[-1], positions.shape),
        "constant velocity": straight,
    }
    return {name: np.linalg.norm(answer - truth[context:], axis=-1)[:, moving] for name, answer in answers.items()}


def qualities(model: ObjectsModel, clip: Clip) -> dict[str, float]:
    """Quality of a rollout on every axis that applies."""
    context = model.card.context_frames
    seen = torch.from_numpy(clip.context(context).copy()).permute(0, 3, 1, 2)[None].float() / 255
    parts = model.rollout(seen, horizon=clip.horizon, actions=None, prompts=[""], generators=[])
    frames = (torch.cat(list(parts), 1)[0].permute(0, 2, 3, 1) * 255).round().byte().numpy()
    scorers = [each for each in find_scorers() if each.headline]
    rows, _ = score_clip(clip, Rollout(clip.id, 0, frames), context, scorers)
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.axis and row.quality is not None:
            found[row.axis].append(row.quality)
    return {axis: float(np.mean(values)) for axis, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = files("physbench.reference") / "checkpoints" / "objects.safetensors"
    parser.add_argument("checkpoint", nargs="?", default=str(default))
    parser.add_argument("--clips", type=int, default=DEFAULT_CLIPS, help="what the checkpoint was trained with")
    parser.add_argument("--qualities", action="store_true", help="also score its frames of these clips")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.checkpoint, device=torch.device("cpu"), dtype=torch.float32, model_args={})
    assert isinstance(model, ObjectsModel), "Expected a checkpoint of the architecture objects."
    _, rows = training_rows(options.clips)
    store = ClipStore()
    store.ensure(rows, model.card.spec)
    table: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        clip = store.get(row, model.card.spec)
        for name, distance in errors(model, clip).items():
            table[row.task][name].append(distance)
    if options.qualities:
        print(f"{'mean quality':28s}{''.join(f'{axis:>13s}' for axis in AXES)}")
        for task in table:
            each = [qualities(model, store.get(row, model.card.spec)) for row in rows if row.task == task]
            means = (np.mean([found[axis] for found in each if axis in found] or [np.nan]) for axis in AXES)
            print(f"{task:28s}{''.join(f'{mean:13.2f}' for mean in means)}")
    print("median (90th percentile) error, px; objects / freeze / constant velocity")
    for task, by_name in table.items():
        print(task)
        for moment in TIMES:
            k = round(moment * model.card.fps) - 1
            cells = []
            for distances in by_name.values():
                values = np.concatenate([d[k] for d in distances if len(d) > k] or [np.empty(0)])
                if len(values):
                    cells.append(f"{np.median(values):6.2f} ({np.quantile(values, 0.9):6.2f})")
            if cells:
                print(f"  {moment:5.2f} s  {' / '.join(cells)}")
    clips = [store.get(row, model.card.spec) for row in rows[:16]]
    context = torch.stack([torch.from_numpy(c.context(8).copy()).permute(0, 3, 1, 2) for c in clips]).float() / 255
    started = time.perf_counter()
    for _ in model.rollout(context, horizon=60, actions=None, prompts=[""] * len(clips), generators=[]):
        pass
    print(f"a batch of {len(clips)} clips x 60 frames on one core: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
