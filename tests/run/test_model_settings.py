"""What an adapter says of its model becomes part of the manifest; its settings decide whether a run goes on."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_manifests import made_manifest

from physbench.models.protocol import ModelCard
from physbench.rollout.messages import LoadedModel
from physbench.run.options import Options
from physbench.run.rollouts import MOST_NOTES, RolloutNotes, agree
from physbench.run.state import Run
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder


def engine(settings, notes=()):
    card = ModelCard("net", (64, 64), 15, 4)
    return SimpleNamespace(info=LoadedModel(card, False, "cpu", "float32", "x86", 0, 0, notes=notes, settings=settings))


def run_of(model, planned, folder="runs/x", say=print):
    manifest = made_manifest(model, **({"batches": []} if planned else {}))
    return Run(RunFolder(Path(folder)), Options("m.py"), None, manifest, say, workers=1)


def test_settings_are_written_down_and_other_ones_are_refused() -> None:
    run = run_of({}, planned=False)
    agree(run, engine({"calls": "steps=4"}))
    assert run.manifest.model.settings == {"calls": "steps=4"}
    again = run_of(run.manifest.document()["model"], planned=True)
    agree(again, engine({"calls": "steps=4"}))
    with pytest.raises(UsageError, match=r"settings of the model was .*steps=4.* now it is .*steps=8"):
        agree(again, engine({"calls": "steps=8"}))


def test_models_without_settings_have_none_in_the_manifest() -> None:
    run = run_of({}, planned=False)
    agree(run, engine({}))
    assert "settings" not in run.manifest.document()["model"]


def test_notes_are_kept_once_also_those_that_are_not_printed(tmp_path) -> None:
    said = []
    run = run_of({}, planned=False, folder=tmp_path, say=said.append)
    agree(run, engine({}, ("The token is sent in the open.",)))
    live = SimpleNamespace(notes=[])
    notes = RolloutNotes(run, live)
    notes.note_down()
    assert not (tmp_path / "manifest.json").exists(), "nothing new"
    for batch in range(3):
        live.notes += [f"Note {batch}.{index}" for index in range(3)]
        notes.note_down()
    kept = json.loads((tmp_path / "manifest.json").read_text())["notes"]
    assert kept == ["The token is sent in the open.", *live.notes]
    assert said[1:] == [*live.notes[:MOST_NOTES], f"Further events and notes are in {tmp_path / 'manifest.json'}."]
    RolloutNotes(run, live).note_down()
    assert run.manifest.notes == kept, "a run that goes on says them again and keeps them once"
