"""What each step on a frame's way costs, from the model's tensor to its tracks, in processor time for each frame.

    python benchmarks/frame_path.py [--size 256] [--clips 4] [--context 8] [--repeats 5]

Clips of `smoke` at 15 frames/s; what is predicted is the truth, as floats. Each step is the function that a run calls,
on one thread, the best of the repeats. The context goes through the pipe, in the job that the parent sends; its cost is
spread over the predicted frames. Neither the model nor the scorers count. Of the two sums, that through memory leaves
out that files are read, and that through files the copy to memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from physbench.clips.clip import Clip
from physbench.clips.generate import make_clip
from physbench.clips.suite import find_suite
from physbench.rollout.batches import BatchItem
from physbench.rollout.frames import FrameReceiver, normalized_frames
from physbench.rollout.shared_memory import share
from physbench.rollout.store import Rollout, load_rollout, store_rollout
from physbench.score.score_clip import observed
from physbench.support.run_folder import RunFolder
from physbench.world.scene import RenderSpec

FPS = 15.0
SHARED, READ = "to shared memory, mapped", "H.264 and hash, read"


def through_pipe(context: np.ndarray) -> None:
    """Send an array as the job of a batch holds it, and receive it."""
    here, there = multiprocessing.Pipe()
    sender = threading.Thread(target=here.send, args=(context,))
    sender.start()
    there.recv()
    sender.join()
    here.close()
    there.close()


def fastest(function: Callable[[], object], repeats: int) -> float:
    """Least processor seconds of some calls, over all threads."""
    seconds = []
    for _ in range(repeats):
        begun = time.process_time()
        function()
        seconds.append(time.process_time() - begun)
    return min(seconds)


def steps(clip: Clip, context: int, folder: RunFolder, repeats: int) -> dict[str, float]:
    """Processor seconds of each step for one clip."""
    shown, future = clip.context(context), clip.future()
    planar = torch.from_numpy(future).permute(0, 3, 1, 2)[None].contiguous()
    floats = normalized_frames(planar, torch.device("cpu"), torch.float32)
    out = torch.empty_like(planar)
    item = BatchItem(clip.row, 0)
    rollout, mapped = Rollout(clip.id, item.sample, future, None, 1, 0.0), list[int]()

    def channels_last() -> np.ndarray:
        frames = np.empty(future.shape, dtype=np.uint8)
        for frame, planes in zip(frames, out[0].numpy(), strict=True):
            for channel in range(3):
                frame[..., channel] = planes[channel]
        return frames

    def stored() -> None:
        store_rollout(folder, rollout, FPS)

    def shared() -> None:
        sent = share(rollout)
        assert sent is not None, "no anonymous memory files on this system"
        mapped.append(int(sent.load().frames[:, ::16].max()))  # each page of 4096 bytes
        sent.close()

    ways: dict[str, Callable[[], object]] = {
        "context, through the pipe": lambda: through_pipe(shown),
        "check and round, into shared memory": lambda: FrameReceiver(len(future)).store(floats, out, 0),
        "out of shared memory, channels last": channels_last,
        SHARED: shared,
        "H.264 and hash, written": stored,
        READ: lambda: load_rollout(folder, clip.id, item.sample),
        "tracker": lambda: observed(clip, rollout, context),
    }
    return {name: fastest(way, repeats) for name, way in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--context", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    spec = RenderSpec(asked.size, asked.size, FPS)
    spent: dict[str, float] = {}
    predicted = 0
    for row in find_suite("smoke", limit=asked.clips).rows:
        clip = make_clip(row, spec)
        predicted += clip.horizon
        with tempfile.TemporaryDirectory() as place:
            for name, seconds in steps(clip, asked.context, RunFolder(Path(place)), asked.repeats).items():
                spent[name] = spent.get(name, 0.0) + seconds
    ways = {"through memory": spent.keys() - {READ}, "through files": spent.keys() - {SHARED}}
    print(f"{asked.clips} clips, {predicted} predicted frames of {asked.size} px, {asked.context} in each context")
    for name, seconds in spent.items():
        print(f"{name:36} {1000 * seconds / predicted:7.3f} ms a frame")
    for way, names in ways.items():
        print(f"{f'all, {way}':36} {1000 * sum(spent[name] for name in names) / predicted:7.3f} ms a frame")


if __name__ == "__main__":
    main()
