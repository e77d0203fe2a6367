"""Surprise of a diffusion pipeline: how wrong its network is about noise added to the latents of a film.

The pipeline itself is called, for one step at one noise level, so that image, prompt, masks and positions are those of
its rollouts. In the place of its scheduler stands one that keeps what the network predicts.

The idea is that of LikePhys (https://arxiv.org/abs/2510.11512): an impossible film should have the higher loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from physbench.models.huggingface.diffusers_folder import PipelineFolder, read_json
from physbench.models.huggingface.diffusers_pipeline import call_arguments, fit, redraw_pipeline, seeded_globals
from physbench.models.huggingface.diffusers_plan import PipelinePlan, on_grid
from physbench.models.protocol import SurpriseCard
from physbench.support.errors import ModelError

# How a diffusers pipeline is asked for its surprise: which calls a film is cut into, at which noise levels.
#
# All of it is fixed before any film is shown: levels, calls, seeds. Nothing is chosen on labels. No weight is loaded.

Objective = Literal["velocity", "noise", "v-prediction"]  # what a network is trained to predict

NOISE_LEVELS = (0.25, 0.5, 0.75)  # of flows the share of noise; else the time of the schedule, its end is 1
OBJECTIVES: Mapping[str, Objective] = {
    "flow_prediction": "velocity",
    "epsilon": "noise",
    "v_prediction": "v-prediction",
}


@dataclass(frozen=True)
class DenoisingCall:
    """One call of a pipeline: the frames start..end of a film, of which those from `read` on get their surprise."""

    start: int
    read: int
    end: int


@dataclass(frozen=True)
class DenoisingPlan:
    """Plan for showing films.

    Attributes:
        pipeline: Plan for calling the pipeline in its rollouts.
        card: For the harness.
        objective: Prediction target of the network.
        stride: Frames whose surprise is read in one call.
    """

    pipeline: PipelinePlan
    card: SurpriseCard
    objective: Objective
    stride: int

    def calls(self, frames: int) -> Iterator[DenoisingCall]:
        """The calls for a film of so many frames, in order.

        Each holds as many frames before those that are read as the film has and a call takes. What the first of them
        leaves out at the start of the film are context frames.

        Raises ModelError: the film is shorter than a call.
        """
        plan = self.pipeline
        shortest = plan.longest if plan.quirk.fixed_length else plan.context + plan.ratio
        if frames < shortest:
            raise ModelError(
                f"A film of {frames} frames at {plan.card.fps:g} frames/s is shorter than a call, {shortest}: give a "
                "higher --model-arg fps."
            )
        ends = [*range(min(plan.context + self.stride, frames), frames, self.stride), frames]
        done = None
        for end in ends:
            start = end - min(plan.longest, on_grid(end, plan.lengths, up=False))
            yield DenoisingCall(start, start + plan.context if done is None else done, end)
            done = end

    @property
    def sentences(self) -> tuple[str, ...]:
        """Notes for a reader of the run."""
        plan, card = self.pipeline, self.card
        levels = ", ".join(f"{level:g}" for level in NOISE_LEVELS)
        shown = "the first frame" if plan.context == 1 else f"the first {plan.context} frames"
        return (
            f"Denoising loss at the noise levels {levels}, without guidance: films at {card.fps:g} frames/s in calls "
            f"of at most {plan.longest} frames, which are given {shown} and the last {self.stride} of which are read, "
            f"by latent frames of {plan.ratio}. The noise comes from the seed of the clip, the same for both films.",
        )


def denoising_plan(plan: PipelinePlan) -> DenoisingPlan:
    """Plan for reading the denoising loss of a pipeline.

    Raises:
        ModelError: Its class, checkpoint or scheduler is not among those whose loss is known, or an argument cannot
            work.
    """
    name, folder = plan.kind.__name__, plan.folder
    denoised = ("CogVideoXImageToVideoPipeline", "LTXImageToVideoPipeline", "WanImageToVideoPipeline")
    if name not in denoised:
        raise ModelError(
            f"{folder.path}: the denoising loss of {name} is not read, only that of {' and '.join(denoised)}.\n"
            "Without --model-arg surprise its rollouts are compared with the films."
        )
    if folder.config("transformer").get("patch_size_t", 1) not in (1, None):
        raise ModelError(f"{folder.path}: its transformer joins latent frames (patch_size_t), so that none has a loss.")
    idle_arguments = ("guidance_scale", "guidance_scale_2", "num_inference_steps")  # on one step without guidance
    if idle := next((key for key in idle_arguments if key in plan.arguments), None):
        raise ModelError(f"--model-arg {idle} has no effect on a denoising loss: one step without guidance.")
    most = plan.longest - plan.context
    stride = plan.settings.get("stride", most)
    if plan.quirk.fixed_length and stride != most:
        raise ModelError(f"--model-arg stride={stride}: calls of {name} have a fixed length, all of which is read.")
    if stride != most and (not plan.ratio <= stride < most or stride % plan.ratio):
        raise ModelError(f"--model-arg stride={stride}: expected a multiple of {plan.ratio} and at most {most} frames.")
    card = plan.card
    first = card.history_frames if plan.quirk.fixed_length else plan.context + plan.ratio - 1
    objective = _objective(folder)
    surprise = SurpriseCard(
        name=card.name,
        image_size=card.image_size,
        fps=card.fps,
        context_frames=first,
        uses_prompt=card.uses_prompt,
        stochastic=True,
        unit=f"squared error of the predicted {objective}",
        sees=(plan.longest - 1) / card.fps,
        ahead=(stride - 1) / card.fps,
    )
    if first > card.history_frames:
        raise ModelError(
            f"{folder.path}: at {card.fps:g} frames/s a film has {card.history_frames} frames before it begins to be "
            f"judged, and {first} are needed: give a higher --model-arg fps."
        )
    return DenoisingPlan(plan, surprise, objective, stride)


def _objective(folder: PipelineFolder) -> Objective:
    """Prediction target of the network, from the config of the scheduler. Raises ModelError."""
    path = folder.path / "scheduler" / "scheduler_config.json"
    config: Mapping[str, Any] = read_json(path)
    name, kind = str(config.get("_class_name")), str(config.get("prediction_type"))
    if name.startswith("FlowMatch"):
        return "velocity"
    if kind not in OBJECTIVES:
        raise ModelError(
            f"{path}: a {name:.60} with prediction_type {kind!a:.40} is not known; expected a FlowMatch scheduler, or "
            f"one of {', '.join(OBJECTIVES)}."
        )
    return OBJECTIVES[kind]


def describe_denoising(plan: DenoisingPlan) -> list[tuple[str, str]]:
    """Treatment of films, as (name, text), beside `describe_plan`."""
    lines = [("surprise", plan.card.unit), ("films", plan.sentences[0])]
    return [*lines, ("ahead", f"a surprise may depend on what comes up to {plan.card.ahead:.2g} s later")]


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
        self, video: Tensor, *, prompts: Sequence[str], generators: Sequence[torch.Generator], **given: object
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
        losses_of_clips = []
        for level in NOISE_LEVELS:
            noise = torch.randn(clean.shape, generator=generator, device=generator.device).to(clean)
            timestep, noised, target = noised_latents(self.pipe.scheduler, self.plan.objective, clean, noise, level)
            predicted = self._predicted(frames, clean, noised, timestep, prompt, generator)
            errors = (predicted - target[:, :, -predicted.shape[2] :]).square().mean(dim=(0, 1, 3, 4))
            losses_of_clips.append(torch.cat([errors.new_zeros(clean.shape[2] - len(errors)), errors]))
        return torch.stack(losses_of_clips).mean(0)

    def _predicted(
        self, frames: Tensor, clean: Tensor, noised: Tensor, timestep: Tensor, prompt: str, generator: torch.Generator
    ) -> Tensor:
        """Prediction of the network (1, C, G, h, w) for the last G latent frames."""
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
