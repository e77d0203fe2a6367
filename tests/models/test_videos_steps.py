"""Leads and steps of drawn discs, whose places are known."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.models.videos.start import frames_needed, measure_steps
from physbench.world.scene import PALETTE

SIDE, RADIUS = 64, 6.0
ALL = np.ones((SIDE, SIDE), dtype=bool)
GREY = np.array([120.0, 120.0, 120.0])


def picture(places, grey=GREY, radius=RADIUS) -> np.ndarray:
    """Discs (hue, x, y) with a rim one px wide."""
    frame = np.broadcast_to(grey, (SIDE, SIDE, 3)).copy()
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    for hue, x, y in places:
        cover = np.clip(radius + 0.5 - np.hypot(columns - x, rows - y), 0, 1)[..., None]
        frame = frame * (1 - cover) + 255 * np.asarray(PALETTE[hue]) * cover
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def fall(time: float) -> tuple[float, float]:
    """x, y of a thrown ball at a time in frames; the image shows time 0."""
    return 20 + 2.5 * time, 40 - 3 * time + 0.4 * time**2


def filmed(first: int, count: int = 6, **changed) -> list[np.ndarray]:
    return [picture([(0, *fall(first + k))], **changed) for k in range(count)]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_lead_and_step_of_a_thrown_ball(first: int) -> None:
    [found] = measure_steps(picture([(0, *fall(0))]), filmed(first), range(6), ALL)
    assert found.lead == pytest.approx(np.subtract(fall(first), fall(0)), abs=0.1)
    assert found.step == pytest.approx(np.subtract(fall(first), fall(first - 1)), abs=0.15)
    assert found.noise is not None and found.noise < 0.05
    assert found.place == pytest.approx(np.subtract(fall(0), SIDE / 2), abs=0.05)


def test_the_error_of_a_step_is_that_of_repeated_measurements() -> None:
    """Places with noise: the spread of steps over the spread of places is `step_error`."""
    rng, noise = np.random.default_rng(0), 0.4
    steps, errors = [], []
    for _ in range(60):
        frames = [picture([(0, *(np.array(fall(k)) + rng.normal(0, noise, 2)))]) for k in range(6)]
        [found] = measure_steps(picture([(0, *fall(0))]), frames, range(6), ALL)
        steps.append(found.step)
        errors.append(found.noise)
    spread = np.std(steps, axis=0).mean()
    assert spread == pytest.approx(found.step_error * noise, rel=0.25)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(noise, rel=0.15)


@pytest.mark.parametrize("change", ["colours", "brightness", "noise", "small steps of colour"])
def test_what_changes_all_colours_moves_nothing(change: str) -> None:
    rng = np.random.default_rng(0)

    def altered(frame: np.ndarray) -> np.ndarray:
        light = frame.astype(float)
        if change == "colours":
            light += [8, -8, 8]
        elif change == "brightness":
            light = light * 0.8 + 10
        elif change == "noise":
            light += rng.normal(0, 6, light.shape)
        else:
            light = np.rint(light / 36) * 36
        return np.clip(np.rint(light), 0, 255).astype(np.uint8)

    frames = [altered(frame) for frame in filmed(0)]
    [found] = measure_steps(picture([(0, *fall(0))]), frames, range(6), ALL)
    assert np.abs(found.lead).max() < 0.25, "a tenth of the step, 3.9 px"


def test_each_hue_is_an_object_and_grey_is_none() -> None:
    def scene(time: float) -> np.ndarray:
        return picture([(0, 15 + time, 15), (3, 45, 20 + 2 * time), (1, 20, 50)])

    found = measure_steps(scene(0), [scene(k) for k in range(1, 7)], range(6), ALL)
    steps = sorted(tuple(np.rint(each.step).tolist()) for each in found)
    assert steps == [(0, 0), (0, 2), (1, 0)]
    plain = picture([])
    assert measure_steps(plain, [plain] * 6, range(6), ALL) == []


def test_what_is_cut_by_the_rim_or_being_hidden_does_not_count() -> None:
    """Its seen part has another centre than the object."""
    leaving = [picture([(0, 52 + 2.0 * k, 30)]) for k in range(6)]
    assert measure_steps(leaving[0], leaving, range(6), ALL) == []
    hidden = [picture([(0, 30 + 2.0 * k, 30)]) for k in range(6)]
    for frame in hidden:
        frame[:, 38:] = 60
    assert measure_steps(hidden[0], hidden, range(6), ALL) == []
    window = ALL.copy()
    window[:, 34:] = False  # cut off by the fit
    whole = [picture([(0, 30 + 0.2 * k, 30)]) for k in range(6)]
    assert measure_steps(whole[0], whole, range(6), window) == []
    assert len(measure_steps(whole[0], whole, range(6), ALL)) == 1


def test_frames_that_were_left_out_do_not_count_as_slow() -> None:
    """Times of frames count, not their numbers."""
    times = [0, 1, 3, 4, 6, 7]
    frames = [picture([(0, *fall(time))]) for time in times]
    [found] = measure_steps(picture([(0, *fall(0))]), frames, times, ALL)
    assert found.step == pytest.approx(np.subtract(fall(0), fall(-1)), abs=0.1)


def test_too_few_frames_say_nothing() -> None:
    assert measure_steps(picture([(0, 30, 30)]), filmed(0, count=3), range(3), ALL) == []


@pytest.mark.parametrize(("rate", "frames"), [(4, 5), (16, 6), (24, 9), (30, 10), (60, 16)])
def test_motion_is_measured_in_three_tenths_of_a_second(rate: float, frames: int) -> None:
    assert frames_needed(rate) == frames
