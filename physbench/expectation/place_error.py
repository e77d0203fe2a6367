"""How far a prediction puts the coloured bodies of a film from where they are: surprise in tracks.

Bodies are told apart by hue, with the labels of the tracker; a body is where the chroma of its hue is. That is read
in the predicted frames and in the true ones, so that a film with an impossible event needs no other knowledge than
any film.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.colour import Colours, colours_of
from physbench.tracks.label_maps import coarse, shrink
from physbench.world.camera import pixels_per_metre
from physbench.world.silhouettes import apparent_radius

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

LEAST_BODY_SHARE = 0.1  # of the area of a body; what shows less of it is not seen
MOST_PLACE_ERROR = 1.0  # diameters; so much for a body that is further off, or seen in one of two frames alone


def place_error(clip: Clip, predicted: Image, true: Image) -> float:
    """Mean distance of the bodies in predicted frames (T, H, W, 3) from those in the true ones, in their diameters.

    A body that only one of two frames shows counts MOST_PLACE_ERROR, one that neither shows nothing. 0 without bodies.
    """
    bodies = clip.tracked_bodies
    if not bodies:
        return 0.0
    scale = pixels_per_metre(clip.scene.camera, clip.spec)
    diameters = np.array([2 * apparent_radius(body, clip.scene.camera) * scale for body in bodies])
    colours = colours_of(tuple(body.hue for body in bodies if body.hue is not None), torch.device("cpu"))
    places = coloured_places(np.concatenate([predicted, true]), colours, LEAST_BODY_SHARE * np.pi / 4 * diameters**2)
    ours, theirs = places[: len(predicted)], places[len(predicted) :]
    far = np.linalg.norm(ours - theirs, axis=-1) / diameters
    seen = np.isfinite(ours[..., 0]).astype(int) + np.isfinite(theirs[..., 0])
    return float(np.mean(np.where(seen == 2, np.fmin(far, MOST_PLACE_ERROR), MOST_PLACE_ERROR * (seen == 1))))


def coloured_places(frames: Image, colours: Colours, least: Array) -> Array:
    """Places (N, K, 2) px of K hues in frames (N, H, W, 3); NaN where a hue covers less than `least` (K,) px."""
    small, factor = shrink(torch.from_numpy(np.ascontiguousarray(frames)))
    maps = coarse(small, colours)
    factor *= maps.factor
    pooled = maps.pooled.to(torch.float64)
    chroma = pooled.amax(-1) - pooled.amin(-1)
    rows, columns = (torch.arange(side, dtype=torch.float64) + 0.5 for side in chroma.shape[1:])
    found = np.full((len(frames), colours.count, 2), np.nan)
    for k in range(colours.count):
        here = maps.labels == 1 << k
        weight = chroma * here
        total = weight.sum((1, 2)).clamp(min=1e-9)
        middle = torch.stack([(weight.sum(1) @ columns) / total, (weight.sum(2) @ rows) / total], dim=-1) * factor
        seen = (here.sum((1, 2)) * factor**2).numpy() >= least[k]
        found[seen, k] = middle.numpy()[seen]
    return found
