"""The decision of how videos begin: leads and steps of drawn discs, and steps drawn at random around known leads."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from physbench.models.videos import start
from physbench.models.videos.start import (
    ClipLead,
    Step,
    decide_start,
    describe_start,
    frames_needed,
    log_ratio,
    mean_lead,
    measure_steps,
    refuse_open,
)
from physbench.world.scene import PALETTE


def drawn(rng, lead: float, speed: float = 3.0, noise: float = 0.1, shift=(0.0, 0.0), stretch: float = 0.0) -> Step:
    """A step of `speed` px a frame in any direction whose places have a noise of `noise` px."""
    angle = rng.uniform(0, 2 * np.pi)
    true, place = speed * np.array([np.cos(angle), np.sin(angle)]), rng.uniform(-50, 50, 2)
    found = lead * true + shift + stretch * place + rng.normal(0, noise * np.sqrt(2), 2)
    return Step(found, true + rng.normal(0, noise, 2), 1.0, noise, place)


def several(clips: int, lead: float, seed: int = 0, **kind) -> dict[str, list[Step]]:
    rng = np.random.default_rng(seed)
    return {f"clip-{k}.mp4": [drawn(rng, lead, **kind) for _ in range(2)] for k in range(clips)}


@pytest.mark.parametrize("lead", [-0.4, 0.0, 0.07, 0.5, 1.0, 1.9])
@pytest.mark.parametrize("error", [0.02, 0.1, 0.5])
def test_the_ratio_is_that_of_the_stated_model(lead: float, error: float) -> None:
    """Against the integral over the leads that either reading expects."""
    low, high = start.LEAD.slowest, start.LEAD.fastest
    with_image = stats.norm.pdf(lead, 0, np.hypot(error, start.LEAD.redrawn))
    new, _ = quad(lambda at: stats.norm.pdf(lead, at, error) / (high - low), low, high, points=[lead], epsabs=1e-300)
    if new > 1e-200 and with_image > 1e-200:
        assert log_ratio(lead, error) == pytest.approx(np.log(with_image / new), abs=1e-3)


def test_the_mean_of_leads_counts_how_they_differ() -> None:
    """Alike: the weighted mean. Unlike: the error is that of their spread."""
    alike = [ClipLead(0.1, 0.1), ClipLead(0.1, 0.2)]
    assert mean_lead(alike) == pytest.approx((0.1, (1 / 0.01 + 1 / 0.04) ** -0.5))
    rng = np.random.default_rng(0)
    unlike = [ClipLead(lead, 0.01) for lead in rng.normal(1, 0.3, 400)]
    mean, error = mean_lead(unlike)
    assert mean == pytest.approx(1, abs=0.04) and error == pytest.approx(0.3 / 20, rel=0.1)


@pytest.mark.parametrize(("lead", "reading"), [(0.0, "image"), (1.0, "new"), (0.4, "new"), (1.6, "new")])
def test_either_reading(lead: float, reading: str) -> None:
    found = decide_start(several(10, lead))
    assert found.reading == reading and found.lead == pytest.approx(lead, abs=0.05)
    assert len(found.telling) == found.clips == 10 and not found.unlike


@pytest.mark.parametrize(
    ("lead", "kind"),
    [
        (0.0, {"speed": 0.15}),
        (1.0, {"speed": 0.15}),
        (0.0, {"noise": 1.0}),
        (0.17, {}),
        (3.0, {}),
        (-1.0, {}),
    ],
)
def test_what_does_not_tell_is_left_open(lead: float, kind: dict[str, float]) -> None:
    """Slow, noisy, between both readings, or like neither."""
    found = decide_start(several(10, lead, **kind))
    assert found.reading == "open" and found.begins_with_image is None
    said = str(refuse_open(found))
    assert "includes_context=true" in said and "includes_context=false" in said


def test_slow_clips_abstain_and_fast_ones_decide() -> None:
    slow, fast = several(30, 0.0, speed=0.1), several(3, 0.0, speed=6.0)
    found = decide_start(slow | {f"fast-{name}": steps for name, steps in fast.items()})
    assert found.reading == "image" and set(found.telling) == {f"fast-{name}" for name in fast}
    assert "(3 of 33 videos tell)" in describe_start(found)


@pytest.mark.parametrize("lead", [0.0, 1.0])
def test_a_fit_that_is_undone_wrongly_moves_no_decision(lead: float) -> None:
    """A shift of 0.6 px and a stretch of 1 % are a fifth of the step, and are seen in objects that move otherwise."""
    found = decide_start(several(12, lead, shift=(0.6, -0.3), stretch=0.01))
    assert found.reading == ("new" if lead else "image") and found.lead == pytest.approx(lead, abs=0.05)


def test_a_single_object_cannot_tell_its_motion_from_a_shift() -> None:
    """4:2:0 moves colours by half a pixel: a quarter of a step, along it, is no first new frame."""
    noise = {"step_error": 1.0, "noise": 0.02, "place": np.array([10.0, 5.0])}
    shifted = Step(np.array([0.75, 0.0]), np.array([3.0, 0.0]), **noise)
    found = decide_start({"a.mp4": [shifted]})
    assert found.reading == "open" and found.error > 0.1
    other_way = Step(np.array([0.75, 0.0]), np.array([-3.0, 0.5]), **noise)
    third = Step(np.array([0.75, 0.0]), np.array([0.0, 3.0]), **noise)
    found = decide_start({"a.mp4": [shifted], "b.mp4": [other_way, third]})
    assert found.reading == "image" and found.error < 0.05


def test_noise_that_stays_from_frame_to_frame_is_seen_across_the_motion() -> None:
    """A codec that moves an object in all frames alike leaves a perfect parabola: its noise says nothing."""
    rng = np.random.default_rng(0)
    steps = {}
    for k in range(30):
        step = drawn(rng, 0.0, speed=0.6, noise=0.02)
        steps[f"{k}"] = [Step(step.lead + rng.normal(0, 0.4, 2), step.step, step.step_error, 0.02, step.place)]
    assert decide_start(steps).reading == "open"


def test_two_kinds_are_named() -> None:
    rng = np.random.default_rng(0)
    steps = {f"with-{k}.mp4": [drawn(rng, 0.0, speed=6)] for k in range(6)}
    steps |= {f"new-{k}.mp4": [drawn(rng, 1.0, speed=6)] for k in range(3)}
    found = decide_start(steps)
    assert found.reading == "mixed" and found.unlike == ("new-0.mp4", "new-1.mp4", "new-2.mp4")
    said = str(refuse_open(found))
    assert "6 begin with the conditioning image, such as with-0.mp4, with-1.mp4, with-2.mp4" in said
    assert "3 with the first new frame, such as new-0.mp4" in said


def test_one_odd_video_of_many_is_named_beside_the_decision() -> None:
    steps = several(40, 1.0, speed=6) | {"odd.mp4": [drawn(np.random.default_rng(9), 0.0, speed=6)]}
    found = decide_start(steps)
    assert found.reading == "new" and found.unlike == ("odd.mp4",)
    said = describe_start(found)
    assert said.startswith("Videos begin with the first new frame") and said.endswith("odd.mp4 looks as if it were so.")
    assert "includes_context=true" in said


def test_nothing_to_compare() -> None:
    still = {"a.mp4": [Step(np.zeros(2), np.zeros(2), 1.0, 0.1, np.zeros(2))]}
    for steps in ({}, still):
        found = decide_start(steps)
        assert found.reading == "open" and np.isnan(found.lead)
        assert f"in none of the {len(steps)} compared" in str(refuse_open(found))


def test_videos_of_something_else_are_told_so() -> None:
    """Noise, reversed clips and clips without their start: nobody is asked how these begin, as if that were all."""
    noise = decide_start({"a.mp4": [], "b.mp4": []})
    assert noise.reading == "open" and noise.seen == 0
    assert str(refuse_open(noise)).startswith("In 2 of 2 videos no object of the conditioning image is seen")
    elsewhere = Step(np.array([30.0, 0.0]), np.array([0.1, 0.0]), 1.0, 0.1, np.zeros(2))
    backwards = decide_start({"a.mp4": [elsewhere], "b.mp4": [elsewhere], "c.mp4": []})
    assert backwards.reading == "open" and (backwards.seen, backwards.far) == (2, 2)
    assert "2 of 3 videos objects begin elsewhere" in str(refuse_open(backwards))
    assert "run backwards" in str(refuse_open(backwards))
    cut = decide_start(several(10, 2.0))
    assert cut.reading == "open" and "Were first frames cut off?" in str(refuse_open(cut))
    for found in (noise, backwards, cut):
        assert "move enough" not in str(refuse_open(found)) and "includes_context=true" in str(refuse_open(found))


def test_two_frames_that_were_cut_off_are_not_read_as_a_fast_start() -> None:
    """Ground truth without its first two frames was measured at 1.88 +- 0.07: unsure, and yet not a first new frame."""
    found = decide_start(several(10, 1.88))
    assert start.LEAD.fastest < found.lead < start.LEAD.fastest + 0.2 and found.reading == "open"


@pytest.mark.slow
def test_wrong_decisions_are_rare() -> None:
    """Over draws of few and noisy clips, where each alone says little: one in 1,000 may be wrong."""
    wrong = 0
    for seed in range(20):
        for lead, other in ((0.0, "new"), (1.0, "image")):
            wrong += decide_start(several(3, lead, seed, speed=1.2, noise=0.15)).reading == other
    assert not wrong


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
