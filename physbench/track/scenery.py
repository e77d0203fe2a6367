"""Changes of what stands still: fixed bodies and the camera, frame by frame.

Bodies with a hue, such as stars, are placed as all others are; those without are known by their outlines. The frame of
reference is what most of the scenery shows: a picture that shifts, zooms or turns as a whole moves no body. A fixed
body is off by as much as that of its sides which is off most, and lost where one of them is not there, or has another
colour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from scipy.ndimage import maximum_filter1d

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Mask
from physbench.track.camera import PIECES, CameraMotion, camera_motion, common_growth, growth, is_shown
from physbench.track.fixed_edges import FixedEdges, brightness, fixed_edges, read_edges
from physbench.track.moving_camera import path_framing, warped
from physbench.track.tracks import last_known
from physbench.world.bodies import is_darkness
from physbench.world.camera import most_scale
from physbench.world.drawing import boxes, corner_distance, shown
from physbench.world.scene import PLAIN

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SceneryLimits:
    """Fixed bodies and edges that have changed."""

    # of its step that a single piece must show; less than a whole side, as noise of one does not average
    piece_step: float = 0.2
    # by which a picture may weaken or strengthen all edges: brightness, contrast
    style_step: tuple[float, float] = (0.4, 1.8)
    # levels, and share of its step, between the colours of a grey body's edge that has a hue
    colour: tuple[float, float] = (30.0, 0.5)
    error: float = 5.0  # px x levels: over an edge's contrast, by how much a codec may move it
    # of the width between two sides, by which a body grows or shrinks that is not the same any more
    size_change: float = 0.15
    facing: float = -0.95  # cosine between the normals of two sides that face away from each other
    cover_reach: float = 2.0  # px around a body that are not read
    shaded: float = 1.0  # radii of a body beyond its own that are not read where it casts a shadow
    flicker_time: float = 0.3  # s; what is so for less than half of it is a flicker
    light_time: float = 0.2  # s by which the light may go out, or on, earlier or later than it should


EDGE = SceneryLimits()


STAR_SDS = 2.0  # sds of its position by which a star may be off and shows no shift


@dataclass(frozen=True, eq=False)
class SceneryTracks:
    """F fixed bodies and the camera in the N predicted frames, in px of the frames."""

    bodies: tuple[int, ...]  # indices in the scene
    camera: Array  # (N, 4) shift in x and y px, zoom (0: none) and turn in rad, about the middle of the picture
    camera_sd: Array  # (N,) px of its shift where a frame does not show it, see `CameraMotion`
    off: Array  # (N, F) px from where the body should be seen; 0 where it is not read
    lost: Mask  # (N, F) where it is not there, or not itself


@dataclass(frozen=True, eq=False)
class SeenBodies:
    """Tracks of the K bodies with a hue in the N predicted frames, in px of the frames."""

    position: Array  # (N, K, 2), NaN where not known
    position_sd: Array  # (N, K)
    centre: Array  # (N, K, 2) of the blobs, NaN where there is none
    area: Array  # (N, K)
    cut: Mask  # (N, K) by the border
    chroma: Array  # (N, K) over that in the context frames


def observe_scenery(clip: Clip, frames: Tensor, seen: SeenBodies, unseen: Mask | None = None) -> SceneryTracks:
    """Read fixed bodies and the camera in predicted frames (N, H, W, 3) u8.

    unseen (N, H, W): what a moving camera does not show of them; such frames are at rest already.
    """
    count, edges = len(frames), fixed_edges(clip)
    grown = growth(clip, seen.area, seen.cut)
    sizes = _median(grown)
    zoom, bodies = common_growth(grown, clip.spec.fps)
    if edges is None or not count:
        camera, none = np.zeros((count, 4)), np.zeros((count, 0))
        if unseen is None:
            camera = _star_camera(clip, seen, zoom, bodies)
        return SceneryTracks((), camera, np.zeros(count), none, none.astype(bool))
    covered, once_covered = _behind_screens(clip, edges, count)
    if unseen is not None:
        hidden = once_covered | _behind_bodies(clip, edges, seen.centre) | _out_of_view(edges, unseen)
        own = _warped_shifts(clip, edges, count)
        if clip.scene.camera.path:  # a body that is cut by the border has no place, and yet covers what is beside it
            hidden |= np.isnan(own)
        still, _ = read_edges(frames, edges)
        moved = CameraMotion(np.zeros((count, 4)), np.ones(count, dtype=bool), np.zeros(count), still)
        return _read(clip, frames, seen, edges, moved, hidden, own)

    def motion(screened: Mask, zoomed: Array, emerging: bool) -> tuple[CameraMotion, Mask]:
        """The camera, and the pieces (N, P) that do not tell it: those behind screens (N, P) and behind bodies."""
        behind = screened | _behind_bodies(clip, edges, seen.centre)
        told = camera_motion(frames, edges, behind, sizes, zoomed, bodies, emerging)
        camera = told.camera(edges)
        if camera.any():  # bodies cover other pieces than it seemed
            behind = screened | _behind_bodies(clip, edges, without_camera(clip, camera, seen.centre))
            told = camera_motion(frames, edges, behind, sizes, zoomed, bodies, emerging)
        return told, behind

    moved, hidden = motion(once_covered, zoom, False)
    if (once_covered & ~covered).any():
        # A body that grows before a camera that pans looks like a zoom, by which sides lie further apart.
        zooms = (zoom, np.zeros(count)) if zoom.any() else (zoom,)
        even = [each for each in (motion(covered, zoomed, True) for zoomed in zooms) if each[0].goes_evenly]
        if even:
            moved, behind = min(even, key=lambda each: each[0].unexplained(each[1]))
            hidden = behind | once_covered
    return _read(clip, frames, seen, edges, moved, hidden)


def _read(
    clip: Clip,
    frames: Tensor,
    seen: SeenBodies,
    edges: FixedEdges,
    moved: CameraMotion,
    hidden: Mask,
    warped_shifts: Array | None = None,
) -> SceneryTracks:
    """Fixed bodies in frames (N, H, W, 3) whose camera is known; hidden (N, P); see `_warped_shifts`."""
    lasting = 1 + 2 * round(EDGE.flicker_time / 2 * clip.spec.fps)
    off, lost = _bodies(edges, moved, hidden, _style(frames, edges, seen.chroma), lasting, warped_shifts)
    return SceneryTracks(edges.bodies, moved.camera(edges), moved.sd * edges.factor, off * edges.factor, lost)


def shown_directions(clip: Clip) -> Array:
    """Information of scenery on a shift in any direction (2, 2): a matrix whose eigenvectors are directions in px."""
    if clip.scene.camera.path or any(body.role == "fixed" for body in clip.tracked_bodies):
        return np.eye(2)  # a moving camera shows marks everywhere
    edges = fixed_edges(clip)
    if edges is None:
        return np.zeros((2, 2))
    return np.asarray(np.einsum("p,pi,pj->ij", edges.length, edges.normal, edges.normal))


def _star_camera(clip: Clip, seen: SeenBodies, zoom: Array, bodies: int) -> Array:
    """The camera (N, 4), see `SceneryTracks`, where no other scenery shows it: by a fixed body with a hue, if any.

    Its shift is how far such a star is off. What its own position is uncertain by is left out, and where it is not seen
    it is as before. The zoom is what all bodies share, if the star is where that takes it.
    """
    camera = np.zeros((len(seen.position), 4))
    fixed = [k for k, body in enumerate(clip.tracked_bodies) if body.role == "fixed"]
    place = clip.px_positions()[clip.handover, fixed]  # (S, 2)
    out = (place - np.array([clip.spec.width, clip.spec.height]) / 2) * zoom[:, None, None]  # (N, S, 2)
    if zoom.any() and is_shown((seen.position[:, fixed] - place).ravel(), out.ravel(), bodies > 1):
        camera[:, 2] = zoom
    if not fixed:
        return camera
    off = seen.position[:, fixed[0]] - place[0] - (out[:, 0] if camera.any() else 0.0)
    far = np.linalg.norm(off, axis=-1)
    least = np.maximum(0.15, STAR_SDS * seen.position_sd[:, fixed[0]])  # px, by which it may be off
    with np.errstate(invalid="ignore"):
        off = off * np.maximum(0.0, 1 - least / np.maximum(far, 1e-9))[:, None]
    camera[:, :2] = np.nan_to_num(last_known(off))
    return camera


def _behind_bodies(clip: Clip, edges: FixedEdges, centre: Array) -> Mask:
    """Pieces (N, P) that a moving body covers where it is seen, its centre (N, K, 2) px.

    In a look with shadows also those around it: a shadow beside a wall is darker than the wall's own edge.
    """
    factor = edges.factor
    hidden = np.zeros((len(centre), len(edges.start)), dtype=bool)
    wide = 1.0 if clip.spec.look == PLAIN else 1.0 + EDGE.shaded
    for k, body in enumerate(clip.tracked_bodies):
        if body.role == "fixed":
            continue
        radius = corner_distance(body, clip.scene.camera)
        away = edges.middle[None] - centre[:, k, None] / factor
        # Along the piece by its half length, across it by what is read there.
        across = np.abs((away * edges.normal).sum(-1))
        along = np.abs(away[..., 0] * edges.normal[:, 1] - away[..., 1] * edges.normal[:, 0])
        reach = wide * radius * most_scale(clip.scene.camera, clip.spec) / factor + EDGE.cover_reach
        gap = np.hypot(np.maximum(across - edges.half, 0), np.maximum(along - edges.length / 2, 0))
        with np.errstate(invalid="ignore"):
            hidden |= gap < reach
    return hidden


def _behind_screens(clip: Clip, edges: FixedEdges, count: int) -> tuple[Mask, Mask]:
    """Pieces (N, P) that a body on a path covers in `count` frames, and those that it has covered since the hand-over.

    No law says when a screen moves on. Where it stays, or follows late, it hides what it hid before: no piece there is
    missed. One that is seen there tells the camera.
    """
    covered = np.zeros((count, len(edges.start)), dtype=bool)
    once_covered = covered.copy()
    half = edges.length / 2 + EDGE.cover_reach + edges.half
    window = slice(clip.handover, clip.handover + 1 + count)
    for i, body in enumerate(clip.scene.bodies):
        if body.path and body.drawn:
            states, times = clip.states[window, i], clip.times[window]
            box = boxes(clip.scene, i, states, clip.spec) / edges.factor  # (1 + N, 4)
            there = np.array([shown(body, float(time)) for time in times])
            x, y = edges.middle[:, 0], edges.middle[:, 1]
            within = (x > box[:, :1] - half) & (x < box[:, 2:3] + half)
            within &= (y > box[:, 1:2] - half) & (y < box[:, 3:] + half) & there[:, None]
            since = np.logical_or.accumulate(within)
            if is_darkness(body):  # it has its times
                within = maximum_filter1d(within, 1 + 2 * round(EDGE.light_time * clip.spec.fps), axis=0)
                since = within
            covered |= within[1:]
            once_covered |= since[1:]
    return covered, once_covered


def _out_of_view(edges: FixedEdges, unseen: Mask) -> Mask:
    """Pieces (N, P) of which a moving camera does not show all; unseen (N, H, W)."""
    (high, wide), factor = edges.size, edges.factor
    squares = unseen[:, : high * factor, : wide * factor].reshape(-1, high, factor, wide, factor)
    at = np.asarray(squares.any(axis=(2, 4)))[:, edges.row, edges.column]
    return np.asarray(np.logical_or.reduceat(at, edges.start, axis=1))


_WARPED_SHIFTS: WeakKeyDictionary[Clip, dict[int, Array]] = WeakKeyDictionary()


def _warped_shifts(clip: Clip, edges: FixedEdges, count: int) -> Array:
    """Px (N, P) by which warped frames of ground truth show pieces elsewhere than at rest; NaN where they do not.

    The renderer's grid puts an edge elsewhere in each frame of a moving camera, by .25 px and more of short ones that
    lean: no place is surer than that of ground truth. Kept as long as the clip.
    """
    known = _WARPED_SHIFTS.setdefault(clip, {})
    if count not in known:
        import torch

        ahead = slice(clip.handover + 1, clip.handover + 1 + count)
        frames, shown = warped(torch.from_numpy(clip.frames[ahead]), path_framing(clip)[ahead], clip.spec)
        hidden = _behind_screens(clip, edges, len(frames))[1] | _behind_bodies(clip, edges, clip.px_positions()[ahead])
        hidden |= _out_of_view(edges, ~shown.numpy())
        known[count] = np.asarray(np.where(hidden, np.nan, read_edges(frames, edges)[0].shift))
    return known[count]


def _median(grown: Array) -> Array:
    """Median (N,) of what is known of values (N, K); NaN where nothing is."""
    medians, some = np.full(len(grown), np.nan), np.isfinite(grown).any(axis=1)
    medians[some] = np.nanmedian(grown[some], axis=1)
    return medians


def _style(frames: Tensor, edges: FixedEdges, chroma: Array) -> Array:
    """Factors (3, N) on all edges that the picture as a whole may have: none, its brightness, its colours."""
    bright = brightness(frames, edges)
    change = np.where(np.isfinite(chroma) & (chroma > 0), np.abs(np.log(np.where(chroma > 0, chroma, 1.0))), np.inf)
    colours = np.ones(len(frames))
    if change.shape[1]:
        least = change.argmin(axis=1)
        at = np.arange(len(frames))
        colours = np.where(np.isfinite(change[at, least]), chroma[at, least], 1.0)
    return np.clip(np.stack([np.ones(len(frames)), bright, colours]), *EDGE.style_step)


def _bodies(
    edges: FixedEdges, moved: CameraMotion, hidden: Mask, style: Array, frames: int, warped_shifts: Array | None
) -> tuple[Array, Mask]:
    """Displacements (N, F) px of bodies, and a mask of the lost ones."""
    seen = moved.reading
    count, bodies = len(hidden), len(edges.bodies)
    off, lost = np.zeros((count, bodies)), np.zeros((count, bodies), dtype=bool)
    known = ~hidden & np.isfinite(seen.step) & edges.sure
    outwards = np.zeros((count, edges.sides))
    for side in range(edges.sides):
        mine = edges.side == side
        if not mine.any():
            continue
        body = int(edges.body[mine][0])
        weight = np.where(known[:, mine], 1 / edges.noise[mine] ** 2, 0.0)
        contrast = float(edges.contrast[mine].mean())
        slack, most_colour = EDGE.error / contrast, max(EDGE.colour[0], EDGE.colour[1] * contrast)
        parts = (seen.step, np.where(moved.known[:, None], seen.shift, np.nan), seen.colour)
        means = [_weighted_mean(part[:, mine], weight) for part in parts]
        if not _bad(means[0], means[1], means[2] / most_colour, style, slack).any():
            continue
        step, shift, colour = (_lasting(mean[:, None], frames)[:, 0] for mean in means)
        bad = _bad(step, shift, colour / most_colour, style, edges.half)
        lost[:, body] |= bad
        shift = np.where(bad, 0.0, np.nan_to_num(shift))
        room = np.zeros(count)
        if warped_shifts is not None:
            own = _weighted_mean(warped_shifts[:, mine], weight)
            room = np.abs(np.nan_to_num(_lasting(own[:, None], frames)[:, 0]))
        shift = np.sign(shift) * np.maximum(np.abs(shift) - slack - room, 0.0)
        off[:, body] = np.maximum(off[:, body], np.abs(shift))
        outwards[:, side] = shift
    gone = _gone(np.where(known, seen.step, np.nan), style, frames)
    for body in range(bodies):
        lost[:, body] |= gone[:, edges.body == body].any(axis=1)
    for one, other, body, span in _opposite(edges):
        lost[:, body] |= np.abs(outwards[:, one] + outwards[:, other]) > EDGE.size_change * span
    return off, lost


def _weighted_mean(values: Array, weight: Array) -> Array:
    """Means (N,) of what is known of values (N, P); NaN where nothing is."""
    total = np.where(np.isfinite(values), weight, 0.0).sum(axis=1)
    mean = (weight * np.nan_to_num(values)).sum(axis=1) / np.maximum(total, 1e-9)
    return np.where(total > 0, mean, np.nan)


def _gone(step: Array, style: Array, frames: int) -> Mask:
    """Pieces (N, P) that are not there: all of an outline must be, not most of it."""
    gone, least = np.zeros(step.shape, dtype=bool), EDGE.piece_step * style.min(axis=0)[:, None]
    with np.errstate(invalid="ignore"):
        some = np.flatnonzero((step < least).sum(axis=0) > frames // 2)
        gone[:, some] = _lasting(step[:, some], frames) < least
    return gone


def _bad(step: Array, shift: Array, colour: Array, style: Array, far: float) -> Mask:
    """Frames (N,) in which a side is not as it was: too weak, too strong, coloured, or more than `far` px off.

    colour: as a share of what it may be. A strong edge whose colours lie half a px apart, as a lens leaves them, looks
    painted otherwise.
    """
    with np.errstate(invalid="ignore"):
        wrong = (step < PIECES.step_range[0] * style) | (step > PIECES.step_range[1] * style)
        hued = colour > np.minimum(style[1], 1.0)  # a darker picture has weaker colours
        return np.asarray(wrong.all(axis=0) | hued | (np.abs(shift) > far))


def _opposite(edges: FixedEdges) -> Iterator[tuple[int, int, int, float]]:
    """Pairs of sides of one body that face away from each other, its number, and the px between them.

    Normals of all sides of a body point inwards, or all outwards.
    """
    sides = [np.flatnonzero(edges.side == side) for side in range(edges.sides)]
    for one, other in combinations([side for side, mine in enumerate(sides) if len(mine)], 2):
        i, j = sides[one][0], sides[other][0]
        if edges.body[i] == edges.body[j] and edges.normal[i] @ edges.normal[j] < EDGE.facing:
            yield one, other, int(edges.body[i]), float(abs((edges.middle[i] - edges.middle[j]) @ edges.normal[i]))


def _lasting(values: Array, frames: int) -> Array:
    """Medians (N, V) over an odd number of frames around each; where none is known, the last that was."""
    half = frames // 2
    padded = np.pad(values, ((half, half), (0, 0)), constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, frames, axis=0)
    known = np.isfinite(around).any(axis=-1)
    medians = np.full(values.shape, np.nan)
    medians[known] = np.nanmedian(around[known], axis=-1)
    return last_known(medians)


def without_camera(clip: Clip, camera: Array, position: Array) -> Array:
    """Positions (N, K, 2) px as a camera sees them that stands still; camera: (N, 4), see `SceneryTracks`."""
    middle = np.array([clip.spec.width, clip.spec.height]) / 2
    away = position - middle - camera[:, None, :2]
    turn = camera[:, None, 3]
    # The inverse of x -> (1 + zoom) x + turn x', x' being x turned by a quarter.
    grow = 1 + camera[:, None, 2]
    x = (grow * away[..., 0] + turn * away[..., 1]) / (grow**2 + turn**2)
    y = (grow * away[..., 1] - turn * away[..., 0]) / (grow**2 + turn**2)
    return middle + np.stack([x, y], axis=-1)
