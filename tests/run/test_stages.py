"""The stages of a run alone leave what eval leaves, and refuse what they cannot go on with."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from physbench.cli.main import run
from physbench.run import stages
from physbench.run.stages import note_environment, scoring_begun, stored_run
from physbench.support.errors import UsageError
from physbench.support.files import read_sealed_json, write_sealed_json
from physbench.support.run_folder import RunFolder

Words = Callable[..., tuple[str, ...]]
TABLES = ("scores.parquet", *(f"references/{name}/scores.parquet" for name in ("truth", "freeze", "constant-velocity")))


def edited(folder: Path, **changes: object) -> None:
    """Change entries of a manifest."""
    manifest = folder / "manifest.json"
    write_sealed_json(manifest, {**read_sealed_json(manifest), **changes})


@pytest.fixture(scope="module")
def rolled(staged_run: RunFolder, stage_words: Words, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is rolled out. Nobody may change it."""
    out = tmp_path_factory.mktemp("stages") / "rolled"
    assert run(stage_words("rollout", out)) == 0
    return out


@pytest.fixture
def copy(rolled: Path, tmp_path: Path) -> Path:
    shutil.copytree(rolled, tmp_path / "copy")
    return tmp_path / "copy"


NAN_IN_ONE_CLIP = """
from physbench import ModelCard

class Model:
    card = ModelCard("sick", image_size=(64, 64), fps=15, context_frames=2)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        for step in range(horizon):
            frame = context[:, -1:].clone()
            if step == 2:
                frame[0] = float("nan")
            yield frame

def make(*, device, dtype):
    return Model()
"""


@pytest.mark.slow
def test_a_rollout_says_how_many_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else does before the scores, which may be made elsewhere and much later."""
    model, out = tmp_path / "sick.py", str(tmp_path / "run")
    model.write_text(NAN_IN_ONE_CLIP)
    words = (
        "--suite",
        "smoke",
        "--tasks",
        "falling/projectile",
        "--limit",
        "2",
        "--batch-size",
        "2",
        "--device",
        "cpu",
    )
    command = ("rollout", f"{model}:make", *words, "--out", out)
    told = "1 of 2 rollouts failed and will count as 0: Predicted frame 3 of 60 holds NaN"
    for resumed in ((), ("--resume",)):
        assert run((*command, *resumed)) == 0
        assert told in capsys.readouterr().err


def test_three_stages_are_one_eval(staged_run: RunFolder, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same bytes of tables, the same result but for times, and each stage leaves what is its own."""
    assert {path.name for path in copy.iterdir()} == {"manifest.json", "rollouts", ".lock"}
    assert run(("finish", str(copy))) == 2
    missing = "no scores of 8 of 8 rollouts, the references of 4 of 4 clips and the samples together of 4 of 4 clips"
    said = capsys.readouterr().err
    assert f"{copy}: is not scored yet: {missing}. First: physbench score {copy}" in said
    assert run(("score", str(copy))) == 0
    said = capsys.readouterr()
    assert said.out == f"{copy}\n" and f"physbench finish {copy}" in said.err
    assert not (copy / "result.json").exists() and not (copy / "scores.parquet").exists()
    assert run(("finish", str(copy), "--json")) == 0
    assert json.loads(capsys.readouterr().out) == read_sealed_json(copy / "result.json")
    for name in TABLES:
        assert (copy / name).read_bytes() == (staged_run.path / name).read_bytes(), name
    results = [read_sealed_json(place / "result.json") for place in (copy, staged_run.path)]
    assert {**results[0], "speed": 0} == {**results[1], "speed": 0}
    before = (copy / "scores.parquet").read_bytes()
    assert run(("score", str(copy))) == 0
    assert "All 8 rollouts are scored already" in capsys.readouterr().err
    assert (copy / "scores.parquet").read_bytes() == before


def test_what_is_not_rolled_out_is_not_scored(copy: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sidecar = next((copy / "rollouts").glob("*.json"))
    sidecar.unlink()
    for stage in ("score", "finish"):
        assert run((stage, str(copy))) == 2
        said = capsys.readouterr().err
        assert "1 of 3 batches are missing. First: physbench rollout " in said and "--resume" in said
    manifest = read_sealed_json(copy / "manifest.json")
    del manifest["batches"]
    write_sealed_json(copy / "manifest.json", manifest)
    assert run(("score", str(copy))) == 2
    assert "was not rolled out yet" in capsys.readouterr().err
    for place in (tmp_path / "none", tmp_path):
        assert run(("score", str(place))) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert run(("score", str(copy), "--workers", "-1")) == 2
    assert "--workers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("code", "The source code of physbench is 'another' in the run"),
        ("physbench", "The version of physbench is 'another'"),
        ("pybullet", "The version of pybullet is 'another'"),
    ],
)
def test_another_version_goes_no_further(copy: Path, capsys: pytest.CaptureFixture[str], name: str, words: str) -> None:
    """Libraries of the machine with the GPU may be others; what makes clips and scores may not."""
    versions = read_sealed_json(copy / "manifest.json")["versions"]
    edited(copy, versions={**versions, "torch": "9+cuda", name: "another"})
    for stage in ("score", "finish"):
        assert run((stage, str(copy))) == 2
        assert words in capsys.readouterr().err


@pytest.mark.slow
def test_scores_of_two_environments_never_mix(
    copy: Path, staged_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = read_sealed_json(copy / "manifest.json")["versions"]
    edited(copy, versions={**versions, "torch": "9+cuda"})
    assert run(("score", str(copy))) == 0
    assert read_sealed_json(copy / "manifest.json")["scored_with"]["torch"] == versions["torch"]
    edited(copy, scored_with={**versions, "numpy": "0.1"})
    part = next((copy / "parts").glob("*.json"))
    part.unlink()
    assert run(("score", str(copy))) == 2
    said = capsys.readouterr().err
    assert "a part is scored with numpy 0.1, and here is" in said and "--fresh" in said
    assert run(("score", str(copy), "--fresh")) == 0
    assert read_sealed_json(copy / "manifest.json")["scored_with"]["numpy"] == versions["numpy"]
    assert part.read_bytes() == (staged_run.path / "parts" / part.name).read_bytes()
    sidecar = next((copy / "rollouts").glob("*.json"))
    sidecar.unlink()
    assert run(("score", str(copy), "--fresh")) == 2
    assert "1 rollout of" in capsys.readouterr().err and part.exists(), "nothing is lost that cannot be made again"


def test_clips_of_another_machine_are_not_scored_as_those_of_this(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = read_sealed_json(copy / "manifest.json")["states"]
    first = next(iter(states))
    edited(copy, states={**states, first: "0" * 64})
    assert run(("score", str(copy))) == 1
    said = capsys.readouterr().err
    assert f"1 of 4 clips differently from the one that rolled the model out (the first is {first})" in said
    assert not (copy / "parts").exists() and not (copy / "references").exists()


@pytest.mark.slow
def test_a_damaged_rollout_is_made_again_before_it_is_scored(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = next((copy / "rollouts").glob("*.mkv"))
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    assert run(("score", str(copy))) == 2
    said = capsys.readouterr().err
    command = said[said.index("physbench rollout") :].strip()
    assert run(shlex.split(command)[1:]) == 0
    assert video.read_bytes() == content


def test_a_run_without_an_archive_takes_none(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(stages.UsageError, match="was not rolled out on an archive"):
        stages.stored_run(RunFolder(copy), ("score",), print, clips=copy / "x.clips")


def test_what_scored_a_run_is_remembered_over_sessions(copy: Path) -> None:
    """A session that ends before its first part, and the next one on the same machine: both name these libraries."""
    edited(copy, versions={**read_sealed_json(copy / "manifest.json")["versions"], "scikit-image": None})
    for _ in range(2):
        run = stored_run(RunFolder(copy), ("score",), print)
        note_environment(run)
        run.save_manifest()
        assert read_sealed_json(copy / "manifest.json")["scored_with"]["scikit-image"]
    part = RunFolder(copy).reference("truth").part(run.rows[0].id)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(b"")
    assert scoring_begun(run)
    edited(copy, scored_with={**run.manifest.scored_with, "numpy": "0.1"})
    with pytest.raises(UsageError, match=r"scored with numpy 0\.1"):
        note_environment(stored_run(RunFolder(copy), ("score",), print))
