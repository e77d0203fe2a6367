"""Compares the speed of a model as an ONNX graph with that of the same model in eager PyTorch, on the CPU.

    python benchmarks/onnx_speed.py [--threads 1] [--batch-size 8] [--horizon 60] [--repeats 5]

Both roll out the same random contexts in this process, in turns; the best time of each counts, as other work on the
machine only adds to it. On a busy machine, compare processor times. The models are the
example of the docs and the architecture `simple`, with random weights.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from physbench.models.load_model import load_model
from physbench.models.protocol import FrameModel
from physbench.models.safetensors_files import save_checkpoint
from physbench.reference.simple import architecture
from physbench.rollout.export_model import export_model
from physbench.rollout.predict import make_generators

EXAMPLE = Path(__file__).parents[1] / "examples" / "export_me.py"
CPU = torch.device("cpu")


@torch.inference_mode()
def seconds(model: FrameModel, batch: int, horizon: int) -> tuple[float, float]:
    """Time of one rollout of a batch of random contexts, and its processor time."""
    card = model.card
    context = torch.rand(batch, card.context_frames, 3, *card.image_size, generator=torch.Generator().manual_seed(0))
    begun, worked = time.perf_counter(), time.process_time()
    answer = model.rollout(
        context, horizon=horizon, actions=None, prompts=[""] * batch, generators=make_generators(range(batch), CPU)
    )
    for _ in [answer] if isinstance(answer, torch.Tensor) else answer:
        pass
    return time.perf_counter() - begun, time.process_time() - worked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("--threads", 1), ("--batch-size", 8), ("--horizon", 60), ("--repeats", 5)):
        parser.add_argument(name, type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "simple.safetensors"
        config = architecture.config()
        tensors, card = architecture.net(config).state_dict(), architecture.card(config)
        save_checkpoint(checkpoint, tensors, architecture="simple", config=config, card=card, training={})
        for target in (f"{EXAMPLE}:make", str(checkpoint)):
            path = Path(folder) / "model.onnx"
            export_model(target, path, model_args={}, trust_code=False, tolerance=1e-4)
            eager, graph = (load_model(name, device=CPU, dtype=torch.float32) for name in (target, str(path)))
            best = [(float("inf"), float("inf"))] * 2
            for _ in range(options.repeats + 1):
                for index, model in enumerate((eager, graph)):
                    assert isinstance(model, FrameModel)
                    took = seconds(model, options.batch_size, options.horizon)
                    best[index] = min(best[index][0], took[0]), min(best[index][1], took[1])
            frames = options.batch_size * options.horizon
            wall, work = ((of_eager, of_graph) for of_eager, of_graph in zip(*best, strict=True))
            print(
                f"{eager.card.name}: eager {frames / wall[0]:,.0f} frames/s, graph {frames / wall[1]:,.0f} frames/s, "
                f"{wall[0] / wall[1]:.2f} times as fast, {work[0] / work[1]:.2f} in processor time "
                f"({options.threads} threads)"
            )


if __name__ == "__main__":
    main()
