"""The way in: what is recognised and loaded, what the run is told, and messages for what cannot be loaded."""

import re
import shutil
import socket
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_pipelines import edit_json

from physbench.clips.suite import find_suite
from physbench.models.huggingface import diffusers_adapter, diffusers_load
from physbench.models.huggingface.diffusers_adapter import adapter
from physbench.models.huggingface.diffusers_folder import read_folder
from physbench.models.huggingface.diffusers_load import load_pipeline
from physbench.models.huggingface.diffusers_pipeline import DiffusersModel
from physbench.models.huggingface.diffusers_plan import make_plan
from physbench.models.load_model import check_target, describe_model, find_adapter, load_model, model_sha256
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.in_process import InProcessEngine
from physbench.run.options import Options
from physbench.support.errors import ModelError

pytestmark = pytest.mark.usefixtures("warm_models")


@pytest.fixture
def wan(tiny, tmp_path):
    """A copy of a tiny pipeline, to be damaged."""
    return shutil.copytree(tiny.folder("wan_i2v"), tmp_path / "wan")


def refused(target, **model_args) -> str:
    with pytest.raises(ModelError) as caught:
        check_target(str(target))
        load_model(str(target), device=torch.device("cpu"), dtype=torch.float32, model_args=model_args)
    text = str(caught.value)
    assert len(text.splitlines()) <= 2
    return text


def test_a_folder_is_recognised_with_and_without_its_scheme(wan) -> None:
    assert find_adapter(str(wan)) is adapter and find_adapter(f"diffusers:{wan}") is adapter
    assert model_sha256(str(wan)) == model_sha256(f"diffusers:{wan}")
    assert Options(model=f"diffusers:{wan}").short_name == "wan"


def test_what_a_pipeline_will_do_is_told_without_loading_it(wan, monkeypatch) -> None:
    monkeypatch.setattr(diffusers_load, "load_pipeline", None)
    words = dict(describe_model(str(wan), {"width": "64", "height": "64"}))
    assert list(words) == ["pipeline", "sizes", "rate", "context", "length", "prompts", "calls"]
    assert words["prompts"] == "the description of each scene" and "the last frame" in words["context"]


def test_the_list_tells_what_is_installed(monkeypatch) -> None:
    assert "diffusers 0." in adapter.summary
    monkeypatch.setattr(diffusers_adapter.importlib.util, "find_spec", lambda name: None)
    assert 'needs pip install "physbench[diffusers]"' in adapter.summary


def test_a_missing_extra_is_named_first(wan, monkeypatch) -> None:
    real = diffusers_adapter.importlib.util.find_spec
    monkeypatch.setattr(
        diffusers_adapter.importlib.util, "find_spec", lambda name: None if name == "accelerate" else real(name)
    )
    assert refused(wan).endswith('needs accelerate: pip install "physbench[diffusers]"')
    monkeypatch.setattr(
        diffusers_adapter.importlib.util,
        "find_spec",
        lambda name: None if name in ("accelerate", "ftfy") else real(name),
    )
    assert refused(wan).endswith('needs accelerate and ftfy: pip install "physbench[diffusers]"')


def test_all_of_the_extra_is_looked_for() -> None:
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    extra = {re.split("[^a-z]", line)[0] for line in settings["project"]["optional-dependencies"]["diffusers"]}
    assert extra == {*diffusers_adapter.PACKAGES, "torchvision"}, "torchvision is asked for by itself, below"


def test_torchvision_is_asked_for_where_a_network_needs_it(tiny, tmp_path, monkeypatch) -> None:
    folder = shutil.copytree(tiny.folder("cosmos2"), tmp_path / "cosmos")
    edit_json(folder / "transformer" / "config.json", concat_padding_mask=True)
    real = diffusers_adapter.importlib.util.find_spec
    monkeypatch.setattr(
        diffusers_adapter.importlib.util, "find_spec", lambda name: None if name == "torchvision" else real(name)
    )
    assert "needs torchvision" in refused(folder)


def test_nothing_is_asked_of_the_network(tiny, monkeypatch) -> None:
    def connect(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", connect)
    tiny.model("ltx_i2v", num_inference_steps="1")


def test_the_guardrail_is_not_left_out_silently(tiny, monkeypatch) -> None:
    folder = tiny.folder("cosmos2")
    arguments = tiny.arguments("cosmos2")
    dummy = arguments.pop("guardrail")
    assert "pip install cosmos_guardrail" in refused(folder, **arguments)
    assert tiny.model("cosmos2").run_settings["checker"] == "dummy: nothing is checked (random weights)"
    monkeypatch.setattr(diffusers_load, "MOST_DUMMY_BYTES", 1000)
    assert "is for random weights of tests" in refused(folder, **arguments, guardrail=dummy)


def test_weights_that_lack_tensors(wan) -> None:
    path = wan / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors.pop("proj_out.weight")
    save_file(tensors, path, metadata={"format": "pt"})
    assert "proj_out.weight" in refused(wan, width="32", height="32")


def test_weights_of_another_shape_or_class(wan) -> None:
    edit_json(wan / "transformer" / "config.json", ffn_dim=16)
    text = refused(wan)
    assert "cannot be loaded" in text and "diffusers 0." in text
    edit_json(wan / "model_index.json", transformer=["diffusers", "NoSuchTransformer"])
    assert "NoSuchTransformer" in refused(wan)


def test_options_that_do_not_fit_the_device_or_pipeline(wan) -> None:
    assert "names none" in refused(wan, offload="model")


def test_options_of_loading_reach_the_pipeline(tiny) -> None:
    folder = read_folder(tiny.folder("wan_i2v"))
    sizes = {"width": "64", "height": "64", "max_frames": "9", "num_inference_steps": "1"}
    plan = make_plan(folder, {"vae_dtype": "float32", "vae_tiling": "true", "compile": "true"} | sizes)
    pipe = load_pipeline(plan, torch.device("cpu"), torch.bfloat16)
    assert pipe.vae.dtype == torch.float32 and pipe.transformer.dtype == torch.bfloat16
    model = DiffusersModel(plan, pipe, {})
    context = torch.rand(1, 1, 3, *plan.card.image_size, dtype=torch.bfloat16)
    pipe.transformer._compiled_call_impl, compiled = None, pipe.transformer._compiled_call_impl
    answer = model.rollout(context, horizon=2, actions=None, prompts=["a ball"], generators=[torch.Generator()])
    assert answer.dtype == torch.bfloat16 and answer.shape == (1, 2, 3, 64, 64) and compiled is not None
    assert pipe.vae.use_tiling


@pytest.mark.parametrize("process", [False, pytest.param(True, marks=pytest.mark.slow)])  # imports diffusers again
def test_the_harness_rolls_it_out_and_learns_its_settings(tiny, process: bool) -> None:
    folder = tiny.folder("wan_i2v")
    arguments = tiny.arguments("wan_i2v", num_inference_steps="2")
    rows = find_suite("smoke").rows[:1]
    with (
        RolloutEngine(f"diffusers:{folder}", device="cpu", model_args=arguments, threads=1)
        if process
        else InProcessEngine(tiny.model("wan_i2v", num_inference_steps="2"))
    ) as engine:
        settings = engine.info.settings
        assert "num_inference_steps=2" in settings["calls"] and "diffusers 0." in settings["libraries"]
        assert settings["scheduler"] == "FlowMatchEulerDiscreteScheduler"
        (result,) = engine.run(engine.plan(rows, batch_size=1))
    (rollout,) = result.rollouts
    assert not rollout.failure and rollout.chained == -(-len(rollout.frames) // 24)
