"""Latents: moments that they stand at, encoders that have some, errors in a clear line; the law of force of paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from physbench.laws.kepler import propagate
from physbench.models.load_model import load_encoder
from physbench.models.protocol import ModelCard
from physbench.probes.encode import (
    SAMPLE,
    ImpliedForce,
    Latents,
    Pull,
    implied_force,
    looks_ahead,
    moments_of,
    pooled,
    two_frames,
)
from physbench.support.arrays import Array
from physbench.support.errors import ModelError

CPU = torch.device("cpu")
FRAMES = np.random.default_rng(0).integers(0, 256, (1, 9, 64, 64, 3), dtype=np.uint8)


class Made:
    """An encoder that answers with what a function makes of the frames."""

    card = ModelCard("made", (64, 64), 15, 2)

    def __init__(self, make: Callable[[Tensor], object]) -> None:
        self.make = make

    def encode(self, frames: Tensor) -> Tensor:
        return self.make(frames)  # type: ignore[return-value]


def means(frames: Tensor) -> Tensor:
    return frames.float().mean((2, 3))


def refused(make: Callable[[Tensor], object], *calls: np.ndarray) -> str:
    ask = Latents(Made(make), "m.py:make")
    with pytest.raises(ModelError) as caught:
        for frames in calls or (FRAMES,):
            ask(frames)
    text = str(caught.value)
    assert len(text.splitlines()) == 1 and text.startswith("m.py:make: encode ")
    return text


def test_latents_that_cannot_be_read_are_refused_in_a_line() -> None:
    assert "not finite" in refused(lambda frames: means(frames) / 0 * 0)
    assert "expected a torch.Tensor" in refused(lambda frames: means(frames).numpy())
    assert "(1, 10, 3) for frames (1, 9, 64, 64, 3)" in refused(lambda frames: torch.zeros(1, 10, 3))
    assert "(1, 3)" in refused(lambda frames: torch.zeros(1, 3))
    sizes = refused(lambda frames: torch.zeros(1, 4, frames.shape[1]), FRAMES, FRAMES[:, :8])
    assert sizes.endswith("encode returned latents of (9,) first and of (8,) now.")
    assert "failed: ZeroDivisionError" in refused(lambda frames: 1 / 0)


def test_a_model_without_an_encoder_is_refused_in_a_line() -> None:
    with pytest.raises(ModelError, match=r"^reference:objects has no encoder: .* `encode\(frames\)`") as caught:
        load_encoder("reference:objects", device=CPU, dtype=torch.float32)
    assert len(str(caught.value).splitlines()) == 1


def test_latents_stand_evenly_and_at_the_last_frame() -> None:
    assert moments_of(9, 9).tolist() == list(range(9))
    assert moments_of(9, 4).tolist() == [2, 4, 6, 8]
    assert moments_of(8, 4).tolist() == [1, 3, 5, 7]
    assert moments_of(9, 1).tolist() == [8]
    assert moments_of(47, 24).tolist() == list(range(0, 47, 2))  # rounds up
    assert moments_of(45, 12).tolist() == list(range(0, 45, 4))  # the first frame by itself


def test_large_latents_are_averaged_over_space() -> None:
    assert pooled(torch.rand(2, 3)).shape == (2, 3)
    assert pooled(torch.rand(2, 24, 8, 8)).shape == (2, 24 * 64)
    assert pooled(torch.rand(2, 1024, 16, 16)).shape == (2, 1024 * 16)
    grid = torch.rand(1, 2, 16, 16)
    assert pooled(grid)[0, 0] == pytest.approx(float(grid[0, 0, 0, 0]))
    with pytest.raises(ModelError, match="average over tokens"):
        pooled(torch.zeros(1, SAMPLE.features + 1))


def test_pixels_are_those_of_two_frames() -> None:
    found = two_frames(FRAMES)
    assert found.shape == (1, 9, 6 * 16 * 16)
    assert torch.equal(found[:, 1:, 3 * 256 :], found[:, :-1, : 3 * 256])


def test_latents_that_depend_on_later_frames_are_called_out() -> None:
    def smoothed(frames: Tensor) -> Tensor:
        return means(frames) + means(frames).mean(1, keepdim=True)

    assert not looks_ahead(Latents(Made(means), "m"), FRAMES[0])
    assert looks_ahead(Latents(Made(smoothed), "m"), FRAMES[0])
    assert looks_ahead(Latents(Made(lambda frames: means(frames).flip(1)), "m"), FRAMES[0])


@pytest.mark.parametrize(
    ("name", "shape"),
    [("rssm", (4, 112 + 32, 8, 8)), ("vae-mdn-rnn", (9, 544))],  # rssm: states of pairs of frames
)
def test_reference_models_show_what_they_carry(name: str, shape: tuple[int, ...]) -> None:
    encoder = load_encoder(f"reference:{name}", device=CPU, dtype=torch.float32)
    ask = Latents(encoder, name)
    latents = ask(FRAMES)[0]
    assert latents.shape == shape
    assert not looks_ahead(ask, FRAMES[0])
    untrained = load_encoder(f"reference:{name}", device=CPU, dtype=torch.float32, untrained_beside=encoder)
    fresh = Latents(untrained, name)(FRAMES)[0]
    assert fresh.shape == shape and not torch.allclose(fresh, latents, atol=1e-2)


def test_the_states_of_a_recurrent_model_hold_the_past() -> None:
    other = FRAMES.copy()
    other[:, :2] = 255 - other[:, :2]
    for name, alike in (("vae-mdn-rnn", False), ("diffusion", True)):
        ask = Latents(load_encoder(f"reference:{name}", device=CPU, dtype=torch.float32), name)
        assert torch.equal(ask(FRAMES)[0, -1], ask(other)[0, -1]) is alike


def test_jepa_shows_latents_and_the_state_of_its_predictor() -> None:
    from physbench.reference.jepa import architecture

    ask = Latents(architecture.build({}), "jepa")
    assert ask(FRAMES)[0].shape == (9, 24 + 48, 8, 8)
    assert not looks_ahead(ask, FRAMES[0])


def test_a_class_with_a_card_and_an_encode_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from physbench import ModelCard\n\n\nclass Mine:\n"
        "    card = ModelCard('mine', (64, 64), 15, 2)\n\n"
        "    def encode(self, frames):\n        return frames.float().mean((2, 3))\n\n\n"
        "def make(*, device, dtype):\n    return Mine()\n"
    )
    encoder = load_encoder(f"{file}:make", device=CPU, dtype=torch.float32)
    assert Latents(encoder, "mine")(FRAMES).shape == (1, 9, 3)


STEP, CLIPS = 1 / 15, 10
TIMES = np.arange(75) * STEP


def implied(paths: list[Array]) -> ImpliedForce:
    pulls = [Pull(number, "one", (0.5, -0.25)) for number in range(len(paths))]
    return implied_force(pulls, lambda clip, slot: paths[clip] + (0.5, -0.25), STEP)


def newtonian(speed: float = 0.75) -> list[Array]:
    """Ellipses from their far end, 1.2 to 1.6 m from the source, at a part of the speed of a circle."""
    far = np.linspace(1.2, 1.6, CLIPS)
    starts = [np.array([r, 0.0, 0.0, speed * np.sqrt(2.0 / r)]) for r in far]
    return [propagate(start, TIMES, 2.0).reshape(-1, 4)[:, :2] for start in starts]


def test_orbits_of_newton_and_of_a_spring_give_their_exponents() -> None:
    found = implied(newtonian())
    assert found.exponent is not None and abs(found.exponent + 2) < 0.11
    assert found.interval is not None and found.interval[1] - found.interval[0] < 0.3
    assert found.share is not None and found.share > 0.99
    spring = [np.stack([a * np.cos(2 * TIMES), 0.6 * np.sin(2 * TIMES)], 1) for a in np.linspace(1, 1.5, CLIPS)]
    found = implied(spring)
    assert found.exponent is not None and abs(found.exponent - 1) < 0.11


def test_what_cannot_be_told_has_a_reason() -> None:
    noise = np.random.default_rng(0)
    noisy = [path + noise.normal(scale=0.5, size=path.shape) for path in newtonian()]
    assert implied(noisy).exponent is None
    assert "no force along the line to the source explains more than" in implied(noisy).reason
    assert implied(newtonian(speed=1.0)).reason == "the distance to the source varies too little"
    assert implied(newtonian()[:5]).reason == "too few clips"
    gone = [np.full_like(path, np.nan) for path in newtonian()]
    assert (implied(gone).reason, implied(gone).clips) == ("too few clips", 0)
