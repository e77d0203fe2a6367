"""Measures the overhead of the diffusers route over calling the pipeline directly. Bound: 5 % from 20 ms a frame.

    python benchmarks/diffusers_overhead.py [DIR] [--model-arg K=V] [--horizon 20] [--repeats 7]

Both routes start from the same uint8 context and end with uint8 frames of the future. The direct one makes PIL images,
calls the pipeline with the same arguments and rounds its answer. Ours goes through `predict`, as the process of a model
does: conversion, sizes, seeding and all checks. They take turns, and the ratio is that of each pair. Processor time
counts on a CPU, as other work on the machine only adds to the time on the clock.

Without DIR a random Wan pipeline of 64x64 px is made, which takes about 20 ms a frame.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from physbench.models.huggingface.diffusers_pipeline import DiffusersModel
from physbench.models.load_model import load_model
from physbench.rollout.device import synchronize
from physbench.rollout.predict import RolloutRequest, predict

BOUND = 1.05
LEAST_MILLISECONDS = 20.0  # a frame, for the bound to be asked for
PROMPT = "a ball falls"
RANDOM_ARGS = {"width": "64", "height": "64", "max_frames": "33", "num_inference_steps": "12"}


def random_pipeline(folder: Path) -> Path:
    """A random Wan pipeline of one layer, from the makers of the tests."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from tiny_pipelines import save_tiny

    return save_tiny("wan_i2v", folder / "wan")


def direct(model: DiffusersModel, context: NDArray[np.uint8], horizon: int, seed: int) -> NDArray[np.uint8]:
    """Call the pipeline as its documentation does; (T, H, W, 3)."""
    from PIL import Image

    plan = model.plan
    images = [Image.fromarray(frame) for frame in context]
    arguments: dict[str, Any] = {**plan.arguments, "height": plan.size[0], "width": plan.size[1]}
    asked = plan.frames_asked(horizon)
    arguments |= {"image": images[-1]} if plan.quirk.condition == "image" else {"video": images}
    arguments |= {"prompt": PROMPT, plan.frame_parameter: asked, "output_type": "np"}
    generator = torch.Generator(model.pipe._execution_device).manual_seed(seed)
    frames = model.pipe(**arguments, generator=generator).frames[0]
    levels: NDArray[np.uint8] = (np.asarray(frames)[plan.prefix :][:horizon] * 255).round().astype(np.uint8)
    return levels


def ours(model: DiffusersModel, context: NDArray[np.uint8], horizon: int, seed: int, device: torch.device) -> Any:
    """The same through the harness; (T, H, W, 3)."""
    request = RolloutRequest(
        horizon=horizon,
        stored=horizon,
        chain=True,
        seeds=[seed],
        prompts=[PROMPT],
        context=torch.from_numpy(context).permute(0, 3, 1, 2)[None].contiguous(),
        actions=None,
        clips=None,
    )
    out = torch.empty(1, horizon, 3, *model.card.image_size, dtype=torch.uint8)
    answer = predict(model, request, out, device, torch.float32)
    assert not answer.failures, answer.failures
    return out[0].permute(0, 2, 3, 1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--model-arg", action="append", default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--horizon", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    given = dict(pair.split("=", 1) for pair in options.model_arg)

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or random_pipeline(Path(scratch))
        arguments = given if options.folder else {**RANDOM_ARGS, **given}
        model = load_model(f"diffusers:{folder}", device=device, dtype=torch.float32, model_args=arguments)
    assert isinstance(model, DiffusersModel)
    if model.plan.quirk.condition not in ("image", "video") or model.card.image_size != model.plan.size:
        parser.error("expected a pipeline with image= or video= and clips of its own size")
    shape = (model.card.context_frames, *model.card.image_size, 3)
    context = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    clock = time.process_time if device.type == "cpu" else time.perf_counter

    ratios, frame_times = [], []
    for repeat in range(options.repeats + 1):
        times, answers = [], []
        for route in (direct, ours) if repeat % 2 else (ours, direct):
            begun = clock()
            extra = (device,) if route is ours else ()
            answers.append(route(model, context, options.horizon, repeat, *extra))  # type: ignore[operator]
            synchronize(device)
            times.append(clock() - begun)
        assert np.abs(answers[0].astype(int) - answers[1]).max() <= 1, "both routes must give the same frames"
        bare, harness = times if repeat % 2 else times[::-1]
        print(f"direct {bare:7.3f} s   ours {harness:7.3f} s   ratio {harness / bare:.3f}")
        if repeat:  # the first pair warms up
            ratios.append(harness / bare)
            frame_times.append(1000 * bare / options.horizon)
    per_frame = statistics.median(frame_times)
    bound = f"bound {BOUND}" if per_frame >= LEAST_MILLISECONDS else f"no bound below {LEAST_MILLISECONDS:g} ms"
    print(
        f"{model.plan.kind.__name__}, {model.card.spec}, {per_frame:.1f} ms a frame: ours over direct "
        f"{statistics.median(ratios):.3f} (median of {len(ratios)} pairs; {bound})"
    )


if __name__ == "__main__":
    main()
