"""Denoising losses of tiny random pipelines: equal to what is computed by hand with their parts, and refusals."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from slow_cases import others_slow
from tiny_parts import SIZE
from tiny_pipelines import edit_json

from physbench.models.huggingface.diffusers_surprise import (
    NOISE_LEVELS,
    DenoisingCall,
    DenoisingSurprise,
    noised_latents,
)
from physbench.models.load_model import check_target, describe_model, load_model
from physbench.support.errors import ModelError

PROMPT = "a ball falls"
ARGUMENTS = {"width": f"{SIZE}", "height": f"{SIZE}", "surprise": "denoising"}
CPU = torch.device("cpu")
FRAMES = 9  # of one call of these pipelines
RATIO = 4  # frames of a latent frame
SEED = 3


@pytest.fixture
def loaded(tiny):
    """loaded(name): the model as the harness loads it."""

    def load(name: str, untrained: bool = False, **changed: str) -> DenoisingSurprise:
        length = {} if name == "cogvideox_i2v" else {"max_frames": f"{FRAMES}"}
        model_args = {**ARGUMENTS, **length, **changed}
        target = f"diffusers:{tiny.folder(name)}"
        model = load_model(target, device=CPU, dtype=torch.float32, model_args=model_args, untrained=untrained)
        assert isinstance(model, DenoisingSurprise)
        return model

    return load


def film(frames: int = FRAMES) -> torch.Tensor:
    levels = torch.randint(0, 256, (1, frames, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    return levels / 255


def asked(model: DenoisingSurprise, video: torch.Tensor, seed: int = SEED) -> torch.Tensor:
    generators = [torch.Generator().manual_seed(seed) for _ in video]
    with torch.inference_mode():
        return model.surprise(
            video, context=model.card.context_frames, actions=None, prompts=[PROMPT] * len(video), generators=generators
        )


def by_hand_wan(pipe: Any, video: torch.Tensor, image: Any, generator: torch.Generator) -> torch.Tensor:
    """Loss (F,) with the transformer called directly: velocity of a flow."""
    clean = pipe.vae.encode(2 * video.transpose(1, 2) - 1).latent_dist.mode()  # mean 0, deviation 1 in these configs
    shown = torch.zeros_like(video)
    shown[:, 0] = 1
    alone = torch.where(shown.bool(), 2 * video - 1, 0.0).transpose(1, 2)
    mask = torch.zeros(1, 4, clean.shape[2], *clean.shape[3:])
    mask[:, :, 0] = 1
    given = torch.cat([mask, pipe.vae.encode(alone).latent_dist.mode()], 1)
    text, _ = pipe.encode_prompt(PROMPT, do_classifier_free_guidance=False, max_sequence_length=512, device=CPU)
    losses = []
    for level in NOISE_LEVELS:
        noise = torch.randn(clean.shape, generator=generator)
        mixed = (1 - level) * clean + level * noise
        predicted = pipe.transformer(
            torch.cat([mixed, given], 1), torch.tensor([1000 * level]), text, pipe.encode_image(image, CPU)
        ).sample
        losses.append((predicted - (noise - clean)).square().mean((0, 1, 3, 4)))
    return torch.stack(losses).mean(0)


def by_hand_ltx(pipe: Any, video: torch.Tensor, image: Any, generator: torch.Generator) -> torch.Tensor:
    """Loss (F,): tokens in the order of frames and rows, those of the first frame without noise and at time 0."""
    clean = pipe.vae.encode(2 * video.transpose(1, 2) - 1).latent_dist.mode()
    _, _, frames, height, width = clean.shape
    text, text_mask, _, _ = pipe.encode_prompt(PROMPT, do_classifier_free_guidance=False, device=CPU)
    losses = []
    for level in NOISE_LEVELS:
        noise = torch.randn(clean.shape, generator=generator)
        mixed = (1 - level) * clean + level * noise
        mixed[:, :, 0] = clean[:, :, 0]
        times = torch.full((1, frames, height * width), 1000 * level)
        times[:, 0] = 0
        found = pipe.transformer(
            hidden_states=mixed.flatten(2).transpose(1, 2),
            encoder_hidden_states=text,
            timestep=times.flatten(1),
            encoder_attention_mask=text_mask,
            num_frames=frames,
            height=height,
            width=width,
            rope_interpolation_scale=(RATIO / 25, 4, 4),
        ).sample
        errors = found.transpose(1, 2).unflatten(2, (frames, height, width)) - (noise - clean)
        errors[:, :, 0] = 0
        losses.append(errors.square().mean((0, 1, 3, 4)))
    return torch.stack(losses).mean(0)


def by_hand_cogvideox(pipe: Any, video: torch.Tensor, image: Any, generator: torch.Generator) -> torch.Tensor:
    """Loss (F,): noise of a schedule in steps; the image is a sample of what the autoencoder allows, as in rollouts."""
    scale = pipe.vae.config.scaling_factor
    shown = 2 * video.transpose(1, 2) - 1
    clean = scale * pipe.vae.encode(shown).latent_dist.mode()
    text, _ = pipe.encode_prompt(PROMPT, do_classifier_free_guidance=False, device=CPU)
    places = pipe._prepare_rotary_positional_embeddings(SIZE, SIZE, clean.shape[2], CPU)
    losses = []
    for level in NOISE_LEVELS:
        noise = torch.randn(clean.shape, generator=generator)
        given = torch.zeros_like(clean)
        given[:, :, :1] = scale * pipe.vae.encode(shown[:, :, :1]).latent_dist.sample(generator)
        time = torch.tensor([round(999 * level)])
        mixed = pipe.scheduler.add_noise(clean, noise, time)
        found = pipe.transformer(
            torch.cat([mixed, given], 1).transpose(1, 2), text, time, image_rotary_emb=places
        ).sample.transpose(1, 2)
        losses.append((found - noise).square().mean((0, 1, 3, 4)))
    return torch.stack(losses).mean(0)


BY_HAND = {"wan_i2v": by_hand_wan, "ltx_i2v": by_hand_ltx, "cogvideox_i2v": by_hand_cogvideox}


@pytest.mark.parametrize("name", others_slow(BY_HAND, [next(iter(BY_HAND))]))
def test_surprise_is_the_loss_computed_by_hand_spread_over_the_frames_of_each_latent(loaded, name) -> None:
    from PIL import Image

    model, video = loaded(name), film()
    image = Image.fromarray((255 * video[0, 0]).round().byte().permute(1, 2, 0).numpy())
    with torch.inference_mode():
        losses = BY_HAND[name](model.pipe, video, image, torch.Generator().manual_seed(SEED))
    found = asked(model, video)
    assert found.shape == (1, FRAMES) and found[0, 0] == 0
    expected = losses[1:].repeat_interleave(RATIO)
    assert torch.allclose(found[0, 1:], expected, rtol=1e-3)
    assert expected.std() > 0 and model.pipe.scheduler.__class__.__module__.startswith("diffusers"), "it is put back"


@pytest.mark.slow
def test_both_films_of_a_pair_get_the_same_noise_and_each_sample_another(loaded) -> None:
    model = loaded("wan_i2v")
    video = film()
    twice = asked(model, torch.cat([video, video]))
    assert torch.equal(twice[0], twice[1])
    assert not torch.allclose(asked(model, video, seed=SEED + 1)[0], twice[0])
    other = video.clone()
    other[:, 5:] = 1 - other[:, 5:]
    assert not torch.allclose(asked(model, other)[0, 5:], twice[0, 5:])


@pytest.mark.slow
def test_what_comes_is_seen_as_far_ahead_as_the_card_says(loaded) -> None:
    model = loaded("wan_i2v", stride=f"{RATIO}")
    card = model.card
    assert card.ahead == (RATIO - 1) / card.fps and card.sees == (FRAMES - 1) / card.fps
    video = film(14)
    before = asked(model, video)
    moment = 9
    video[:, moment:] = 1 - video[:, moment:]
    after = asked(model, video)
    first = moment - round(card.ahead * card.fps)
    assert torch.equal(before[:, :first], after[:, :first])
    assert (before[:, card.context_frames :] > 0).all() and not torch.allclose(before[:, moment:], after[:, moment:])
    whole = loaded("wan_i2v").card
    assert whole.ahead == (FRAMES - 2) / whole.fps and "0.25, 0.5, 0.75" in model.assumptions[0]


def test_every_frame_after_the_context_is_read_once_whatever_the_length(tiny) -> None:
    model_args = {**ARGUMENTS, "max_frames": f"{FRAMES}"}
    from physbench.models.huggingface.diffusers_adapter import adapter
    from physbench.models.huggingface.diffusers_surprise import denoising_plan

    for more in ({}, {"stride": "4"}):
        plan = denoising_plan(adapter._plan(f"diffusers:{tiny.folder('wan_i2v')}", {**model_args, **more}))
        for frames in range(5, 40):
            calls = list(plan.calls(frames))
            read = [at for call in calls for at in range(call.read, call.end)]
            assert read == list(range(read[0], frames)) and read[0] <= plan.card.context_frames
            for call in calls:
                assert call.start >= 0 and (call.end - call.start - 1) % RATIO == 0
                assert RATIO < call.end - call.start <= FRAMES and call.read > call.start
    assert next(iter(plan.calls(5))) == DenoisingCall(0, 1, 5)


def test_noise_is_added_as_the_library_adds_it() -> None:
    from diffusers import CogVideoXDDIMScheduler, FlowMatchEulerDiscreteScheduler

    clean, noise = torch.randn(2, 1, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    steps = CogVideoXDDIMScheduler(prediction_type="v_prediction")
    time, mixed, target = noised_latents(steps, "v-prediction", clean, noise, 0.5)
    assert torch.allclose(mixed, steps.add_noise(clean, noise, time[None]), atol=1e-6)
    assert torch.allclose(target, steps.get_velocity(clean, noise, time[None]), atol=1e-6)
    flow = FlowMatchEulerDiscreteScheduler()
    flow.set_timesteps(4)
    at = flow.timesteps[2]
    time, mixed, target = noised_latents(flow, "velocity", clean, noise, float(at) / 1000)
    assert torch.allclose(time, at) and torch.allclose(mixed, flow.scale_noise(clean, at[None], noise), atol=1e-6)
    assert torch.allclose(mixed - time / 1000 * target, clean, atol=1e-5)


@pytest.mark.slow
def test_an_untrained_copy_has_another_denoiser_and_the_same_autoencoder(loaded) -> None:
    trained, copy, again = loaded("wan_i2v"), loaded("wan_i2v", untrained=True), loaded("wan_i2v", untrained=True)
    name = "blocks.0.attn1.to_q.weight"
    weights = [model.pipe.transformer.state_dict()[name] for model in (trained, copy, again)]
    assert not torch.equal(weights[0], weights[1]) and torch.equal(weights[1], weights[2])
    kept = [model.pipe.vae.state_dict() for model in (trained, copy)]
    assert all(torch.equal(kept[0][key], kept[1][key]) for key in kept[0])
    assert not torch.allclose(asked(trained, film()), asked(copy, film()))


def test_what_is_done_with_films_is_said(tiny) -> None:
    words = dict(describe_model(f"diffusers:{tiny.folder('wan_i2v')}", {**ARGUMENTS, "max_frames": "9"}))
    assert words["surprise"] == "squared error of the predicted velocity" and "0.25, 0.5, 0.75" in words["films"]
    assert "up to 0.44 s later" in words["ahead"]


@pytest.mark.parametrize(
    ("model_args", "words"),
    [
        ({"pipeline": "SkyReelsV2ImageToVideoPipeline"}, "the denoising loss of SkyReelsV2ImageToVideoPipeline is not"),
        ({"guidance_scale": "3"}, "guidance_scale has no effect"),
        ({"stride": "3"}, "expected a multiple of 4"),
        ({"stride": "400"}, "at most 8 frames"),
        ({"surprise": "mse"}, "expected denoising"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_two_lines(tiny, model_args, words) -> None:
    target = f"diffusers:{tiny.folder('wan_i2v')}"
    with pytest.raises(ModelError, match=words) as refused:
        load_model(target, device=CPU, dtype=torch.float32, model_args={**ARGUMENTS, "max_frames": "9", **model_args})
    assert len(str(refused.value).splitlines()) <= 2


def test_a_stride_alone_and_another_scheduler_are_refused(tiny, tmp_path: Path) -> None:
    target = f"diffusers:{tiny.folder('wan_i2v')}"
    with pytest.raises(ModelError, match="Give both"):
        describe_model(target, {"stride": "4"})
    folder = shutil.copytree(tiny.folder("wan_i2v"), tmp_path / "net")
    edit_json(folder / "scheduler" / "scheduler_config.json", _class_name="EDMEulerScheduler", prediction_type="edm")
    with pytest.raises(ModelError, match="prediction_type 'edm' is not known"):
        describe_model(f"diffusers:{folder}", ARGUMENTS)
    (folder / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        describe_model(f"diffusers:{folder}", ARGUMENTS)
    with pytest.raises(ModelError, match="scheduler is empty"):
        check_target(f"diffusers:{folder}")


def test_a_film_shorter_than_a_fixed_call_is_refused_in_a_line(loaded) -> None:
    with pytest.raises(ModelError, match="8 frames at 8 frames/s is shorter than a call, 9") as refused:
        asked(loaded("cogvideox_i2v"), film(8))
    assert "\n" not in str(refused.value)
