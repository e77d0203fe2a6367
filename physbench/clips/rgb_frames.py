"""Decoded video frames as RGB arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]


def rgb_converter(layout: str = "rgb24") -> Callable[[Any], Frame]:
    """A function that turns PyAV frames of one video into RGB (H, W, 3), by the colour space and range of their tags.

    Transparent pixels keep their colour; the layout "rgba" gives their opacity, too. `frame.to_ndarray(format="rgb24")`
    gives the same, but sets up the conversion anew for each frame, which takes .3 ms, more than decoding a small frame.
    """
    from av.video.reformatter import VideoReformatter

    reformatter, name = VideoReformatter(), ""

    def convert(frame: Any) -> Frame:
        nonlocal reformatter, name
        if frame.format.name != name:  # PyAV 16 would keep the range of colours of the format before
            reformatter, name = VideoReformatter(), frame.format.name
        return np.asarray(reformatter.reformat(frame, format=layout).to_ndarray(), dtype=np.uint8)

    return convert
