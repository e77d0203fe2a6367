"""The conditioning image of a clip at the scored size: that of the export where it is there, else drawn again."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.clips.conditioning import ClipAsked
from physbench.clips.generate import make_scene
from physbench.world.scene import RenderSpec

MAX_IMAGE_BYTES = 64 * 2**20

Image = NDArray[np.uint8]


def conditioning_image(
    clip: ClipAsked, places: Sequence[Path], size: tuple[int, int], resample: Callable[[Image], Image], spec: RenderSpec
) -> Image:
    """The image (H, W, 3) that a model was shown of a clip, at the scored size.

    Args:
        clip: The clip, with what makes it.
        places: Folders that may be that of the export.
        size: (height, width) px of the export.
        resample: From the exported to the scored size.
        spec: Scored size and rate.
    """
    for folder in places:
        image = exported_image(folder, clip)
        if image is not None and image.shape[:2] == size:
            return resample(image)
    return drawn_image(clip.row, spec)


def exported_image(folder: Path, clip: ClipAsked) -> Image | None:
    """The image of the export in a folder, or None: it is not there, or not the one that was exported."""
    import av

    name = PurePosixPath(clip.files.image)
    if name.is_absolute() or ".." in name.parts:
        return None
    path = folder / name
    try:
        if path.is_symlink() or path.stat().st_size > MAX_IMAGE_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != clip.sha256.get("image"):
        return None
    with av.open(io.BytesIO(content), "r", format="png_pipe") as container:
        frame: Any = next(container.decode(video=0))
    image: Image = frame.to_ndarray(format="rgb24")
    return image


def drawn_image(row: Row, spec: RenderSpec) -> Image:
    """The frame (H, W, 3) at time 0, simulated and drawn; nothing after it is."""
    from physbench.looks.known_looks import draw
    from physbench.world.stepping import simulate

    scene, now = make_scene(row), np.zeros(1)
    frame: Image = draw(scene, now, simulate(scene, now).states, spec).frames[0]
    return frame
