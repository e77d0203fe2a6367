"""The adapters of public checkpoints, on random weights in the layouts of those files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import torch

EXAMPLES = Path(__file__).parent.parent / "examples" / "public_checkpoints"


def adapter(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_moving_mnist_convlstm_predicts_each_colour_by_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = adapter("moving_mnist_convlstm")
    torch.save(module.Network().state_dict(), tmp_path / "random.pth")
    model = module.make(device=torch.device("cpu"), dtype=torch.float32, weights=str(tmp_path / "random.pth"))
    context = torch.full((2, 10, 3, 64, 64), 0.8)
    context[0, :, 0, 20:30, 20:30] = 0.3  # a dark square in the red channel of the first clip

    with torch.inference_mode():
        frames = torch.cat(
            list(model.rollout(context, horizon=3, actions=None, prompts=["", ""], generators=[])), dim=1
        )

    assert frames.shape == (2, 3, 3, 64, 64)
    assert torch.equal(frames[0, :, 1], frames[0, :, 2])  # two channels without anything in them
    assert not torch.equal(frames[0, :, 0], frames[0, :, 1])
    torch.testing.assert_close(frames[0, :, 1], frames[1, :, 1])
