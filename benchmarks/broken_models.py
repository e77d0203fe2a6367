"""What a run says of some thirty broken models: their first lines and their diagnosis, to be read by eye.

    python benchmarks/broken_models.py [--limit 56] [--models GLOB,..] [--out FOLDER]

Models that break one thing, or everything, run on `smoke` with the diagnosis; printed are the name, the sentences and
what the diagnosis finds by family. Runs are kept in FOLDER: a second call only writes their words again, so that a
change of words is seen at once. Broken pictures of this file are models of their own, too:

    physbench eval benchmarks/broken_models.py:broken --privileged --suite smoke --model-arg kind=dissolve
"""

from __future__ import annotations

import argparse
import fnmatch
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.models.protocol import ModelCard
from physbench.result.build import build_result
from physbench.result.findings import implied_sentence
from physbench.support.run_folder import RunFolder

Frames = NDArray[np.uint8]  # (T, H, W, 3)

DISSOLVE_TIME = 1.0  # s in which objects are gone
PAN = 0.05  # of the picture's side a second
SABOTEURS = (
    *("truth", "freeze", "gravity:0.8", "restitution:1.1", "friction:0.5", "mass-ratio:2", "kick:0.5", "teleport:0.25"),
    *("slow-time:0.8", "stutter:0.2", "vanish:1", "return-never:1", "hue:72", "size:1.25", "duplicate:1.25"),
    *("exchange", "reverse-time", "pass-through:1", "central-mass:0.9"),
    *("cheat-straight", "cheat-black", "cheat-noise", "cheat-one-hue", "cheat-shiver", "cheat-loop", "cheat-crowd"),
)


def dissolve(clip: Clip) -> Frames:
    """Objects and scenery fade into the background."""
    future = clip.future().astype(np.float64)
    ahead = np.minimum(clip.times[clip.handover + 1 :] / DISSOLVE_TIME, 1.0)[:, None, None, None]
    ground = np.median(clip.frames[clip.handover].reshape(-1, 3), axis=0)
    return np.asarray(np.round(future * (1 - ahead) + ground * ahead), dtype=np.uint8)


def pan(clip: Clip) -> Frames:
    """The camera drifts to the side; what enters repeats the border."""
    shifts = np.round(clip.times[clip.handover + 1 :] * PAN * clip.spec.width).astype(int)
    columns = np.arange(clip.spec.width)
    return np.stack(
        [frame[:, np.minimum(columns + n, clip.spec.width - 1)] for frame, n in zip(clip.future(), shifts, strict=True)]
    )


KINDS: Mapping[str, Callable[[Clip], Frames]] = {
    "dissolve": dissolve,
    "pan": pan,
    "mirror": lambda clip: clip.future()[:, :, ::-1],
    "upside-down": lambda clip: clip.future()[:, ::-1],
    "reversed": lambda clip: clip.future()[::-1],
    "channels": lambda clip: clip.future()[..., [2, 0, 1]],
    "late": lambda clip: clip.frames[clip.handover : -1],
    "every-second": lambda clip: clip.future()[np.arange(clip.horizon) // 2 * 2],
    "white": lambda clip: np.full_like(clip.future(), 255),
}


class Broken:
    """Ground truth with its pictures broken in one way."""

    def __init__(self, kind: str) -> None:
        self.card, self.kind = ModelCard(kind, (64, 64), 15.0, 8, track="privileged"), KINDS[kind]

    def rollout_clips(
        self, clips: Sequence[Clip], *, horizon: int, generators: Sequence[torch.Generator]
    ) -> torch.Tensor:
        futures = np.stack([self.kind(clip)[:horizon] for clip in clips])
        return torch.from_numpy(futures).permute(0, 1, 4, 2, 3).float() / 255


def broken(*, device: torch.device, dtype: torch.dtype, kind: str = "dissolve") -> Broken:
    return Broken(kind)


def run(name: str, folder: Path, limit: int) -> None:
    """Run a model where its run is not there yet."""
    if (folder / "result.json").exists():
        return
    own = [f"{__file__}:broken", "--privileged", "--model-arg", f"kind={name}"]
    target = own if name in KINDS else [f"saboteur:{name}"]
    begin = "from physbench.cli.main import main; main()"
    options = ["--suite", "smoke", "--limit", str(limit), "--workers", "1", "--out", str(folder)]
    subprocess.run([sys.executable, "-c", begin, "eval", *target, *options], check=True, capture_output=True)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=56, help="clips of smoke")
    parser.add_argument("--models", default="*", help="names or globs, separated by commas")
    parser.add_argument("--out", type=Path, default=Path("runs/broken-models"))
    options = parser.parse_args()
    for name in (*SABOTEURS, *KINDS):
        if not any(fnmatch.fnmatchcase(name, part) for part in options.models.split(",")):
            continue
        folder = options.out / name.replace(":", "-")
        run(name, folder, options.limit)
        result = build_result(RunFolder(folder))
        print(f"\n{name}: overall {result.overall.skill}")
        print("\n".join(f"  {sentence}" for sentence in result.sentences))
        for family, world in result.implied_worlds.items():
            print(f"    {family}: {implied_sentence(world)}", flush=True)


if __name__ == "__main__":
    main()
