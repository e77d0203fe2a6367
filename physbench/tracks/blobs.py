"""Which blob is which object: components of the small label maps, followed from frame to frame.

Runs on the host in numpy; positions of ground truth are never used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from physbench.tracks.colour import UNKNOWN_HUE

MIN_BLOB_AREA = 3.0  # pixels of the label map; fewer are noise
DUPLICATE_SHARE = 0.3  # of an object's area; a further blob of its hue is a duplicate from here on
HALLUCINATION_SHARE = 0.3  # of the smallest object's area
MIN_DURATION = 0.2  # s; an unknown or missing blob that lasts less is a flicker: 3 frames at 15 frames/s
RIVAL_SHARE = 0.05  # of an object's area; smaller blobs beside it are noise
SAME_REACH = 1.4  # radii: two parts of a ball behind a post lie nearer than this, two balls do not

OBJECT_OF = np.array([UNKNOWN_HUE if bits >= UNKNOWN_HUE else int(bits).bit_length() for bits in range(256)])

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Components:
    """Connected areas of one label, by frame."""

    frame: Int  # (M,)
    label: Int  # (M,) k + 1 for object k, UNKNOWN_HUE for an unknown hue
    area: Float  # (M,) px
    centre: Float  # (M, 2) px
    where: Int  # (Q,) labelled pixels of the maps, flat over (N, h, w)
    number: Int  # (Q,) their component


@dataclass(frozen=True, eq=False)
class Choice:
    """The blob that is the object, per frame and object."""

    area: Float  # (N, K) px, 0 where there is none
    centre: Float  # (N, K, 2) px, NaN where there is none
    rival: Float  # (N, K, 2) px, centre of the nearest other blob of its hue, NaN where there is none
    duplicates: NDArray[np.uint8]  # (N, K)
    hallucinations: NDArray[np.uint8]  # (N,)
    known: NDArray[np.bool_]  # (M,) components that are objects, or that are counted as duplicates or unknown hues


def components(labels: NDArray[np.uint8], factor: int) -> Components:
    """Components (8-connected, one label each) of label maps (N, h, w); areas and centres in px of the frames.

    The maps are laid below one another with an empty row between, so that one call labels all frames and hues.
    """
    count, height, width = labels.shape
    tall = np.zeros((count, height + 1, width), dtype=np.uint8)
    tall[:, :height] = labels
    tall = tall.reshape(-1, width)
    where = np.flatnonzero(tall)
    if not len(where):
        none = np.zeros(0, np.int64)
        return Components(none, none, np.zeros(0), np.zeros((0, 2)), none, none)
    connected: NDArray[np.int64] = measure.label(tall, background=0, connectivity=2)  # type: ignore[no-untyped-call]
    number = connected.ravel()[where].astype(np.int64) - 1
    row, column = np.divmod(where, width)
    pixels = np.bincount(number)
    first = np.zeros(len(pixels), dtype=np.int64)
    first[number[::-1]] = where[::-1]  # one pixel of each
    frame = first // (width * (height + 1))
    x = np.bincount(number, column) / pixels + 0.5
    y = np.bincount(number, row) / pixels + 0.5 - frame * (height + 1)
    area = pixels.astype(np.float64) * factor**2
    places = where - where // (width * (height + 1)) * width  # without the empty rows
    return Components(frame, OBJECT_OF[tall.ravel()[first]], area, np.stack([x, y], axis=-1) * factor, places, number)


def lasting_frames(fps: float) -> int:
    """Frames in a row that make up MIN_DURATION, at least two."""
    return max(2, math.ceil(MIN_DURATION * fps - 1e-6))


def choose(found: Components, frames: int, full_area: Float, factor: int, fps: float) -> Choice:
    """Follow each object: the one nearest to where it was last of the larger blobs of its hue, else the largest.

    full_area (K,) px: the objects' own areas.
    """
    objects = len(full_area)
    area = np.zeros((frames, objects))
    centre = np.full((frames, objects, 2), np.nan)
    rival = np.full((frames, objects, 2), np.nan)
    duplicates = np.zeros((frames, objects), dtype=np.uint8)
    strange = _strange(found, full_area)
    count = _hallucinations(found, frames, strange, lasting_frames(fps))
    choice = Choice(area, centre, rival, duplicates, count, strange)
    for k in range(objects):
        mine = np.flatnonzero((found.label == k + 1) & (found.area >= MIN_BLOB_AREA * factor**2))
        if len(mine):
            _follow(found, mine[np.argsort(found.frame[mine], kind="stable")], full_area[k], k, choice)
    return choice


def _follow(found: Components, mine: Int, full: float, k: int, choice: Choice) -> None:
    area, centre = choice.area[:, k], choice.centre[:, k]
    frame = found.frame[mine]
    reach = SAME_REACH * np.sqrt(full / np.pi)
    start = np.flatnonzero(np.diff(frame, prepend=-1))
    stop = np.append(start[1:], len(mine))
    single = stop - start == 1
    alone = mine[start[single]]
    choice.known[alone] = True
    area[frame[start[single]]] = found.area[alone]
    centre[frame[start[single]]] = found.centre[alone]
    for i in np.flatnonzero(~single):  # in order of time
        t = frame[start[i]]
        here = mine[start[i] : stop[i]]
        sizes, places = found.area[here], found.centre[here]
        main = int(sizes.argmax())
        before = np.flatnonzero(area[:t])
        if len(before):
            large = np.flatnonzero(sizes >= min(DUPLICATE_SHARE * full, 0.5 * sizes[main]))
            main = int(large[np.linalg.norm(places[large] - centre[before[-1]], axis=-1).argmin()])
        away = np.linalg.norm(places - places[main], axis=-1)
        parts = away <= reach
        area[t] = sizes[parts].sum()
        centre[t] = (places[parts] * sizes[parts, None]).sum(0) / area[t]
        twins = ~parts & (sizes >= DUPLICATE_SHARE * full)
        choice.known[here[parts | twins]] = True
        choice.duplicates[t, k] = min(255, int(twins.sum()))
        rivals = np.flatnonzero(~parts & (sizes >= RIVAL_SHARE * full))
        if len(rivals):
            choice.rival[t, k] = places[rivals[away[rivals].argmin()]]


def _strange(found: Components, full_area: Float) -> NDArray[np.bool_]:
    """Components (M,) of unknown hue that are large enough to count."""
    if not len(full_area):
        return np.zeros(len(found.label), dtype=bool)
    return np.asarray((found.label == UNKNOWN_HUE) & (found.area >= HALLUCINATION_SHARE * full_area.min()))


def _hallucinations(found: Components, frames: int, strange: NDArray[np.bool_], least: int) -> NDArray[np.uint8]:
    """Blobs of unknown hue (N,), counted where some are seen in at least `least` frames in a row."""
    count = np.bincount(found.frame[strange], minlength=frames)
    return np.where(long_runs(count > 0, least), np.minimum(count, 255), 0).astype(np.uint8)


def known_places(found: Components, choice: Choice, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Where the small maps (N, h, w) show what is known."""
    places = np.zeros(shape, dtype=bool)
    places.ravel()[found.where[choice.known[found.number]]] = True
    return places


def long_runs(flags: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Keep only True values (N,) in runs of at least `least` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    kept = np.zeros(len(flags), dtype=bool)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        kept[start:stop] = stop - start >= least
    return kept
