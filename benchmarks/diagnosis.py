"""Is the right changed world named? Runs of changed worlds on exact places with noise, diagnosed as a model's runs are.

    python benchmarks/diagnosis.py [--runs 5] [--clips 8] [--only TEXT]
    python benchmarks/diagnosis.py --rendered --runs 1    # PyBullet with a violation, drawn and tracked

Each line is one world: how many of the runs name it, and how often its number lies in the interval.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.laws.scene_law import scene_law
from physbench.result.diagnosis import ChangedWorld, Evidence, diagnose_family, evidence_of, find_changed_worlds
from physbench.result.diagnosis.worlds import altered_by
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.observed_motion import POSITION, PlacedBodies
from physbench.shadowing.search import SegmentSearch
from physbench.track.tracker import track
from physbench.validity.sources import show
from physbench.validity.violations import Inapplicable
from physbench.world.bullet import simulate, simulate_ensemble
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import PHYSICS_HZ, Body

WINDOW = 5.12  # m
FIRST_SEED = 7000  # apart from those of suites
Case = tuple[str, dict[str, float]]  # task, values of changed worlds

CASES: tuple[Case, ...] = (
    ("falling/projectile-v1", {"gravity": 0.9}),
    ("falling/projectile-v1", {"gravity": 1.17}),
    ("falling/projectile-v1", {"gravity": 0.45}),
    ("falling/projectile-v1", {"gravity-direction": 4.0}),
    ("falling/projectile-v1", {"gravity-trend": 0.09}),
    ("falling/drop-bounce-v1", {"gravity-trend": -0.15}),
    ("falling/projectile-v1", {"drag": 0.11}),
    ("falling/drop-bounce-v1", {"drag": 0.3}),
    ("collisions/wall-bounce-v1", {"drag": 0.2}),
    ("falling/projectile-v1", {"lateral-force": 9.0}),
    ("collisions/wall-bounce-v1", {"lateral-force": -7.0}),
    ("falling/drop-bounce-v1", {"restitution": 0.85}),
    ("collisions/head-on-v1", {"restitution": 0.7}),
    ("falling/incline-v1", {"friction": 0.5}),
    ("collisions/head-on-v1", {"mass-ratio": 2.3}),
    ("collisions/head-on-v1", {"mass-ratio": 0.5}),
    ("falling/projectile-v1", {"rebound-angle": 9.0}),
    ("collisions/wall-bounce-v1", {"rebound-angle": -12.0}),
    ("falling/drop-bounce-v1", {"contact-distance": 0.15}),
    ("collisions/wall-bounce-v1", {"contact-distance": 0.25}),
    ("falling/projectile-v1", {"contact-time": 0.06}),
    ("falling/drop-bounce-v1", {"contact-time": -0.04}),
    ("collisions/head-on-v1", {"pass-through": 0.0}),
    ("occlusion/screen-swap-v1", {"exchange": 0.0}),
    ("collisions/head-on-v1", {"exchange": 0.0}),
    ("orbits/kepler-v1", {"central-mass": 0.93}),
    ("orbits/kepler-v1", {"force-exponent": 1.8}),
    ("orbits/kepler-v1", {"precession": 12.0}),
    ("orbits/flyby-v1", {"softening": 0.35}),
    ("falling/drop-bounce-v1", {"speed-of-time": 0.85}),
    ("orbits/kepler-v1", {"speed-of-time": 1.12}),
    ("collisions/head-on-v1", {"pull-right": 0.2}),
    ("falling/projectile-v1", {"gravity": 0.9, "drag": 0.2}),
    ("falling/projectile-v1", {}),
    ("collisions/head-on-v1", {}),
    ("orbits/kepler-v1", {}),
)


@dataclass(frozen=True)
class Viewing:
    """How a motion is seen."""

    fps: float = 30
    size: int = 128  # px across the window
    noise: float = 0.05  # px, sd of a place
    start: float = -0.5  # s, of the first frame; 0: the context is one image
    seconds: float = math.inf  # of the prediction that are seen, at most

    @property
    def sd(self) -> float:
        """Of a place, in m."""
        return self.noise * WINDOW / self.size


LONG = Viewing()

# Violations of PyBullet that act from the hand-over on and are alike in all clips: task, source, what is to be named.
RENDERED: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("falling/projectile-v1", "gravity:0.9", {"gravity": 0.9}),
    ("falling/drop-bounce-v1", "gravity:0.8", {"gravity": 0.8}),
    ("orbits/kepler-v1", "central-mass:0.9", {"central-mass": 0.9}),
    ("orbits/kepler-v1", "force-exponent:1.8", {"force-exponent": 1.8}),
    ("falling/incline-v1", "friction:0.5", {"friction": 0.5}),
    ("falling/projectile-v1", "gravity:0.9+tremble:0.05", {"gravity": 0.9}),
    ("orbits/kepler-v1", "central-mass:0.95+tremble:0.05", {"central-mass": 0.95}),
    ("falling/projectile-v1", "tremble:0.05", {}),
)
CONTEXT = 8  # frames


def rendered(task: str, seed: int, source: str) -> Evidence | None:
    """What the tracker sees of a violation; None where it has nothing to do in a clip."""
    clip = make_clip(Row(task, "test", seed), render_spec(LONG.size, LONG.fps))
    try:
        frames = show(clip, CONTEXT, source).frames
    except Inapplicable:
        return None
    return evidence_of(clip, track(clip, CONTEXT, np.concatenate([clip.context(CONTEXT), frames])))


def evidence(
    task: str,
    seed: int,
    worlds: Sequence[ChangedWorld],
    values: Sequence[float],
    noise: int,
    viewing: Viewing = LONG,
) -> Evidence:
    """Exact places of a changed world from a task's true context on, with noise."""
    scene = make_scene(Row(task, "test", seed))
    last = min(scene.horizon, viewing.seconds)
    times = np.arange(round(viewing.start * viewing.fps), round(last * viewing.fps) + 1) / viewing.fps
    states = simulate(scene, [times[0]]).states
    states = np.concatenate([states, simulate_ensemble(scene, float(times[0]), states, times[1:])[0]])
    released = [body.release for body in scene.bodies if body.role == "moving" and body.release is not None]
    since = max([viewing.start, *released])
    model = scene_law(scene, since)
    places = states[:, list(model.index)][..., list(PLANE_AXES[scene.camera.view])]
    seen = placed(times, places, model.scene.bodies, since, viewing.sd)
    true = SegmentSearch(Hypothesis(model, seen), 0.03, only_first=True).run().arcs
    arcs = [replace(arc, last=len(times)) for arc in true]
    world = Hypothesis(altered_by(model, tuple(worlds), tuple(values)), seen)
    exact = world.simulate(arcs, len(times) - 1).at(seen.steps)[0][0]
    rng = np.random.default_rng([noise, seed])
    position = exact + rng.normal(0, viewing.sd, exact.shape)
    return Evidence(f"{task}.{seed}", task, model, replace(seen, position=position))


def placed(
    times: NDArray[np.float64], position: NDArray[np.float64], bodies: Sequence[Body], since: float, sd: float
) -> PlacedBodies:
    """Positions (T, N, 2) m that are seen as they are, with noise of sd m."""
    diameter = np.array([2 * body.size[0] for body in bodies if body.role == "moving"])
    shape = position.shape[:2]
    return PlacedBodies(
        times,
        np.round(times * PHYSICS_HZ),
        position,
        np.broadcast_to(np.maximum(sd / diameter, POSITION.min_sd), shape),
        diameter,
        np.repeat((times > 1e-9)[:, None], shape[1], axis=1),
        np.ones(shape, dtype=bool),
        np.full(shape[1], int(np.searchsorted(times, since - 1e-9))),
        np.zeros(shape, dtype=bool),
    )


def results(case: Case, runs: int, clips: int, source: str = "") -> Iterator[tuple[bool, list[bool], str]]:
    """Of each run: whether the right world is named, whether each true number is in its interval, and what is said."""
    known = {world.id: world for world in find_changed_worlds()}
    task, true = case
    for run in range(runs):
        seeds = range(FIRST_SEED + clips * run, FIRST_SEED + clips * (run + 1))
        worlds = [known[name] for name in true]
        if source:
            shown = [each for seed in seeds if (each := rendered(task, seed, source)) is not None]
        else:
            shown = [evidence(task, seed, worlds, list(true.values()), run) for seed in seeds]
        found = diagnose_family(shown, list(known.values()))
        named = {law.id: law for law in found.laws} if found.verdict == "named" else {}
        wanted = true.keys() == named.keys()
        inside = [
            law.interval[0] <= true[name] <= law.interval[1]
            for name, law in named.items()
            if name in true and law.interval is not None
        ]
        said = "+".join(f"{name} {law.value:.3g}" if law.value is not None else name for name, law in named.items())
        yield wanted, inside, f"{said or found.verdict} ({found.share:.2f}; {','.join(found.alike)})"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--only", default="")
    parser.add_argument("--rendered", action="store_true")
    options = parser.parse_args()
    cases = [(case, "") for case in CASES]
    if options.rendered:
        cases = [((task, true), source) for task, source, true in RENDERED]
    total = covered = numbers = right = 0
    print("| task | changed world | named right | number in interval | CPU s a run | first answer |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case, source in cases:
        name = " + ".join(f"{world} {value:g}" for world, value in case[1].items()) or "none"
        if options.only not in f"{case[0]} {name}":
            continue
        before = time.process_time()
        found = list(results(case, options.runs, options.clips, source))
        spent = (time.process_time() - before) / options.runs
        good, inside = sum(each[0] for each in found), [one for each in found for one in each[1]]
        right, total = right + good, total + len(found)
        covered, numbers = covered + sum(inside), numbers + len(inside)
        said = next((each[2] for each in found if not each[0]), found[0][2])
        share = f"{sum(inside)} of {len(inside)}" if inside else ""
        print(f"| {case[0]} | {name} | {good} of {len(found)} | {share} | {spent:.1f} | {said} |", flush=True)
    print(f"\nNamed right: {right} of {total}. Numbers in their intervals: {covered} of {numbers}.")


if __name__ == "__main__":
    main()
