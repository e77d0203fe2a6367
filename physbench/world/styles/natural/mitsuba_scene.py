"""A stage in Mitsuba 3: the variant that works here, the scene, its static light, and on request whole frames.

https://mitsuba.readthedocs.io/en/stable/src/plugin_reference.html
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import itertools
import json
import math
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Real
from physbench.support.errors import UsageError
from physbench.support.files import NOT_ARRAYS, cache_dir, write_bytes
from physbench.support.fingerprint import fingerprint
from physbench.world.bodies import darkness_over, is_darkness
from physbench.world.camera import eye, normal, picture_width, pixels_per_metre, up
from physbench.world.drawing import Rendered, render, shown
from physbench.world.geometry import rotate
from physbench.world.renderer import DRAWN
from physbench.world.scene import PLAIN, Body, Camera, RenderSpec, Scene, Vector
from physbench.world.styles.look_options import requested_effects
from physbench.world.styles.natural import rays
from physbench.world.styles.natural.light import GLOSS, painted_albedo
from physbench.world.styles.natural.materials import DUSK, mean_texture, starry_sky, texture
from physbench.world.styles.natural.movers import PATH_TRACE_ENVIRONMENT, Mover, drawable, movers_at, poses, refused
from physbench.world.styles.natural.stage import (
    PLACE,
    Stage,
    StageBox,
    Surface,
    body_albedo,
    displayed,
    floor_out_of_sight,
    rgb_albedo,
    stage_of,
)

# Which variant of Mitsuba works on this machine.
#
# A wrong LLVM does not raise an error: it ends the process. So a variant is tried in a process of its own.

VARIANTS = ("llvm_ad_rgb", "scalar_rgb")  # the faster one first
VARIANT_ENVIRONMENT = "PHYSBENCH_MITSUBA_VARIANT"
PROBE = """
import sys
import mitsuba
mitsuba.set_variant(sys.argv[1])
import numpy
assert numpy.isfinite(numpy.array(mitsuba.render(mitsuba.load_dict(mitsuba.cornell_box()), spp=1))).all()
"""
MISSING = (
    "The look natural needs Mitsuba 3, and there is none: pip install 'physbench[natural]'. "
    "There are wheels for Linux, macOS and Windows. The plain look needs nothing."
)


def renderer() -> Any:
    """The module `mitsuba` with a variant that works. Raises UsageError where there is none."""
    variant = working_variant()
    import mitsuba

    if mitsuba.variant() != variant:
        mitsuba.set_variant(variant)
        mitsuba.set_log_level(mitsuba.LogLevel.Error)  # else Ctrl-C makes it warn of an interrupt
    if multiprocessing.parent_process() is not None:  # a worker has one core
        import drjit

        drjit.set_thread_count(1)
    return mitsuba


def denoise(colour: Any, albedo: Any, normal: Any) -> Any:
    """A picture (h, w, 3) float32 without its noise, by Open Image Denoise, with noiseless albedo and normals."""
    try:
        import mitsuba_oidn
    except ImportError:
        raise UsageError(MISSING.replace("Mitsuba 3, and there is none", "mitsuba-oidn, and there is none")) from None
    return mitsuba_oidn.denoise(colour, albedo, normal, hdr=True, clean_aux=True)


def check_mitsuba() -> None:
    """Raise UsageError where the packages of the look natural are missing. It renders nothing, and takes no time."""
    if any(importlib.util.find_spec(name) is None for name in ("mitsuba", "mitsuba_oidn")):
        raise UsageError(MISSING)


@cache
def working_variant() -> str:
    """Name of the first of VARIANTS that renders here, or of the one that the environment names."""
    if importlib.util.find_spec("mitsuba") is None:
        raise UsageError(MISSING)
    requested = os.environ.get(VARIANT_ENVIRONMENT)
    if requested and requested not in VARIANTS:
        raise UsageError(f"${VARIANT_ENVIRONMENT}: expected {' or '.join(VARIANTS)}, got '{requested}'.")
    failures = []
    for variant in (requested,) if requested else VARIANTS:
        problem = probe(variant)
        if not problem:
            return variant
        failures.append(f"{variant}: {problem}")
    remedy = (
        f"Unset ${VARIANT_ENVIRONMENT}, as scalar_rgb needs no LLVM, or install LLVM 19 (apt install libllvm19)."
        if requested == "llvm_ad_rgb"
        else "Install it again: pip install --force-reinstall mitsuba mitsuba-oidn."
    )
    raise UsageError(f"Mitsuba is installed, but renders nothing here ({'; '.join(failures)}). {remedy}")


@cache
def probe(variant: str) -> str:
    """Fault of a variant here: "" for none."""
    command = [sys.executable, "-c", PROBE, variant]
    probe_seconds = 120.0
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=probe_seconds, check=False)
    except subprocess.TimeoutExpired:  # says nothing of the variant: another one would draw other pictures
        raise UsageError(
            f"Mitsuba did not render a test picture within {probe_seconds:g} s (variant {variant}): the machine is too "
            f"busy. Try again, or name a variant: {VARIANT_ENVIRONMENT}={variant}."
        ) from None
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1][:200] if done.returncode == 1 and lines else f"ended with {done.returncode}"


def variant_names() -> dict[str, str]:
    """Versions on which a layer depends beside the stage: the variant, Mitsuba and the denoiser."""
    from importlib.metadata import PackageNotFoundError, version

    names = {"variant": working_variant()}
    for name in ("mitsuba", "drjit", "mitsuba-oidn"):
        try:
            names[name] = version(name)
        except PackageNotFoundError:
            names[name] = "none"
    return names


Description = dict[str, Any]

# Pictures of surfaces in whole frames: texels a pixel and a side at most; of floors and walls m from the middle to the
# sides, and samples of a texel each way.
TEXELS_A_PIXEL, MOST_TEXELS = 3.0, 1200
TEXTURE_REACH, TEXTURE_FINE = 3.0, 2


def stage_description(stage: Stage, camera: Camera, spec: RenderSpec, samples: int, seed: int) -> Description:
    """Surfaces, boxes, camera and integrator, without light."""
    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 5, "hide_emitters": True},  # of light between surfaces
        "sensor": _sensor(camera, spec, samples, seed),
        **_surfaces(stage, _mean, surface_reach(stage, camera, spec)),
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
    rows = math.isqrt(samples)  # of the grid in which a pixel is sampled: shares of materials at edges are nearly exact
    return {
        "type": "perspective",
        "fov": math.degrees(2 * math.atan(picture_width(camera) / 2 / camera.distance)),
        "fov_axis": "smaller",
        "near_clip": 1.0,
        "far_clip": 200.0,
        "to_world": renderer()
        .ScalarTransform4f()
        .look_at(eye(camera).tolist(), list(camera.center), up(camera).tolist()),
        "film": {
            "type": "hdrfilm",
            "width": spec.width,
            "height": spec.height,
            "rfilter": {"type": "box"},
            "pixel_format": "rgba",
            "component_format": "float32",
        },
        "sampler": {"type": "multijitter", "sample_count": samples // rows * rows, "seed": seed},
    }


def matte(albedo: Vector | Sequence[float]) -> Description:
    return {"type": "twosided", "inner": {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(albedo)}}}


Paint = Callable[[Surface, Real, float, float], Description]


def surface_reach(stage: Stage, camera: Camera, spec: RenderSpec) -> float:
    """Distance (m) of the ends of floor and wall from the picture's middle: compositing takes them to be endless."""
    corners = slice(None, None, max(spec.height - 1, 1)), slice(None, None, max(spec.width - 1, 1))
    seen = rays.see(
        replace(stage, blocks=()), camera, rays.view_directions(camera, spec, part=corners)
    )  # behind boxes, too
    away = np.abs(seen.points(camera)[seen.part >= 0] - np.asarray(stage.middle))
    # times as far as a picture shows of a surface it reaches at least
    return max(PLACE.reach, 1.2 * float(away.max(initial=0.0)))


def _surfaces(stage: Stage, paint: Paint, reach: float) -> Description:
    """Rectangles that face up or the camera, a floor in two: before and behind the plane of motion."""
    surfaces: Description = {}
    for number, surface in enumerate(stage.surfaces):
        middle = np.asarray(stage.middle)[[0, 1 if surface.axis == 2 else 2]]
        ends = [middle[1] - reach, middle[1] + reach]
        if surface.material.front != 1.0 and ends[0] < 0 < ends[1]:
            ends.insert(1, 0.0)
        for begin, end in itertools.pairwise(ends):
            surfaces[f"surface_{number}_{len(surfaces)}"] = _rectangle(
                surface, middle[0], begin, end, reach, paint(surface, middle, begin, end)
            )
    return surfaces


def _rectangle(
    surface: Surface, across: float, begin: float, end: float, reach: float, paint: Description
) -> Description:
    """The part of a surface from `begin` to `end` (m) upwards or away, and `reach` m to both sides of `across`."""
    transform = renderer().ScalarTransform4f
    along = (begin + end) / 2
    if surface.axis == 2:
        place = transform().translate([across, along, surface.level])
    else:
        place = transform().translate([across, surface.level, along]).rotate([1, 0, 0], 90)
    return {"type": "rectangle", "to_world": place.scale([reach, (end - begin) / 2, 1]), "bsdf": paint}


def _mean(surface: Surface, middle: Real, begin: float, end: float) -> Description:
    material = surface.material
    front = material.front if begin + end < 0 else 1.0
    return matte((front * np.multiply(material.albedo, mean_texture(material))).tolist())


def _textured(fine: float, reach: float, surface: Surface, middle: Real, begin: float, end: float) -> Description:
    """A picture of what is near the middle of the view, `fine` texels a metre, mirrored beyond."""
    side = min(round(2 * TEXTURE_REACH * fine), MOST_TEXELS)
    low = float(np.clip(middle[1] - TEXTURE_REACH, begin, max(begin, end - 2 * TEXTURE_REACH)))
    step = 2 * TEXTURE_REACH / side
    places = (np.arange(TEXTURE_FINE * side) + 0.5) * step / TEXTURE_FINE
    picture = np.empty((side, side, 3))
    for row, v in enumerate(places.reshape(side, TEXTURE_FINE)):  # a bitmap begins at (0, 0) of the rectangle
        colours = texture(surface.material, *np.meshgrid(middle[0] - TEXTURE_REACH + places, low + v))
        picture[row] = colours.reshape(TEXTURE_FINE, side, TEXTURE_FINE, 3).mean(axis=(0, 2))
    first = (TEXTURE_REACH - reach, begin - low)
    size = (2 * reach, end - begin)
    to_uv = renderer().ScalarTransform4f()
    to_uv = to_uv.scale([1 / (2 * TEXTURE_REACH), 1 / (2 * TEXTURE_REACH), 1])
    to_uv = to_uv.translate([*first, 0]).scale([*size, 1])
    return _pictured(picture * np.asarray(surface.material.albedo), "mirror", to_uv=to_uv)


def _pictured(albedo: Real, beyond: str, **placed: Any) -> Description:
    """A matt surface with a picture (h, w, 3) on it; beyond: "mirror" or "clamp"."""
    bitmap = renderer().Bitmap(np.clip(albedo, 0, 1).astype(np.float32))
    reflectance = {"type": "bitmap", "bitmap": bitmap, "raw": True, "wrap_mode": beyond, **placed}
    return {"type": "twosided", "inner": {"type": "diffuse", "reflectance": reflectance}}


def box(block: StageBox) -> Description:
    """A cube, turned and stretched."""
    return {
        "type": "cube",
        "to_world": placed(block.centre, block.turn, block.half),
        "bsdf": matte(block.material.albedo),
    }


def placed(centre: Sequence[float] | Real, turn: Sequence[float] | Real, half: Sequence[float] | Real) -> Any:
    """The transform that makes of a unit cube, -1 to 1, a box with a centre (3,) m and half extents (3,) m."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotate(np.asarray(turn), np.diag(np.asarray(half, dtype=np.float64))).T
    matrix[:3, 3] = centre
    return renderer().ScalarTransform4f(matrix)


def whole_scene(stage: Stage, movers: Sequence[Mover], camera: Camera, spec: RenderSpec, samples: int) -> Description:
    """A moment with all bodies and lights, for `traced`: what compositing is compared with.

    Boxes and cylinders are traced without bevels, cylinders without grain, balls without seams. What is flat is as deep
    as it blocks light: boxes along the line of sight, so that the camera sees their fronts alone.
    """
    still = still_scene(stage, camera, spec, samples)
    return {**still, **{name: part for mover in movers for name, part in body_parts(mover, camera, spec).items()}}


def still_scene(stage: Stage, camera: Camera, spec: RenderSpec, samples: int) -> Description:
    """The part of `whole_scene` that is the same at all moments."""
    scene = stage_description(stage, camera, spec, samples, stage.seed)
    fine = TEXELS_A_PIXEL * pixels_per_metre(camera, spec)
    reach = surface_reach(stage, camera, spec)
    scene |= _surfaces(stage, partial(_textured, fine, reach), reach)
    for number, block in enumerate(stage.blocks):
        del scene[f"block_{number}"]
        edges = rays.box_axes(block.turn) * np.asarray(block.half)[:, None]
        scene |= _faces(f"block_{number}", np.asarray(block.centre), edges, partial(rays.block_albedo, block), fine)
    return {**scene, "key": key_light(stage), "sky": sky_light(stage)}


def body_parts(mover: Mover, camera: Camera, spec: RenderSpec) -> Description:
    """The part of `whole_scene` that one body is."""
    name = f"mover_{mover.index}{'_back' if mover.backs else ''}"
    if mover.body.shape != "box":
        return {name: _round(mover, camera)}
    fine = TEXELS_A_PIXEL * pixels_per_metre(camera, spec)
    return _faces(name, *_leaning(mover, camera), partial(painted_albedo, mover), fine)


def _faces(name: str, centre: Real, edges: Real, albedo: Callable[[Real, Real], Real], fine: float) -> Description:
    """Six painted faces of a box, which may lean.

    edges: (3, 3) m, half of each, one a row; albedo: (P, 3) of points (P, 3) m with normals (P, 3) of the upright box;
    fine: texels a metre.
    """
    faces = {}
    for i, sign in itertools.product(range(3), (1.0, -1.0)):
        right, up = edges[(i + 1) % 3], sign * edges[(i + 2) % 3]
        outwards = np.cross(right, up)
        middle = centre + sign * edges[i]
        sides = [int(np.clip(round(2 * float(np.linalg.norm(side)) * fine), 1, MOST_TEXELS)) for side in (right, up)]
        u, v = np.meshgrid(*((2 * np.arange(side) + 1) / side - 1 for side in sides))
        points = middle + u.reshape(-1, 1) * right + v.reshape(-1, 1) * up
        normal = sign * edges[i] / np.linalg.norm(edges[i])
        colours = albedo(points, np.broadcast_to(normal, points.shape)).reshape(*u.shape, 3)
        place = np.eye(4)
        place[:3] = np.stack([right, up, outwards / np.linalg.norm(outwards), middle], axis=1)
        faces[f"{name}_{i}_{sign:+.0f}"] = {
            "type": "rectangle",
            "to_world": renderer().ScalarTransform4f(place),
            "bsdf": _pictured(colours, "clamp"),
        }
    return faces


def _leaning(mover: Mover, camera: Camera) -> tuple[Real, Real]:
    """Middle (3,) m and halves (3, 3) m of the edges of a box; what is drawn flat leans along the line of sight."""
    edges = rays.box_axes(mover.turn) * np.asarray(mover.half if camera.tilt else mover.body.size)[:, None]
    if camera.tilt or not mover.deep.any():  # a tilted one sees the sides
        return mover.centre, edges
    ahead = normal(camera)
    across = int(np.abs(edges @ ahead).argmax())
    front = mover.centre + mover.deep - abs(edges[across] @ ahead) * ahead
    sight = front - eye(camera)
    lean = edges[across] @ ahead * sight / (sight @ ahead)
    edges[across] = lean
    return front + np.sign(lean @ ahead) * lean, edges


def _round(mover: Mover, camera: Camera) -> Description:
    """A ball or a cylinder."""
    if mover.body.shape == "sphere":
        gloss = {
            "type": "roughplastic",
            "diffuse_reflectance": {"type": "rgb", "value": list(mover.albedo)},
            "alpha": GLOSS,
            "int_ior": 1.45,
        }
        return {"type": "sphere", "center": mover.centre.tolist(), "radius": mover.body.size[0], "bsdf": gloss}
    if mover.body.bore:
        raise UsageError(f"{mover.body.name} is hollow, which path tracing does not draw here. Use the plain look.")
    radius, length = mover.body.size
    half = mover.half if camera.tilt else (radius, radius, length / 2)
    place = placed(mover.centre + (0.0 if camera.tilt else mover.deep), mover.turn, half)
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


# The static pictures of a stage, lit by one light each: made once per clip, and kept.
#
# They hold irradiance over pi: light that a white surface in the place of what is seen would send back. Albedo and
# texture are multiplied in afterwards, so that the denoiser never sees a texture.

LAYER_SAMPLES = 16  # a pixel, before the denoiser


@dataclass(frozen=True, eq=False)
class Layers:
    """Irradiance over pi (h, w, 3) by the key light and by the sky, with what they bounce to."""

    key: NDArray[np.float32]
    sky: NDArray[np.float32]


def samples(spec: RenderSpec) -> int:
    """Light paths through a pixel."""
    sampled_pixels = 512 * 512  # up to which each has LAYER_SAMPLES; more share as many, as their light differs less
    # At least 4 a pixel
    return max(4, min(LAYER_SAMPLES, LAYER_SAMPLES * sampled_pixels // (spec.height * spec.width)))


def layer_key(stage: Stage, camera: Camera, spec: RenderSpec) -> str:
    """Hash of all that decides the layers of a stage at a size."""
    content = [
        repr(stage),
        repr(camera),
        spec.width,
        spec.height,
        samples(spec),
        variant_names(),
        fingerprint("natural"),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def light_layers(stage: Stage, camera: Camera, spec: RenderSpec) -> Layers:
    """The layers of a stage, from the cache where they are whole, else traced and stored."""
    path = cache_dir() / "layers" / f"{layer_key(stage, camera, spec)}.npz"
    try:
        with np.load(io.BytesIO(path.read_bytes())) as stored:
            stored_layers = _as_layers(stored["key"], stored["sky"])
        if stored_layers.key.shape == stored_layers.sky.shape == (spec.height, spec.width, 3):
            return stored_layers
    except NOT_ARRAYS:
        pass
    layers = _trace(stage, camera, spec)
    packed = io.BytesIO()
    np.savez_compressed(packed, key=layers.key.astype(np.float16), sky=layers.sky.astype(np.float16))
    with contextlib.suppress(OSError):  # the cache only saves time
        write_bytes(path, packed.getvalue())
    return _as_layers(layers.key.astype(np.float16), layers.sky.astype(np.float16))


def _as_layers(key: NDArray[np.float16], sky: NDArray[np.float16]) -> Layers:
    """Layers as they are used: rounded to 16 bits, whether they come from the cache or not."""
    return Layers(key.astype(np.float32), sky.astype(np.float32))


def _trace(stage: Stage, camera: Camera, spec: RenderSpec) -> Layers:
    seen = rays.see(stage, camera, rays.view_directions(camera, spec))
    albedo = rays.mean_albedo(stage, seen.part, seen.points(camera)).astype(np.float32)
    # Pixels at edges show two materials: the mean of them is what the path tracer has mixed.
    edges = rays.near_edges(albedo[..., 1]) | rays.near_edges(seen.part)
    edges[[0, -1]] = edges[:, [0, -1]] = True  # on the border, too, where one of them may be out of the picture
    rows, columns = np.nonzero(edges)
    close = rays.see(stage, camera, rays.rays_within(camera, spec, rays.EDGE_FINE, rows, columns))
    mixed = albedo.copy()
    mixed[rows, columns] = rays.mean_albedo(stage, close.part, close.points(camera)).mean(axis=1)
    scene = stage_description(stage, camera, spec, samples(spec), stage.seed)
    pictures = []
    for light in (key_light(stage), sky_light(stage)):
        radiance = traced({**scene, "light": light}, stage.seed)
        white = np.ascontiguousarray(radiance / np.maximum(mixed, 1e-3))
        aux = np.ascontiguousarray(albedo * 0 + 1), np.ascontiguousarray(seen.normal.astype(np.float32))
        pictures.append(np.asarray(denoise(white, *aux), dtype=np.float32))
    return Layers(pictures[0], pictures[1])


# Frames by path tracing, of scenes that compositing refuses: with planes that move, lean, have a hue or are several.
#
# It takes seconds a frame, and is only done where the environment asks for it. Areas of bodies are those of the plain
# look, which has the same places and camera. Shadows fall as they do, and may betray what is hidden, which composited
# frames avoid.


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

    They have neither shutter nor noise. Raises UsageError where the look asks for either beside what is usual.
    """
    if requested_effects(spec.look):
        raise UsageError(
            f"--look {spec.look}: frames that are path-traced (${PATH_TRACE_ENVIRONMENT}) have neither "
            "shutter nor noise. Use --look natural."
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
        light_paths = 64  # a pixel, before the denoiser
        traced_pixels = 512 * 512  # up to which each has light_paths; more share as many
        share = light_paths * traced_pixels // (spec.height * spec.width)
        # At least 16 a pixel
        self.still = still_scene(self.stage, scene.camera, spec, max(16, min(light_paths, share)))
        path = self.still["integrator"]
        features = "albedo:albedo,normal:sh_normal"  # that the denoiser keeps sharp
        self.still["integrator"] = {"type": "aov", "aovs": features, "image": path}

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
