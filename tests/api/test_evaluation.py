"""What an evaluation gives to loggers, notebooks and tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from made_runs import built_once

import physbench
from physbench import ModelCard
from physbench.api.evaluation import Evaluation
from physbench.result.document import write_document
from physbench.rollout.store import Rollout, store_rollout
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.run_folder import RunFolder

TASK = "orbits/kepler"
MakeRun = Callable[..., RunFolder]


def evaluation(folder: RunFolder) -> Evaluation:
    return Evaluation(built_once(folder, resamples=200), folder)


@pytest.fixture
def result(make_run: MakeRun) -> Evaluation:
    return evaluation(make_run())


def test_scalars_hold_every_axis_family_task_quality_and_law(result: Evaluation) -> None:
    found = result.scalars()
    assert set(result.scalars(detail="axes")) < set(found)
    for axis, row in result["axes"].items():
        assert found[f"physbench/{axis}"] == row["skill"] and found[f"physbench/{axis}/quality"] == row["quality"]
    for family, axes in result["families"].items():
        for axis, row in axes.items():
            assert found.get(f"physbench/{family}/{axis}") == row["skill"]
            assert found.get(f"physbench/{family}/{axis}/quality") == row["quality"]
    for task, axes in result["tasks"].items():
        assert found.get(f"physbench/{task.removesuffix('-v1')}/drift") == axes["drift"]["skill"]
    laws = {name: reading for name, reading in result["readings"].items() if name.startswith("laws/")}
    assert laws
    for name, reading in laws.items():
        for task, row in reading["tasks"].items():
            assert found.get(f"physbench/{task.removesuffix('-v1')}/{name}") == row["value"]
    assert all(isinstance(value, float) for value in found.values())
    assert set(result.scalars("")) == {name.removeprefix("physbench/") for name in found}


def test_a_notebook_shows_words_and_skills_and_escapes_names(make_run: MakeRun) -> None:
    folder = make_run()
    built = built_once(folder, resamples=200)
    named = built.model.model_copy(update={"name": "<script>alert(1)</script>"})
    document = built.model_copy(update={"model": named})
    shown = Evaluation(document, folder)._repr_html_()
    assert "&lt;script&gt;" in shown and "<script>" not in shown
    assert document.sentences[0].split(".")[0] in shown and "kepler" in shown and "report</a>" not in shown
    folder.report.parent.mkdir(parents=True)
    folder.report.write_text("")
    assert folder.report.as_uri() in Evaluation(document, folder)._repr_html_()


def test_a_table_has_a_row_for_each_task_and_axis(result: Evaluation) -> None:
    table = result.to_pandas()
    assert len(table) == sum(map(len, result["tasks"].values()))
    row = table[(table["task"] == f"{TASK}-v1") & (table["axis"] == "drift")].iloc[0]
    assert row["skill"] == result["tasks"][f"{TASK}-v1"]["drift"]["skill"]


def test_a_figure_shows_each_family_on_each_axis(result: Evaluation) -> None:
    import matplotlib.pyplot as plt

    figure = result.plot()
    assert len(figure.axes) == 3 and plt.get_fignums() == []
    panel = figure.axes[0]
    marks = [line for line in panel.lines if line.get_marker() == "o"]
    shown = [result["axes"]["consistency"]["skill"]]
    shown += [axes["consistency"]["skill"] for axes in result["families"].values()]
    assert [float(np.ravel(line.get_xdata())[0]) for line in marks] == [each for each in shown if each is not None]
    for panel, axis in zip(figure.axes, result["axes"], strict=True):
        losses = [float(np.ravel(line.get_xdata())[0]) for line in panel.lines if line.get_marker() == "D"]
        guards = [axes[axis]["guard"] for axes in result["families"].values()]
        assert losses == [each for each in guards if each is not None]
        assert not losses or panel.get_xlim()[0] <= min(losses)
    assert "lost where a frozen frame does as well" in figure.get_supxlabel()


def test_evaluations_are_compared_with_paired_differences(make_run: MakeRun) -> None:
    first, second = evaluation(make_run(name="first")), evaluation(make_run(name="second"))
    compared = first.compare(second)
    assert compared.document.against[0].overall.ahead == 0
    said = "".join(str(compared).split())  # a long path is broken anywhere
    assert "".join(compared.sentences[0].split()) in said and "<pre>" in compared._repr_html_()
    assert first.compare(evaluation(make_run(8, 8, name="other"))).document.held[1] == 64
    with pytest.raises(UsageError, match="expected what"):
        first.compare("second")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected axes or all"):
        first.scalars(detail="families")  # type: ignore[arg-type]


def test_what_cannot_be_told_from_a_frozen_frame_says_so(make_run: MakeRun) -> None:
    """And how far its pixels have come: the mean over families of the mean over their tasks."""
    folder = make_run()
    pd.read_parquet(folder.reference("freeze").scores).to_parquet(folder.scores)
    found = evaluation(folder)
    assert found.sentences == ["Cannot be told from a frozen last frame: no axis differs from it."]
    table = pd.read_parquet(folder.scores)
    early = table[table["axis"] == "drift"].assign(reading="appearance/persistence-skill", axis=None, quality=np.nan)
    value = early["task"].map(lambda task: 0.3 if task.startswith("orbits/") else 0.1)
    pd.concat([table, early.assign(value=value)]).to_parquet(folder.scores)
    found = evaluation(folder)
    families = {task.split("/")[0] for task in found["tasks"]}
    mean = (0.3 + 0.1 * (len(families) - 1)) / len(families)
    assert found.scalars()["physbench/early"] == pytest.approx(mean)
    assert f"read {mean:.2f}: 0 is frozen, 1 is ground truth" in found.sentences[0]
    assert "Cannot be told" in str(found)


def test_tensorboard_reads_the_scalars_back(result: Evaluation, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        physbench.to_tensorboard(writer, result, 7)
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    for name, value in result.scalars().items():
        (event,) = read.Scalars(name)
        assert event.step == 7 and event.value == pytest.approx(value, rel=1e-6)
    assert read.Tags()["images"] == ["physbench"]


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    yield


@pytest.mark.slow
def test_weights_and_biases_takes_scalars_table_and_figure(
    result: Evaluation,
    offline: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it takes for one step, before or after, is not dropped (open-mmlab/mmdetection#7000, wandb/wandb#6269)."""
    import wandb

    run = wandb.init(mode="offline", project="physbench", dir=str(tmp_path))
    logged: dict[str, object] = {}
    steps: list[object] = []
    log = run.log

    def spy(data: dict[str, object], **more: object) -> None:
        logged.update(data)
        steps.append(more["step"])
        log(data, **more)

    monkeypatch.setattr(run, "log", spy)
    run.log({"loss": 1.0}, step=9)
    physbench.to_wandb(run, result, 7)  # later than what is logged for the last step, which takes nothing before it
    run.log({"loss": 0.5}, step=9)
    run.finish()
    assert result.scalars().items() <= logged.items() and logged["physbench/step"] == 7 and steps == [9, 9, 9]
    (table,) = tmp_path.rglob("*.table.json")
    assert len(json.loads(table.read_text())["data"]) == len(result.to_pandas())
    assert len(list(tmp_path.rglob("*.png"))) == len(list(tmp_path.rglob("*.wandb"))) == 1


QUIET = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False, "logger": False}


@pytest.fixture
def fitted(tmp_path: Path) -> Callable[..., dict[str, float]]:
    """Trains a module that keeps a table with a callback, and returns what was logged."""
    import lightning.pytorch as pl

    class Still(pl.LightningModule):
        card = ModelCard("still", image_size=(64, 64), fps=10, context_frames=2)

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.table: torch.Tensor | None = None

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            if self.table is None:
                self.table = torch.ones(1)
            return frames * self.weight * self.table

        def training_step(self, batch: torch.Tensor) -> torch.Tensor:
            return self(batch).sum() if self.trainer.current_epoch else (self.weight * 0).sum()

        def validation_step(self, batch: torch.Tensor) -> None:
            pass

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.0)

        def rollout(self, context, *, horizon, actions, prompts, generators):
            return self(context[:, -1:]).expand(-1, horizon, -1, -1, -1)

    def fit(callback: physbench.LightningCallback, *, epochs: int = 2, validated: bool = True) -> dict[str, float]:
        trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[callback], **QUIET)
        data = torch.utils.data.DataLoader(torch.ones(2, 1))
        trainer.fit(Still(), data, data if validated else None)
        return {name: float(value) for name, value in trainer.callback_metrics.items()}

    return fit


def test_a_module_is_trained_on_after_lightning_has_evaluated_it(
    fitted: Callable[..., dict[str, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning validates in inference mode, in which a table that is kept could not be trained through."""
    monkeypatch.chdir(tmp_path)
    options = {"tasks": "falling/projectile", "scorers": "drift/accuracy", "workers": 0}
    found = fitted(physbench.LightningCallback(**options))
    assert found["physbench/drift"] == pytest.approx(0)
    assert not list(tmp_path.iterdir()), "a quick evaluation leaves no folder"


@pytest.mark.parametrize("validated", [True, False])
def test_lightning_evaluates_every_so_many_epochs_with_and_without_a_validation(
    validated: bool, fitted: Callable[..., dict[str, float]], result: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(
        "physbench.api.lightning_callback.evaluate", lambda model, **options: asked.append(options) or result
    )
    found = fitted(physbench.LightningCallback(every=2, samples=3), epochs=4, validated=validated)
    assert asked == [{"quick": True, "report": False, "samples": 3}] * 2
    assert found == pytest.approx(result.scalars(detail="axes"))


def test_an_evaluation_that_fails_does_not_end_the_training(
    fitted: Callable[..., dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(model: object, **options: object) -> Evaluation:
        raise PhysbenchError("The disk is full.")

    monkeypatch.setattr("physbench.api.lightning_callback.evaluate", fail)
    with pytest.warns(UserWarning, match="no scores of epoch 0: The disk is full"):
        fitted(physbench.LightningCallback(), epochs=1)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="no suite"):
        fitted(physbench.LightningCallback(suite="smokes"), epochs=1)
    with pytest.raises(UsageError, match="at least 1 epoch"):
        physbench.LightningCallback(every=0)


@pytest.mark.slow
def test_the_callback_is_one_of_the_library_that_is_imported(tmp_path: Path) -> None:
    """There are two, and a trainer of one does not call callbacks of the other. A stand-in for one loads at once."""
    (tmp_path / "pytorch_lightning.py").write_text("class Callback: ...\n")
    program = "import pytorch_lightning, physbench; print(physbench.LightningCallback.__mro__[1].__module__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "pytorch_lightning\n"


def test_a_result_is_loaded_from_its_run(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run()
    with pytest.raises(UsageError, match=r"not finished: it holds no result.json. `physbench status"):
        physbench.load(folder.path)
    write_document(folder.result, built_once(folder, resamples=200))
    loaded = physbench.load(str(folder.path))
    assert loaded.scalars() == evaluation(folder).scalars() and loaded.folder == folder.path
    assert "kepler" in str(loaded)
    with pytest.raises(UsageError, match="no such folder"):
        physbench.load(tmp_path / "nothing")
    with pytest.raises(UsageError, match="is not a run"):
        physbench.load(tmp_path)


def test_tables_of_clips_and_readings(make_run: MakeRun) -> None:
    """Qualities of clips have the means of the result; readings are the rows of the table of scores."""
    lost = "orbits.kepler-v1.test.3"
    result = evaluation(make_run(6, 2, failed=frozenset({lost})))
    clips = result.to_pandas("clips")
    assert len(clips) == result["counts"]["clips"] and clips.index.name == "clip"
    for task, axes in result["tasks"].items():
        for axis, row in axes.items():
            assert clips.loc[clips["task"] == task, axis].mean() == pytest.approx(row["quality"], abs=1e-6)
    assert clips.loc[lost, "drift"] == 0 and "NaN" in clips.loc[lost, "failed"]
    assert (clips["failed"] == "").sum() == len(clips) - 1
    truth = result.to_pandas("clips", of="truth")
    assert list(truth.index) == list(clips.index) and (truth["drift"] == 0.99).all()
    readings = result.to_pandas("readings")
    pd.testing.assert_frame_equal(readings, pd.read_parquet(result.folder / "scores.parquet"), check_dtype=False)
    readings["value"] = 0.0
    assert not (result.to_pandas("readings")["value"] == 0).all(), "what is handed out is a copy"
    with pytest.raises(UsageError, match="rows: expected tasks, clips, readings, got 'axes'"):
        result.to_pandas("axes")
    with pytest.raises(UsageError, match=r"of: expected model, truth, .* got 'oracle' of clips"):
        result.to_pandas("clips", of="oracle")
    with pytest.raises(UsageError, match="got 'truth' of tasks"):
        result.to_pandas(of="truth")


def test_frames_tracks_and_truth_of_a_clip_are_read_when_asked_for(small_run: RunFolder) -> None:
    run = evaluation(small_run)
    failed, name = run.document.failures[0].clip, "orbits.kepler-v1.test.0"
    frames, clip, tracks = run.prediction(name), run.clip(name), run.tracks(name)
    assert np.array_equal(frames, clip.future()[np.arange(clip.horizon) // 2]), "all goes at half speed"
    assert len(tracks.times) == tracks.context + clip.horizon
    assert len(run.tracks(name, of="truth").times) == len(tracks.times)
    with pytest.raises(UsageError, match=r"the run has no 'orbits.kepler-v1.test.9'. Did you mean"):
        run.prediction("orbits.kepler-v1.test.9")
    with pytest.raises(UsageError, match=r"the run has no 'x'. The index of to_pandas"):
        run.prediction("x")
    with pytest.raises(UsageError, match="rollout of sample 0 was not kept: --keep-rollouts all"):
        run.prediction(failed)
    with pytest.raises(UsageError, match="sample: expected 0 to 0, got 1"):
        run.prediction(name, 1)
    with pytest.raises(UsageError, match="the run has no tracks of sample 0 of model"):
        run.tracks(failed)


def test_a_damaged_or_failed_rollout_is_refused(make_run: MakeRun) -> None:
    folder = make_run(1, 0)
    run, name = evaluation(folder), "orbits.kepler-v1.test.0"
    store_rollout(folder, Rollout(name, 0, np.zeros((0, 1, 1, 3), np.uint8), "OutOfMemory"), 15)
    with pytest.raises(UsageError, match="sample 0 failed: OutOfMemory"):
        run.prediction(name)
    store_rollout(folder, Rollout(name, 0, np.zeros((2, 64, 64, 3), np.uint8)), 15)
    folder.rollout(name).write_bytes(b"no video")
    with pytest.raises(UsageError, match="the rollout of sample 0 is damaged"):
        run.prediction(name)


@pytest.mark.slow
def test_a_result_is_loaded_without_torch(make_run: MakeRun) -> None:
    folder = make_run(1, 0)
    write_document(folder.result, built_once(folder, resamples=20))
    program = f"import sys, physbench; physbench.load({str(folder.path)!r}).axes; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_frames_of_a_run_behind_a_url_are_fetched_when_asked_for(small_run: RunFolder, tmp_path: Path) -> None:
    there = tmp_path / "bucket" / "run"
    shutil.copytree(small_run.path, there)
    folder = RunFolder(there)
    write_document(folder.result, built_once(folder, resamples=20))
    run, name = physbench.load(f"file://{there}"), "orbits.kepler-v1.test.0"
    assert not list((run.folder / "rollouts").glob("*.mkv"))
    assert np.array_equal(run.prediction(name), evaluation(small_run).prediction(name))
