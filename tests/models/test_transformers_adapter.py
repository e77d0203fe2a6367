"""Tiny random networks, written by the library itself: what they are asked, and messages for what cannot be asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from physbench.models.huggingface.transformers_adapter import adapter
from physbench.models.huggingface.window_surprise import WindowSurprise, patches
from physbench.models.load_model import (
    check_target,
    describe_model,
    find_adapter,
    load_encoder,
    load_model,
    model_sha256,
)
from physbench.support.errors import ModelError

SIDE, WINDOW, HIDDEN, TUBELET = 32, 8, 2, 2
JEPA = {
    "crop_size": SIDE, "frames_per_clip": WINDOW, "hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2,
    "pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 2, "pred_num_mask_tokens": 2,
    "pred_zero_init_mask_tokens": False,
}  # fmt: skip
MAE = {
    "image_size": SIDE, "num_frames": WINDOW, "hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2,
    "intermediate_size": 32, "decoder_hidden_size": 24, "decoder_num_attention_heads": 2,
    "decoder_num_hidden_layers": 1, "decoder_intermediate_size": 32,
}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    from transformers import VideoMAEConfig, VideoMAEForPreTraining, VJEPA2Config, VJEPA2Model  # takes 6 s

    root = tmp_path_factory.mktemp("networks")
    torch.manual_seed(5)  # not that of untrained copies
    made = {"vjepa2": VJEPA2Model(VJEPA2Config(**JEPA)), "videomae": VideoMAEForPreTraining(VideoMAEConfig(**MAE))}
    for name, network in made.items():
        network.save_pretrained(root / name)
    return {name: root / name for name in made}


@pytest.fixture
def video() -> torch.Tensor:
    return torch.rand(2, 13, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def loaded(path: Path, **model_args: str) -> WindowSurprise:
    model = load_model(f"transformers:{path}", device=CPU, dtype=torch.float32, model_args=model_args)
    assert isinstance(model, WindowSurprise)
    return model


def asked(model: WindowSurprise, video: torch.Tensor) -> torch.Tensor:
    generators = [torch.Generator() for _ in video]
    context = model.card.context_frames
    return model.surprise(video, context=context, actions=None, prompts=[""] * len(video), generators=generators)


def refused(path: Path, **model_args: str) -> str:
    with pytest.raises(ModelError) as caught:
        check_target(f"transformers:{path}")
        loaded(path, **model_args)
    text = str(caught.value)
    assert len(text.splitlines()) <= 2
    return text


@pytest.mark.parametrize("kind", ["vjepa2", "videomae"])
def test_surprise_is_stated_for_every_frame_and_never_sees_what_comes(folders, video, kind) -> None:
    model = loaded(folders[kind])
    before = asked(model, video)
    assert before.shape == video.shape[:2] and bool((before[:, model.card.context_frames :] > 0).all())
    for moment in (7, 9, 10):  # frames from here on are others
        other = video.clone()
        other[:, moment:] = 1 - other[:, moment:]
        after = asked(model, other)
        assert torch.equal(after[:, :moment], before[:, :moment])
        assert not torch.allclose(after[:, -1], before[:, -1])
    alone = asked(model, video[1:])
    assert torch.allclose(alone, before[1:], rtol=1e-4)


def test_latents_are_predicted_from_frames_encoded_alone(folders, video) -> None:
    """In the library's one call the encoder sees the whole window: the prediction depends on what it predicts."""
    model = loaded(folders["vjepa2"])
    network = model.network
    frames = model.normalised(video[:, :WINDOW])
    other = frames.clone()
    other[:, -HIDDEN:] += 1.0
    tokens = torch.arange(WINDOW // TUBELET * 4).expand(2, -1)
    known = (WINDOW - HIDDEN) // TUBELET * 4
    masks = {"context_mask": [tokens[:, :known]], "target_mask": [tokens[:, known:]]}
    with torch.no_grad():
        leaking = [network(each, **masks).predictor_output.last_hidden_state for each in (frames, other)]
        shown = network.encoder(frames[:, :-HIDDEN]).last_hidden_state
        target = network.encoder(frames).last_hidden_state[:, known:]
        expected = network.predictor(encoder_hidden_states=shown, **masks).last_hidden_state
    assert not torch.allclose(*leaking, atol=1e-4)
    target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    by_hand = (expected - target).abs().mean(dim=(1, 2))
    assert torch.allclose(asked(model, video)[:, WINDOW - 1], by_hand, rtol=1e-5)


@pytest.mark.parametrize("normed", [True, False])
def test_the_error_of_hidden_pixels_is_the_loss_of_the_library(folders, video, tmp_path, normed) -> None:
    path = shutil.copytree(folders["videomae"], tmp_path / "net")
    config = json.loads((path / "config.json").read_text()) | {"norm_pix_loss": normed}
    (path / "config.json").write_text(json.dumps(config))
    model = loaded(path)
    hidden = torch.zeros(1, WINDOW // TUBELET * 4, dtype=torch.bool)
    hidden[:, -4:] = True
    with torch.no_grad():
        losses = [model.network(model.normalised(film[None, :WINDOW]), bool_masked_pos=hidden).loss for film in video]
    assert torch.allclose(asked(model, video)[:, WINDOW - 1], torch.stack(losses), rtol=1e-4)
    assert patches(video[:, :WINDOW], TUBELET, 16, normed=normed).shape == (2, 16, TUBELET * 16 * 16 * 3)


@pytest.mark.parametrize("kind", ["vjepa2", "videomae"])
def test_an_untrained_copy_is_drawn_from_the_config(folders, video, kind) -> None:
    target = f"transformers:{folders[kind]}"
    copies = [load_model(target, device=CPU, dtype=torch.float32, untrained=True) for _ in range(2)]
    values = [asked(model, video) for model in (loaded(folders[kind]), *copies)]
    assert torch.equal(values[1], values[2]) and not torch.allclose(values[0], values[1])


def test_a_folder_is_recognised_described_and_hashed(folders, tmp_path) -> None:
    path = folders["vjepa2"]
    assert find_adapter(str(path)) is adapter and find_adapter(f"transformers:{path}") is adapter
    words = dict(describe_model(str(path), {"fps": "10"}))
    assert words["pictures"] == "32 x 32 px, 10 frames/s" and "of which the last 2" in words["windows"]
    assert loaded(path).card.sees == (WINDOW - HIDDEN) / 8
    assert loaded(path).card.unit.startswith("L1") and "windows of 8 frames" in loaded(path).assumptions[0]
    copy = shutil.copytree(path, tmp_path / "copy")
    assert model_sha256(str(copy)) == model_sha256(str(path))
    (copy / "video_preprocessor_config.json").write_text(
        '{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    )
    assert model_sha256(str(copy)) != model_sha256(str(path))
    assert float(loaded(copy).normalised(torch.ones(1, 1, 3, 2, 2)).max()) == 1.0


def test_weights_that_are_missing_are_never_drawn_at_random(folders, tmp_path) -> None:
    path = shutil.copytree(folders["vjepa2"], tmp_path / "net")
    tensors = load_file(path / "model.safetensors")
    save_file(
        {name: value for name, value in tensors.items() if "predictor.layer.1" not in name}, path / "model.safetensors"
    )
    assert "lacks weights of VJEPA2Model" in refused(path) and "predictor.layer.1" in refused(path)
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    network = VideoMAEForVideoClassification(VideoMAEConfig(**MAE))
    network.save_pretrained(tmp_path / "actions")
    assert "was tuned to name actions" in refused(tmp_path / "actions")


def test_what_cannot_be_asked_is_refused_in_words(folders, tmp_path) -> None:
    path = shutil.copytree(folders["videomae"], tmp_path / "net")
    assert "knows windows of 8 frames alone" in refused(path, window="6")
    assert "a multiple of 2" in refused(path, hidden="3") and "a multiple of 2" in refused(path, hidden="8")
    assert "expected a number" in refused(path, fps="fast") and "divides 1200" in refused(path, fps="7")
    assert "Did you mean window" in refused(path, windows="8") and "expected 4 to 60" in refused(path, fps="inf")
    slow = shutil.copytree(folders["vjepa2"], tmp_path / "slow")
    (slow / "config.json").write_text(
        json.dumps(json.loads((slow / "config.json").read_text()) | {"frames_per_clip": 64})
    )
    assert "Give a higher fps or a shorter window" in refused(slow, fps="4")
    (path / "preprocessor_config.json").write_text('{"image_mean": 0.5}')
    assert "image_mean and image_std" in refused(path)
    (path / "preprocessor_config.json").unlink()
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"image_size": [32, 48]}))
    assert "expected image_size to be a whole number" in refused(path)
    (path / "config.json").write_text(json.dumps(config | {"patch_size": 12}))
    assert "patches of 12 px do not divide pictures of 32 px" in refused(path)
    (path / "config.json").write_text(json.dumps({"model_type": "ijepa"}))
    assert "encoder without a predictor" in refused(path)
    (path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert "holds a 'gpt2'" in refused(path) and "V-JEPA 2 and VideoMAE" in refused(path)
    (path / "config.json").unlink()
    assert "has no config.json" in refused(path)
    assert "does not exist" in refused(tmp_path / "none")


def test_a_pickle_is_not_loaded(folders, tmp_path) -> None:
    path = shutil.copytree(folders["vjepa2"], tmp_path / "net")
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    assert "is a pickle, which can run code" in refused(path)
    (path / "model.safetensors").write_bytes((folders["vjepa2"] / "model.safetensors").read_bytes()[:-40])
    assert "is truncated" in refused(path)


def test_the_encoder_of_v_jepa_shows_latents_that_depend_on_no_later_frame(folders) -> None:
    frames = torch.randint(0, 256, (2, 13, SIDE, SIDE, 3), dtype=torch.uint8)
    target = f"transformers:{folders['vjepa2']}"
    encoder = load_encoder(target, device=CPU, dtype=torch.float32)
    before = encoder.encode(frames)
    assert before.shape == (2, 6, JEPA["hidden_size"], SIDE // 16, SIDE // 16)
    other = frames.clone()
    other[:, 9:] = 255 - other[:, 9:]  # the last two moments
    after = encoder.encode(other)
    assert torch.equal(after[:, :4], before[:, :4]) and not torch.allclose(after[:, -1], before[:, -1])
    untrained = load_encoder(target, device=CPU, dtype=torch.float32, untrained_beside=encoder)
    assert not torch.allclose(untrained.encode(frames), before)
    with pytest.raises(ModelError, match="has no encoder"):
        load_encoder(f"transformers:{folders['videomae']}", device=CPU, dtype=torch.float32)
