"""`jepa-frames`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from physbench.models.protocol import FrameModel
from physbench.reference import jepa_frames, latent_model
from physbench.reference.jepa import moving_cells, spread_over_time
from physbench.reference.jepa_frames import JepaAutoencoder, WindowPool, architecture, spread_over_clips
from physbench.reference.simple import ConvDynamics
from physbench.reference.training_loop import run_stages

TINY = {
    **architecture.defaults, "encoder": 6, "latent": 8, "predictor": 8, "pictures": 8, "width": 16, "blocks": 1,
    "memory": 4, "unrolled": 3,
}  # fmt: skip


def copies(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def same(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, before[name]) for name, value in module.named_parameters())


@pytest.mark.slow
def test_each_stage_trains_its_own_part(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(latent_model, "POOL_FRAMES", 96)
    monkeypatch.setattr(jepa_frames, "POOL_WINDOWS", 48)
    monkeypatch.setattr(jepa_frames, "LATENT_RATE", 1e-2)
    monkeypatch.setattr(jepa_frames, "LATENT_BATCH", 4)
    monkeypatch.setattr(jepa_frames, "LATENT_FRAMES", 8)
    monkeypatch.setattr(jepa_frames, "LATENT_SHARE", 1.0)
    monkeypatch.setattr(jepa_frames, "DECODER_SHARE", 1.0)
    monkeypatch.setattr(jepa_frames, "DECODER_BATCH", 8)
    monkeypatch.setattr(ConvDynamics, "batch", 8)
    torch.manual_seed(0)
    net = architecture.net(TINY)
    autoencoder = net.autoencoder
    assert isinstance(autoencoder, JepaAutoencoder)
    video = torch.stack([toys.frames(index)[:8] for index in range(4)]).float() / 255

    def deviation() -> float:
        with torch.no_grad():
            spread, _ = spread_over_time(autoencoder.jepa.encode(video), moving_cells(video))
        return float(spread.mean())

    stages = architecture.stages(net, TINY, toys, tmp_path, 30)
    assert [stage.name for stage in stages] == ["latents", "decoder", "dynamics"]
    drawing, before = copies(autoencoder.decoder), deviation()
    run_stages(net, stages[:1], tmp_path, "key", 0, None, False)
    assert same(autoencoder.decoder, drawing)
    assert deviation() > 2 * before  # no collapse

    seeing = copies(autoencoder.jepa)
    run_stages(net, stages[1:2], tmp_path, "key", 0, None, False)
    assert same(autoencoder.jepa, seeing)
    assert not same(autoencoder.decoder, drawing)

    drawing = copies(autoencoder.decoder)
    run_stages(net, stages[2:], tmp_path, "key", 0, None, False)
    assert same(autoencoder.jepa, seeing) and same(autoencoder.decoder, drawing)
    assert sum(stages[1].losses[-5:]) < 0.8 * sum(stages[1].losses[:5])


def test_spread_over_clips_is_the_covariance_of_moving_cells() -> None:
    latents = torch.randn(3, 4, 5, 2, 2, generator=torch.Generator().manual_seed(0))
    moving = torch.tensor([[[1.0, 0], [0, 1]], [[0, 0], [0, 0]], [[1, 1], [0, 0]]])
    chosen = torch.cat([latents[b, :, :, i, j] for b, i, j in moving.nonzero().tolist()])  # (16, 5)
    deviation, covariance = spread_over_clips(latents, moving)
    assert torch.allclose(covariance, torch.cov(chosen.T, correction=0), atol=1e-5)
    assert torch.allclose(deviation, chosen.std(0, correction=0), atol=1e-4)


def test_it_rolls_out(toys) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model = architecture.build(TINY)
    assert isinstance(model, FrameModel)
    assert not model.card.stochastic
    context = torch.stack([toys.frames(i)[:8] for i in range(3)]).float() / 255
    whole = torch.cat(list(model.rollout(context, horizon=9, actions=None, prompts=[""] * 3, generators=[])), 1)
    assert whole.shape == (3, 9, 3, 64, 64)
    alone = torch.cat(list(model.rollout(context[1:2], horizon=9, actions=None, prompts=[""], generators=[])), 1)
    assert torch.allclose(alone, whole[1:2], atol=1e-5)


def test_windows_are_whole_films_of_one_colour_order(toys) -> None:  # type: ignore[no-untyped-def]
    pool = WindowPool(toys, torch.device("cpu"), 24, 6)
    assert pool.windows.shape == (24, 6, 3, 64, 64)
    video = pool.sample(5, torch.Generator().manual_seed(0))
    assert video.shape == (5, 6, 3, 64, 64)
    known = pool.windows.float() / 255
    found = torch.cat([known, known.flip(-1)])
    for each in video:
        orders = [each[:, order] for order in latent_model.PERMUTATIONS]
        assert any(torch.equal(film, order) for film in found for order in orders)
