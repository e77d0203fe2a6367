"""Frames by path tracing, of scenes that compositing refuses: with planes that move, lean, have a hue or are several.

It takes seconds a frame, and is only done where the environment asks for it. Areas of bodies are those of the plain
look, which has the same places and camera. Shadows fall as they do, and may betray what is hidden, which composited
frames avoid.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Real
from physbench.support.errors import UsageError
from physbench.world.bodies import darkness_over, is_darkness
from physbench.world.drawing import Rendered, render, shown
from physbench.world.geometry import rotate
from physbench.world.renderer import DRAWN
from physbench.world.scene import PLAIN, Body, Camera, RenderSpec, Scene, Vector
from physbench.world.styles.look_options import look_options
from physbench.world.styles.natural.materials import DUSK, starry_sky
from physbench.world.styles.natural.mitsuba_scene import (
    Description,
    body_parts,
    denoise,
    matte,
    placed,
    renderer,
    still_scene,
    surface_reach,
)
from physbench.world.styles.natural.movers import PATH_TRACE_ENVIRONMENT, Mover, drawable, movers_at, poses, refused
from physbench.world.styles.natural.stage import (
    PLACE,
    Stage,
    body_albedo,
    displayed,
    floor_out_of_sight,
    rgb_albedo,
    stage_of,
)

LIGHT_PATHS = 64  # a pixel, before the denoiser
FEATURES = "albedo:albedo,normal:sh_normal"  # that the denoiser keeps sharp


def path_traced(scene: Scene) -> bool:
    """True if frames of a scene are path-traced. Raises UsageError where the environment says neither yes nor no."""
    requested = os.environ.get(PATH_TRACE_ENVIRONMENT, "")
    if requested not in ("", "0", "1"):
        raise UsageError(f"${PATH_TRACE_ENVIRONMENT}: expected 0 or 1, got '{requested}'.")
    traced = requested == "1" and bool(refused(scene))
    if traced and scene.camera.path:
        raise UsageError(
            f"${PATH_TRACE_ENVIRONMENT}: frames of a camera that moves are not path-traced. Use --look plain."
        )
    return traced


def render_path_traced(
    scene: Scene,
    times: NDArray[np.float64],
    states: NDArray[np.float64],
    spec: RenderSpec,
    colours: Mapping[int, Vector],
) -> Rendered:
    """As `frames.render_natural`, with frames by path tracing and areas of the plain look.

    Raises UsageError where the look has options: these frames have no shutter and no noise.
    """
    if any(look_options(spec.look).values()):
        raise UsageError(
            f"--look {spec.look}: frames that are path-traced (${PATH_TRACE_ENVIRONMENT}) take no options of a look. "
            "Use --look natural."
        )
    plain = render(scene, times, states, replace(spec, look=PLAIN))
    tracer = PathTracer(scene, spec)
    frames = plain.frames.copy()  # black in the dark
    before: object = None
    last = 0
    for k in np.flatnonzero(darkness_over(scene, states) < 0).tolist():
        movers = tracer.movers(float(times[k]), states[k], colours)
        planes = tracer.planes(float(times[k]), states[k], colours)
        now = poses(movers), planes
        frames[k] = frames[last] if now == before else displayed(tracer.picture(movers, planes))
        before, last = now, k
    return replace(plain, frames=frames)


@dataclass(frozen=True)
class Plane:
    """A plane in one frame, that is no ground of a stage."""

    index: int  # in Scene.bodies
    position: tuple[float, ...]  # (3,) m
    turn: tuple[float, ...]  # (4,)
    albedo: Vector  # linear RGB


class PathTracer:
    """Linear pictures of the moments of a scene; what never moves is prepared once."""

    def __init__(self, scene: Scene, spec: RenderSpec) -> None:
        self.spec, self.refused = spec, frozenset(refused(scene))
        unplaned = [
            replace(body, drawn=body.drawn and i not in self.refused and not is_darkness(body))
            for i, body in enumerate(scene.bodies)
        ]
        self.scene, self.rest = scene, replace(scene, bodies=tuple(unplaned))
        stage = floor_out_of_sight(stage_of(self.rest), self.rest, spec)
        in_sky = stage.kind == "sky"
        self.stage = replace(stage, kind="table") if in_sky else stage  # no fixed ball is a star: a plane is the ground
        self.beyond = starry_sky(stage.seed, spec, DUSK) if in_sky else None
        self.reach = surface_reach(self.stage, scene.camera, spec)
        self.indices = drawable(self.rest)
        traced_pixels = 512 * 512  # up to which each has LIGHT_PATHS; more share as many
        share = LIGHT_PATHS * traced_pixels // (spec.height * spec.width)
        # At least 16 a pixel
        self.still = still_scene(self.stage, scene.camera, spec, max(16, min(LIGHT_PATHS, share)))
        path = self.still["integrator"]
        self.still["integrator"] = {"type": "aov", "aovs": FEATURES, "image": path}

    def movers(self, time: float, states: Real, colours: Mapping[int, Vector]) -> list[Mover]:
        """Bodies drawn on the stage at `time` s beside planes, as of `movers_at`; states: (N, 13)."""
        return movers_at(self.rest, self.stage, self.indices, time, states, colours)

    def planes(self, time: float, states: Real, colours: Mapping[int, Vector]) -> list[Plane]:
        """The planes that are there at `time` s beside the ground of the stage."""
        there = [(i, body) for i, body in enumerate(self.scene.bodies) if i in self.refused and shown(body, time)]
        return [
            Plane(i, *_pose(states[i]), rgb_albedo(colours[i]) if i in colours else body_albedo(body))
            for i, body in there
        ]

    def picture(self, movers: Sequence[Mover], planes: Sequence[Plane]) -> NDArray[np.float32]:
        """Linear RGB (h, w, 3) of the stage with these bodies on it."""
        camera = self.scene.camera
        description = dict(self.still)
        for mover in movers:
            description |= body_parts(mover, camera, self.spec)
        description |= {f"plane_{plane.index}": _slab(plane, camera, self.stage, self.reach) for plane in planes}
        mi = renderer()
        picture = np.array(mi.render(mi.load_dict(description), seed=self.stage.seed), dtype=np.float32)
        colour, albedo, normal = (np.ascontiguousarray(picture[..., i : i + 3]) for i in (0, 4, 7))
        clean = np.asarray(denoise(colour, albedo, normal), dtype=np.float32)
        return clean if self.beyond is None else clean + (1 - picture[..., 3:4]) * self.beyond

    def still_picture(self, hueless: bool) -> NDArray[np.float32]:
        """Linear RGB (h, w, 3) of what never moves; bodies with a hue only if hueless=False."""
        states = np.array([[*body.position, *body.orientation, *([0.0] * 6)] for body in self.scene.bodies])
        return self.picture(
            [each for each in self.movers(0.0, states, {}) if _is_still(each.body, hueless)],
            [each for each in self.planes(0.0, states, {}) if _is_still(self.scene.bodies[each.index], hueless)],
        )


def _is_still(body: Body, hueless: bool) -> bool:
    return body.stays and not (hueless and body.hue is not None)


def _pose(state: Real) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(state[:3].tolist()), tuple(state[3:7].tolist())


def _slab(plane: Plane, camera: Camera, stage: Stage, reach: float) -> Description:
    """A plane as a box below it, `reach` m wide: in a side view from its plain front to the wall, else a thin one."""
    if camera.view == "front":
        front = camera.center[1] - DRAWN.plate_half_depth
        back = PLACE.wall_behind if stage.wall is None else stage.wall.level
        half = (2 * reach, (back - front) / 2, reach)
        below = np.array([0.0, (front + back) / 2 - plane.position[1], -reach])
    else:
        half = (reach, reach, DRAWN.plate_half_depth)
        below = np.array([0.0, 0.0, -DRAWN.plate_half_depth])
    centre = plane.position + rotate(np.asarray(plane.turn), below)
    return {"type": "cube", "to_world": placed(centre, plane.turn, half), "bsdf": matte(plane.albedo)}
