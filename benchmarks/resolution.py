"""Do simulators with wrong constants come out in order, and what do extrapolations earn? On exact places, not drawn.

    python benchmarks/resolution.py [--clips 4] [--first 7000] [--tasks GLOB] [--sources NAMES] [--kept FILE]

A simulator "0.1" is the scene's own with gravity, restitution, friction and central masses times 0.9, from the true
state at the hand-over on. "gravity 0.1" changes gravity and central masses alone; other names are extrapolations of
`physbench.validity.gaming_baselines`, "truth-straight" (a second of truth, then straight on) and "near" (a lawful
alternative). Places have 0.05 px of noise, at 128 px, 15 frames/s and 8 context frames; what would be hidden or
outside the picture is not seen. Printed is skill on consistency by task and family, then for neighbouring simulators
the difference by family with the lower end of its 95 % interval, paired over clips, and strength (median, diameters).

The file is a model too, which is drawn, and whose constants are all 1 - `error` times what they are (0.1):

    physbench eval benchmarks/resolution.py:constants --privileged --suite smoke --model-arg error=0.3

--kept keeps what was read of each video, a line each, and goes on from there; it holds for one state of the sources.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.clips.suite import find_suite
from physbench.laws.scene_law import SceneLaw
from physbench.models.protocol import ModelCard
from physbench.result.skill import SKILL
from physbench.score.predictability import ensemble_states
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.levels import judge, quality, strength
from physbench.shadowing.observed_motion import PlacedBodies
from physbench.shadowing.shadow import place_bodies, scene_law_of
from physbench.track.tracks import state_tracks
from physbench.validity.gaming_baselines import CHEAT, EXTRAPOLATIONS, stay, straight
from physbench.validity.violations import Inapplicable
from physbench.world.bullet import simulate_ensemble
from physbench.world.drawing import render
from physbench.world.scene import Scene

Array = NDArray[np.float64]

SIZE, FPS, CONTEXT = 128, 15.0, 8  # px, frames/s, frames
NOISE = 0.05  # px
ERRORS = ("0.01", "0.02", "0.05", "0.1", "0.2", "0.4", "0.8")
OTHERS = ("near", "gravity 0.1", "straight", "accelerate", "turn", "limp", "truth-straight")
RESAMPLES = 2000


def worse(scene: Scene, factor: float, *, all_constants: bool = True) -> Scene:
    """A scene with constants times a factor; restitution and friction of a pair are products."""
    x, y, z = (factor * value for value in scene.gravity)
    fields = tuple(replace(each, mu=each.mu * factor) for each in scene.fields)
    half = factor**0.5 if all_constants else 1.0
    bodies = tuple(
        replace(body, restitution=body.restitution * half, friction=body.friction * half) for body in scene.bodies
    )
    return replace(scene, gravity=(x, y, z), fields=fields, bodies=bodies)


def future(clip: Clip, source: str) -> Array:
    """Predicted states (T, N, 13) of a source. Raises Inapplicable where it has nothing to do."""
    times, start = clip.times[clip.handover + 1 :], clip.states[clip.handover]
    true = clip.states[clip.handover + 1 :]
    if source == "truth":
        return true
    if source == "freeze":
        return stay(clip, start, times)
    if source == "near":
        return simulate_ensemble(clip.scene, 0.0, ensemble_states(clip, CONTEXT)[:1], times)[0]
    if source == "truth-straight":
        first = int((times <= CHEAT.true_lead + 1e-9).sum())
        return np.concatenate([true[:first], straight(clip, true[first - 1], times[first:] - times[first - 1])])
    if source in EXTRAPOLATIONS:
        return EXTRAPOLATIONS[source](clip, start, times)
    name, _, error = source.rpartition(" ")
    scene = worse(clip.scene, 1 - float(error), all_constants=not name)
    return simulate_ensemble(scene, 0.0, start[None], times)[0]


def seen(clip: Clip, model: SceneLaw, states: Array) -> PlacedBodies:
    """What would be seen of states (T, N, 13): exact places with noise, none where a body is hidden or outside."""
    tracks = state_tracks(clip, CONTEXT, states[:, list(clip.tracked)])
    rng = np.random.default_rng([clip.row.seed, 7])
    position = tracks.position + rng.normal(0, NOISE, tracks.position.shape)
    known = np.isfinite(position[..., 0])
    placed = place_bodies(clip, replace(tracks, position=position, position_sd=np.where(known, NOISE, np.nan)), model)
    gone = ~np.isfinite(placed.position[..., 0])
    if placed.sight is not None:
        gone |= placed.sight.out_of_sight(placed.position)
    gone[:CONTEXT] &= ~placed.expected_visible[:CONTEXT]
    return replace(placed, position=np.where(gone[..., None], np.nan, placed.position), present=placed.present & ~gone)


def readings(clip: Clip, model: SceneLaw, source: str) -> dict[str, object]:
    """What is read of one source in one clip."""
    problem = Hypothesis(model, seen(clip, model, future(clip, source)))
    begin = time.process_time()
    problem, levels = judge(problem)
    middle = time.process_time()
    size = strength(problem, levels)
    seconds = {"seconds": middle - begin, "seconds_of_strength": time.process_time() - middle}
    plain = float(np.mean([(level.explained + level.shadowed) / 2 for level in levels[:3]]))  # as in suite version 2
    return {
        "task": clip.row.task,
        "seed": clip.row.seed,
        "source": source,
        "quality": quality(levels),
        "plain": plain,
        "strength": size,
        **seconds,
    }


def measured(options: argparse.Namespace) -> pd.DataFrame:
    """A row for each clip and source."""
    path = Path(options.kept) if options.kept else None
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []
    known = {(row["task"], row["seed"], row["source"]) for row in rows}
    tasks = fnmatch.filter(sorted({row.task for row in find_suite("core").rows}), f"*{options.tasks}*")
    sources = ("truth", "freeze", *(name for name in options.sources.split(",") if name))
    for seed in range(options.first, options.first + options.clips):
        for task in tasks:
            todo = [source for source in sources if (task, seed, source) not in known]
            if not todo:
                continue
            clip = make_clip(Row(task, "test", seed), render_spec(SIZE, FPS))
            model = scene_law_of(clip)
            for source in todo if model is not None else ():
                try:
                    rows.append(readings(clip, model, source))
                except Inapplicable:
                    continue
                if path:
                    with path.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
    table = pd.DataFrame(rows)
    return table[table["task"].isin(tasks) & table["source"].isin(sources)]


def task_skills(table: pd.DataFrame, value: str) -> dict[str, pd.DataFrame]:
    """By informative task the skill of each clip (rows) and source: quality between the means of truth and freeze."""
    found = {}
    for task, group in table.groupby("task"):
        wide = group.pivot(index="seed", columns="source", values=value)
        truth, freeze = float(wide["truth"].mean()), float(wide["freeze"].mean())
        if truth - freeze >= SKILL.informative_from:
            found[str(task)] = (wide - freeze) / (truth - freeze)
    return found


def by_family(skills: dict[str, pd.DataFrame], random: np.random.Generator | None = None) -> pd.DataFrame:
    """Skill by family (rows) and source; with `random` of resampled clips."""
    means = {}
    for task, wide in skills.items():
        drawn = wide if random is None else wide.iloc[random.integers(0, len(wide), len(wide))]
        means[task] = drawn.mean()
    table = pd.DataFrame(means).T
    return table.groupby(lambda task: task.split("/")[0]).mean()


def neighbours(skills: dict[str, pd.DataFrame], sources: Sequence[str]) -> Iterator[str]:
    """Lines of a table: by how much each simulator lies below the one before it, with the paired lower end."""
    point = by_family(skills)
    random = np.random.default_rng(0)
    drawn = [by_family(skills, random) for _ in range(RESAMPLES)]
    for family in point.index:
        cells = []
        for one, other in pairwise(sources):
            gaps = np.array([each.loc[family, one] - each.loc[family, other] for each in drawn])
            cells.append(f"{point.loc[family, one] - point.loc[family, other]:.2f} ({np.quantile(gaps, 0.025):.2f})")
        yield f"| {family} | " + " | ".join(cells) + " |"


def show(table: pd.DataFrame, sources: Sequence[str]) -> None:
    """Print all tables."""
    for value, words in (("quality", "Skill on consistency"), ("plain", "The same as suite version 2 weighed it")):
        skills = task_skills(table, value)
        rows = pd.concat([pd.DataFrame({task: wide.mean() for task, wide in skills.items()}).T, by_family(skills)])
        print(f"\n{words}\n\n| | clips | {' | '.join(sources)} |\n| --- | --- |{' --- |' * len(sources)}")
        for name, row in rows.iterrows():
            clips = len(skills[str(name)]) if name in skills else ""
            print(f"| {name} | {clips} | " + " | ".join(f"{row.get(each, np.nan):.2f}" for each in sources) + " |")
    errors = ["truth", *(each for each in sources if each in ERRORS)]
    if len(errors) > 1:
        print(f"\nTo the next larger error\n\n| | {' | '.join(errors[1:])} |\n| --- |{' --- |' * (len(errors) - 1)}")
        print("\n".join(neighbours(task_skills(table, "quality"), errors)))
    print("\nStrength, median, diameters\n")
    medians = table.groupby([table["task"].str.split("/").str[0], "source"])["strength"].median().unstack("source")
    for family, row in medians.iterrows():
        print(f"| {family} | " + " | ".join(f"{row.get(each, np.nan):.2f}" for each in sources) + " |")
    seconds = table.groupby("source")[["seconds", "seconds_of_strength"]].mean()
    print("\nProcessor seconds a clip, four tolerances and strength\n")
    print("\n".join(f"{each} {seconds.loc[each, 'seconds']:.2f} {seconds.loc[each].iloc[1]:.2f}" for each in sources))


class Constants:
    """Knows everything, but has all constants off by a share of what they are."""

    card = ModelCard("wrong constants", (64, 64), FPS, CONTEXT, track="privileged")

    def __init__(self, error: str) -> None:
        self.error = error

    def rollout_clips(
        self, clips: Sequence[Clip], *, horizon: int, generators: Sequence[torch.Generator]
    ) -> torch.Tensor:
        found = [
            render(each.scene, each.times[each.handover + 1 :], future(each, f" {self.error}"), each.spec).frames
            for each in clips
        ]
        return torch.from_numpy(np.stack(found)).permute(0, 1, 4, 2, 3).float() / 255


def constants(*, device: torch.device, dtype: torch.dtype, error: str = "0.1") -> Constants:
    return Constants(error)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=4, help="of each task")
    parser.add_argument("--first", type=int, default=7000, help="seed of the first clip, apart from those of suites")
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--sources", default=",".join((*ERRORS, *OTHERS)), help="separated by commas")
    parser.add_argument("--kept", help="file to go on from")
    options = parser.parse_args()
    table = measured(options)
    show(table, [each for each in options.sources.split(",") if each in set(table["source"])])


if __name__ == "__main__":
    main()
