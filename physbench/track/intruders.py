"""Blobs that neither the scene nor its bodies explain, and what the context shows at rest in a hue.

Ground truth shows, at each place of the small maps, which greys scenery has there. A frame may draw each of these greys
in its own way: the median over the places of one grey is what the frame makes of it. What is still different, away from
the blobs of the bodies, is a candidate. It is an intruder if it is as large as a third of the smallest body, stands out
from the frame's own noise, and is followed for 0.2 s. All of it runs on the host.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter
from skimage import measure

from physbench.support.arrays import Image, Mask, Real
from physbench.track.colour import UNKNOWN_HUE, dilated

# What the context shows at rest in a hue and nobody tracks: pebbles, leaves and toys on a photographed ground.
#
# It is background, as greys are: a prediction may keep it where it is, and need not. What moves, or appears elsewhere,
# is no background any more. Labels are bits, see physbench.track.colour.


@dataclass(frozen=True)
class AtRest:
    """Places of a hue that are at rest and nobody tracks."""

    always: float = 0.9  # share of the context frames in which what is at rest has its label
    still_share: float = 0.5  # of a blob's area that never moves; less is a body on its way
    body_share: float = 0.3  # of what should be seen of an object; a further blob of its hue that is as large may be it
    most_pieces: float = 1.1  # of what should be seen of an object, that its pieces have together
    reach: int = 1  # px of the small maps by which a picture may blur or shake it


AT_REST = AtRest()


def background(labels: Image, visible: Real, factor: int) -> Image:
    """Bits (h, w) of the labels that are background there, of label maps (C, h, w) of the context frames.

    visible (C, K): px of the frames that should be seen of each object. Of its hue the blob that moves is the object,
    else the one whose area is nearest to what should be seen, with what touches it; all others are background.
    """
    blank = np.zeros(labels.shape[1:], dtype=np.uint8)
    if not len(labels):
        return blank
    for k in range(visible.shape[1] + 1):
        bit = np.uint8(1 << k) if k < visible.shape[1] else np.uint8(UNKNOWN_HUE)
        shown = (labels & bit) > 0
        still = shown.mean(axis=0) >= AT_REST.always
        if not still.any():
            continue
        own = np.zeros_like(still) if bit == UNKNOWN_HUE else _own(shown, still, visible[:, k] / factor**2)
        blank[dilated((still & ~own)[None], AT_REST.reach)[0] & ~own] |= bit
    return blank


def _own(shown: Mask, still: Mask, visible: Real) -> Mask:
    """Mask (h, w) of the object's hue at rest, of places (C, h, w) with that hue; visible (C,) px of the maps."""
    if not visible.any():
        return np.zeros_like(still)
    numbers = _numbered(still)
    if numbers.max() == 1 and all(_numbered(frame).max() <= 1 for frame in shown):
        return still
    blobs = [_numbered(frame) for frame in shown]
    wanted = float(np.median(visible[visible > 0]))
    at_rest = []
    for number in range(1, numbers.max() + 1):
        part = numbers == number
        # Least, as a body of the same hue may pass over it.
        area = float(min(np.isin(frame, np.unique(frame[part & (frame > 0)])).sum() for frame in blobs))
        if part.sum() < AT_REST.still_share * area:  # it moves slowly: this is the object, of a ring in several pieces
            return np.asarray(np.isin(numbers, _of_one_blob(numbers, number, blobs)))
        at_rest.append((abs(area - wanted), number, area))
    elsewhere = (shown & ~dilated(still[None], AT_REST.reach)[0]).sum(axis=(1, 2))
    if (elsewhere >= AT_REST.body_share * np.maximum(visible, 1.0)).mean() >= 0.5:
        return np.zeros_like(still)  # it moves
    _, main, total = min(at_rest)
    own, middle = [main], np.argwhere(numbers == main).mean(axis=0)
    away = {number: np.linalg.norm(np.argwhere(numbers == number).mean(axis=0) - middle) for _, number, _ in at_rest}
    for _, number, area in sorted(at_rest, key=lambda each: away[each[1]])[1:]:
        if total + area > AT_REST.most_pieces * wanted:
            break
        own.append(number)  # a further piece of it, where something stands before it and parts it
        total += area
    return np.isin(numbers, own)


def _of_one_blob(numbers: NDArray[np.int64], number: int, blobs: list[NDArray[np.int64]]) -> list[int]:
    """Numbers of other pieces at rest (h, w) that lie in one blob with piece `number` in every frame; 0 is no piece."""
    part = numbers == number
    within = [np.unique(numbers[np.isin(frame, np.unique(frame[part & (frame > 0)]))]) for frame in blobs]
    return [other for other in range(1, int(numbers.max()) + 1) if all(other in each for each in within)]


def _numbered(mask: Mask) -> NDArray[np.int64]:
    """Numbers from 1 on of connected places of a mask (h, w), 0 elsewhere."""
    labels: NDArray[np.int64] = measure.label(mask, connectivity=2)  # type: ignore[no-untyped-call]
    return labels


Int = NDArray[np.integer]


@dataclass(frozen=True)
class GreyLevels:
    """Greys of scenery in small maps, and how far edges between them reach."""

    same: int = 2  # levels; greys of scenery that differ by less are one
    least: int = 24  # px of a small map; a grey with fewer is drawn as the nearest other one
    # the same where a camera moves, which shows small walls from several sides, or something thin and grey does
    least_where_moving: int = 8
    samples: int = 75  # px of a grey that its median is taken of
    rim_reach: int = 2  # px of the small maps by which an edge of scenery may be blurred, sharpened or off
    # of the step between two greys, by which sharpening of 100 % oversteps both at a straight edge
    rim_share: float = 0.5


GREYS = GreyLevels()


@dataclass(frozen=True)
class BlobLimits:
    """Blobs that stand out from bodies and scenery."""

    halo_reach: int = 2  # px of the small maps around bodies: blurred edges, the rims of sharpening, ringing
    least_off: float = 22.0  # levels, mean over 3 x 3 px of a small map
    most_off: float = 3 * least_off  # levels; more noise than that hides no blob
    over_noise: float = 6.0  # times the noise of a frame in such means
    # of differences of sd 1 that all colours share, as those of texture do; of others it is more
    median_strength: float = 0.67
    # Codecs keep colours less well than brightness: of one colour alone this share of the difference counts.
    share_of_colour: float = 0.63
    foot: float = 0.5  # of these limits; a blob is what stands out by so much around a place that does by all of it
    least_size: float = 1 / 3  # diameters of the smallest body
    size_margin: float = 0.6  # of the area, by which a size may be measured too small
    least_area: float = 5.0  # px of the small maps; less is no blob, however small the bodies are
    most_way: float = 1.0  # diameters of the smallest body that a blob moves from frame to frame, its own size aside


BLOB = BlobLimits()


NO_GREY = 999  # above every level


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Surroundings of the bodies in ground truth, on small maps of h x w px, flat."""

    ends: Int  # (R, 2) indices of the darkest and of the brightest grey of ranges that scenery has somewhere
    range: Int  # (h * w,) index of the range that it has at or near a place
    known: Mask  # (h * w,) where a body does not always hide it
    greys: Int  # (G,) levels, from dark to bright
    of_one_grey: Mask  # (h * w,) away from edges: there noise is seen as it is
    samples: tuple[Int, ...]  # places of each grey that never changes; none of one that moves or vanishes
    shape: tuple[int, int]


def surroundings(pooled: Image | Int, area: int, hued_spread: float, least_of_grey: int = GREYS.least) -> Surroundings:
    """Of pooled true frames (T, h, w, 3), sums over `area` px; hued_spread: levels between the colours of a body."""
    values = pooled.astype(np.int32) // area
    height, width = values.shape[1:3]
    hued = dilated(values.max(-1) - values.min(-1) > hued_spread, 1)
    grey = values[..., 1]
    darkest, brightest = np.where(hued, NO_GREY, grey).min(0), np.where(hued, -1, grey).max(0)
    known = brightest >= 0
    darkest, brightest = np.where(known, darkest, NO_GREY), np.where(known, brightest, -1)
    hidden = hued.any(0)
    still = ~hidden & (brightest - darkest <= GREYS.same)
    if hidden.any() and still.any():  # what a body hides, and shows where it is missing: mostly what is next to it
        y, x = distance_transform_edt(~still, return_distances=False, return_indices=True)
        beside = grey[-1][y, x]
        darkest = np.where(hidden & known, np.minimum(darkest, beside), darkest)
        brightest = np.where(hidden & known, np.maximum(brightest, beside), brightest)
    greys = _greys(np.concatenate([darkest[known], brightest[known]]), least_of_grey)
    reach = 2 * GREYS.rim_reach + 1
    low = _nearest(minimum_filter(darkest, reach), greys)
    high = _nearest(maximum_filter(brightest, reach), greys)
    samples = []
    for level in greys:
        places = np.flatnonzero(still & (np.abs(darkest - level) <= GREYS.same))
        places = places if len(places) >= GREYS.least else places[:0]
        samples.append(places[:: max(1, len(places) // GREYS.samples)])
    ends, number = np.unique(low.ravel() * max(len(greys), 1) + high.ravel(), return_inverse=True)
    ends = np.stack(np.divmod(ends, max(len(greys), 1)), axis=-1)
    one = (ends[:, 0] == ends[:, 1])[number]
    return Surroundings(ends, number, known.ravel(), greys, one, tuple(samples), (height, width))


def _greys(levels: Int, least: int) -> Int:
    """Levels that enough places have, in order."""
    greys: list[int] = []
    count = np.bincount(levels, minlength=256)
    while count.max(initial=0) > 0:
        most = int(count.argmax())
        near = slice(max(0, most - GREYS.same), most + GREYS.same + 1)
        if count[near].sum() < least and greys:
            break
        greys.append(most)
        count[near] = 0
    return np.array(sorted(greys), dtype=np.int64)


def _nearest(values: Int, greys: Int) -> Int:
    """Index of the grey that is nearest to each of some levels from -1 to NO_GREY."""
    if not len(greys):
        return np.zeros(values.shape, dtype=np.int64)
    levels = np.arange(-1, NO_GREY + 1)
    return np.asarray(np.abs(levels[:, None] - greys).argmin(-1)[values + 1])


def intruders(
    pooled: Image | Int, area: int, bodies: Mask, truth: Surroundings, smallest: float, least: int, shadow: float = 0.0
) -> NDArray[np.int64]:
    """Number of intruders in each frame (N,).

    pooled (N, h, w, 3): frames as sums over `area` px. bodies (N, h, w): the blobs that bodies are. smallest: diameter
    of the smallest body in px of these maps. least: frames in a row that a blob must be seen in. shadow: px of these
    maps from a body up to which it may cast a shadow: what is darker there, in all colours alike, is none.
    """
    frames = len(pooled)
    if not frames or not any(len(at) for at in truth.samples):
        return np.zeros(frames, dtype=np.int64)
    off = _differences(pooled, area, truth)  # (3, N, h * w)
    if shadow:
        off -= np.where(_within(bodies, shadow), np.minimum(off.max(axis=0), 0), 0).astype(np.int16)
    free = ~_near(bodies).reshape(frames, -1) & truth.known
    most = np.abs(off[0])
    for plane in off[1:]:
        np.maximum(most, np.abs(plane), out=most)
    wanted = max(BLOB.least_area, BLOB.size_margin * np.pi / 4 * (BLOB.least_size * smallest) ** 2)
    stand_out = (most > int(BLOB.least_off * area / 2)) & free
    chosen = np.flatnonzero(np.count_nonzero(stand_out, axis=1) > wanted / 2)
    count = np.zeros(frames, dtype=np.int64)
    if len(chosen) < least:
        return count
    blobs = _blobs(off[:, chosen] * free[chosen], free[chosen] & truth.of_one_grey, area, truth.shape, wanted)
    kept = _followed(chosen[blobs.frame], blobs, BLOB.most_way * smallest, least)
    np.add.at(count, chosen[blobs.frame[kept]], 1)
    return count


def _within(bodies: Mask, reach: float) -> Mask:
    """Places (N, h * w) up to `reach` px from a body (N, h, w)."""
    near = [distance_transform_edt(~here) <= reach if here.any() else here for here in bodies]
    return np.asarray(near).reshape(len(bodies), -1)


def _differences(pooled: Image | Int, area: int, truth: Surroundings) -> NDArray[np.int16]:
    """Deviation of each pixel (3, N, h * w) from the range that scenery may have there, in summed levels."""
    flat = pooled.reshape(len(pooled), -1, 3)
    tones = _tones(flat, truth)
    # Greys are in the order of truth: a frame may have turned it round.
    ends = tones[:, truth.ends]  # (N, R, 2, 3)
    low, high = ends.min(axis=2), ends.max(axis=2)
    rim = ((high - low) * GREYS.rim_share).astype(np.int16)
    low, high = low - rim, high + rim
    off = np.empty((3, *flat.shape[:2]), dtype=np.int16)
    nearest, limit = np.empty_like(off[0]), np.empty_like(off[0])  # fresh memory costs more than what is done in it
    for colour, plane in enumerate(off):
        plane[:] = flat[..., colour]
        np.take(low[..., colour], truth.range, axis=1, out=limit, mode="clip")
        np.maximum(plane, limit, out=nearest)
        np.take(high[..., colour], truth.range, axis=1, out=limit, mode="clip")
        plane -= np.minimum(nearest, limit, out=nearest)
    return off


def _tones(values: Image | Int, truth: Surroundings) -> NDArray[np.int16]:
    """Tones (N, G, 3) of each grey in frames (N, h * w, 3), in summed levels."""
    shown = [g for g, at in enumerate(truth.samples) if len(at)]
    tones = np.zeros((len(values), len(truth.greys), 3))
    for g in shown:
        tones[:, g] = np.median(values[:, truth.samples[g]], axis=1)
    for g in set(range(len(truth.greys))) - set(shown):  # in proportion to the next one
        other = min(shown, key=lambda k: abs(truth.greys[k] - truth.greys[g]))
        tones[:, g] = tones[:, other] * truth.greys[g] / max(truth.greys[other], 1)
    return np.rint(tones).astype(np.int16)


def _strength(off: Int) -> Int:
    """Difference of pixels (3, ...): of brightness, or a share of the colour that differs most."""
    most = np.abs(off).max(0)
    return np.asarray(
        np.maximum(np.abs(off.sum(0, dtype=np.int32) // 3), (BLOB.share_of_colour * most).astype(np.int32))
    )


def _near(bodies: Mask) -> Mask:
    """Surroundings of bodies (N, h, w), in a frame or in the ones before and after it."""
    wide = bodies.copy()
    wide[1:] |= bodies[:-1]
    wide[:-1] |= bodies[1:]
    return dilated(wide, BLOB.halo_reach)


@dataclass(frozen=True, eq=False)
class _Blobs:
    frame: Int  # (M,)
    centre: Real  # (M, 2) px of the small maps
    reach: Real  # (M,) px, radius


def _blobs(off: NDArray[np.int16], plain: Mask, area: int, shape: tuple[int, int], wanted: float) -> _Blobs:
    """Connected places that stand out, as large as `wanted` px of the small maps; plain (N, h * w): they tell noise."""
    frames, (height, width) = off.shape[1], shape
    off = off.reshape(3, frames, height, width)
    stands = _strength(_boxes(off))  # (N, h, w), summed over 9 px
    sample = np.where(plain.reshape(frames, height, width), stands, -1)[:, 1::3, 1::3].reshape(frames, -1)
    noise = np.array([np.median(row[row >= 0]) if (row >= 0).any() else 0.0 for row in sample])
    limit = (
        9 * area * np.clip(BLOB.over_noise / BLOB.median_strength * noise / (9 * area), BLOB.least_off, BLOB.most_off)
    )
    tall = np.zeros((frames, height + 1, width), dtype=bool)
    tall[:, :height] = stands > BLOB.foot * limit[:, None, None]
    numbers: Int = measure.label(tall.reshape(-1, width), connectivity=2)  # type: ignore[no-untyped-call]
    numbers = numbers.reshape(tall.shape)[:, :height]
    t, y, x = np.nonzero(numbers)
    if not len(t):
        return _Blobs(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0))
    number = numbers[t, y, x] - 1
    strength = _strength(off[:, t, y, x]).astype(np.float64) / area
    pixels, total = np.bincount(number), np.bincount(number, strength)
    peak, top = np.zeros((2, len(pixels)))
    np.maximum.at(peak, number, strength)
    np.maximum.at(top, number, stands[t, y, x] / limit[t])
    frame = np.zeros(len(pixels), dtype=np.int64)
    frame[number] = t
    centre = np.stack([np.bincount(number, x), np.bincount(number, y)], axis=-1) / pixels[:, None]
    large = (top > 1) & (total >= wanted * BLOB.least_off) & (total >= wanted * peak)
    return _Blobs(frame[large], centre[large], np.sqrt(pixels[large] / np.pi))


def _boxes(values: NDArray[np.int16]) -> NDArray[np.int32]:
    """Sums over 3 x 3 px of maps (..., h, w)."""
    down = values.astype(np.int32)
    down[..., 1:, :] += values[..., :-1, :]
    down[..., :-1, :] += values[..., 1:, :]
    total = down.copy()
    total[..., 1:] += down[..., :-1]
    total[..., :-1] += down[..., 1:]
    return np.asarray(total)


def _followed(frame: Int, blobs: _Blobs, step: float, least: int) -> Mask:
    """Blobs (M,) that are parts of chains of at least `least` frames in a row."""
    forward, backward = np.ones(len(frame), dtype=int), np.ones(len(frame), dtype=int)
    pairs = []
    for t in np.unique(frame):
        now, before = np.flatnonzero(frame == t), np.flatnonzero(frame == t - 1)
        if len(before):
            away = np.linalg.norm(blobs.centre[now][:, None] - blobs.centre[before], axis=-1)
            near = away <= step + blobs.reach[now][:, None] + blobs.reach[before]
            pairs += [(int(now[i]), int(before[j])) for i, j in zip(*np.nonzero(near), strict=True)]
    for now_, before_ in pairs:
        forward[now_] = max(forward[now_], forward[before_] + 1)
    for now_, before_ in reversed(pairs):
        backward[before_] = max(backward[before_], backward[now_] + 1)
    return np.asarray(forward + backward - 1 >= least)
