"""Windows of a film: what a model of frames is shown, what it is to predict, and how wrong the prediction is.

Every WINDOW_STRIDE s a model is shown the last C true frames and predicts those of the next PREDICTED_SPAN s. The
surprise of a window is the mean squared error of these frames. It is filed under the last of them: what it depends on
has all happened then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.errors import UsageError
from physbench.validation.violations.lawful_effects import WHITE_LEVEL

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

PREDICTED_SPAN = 0.2  # s that are predicted
WINDOW_STRIDE = 0.1  # s from one prediction to the next
SHOWN_BEFORE = 1.0  # s before the hand-over from which on surprise is read, for a model's own usual level


@dataclass(frozen=True, eq=False)
class WindowGrid:
    """The windows of all films of a clip. N windows."""

    starts: NDArray[np.int64]  # (N,) index of the last frame that is shown
    ahead: int  # frames that are predicted
    context: int  # frames that are shown
    times: Array  # (N,) s of the last predicted frame

    @property
    def ends(self) -> NDArray[np.int64]:
        """Index (N,) of the last predicted frame."""
        return self.starts + self.ahead

    def unaffected(self, first: int) -> NDArray[np.bool_]:
        """Which windows (N,) show and predict nothing of the frames from index `first` on."""
        return np.asarray(self.ends < first)


def window_grid(clip: Clip, context: int) -> WindowGrid:
    """The windows of the films of a clip, one of them at the hand-over.

    Raises UsageError where the film is shorter than what the model is shown and predicts.
    """
    ahead, stride = (max(1, int(span * clip.spec.fps + 0.5)) for span in (PREDICTED_SPAN, WINDOW_STRIDE))
    earliest = max(context - 1, clip.handover - int(SHOWN_BEFORE * clip.spec.fps))
    starts = np.arange(clip.handover - (clip.handover - earliest) // stride * stride, len(clip.times) - ahead, stride)
    starts = starts[starts >= context - 1]
    if not (starts >= clip.handover).any():
        raise UsageError(
            f"A film of {clip.id} has {len(clip.times)} frames, of which the model is shown {context} before the first "
            f"{ahead} that it predicts: nothing is left. Give it a shorter context."
        )
    return WindowGrid(starts, ahead, context, clip.times[starts + ahead])


def window_clip(clip: Clip, grid: WindowGrid, number: int) -> Clip:
    """One window of a film, given as a clip: its hand-over is the last frame that is shown."""
    start = int(grid.starts[number])
    part = slice(start + 1 - grid.context, start + 1 + grid.ahead)
    return replace(
        clip,
        times=clip.times[part] - clip.times[start],
        frames=clip.frames[part],
        states=clip.states[part],
        visible_area=clip.visible_area[part],
        full_area=clip.full_area[part],
    )


def targets(frames: Image, grid: WindowGrid, number: int) -> Image:
    """The true frames (ahead, H, W, 3) of a window."""
    start = int(grid.starts[number])
    return frames[start + 1 : start + 1 + grid.ahead]


def squared_error(predicted: Image | Array, true: Image) -> float:
    """Mean squared error of frames (..., 3), predicted ones in 0..255; in units of white squared."""
    return float(np.mean((np.asarray(predicted, dtype=np.float64) - true) ** 2)) / WHITE_LEVEL**2
