"""A stage as Mitsuba 3 takes it, and whole pictures by path tracing, to compare the composited ones with.

https://mitsuba.readthedocs.io/en/stable/src/plugin_reference.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.mitsuba_variant import renderer
from physbench.looks.natural.mover_light import GLOSS
from physbench.looks.natural.movers import Mover
from physbench.looks.natural.stage import SURFACE_REACH, Stage, StageBox, Surface
from physbench.looks.natural.textures import texture
from physbench.world.camera import eye
from physbench.world.geometry import rotate
from physbench.world.scene import Camera, RenderSpec, Vector

Float = NDArray[np.floating]
Description = dict[str, Any]

BOUNCES = 5  # of light between surfaces
TEXTURE_SIDE = 1900  # px of the pictures of a floor or a wall, in whole frames


def stage_description(stage: Stage, camera: Camera, spec: RenderSpec, samples: int, seed: int) -> Description:
    """Surfaces, boxes, camera and integrator, without light."""
    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": BOUNCES, "hide_emitters": True},
        "sensor": _sensor(camera, spec, samples, seed),
        **{f"surface_{i}": _surface(surface, stage) for i, surface in enumerate(stage.surfaces)},
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


def _surface(surface: Surface, stage: Stage, textured: bool = False) -> Description:
    """A rectangle that faces up or the camera."""
    transform = renderer().ScalarTransform4f
    x, y, z = stage.middle
    if surface.axis == 2:
        place = transform().translate([x, y, surface.level])
    else:
        place = transform().translate([x, surface.level, z]).rotate([1, 0, 0], 90)
    return {
        "type": "rectangle",
        "to_world": place.scale([SURFACE_REACH, SURFACE_REACH, 1]),
        "bsdf": _textured(surface, stage) if textured else matte(surface.material.albedo),
    }


def _textured(surface: Surface, stage: Stage) -> Description:
    mi = renderer()
    middle = np.asarray(stage.middle)[[0, 1 if surface.axis == 2 else 2]]
    step = 2 * SURFACE_REACH / TEXTURE_SIDE
    places = (np.arange(TEXTURE_SIDE) + 0.5) * step - SURFACE_REACH
    u, v = np.meshgrid(middle[0] + places, middle[1] + places)  # a bitmap begins at (0, 0) of the rectangle
    colours = texture(surface.material, u, v) * np.asarray(surface.material.albedo)
    bitmap = mi.Bitmap(np.clip(colours, 0, 1).astype(np.float32))
    return {
        "type": "twosided",
        "inner": {"type": "diffuse", "reflectance": {"type": "bitmap", "bitmap": bitmap, "raw": True}},
    }


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
    for number, surface in enumerate(stage.surfaces):
        scene[f"surface_{number}"] = _surface(surface, stage, textured=True)
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
