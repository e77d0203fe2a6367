"""Noise that is independent from frame to frame is taken off; walks, repeated frames and jumps are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_scenes import problem
from slow_cases import others_slow

from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.levels import at_levels, jitter, judge, quality, strength
from physbench.shadowing.nuisances import _noise, independent_noise, local_means, with_noise, without_independent_noise

Array = NDArray[np.float64]

TASKS = ("falling/drop-bounce-v1", "collisions/head-on-v1", "orbits/kepler-v1")


def moved(task: str, off: Array | None = None, seed: int = 0, fps: float = 15) -> Hypothesis:
    """Truth that is off by (T, N, 2) diameters in predicted frames."""
    true = problem(task, seed, fps=fps)
    if off is None:
        return true
    later = (true.seen.times > 1e-9)[:, None, None]
    return true.with_bodies(
        replace(true.seen, position=true.seen.position + np.where(later, off, 0.0) * true.seen.diameter[:, None])
    )


def noise_of(task: str, sd: float, seed: int = 0) -> Array:
    shape = problem(task, seed, fps=15).seen.position.shape
    return np.asarray(np.random.default_rng(seed).normal(0, sd, shape))


@pytest.mark.parametrize("task", others_slow(TASKS, 2))
@pytest.mark.parametrize("sd", [0.02, 0.05])
def test_independent_noise_about_a_lawful_motion_costs_nothing(task: str, sd: float) -> None:
    noisy = moved(task, noise_of(task, sd))
    assert quality(at_levels(noisy)) < 0.85
    judged, levels = judge(noisy)
    assert quality(levels) > 0.97
    assert strength(judged, levels) <= 0.075
    assert jitter(levels[2].segments, judged.seen) == pytest.approx(sd, rel=0.2)


@pytest.mark.parametrize("task", TASKS)
def test_local_means_of_noise_are_as_small_as_their_sd_says(task: str) -> None:
    """Each is of n positions: its sd is that of the noise over the root of n, and what moves is left."""
    true, noisy = moved(task).seen, moved(task, noise_of(task, 0.05)).seen
    later = noisy.known & (noisy.times > 1e-9)[:, None]
    sd = independent_noise(noisy, at_levels(moved(task))[-1].segments)
    seen = with_noise(noisy, sd)
    away = (noisy.position - true.position) / noisy.diameter[:, None]
    mean, mean_sd = local_means(away, later, seen)
    assert np.mean((mean[later] / mean_sd[later]) ** 2) == pytest.approx(2, rel=0.6)
    assert (mean[later] < 5 * mean_sd[later]).all() and not mean[~later].any()
    assert np.median(mean_sd[later]) == pytest.approx(0.05 / np.sqrt(13), rel=0.2)  # 0.8 s at 15 frames/s
    assert (local_means(away + 0.2, later, seen)[0][later] > 5 * mean_sd[later])[10:].all()
    assert not local_means(away, later, noisy)[0].any()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("radius", [0.1, 0.3])
def test_a_vibration_is_no_noise(task: str, radius: float) -> None:
    """Circles with a period of three frames: neighbouring steps go together as those of noise do."""
    turn = 2 * np.pi / 3 * np.arange(len(problem(task, 0, fps=15).seen.times))
    circle = radius * np.stack([np.cos(turn), np.sin(turn)], axis=-1)[:, None]
    noisy = moved(task, circle)
    judged, levels = judge(noisy)
    assert judged is noisy and quality(levels) < 0.75 and strength(judged, levels) >= radius * 0.8


@pytest.mark.parametrize("task", TASKS)
def test_noise_as_large_as_bodies_shake_costs_more_the_larger_it_is(task: str) -> None:
    less, more = (quality(judge(moved(task, noise_of(task, sd)))[1]) for sd in (0.1, 0.2))
    assert 0.9 > less > more and more < 0.5


def test_a_body_that_comes_to_rest_tells_its_noise_while_it_moves() -> None:
    true = problem("falling/drop-bounce-v1", 0, fps=15)
    away = np.random.default_rng(0).normal(0, 0.03, (60, 2))
    away[20:] = away[19]  # a still picture
    assert _noise(away, np.zeros(60, dtype=np.int64))[0] == pytest.approx(0.03, rel=0.35)
    unsure = true.with_bodies(replace(true.seen, sd=np.full(true.seen.sd.shape, 0.012)))
    quiet = without_independent_noise(
        replace(moved("falling/drop-bounce-v1", noise_of("falling/drop-bounce-v1", 0.008)).seen, sd=unsure.seen.sd),
        at_levels(true)[-1].segments,
    )
    # What the tracker is unsure of, beside noise that is independent, is still unsure.
    assert quiet is not None and np.median(quiet.sd) > 0.007


@pytest.mark.parametrize("task", TASKS)
def test_a_random_walk_of_the_same_steps_costs_in_full(task: str) -> None:
    walk = moved(task, noise_of(task, 0.05).cumsum(axis=0))
    judged, levels = judge(walk)
    assert judged is walk
    assert quality(levels) < 0.6


@pytest.mark.parametrize("task", TASKS)
def test_truth_has_no_noise(task: str) -> None:
    true = moved(task)
    assert judge(true)[0] is true
    assert without_independent_noise(true.seen, at_levels(true)[-1].segments) is None


@pytest.mark.parametrize("every", [2, 3])
def test_repeated_frames_are_no_noise(every: int) -> None:
    true = moved("occlusion/screen-pass-v1")
    held = np.arange(len(true.seen.times)) // every * every
    repeated = true.with_bodies(replace(true.seen, position=true.seen.position[held]))
    assert without_independent_noise(repeated.seen, at_levels(repeated)[-1].segments) is None


def test_what_is_off_in_a_single_frame_stays_off() -> None:
    off = noise_of("falling/drop-bounce-v1", 0.0)
    off[len(off) // 2] = 0.3
    jump = moved("falling/drop-bounce-v1", off)
    assert judge(jump)[0] is jump


def test_a_position_moves_by_few_sd_and_the_context_stays() -> None:
    task = "orbits/kepler-v1"
    off = noise_of(task, 0.03)
    off[40] += 0.5
    noisy = moved(task, off)
    quiet = without_independent_noise(noisy.seen, at_levels(noisy)[-1].segments)
    assert quiet is not None and quiet.noise is not None
    by = np.linalg.norm(quiet.noise, axis=-1) / quiet.diameter
    assert np.nanmax(by) < 5 * np.sqrt(2) * 0.04
    assert not quiet.noise[quiet.times <= 1e-9].any()
    assert quiet.position + quiet.noise == pytest.approx(noisy.seen.position, nan_ok=True)


@pytest.mark.parametrize("factor", [0.9, 0.7])
def test_noise_hides_no_wrong_constant(factor: float) -> None:
    """What lies below 0.075 diameters is lost in noise of 0.05, and nothing that is larger."""
    task = "falling/drop-bounce-v1"
    wrong = problem(task, 0, fps=15, factor=1 / factor)
    plain = quality(judge(wrong)[1])
    off = np.where((wrong.seen.times > 1e-9)[:, None, None], noise_of(task, 0.05), 0.0)
    noisy = replace(wrong.seen, position=wrong.seen.position + off * wrong.seen.diameter[:, None])
    assert quality(judge(wrong.with_bodies(noisy))[1]) < plain + 0.05


def test_a_tremble_along_a_floor_is_noise_where_the_floor_shows_it_across() -> None:
    """Else it might be a matter of time; and nothing is taken off across the floor."""
    task = "falling/drop-bounce-v1"
    off = noise_of(task, 0.05)
    shake = np.where((problem(task, 0, fps=15).seen.times > 1e-9)[:, None], off[::-1, 0], 0.0) * 0.5
    off[..., 1] = 0.0
    noisy = moved(task, off)
    floor = replace(noisy.seen, unshown=np.array([[1.0, 0.0]]))
    assert quality(judge(noisy.with_bodies(floor))[1]) < 0.85
    judged, levels = judge(noisy.with_bodies(replace(floor, shake=shake)))
    assert quality(levels) > 0.97
    assert judged.seen.noise is not None and not judged.seen.noise[..., 1].any()
