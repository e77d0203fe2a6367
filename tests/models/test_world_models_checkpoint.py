"""VAE and MDN-RNN of "World Models": random weights in the layout of ctallec/world-models."""

import pytest
import torch

from physbench.models.load_model import check_target, find_adapter, model_sha256
from physbench.support.errors import ModelError

# What VAE(3, 32).state_dict() and MDRNN(32, 3, 256, 5).state_dict() of ctallec/world-models hold.
VAE = {
    "encoder.conv1.weight": (32, 3, 4, 4),
    "encoder.conv1.bias": (32,),
    "encoder.conv2.weight": (64, 32, 4, 4),
    "encoder.conv2.bias": (64,),
    "encoder.conv3.weight": (128, 64, 4, 4),
    "encoder.conv3.bias": (128,),
    "encoder.conv4.weight": (256, 128, 4, 4),
    "encoder.conv4.bias": (256,),
    "encoder.fc_mu.weight": (32, 1024),
    "encoder.fc_mu.bias": (32,),
    "encoder.fc_logsigma.weight": (32, 1024),
    "encoder.fc_logsigma.bias": (32,),
    "decoder.fc1.weight": (1024, 32),
    "decoder.fc1.bias": (1024,),
    "decoder.deconv1.weight": (1024, 128, 5, 5),
    "decoder.deconv1.bias": (128,),
    "decoder.deconv2.weight": (128, 64, 5, 5),
    "decoder.deconv2.bias": (64,),
    "decoder.deconv3.weight": (64, 32, 6, 6),
    "decoder.deconv3.bias": (32,),
    "decoder.deconv4.weight": (32, 3, 6, 6),
    "decoder.deconv4.bias": (3,),
}
MDRNN = {
    "gmm_linear.weight": (327, 256),
    "gmm_linear.bias": (327,),
    "rnn.weight_ih_l0": (1024, 35),
    "rnn.weight_hh_l0": (1024, 256),
    "rnn.bias_ih_l0": (1024,),
    "rnn.bias_hh_l0": (1024,),
}


@pytest.fixture
def saved(tmp_path):
    def save(vae=VAE, mdrnn=MDRNN, old=True, **others):
        draw = torch.Generator().manual_seed(0)
        for kind, shapes in (("vae", vae), ("mdrnn", mdrnn)):
            if shapes is None:
                continue
            state = {name: 0.1 * torch.randn(shape, generator=draw) for name, shape in shapes.items()}
            document = {"epoch": 3, "state_dict": state, "precision": 1.5, "optimizer": {"state": {}}, **others}
            (tmp_path / "exp" / kind).mkdir(parents=True, exist_ok=True)
            torch.save(document, tmp_path / "exp" / kind / "best.tar", _use_new_zipfile_serialization=not old)
        return tmp_path / "exp"

    return save


def roll_out(model, context, seeds=(1, 2), horizon=3):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    call = {"horizon": horizon, "actions": None, "prompts": [""] * len(context), "generators": generators}
    with torch.inference_mode():
        return torch.cat(list(model.rollout(context, **call)), 1)


CONTEXT = torch.rand(2, 4, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("old", [True, False], ids=["before torch 1.6", "zip"])
@pytest.mark.parametrize("part", ["", "vae/best.tar", "mdrnn/best.tar"])
def test_the_folder_or_one_of_its_files_is_the_model(saved, load, old, part) -> None:
    target = saved(old=old) / part
    assert find_adapter(str(target)).name == "world-models"
    model = load(target)
    card = model.card
    assert (card.image_size, card.fps, card.context_frames, card.stochastic) == ((64, 64), 50, 32, True)
    assert "3 numbers of an action" in model.assumptions[0] and "50 frames/s" in model.assumptions[1]
    frames = roll_out(model, CONTEXT)
    assert frames.shape == (2, 3, 3, 64, 64) and 0 <= frames.min() < frames.max() <= 1


def test_what_is_drawn_depends_on_the_clips_own_generator_alone(saved, load) -> None:
    model = load(saved())
    before = torch.get_rng_state()
    together = roll_out(model, CONTEXT)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(roll_out(model, CONTEXT[1:], seeds=[2]), together[1:])
    assert (roll_out(model, CONTEXT, seeds=(1, 9))[1] - together[1]).abs().max() > 1e-3


def test_at_temperature_0_nothing_is_drawn_and_every_context_frame_counts(saved, load) -> None:
    model = load(saved(), temperature="0")
    assert not model.card.stochastic
    frames = roll_out(model, CONTEXT)
    torch.testing.assert_close(roll_out(model, CONTEXT, seeds=(3, 4)), frames)
    for k in range(4):
        changed = CONTEXT.clone()
        changed[:, k] = 1 - changed[:, k]
        assert not torch.equal(roll_out(model, changed), frames), f"frame {k}"


def test_the_first_latent_is_the_mean_that_the_mixture_predicts(saved, load) -> None:
    """With one Gaussian whose output ignores the state, every frame is the decoded mean."""
    folder = saved(mdrnn=MDRNN | {"gmm_linear.weight": (67, 256), "gmm_linear.bias": (67,)})
    path = folder / "mdrnn" / "best.tar"
    document = torch.load(path, weights_only=True)
    document["state_dict"]["gmm_linear.weight"].zero_()
    torch.save(document, path)
    model = load(folder, temperature="0")
    with torch.inference_mode():
        expected = model.vae.decoder(document["state_dict"]["gmm_linear.bias"][None, :32])
    torch.testing.assert_close(roll_out(model, CONTEXT)[0, 0], expected[0])


@pytest.mark.parametrize(
    ("shapes", "part", "words"),
    [
        ({"mdrnn": None}, "", "a VAE, which encodes and decodes single frames"),
        ({"mdrnn": None}, "vae/best.tar", "mdrnn/best.tar"),
        ({"vae": None}, "mdrnn/best.tar", "an MDN-RNN, which predicts latents"),
        ({"mdrnn": {"layer.weight": (3, 3)}}, "", "which architecture"),
    ],
)
def test_half_a_model_is_refused_with_the_reason(saved, shapes, part, words) -> None:
    with pytest.raises(ModelError) as caught:
        check_target(str(saved(**shapes) / part))
    text = str(caught.value)
    assert words in text and len(text.splitlines()) <= 2


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"vae": VAE | {"encoder.conv5.weight": (3,)}}, "unknown encoder.conv5.weight"),
        ({"vae": VAE | {"encoder.conv1.weight": (32, 1, 4, 4)}}, "encoder.conv1.weight (32, 1, 4, 4) instead of"),
        ({"mdrnn": {name: shape for name, shape in MDRNN.items() if name != "rnn.bias_hh_l0"}}, "lacks rnn.bias_hh_l0"),
        ({"mdrnn": MDRNN | {"gmm_linear.weight": (300, 256)}}, "latents of 32 numbers, which do not fit"),
        ({"mdrnn": MDRNN | {"rnn.weight_ih_l0": (1024, 20)}}, "trained together"),
    ],
)
def test_what_does_not_fit_is_named(saved, load, shapes, words) -> None:
    with pytest.raises(ModelError) as caught:
        load(saved(**shapes))
    assert words in str(caught.value)


@pytest.mark.parametrize("arguments", [{"temperature": "-1"}, {"temperature": "inf"}, {"fps": "7"}, {"size": "64"}])
def test_arguments_out_of_range_are_refused(saved, load, arguments) -> None:
    with pytest.raises(ModelError, match=next(iter(arguments))):
        load(saved(), **arguments)


class Stopper:
    """A class of somebody's training script."""


def test_a_class_in_the_file_is_refused_with_the_remedy(saved) -> None:
    with pytest.raises(ModelError) as caught:
        check_target(str(saved(earlystopping=Stopper()) / "vae" / "best.tar"))
    text = str(caught.value)
    assert "would run code" in text and "Stopper" in text and "my_model.py:make" in text


def test_the_hash_is_that_of_both_files(saved) -> None:
    folder = saved()
    first = model_sha256(str(folder))
    assert first == model_sha256(str(folder / "vae" / "best.tar")) == model_sha256(f"world-models:{folder}")
    path = folder / "mdrnn" / "best.tar"
    path.write_bytes(path.read_bytes() + b"\0")
    assert model_sha256(str(folder)) != first


def test_actions_in_its_own_space_decide_what_follows(saved, load) -> None:
    """That of a row leads to its frame: the last ones are of frames after it."""
    model = load(saved(), actions="true", temperature="0")
    assert model.card.uses_actions and "those of --actions" in model.assumptions[0]
    call = {"horizon": 3, "prompts": ["", ""], "generators": [torch.Generator()] * 2}

    def rolled(actions):
        with torch.inference_mode():
            return torch.cat(list(model.rollout(CONTEXT, actions=actions, **call)), 1)

    zeros = torch.zeros(2, 7, 3)
    steered = zeros.clone()
    steered[:, 5, 0] = 5.0
    plain, changed = rolled(zeros), rolled(steered)
    assert torch.equal(plain, roll_out(load(saved(), temperature="0"), CONTEXT)), "zeros are what it is given without"
    assert torch.equal(plain[:, 0], changed[:, 0]) and not torch.equal(plain[:, 1], changed[:, 1])
    for wrong, says in ((None, "is given none"), (torch.zeros(2, 7, 6), "is given 6")):
        with pytest.raises(ModelError, match=f"takes actions of 3 numbers, and {says}"):
            rolled(wrong)
