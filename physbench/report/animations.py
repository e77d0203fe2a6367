"""Small looping animations for the report: truth on the left, the prediction on the right, in step.

Animated WebP plays in every browser without a script. A still frame replaces it where the reader prefers no motion.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from physbench.report.film_strips import FRAME_PX

if TYPE_CHECKING:
    from PIL.Image import Image

Frames = NDArray[np.uint8]

RATE = 10  # frames/s at least, of faster clips every second or third frame
LEAST_RATE = 4  # frames/s, of what would be too large otherwise
SIDE_GAP, BAR = 4, 3  # px between the two, height of the bar that shows the time
PAUSE = 900  # ms on the last frame
GREYS_AS_ONE = 8  # grey levels that count as one: half the bytes, and no artefact that looks like the model's
MOST_ANIMATION_BYTES = 60_000  # of an animation; a larger one keeps every second frame
GREY, GAP_COLOUR, TRACK, RUN = (132, 132, 132), (20, 20, 20), (68, 68, 68), (236, 236, 236)


@dataclass(frozen=True)
class Animation:
    """An animation for the template."""

    moving: str  # data URI of an animated WebP
    still: str  # data URI of one of its frames
    width: int  # px
    height: int
    seconds: float  # of the clip


def play(truth: Frames, prediction: Frames, fps: float) -> Animation | None:
    """Truth and prediction (T, H, W, 3) side by side; where the prediction has ended its half is grey.

    None where this Pillow writes no WebP.
    """
    from PIL import features

    if not features.check("webp"):
        return None
    step = max(1, int(fps // RATE))
    while True:
        shown = list(range((len(truth) - 1) % step, len(truth), step))  # ends with the last frame
        ahead = [prediction[i] if i < len(prediction) else None for i in shown]
        pictures = [_picture(truth[i], frame, (i + 1) / len(truth)) for i, frame in zip(shown, ahead, strict=True)]
        durations = [round(1000 * step / fps)] * len(shown)
        durations[-1] += PAUSE
        moving = _webp(pictures, durations)
        if len(moving) <= MOST_ANIMATION_BYTES or fps / step < 2 * LEAST_RATE:
            break
        step *= 2
    width, height = pictures[0].size
    still = _webp([pictures[len(pictures) // 2]], [])
    return Animation(_uri(moving), _uri(still), width, height, len(truth) / fps)


def _picture(truth: Frames, prediction: Frames | None, done: float) -> Image:
    from PIL import Image

    height, width = truth.shape[:2]
    scale = min(1.0, FRAME_PX / max(height, width))
    size = (round(width * scale), round(height * scale))
    whole = Image.new("RGB", (2 * size[0] + SIDE_GAP, size[1] + BAR), GREY)
    whole.paste(GAP_COLOUR, (size[0], 0, size[0] + SIDE_GAP, size[1]))
    for frame, x in ((truth, 0), (prediction, size[0] + SIDE_GAP)):
        if frame is not None:
            small = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))
            whole.paste(Image.fromarray(small // GREYS_AS_ONE * GREYS_AS_ONE + GREYS_AS_ONE // 2), (x, 0))
    whole.paste(TRACK, (0, size[1], whole.width, whole.height))
    whole.paste(RUN, (0, size[1], round(done * whole.width), whole.height))
    return whole


def _webp(pictures: Sequence[Image], durations: Sequence[int]) -> bytes:
    target = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:], "duration": list(durations), "loop": 0}
    pictures[0].save(target, "WEBP", lossless=True, method=4, **(more if durations else {}))
    return target.getvalue()


def _uri(picture: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(picture).decode("ascii")
