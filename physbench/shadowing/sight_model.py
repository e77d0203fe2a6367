"""What a camera would see of bodies at other positions than the true ones: behind a screen, outside the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.tracks.visibility import VISIBLE_SHARE
from physbench.world.camera import PLANE_AXES, depth_axis, looking, plane_from_world
from physbench.world.geometry import rotate

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SHARE_MARGIN = 0.1  # of a disc, by which its visible share may be wrong, since an arc is off by a tolerance
RINGS = ((0.0, 1), (0.4, 6), (0.7, 10), (0.92, 14))  # radii and numbers of the points that stand for a disc


@dataclass(frozen=True, eq=False)
class SightModel:
    """The image's window and the screens in front of N bodies in T frames, as they appear in the plane of motion."""

    centre: Array  # (2,) m
    half: Array  # (2,) m, half of the window
    scale: Array  # (N,) apparent size of what lies in a body's plane over its true size
    radius: Array  # (N,) m
    middle: Array  # (T, S, 2) m of the screens; NaN where one is absent
    side: Array  # (S, 2) unit, along the first side of a screen
    reach: Array  # (T, S, 2) m, half of its sides
    nearer: Mask  # (S, N) whether a screen stands nearer to the camera than a body

    def apparent_position(self, position: Array) -> Array:
        """Where positions (..., N, 2) m in the planes of the bodies appear in the plane of motion (..., N, 2) m."""
        return np.asarray(self.centre + (position - self.centre) * self.scale[:, None])

    def inside(self, position: Array) -> Mask:
        """Whether the centres of bodies at positions (..., N, 2) m are in the image (..., N); False where NaN."""
        with np.errstate(invalid="ignore"):
            return np.asarray((np.abs(self.apparent_position(position) - self.centre) <= self.half).all(axis=-1))

    def visible_share(self, position: Array, frames: slice = slice(None)) -> Array:
        """Visible share (K, F, N) of discs at positions (K, F, N, 2) m in frames; 0 outside the image and where NaN."""
        centre = self.apparent_position(position)
        radius = self.radius * self.scale
        points = centre[..., None, :] + radius[:, None, None] * _POINTS  # (K, F, N, P, 2)
        with np.errstate(invalid="ignore"):
            seen = np.asarray((np.abs(points - self.centre) <= self.half).all(axis=-1))
            for s in range(self.nearer.shape[0]):
                middle, reach = (part[frames, s][:, None, None] for part in (self.middle, self.reach))
                (x, y), away = self.side[s], points - middle
                behind = (np.abs(away @ np.array([[x, -y], [y, x]])) <= reach).all(axis=-1)
                seen &= ~(behind & self.nearer[s][:, None])
            for n in range(len(radius)):
                for other in np.flatnonzero(self.scale > self.scale[n] + 1e-9):
                    away = np.linalg.norm(points[:, :, n] - centre[:, :, other, None], axis=-1)
                    seen[:, :, n] &= ~(away < radius[other])
        return np.asarray(np.where(self.inside(position), seen.mean(axis=-1), 0.0))

    def excused(self, position: Array) -> Mask:
        """Where discs at positions (T, N, 2) m need not be visible (T, N)."""
        found = self.visible_share(position[None])[0] < VISIBLE_SHARE + SHARE_MARGIN
        return np.asarray(found & np.isfinite(position[..., 0]))


def _points() -> Array:
    """Points (P, 2) spread evenly over a disc of radius 1."""
    found = []
    for radius, count in RINGS:
        angle = 2 * np.pi * (np.arange(count) + radius) / count
        found.append(radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    return np.concatenate(found)


_POINTS = _points()


def sight_model(
    clip: Clip, index: tuple[int, ...], depth: Array, radius: Array, frames: NDArray[np.intp]
) -> SightModel:
    """What a clip's camera sees of bodies index (N,) at depth (N,) m along the view axis, in frames (T,) of the clip.

    Screens are the drawn boxes that do not move by themselves. A screen that leans towards the camera counts as its
    bounding rectangle.
    """
    camera, across = clip.scene.camera, depth_axis(clip.scene.camera)
    towards = float(looking(camera)[across])
    centre = plane_from_world(camera, np.asarray(camera.center, dtype=np.float64))
    ahead = camera.distance + towards * (depth - camera.center[across])  # (N,) m from the eye
    axes = list(PLANE_AXES[camera.view])
    middles, sides, halves, nearer = [], [], [], []
    for i, body in enumerate(clip.scene.bodies):
        if body.role == "moving" or not body.drawn or body.shape != "box":
            continue
        turned = rotate(body.orientation, np.eye(3))  # (3, 3): where its axes point
        reach = np.abs(turned).T @ np.asarray(body.size)  # (3,) m
        position = clip.states[frames, i, :3]
        face = camera.distance + towards * (position[:, across] - camera.center[across]) - reach[across]  # (T,)
        apparent_scale = (camera.distance / face)[:, None]
        middle = centre + (plane_from_world(camera, position) - centre) * apparent_scale
        gone = clip.times[frames] >= (np.inf if body.until is None else body.until - 1e-9)
        middle[gone] = np.nan
        upright = abs(turned[across, across]) > 1 - 1e-9
        size = np.asarray(body.size)[axes] if upright else plane_from_world(camera, reach)
        middles.append(middle)
        sides.append(turned[axes[0], axes] if upright else np.array([1.0, 0.0]))
        halves.append(size * apparent_scale)
        nearer.append(face.min() < ahead - 1e-6)
    count = len(frames)
    window = np.array([clip.spec.width, clip.spec.height]) / 2 / clip.pixels_per_metre
    return SightModel(
        centre,
        window,
        camera.distance / ahead,
        radius,
        np.stack(middles, axis=1) if middles else np.zeros((count, 0, 2)),
        np.array(sides).reshape(-1, 2),
        np.stack(halves, axis=1) if halves else np.zeros((count, 0, 2)),
        np.array(nearer).reshape(-1, len(index)),
    )
