"""Says what a diffusers pipeline does to clips: for `physbench models check`, the manifest and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from physbench.adapters.pipeline_load import guardrail_words
from physbench.adapters.pipeline_plan import RATE_PARAMETERS, PipelinePlan

if TYPE_CHECKING:
    import torch


def _px(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]} px"


def describe_plan(plan: PipelinePlan) -> list[tuple[str, str]]:
    """What will happen to sizes, rates, context, lengths and prompts, as (name, text)."""
    folder = plan.folder
    weights = sum(file.stat().st_size for file in folder.weights(plan.settings.get("variant")))
    saved = f", saved by diffusers {folder.saved_by}" if folder.saved_by else ""
    lines = [
        ("pipeline", f"{plan.kind.__name__}, {weights / 1e9:.3g} GB of weights{saved}"),
        ("sizes", size_words(plan)),
        ("rate", rate_words(plan)),
        ("context", context_words(plan)),
        ("length", length_words(plan)),
        ("prompts", prompt_words(plan)),
        ("calls", "one clip a call; " + ", ".join(f"{key}={value}" for key, value in call_settings(plan).items())),
        ("checker", guardrail_words(plan)),
        ("note", plan.quirk.note),
    ]
    return [(name, text) for name, text in lines if text]


def size_words(plan: PipelinePlan) -> str:
    clip, own = plan.card.image_size, plan.size
    if clip == own:
        return f"clips and pipeline {_px(own)}"
    return f"clips {_px(clip)}, scaled to {_px(own)} for the pipeline and back, aspect kept"


def rate_words(plan: PipelinePlan) -> str:
    told = next((f", {name}={plan.arguments[name]:g}" for name in RATE_PARAMETERS if name in plan.arguments), "")
    return f"{plan.card.fps:g} frames/s{told or ', which the pipeline is not told'}"


def context_words(plan: PipelinePlan) -> str:
    if plan.context == 1:
        return "the last frame"
    return f"the last {plan.context} frames ({plan.ratio} k + 1)"


def length_words(plan: PipelinePlan) -> str:
    new = plan.longest - plan.context
    if plan.quirk.fixed_length:
        grid = f"{plan.longest} at each call"
    else:
        grid = f"{plan.ratio} k + 1, at most {plan.longest}" if plan.ratio > 1 else f"at most {plan.longest}"
    return f"{grid} frames, {new} of them new; longer clips are continued on the model's own last frames (chained)"


def prompt_words(plan: PipelinePlan) -> str:
    if "prompt" not in plan.parameters:
        return "none: the pipeline takes no prompt"
    if "prompt" in plan.settings:
        return f"for every clip: '{plan.settings['prompt']}'"
    return "the description of each scene"


def call_settings(plan: PipelinePlan) -> dict[str, Any]:
    """Numbers, words and truth values of the longest call, the defaults of the signature included."""
    shown = {}
    given = {**plan.arguments, **plan.quirk.arguments(plan.context, plan.longest)}
    for name, parameter in plan.parameters.items():
        value = given.get(name, parameter.default)
        if isinstance(value, bool | int | float | str):
            shown[name] = value
    for name in ("height", "width", "output_type", "return_dict", "num_videos_per_prompt", plan.frame_parameter):
        shown.pop(name, None)
    return shown


def run_settings(
    plan: PipelinePlan, pipe: Any, device: torch.device, dtype: torch.dtype, versions: str
) -> dict[str, str]:
    """Everything that decided the frames, for the manifest and the report: short texts by name."""
    lines = dict(describe_plan(plan))
    scheduler = getattr(pipe, "scheduler", None)
    options = {key: f"{value}" for key, value in plan.settings.items() if key not in ("prompt", "pipeline")}
    vae_dtype = plan.settings.get("vae_dtype")
    lines |= {
        "scheduler": type(scheduler).__name__ if scheduler is not None else "",
        "dtype": f"{dtype}".removeprefix("torch.") + (f", autoencoder {vae_dtype}" if vae_dtype else ""),
        "placement": plan.settings.get("device_map") or plan.settings.get("offload", f"all on {device}"),
        "options": ", ".join(f"{key}={value}" for key, value in options.items()),
        "libraries": versions,
    }
    return {key: value for key, value in lines.items() if value}
