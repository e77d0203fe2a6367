"""Measures what the way over HTTP costs, against the same model in process. Bound: 10 % at 20 ms a frame.

    python benchmarks/http_overhead.py [--size 256] [--batch-size 8] [--milliseconds 20] [--repeats 5]

The model waits for a fixed time a frame, as one does that computes on an accelerator, and repeats its last frame. In
process it is given tensors and yields tensors; behind `serve_model.py`, in a process of its own on this machine, it is
given arrays and yields arrays. Both go through the rollout engine, with the same clips and batches, and take turns. The
ratio is the median over the turns. With 0 milliseconds the difference is the cost itself, which a model that computes
while a frame travels hides.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.models.http import serve_model
from physbench.rollout.batches import Batch
from physbench.rollout.engine import RolloutEngine

BOUND = 1.10
SERVED = """\
import time
card = {{"name": "waits", "image_size": ({size}, {size}), "fps": 15, "context_frames": 4}}

def rollout(context, horizon, actions, prompts, seeds):
    for _ in range(horizon):
        time.sleep({seconds})
        yield context[:, -1:]
"""
IN_PROCESS = """\
import time
from physbench import ModelCard

class Model:
    card = ModelCard("waits", ({size}, {size}), 15, 4)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        for _ in range(horizon):
            time.sleep({seconds})
            yield context[:, -1:]

def make(*, device, dtype):
    return Model()
"""


def start_server(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Serve the model in `folder`. Returns the process and the address."""
    command = [sys.executable, serve_model.__file__, "served.py", "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = re.search(r"physbench eval (\S+)", process.stderr.readline())
    assert found is not None, "the server did not start"
    return process, found[1]


def seconds_of(engine: RolloutEngine, plan: tuple[Batch, ...], load: Callable[[Row], Clip]) -> tuple[float, int]:
    """Time of a plan, and the sum of all last frames, by which the two ways are compared."""
    begun, total = time.perf_counter(), 0
    for result in engine.run(plan, load):
        for rollout in result:
            assert rollout.failure is None, rollout.failure
            total += int(rollout.frames[-1].sum())
    return time.perf_counter() - begun, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--milliseconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = {"size": options.size, "seconds": options.milliseconds / 1000}
        (folder / "served.py").write_text(SERVED.format(**words))
        (folder / "in_process.py").write_text(IN_PROCESS.format(**words))
        process, url = start_server(folder)
        try:
            with (
                RolloutEngine(f"{folder / 'in_process.py'}:make", device="cpu", threads=1) as own,
                RolloutEngine(url, device="cpu", threads=1) as served,
            ):
                rows = find_suite("core", tasks="collisions/*").rows[: options.batch_size * options.batches]
                store = ClipStore()
                clips = {row: store.get(row, own.card.spec) for row in rows}
                plan = own.plan(rows, batch_size=options.batch_size)
                frames = sum(batch.horizon for batch in plan)
                ratios, differences = [], []
                for repeat in range(options.repeats + 1):
                    direct, expected = seconds_of(own, plan, clips.__getitem__)
                    over_http, total = seconds_of(served, plan, clips.__getitem__)
                    assert total == expected, "the two ways must give the same frames"
                    print(f"in process {direct:6.3f} s   over HTTP {over_http:6.3f} s   ratio {over_http / direct:.3f}")
                    if repeat:  # the first turn warms up
                        ratios.append(over_http / direct)
                        differences.append((over_http - direct) / frames)
        finally:
            process.kill()
            process.communicate()
    print(
        f"{options.size} px, batches of {options.batch_size}, {options.milliseconds:g} ms for a frame of the batch: "
        f"over HTTP {statistics.median(ratios):.3f} of in process (bound {BOUND}), "
        f"{statistics.median(differences) * 1e3:.2f} ms more for each frame of a batch"
    )


if __name__ == "__main__":
    main()
