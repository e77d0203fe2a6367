"""A stage as Mitsuba 3 takes it, and whole pictures by path tracing, to compare the composited ones with.

https://mitsuba.readthedocs.io/en/stable/src/plugin_reference.html
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.mitsuba_variant import renderer
from physbench.looks.natural.mover_light import GLOSS
from physbench.looks.natural.movers import Mover
from physbench.looks.natural.stage import SURFACE_REACH, Stage, StageBox, Surface
from physbench.looks.natural.textures import mean_texture, texture
from physbench.world.camera import eye
from physbench.world.geometry import rotate
from physbench.world.scene import Camera, RenderSpec, Vector

Float = NDArray[np.floating]
Description = dict[str, Any]

BOUNCES = 5  # of light between surfaces
# Pictures of a floor or a wall in whole frames: m to their sides, px, samples of a px each way.
TEXTURE_REACH, TEXTURE_SIDE, TEXTURE_FINE = 3.0, 1200, 2


def stage_description(stage: Stage, camera: Camera, spec: RenderSpec, samples: int, seed: int) -> Description:
    """Surfaces, boxes, camera and integrator, without light."""
    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": BOUNCES, "hide_emitters": True},
        "sensor": _sensor(camera, spec, samples, seed),
        **_surfaces(stage, textured=False),
        **{f"block_{i}": box(block) for i, block in enumerate(stage.blocks)},
    }


def sky_light(stage: Stage) -> Description:
    return {"type": "constant", "radiance": {"type": "rgb", "value": stage.sky}}


def key_light(stage: Stage) -> Description:
    return {
        "type": "sphere",
        "center": list(stage.key.position),
        "radius": stage.key.radius,
        "emitter": {"type": "area", "radiance": {"type": "rgb", "value": stage.key.radiance}},
    }


def traced(description: Description, seed: int) -> NDArray[np.float32]:
    """Linear RGB (h, w, 3)."""
    mi = renderer()
    picture = mi.render(mi.load_dict(description), seed=seed)
    return np.ascontiguousarray(np.array(picture)[..., :3], dtype=np.float32)


def _sensor(camera: Camera, spec: RenderSpec, samples: int, seed: int) -> Description:
    up = (0, 0, 1) if camera.view == "front" else (0, 1, 0)
    return {
        "type": "perspective",
        "fov": math.degrees(2 * math.atan(camera.width / 2 / camera.distance)),
        "fov_axis": "smaller",
        "near_clip": 1.0,
        "far_clip": 200.0,
        "to_world": renderer().ScalarTransform4f().look_at(eye(camera).tolist(), list(camera.center), list(up)),
        "film": {
            "type": "hdrfilm",
            "width": spec.width,
            "height": spec.height,
            "rfilter": {"type": "box"},
            "pixel_format": "rgb",
            "component_format": "float32",
        },
        "sampler": {"type": "independent", "sample_count": samples, "seed": seed},
    }


def matte(albedo: Vector | Sequence[float]) -> Description:
    return {"type": "twosided", "inner": {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(albedo)}}}


def _surfaces(stage: Stage, textured: bool) -> Description:
    """Rectangles that face up or the camera, a floor in two: before and behind the plane of motion."""
    found: Description = {}
    for number, surface in enumerate(stage.surfaces):
        middle = np.asarray(stage.middle)[[0, 1 if surface.axis == 2 else 2]]
        ends = [middle[1] - SURFACE_REACH, middle[1] + SURFACE_REACH]
        if surface.material.front != 1.0 and ends[0] < 0 < ends[1]:
            ends.insert(1, 0.0)
        for begin, end in itertools.pairwise(ends):
            paint = _textured if textured else _mean
            found[f"surface_{number}_{len(found)}"] = _rectangle(
                surface, middle[0], begin, end, paint(surface, middle, begin, end)
            )
    return found


def _rectangle(surface: Surface, across: float, begin: float, end: float, paint: Description) -> Description:
    """The part of a surface from `begin` to `end` (m) upwards or away; across: m, its middle."""
    transform = renderer().ScalarTransform4f
    along = (begin + end) / 2
    if surface.axis == 2:
        place = transform().translate([across, along, surface.level])
    else:
        place = transform().translate([across, surface.level, along]).rotate([1, 0, 0], 90)
    return {"type": "rectangle", "to_world": place.scale([SURFACE_REACH, (end - begin) / 2, 1]), "bsdf": paint}


def _mean(surface: Surface, middle: Float, begin: float, end: float) -> Description:
    material = surface.material
    front = material.front if begin + end < 0 else 1.0
    return matte((front * np.multiply(material.albedo, mean_texture(material))).tolist())


def _textured(surface: Surface, middle: Float, begin: float, end: float) -> Description:
    """A picture of what is near the middle of the view, mirrored beyond."""
    low = float(np.clip(middle[1] - TEXTURE_REACH, begin, max(begin, end - 2 * TEXTURE_REACH)))
    step = 2 * TEXTURE_REACH / TEXTURE_SIDE
    fine = (np.arange(TEXTURE_FINE * TEXTURE_SIDE) + 0.5) * step / TEXTURE_FINE
    picture = np.empty((TEXTURE_SIDE, TEXTURE_SIDE, 3), dtype=np.float32)
    for row, v in enumerate(fine.reshape(TEXTURE_SIDE, TEXTURE_FINE)):  # a bitmap begins at (0, 0) of the rectangle
        colours = texture(surface.material, *np.meshgrid(middle[0] - TEXTURE_REACH + fine, low + v))
        picture[row] = colours.reshape(TEXTURE_FINE, TEXTURE_SIDE, TEXTURE_FINE, 3).mean(axis=(0, 2))
    picture *= np.asarray(surface.material.albedo, dtype=np.float32)
    first = (TEXTURE_REACH - SURFACE_REACH, begin - low)
    size = (2 * SURFACE_REACH, end - begin)
    to_uv = renderer().ScalarTransform4f()
    to_uv = to_uv.scale([1 / (2 * TEXTURE_REACH), 1 / (2 * TEXTURE_REACH), 1])
    to_uv = to_uv.translate([*first, 0]).scale([*size, 1])
    bitmap = renderer().Bitmap(np.clip(picture, 0, 1))
    reflectance = {"type": "bitmap", "bitmap": bitmap, "raw": True, "wrap_mode": "mirror", "to_uv": to_uv}
    return {"type": "twosided", "inner": {"type": "diffuse", "reflectance": reflectance}}


def box(block: StageBox) -> Description:
    """A cube, turned and stretched."""
    return {
        "type": "cube",
        "to_world": _placed(block.centre, block.turn, block.half),
        "bsdf": matte(block.material.albedo),
    }


def _placed(centre: Sequence[float] | Float, turn: Sequence[float] | Float, half: Sequence[float] | Float) -> Any:
    matrix = np.eye(4)
    matrix[:3, :3] = rotate(np.asarray(turn), np.diag(np.asarray(half, dtype=np.float64))).T
    matrix[:3, 3] = centre
    return renderer().ScalarTransform4f(matrix)


def whole_frame(
    stage: Stage, movers: Sequence[Mover], camera: Camera, spec: RenderSpec, samples: int, seed: int = 0
) -> NDArray[np.float32]:
    """A frame with all bodies by path tracing, linear RGB (h, w, 3): what compositing is compared with.

    Boxes and cylinders are traced without bevels and grain, flat ones as deep as they block light.
    """
    scene = stage_description(stage, camera, spec, samples, stage.seed)
    scene |= _surfaces(stage, textured=True)
    for mover in movers:
        scene[f"mover_{mover.index}"] = _mover(mover)
    return traced({**scene, "key": key_light(stage), "sky": sky_light(stage)}, seed)


def _mover(mover: Mover) -> Description:
    if mover.body.shape == "sphere":
        gloss = {
            "type": "roughplastic",
            "diffuse_reflectance": {"type": "rgb", "value": list(mover.albedo)},
            "alpha": GLOSS,
            "int_ior": 1.45,
        }
        return {"type": "sphere", "center": mover.centre.tolist(), "radius": mover.body.size[0], "bsdf": gloss}
    middle = mover.centre + mover.deep
    if mover.body.shape == "box":
        return {"type": "cube", "to_world": _placed(middle, mover.turn, mover.body.size), "bsdf": matte(mover.albedo)}
    radius, length = mover.body.size
    place = _placed(middle, mover.turn, (radius, radius, length / 2))
    parts: Description = {"type": "merge"}
    for name, turn in (("front", 0.0), ("back", 180.0)):
        at = place @ renderer().ScalarTransform4f().rotate([1, 0, 0], turn).translate([0, 0, 1])
        parts[name] = {"type": "disk", "to_world": at, "bsdf": matte(mover.albedo)}
    parts["side"] = {
        "type": "cylinder",
        "p0": [0, 0, -1],
        "p1": [0, 0, 1],
        "to_world": place,
        "bsdf": matte(mover.albedo),
    }
    return parts
