"""Loads a diffusers pipeline from a local folder, and says what it does to clips."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

from physbench.models.huggingface.diffusers_folder import (
    GUARDED,
    GUARDRAIL_PACKAGE,
    PipelineFolder,
    is_modular,
    load_modular,
    weight_files,
)
from physbench.models.huggingface.diffusers_plan import RATE_PARAMETERS, PipelinePlan
from physbench.models.safetensors_files import prefix_words, read_header
from physbench.support.errors import ModelError, PhysbenchError
from physbench.support.plugins import describe_error

if TYPE_CHECKING:
    import torch

# Loads a diffusers pipeline from a local folder: safetensors only, no network, no code of the folder's.

MOST_DUMMY_BYTES = 50_000_000  # of weights: the published ones have gigabytes
NAMED_TENSORS = 3
NOISE_NETWORKS = ("transformer", "transformer_2", "unet")  # components that are called at every step


class DummyGuardrail:
    """Lets everything pass. For pipelines with random weights in tests, whose frames show nothing."""

    def to(self, *_: Any, **__: Any) -> DummyGuardrail:
        return self

    def check_text_safety(self, prompt: str) -> bool:
        return True

    def check_video_safety(self, frames: Any) -> Any:
        return frames


def forbid_network() -> None:
    """Keep the libraries from the network, whether they are imported already or not."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ[name] = "1"
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        vars(constants)["HF_HUB_OFFLINE"] = True


def load_pipeline(plan: PipelinePlan, device: torch.device, dtype: torch.dtype) -> Any:
    """Load the pipeline of a plan onto a device.

    Args:
        device: Where it runs.
        dtype: Of all weights; `vae_dtype` excepts the autoencoder.

    Raises ModelError: A component cannot be loaded, or an option is not for this pipeline or device.
    """
    import diffusers
    import torch
    import transformers

    forbid_network()
    diffusers.utils.logging.set_verbosity_error()
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
    settings = plan.settings
    offload = settings.get("offload")
    if offload and device.type == "cpu":
        raise ModelError(f"--model-arg offload={offload} moves weights to an accelerator: --device names none.")
    if offload and is_modular(plan.kind):
        raise ModelError(f"--model-arg offload: {plan.kind.__name__} has no offload. device_map places its weights.")
    if offload and "device_map" in settings:
        raise ModelError("--model-arg offload and device_map both place the weights: give one of them.")
    arguments: dict[str, Any] = {}
    if "safety_checker" in signature(plan.kind.__init__).parameters:  # type: ignore[misc]
        arguments["safety_checker"] = guardrail(plan)
    if "device_map" in settings:
        arguments["device_map"] = settings["device_map"]
    vae_dtype = settings.get("vae_dtype")
    types = dtype if vae_dtype is None else {"default": dtype, "vae": getattr(torch, vae_dtype)}
    folder = plan.folder
    try:
        if is_modular(plan.kind):
            pipe = load_modular(
                plan.kind,
                folder,
                types,
                variant=settings.get("variant"),
                device_map=settings.get("device_map"),
            )
            if hasattr(pipe, "enable_safety_checker"):
                pipe.enable_safety_checker(guardrail(plan))
        else:
            pipe = plan.kind.from_pretrained(  # type: ignore[attr-defined]
                str(folder.path),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                variant=settings.get("variant"),
                dtype=types,
                **arguments,
            )
        _refuse_missing_tensors(pipe, folder, settings.get("variant"))
        _place(pipe, settings, device)
    except PhysbenchError:
        raise
    except Exception as error:
        saved = f", the folder was saved by {folder.saved_by}" if folder.saved_by else ""
        raise ModelError(
            f"{folder.path} cannot be loaded: {describe_error(error)}\n(diffusers {diffusers.__version__}{saved})"
        ) from error
    pipe.set_progress_bar_config(disable=True)
    ratio = getattr(pipe, "vae_scale_factor_temporal", plan.ratio)
    if ratio != plan.ratio:
        raise ModelError(
            f"{folder.path}: the config of its vae says {plan.ratio} frames per latent frame, the pipeline {ratio}. "
            "Was it saved by another version of diffusers?"
        )
    return pipe


def guardrail(plan: PipelinePlan) -> DummyGuardrail | None:
    """The safety checker to pass; None: the pipeline makes its own, as its licence asks. Raises ModelError."""
    folder = plan.folder
    if plan.settings.get("guardrail") == "dummy":
        size = sum(file.stat().st_size for file in folder.weights())
        if size > MOST_DUMMY_BYTES:
            raise ModelError(
                f"--model-arg guardrail=dummy is for random weights of tests; those of {folder.path} have "
                f"{size / 1e9:.1f} GB, and their licence asks for the guardrail."
            )
        if "safety_checker" in folder.components:
            raise ModelError(f"{folder.path}: its index names a safety_checker, which a dummy does not replace.")
        return DummyGuardrail()
    if importlib.util.find_spec(GUARDRAIL_PACKAGE) is None:
        raise ModelError(
            f"{plan.kind.__name__} needs its safety checker, as its licence asks: pip install {GUARDRAIL_PACKAGE}\n"
            "(for random weights in tests: --model-arg guardrail=dummy)"
        )
    return None


def guardrail_words(plan: PipelinePlan) -> str:
    """Checker of prompts and frames, for the manifest."""
    if not plan.kind.__name__.startswith(GUARDED):
        return ""
    if plan.settings.get("guardrail") == "dummy":
        return "dummy: nothing is checked (random weights)"
    return f"{GUARDRAIL_PACKAGE}: checks prompts and may alter frames"


def _refuse_missing_tensors(pipe: Any, folder: PipelineFolder, variant: str | None) -> None:
    """Refuse weights that lack tensors of a network of diffusers, which would stay random."""
    for name, (library, class_name) in sorted(folder.components.items()):
        component: Any = getattr(pipe, name, None)
        if library != "diffusers" or not hasattr(component, "state_dict"):
            continue
        stored = {key for file in weight_files(folder.path / name, variant) for key in read_header(file).tensors}
        missing = sorted(set(component.state_dict()) - stored)
        if missing:
            more = f" and {len(missing) - NAMED_TENSORS} more" if len(missing) > NAMED_TENSORS else ""
            words = prefix_words(missing, stored) or "Are the weights and config.json of one version?"
            raise ModelError(
                f"{folder.path / name} lacks {', '.join(missing[:NAMED_TENSORS])}{more}, which a {class_name} needs. "
                + words
            )


def _place(pipe: Any, settings: Mapping[str, Any], device: torch.device) -> None:
    """Move the weights to the device, or hand that to accelerate; then compile and tile, where asked for."""
    if settings.get("offload") == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif settings.get("offload") == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    elif "device_map" not in settings:
        pipe.to(device)
    if settings.get("vae_tiling"):
        if not hasattr(getattr(pipe, "vae", None), "enable_tiling"):
            raise ModelError(f"--model-arg vae_tiling: the autoencoder of {type(pipe).__name__} has no tiling.")
        pipe.vae.enable_tiling()
    if settings.get("compile"):
        for name in NOISE_NETWORKS:
            network = getattr(pipe, name, None)
            if network is not None:
                network.compile()


def _px(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]} px"


def describe_plan(plan: PipelinePlan) -> list[tuple[str, str]]:
    """Treatment of sizes, rates, context, lengths and prompts, as (name, text)."""
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
        ("actions", action_words(plan)),
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
    passed = next((f", {name}={plan.arguments[name]:g}" for name in RATE_PARAMETERS if name in plan.arguments), "")
    return f"{plan.card.fps:g} frames/s{passed or ', which the pipeline is not told'}"


def context_words(plan: PipelinePlan) -> str:
    if plan.context == 1:
        return "the last frame"
    return f"the last {plan.context} frames ({plan.ratio} k + 1)"


def length_words(plan: PipelinePlan) -> str:
    new = plan.longest - plan.context
    if plan.quirk.fixed_length:
        grid = f"{plan.longest} at each call"
    else:
        step, first = plan.lengths
        grid = f"{step} k + {first}, at most {plan.longest}" if step > 1 else f"at most {plan.longest}"
    return f"{grid} frames, {new} of them new; longer clips are continued on the model's own last frames (chained)"


def prompt_words(plan: PipelinePlan) -> str:
    if "prompt" not in plan.parameters:
        return "none: the pipeline takes no prompt"
    if "prompt" in plan.settings:
        return f"for every clip: '{plan.settings['prompt']}'"
    return "the description of each scene"


def action_words(plan: PipelinePlan) -> str:
    """Actions that the pipeline is given; "" for none."""
    if plan.actions is None:
        return ""
    numbers = "numbers" if plan.actions.width is None else f"{plan.actions.width} numbers"
    of = "" if plan.actions.condition is None else f", of the domain {plan.actions.condition['domain_name']}"
    return f"{numbers} a frame as '{plan.actions.keyword}'{of}"


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
