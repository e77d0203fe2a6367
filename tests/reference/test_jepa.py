"""The `jepa` model: it learns, resumes, sees nothing of what comes, and says what it cannot be shown."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from physbench.models.load_model import load_model
from physbench.models.networks import make_untrained
from physbench.models.protocol import SurpriseCard, SurpriseModel
from physbench.models.safetensors_files import read_checkpoint, save_checkpoint
from physbench.reference import jepa, training_loop
from physbench.reference.jepa import LEAST_SCALE, LOG_ERRORS, JepaModel, architecture
from physbench.reference.train import learn
from physbench.reference.training_loop import generator
from physbench.support.errors import ModelError

CPU = torch.device("cpu")
TINY = {**architecture.config(), "width": 4, "latent": 6, "hidden": 8}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LATENT_BATCH": 4, "LATENT_FRAMES": 8, "MOTION_BATCH": 4, "MOTION_FRAMES": 12}.items():
        monkeypatch.setattr(jepa, name, value)


def tiny_model(seed: int = 0) -> JepaModel:
    torch.manual_seed(seed)
    return architecture.wrap(architecture.net(TINY), architecture.card(TINY), CPU, torch.float32)


def films(count: int, frames: int = 24) -> Tensor:
    return torch.rand(count, frames, 3, 64, 64, generator=generator("films"))


def ask(model: JepaModel, video: Tensor) -> Tensor:
    return model.surprise(video, context=15, actions=None, prompts=[""] * len(video), generators=[])


def trained(toys, folder: Path, monkeypatch: pytest.MonkeyPatch, *, resume: bool = False) -> dict[str, Tensor]:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(architecture, "config", lambda: TINY)
    folder.mkdir(exist_ok=True)
    net, _ = learn(
        architecture, TINY, toys, folder, {}, seed=0, steps=10, minutes=None, device="cpu", resume=resume, threads=1
    )
    return net.state_dict()


@pytest.mark.slow
def test_all_stages_lower_their_loss_and_the_latents_do_not_collapse(toys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    net = architecture.net(TINY)
    stages = architecture.stages(net, TINY, toys, tmp_path, 200)
    assert [stage.name for stage in stages] == ["latents", "motion", "errors"]
    for stage, steps in zip(stages, (40, 20, 10), strict=True):
        stage.prepare()
        before = float(stage.loss(0.0, generator("same")).detach())
        optimizer = torch.optim.AdamW(stage.parameters, stage.rate)
        for step in range(steps):
            loss = stage.loss(0.0, generator(step))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        assert float(stage.loss(0.0, generator("same")).detach()) < before, stage.name
        assert "error " in stage.describe()
    video = toys.frames(0)[None, :24].float() / 255
    spread, _ = jepa.spread_over_time(net.encode(video), jepa.moving_cells(video))
    assert float(spread.detach().mean()) > 0.3, "before training it is 0.01"


def test_a_resumed_training_ends_with_the_same_weights(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    whole = trained(toys, tmp_path / "whole", monkeypatch)
    real, done = training_loop._one_step, 0

    def killed_in_the_second_stage(*arguments: object) -> float:
        nonlocal done
        done += 1
        if done > 6:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_loop, "_one_step", killed_in_the_second_stage)
        with pytest.raises(KeyboardInterrupt):
            trained(toys, tmp_path / "killed", monkeypatch)
    resumed = trained(toys, tmp_path / "killed", monkeypatch, resume=True)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_latents_that_are_expected_to_stay_have_no_skill(toys) -> None:  # type: ignore[no-untyped-def]
    model = tiny_model()
    torch.nn.init.zeros_(model.net.change.weight)
    torch.nn.init.zeros_(model.net.change.bias)
    validation = architecture.validation(model, toys)
    assert validation.names == ("0.067 s ahead", "0.2 s ahead")
    with torch.no_grad():
        assert validation.skills() == pytest.approx([0, 0], abs=1e-6)


def test_only_moving_cells_count_for_the_spread() -> None:
    video = torch.full((1, 4, 3, 64, 64), 0.5)
    video[0, 2, :, 9, 17] = 1.0
    moving = jepa.moving_cells(video)
    assert moving.nonzero().tolist() == [[0, 1, 2]]
    latents = torch.zeros(1, 4, 2, 8, 8)
    latents[0, :, 0, 1, 2] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    latents[0, :, 1, 5, 5] = 7.0
    spread, covariance = jepa.spread_over_time(latents, moving)
    assert torch.allclose(spread, torch.tensor([1.0, 0.0]), atol=2e-3)
    assert torch.allclose(covariance, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_no_surprise_depends_on_later_frames_or_on_other_films() -> None:
    model, video = tiny_model(), films(2)
    changed = video.clone()
    changed[:, 18:] = 1 - changed[:, 18:]
    before, after = ask(model, video), ask(model, changed)
    assert before.shape == (2, 24)
    assert torch.equal(before[:, :18], after[:, :18])
    assert (before[:, 18] - after[:, 18]).abs().min() > 0
    assert torch.allclose(ask(model, video[:1]), before[:1], atol=1e-5)


def test_surprise_is_how_far_errors_exceed_the_usual_one() -> None:
    """A predictor that expects latents to stay, with a usual error of its own choice."""
    model, video = tiny_model(), films(1, 6)
    last = model.net.usual[2]
    with torch.no_grad():
        for layer in (model.net.change, last):
            layer.weight.zero_()
            layer.bias.zero_()  # type: ignore[union-attr]
        latents = model.net.encode(video)
        near, far = (float((latents[:, 5] - latents[:, 5 - k]).abs().mean()) for k in (1, 3))
        assert float(ask(model, video)[0, 5]) == pytest.approx(((near + far) / 2 - 1) / (1 + LEAST_SCALE), abs=1e-5)
        last.bias.copy_(torch.tensor([near, far]).log())  # type: ignore[union-attr, operator]
        assert float(ask(model, video)[0, 5]) == pytest.approx(0, abs=1e-5), "as wrong as usual"
        last.bias.fill_(-100.0)  # type: ignore[union-attr, operator]
        least = math.exp(LOG_ERRORS[0])
        expected = ((near + far) / 2 - least) / (least + LEAST_SCALE)
        assert float(ask(model, video)[0, 5]) == pytest.approx(expected, rel=1e-4)


def test_a_checkpoint_gives_the_model_back_with_its_card(tmp_path: Path) -> None:
    model, path = tiny_model(1), tmp_path / "model.safetensors"
    save_checkpoint(
        path, model.net.state_dict(), architecture="jepa", config=TINY, card=model.card, training={"clips": 20}
    )
    card = read_checkpoint(path).card
    assert isinstance(card, SurpriseCard) and card.training_clips == 20 and card.unit == model.card.unit
    again = load_model(str(path), device=CPU, dtype=torch.bfloat16)
    assert isinstance(again, SurpriseModel)
    video = films(1)
    assert torch.equal(ask(again, video), ask(model, video))  # type: ignore[arg-type]
    make_untrained(again, str(path))
    assert not torch.equal(ask(again, video), ask(model, video))  # type: ignore[arg-type]


def test_what_it_cannot_be_shown_is_told_in_a_line() -> None:
    with pytest.raises(ModelError, match=r"expected films \(B, T, 3, 64, 64\), got \(1, 4, 3, 32, 32\)"):
        ask(tiny_model(), torch.rand(1, 4, 3, 32, 32))
    with pytest.raises(ModelError, match="size that 8 divides but got 60"):
        architecture.net({**TINY, "size": 60})
    for wrong in ({"ahead": [0]}, {"ahead": "13"}, {"width": 10**8}, {"hidden": 2.5}):
        with pytest.raises(ModelError, match=r"whole numbers? from 1 to"):
            architecture.build({**TINY, **wrong})
    with pytest.raises(ModelError, match="frames ahead"):
        architecture.net({**TINY, "ahead": []})


def test_a_card_that_answers_something_else_is_refused(tmp_path: Path) -> None:
    import json

    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    document = {"architecture": "jepa", "config": {}, "card": {"name": "x", "answers": "poems"}}
    save_file({"a": torch.zeros(1)}, str(path), metadata={"physbench": json.dumps(document)})
    with pytest.raises(ModelError, match=r"answers='poems'.*frames or states or surprise"):
        read_checkpoint(path)
