"""A fixture: models as the harness loads them."""

import pytest
import torch


@pytest.fixture
def load():
    """Load a model as the harness does, on the CPU."""
    from physbench.models.load_model import load_model

    def call(target, **model_args):
        return load_model(str(target), device=torch.device("cpu"), dtype=torch.float32, model_args=model_args)

    return call
