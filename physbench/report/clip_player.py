"""The frames of one clip for the player of the page: truth at the left, the prediction at the right, in step.

All moments lie below each other in one lossless picture, which the page draws one at a time: a reader can stop, step
and go back, which an animation does not allow. What repeats from frame to frame costs next to nothing.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.report.film_strips import FRAME_PX

Frames = NDArray[np.uint8]

RATE = 10  # frames/s at least, of faster clips every second or third frame
LEAST_RATE = 4  # frames/s, of what would be too large otherwise
SIDE_GAP = 4  # px between the two
GREYS_AS_ONE = 8  # grey levels that count as one: half the bytes, and no artefact that looks like the model's
MOST_SHEET_BYTES = 90_000  # of a picture; a larger one keeps every second frame
MOST_HEIGHT = 16_383  # px, of WebP
ENDED, GAP_COLOUR = 132, 20


@dataclass(frozen=True)
class Player:
    """A player for the template."""

    clip: str
    sheet: str  # data URI of the picture with all moments
    width: int  # px of one moment
    height: int
    times: tuple[float, ...]  # s from the hand-over, of each moment
    breaks: tuple[float, ...]  # s, marks on the time line

    @property
    def moments(self) -> int:
        """How many moments there are."""
        return len(self.times)

    @property
    def seconds(self) -> float:
        """Time of the last one, s."""
        return self.times[-1]

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Of each break: its place on the time line from the first moment (0) to the last (1), and its time in s."""
        first, last = self.times[0], self.times[-1]
        span = max(last - first, 1e-9)
        return tuple((round(min(max((time - first) / span, 0.0), 1.0), 4), time) for time in self.breaks)


def player(
    clip: str,
    truth: Frames,
    prediction: Frames,
    fps: float,
    breaks: Sequence[float] = (),
    quality: int | None = None,
) -> Player | None:
    """Truth and prediction (T, H, W, 3) side by side; where the prediction has ended its half is grey.

    quality: of the pictures, 0 to 100; None: lossless. None where this Pillow writes no WebP.
    """
    from PIL import features

    if not features.check("webp"):
        return None
    step = max(1, int(fps // RATE))
    while True:
        shown = list(range((len(truth) - 1) % step, len(truth), step))  # ends with the last frame
        moments = [_moment(truth[i], prediction[i] if i < len(prediction) else None) for i in shown]
        small = len(moments) * len(moments[0]) <= MOST_HEIGHT
        packed = _webp(np.concatenate(moments), quality) if small else b""
        if small and (len(packed) <= MOST_SHEET_BYTES or fps / step < 2 * LEAST_RATE):
            break
        step *= 2
    height, width = moments[0].shape[:2]
    uri = "data:image/webp;base64," + base64.b64encode(packed).decode("ascii")
    times = tuple(round((i + 1) / fps, 4) for i in shown)
    return Player(clip, uri, width, height, times, tuple(sorted({round(time, 2) for time in breaks})))


def _moment(truth: Frames, prediction: Frames | None) -> Frames:
    """Both frames beside each other, (h, w, 3)."""
    from PIL import Image

    height, width = truth.shape[:2]
    scale = min(1.0, FRAME_PX / max(height, width))
    w, h = round(width * scale), round(height * scale)
    whole = np.full((h, 2 * w + SIDE_GAP, 3), ENDED, dtype=np.uint8)
    whole[:, w : w + SIDE_GAP] = GAP_COLOUR
    for frame, x in ((truth, 0), (prediction, w + SIDE_GAP)):
        if frame is not None:
            small = np.asarray(Image.fromarray(frame).resize((w, h), Image.Resampling.BOX))
            whole[:, x : x + w] = small // GREYS_AS_ONE * GREYS_AS_ONE + GREYS_AS_ONE // 2
    return whole


def _webp(picture: Frames, quality: int | None) -> bytes:
    from PIL import Image

    target = io.BytesIO()
    how = {"lossless": True, "method": 0} if quality is None else {"quality": quality}  # a tenth of the time of 4
    Image.fromarray(picture).save(target, "WEBP", **how)
    return target.getvalue()
