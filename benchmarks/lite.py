"""How well the suite `lite` ranks models as `core` does, and whether another choice of its clips would do better.

    python benchmarks/lite.py measure FOLDER [--workers 2]    # saboteurs on all clips of core; can go on
    python benchmarks/lite.py choose FOLDER [RUN ...]         # and finished runs of core, if there are any
    python benchmarks/lite.py compare RUN [RUN ...]           # finished runs of core, each in lite beside in core

Every source of answers, a saboteur, a gaming baseline or a model that was run, counts as a model. Half of them choose:
in each task the 8 of its 24 `test` seeds whose mean qualities are nearest to those of all its clips, in the least
squares over models and axes, found by looking at all 735,471 sets. The other half checks, and then the halves change
places: by how much the overall skill in `lite` differs from that in `core`, and Kendall's tau of both for pairs whose
skills in core are further apart than a distance, with an interval over models (bootstrap). To compare, the same for the
first 8 seeds and for seeds drawn at random.

Made-up models answer each clip with one of up to three sources, drawn with weights of their own: their skills lie as
closely as one likes, so that tau is known for models that hardly differ.
"""

from __future__ import annotations

import argparse
import itertools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.suite import find_suite
from physbench.result.read import read_run
from physbench.result.skill import Kind, Stratum, clip_qualities, skills, task_means
from physbench.result.task_roles import kinds_of
from physbench.run.jobs import SCORING_PRELOAD
from physbench.score.protocol import AXES
from physbench.support.processes import scheduled
from physbench.support.run_folder import RunFolder
from physbench.validity.measure import Settings, read_parts, work
from physbench.world.scene import RenderSpec

Array = NDArray[np.float64]

LITE = 8  # clips of a task: the fewest with which a stratum has an interval
SPEC, CONTEXT = RenderSpec(64, 64, 15.0), 8
REFERENCES = ("truth", "freeze")
SABOTEURS = (
    *("slow-time:0.8", "pass-through:1", "momentum:0.5", "restitution:1.1", "gravity:0.9", "central-mass:0.95"),
    *("vanish:1", "hue:72", "teleport:0.25", "speed-gain:0.5", "stranger-far", "cheat-truth-straight", "cheat-roll"),
    *("cheat-straight", "cheat-empty"),
)
HEADLINES = "consistency/outcome,consistency/shadowing,drift/accuracy,drift/stability,permanence/intact"
APART = (0.0, 0.02, 0.05)  # of skill: pairs nearer than this are not counted
RESAMPLES = 2000
MADE_UP = 200


def measure(folder: Path, workers: int) -> None:
    """Score every saboteur on every clip of core, at the size of its references."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings((), SABOTEURS, HEADLINES, clips=0, truths=0)
    rows = find_suite("core").rows
    jobs = [(row, (*REFERENCES, *SABOTEURS)) for row in rows]
    job = partial(work, folder, settings)
    with scheduled(job, jobs, workers=workers, preload=SCORING_PRELOAD, label="clips", long=True) as outcomes:
        for _ in outcomes:
            pass


@dataclass(frozen=True, eq=False)
class Answers:
    """Qualities on all clips of core: by stratum (M, 3, A, n), of each model, and of ground truth and freeze beside it.

    NaN where a clip does not count on an axis.
    """

    names: tuple[str, ...]  # (M,)
    values: Mapping[Stratum, Array]
    seeds: Mapping[Stratum, tuple[int, ...]]  # (n,)

    def of(self, models: Sequence[int]) -> Answers:
        """Those of some models."""
        values = {key: block[list(models)] for key, block in self.values.items()}
        return Answers(tuple(self.names[m] for m in models), values, self.seeds)

    @staticmethod
    def joined(parts: Sequence[Answers]) -> Answers:
        names = tuple(name for part in parts for name in part.names)
        keys = parts[0].values.keys()
        return Answers(names, {key: np.concatenate([p.values[key] for p in parts]) for key in keys}, parts[0].seeds)


def measured_answers(folder: Path) -> Answers:
    """Saboteurs' qualities; a saboteur that has nothing to do on a clip answers it with ground truth."""
    by_stratum: dict[Stratum, list[Array]] = {}
    seeds: dict[Stratum, list[int]] = {}
    for row in find_suite("core").rows:
        parts = {name: part for name, part in read_parts(folder, row).items() if part.outcome in ("shown", "unseen")}
        qualities = {name: _qualities(part.reads) for name, part in parts.items()}
        truth, freeze = (qualities[name] for name in REFERENCES)
        counts = np.isfinite(truth)
        own = [np.stack([qualities.get(name, truth), truth, freeze]) for name in SABOTEURS]
        key = Stratum(row.task, row.split)
        by_stratum.setdefault(key, []).append(np.where(counts, np.nan_to_num(np.stack(own)), np.nan))
        seeds.setdefault(key, []).append(row.seed)
    values = {key: np.stack(blocks, axis=-1) for key, blocks in by_stratum.items()}
    return Answers(SABOTEURS, values, {key: tuple(found) for key, found in seeds.items()})


def _qualities(reads: Sequence[Any]) -> Array:
    """Mean over the headline readings of each axis (A,); NaN where none has a quality."""
    by_axis = [[read.quality for read in reads if read.axis == axis and read.quality is not None] for axis in AXES]
    return np.array([np.mean(values) if values else np.nan for values in by_axis])


def run_answers(path: Path) -> Answers:
    """Those of a finished run of core."""
    manifest, tables = read_run(RunFolder(path))
    if manifest.suite.hash != find_suite("core").hash:
        raise SystemExit(f"{path}: is not a run of all of core.")
    found = clip_qualities({"model": tables["model"]}, tables["truth"], tables["freeze"])
    seeds = {key: tuple(int(clip.rsplit(".", 1)[1]) for clip in clips) for key, clips in found.clips.items()}
    order = {key: np.argsort(of) for key, of in seeds.items()}
    values = {key: block[None, ..., order[key]] for key, block in found.values.items()}
    return Answers((path.name,), values, {key: tuple(sorted(of)) for key, of in seeds.items()})


def mean_of(values: Array) -> Array:
    """Mean over clips (last axis) that count; NaN where none does."""
    good = np.isfinite(values)
    count = good.sum(axis=-1)
    return np.where(count > 0, np.where(good, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def choose_seeds(answers: Answers, kinds: Mapping[str, tuple[Kind, ...]]) -> dict[str, tuple[int, ...]]:
    """For each task the LITE test seeds whose mean qualities are nearest to those of all its clips."""
    chosen = {}
    for task, kind in kinds.items():
        counted = [a for a, each in enumerate(kind) if each in ("informative", "guard")]
        pooled = np.concatenate([block for key, block in answers.values.items() if key.task == task], axis=-1)
        own = answers.values[Stratum(task, "test")][:, :, counted]  # (M, 3, a, 24)
        wanted = mean_of(pooled)[:, :, counted]
        rows, goal = own.reshape(-1, own.shape[-1]), wanted.reshape(-1)
        _, first = np.unique(np.round(rows, 9), axis=0, return_index=True)  # references stand beside every model
        sets = np.array(list(itertools.combinations(range(own.shape[-1]), LITE)), dtype=np.uint8)
        best = min(
            (part for part in np.array_split(sets, 200)),
            key=lambda part: _distances(rows[first], goal[first], part).min(),
        )
        place = best[_distances(rows[first], goal[first], best).argmin()]
        chosen[task] = tuple(answers.seeds[Stratum(task, "test")][k] for k in place)
    return chosen


def _distances(rows: Array, goal: Array, sets: NDArray[np.uint8]) -> Array:
    """Sums of squares (S,) between the means of rows (R, n) over each set (S, k) and their goals (R,)."""
    inside = np.zeros((len(sets), rows.shape[1]))
    np.put_along_axis(inside, sets.astype(np.intp), 1.0, axis=1)
    good = np.isfinite(rows)
    count = inside @ good.T
    means = (inside @ np.where(good, rows, 0.0).T) / np.maximum(count, 1)
    known = np.isfinite(goal) & (count > 0)
    return np.where(known, np.square(means - np.nan_to_num(goal)), 0.0).sum(axis=1)


def overall_skills(answers: Answers, kinds: Mapping[str, tuple[Kind, ...]], seeds: Mapping[str, Any] | None) -> Array:
    """Overall skill (M,) of every model on all clips, or on the test seeds of each task."""
    values = answers.values
    if seeds is not None:
        inside = {k: np.isin(answers.seeds[k], seeds[k.task]) for k in values if k.split == "test"}
        values = {key: values[key][..., mask] for key, mask in inside.items()}
    counts = {key: np.isfinite(block[0, 1]).sum(axis=-1) for key, block in values.items()}
    means = task_means({key: mean_of(block) for key, block in values.items()}, counts)
    return skills(means, kinds, 0, slice(1, 3)).overall


def agreement(core: Array, lite: Array, apart: float) -> float:
    """Kendall's tau over the pairs of models whose skills in core are more than `apart` from each other."""
    first, second = np.triu_indices(len(core), 1)
    gaps, found = core[first] - core[second], lite[first] - lite[second]
    clear = np.abs(gaps) > apart
    return float(np.sign(gaps * found)[clear].mean()) if clear.any() else np.nan


def interval(core: Array, lite: Array, apart: float, rng: np.random.Generator) -> Array:
    """95 % interval (2,) of the agreement over models: bootstrap by percentiles."""
    drawn = rng.integers(0, len(core), (RESAMPLES, len(core)))
    # A model drawn twice makes a pair that is not apart, and is left out.
    return np.nanpercentile([agreement(core[k], lite[k], max(apart, 1e-9)) for k in drawn], (2.5, 97.5))


def _kinds() -> dict[str, tuple[Kind, ...]]:
    """Of each task of core, what it is on each axis."""
    kinds_by_axis = kinds_of(find_suite("core").version, SPEC, CONTEXT)
    assert kinds_by_axis is not None
    return {task: tuple(kinds_by_axis[task][axis] for axis in AXES) for task in find_suite("core").tasks}


def choose(folder: Path, runs: Sequence[Path]) -> None:
    """Choose on each half, check on the other, and print what came of it."""
    answers = Answers.joined([measured_answers(folder), *map(run_answers, runs)])
    kinds = _kinds()
    halves = [[], []]
    for place, m in enumerate(np.argsort([zlib.crc32(name.encode()) for name in answers.names])):
        halves[place % 2].append(int(m))
    rng = np.random.default_rng(3)
    first_eight = {task: tuple(range(LITE)) for task in kinds}
    rows = []
    for choosing, checking in (halves, halves[::-1]):
        seeds = choose_seeds(answers.of(choosing), kinds)
        rest = answers.of(checking)
        core = overall_skills(rest, kinds, None)
        ways = {"chosen": [seeds], "first 8": [first_eight]}
        ways["drawn"] = [{t: tuple(rng.choice(24, LITE, replace=False)) for t in kinds} for _ in range(200)]
        for name, sets in ways.items():
            lite = [overall_skills(rest, kinds, each) for each in sets]
            error = np.median([np.sqrt(np.square(found - core).mean()) for found in lite])
            bias = np.median([(found - core).mean() for found in lite])
            for apart in APART:
                tau = np.median([agreement(core, found, apart) for found in lite])
                low, high = interval(core, lite[0], apart, rng) if len(sets) == 1 else (np.nan, np.nan)
                rows.append((len(checking), name, apart, tau, low, high, error, bias))
        print(", ".join(f"{answers.names[m]} {skill:.2f}" for m, skill in zip(checking, core, strict=True)))
    print("| checked on | seeds | apart by | tau | 95 % | rms of skill | bias |\n" + "| --- " * 7 + "|")
    for count, name, apart, tau, low, high, error, bias in rows:
        print(
            f"| {count} models | {name} | {apart} | {tau:.3f} | {low:.3f} to {high:.3f} | {error:.3f} | {bias:+.3f} |"
        )
    made_up(answers, kinds, first_eight, rng)


def made_up(answers: Answers, kinds: Mapping[str, tuple[Kind, ...]], seeds: Mapping[str, Any], rng: Any) -> None:
    """Print the agreement for made-up models, which mix the sources of others."""
    whole = mixed(answers, rng)
    core, lite = overall_skills(whole, kinds, None), overall_skills(whole, kinds, seeds)
    print(f"\n{MADE_UP} made-up models, skills {core.min():.2f} to {core.max():.2f}; first {LITE} seeds: ", end="")
    print(f"rms {np.sqrt(np.square(lite - core).mean()):.3f}, bias {(lite - core).mean():+.3f}")
    print("| further apart than | pairs | tau | 95 % |\n" + "| --- " * 4 + "|")
    for apart in (0.0, 0.01, 0.02, 0.03, 0.05, 0.1):
        low, high = interval(core, lite, apart, rng)
        pairs = int((np.abs(core[:, None] - core)[np.triu_indices(len(core), 1)] > apart).sum())
        print(f"| {apart} | {pairs} | {agreement(core, lite, apart):.3f} | {low:.3f} to {high:.3f} |")


def compare(runs: Sequence[Path]) -> None:
    """Print the overall skill of each run in lite and in core, and their difference, with intervals over clips.

    Bootstrap by percentiles: the clips of each task and split are drawn again, those of lite and the others apart.
    """
    kinds, rng = _kinds(), np.random.default_rng(3)
    first_eight = {task: tuple(range(LITE)) for task in kinds}
    print("| run | core | lite | lite less core |\n" + "| --- " * 4 + "|")
    for path in runs:
        answers = run_answers(path)
        found = [_both(answers, kinds, first_eight)]
        found += [_both(redrawn(answers, rng), kinds, first_eight) for _ in range(RESAMPLES)]
        core, lite = np.array(found).T
        cells = []
        for values, sign in ((core, ""), (lite, ""), (lite - core, "+")):
            low, high = np.percentile(values[1:], (2.5, 97.5))
            cells.append(f"{values[0]:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]")
        print(f"| {path.name} | {' | '.join(cells)} |", flush=True)


def _both(
    answers: Answers, kinds: Mapping[str, tuple[Kind, ...]], seeds: Mapping[str, tuple[int, ...]]
) -> tuple[float, float]:
    """Overall skill of one model on all clips and on those of some test seeds."""
    core, lite = (overall_skills(answers, kinds, part) for part in (None, seeds))
    return float(core[0]), float(lite[0])


def redrawn(answers: Answers, rng: np.random.Generator) -> Answers:
    """The same with the clips of every stratum drawn again, those of lite among themselves; seeds keep their places."""
    values = {}
    for key, block in answers.values.items():
        own = np.asarray(answers.seeds[key]) < (LITE if key.split == "test" else 0)
        drawn = np.empty(len(own), dtype=np.intp)
        for part in (np.flatnonzero(own), np.flatnonzero(~own)):
            drawn[part] = rng.choice(part, len(part)) if len(part) else part
        values[key] = block[..., drawn]
    return Answers(answers.names, values, answers.seeds)


def mixed(answers: Answers, rng: np.random.Generator) -> Answers:
    """Models that answer each clip with one of up to three of the sources, or with ground truth."""
    many = len(answers.names)
    picked = [rng.choice(many + 1, rng.integers(2, 4), replace=False) for _ in range(MADE_UP)]
    weights = [rng.dirichlet(np.ones(len(own))) for own in picked]
    values = {}
    for key, block in answers.values.items():
        own = np.concatenate([block[:, 0], block[:1, 1]])  # (M + 1, A, n), ground truth last
        clips = np.arange(block.shape[-1])
        drawn = [rng.choice(p, len(clips), p=w) for p, w in zip(picked, weights, strict=True)]
        mixtures = np.stack([own[source, :, clips].T for source in drawn])  # (MADE_UP, A, n)
        references = np.broadcast_to(block[:1, 1:], (MADE_UP, 2, *block.shape[2:]))
        values[key] = np.concatenate([mixtures[:, None], references], axis=1)
    return Answers(tuple(map(str, range(MADE_UP))), values, answers.seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("measure", "choose", "compare"))
    parser.add_argument("folder", type=Path, metavar="FOLDER|RUN")
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.action == "measure":
        measure(given.folder, given.workers)
    elif given.action == "compare":
        compare([given.folder, *given.runs])
    else:
        choose(given.folder, given.runs)


if __name__ == "__main__":
    main()
