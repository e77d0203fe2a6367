"""Predicted frames of a moving camera, as the camera at rest would show them.

A prediction is read through its own camera. Each frame is registered with a frame of ground truth, whose camera is
known, by all that stands still and has no hue: a camera that turns and zooms moves the picture by a homography of four
numbers, which the least squares of grey levels tell (Lucas and Kanade 1981; Baker and Matthews 2004,
doi:10.1023/B:VISI.0000011205.11775.fd). What agrees least counts least, so that a screen that moves is no camera.
Ground truth is registered in the same way, with frames of other moments.

So is the prediction of a near camera that stands still, with the picture of what stands still, where this tells turns
and zoom: in a wide view a pan moves what is at the border a third further than what is in the middle, which is no shift
of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.support.arrays import Array, Image, Mask, Whole
from physbench.track.colour import HUED, mean_planes
from physbench.track.compiled_registration import read_levels, register
from physbench.world.camera import camera_angles, camera_turn, eye_moves, homographies, lens, mapped
from physbench.world.scene import BACKGROUND_GREY, PLAIN, RenderSpec

if TYPE_CHECKING:
    from torch import Tensor

BLURS = (3.0, 1.0)  # px, sd, from coarse to fine; a pan of 20 degrees/s is 3 px a frame at 128 px, 15 frames/s


@dataclass(frozen=True)
class PointLimits:
    """Points of a picture that tell the camera."""

    most: int = 1500  # where its grey levels change most
    least: int = 60
    least_slope: float = 0.3  # levels a px
    border: float = 2.0  # px of a picture's border that tell nothing
    clear: float = 0.7  # share of what a blurred pixel holds that must have no hue
    still: float = 2.0  # levels by which one may differ from the picture at rest: by more it is in a shadow that moves


POINTS = PointLimits()


@dataclass(frozen=True)
class Registration:
    """Registration of a frame with one of ground truth."""

    passes: int = 12  # at most
    still: float = 0.005  # px of a pass that moves nothing any more
    least_scale: float = 1.0  # levels, from which on a difference counts less
    agreed: float = 0.6  # share of slopes squared that must agree, for the camera to be known
    clearly: float = 0.1  # by which more of them must agree with another camera than with one that goes on as it did


REGISTRATION = Registration()


@dataclass(frozen=True)
class StandsStill:
    """Near camera that should stand still."""

    strong: float = 3.0  # levels a px; a weaker texture agrees with any camera, and does not tell that one is told
    # px of a picture of 128 px, by which an error of a level misplaces corners, from which on the camera is not told:
    # .15 of a floor and a wall, .007 to .03 of walls or screens, 2.5 and more of a bare floor or a lone screen
    unknown: float = 0.25
    lost: float = 0.5  # px, the same of a frame, all points together
    moved: float = 0.3  # px of a corner in some frame; by less it stands still
    suspected: float = 0.15  # px, the same of a first look at every 5th point, from which on all points are asked
    # of what differs there, that this must explain: noise and shadows do up to .35 of a frame, a pan .55 of some frame
    explained: float = 0.4
    unexplained: float = 0.5  # of what differs from the still picture, that its motion must leave at most
    goes_on: float = 0.5  # s, whose speed a camera keeps that is not seen any more


STANDS_STILL = StandsStill()


PRIOR = np.array([1.0, 1.0, 0.2, 0.1])  # sd of pan, tilt, roll and zoom where nothing tells them


@dataclass(frozen=True, eq=False)
class StillVideo:
    """N frames as the camera at rest would show them, in px of its picture."""

    frames: Tensor  # (N, H, W, 3) u8
    unseen: Mask  # (N, H, W) that the moving camera does not show
    framing: Array  # (N, 3, 3) homographies from the picture at rest to the frame
    camera: Array  # (N, 4) against its path: shift in x and y px, zoom and turn in rad about the middle of the frame


def stilled(clip: Clip, context: int, video: Tensor) -> StillVideo | None:
    """A video (C + T, H, W, 3) u8 of the last `context` true frames of a clip, and a prediction, at rest.

    None where the camera has no path and stands still, or the picture does not tell its turns and zoom.
    """
    shown = min(context, len(video))
    if not clip.scene.camera.path:
        marks = _still_marks(clip)
        if marks is None or not marks.seem_to_move(video[shown:]):
            return None
    path = path_framing(clip)[clip.window(context)][: len(video)]
    followed, differs = _followed(clip, video[shown:], path[shown:])
    off = np.concatenate([np.zeros((shown, 4)), followed])
    own = np.array([_deviation(clip, values) for values in off]).reshape(-1, 3, 3)
    if not clip.scene.camera.path:
        moved = mapped(own[:, None], _corners(clip)) - _corners(clip)
        before, after = differs.sum(axis=0)
        if np.abs(moved).max() < STANDS_STILL.moved or after > STANDS_STILL.unexplained * before:
            return None
    framing = own @ path
    frames, seen = warped(video, framing, clip.spec)
    frames[~seen] = 0  # level of what a frame does not show: dark as a screen, behind which a body may be
    camera = np.array([_similarity(clip, one) for one in own]).reshape(-1, 4)
    return StillVideo(frames, ~seen.cpu().numpy(), framing, camera)


def still_frames(clip: Clip, index: NDArray[np.integer]) -> Image:
    """Frames (M, H, W, 3) of ground truth as the camera at rest would show them; what one hides, another shows."""
    if not clip.scene.camera.path:
        return np.asarray(clip.frames[index])
    import torch

    frames, seen = warped(torch.from_numpy(clip.frames[index]), path_framing(clip)[index], clip.spec)
    behind = torch.from_numpy(still_picture(clip)).expand_as(frames)
    return np.asarray(torch.where(seen[..., None], frames, behind).numpy())


def warped(video: Tensor, framing: Array, spec: RenderSpec) -> tuple[Tensor, Tensor]:
    """Pictures (N, H, W, 3) u8 at rest of frames, by homographies (N, 3, 3) to them, and what (N, H, W) these show."""
    import torch
    from torch.nn.functional import grid_sample

    x, y = np.arange(spec.width) + 0.5, (np.arange(spec.height) + 0.5)[:, None]
    pictures, seen = torch.empty_like(video), np.empty((len(video), spec.height, spec.width), dtype=bool)
    grid = np.empty((spec.height, spec.width, 2), dtype=np.float32)
    for n, matrix in enumerate(framing):
        across, down, last = (row[0] * x + row[1] * y + row[2] for row in matrix)
        ahead = last > 1e-9
        all_ahead = bool(ahead.all())
        if not all_ahead:
            last = np.where(ahead, last, np.nan)
        seen[n] = ahead
        for axis, (place, size) in enumerate(((across, spec.width), (down, spec.height))):
            place /= last
            place /= size
            if not all_ahead:
                place[~ahead] = -1e4 / size
            seen[n] &= (place >= 0) & (place <= 1)
            place *= 2
            place -= 1
            grid[..., axis] = place
        picture = video[n].permute(2, 0, 1)[None].to(torch.float32)
        places = torch.from_numpy(grid).to(video.device)[None]
        drawn = grid_sample(picture, places, mode="bicubic", padding_mode="border", align_corners=False)
        pictures[n] = drawn[0].permute(1, 2, 0).round_().clamp_(0, 255).to(torch.uint8)
    return pictures, torch.from_numpy(seen).to(video.device)


def pooled_pixels(frames: Tensor, row: Whole, column: Whole, factor: int) -> NDArray[np.float32]:
    """Pixels (3, N, Q) of frames (N, H, W, 3) u8 as float32, means over squares of `factor` px."""
    import torch

    count, width = frames.shape[0], frames.shape[2]
    first = (row * width + column) * factor * 3
    square = np.arange(factor)[:, None] * width + np.arange(factor)
    at = (np.arange(3)[:, None] + 3 * square.ravel())[..., None] + first  # (3, factor^2, Q) of the bytes of a frame
    index = torch.from_numpy(at.ravel()).to(frames.device)
    chosen = frames.new_empty((count, len(index)))
    for frame, out in zip(frames.flatten(1), chosen, strict=True):  # twice as fast as from all frames at once
        torch.index_select(frame, 0, index, out=out)
    total = chosen.view(count, 3, factor * factor, len(row)).sum(2, dtype=torch.float32)  # of whole numbers: exact
    means: NDArray[np.float32] = total.transpose(0, 1).contiguous().cpu().numpy()
    means /= factor * factor
    return means


_PATHS: WeakKeyDictionary[Clip, Array] = WeakKeyDictionary()
_STILL: WeakKeyDictionary[Clip, Image] = WeakKeyDictionary()
_KEYS: WeakKeyDictionary[Clip, tuple[_Key, ...]] = WeakKeyDictionary()
_MARKS: WeakKeyDictionary[Clip, _StillMarks | None] = WeakKeyDictionary()


def path_framing(clip: Clip) -> Array:
    """Homographies (T, 3, 3) of the camera's path, kept as long as the clip."""
    if clip not in _PATHS:
        _PATHS[clip] = homographies(clip.scene.camera, clip.spec, clip.times)
    return _PATHS[clip]


def still_picture(clip: Clip) -> Image:
    """The picture (H, W, 3) at rest that most frames of ground truth show."""
    if clip not in _STILL:
        import torch

        # 15 frames of ground truth tell what a picture at rest shows
        index = np.linspace(0, len(clip.frames) - 1, 15).astype(int)
        if not clip.scene.camera.path:
            _STILL[clip] = np.median(clip.frames[index], axis=0).astype(np.uint8)
            return _STILL[clip]
        frames, seen = warped(torch.from_numpy(clip.frames[index]), path_framing(clip)[index], clip.spec)
        shown, levels = seen.numpy(), frames.numpy().astype(np.float32)
        levels[~shown] = np.nan
        levels[:, ~shown.any(axis=0)] = 255 * BACKGROUND_GREY
        _STILL[clip] = np.nanmedian(levels, axis=0).round().astype(np.uint8)
    return _STILL[clip]


# What a camera does besides its path: turns and zoom, after it.


def _deviation(clip: Clip, values: Array) -> Array:
    """Homography (3, 3) from where the path shows things to where a camera does that pans, tilts, rolls and zooms."""
    pan, tilt, roll, zoom = values
    matrix = lens(clip.scene.camera, clip.spec)
    turn = camera_turn(pan, tilt, roll)
    return np.asarray(matrix @ np.diag([1 + zoom, 1 + zoom, 1.0]) @ turn @ np.linalg.inv(matrix))


def _turns(clip: Clip, homography: Array, zoom: float) -> Array:
    """The values (4,) of a deviation nearest to a homography (3, 3), with a zoom."""
    matrix = lens(clip.scene.camera, clip.spec) @ np.diag([1 + zoom, 1 + zoom, 1.0])
    left, _, right = np.linalg.svd(np.linalg.inv(matrix) @ homography @ lens(clip.scene.camera, clip.spec))
    return np.array([*camera_angles(left @ right * np.linalg.det(left @ right)), zoom])


def _similarity(clip: Clip, homography: Array) -> Array:
    """The same (4,) as shift px, zoom and turn rad about the middle of the picture."""
    middle = np.array([clip.spec.width, clip.spec.height]) / 2
    at, right, down = mapped(homography, middle + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    (a, b), (c, d) = right - at, down - at
    return np.array([*(at - middle), np.sqrt(max(a * d - b * c, 0.0)) - 1, np.arctan2(b - c, a + d)])


@dataclass(frozen=True, eq=False)
class _Level:
    """A blurred picture."""

    values: Array  # (h, w, 4): grey level, its slopes to the right and down, share without a hue

    def at(self, places: Array) -> tuple[Array, Array, Mask]:
        """Levels (P,), slopes (P, 2) and mask (P,) of what is known, at places (P, 2) px."""
        return read_levels(self.values, np.ascontiguousarray(places), POINTS.border, POINTS.clear)


def _levels(clip: Clip, frame: Image) -> tuple[_Level, ...]:
    """A frame (H, W, 3) blurred as BLURS say, what has a hue left out, and where screens move what is as dark."""
    from scipy.ndimage import gaussian_filter, minimum_filter

    from physbench.track.patches import SCREEN_BRIGHTNESS

    red, green, blue = (plane[0] for plane in mean_planes(frame[None], _factor(clip)))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    plain = (spread <= HUED).astype(np.float64)
    grey = (red + green + blue).astype(np.float64) / 3
    if any(body.path and body.drawn for body in clip.scene.bodies):
        ground = np.median(grey[plain > 0]) if plain.any() else np.inf  # of this frame, which may be darker
        plain *= grey >= SCREEN_BRIGHTNESS * min(ground, 255 * BACKGROUND_GREY)
    plain = minimum_filter(plain, 3)  # the rim of a body or a screen that moves is a mixture
    levels, both = [], np.stack([plain, grey * plain])
    for blur in BLURS:
        clear, smooth = gaussian_filter(both, (0, blur, blur))
        smooth /= np.maximum(clear, 1e-6)
        values = np.empty((*smooth.shape, 4))
        values[..., 0], values[..., 3] = smooth, clear
        # As `np.gradient`, whose checks take as long as the differences.
        for along, slope in ((smooth.T, values[..., 1].T), (smooth, values[..., 2])):
            slope[1:-1] = (along[2:] - along[:-2]) / 2
            slope[0], slope[-1] = along[1] - along[0], along[-1] - along[-2]
        levels.append(_Level(values))
    return tuple(levels)


def _factor(clip: Clip) -> int:
    return max(1, min(clip.spec.height, clip.spec.width) // 128)  # px that the shorter side is pooled to


@dataclass(frozen=True, eq=False)
class _Key:
    """A frame of ground truth that others are registered with: for each blur P points that tell the camera."""

    back: Array  # (3, 3) from its px to the picture at rest
    place: tuple[Array, ...]  # (P, 2) px of frames
    level: tuple[Array, ...]  # (P,)
    slope2: tuple[Array, ...]  # (P,)


def _keys(clip: Clip) -> tuple[_Key, ...]:
    if clip not in _KEYS and not clip.scene.camera.path:
        _KEYS[clip] = (_key(clip, still_picture(clip), np.eye(3)),)
    elif clip not in _KEYS:
        # Every half second. Where the eye moves it is all frames: what stands before or behind the plane of motion is
        # then shifted against it.
        step = 1 if eye_moves(clip.scene.camera) else max(1, round(0.5 * clip.spec.fps))
        chosen = np.arange(clip.handover % step, len(clip.frames), step)
        # A key that shows a holder disagrees with frames in which it is gone, though their camera is right.
        gone = [body.until for body in clip.scene.bodies if body.drawn and body.hue is None and body.until is not None]
        bare = chosen[clip.times[chosen] >= max(gone, default=-np.inf)]
        if len(bare) >= len(chosen) / 2:
            chosen = bare
        backs = np.linalg.inv(path_framing(clip)[chosen])
        keys = [_key(clip, clip.frames[n], back) for n, back in zip(chosen, backs, strict=True)]
        telling = [key for key in keys if min(map(len, key.place)) >= POINTS.least]  # not those in the dark
        _KEYS[clip] = tuple(telling or keys)
    return _KEYS[clip]


def _key(clip: Clip, frame: Image, back: Array) -> _Key:
    places, levels, slopes = [], [], []
    lit = clip.spec.look != PLAIN
    at_rest = _levels(clip, still_picture(clip)) if lit else (None,) * len(BLURS)
    for level, still in zip(_levels(clip, frame), at_rest, strict=True):
        rows, columns = np.mgrid[0 : level.values.shape[0], 0 : level.values.shape[1]]
        place = np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5
        value, slope, inside = level.at(place)
        if still is not None:
            usual, _, known = still.at(mapped(back, place * _factor(clip)) / _factor(clip))
            inside &= ~known | (np.abs(value - usual) < POINTS.still)
        size = np.where(inside, (slope**2).sum(axis=-1), 0.0)
        best = np.argsort(-size, kind="stable")[: POINTS.most]
        best = best[size[best] > POINTS.least_slope**2]
        places.append(place[best] * _factor(clip))
        levels.append(value[best])
        slopes.append(size[best])
    return _Key(back, tuple(places), tuple(levels), tuple(slopes))


def _corners(clip: Clip) -> Array:
    """The corners (4, 2) px of a picture."""
    size = (clip.spec.width, clip.spec.height)
    return np.asarray(size * np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))


@dataclass(frozen=True, eq=False)
class _StillMarks:
    """Some points (Q,) of what stands still before a near camera that does."""

    factor: int
    row: Whole  # (Q,) of a picture that is smaller by `factor`
    column: Whole
    grey: NDArray[np.float32]  # (Q,) levels
    slope: Array  # (Q,) levels a px of that picture
    rows: Array  # (Q, 6): change of the level with pan, tilt, roll, zoom, contrast and brightness
    corners: Array  # (4, 2, 4): change of the corners in px with the first four

    def seem_to_move(self, frames: Tensor) -> bool:
        """True if one step of least squares tells a camera that moves in some of the frames (N, H, W, 3)."""
        planes = pooled_pixels(frames, self.row, self.column, self.factor)
        off = np.clip(planes.mean(0) - self.grey, -self.slope, self.slope)  # by a px, which limits outliers
        plain = (np.ptp(planes, axis=0) <= HUED).astype(np.float64)
        information = np.einsum("nq,qi,qj->nij", plain, self.rows, self.rows, optimize=True) + _prior()
        right = (plain * off) @ self.rows
        values = np.linalg.solve(information, right[..., None])[..., 0]
        moved = np.abs(np.einsum("cdi,ni->ncd", self.corners, values[:, :4])).max(axis=(1, 2))
        square = (plain * off**2).sum(axis=1)
        differs = square - (plain * off).sum(axis=1) ** 2 / np.maximum(plain.sum(axis=1), 1.0)  # besides brightness
        explained = 1 - (square - (values * right).sum(axis=1)) / np.maximum(differs, 1e-9)
        return bool(((moved > STANDS_STILL.suspected) & (explained > STANDS_STILL.explained)).any())


def _still_marks(clip: Clip) -> _StillMarks | None:
    """None where what stands still does not tell how a camera turns and zooms."""
    if clip not in _MARKS:
        import torch

        (key,), still = _keys(clip), still_picture(clip)
        rows, known = _rows(clip, key, _levels(clip, still)[-1], np.zeros(4))
        strong = known & (key.slope2[-1] > STANDS_STILL.strong**2)
        _MARKS[clip] = None
        if min(map(len, key.place)) >= POINTS.least and _uncertainty(clip, rows[strong]) < STANDS_STILL.unknown:
            column, row = (key.place[-1][::5] / _factor(clip)).astype(int).T
            grey = pooled_pixels(torch.from_numpy(still)[None], row, column, _factor(clip)).mean(0)[0]
            corners = _columns(_corners(clip), lens(clip.scene.camera, clip.spec))
            _MARKS[clip] = _StillMarks(
                _factor(clip), row, column, grey, np.sqrt(key.slope2[-1][::5]), rows[::5], corners
            )
    return _MARKS[clip]


def _rows(clip: Clip, key: _Key, level: _Level, values: Array) -> tuple[Array, Mask]:
    """Change (P, 6) of the level of a key's points with the four values, contrast and brightness; what is known (P,).

    level: of a frame whose camera is off by `values` (4,).
    """
    place = mapped(_deviation(clip, values) @ key.back, key.place[-1])
    grey, slope, known = level.at(place / _factor(clip))
    turns = np.einsum("pi,pij->pj", slope / _factor(clip), _columns(place, lens(clip.scene.camera, clip.spec)))
    return np.column_stack([turns, grey, np.ones(len(grey))]), known


def _uncertainty(clip: Clip, rows: Array) -> float:
    """Px of a picture of 128 px by which errors of a level in points with these rows (P, 6) misplace a corner, rms."""
    variance = np.linalg.inv(rows.T @ rows + _prior())[:4, :4]
    columns = _columns(_corners(clip), lens(clip.scene.camera, clip.spec))
    return float(np.sqrt(np.linalg.eigvalsh(columns @ variance @ columns.transpose(0, 2, 1)).max())) / _factor(clip)


def _prior() -> Array:
    return np.diag(np.append(1 / PRIOR**2, [1e-6, 1e-6]))


def _columns(places: Array, lens_px: Array) -> Array:
    """Derivatives (P, 2, 4) of places (P, 2) px with pan, tilt, roll and zoom."""
    focal = lens_px[0, 0]
    x, y = (places - lens_px[:2, 2]).T
    right = [-(focal + x * x / focal), -x * y / focal, y, x]
    down = [-x * y / focal, -(focal + y * y / focal), -x, y]
    return np.stack([np.stack(right, axis=-1), np.stack(down, axis=-1)], axis=1)


def _followed(clip: Clip, video: Tensor, path: Array) -> tuple[Array, Array]:
    """Deviations (N, 4) of the cameras of frames (N, H, W, 3) from a path (N, 3, 3).

    Also, of a camera that should stand still, shares (N, 2) of the variance of the still picture that a frame does not
    show, where it should and where its camera shows it; zeros where that is not told.

    Where a frame does not tell that of a camera which should stand still, since a body hides the only wall, it lies
    between those of its neighbours; after the last that does it goes on. One that has a path goes on as it was.
    """
    keys, deviations, differs = _keys(clip), np.zeros((len(video), 4)), np.zeros((len(video), 2))
    told = np.full(len(video), bool(clip.scene.camera.path))
    levels: tuple[_Level, ...] = ()
    for n, frame in enumerate(video):
        if not n or not frame.equal(video[n - 1]):
            levels = _levels(clip, frame.cpu().numpy())
        last = deviations[n - 1] if n else np.zeros(4)
        before = deviations[n - 2] if n > 1 else last
        guesses = [2 * last - before, last, np.zeros(4)]
        if n:  # the picture stays where it was, though the path goes on
            guesses.append(_turns(clip, _deviation(clip, last) @ path[n - 1] @ np.linalg.inv(path[n]), last[3]))
        deviations[n], best = last, REGISTRATION.agreed
        for guess in guesses:
            values, agreed = _registered(clip, keys, levels, path[n], guess)
            if agreed > best + (REGISTRATION.clearly if best > REGISTRATION.agreed else 0.0):
                deviations[n], best = values, agreed
            if best > (1 + REGISTRATION.agreed) / 2:
                break
        if not clip.scene.camera.path and best > REGISTRATION.agreed:
            rows, known = _rows(clip, keys[0], levels[-1], deviations[n])
            told[n] = _uncertainty(clip, rows[known]) < STANDS_STILL.lost
            deviations[n] = deviations[n] if told[n] else last
            still, _, there = levels[-1].at(keys[0].place[-1] / _factor(clip))
            if told[n]:
                levels_of = np.stack([keys[0].level[-1], still, rows[:, 4]])[:, known & there]
                differs[n] = 1 - np.corrcoef(levels_of)[0, 1:] ** 2
    at = np.flatnonzero(told)
    if 0 < len(at) < len(video):
        for column in deviations.T:
            column[:] = np.interp(np.arange(len(video)), np.append(-1, at), np.append(0.0, column[at]))
        last, some = at[-1], max(1, round(STANDS_STILL.goes_on * clip.spec.fps))
        if last >= some:
            speed = (deviations[last] - deviations[last - some]) / some
            deviations[last:] += np.arange(len(video) - last)[:, None] * speed
    return deviations, differs


def _registered(
    clip: Clip, keys: tuple[_Key, ...], levels: tuple[_Level, ...], path: Array, guess: Array
) -> tuple[Array, float]:
    """Deviation (4,) of a camera near a guess, and the share of what a key shows that agrees."""
    corners = _corners(clip)
    back = np.array([key.back for key in keys])
    moved = mapped((_deviation(clip, guess) @ path @ back)[:, None], corners) - corners
    away = np.hypot(moved[..., 0], moved[..., 1]).max(axis=1)
    key = keys[int(np.argmin(np.nan_to_num(away, nan=np.inf)))]
    values, agreed, camera = guess.copy(), 0.0, lens(clip.scene.camera, clip.spec)
    fixed = (
        *(POINTS.least, REGISTRATION.passes, REGISTRATION.still, REGISTRATION.least_scale),
        *(POINTS.border, POINTS.clear),
    )
    for level, place, wanted, slope2 in zip(levels, key.place, key.level, key.slope2, strict=True):
        rest = mapped(path @ key.back, place)
        values, agreed = register(
            level.values, rest, wanted, slope2, camera, guess, values, PRIOR, float(_factor(clip)), *fixed
        )
        if agreed < 0:
            return values, 0.0
    return values, agreed
