"""What permanence makes of exchanged bodies, other shapes and sizes, and blobs that nothing explains, under styles.

    python benchmarks/identity.py [--clips 1] [--tasks GLOB] [--size 128] [--fps 15] [--context 8]
                                  [--styles plain,h264-28,..] [--sources GLOB,..]

True clips of `core` with one thing wrong from a third of the horizon on:
    exchange        the first two bodies with a hue exchange their hues
    box, ellipse    the first moving ball is drawn as a square, or an ellipse of 1.3 : 1, of its own area
    size-0.8, -1.25 it is drawn at that size
    grey-1/6 ...    a disc of that share of the smallest body's diameter stands where no body comes; also red
Printed for each style: the AUROC of the headline reading against the same clips without it, its mean, and of how many.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import render_spec
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.validity.table import auroc
from physbench.world.drawing import render

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # helpers that tests share
from picture_styles import styled

Image = NDArray[np.uint8]
Array = NDArray[np.float64]
Map = Callable[[Array, Array], tuple[Array, Array]]  # places from a body's middle -> where they are looked up

PLAIN, ONSET, FINE = "plain", 1 / 3, 4
STRETCH, GREY, RED = np.sqrt(1.3), (76, 76, 76), (230, 35, 35)
SHARES = {"1/6": 1 / 6, "1/3": 1 / 3, "1/2": 1 / 2, "1": 1.0}


def _ellipse(x: Array, y: Array) -> tuple[Array, Array]:
    return x / STRETCH, y * STRETCH


def _box(x: Array, y: Array) -> tuple[Array, Array]:
    share = np.maximum(abs(x), abs(y)) / (np.sqrt(np.pi) / 2 * np.maximum(np.hypot(x, y), 1e-9))
    return x * share, y * share


WARPS: dict[str, Map] = {
    "ellipse": _ellipse,
    "box": _box,
    "size-0.8": lambda x, y: (x / 0.8, y / 0.8),
    "size-1.25": lambda x, y: (x / 1.25, y / 1.25),
}
SOURCES = ("exchange", *WARPS, *(f"{name}-{share}" for name in ("grey", "red") for share in SHARES))


def sources(clip: Clip) -> Iterator[tuple[str, Image]]:
    """Names and frames after the hand-over of what can be wrong in a clip."""
    after = slice(clip.handover + 1, None)
    late = clip.times > ONSET * clip.scene.horizon
    if len(clip.tracked) > 1:
        yield "exchange", _exchanged(clip, late)[after]
    balls = [k for k, body in enumerate(clip.tracked_bodies) if body.shape == "sphere" and body.role == "moving"]
    for name, warp in WARPS.items() if balls else ():
        yield name, _warped(clip, balls[0], warp, late)[after]
    place = _free_place(clip)
    smallest = float(np.nanmedian(clip.diameters(), axis=0).min()) * clip.pixels_per_metre
    for name, colour in (("grey", GREY), ("red", RED)):
        for words, share in SHARES.items():
            yield f"{name}-{words}", _with_disc(clip, place, share * smallest, colour, late)[after]


def _exchanged(clip: Clip, late: NDArray[np.bool_]) -> Image:
    bodies, (first, second) = list(clip.scene.bodies), clip.tracked[:2]
    bodies[first] = replace(bodies[first], hue=clip.scene.bodies[second].hue)
    bodies[second] = replace(bodies[second], hue=clip.scene.bodies[first].hue)
    frames = clip.frames.copy()
    scene = replace(clip.scene, bodies=tuple(bodies))
    frames[late] = render(scene, clip.times[late], clip.states[late], clip.spec).frames
    return frames


def _warped(clip: Clip, k: int, warp: Map, late: NDArray[np.bool_]) -> Image:
    frames, places = clip.frames.copy(), clip.px_positions()[:, k]
    reach = 1.4 * float(np.nanmedian(clip.diameters()[:, k])) / 2 * clip.pixels_per_metre
    down, across = np.mgrid[: clip.spec.height, : clip.spec.width] + 0.5
    for t in np.flatnonzero(late & np.isfinite(places).all(axis=-1)):
        x, y = across - places[t, 0], down - places[t, 1]
        near = np.hypot(x, y) < reach
        u, v = warp(x[near], y[near])
        at = [v + places[t, 1] - 0.5, u + places[t, 0] - 0.5]
        for colour in range(3):
            source = clip.frames[t, ..., colour].astype(np.float64)
            frames[t, near, colour] = np.rint(map_coordinates(source, at, order=1, mode="nearest"))
    return frames


def _free_place(clip: Clip) -> Array:
    """The place (2,) px that stays furthest from all bodies."""
    side = np.linspace(0.15, 0.85, 15) * clip.spec.width
    places = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    away = np.linalg.norm(clip.px_positions()[:, :, None] - places, axis=-1)
    radius = np.nanmedian(clip.diameters(), axis=0) / 2 * clip.pixels_per_metre
    return np.asarray(places[np.nanmin(away - radius[:, None], axis=(0, 1)).argmax()])


def _with_disc(clip: Clip, place: Array, diameter: float, colour: tuple[int, ...], late: NDArray[np.bool_]) -> Image:
    size = clip.spec.width
    grid = (np.arange(size * FINE) + 0.5) / FINE
    disc = (grid - place[0]) ** 2 + (grid[:, None] - place[1]) ** 2 < (diameter / 2) ** 2
    cover = disc.reshape(size, FINE, size, FINE).mean((1, 3))[..., None]
    frames = clip.frames.copy()
    frames[late] = np.rint(frames[late] * (1 - cover) + np.array(colour) * cover)
    return frames


def _read(clip: Clip, frames: Image, style: str, context: int) -> float:
    if style != PLAIN:
        frames = styled(frames, style, clip.spec.fps, zlib.crc32(f"{clip.id} {style}".encode()))
    scorer = [each for each in find_scorers() if each.id == "permanence/intact"]
    rows, _ = score_clip(clip, Rollout(clip.id, 0, frames), context, scorer)
    if any(row.status == "failed" for row in rows):
        raise SystemExit(f"{clip.id}: scoring failed: {rows}")
    return next(float("nan") if row.quality is None else row.quality for row in rows if row.reading == scorer[0].id)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=1)
    parser.add_argument("--first", type=int, default=930_000, help="seed of the first clip")
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--context", type=int, default=8)
    parser.add_argument("--styles", default="plain,h264-28,blur-1.5,bright-.6,grain-8")
    parser.add_argument("--sources", default="*")
    options = parser.parse_args()
    names = sorted({row.task for row in find_suite("core").rows})
    store, spec, wanted = ClipStore(), render_spec(options.size, options.fps), options.sources.split(",")
    found: dict[tuple[str, str], list[float]] = {}
    for seed in range(options.first, options.first + options.clips):
        for task in [name for name in names if any(fnmatch.fnmatch(name, f"*{t}*") for t in options.tasks.split(","))]:
            clip = store.get(Row(task, "test", seed), spec)
            chosen = [each for each in sources(clip) if any(fnmatch.fnmatch(each[0], glob) for glob in wanted)]
            for style in options.styles.split(","):
                for source, frames in (("truth", clip.future()), *chosen):
                    value = _read(clip, frames, style, options.context)
                    found.setdefault((source, style), []).append(value)
    for source in ("truth", *SOURCES):
        words = []
        for style in options.styles.split(","):
            values, lawful = (np.array(found.get((each, style), [])) for each in (source, "truth"))
            if len(values):
                words.append(f"{style} {auroc(-values, -lawful):.2f} ({np.nanmean(values):.2f})")
        if words:
            print(f"{source:10}" + "  ".join(words) + f"  of {len(values)}")


if __name__ == "__main__":
    main()
