"""Latents: the moments that they stand at, the encoders that have some, and what cannot be read in a clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from physbench.models.load_model import load_encoder
from physbench.models.protocol import ModelCard
from physbench.probes.encode import SAMPLE, Latents, looks_ahead, moments_of, pooled, two_frames
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
