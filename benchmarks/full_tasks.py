"""Skill of baselines on tasks of `full`, and one broken law of stated size each, told from ground truth.

python benchmarks/full_tasks.py [TASK ...] [--clips N]     64 px, 15 frames/s, N clips of test (8); a row a task
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.models.protocol import ModelCard
from physbench.result.skill import kind
from physbench.rollout.store import Rollout
from physbench.run.references import baseline_rollout
from physbench.score.protocol import AXES
from physbench.score.score_clip import find_scorers, score_clip
from physbench.tasks.occlusion import cup_edges
from physbench.validity.sources import show
from physbench.validity.table import separation
from physbench.world.bullet import simulate
from physbench.world.drawing import render
from physbench.world.scene import Body

CONTEXT = 8  # frames
CARD = ModelCard("benchmark", (64, 64), 15.0, CONTEXT)
SCORERS = tuple(scorer for scorer in find_scorers() if scorer.headline)
BASELINES = ("freeze", "constant-velocity", "physicist")
Broken = Callable[[Clip], np.ndarray]


def altered(change: Callable[[Body], Body]) -> Broken:
    """Predicted frames of the scene with other bodies, which look the same until the law acts."""

    def frames(clip: Clip) -> np.ndarray:
        scene = replace(clip.scene, bodies=tuple(change(body) for body in clip.scene.bodies))
        return drawn(clip, simulate(scene, clip.times).states)

    return frames


def drawn(clip: Clip, states: np.ndarray) -> np.ndarray:
    return np.asarray(render(clip.scene, clip.times, states, clip.spec).frames[clip.handover + 1 :])


def slower_belt(body: Body) -> Body:
    return replace(body, surface=(0.7 * body.surface[0], 0.0, 0.0))


def other_cover(clip: Clip) -> np.ndarray:
    """The ball lies behind the cover that it did not stop behind."""
    p, states = make_params(clip.row), clip.states.copy()
    (first, second), _ = cup_edges(p)
    away = (3 - 2 * p["behind"]) * (second[0] - first[0]) * np.sign(p["velocity"])
    states[clip.times >= p["lift"] - 0.1, 0, 0] += away
    return drawn(clip, states)


# By task: the axis that reads it, the broken law, and what breaks it.
LAWS: dict[str, tuple[tuple[str, str, str | Broken], ...]] = {
    "falling/ramp-up-v1": (("consistency", "gravity x 0.8", "gravity:0.8"),),
    "falling/conveyor-v1": (("consistency", "belt speed x 0.7", altered(slower_belt)),),
    "falling/container-v1": (("consistency", "gravity x 0.8", "gravity:0.8"),),
    "falling/tumble-v1": (("consistency", "stiffness x 0.7", "stiffness:0.7"),),
    "collisions/domino-v1": (("consistency", "gravity x 0.5", "gravity:0.5"),),
    "occlusion/cups-v1": (("permanence", "the other cover", other_cover),),
    "occlusion/dark-v1": (("consistency", "gravity x 0.8", "gravity:0.8"),),
}


def qualities(clip: Clip, frames: np.ndarray) -> dict[str, float]:
    """Quality on each axis that has one."""
    rows = score_clip(clip, Rollout(clip.id, 0, frames), CONTEXT, SCORERS)[0]
    values = {axis: [row.quality for row in rows if row.axis == axis and row.quality is not None] for axis in AXES}
    return {axis: float(np.mean(each)) for axis, each in values.items() if each}


def measure(task: str, clips: int) -> str:
    """The row of a task: truth, skill of the baselines, and AUROC of each broken law."""
    read: dict[str, list[dict[str, float]]] = {}
    for seed in range(clips):
        clip = make_clip(Row(task, "test", seed), render_spec(64, 15.0))
        read.setdefault("truth", []).append(qualities(clip, clip.future()))
        for name in BASELINES:
            frames = baseline_rollout(name, clip, CARD).frames
            assert frames is not None, f"{name} answers with frames"
            read.setdefault(name, []).append(qualities(clip, frames))
        for _, law, broken in LAWS[task]:
            frames = show(clip, CONTEXT, broken).frames if isinstance(broken, str) else broken(clip)
            read.setdefault(law, []).append(qualities(clip, frames))

    def mean(source: str, axis: str) -> float:
        return float(np.mean([each[axis] for each in read[source]]))

    axes = [
        a
        for a in AXES
        if all(a in q for q in read["truth"]) and kind(mean("truth", a), mean("freeze", a)) == "informative"
    ]
    lowest = min(float(each[axis]) for each in read["truth"] for axis in axes)
    cells = [task, f"{lowest:.2f}"]
    for name in BASELINES:
        skill = [(mean(name, a) - mean("freeze", a)) / (mean("truth", a) - mean("freeze", a)) for a in axes]
        cells.append(f"{np.mean(skill):.2f}")
    seeds = np.arange(clips)
    for axis, law, _ in LAWS[task]:
        wrong, right = (np.array([1 - each[axis] for each in read[source]]) for source in (law, "truth"))
        apart = separation(wrong, seeds, right, seeds)
        low, high = apart.interval()
        cells += [law, axis, f"{1 - wrong.mean():.2f}", f"{apart.value:.2f} ({low:.2f}, {high:.2f})"]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(LAWS), help="ids")
    parser.add_argument("--clips", type=int, default=8, help="clips of test, at least 8 for intervals")
    options = parser.parse_args()
    if unknown := sorted(set(options.tasks) - set(LAWS)):
        parser.error(f"no broken law for {', '.join(unknown)}; of {', '.join(LAWS)}")
    for name in options.tasks:
        print(measure(name, options.clips), flush=True)
