"""Measures the overhead of the rollout engine over a bare loop on the same model and batches. Bound: 3 %.

    python benchmarks/rollout.py [--model TARGET] [--clips 48] [--batch-size 16] [--repeats 5]

Both loops start from clips in memory and end with uint8 frames (T, H, W, 3) in this process. The bare loop converts
the context to floats, and clamps, rounds and moves the model's answer to NumPy. The engine also checks shapes, ranges
and NaN, and runs the model in a process of its own. They take turns, and the best time of each counts, as other work on
the machine only adds to it. On a busy machine, compare processor times.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from physbench.clips.clip import Clip
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.models.load_model import load_model
from physbench.models.protocol import Model
from physbench.rollout.batches import Batch, item_seed
from physbench.rollout.engine import RolloutEngine

BOUND = 1.03


def bare_loop(model: Model, plan: tuple[Batch, ...], clips: dict[object, Clip]) -> tuple[int, float]:
    """Roll the plan out without a harness. Returns the sum of all values, and the model's own seconds."""
    total, inside = 0, 0.0
    for batch in plan:
        frames = np.stack([clips[item.row].context(model.card.context_frames) for item in batch.items])
        context = torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float().div(255).contiguous()
        generators = [torch.Generator().manual_seed(item_seed(item.row, item.sample, 0)) for item in batch.items]
        begun = time.perf_counter()
        with torch.inference_mode():
            answer = model.rollout(
                context, horizon=batch.horizon, actions=None, prompts=[""] * len(frames), generators=generators
            )
            if isinstance(answer, Iterator):
                answer = torch.cat(list(answer), 1)
        inside += time.perf_counter() - begun
        pixels = answer.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).contiguous().numpy()
        total += sum(int(clip[-1].sum()) for clip in pixels)
    return total, inside


def processor_time(pid: int | None) -> float:
    """Seconds of processor time of this process and of process `pid`."""
    if pid is None:
        return time.process_time()
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="reference:objects")
    parser.add_argument("--model-arg", action="append", default=[])
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    arguments = dict(pair.split("=", 1) for pair in options.model_arg)
    torch.set_num_threads(options.threads)

    model = load_model(options.model, device=torch.device("cpu"), dtype=torch.float32, model_args=arguments)
    rows = find_suite("core", limit=options.clips).rows
    store = ClipStore()
    store.ensure(rows, model.card.spec)
    clips: dict[object, Clip] = {row: store.get(row, model.card.spec) for row in rows}
    bares, insides, engines, busy = [], [], [], [[], []]
    with RolloutEngine(options.model, device="cpu", model_args=arguments, threads=options.threads) as engine:
        plan = engine.plan(rows, batch_size=options.batch_size)
        frames = sum(len(batch.items) * batch.horizon for batch in plan)
        for repeat in range(options.repeats + 1):
            begun, worked = time.perf_counter(), processor_time(None)
            expected, inside = bare_loop(model, plan, clips)
            bare, bare_work = time.perf_counter() - begun, processor_time(None) - worked
            begun, worked = time.perf_counter(), processor_time(engine.pid)
            total = sum(
                int(rollout.frames[-1].sum()) for result in engine.run(plan, clips.__getitem__) for rollout in result
            )
            ours, work = time.perf_counter() - begun, processor_time(engine.pid) - worked
            assert abs(total - expected) <= 1e-4 * expected, "the two loops must give the same frames"
            if repeat:  # the first turn warms up
                bares.append(bare)
                insides.append(inside)
                engines.append(ours)
                busy[0].append(bare_work)
                busy[1].append(work)
            print(f"bare loop {bare:6.3f} s (model {inside:6.3f} s)   engine {ours:6.3f} s   ratio {ours / bare:.3f}")
    ratio = min(engines) / min(bares)
    print(
        f"{engine.card.name} at {engine.card.spec}: {frames} frames in {len(plan)} batches, engine over bare loop "
        f"{ratio:.3f} (bound {BOUND}), over the model alone {min(engines) / min(insides):.3f}, "
        f"in processor time {min(busy[1]) / min(busy[0]):.3f}"
    )


if __name__ == "__main__":
    main()
