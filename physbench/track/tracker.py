"""From frames to tracks. Ground truth, baselines and models go through the same steps, with the same numbers.

1. Small maps: frames are pooled to about 64 px and labelled by hue against the background's own colour (colour.py).
2. Blobs: components of the labels are followed from frame to frame; duplicates, unknown hues (blobs.py, on the host).
   What the context shows at rest and nobody tracks is left out (intruders.py).
3. Patches: mass, centre, hue and shape of each blob at full resolution (patches.py).
4. Calibration: the chroma of a pixel of each object, from the context frames of the same sequence.
5. Disc fits where something touches or hides a ball (disc_fit.py), states, uncertainty (here, on the host).
6. Scenery: where fixed bodies are, and what they show of the camera is taken off (scenery.py, on the host).
7. What neither bodies nor scenery explain, in small maps as a camera shows them that stands still (intruders.py, host).

Frames stay on their device. Transfers to the host, per batch of frames: the small maps (1), the patches'
numbers (3), the fits' numbers (5); and the flags "any noisy frame" (1), "any other hue in a patch" (3), which fits
still move and how balls are lit (5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from torch import Tensor

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Mask
from physbench.support.errors import PhysbenchError
from physbench.track import blobs, disc_fit, intruders, patches
from physbench.track.blobs import Choice, lasting_frames, long_runs
from physbench.track.camera import steadied
from physbench.track.colour import DIFFUSE_SHARE, HUED, Colours, colours_of, hue_shift_deg
from physbench.track.disc_fit import DISC
from physbench.track.intruders import background
from physbench.track.moving_camera import StillVideo, path_framing, still_frames, still_picture, stilled
from physbench.track.patches import STATS, patch_area
from physbench.track.scenery import SceneryTracks, SeenBodies, observe_scenery, without_camera
from physbench.track.tracks import Tracks, Visibility
from physbench.track.visibility import MIN_DETECTED_SHARE, VISIBLE_SHARE
from physbench.world.bodies import darkness_over, grey_moves, is_among_stars, is_screen
from physbench.world.camera import (
    PLANE_AXES,
    BallSight,
    MovingSight,
    depth_axis,
    mapped,
    moving_sight,
    pixels_per_metre,
)
from physbench.world.drawing import apparent_radius, corner_distance
from physbench.world.scene import BACKGROUND_GREY, FAR, PLAIN, Body

# Positions that can be trusted, their uncertainty and states, from blobs, masses and fits.
#
# A wrong position is worse than a missing one. Whether something is hidden is read from the frames (mass against the
# object's own area, image border, screens and other hues beside the blob), since a prediction need not agree with
# ground truth; ground truth only decides what should be visible.


MASS, X, Y, XX, YY, XY, CORE, A, B, REGION, PLATEAU, FOOTPRINT, TOUCH, BORDER, NOISE = range(15)
OUTLINE = slice(15, len(STATS))


@dataclass(frozen=True)
class AreaLimits:
    """Areas over that of the object, or over the part of it that should be visible."""

    whole: float = 0.95  # from which on an object is taken as entirely visible
    # Of a box or cylinder beside something else: the edges of an upright box fall on the renderer's grid (5 % at
    # 64 px), mixed pixels between two hues count for both. Where less is cut off, the middle is out by 0.05 diameters
    # at most.
    whole_box: tuple[float, float] = (0.88, 1.2)
    # of its area, that still tells where a box is: a codec draws that much into its neighbour's hue
    least_box: float = 0.75
    absent: float = 0.35  # of the area that should be visible
    overflow: float = 0.85  # of the patch's area: the blob may go on beyond it
    most: float = 4.0  # a larger blob is no object any more
    most_rescaled: float = 1.25  # by what the context frames show


AREA = AreaLimits()


@dataclass(frozen=True)
class FitLimits:
    """Disc fits that are made, and that determine a centre."""

    least_radius: float = 2.0  # px; smaller ones have no shape
    most_area: float = 1.5  # of an object's area; no disc is fitted to a larger blob
    share: float = 0.35  # visible share that determines a centre
    share_small: float = 0.50  # the same below 6 px
    most_blur: float = 3.0  # px
    blur_share: float = 0.24  # of the radius that a fit may be blurred by, if that is more
    most_rms: float = 0.20
    most_stray: float = 0.10
    most_sd: float = 0.30  # px
    amplitudes: tuple[float, float] = (0.5, 1.5)
    sds: float = 1.2  # by which its place is uncertain: rims and noise go together


FIT = FitLimits()


TOGETHER = 1.5  # times the effect of white noise


@dataclass(frozen=True)
class PartFits:
    """Fits to a part of a disc that are too blurred to be trusted."""

    whole: float = 0.85  # share of a disc, from which on it is whole
    part: float = 0.6  # share, below which it is a part
    more_blur: float = 1.0  # px by which a part may be more blurred, at least
    more_blur_share: float = 0.07  # of the radius, the same
    near: int = 5  # whole discs, nearest in time, that tell how blurred a frame is


PARTS = PartFits()


@dataclass(frozen=True)
class ChromaLimits:
    """Chroma of the inside of a body."""

    plateau_share: float = 1.05  # chroma of the inside of a ball that is lit from the camera, over the mean of its disc
    # What is fainter has no outline of its own: it counts by how much of the object's chroma is there.
    least: float = 0.35  # of that in the context frames
    clear_of_noise: float = 5.0  # times the noise around it


CHROMA = ChromaLimits()


ROUND = 1.2  # ratio of second moments up to which a smaller blob counts as round; 5 % cut off make 1.2


@dataclass(frozen=True)
class EdgeNoise:
    """Trembling of outlines in time."""

    time: float = 2.0  # s around a frame, with whose areas its own is compared
    least_frames: int = 5  # that tell
    least_moved: float = 0.1  # px from frame to frame; what rests has the same error in many frames
    clean: float = 0.04  # px of it that pictures without noise have, as pixels are counted
    most: float = 0.02  # diameters, up to which it raises the sd of a moving body: it takes no place away


EDGES = EdgeNoise()


DECIMALS = 4  # decimals of a px or degree


@dataclass(frozen=True, eq=False)
class TrueAreas:
    """Ground truth that the tracker knows in the window: areas only."""

    names: tuple[str, ...]
    times: Array  # (T,)
    context: int
    bodies: tuple[Body, ...]
    full: Array  # (T, K) px
    visible: Array  # (T, K) px
    middle: Array  # (2,) px, where the camera's axis meets the image
    distance: float  # m from the camera to the plane of motion
    axes: tuple[int, int]  # of the world, that span it
    fps: float
    #: (K,) of a near camera, in px, of all N frames that exist; None each: one size everywhere
    sights: tuple[BallSight | MovingSight | None, ...]

    def local(self, k: int, place: Array) -> Array:
        """Area (...) of object k where it is seen at places (..., 2) px, over its usual one; 1 where NaN."""
        sight = self.sights[k]
        if sight is None:
            return np.ones(place.shape[:-1])
        area = (sight.area if self.bodies[k].shape == "sphere" else sight.plate_area)(place)
        return np.where(np.isfinite(area), area / self.typical(k), 1.0)

    def typical(self, k: int) -> float:
        """Usual area of object k in px."""
        return max(float(_typical(self.full[:, k : k + 1])[0]), 1.0)

    def whole(self, k: int) -> Array:
        """Area (T,) px of all of object k in ground truth over its usual one; 1 where it is not there."""
        if self.sights[k] is None:
            return np.ones(len(self.full))
        return np.where(self.full[:, k] > 0, self.full[:, k] / self.typical(k), 1.0)


@dataclass(eq=False)
class BlobMeasurements:
    """Measurements in the N frames that exist, in px of the frames at the size at which they are tracked."""

    choice: Choice
    stats: Array  # (N, K, S), see patches.STATS
    fits: Array  # (N, K, F), see disc_fit.FIT; NaN where no disc was fitted
    area: Array  # (N, K) px
    hue: Array  # (N, K) degrees
    chroma: Array  # (N, K) of the inside, over that in the context frames
    reference: Array  # (N, K) levels of chroma of a pixel, as the frame draws the object
    light: Array  # (K, 3) on balls, see disc_fit.find_light; NaN where all of it comes from the camera

    def calibrate(
        self, k: int, context: int, visible: Array, full: Array, colours: Colours, *, rescale_touched: bool
    ) -> None:
        """Set what a pixel of object k looks like from its context frames, and with it area, chroma and hue.

        The area is that of the outline at half of the frame's own chroma, so that pale, dark and strong colours are as
        large. visible, full (N,) px of ground truth. Used are the frames that show the whole object and nothing that
        touches it; else those that show half of it; else the palette. rescale_touched: the latter tell its scale, too.
        A box that lies alone later then reads larger, as pixels beside another body count for neither.
        """
        stats, visible, full = self.stats[:, k], visible[:context], full[:context]
        first = stats[:context]
        reference, plateau, scale = colours.chroma[k], CHROMA.plateau_share * colours.chroma[k], 1.0
        alone = (visible > AREA.whole * full) & ~touched(first)
        for good, rescale in ((alone, True), (visible > 0.5 * full, rescale_touched)):
            shown = visible[good].sum() if good.any() else 0.0
            value = first[good, MASS].sum() / shown if shown else 0.0
            if 0.5 < value / colours.chroma[k] < 1.5:
                reference, plateau = value, first[good, PLATEAU].mean()
                if rescale:
                    ratio = shown / max(first[good, FOOTPRINT].sum(), 1.0)
                    scale = np.clip(ratio, 1 / AREA.most_rescaled, AREA.most_rescaled)
                break
        self.chroma[:, k] = stats[:, PLATEAU] / plateau
        self.reference[:, k] = np.maximum(reference * self.chroma[:, k], 1.0)
        faint = (self.chroma[:, k] < CHROMA.least) | (stats[:, PLATEAU] < CHROMA.clear_of_noise * stats[:, NOISE])
        self.area[:, k] = np.where(faint, stats[:, MASS] / reference, stats[:, FOOTPRINT] * scale)
        self.hue[:, k] = np.where(stats[:, CORE] > 0, hue_shift_deg(stats[:, A], stats[:, B], colours.hue[k]), np.nan)

    def wants_fit(self, k: int, full: Array) -> Mask:
        """Frames (N,) in which object k is touched or no whole disc, and enough of it is left."""
        stats, ratio = self.stats[:, k], self.area[:, k] / full
        partly = (ratio < AREA.whole) & (_axes_ratio(stats) > ROUND)
        return (ratio > 0.8 * FIT.share) & (ratio < FIT.most_area) & (touched(stats) | partly)


def touched(stats: Array) -> Mask:
    """Frames (N,) in which another hue, a screen or the image border is within reach of the blob (stats (N, S))."""
    beside: Mask = (stats[:, TOUCH] >= 3) | (stats[:, BORDER] > 0)  # px; fewer are noise
    return beside


def tracks_from(shown: TrueAreas, seen: BlobMeasurements, zoom: float, grown: Array | None = None) -> Tracks:
    """Tracks from what is known of the objects and what was measured.

    zoom: px of the frames per px at the size at which they were tracked. grown (N,): how much larger a camera that
    moves in shows everything, in length; its tracks are those that it sees. A near camera shows a body larger where it
    is nearer: areas are told as they would be where ground truth has it.
    """
    total, objects, count = len(shown.times), len(shown.names), len(seen.area)
    position = np.full((total, objects, 2), np.nan)
    position_sd = np.full((total, objects), np.nan)
    area, hue, chroma, shape = np.zeros((total, objects)), *np.full((3, total, objects), np.nan)
    state = np.full((total, objects), Visibility.ABSENT, dtype=np.uint8)
    duplicates = np.zeros((total, objects), dtype=np.uint8)
    hallucinations = np.zeros(total, dtype=np.uint8)
    least = lasting_frames(shown.fps)
    moved = np.ones(count) if grown is None else grown**2  # of areas
    local = [shown.local(k, seen.choice.centre[:, k] * zoom) for k in range(objects)]
    edges = edge_noise(seen, shown, [moved * own for own in local], zoom)
    for k in range(objects):
        full, larger, whole = shown.typical(k), moved * local[k], shown.whole(k)[:count]
        place, sd = _positions(seen, k, full / zoom**2, larger, shown, zoom)
        # What the motion of others is judged by may be as uncertain as it is.
        fixed = shown.bodies[k].role == "fixed"
        most = np.inf if fixed else EDGES.most * 2 * np.sqrt(full / np.pi) / zoom
        ahead = sd[shown.context :]
        sd[shown.context :] = np.maximum(ahead, np.minimum(np.hypot(ahead, edges), most))
        shown_area = np.maximum(seen.area[:, k], np.where(_grown(seen, k, full / zoom**2), seen.choice.area[:, k], 0))
        shown_area = np.maximum(shown_area, 0.0) * zoom**2
        visible = shown.visible[:count, k] / whole
        state[:count, k], known = _states(shown_area / larger, visible, full, seen.stats[:, k], least)
        place[~known] = np.nan
        sd = np.where(np.isnan(place[:, 0]), np.nan, sd)
        position[:count, k], position_sd[:count, k] = place * zoom, sd * zoom
        area[:count, k] = shown_area / local[k] * whole
        hue[:count, k] = np.where(shown_area > 0, seen.hue[:, k], np.nan)
        chroma[:count, k] = np.where(shown_area > 0, seen.chroma[:, k], np.nan)
        shape[:count, k] = _shape(seen, k, full / zoom**2, larger, shown, zoom)
        duplicates[:count, k] = seen.choice.duplicates[:, k]
    hallucinations[:count] = seen.choice.hallucinations
    return Tracks(
        names=shown.names,
        times=shown.times,
        context=shown.context,
        position=position.round(DECIMALS),
        position_sd=position_sd.round(DECIMALS),
        area=area.round(DECIMALS),
        hue=hue.round(DECIMALS),
        state=state,
        duplicates=duplicates,
        hallucinations=hallucinations,
        chroma=chroma.round(DECIMALS),
        shape=shape.round(DECIMALS),
    )


def edge_noise(seen: BlobMeasurements, shown: TrueAreas, larger: Sequence[Array], zoom: float) -> float:
    """Standard deviation per coordinate in px of places, as the outlines in the predicted frames tremble.

    Codecs draw outlines elsewhere, and around a body they leave no noise that would tell. An outline that is off by
    e(a) at the angle a changes the area of a disc of radius R by R times the integral of e, and moves its centre by the
    integral of e(a) (cos a, sin a) over pi. Where e at one angle tells nothing of e at others, the sd of a centre is
    sqrt(2) times that of the mean of e, which is R / 2 times the relative change of area. All bodies of a video tell it
    together. Blur and slow changes are taken off with the local median, and a still picture tells nothing.
    """
    off: list[Array] = []
    window = 1 + 2 * max(1, round(EDGES.time / 2 * shown.fps))
    for k in range(len(shown.names)):
        full = shown.full[shown.full[:, k] > 0, k]
        if not len(full):
            continue
        area = np.median(full) / zoom**2
        ratio = (seen.area[:, k] / (area * larger[k]))[shown.context :]
        stats = seen.stats[shown.context :, k]
        whole = (ratio > patches.SHAPE.whole_alone[0]) & (ratio < patches.SHAPE.whole_alone[1]) & ~touched(stats)
        ratio, place = ratio[whole], stats[whole][:, [X, Y]]
        if len(ratio) < EDGES.least_frames:
            continue
        away = ratio - median_filter(ratio[:, None], (window, 1), mode="nearest")[:, 0]
        moves = np.linalg.norm(np.diff(place, axis=0, prepend=place[:1]), axis=1) > EDGES.least_moved
        off.append(np.sqrt(area / np.pi) / 2 * away[moves])
    offsets = np.concatenate([np.zeros(0), *off])
    if len(offsets) < EDGES.least_frames:
        return 0.0
    return TOGETHER * float(np.sqrt(max(0.0, 2 * np.mean(offsets**2) - EDGES.clean**2)))


def _shape(seen: BlobMeasurements, k: int, full: float, larger: Array, shown: TrueAreas, zoom: float) -> Array:
    """Distance (N,) of the shape of object k from its own, see patches.shape_change."""
    stats, ratio = seen.stats[:, k], seen.area[:, k] / (full * larger)
    radius, count, orders = float(np.sqrt(full / np.pi)), len(stats), np.array([2, 2, 3, 4])
    alone = ~touched(stats) & (ratio > patches.SHAPE.whole_alone[0]) & (ratio < patches.SHAPE.whole_alone[1])
    beside = (stats[:, BORDER] == 0) & (ratio > patches.SHAPE.whole_beside[0]) & (ratio < patches.SHAPE.whole_beside[1])
    whole = (alone | beside) & (stats[:, MASS] > 0) & (seen.chroma[:, k] >= CHROMA.least)
    true = full * shown.whole(k)[:count]
    learnt = whole & (shown.visible[:count, k] / zoom**2 > AREA.whole * true) & (np.arange(count) < shown.context)
    sphere, window = shown.bodies[k].shape == "sphere", 2 * lasting_frames(shown.fps) - 1
    scaled = stats[:, OUTLINE] / larger[:, None] ** (orders / 2)  # moments of that order of a length
    sight = shown.sights[k]
    if sphere and sight is not None:
        scaled[:, :2] -= sight.two_fold(stats[:, [X, Y]] * zoom)
    elif sight is not None:  # its second moments as from straight ahead, their sum that of the coverage
        back = np.linalg.inv(sight.plate_shear(stats[:, [X, Y]] * zoom))
        size = (stats[:, XX] + stats[:, YY]) / (radius**2 * larger)
        two, skew = scaled[:, :2].T
        moments = back @ np.array([[size + two, skew], [skew, size - two]]).transpose(2, 0, 1) / 2 @ back.swapaxes(1, 2)
        scaled[:, :2] = np.stack([moments[:, 0, 0] - moments[:, 1, 1], 2 * moments[:, 0, 1]], axis=1)
    # Over the disc of its area a bar's moments are large, and so is their noise
    stretch = _stretch(shown.bodies[k], shown.axes)
    sd = patches.noise_sd(stats[:, NOISE], stats[:, MASS], stats[:, REGION], radius * stretch)
    return patches.shape_change(
        scaled / stretch**orders, sd, stats[:, [X, Y]], whole, learnt, sphere, radius * stretch, window
    )


def _grown(seen: BlobMeasurements, k: int, full: float) -> Mask:
    """Frames (N,) in which the blob is larger than its patch, so that only the small maps tell its size."""
    return seen.choice.area[:, k] > AREA.overflow * patch_area(float(np.sqrt(full / np.pi)))


def _positions(
    seen: BlobMeasurements, k: int, full: float, larger: Array, shown: TrueAreas, zoom: float
) -> tuple[Array, Array]:
    """Centres (N, 2) and their standard deviations (N,) px; NaN where what is seen does not determine them."""
    stats, fits, body = seen.stats[:, k], seen.fits[:, k], shown.bodies[k]
    radius, middle = np.sqrt(full / np.pi), shown.middle / zoom
    ratio = seen.area[:, k] / (full * larger)
    mass = np.maximum(stats[:, MASS], 1e-9)
    beside = touched(stats)
    round_blob = _axes_ratio(stats) < ROUND
    sphere = body.shape == "sphere"
    # Nothing near it: the centroid, unless a ball shows a part of its disc only, as if something unseen hid the rest.
    free = ~beside & (stats[:, MASS] > 0)
    if sphere:
        free &= (ratio >= AREA.whole) | round_blob
    else:  # the hue of a neighbour is taken out of the weights, and as much as all of it is there
        least = np.where(stats[:, BORDER] > 0, AREA.whole, AREA.least_box)
        free |= (ratio >= least) & (ratio <= AREA.whole_box[1])
    grown = _grown(seen, k, full)
    place = np.where((free & ~grown)[:, None], stats[:, [X, Y]], np.nan)
    angle = body.size[0] / shown.distance
    true = full * shown.whole(k)[: len(stats)]
    whole = (shown.visible[: len(stats), k] / zoom**2 > AREA.whole * true) & (np.arange(len(stats)) < shown.context)
    if np.isfinite(seen.light[k]).all():
        # The centroid of a disc whose shade changes evenly by g over a radius lies g / 4 radii towards the lit side.
        # What is taken off below for light along the axis is a part of g, as it was where g was found.
        at = stats[whole & (mass > 1e-9)][:, [X, Y]].mean(axis=0) - middle
        place -= seen.light[k, :2] * radius / 4 - at * DIFFUSE_SHARE / 4 * angle
    large = grown & ~beside & (seen.choice.area[:, k] < AREA.most * full)
    place[large] = seen.choice.centre[large, k]

    # White noise of `noise` levels over the region moves a centroid by noise * sqrt(sum of squared distances) / mass;
    # noise of neighbours that go together, as a filter or a video codec leaves it, by more.
    jitter = TOGETHER * stats[:, NOISE] * stats[:, REGION] / np.sqrt(4 * np.pi) / mass
    blur2 = (stats[:, XX] + stats[:, YY]) / 2 - seen.area[:, k] * _own_spread(body, shown.axes)
    sd = np.hypot(0.03 + 0.06 * np.clip(blur2 / 2, 0.0, 1.0), jitter)
    sd = np.where(large, 0.3, sd)
    if not sphere:  # as much as is cut off one side of it moves its middle by half of that
        cut = beside & (ratio < AREA.whole_box[0])
        sd = np.where(cut, np.maximum(sd, np.sqrt(full) * (1 - ratio) / 2), sd)

    good = accepted(fits, radius) & ~grown
    if np.isfinite(seen.light[k]).all():
        good &= ~_too_blurred_parts(fits, good, radius, shown.context)
    place[good] = fits[good, :2]
    sight = shown.sights[k]
    if sphere and sight is not None:
        near = sight.shrunk(zoom)
        place = near.centre(place - np.where(good[:, None], 0.0, DIFFUSE_SHARE / 4 * near.slant(place)))
    elif sight is not None:
        near = sight.shrunk(zoom)
        place[..., 1] -= near.plate_shift(place, _spread_upwards(body, shown.axes))
    elif sphere:
        place -= (place - middle) * _outward(angle, good)[:, None]
    sd = np.where(good, np.clip(np.hypot(sd, FIT.sds * fits[:, 7]) + 0.03, 0.05, 0.50), sd)
    return place, sd * (1.5 if radius < 4 else 1.0)


def _own_spread(body: Body, axes: tuple[int, int]) -> float:
    """Second moment of a body's sharp outline, mean of the two axes, over its area; as it lies in the plane `axes`."""
    if body.shape != "box":
        return 1 / (4 * np.pi)  # of a disc
    ratio = body.size[axes[0]] / body.size[axes[1]]
    return (ratio + 1 / ratio) / 24


def _spread_upwards(body: Body, axes: tuple[int, int]) -> float:
    """Second moment of a body's sharp outline along the height of the picture, over its area; of an upright box."""
    return body.size[axes[1]] / body.size[axes[0]] / 12 if body.shape == "box" else 1 / (4 * np.pi)


def _outward(angle: float, fitted: Mask) -> Array:
    """By what share of its distance from the axis the picture of a ball of `angle` radians lies too far out (N,).

    The middle of its outline by angle^2: one is seen of the side that faces the camera. The centroid, weighted by
    chroma, also by the light: it comes along the axis, and with shade = ambient + diffuse n.l a ball that is seen at
    angle a from the axis is tilted by a, which moves its centroid by diffuse / 4 a radii.
    """
    return angle**2 + np.where(fitted, 0.0, DIFFUSE_SHARE / 4 * angle)


def accepted(fits: Array, radius: float) -> Mask:
    """Mask of fits (N, F) that determine a centre."""
    x, y, blur, amplitude, rms, step, share, sd, stray = fits.T
    least = FIT.share if radius >= 6 else FIT.share_small
    with np.errstate(invalid="ignore"):
        good: Mask = (
            np.isfinite(x)
            & np.isfinite(y)
            & (blur < max(FIT.most_blur, FIT.blur_share * radius))
            & (amplitude > FIT.amplitudes[0])
            & (amplitude < FIT.amplitudes[1])
            & (rms < FIT.most_rms)
            & (step < DISC.still)
            & (share > 0.8 * least)
            & (sd < FIT.most_sd)
            & (stray < FIT.most_stray)
        )
    return good


def _too_blurred_parts(fits: Array, good: Mask, radius: float, context: int) -> Mask:
    """Fits (N, F) to a part of a disc that are more blurred than those to whole discs: a wrong centre can look like it.

    Light that changes along a disc leaves less of a part that determines its centre. Compared are the whole discs that
    are nearest in time and on the same side of the hand-over, as a prediction may be blurred as a whole, or more and
    more. Where there is none, nothing is refused.
    """
    blur, share, frame = fits[:, 2], fits[:, 6], np.arange(len(fits))
    most = max(PARTS.more_blur, PARTS.more_blur_share * radius)
    with np.errstate(invalid="ignore"):
        whole, part = good & (share > PARTS.whole), good & (share < PARTS.part)
    refused = np.zeros(len(fits), dtype=bool)
    for n in np.flatnonzero(part):
        beside = np.flatnonzero(whole & ((frame < context) == (n < context)))
        near = beside[np.argsort(np.abs(beside - n), kind="stable")[: PARTS.near]]
        refused[n] = len(near) > 0 and blur[n] > np.median(blur[near]) + most
    return refused


def _axes_ratio(stats: Array) -> Array:
    """Larger over smaller second moment (N,) of the blob."""
    half_sum, half_difference = (stats[:, XX] + stats[:, YY]) / 2, (stats[:, XX] - stats[:, YY]) / 2
    root = np.hypot(half_difference, stats[:, XY])
    return (half_sum + root) / np.maximum(half_sum - root, 1e-6)


def _states(area: Array, visible: Array, full: float, stats: Array, least: int) -> tuple[NDArray[np.uint8], Mask]:
    """States (N,), and where the object was seen well enough for a position.

    least: frames in a row in which something must be missing to be absent.
    """
    expected = visible >= VISIBLE_SHARE * full
    low = expected & (area < AREA.absent * visible)
    seen = np.where(expected, ~low, area >= MIN_DETECTED_SHARE * full)
    state = np.full(len(area), Visibility.VISIBLE, dtype=np.uint8)
    state[seen & (stats[:, BORDER] > 0)] = Visibility.CLIPPED
    state[~expected & ~seen] = Visibility.OCCLUDED
    state[_lasting(low, least)] = Visibility.ABSENT
    return state, seen


def _lasting(low: Mask, least: int) -> Mask:
    """Runs of at least `least` frames; one that lasts to the end of the frames counts in any case."""
    return long_runs(np.concatenate([low, np.ones(least, dtype=bool)]), least)[: len(low)]


CHUNK_BYTES = {"cpu": 1_500_000, "cuda": 200_000_000}  # of frames; on a CPU what stays in its cache


@dataclass(frozen=True)
class TruthReading:
    """Frames of ground truth in which surroundings of bodies are looked for."""

    screen_frames: int = 5  # in which screens are looked for
    surrounding_frames: int = 9  # with the context, in which all that is no body is looked for
    floor_rows: int = 4  # px: the lowest rows of a picture that looks down that show the floor


TRUTH = TruthReading()


CAMERA_DECIMALS = 6  # of a px, a share and a rad


@dataclass(frozen=True, eq=False)
class _Target:
    """Data of the objects from the scene and from ground truth's areas, none of it a position."""

    shapes: tuple[str, ...]
    full_area: Array  # (K,) px
    visible_area: Array  # (N, K) px, of the frames that there are
    bore: Array  # (K,) radius of the hole of a hollow cylinder over its own
    stretch: Array  # (K,) see _stretch

    @property
    def outline_radius(self) -> Array:
        """Radius (K,) px with the hole: the parts of a thin ring lie that far apart."""
        return np.asarray(self.radius / np.sqrt(1 - self.bore**2))

    @property
    def radius(self) -> Array:
        return np.sqrt(self.full_area / np.pi)


@dataclass(frozen=True, eq=False)
class _Maps:
    """Small maps of N frames."""

    pooled: NDArray[np.integer[Any]]  # (N, h, w, 3) sums over factor x factor px
    bodies: NDArray[np.bool_]  # (N, h, w) blobs of bodies
    factor: int


@dataclass(frozen=True, eq=False)
class _TrueScenery:
    """Scenery in ground truth: all that is no body."""

    screens: Tensor  # (H, W) u8, see _screens
    floor: float | None  # level of a floor before which bodies are seen
    beside: intruders.Surroundings


_KNOWN: WeakKeyDictionary[Clip, dict[int, _TrueScenery]] = WeakKeyDictionary()
_TRUE: WeakKeyDictionary[Clip, dict[int, Tracks]] = WeakKeyDictionary()


def track(
    clip: Clip,
    context: int,
    frames: NDArray[np.uint8] | Tensor,
    sights: Sequence[MovingSight | None] | None = None,
) -> Tracks:
    """Track the objects of `clip` in `frames`.

    frames (context + T, H, W, 3) u8: the clip's last `context` true frames, then a prediction. Frames that are missing
    at the end count as absent. Ground truth itself is `clip.frames[clip.window(context)]`. sights: of the objects in
    as many frames, where these come from another camera than the clip's and are warped to its picture.
    """
    video, still = _video(clip, context, frames), None
    if clip.scene.camera.path or clip.spec.view != FAR:
        still = stilled(clip, context, video)
        video = video if still is None else still.frames
    window = clip.window(context)
    times = clip.times[window]
    names = tuple(body.name for body in clip.tracked_bodies)
    small, factor = blobs.shrink(video)
    zoom = float(factor)
    keep = list(clip.tracked)
    full = clip.full_area[window, :][:, keep].astype(np.float64)
    visible = clip.visible_area[window, :][:, keep].astype(np.float64)
    camera = clip.scene.camera
    axes = PLANE_AXES[camera.view]
    target = _Target(
        tuple(body.shape for body in clip.tracked_bodies),
        np.maximum(_typical(full), 1.0) / zoom**2,
        visible[: len(small)] / zoom**2,
        np.array([body.bore for body in clip.tracked_bodies]),
        np.array([_stretch(body, axes) for body in clip.tracked_bodies]),
    )
    middle, fps = np.array([clip.spec.width, clip.spec.height]) / 2, clip.spec.fps
    shown = TrueAreas(
        names,
        times,
        context,
        clip.tracked_bodies,
        full,
        visible,
        middle,
        camera.distance,
        axes,
        fps,
        _sights(clip, times[: len(video)], None if still is None else still.framing)
        if sights is None
        else tuple(None if sight is None else sight.select(np.arange(len(video))) for sight in sights),
    )
    if not names or not len(small):
        return tracks_from(shown, _nothing(0, len(names)), 1.0)
    hues = _distinct_hues(clip)
    colours = colours_of(hues, small.device)
    truth = _true_scenery(clip, context)
    lit = clip.spec.look != PLAIN  # in the plain look all light comes from the camera
    seen, maps = _see(small, target, shown, zoom, colours, truth, lit)
    tracks = tracks_from(shown, seen, zoom)
    scenery = _scenery(clip, tracks, video, seen.choice.centre * zoom, still)
    if scenery.camera[:, 2].any():
        grown = np.ones(len(video))
        grown[context:] += scenery.camera[:, 2]
        tracks = tracks_from(shown, seen, zoom, grown)
    tracks = _without_camera(clip, tracks, scenery)
    smallest = 2 * float(target.radius.min()) / maps.factor
    # In looks that have any, a cast shadow is seen beside a body up to 2 radii of the largest one
    shadow = 0.0 if clip.spec.look == PLAIN else 2.0 * float(target.radius.max()) / maps.factor
    if still is not None:  # what it does not show is no body and no intruder
        unseen = torch.from_numpy(still.unseen[..., None].repeat(3, axis=-1).astype(np.uint8))
        hidden = blobs.pool(unseen, round(zoom) * maps.factor)[..., 0].numpy() > 0
        behind = blobs.pool(blobs.shrink(torch.from_numpy(still_picture(clip)[None]))[0], maps.factor).numpy()
        pooled = np.where(hidden[..., None], behind, maps.pooled)  # black would be taken for how greys are drawn
        maps = replace(maps, pooled=pooled, bodies=np.asarray(maps.bodies | hidden))
    tracks = _with_intruders(tracks, maps, truth.beside, smallest, shadow, zoom * maps.factor)
    return tracks if still is None else _with_path(clip, tracks, still)


def true_tracks(clip: Clip, context: int) -> Tracks:
    """Tracks of ground truth after `context` frames, kept as long as the clip."""
    known = _TRUE.setdefault(clip, {})
    if context not in known:
        known[context] = track(clip, context, clip.frames[clip.window(context)])
    return known[context]


def _with_intruders(
    tracks: Tracks, maps: _Maps, known: intruders.Surroundings, smallest: float, shadow: float, scale: float
) -> Tracks:
    """Tracks with what neither bodies nor scenery explain.

    smallest, shadow: diameter of the smallest body and reach of shadows in px of the maps, which are `scale` px.
    """
    assert tracks.camera is not None
    count = len(maps.pooled)
    pooled, bodies = steadied(maps.pooled, maps.bodies, tracks.camera[:count] / (scale, scale, 1.0, 1.0))
    least = blobs.lasting_frames(1 / float(tracks.times[1] - tracks.times[0])) if len(tracks.times) > 1 else 1
    more = np.zeros(len(tracks.times), dtype=np.int64)
    more[:count] = intruders.intruders(pooled, maps.factor**2, bodies, known, smallest, least, shadow)
    more[: tracks.context] = 0  # true frames: what `known` lacks, such as thin holders, is scenery too
    return replace(tracks, hallucinations=np.minimum(tracks.hallucinations + more, 255).astype(np.uint8))


def _with_path(clip: Clip, tracks: Tracks, still: StillVideo) -> Tracks:
    """Tracks of a moving camera with what it does besides its path, and what it frames.

    Where a frame's border cuts a body that is no ball, nothing tells its middle.
    """
    assert tracks.camera is not None
    camera, missing = tracks.camera.copy(), len(tracks.times) - len(still.camera)
    camera[: len(still.camera)] += still.camera
    path = path_framing(clip)[clip.window(tracks.context)]  # to which the camera keeps
    rest = path[len(still.framing) :][:missing]
    framing = np.concatenate([still.framing, rest])
    boxes = [body.shape != "sphere" for body in clip.tracked_bodies]
    corners = np.array([corner_distance(body, clip.scene.camera) for body in clip.tracked_bodies])  # m
    reach = corners * pixels_per_metre(clip.scene.camera, clip.spec)
    place = mapped(framing[:, None], tracks.position)
    with np.errstate(invalid="ignore"):
        cut = np.array(boxes) & (np.minimum(place, (clip.spec.width, clip.spec.height) - place).min(axis=-1) < reach)
    position, position_sd = np.where(cut[..., None], np.nan, tracks.position), np.where(cut, np.nan, tracks.position_sd)
    return replace(
        tracks, position=position, position_sd=position_sd, camera=camera.round(CAMERA_DECIMALS), framing=framing
    )


def _stretch(body: Body, axes: tuple[int, int]) -> float:
    """Distance of the corners of a long box from its middle over the radius of the disc of its area; 1 of others."""
    sides = sorted(body.size[axis] for axis in axes) if body.shape == "box" else [1.0, 1.0]
    if sides[1] < 2.5 * sides[0]:  # a longer one may end outside of what is looked at around a disc of its area
        return 1.0
    return float(np.linalg.norm(sides)) / float(np.sqrt(4 / np.pi * sides[0] * sides[1]))


def _scenery(clip: Clip, tracks: Tracks, video: Tensor, centre: Array, still: StillVideo | None) -> SceneryTracks:
    """Motion of fixed bodies and the camera; centre (N, K, 2) px of blobs."""
    context = tracks.context
    part = slice(context, len(video))
    assert tracks.chroma is not None
    bodies = SeenBodies(
        tracks.position[part],
        tracks.position_sd[part],
        centre[context:],
        tracks.area[part],
        tracks.state[part] == Visibility.CLIPPED,
        tracks.chroma[part],
    )
    return observe_scenery(clip, video[context:], bodies, None if still is None else still.unseen[context:])


def _without_camera(clip: Clip, tracks: Tracks, scenery: SceneryTracks) -> Tracks:
    """Tracks as a camera that stands still would have them, with what fixed bodies do."""
    total = len(tracks.times)
    part = slice(tracks.context, tracks.context + len(scenery.camera))
    position, area, camera = tracks.position.copy(), tracks.area.copy(), np.zeros((total, 4))
    camera[part] = scenery.camera
    position[part] = without_camera(clip, scenery.camera, position[part])
    position_sd = tracks.position_sd.copy()
    position_sd[part] = np.hypot(position_sd[part], scenery.camera_sd[:, None])
    area[part] /= (1 + scenery.camera[:, 2:3]) ** 2
    off, lost = np.zeros((total, len(scenery.bodies))), np.zeros((total, len(scenery.bodies)), dtype=bool)
    off[part], lost[part] = scenery.off, scenery.lost  # objects are absent where frames are missing: that counts once
    return replace(
        tracks,
        position=position.round(DECIMALS),
        position_sd=position_sd.round(DECIMALS),
        area=area.round(DECIMALS),
        camera=camera.round(CAMERA_DECIMALS),
        scenery=np.array(scenery.bodies, dtype=np.int64),
        scenery_off=off.round(DECIMALS),
        scenery_lost=lost,
    )


def _video(clip: Clip, context: int, frames: NDArray[np.uint8] | Tensor) -> Tensor:
    video = torch.from_numpy(np.require(frames, requirements=["C", "W"])) if isinstance(frames, np.ndarray) else frames
    expected = (clip.spec.height, clip.spec.width, 3)
    if video.dtype != torch.uint8 or video.ndim != 4 or tuple(video.shape[1:]) != expected:
        raise PhysbenchError(
            f"Tracking {clip.id}: expected frames (N, {expected[0]}, {expected[1]}, 3) of uint8 but got "
            f"{tuple(video.shape)} of {video.dtype}. Render the clip and the prediction at one size."
        )
    return video[: clip.times[clip.window(context)].shape[0]].contiguous()


def _sights(clip: Clip, times: Array, framing: Array | None) -> tuple[BallSight | MovingSight | None, ...]:
    """Sight of each tracked body in frames at `times`, in px of the frames: its depth is that of its plane."""
    camera, depth = clip.scene.camera, depth_axis(clip.scene.camera)
    return tuple(
        moving_sight(camera, clip.spec, apparent_radius(body, camera), body.position[depth], times, framing)
        for body in clip.tracked_bodies
    )


def _distinct_hues(clip: Clip) -> tuple[int, ...]:
    hues = tuple(body.hue for body in clip.tracked_bodies if body.hue is not None)
    if len(set(hues)) < len(hues):
        raise PhysbenchError(
            f"Tracking {clip.id}: objects are told apart by hue, but two have the same. Give each its own."
        )
    return hues


def _typical(full: Array) -> Array:
    """Median over time of the areas (T, K) where the object exists."""
    return np.array([np.median(column[column > 0]) if (column > 0).any() else 0.0 for column in full.T])


def _true_frames(clip: Clip) -> Tensor:
    """Some frames of ground truth (M, H, W, 3), from the hand-over on: holders are gone by then."""
    index = np.linspace(clip.handover, len(clip.frames) - 1, TRUTH.screen_frames).astype(int)
    return blobs.shrink(torch.from_numpy(still_frames(clip, index)))[0]


def _true_scenery(clip: Clip, context: int) -> _TrueScenery:
    """Scenery of ground truth, by the clip and the length of the context alone, kept as long as the clip."""
    known = _KNOWN.setdefault(clip, {})
    if context not in known:
        true = _true_frames(clip)
        floor = _floor(clip, true)
        known[context] = _TrueScenery(_screens(clip, true, floor), floor, _surroundings(clip, context))
    return known[context]


def _surroundings(clip: Clip, context: int) -> intruders.Surroundings:
    """Surroundings of the bodies in ground truth in the window: what it shows while the light is on.

    A few frames show it, but where something grey moves by itself: marks of a belt, a plank, the jet of a thruster.
    """
    first, last, moves = clip.handover + 1 - context, len(clip.frames) - 1, grey_moves(clip.scene)
    count = last - first + 1 if moves else TRUTH.surrounding_frames
    index = np.linspace(first, last, count).astype(int)
    lit = darkness_over(clip.scene, clip.states[index]) < 0
    index = index[lit] if lit.any() else index
    frames = blobs.shrink(torch.from_numpy(still_frames(clip, index)))[0]
    factor = blobs.coarse_factor(frames)
    least = intruders.GREYS.least_where_moving if moves or clip.scene.camera.path else intruders.GREYS.least
    return intruders.surroundings(blobs.pool(frames, factor).numpy(), factor**2, HUED, least)


def _floor(clip: Clip, true: Tensor) -> float | None:
    """Level of the floor, which a camera that looks down shows behind bodies; None where it shows none there."""
    camera = clip.scene.camera
    drawn = any(body.shape == "plane" and body.drawn for body in clip.scene.bodies)
    if clip.spec.look != PLAIN or camera.view != "front" or not camera.tilt or not drawn:
        return None
    rows = true.amax(-1).to(torch.float32).transpose(0, 1).flatten(1).median(1).values  # (H,)
    shown = rows[(rows - 255 * BACKGROUND_GREY).abs() > patches.FLOOR_LEVELS]  # the others show no floor
    return float(shown[-TRUTH.floor_rows :].median()) if len(shown) else None


def _screens(clip: Clip, true: Tensor, floor: float | None) -> Tensor:
    """Mask (H, W) u8 of the screens in ground truth.

    Where one moves only what it always covers: the rest of it is looked for in the frames themselves. A night sky is as
    dark where it holds none.
    """
    if clip.spec.look != PLAIN and is_among_stars(clip.scene) and not any(map(is_screen, clip.scene.bodies)):
        return torch.zeros(true.shape[1:3], dtype=torch.uint8)
    red, green, blue = true.unbind(-1)  # an axis of 3 is slow to reduce
    bright = torch.maximum(torch.maximum(red, green), blue)
    dark = bright < patches.SCREEN_BRIGHTNESS * 255 * BACKGROUND_GREY
    if floor is not None:
        dark &= ~patches.is_floor(bright, floor)
    moves = any(body.path and body.drawn and body.until is None for body in clip.scene.bodies)
    return (dark.all(0) if moves else dark.any(0)).to(torch.uint8)


def _chunks(video: Tensor) -> Iterator[slice]:
    size = CHUNK_BYTES.get(video.device.type, CHUNK_BYTES["cuda"])
    step = max(1, size // (video.shape[1] * video.shape[2] * 3))
    return (slice(i, i + step) for i in range(0, len(video), step))


def _nothing(frames: int, objects: int) -> BlobMeasurements:
    return BlobMeasurements(
        choice=blobs.Choice(
            np.zeros((frames, objects)),
            np.full((frames, objects, 2), np.nan),
            np.full((frames, objects, 2), np.nan),
            np.zeros((frames, objects), dtype=np.uint8),
            np.zeros(frames, dtype=np.uint8),
            np.zeros(0, dtype=bool),
        ),
        stats=np.zeros((frames, objects, len(patches.STATS))),
        fits=np.full((frames, objects, len(disc_fit.FIT)), np.nan),
        area=np.zeros((frames, objects)),
        hue=np.full((frames, objects), np.nan),
        chroma=np.full((frames, objects), np.nan),
        reference=np.ones((frames, objects)),
        light=np.full((objects, 3), np.nan),
    )


def _see(
    frames: Tensor,
    target: _Target,
    shown: TrueAreas,
    zoom: float,
    colours: Colours,
    truth: _TrueScenery,
    lit: bool,
) -> tuple[BlobMeasurements, _Maps]:
    """Measure the objects in frames (N, H, W, 3). lit: balls may be lit from one side, as the context frames show."""
    count, objects, context, fps = len(frames), colours.count, shown.context, shown.fps
    parts = [blobs.coarse(frames[chunk], colours) for chunk in _chunks(frames)]
    factor = parts[0].factor
    labels = np.concatenate([part.labels.cpu().numpy() for part in parts])
    labels &= ~background(labels[:context], target.visible_area[:context], factor)
    blobs_of_frames = blobs.components(labels, factor)
    choice = blobs.choose(blobs_of_frames, count, target.full_area, target.outline_radius, factor, fps)
    pooled = np.concatenate([part.pooled.cpu().numpy() for part in parts])
    maps = _Maps(pooled, blobs.known_places(blobs_of_frames, choice, labels.shape), factor)
    smooth = torch.cat([part.frames for part in parts]) if any(part.filtered for part in parts) else frames
    cast, grey = torch.cat([part.cast for part in parts]), torch.cat([part.grey for part in parts])
    floor = None if truth.floor is None else truth.floor / max(float(grey[: max(context, 1)].median()), 1.0)
    video = patches.Video(smooth, cast, grey, truth.screens.to(frames.device), colours, floor)

    seen = _nothing(count, objects)
    seen.choice = choice
    jobs: list[disc_fit.DiscFitJob] = []
    places: list[tuple[NDArray[np.int64], int]] = []
    for k in range(objects):
        here = np.flatnonzero(choice.area[:, k] > 0)
        if not len(here):
            continue
        radius = float(target.outline_radius[k])
        centre, competitor = choice.centre[here, k], choice.competitor[here, k]
        measured = patches.measure(
            video, here, centre, competitor, k, radius, target.shapes[k], radius * float(target.stretch[k])
        )
        seen.stats[here, k] = measured.stats.cpu().numpy()
        full = target.full_area[k] * shown.whole(k)[:count]  # (N,) px
        # From afar what boxes read too large is within what permanence leaves free, and published scores are made so.
        rescales = shown.sights[k] is None or target.shapes[k] != "box"
        seen.calibrate(k, context, target.visible_area[:, k], full, colours, rescale_touched=rescales)
        if target.shapes[k] != "sphere" or radius < FIT.least_radius:
            continue

        sight = shown.sights[k]
        job = disc_fit.DiscFitJob(
            measured,
            torch.from_numpy(seen.reference[here, k]).to(frames.device),
            radius,
            sight=None if sight is None else sight.select(here).shrunk(zoom),
        )
        whole = (here < context) & (target.visible_area[here, k] > AREA.whole * full[here])
        if lit and radius >= 5.0 and whole.any():  # px; of smaller balls it is not asked from where they are lit
            seen.light[k] = np.median(disc_fit.find_light(job.select(whole)).cpu().numpy(), axis=0)
            job = replace(job, light=tuple(seen.light[k].tolist()))
        fitting = seen.wants_fit(k, target.full_area[k] * shown.local(k, choice.centre[:, k] * zoom))[here]
        if fitting.any():
            jobs.append(job.select(fitting))
            places.append((here[fitting], k))
    if jobs:
        for (at, k), fitted in zip(places, disc_fit.fit(jobs), strict=True):
            seen.fits[at, k] = fitted.cpu().numpy()
    return seen, maps
