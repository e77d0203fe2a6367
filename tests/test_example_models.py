"""The worked examples of models, on tiny random weights in the layout that they read."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from physbench import ModelCard

EXAMPLE = Path(__file__).parent.parent / "examples" / "stochastic_video.py"


@pytest.fixture
def video(tmp_path: Path):
    """A next-frame network with a learned prior, made by `make` from a file of its parts."""
    spec = importlib.util.spec_from_file_location("stochastic_video", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    net = module.StochasticVideo(ModelCard("made", (64, 64), fps=10, context_frames=5), 6, 3, 4, 8)
    parts = {name: part.state_dict() for name, part in net.named_children()}
    assert set(parts) == {"encoder", "decoder", "frame_predictor", "posterior", "prior"}
    torch.save(parts, tmp_path / "svg.pt")
    return module.make(device=torch.device("cpu"), dtype=torch.float32, weights=str(tmp_path / "svg.pt"))


def roll(model, context, *seeds):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with torch.inference_mode():
        parts = model.rollout(context, horizon=4, actions=None, prompts=[""] * len(seeds), generators=generators)
        return torch.cat(list(parts), 1)


def test_a_network_with_a_learned_prior_draws_from_the_generator_of_each_clip(video) -> None:
    context = torch.rand(1, 5, 3, 64, 64, generator=torch.Generator().manual_seed(1)).repeat(2, 1, 1, 1, 1)
    frames = roll(video, context, 1, 2)
    assert video.card.stochastic and frames.shape == (2, 4, 3, 64, 64)
    assert frames.min() >= 0 and frames.max() <= 1
    assert not torch.equal(frames[0], frames[1]), "one context, two futures"
    torch.testing.assert_close(frames[:1], roll(video, context[:1], 1))


def test_the_prior_alone_decides_how_far_futures_are_apart(video) -> None:
    context = torch.rand(1, 5, 3, 64, 64)
    torch.nn.init.zeros_(video.prior.logvar_net.weight)
    torch.nn.init.constant_(video.prior.logvar_net.bias, -80.0)  # a standard deviation of 4e-18
    assert torch.equal(roll(video, context, 1), roll(video, context, 2))


def test_pictures_that_the_decoder_reuses_stay_those_of_the_context(video) -> None:
    context = torch.rand(1, 5, 3, 64, 64)
    with torch.inference_mode():
        _, expected = video.encoder(context[:, 3])
        state = video.init(context)
        state, _ = video.step(state, torch.zeros(1, 3))
    assert all(torch.equal(one, other) for one, other in zip(state[1:5], expected, strict=True))
