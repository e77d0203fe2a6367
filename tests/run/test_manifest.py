"""A run goes on under its own settings only, those of its model among them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_manifests import made_manifest

from physbench.clips.suite import find_suite
from physbench.models.protocol import ModelCard
from physbench.result.manifest import Manifest
from physbench.rollout.messages import LoadedModel
from physbench.run.manifest import first_difference, refuse_other_settings, requested_manifest
from physbench.run.options import Options
from physbench.run.rollouts import MOST_NOTES, RolloutNotes, agree
from physbench.run.state import Run
from physbench.run.versions import code_hash, foreign_code_hash, versions
from physbench.score.score_clip import find_scorers
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder

OPTIONS = Options("baseline:freeze", suite="smoke")


def asked(options: Options = OPTIONS, sha256: str | None = "a", code: str = "c") -> Manifest:
    suite = find_suite(options.suite, options.limit, options.tasks)
    return requested_manifest(options, suite, sha256, {"physbench": "0", "code": code})


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (asked(replace(OPTIONS, model="baseline:oracle")), "MODEL"),
        (asked(sha256="b"), "sha256"),
        (asked(replace(OPTIONS, model_arg={"size": "96"})), "--model-arg"),
        (asked(replace(OPTIONS, suite="core")), "--suite was 'smoke', now it is 'core'"),
        (asked(replace(OPTIONS, limit=4)), "--limit.*56.*4"),
        (asked(replace(OPTIONS, tasks="falling/*")), "--tasks.*56.*16"),
        (asked(replace(OPTIONS, scorers="drift/*")), "--scorers"),
        (asked(replace(OPTIONS, samples=2)), "--samples was 1, now it is 2"),
        (asked(replace(OPTIONS, seed=1)), "--seed"),
        (asked(replace(OPTIONS, dtype="float16")), "--dtype"),
        (asked(replace(OPTIONS, autocast="float16")), "--autocast was not given, now it is 'float16'"),
        (asked(replace(OPTIONS, compile=True)), "--compile was False, now it is True"),
        (asked(replace(OPTIONS, batch_size=3)), "--batch-size"),
        (asked(replace(OPTIONS, chain=False)), "--chain"),
        (asked(replace(OPTIONS, device="cpu")), "--device was 'auto', now it is 'cpu'"),
        (asked(code="d"), "source code"),
    ],
)
def test_the_first_other_setting_is_named(other: Manifest, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        refuse_other_settings(asked(), other, Path("runs/x"))
    assert "--fresh" in str(caught.value) and len(str(caught.value).splitlines()) <= 2


def test_what_does_not_decide_scores_may_change() -> None:
    other = replace(OPTIONS, workers=7, timeout=3.0, keep_rollouts="all")
    assert first_difference(asked(), asked(other)) is None


def test_devices_of_a_kind_give_the_same_answers() -> None:
    one, two = (asked(replace(OPTIONS, device=names)) for names in ("cuda:1", "cuda:0,cuda:1"))
    assert first_difference(one, two) is None
    assert "--device" in str(first_difference(two, asked(replace(OPTIONS, device="cpu"))))


def test_other_weights_behind_a_model_arg_are_another_run(tmp_path: Path) -> None:
    weights = tmp_path / "net.pt"
    options = replace(OPTIONS, model="my_model.py:make", model_arg={"weights": str(weights), "folder": str(tmp_path)})
    assert asked(options).model.files == {}
    weights.write_bytes(b"one")
    before = asked(options)
    assert first_difference(before, asked(options)) is None
    weights.write_bytes(b"two")
    assert "--model-arg" in str(first_difference(before, asked(options)))


def test_a_folder_behind_a_model_arg_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the export that videos answer to; of what is too large, size and time."""
    (tmp_path / "deep").mkdir()
    manifest = tmp_path / "deep" / "manifest.json"
    manifest.write_text("one")
    options = replace(OPTIONS, model="videos:answers", model_arg={"export": str(tmp_path)})
    for limit in (1 << 30, 0):
        monkeypatch.setattr("physbench.run.manifest.MOST_READ", limit)
        before = asked(options)
        assert first_difference(before, asked(options)) is None
        manifest.write_text(manifest.read_text()[::-1])
        os.utime(manifest, (limit, limit))
        assert "files given by --model-arg" in str(first_difference(before, asked(options)))


def test_the_code_hash_covers_what_it_says() -> None:
    assert code_hash() == code_hash() != code_hash(purpose="runs")
    assert set(versions()) >= {"physbench", "python", "torch", "numpy", "pybullet", "code"}


def test_scorers_that_are_not_physbenchs_are_told_apart_from_its_own_code(tmp_path: Path) -> None:
    """Runs with and without them compare; a resumed one needs them as they were."""
    assert foreign_code_hash(find_scorers()) is None
    mine = tmp_path / "mine.py"
    mine.write_text((Path(__file__).parents[2] / "examples" / "my_scorer.py").read_text())
    before = foreign_code_hash(find_scorers(str(mine)))
    assert before is not None and before == foreign_code_hash(find_scorers(f"gravity,{mine}"))
    mine.write_text(mine.read_text() + "# edited\n")
    assert foreign_code_hash(find_scorers(str(mine))) != before
    stored = asked().model_copy(update={"foreign_code": before})
    assert "not physbench's" in str(first_difference(stored, asked()))


def engine(settings, notes=()):
    card = ModelCard("net", (64, 64), 15, 4)
    return SimpleNamespace(info=LoadedModel(card, False, "cpu", "float32", "x86", 0, 0, notes=notes, settings=settings))


def run_of(model, planned, folder="runs/x", say=print):
    manifest = made_manifest(model, **({"batches": []} if planned else {}))
    return Run(RunFolder(Path(folder)), Options("m.py"), find_suite("smoke"), manifest, say, workers=1)


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
