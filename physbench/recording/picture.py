"""The picture of a recording as the tracker takes it: the plane of motion in true scale, in the hues that it knows.

Straight edges tell the distortion of the lens (Fitzgibbon 2001, Simultaneous linear estimation of multiple view
geometry and lens distortion, division model). Behind it a frame is warped by the homography of the plane (Hartley and
Zisserman 2004, Multiple View Geometry, 4.1), which tells the camera's pose, and with it the outlines of balls. Its
colours become saturations, which shading does not change, over a mid grey: brightness is lost. The angle of each ball's
own hue in the opponent plane is turned to the nearest one of the palette, and angles between go with them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from physbench.recording.document import Box, Edge, Point, Recording
from physbench.support.arrays import Array, Image, Mask
from physbench.support.errors import UsageError
from physbench.track.colour import HUES, SHADE, opponent
from physbench.world.camera import BallSight, MovingSight, mapped
from physbench.world.scene import PALETTE

# The distortion of the lens.

LEAST_COEFFICIENT, MOST_COEFFICIENT = -0.6, 0.3  # of what is searched: barrels, cushions


@dataclass(frozen=True)
class ReadingLimits:
    """Pixels that a person has read off a picture, and straight edges of it."""

    error: float = 0.5  # px, of a person who reads a pixel
    most_uncertain: float = 0.02  # of the coefficient, that such errors may leave
    least_edge: float = 0.2  # of half the diagonal, from one pixel of an edge to another
    most_off_line: float = 0.005  # of the picture's diagonal, by which a pixel may be off a straight edge


READ = ReadingLimits()


@dataclass(frozen=True, eq=False)
class Distortion:
    """Radial distortion of a picture: a pixel at radius r would be at r / (1 + coefficient r^2) without it.

    Radii are in half diagonals from the middle: the coefficient is the share by which a corner lies too far out, below
    0 for a barrel.
    """

    middle: Array  # (2,) px
    half_diagonal: float  # px
    coefficient: float = 0.0

    def undistort(self, px: Array) -> Array:
        """Pixels (..., 2) of the picture, where a lens without distortion shows them."""
        place = (px - self.middle) / self.half_diagonal
        square = (place**2).sum(axis=-1, keepdims=True)
        return np.asarray(self.middle + self.half_diagonal * place / (1 + self.coefficient * square))

    def distort(self, px: Array) -> Array:
        """The inverse of `undistort`."""
        place = (px - self.middle) / self.half_diagonal
        root = np.sqrt(np.maximum(1 - 4 * self.coefficient * (place**2).sum(axis=-1, keepdims=True), 0.0))
        return np.asarray(self.middle + self.half_diagonal * place * 2 / (1 + root))


def distortion_of(edges: Sequence[Edge], height: int, width: int) -> Distortion:
    """The distortion without which edges, each of three pixels or more, are straight; none where there are none.

    Raises UsageError where the edges of a picture of `height` x `width` px tell none, or one stays bent.
    """
    none = Distortion(np.array([width / 2, height / 2]), math.hypot(width, height) / 2)
    if not edges:
        return none
    places = [np.array(edge) for edge in edges]
    for number, place in enumerate(places, 1):
        if not ((place >= 0) & (place <= (width, height))).all():
            raise UsageError(f"edges: a pixel of number {number} lies outside of {width}x{height}. Pixels are [x, y].")
        if np.linalg.norm(place - place[0], axis=1).max() < READ.least_edge * none.half_diagonal:
            raise UsageError(f"edges: number {number} is too short. Read pixels from end to end of a long one.")

    def residuals(coefficient: float) -> Array:
        """Distances (n,) px of all pixels from the straight edges nearest to them."""
        return np.concatenate([_off_line(replace(none, coefficient=coefficient), place) for place in places])

    bounds, step = (LEAST_COEFFICIENT, MOST_COEFFICIENT), 1e-3
    found = minimize_scalar(lambda value: float((residuals(value) ** 2).sum()), bounds=bounds, method="bounded")
    coefficient = float(found.x)
    if coefficient < LEAST_COEFFICIENT + step or coefficient > MOST_COEFFICIENT - step:
        limits = f"{LEAST_COEFFICIENT:.0%} to {MOST_COEFFICIENT:+.0%}"
        raise UsageError(f"edges: no lens of {limits} straightens them. Check them.")
    slope = np.linalg.norm(residuals(coefficient + step) - residuals(coefficient - step)) / (2 * step)
    if READ.most_uncertain * slope < READ.error:
        raise UsageError("edges: they hardly tell the lens. Read long ones near the borders, not through the middle.")
    off = np.abs(residuals(coefficient))
    if off.max() > READ.most_off_line * 2 * none.half_diagonal:
        number = np.repeat(np.arange(len(places)), [len(place) for place in places])[off.argmax()] + 1
        raise UsageError(f"edges: a pixel of number {number} is {off.max():.1f} px off a straight line. Check it.")
    return replace(none, coefficient=coefficient)


def _off_line(distortion: Distortion, place: Array) -> Array:
    """Signed distances (n,) px in the picture of pixels (n, 2) from the line nearest to them without a distortion."""
    straight = distortion.undistort(place)
    centre = straight.mean(axis=0)
    along = np.linalg.svd(straight - centre)[2][0]
    nearest = centre + ((straight - centre) @ along)[:, None] * along
    away = place - distortion.distort(nearest)
    side = (straight - nearest) @ (-along[1], along[0])
    return np.asarray(np.copysign(np.linalg.norm(away, axis=1), side))


# The plane of motion in the picture.


@dataclass(frozen=True)
class WarpLimits:
    """The picture of the plane of motion, and what it may be made from."""

    short_side: int = 256  # px of the warped picture; the tracker works at this size
    most_aspect: float = 6.0  # of the sides of the warped picture
    least_area: float = 0.02  # of the box round all points, that any three of four points span at least
    border_points: int = 33  # of a side of the picture, which is bent without the distortion
    most_point_error: float = 0.01  # of the picture's diagonal, by which a point may be off the homography
    most_focal_error: float = 0.15  # of the focal length, that reading leaves; .015 of a radius at 26 degrees
    least_distance: float = 2.0  # radii of a ball from the camera to its centre
    radius_rounds: int = 5  # each leaves a hundredth of the error of the one before it


WARP = WarpLimits()


@dataclass(frozen=True, eq=False)
class Plane:
    """A window of the plane of motion, `height` x `width` px at `scale` px/m, and where the picture shows it."""

    distortion: Distortion
    homography: Array  # (3, 3), metres in the plane -> px of the picture without the distortion
    left: float  # m
    top: float  # m
    scale: float  # px/m
    height: int  # px
    width: int  # px
    focal: float | None = None  # px of the picture without the distortion; None: not known
    ratio: tuple[float, float] = (1.0, 1.0)  # of the sides of the picture to those of the recording's

    def metres(self, px: Array) -> Array:
        """Window (..., 2) px -> plane (..., 2) m."""
        return np.asarray(px / self.scale * (1, -1) + (self.left, self.top))

    def picture_px(self, metres: Array) -> Array:
        """Plane (..., 2) m -> picture (..., 2) px."""
        return self.distortion.distort(mapped(self.homography, metres)) * self.ratio

    def window_px(self, px: Array) -> Array:
        """Picture (..., 2) px -> window (..., 2) px."""
        straight = self.distortion.undistort(px / self.ratio)
        inverse = np.asarray(np.linalg.inv(self.homography), np.float64)
        return (mapped(inverse, straight) - (self.left, self.top)) * (self.scale, -self.scale)

    @property
    def inverse_depth(self) -> Array | None:
        """Inverse depth of the plane in the middle of the picture without the distortion, in 1/m, and what a px to the
        right and a px down add to it (3,). None where the focal length is not known."""
        if self.focal is None:
            return None
        moved = np.array([[1.0, 0.0, -self.distortion.middle[0]], [0.0, 1.0, -self.distortion.middle[1]], [0, 0, 1.0]])
        homography = moved @ self.homography
        axes = homography[:, :2] / np.array([[self.focal], [self.focal], [1.0]])
        unit = math.sqrt(float(np.prod(np.linalg.norm(axes, axis=0))))  # of the homography, for a metre
        return np.asarray(unit * np.linalg.inv(homography)[2, [2, 0, 1]])

    @property
    def camera(self) -> tuple[float, float] | None:
        """Distance in m of the camera from the plane, and its field of view in degrees; None where not known."""
        inverse = self.inverse_depth
        if inverse is None:
            return None
        assert self.focal is not None
        distance = 1 / float(np.linalg.norm(inverse * (1.0, self.focal, self.focal)))
        return distance, 2 * math.degrees(math.atan(_border(self.distortion) / self.focal))

    def sight(self, radius: float, frames: int) -> MovingSight | None:
        """Outlines in the window of a ball of `radius` m whose centre stays in the plane, in a number of frames.

        None where the focal length is not known: circles, as from far away.
        """
        inverse = self.inverse_depth
        if inverse is None:
            return None
        assert self.focal is not None
        x, y = self.distortion.middle.tolist()
        near, right, down = (np.full(frames, one) for one in inverse)
        own = BallSight(self.focal, (x, y), near, down, radius, right)
        # Flat bodies: true to scale.
        window = BallSight(self.scale, (self.width / 2, self.height / 2), 1.0, 0.0, radius)
        to_metres = np.array([[1 / self.scale, 0.0, self.left], [0.0, -1 / self.scale, self.top], [0.0, 0.0, 1.0]])
        framing = np.repeat((self.homography @ to_metres)[None], frames, axis=0)
        return MovingSight(window, own, framing, np.zeros((frames, 3)))  # matte frames show no light

    def radius(self, area: float, centre: Array) -> float:
        """Radius in m of a ball whose outline in the window has an area in px and a centre (2,) px.

        Raises UsageError where by field of view or points the camera is as good as in the ball.
        """
        radius = math.sqrt(area / math.pi) / self.scale
        for _ in range(WARP.radius_rounds):
            sight = self.sight(radius, 1)
            if sight is None or not area:
                break
            with np.errstate(invalid="ignore"):
                place = sight.centre(centre[None])
                seen = float(sight.area(place)[0])
                far = 1 / np.sqrt(sight.own.square(mapped(sight.framing, place))[0])  # radii
            if not (np.isfinite(seen) and far > WARP.least_distance):
                raise UsageError(
                    "By points and field_of_view the camera nearly touches the ball. Check them, and that the picture "
                    "is whole: in one that is cropped they tell another camera."
                )
            radius *= math.sqrt(area / seen)
        return radius

    def enlarged(self, factor: float) -> Plane:
        """The same window, in which a pixel stands for `factor` times the metres."""
        shrink = np.diag([1 / factor, 1 / factor, 1.0])
        return replace(
            self,
            homography=self.homography @ shrink,
            left=self.left * factor,
            top=self.top * factor,
            scale=self.scale / factor,
        )

    def seen_at(self, own: tuple[int, int], other: tuple[int, int]) -> Plane:
        """The same in pictures of another size (height, width) px."""
        return replace(self, ratio=(other[1] / own[1], other[0] / own[0]))

    def warp(self, frames: Iterable[Image]) -> Image:
        """Frames (H, W, 3) of the picture, one or more -> the window (T, height, width, 3), the mean over each px."""
        windows: list[Image] = []
        for frame in frames:
            if not windows:
                grid, fine = self._grid(*frame.shape[:2])
            picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
            sampled = torch.nn.functional.grid_sample(picture, grid, padding_mode="border", align_corners=False)
            windows.append(torch.nn.functional.avg_pool2d(sampled, fine)[0].permute(1, 2, 0).round().byte().numpy())
        return np.stack(windows)

    def _grid(self, rows: int, columns: int) -> tuple[torch.Tensor, int]:
        """Places (1, height n, width n, 2) in a picture, from -1 to 1, of n x n samples in each px; n."""
        corners = np.array([[0.0, 0.0], [self.width, 0.0], [self.width, self.height], [0.0, self.height]])
        seen = self.picture_px(self.metres(corners))
        sides = np.linalg.norm(np.roll(seen, -1, axis=0) - seen, axis=1)  # px of the picture
        fine = max(1, math.ceil((sides / (self.width, self.height, self.width, self.height)).max() - 0.01))
        y, x = np.mgrid[0 : self.height * fine, 0 : self.width * fine]
        places = self.picture_px(self.metres(np.stack([x + 0.5, y + 0.5], axis=-1) / fine))
        return torch.from_numpy((places / (columns / 2, rows / 2) - 1).astype(np.float32))[None], fine


def plane_of(recording: Recording, height: int, width: int) -> Plane:
    """The plane of a recording in a picture of `height` x `width` px. Raises UsageError where its points tell none.

    Without points the scale is that of the first ball's box and radius, until its size is measured.
    """
    distortion, focal = distortion_of(recording.edges, height, width), None
    if recording.points:
        straight = [
            point.model_copy(update={"px": tuple(distortion.undistort(np.array(point.px)))})
            for point in recording.points
        ]
        homography = homography_of(straight, math.hypot(height, width))
        focal = focal_of(straight, homography, distortion.middle)
    else:
        left, top, right, bottom = recording.balls[0].box
        assert recording.balls[0].radius is not None
        scale = (right - left + bottom - top) / 4 / recording.balls[0].radius  # px/m
        homography = np.array([[scale, 0.0, 0.0], [0.0, -scale, height], [0.0, 0.0, 1.0]])
    if recording.field_of_view is not None:
        said = _border(distortion) / math.tan(math.radians(recording.field_of_view) / 2)
        if focal is not None and abs(said / focal - 1) > WARP.most_focal_error:
            told = math.degrees(2 * math.atan(_border(distortion) / focal))
            raise UsageError(
                f"field_of_view: the points tell {told:.0f} degrees, not {recording.field_of_view:g}. Leave it out, or "
                "read the points again."
            )
        focal = said
    left, top, right, bottom = recording.crop or (0.0, 0.0, float(width), float(height))
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise UsageError(f"crop: expected left, top, right, bottom px in {width}x{height}, got {recording.crop}.")
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    border = np.linspace(corners, np.roll(corners, -1, axis=0), WARP.border_points, axis=1)
    sides = distortion.undistort(border)  # (4, n, 2)
    inverse = np.asarray(np.linalg.inv(homography), np.float64)
    depth = sides @ inverse[2, :2] + inverse[2, 2]
    if not (depth > 0).all() and not (depth < 0).all():
        raise UsageError("points: by them the picture looks past the plane of motion. Check them, or crop.")
    # The largest upright rectangle of this kind: bounded by the innermost point of each side.
    above, beside, below, before = mapped(inverse, sides)
    low, high = before[:, 0].max(), beside[:, 0].min()
    floor, ceiling = below[:, 1].max(), above[:, 1].min()
    if not (high > low and ceiling > floor):
        raise UsageError("points: by them right is left or up is down, or the camera is turned. Check their order.")
    if not 1 / WARP.most_aspect < (high - low) / (ceiling - floor) < WARP.most_aspect:
        raise UsageError("points: by them the picture is a narrow strip. Check px and m, and crop.")
    own = math.sqrt((right - left) * (bottom - top) / ((high - low) * (ceiling - floor)))  # px/m of the picture
    scale = min(own, WARP.short_side / min(high - low, ceiling - floor))
    rows, columns = int((ceiling - floor) * scale), int((high - low) * scale)
    return Plane(distortion, homography, low, ceiling, scale, rows, columns, focal)


def _border(distortion: Distortion) -> float:
    """Distance in px from the middle of the picture without the distortion to its right border."""
    return float(distortion.undistort(distortion.middle * (2, 1))[0] - distortion.middle[0])


def homography_of(points: Sequence[Point], diagonal: float) -> Array:
    """The homography (3, 3) from metres to px of four points or more, by the direct linear transformation.

    diagonal: px, of the picture. Raises UsageError: three of four points lie on a line, or a further one does not fit.
    """
    metres, px = (np.array([getattr(point, name) for point in points]) for name in ("m", "px"))
    for name, place in (("m", metres), ("px", px)):
        span = np.ptp(place, axis=0)
        spread = [_least_triangle(place[list(four)]) for four in itertools.combinations(range(len(points)), 4)]
        if not span.all() or max(spread) < WARP.least_area * span.prod():
            raise UsageError(f"points: in {name} three of them lie on a line or are the same. Spread four of them.")
    homography = _direct(points)
    depth = metres @ homography[2, :2] + homography[2, 2]
    if not (depth > 0).all() and not (depth < 0).all():
        raise UsageError("points: no camera sees them so. Check that px and m of each belong together.")
    homography *= np.sign(depth[0])
    off = float(np.linalg.norm(mapped(homography, metres) - px, axis=1).max())
    if off > WARP.most_point_error * diagonal:
        raise UsageError(f"points: one is {off:.1f} px off the plane of the others. Check it.")
    return np.asarray(homography)


def _direct(points: Sequence[Point]) -> Array:
    """The homography (3, 3) of points, of norm 1 and any sign."""
    metres, px = (np.array([getattr(point, name) for point in points]) for name in ("m", "px"))
    to_m, to_px = _centred(metres), _centred(px)
    rows = []
    for (x, z), (u, v) in zip(mapped(to_m, metres), mapped(to_px, px), strict=True):
        rows += [[x, z, 1, 0, 0, 0, -u * x, -u * z, -u], [0, 0, 0, x, z, 1, -v * x, -v * z, -v]]
    homography = np.linalg.inv(to_px) @ np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3) @ to_m
    return np.asarray(homography / np.linalg.norm(homography))


def focal_of(points: Sequence[Point], homography: Array, middle: Array) -> float | None:
    """Focal length in px that points of a plane and their homography (3, 3) tell; None where they tell none.

    Pixels are square and the camera's axis meets the picture in its middle (2,) px, so that two unit vectors of the
    plane, at right angles, give two equations for one number (Zhang 2000, doi:10.1109/34.888718). A camera straight
    before the plane solves them with any, and one that leans little with many: errors of reading decide.
    """
    found, slopes = _inverse_focal2(homography, middle), []
    for number, axis in itertools.product(range(len(points)), range(2)):
        px = np.array(points[number].px)
        px[axis] += READ.error
        moved = [*points[:number], points[number].model_copy(update={"px": tuple(px)}), *points[number + 1 :]]
        slopes.append(_inverse_focal2(_direct(moved), middle) - found)
    if found <= 0 or np.linalg.norm(slopes) / 2 > WARP.most_focal_error * found:
        return None
    return float(found**-0.5)


def _inverse_focal2(homography: Array, middle: Array) -> float:
    """One over the squared focal length, 1/px2, by least squares; any number where the homography tells none."""
    (a, b), (c, d), (e, f) = (homography - np.outer([*middle, 0.0], homography[2]))[:, :2]
    known = np.array([2 * (a * b + c * d), a * a + c * c - b * b - d * d])  # alike for plane axes that are turned
    return float(-known @ (2 * e * f, e * e - f * f) / max(float(known @ known), 1e-30))


def _least_triangle(four: Array) -> float:
    """The least area of the triangles of four points (4, 2)."""
    return min(
        abs(float(np.linalg.det(np.stack([b - a, c - a])))) / 2 for a, b, c in itertools.combinations(list(four), 3)
    )


def _centred(points: Array) -> Array:
    """The similarity (3, 3) that brings points (n, 2) to a middle of 0 and a mean distance of 1."""
    middle = points.mean(axis=0)
    size = 1 / float(np.linalg.norm(points - middle, axis=1).mean())
    return np.array([[size, 0.0, -size * middle[0]], [0.0, size, -size * middle[1]], [0.0, 0.0, 1.0]])


# Hues, learned from the first frame.


@dataclass(frozen=True)
class HueLimits:
    """Hues of balls in footage."""

    dark: float = 32.0  # levels that are added to a brightness, so that the noise of what is dark is not enlarged
    mid: float = 127.5  # level of grey in the result
    least_saturation: float = 24.0  # levels at mid brightness; a ball with less has no hue that noise leaves
    least_apart_deg: float = 50.0  # between the hues of two balls
    inner: float = 0.6  # of the radius of a box, within which a ball shows its own colour
    grown: float = 1.6  # times its box, in which all of a ball lies
    most_elsewhere: float = 0.5  # of a ball's area that may have its hue elsewhere


HUE = HueLimits()


@dataclass(frozen=True, eq=False)
class Hues:
    """Turns of a recording's colours into those of the palette."""

    grey: Array  # (2,) saturation of the background
    angle: Array  # (K,) degrees of the balls, ascending
    turn: Array  # (K,) degrees to the hue of the palette
    gain: Array  # (K,) times the saturation
    palette: tuple[int, ...]  # hue of each ball, in the order of the recording

    def matte(self, frames: Image) -> Image:
        """Frames (T, H, W, 3) in hues of the palette, over mid grey."""
        turned = np.empty_like(frames)
        for t, frame in enumerate(frames):
            away = _saturation(frame.astype(np.float32)) - self.grey.astype(np.float32)
            x, y = away[..., 0], away[..., 1]
            turn, gain = self.turn[0], self.gain[0]
            if len(self.angle) > 1:
                angle = np.degrees(np.arctan2(y, x))
                turn, gain = (np.interp(angle, self.angle, each, period=360) for each in (self.turn, self.gain))
            cos, sin = (np.asarray(gain * part(np.radians(turn)), np.float32) for part in (np.cos, np.sin))
            turned[t] = _of_opponent(cos * x - sin * y, sin * x + cos * y)
        return turned


def _saturation(frame: Array) -> Array:
    """Opponent colour (..., 2) of RGB levels (..., 3), as it would be at mid brightness."""
    red, green, blue = frame[..., 0], frame[..., 1], frame[..., 2]
    bright = HUE.mid / ((red + green + blue) / 3 + HUE.dark)
    return np.stack([(red - (green + blue) / 2) * bright, math.sqrt(3) / 2 * (green - blue) * bright], axis=-1)


def _of_opponent(x: Array, y: Array) -> Image:
    side = y / math.sqrt(3)
    levels = np.stack([2 / 3 * x, side - x / 3, -side - x / 3], axis=-1) + HUE.mid
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def learn_hues(first: Image, boxes: Sequence[Box], names: Sequence[str]) -> Hues:
    """Hues of balls in boxes (left, top, right, bottom) px of a frame (H, W, 3). Raises UsageError, naming the ball."""
    saturation = _saturation(first.astype(np.float64))
    grey = np.median(saturation[~np.any([_inside(first, box, HUE.grown) for box in boxes], axis=0)], axis=0)
    own = []
    for box, name in zip(boxes, names, strict=True):
        inner = _inside(first, box, HUE.inner)
        if not inner.any():
            raise UsageError(f"{name}: its box lies outside of the picture, or of what is left after the warp.")
        own.append(np.median(saturation[inner], axis=0) - grey)
        if np.linalg.norm(own[-1]) < HUE.least_saturation:
            raise UsageError(
                f"{name}: in its box the colour is hardly another than the background's. The tracker follows hues: "
                "check the box, or film a coloured ball before a grey wall."
            )
    angle = np.degrees([math.atan2(y, x) for x, y in own])
    apart = [abs(_round(a - b)) for a, b in itertools.combinations(angle, 2)]
    if min(apart, default=360.0) < HUE.least_apart_deg:
        raise UsageError(f"{' and '.join(names)}: their hues are {min(apart):.0f} degrees apart, too near to be told.")
    vectors = opponent(np.asarray(PALETTE)) * 255 * SHADE
    targets = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))
    choices = itertools.permutations(range(len(PALETTE)), len(own))
    chosen = min(choices, key=lambda c: sum(abs(_round(targets[p] - a)) for p, a in zip(c, angle, strict=True)))
    gain = np.linalg.norm(vectors[list(chosen)], axis=1) / np.linalg.norm(own, axis=1)
    turn = np.array([_round(targets[p] - a) for p, a in zip(chosen, angle, strict=True)])
    order = np.argsort(angle)
    hues = Hues(np.asarray(grey), angle[order], turn[order], gain[order], tuple(chosen))
    _check_elsewhere(hues, first, boxes, names)
    return hues


def _check_elsewhere(hues: Hues, first: Image, boxes: Sequence[Box], names: Sequence[str]) -> None:
    away = np.any([_inside(first, box, HUE.grown) for box in boxes], axis=0)
    for k, (box, name) in enumerate(zip(boxes, names, strict=True)):
        elsewhere = int((like(hues, first, k, HUES.core) & ~away).sum())
        if elsewhere > HUE.most_elsewhere * (box[2] - box[0]) * (box[3] - box[1]):
            raise UsageError(
                f"{name}: {elsewhere} px of the warped picture beside it have its hue. Crop them away, or film a ball "
                "of another colour."
            )


def like(hues: Hues, frame: Image, ball: int, share: float) -> Mask:
    """Mask (H, W) of the px of a frame with the hue of a ball and at least `share` of its saturation."""
    matte = opponent(hues.matte(frame[None])[0].astype(np.float64))
    target = opponent(np.asarray(PALETTE[hues.palette[ball]])) * 255 * SHADE
    size, whole = np.linalg.norm(matte, axis=-1), float(np.linalg.norm(target))
    near = matte @ target >= math.cos(math.radians(HUES.tolerance_deg)) * size * whole
    return np.asarray(near & (size >= share * whole))


def measured_outline(hues: Hues, frame: Image, box: Box, ball: int) -> tuple[float, Array]:
    """Area and centre (2,) in px of a ball in its box of a frame (H, W, 3), at half of its saturation."""
    y, x = np.nonzero(like(hues, frame, ball, 0.5) & _inside(frame, box, HUE.grown))
    left, top, right, bottom = box
    if not len(x):
        return 0.0, np.array([left + right, top + bottom]) / 2
    return float(len(x)), np.array([x.mean(), y.mean()]) + 0.5


def _inside(frame: Image, box: Box, factor: float) -> Mask:
    """Mask (H, W) of the ellipse in a box, enlarged by a factor."""
    left, top, right, bottom = box
    y, x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]]
    across, down = (x + 0.5 - (left + right) / 2) / (right - left), (y + 0.5 - (top + bottom) / 2) / (bottom - top)
    return np.asarray(across**2 + down**2 <= factor**2 / 4)


def _round(degrees: float) -> float:
    """An angle in -180..180 degrees."""
    return (degrees + 180) % 360 - 180
