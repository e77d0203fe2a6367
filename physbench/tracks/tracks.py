"""What the tracker saw of each object in a sequence of frames."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Visibility(IntEnum):
    """State of an object in a frame, as the tracker saw it."""

    VISIBLE = 0
    CLIPPED = 1  # by the image border
    OCCLUDED = 2  # ground truth shows less than a quarter of it and nothing was seen
    ABSENT = 3  # should be seen and is not


@dataclass(frozen=True, eq=False)
class Tracks:
    """Tracks of the K objects with a hue over the T = context + horizon frames of a model's window.

    The first `context` frames are the ones that the model was given. A position is NaN where it is not known: the
    object was not seen, or what was seen of it does not determine its centre; then `area` still tells its presence.
    """

    names: tuple[str, ...]  #: (K,)
    times: NDArray[np.float64]  #: (T,) s
    context: int  #: frames that the model was given
    position: NDArray[np.float64]  #: (T, K, 2) px, see physbench.world.camera
    position_sd: NDArray[np.float64]  #: (T, K) px
    area: NDArray[np.float64]  #: (T, K) px within the outline at half of the chroma that its own inside has
    hue: NDArray[np.float64]  #: (T, K) degrees -180..180 from the object's own hue, NaN where not seen
    state: NDArray[np.uint8]  #: (T, K) Visibility
    duplicates: NDArray[np.uint8]  #: (T, K) further blobs of the object's own hue
    hallucinations: NDArray[np.uint8]  #: (T,) blobs that neither the scene nor its objects explain
    #: (T, K) chroma of its inside over that in the context frames, NaN where not seen; None without pictures
    chroma: NDArray[np.float64] | None = None
    #: (T, K) how far its outline is from its own: above 1 another shape; NaN where not judged; None without pictures
    shape: NDArray[np.float64] | None = None
    #: (T, 4) of the camera that should stand still: shift in x and y px, zoom and turn in rad about the middle of the
    #: picture. Positions and areas are those without it. None without pictures, as the following
    camera: NDArray[np.float64] | None = None
    scenery: NDArray[np.int64] | None = None  #: (F,) indices in the scene of fixed bodies without a hue that are read
    scenery_off: NDArray[np.float64] | None = None  #: (T, F) px by which they are off, besides the camera
    scenery_lost: NDArray[np.bool_] | None = None  #: (T, F) where a frame shows that they are gone, or other
