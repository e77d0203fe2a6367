"""What scoring a frame of a video costs, beside the evaluator of Physics-IQ on the same videos.

    git clone https://github.com/google-deepmind/physics-IQ-benchmark piq
    pip install opencv-python-headless tqdm
    python benchmarks/physics_iq.py piq/code [--videos 84] [--size 256]

The videos (H.264) continue clips of `core` at 30 frames/s for 4 s, as they are (lawful) and with the last frame held
after a second (lawful nowhere after it). Physics-IQ takes its own steps for what a model sends: motion masks of the
generated videos, then four metrics of them; masks of the recorded ones lie there. physbench evaluates the same files
with `eval videos:`, clips and references cached. The processor time of a run of REPORTED videos is taken off: both runs
have the same start and as many clips in the report, so that what is left is what one more video costs. Processor time
is that of the whole process tree.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from speed import cost_of

from physbench.clips.clip import Clip, Row
from physbench.clips.conditioning import key_path, read_key
from physbench.clips.store import ClipStore
from physbench.clips.video import H264, encode
from physbench.support.files import cache_dir
from physbench.world.scene import RenderSpec

FPS, SECONDS = 30, 5  # Physics-IQ compares the first five seconds
VIEWS = ("perspective-left", "perspective-center", "perspective-right")
HELD_FROM = 30  # frames
REPORTED = 28  # videos: the report shows two of each task of core


def processor() -> float:
    """Seconds of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def cost(work: Callable[[], object]) -> float:
    """Processor seconds of some work."""
    before = processor()
    work()
    return processor() - before


def shown(clip: Clip, held: bool) -> np.ndarray:
    """A second of context and what follows, (FPS * SECONDS, H, W, 3)."""
    first = clip.handover + 1 - FPS
    frames = clip.frames[first : first + FPS * SECONDS].copy()
    if held:
        frames[FPS + HELD_FROM :] = frames[FPS + HELD_FROM]
    return frames


class PhysicsIq:
    """The evaluator on its own names of files."""

    def __init__(self, code: Path, folder: Path, clips: list[Clip], held: bool) -> None:
        sys.path.insert(0, str(code))
        self.folder = folder
        for name in ("real", "generated"):
            (folder / name).mkdir(parents=True)
        for number, clip in enumerate(clips):
            view, scene = VIEWS[number % 3], f"scene-{number // 3}.mp4"
            for take in (1, 2):  # the take of one clip is that of another one, too: what they show costs nothing
                name = f"{number + 1000 * take:04d}_testing-videos_{FPS}FPS_{view}_take-{take}_{scene}"
                encode(folder / "real" / name, shown(clip, False), FPS, H264)
            name = f"{number + 1000:04d}_{view}_{scene}"
            encode(folder / "generated" / name, shown(clip, held), FPS, H264)
        self.masks("real")

    def masks(self, which: str) -> None:
        from binary_mask_generator import generate_binary_masks  # type: ignore[import-not-found]

        with contextlib.redirect_stdout(io.StringIO()):
            generate_binary_masks(f"{self.folder}/{which}", f"{self.folder}/{which}-masks", which == "real")

    def score(self) -> None:
        from calculate_and_write_metrics_to_csv import process_videos  # type: ignore[import-not-found]

        self.masks("generated")
        folders = [f"{self.folder}/{name}" for name in ("real", "generated", "real-masks", "generated-masks")]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            process_videos(*folders, f"{self.folder}/metrics.csv", FPS)


def answered(folder: Path, videos: int, size: int) -> list[Row]:
    """Export conditioning for `videos` clips into `folder`. Returns their rows, in the order of the ids."""
    limit = ("--limit", str(videos), "--context", "8")
    words = ("data", "export", "--suite", "core", "--size", str(size), "--fps", str(FPS), *limit)
    cost_of(*words, "--out", str(folder), cache=cache_dir())
    key = read_key(key_path(folder))
    return [Row(each.task, each.split, each.seed, each.change) for each in key.clips.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", type=Path, help="The folder `code` of Physics-IQ.")
    parser.add_argument("--videos", type=int, default=84, help=f"A multiple of 12, above {REPORTED}.")
    parser.add_argument("--size", type=int, default=256)
    given = parser.parse_args()
    if given.videos % 12 or given.videos <= REPORTED:
        parser.error(f"--videos: expected a multiple of 12 above {REPORTED}")
    os.environ.setdefault("PHYSBENCH_CACHE", str(cache_dir()))
    store, spec = ClipStore(), RenderSpec(given.size, given.size, float(FPS))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        exports = {count: folder / f"export-{count}" for count in (given.videos, REPORTED)}
        rows = {count: answered(export, count, given.size) for count, export in exports.items()}
        clips = [store.get(row, spec) for row in rows[given.videos]]
        frames = FPS * (SECONDS - 1)
        print(f"{given.videos} videos of {FPS * SECONDS} frames, {given.size} px; ms of processor a predicted frame")
        for held in (False, True):
            theirs = PhysicsIq(given.code, folder / f"theirs-{held}", clips, held)
            peer = cost(theirs.score) / given.videos / frames
            ours = []
            for count, export in exports.items():
                key = read_key(key_path(export))
                for name, row in zip(key.clips, rows[count], strict=True):
                    encode(export / "answers" / f"{name}.mp4", shown(store.get(row, spec), held)[FPS - 8 :], FPS, H264)
                words = ("eval", f"videos:{export}/answers", "--suite", "core", "--limit", str(count), "--no-diagnosis")
                given_context = ("--model-arg", "includes_context=true")
                out = ("--out", str(folder / f"ours-{count}"), "--fresh")
                again = partial(cost_of, *words, *given_context, *out, cache=cache_dir())
                again()  # clips, references and compiled functions are there now
                ours.append(again().processor)
            own = (ours[0] - ours[1]) / (given.videos - REPORTED) / frames
            what = "held after a second" if held else "ground truth"
            print(f"{what:20} physbench {1e3 * own:6.2f}   Physics-IQ {1e3 * peer:6.2f}   ratio {own / peer:.1f}")


if __name__ == "__main__":
    main()
