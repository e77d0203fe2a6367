"""Styles of a picture: codecs, blur, colour, brightness, grain and wobble that change no motion of a lawful world.

A style takes the predicted frames of a clip (T, H, W, 3) u8 and gives as many. Its noise comes from a generator, so
that each clip has its own. `physbench.validity.violations.violation_looks` holds the few that validity tables show.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, shift, zoom

from physbench.clips.video import Codec, h264, round_trip
from physbench.support.arrays import Array, Image
from physbench.validity.lawful_alternatives import filmed

Style = Callable[[Image, float, np.random.Generator], Image]  # frames, frames/s, noise -> frames

MOST_LEVEL = 255.0
LUMA = np.array([0.299, 0.587, 0.114])  # luma of red, green and blue
MIDDLE = 128.0  # level that contrast shrinks to
REDUCED_AT = 256  # px at which a picture is reduced by the stated factor
WOBBLE_SCALE = 2.0  # px, length over which the displacement of edges varies, at 128 px
TEXTURE_SCALE = 1.5  # px, grain size of a texture
CRAWL_SPEED = 2.0  # px a frame at which a texture moves over the picture


def _rounded(frames: Array) -> Image:
    return np.clip(np.rint(frames), 0, MOST_LEVEL).astype(np.uint8)


def coded(frames: Image, fps: float, rng: np.random.Generator, *, codec: Codec) -> Image:
    """Through a video codec and back."""
    return round_trip(frames, fps, codec)


def jpeg(frames: Image, fps: float, rng: np.random.Generator, *, quality: int) -> Image:
    """Each frame as a JPEG file and back."""
    from PIL import Image as Pillow

    decoded = []
    for frame in frames:
        file = io.BytesIO()
        Pillow.fromarray(frame).save(file, "JPEG", quality=quality)
        decoded.append(np.asarray(Pillow.open(file)))
    return np.stack(decoded)


def blur(frames: Image, fps: float, rng: np.random.Generator, *, sd: float) -> Image:
    """Gaussian blur of `sd` px."""
    return _rounded(gaussian_filter(frames.astype(np.float64), (0, sd, sd, 0)))


def reduction(frames: Image, fps: float, rng: np.random.Generator, *, factor: float) -> Image:
    """Means of squares of `factor` px at 256 px, in proportion at other sizes, and cubic splines through them."""
    step = max(1, round(factor * min(frames.shape[1:3]) / REDUCED_AT))
    height, width = (side // step * step for side in frames.shape[1:3])
    small = frames[:, :height, :width].reshape(len(frames), height // step, step, width // step, step, 3).mean((2, 4))
    large = zoom(small, (1, step, step, 1), order=3, mode="nearest", grid_mode=True)
    values = frames.astype(np.float64)
    values[:, :height, :width] = large
    return _rounded(values)


def sharpening(frames: Image, fps: float, rng: np.random.Generator, *, amount: float, sd: float) -> Image:
    """Unsharp mask: what a blur of `sd` px takes away is added `amount` times."""
    values = frames.astype(np.float64)
    return _rounded(values + amount * (values - gaussian_filter(values, (0, sd, sd, 0))))


def jitter(frames: Image, fps: float, rng: np.random.Generator, *, sd: float) -> Image:
    """Every frame as a whole is off by a random `sd` px in x and in y."""
    off = rng.normal(0, sd, (len(frames), 2))
    moved = [
        shift(frame.astype(np.float64), (*each, 0), order=1, mode="nearest")
        for frame, each in zip(frames, off, strict=True)
    ]
    return _rounded(np.stack(moved))


def offset(frames: Image, fps: float, rng: np.random.Generator, *, by: float) -> Image:
    """All frames are off by `by` px in one random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    return _rounded(
        shift(frames.astype(np.float64), (0, by * np.sin(angle), by * np.cos(angle), 0), order=1, mode="nearest")
    )


def wobble(frames: Image, fps: float, rng: np.random.Generator, *, sd: float) -> Image:
    """Every pixel of every frame is off by `sd` px, alike over a few px only: outlines tremble."""
    height, width = frames.shape[1:3]
    scale = WOBBLE_SCALE * height / 128
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    displaced = np.empty_like(frames)
    for t, frame in enumerate(frames):
        off = gaussian_filter(rng.normal(size=(2, height, width)), (0, scale, scale))
        off *= sd / off.std()
        for channel in range(3):
            moved = map_coordinates(
                frame[..., channel].astype(np.float64), [rows + off[0], columns + off[1]], order=1, mode="nearest"
            )
            displaced[t, ..., channel] = _rounded(moved)
    return displaced


def brightness(frames: Image, fps: float, rng: np.random.Generator, *, factor: float) -> Image:
    """All values times a factor."""
    return _rounded(frames.astype(np.float64) * factor)


def saturation(frames: Image, fps: float, rng: np.random.Generator, *, factor: float) -> Image:
    """The distance of all colours from grey times a factor."""
    grey = np.asarray(frames @ LUMA, dtype=np.float64)[..., None]
    return _rounded(grey + factor * (frames.astype(np.float64) - grey))


def contrast_loss(frames: Image, fps: float, rng: np.random.Generator, *, rate: float) -> Image:
    """The distance of all values from the middle grey shrinks by `rate` a second."""
    left = (1 - rate) ** (np.arange(1, len(frames) + 1) / fps)
    return _rounded(MIDDLE + (frames.astype(np.float64) - MIDDLE) * left[:, None, None, None])


def crawl(frames: Image, fps: float, rng: np.random.Generator, *, sd: float) -> Image:
    """A texture of `sd` levels, the same in all colours, slides over the picture."""
    texture = gaussian_filter(rng.normal(size=frames.shape[1:3]), TEXTURE_SCALE, mode="wrap")
    texture *= sd / texture.std()
    moved = [np.roll(texture, round(CRAWL_SPEED * t), axis=1) for t in range(len(frames))]
    return _rounded(frames + np.stack(moved)[..., None])


def grain(frames: Image, fps: float, rng: np.random.Generator, *, sd: float) -> Image:
    """Noise of `sd` levels, independent from pixel to pixel, colour to colour and frame to frame."""
    return _rounded(frames + rng.normal(0, sd, frames.shape))


def cast(frames: Image, fps: float, rng: np.random.Generator, *, levels: tuple[float, float, float]) -> Image:
    """Levels that are added to red, green and blue."""
    return _rounded(frames + np.asarray(levels))


def flicker(frames: Image, fps: float, rng: np.random.Generator, *, sd: float) -> Image:
    """The brightness of every frame is off by a random share `sd`."""
    return _rounded(frames * (1 + rng.normal(0, sd, len(frames)))[:, None, None, None])


def hue_turn(frames: Image, fps: float, rng: np.random.Generator, *, degrees: float) -> Image:
    """All hues of the picture are turned, about the axis of greys."""
    axis, angle = np.full(3, 1 / np.sqrt(3)), np.radians(degrees)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)
    return _rounded(frames @ turn.T)


def zooming(frames: Image, fps: float, rng: np.random.Generator, *, rate: float) -> Image:
    """The whole picture grows by a share `rate` a second from the hand-over on."""
    return filmed(frames, np.arange(1, len(frames) + 1) / fps, zoom=rate)


def panning(frames: Image, fps: float, rng: np.random.Generator, *, rate: float) -> Image:
    """The whole picture moves to the left by a share `rate` of its width a second from the hand-over on."""
    return filmed(frames, np.arange(1, len(frames) + 1) / fps, pan=rate * frames.shape[2])


def shaking(frames: Image, fps: float, rng: np.random.Generator, *, sd: float) -> Image:
    """Every frame as a whole is off by a random share `sd` of the width in x and in y."""
    return jitter(frames, fps, rng, sd=sd * frames.shape[2])


def ghost(frames: Image, fps: float, rng: np.random.Generator, *, share: float) -> Image:
    """Every frame holds a share of the one before it."""
    before = np.concatenate([frames[:1], frames[:-1]]).astype(np.float64)
    return _rounded((1 - share) * frames + share * before)


def _vp9(crf: int) -> Codec:
    return Codec(".webm", "webm", "libvpx-vp9", "yuv420p", {"crf": str(crf), "b": "0", "cpu-used": "4"})


def _av1(crf: int) -> Codec:
    os.environ.setdefault("SVT_LOG", "1")  # errors only: this encoder prints its settings for every video
    return Codec(".mkv", "matroska", "libsvtav1", "yuv420p", {"crf": str(crf), "preset": "8"})


def in_turn(frames: Image, fps: float, rng: np.random.Generator, *, styles: tuple[str, ...]) -> Image:
    """One style of `STYLES` after another."""
    for name in styles:
        frames = STYLES[name](frames, fps, rng)
    return frames


STYLES: dict[str, Style] = {
    "h264-28": partial(coded, codec=h264(28)),
    "h264-30": partial(coded, codec=h264(30)),
    "vp9-35": partial(coded, codec=_vp9(35)),
    "av1-35": partial(coded, codec=_av1(35)),
    "jpeg-30": partial(jpeg, quality=30),
    "blur-1.5": partial(blur, sd=1.5),
    "reduce-8": partial(reduction, factor=8),
    "unsharp-1": partial(sharpening, amount=1.0, sd=1.0),
    "unsharp-2": partial(sharpening, amount=1.0, sd=2.0),
    "reduce-16": partial(reduction, factor=16),
    "jitter-.3": partial(jitter, sd=0.3),
    "offset-1": partial(offset, by=1.0),
    "wobble-.3": partial(wobble, sd=0.3),
    "bright-.6": partial(brightness, factor=0.6),
    "bright-1.4": partial(brightness, factor=1.4),
    "saturate-.6": partial(saturation, factor=0.6),
    "saturate-1.4": partial(saturation, factor=1.4),
    "contrast-10": partial(contrast_loss, rate=0.10),
    "crawl-8": partial(crawl, sd=8.0),
    "grain-8": partial(grain, sd=8.0),
    "cast-20": partial(cast, levels=(20.0, 0.0, -20.0)),
    "flicker-10": partial(flicker, sd=0.1),
    "hue-turn-20": partial(hue_turn, degrees=20.0),
    "zoom-3": partial(zooming, rate=0.03),
    "zoom-out-3": partial(zooming, rate=-0.03),
    "pan-3": partial(panning, rate=0.03),
    "shake-1": partial(shaking, sd=0.01),
    "ghost-30": partial(ghost, share=0.3),
    # What a video generator does: a decoder of eight pixels a latent, its colours and edges, and a file
    "generator": partial(in_turn, styles=("reduce-8", "cast-20", "unsharp-1", "jitter-.3", "h264-28")),
}


def styled(frames: Image, name: str, fps: float, seed: int) -> Image:
    """Frames (T, H, W, 3) in a style of `STYLES`; the seed decides its noise."""
    return STYLES[name](frames, fps, np.random.default_rng(seed))
