import pytest
import torch


@pytest.fixture
def load():
    """Load a model as the harness does, on the CPU."""
    from physbench.adapters.load import load_model

    def call(target, **model_args):
        return load_model(str(target), device=torch.device("cpu"), dtype=torch.float32, model_args=model_args)

    return call


@pytest.fixture
def code(tmp_path):
    """Write a Python file with `body` behind the usual imports and return its path."""

    def write(body: str, name: str = "my_model.py"):
        path = tmp_path / name
        head = "import torch\nfrom physbench import ModelCard\ncard = ModelCard('mine', (64, 64), 15, 4)\n"
        path.write_text(head + body)
        return path

    return write
