"""`physbench.evaluate` from Python, on clips and on films."""

from __future__ import annotations

import gc
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

import physbench
from physbench import ModelCard
from physbench.models.load_model import load_model
from physbench.support.errors import ModelError, UsageError
from physbench.support.files import read_sealed_json
from physbench.surprise.ask import read_part

pytestmark = pytest.mark.usefixtures("warm_models")
EXAMPLE = Path(__file__).parents[2] / "examples" / "train_on_physbench.py"
SMALL = {
    "limit": 1,
    "tasks": "falling/projectile-v1",
    "scorers": "permanence/intact,drift/*",  # shadowing takes seconds a clip
    "workers": 1,
}


class Still:
    """The last frame, as baseline:freeze."""

    card = ModelCard("still", image_size=(64, 64), fps=10, context_frames=2)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)


@pytest.mark.slow
def test_an_object_gets_the_scores_of_the_same_model_in_a_process(tmp_path: Path, capfd) -> None:
    ours = physbench.evaluate(Still(), out=tmp_path / "live", **SMALL)
    said = capfd.readouterr()
    assert said.out == "" and "Loading" not in said.err and "Done" not in said.err
    other = physbench.evaluate(
        "baseline:freeze",
        out=tmp_path / "process",
        report=False,
        model_arg={"size": 64, "fps": 10, "context": 2},
        **SMALL,
    )
    assert (tmp_path / "live" / "scores.parquet").read_bytes() == (tmp_path / "process" / "scores.parquet").read_bytes()
    assert ours.axes == other.axes
    assert ours["model"]["target"] == "live:still" and ours["model"]["sha256"] is None
    assert ours.report == tmp_path / "live" / "report" / "index.html"
    assert other.report is None
    assert dict(ours) == read_sealed_json(tmp_path / "live" / "result.json")
    assert ours.overall is None and ours["overall"]["reason"] == "not every task of the suite was run"
    assert ours.axes["drift"] == pytest.approx(0)
    assert ours.scalars()["physbench/drift"] == ours.axes["drift"]
    assert "physbench/overall" not in ours.scalars()
    assert "projectile" in str(ours) and "\x1b" not in str(ours)
    assert ours.failed == 0 and ours.sentences == ours["sentences"]


def test_a_model_that_raises_is_a_result(tmp_path: Path) -> None:
    class Broken(Still):
        def rollout(self, *_, **__):
            raise ValueError("not trained yet")

    result = physbench.evaluate(Broken(), out=tmp_path / "run", report=False, **SMALL)
    assert result.failed == result["counts"]["clips"] == 1
    assert "not trained yet" in result["failures"][0]["reason"]


def test_what_is_asked_wrongly_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="device is for a MODEL"):
        physbench.evaluate(Still(), device="cuda")
    with pytest.raises(UsageError, match="cannot be resumed"):
        physbench.evaluate(Still(), out=tmp_path, resume=True)
    with pytest.raises(ModelError, match="no method `rollout`"):
        physbench.evaluate(torch.nn.Identity())  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"DataParallel has no method `rollout`\. It wraps .* give its `\.module`"):
        physbench.evaluate(torch.nn.DataParallel(Net()))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no suite"):
        physbench.evaluate(Still(), suite="smokes")


def test_the_training_loop_of_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = runpy.run_path(str(EXAMPLE))["train"](steps=4, every=2, seeds=range(8), **SMALL)
    assert first.folder == Path("runs/next-frame-smoke-1") and second.folder == Path("runs/next-frame-smoke-2")
    assert first["counts"]["scored"] == 1
    assert first["readings"] != second["readings"]
    assert "step 4: loss" in capsys.readouterr().out
    device, args = torch.device("cpu"), {"weights": "next-frame.pt"}
    trained = load_model(f"{EXAMPLE}:make", device=device, dtype=torch.float32, model_args=args)
    assert (trained.card.name, trained.card.track, trained.card.training_clips) == ("next-frame", "trained", 200)
    context = torch.rand(1, 2, 3, 64, 64)
    (frame,) = trained.rollout(context, horizon=1, actions=None, prompts=[""], generators=[])
    assert not torch.equal(frame, context[:, 1:]), "the weights are those that were kept"


class Net(torch.nn.Module):
    """The last frame times a weight; interrupted at the second call where it is asked to be."""

    card = ModelCard("net", image_size=(64, 64), fps=10, context_frames=2)
    calls, stops = 0, False

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def rollout(self, context, *, horizon, actions, prompts, generators):
        self.calls += 1
        if self.stops and self.calls == 2:
            signal.raise_signal(signal.SIGINT)
        return (context[:, -1:] * self.weight).expand(-1, horizon, -1, -1, -1)


QUICK = {"tasks": "falling/projectile-v1", "scorers": "drift/accuracy", "workers": 0, "diagnosis": False}


def test_an_interrupted_evaluation_goes_on_with_the_same_weights(tmp_path: Path) -> None:
    """Ctrl-C is a KeyboardInterrupt, which programs around do not take for a failure, and says which call goes on."""
    net, options = Net(), {**QUICK, "out": tmp_path / "run", "limit": 2, "batch_size": 1, "report": False}
    net.stops = True
    with pytest.raises(KeyboardInterrupt) as caught:
        physbench.evaluate(net, **options)
    said = f"evaluate(model, ..., out={str(tmp_path / 'run')!r}, resume=True)"
    assert f"1 of 2 rollouts are scored and kept in {tmp_path / 'run'}. Go on with:\n  {said}" in str(caught.value)
    with pytest.raises(UsageError, match="holds a run of other settings"):
        other = Net()
        other.weight.data += 1
        physbench.evaluate(other, resume=True, **options)
    net.stops, net.calls = False, 0
    result = physbench.evaluate(net, resume=True, **options)
    assert net.calls == 1 and result["counts"]["scored"] == 2 and result["model"]["sha256"]
    assert physbench.load(tmp_path / "run").scalars() == result.scalars()


def test_a_quick_evaluation_takes_a_clip_of_each_task_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = physbench.evaluate(Net(), quick=True, **{**QUICK, "tasks": "falling/projectile-v1,falling/drop-bounce-v1"})
    assert result["counts"]["clips"] == 2 and len(result.tasks) == 2 and result.report is None
    assert "drift" in result.scalars("") and result.plot() is not None
    folder = result.folder
    assert folder.is_dir() and not list(tmp_path.iterdir())
    del result
    gc.collect()
    assert not folder.exists()
    stopped = Net()
    stopped.stops, stopped.calls = True, 1
    before = set(Path(tempfile.gettempdir()).glob("physbench-*"))
    with pytest.raises(KeyboardInterrupt, match="nothing is kept"):
        physbench.evaluate(stopped, quick=True, **QUICK)
    assert set(Path(tempfile.gettempdir()).glob("physbench-*")) <= before
    for wrong in (
        {"keep": False, "out": "x"},
        {"keep": False, "resume": True},
        {"quick": True, "suite": "expectation"},
    ):
        with pytest.raises(UsageError, match=r"^(keep|quick)"):
            physbench.evaluate(Net(), **wrong)


def test_a_script_without_a_main_guard_is_not_run_again_by_the_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nfrom physbench.support.processes import WorkerPool\nprint('once', flush=True)\n"
        "with WorkerPool(1) as pool:\n    print(pool.submit(os.getpid).result() != os.getpid())\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["once", "True"]


ASKED = {"suite": "expectation", "tasks": "gravity", "limit": 1, "workers": 1}


class FrozenFrame:
    """A frozen frame, whose surprise is that of the pixel baseline of this name."""

    card = physbench.ModelCard(name="still", image_size=(64, 64), fps=15, context_frames=8)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        return context[:, -1:].expand(-1, horizon, -1, -1, -1)


@pytest.mark.slow
def test_an_object_is_asked_in_this_process(tmp_path: Path) -> None:
    evaluation = physbench.evaluate(FrozenFrame(), out=tmp_path / "run", report=False, **ASKED)
    parts = [read_part(path) for path in (tmp_path / "run" / "parts").glob("*.json")]
    assert parts
    for part in parts:
        for name, surprise in part["films"].items():
            assert surprise == pytest.approx(part["baselines"]["frozen frame"][name], rel=1e-3)
    assert evaluation["expectation"]["everything"]["pairs"] == 1 and evaluation.overall is None
    assert evaluation.told_apart == evaluation["expectation"]["counted"]["accuracy"]
    assert "Too few clips" in str(evaluation) and "skill" not in str(evaluation)
    assert not (tmp_path / "run" / "report").exists()
    table = evaluation.to_pandas()
    assert list(table["kind"]) == ["gravity"] and table["pairs"].sum() == 1
    assert table["told_apart"][0] == evaluation["expectation"]["kinds"]["gravity"]["accuracy"]
    assert len(evaluation.plot().axes) == 1
    assert "Too few clips" in evaluation._repr_html_()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"untrained_copy": True}, "not of an object"),
        ({"resume": True}, "cannot be resumed"),
        ({"scorers": "x"}, "no scorers"),
    ],
)
def test_what_an_object_cannot_be_asked_is_refused(wrong: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        physbench.evaluate(FrozenFrame(), out=tmp_path / "run", **ASKED, **wrong)
    assert not (tmp_path / "run").exists()
