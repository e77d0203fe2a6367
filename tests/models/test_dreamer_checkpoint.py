"""DreamerV3 checkpoints: random weights in the layouts of two code bases."""

import pickle

import pytest
import torch

from physbench.models.layouts import dreamer_checkpoint, world_models_checkpoint
from physbench.models.load_model import check_target, find_adapter, model_sha256
from physbench.support.errors import ModelError

# What WorldModel.state_dict() of NM512/dreamerv3-torch at 6ef8646 holds with cnn_depth 4, dyn_hidden 20, dyn_deter 24,
# dyn_stoch 3, dyn_discrete 5, units 8 and 2 actions; heads of one layer.
DREAMERV3_TORCH = {
    "encoder._cnn.layers.0.weight": (4, 3, 4, 4),
    "encoder._cnn.layers.1.norm.weight": (4,),
    "encoder._cnn.layers.1.norm.bias": (4,),
    "encoder._cnn.layers.3.weight": (8, 4, 4, 4),
    "encoder._cnn.layers.4.norm.weight": (8,),
    "encoder._cnn.layers.4.norm.bias": (8,),
    "encoder._cnn.layers.6.weight": (16, 8, 4, 4),
    "encoder._cnn.layers.7.norm.weight": (16,),
    "encoder._cnn.layers.7.norm.bias": (16,),
    "encoder._cnn.layers.9.weight": (32, 16, 4, 4),
    "encoder._cnn.layers.10.norm.weight": (32,),
    "encoder._cnn.layers.10.norm.bias": (32,),
    "dynamics.W": (1, 24),
    "dynamics._img_in_layers.0.weight": (20, 17),
    "dynamics._img_in_layers.1.weight": (20,),
    "dynamics._img_in_layers.1.bias": (20,),
    "dynamics._cell.layers.GRU_linear.weight": (72, 44),
    "dynamics._cell.layers.GRU_norm.weight": (72,),
    "dynamics._cell.layers.GRU_norm.bias": (72,),
    "dynamics._img_out_layers.0.weight": (20, 24),
    "dynamics._img_out_layers.1.weight": (20,),
    "dynamics._img_out_layers.1.bias": (20,),
    "dynamics._obs_out_layers.0.weight": (20, 536),
    "dynamics._obs_out_layers.1.weight": (20,),
    "dynamics._obs_out_layers.1.bias": (20,),
    "dynamics._imgs_stat_layer.weight": (15, 20),
    "dynamics._imgs_stat_layer.bias": (15,),
    "dynamics._obs_stat_layer.weight": (15, 20),
    "dynamics._obs_stat_layer.bias": (15,),
    "heads.decoder._cnn._linear_layer.weight": (512, 39),
    "heads.decoder._cnn._linear_layer.bias": (512,),
    "heads.decoder._cnn.layers.0.weight": (32, 16, 4, 4),
    "heads.decoder._cnn.layers.1.norm.weight": (16,),
    "heads.decoder._cnn.layers.1.norm.bias": (16,),
    "heads.decoder._cnn.layers.3.weight": (16, 8, 4, 4),
    "heads.decoder._cnn.layers.4.norm.weight": (8,),
    "heads.decoder._cnn.layers.4.norm.bias": (8,),
    "heads.decoder._cnn.layers.6.weight": (8, 4, 4, 4),
    "heads.decoder._cnn.layers.7.norm.weight": (4,),
    "heads.decoder._cnn.layers.7.norm.bias": (4,),
    "heads.decoder._cnn.layers.9.weight": (4, 3, 4, 4),
    "heads.decoder._cnn.layers.9.bias": (3,),
    "heads.reward.layers.Reward_linear0.weight": (8, 39),
    "heads.reward.mean_layer.weight": (255, 8),
    "heads.cont.layers.Cont_linear0.weight": (8, 39),
    "heads.cont.mean_layer.weight": (1, 8),
}
# What its "world_model" holds in a checkpoint of Eclectic-Sheep/sheeprl of the same sizes, with 21 before the recurrent
# cell and 22 before the posterior.
SHEEPRL = {
    "encoder.cnn_encoder.model.0._model.0.weight": (4, 3, 4, 4),
    "encoder.cnn_encoder.model.0._model.1.weight": (4,),
    "encoder.cnn_encoder.model.0._model.1.bias": (4,),
    "encoder.cnn_encoder.model.0._model.3.weight": (8, 4, 4, 4),
    "encoder.cnn_encoder.model.0._model.4.weight": (8,),
    "encoder.cnn_encoder.model.0._model.4.bias": (8,),
    "encoder.cnn_encoder.model.0._model.6.weight": (16, 8, 4, 4),
    "encoder.cnn_encoder.model.0._model.7.weight": (16,),
    "encoder.cnn_encoder.model.0._model.7.bias": (16,),
    "encoder.cnn_encoder.model.0._model.9.weight": (32, 16, 4, 4),
    "encoder.cnn_encoder.model.0._model.10.weight": (32,),
    "encoder.cnn_encoder.model.0._model.10.bias": (32,),
    "rssm.initial_recurrent_state": (24,),
    "rssm.recurrent_model.mlp._model.0.weight": (21, 17),
    "rssm.recurrent_model.mlp._model.1.weight": (21,),
    "rssm.recurrent_model.mlp._model.1.bias": (21,),
    "rssm.recurrent_model.rnn.linear.weight": (72, 45),
    "rssm.recurrent_model.rnn.layer_norm.weight": (72,),
    "rssm.recurrent_model.rnn.layer_norm.bias": (72,),
    "rssm.representation_model._model.0.weight": (22, 536),
    "rssm.representation_model._model.1.weight": (22,),
    "rssm.representation_model._model.1.bias": (22,),
    "rssm.representation_model._model.3.weight": (15, 22),
    "rssm.representation_model._model.3.bias": (15,),
    "rssm.transition_model._model.0.weight": (20, 24),
    "rssm.transition_model._model.1.weight": (20,),
    "rssm.transition_model._model.1.bias": (20,),
    "rssm.transition_model._model.3.weight": (15, 20),
    "rssm.transition_model._model.3.bias": (15,),
    "observation_model.cnn_decoder.model.0.weight": (512, 39),
    "observation_model.cnn_decoder.model.0.bias": (512,),
    "observation_model.cnn_decoder.model.2._model.0.weight": (32, 16, 4, 4),
    "observation_model.cnn_decoder.model.2._model.1.weight": (16,),
    "observation_model.cnn_decoder.model.2._model.1.bias": (16,),
    "observation_model.cnn_decoder.model.2._model.3.weight": (16, 8, 4, 4),
    "observation_model.cnn_decoder.model.2._model.4.weight": (8,),
    "observation_model.cnn_decoder.model.2._model.4.bias": (8,),
    "observation_model.cnn_decoder.model.2._model.6.weight": (8, 4, 4, 4),
    "observation_model.cnn_decoder.model.2._model.7.weight": (4,),
    "observation_model.cnn_decoder.model.2._model.7.bias": (4,),
    "observation_model.cnn_decoder.model.2._model.9.weight": (4, 3, 4, 4),
    "observation_model.cnn_decoder.model.2._model.9.bias": (3,),
    "reward_model._model.0.weight": (8, 39),
    "continue_model._model.0.weight": (8, 39),
}
NORMAL = {  # where dyn_discrete is 0 and dyn_stoch is 15
    "dynamics._imgs_stat_layer.weight": (30, 20),
    "dynamics._imgs_stat_layer.bias": (30,),
    "dynamics._obs_stat_layer.weight": (30, 20),
    "dynamics._obs_stat_layer.bias": (30,),
}


def random_tensors(shapes, prefix=""):
    draw = torch.Generator().manual_seed(0)
    return {prefix + name: 0.3 * torch.randn(shape, generator=draw) for name, shape in shapes.items()}


@pytest.fixture
def saved(tmp_path):
    def save(shapes=DREAMERV3_TORCH, prefix="_wm.", name="latest.pt", **others):
        state = random_tensors(shapes, prefix)
        # The agent holds the world model twice.
        state |= {f"_task_behavior._world_model.{key}": value for key, value in random_tensors(shapes).items()}
        optimizers = {"_wm._model_opt": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4}]}}
        document = {"agent_state_dict": state, "optims_state_dict": optimizers, **others}
        torch.save(document, tmp_path / name)
        return tmp_path / name

    return save


def roll_out(model, context, seeds=(1, 2), horizon=4):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    call = {"horizon": horizon, "actions": None, "prompts": [""] * len(context), "generators": generators}
    with torch.inference_mode():
        return torch.cat(list(model.rollout(context, **call)), 1)


CONTEXT = torch.rand(2, 5, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("prefix", ["_wm.", "_wm._orig_mod."])
@pytest.mark.parametrize("name", ["latest.pt", "weights"])
def test_a_checkpoint_is_recognised_by_the_names_of_its_tensors(saved, load, prefix, name) -> None:
    path = saved(prefix=prefix, name=name)
    assert find_adapter(str(path)).name == "dreamer"
    model = load(path, classes="5")
    card = model.card
    assert (card.image_size, card.fps, card.context_frames, card.stochastic) == ((64, 64), 20, 5, True)
    frames = roll_out(model, CONTEXT)
    assert frames.shape == (2, 4, 3, 64, 64) and 0 <= frames.min() < frames.max() <= 1
    assert "zeros" in model.assumptions[0] and "3 x 5 classes" in model.assumptions[1]
    assert model.run_settings.items() >= {"layout": "dreamerv3-torch", "classes": "5", "unimix": "0.01"}.items()


@pytest.mark.parametrize("shapes", [DREAMERV3_TORCH, DREAMERV3_TORCH | NORMAL], ids=["categorical", "normal"])
def test_what_is_drawn_depends_on_the_clips_own_generator_alone(saved, load, shapes) -> None:
    model = load(saved(shapes), classes="5")
    before = torch.get_rng_state()
    together = roll_out(model, CONTEXT)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(roll_out(model, CONTEXT[1:], seeds=[2]), together[1:])
    assert (roll_out(model, CONTEXT, seeds=(1, 9))[1] - together[1]).abs().max() > 1e-3


def test_without_sampling_the_most_probable_states_are_taken(saved, load) -> None:
    model = load(saved(), classes="5", sample="false")
    assert not model.card.stochastic
    torch.testing.assert_close(roll_out(model, CONTEXT, seeds=(1, 2)), roll_out(model, CONTEXT, seeds=(3, 4)))


def test_every_context_frame_is_observed_and_left_as_it_was(saved, load) -> None:
    model = load(saved(DREAMERV3_TORCH | NORMAL), sample="false")  # a changed frame may leave a class the most probable
    context = CONTEXT.clone()
    frames = roll_out(model, context)
    assert torch.equal(context, CONTEXT)
    for k in range(5):
        changed = CONTEXT.clone()
        changed[:, k] = 1 - changed[:, k]
        assert (roll_out(model, changed) - frames).abs().max() > 1e-4, f"frame {k}"


def test_a_discrete_action_can_be_held(saved, load) -> None:
    path = saved()
    still = roll_out(load(path, classes="5", sample="false"), CONTEXT)
    held = load(path, classes="5", sample="false", action="1")
    assert (roll_out(held, CONTEXT) - still).abs().max() > 1e-4
    assert "action 1 at all times" in held.assumptions[0]


def test_actions_in_its_own_space_lead_to_their_rows(saved, load) -> None:
    path = saved()
    model, constant = (load(path, classes="5", sample="false", **more) for more in ({"actions": "true"}, {}))
    call = {"horizon": 4, "prompts": ["", ""], "generators": [torch.Generator()] * 2}
    width = len(constant.action)

    def rolled(actions):
        with torch.inference_mode():
            return torch.cat(list(model.rollout(CONTEXT, actions=actions, **call)), 1)

    zeros = torch.zeros(2, 9, width)
    steered = zeros.clone()
    steered[:, 7, 0] = 5.0
    plain, changed = rolled(zeros), rolled(steered)
    assert torch.equal(plain, roll_out(constant, CONTEXT)), "zeros are what it is given without"
    assert torch.equal(plain[:, :2], changed[:, :2]) and not torch.equal(plain[:, 2], changed[:, 2])
    with pytest.raises(ModelError, match=f"takes actions of {width} numbers, and is given none: .*--actions"):
        rolled(None)


def test_a_picture_of_128_px_is_read_from_the_shapes(saved, load) -> None:
    shapes = dict(DREAMERV3_TORCH)
    shapes["encoder._cnn.layers.12.weight"] = (64, 32, 4, 4)
    shapes |= {f"encoder._cnn.layers.13.norm.{kind}": (64,) for kind in ("weight", "bias")}
    shapes["dynamics._obs_out_layers.0.weight"] = (20, 24 + 1024)
    decoder = "heads.decoder._cnn"
    for stage in (3, 2, 1, 0):  # one more stage in front
        for kind in ("weight", "norm.weight", "norm.bias", "bias"):
            for offset in (0, 1):
                value = shapes.pop(f"{decoder}.layers.{3 * stage + offset}.{kind}", None)
                if value:
                    shapes[f"{decoder}.layers.{3 * stage + 3 + offset}.{kind}"] = value
    shapes[f"{decoder}.layers.0.weight"] = (64, 32, 4, 4)
    shapes |= {f"{decoder}.layers.1.norm.{kind}": (32,) for kind in ("weight", "bias")}
    shapes |= {f"{decoder}._linear_layer.weight": (1024, 39), f"{decoder}._linear_layer.bias": (1024,)}
    model = load(saved(shapes), classes="5")
    assert model.card.image_size == (128, 128)
    assert roll_out(model, torch.rand(1, 5, 3, 128, 128), seeds=[1]).shape == (1, 4, 3, 128, 128)


def test_networks_without_normalisation_or_a_learned_start_are_read(saved, load) -> None:
    shapes = {}
    for name, shape in DREAMERV3_TORCH.items():
        if name == "dynamics.W" or "norm" in name or name.split(".")[-2] == "1":
            continue
        words = name.split(".")
        if words[-2].isdigit():
            words[-2] = str(int(words[-2]) // 3 * 2)
        shapes[".".join(words)] = shape
    assert roll_out(load(saved(shapes), classes="5"), CONTEXT).isfinite().all()


def edited(**changes):
    """The table with tensors of other shapes, or without those that are None; "__" stands for a dot."""
    found = {**DREAMERV3_TORCH, **{name.replace("__", "."): shape for name, shape in changes.items()}}
    return {name: shape for name, shape in found.items() if shape is not None}


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (edited(dynamics___imgs_stat_layer__bias=None), ["lacks _wm.dynamics._imgs_stat_layer.bias"]),
        (edited(dynamics___img_out_layers__0__weight=None), ["lacks dynamics._img_out_layers.0.weight"]),
        (edited(dynamics__extra=(3,)), ["unknown _wm.dynamics.extra"]),
        (edited(dynamics__W=(1, 25)), ["_wm.dynamics.W (1, 25) instead of"]),
        (edited(encoder___cnn__layers__0__weight=(4, 1, 4, 4)), ["observes pictures of 1 channels", "colour"]),
        (edited(dynamics___obs_out_layers__0__weight=(20, 530)), ["506 numbers"]),
        (edited(heads__decoder___cnn__layers__9__weight=(4, 6, 4, 4)), ["predicts pictures of 6 channels"]),
    ],
)
def test_what_does_not_fit_is_named(saved, load, shapes, words) -> None:
    with pytest.raises(ModelError) as caught:
        load(saved(shapes), classes="5")
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert len(text.splitlines()) <= 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "classes=32: the state has 15 numbers"),
        ({"classes": "5", "act": "SiLu"}, "SiLU"),
        ({"classes": "5", "unimix": "1"}, "unimix=1"),
        ({"classes": "5", "action": "2"}, "expected 0 to 1"),
        ({"classes": "5", "fps": "7"}, "fps"),
        ({"classes": "5", "size": "64"}, "no argument of that name"),
    ],
)
def test_arguments_out_of_range_are_refused(saved, load, arguments, words) -> None:
    with pytest.raises(ModelError, match=words):
        load(saved(), **arguments)


def without(*parts):
    return {name: shape for name, shape in DREAMERV3_TORCH.items() if not name.startswith(parts)}


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (without("encoder._cnn", "heads.decoder._cnn") | {"encoder._mlp.layers.0.weight": (8, 3)}, "observes vectors"),
        (DREAMERV3_TORCH | {"encoder._mlp.layers.0.weight": (8, 3)}, "vectors of its environment beside pictures"),
        (without("heads.decoder._cnn"), "predicts no frames"),
    ],
)
def test_models_that_take_or_give_no_frames_are_refused_before_they_are_loaded(saved, shapes, words) -> None:
    with pytest.raises(ModelError, match=words):
        check_target(str(saved(shapes)))


class Config:
    """A class of somebody's training script."""


def test_a_class_in_the_file_is_refused_with_the_remedy(saved) -> None:
    with pytest.raises(ModelError) as caught:
        check_target(str(saved(config=Config())))
    text = str(caught.value)
    assert "would run code" in text and "Config" in text and "my_model.py:make" in text


def test_the_name_alone_makes_no_dreamer(tmp_path) -> None:
    path = tmp_path / "latest.pt"
    torch.save({"agent_state_dict": {"_wm.encoder.weight": torch.ones(3)}}, path)
    with pytest.raises(ModelError, match="which architecture"):
        check_target(str(path))
    path.write_bytes(pickle.dumps({"_wm.dynamics._cell.layers.GRU_linear.weight": 3}, protocol=4)[:40])
    with pytest.raises(ModelError, match="truncated or corrupt"):
        check_target(f"dreamer:{path}")


@pytest.mark.parametrize("target", ["a\0b", "~nobody-of-this-name/latest.pt", ".", "dreamer:", "http://localhost:1"])
def test_what_is_no_file_belongs_to_no_layout(target) -> None:
    assert not dreamer_checkpoint.adapter.recognises(target)
    assert not world_models_checkpoint.adapter.recognises(target)


def test_the_scheme_may_be_named_and_the_hash_is_that_of_the_file(saved) -> None:
    path = saved()
    assert find_adapter(f"dreamer:{path}").name == "dreamer"
    first = model_sha256(str(path))
    assert first == model_sha256(f"dreamer:{path}")
    saved({**DREAMERV3_TORCH, "heads.reward.layers.Reward_linear0.weight": (9, 39)})
    assert model_sha256(str(path)) != first


@pytest.fixture
def saved_sheeprl(tmp_path):
    def save(shapes=SHEEPRL, **others):
        path = tmp_path / "ckpt_100_0.ckpt"
        torch.save({"world_model": random_tensors(shapes), "actor": {}, "iter_num": 100, **others}, path)
        return path

    return save


def test_a_checkpoint_of_sheeprl_is_read_through_its_own_names(saved_sheeprl, load) -> None:
    path = saved_sheeprl()
    assert find_adapter(str(path)).name == "dreamer"
    model = load(path, classes="5")
    assert "Read as sheeprl" in model.assumptions[1]
    assert model.card.image_size == (64, 64)
    frames = roll_out(model, CONTEXT)
    torch.testing.assert_close(roll_out(model, CONTEXT[1:], seeds=[2]), frames[1:])


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"rssm.representation_model._model.0.weight": (22, 512)}, "decoupled"),
        ({"encoder.mlp_encoder.model._model.0.weight": (8, 3)}, "beside pictures"),
        ({"rssm.recurrent_model.rnn.linear.bias": (72,)}, "unknown rssm.recurrent_model.rnn.linear.bias"),
    ],
)
def test_other_models_of_sheeprl_are_refused_with_the_reason(saved_sheeprl, load, shapes, words) -> None:
    with pytest.raises(ModelError, match=words):
        load(saved_sheeprl(SHEEPRL | shapes), classes="5")


def test_a_replay_buffer_in_the_file_is_refused_with_the_remedy(saved_sheeprl) -> None:
    with pytest.raises(ModelError, match="would run code"):
        check_target(str(saved_sheeprl(rb=Config())))
