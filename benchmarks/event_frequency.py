"""How often deciding events happen behind one image: in ground truth, lawful draws and futures that dodge them.

Motions are exact, without pictures: `tests/score/test_deciding_events.py` shows that tracks of
pictures read the same.

    python benchmarks/event_frequency.py --sets 20              the figures of docs/design/one-image.md
    python benchmarks/event_frequency.py --tasks screen-pass    some tasks

As models, drawn and tracked, what dodges and what is drawn lawfully:

    physbench eval benchmarks/event_frequency.py:dodging --privileged --tasks '*head-on-v1'
    physbench eval benchmarks/event_frequency.py:drawn --privileged --tasks '*head-on-v1'
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.store import ClipStore
from physbench.clips.suite import GOLDEN_SUITES
from physbench.clips.task import builtin_task_ids
from physbench.laws.scene_law import Trajectory
from physbench.models.protocol import ModelCard
from physbench.result.skill import frequency
from physbench.score.outcomes import event_chances
from physbench.score.protocol import EVENT_KINDS
from physbench.shadowing.context import MEMBERS
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.shadow import place_bodies, scene_law_of
from physbench.track.tracker import track
from physbench.validity.lawful_alternatives import ahead, frames_of
from physbench.world.bullet import simulate_ensemble
from physbench.world.camera import PLANE_AXES, plane_from_world
from physbench.world.scene import RenderSpec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # helpers that tests share
from dodging import dodging_velocities, exact_events, motion_with, velocities_of_draws

IMAGE = 1  # context frames


def image_problem(clip: Clip) -> Hypothesis | None:
    """The clip behind one image, to be simulated; None where it cannot be."""
    model = scene_law_of(clip)
    if model is None:
        return None
    problem = Hypothesis(model, place_bodies(clip, track(clip, IMAGE, clip.frames[clip.window(IMAGE)]), model))
    return None if problem.seen.velocity_prior is None else problem


def shown(problem: Hypothesis, motion: Trajectory) -> list[bool]:
    """Whether a motion has an event of each kind."""
    found = exact_events(problem, motion, IMAGE)
    return [kind in found for kind in EVENT_KINDS]


def pictures(clip: Clip, problem: Hypothesis, velocity: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) of the future with velocities (N, 2) m/s at the hand-over, simulated by PyBullet."""
    start, axes = clip.states[clip.handover].copy(), list(PLANE_AXES[clip.scene.camera.view])
    for n, index in enumerate(problem.law.index):
        before = start[index, 7:10].copy()
        speed = np.linalg.norm(velocity[n]) * np.sign(velocity[n] @ before[axes])
        start[index, 10:] *= speed / max(float(np.linalg.norm(before)), 1e-9)  # it rolls if it rolled
        start[index, [7 + axis for axis in axes]] = velocity[n]
    return frames_of(clip, simulate_ensemble(clip.scene, 0.0, start[None], ahead(clip))[0])


class Chosen:
    """A model that is told the scene, and chooses lawful velocities behind the one image."""

    def __init__(self, name: str) -> None:
        self.name, self.card = name, ModelCard(name, (64, 64), 15.0, IMAGE, track="privileged")

    def rollout_clips(
        self, clips: Sequence[Clip], *, horizon: int, generators: Sequence[torch.Generator]
    ) -> Iterator[torch.Tensor]:
        shown = np.stack([self.future(clip)[:horizon] for clip in clips])
        yield torch.from_numpy(shown).permute(0, 1, 4, 2, 3).float() / 255

    def future(self, clip: Clip) -> NDArray[np.uint8]:
        """Frames (T, H, W, 3); ground truth where no law moves a scene."""
        problem = image_problem(clip)
        if problem is None:
            return clip.future()
        if self.name == "dodging":
            return pictures(clip, problem, dodging_velocities(clip, problem, IMAGE))
        every = velocities_of_draws(clip, problem)[MEMBERS:]  # none of them is in the ensemble
        return pictures(clip, problem, every[np.random.default_rng(clip.row.seed).integers(len(every))])


def dodging(*, device: torch.device, dtype: torch.dtype) -> Chosen:
    """As slow as the task allows, past all else."""
    return Chosen("dodging")


def drawn(*, device: torch.device, dtype: torch.dtype) -> Chosen:
    """As in another draw of the task."""
    return Chosen("drawn")


def read_task(task: str, spec: RenderSpec, sets: int, clips: Mapping[Split, int]) -> None:
    """Print one line for each kind of event of a task."""
    store, rng = ClipStore(), np.random.default_rng(0)
    chances: list[list[float]] = []
    rows: list[list[list[bool]]] = []  # (sets + 2, kinds) of each clip: truth, dodging, draws
    for split, count in clips.items():
        for seed in range(count):
            clip = store.get(Row(task, split, seed), spec)
            problem = image_problem(clip)
            if problem is None:
                return print(f"| {task} | no lawful ensemble | | | | | | |", flush=True)
            chance = event_chances(clip, IMAGE, problem)
            if not chance and not chances:
                return print(f"| {task} | none | | | | | | |", flush=True)
            chances.append([chance.get(kind, 0.0) for kind in EVENT_KINDS])
            drawn = velocities_of_draws(clip, problem)
            true = clip.states[clip.handover][list(problem.law.index), 7:10]
            chosen = [plane_from_world(clip.scene.camera, true), dodging_velocities(clip, problem, IMAGE)]
            chosen += [drawn[m] for m in rng.integers(MEMBERS, len(drawn), sets)]  # none of them is in the ensemble
            rows.append([shown(problem, motion_with(clip, problem, IMAGE, velocity)) for velocity in chosen])
    every, said = np.array(chances), np.array(rows, dtype=float)  # (clips, kinds), (clips, sets + 2, kinds)
    for k, kind in enumerate(EVENT_KINDS):
        asked = every[:, k] > 0
        if not asked.any():
            continue
        found = [frequency(every[asked, k], said[asked, s, k]) for s in range(said.shape[1])]
        truth, dodged, draws = found[0], found[1], found[2:]
        least = min(each.seen for each in draws)
        losing = sum(each.lost > 0 for each in draws)
        print(
            f"| {task} | {kind} | {truth.clips} | {truth.expected:.1f} | {truth.fewest} | {truth.seen:.0f} | "
            f"{np.mean([each.seen for each in draws]):.1f} ({least:.0f}) | {losing} of {len(draws)} | "
            f"{dodged.seen:.0f} | {dodged.lost:.2f} |",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20, help="sets of lawful draws")
    parser.add_argument("--tasks", default="*", help="glob of task ids")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--fps", type=float, default=15.0)
    options = parser.parse_args()
    print("| task | event | clips | lawful mean | fewest | truth | draws (least) | lose | dodging | loses |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for task in sorted({*builtin_task_ids(), *builtin_task_ids(actions=True)}):
        if fnmatch(task, f"*{options.tasks}*"):
            spec = RenderSpec(options.size, options.size, options.fps)
            read_task(task, spec, options.sets, GOLDEN_SUITES["core"])


if __name__ == "__main__":
    main()
