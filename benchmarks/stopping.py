"""Measures how often the interval at which a run with `--until` stops contains the known skill, and what it costs.

    physbench scorers check --out table.parquet    # measures; table.parquet.parts holds its rows
    python benchmarks/stopping.py table.parquet.parts [EVALUATIONS] [--linear]

The rows are measured ones: the qualities of real clips, as they are and violated. A made-up model answers a clip with
one of several sources, drawn anew for each clip, in `ood` with others than in `test`; the references are those of the
same clip. An evaluation draws 24 + 8 clips of each task with replacement, so that the known skill is that of all rows.
It is looked at as a run is. Coverage is that of the interval at the look at which a width stops it; where it stops
nowhere, "adjusted" takes that of the last look, "plain at the end" that of a whole result.

--linear: intervals are skill -+ t x standard error by the delta method, with the references fixed, the plain one too,
instead of the bootstrap's: some hundred times as fast, and the same rule.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from physbench.result.bootstrap import MISS, resample
from physbench.result.skill import Kind, Stratum, kind, skills, task_means, task_weights
from physbench.result.stop_rule import INTERIM_FRACTIONS, interim_analysis, misses
from physbench.score.protocol import AXES

Array = NDArray[np.float64]

CORE = {"test": 24, "ood": 8}
WIDTHS = (0.03, 0.04, 0.05, 0.07, 0.1)
DRAWS = 1000  # resamples; the same in every evaluation
# Sources of each split, by the beginnings of their names.
MODELS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "good": (("truth", "gravity:0.98", "kick:0.2", "hue"), ("truth", "gravity:0.95", "kick:0.5", "speed-gain")),
    "middling": (
        ("gravity", "kick", "speed-gain", "teleport", "freeze:"),
        ("kick:0.5", "vanish", "slow-time", "momentum"),
    ),
    "poor": (("cheat-straight", "kick:0.5"), ("cheat", "freeze")),
    "yes or no": (("truth", "freeze"), ("truth", "freeze", "freeze", "freeze")),
}


def rows_of_parts(folder: Path) -> dict[str, list[dict[str, Array]]]:
    """By task, for each clip the qualities (A,) of each source that was shown; NaN where one has none."""
    found: dict[str, list[dict[str, Array]]] = defaultdict(list)
    for path in sorted(folder.rglob("*.jsonl")):
        head, *rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
        clip = {row["source"]: _qualities(row["reads"]) for row in rows if row.get("outcome") == "shown"}
        if {"truth", "freeze"} <= clip.keys():
            found[head["task"]].append(clip)
    return dict(found)


def _qualities(reads: list[list]) -> Array:
    by_axis = {axis: [read[3] for read in reads if read[1] == axis and read[3] is not None] for axis in AXES}
    return np.array([np.mean(values) if values else np.nan for values in by_axis.values()])


def population(clips: list[dict[str, Array]], sources: tuple[str, ...]) -> Array:
    """Qualities (3, A, n) of model, truth and freeze; the model answers each clip in each way that it has."""
    rows = []
    for clip in clips:
        answers = [clip[name] for start in sources for name in clip if name.startswith(start) and "@" not in name]
        for own in answers or [clip["truth"]]:
            counts = np.isfinite(clip["truth"])
            rows.append(np.where(counts, np.nan_to_num([own, clip["truth"], clip["freeze"]]), np.nan))
    return np.moveaxis(np.array(rows), 0, -1)


def plain_interval(values: Mapping[Stratum, Array], kinds: Mapping[str, tuple[Kind, ...]]) -> Array:
    """That of a result: strata of task and split, references resampled with their clips."""
    width = len(AXES)
    drawn = resample({k: v.reshape(3 * width, -1) for k, v in values.items()}, resamples=DRAWS, bounded=range(width))
    counts = {key: np.isfinite(block[0]).sum(axis=-1) for key, block in values.items()}
    means = task_means({key: block.reshape(-1, 3, width) for key, block in drawn.means.items()}, counts)
    return drawn.interval(skills(means, kinds, 0, slice(1, 3)).overall)


def made_up(
    rows: Mapping[str, list[dict[str, Array]]], name: str
) -> tuple[dict[Stratum, Array], dict[str, tuple[Kind, ...]], float]:
    """All rows of a model (3, A, n) by stratum, the kinds of tasks, and the known skill."""
    whole = {
        Stratum(t, s): population(clips, own)
        for t, clips in rows.items()
        for s, own in zip(CORE, MODELS[name], strict=True)
    }
    expected = {key: np.nanmean(block, axis=-1) for key, block in whole.items()}
    many = {key: np.full(len(AXES), CORE[key.split]) * np.isfinite(expected[key][1]) for key in whole}
    means = task_means(expected, many)
    kinds = {task: tuple(kind(float(q[1, a]), float(q[2, a])) for a in range(len(AXES))) for task, q in means.items()}
    return whole, kinds, float(skills(means, kinds, 0, slice(1, 3)).overall)


def evaluations(rows: Mapping[str, list[dict[str, Array]]], name: str, number: int) -> tuple[float, Array]:
    """The known skill, and of each evaluation the intervals (E, looks + 1, 2): of the looks, then the plain one."""
    whole, kinds, known = made_up(rows, name)
    asked, rng = range(len(AXES)), np.random.default_rng(5)
    chances, found = misses(INTERIM_FRACTIONS), np.empty((number, len(INTERIM_FRACTIONS) + 1, 2))
    for e in range(number):
        suite = {key: block[..., rng.integers(0, block.shape[-1], CORE[key.split])] for key, block in whole.items()}
        every = {t: np.concatenate([suite[Stratum(t, s)] for s in CORE], axis=-1) for t in rows}
        references = {t: np.nanmean(block[1:], axis=-1) for t, block in every.items()}
        for k, (fraction, miss) in enumerate(zip(INTERIM_FRACTIONS, chances, strict=True)):
            done = {key: block[0][:, : round(fraction * CORE[key.split])] for key, block in suite.items()}
            found[e, k] = interim_analysis(done, references, kinds, asked, miss, resamples=DRAWS).interval
        found[e, -1] = plain_interval(suite, kinds)
    return known, found


def linear_evaluations(rows: Mapping[str, list[dict[str, Array]]], name: str, number: int) -> tuple[float, Array]:
    """As `evaluations`, all at once and by the delta method."""
    whole, kinds, known = made_up(rows, name)
    rng, weights = np.random.default_rng(11), task_weights(kinds)
    drawn = {  # (E, 3, A, n)
        key: np.moveaxis(block[..., rng.integers(0, block.shape[-1], (number, CORE[key.split]))], 2, 0)
        for key, block in whole.items()
    }
    references = {
        t: np.nanmean(np.concatenate([drawn[Stratum(t, s)][:, 1:] for s in CORE], axis=-1), axis=-1) for t in rows
    }  # (E, 2, A)
    found = np.empty((number, len(INTERIM_FRACTIONS) + 1, 2))
    levels = [*zip(INTERIM_FRACTIONS, misses(INTERIM_FRACTIONS), strict=True), (1.0, MISS)]
    for k, (fraction, miss) in enumerate(levels):
        done = {key: block[:, 0, :, : round(fraction * CORE[key.split])] for key, block in drawn.items()}
        own = {t: np.nanmean(np.concatenate([done[Stratum(t, s)] for s in CORE], axis=-1), axis=-1) for t in rows}
        means = {t: np.concatenate([own[t][:, None], references[t]], axis=1) for t in rows}
        overall = skills(means, kinds, 0, slice(1, 3)).overall
        losses: dict[str, Array] = defaultdict(lambda: np.zeros((number, len(AXES))))  # of guards, by family
        for t in rows:
            floor = np.maximum(references[t].min(axis=1), 1e-6)
            losses[t.split("/")[0]] += np.nan_to_num(
                np.where(_is(kinds[t], "guard"), weights[t], 0) * (own[t] / floor - 1)
            )
        variance, squares = np.zeros(number), np.zeros(number)
        for key, block in done.items():
            truth, freeze = references[key.task][:, 0], references[key.task][:, 1]
            costs = _is(kinds[key.task], "guard") & (losses[key.family] < 0)  # what guards gain does not count
            slope = np.where(_is(kinds[key.task], "informative"), 1 / np.maximum(truth - freeze, 1e-6), 0)
            slope = slope + np.where(costs, 1 / np.maximum(np.minimum(truth, freeze), 1e-6), 0)
            slope = np.nan_to_num(slope * weights[key.task] / len(AXES))
            share = block.shape[-1] / sum(done[Stratum(key.task, s)].shape[-1] for s in CORE)
            values = (slope[:, :, None] * np.nan_to_num(block)).sum(axis=1)  # (E, n)
            part = share**2 * values.var(axis=-1, ddof=1) / block.shape[-1]
            variance, squares = variance + part, squares + part**2 / (block.shape[-1] - 1)
        degrees = variance**2 / np.maximum(squares, 1e-300)
        half = stdtrit(degrees, 1 - miss / 2) * np.sqrt(variance)
        found[:, k] = np.stack([overall - half, overall + half], axis=-1)
    return known, found


def _is(kinds: tuple[Kind, ...], wanted: Kind) -> NDArray[np.bool_]:
    return np.array([each == wanted for each in kinds])


def main() -> None:
    linear, words = "--linear" in sys.argv, [word for word in sys.argv[1:] if word != "--linear"]
    rows = rows_of_parts(Path(words[0]))
    number = int(words[1]) if len(words) > 1 else 500
    clips = sum(len(each) for each in rows.values())
    print(f"{clips} clips of {len(rows)} tasks, {number} evaluations, nominal {1 - MISS:.0%}")
    print("| model | skill | width | clips at the stop | adjusted | plain at the end |\n" + "| --- " * 6 + "|")
    for name in MODELS:
        known, found = (linear_evaluations if linear else evaluations)(rows, name, number)
        half = (found[..., 1] - found[..., 0]) / 2
        holds = (found[..., 0] <= known) & (known <= found[..., 1])
        each = np.arange(number)
        for width in WIDTHS:
            early = half[:, :-2] <= width  # the last look is the whole suite
            stop = np.where(early.any(axis=1), early.argmax(axis=1), len(INTERIM_FRACTIONS) - 1)
            ends = np.where(stop == len(INTERIM_FRACTIONS) - 1, len(INTERIM_FRACTIONS), stop)
            covered = f"{holds[each, stop].mean():.3f} | {holds[each, ends].mean():.3f}"
            print(f"| {name} | {known:.2f} | {width} | {np.array(INTERIM_FRACTIONS)[stop].mean():.2f} | {covered} |")
        ratio = half[:, -2] / half[:, -1]
        print(f"| {name} | {known:.2f} | none | 1.00 | {holds[:, -2].mean():.3f} | {holds[:, -1].mean():.3f} |")
        print(
            f"{name}: half width of the whole suite {half[:, -1].mean():.3f}, adjusted {ratio.mean():.3f} of it (at "
            f"most {ratio.max():.3f}); all looks at once {holds[:, :-1].all(axis=1).mean():.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
