"""Exports a model as a graph, and checks that the graph answers as the model does."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.models.graphs.export import export_graph
from physbench.models.graphs.onnx_model import OnnxClip, OnnxSteps
from physbench.models.graphs.program_model import ProgramClip, ProgramSteps
from physbench.models.load_model import load_model
from physbench.models.networks import find_networks
from physbench.models.protocol import ACTION_VALUES, FrameModel
from physbench.rollout.answers import model_context
from physbench.rollout.frames import iterate_chunks, normalized_frames
from physbench.rollout.in_process import evaluation_mode
from physbench.rollout.predict import make_generators
from physbench.support.errors import ModelError

COMPARED_FRAMES = 60  # compared
COMPARED_CLIPS = 2  # contexts of each sort
CPU = torch.device("cpu")


@dataclass(frozen=True)
class ExportedModel:
    """Files of an exported model, and the distance of its answers from those of the original."""

    path: Path
    size: int  # bytes, of all files
    frames: int  # compared, of each context
    differences: Mapping[str, float]  # largest, by sort of context


def export_model(
    target: str, path: Path, *, model_args: Mapping[str, str], trust_code: bool, tolerance: float
) -> ExportedModel:
    """Write a model as a graph. The file appears only if both answer alike.

    Args:
        target: See `load_model`.
        path: The file, .onnx or .pt2.
        model_args: Values of --model-arg, by name.
        trust_code: See `load_model`.
        tolerance: Largest difference of a value of a frame.

    Raises:
        ModelError: The model cannot be loaded or exported, or the answers differ.
    """
    model = load_model(target, device=CPU, dtype=torch.float32, model_args=model_args, trust_code=trust_code)
    if isinstance(model, OnnxSteps | OnnxClip | ProgramSteps | ProgramClip):
        raise ModelError(f"{target} is a graph already.")
    if not isinstance(model, FrameModel):
        raise ModelError(f"{target} is no model that continues frames: it cannot be a graph.")
    with evaluation_mode(model), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        exported = Path(folder) / path.name
        export_graph(model, find_networks(model), exported, target)
        graph = load_model(str(exported), device=CPU, dtype=torch.float32, trust_code=True)  # it was made here
        assert isinstance(graph, FrameModel)
        differences = compare_models(model, graph)
        worst = max(differences.values())
        if not worst <= tolerance:
            raise ModelError(
                f"{target}: the graph's frames differ by up to {worst:.1e} from those of `rollout`, more than "
                f"{tolerance:.0e}. Nothing was written.\nDo `rollout`, `init` and `step` do the same, and does no "
                "number decide which operations run? --tolerance allows more."
            )
        files = [(entry, entry.stat().st_size) for entry in sorted(Path(folder).iterdir())]
        for entry, _ in files:
            entry.replace(path.parent / entry.name)
    frames = min(COMPARED_FRAMES, model.card.max_horizon or COMPARED_FRAMES)
    return ExportedModel(path, sum(size for _, size in files), frames, differences)


def compare_models(first: FrameModel, second: FrameModel) -> dict[str, float]:
    """Largest difference of the frames of two models with one card, on contexts of clips and on random ones."""
    card = first.card
    store = ClipStore()
    rows = find_suite("smoke").rows[:COMPARED_CLIPS]
    seen = [torch.from_numpy(model_context(store.get(row, card.spec), card)) for row in rows]
    numbers = torch.Generator().manual_seed(0)
    random = torch.randint(0, 256, (COMPARED_CLIPS, card.context_frames, 3, *card.image_size), generator=numbers)
    differences = {}
    for name, frames in (
        ("contexts of clips", torch.stack(seen).permute(0, 1, 4, 2, 3).contiguous()),
        ("random contexts", random.to(torch.uint8)),
    ):
        answers = [_answer(model, normalized_frames(frames, CPU, torch.float32)) for model in (first, second)]
        differences[name] = float((answers[0] - answers[1]).abs().max())
    return differences


@torch.inference_mode()
def _answer(model: FrameModel, context: Tensor) -> Tensor:
    """Frames (B, T, 3, H, W), with a random push of each clip where the model takes actions."""
    card, (batch, count) = model.card, context.shape[:2]
    horizon = min(COMPARED_FRAMES, card.max_horizon or COMPARED_FRAMES)
    actions = None
    if card.uses_actions or card.uses_camera:
        numbers = torch.Generator().manual_seed(1)
        width = getattr(model, "action_values", ACTION_VALUES)
        actions = torch.zeros(batch, count + horizon, width)
        actions[:, [count - 1, count + horizon // 3]] = torch.rand(batch, 2, width, generator=numbers)
    generators = make_generators(range(batch), CPU)
    chunks = model.rollout(context, horizon=horizon, actions=actions, prompts=[""] * batch, generators=generators)
    return torch.cat(list(iterate_chunks(chunks)), 1)
