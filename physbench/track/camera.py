"""Motion of a camera that should stand still: shift, turn, zoom.

A shift, a zoom and a turn of the whole picture. Pieces of outlines tell how far they lie from where they should, each
across itself; what most of them agree on is the camera's. A motion that stays below a px is read from all frames at
once, a larger one is followed from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Mask
from physbench.track.fixed_edges import EdgeReading, FixedEdges, read_edges, unexplained
from physbench.track.visibility import FULL_VIEW

if TYPE_CHECKING:
    from torch import Tensor

# How much a camera zooms, from the sizes of all bodies together.
#
# A floor, a lone wall or a star shows no zoom by itself: what moves its edge may be a shift. Bodies do: a camera that
# moves in makes all of them larger by one factor, and takes what stands still away from the middle of the picture.
# Where bodies disagree, or scenery stays where it is, it is the bodies that grow.


@dataclass(frozen=True)
class ZoomOfBodies:
    """Limits of a zoom that the sizes of bodies tell."""

    whole_size: tuple[float, float] = (0.5, 2.0)  # of an object's area; sizes of others tell no zoom
    smooth_time: float = 0.5  # s over which a zoom is even
    least_frames: int = 4  # with the size of a body, that tell its own
    latest: float = 1.0  # s after the hand-over by which a body must be seen, to tell its own size
    outlier: float = 0.01  # of a size; sizes that are further off count in proportion less
    least: float = 0.02  # largest zoom of a clip, where bodies are seen, below which there is none
    most_apart: float = 0.4  # of a zoom by which bodies may differ from each other, on average
    apart_anyway: float = 0.008  # the same, however small the zoom is
    telling: float = 0.3  # px; what a zoom moves by less does not tell it
    explained: float = 0.5  # of the way that scenery is off, that a zoom must leave at most


ZOOM = ZoomOfBodies()


def growth(clip: Clip, area: Array, cut: Mask) -> Array:
    """Apparent over true size (N, K) of bodies, in length; NaN where they are not seen whole.

    area (N, K) px of the predicted frames; cut (N, K): by the border of the picture.
    """
    window = slice(clip.handover + 1, clip.handover + 1 + len(area))
    whole = np.maximum(clip.full_area[window][:, list(clip.tracked)].astype(np.float64), 1.0)
    ratio = area / whole
    known = (
        (clip.visible_share()[window] > FULL_VIEW) & (ratio > ZOOM.whole_size[0]) & (ratio < ZOOM.whole_size[1]) & ~cut
    )
    return np.where(known, np.sqrt(np.where(known, ratio, 1.0)), np.nan)


def common_growth(grown: Array, fps: float) -> tuple[Array, int]:
    """Zoom (N,) that all bodies (N, K) share, smooth in time, and how many of them show it.

    0 where they disagree, or too little shows one. How large a style draws a body is its own from the start, and no
    zoom.
    """
    none = np.zeros(len(grown)), 0
    growths = [
        own - _smooth(own, fps)[0]
        for own in np.log(grown).T
        if np.isfinite(own).sum() >= ZOOM.least_frames and np.argmax(np.isfinite(own)) < ZOOM.latest * fps
    ]
    if not growths:
        return none
    bodies = np.array(growths)
    known, shared = np.isfinite(bodies), np.full(len(grown), np.nan)
    some = known.any(axis=0)
    shared[some] = np.nanmedian(bodies[:, some], axis=0)
    smooth = _smooth(shared, fps)
    smooth = smooth - smooth[0]
    if np.abs(smooth[some]).max() < ZOOM.least:
        return none
    for own, at in zip(bodies, known, strict=True):
        apart = np.abs(_smooth(own, fps) - smooth)[at].mean()
        if apart > max(ZOOM.apart_anyway, ZOOM.most_apart * np.abs(smooth[at]).mean()):
            return none
    return np.expm1(smooth), int((known[:, np.abs(smooth) >= ZOOM.least].sum(axis=1) >= ZOOM.least_frames).sum())


def _smooth(values: Array, fps: float) -> Array:
    """Values (N,) along a curve that bends little (Whittaker 1923), straight where nothing is known."""
    known = np.isfinite(values)
    shown, weight = np.where(known, values, 0.0), known.astype(np.float64)
    bend = np.diff(np.eye(len(values)), 2, axis=0)
    stiff = (ZOOM.smooth_time * fps) ** 4 * bend.T @ bend + 1e-9 * np.eye(len(values))
    smoothed = shown
    for _ in range(3):
        smoothed = np.linalg.solve(np.diag(weight) + stiff, weight * shown)
        weight = known * ZOOM.outlier / np.maximum(np.abs(shown - smoothed), ZOOM.outlier)
    return smoothed


def is_shown(off: Array, expected: Array, otherwise: bool) -> bool:
    """True if bodies at rest show a zoom: they are off (M,) px as the zoom expects (M,), and not where they were.

    NaN in `off`: not seen. otherwise: the answer where nothing that stands still could tell.
    """
    telling = np.isfinite(off) & (np.abs(expected) > ZOOM.telling)
    if not telling.any():
        return otherwise
    return bool(np.abs(off - expected)[telling].sum() < ZOOM.explained * np.abs(off)[telling].sum())


@dataclass(frozen=True)
class MotionLimits:
    """Motions of the camera that are told, in px of a frame."""

    followed: float = 0.8  # px by which pieces must be off for the camera to be followed from frame to frame
    steady: float = 0.5  # px of the small maps that nothing moves by where a frame is taken as it is
    none: float = 0.002  # px below which a motion is none
    shown: float = 0.15  # px, sd along a direction from which on a frame does not show the shift along it
    converging: float = 0.5  # px, the same along which edges that only converge do not show the shift
    even: float = 0.4  # px by which an even motion may be away from the mean of its neighbours in a frame
    least_shown: float = 0.25  # of the frames that show the shift in all directions, to tell it in the others


MOTION = MotionLimits()


@dataclass(frozen=True)
class PiecesRead:
    """Pieces of outlines that count in a frame."""

    step_range: tuple[float, float] = (0.35, 2.5)  # of the step of an edge that is there
    shift_range: float = 0.75  # of the half width of an edge's weights, within which its shift is told
    even_range: float = 0.5  # of the same, within which it reads as large as it is
    precision: float = 0.1  # px, of a piece at best
    # of what the pieces tell that must be seen in a frame; where some come out from behind a screen, of those that it
    # does not hide
    least_seen_share: float = 0.3
    least_emerged: float = 0.1  # of what all pieces tell that must be seen then, too


PIECES = PiecesRead()


@dataclass(frozen=True)
class MotionFit:
    """Fit of a camera's motion to pieces, in one frame."""

    # px, of shift in x and y, of zoom and turn at the picture's border
    prior: tuple[float, float, float, float] = (30.0, 30.0, 3.0, 3.0)
    narrow: float = 0.6  # of the picture's side; scenery that spans less shows no zoom and no turn
    robust: float = 0.2  # px; a piece that is further off what most say counts less, by the square
    passes: int = 8
    # of what pieces show that must lie where a motion takes it; else it is looked for elsewhere, too
    agreed: float = 0.9
    better: float = 1.25  # times as much that must agree with another motion than the expected one
    # at most, each from where the one before it finds the pieces: a short one soon slides along itself
    registrations: int = 4
    zoom_agrees: float = 0.04  # by which the zoom of scenery and of bodies may differ, to be the camera's


FIT = MotionFit()


AROUND = np.array([[x, y] for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]) * 1.5  # times the way that is told


@dataclass(frozen=True)
class Drift:
    """Drift of a camera, which goes on where nothing shows it."""

    frames: int = 8  # over which a drift is told
    least_frames: int = 3  # fewer tell none
    sds: float = 4.0  # standard deviations of a drift, that tell it from a camera that trembles


DRIFT = Drift()


@dataclass(frozen=True)
class SmallMotion:
    """Motions below FOLLOWED, by what they explain of the difference from the scenery."""

    least_gain: float = 0.2  # of this difference that a motion must explain
    least_rest2: float = 0.3  # levels^2; less differs by no motion that matters
    rounding2: float = 0.1  # levels^2 of it that rounding makes


SMALL = SmallMotion()


@dataclass(frozen=True, eq=False)
class CameraMotion:
    """The camera in N frames against that of ground truth, in px of the edges."""

    values: Array  # (N, 4) shift in x and y, zoom and turn in px at the picture's border
    known: Mask  # (N,) where enough scenery is seen
    sd: Array  # (N,) px of its shift, where it trembles and a frame does not show it in all directions; 0 elsewhere
    reading: EdgeReading  # of the pieces, with shifts from where the moved camera should show them

    @property
    def goes_evenly(self) -> bool:
        """True if frames show a motion, `DRIFT.least_frames` of them between two that do, and none of these jumps."""
        apart = _from_neighbours(self.values, self.known)
        moved = np.abs(self.values[self.known]).max(initial=0.0) > MOTION.followed
        return bool(moved and len(apart) >= DRIFT.least_frames and np.abs(apart).max() <= MOTION.even)

    def unexplained(self, hidden: Mask) -> float:
        """Mean px by which pieces lie elsewhere than the motion takes them; infinite where none is seen.

        hidden (N, P): pieces that do not count.
        """
        seen = ~hidden & _there(self.reading) & np.isfinite(self.reading.shift) & self.known[:, None]
        return float(np.abs(self.reading.shift[seen]).mean()) if seen.any() else np.inf

    def camera(self, edges: FixedEdges) -> Array:
        """The same (N, 4) in px of the frames, a share and rad."""
        reach = min(edges.size) / 2
        return np.asarray(self.values * np.array([edges.factor, edges.factor, 1 / reach, 1 / reach]))


def camera_motion(
    frames: Tensor,
    edges: FixedEdges,
    hidden: Mask,
    sizes: Array,
    zoom: Array,
    bodies: int,
    emerging: bool = False,
) -> CameraMotion:
    """The motion of the camera in predicted frames.

    Args:
        frames: (N, H, W, 3) u8.
        edges: Of ground truth.
        hidden: (N, P) pieces that a body covers.
        sizes: (N,) how much larger bodies are seen than they are, a factor; NaN where none tells.
        zoom: (N,) that these show in common; it counts where scenery agrees.
        bodies: How many show it.
        emerging: See `Design`.
    """
    design = Design(edges, emerging)
    seen, grey = read_edges(frames, edges)
    zooms = np.zeros((len(sizes), 4))
    zooms[:, 2] = zoom * design.reach
    if zooms.any() and not design.shows(seen, hidden, zooms, bodies):
        zooms[:] = 0.0
    values, known = design.fit(seen, hidden, sizes, zooms)
    moved = np.flatnonzero(known & (np.abs(values @ design.columns.T).max(axis=1) > MOTION.followed))
    # What is off by more than can be told before that is where a motion begins.
    first = int(np.argmax(~known | (np.arange(len(known)) == moved[0]))) if len(moved) else len(values)
    parts = [part.copy() for part in (seen.step, seen.shift, seen.colour)]
    for t in range(first, len(values)):
        past = _continued(values[:t], zooms[: t + 1])
        registration = design.followed(frames[t : t + 1], hidden[t : t + 1], sizes[t : t + 1], past, zooms[t])
        values[t], known[t] = registration.values if registration.sure else past, registration.sure
        for part, new in zip(
            parts, (registration.reading.step, registration.reading.shift, registration.reading.colour), strict=True
        ):
            part[t] = new[0]
    small = np.arange(len(values)) < first
    small &= ~_explains(grey, edges, seen, hidden, small, values @ design.columns.T)
    values[small] = zooms[small]
    values = zooms + _filled(values - zooms, known | (np.arange(len(values)) >= first))
    reading = EdgeReading(parts[0], parts[1] - values @ design.columns.T, parts[2])
    values, sd = design.between(values, reading, hidden)
    return CameraMotion(values, known, sd, reading)


def _from_neighbours(values: Array, known: Mask) -> Array:
    """By how much (M, V) values (N, V) differ from the mean of those before and after, where all three are known."""
    return np.asarray((values[1:-1] - (values[:-2] + values[2:]) / 2)[known[:-2] & known[1:-1] & known[2:]])


def _continued(values: Array, zooms: Array) -> Array:
    """Motion (4,) of a camera that goes on as in its motions (T, 4) so far; zooms (T + 1, 4): its zoom."""
    if not len(values):
        return np.asarray(zooms[0])
    own = values - zooms[:-1]
    some = min(len(own) // 2, DRIFT.frames)
    place, drift = own[-max(some, 1) :].mean(axis=0), np.zeros(4)
    if some >= DRIFT.least_frames:
        late, early = own[-some:, :2], own[-2 * some : -some, :2]
        step = (late.mean(axis=0) - early.mean(axis=0)) / some
        trend = np.arange(some)[:, None] * step
        error = np.sqrt(((late - trend).var(axis=0) + (early - trend).var(axis=0)) / some) / some
        drift[:2] = np.where(np.abs(step) > DRIFT.sds * error, step, 0.0)
        place[:2] = np.where(drift[:2] != 0, own[-1, :2], place[:2])
    return np.asarray(place + drift + zooms[-1])


def _explains(
    grey: NDArray[np.float32], edges: FixedEdges, seen: EdgeReading, hidden: Mask, candidates: Mask, shift: Array
) -> Mask:
    """Mask (N,): a small motion explains some of what differs from the scenery; grey (N, Q) of the pieces' pixels."""
    explained = np.zeros(len(shift), dtype=bool)
    at = np.flatnonzero(candidates & (np.abs(shift).max(axis=1) > MOTION.none))
    if len(at):
        free = (~hidden & _there(seen))[at]
        before, after = unexplained(grey[at], edges, shift[at], seen.step[at], free)
        gain = 1 - (after - SMALL.rounding2) / np.maximum(before - SMALL.rounding2, 1e-9)
        explained[at] = (gain > SMALL.least_gain) & (before > SMALL.least_rest2)
    return explained


def _filled(values: Array, known: Mask) -> Array:
    """Motions (N, 4) with the last known one where none is known, and the first before that."""
    at = np.flatnonzero(known)
    if not len(at):
        return values
    return np.asarray(values[at[(np.searchsorted(at, np.arange(len(values)), side="right") - 1).clip(0)]])


def _there(seen: EdgeReading) -> Mask:
    with np.errstate(invalid="ignore"):
        return np.asarray((seen.step > PIECES.step_range[0]) & (seen.step < PIECES.step_range[1]))


@dataclass(frozen=True, eq=False)
class Registration:
    """Reading of the camera in one frame."""

    values: Array  # (4,)
    sure: bool
    reading: EdgeReading  # of 1 frame, with shifts from where pieces lie in ground truth
    agreed: float  # share of what is shown that lies where this motion takes it


class Design:
    """Effect of a camera's motion on each piece."""

    def __init__(self, edges: FixedEdges, emerging: bool = False) -> None:
        """emerging: pieces that come out from behind a screen tell the motion, few as they are at first."""
        self.emerging = emerging
        self.size = np.array(edges.size[::-1], dtype=np.float64)
        self.reach = float(self.size.min()) / 2
        self.away = (edges.middle - self.size / 2) / self.reach
        turned = np.stack([-self.away[:, 1], self.away[:, 0]], axis=-1)
        normal = edges.normal
        self.columns = np.stack(
            [normal[:, 0], normal[:, 1], (normal * self.away).sum(1), (normal * turned).sum(1)], axis=-1
        )
        self.turned = turned
        self.half = edges.half * PIECES.shift_range
        self.edges = edges
        self.weight = 1 / (PIECES.precision**2 + edges.noise**2)
        self.wide = np.ptp(edges.middle, axis=0).max() >= FIT.narrow * self.size.min()
        self.prior = np.array(FIT.prior) if self.wide else np.array([*FIT.prior[:2], MOTION.none, MOTION.none])

    def displacement(self, values: Array) -> Array:
        """By how many px (P, 2) a camera's motion (4,) moves each piece."""
        return np.asarray(values[:2] + values[2] * self.away + values[3] * self.turned)

    def shows(self, seen: EdgeReading, hidden: Mask, zooms: Array, bodies: int) -> bool:
        """True if scenery shows the zooms (N, 4) that bodies tell, where it is read at its place."""
        with np.errstate(invalid="ignore"):
            free = ~hidden & _there(seen) & (np.abs(seen.shift) < self.half)
        expected = zooms @ self.columns.T
        free &= np.abs(expected) < self.edges.half * PIECES.even_range  # what is off by more reads as less
        return is_shown(np.where(free, seen.shift, np.nan), expected, bodies > 1 and not self.wide)

    def _least_weight(self, hidden: Mask) -> Array:
        """Weight (N,) of the pieces that must be seen for a motion to be known; hidden (N, P)."""
        if not self.emerging:
            return np.full(len(hidden), PIECES.least_seen_share * self.weight.sum())
        uncovered = np.where(hidden, 0.0, self.weight).sum(axis=1)
        return np.asarray(np.maximum(PIECES.least_seen_share * uncovered, PIECES.least_emerged * self.weight.sum()))

    def followed(self, frame: Tensor, hidden: Mask, sizes: Array, past: Array, zooms: Array) -> Registration:
        """The motion in one frame (1, H, W, 3), near the one before it, or further away where it is not there."""
        best = self._register(frame, hidden, sizes, past, past, zooms)
        if best.agreed >= FIT.agreed or self.weight[~hidden[0]].sum() < self._least_weight(hidden)[0]:
            return best
        for start in (zooms, *(past + np.append(away, [0.0, 0.0]) for away in AROUND * self.half)):
            other = self._register(frame, hidden, sizes, start, past, zooms)
            best = other if other.agreed > FIT.better * best.agreed else best
        return best

    def _register(
        self, frame: Tensor, hidden: Mask, sizes: Array, start: Array, past: Array, zooms: Array
    ) -> Registration:
        """Camera in a frame (1, H, W, 3), by its pieces near where a motion (4,) would have moved them."""
        before, past, off = past, start, None
        for _ in range(FIT.registrations):
            looked, off = off, np.round(self.displacement(past)).astype(np.int64)
            if looked is not None and (off == looked).all():
                break
            reading, _ = read_edges(frame, self.edges, off)
            total = reading.shift + (off * self.edges.normal).sum(axis=1)
            whole = replace(reading, shift=total)
            now, sure = self.fit(whole, hidden, sizes, zooms[None], near=reading.shift, past=before)
            if sure[0]:
                past = now[0]
        with np.errstate(invalid="ignore"):
            agree = ~hidden & _there(reading) & (np.abs(total - past @ self.columns.T) < FIT.robust + self.edges.noise)
        shown = self.weight[~hidden[0]].sum()
        return Registration(past, bool(sure[0]), whole, float(self.weight[agree[0]].sum() / max(shown, 1e-9)))

    def fit(
        self,
        seen: EdgeReading,
        hidden: Mask,
        sizes: Array,
        zooms: Array,
        near: Array | None = None,
        past: Array | None = None,
    ) -> tuple[Array, Mask]:
        """Motions (N, 4), and where enough is seen to tell them (N,).

        zooms (N, 4): what bodies tell, which stays where scenery does not tell one. near: shifts from where it
        was looked. past (4,): the motion before; its shift stays in directions that nothing shows, as while a body
        hides the only edge across one.
        """
        near = seen.shift if near is None else near
        with np.errstate(invalid="ignore"):
            free = ~hidden & _there(seen) & (np.abs(near) < self.half)
        weight = np.where(free, self.weight, 0.0)
        known = weight.sum(axis=1) > self._least_weight(hidden)
        before = zooms + (0.0 if past is None else np.append(past[:2], [0.0, 0.0]))
        shift = seen.shift - before @ self.columns.T
        values = before + self._without_unseen_shift(self._solve(shift, weight, self.prior), weight)
        with np.errstate(invalid="ignore"):
            other = known & (np.abs(values[:, 2] / self.reach - (sizes - 1)) > FIT.zoom_agrees)
        if other.any():  # bodies are as large as before: something grows, and the camera does not move in
            prior = np.where([0, 0, 1, 0], MOTION.none, self.prior)
            values[other] = before[other] + self._without_unseen_shift(
                self._solve(shift[other], weight[other], prior), weight[other]
            )
        values[~known] = zooms[~known]
        return values, known

    def between(self, values: Array, off: EdgeReading, hidden: Mask) -> tuple[Array, Array]:
        """Motions (N, 4) in which a shift that a frame does not show lies between those of frames that do; its sd (N,).

        A body may hide the only edge across a direction for a while. An even pan goes on behind it. A camera that
        trembles is anywhere: as far away as it is from the mean of two neighbours elsewhere. off: of the pieces, from
        where these motions (N, 4) take them. Where few frames show all directions nothing is known of the others.
        """
        sd = np.zeros(len(values))
        if not values.any():
            return values, sd
        with np.errstate(invalid="ignore"):
            free = ~hidden & _there(off) & (np.abs(off.shift) < self.half)
        weight = np.where(free, self.weight / (1 + (np.where(free, off.shift, 0.0) / FIT.robust) ** 2), 0.0)
        covariance = self._shift_covariance(weight)
        # Parallel edges tell one direction in some frames and the other in none: of each frame no more is asked.
        best, directions = np.linalg.eigh(self._shift_covariance(weight.max(axis=0)[None])[0])
        told = directions[:, best < MOTION.shown**2]  # (2, D)
        shown = np.linalg.eigvalsh(told.T @ covariance @ told).max(axis=1, initial=0.0) < MOTION.shown**2
        if shown.all() or shown.mean() < MOTION.least_shown:
            return values, sd
        at, smoothed = np.arange(len(values)), values.copy()
        known = np.append(-1, at[shown])  # context frames are given
        between = np.stack([np.interp(at, known, np.append(0.0, values[shown, axis])) for axis in (0, 1)], axis=-1)
        between[known[-1] + 1 :] = values[known[-1] + 1 :, :2]
        apart = _from_neighbours(values[:, :2], shown)
        # Where one direction alone is told, a camera that trembles is left to the noise of positions: so is the other.
        if told.shape[1] < 2 and len(apart) and (apart**2).sum(axis=1).mean() > MOTION.shown**2:
            return values, sd
        variance, directions = np.linalg.eigh(covariance)
        for n in np.flatnonzero(~shown):
            for own, way in zip(variance[n], directions[n].T, strict=True):
                trembles = float(((apart @ way) ** 2).mean()) if len(apart) else 0.0
                if own >= MOTION.shown**2:
                    smoothed[n, :2] += way * (way @ (between[n] - values[n, :2])) * own / (own + trembles)
                    sd[n] = np.hypot(sd[n], np.sqrt(own * trembles / (own + trembles)))
        return smoothed, sd

    def _shift_covariance(self, weight: Array) -> Array:
        """Covariances (N, 2, 2) px^2 of the shifts in x and y that pieces of a weight (N, P) tell."""
        matrix = np.einsum("np,pi,pj->nij", weight, self.columns, self.columns) + np.diag(1 / self.prior**2)
        return np.asarray(np.linalg.inv(matrix)[:, :2, :2])

    def _without_unseen_shift(self, values: Array, weight: Array) -> Array:
        """Motions (N, 4) with no shift along edges that are parallel in the scene, and converge in the picture.

        A shadow on them moves each by some tenths of a px, which would be a shift of many px along them.
        """
        if not self.edges.converge:
            return values
        variance, directions = np.linalg.eigh(self._shift_covariance(weight))
        along = np.einsum("nij,ni->nj", directions, values[:, :2])
        along[variance > MOTION.converging**2] = 0.0
        return np.concatenate([np.einsum("nij,nj->ni", directions, along), values[:, 2:]], axis=1)

    def _solve(self, shift: Array, weight: Array, prior: Array) -> Array:
        """Motions (N, 4) for shifts (N, P): what most pieces say, from the motion that is expected, or from all.

        Pieces that are off count less, by the square, so that no compromise is found between some that moved and others
        that did not. Of two such motions the one that more pieces agree with is taken.
        """
        shift, solutions, agreed = (
            np.where(weight > 0, shift, 0.0),
            np.zeros((len(shift), 4)),
            np.full(len(shift), -1.0),
        )
        for robust in (weight / (1 + (shift / FIT.robust) ** 2), weight):
            for _ in range(FIT.passes):
                matrix = np.einsum("np,pi,pj->nij", robust, self.columns, self.columns) + np.diag(1 / prior**2)
                right = np.einsum("np,pi->ni", robust * shift, self.columns)
                values = np.linalg.solve(matrix, right[..., None])[..., 0]
                robust = weight / (1 + ((shift - values @ self.columns.T) / FIT.robust) ** 2)
            better = robust.sum(axis=1) > agreed * FIT.better
            solutions[better], agreed[better] = values[better], robust.sum(axis=1)[better]
        return solutions


def steadied(
    pooled: NDArray[np.integer[Any]], bodies: NDArray[np.bool_], camera: Array
) -> tuple[NDArray[np.integer[Any]], NDArray[np.bool_]]:
    """Maps (N, h, w, 3) and masks (N, h, w) as a camera shows them that stands still.

    camera: (N, 4), shift in x and y in px of the maps, zoom and turn. What the moved camera does not show is masked.
    Frames in which no corner moves by MOTION.steady px are as they were.
    """
    height, width = pooled.shape[1:3]
    middle = np.array([height - 1, width - 1]) / 2
    reach = np.abs(camera[:, :2]).max(axis=1, initial=0.0) + np.abs(camera[:, 2:]).sum(axis=1) * middle.max()
    moved = np.flatnonzero(reach > MOTION.steady)
    if not len(moved):
        return pooled, bodies
    from scipy.ndimage import affine_transform

    pooled, bodies = pooled.copy(), bodies.copy()
    for n in moved:
        x, y, zoom, turn = camera[n]
        matrix = np.array([[1 + zoom, turn], [-turn, 1 + zoom]])  # rows and columns: y before x
        offset = middle + np.array([y, x]) - matrix @ middle
        for colour in range(3):
            pooled[n, ..., colour] = affine_transform(pooled[n, ..., colour], matrix, offset, order=1, mode="nearest")
        covered = affine_transform(bodies[n].astype(np.float32), matrix, offset, order=1, cval=1.0)
        bodies[n] = covered > 1e-3
    return pooled, bodies
