"""Actions that reach pipelines of diffusers: tiny random weights on disk, whose frames change with what is done."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
import torch
from tiny_parts import SIZE

from physbench.models.huggingface.diffusers_folder import read_folder
from physbench.models.huggingface.diffusers_plan import make_plan
from physbench.support.errors import ModelError

PUSHES = torch.tensor([[0.0, 0.0], [0.9, 0.0], [0.0, -0.9], [0.5, 0.5]])


def rolled(model, actions, horizon=3):
    context = torch.linspace(0, 1, 3 * SIZE * SIZE).reshape(1, 1, 3, SIZE, SIZE)
    with torch.inference_mode():
        return model.rollout(
            context,
            horizon=horizon,
            actions=None if actions is None else actions[None],
            prompts=["a ball rolls"],
            generators=[torch.Generator().manual_seed(0)],
        )


@pytest.mark.slow
def test_frames_of_cosmos_3_follow_from_its_actions(tiny) -> None:
    """The network that was made with actions is given them as its robot `pusht` has them: two numbers a transition."""
    model = tiny.model("cosmos3_actions")
    assert model.card.uses_actions and model.card.context_frames == 1 and not tiny.model("cosmos3").card.uses_actions
    one, same, other = rolled(model, PUSHES), rolled(model, PUSHES.clone()), rolled(model, -PUSHES)
    assert one.shape == (1, 3, 3, SIZE, SIZE) and torch.equal(one, same)
    assert (one - other).abs().max() > 1e-3
    assert torch.equal(rolled(model, None), rolled(model, torch.zeros(4, 2)))
    with pytest.raises(ModelError, match=r"expected actions of 2 numbers, got 6\. Give --actions MAP.py a space of 2"):
        rolled(model, torch.zeros(4, 6))


@pytest.fixture
def steered(tiny, monkeypatch):
    """A pipeline of diffusers with an argument `controls`: one row a frame, by which pictures grow lighter."""
    import diffusers

    plain = diffusers.WanImageToVideoPipeline
    heard = []

    class Steered(plain):
        def __call__(self, **arguments):
            heard.append(arguments.pop("controls"))
            output = super().__call__(**arguments)
            output.frames = (output.frames + heard[-1].mean(1)[:, None, None, None].to(output.frames)).clamp(0, 1)
            return output

    usual = inspect.signature(plain.__call__)
    controls = inspect.Parameter("controls", inspect.Parameter.KEYWORD_ONLY, default=None)
    Steered.__call__.__signature__ = usual.replace(parameters=[*usual.parameters.values(), controls])
    Steered.__name__ = "SteeredPipeline"
    monkeypatch.setattr(diffusers, "SteeredPipeline", Steered, raising=False)
    return tiny.model("wan_i2v", pipeline="SteeredPipeline", actions="controls"), heard


@pytest.mark.slow
def test_any_argument_that_takes_arrays_gets_one_row_a_frame(steered) -> None:
    model, heard = steered
    assert model.card.uses_actions and "numbers a frame as 'controls'" in model.run_settings["actions"]
    dark, light = rolled(model, torch.zeros(4, 2)), rolled(model, torch.full((4, 2), 0.25))
    assert (light - dark).mean() > 0.1
    assert heard[0].shape == (5, 2) and heard[0].dtype == torch.float32, "4 k + 1 frames, the last row repeated"
    assert rolled(model, None).equal(dark) and heard[-1].shape == (5, 6)


def index_of(tmp_path, class_name, **transformer):
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "config.json").write_text(json.dumps(transformer))
    (tmp_path / "model_index.json").write_text(
        json.dumps({"_class_name": class_name, "transformer": ["diffusers", "Cosmos3OmniTransformer"]})
    )
    return read_folder(tmp_path)


COSMOS, WAN = "Cosmos3OmniPipeline", "WanImageToVideoPipeline"
WITH = {"action_gen": True, "action_dim": 64}


@pytest.mark.parametrize(
    ("class_name", "config", "given", "says"),
    [
        (WAN, {}, {"actions": "action"}, "the call of WanImageToVideoPipeline has no argument of that name"),
        (COSMOS, WITH, {"actions": "actin"}, "no argument of that name. Did you mean action"),
        (COSMOS, WITH, {"actions": "prompt"}, "it takes one str, not an array of actions"),
        (COSMOS, WITH, {"actions": "action", "action_domain": "pushed"}, "Unknown Cosmos3 action domain_name='pushed'"),
        (COSMOS, WITH, {"actions": "action", "action_domain": "pusht", "action_tier": "64"}, "resolution_tier=64"),
        (COSMOS, {}, {"actions": "action", "action_domain": "pusht"}, "made without actions"),
        (COSMOS, WITH, {"action_domain": "pusht"}, "it goes with --model-arg actions=action"),
        (
            WAN,
            {},
            {"actions": "prompt_embeds", "action_tier": "256"},
            "it is for Cosmos3OmniPipeline and actions=action",
        ),
        (WAN, {}, {"actions": "image"}, "it is made for each clip"),
    ],
)
def test_what_takes_no_actions_is_refused_in_a_line(tmp_path, class_name, config, given, says) -> None:
    with pytest.raises(ModelError, match=says) as error:
        make_plan(index_of(tmp_path, class_name, **config), given)
    assert "\n" not in str(error.value)


def test_cosmos_3_is_asked_at_a_size_and_from_a_picture_that_it_knows(tmp_path) -> None:
    plan = make_plan(index_of(tmp_path, COSMOS, **WITH), {"actions": "action", "action_domain": "pusht"})
    assert (plan.size, plan.context, plan.quirk.condition) == ((480, 832), 1, "image") and plan.card.uses_actions
    call = plan.actions.arguments(PUSHES, np.zeros((8, 8, 3), np.uint8), 5)["action"]
    assert (call.mode, call.chunk_size, call.domain_name, call.resolution_tier) == ("forward_dynamics", 4, "pusht", 480)
    assert torch.equal(call.raw_actions, torch.cat([PUSHES[1:], PUSHES[-1:]])), "one for each step between frames"
    assert "action" in plan.parameters
