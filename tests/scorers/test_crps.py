"""Several samples of one clip, and what they say together."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from handmade import tracks_at
from numpy.typing import NDArray
from scipy.stats import norm

from physbench.cli.main import run
from physbench.clips.clip import Clip
from physbench.score.predictability import ensemble_positions
from physbench.score.protocol import Reading, read_part
from physbench.scorers.diagnostics.crps import _spread_and_error, apart, energy_score, of_samples
from physbench.support.run_folder import RunFolder
from physbench.world.camera import plane_from_world

Clips = Callable[..., Clip]
ORBITS, OCCLUSION = "orbits/kepler-v1", "occlusion/screen-pass-v1"  # whose simulations are quick


def members(clip: Clip) -> NDArray[np.float64]:
    """What an image allows: places (M, T, K, 2) m of the predictability ensemble."""
    return plane_from_world(clip.scene.camera, ensemble_positions(clip, 1)[:, :, list(clip.tracked)])


def value(readings: dict[str, Reading], key: str = "") -> float:
    found = readings[key].value
    assert found is not None
    return found


@pytest.mark.parametrize("task", [ORBITS, OCCLUSION])
def test_to_be_rightly_unsure_beats_being_sure_of_something_wrong(clip_of: Clips, task: str) -> None:
    """Samples from all that an image allows; one of these, over and over; the frozen frame; samples spread too far."""
    clip = clip_of(task)
    possible = members(clip)
    now = np.broadcast_to(clip.plane_positions()[clip.handover], possible.shape[1:])
    unsure = of_samples(clip, 1, [tracks_at(clip, possible[m], 1) for m in range(0, 32, 4)])
    sure = [of_samples(clip, 1, [tracks_at(clip, possible[m], 1)] * 8) for m in (0, 7, 19)]
    still = of_samples(clip, 1, [tracks_at(clip, now, 1)] * 8)
    wild = of_samples(clip, 1, [tracks_at(clip, now + 4 * (possible[m] - now), 1) for m in range(0, 32, 4)])
    assert value(unsure) < min(map(value, [*sure, still, wild]))
    assert value(unsure) == pytest.approx(value(unsure, "best"), rel=0.35)  # eight members for thirty-two
    assert value(unsure, "spread") == pytest.approx(1, abs=0.35) and value(sure[0], "spread") == 0
    assert value(wild, "spread") > 2


def test_it_is_the_mean_energy_score_in_diameters(clip_of: Clips) -> None:
    """Against the sums of its definition, taken one by one."""
    clip = clip_of(ORBITS)
    possible = members(clip)
    samples = [tracks_at(clip, possible[m] + 0.2 * m, 1) for m in range(3)]
    diameter = clip.diameters()[clip.handover + 1 :, 0]
    scores = []
    for t in range(clip.horizon):
        at = [possible[m, t, 0] + 0.2 * m for m in range(3)]
        miss = np.mean([np.linalg.norm(a - y) for a in at for y in possible[:, t, 0]])
        apart = np.mean([np.linalg.norm(a - b) for a, b in combinations(at, 2)])
        scores.append((miss - apart / 2) / diameter[t])
    assert value(of_samples(clip, 1, samples)) == pytest.approx(np.mean(scores), rel=1e-6)


def test_samples_that_failed_or_lost_the_object_are_far_away(clip_of: Clips) -> None:
    clip = clip_of(ORBITS)
    possible = members(clip)
    kept = [tracks_at(clip, possible[m], 1) for m in range(4)]
    lost = tracks_at(clip, np.full(possible.shape[1:], np.nan), 1)
    whole = value(of_samples(clip, 1, kept))
    for absent in (lost, None):
        assert value(of_samples(clip, 1, [*kept[:2], absent, absent])) > whole + 1
    window = 5.12 / clip.diameters()[clip.handover, 0]  # in diameters
    assert window < value(of_samples(clip, 1, [None, None])) < 2 * window


def gaussian(samples: float, outcomes: float, count: int = 3, frames: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, count, 2) and outcomes (n, 1, 2) of normal distributions with these sds."""
    draw = np.random.default_rng(0)
    return draw.normal(size=(frames, count, 2)) * samples, draw.normal(size=(frames, 1, 2)) * outcomes


@pytest.mark.parametrize(("samples", "outcomes"), [(1.0, 1.0), (0.5, 1.0), (2.0, 1.0)])
def test_spread_over_error_is_that_of_gaussians(samples: float, outcomes: float) -> None:
    """sd (1 + 1 / k)^(1/2) over (outcomes^2 + samples^2 / k)^(1/2): 1 where calibrated, less where too sure."""
    drawn, possible = gaussian(samples, outcomes)
    found = _spread_and_error(drawn, possible)
    ratio = value(found, "calibrated-error") / value(found, "mean-error")
    right = samples * np.sqrt(1 + 1 / 3) / np.hypot(outcomes, samples / np.sqrt(3))
    assert ratio == pytest.approx(right, rel=0.02)
    assert (ratio < 0.7) == (samples < outcomes) and (ratio > 1.3) == (samples > outcomes)


def test_spread_and_error_are_of_the_samples_that_show_an_object() -> None:
    drawn, possible = gaussian(1.0, 1.0, count=4)
    drawn[::2, 2:] = np.nan  # two of four in every other frame
    drawn[::4, 1:] = np.nan  # one alone tells no spread
    found = _spread_and_error(drawn, possible)
    assert value(found, "calibrated-error") / value(found, "mean-error") == pytest.approx(1, rel=0.02)
    alone = _spread_and_error(drawn[::4], possible[::4])
    assert {each.status for each in alone.values()} == {"not applicable"}


def test_the_energy_score_of_a_gaussian_is_its_crps() -> None:
    """CRPS of N(0, s) at y: s (z (2 F(z) - 1) + 2 f(z) - pi^(-1/2)), z = y / s (Gneiting and Raftery 2007)."""
    draw, sd, outcome = np.random.default_rng(1), 0.7, 0.4
    forecast = np.zeros((20_000, 5, 3))
    forecast[..., 0] = draw.normal(size=(20_000, 5)) * sd
    outcomes = np.zeros((20_000, 1, 3))
    outcomes[..., 0] = outcome
    z = outcome / sd
    right = sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - np.pi**-0.5)
    assert energy_score(outcomes, forecast, apart(forecast)).mean() == pytest.approx(right, rel=0.02)


def test_one_sample_has_none(clip_of: Clips) -> None:
    clip = clip_of(ORBITS)
    answer = of_samples(clip, 1, [tracks_at(clip, members(clip)[0], 1)])[""]
    assert answer.value is None and "--samples" in answer.reason


STOCHASTIC = """\
import torch
from physbench.models.protocol import ModelCard

class Guess:
    card = ModelCard("guess", (64, 64), 15, 4, stochastic=True)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        frames = []
        for clip, generator in zip(context, generators):
            step = torch.randn(2, generator=generator)
            last = clip[-1]
            frames.append(torch.stack([
                last.roll([round(float(s) * t / 4) for s in step], (-2, -1)) for t in range(horizon)
            ]))
        return torch.stack(frames)

def factory(*, device, dtype, **arguments):
    return Guess()
"""


@pytest.mark.slow
def test_samples_are_read_together_in_a_run(tmp_path: Path) -> None:
    """The mean over samples is the quality, the best of them has a name of its own, and the CRPS is in the result."""
    (tmp_path / "guess.py").write_text(STOCHASTIC)
    out = tmp_path / "run"
    asked = ("eval", f"{tmp_path / 'guess.py'}:factory", "--suite", "smoke", "--tasks", "falling/projectile-v1")
    chosen = ("--scorers", "drift/*", "--limit", "2", "--samples", "3", "--device", "cpu", "--out", str(out))
    assert run([*asked, *chosen]) == 0
    folder = RunFolder(out)
    result = json.loads(folder.result.read_text())
    reading = result["readings"]["drift/crps"]["tasks"]["falling/projectile-v1"]
    assert reading["clips"] == 2 and reading["value"] > 0
    assert result["best_of"]["samples"] == result["distribution"]["samples"] == 3
    assert result["distribution"]["crps"]["value"] == pytest.approx(reading["value"], rel=1e-5)  # the mean of two clips
    assert result["distribution"]["spread_over_error"]["value"] > 0
    table = pd.read_parquet(folder.scores)
    rows = table[table["reading"] == "drift/crps"]
    assert list(rows.loc[rows["value"].notna(), "sample"]) == [0, 0]
    headline = table[table["axis"] == "drift"].groupby("clip")["quality"].mean()
    assert result["tasks"]["falling/projectile-v1"]["drift"]["quality"] == pytest.approx(headline.mean(), abs=1e-6)
    clip = str(rows["clip"].iloc[0])
    before = folder.scores.read_bytes()
    folder.together(clip).unlink()
    assert run([*asked, *chosen, "--resume"]) == 0
    assert read_part(folder.together(clip)) is not None and folder.scores.read_bytes() == before
