"""What the signature of a diffusers pipeline does not say: a table of classes, and classes that are refused.

This module imports neither torch nor diffusers. Sizes and rates are those of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Condition = Literal["image", "video", "conditions", "mask"]


def _no_arguments(context: int, frames: int) -> dict[str, Any]:
    return {}


def _latent_context_of_cosmos(context: int, frames: int) -> dict[str, Any]:
    """Cosmos 2.5 keeps the last 1 or 5 frames, which it counts in latent frames of 1 and 4 frames."""
    return {"num_latent_conditional_frames": 1 if context == 1 else 2}


def _clean_latents_of_cosmos3(context: int, frames: int) -> dict[str, Any]:
    """Cosmos 3 counts the frames that it keeps in latent frames of 1 and 4 frames, and keeps the first by default."""
    return {"condition_frame_indexes_vision": tuple(range((context - 1) // 4 + 1)), "condition_video_keep": "last"}


def _overlap_of_skyreels(context: int, frames: int) -> dict[str, Any]:
    """SkyReels V2 needs the length of its prefix; one window, as the harness continues longer clips itself."""
    return {"overlap_history": context, "base_num_frames": frames}


@dataclass(frozen=True)
class Quirk:
    """How one pipeline class is called.

    Attributes:
        condition: Parameter that takes the context: one image, a video, LTX conditions, or a video with a mask.
        fps: Rate of the clips in frames/s.
        size: (height, width) in px that the checkpoints were trained at.
        multiple: Sides are multiples of this, in px.
        frames: Frames of one call, context included; None: from the checkpoint or the signature.
        context: Context frames, of the form ratio * k + 1.
        most_context: Context frames, at most; None: any number.
        ratio: Frames per latent frame where the autoencoder's config does not say it.
        fps_argument: Value for the parameter `fps` or `frame_rate`; None: the rate of the clips.
        fixed_length: Whether `frames` are asked for at every call, as other lengths change the motion or fail.
        arguments: Further arguments, from the numbers of context frames and of frames asked for.
        context_twice: Whether the answer begins with the context as given and, after it, as decoded again.
        note: A sentence for the reader of a run.
    """

    condition: Condition
    fps: float
    size: tuple[int, int]
    multiple: int
    frames: int | None = None
    context: int = 1
    most_context: int | None = None
    ratio: int = 4
    fps_argument: float | None = None
    fixed_length: bool = False
    arguments: Callable[[int, int], dict[str, Any]] = _no_arguments
    context_twice: bool = False
    note: str = ""


QUIRKS: Mapping[str, Quirk] = {
    "CosmosVideoToWorldPipeline": Quirk("video", 30, (704, 1280), 16, 121, context=9, ratio=8),
    "Cosmos2VideoToWorldPipeline": Quirk(
        "video",
        16,
        (704, 1280),
        16,
        93,
        context=5,
        fps_argument=24,
        note="The argument fps is 24, at which positions in time are not stretched; the pipeline's default is 16.",
    ),
    "Cosmos2_5_PredictBasePipeline": Quirk(
        "video", 16, (704, 1280), 16, 93, context=5, most_context=5, arguments=_latent_context_of_cosmos
    ),
    "Cosmos3OmniPipeline": Quirk(
        "video",
        24,
        (720, 1280),
        16,
        189,
        context=5,
        arguments=_clean_latents_of_cosmos3,
        note="Sentences on size and length are added to the prompt (add_resolution_template, add_duration_template).",
    ),
    "LTX2ConditionPipeline": Quirk("conditions", 24, (512, 768), 32, 121, context=9, ratio=8),
    "LTX2ImageToVideoPipeline": Quirk(
        "image",
        24,
        (512, 768),
        32,
        121,
        ratio=8,
        note="The image is compressed with H.264 first, as in training (image_crf; 0: not).",
    ),
    "LTXConditionPipeline": Quirk("conditions", 25, (512, 704), 32, 161, context=9, ratio=8),
    "LTXImageToVideoPipeline": Quirk("image", 25, (512, 704), 32, 161, ratio=8),
    "WanImageToVideoPipeline": Quirk("image", 16, (480, 832), 16, 81),
    "WanVACEPipeline": Quirk("mask", 16, (480, 832), 16, 81, context=17),
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": Quirk(
        "video",
        24,
        (544, 960),
        16,
        97,
        context=17,
        arguments=_overlap_of_skyreels,
        context_twice=True,
    ),
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": Quirk("image", 24, (544, 960), 16, 97),
    "SkyReelsV2ImageToVideoPipeline": Quirk("image", 24, (544, 960), 16, 97),
    "CogVideoXImageToVideoPipeline": Quirk("image", 8, (480, 720), 8, 49, fixed_length=True),
    "HunyuanVideoImageToVideoPipeline": Quirk("image", 24, (720, 1280), 16, 129),
    "StableVideoDiffusionPipeline": Quirk(
        "image",
        8,
        (576, 1024),
        8,
        ratio=1,
        fixed_length=True,
        note="Noise of 0.02 is added to the image (noise_aug_strength).",
    ),
}

# Classes that make videos from text, and those that continue frames with the same components.
CONTINUED_BY: Mapping[str, tuple[str, ...]] = {
    "LTX2Pipeline": ("LTX2ConditionPipeline", "LTX2ImageToVideoPipeline"),
    "LTXPipeline": ("LTXConditionPipeline", "LTXImageToVideoPipeline"),
    "SkyReelsV2DiffusionForcingPipeline": (
        "SkyReelsV2DiffusionForcingVideoToVideoPipeline",
        "SkyReelsV2DiffusionForcingImageToVideoPipeline",
    ),
    "WanPipeline": ("WanImageToVideoPipeline",),
}

_EDITS = "changes a video that it is given instead of continuing it"
_ENLARGES = "enlarges a video that it is given instead of continuing it"
REFUSED: Mapping[str, str] = {
    "AnimateDiffVideoToVideoControlNetPipeline": _EDITS,
    "AnimateDiffVideoToVideoPipeline": _EDITS,
    "CogVideoXFunControlPipeline": "follows a control video of the whole clip, which would show it the future",
    "CogVideoXVideoToVideoPipeline": _EDITS,
    "Cosmos2_5_TransferPipeline": "follows a control video of the whole clip, which would show it the future",
    "LTX2InContextPipeline": "follows a reference video of the whole clip, which would show it the future",
    "LTX2LatentUpsamplePipeline": _ENLARGES,
    "LTXLatentUpsamplePipeline": _ENLARGES,
    "VideoToVideoSDPipeline": _EDITS,
    "WanAnimatePipeline": "follows a driving video of the whole clip, which would show it the future",
    "WanVideoToVideoPipeline": _EDITS,
}
GUARDED = "Cosmos"  # pipelines of this family are licensed with a safety checker
GUARDRAIL_PACKAGE = "cosmos_guardrail"


def refusal(class_name: str) -> str | None:
    """Why pipelines of this class cannot be evaluated, in a sentence; None where nothing speaks against it."""
    return f"{class_name} {REFUSED[class_name]}." if class_name in REFUSED else None


def continuing_classes(class_name: str) -> str:
    """ " Add --model-arg pipeline=...": classes that continue frames with the components of one that does not."""
    others = CONTINUED_BY.get(class_name, ())
    if not others:
        return ""
    return f" The same components continue frames: add --model-arg pipeline={' or pipeline='.join(others)}."
