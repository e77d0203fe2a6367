"""The worked examples of models, on tiny random weights in the layout that they read."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from physbench import ModelCard

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str):
    """The module of an example."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def video(tmp_path: Path):
    """A next-frame network with a learned prior, made by `make` from a file of its parts."""
    module = example("stochastic_video")
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


def package(root: Path, files: dict[str, str]) -> str:
    """A checkout of somebody's code, in files by their path."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


@pytest.fixture
def own_imports(monkeypatch):
    """What an example puts into the path and imports from there is gone afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("src", "inference"):
            del sys.modules[name]


ENCODER = """
import torch
from torch import nn
class Tiny(nn.Module):
    embed_dim = 6
    def __init__(self, tubelet_size, patch_size, **options):
        super().__init__()
        size = (tubelet_size, patch_size, patch_size)
        self.embed = nn.Conv3d(3, self.embed_dim, size, stride=size)
    def forward(self, video):
        return self.embed(video).flatten(2).transpose(1, 2)
vit_large = Tiny
"""
PREDICTOR = """
from torch import nn
class Tiny(nn.Module):
    def __init__(self, embed_dim, **options):
        super().__init__()
        self.mix = nn.Linear(embed_dim, embed_dim)
    def forward(self, latents, shown, hidden):
        return self.mix(latents.mean(1, keepdim=True)).expand(-1, hidden[0].shape[1], -1)
vit_predictor = Tiny
"""
AC_PREDICTOR = (
    PREDICTOR.replace("shown, hidden", "actions, states")
    .replace("vit_pr", "vit_ac_pr")
    .replace("self.mix(latents.mean(1, keepdim=True)).expand(-1, hidden[0].shape[1], -1)", "self.mix(latents)")
)


@pytest.mark.parametrize("actions", [False, True])
def test_v_jepa_of_a_checkout_is_surprised_by_what_it_has_seen_alone(tmp_path, own_imports, actions) -> None:
    """Against networks of the shapes of that code; with that code itself it was run by hand."""
    files = {"vision_transformer": ENCODER, "predictor": PREDICTOR, "ac_predictor": AC_PREDICTOR}
    checkout = package(tmp_path, {f"src/models/{name}.py": text for name, text in files.items()})
    torch.manual_seed(0)
    tensors = {"embed.weight": torch.randn(6, 3, 2, 16, 16), "embed.bias": torch.randn(6), "pos_embed": torch.zeros(1)}
    saved = {
        "encoder": {f"module.backbone.{name}": tensor for name, tensor in tensors.items()},
        "predictor": {"module.mix.weight": torch.randn(6, 6), "module.mix.bias": torch.randn(6)},
    }
    torch.save(saved, tmp_path / "weights.pt")
    module = example("vjepa_checkout")
    options = {"device": torch.device("cpu"), "dtype": torch.float32, "checkout": checkout, "actions": actions}
    model = module.make(**options, weights=str(tmp_path / "weights.pt"), side=32)
    film = torch.rand(2, 20, 3, 32, 32)
    ask = {"context": 15, "actions": None, "prompts": ["", ""], "generators": []}
    values = model.surprise(film, **ask)
    first = 1 if actions else module.WINDOW - 1
    assert values.shape == (2, 20) and not values[:, :first].any() and (values[:, first:] > 0).all()
    film[:, 18:] = 0
    changed = (model.surprise(film, **ask) != values).any(0).nonzero().flatten()
    assert changed.tolist() == ([18, 19] if actions else [19]), "a window of whole tokens ends at frames 15, 17, 19"
    latents = model.encode((film * 255).byte().movedim(2, -1))
    assert latents.shape == (2, 10, 6, 2, 2) and not torch.equal(latents[:, 8], latents[:, 9])
    saved["predictor"].pop("module.mix.bias")
    torch.save(saved, tmp_path / "short.pt")
    with pytest.raises(ValueError, match=r"the predictor of this file is of another network: mix\.bias"):
        module.make(**options, weights=str(tmp_path / "short.pt"), side=32)


LEVELLED = ENCODER.replace(
    "    def forward(self, video):", "    return_hierarchical = False\n    def forward(self, video):"
).replace(
    "return self.embed(video).flatten(2).transpose(1, 2)",
    "last = self.embed(video).flatten(2).transpose(1, 2)\n"
    "        return torch.cat([k * last + k for k in (4, 3, 2, 1)], 2) if self.return_hierarchical else last + 1",
)
LEVELLED = (
    LEVELLED.replace("from torch import nn", "import torch\nfrom torch import nn") + "vit_giant_xformers = Tiny\n"
)
LEVELS_FORESEEN = PREDICTOR.replace(
    "nn.Linear(embed_dim, embed_dim)", "nn.Linear(4 * embed_dim, 4 * embed_dim)"
).replace(".expand(-1, hidden[0].shape[1], -1)", ".expand(-1, hidden[0].shape[1], -1), None")


def test_v_jepa_2_1_of_a_checkout_compares_each_of_its_levels(tmp_path, own_imports) -> None:
    """Against networks of the shapes of that code: four levels in a token, two answers of a predictor."""
    files = {"vision_transformer": LEVELLED, "predictor": LEVELS_FORESEEN}
    checkout = package(tmp_path, {f"app/vjepa_2_1/models/{name}.py": text for name, text in files.items()})
    torch.manual_seed(0)
    encoder = {"module.embed.weight": torch.randn(6, 3, 2, 16, 16), "module.embed.bias": torch.randn(6)}
    mix = {"module.backbone.mix.weight": torch.randn(24, 24), "module.backbone.mix.bias": torch.randn(24)}
    torch.save({"target_encoder": encoder, "predictor": mix}, tmp_path / "giant.pt")
    torch.save({"ema_encoder": encoder}, tmp_path / "large.pt")
    module = example("vjepa_checkout")
    options = {
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "checkout": checkout,
        "version": "2.1",
        "side": 32,
    }
    model = module.make(**options, weights=str(tmp_path / "giant.pt"), arch="vit_giant_xformers")
    film = torch.rand(1, 16, 3, 32, 32)
    ask = {"context": 15, "actions": None, "prompts": [""], "generators": []}
    values = model.surprise(film, **ask)
    assert model.card.name == "vjepa2.1" and values.shape == (1, 16) and values[0, 15] > 0 and not values[0, :15].any()
    whole = model.encoder(model.pictures(film))  # (1, 32, 24): the last two of eight moments are hidden
    mean = model.encoder(model.pictures(film)[:, :, :12]).mean(1)
    target = torch.cat([torch.nn.functional.layer_norm(part, (6,)) for part in whole[:, 24:].split(6, 2)], 2)
    torch.testing.assert_close(values[0, 15], (model.predictor.mix(mean)[:, None] - target).abs().mean())
    latents = model.encode((film * 255).byte().movedim(2, -1))
    assert latents.shape == (1, 8, 6, 2, 2)
    distilled = module.make(**options, weights=str(tmp_path / "large.pt"), arch="vit_large")
    torch.testing.assert_close(distilled.encode((film * 255).byte().movedim(2, -1)), latents)
    with pytest.raises(ValueError, match="latents of its teacher"):
        distilled.surprise(film, **ask)


MAGI = """
import av, json, numpy, torch
class MagiPipeline:
    def __init__(self, config_path):
        with open(config_path) as file:
            self.runtime = json.load(file)["runtime_config"]
    def run_video_to_video(self, prompt, prefix_video_path, output_path):
        with av.open(prefix_video_path) as file:
            last = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)][-32:][-1]
        with av.open(output_path, "w") as file:
            stream = file.add_stream("libx264", rate=24, options={"crf": "1"})
            stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv444p"
            for step in range(12):
                level = numpy.full((64, 64, 3), last.mean() + 5 * step + 20 * float(torch.rand(())), numpy.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(level, format="rgb24")))
            file.mux(stream.encode())
"""


@pytest.mark.slow
def test_magi_1_continues_a_video_file_by_file(tmp_path, own_imports) -> None:
    """Against a pipeline that reads and writes as MAGI-1's does; MAGI-1 itself needs a GPU and weights."""
    seed = "import torch\ndef set_random_seed(seed):\n    torch.manual_seed(seed)\n"
    checkout = package(tmp_path, {"inference/common.py": seed, "inference/pipeline.py": MAGI})
    config = tmp_path / "config.json"
    folders = {"load": "./a", "t5_pretrained": "./b", "vae_pretrained": "/c"}
    config.write_text(json.dumps({"runtime_config": {"fps": 24, "num_frames": 12, **folders}}))
    model = example("magi").make(device=torch.device("cpu"), dtype=torch.float32, checkout=checkout, config=config)
    assert [model.pipeline.runtime[name] for name in folders] == [f"{checkout}/a", f"{checkout}/b", "/c"]
    assert (model.card.context_frames, model.card.max_horizon, model.card.fps) == (32, 12, 24)
    context = torch.full((2, 32, 3, 256, 256), 0.2)
    ask = {"actions": None, "prompts": ["a ball falls", ""]}
    generators = [torch.Generator().manual_seed(index) for index in (1, 2)]
    answer = model.rollout(context, horizon=10, **ask, generators=generators)
    assert answer.shape == (2, 10, 3, 256, 256) and not torch.equal(answer[0], answer[1])
    drift = answer[:, -1].mean() - answer[:, 0].mean()
    assert drift == pytest.approx(45 / 255, abs=0.04) and answer[:, 0].mean() == pytest.approx(0.24, abs=0.05)
    again = [torch.Generator().manual_seed(index) for index in (1, 2)]
    assert torch.equal(answer, model.rollout(context, horizon=10, **ask, generators=again))
    with pytest.raises(RuntimeError, match="made 12 frames, and 13 were asked for"):
        model.rollout(context, horizon=13, **ask, generators=generators)


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_a_picture_turns_as_the_pose_of_the_camera_says(share: float) -> None:
    """A mark in the middle goes left by the focal length times the tangent of a pan to the right, and up by a tilt."""
    module = example("turns_as_told")
    model = module.make(device=torch.device("cpu"), dtype=torch.float32, share=share)
    context = torch.zeros(1, 8, 3, 128, 128)
    context[..., 62:66, 62:66] = 1
    poses = torch.zeros(1, 10, 6)
    poses[0, 8, 0], poses[0, 9, 1] = 10.0, 5.0
    frames = torch.cat(list(model.rollout(context, horizon=2, actions=poses, prompts=[""], generators=[])), 1)
    away = []
    for mass in frames[0, :, 0]:
        rows, columns = (torch.arange(128) + 0.5 - 64 for _ in "yx")
        away.append([float((mass.sum(0) * columns).sum() / mass.sum()), float((mass.sum(1) * rows).sum() / mass.sum())])
    pan, tilt = (share * 0.7272 * 128 * np.tan(np.radians(angle)) for angle in (10, 5))
    np.testing.assert_allclose(away, [[-pan, 0], [0, -tilt]], atol=0.3)
