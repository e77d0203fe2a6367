"""Measures the peak memory of runs against the number of clips and the length of rollouts. It should not grow.

python benchmarks/memory.py [--size 64] [--clips 8 32 128] [--fps 10 30 60]

Prints the peak memory of all processes of a run together, as the run reports it: pages that several share count once.
Libraries that other programs use at the same time count in part: nothing else should run from the same environment.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = [sys.executable, "-c", "from physbench.cli.main import main; main()"]


def peak(size: int, clips: int, fps: int, out: Path) -> float:
    """Peak memory in GB of a run of constant velocity."""
    model = ["eval", "baseline:constant-velocity", "--model-arg", f"size={size}", "--model-arg", f"fps={fps}"]
    model += ["--batch-size", "8", "--workers", "2", "--no-diagnosis"]  # the reading ends before it
    what = ["--suite", "train", "--limit", str(clips), "--out", str(out), "--fresh", "--json"]
    done = subprocess.run([*PROGRAM, *model, *what], stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout)["speed"]["peak_memory_gb"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--clips", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--fps", type=int, nargs="+", default=[10, 30, 60])
    asked = parser.parse_args()
    runs = [(clips, asked.fps[0]) for clips in asked.clips] + [(asked.clips[0], fps) for fps in asked.fps[1:]]
    with tempfile.TemporaryDirectory() as folder:
        for clips, fps in runs:
            found = peak(asked.size, clips, fps, Path(folder) / "run")
            print(f"{clips:4} clips of {asked.size} px at {fps} frames/s: {found:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
