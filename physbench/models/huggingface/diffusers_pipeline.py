"""Rolls out a diffusers pipeline: hands it the last context frames, and checks and cuts what comes back."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from physbench.models.huggingface.diffusers_folder import is_modular
from physbench.models.huggingface.diffusers_load import NOISE_NETWORKS
from physbench.models.huggingface.diffusers_plan import PipelinePlan
from physbench.models.networks import take_weights
from physbench.support.errors import ModelError


class DiffusersModel:
    """A pipeline as a FrameModel. Clips are rolled out one by one, as some pipelines fail on several or mix them."""

    def __init__(self, plan: PipelinePlan, pipe: Any, run_settings: dict[str, str]) -> None:
        self.plan = plan
        self.pipe = pipe
        self.card = plan.card
        self.run_settings = run_settings

    def rollout(
        self,
        context: Tensor,
        *,
        horizon: int,
        actions: Tensor | None,
        prompts: Sequence[str],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Continue B clips; see `FrameModel.rollout`. Raises ModelError where an answer has other frames than asked."""
        answers = [
            self._continue(frames, horizon, rows, prompt, generator)
            for frames, rows, prompt, generator in zip(
                context, [None] * len(context) if actions is None else actions, prompts, generators, strict=True
            )
        ]
        return torch.stack(answers).to(context.device)

    def redraw(self) -> None:
        """Forget what was learned, see `redraw_pipeline`."""
        redraw_pipeline(self.pipe, self.card.name)

    def _continue(
        self, context: Tensor, horizon: int, actions: Tensor | None, prompt: str, generator: torch.Generator
    ) -> Tensor:
        """Continue one clip: (C, 3, H, W) and actions (C + horizon, width) -> (horizon, 3, H, W)."""
        plan = self.plan
        height, width = context.shape[-2:]
        frames_requested = plan.requested_frames(horizon)
        shown = fit(context[-plan.context :].float(), plan.size)
        arguments = call_arguments(plan, shown, frames_requested, prompt, generator, actions)
        with seeded_globals(generator):
            output = self.pipe(**arguments)
        frames = frames_of(output)
        self._check(frames, frames_requested)
        new = frames[plan.prefix : plan.prefix + horizon]
        refuse_repetition(new)
        return unfit(new.float(), (height, width)).to(context.dtype)

    def _check(self, frames: Tensor, frames_requested: int) -> None:
        """Refuse frames (T, 3, H, W) of another number, size or number of channels than those asked for."""
        plan = self.plan
        wanted = plan.frames_returned(frames_requested)
        if frames.ndim != 4 or frames.shape[1] != 3:
            raise ModelError(
                f"{plan.kind.__name__} answered with {tuple(frames.shape)}; expected frames of 3 channels."
            )
        if len(frames) != wanted:
            raise ModelError(f"{plan.kind.__name__} answered with {len(frames)} frames; expected {wanted}.")
        if tuple(frames.shape[-2:]) != plan.size:
            height, width = frames.shape[-2:]
            raise ModelError(
                f"{plan.kind.__name__} answered with {width}x{height} px; expected {plan.size[1]}x{plan.size[0]}. "
                f"Try --model-arg width={width} --model-arg height={height}."
            )


def redraw_pipeline(pipe: Any, name: str) -> None:
    """Draw the networks anew that predict noise. What encodes texts and pictures stays: it foresees nothing."""
    for part in NOISE_NETWORKS:
        network = getattr(pipe, part, None)
        if network is not None:
            take_weights(network, type(network).from_config(network.config), name)


def call_arguments(
    plan: PipelinePlan,
    shown: Tensor,
    frames_requested: int,
    prompt: str,
    generator: torch.Generator,
    actions: Tensor | None = None,
) -> dict[str, Any]:
    """The arguments of a pipeline's call that shows it frames (C, 3, H, W) and asks for so many, these included.

    actions: (C + horizon, width), for a plan that passes them; None: nothing is done.
    """
    arguments = {
        **plan.arguments,
        **condition(plan, shown, frames_requested),
        **plan.quirk.arguments(plan.context, frames_requested),
    }
    if "prompt" in plan.parameters:
        arguments["prompt"] = plan.settings.get("prompt", prompt)
    arguments |= {"generator": generator, "output_type": "pt"}
    if plan.actions is not None:
        arguments |= plan.actions.arguments(actions, pictures(shown[-1:])[0], frames_requested)
        if plan.actions.condition is not None:  # picture, size and length are in it
            arguments.pop("image")
            return arguments
    for name, side in zip(("height", "width"), plan.size, strict=True):
        if name in plan.parameters:
            arguments[name] = side
    if is_modular(plan.kind):
        arguments["output"] = "videos"  # else all that its blocks have made comes back
    return {**arguments, plan.frame_parameter: frames_requested}


def condition(plan: PipelinePlan, shown: Tensor, frames_requested: int) -> dict[str, Any]:
    """The arguments that hold the context (C, 3, H, W)."""
    images = pictures(shown)
    match plan.quirk.condition:
        case "image":
            return {"image": images[-1]}
        case "video":
            return {"video": images}
        case "conditions":
            return {"conditions": [ltx_condition(plan.kind.__name__, images)]}
    return {"video": images + grey(shown, frames_requested), "mask": mask(shown, frames_requested)}


def ltx_condition(class_name: str, images: list[Any]) -> Any:
    """Beginning of a clip, as LTX pipelines take it."""
    if class_name.startswith("LTX2"):
        from diffusers.pipelines.ltx2.pipeline_ltx2_condition import LTX2VideoCondition

        return LTX2VideoCondition(frames=images, index=0)
    from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition

    return LTXVideoCondition(video=images, frame_index=0)


@contextmanager
def seeded_globals(generator: torch.Generator) -> Iterator[None]:
    """Seed the global generators from the state of a clip's own, and restore them.

    What a pipeline draws from them is then that of the clip, whatever was rolled out before it. The state is read, not
    advanced, and differs from call to call along a clip.
    """
    digest = hashlib.sha256(generator.get_state().numpy().tobytes()).digest()
    seed = int.from_bytes(digest[:4], "little")
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one is meant
    with torch.random.fork_rng([generator.device] if generator.device.type == "cuda" else []):
        try:
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def pictures(frames: Tensor) -> list[Any]:
    """(T, 3, H, W) in [0, 1] -> PIL images, which every pipeline reads in the same way."""
    from PIL import Image

    levels = frames.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()  # (T, H, W, 3)
    return [Image.fromarray(frame) for frame in levels]


def grey(shown: Tensor, frames_requested: int) -> list[Any]:
    """Grey images for the frames that are to be made."""
    from PIL import Image

    height, width = shown.shape[-2:]
    return [Image.new("RGB", (width, height), (128, 128, 128))] * (frames_requested - len(shown))


def mask(shown: Tensor, frames_requested: int) -> list[Any]:
    """Black masks for the frames that are given, white ones for those that are to be made."""
    from PIL import Image

    height, width = shown.shape[-2:]
    return [Image.new("L", (width, height), 255 * (index >= len(shown))) for index in range(frames_requested)]


def inner_size(size: tuple[int, int], outer: tuple[int, int]) -> tuple[int, int]:
    """The largest size of the aspect of `size` that fits into `outer`; (height, width) in px."""
    scale = min(outer[0] / size[0], outer[1] / size[1])
    return min(outer[0], round(size[0] * scale)), min(outer[1], round(size[1] * scale))


def fit(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale frames (T, 3, H, W) into `size`, the aspect kept; what is left at two sides repeats the border."""
    if tuple(frames.shape[-2:]) == size:
        return frames
    height, width = inner_size((frames.shape[-2], frames.shape[-1]), size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    scaled = resized(frames, (height, width))
    return pad(scaled, (left, size[1] - width - left, top, size[0] - height - top), mode="replicate")


def unfit(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo `fit`: cut the borders off and scale to `size`."""
    outer = (frames.shape[-2], frames.shape[-1])
    if outer == size:
        return frames
    height, width = inner_size(size, outer)
    top, left = (outer[0] - height) // 2, (outer[1] - width) // 2
    return resized(frames[..., top : top + height, left : left + width], size)


def resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic, with a filter against aliasing where frames become smaller."""
    if tuple(frames.shape[-2:]) == size:
        return frames
    return interpolate(frames, size=size, mode="bicubic", antialias=True).clamp(0, 1)


def frames_of(output: Any) -> Tensor:
    """The frames (T, 3, H, W) in [0, 1] of the first video of a pipeline's output. Raises ModelError."""
    results = ("frames", "video", "videos", "images")
    name = next((name for name in results if getattr(output, name, None) is not None), None)
    if name is None and not isinstance(output, Tensor):
        raise ModelError(f"A {type(output).__name__} came back; expected one with {', '.join(results)}.")
    videos = output if name is None else getattr(output, name)
    video = videos[0] if len(videos) else None
    if getattr(videos, "ndim", 5) == 4:  # Cosmos 3 answers with one video, not with a batch of one
        video = videos
    if isinstance(video, Tensor):
        return video
    if isinstance(video, np.ndarray):  # (T, H, W, 3)
        return torch.from_numpy(video).movedim(-1, 1)
    if isinstance(video, list) and video:
        return torch.from_numpy(np.stack([np.asarray(frame, dtype=np.float32) / 255 for frame in video])).movedim(-1, 1)
    raise ModelError(f"A {type(output).__name__} with no video in '{name}' came back.")


def refuse_repetition(frames: Tensor) -> None:
    """Refuse frames (T, 3, H, W) that are mostly copies of those before them. Raises ModelError."""
    same = (frames[1:] == frames[:-1]).flatten(1).all(1)
    # Where half of three or more steps from frame to frame change nothing, a video is played slower than asked for
    if len(same) >= 3 and not same.all() and same.float().mean() >= 0.5:
        different = int((~same).sum()) + 1
        raise ModelError(
            f"Only {different} of {len(frames)} frames that came back differ, the others repeat the one before: motion "
            "would be slower than it is. Is the number of frames one that the pipeline can make?"
        )
