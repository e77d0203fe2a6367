"""The static pictures of a stage, lit by one light each: made once per clip, and kept.

They hold irradiance over pi: light that a white surface in the place of what is seen would send back. Albedo and
texture are multiplied in afterwards, so that the denoiser never sees a texture.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural import mitsuba_scene
from physbench.looks.natural.mitsuba_variant import denoise, variant_names
from physbench.looks.natural.stage import Stage
from physbench.looks.natural.view_rays import EDGE_FINE, mean_albedo, near_edges, rays_within, see, view_directions
from physbench.storage.atomic_write import atomic_path
from physbench.storage.cache_dir import cache_dir
from physbench.storage.fingerprint import fingerprint
from physbench.storage.sealed_file import NOT_ARRAYS
from physbench.world.scene import Camera, RenderSpec

LAYER_SAMPLES, LEAST_SAMPLES = 16, 4  # a pixel, before the denoiser
SAMPLED_PIXELS = 512 * 512  # up to which each has LAYER_SAMPLES; more share as many, as their light differs less
LEAST_ALBEDO = 1e-3


@dataclass(frozen=True, eq=False)
class Layers:
    """Irradiance over pi (h, w, 3) by the key light and by the sky, with what they bounce to."""

    key: NDArray[np.float32]
    sky: NDArray[np.float32]


def samples(spec: RenderSpec) -> int:
    """Light paths through a pixel."""
    return max(LEAST_SAMPLES, min(LAYER_SAMPLES, LAYER_SAMPLES * SAMPLED_PIXELS // (spec.height * spec.width)))


def layer_key(stage: Stage, camera: Camera, spec: RenderSpec) -> str:
    """Hash of all that decides the layers of a stage at a size."""
    said = [repr(stage), repr(camera), spec.width, spec.height, samples(spec), variant_names(), fingerprint("natural")]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def light_layers(stage: Stage, camera: Camera, spec: RenderSpec) -> Layers:
    """The layers of a stage, from the cache where they are whole, else traced and stored."""
    path = cache_dir() / "layers" / f"{layer_key(stage, camera, spec)}.npz"
    try:
        with np.load(io.BytesIO(path.read_bytes())) as stored:
            found = _as_layers(stored["key"], stored["sky"])
        if found.key.shape == found.sky.shape == (spec.height, spec.width, 3):
            return found
    except NOT_ARRAYS:
        pass
    layers = _trace(stage, camera, spec)
    packed = io.BytesIO()
    np.savez_compressed(packed, key=layers.key.astype(np.float16), sky=layers.sky.astype(np.float16))
    try:
        with atomic_path(path) as draft:
            draft.write_bytes(packed.getvalue())
    except OSError:
        pass  # the cache only saves time
    return _as_layers(layers.key.astype(np.float16), layers.sky.astype(np.float16))


def _as_layers(key: NDArray[np.float16], sky: NDArray[np.float16]) -> Layers:
    """Layers as they are used: rounded to 16 bits, whether they come from the cache or not."""
    return Layers(key.astype(np.float32), sky.astype(np.float32))


def _trace(stage: Stage, camera: Camera, spec: RenderSpec) -> Layers:
    seen = see(stage, camera, view_directions(camera, spec))
    albedo = mean_albedo(stage, seen.part, seen.points(camera)).astype(np.float32)
    # Pixels at edges show two materials: the mean of them is what the path tracer has mixed.
    rows, columns = np.nonzero(near_edges(albedo[..., 1]) | near_edges(seen.part))
    close = see(stage, camera, rays_within(camera, spec, EDGE_FINE, rows, columns))
    mixed = albedo.copy()
    mixed[rows, columns] = mean_albedo(stage, close.part, close.points(camera)).mean(axis=1)
    scene = mitsuba_scene.stage_description(stage, camera, spec, samples(spec), stage.seed)
    pictures = []
    for light in (mitsuba_scene.key_light(stage), mitsuba_scene.sky_light(stage)):
        radiance = mitsuba_scene.traced({**scene, "light": light}, stage.seed)
        white = np.ascontiguousarray(radiance / np.maximum(mixed, LEAST_ALBEDO))
        aux = np.ascontiguousarray(albedo * 0 + 1), np.ascontiguousarray(seen.normal.astype(np.float32))
        pictures.append(np.asarray(denoise(white, *aux), dtype=np.float32))
    return Layers(pictures[0], pictures[1])
