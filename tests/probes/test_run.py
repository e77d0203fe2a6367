"""Read-outs: what is in latents is read, what is not is not, and nothing of a clip is fitted on when it is read."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.probes.document import MODEL, ProbeReading
from physbench.probes.encode import ONE, Part, Samples, joined
from physbench.probes.run import ALPHAS, Problem, fit, kernels, read_all
from physbench.support.arrays import Array

CLIPS, MOMENTS = 24, 8  # of each task and split; of a clip
TASKS = ("collisions/wall-bounce-v1", "falling/projectile-v1")
ROWS = tuple(Row(task, split, seed) for task in TASKS for split in ("test", "ood") for seed in range(CLIPS))  # type: ignore[arg-type]


def made(seed: int = 0) -> Samples:
    """Clips in which one body moves on a line; its mass and the number of the clip are constants of the clip."""
    rng, parts = np.random.default_rng(seed), []
    times = np.arange(MOMENTS) / 4
    for index in range(len(ROWS)):
        velocity, mass = np.tile(rng.normal(size=2), (MOMENTS, 1)), np.full((MOMENTS, 1), rng.uniform(1, 2))
        position = rng.normal(size=2) + times[:, None] * velocity
        targets = {("position", ONE): position, ("velocity", ONE): velocity, ("mass", ONE): mass}
        targets["restitution", ONE] = np.full((MOMENTS, 1), 0.9)
        parts.append(Part(index, times, np.ones(MOMENTS, dtype=bool), targets))
    return joined(ROWS, parts)


def read(samples: Samples, latents: Array) -> dict[tuple[str, str, str, str], ProbeReading]:
    features = {MODEL: latents.astype(np.float32)}
    readings, _, _ = read_all(samples, features, "test", 0.25)
    return {(each.quantity, each.fitted_on, each.family, each.split): each for each in readings}


def r2(samples: Samples, latents: Array) -> dict[str, float]:
    """Of the read-outs of collisions on collisions, by quantity."""
    found = read(samples, latents)
    return {key[0]: each.scores[MODEL].r2 for key, each in found.items() if key[1:] == ("collisions",) * 2 + ("test",)}


def states(samples: Samples) -> Array:
    return np.concatenate([samples.targets[name, ONE] for name in ("position", "velocity", "mass")], 1)


def test_latents_that_are_the_states_are_read_also_elsewhere() -> None:
    samples = made()
    turned = states(samples) @ np.random.default_rng(1).normal(size=(5, 40))
    found = read(samples, turned)
    for split, fitted_on in (("test", "collisions"), ("ood", "falling"), ("test", "falling")):
        reading = found["velocity", fitted_on, "falling", split]
        assert reading.scores[MODEL].r2 > 0.999
        assert reading.scores[MODEL].error < 0.05
        assert reading.clips == CLIPS and reading.unit == "m/s"
    assert found["mass", "collisions", "collisions", "test"].scores[MODEL].r2 > 0.99


def test_random_latents_are_read_no_better_than_the_mean() -> None:
    samples = made()
    for value in r2(samples, np.random.default_rng(2).normal(size=(len(samples.clip), 30))).values():
        assert -0.3 < value < 0.1


def test_the_number_of_a_clip_tells_nothing_of_it() -> None:
    """Latents that name the clip would give the mass exactly, had a moment of the clip been fitted on."""
    samples = made()
    names = np.eye(len(ROWS))[samples.clip]
    assert abs(r2(samples, names)["mass"]) < 0.1


def test_latents_of_other_clips_tell_nothing() -> None:
    samples = made()
    order = np.random.default_rng(3).permutation(CLIPS)
    place = np.concatenate([block * CLIPS + order for block in range(len(ROWS) // CLIPS)])
    exchanged = states(samples).reshape(len(ROWS), MOMENTS, -1)[place].reshape(len(samples.clip), -1)
    assert r2(samples, states(samples))["mass"] > 0.99
    assert r2(samples, exchanged)["mass"] < 0.1


def test_what_does_not_vary_is_left_out_and_said() -> None:
    samples = made()
    readings, _, left_out = read_all(samples, {MODEL: states(samples).astype(np.float32)}, "test", 0.25)
    assert not [each for each in readings if each.quantity in ("restitution", "energy")]
    assert {(each.quantity, each.where, each.reason) for each in left_out} >= {
        ("restitution", "all tasks", "it does not vary")
    }


def test_the_interval_has_the_value_and_is_paired() -> None:
    samples, rng = made(), np.random.default_rng(4)
    noisy = states(samples) + rng.normal(scale=0.3, size=(len(samples.clip), 5))
    features = {MODEL: noisy.astype(np.float32), "pixels": noisy.astype(np.float32)}
    readings, _, _ = read_all(samples, features, "test", 0.25)
    for each in readings:
        score, gain = each.scores[MODEL], each.gains["pixels"]
        assert score.interval is not None and gain.interval is not None
        assert score.interval[0] < score.r2 < score.interval[1] <= 1
        assert gain.r2 == pytest.approx(0) and gain.interval == pytest.approx((0, 0))


def _within(asked: Array, asked_tasks: Array, known: Array, tasks: Array) -> Array:
    """What is asked for less the mean of its task among what is known."""
    return asked - np.stack([known[tasks == task].mean(0) for task in asked_tasks])


@pytest.mark.parametrize("features", [6, 60])
def test_a_read_out_is_ridge_regression(features: int) -> None:
    """Against the primal closed form with a free mean of each task; alpha has the least error on clips left out."""
    rng = np.random.default_rng(5)
    clips = np.repeat(np.arange(10), 4)
    latents, rows = rng.normal(size=(40, features)), np.arange(40)
    values = latents[:, :2] @ rng.normal(size=(2, 2)) + 0.5 * rng.normal(size=(40, 2)) + 3
    tasks = clips % 2
    kernel = kernels(latents.astype(np.float32), rows, rows)
    standard = (latents - latents.mean(0)) / latents.std(0) / np.sqrt(features)
    scale = np.trace(_within(standard, tasks, standard, tasks) @ _within(standard, tasks, standard, tasks).T) / 40

    def closed(train: Array, held: Array, alpha: float) -> Array:
        x, y = (_within(each[train], tasks[train], each[train], tasks[train]) for each in (standard, values))
        weights = np.linalg.solve(x.T @ x + alpha * scale * np.eye(features), x.T @ y)
        asked = _within(standard[held], tasks[held], standard[train], tasks[train]) @ weights
        return asked + (values[held] - _within(values[held], tasks[held], values[train], tasks[train]))

    def error(alpha: float) -> Array:
        parts = [(closed(rows[clips != c], rows[clips == c], alpha) - values[clips == c]) ** 2 for c in range(10)]
        return np.sum([part.sum(0) for part in parts], axis=0)

    best = np.argmin([error(alpha) for alpha in ALPHAS], axis=0)
    expected = np.stack([closed(rows, rows, ALPHAS[best[axis]])[:, axis] for axis in range(2)], 1)
    assert fit(Problem(kernel, values, clips, tasks), rows).predict(kernel, tasks) == pytest.approx(expected, abs=1e-4)
