"""Small ONNX graphs, made node by node, and the same models in torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

CARD = {"name": "made", "image_size": [64, 64], "fps": 15, "context_frames": 4}
FRAME = ("B", 3, 64, 64)
WEIGHTS = np.random.default_rng(0).normal(0, 0.2, (3, 3, 5, 5)).astype(np.float32)
PUSH = np.random.default_rng(1).normal(0, 1, (6, 3)).astype(np.float32)


def value(name: str, *shape: Any) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(
    nodes: Any,
    inputs: Any,
    outputs: Any,
    weights: dict[str, np.ndarray],
    card: dict[str, Any],
    kind: str = "frames",
) -> ModelProto:
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "made", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"physbench": json.dumps({"kind": kind, "card": {**CARD, **card}})})
    return model


def stepped(numbers: int = 6, **card: Any) -> ModelProto:
    """init: the last frame; step: sigmoid(convolution(memory) + action of so many numbers, or noise, by channel)."""
    extra = "action" if card.get("uses_actions") else "noise" if card.get("stochastic") else None
    nodes = [
        helper.make_node("Gather", ["context", "last"], ["init_memory"], axis=1),
        helper.make_node("Conv", ["memory", "weights"], ["moved"], pads=[2, 2, 2, 2]),
        helper.make_node("Sigmoid", ["sum" if extra else "moved"], ["next_memory"]),
        helper.make_node("Identity", ["next_memory"], ["frame"]),
    ]
    weights = {"last": np.array(3), "weights": WEIGHTS}
    inputs = [value("context", "B", 4, *FRAME[1:]), value("memory", *FRAME)]
    if extra:
        weights |= {"push": PUSH[: numbers if extra == "action" else 2], "axes": np.array([2, 3])}
        inputs.append(value(extra, "B", len(weights["push"])))
        nodes[2:2] = [
            helper.make_node("MatMul", [extra, "push"], ["flat"]),
            helper.make_node("Unsqueeze", ["flat", "axes"], ["offset"]),
            helper.make_node("Add", ["moved", "offset"], ["sum"]),
        ]
    return _model(
        nodes, inputs, [value(name, *FRAME) for name in ("init_memory", "next_memory", "frame")], weights, card
    )


def clip(length: int = 7, **card: Any) -> ModelProto:
    """The context's last frame, `length` times."""
    nodes = [helper.make_node("Gather", ["context", "last"], ["frames"], axis=1)]
    outputs = [value("frames", "B", length, *FRAME[1:])]
    return _model(nodes, [value("context", "B", 4, *FRAME[1:])], outputs, {"last": np.full(length, 3)}, card)


def surprised(
    frames: int | str = "T", name: str = "video", kind: str = "surprise", card: dict[str, Any] | None = None
) -> ModelProto:
    """Squared difference of each frame from the one before it; 0 at the first."""
    nodes = [
        helper.make_node("Slice", [name, "one", "end", "time"], ["later"]),
        helper.make_node("Slice", [name, "zero", "last", "time"], ["earlier"]),
        helper.make_node("Sub", ["later", "earlier"], ["apart"]),
        helper.make_node("Mul", ["apart", "apart"], ["squared"]),
        helper.make_node("ReduceMean", ["squared"], ["change"], axes=[2, 3, 4], keepdims=0),
        helper.make_node("Pad", ["change", "pads"], ["surprise"]),
    ]
    numbers = {"one": [1], "end": [2**31], "zero": [0], "last": [-1], "time": [1], "pads": [0, 1, 0, 0]}
    weights = {key: np.array(numbers_of, dtype=np.int64) for key, numbers_of in numbers.items()}
    stated = {"unit": "squared change", "sees": 0.5, **(card or {})}
    inputs, outputs = [value(name, "B", frames, *FRAME[1:])], [value("surprise", "B", frames)]
    return _model(nodes, inputs, outputs, weights, stated, kind)


def save(model: ModelProto, path: Path, change: Callable[[ModelProto], object] | None = None) -> Path:
    """Write a graph, after a change."""
    if change is not None:
        change(model)
    path.write_bytes(model.SerializeToString())
    return path


def torch_frames(context: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """What `stepped` predicts: context (B, C, 3, H, W), offsets of the channels (B, T, 3) -> (B, T, 3, H, W)."""
    frame, frames = context[:, -1], []
    for k in range(offsets.shape[1]):
        moved = torch.nn.functional.conv2d(frame, torch.from_numpy(WEIGHTS), padding=2)
        frame = (moved + offsets[:, k, :, None, None]).sigmoid()
        frames.append(frame)
    return torch.stack(frames, 1)
