"""Tracks: what was seen of each object, frame by frame; on disk, and from predicted states."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.support.files import NOT_ARRAYS, read_sealed_npz, write_sealed_npz
from physbench.world.camera import depth_axis, px_from_world


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
    #: (T, 4) of the camera that should stand still, or keep to its path: shift in x and y px, zoom and turn in rad
    #: about the middle of the picture. Positions and areas are those without it. None without pictures, as what follows
    camera: NDArray[np.float64] | None = None
    #: (T, 3, 3) homographies from px of the positions, the picture of the camera at rest, to px of the frames; None
    #: where it does not move
    framing: NDArray[np.float64] | None = None
    scenery: NDArray[np.int64] | None = None  #: (F,) indices in the scene of fixed bodies without a hue that are read
    scenery_off: NDArray[np.float64] | None = None  #: (T, F) px by which they are off, besides the camera
    scenery_lost: NDArray[np.bool_] | None = None  #: (T, F) where a frame shows that they are gone, or other


# Tracks on disk.


def save_tracks(path: Path, tracks: Tracks) -> None:
    """Write tracks as .npz without pickle."""
    known = {name: value for name, value in vars(tracks).items() if value is not None}
    write_sealed_npz(path, {**known, "names": np.array(tracks.names)})


def load_tracks(path: Path) -> Tracks:
    """Read what `save_tracks` wrote. Raises UsageError where there is nothing, or nothing that can be read."""
    try:
        fields: dict[str, Any] = dict(read_sealed_npz(path))
        fields["names"] = tuple(str(name) for name in fields["names"])
        fields["context"] = int(fields["context"])
        return Tracks(**fields)
    except NOT_ARRAYS as error:
        raise UsageError(f"{path}: cannot be read ({error}). Resume the run to make it again.") from error


# Tracks of predicted states: exact places, without a camera, a renderer or a tracker.


FARTHEST = 100.0  # m from the middle of the window; a body beyond it is gone


def state_tracks(clip: Clip, context: int, states: Array) -> Tracks:
    """Tracks of a clip's context and of states (T, K, 13) after it; moments that are missing at the end are absent.

    Every body is seen whole, wherever it is: nothing hides it, and no border cuts it. Its place is exact, with an sd of
    0. It is unknown where the body has left its plane of motion. A body that has left for good is absent.
    """
    window = clip.window(context)
    world = clip.states[window][:, list(clip.tracked), :3].copy()
    depth = depth_axis(clip.scene.camera)
    plane = world[context:, :, depth].copy()
    world[context:] = np.nan
    world[context : context + len(states)] = states[: len(plane), :, :3]
    diameter = np.maximum(clip.diameters()[window], 1e-9)
    with np.errstate(invalid="ignore"):
        # diameters from the plane of motion; beyond it a body has no place there
        out = np.abs(world[context:, :, depth] - plane) > 0.1 * diameter[context:]
        there = np.abs(world - np.asarray(clip.scene.camera.center)).max(axis=-1) <= FARTHEST  # False where NaN
    world[context:, :, depth] = plane  # seen from straight ahead: depth moves nothing in the picture
    position = px_from_world(clip.scene.camera, clip.spec, world)
    known = there.copy()
    known[context:] &= ~out
    position[~known] = np.nan
    whole = clip.full_area[window][:, list(clip.tracked)].astype(np.float64)
    return Tracks(
        names=tuple(body.name for body in clip.tracked_bodies),
        times=clip.times[window],
        context=context,
        position=position,
        position_sd=np.where(known, 0.0, np.nan),
        area=np.where(there, whole, 0.0),
        hue=np.where(there, 0.0, np.nan),
        state=np.where(there, Visibility.VISIBLE, Visibility.ABSENT).astype(np.uint8),
        duplicates=np.zeros(there.shape, dtype=np.uint8),
        hallucinations=np.zeros(len(there), dtype=np.uint8),
    )
