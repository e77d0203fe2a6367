"""Decides how a diffusers pipeline is called: sizes, rates, numbers of frames and arguments. No weight is loaded.

The call's signature, the configs in the folder and the table of quirks decide; --model-arg changes it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from physbench.clips.clip import ACTION_WIDTH
from physbench.models.huggingface.diffusers_folder import (
    QUIRKS,
    PipelineFolder,
    Quirk,
    block_parameters,
    check_components,
    continuing_classes,
    is_modular,
    no_arguments,
    refuse_class,
)
from physbench.models.protocol import CARD_BOUNDS, ModelCard, check_card
from physbench.models.python_code import convert_argument
from physbench.support.errors import ModelError, nearest
from physbench.world.scene import HISTORY

if TYPE_CHECKING:
    from torch import Tensor

# Of the pipelines of diffusers 0.42 that continue a picture one takes actions of a body: Cosmos 3, of the robots that
# it knows. Any other gets one row a frame, as numbers.
COSMOS3 = "Cosmos3OmniPipeline"
ACTION_OPTIONS = {"actions": "str", "action_domain": "str", "action_tier": "int", "action_view": "str"}


@dataclass(frozen=True)
class ActionCall:
    """Argument of a pipeline's call that takes actions.

    Attributes:
        keyword: Its name.
        width: Numbers of one action; None: as many as it is given.
        condition: Of Cosmos 3, what its `CosmosActionCondition` has besides actions and picture.
    """

    keyword: str
    width: int | None = None
    condition: Mapping[str, Any] | None = None

    def arguments(self, actions: Tensor | None, image: Any, frames: int) -> dict[str, Any]:
        """The arguments of a call that asks for so many frames, the context included.

        Args:
            actions: (T, width), one row a frame; None: nothing is done.
            image: The last frame of the context.
            frames: Rows that are missing at the end, whose frames are cut off, repeat the last one.

        Raises ModelError: they have another width.
        """
        import torch

        rows = torch.zeros(frames, self.width or ACTION_WIDTH) if actions is None else actions.float()
        if self.width not in (None, rows.shape[1]):
            raise ModelError(
                f"--model-arg actions={self.keyword}: expected actions of {self.width} numbers, got {rows.shape[1]}. "
                f"Give --actions MAP.py a space of {self.width}."
            )
        rows = torch.cat([rows, rows[-1:].expand(max(frames - len(rows), 0), -1)])[:frames]
        if self.condition is None:
            return {self.keyword: rows}
        condition = _cosmos3_condition(
            mode="forward_dynamics", chunk_size=frames - 1, raw_actions=rows[1:], image=image, **self.condition
        )
        return {self.keyword: condition}


def action_call(
    settings: Mapping[str, Any],
    parameters: Mapping[str, inspect.Parameter],
    class_name: str,
    folder: PipelineFolder,
    scalar: Callable[[inspect.Parameter], str],
    reserved: Mapping[str, str],
) -> ActionCall | None:
    """The argument that --model-arg actions=NAME names; None where it is not given.

    Args:
        settings: Options of the adapter.
        scalar: The kind of a parameter that takes one number or word, else "".
        reserved: Arguments that the adapter sets itself, with the reason.

    Raises ModelError: the call has no such argument, or the checkpoint takes no actions.
    """
    keyword = settings.get("actions")
    others = [name for name in ACTION_OPTIONS if name in settings and name != "actions"]
    if keyword is None:
        if others:
            raise ModelError(f"--model-arg {others[0]}: it goes with --model-arg actions=action.")
        return None
    if "surprise" in settings:
        raise ModelError("--model-arg actions: in the films of --model-arg surprise nothing is done. Give one of them.")
    if keyword not in parameters:
        arrays = [name for name, each in parameters.items() if not scalar(each)]
        raise ModelError(
            f"--model-arg actions={keyword}: the call of {class_name} has no argument of that name."
            f"{nearest(keyword, arrays)}"
        )
    if kind := scalar(parameters[keyword]):
        raise ModelError(f"--model-arg actions={keyword}: it takes one {kind}, not an array of actions.")
    if keyword in reserved:
        raise ModelError(f"--model-arg actions={keyword}: that argument is taken, {reserved[keyword]}.")
    if class_name != COSMOS3 or keyword != "action":
        if others:
            raise ModelError(f"--model-arg {others[0]}: it is for {COSMOS3} and actions=action.")
        return ActionCall(keyword)
    if not folder.config("transformer").get("action_gen"):
        raise ModelError(f"{folder.path}: its transformer was made without actions (action_gen of its config.json).")
    return _of_cosmos3(settings)


def _of_cosmos3(settings: Mapping[str, Any]) -> ActionCall:
    condition = {
        "domain_name": settings.get("action_domain", ""),
        "resolution_tier": settings.get("action_tier", 480),
        "view_point": settings.get("action_view", "third_person_view"),
    }
    try:
        probe = _cosmos3_condition(mode="policy", chunk_size=1, image="any", **condition)
    except ValueError as error:
        raise ModelError(f"--model-arg action_domain or action_tier: {error}") from None
    return ActionCall("action", probe.raw_action_dim, condition)


def _cosmos3_condition(**fields: Any) -> Any:
    """A `CosmosActionCondition`. Raises ValueError where it cannot be."""
    import diffusers

    kind: Any = diffusers.CosmosActionCondition
    return kind(**fields)


MOST_RATIO = 64  # frames per latent frame: published pipelines have 4 to 8
FRAME_PARAMETERS = ("num_frames", "frames", "video_length")
RATE_PARAMETERS = ("fps", "frame_rate")
# Parameters of calls that the adapter sets itself, and what to use instead.
OWN_PARAMETERS = {
    **dict.fromkeys(("image", "video", "conditions", "mask", "latents", "generator"), "it is made for each clip"),
    **dict.fromkeys(("output_type", "return_dict", "num_videos_per_prompt"), "the adapter needs its own"),
    **dict.fromkeys(FRAME_PARAMETERS, "use max_frames, the longest clip of a call"),
    "frame_rate": "use fps, the rate of the clips, or conditioning_fps",
    "overlap_history": "use context_frames",
    "base_num_frames": "use max_frames",
    "num_latent_conditional_frames": "use context_frames",
    "condition_video_keep": "the last frames are kept",
    "enable_safety_check": "the licence asks for the safety checker",
}
# Options of the adapter: name and kind.
OPTIONS = {
    "width": "int",
    "height": "int",
    "clip_width": "int",
    "clip_height": "int",
    "fps": "float",
    "conditioning_fps": "float",
    "context_frames": "int",
    "max_frames": "int",
    "prompt": "str",
    "pipeline": "str",
    "guardrail": "str",
    "variant": "str",
    "vae_dtype": "str",
    "device_map": "str",
    "offload": "str",
    "compile": "bool",
    "vae_tiling": "bool",
    "surprise": "str",
    "stride": "int",
    **ACTION_OPTIONS,
}
CHOICES = {
    "offload": ("model", "sequential"),
    "guardrail": ("dummy",),
    "vae_dtype": ("float32", "float16", "bfloat16"),
    "surprise": ("denoising",),
}


@dataclass(frozen=True)
class PipelinePlan:
    """Call of a pipeline.

    Attributes:
        folder: Its folder.
        kind: Its class.
        quirk: Entry of the class in the table.
        ratio: Frames per latent frame: a call makes ratio * k + 1 frames.
        size: (height, width) in px at which it runs.
        card: For the harness; its size is that of the clips.
        longest: Frames of one call, at most, context included.
        arguments: Arguments of every call.
        settings: Options of the adapter that were given, by name.
        actions: Argument of the call that takes actions; None: they are not passed.
    """

    folder: PipelineFolder
    kind: type
    quirk: Quirk
    ratio: int
    size: tuple[int, int]
    card: ModelCard
    longest: int
    arguments: dict[str, Any]
    settings: dict[str, Any]
    actions: ActionCall | None = None

    @property
    def context(self) -> int:
        return self.card.context_frames

    @cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return call_parameters(self.kind, self.folder)

    @property
    def frame_parameter(self) -> str:
        return next(name for name in FRAME_PARAMETERS if name in self.parameters)

    def requested_frames(self, horizon: int) -> int:
        """Frames that are asked for, context included: the shortest length on the grid that holds `horizon` more."""
        if self.quirk.fixed_length:
            return self.longest
        return max(self.quirk.fewest, on_grid(self.context + horizon, self.lengths, up=True))

    @property
    def lengths(self) -> tuple[int, int]:
        """(step, first): a call makes step * k + first frames."""
        return self.quirk.lengths or (self.ratio, 1)

    def frames_returned(self, frames_requested: int) -> int:
        return frames_requested + self.context if self.quirk.context_twice else frames_requested

    @property
    def prefix(self) -> int:
        """Frames at the start of an answer that show the context again."""
        return 2 * self.context if self.quirk.context_twice else self.context


def call_parameters(kind: type, folder: PipelineFolder) -> Mapping[str, inspect.Parameter]:
    """Parameters of a pipeline's call, by name."""
    if is_modular(kind):
        return block_parameters(kind, folder)
    parameters = dict(inspect.signature(kind.__call__).parameters)
    parameters.pop("self", None)
    return parameters


def on_grid(frames: int, lengths: tuple[int, int], *, up: bool) -> int:
    """The number step * k + first that is next to `frames`, above or below; at least `first`.

    >>> on_grid(60, (4, 1), up=True), on_grid(60, (4, 1), up=False), on_grid(60, (17, 5), up=True)
    (61, 57, 73)
    """
    step, first = lengths
    steps = max(0, frames - first)
    return (-(-steps // step) if up else steps // step) * step + first


def pipeline_class(name: str, folder: PipelineFolder) -> type:
    """Find a pipeline class of diffusers that continues frames. Raises ModelError with the reason where it does not."""
    refuse_class(name, folder.path)
    import diffusers

    names = [known for known in dir(diffusers) if known.endswith("Pipeline")]
    if name not in names:
        saved = f" (the folder was saved by {folder.saved_by})" if folder.saved_by else ""
        close = nearest(name, names, listed=False)
        raise ModelError(f"{folder.path}: diffusers {diffusers.__version__} has no pipeline '{name}'{saved}.{close}")
    kind: type = getattr(diffusers, name)
    if folder.modular and not is_modular(kind):
        raise ModelError(f"{folder.path}: {name} is not put together from blocks, as this folder's pipeline is.")
    parameters = call_parameters(kind, folder)
    if not any(word in parameters for word in FRAME_PARAMETERS):
        raise ModelError(f"{folder.path}: {name} answers with one image, not with a video: it cannot be evaluated.")
    if name not in QUIRKS and "image" not in parameters:
        if "video" in parameters or "conditions" in parameters:
            raise ModelError(
                f"{folder.path}: it is not known whether {name} continues a video or changes it, so it is not run. "
                "Wrap it in a few lines of Python, my_model.py:make."
            )
        raise ModelError(f"{folder.path}: {name} makes videos from text alone.{continuing_classes(name)}")
    return kind


def frames_per_latent(config: Mapping[str, Any], default: int) -> int:
    """Frames per latent frame, from an autoencoder's config. Its newer keys may be missing in older files."""
    for key in ("temporal_compression_ratio", "scale_factor_temporal"):
        if isinstance(config.get(key), int):
            return int(config[key])
    if isinstance(config.get("temperal_downsample"), list):  # spelt so in the format
        return int(2 ** min(sum(map(bool, config["temperal_downsample"])), MOST_RATIO))
    if isinstance(config.get("spatio_temporal_scaling"), list):
        patch, halvings = config.get("patch_size_t", 1), sum(map(bool, config["spatio_temporal_scaling"]))
        return int(patch) * 2 ** min(halvings, MOST_RATIO) if isinstance(patch, int) else default
    return default


def make_plan(folder: PipelineFolder, model_args: Mapping[str, str]) -> PipelinePlan:
    """Decide how the pipeline of a folder is called.

    model_args: Values of --model-arg, by name.

    Raises ModelError: the pipeline cannot continue frames, or an argument is unknown or has a value that cannot work.
    """
    kind = pipeline_class(model_args.get("pipeline", folder.class_name), folder)
    parameters = call_parameters(kind, folder)
    settings, arguments = _sort_arguments(model_args, parameters, kind.__name__)
    _check_checkpoint(kind.__name__, folder)
    quirk = _quirk_of_checkpoint(QUIRKS.get(kind.__name__) or _generic_quirk(parameters), kind.__name__, folder)
    if folder.modular:
        check_components(kind, folder, quirk.unused if kind.__name__ in QUIRKS else None)
    if "actions" in settings and is_modular(kind):
        raise ModelError(f"--model-arg actions: those of modular pipelines ({kind.__name__}) are not passed.")
    actions = action_call(settings, parameters, kind.__name__, folder, _scalar, OWN_PARAMETERS)
    cosmos3_sizes = {256: (192, 320), 480: (480, 832), 704: (704, 1280), 720: (720, 1280)}  # px, wide ones, by tier
    if actions is not None and actions.condition is not None:  # it continues one picture, and derives its length
        note = "With actions it continues one picture, the last frame."
        size = cosmos3_sizes[actions.condition["resolution_tier"]]
        quirk = replace(quirk, condition="image", size=size, context=1, arguments=no_arguments, note=note)
    ratio = frames_per_latent(folder.config("vae"), quirk.ratio)
    if not 1 <= ratio <= MOST_RATIO:
        raise ModelError(f"{folder.path / 'vae' / 'config.json'}: {ratio} frames per latent frame cannot be right.")
    if quirk.own_size and (given := [name for name in ("height", "width") if name in settings]):
        height, width = quirk.size
        raise ModelError(
            f"--model-arg {given[0]}: {kind.__name__} takes no size. That of its checkpoint is {width}x{height} px."
        )
    size = _side(settings, "height", quirk, 0), _side(settings, "width", quirk, 1)
    clip_size = _clip_size(size, settings)
    context = _context_frames(settings, quirk, ratio, kind.__name__)
    longest = _longest(settings, quirk, ratio, folder, parameters)
    if longest <= context:
        raise ModelError(f"--model-arg max_frames={longest}: expected more than the {context} frames of the context.")
    fps = float(settings.get("fps", quirk.fps))
    for name in RATE_PARAMETERS:
        if name in parameters:
            value = settings.get("conditioning_fps", quirk.fps_argument or fps)
            arguments[name] = round(value) if "float" not in _kind_words(parameters[name]) else float(value)
    if "conditioning_fps" in settings and not set(RATE_PARAMETERS) & set(parameters):
        raise ModelError(f"--model-arg conditioning_fps: {kind.__name__} is not told the rate.")
    if "stride" in settings and "surprise" not in settings:
        raise ModelError("--model-arg stride: it is for surprise=denoising. Give both, or none.")
    if "prompt" in settings and "prompt" not in parameters:
        raise ModelError(f"--model-arg prompt: {kind.__name__} takes no prompt.")
    card = ModelCard(
        name=folder.path.resolve().name,
        image_size=clip_size,
        fps=fps,
        context_frames=context,
        max_horizon=longest - context,
        uses_actions=actions is not None,
        uses_prompt="prompt" in parameters and "prompt" not in settings,
        stochastic=True,
        repeat_first=context > int(HISTORY * fps + 1e-9) + 1,
    )
    return PipelinePlan(folder, kind, quirk, ratio, size, check_card(card), longest, arguments, settings, actions)


def _kind_words(parameter: inspect.Parameter) -> set[str]:
    """Words of an annotation: {"int", "None"} of `int | None`; the type of the default where there is none."""
    if parameter.annotation is inspect.Parameter.empty:
        return {type(parameter.default).__name__}
    annotation = parameter.annotation
    return set(re.findall(r"\w+", annotation.__name__ if isinstance(annotation, type) else str(annotation)))


def _scalar(parameter: inspect.Parameter) -> str:
    """The kind of a parameter that takes one number, word or truth value; "" for others."""
    words = _kind_words(parameter)
    if "dict" in words:
        return ""
    return next((kind for kind in ("bool", "float", "int", "str") if kind in words), "")


def _sort_arguments(
    model_args: Mapping[str, str], parameters: Mapping[str, inspect.Parameter], class_name: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split --model-arg into options of the adapter and arguments of the call, in their types."""
    passed_on = {
        name: kind
        for name, parameter in parameters.items()
        if name not in OWN_PARAMETERS and (kind := _scalar(parameter))
    }
    settings: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    for key, text in model_args.items():
        if key in OPTIONS:
            settings[key] = convert_argument(text, OPTIONS[key], key)
            if key in CHOICES and text not in CHOICES[key]:
                raise ModelError(f"--model-arg {key}={text}: expected {' or '.join(CHOICES[key])}.")
        elif key in OWN_PARAMETERS:
            raise ModelError(f"--model-arg {key} cannot be given: {OWN_PARAMETERS[key]}.")
        elif key in passed_on:
            arguments[key] = convert_argument(text, passed_on[key], key)
        else:
            raise ModelError(
                f"--model-arg {key}: {class_name} takes no argument of that name.{nearest(key, [*OPTIONS, *passed_on])}"
            )
    return settings, arguments


def _generic_quirk(parameters: Mapping[str, inspect.Parameter]) -> Quirk:
    """For a class that is not in the table: continued from the last frame, at the sizes of its signature."""

    def default(name: str, otherwise: float) -> float:
        value = parameters[name].default if name in parameters else None
        return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise

    rates = [default(name, 24) for name in RATE_PARAMETERS]
    return Quirk(
        "image",
        rates[0] if "fps" in parameters else rates[1],
        (int(default("height", 480)), int(default("width", 832))),
        16,
        note="This class is not among those that were tried: it is continued from the last frame.",
    )


def _check_checkpoint(class_name: str, folder: PipelineFolder) -> None:
    """Refuse checkpoints of known classes that leave frames out."""
    transformer = folder.config("transformer")
    if class_name == "HunyuanVideoImageToVideoPipeline" and transformer.get("image_condition_type") == "latent_concat":
        raise ModelError(
            f"{folder.path}: checkpoints with image_condition_type 'latent_concat' leave out the first 4 frames, so "
            "that the 3 frames after the context are not answered. Take one with 'token_replace'."
        )
    channels = transformer.get("in_channels")
    text_only = channels is not None and channels == transformer.get("out_channels")
    if class_name == "WanImageToVideoPipeline" and text_only and not folder.options.get("expand_timesteps"):
        raise ModelError(
            f"{folder.path}: the transformer has {channels} input channels, none of them for an image: this checkpoint "
            "makes videos from text alone."
        )


def _quirk_of_checkpoint(quirk: Quirk, class_name: str, folder: PipelineFolder) -> Quirk:
    """The quirk of a class, changed where checkpoints of it differ."""
    transformer, vae = folder.config("transformer"), folder.config("vae")
    if class_name == "CogVideoXImageToVideoPipeline":
        if transformer.get("patch_size_t"):  # CogVideoX 1.5
            return replace(quirk, size=(768, 1360), multiple=16, fps=16, frames=81)
        if transformer.get("use_learned_positional_embeddings"):  # it raises at any other size
            size = 8 * int(transformer["sample_height"]), 8 * int(transformer["sample_width"])
            return replace(quirk, size=size, frames=transformer.get("sample_frames", quirk.frames))
    if class_name == "HunyuanVideo15ImageToVideoPipeline":
        return replace(quirk, size=_own_size(folder), multiple=1)
    if class_name.startswith("Wan") and vae.get("scale_factor_spatial") == 16:  # Wan 2.2 5B
        return replace(quirk, size=(704, 1280), multiple=32, fps=24, frames=121)
    return quirk


def _own_size(folder: PipelineFolder) -> tuple[int, int]:
    """(height, width) in px that HunyuanVideo 1.5 makes of a wide picture: the one of its list for 16 to 9.

    A checkpoint for 480 lines has target_size 640, one for 720 lines 960; a size of the list is answered in that size.
    """
    from diffusers.pipelines.hunyuan_video1_5.image_processor import HunyuanVideo15ImageProcessor

    target = folder.config("transformer").get("target_size", 640)
    multiple = folder.config("vae").get("spatial_compression_ratio", 16)
    if not (isinstance(target, int) and isinstance(multiple, int) and 1 <= multiple <= target <= 4096):  # px
        raise ModelError(
            f"{folder.path}: target_size {target} of the transformer with spatial_compression_ratio {multiple} of the "
            "vae cannot be right."
        )
    list_of_sizes = HunyuanVideo15ImageProcessor(vae_scale_factor=multiple)
    height, width = 9, 16
    while (fitted := list_of_sizes.calculate_default_height_width(height, width, target)) != (height, width):
        height, width = fitted
    return int(height), int(width)


def _side(settings: Mapping[str, Any], name: str, quirk: Quirk, axis: int) -> int:
    side = int(settings.get(name, quirk.size[axis]))
    if side < quirk.multiple or side % quirk.multiple:
        lower = max(1, side // quirk.multiple) * quirk.multiple
        raise ModelError(
            f"--model-arg {name}={side}: expected a multiple of {quirk.multiple}, such as {lower} or "
            f"{lower + quirk.multiple}."
        )
    return side


def _clip_size(size: tuple[int, int], settings: Mapping[str, Any]) -> tuple[int, int]:
    """Size of the clips: of the pipeline's aspect, the shorter side 256 px or that of the pipeline if it is less."""
    scale = min(1.0, 256 / min(size))  # the largest size at which the suites' questions are fixed
    height, width = (round(side * scale) for side in size)
    return int(settings.get("clip_height", height)), int(settings.get("clip_width", width))


def _context_frames(settings: Mapping[str, Any], quirk: Quirk, ratio: int, class_name: str) -> int:
    """Context frames: those of the table, or fewer where they need more than the history or than the ratio allows.

    More of them than the history holds have to be asked for: the first one is repeated.
    """
    limit = 1 if quirk.condition == "image" else quirk.most_context
    history = int(HISTORY * float(settings.get("fps", quirk.fps)) + 1e-9) + 1
    most = on_grid(min(limit or history, history), (ratio, 1), up=False)
    setting = settings.get("context_frames")
    if setting is None:
        return min(on_grid(quirk.context, (ratio, 1), up=False), most)
    if not 1 <= setting <= (limit or CARD_BOUNDS.context_frames) or on_grid(setting, (ratio, 1), up=False) != setting:
        allowed = list(range(1, most + 1, ratio))
        shown = ", ".join(map(str, allowed[:6])) + (f", ... {allowed[-1]}" if len(allowed) > 6 else "")
        more = "" if limit else ", or more, which repeat the first one"
        raise ModelError(f"--model-arg context_frames={setting}: {class_name} reads {shown} of them{more}.")
    return int(setting)


def _longest(
    settings: Mapping[str, Any],
    quirk: Quirk,
    ratio: int,
    folder: PipelineFolder,
    parameters: Mapping[str, inspect.Parameter],
) -> int:
    """Frames of one call, at most, context included."""
    step, first = grid = quirk.lengths or (ratio, 1)
    setting = settings.get("max_frames")
    if setting is not None:
        fewest = max(2, quirk.fewest)
        if setting < fewest or on_grid(setting, grid, up=False) != setting:
            lower = on_grid(max(setting, fewest, step + first), grid, up=False)
            raise ModelError(
                f"--model-arg max_frames={setting}: expected {step} k + {first} frames, such as {lower} or "
                f"{lower + step}."
            )
        return int(setting)
    defaults = [parameters[name].default for name in FRAME_PARAMETERS if name in parameters]
    lengths = [quirk.frames, folder.config("unet").get("num_frames"), *defaults]
    frames = next((value for value in lengths if isinstance(value, int)), 0)
    if frames < 2:
        raise ModelError(f"{folder.path}: it does not say how long its clips are: add --model-arg max_frames=...")
    return on_grid(frames, grid, up=False)
