"""How a diffusers pipeline is asked for its surprise: which calls a film is cut into, at which noise levels.

All of it is fixed before any film is shown: levels, calls, seeds. Nothing is chosen on labels. No weight is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from physbench.adapters.pipeline_folder import PipelineFolder, read_json
from physbench.adapters.pipeline_plan import PipelinePlan, on_grid
from physbench.adapters.surprise_card import SurpriseCard
from physbench.errors import ModelError

Objective = Literal["velocity", "noise", "v-prediction"]  # what a network is trained to predict

NOISE_LEVELS = (0.25, 0.5, 0.75)  # of flows the share of noise; else the time of the schedule, its end is 1
DENOISED = ("CogVideoXImageToVideoPipeline", "LTXImageToVideoPipeline", "WanImageToVideoPipeline")
IDLE_ARGUMENTS = ("guidance_scale", "guidance_scale_2", "num_inference_steps")  # on one step without guidance
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
    """How films are shown.

    Attributes:
        pipeline: How the pipeline is called in its rollouts.
        card: What the harness must know.
        objective: What the network predicts.
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

        Raises:
            ModelError: The film is shorter than a call.
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
            start = end - min(plan.longest, on_grid(end, plan.ratio, up=False))
            yield DenoisingCall(start, start + plan.context if done is None else done, end)
            done = end

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a reader of the run should know."""
        plan, card = self.pipeline, self.card
        levels = ", ".join(f"{level:g}" for level in NOISE_LEVELS)
        shown = "the first frame" if plan.context == 1 else f"the first {plan.context} frames"
        return (
            f"Denoising loss at the noise levels {levels}, without guidance: films at {card.fps:g} frames/s in calls "
            f"of at most {plan.longest} frames, which are given {shown} and the last {self.stride} of which are read, "
            f"by latent frames of {plan.ratio}. The noise comes from the seed of the clip, the same for both films.",
        )


def denoising_plan(plan: PipelinePlan) -> DenoisingPlan:
    """How a pipeline is asked for its denoising loss.

    Raises:
        ModelError: Its class, checkpoint or scheduler is not among those whose loss is known, or an argument cannot
            work.
    """
    name, folder = plan.kind.__name__, plan.folder
    if name not in DENOISED:
        raise ModelError(
            f"{folder.path}: the denoising loss of {name} is not read, only that of {' and '.join(DENOISED)}.\n"
            "Without --model-arg surprise its rollouts are compared with the films."
        )
    if folder.config("transformer").get("patch_size_t", 1) not in (1, None):
        raise ModelError(f"{folder.path}: its transformer joins latent frames (patch_size_t), so that none has a loss.")
    if idle := next((key for key in IDLE_ARGUMENTS if key in plan.arguments), None):
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
    asked = SurpriseCard(
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
    return DenoisingPlan(plan, asked, objective, stride)


def _objective(folder: PipelineFolder) -> Objective:
    """What the network predicts, from the config of the scheduler. Raises ModelError."""
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
    """What is done with films, as (name, text), beside `describe_plan`."""
    lines = [("surprise", plan.card.unit), ("films", plan.sentences[0])]
    return [*lines, ("ahead", f"a surprise may depend on what comes up to {plan.card.ahead:.2g} s later")]
