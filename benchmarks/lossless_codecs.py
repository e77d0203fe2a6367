"""What lossless video costs: processor time to write and to read a frame, and its bytes, by codec.

    python benchmarks/lossless_codecs.py [--sizes 64,128,256] [--clips 4] [--repeats 3]

Futures of clips of `smoke` at 15 frames/s, in both looks: as they are, with noise of one level as of a learned model,
and their first frame held. In memory, on one thread; each video has to come back exactly, from the same bytes each
time.
"""

from __future__ import annotations

import argparse
import io
import time

import av
import numpy as np
from numpy.typing import NDArray

from physbench.clips.generate import make_clip
from physbench.clips.suite import find_suite
from physbench.clips.video import FFV1, H264_RGB, H264_RGB_FAST, Codec, rgb_converter, video_writer
from physbench.world.scene import RenderSpec

CODECS = {"FFV1": FFV1, "H.264 of RGB, ultrafast": H264_RGB_FAST, "H.264 of RGB, medium": H264_RGB}
FPS = 15.0
Frames = NDArray[np.uint8]


def written(frames: Frames, codec: Codec) -> bytes:
    """A video file of frames (T, H, W, 3)."""
    file = io.BytesIO()
    with video_writer(file, frames.shape[1], frames.shape[2], FPS, codec) as write:
        write(frames)
    return file.getvalue()


def read(content: bytes) -> Frames:
    """The frames of a video file."""
    with av.open(io.BytesIO(content), "r") as container:
        container.streams.video[0].thread_type = "NONE"
        return np.stack([*map(rgb_converter(), container.decode(video=0))])


def cost(frames: Frames, codec: Codec, repeats: int) -> tuple[float, float, int]:
    """Least processor seconds to write and to read, and bytes."""
    writing, reading, contents = [], [], set()
    for _ in range(repeats):
        begun = time.process_time()
        content = written(frames, codec)
        between = time.process_time()
        back = read(content)
        reading.append(time.process_time() - between)
        writing.append(between - begun)
        contents.add(content)
        if not np.array_equal(back, frames):
            raise SystemExit(f"{codec.encoder} is not exact.")
    if len(contents) > 1:
        raise SystemExit(f"{codec.encoder} writes other bytes each time.")
    return min(writing), min(reading), len(content)


def kinds(future: Frames) -> dict[str, Frames]:
    """What a model may answer."""
    noise = np.rint(np.random.default_rng(0).normal(0, 1, future.shape))
    noisy = np.clip(future + noise, 0, 255).astype(np.uint8)
    return {"truth": future, "noise": noisy, "held": np.repeat(future[:1], len(future), 0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="64,128,256")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    for size in map(int, asked.sizes.split(",")):
        for look in ("plain", "natural"):
            spec = RenderSpec(size, size, FPS, look=look)
            shown = [kinds(make_clip(row, spec).future()) for row in find_suite("smoke", limit=asked.clips).rows]
            for kind in shown[0]:
                videos = [each[kind] for each in shown]
                count = sum(map(len, videos))
                for name, codec in CODECS.items():
                    costs = [cost(frames, codec, asked.repeats) for frames in videos]
                    writing, reading, size_kb = (sum(each) / count for each in zip(*costs, strict=True))
                    print(
                        f"{size:4} px  {look:8} {kind:6} {name:24} write {1e3 * writing:6.3f}  read "
                        f"{1e3 * reading:6.3f} ms  {size_kb / 1e3:6.2f} kB",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
