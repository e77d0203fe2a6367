"""Surprise of a diffusion pipeline: how wrong its network is about noise that was added to the latents of a film.

The pipeline itself is called, for one step at one noise level, so that image, prompt, masks and positions are those of
its rollouts. In the place of its scheduler stands one that keeps what the network predicts.

The idea is that of LikePhys (https://arxiv.org/abs/2510.11512): an impossible film should have the higher loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from physbench.adapters.denoising_plan import NOISE_LEVELS, DenoisingCall, DenoisingPlan, Objective
from physbench.adapters.pipeline_call import call_arguments, fit, redraw_pipeline, seeded_globals
from physbench.errors import ModelError


class OneStep:
    """Stands in for a scheduler: one step at one time, whose prediction is kept."""

    order = 1
    init_noise_sigma = 1.0

    def __init__(self, config: Any, timestep: Tensor) -> None:
        self.config = config
        self.timesteps = timestep[None]
        self.predicted: Tensor | None = None

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Any = None,
        sigmas: Any = None,
        mu: float | None = None,
    ) -> None:
        self.timesteps = self.timesteps.to(device)

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        return sample

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        self.predicted = model_output
        return (sample,)


@contextmanager
def replaced_scheduler(pipe: Any, stand_in: OneStep) -> Iterator[None]:
    """Give a pipeline another scheduler. Its registry, which names those that can be saved, is not asked."""
    own = pipe.scheduler
    vars(pipe)["scheduler"] = stand_in
    try:
        yield
    finally:
        vars(pipe)["scheduler"] = own


class DenoisingSurprise:
    """A pipeline that is asked for its denoising loss. Films are shown one by one, as in rollouts."""

    def __init__(self, plan: DenoisingPlan, pipe: Any, run_settings: dict[str, str]) -> None:
        if plan.objective != "velocity" and not hasattr(pipe.scheduler, "alphas_cumprod"):
            raise ModelError(f"{plan.pipeline.folder.path}: {type(pipe.scheduler).__name__} has no alphas_cumprod.")
        self.plan = plan
        self.pipe = pipe
        self.card = plan.card
        self.assumptions = plan.sentences
        self.run_settings = run_settings

    def redraw(self) -> None:
        """Forget what was learned, see `redraw_pipeline`."""
        redraw_pipeline(self.pipe, self.card.name)

    def surprise(
        self,
        video: Tensor,
        *,
        context: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Surprise (B, T) at the frames (B, T, 3, H, W) in [0, 1]: the loss of the latent frame that holds each.

        It is 0 at frames of the context that no call reads.
        """
        out = torch.zeros(video.shape[:2], device=video.device)
        with torch.no_grad():
            for k, (film, prompt, generator) in enumerate(zip(video, prompts, generators, strict=True)):
                for call in self.plan.calls(len(film)):
                    losses = self.losses(film[call.start : call.end], prompt, generator)
                    out[k, call.read : call.end] = self.spread(losses, call)
        return out

    def losses(self, frames: Tensor, prompt: str, generator: torch.Generator) -> Tensor:
        """Loss (F,) of the latent frames of a call (T, 3, H, W), mean over noise levels; 0 where none is predicted."""
        plan = self.plan.pipeline
        frames = fit(frames.float(), plan.size)
        clean = encoded(self.pipe, frames)  # (1, C, F, h, w)
        found = []
        for level in NOISE_LEVELS:
            noise = torch.randn(clean.shape, generator=generator, device=generator.device).to(clean)
            timestep, noised, target = noised_latents(self.pipe.scheduler, self.plan.objective, clean, noise, level)
            predicted = self._predicted(frames, clean, noised, timestep, prompt, generator)
            errors = (predicted - target[:, :, -predicted.shape[2] :]).square().mean(dim=(0, 1, 3, 4))
            found.append(torch.cat([errors.new_zeros(clean.shape[2] - len(errors)), errors]))
        return torch.stack(found).mean(0)

    def _predicted(
        self, frames: Tensor, clean: Tensor, noised: Tensor, timestep: Tensor, prompt: str, generator: torch.Generator
    ) -> Tensor:
        """What the network predicts (1, C, G, h, w) for the last G latent frames."""
        plan, pipe = self.plan.pipeline, self.pipe
        arguments = call_arguments(plan, frames[: plan.context], len(frames), prompt, generator)
        arguments |= {"latents": given_latents(pipe, clean, noised), "output_type": "latent", "guidance_scale": 1.0}
        stand_in = OneStep(pipe.scheduler.config, timestep)
        with replaced_scheduler(pipe, stand_in), seeded_globals(generator):
            pipe(**arguments)
        predicted = stand_in.predicted
        if predicted is None:
            raise ModelError(f"{plan.kind.__name__} made no step.")
        if type(pipe).__name__.startswith("CogVideoX"):
            predicted = predicted.transpose(1, 2)
        return predicted.float()

    def spread(self, losses: Tensor, call: DenoisingCall) -> Tensor:
        """Loss of each frame that a call reads: the first latent frame (of F) holds one, the others `ratio` each."""
        every = losses[1:].repeat_interleave(self.plan.pipeline.ratio)
        return torch.cat([losses[:1], every])[call.read - call.start :]


def noised_latents(
    scheduler: Any, objective: Objective, clean: Tensor, noise: Tensor, level: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Time (), noised latents and what the network should predict of them, like `clean`.

    Flows: x = (1 - level) clean + level noise, of which noise - clean is the velocity. Else, with a from the schedule
    at that time: x = sqrt(a) clean + sqrt(1 - a) noise; the noise is due, or v = sqrt(a) noise - sqrt(1 - a) clean.
    """
    steps = scheduler.config.num_train_timesteps
    if objective == "velocity":
        return torch.tensor(level * steps), (1 - level) * clean + level * noise, noise - clean
    timestep = torch.tensor(round(level * (steps - 1)))
    kept = scheduler.alphas_cumprod[timestep].to(clean)
    signal, spoilt = kept.sqrt(), (1 - kept).sqrt()
    target = noise if objective == "noise" else signal * noise - spoilt * clean
    return timestep, signal * clean + spoilt * noise, target


def encoded(pipe: Any, frames: Tensor) -> Tensor:
    """Latents (1, C, F, h, w) of frames (T, 3, H, W) in [0, 1], scaled as the network was trained on them; the mean of
    what the autoencoder allows."""
    vae = pipe.vae
    shown = (2 * frames - 1).movedim(0, 1)[None].to(vae.dtype)
    latents: Tensor = vae.encode(shown).latent_dist.mode().float()
    match type(pipe).__name__:
        case "LTXImageToVideoPipeline":
            return pipe._normalize_latents(latents, vae.latents_mean, vae.latents_std)  # type: ignore[no-any-return]
        case "WanImageToVideoPipeline":
            mean, std = (
                torch.tensor(values).view(1, -1, 1, 1, 1).to(latents)
                for values in (vae.config.latents_mean, vae.config.latents_std)
            )
            return (latents - mean) / std
    scale: float = pipe.vae_scaling_factor_image
    return scale * latents


def given_latents(pipe: Any, clean: Tensor, noised: Tensor) -> Tensor:
    """Noised latents (1, C, F, h, w) in the form in which a pipeline takes them."""
    match type(pipe).__name__:
        case "LTXImageToVideoPipeline":  # the image is the first latent frame
            mixed = torch.cat([clean[:, :, :1], noised[:, :, 1:]], dim=2)
            patches = pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size
            return pipe._pack_latents(mixed, *patches)  # type: ignore[no-any-return]
        case "CogVideoXImageToVideoPipeline":
            return noised.transpose(1, 2).to(pipe.transformer.dtype)
    return noised
