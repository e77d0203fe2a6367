"""Checks the frames of a model and rounds them to uint8 as soon as they arrive; floats are never kept."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

RANGE_TOLERANCE = 0.49 / 255  # distance outside of [0, 1] that rounding hides
ROUNDED_IN_CACHE = 1 << 17  # values on a CPU: what is checked is rounded while it lies in the processor's cache


class AnswerError(Exception):
    """An answer that breaks the protocol for every clip, so that trying again would not help."""


def iterate_chunks(answer: Any) -> Iterator[Any]:
    """The chunks of an answer: a whole tensor, or an iterator over tensors. Raises AnswerError for other types."""
    if isinstance(answer, Tensor):
        return iter((answer,))
    if isinstance(answer, Iterator):
        return answer
    kind = type(answer).__name__
    hint = ": return the frames alone" if isinstance(answer, tuple | list | dict) else ""
    raise AnswerError(f"Expected a torch.Tensor or an iterator over tensors, got {kind}{hint}.")


@contextmanager
def ended(stream: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """A stream of chunks that is ended on leaving the block, read to its end or not.

    A generator that waits within `with torch.no_grad():` would else leave that block, and switch gradients off for
    whoever goes on, when it is collected.
    """
    try:
        yield stream
    finally:
        if isinstance(stream, Generator):
            stream.close()


def check_chunk(chunk: Any, batch: int, room: int, size: tuple[int, int], context: int) -> Tensor:
    """Check that a chunk is a dense float tensor (batch, t, 3, height, width) with 1 <= t <= room.

    Args:
        chunk: What the model gave.
        batch: Number of clips.
        room: Frames still wanted.
        size: (height, width) px.
        context: Number of context frames, for the hint in the message.

    Raises:
        AnswerError: It is not. The message names the likely mistake.
    """
    if not isinstance(chunk, Tensor):
        raise AnswerError(f"Expected a torch.Tensor of frames, got {type(chunk).__name__}.")
    shape, wanted = tuple(chunk.shape), (batch, room, 3, *size)
    fits = len(shape) == 5 and shape[0] == batch and shape[2:] == (3, *size) and 1 <= shape[1] <= room
    if not fits:
        raise AnswerError(f"Expected frames of shape {wanted}, got {shape}{_shape_hint(shape, wanted, context)}.")
    if not chunk.is_floating_point():
        hint = ": divide by 255" if chunk.dtype == torch.uint8 else ""
        raise AnswerError(f"Expected floating-point frames in [0, 1], got {str(chunk.dtype)[6:]}{hint}.")
    if chunk.layout != torch.strided or chunk.is_meta:
        kind = "a meta tensor, which holds no values" if chunk.is_meta else f"the layout {str(chunk.layout)[6:]}"
        raise AnswerError(f"Expected a dense tensor of frames, got {kind}.")
    return chunk


def _shape_hint(shape: tuple[int, ...], wanted: tuple[int, ...], context: int) -> str:
    batch, room, channels, height, width = wanted
    if len(shape) == 5 and shape == (batch, shape[1], height, width, channels):
        return ": the channels belong before height and width"
    if shape == (room, batch, channels, height, width):
        return ": the batch belongs before time"
    if shape == (batch, room + context, channels, height, width):
        return f": leave out the {context} context frames"
    if len(shape) == 5 and shape[3:] == (width, height) and height != width:
        return ": the card's image_size is (height, width)"
    if shape == (room, channels, height, width):
        return ": the batch dimension is missing"
    return ""


def store_chunk(chunk: Tensor, out: Tensor, first: int, horizon: int) -> dict[int, str]:
    """Check the values of a chunk and round them to uint8.

    Args:
        chunk: Frames (B, t, 3, H, W).
        out: Where they are written: uint8 of the same shape on the CPU. Failed clips are filled with zeros.
        first: Number of the chunk's first frame, from 0, for messages.
        horizon: Number of predicted frames, for messages.

    Returns:
        By position in the batch, why a clip failed: NaN, Inf or values outside of [0, 1] by more than rounding hides.
    """
    failures: dict[int, str] = {}
    for position, clip in enumerate(chunk):
        if not _store_clip(clip, out[position]):
            reason = value_problem(frame_statistics(clip.cpu()), clip[0].numel(), first, horizon)
            assert reason is not None, "some value is wrong"
            failures[position] = reason
            out[position].zero_()
    return failures


def _store_clip(clip: Tensor, out: Tensor) -> bool:
    """Round the frames (t, 3, H, W) of one clip into `out`; False, and only a part of them, where values are wrong."""
    together = max(1, ROUNDED_IN_CACHE // clip[0].numel()) if clip.device.type == "cpu" else len(clip)
    for block, rounded in zip(torch.split(clip, together), torch.split(out, together), strict=True):
        low, high = (bound.item() for bound in block.aminmax())  # NaN if any value is NaN
        if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):
            return False
        # On a CPU torch converts floats to int16, and that to uint8, three times as fast as floats to uint8.
        rounded.copy_(round_levels(block).to(torch.int16).to(torch.uint8))
    return True


def round_levels(frames: Tensor) -> Tensor:
    """Frames in [0, 1] -> levels 0 to 255 and a half more, so that the conversion to uint8 rounds to the nearest."""
    if frames.dtype in (torch.float16, torch.bfloat16):
        frames = frames.float()
    return torch.add(torch.full((), 0.5, dtype=frames.dtype, device=frames.device), frames, alpha=255)


def frame_statistics(frames: Tensor) -> Tensor:
    """What of the values of frames (..., 3, H, W) decides whether they are right.

    Returns:
        (..., 4) float64 on the device of the frames: least and largest value, how many values are not finite, and how
        many of these are NaN.
    """
    within = (-3, -2, -1)
    counts = (frames.isfinite().logical_not().sum(within), frames.isnan().sum(within))
    found = (frames.amin(within), frames.amax(within), *counts)
    return torch.stack([each.to(torch.float64) for each in found], -1)


def is_wrong(statistics: Tensor) -> Tensor:
    """Whether frames hold NaN, Inf or values outside of [0, 1] by more than rounding hides; (...) of (..., 4)."""
    low, high, not_finite, _ = statistics.unbind(-1)
    return (not_finite > 0) | (low < -RANGE_TOLERANCE) | (high > 1 + RANGE_TOLERANCE)


def value_problem(statistics: Tensor, size: int, first: int, horizon: int) -> str | None:
    """What is wrong with the values of one clip's chunk, or None.

    Args:
        statistics: Of its frames (t, 4), see `frame_statistics`, on the CPU.
        size: Number of values of a frame.
        first: Number of the chunk's first frame, from 0.
        horizon: Number of predicted frames.
    """
    wrong = is_wrong(statistics)
    if not bool(wrong.any()):
        return None
    not_finite = statistics[:, 2] > 0
    if bool(not_finite.any()):
        frame = int(not_finite.int().argmax())
        count, nans = (int(value) for value in statistics[frame, 2:])
        kind = "NaN" if nans else "Inf"
        return f"Predicted frame {first + frame + 1} of {horizon} holds {kind} ({count} of {size} values)."
    frame = int(wrong.int().argmax())
    low, high = float(statistics[:, 0].min()), float(statistics[:, 1].max())
    if high > 2:
        hint = "divide by 255"
    elif -1.01 <= low < -0.3:
        hint = "map [-1, 1] to [0, 1] with (x + 1) / 2"
    else:
        hint = "clamp them"
    return (
        f"Expected values in [0, 1], got {low:.3g} to {high:.3g} from predicted frame {first + frame + 1} of {horizon} "
        f"on: {hint}."
    )
