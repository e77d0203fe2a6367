"""From frames to tracks. Ground truth, baselines and models go through the same steps, with the same numbers.

1. Small maps: frames are pooled to about 64 px and labelled by hue against the background's own colour (label_maps.py).
2. Blobs: components of the labels are followed from frame to frame; duplicates, unknown hues (blobs.py, on the host).
   What the context shows at rest and nobody tracks is left out (background.py).
3. Patches: mass, centre, hue and shape of each blob at full resolution (patches.py, outline.py).
4. Calibration: the chroma of a pixel of each object, from the context frames of the same sequence.
5. Disc fits where something touches or hides a ball (disc_fit.py), states, uncertainty (track_states.py, on the host).
6. Scenery: where fixed bodies are, and what they show of the camera is taken off (scenery.py, on the host).
7. What neither bodies nor scenery explain, in small maps as a camera shows them that stands still (intruders.py, host).

Frames stay on their device. Transfers to the host, per batch of frames: the small maps (1), the patches'
numbers (3), the fits' numbers (5); and the flags "any noisy frame" (1), "any other hue in a patch" (3), which fits
still move and how balls are lit (5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from physbench.clips.clip import Clip
from physbench.errors import PhysbenchError
from physbench.tracks import blobs, disc_fit, intruders, label_maps, patches
from physbench.tracks.background import background
from physbench.tracks.camera_motion import steadied
from physbench.tracks.colour import Colours, colours_of
from physbench.tracks.scenery import SceneryTracks, SeenBodies, observe_scenery, without_camera
from physbench.tracks.track_states import DECIMALS, WHOLE_SHARE, BlobMeasurements, TrueAreas, tracks_from
from physbench.tracks.tracks import Tracks, Visibility
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import BACKGROUND_GREY, PLAIN

CHUNK_BYTES = {"cpu": 1_500_000, "cuda": 200_000_000}  # of frames; on a CPU what stays in its cache
TRUE_FRAMES = 5  # of ground truth in which screens are looked for
SURROUNDING_FRAMES = 9  # of ground truth, with the context, in which all that is no body is looked for
HUED = 30  # levels between the colours of a pixel of a body
CAMERA_DECIMALS = 6  # of a px, a share and a rad
SHADOW_REACH = 2.0  # radii of the largest body up to which a cast shadow is seen beside a body, in looks that have any
LEAST_FIT_RADIUS = 2.0  # px; smaller ones have no shape
LEAST_LIT_RADIUS = 5.0  # px; of smaller balls it is not asked from where they are lit
Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Target:
    """What is known of the objects from the scene and from ground truth's areas, none of it a position."""

    shapes: tuple[str, ...]
    full_area: Float  # (K,) px
    visible_area: Float  # (N, K) px, of the frames that there are

    @property
    def radius(self) -> Float:
        return np.sqrt(self.full_area / np.pi)


@dataclass(frozen=True, eq=False)
class _Maps:
    """Small maps of N frames."""

    pooled: NDArray[np.integer[Any]]  # (N, h, w, 3) sums over factor x factor px
    bodies: NDArray[np.bool_]  # (N, h, w) blobs of bodies
    factor: int


@dataclass(frozen=True, eq=False)
class _TrueScenery:
    """What ground truth shows of all that is no body."""

    screens: Tensor  # (H, W) u8, see _screens
    beside: intruders.Surroundings


_KNOWN: WeakKeyDictionary[Clip, dict[int, _TrueScenery]] = WeakKeyDictionary()


def track(clip: Clip, context: int, frames: NDArray[np.uint8] | Tensor) -> Tracks:
    """Track the objects of `clip` in `frames`.

    frames (context + T, H, W, 3) u8: the clip's last `context` true frames, then a prediction. Frames that are missing
    at the end count as absent. Ground truth itself is `clip.frames[clip.window(context)]`.
    """
    video = _video(clip, context, frames)
    window = clip.window(context)
    times = clip.times[window]
    names = tuple(body.name for body in clip.tracked_bodies)
    small, factor = label_maps.shrink(video)
    zoom = float(factor)
    keep = list(clip.tracked)
    full = clip.full_area[window, :][:, keep].astype(np.float64)
    visible = clip.visible_area[window, :][:, keep].astype(np.float64)
    target = _Target(
        tuple(body.shape for body in clip.tracked_bodies),
        np.maximum(_typical(full), 1.0) / zoom**2,
        visible[: len(small)] / zoom**2,
    )
    middle, fps, camera = np.array([clip.spec.width, clip.spec.height]) / 2, clip.spec.fps, clip.scene.camera
    axes = PLANE_AXES[camera.view]
    shown = TrueAreas(names, times, context, clip.tracked_bodies, full, visible, middle, camera.distance, axes, fps)
    if not names or not len(small):
        return tracks_from(shown, _nothing(0, len(names)), 1.0)
    hues = _distinct_hues(clip)
    colours = colours_of(hues, small.device)
    truth = _true_scenery(clip, context)
    lit = clip.spec.look != PLAIN  # in the plain look all light comes from the camera
    seen, maps = _see(small, target, colours, context, truth.screens.to(small.device), fps, lit)
    found = tracks_from(shown, seen, zoom)
    scenery = _scenery(clip, found, video, seen.choice.centre * zoom)
    if scenery.camera[:, 2].any():
        grown = np.ones(len(video))
        grown[context:] += scenery.camera[:, 2]
        found = tracks_from(shown, seen, zoom, grown)
    found = _without_camera(clip, found, scenery)
    smallest = 2 * float(target.radius.min()) / maps.factor
    shadow = 0.0 if clip.spec.look == PLAIN else SHADOW_REACH * float(target.radius.max()) / maps.factor
    return _with_intruders(found, maps, truth.beside, smallest, shadow, zoom * maps.factor)


def _with_intruders(
    found: Tracks, maps: _Maps, known: intruders.Surroundings, smallest: float, shadow: float, scale: float
) -> Tracks:
    """Tracks with what neither bodies nor scenery explain.

    smallest, shadow: diameter of the smallest body and reach of shadows in px of the maps, which are `scale` px.
    """
    assert found.camera is not None
    count = len(maps.pooled)
    pooled, bodies = steadied(maps.pooled, maps.bodies, found.camera[:count] / (scale, scale, 1.0, 1.0))
    least = blobs.lasting_frames(1 / float(found.times[1] - found.times[0])) if len(found.times) > 1 else 1
    more = np.zeros(len(found.times), dtype=np.int64)
    more[:count] = intruders.intruders(pooled, maps.factor**2, bodies, known, smallest, least, shadow)
    more[: found.context] = 0  # true frames: what `known` lacks, such as thin holders, is scenery too
    return replace(found, hallucinations=np.minimum(found.hallucinations + more, 255).astype(np.uint8))


def _scenery(clip: Clip, found: Tracks, video: Tensor, centre: Float) -> SceneryTracks:
    """What fixed bodies and the camera do; centre (N, K, 2) px of blobs."""
    context = found.context
    part = slice(context, len(video))
    assert found.chroma is not None
    bodies = SeenBodies(
        found.position[part],
        found.position_sd[part],
        centre[context:],
        found.area[part],
        found.state[part] == Visibility.CLIPPED,
        found.chroma[part],
    )
    return observe_scenery(clip, video[context:], bodies)


def _without_camera(clip: Clip, found: Tracks, scenery: SceneryTracks) -> Tracks:
    """Tracks as a camera that stands still would have them, with what fixed bodies do."""
    total = len(found.times)
    part = slice(found.context, found.context + len(scenery.camera))
    position, area, camera = found.position.copy(), found.area.copy(), np.zeros((total, 4))
    camera[part] = scenery.camera
    position[part] = without_camera(clip, scenery.camera, position[part])
    position_sd = found.position_sd.copy()
    position_sd[part] = np.hypot(position_sd[part], scenery.camera_sd[:, None])
    area[part] /= (1 + scenery.camera[:, 2:3]) ** 2
    off, lost = np.zeros((total, len(scenery.bodies))), np.zeros((total, len(scenery.bodies)), dtype=bool)
    off[part], lost[part] = scenery.off, scenery.lost  # objects are absent where frames are missing: that counts once
    return replace(
        found,
        position=position.round(DECIMALS),
        position_sd=position_sd.round(DECIMALS),
        area=area.round(DECIMALS),
        camera=camera.round(CAMERA_DECIMALS),
        scenery=np.array(scenery.bodies, dtype=np.int64),
        scenery_off=off.round(DECIMALS),
        scenery_lost=lost,
    )


def _video(clip: Clip, context: int, frames: NDArray[np.uint8] | Tensor) -> Tensor:
    video = torch.from_numpy(np.require(frames, requirements=["C", "W"])) if isinstance(frames, np.ndarray) else frames
    expected = (clip.spec.height, clip.spec.width, 3)
    if video.dtype != torch.uint8 or video.ndim != 4 or tuple(video.shape[1:]) != expected:
        raise PhysbenchError(
            f"Tracking {clip.id}: expected frames (N, {expected[0]}, {expected[1]}, 3) of uint8 but got "
            f"{tuple(video.shape)} of {video.dtype}. Render the clip and the prediction at one size."
        )
    return video[: clip.times[clip.window(context)].shape[0]].contiguous()


def _distinct_hues(clip: Clip) -> tuple[int, ...]:
    hues = tuple(body.hue for body in clip.tracked_bodies if body.hue is not None)
    if len(set(hues)) < len(hues):
        raise PhysbenchError(
            f"Tracking {clip.id}: objects are told apart by hue, but two have the same. Give each its own."
        )
    return hues


def _typical(full: Float) -> Float:
    """Median over time of the areas (T, K) where the object exists."""
    return np.array([np.median(column[column > 0]) if (column > 0).any() else 0.0 for column in full.T])


def _true_frames(clip: Clip) -> Tensor:
    """Some frames of ground truth (TRUE_FRAMES, H, W, 3), from the hand-over on: holders are gone by then."""
    index = np.linspace(clip.handover, len(clip.frames) - 1, TRUE_FRAMES).astype(int)
    return label_maps.shrink(torch.from_numpy(clip.frames[index]))[0]


def _true_scenery(clip: Clip, context: int) -> _TrueScenery:
    """What depends on the clip and the length of the context alone, kept as long as the clip."""
    known = _KNOWN.setdefault(clip, {})
    if context not in known:
        known[context] = _TrueScenery(_screens(clip, _true_frames(clip)), _surroundings(clip, context))
    return known[context]


def _surroundings(clip: Clip, context: int) -> intruders.Surroundings:
    """What some frames of ground truth in the window show beside the bodies."""
    index = np.linspace(clip.handover + 1 - context, len(clip.frames) - 1, SURROUNDING_FRAMES).astype(int)
    frames = label_maps.shrink(torch.from_numpy(clip.frames[index]))[0]
    factor = label_maps.coarse_factor(frames)
    return intruders.surroundings(label_maps.pool(frames, factor).numpy(), factor**2, HUED)


def _screens(clip: Clip, true: Tensor) -> Tensor:
    """Where ground truth shows a screen (H, W) u8.

    Where one moves only what it always covers: the rest of it is looked for in the frames themselves.
    """
    red, green, blue = true.unbind(-1)  # an axis of 3 is slow to reduce
    dark = torch.maximum(torch.maximum(red, green), blue) < patches.SCREEN_BRIGHTNESS * 255 * BACKGROUND_GREY
    moves = any(body.path and body.drawn and body.until is None for body in clip.scene.bodies)
    return (dark.all(0) if moves else dark.any(0)).to(torch.uint8)


def _chunks(video: Tensor) -> Iterator[slice]:
    size = CHUNK_BYTES.get(video.device.type, CHUNK_BYTES["cuda"])
    step = max(1, size // (video.shape[1] * video.shape[2] * 3))
    return (slice(i, i + step) for i in range(0, len(video), step))


def _nothing(frames: int, objects: int) -> BlobMeasurements:
    return BlobMeasurements(
        choice=blobs.Choice(
            np.zeros((frames, objects)),
            np.full((frames, objects, 2), np.nan),
            np.full((frames, objects, 2), np.nan),
            np.zeros((frames, objects), dtype=np.uint8),
            np.zeros(frames, dtype=np.uint8),
            np.zeros(0, dtype=bool),
        ),
        stats=np.zeros((frames, objects, len(patches.STATS))),
        fits=np.full((frames, objects, len(disc_fit.FIT)), np.nan),
        area=np.zeros((frames, objects)),
        hue=np.full((frames, objects), np.nan),
        chroma=np.full((frames, objects), np.nan),
        reference=np.ones((frames, objects)),
        light=np.full((objects, 3), np.nan),
    )


def _see(
    frames: Tensor,
    target: _Target,
    colours: Colours,
    context: int,
    screens: Tensor,
    fps: float,
    lit: bool,
) -> tuple[BlobMeasurements, _Maps]:
    """Measure the objects in frames (N, H, W, 3). lit: balls may be lit from one side, as the context frames show."""
    count, objects = len(frames), colours.count
    parts = [label_maps.coarse(frames[chunk], colours) for chunk in _chunks(frames)]
    factor = parts[0].factor
    labels = np.concatenate([part.labels.cpu().numpy() for part in parts])
    labels &= ~background(labels[:context], target.visible_area[:context], factor)
    found_blobs = blobs.components(labels, factor)
    choice = blobs.choose(found_blobs, count, target.full_area, factor, fps)
    pooled = np.concatenate([part.pooled.cpu().numpy() for part in parts])
    maps = _Maps(pooled, blobs.known_places(found_blobs, choice, labels.shape), factor)
    smooth = torch.cat([part.frames for part in parts]) if any(part.filtered for part in parts) else frames
    cast, grey = torch.cat([part.cast for part in parts]), torch.cat([part.grey for part in parts])
    video = patches.Video(smooth, cast, grey, screens, colours)

    seen = _nothing(count, objects)
    seen.choice = choice
    jobs: list[disc_fit.DiscFitJob] = []
    places: list[tuple[NDArray[np.int64], int]] = []
    for k in range(objects):
        here = np.flatnonzero(choice.area[:, k] > 0)
        if not len(here):
            continue
        radius = float(target.radius[k])
        found = patches.measure(video, here, choice.centre[here, k], choice.rival[here, k], k, radius, target.shapes[k])
        seen.stats[here, k] = found.stats.cpu().numpy()
        seen.calibrate(k, context, target.visible_area[:, k], target.full_area[k], colours)
        if target.shapes[k] != "sphere" or radius < LEAST_FIT_RADIUS:
            continue

        job = disc_fit.DiscFitJob(found, torch.from_numpy(seen.reference[here, k]).to(frames.device), radius)
        whole = (here < context) & (target.visible_area[here, k] > WHOLE_SHARE * target.full_area[k])
        if lit and radius >= LEAST_LIT_RADIUS and whole.any():
            seen.light[k] = np.median(disc_fit.find_light(job.select(whole)).cpu().numpy(), axis=0)
            job = replace(job, light=tuple(seen.light[k].tolist()))
        fitting = seen.wants_fit(k, target.full_area[k])[here]
        if fitting.any():
            jobs.append(job.select(fitting))
            places.append((here[fitting], k))
    if jobs:
        for (at, k), fitted in zip(places, disc_fit.fit(jobs), strict=True):
            seen.fits[at, k] = fitted.cpu().numpy()
    return seen, maps
