"""Compares `baseline:physicist` with `baseline:oracle`, task by task: the figures of docs/design/baselines.md.

    python benchmarks/physicist.py [--clips 8] [--tasks GLOB] [--size 128] [--fps 15] [--context 8] [--out FILE.json]

Qualities on the three axes, mean over clips of `test`; errors of position and velocity at the hand-over (m, m/s); the
largest distance from truth while truth shows the object within the predictable time (diameters; median over clips).
Clips that are in --out already are not made again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.baselines.physicist import context_view, estimate_states, predict_states
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.clips.suite import find_suite
from physbench.models.protocol import ModelCard
from physbench.rollout.store import Rollout
from physbench.score.predictability import predictability_time
from physbench.score.score_clip import find_scorers, score_clip
from physbench.track.tracker import track
from physbench.track.visibility import moving, truth_visible
from physbench.world.camera import plane_from_world
from physbench.world.drawing import render

Array = NDArray[np.float64]

AXES = ("drift", "consistency", "permanence")


def measure(clip: Clip, context: int) -> dict[str, float]:
    """Qualities of both by axis, errors of the state at the hand-over, processor seconds."""
    scorers = [each for each in find_scorers() if each.headline]
    started = time.process_time()
    scene, times, states = predict_states(clip, context, clip.horizon)
    frames = render(scene, times, states, clip.spec).frames
    found = {"seconds": time.process_time() - started, "predictable": predictability_time(clip, context)}
    for name, shown in (("physicist", frames), ("oracle", clip.future())):
        qualities = defaultdict(list)
        for row in score_clip(clip, Rollout(clip.id, 0, shown), context, scorers)[0]:
            if row.axis is not None and row.quality is not None:
                qualities[row.axis].append(row.quality)
        found |= {f"{name}.{axis}": float(np.mean(values)) for axis, values in qualities.items()}
    known = times <= found["predictable"] + 1e-9
    off = np.linalg.norm(plane_from_world(scene.camera, states[:, list(clip.tracked), :3]) - _truth(clip), axis=-1)
    found["distance"] = float((off / _diameters(clip))[known][_owed(clip, context)[known]].max(initial=0.0))
    seen = context_view(clip, context)
    bodies = [i for i, body in enumerate(clip.scene.bodies) if body.role == "moving"]
    error = (estimate_states(seen, track(seen, context, seen.frames)) - clip.states[clip.handover])[bodies]
    for name, columns in (("position", np.s_[:3]), ("velocity", np.s_[7:10])):
        found[name] = float(np.linalg.norm(error[:, columns], axis=1).max())
    return found


def _truth(clip: Clip) -> Array:
    return clip.plane_positions()[clip.handover + 1 :]


def _diameters(clip: Clip) -> Array:
    return np.maximum(clip.diameters()[clip.handover + 1 :], 1e-9)


def _owed(clip: Clip, context: int) -> NDArray[np.bool_]:
    return np.asarray(truth_visible(clip, context)[context:] & moving(clip))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8, help="per task")
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--suite", default="core")
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--context", type=int, default=8)
    parser.add_argument("--out", type=Path, help="keep what is measured")
    arguments = parser.parse_args()
    card = ModelCard("bench", (arguments.size, arguments.size), arguments.fps, arguments.context)
    rows = [row for row in find_suite(arguments.suite).rows if row.split == "test"]
    by_task: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if fnmatchcase(row.task, f"*{arguments.tasks}*") and len(by_task[row.task]) < arguments.clips:
            by_task[row.task].append(row)
    known = json.loads(arguments.out.read_text()) if arguments.out and arguments.out.exists() else {}
    print(
        "| task | clips | T_p s | accuracy | consistency | permanence | position m | velocity m/s | distance | CPU s |"
    )
    print("| --- |" + " --- |" * 9)
    for task, chosen in sorted(by_task.items()):
        found = []
        for row in chosen:
            key = f"{row.id} {card.spec} {arguments.context}"
            if key not in known:
                known[key] = measure(make_clip(row, card.spec), arguments.context)
                if arguments.out:
                    arguments.out.write_text(json.dumps(known, indent=1))
            found.append(known[key])
        print(_line(task, found), flush=True)


def _line(task: str, found: list[dict[str, float]]) -> str:
    """A row of the table: physicist (oracle); medians of times and errors."""
    cells = [task.split("/")[1], str(len(found)), f"{np.median([one['predictable'] for one in found]):.1f}"]
    for axis in AXES:
        pairs = [(one[f"physicist.{axis}"], one[f"oracle.{axis}"]) for one in found if f"physicist.{axis}" in one]
        means = np.mean(pairs, axis=0) if pairs else None
        cells.append("none" if means is None else f"{means[0]:.3f} ({means[1]:.3f})")
    cells += [f"{np.median([one[name] for one in found]):.4f}" for name in ("position", "velocity")]
    cells.append(f"{np.median([one['distance'] for one in found]):.3f}")
    cells.append(f"{np.median([one['seconds'] for one in found]):.1f}")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
