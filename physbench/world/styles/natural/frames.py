"""Frames in the natural look: what moves, put on the static light of its stage.

A pixel of the stage is albedo x (key light x (1 - k) + sky light x (1 - s) + what bodies send there), with k the share
of the lamp and s the share of the sky that bodies hide. Bodies are drawn over it by their share of the pixel.

For a camera that turns, what stands still is one wide picture of the camera at rest, out of which frames are cut
(`exposure`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from physbench.support.arrays import Array, Image, Real
from physbench.world.bodies import darkness_over, is_darkness, is_screen
from physbench.world.camera import (
    CameraPose,
    area_weights,
    eye,
    homographies,
    lens,
    looking,
    mapped,
    pixels_per_metre,
    poses_at,
    px_from_world,
)
from physbench.world.drawing import Rendered, boxes, darken, full_area
from physbench.world.geometry import rotate
from physbench.world.links import with_links
from physbench.world.renderer import DRAWN
from physbench.world.scene import Camera, RenderSpec, Scene, Vector
from physbench.world.styles.look_options import look_options
from physbench.world.styles.natural import exposure
from physbench.world.styles.natural.light import ball_light, block_ways, flat_light, gathered, sent_out
from physbench.world.styles.natural.materials import CLEAR_DUSK, CLEAR_NIGHT, DUSK, NIGHT, starry_sky, with_door
from physbench.world.styles.natural.mitsuba_scene import (
    Layers,
    PathTracer,
    light_layers,
    path_traced,
    render_path_traced,
)
from physbench.world.styles.natural.mitsuba_scene import check_mitsuba as check_mitsuba
from physbench.world.styles.natural.mitsuba_scene import variant_names as variant_names
from physbench.world.styles.natural.movers import (
    BoxBlocker,
    Mover,
    ball_points,
    bevelled,
    distances_to,
    drawable,
    hit_mover,
    lamp_share_hidden,
    movers_at,
    poses,
    sky_share_hidden,
)
from physbench.world.styles.natural.rays import (
    EDGE_FINE,
    NOTHING_MET,
    Seen,
    length,
    near_edges,
    planes,
    rays_within,
    see,
    spread_rays,
    textured_albedo,
    view_directions,
)
from physbench.world.styles.natural.stage import Stage, bodies_of_parts, body_albedo, displayed, floor_out_of_sight
from physbench.world.styles.natural.stage import is_holder as is_holder
from physbench.world.styles.natural.stage import stage_of as stage_of

STRIP_RAYS = 1 << 15  # that are looked along at a time: their arrays stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Backdrop:
    """The static part of a clip."""

    stage: Stage
    fine: int  # a pixel is split into fine x fine
    origin: Real  # (3,) m
    fine_depth: NDArray[np.float32]  # (fine h, fine w)
    fine_body: NDArray[np.int16]  # (fine h, fine w): index of the fixed body that is seen there, -1 for none
    fixed_area: Real  # (N,): how many of these rays meet each body, or the sum of their weights
    points: NDArray[np.float32] | None  # (h, w, 3) m, what pixels show; None without ground
    normals: NDArray[np.float32] | None
    albedo: NDArray[np.float32]  # (h, w, 3) textured
    layers: Layers | None
    still: NDArray[np.float32]  # (h, w, 3) linear, without bodies
    blocks: tuple[BoxBlocker, ...]
    sky_light: dict[int, float]
    pose: CameraPose | None = None  # of a camera that moves, in this frame
    weights: Real | None = None  # (fine h, fine w) px that a ray stands for in the picture at rest; None: all the same


@dataclass(frozen=True, eq=False)
class Instant:
    """All that decides a sharp picture: who looks, at what, and where it is at one time."""

    scene: Scene
    spec: RenderSpec
    backdrop: Backdrop
    movers: list[Mover]
    states: Array  # (N, 13)


def render_natural(
    scene: Scene,
    times: Sequence[float] | Real,
    states: Array,
    spec: RenderSpec,
    colours: Mapping[int, Vector] = MappingProxyType({}),
) -> Rendered:
    """Draw a simulated scene as `drawing.render` does, in the natural look.

    times: (T,) s; states: (T, N, 13); colours: RGB (0..1) of moving bodies by index, where not that of their hue.
    Raises UsageError where Mitsuba is missing or a body cannot be drawn.
    """
    moments: NDArray[np.float64] = np.asarray(times, dtype=np.float64)
    exact: NDArray[np.float64] = np.asarray(states, dtype=np.float64)
    own = len(scene.bodies)
    scene, exact = with_links(scene, exact, moments)
    if path_traced(scene):
        traced = render_path_traced(scene, moments, exact, spec, colours)
        return Rendered(traced.frames, traced.visible_area[:, :own], traced.full_area[:, :own])
    indices = [i for i in drawable(scene) if not is_darkness(scene.bodies[i])]
    turning = TurningView(scene, spec) if scene.camera.path else None
    backdrop = backdrop_of(scene, spec) if turning is None else turning.backdrop(0.0)
    count = len(scene.bodies)
    frames = np.empty((len(moments), spec.height, spec.width, 3), dtype=np.uint8)
    area = np.zeros((len(moments), count))
    noise, seconds = look_options(spec.look)["noise"], exposure.open_time(spec)
    picture = np.zeros(0, dtype=np.float32)
    before: object = None
    last = 0
    for k in np.flatnonzero(darkness_over(scene, exact) < 0).tolist():
        time = float(moments[k])
        movers = movers_at(scene, backdrop.stage, indices, time, exact[k], colours)
        now = poses(movers), exact[k, :, 7:].tobytes() if seconds else b""
        if turning is not None:
            backdrop = turning.backdrop(time)
        if now != before or turning is not None:
            here = Instant(scene, spec, backdrop, movers, exact[k])
            picture, area[k] = compose(here, exposure.Shutter(time, seconds))
            frames[k] = exposure.with_noise(picture, noise, scene, time)
        else:
            frames[k] = exposure.with_noise(picture, noise, scene, time) if noise else frames[last]
            area[k] = area[last]
        before, last = now, k
    darken(scene, exact, spec, frames, area)
    full = np.stack([full_area(scene, i, moments, exact[:, i], spec) for i in range(count)], axis=1)
    full = np.where(np.isnan(full), area, full)
    boxes_of_stage = [i for i in bodies_of_parts(scene, backdrop.stage) if i >= 0 and scene.bodies[i].shape == "box"]
    # They may be drawn deeper than they are, and show more of their sides.
    full[:, boxes_of_stage] = np.maximum(full, area.max(axis=0))[:, boxes_of_stage]
    area[full == 0] = 0.0  # of a holder that has let go, on its way out of the picture
    return Rendered(frames, area[:, :own].astype(np.float32), full[:, :own].astype(np.float32))


def still_picture(scene: Scene, spec: RenderSpec, hueless: bool) -> Image:
    """The picture (h, w, 3) of what never moves; bodies with a hue only if hueless=False."""
    if path_traced(scene):
        return displayed(PathTracer(scene, spec).still_picture(hueless))
    backdrop = TurningView(scene, spec).backdrop(None) if scene.camera.path else backdrop_of(scene, spec)
    keep = [i for i in drawable(scene) if scene.bodies[i].stays and not (hueless and scene.bodies[i].hue is not None)]
    states = np.array([[*body.position, *body.orientation, *([0.0] * 6)] for body in scene.bodies])
    movers = movers_at(scene, backdrop.stage, keep, 0.0, states)
    return displayed(compose(Instant(scene, spec, backdrop, movers, states))[0])


def backdrop_of(scene: Scene, spec: RenderSpec) -> Backdrop:
    """All that does not change along a clip."""
    camera = scene.camera
    stage = with_door(floor_out_of_sight(stage_of(scene), scene, spec), camera, spec)
    fine = _fineness(spec)
    rays, origin = view_directions(camera, spec), eye(camera)
    depth, albedo, part = _fine_stage(stage, camera, spec, fine)
    body = np.array([*bodies_of_parts(scene, stage), -1], dtype=np.int16)[part]
    fixed = _rays_on(body, len(scene.bodies))
    if stage.kind == "sky":
        still = night_sky(scene, stage, spec)
        return Backdrop(stage, fine, origin, depth, body, fixed, None, None, still, None, still, (), {})
    seen = see(stage, camera, rays)
    layers = light_layers(stage, camera, spec)
    sky_light = _sky_light(stage, seen, layers)
    albedo, layers = _in_planes(albedo), Layers(_in_planes(layers.key), _in_planes(layers.sky))
    points = _in_planes((origin + rays * seen.depth[..., None]).astype(np.float32))
    still = albedo * (layers.key + layers.sky)
    return Backdrop(
        stage, fine, origin, depth, body, fixed, points, _in_planes(seen.normal.astype(np.float32)), albedo,
        layers, still, block_ways(stage), sky_light,
    )  # fmt: skip


def night_sky(scene: Scene, stage: Stage, spec: RenderSpec, camera: Camera | None = None) -> NDArray[np.float32]:
    """Linear RGB (h, w, 3) of a sky with the glow of a scene's stars, in the picture of its camera, or of `camera`."""
    nights = (CLEAR_NIGHT, CLEAR_DUSK) if scene.camera.path else (NIGHT, DUSK)
    night = nights[any(is_screen(body) for body in scene.bodies)]
    return starry_sky(stage.seed, spec, night) + star_glow(replace(scene, camera=camera or scene.camera), spec)


GLOW, GLOW_HUE = 0.08, 0.3  # of a star: linear light beside it, and the share of that with its own colour


def star_glow(scene: Scene, spec: RenderSpec) -> NDArray[np.float32]:
    """Light (h, w, 3) around the stars of a scene, that falls with the square of the distance.

    It is nearly white: a tracker takes what has the hue of a body for a part of it.
    """
    light = np.zeros((spec.height, spec.width, 3))
    y, x = np.mgrid[0 : spec.height, 0 : spec.width] + 0.5
    for body in scene.bodies:
        if body.shape == "sphere" and body.stays and body.hue is not None:
            right, down = px_from_world(scene.camera, spec, np.asarray(body.position))
            radius = body.size[0] * pixels_per_metre(scene.camera, spec)
            away = np.maximum(np.hypot(x - right, y - down) / radius, 1.0)
            colour = GLOW_HUE * np.asarray(body_albedo(body)) + 1 - GLOW_HUE
            light += (GLOW / away**2)[..., None] * colour
    return light.astype(np.float32)


def _fineness(spec: RenderSpec) -> int:
    """A pixel is split into so many each way: fewer of large pictures."""
    return 2 if min(spec.height, spec.width) >= 512 else 3


class TurningView:
    """The stage and all that rests on it, frame by frame before a camera that turns."""

    def __init__(self, scene: Scene, spec: RenderSpec) -> None:
        camera, size = exposure.wide_picture(scene, spec)
        stage = with_door(floor_out_of_sight(stage_of(scene), replace(scene, camera=camera), size), scene.camera, spec)
        self._scene, self._spec, self._stage, fine = scene, spec, stage, _fineness(spec)
        self._sky_light: dict[int, float] = {}
        split = replace(size, height=fine * size.height, width=fine * size.width)
        depth, albedo, part = _fine_stage(stage, camera, split, 1)
        body = np.array([*bodies_of_parts(scene, stage), -1], dtype=np.int16)[part]
        (self._rest,) = poses_at(camera, np.zeros(1))
        self._onto = lens(camera, size) @ self._rest.axes
        self._from = np.linalg.inv(lens(scene.camera, spec))
        self._blocks = () if stage.kind == "sky" else block_ways(stage)
        if stage.kind == "sky":
            night = night_sky(scene, stage, split, camera)
            self._wide = exposure.Panorama(fine, depth, body, night, None, None)
            return
        seen, layers = see(stage, camera, view_directions(camera, size)), light_layers(stage, camera, size)
        self._sky_light = _sky_light(stage, seen, layers)
        light = np.concatenate([layers.key, layers.sky], axis=-1)
        self._wide = exposure.Panorama(fine, depth, body, albedo, seen.normal.astype(np.float32), light)

    def backdrop(self, time: float | None) -> Backdrop:
        """The static part of the frame at `time` s; None: of the camera at rest."""
        scene, spec, fine = self._scene, self._spec, self._wide.fine
        pose, onto = self._rest, np.eye(3)
        if time is not None:
            moment = np.array([time])
            (pose,), (onto,) = poses_at(scene.camera, moment), homographies(scene.camera, spec, moment)
        cut = exposure.cut_out(self._wide, self._onto @ pose.axes.T @ self._from, spec)
        weights = area_weights(np.asarray(np.linalg.inv(onto), dtype=np.float64), spec, fine)
        fixed, albedo = _rays_on(cut.body, len(scene.bodies), weights), _in_planes(cut.albedo)
        points = normals = layers = None
        still = albedo
        if cut.light is not None and cut.normal is not None:
            way = view_directions(scene.camera, spec, pose=pose).astype(np.float32)
            points = _in_planes(pose.eye.astype(np.float32) + way * cut.centre[..., None])
            layers, normals = Layers(*map(_in_planes, np.split(cut.light, 2, axis=-1))), _in_planes(cut.normal)
            still = albedo * (layers.key + layers.sky)
        return Backdrop(
            self._stage, fine, pose.eye, cut.depth, cut.body, fixed, points, normals, albedo, layers, still,
            self._blocks, self._sky_light, pose, weights,
        )  # fmt: skip


def _in_planes(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same vectors (h, w, 3), each coordinate in a row of its own."""
    return np.asarray(planes(vectors).T.reshape(vectors.shape), dtype=np.float32)


def _fine_stage(
    stage: Stage, camera: Camera, spec: RenderSpec, fine: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int16]]:
    """Depth (fine h, fine w) m and part, as of `Seen`, of what rays meet, and albedo (h, w, 3) with texture, means over
    the rays of a pixel."""
    depth = np.empty((fine * spec.height, fine * spec.width), dtype=np.float32)
    part = np.empty(depth.shape, dtype=np.int16)
    step = max(1, STRIP_RAYS // (fine * fine * spec.width))
    for top in range(0, spec.height, step):
        rows = slice(fine * top, fine * min(top + step, spec.height))
        seen = see(stage, camera, view_directions(camera, spec, fine, (rows, slice(None))))
        depth[rows], part[rows] = seen.depth, seen.part
    return depth, _fine_albedo(stage, camera, spec, fine, part), part


def _fine_albedo(
    stage: Stage, camera: Camera, spec: RenderSpec, fine: int, part: NDArray[np.int16]
) -> NDArray[np.float32]:
    """Albedo (h, w, 3) with texture, means over rays of each pixel: more of them where materials mix."""
    albedo = np.empty((spec.height, spec.width, 3), dtype=np.float32)
    edges = near_edges(part).reshape(spec.height, fine, spec.width, fine).any(axis=(1, 3))
    for where, rays, many in ((~edges, spread_rays, fine), (edges, rays_within, EDGE_FINE)):
        rows, columns = np.nonzero(where)
        step = max(1, STRIP_RAYS // many**2)
        for first in range(0, len(rows), step):
            here = rows[first : first + step], columns[first : first + step]
            seen = see(stage, camera, rays(camera, spec, many, *here))
            albedo[here] = textured_albedo(stage, camera, seen).mean(axis=1)
    return albedo


def _sky_light(stage: Stage, seen: Seen, layers: Layers) -> dict[int, float]:
    """Mean light of the sky on each part that is in view."""
    parts = range(len(stage.surfaces) + len(stage.blocks))
    here = {number: seen.part == number for number in parts}
    return {n: float(layers.sky[mask].mean()) if mask.any() else 0.7 * stage.sky for n, mask in here.items()}


def compose(now: Instant, shutter: exposure.Shutter = exposure.OPEN_AT_ONCE) -> tuple[NDArray[np.float32], Real]:
    """One frame, linear (h, w, 3), and the visible areas (N,) px of the bodies at its time."""
    meeting, backdrop = _meet(now), now.backdrop
    views, movers, covered = _views(now, meeting)
    now = replace(now, movers=movers)
    light = {m.index: _light_on(m, movers, backdrop) for m in movers if m.body.shape == "sphere" and not m.shines}
    picture = _shaded_stage(backdrop, movers, light)
    for view in views:
        if not view.mover.backs:
            covered[view.mover.index] = view.area
    displacements = _displacements(now, shutter)
    times = _exposure_times(now, shutter, displacements)
    if len(times) > 1:
        blur = MotionBlur(now, shutter, displacements, meeting, views, light)
        return blur.over(picture, times), covered
    total = np.zeros(picture.shape[:2], dtype=np.float32)
    for view in views:
        total[view.where] += view.share
    picture *= 1 - total[..., None]
    for view in views:
        if len(view.rays):
            colour = _body_colour(view, movers, light, backdrop)
            picture[view.where][view.on] += (view.share[view.on][:, None] * colour).astype(np.float32)
    return picture, covered


def _displacements(now: Instant, shutter: exposure.Shutter) -> dict[int, Real]:
    """Displacements (K, 2) px, right and down, of K points of bodies that move while the shutter is open, by number."""
    if not shutter.seconds:
        return {}
    states = now.states
    edges = [exposure.travelled(states, side * shutter.seconds / 2) for side in (-1, 1)]
    displacements: dict[int, Real] = {}
    for number, mover in enumerate(now.movers):
        if exposure.is_moving(mover, states):
            ends = [exposure.moved(mover, states, edge) for edge in edges]
            points = [np.array([each.centre]) if mover.body.shape == "sphere" else _corners(each) for each in ends]
            first, last = (_px(now, each) for each in points)
            displacements[number] = last - first
    return displacements


def _farthest(displacements: Real) -> float:
    return float(np.linalg.norm(displacements, axis=-1).max())


def _exposure_times(now: Instant, shutter: exposure.Shutter, displacements: Mapping[int, Real]) -> Real:
    """Moments (n,) s of an exposure, as of `exposure.moments`; displacements: as of `_displacements`."""
    camera, spec = now.scene.camera, now.spec
    paths = [0.0, *map(_farthest, displacements.values())]
    if camera.path and shutter.seconds:
        corners = np.array([[x, y] for x in (0.0, spec.width) for y in (0.0, spec.height)])
        away = mapped(exposure.turned_by(camera, spec, shutter.time, shutter.seconds), corners) - corners
        paths.append(_farthest(away))
    return exposure.moments(shutter.seconds, max(paths))


class MotionBlur:
    """A frame while the shutter is open: the mean of sharp ones.

    The outlines of bodies, and what hides them, are those of each moment; their colours, shadows and light those of
    the frame's time, which go along with them.
    """

    def __init__(
        self,
        now: Instant,
        shutter: exposure.Shutter,
        displacements: Mapping[int, Real],
        meeting: Meeting,
        views: Sequence[BodyView],
        light: dict[int, Real],
    ) -> None:
        """displacements: as of `_displacements`; meeting, views and light: those of the frame's time."""
        self._now, self._shutter, self._meeting, self._light = now, shutter, meeting, light
        self._moving = frozenset(displacements)
        self._seen = {met.number: (met, view) for met, view in zip(meeting.met, views, strict=True)}
        self._paints: dict[int, exposure.Paint] = {}
        self._outlines = [
            EdgeRays(now, self._seen[number][0], moved)
            for number, moved in displacements.items()
            if number in self._seen
        ]
        self._still = [met for met in meeting.met if met.number not in self._moving]
        self._apart: list[Met] = []  # from all that moves: the same at all moments
        if len(self._outlines) == len(displacements):
            self._apart = [met for met in self._still if not any(each.reaches(met) for each in self._outlines)]

    def over(self, picture: NDArray[np.float32], times: Real) -> NDArray[np.float32]:
        """Mean linear picture (h, w, 3) over moments (n,) s, from that of the stage (h, w, 3)."""
        now, turning = self._now, bool(self._now.scene.camera.path)
        total, colours = np.zeros(picture.shape[:2], dtype=np.float32), np.zeros_like(picture)
        for met in self._apart:
            self._add(total, colours, self._meeting, met, np.zeros(2), 1 if turning else len(times))
        rest = total.copy(), colours.copy()
        pictures = []
        for seconds in times:
            movers, then = self._at(float(seconds))
            if turning:
                total[:], colours[:] = rest
            for met in then.met:
                if met not in self._apart:
                    places = np.array([now.movers[met.number].centre, movers[met.number].centre], dtype=np.float64)
                    first, last = _px(now, places)
                    self._add(total, colours, then, met, last - first)
            if turning:
                sharp = picture * (1 - total[..., None]) + colours
                pictures.append(_turned(sharp, now.scene, now.spec, self._shutter.time, seconds))
        if pictures:
            return np.asarray(sum(pictures[1:], start=pictures[0]) / np.float32(len(times)))
        return np.asarray((picture * (len(times) - total[..., None]) + colours) / np.float32(len(times)))

    def _at(self, seconds: float) -> tuple[list[Mover], Meeting]:
        """Bodies so many seconds after the frame's time, and what rays meet then."""
        now = self._now
        later = exposure.travelled(now.states, seconds)
        movers = [
            exposure.moved(each, now.states, later) if number in self._moving else each
            for number, each in enumerate(now.movers)
        ]
        if not seconds:
            return movers, self._meeting
        known = [each.at(movers[each.met.number], now.backdrop) for each in self._outlines]
        return movers, _meet(replace(now, movers=movers, states=later), [*self._still, *known])

    def _add(
        self,
        total: NDArray[np.float32],
        colours: NDArray[np.float32],
        then: Meeting,
        met: Met,
        shift: Real,
        count: int = 1,
    ) -> None:
        """Add a body, `count` times, to the shares (h, w) and colours (h, w, 3) of pixels that bodies have."""
        share = _mean_share(then.owner[met.close] == met.number, self._now.backdrop.fine).astype(np.float32)
        if share.any():
            if met.number not in self._paints:
                seen: tuple[Met, BodyView | None] = self._seen.get(met.number, (met, None))
                self._paints[met.number] = _paint(self._now, *seen, self._light)
            total[met.where] += count * share
            colours[met.where] += count * share[..., None] * self._paints[met.number].at(met.where, shift)


class EdgeRays:
    """Rays that meet a body whose motion blurs its outline; those near the outline are asked again at each moment.

    No point of its picture goes farther than a corner of a box around it, half of its way before the frame's time.
    """

    def __init__(self, now: Instant, met: Met, displacement: Real) -> None:
        """met: at the frame's time; displacement: (K, 2) px, as of `_displacements`."""
        spec, backdrop = now.spec, now.backdrop
        fine = self._fine = backdrop.fine
        right, down = (int(reach) for reach in np.ceil(np.abs(displacement).max(axis=0) / 2) + 1)
        self.met = met
        rows, columns = met.where
        # The window at any moment, first with what lies beyond the picture, of which nothing is known.
        top, left = rows.start - down, columns.start - right
        share = np.pad(_mean_share(met.t < NOTHING_MET, fine), ((down, down), (right, right)))
        y, x = top + np.arange(share.shape[0])[:, None], left + np.arange(share.shape[1])
        beyond = (y < 0) | (y >= spec.height) | (x < 0) | (x >= spec.width)
        size = 2 * down + 1, 2 * right + 1
        anywhere = maximum_filter((share > 0) | beyond, size)
        everywhere = minimum_filter((share == 1) & ~beyond, size, mode="constant")
        bottom, end = min(rows.stop + down, spec.height), min(columns.stop + right, spec.width)
        within = np.s_[max(-top, 0) : bottom - top, max(-left, 0) : end - left]
        top, left = max(top, 0), max(left, 0)
        self.where = np.s_[top:bottom, left:end]
        self.close = np.s_[fine * top : fine * bottom, fine * left : fine * end]
        self._rows, self._columns = np.nonzero((anywhere & ~everywhere)[within])
        self._rays = rays_within(now.scene.camera, spec, fine, self._rows + top, self._columns + left, backdrop.pose)
        self._t = np.full((fine * (bottom - top), fine * (end - left)), NOTHING_MET)
        (y, x), (v, u) = ((part.start for part in each) for each in (met.close, self.close))
        self._t[y - v : y - v + met.t.shape[0], x - u : x - u + met.t.shape[1]] = met.t

    def reaches(self, other: Met) -> bool:
        """True if the window of another body overlaps with that of this one."""
        return all(a.start < b.stop and b.start < a.stop for a, b in zip(self.where, other.where, strict=True))

    def at(self, mover: Mover, backdrop: Backdrop) -> Met:
        """Points of the body that the rays meet where it is at another moment; without normals."""
        fine, t = self._fine, self._t.copy()
        there = distances_to(mover, backdrop.origin, self._rays).reshape(-1, fine, fine)
        tall, wide = t.shape
        t.reshape(tall // fine, fine, wide // fine, fine)[self._rows, :, self._columns] = there
        return Met(self.met.number, self.where, self.close, t, np.empty((0, 3)))


def _turned(
    picture: NDArray[np.float32], scene: Scene, spec: RenderSpec, time: float, seconds: float
) -> NDArray[np.float32]:
    """A picture (h, w, 3) by the camera at `time` s, as it sees it some seconds later."""
    if not seconds:
        return picture
    right, down, _ = exposure.onto(exposure.turned_by(scene.camera, spec, time, seconds), spec, 1)
    return exposure.between(picture, right - 0.5, down - 0.5)


def _paint(now: Instant, met: Met, seen: BodyView | None, light: dict[int, Real]) -> exposure.Paint:
    """Colours of all that would be seen of a body if nothing were before it; seen: what is seen of it."""
    hit = met.t < NOTHING_MET
    whole = seen is not None and np.array_equal(seen.share, _mean_share(hit, now.backdrop.fine).astype(np.float32))
    view = seen if seen is not None and whole else _view(now, now.movers[met.number], met, hit)
    colours = np.zeros((*view.on.shape, 4), dtype=np.float32)
    colours[view.on, 3] = 1.0
    if len(view.rays):
        colours[view.on, :3] = _body_colour(view, now.movers, light, now.backdrop)
    return exposure.Paint(met.where[0].start, met.where[1].start, colours)


def _px(now: Instant, points: NDArray[np.float64]) -> Real:
    """Places (N, 2) px of points (N, 3) m in the picture of a frame."""
    camera, pose = now.scene.camera, now.backdrop.pose
    if pose is None:
        return np.asarray(px_from_world(camera, now.spec, points))
    image = (points - pose.eye) @ (lens(camera, now.spec) @ pose.axes).T
    return np.asarray(image[:, :2] / image[:, 2:])


def _light_on(ball: Mover, movers: list[Mover], backdrop: Backdrop) -> Real:
    others = [mover for mover in movers if mover is not ball and mover.casts]
    return np.asarray(gathered(ball, others, backdrop.stage, backdrop.sky_light, backdrop.blocks))


def _shaded_stage(backdrop: Backdrop, movers: list[Mover], light: dict[int, Real]) -> NDArray[np.float32]:
    """The stage (h, w, 3) with the shadows of bodies and the light that they send back."""
    if backdrop.points is None or backdrop.layers is None or backdrop.normals is None:
        return backdrop.still.copy()
    points, normals = backdrop.points, backdrop.normals
    lamp = np.ones(points.shape[:2], dtype=np.float32)
    hidden = np.zeros(points.shape[:2], dtype=np.float32)
    places, sent = planes(points), np.zeros((3, lamp.size), dtype=np.float32)
    for mover in movers:
        for blocker in mover.blockers:
            lamp *= 1 - lamp_share_hidden(blocker, points, backdrop.stage.key).astype(np.float32)
            share = sky_share_hidden(blocker, points, normals).astype(np.float32)
            hidden += share
            near = np.flatnonzero(share > 0.01)  # where a body hides less of the sky's light it sends none
            here = share.ravel()[near]
            radiance = sent_out(mover, light.get(mover.index), places.take(near, axis=1).T, backdrop.stage)
            for channel in range(3):
                sent[channel, near] += here * radiance[:, channel]
    sky = 1 - np.minimum(hidden, 1.0)
    layers, back = backdrop.layers, sent.T.reshape(points.shape)
    return np.asarray(backdrop.albedo * (layers.key * lamp[..., None] + layers.sky * sky[..., None] + back))


@dataclass(frozen=True, eq=False)
class BodyView:
    """Pixels of one body."""

    mover: Mover
    where: tuple[slice, slice]  # of the picture
    share: NDArray[np.float32]  # (h, w) of each pixel
    area: float  # px that are seen, in the picture at rest
    on: NDArray[np.bool_]  # (h, w), where that is above 0: P pixels
    rays: Real  # (P, 3), mean of those that meet it
    points: Real  # (P, 3), mean
    normals: Real  # (P, 3), mean, not of length 1


@dataclass(frozen=True, eq=False)
class Met:
    """Rays that are close to a body, in a frame."""

    number: int  # in the list of movers
    where: tuple[slice, slice]  # of the picture
    close: tuple[slice, slice]  # of the fine rays
    t: Real  # (fine h, fine w), as of `hit_mover`
    normals: Real  # (fine h, fine w, 3); none of a moment at which outlines alone count


@dataclass(frozen=True, eq=False)
class Meeting:
    """The nearest surface along each ray."""

    depth: NDArray[np.float32]  # (fine h, fine w)
    owner: NDArray[np.int16]  # (fine h, fine w): number of a mover, -1 of the stage
    met: list[Met]


def _meet(now: Instant, known: Sequence[Met] = ()) -> Meeting:
    """The nearest body along each of fine x fine rays a pixel; known: what is met of some, already."""
    scene, spec, backdrop = now.scene, now.spec, now.backdrop
    fine, depth = backdrop.fine, backdrop.fine_depth.copy()
    owner = np.full(depth.shape, -1, dtype=np.int16)
    before, met = {each.number: each for each in known}, []
    for number, mover in enumerate(now.movers):
        found = before.get(number)
        if found is None:
            left, top, right, bottom = _window(scene, mover, now.states, spec, backdrop.pose)
            if right <= left or bottom <= top:
                continue
            close = np.s_[fine * top : fine * bottom, fine * left : fine * right]
            t, normals = _hits(scene.camera, backdrop.origin, fine, mover, close, spec, backdrop.pose)
            found = Met(number, np.s_[top:bottom, left:right], close, t, normals)
        nearer = found.t < depth[found.close]
        if mover.behind:
            nearer &= owner[found.close] < 0
        depth[found.close][nearer], owner[found.close][nearer] = found.t[nearer], number
        met.append(found)
    return Meeting(depth, owner, met)


def _views(now: Instant, meeting: Meeting) -> tuple[list[BodyView], list[Mover], Real]:
    """Views of each body; the bodies again; and the areas (N,) px that are seen of those of the stage.

    What screens cover of a body is taken off its shadow, so that no picture betrays what it does not show.
    """
    backdrop, movers = now.backdrop, now.movers
    views, casting = [], list(movers)
    depth, owner = meeting.depth, meeting.owner
    fixed, weights = backdrop.fixed_area.copy(), backdrop.weights
    front = np.array([mover.body.hue is None for mover in movers] + [True])  # the last: the stage, whose owner is -1
    for met in meeting.met:
        number, close = met.number, met.close
        if movers[number].body.hue is not None:
            hit = met.t < NOTHING_MET
            if hit.any():
                screened = (depth[close][hit] < met.t[hit]) & front[owner[close][hit]]
                casting[number] = replace(movers[number], casts=1.0 - float(screened.sum() / hit.sum()))
        mine = owner[close] == number
        weighed = None if weights is None else weights[close][mine]
        fixed -= _rays_on(backdrop.fine_body[close][mine], len(now.scene.bodies), weighed)
        view = _view(now, casting[number], met, mine)
        views.append(view if weighed is None else replace(view, area=float(weighed.sum())))
    return views, casting, fixed if weights is not None else fixed / backdrop.fine**2


def _view(now: Instant, mover: Mover, met: Met, mine: NDArray[np.bool_]) -> BodyView:
    """View of a body by those of its rays (fine h, fine w) that are its own."""
    backdrop, fine = now.backdrop, now.backdrop.fine
    share = _mean_share(mine, fine)
    on = share > 0
    rows, columns = np.nonzero(on)
    pixels = rows + met.where[0].start, columns + met.where[1].start
    rays = rays_within(now.scene.camera, now.spec, fine, *pixels, backdrop.pose)
    points = backdrop.origin + rays * _of_pixels(met.t, fine, rows, columns)[..., None]
    several = np.concatenate([rays, points, _of_pixels(met.normals, fine, rows, columns)], axis=-1)
    mean = np.where(_of_pixels(mine, fine, rows, columns)[..., None], several, 0.0).mean(axis=1)
    mean /= share[on][:, None]
    seen = share.astype(np.float32)
    return BodyView(mover, met.where, seen, float(seen.sum()), on, mean[:, :3], mean[:, 3:6], mean[:, 6:])


def _rays_on(bodies: NDArray[np.int16], count: int, weights: Real | None = None) -> Real:
    """Rays that meet each of so many bodies, counted from the index of that which each meets, -1 for none."""
    many = None if weights is None else weights.ravel()
    return np.asarray(np.bincount(bodies.ravel() + 1, many, minlength=count + 1)[1:])


def _hits(
    camera: Camera,
    origin: Real,
    fine: int,
    mover: Mover,
    close: tuple[slice, slice],
    spec: RenderSpec,
    pose: CameraPose | None = None,
) -> tuple[Real, Real]:
    """Distances (h, w) and normals (h, w, 3) as of `hit_mover`, of the fine rays `close` to a body."""
    rows, columns = close
    t = np.full((rows.stop - rows.start, columns.stop - columns.start), NOTHING_MET)
    normals = np.empty((*t.shape, 3))  # is only read where the body is met
    # A box fills little of what is close to it.
    if pose is None and mover.body.shape != "sphere" and _in_front(camera, mover):
        left, top, right, bottom = _outline(camera, mover, spec)
        rows = slice(max(rows.start, fine * (top - 1)), min(rows.stop, fine * (bottom + 1)))
        columns = slice(max(columns.start, fine * (left - 1)), min(columns.stop, fine * (right + 1)))
    step = max(1, STRIP_RAYS // max(1, columns.stop - columns.start))
    for top in range(rows.start, rows.stop, step):
        part = slice(top, min(top + step, rows.stop)), columns
        rays = view_directions(camera, spec, fine, part, pose)
        here = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, close, strict=True))
        t[here], normals[here] = hit_mover(mover, origin, rays)
    return t, normals


Value = TypeVar("Value", bound=np.generic)


def _mean_share(there: NDArray[np.bool_], fine: int) -> Real:
    """Share (h, w) of the fine rays (fine h, fine w) of a pixel that are there."""
    counts = sum(there[row::fine, column::fine].astype(np.uint8) for row in range(fine) for column in range(fine))
    return np.asarray(counts / (fine * fine))


def _of_pixels(
    values: NDArray[Value], fine: int, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[Value]:
    """Values (P, fine * fine, ...) of the fine rays of pixels (P,), from those (fine h, fine w, ...) of all rays."""
    tall, wide, *rest = values.shape
    blocks = values.reshape(tall // fine, fine, wide // fine, fine, *rest)
    return blocks[rows, :, columns].reshape(len(rows), fine * fine, *rest)


def _window(
    scene: Scene, mover: Mover, states: Real, spec: RenderSpec, pose: CameraPose | None
) -> tuple[int, int, int, int]:
    """A box px left, top, right, bottom (exclusive) that surely holds the picture of a body; empty out of view."""
    if pose is not None:
        return _outline(scene.camera, mover, spec, pose)
    if not is_holder(mover.body) and not mover.backs:
        left, top, right, bottom = boxes(scene, mover.index, states[None, mover.index].astype(np.float64), spec)[0]
        return int(left), int(top), int(right), int(bottom)
    return _outline(scene.camera, mover, spec)


def _corners(mover: Mover) -> NDArray[np.float64]:
    """Corners (8, 3) m of the box around a body that is none but a box or a cylinder."""
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3))) * mover.half
    return np.asarray(mover.centre + rotate(mover.turn, corners))


def _rim_square(ball: Mover, pose: CameraPose) -> NDArray[np.float64]:
    """Corners (4, 3) m of a square around the circle in which rays from a camera touch a ball."""
    away = ball.centre - pose.eye
    ahead, near2 = away / np.linalg.norm(away), ball.body.size[0] ** 2 / float(away @ away)
    right = pose.axes[0] - (pose.axes[0] @ ahead) * ahead
    right /= np.linalg.norm(right)
    ways = np.array(list(itertools.product((-1.0, 1.0), repeat=2))) @ np.stack([right, np.cross(ahead, right)])
    return np.asarray(ball.centre - away * near2 + ball.body.size[0] * np.sqrt(1 - near2) * ways)


def _in_front(camera: Camera, mover: Mover) -> bool:
    return bool(((_corners(mover) - eye(camera)) @ looking(camera)).min() > DRAWN.near_plane)


def _outline(
    camera: Camera, mover: Mover, spec: RenderSpec, pose: CameraPose | None = None
) -> tuple[int, int, int, int]:
    """A box px left, top, right, bottom (exclusive) around the corners of a body, as far as it is in the picture."""
    size = (spec.width, spec.height)
    if pose is None:
        seen = px_from_world(camera, spec, _corners(mover))
    else:
        away = (_rim_square(mover, pose) if mover.body.shape == "sphere" else _corners(mover)) - pose.eye
        away = away @ pose.axes.T
        if away[:, 2].min() < DRAWN.near_plane:
            return (0, 0, *size) if away[:, 2].max() > DRAWN.near_plane else (0, 0, 0, 0)
        image = away @ lens(camera, spec).T
        seen = image[:, :2] / image[:, 2:]
    left, top = np.floor(seen.min(axis=0)).clip(0, size).astype(int)
    right, bottom = np.ceil(seen.max(axis=0)).clip(0, size).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _body_colour(view: BodyView, movers: list[Mover], light: dict[int, Real], backdrop: Backdrop) -> Real:
    """Linear RGB (P, 3) of a body in the pixels where it is."""
    mover, stage = view.mover, backdrop.stage
    others = [blocker for other in movers if other.index != mover.index for blocker in other.blockers]
    if mover.body.shape == "sphere":
        points, normals = ball_points(mover, backdrop.origin, view.rays)
        to_eye = backdrop.origin - points
        to_eye /= length(to_eye)[:, None]
        around = light.get(mover.index, np.zeros((16, 3)))
        return ball_light(mover, points, normals, to_eye, around, stage, [*backdrop.blocks, *others])
    points = view.points
    normals = view.normals / length(view.normals)[:, None]
    floor = stage.floor
    glow = np.full(3, stage.sky)
    if floor is not None:
        glow = np.asarray(floor.material.albedo) * (0.8 * stage.lamp_light + stage.sky)
    return flat_light(mover, points, bevelled(mover, points, normals), stage, [*backdrop.blocks, *others], glow)
