"""Rollouts of diffusers pipelines, on tiny random weights: what they are given, with actions, and what comes back."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from slow_cases import others_slow
from tiny_parts import SIZE
from tiny_pipelines import MAKERS, OWN_SIZE

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
from physbench.models.huggingface.diffusers_folder import read_folder
from physbench.models.huggingface.diffusers_pipeline import (
    DiffusersModel,
    fit,
    frames_of,
    refuse_repetition,
    seeded_globals,
    unfit,
)
from physbench.models.huggingface.diffusers_plan import make_plan, on_grid
from physbench.rollout.answers import Inputs, model_context, planes
from physbench.rollout.predict import predict
from physbench.support.errors import ModelError

PROMPT = "a ball falls"
SEVERAL_FRAMES = (
    "cosmos1",
    "cosmos2",
    "cosmos25",
    "cosmos3",
    "ltx2_condition",
    "ltx_condition",
    "skyreels_df",
    "wan_vace",
)


class Recorded:
    """A pipeline that keeps what it was called with and what it answered."""

    def __init__(self, pipe) -> None:
        self.pipe = pipe
        self.calls = []
        self.outputs = []

    def __call__(self, **arguments):
        self.calls.append(arguments)
        self.outputs.append(frames_of(self.pipe(**arguments)))
        return SimpleNamespace(frames=self.outputs[-1][None])


@pytest.fixture
def recorded(tiny):
    """recorded(name): the model, with a pipeline that keeps its calls."""

    def make(name, **changed):
        model = tiny.model(name, **changed)
        return DiffusersModel(model.plan, Recorded(model.pipe), model.run_settings)

    return make


def random_context(frames, seed=0, size=(SIZE, SIZE)):
    levels = torch.randint(0, 256, (1, frames, 3, *size), generator=torch.Generator().manual_seed(seed))
    return levels / 255


def roll(model, context, horizon=3, seeds=None):
    seeds = range(len(context)) if seeds is None else seeds
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with torch.inference_mode():
        return model.rollout(
            context, horizon=horizon, actions=None, prompts=[PROMPT] * len(context), generators=generators
        )


def given(call):
    """The frames that a call was given, (T, H, W, 3) uint8."""
    if "conditions" in call:
        (condition,) = call["conditions"]
        images = condition.frames if hasattr(condition, "frames") else condition.video
    else:
        images = call["video"] if "video" in call else [call["image"]]
    return np.stack([np.asarray(image) for image in images])


def levels_of(context):
    return context[0].mul(255).round().byte().permute(0, 2, 3, 1).numpy()


HEAVY = "modular_minimax_h3"  # 51 layers, 124 frames a call; its processor needs torchvision


@pytest.mark.parametrize("name", others_slow(MAKERS, ("cosmos3", "ltx_condition", "modular_wan_i2v", "svd", "wan_i2v")))
def test_every_pipeline_answers_with_the_frames_after_its_context(recorded, name) -> None:
    if name == HEAVY:
        pytest.importorskip("torchvision")
    model = recorded(name)
    context = random_context(model.card.context_frames, size=model.plan.size)
    answer = roll(model, context, horizon=3)
    assert answer.shape == (1, 3, 3, *model.plan.size)
    (call,), (output,) = model.pipe.calls, model.pipe.outputs
    shown = given(call)[: model.card.context_frames]
    assert np.array_equal(shown, levels_of(context)[-len(shown) :]), "the context is passed as it is"
    if name not in OWN_SIZE:
        assert call["height"] == call["width"] == SIZE
    before = len(output) - len(output[model.plan.prefix :])
    assert before >= model.card.context_frames, "the context comes back first"
    assert torch.equal(answer[0], output[before : before + 3])
    count = call[model.plan.frame_parameter]
    assert on_grid(count, model.plan.lengths, up=False) == count
    assert answer.min() >= 0 and answer.max() <= 1 and answer.std() > 0


@pytest.mark.parametrize("name", others_slow(SEVERAL_FRAMES, 4))
def test_the_last_frames_are_passed(recorded, name) -> None:
    model = recorded(name)
    count = model.card.context_frames
    assert (count - 1) % model.plan.ratio == 0 and count > 1
    context = random_context(count + 3)
    roll(model, context)
    assert np.array_equal(given(model.pipe.calls[0])[:count], levels_of(context)[3:])


def test_cosmos_3_reads_three_seconds(recorded) -> None:
    """73 frames at 24/s, of which a clip has 49: the harness repeats the first one."""
    model = recorded("cosmos3", context_frames="73", max_frames="77")
    assert model.card.context_frames == 73 and model.card.repeat_first and model.card.fps == 24
    clip = make_clip(Row("falling/drop-bounce-v1", "test", 0), model.card.spec)
    shown = model_context(clip, model.card)
    assert len(shown) == 73 and (shown[:25] == shown[24]).all() and np.array_equal(shown[24:], clip.context(49))
    answer = roll(model, torch.from_numpy(planes([shown])) / 255, horizon=3)
    (call,), (output,) = model.pipe.calls, model.pipe.outputs
    assert call["condition_frame_indexes_vision"] == tuple(range(19)) and np.array_equal(given(call)[:73], shown)
    assert torch.equal(answer[0], output[73:76])


def test_frames_are_asked_for_on_the_grid_and_cut(recorded) -> None:
    model = recorded("cosmos2")
    lengths = []
    for horizon in (1, 4, 5):
        assert roll(model, random_context(5), horizon=horizon).shape[1] == horizon
        lengths.append(model.pipe.calls[-1]["num_frames"])
    assert lengths == [9, 9, 13]


def test_a_pipeline_of_fixed_length_is_asked_for_all_of_it(recorded) -> None:
    model = recorded("svd")
    assert roll(model, random_context(1), horizon=2).shape[1] == 2
    assert model.pipe.calls[0]["num_frames"] == model.plan.longest == 8
    assert "prompt" not in model.pipe.calls[0]


def test_our_route_gives_what_the_pipeline_gives(tiny) -> None:
    model = tiny.model("cosmos2")
    context = random_context(5)
    answer = roll(model, context, horizon=4, seeds=[7])
    from PIL import Image

    direct = model.pipe(
        video=[Image.fromarray(frame) for frame in levels_of(context)],
        prompt=PROMPT,
        height=SIZE,
        width=SIZE,
        num_frames=9,
        fps=24,
        num_inference_steps=1,
        generator=torch.Generator().manual_seed(7),
        output_type="pt",
    ).frames[0]
    assert torch.equal(answer[0], direct[5:9])


def test_rates_are_neutral_or_those_of_the_clips(recorded) -> None:
    for name, rate in (("cosmos2", 24), ("svd", 8), ("ltx_condition", 25)):
        model = recorded(name)
        roll(model, random_context(model.card.context_frames), horizon=1)
        call = model.pipe.calls[0]
        assert call.get("fps", call.get("frame_rate")) == rate
    assert recorded("cosmos2").card.fps == 16


def test_arguments_of_one_class(recorded) -> None:
    skyreels = recorded("skyreels_df")
    roll(skyreels, random_context(5), horizon=3)
    call = skyreels.pipe.calls[0]
    assert call["overlap_history"] == 5 and call["base_num_frames"] == call["num_frames"] == 9
    assert len(skyreels.pipe.outputs[0]) == 14, "the context as given and, after it, as decoded again"

    vace = recorded("wan_vace")
    roll(vace, random_context(5), horizon=3)
    call = vace.pipe.calls[0]
    assert [np.asarray(image).max() for image in call["mask"]] == [0] * 5 + [255] * 4
    assert (given(call)[5:] == 128).all()


def test_clips_do_not_depend_on_their_batch(tiny) -> None:
    model = tiny.model("wan_i2v")
    contexts = torch.cat([random_context(1, seed) for seed in (0, 1)])
    together = roll(model, contexts, seeds=[5, 6])
    alone = [roll(model, contexts[index : index + 1], seeds=[5 + index]) for index in (0, 1)]
    assert torch.equal(together, torch.cat(alone))
    assert not torch.equal(alone[1], roll(model, contexts[1:], seeds=[5])), "the generator decides"


def test_draws_from_the_global_generators_belong_to_the_clip() -> None:
    def draws(generator):
        with seeded_globals(generator):
            return torch.rand(3), np.random.random(3), np.random.get_state()[1][:3]  # noqa: NPY002

    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first, again = draws(generator), draws(generator)
    assert torch.equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert torch.equal(before, torch.get_rng_state()), "the global state is put back"
    assert not torch.equal(first[0], draws(torch.Generator().manual_seed(4))[0])
    torch.rand(1, generator=generator)
    assert not torch.equal(first[0], draws(generator)[0]), "the next call along a clip draws others"


def test_a_longer_clip_is_continued_on_its_own_last_frames(recorded) -> None:
    model = recorded("cosmos2", max_frames="13")
    context = random_context(5)
    levels = context.mul(255).round().byte().numpy()
    inputs = Inputs(12, [3], [PROMPT], levels)
    out = torch.empty(1, 12, 3, SIZE, SIZE, dtype=torch.uint8)
    answer = predict(model, inputs, out, torch.device("cpu"), torch.float32)
    assert answer.chained == 2 and not answer.failures and not answer.notes
    assert np.array_equal(given(model.pipe.calls[1]), out[0, 3:8].permute(0, 2, 3, 1).numpy())


def test_a_prompt_for_all_clips(recorded) -> None:
    model = recorded("wan_i2v", prompt="the screen")
    assert not model.card.uses_prompt
    roll(model, random_context(1))
    assert model.pipe.calls[0]["prompt"] == "the screen"


def with_answer(model, frames):
    return DiffusersModel(model.plan, lambda **_: SimpleNamespace(frames=frames[None]), {})


def test_an_answer_of_another_shape_is_refused(tiny) -> None:
    model = tiny.model("wan_i2v")
    for frames, words in (
        (torch.rand(4, 3, SIZE, SIZE), "4 frames; expected 5"),
        (torch.rand(5, 1, SIZE, SIZE), "3 channels"),
        (torch.rand(5, 3, SIZE, 2 * SIZE), "answered with 64x32 px; expected 32x32"),
    ):
        with pytest.raises(ModelError, match=words):
            roll(with_answer(model, frames), random_context(1))


def test_repeated_frames_are_refused() -> None:
    frames = torch.rand(3, 3, 4, 4).repeat_interleave(4, 0)
    with pytest.raises(ModelError, match="Only 3 of 12 frames"):
        refuse_repetition(frames)
    refuse_repetition(torch.rand(12, 3, 4, 4))
    refuse_repetition(torch.rand(1, 3, 4, 4).expand(12, 3, 4, 4))  # a frozen answer is one, not a slow one


def test_cosmos_25_off_its_grid_repeats_frames_and_is_refused(recorded) -> None:
    model = recorded("cosmos25")
    assert roll(model, random_context(5), horizon=11).shape[1] == 11
    assert model.pipe.calls[0]["num_frames"] == 17 and model.pipe.calls[0]["num_latent_conditional_frames"] == 2
    model.plan = replace(model.plan, ratio=1)  # 16 frames would be asked for
    with pytest.raises(ModelError, match="motion would be slower"):
        roll(model, random_context(5), horizon=11)
    assert len(model.pipe.outputs[-1]) == 16


def test_results_of_every_kind_are_read() -> None:
    frames = torch.rand(2, 3, 4, 4)
    arrays = frames.permute(0, 2, 3, 1).numpy()
    assert torch.equal(frames_of(SimpleNamespace(frames=None, video=frames[None])), frames)
    assert torch.equal(frames_of(SimpleNamespace(images=arrays[None])), frames)
    from PIL import Image

    pictures = [Image.fromarray((array * 255).round().astype(np.uint8)) for array in arrays]
    assert torch.allclose(frames_of(SimpleNamespace(videos=[pictures])), frames, atol=1 / 255)
    with pytest.raises(ModelError, match="expected one with frames"):
        frames_of(SimpleNamespace(audio=frames))


@pytest.mark.parametrize(("clip", "own"), [((48, 64), (96, 160)), ((96, 64), (32, 64)), ((64, 64), (64, 96))])
def test_sizes_are_undone_and_the_aspect_is_kept(clip, own) -> None:
    rows, columns = torch.meshgrid(torch.arange(clip[0]), torch.arange(clip[1]), indexing="ij")
    frame = torch.stack([rows / clip[0], columns / clip[1], ((rows - 20) ** 2 + (columns - 30) ** 2 < 150).float()])
    there = fit(frame[None], own)
    assert there.shape[-2:] == own
    disc = there[0, 2] > 0.5
    height, width = disc.any(1).sum(), disc.any(0).sum()
    assert abs(int(height) - int(width)) <= 1, "a disc stays one"
    back = unfit(there, clip)
    assert back.shape[-2:] == clip
    assert (back[0, :2] - frame[:2]).abs().mean() < 0.02
    assert torch.equal(fit(frame[None], clip), frame[None])


def test_clips_of_another_size_go_through(recorded) -> None:
    model = recorded("ltx_i2v", clip_width="48", clip_height="48", width="64", height="32")
    assert model.card.image_size == (48, 48)
    answer = roll(model, random_context(1, size=(48, 48)))
    assert answer.shape[-2:] == (48, 48)
    assert given(model.pipe.calls[0]).shape[1:3] == (32, 64)


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
