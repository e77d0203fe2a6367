"""Freeze, constant velocity and oracle on discs whose way is known."""

import numpy as np
import pytest
import torch

from physbench.baselines.baseline_adapter import baseline_card
from physbench.baselines.constant_velocity import _known_median, decompose_context
from physbench.models import protocol
from physbench.models.protocol import answer_parts
from physbench.support.errors import ModelError
from physbench.world.scene import PALETTE

SIZE = 64


def disc(center, radius: float) -> np.ndarray:
    """Coverage (H, W) of a disc at (x, y) px, 8x supersampled."""
    fine = (np.arange(SIZE * 8) + 0.5) / 8
    inside = (fine[None] - center[0]) ** 2 + (fine[:, None] - center[1]) ** 2 < radius**2
    return inside.reshape(SIZE, 8, SIZE, 8).mean((1, 3))


def film(balls, frames, *, screen=None, floor=None, held=0) -> np.ndarray:
    """Frames (T, H, W, 3) in [0, 1]; a ball is (hue, start (x, y), velocity px a frame, radius)."""
    video = np.full((len(frames), SIZE, SIZE, 3), 0.5)
    if floor:
        video[:, floor:] = 0.45
    for picture, time in zip(video, frames, strict=True):
        if time < held:
            picture[40:44, 20:30] = 0.3  # a holder that vanishes
        for hue, start, velocity, radius in balls:
            cover = disc(np.array(start) + time * np.array(velocity), radius)[..., None]
            picture += cover * (np.array(PALETTE[hue]) - picture)
        if screen:
            picture[screen] = 0.3
    return np.round(video * 255).astype(np.uint8)


def roll(load, name: str, context: np.ndarray, horizon: int) -> np.ndarray:
    model = load(f"baseline:{name}", size=str(SIZE), context=str(len(context)))
    frames = torch.from_numpy(context).permute(0, 3, 1, 2)[None].float() / 255
    answer = model.rollout(frames, horizon=horizon, actions=None, prompts=[""], generators=[torch.Generator()])
    answer = answer if isinstance(answer, torch.Tensor) else torch.cat(list(answer), 1)
    assert answer.shape == (1, horizon, 3, SIZE, SIZE) and answer.min() >= 0 and answer.max() <= 1
    return (answer[0].permute(0, 2, 3, 1).numpy() * 255 + 0.5).astype(np.uint8)


def centroid(frame: np.ndarray, hue: int) -> tuple[np.ndarray, float]:
    """Centre (x, y) px and mass of the pixels nearer to this hue than to grey."""
    color = np.array(PALETTE[hue]) - 0.5
    weight = np.clip((frame / 255 - 0.5) @ (color - color.mean()), 0, None)
    weight[weight < 0.05] = 0
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    return np.array([(weight * x).sum(), (weight * y).sum()]) / max(weight.sum(), 1e-9), float(weight.sum())


def test_freeze_repeats_the_last_frame(load) -> None:
    context = film([(0, (20, 30), (1, 0), 6)], range(8))
    assert (roll(load, "freeze", context, 5) == context[-1]).all()


def test_two_balls_move_on_in_straight_lines(load) -> None:
    balls = [(0, (15.3, 20), (1.13, 0.4), 6), (2, (50, 52.6), (-0.7, -0.21), 7)]
    truth = film(balls, range(8 + 20))
    prediction = roll(load, "constant-velocity", truth[:8], 20)
    for hue in (0, 2):
        for time in (0, 9, 19):
            expected, mass = centroid(truth[8 + time], hue)
            got, other = centroid(prediction[time], hue)
            assert np.abs(got - expected).max() < 0.3
            assert other == pytest.approx(mass, rel=0.05)
    assert np.abs(prediction.astype(int) - truth[8:]).mean() < 1.0


def test_a_ball_goes_behind_a_screen_and_comes_out(load) -> None:
    screen = np.s_[20:50, 30:44]
    truth = film([(3, (10, 40), (1.0, 0), 6)], range(-7, 45), screen=screen, floor=47)
    prediction = roll(load, "constant-velocity", truth[:8], 44)
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(prediction, truth[8:], strict=True)]
    assert max(errors) < 1.0
    assert centroid(prediction[26], 3)[1] == 0  # hidden
    assert (prediction[:, 25:45, 32:42] == truth[0, 25:45, 32:42]).all()


def test_a_ball_that_was_seen_in_front_stays_in_front(load) -> None:
    """A mark behind the ball's way: what the ball covered once does not hide it."""
    truth = film([(1, (15, 32), (1.5, 0), 6)], range(16))
    for picture, time in zip(truth, range(16), strict=True):
        cover = disc((15 + 1.5 * time, 32), 6)[..., None]
        mark = np.zeros((SIZE, SIZE, 1))
        mark[20:44, 12:40] = 1
        picture[:] = np.round(picture + mark * (1 - cover) * (0.3 * 255 - picture))
    prediction = roll(load, "constant-velocity", truth[:8], 8)
    assert np.abs(centroid(prediction[3], 1)[0] - centroid(truth[11], 1)[0]).max() < 0.5


def test_a_ball_over_the_floor_and_a_holder_that_vanished(load) -> None:
    context = film([(0, (20, 30), (0, 2.0), 6)], range(8), floor=56, held=2)
    prediction = roll(load, "constant-velocity", context, 4)
    assert (prediction[:, 40:44, 28:30] == 128).all()
    assert centroid(prediction[3], 0)[1] > 0.95 * centroid(context[0], 0)[1]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_short_and_empty_contexts(load, length: int) -> None:
    context = film([(0, (20, 30), (1, 0), 6)], range(length))
    speed = centroid(roll(load, "constant-velocity", context, 10)[-1], 0)[0][0] - centroid(context[-1], 0)[0][0]
    assert speed == pytest.approx(0 if length == 1 else 10, abs=0.4)
    empty = film([], range(length))
    assert (roll(load, "constant-velocity", empty, 2) == empty[0]).all()


def test_objects_of_one_hue_are_one_sprite_and_greys_are_none() -> None:
    frames = film([(0, (15, 15), (0, 0), 5), (0, (45, 45), (0, 0), 5), (3, (45, 15), (0, 0), 5)], range(4))
    _, front, sprites = decompose_context(frames.astype(np.float32) / 255)
    assert len(sprites) == 2 and not front.any()


def test_the_oracle_returns_the_true_future(load) -> None:
    class Clip:
        def future(self):
            return film([(0, (20, 30), (1, 0), 6)], range(40))

    model = load("baseline:oracle")
    chunks = list(model.rollout_clips([Clip()], horizon=40, generators=[]))
    frames = (torch.cat(chunks, 1)[0].permute(0, 2, 3, 1) * 255 + 0.5).to(torch.uint8).numpy()
    assert (frames == Clip().future()).all()
    assert model.card.track == "privileged"


def test_many_large_clips_come_in_short_parts_of_the_same_frames(load, monkeypatch: pytest.MonkeyPatch) -> None:
    card = baseline_card("freeze", {"size": "256"})
    parts = list(answer_parts(card, 8, 40))
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])] and parts[-1].stop == 40
    assert parts[0].stop == 2 and next(answer_parts(card, 1000, 40)) == slice(0, 1)
    assert [part.stop for part in answer_parts(baseline_card("freeze", {}), 8, 40)] == [16, 32, 40]
    context = film([(0, (20, 30), (1, 0), 6)], range(4))
    whole = roll(load, "constant-velocity", context, 20)
    monkeypatch.setattr(protocol, "ANSWER_BYTES", 3 * 64 * 64 * 3 * 4)
    assert np.array_equal(roll(load, "constant-velocity", context, 20), whole)


def test_cards_follow_the_arguments() -> None:
    card = baseline_card("freeze", {"size": "96x64", "fps": "12.5", "context": "3"})
    assert (card.image_size, card.fps, card.context_frames) == ((64, 96), 12.5, 3)
    for arguments, words in (
        ({"size": "big"}, "expected 64, or 96x64"),
        ({"size": "8"}, "between 32 and 2048"),
        ({"fps": "7"}, "divides 1200"),
        ({"context": "x"}, "expected a whole number"),
        ({"sise": "64"}, "Did you mean size"),
    ):
        with pytest.raises(ModelError, match=words):
            baseline_card("freeze", arguments)


def test_the_median_of_known_values_is_that_of_numpy() -> None:
    rng = np.random.default_rng(3)
    for frames in (1, 2, 7, 8):
        values = rng.random((frames, 50, 3), dtype=np.float32)
        values[rng.random(values.shape) < 0.4] = np.nan
        values[0] = rng.random((50, 3), dtype=np.float32)
        assert np.array_equal(_known_median(values), np.nanmedian(values, axis=0))
        assert _known_median(values).dtype == np.float32
