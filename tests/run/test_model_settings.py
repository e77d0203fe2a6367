"""What an adapter says of its model becomes part of the manifest, and decides whether a run goes on."""

from types import SimpleNamespace

import pytest

from physbench.adapters.model_protocol import ModelCard
from physbench.errors import UsageError
from physbench.rollouts.messages import LoadedModel
from physbench.run.pipeline import agree


def engine(settings):
    card = ModelCard("net", (64, 64), 15, 4)
    return SimpleNamespace(info=LoadedModel(card, False, "cpu", "float32", "x86", 0, 0, settings=settings))


def run_of(model, planned):
    folder = SimpleNamespace(path="runs/x")
    return SimpleNamespace(manifest={"model": model}, planned=planned, folder=folder, say=print)


def test_settings_are_written_down_and_other_ones_are_refused() -> None:
    run = run_of({}, planned=False)
    agree(run, engine({"calls": "steps=4"}))
    assert run.manifest["model"]["settings"] == {"calls": "steps=4"}
    again = run_of(run.manifest["model"], planned=True)
    agree(again, engine({"calls": "steps=4"}))
    with pytest.raises(UsageError, match=r"settings of the model was .*steps=4.* now it is .*steps=8"):
        agree(again, engine({"calls": "steps=8"}))


def test_models_without_settings_have_none_in_the_manifest() -> None:
    run = run_of({}, planned=False)
    agree(run, engine({}))
    assert "settings" not in run.manifest["model"]
