"""`physbench models check` on the README's example and on models that are wrong in one way each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from physbench.cli.main import run
from physbench.cli.models import NOTHING, summed_up


def test_the_last_word_counts_what_was_found() -> None:
    assert summed_up(0, 0, failed=False) == NOTHING
    assert summed_up(0, 3, failed=False) == "it can be evaluated; see the 3 notes above"
    assert summed_up(1, 1, failed=False) == "it can be evaluated; see the problem and note above"
    assert summed_up(2, 0, failed=True) == "it cannot be evaluated: see the 2 problems above"


EXAMPLE = Path(__file__).parents[2] / "examples" / "my_model.py"


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def check(capfd):
    """Run the command and return its exit code, stdout and stderr."""

    def call(target, *options):
        code = run(["models", "check", str(target), *options])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.usefixtures("warm_models")
def test_the_example_of_15_lines_wraps_a_checkpoint(check, tmp_path) -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line.strip() and not line.startswith('"""')]
    assert len(lines) <= 15
    torch.manual_seed(0)
    torch.save(torch.nn.Conv2d(6, 3, 5, padding=2).state_dict(), "own.pt")
    code, out, _ = check(f"{EXAMPLE}:make", "--model-arg", "weights=own.pt", "--device", "cpu", "--out", "side.png")
    assert code == 0, out
    assert "my-model: 64x64 px, 15 frames/s, 2 context frames" in out
    assert "it can be evaluated; see the note above" in out and "s a clip" in out and "MB" in out
    assert (tmp_path / "side.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("warm_models")
def test_a_wrong_model_is_told_in_words_and_exits_with_1(check, tmp_path) -> None:
    (tmp_path / "wrong.py").write_text(
        """import torch
from physbench import ModelCard
class Wrong:
    card = ModelCard("wrong", (64, 64), 15, 4)
    def rollout(self, context, *, horizon, actions, prompts, generators):
        print("on stdout")
        return context[:, -1:].expand(-1, horizon, -1, -1, -1) * 255
def make(*, device, dtype):
    return Wrong()
"""
    )
    code, out, error = check("wrong.py:make", "--device", "cpu")
    assert code == 1
    assert "problem  Expected values in [0, 1], got" in out and "divide by 255" in out
    assert "on stdout" in error and "on stdout" not in out
    assert (tmp_path / "checks" / "wrong.png").exists()


@pytest.mark.usefixtures("warm_models")
def test_memory_that_was_not_measured_is_not_said(check, tmp_path) -> None:
    """The process of a model that exits tells nothing more; "0 MB" would be a measured value."""
    (tmp_path / "exits.py").write_text(
        """import os
from physbench import ModelCard
class Exits:
    card = ModelCard("exits", (32, 32), 8, 4)
    def rollout(self, context, *, horizon, actions, prompts, generators):
        os._exit(3)
def make(*, device, dtype):
    return Exits()
"""
    )
    code, out, _ = check("exits.py:make", "--device", "cpu")
    assert code == 1 and "problem" in out and "memory" not in out


@pytest.mark.usefixtures("warm_models")
def test_surprise_that_depends_on_later_frames_is_a_problem(check, tmp_path) -> None:
    (tmp_path / "surprised.py").write_text(
        """import torch
from physbench import SurpriseCard
class Surprised:
    card = SurpriseCard("surprised", (32, 32), 8, 4)
    def __init__(self, ahead):
        self.ahead = ahead
    def surprise(self, video, *, context, actions, prompts, generators):
        change = video.diff(dim=1, prepend=video[:, :1]).abs().mean((2, 3, 4))
        return change.flip(1).cumsum(1).flip(1) if self.ahead else change.cumsum(1)
def behind(*, device, dtype):
    return Surprised(False)
def ahead(*, device, dtype):
    return Surprised(True)
def honest(*, device, dtype):
    model = Surprised(True)
    model.card = SurpriseCard("surprised", (32, 32), 8, 4, ahead=5.0)
    return model
"""
    )
    code, out, _ = check("surprised.py:behind", "--device", "cpu")
    assert code == 0 and "nothing wrong was found" in out and "problem" not in out and "picture" not in out
    code, out, _ = check("surprised.py:ahead", "--device", "cpu")
    assert code == 0 and "problem  Surprise depends on later frames" in out
    code, out, _ = check("surprised.py:honest", "--device", "cpu")
    assert code == 0 and "problem" not in out and "what comes up to 5 s later, as its card says" in out


@pytest.mark.usefixtures("warm_models")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.pt"], "gone.pt does not exist"),
        (["baseline:freez"], "Did you mean freeze"),
        (["baseline:freeze", "--out", "picture.jpg"], "expected a .png file"),
        (["baseline:freeze", "--timeout", "0"], "--timeout: expected seconds above 0"),
        (["baseline:freeze", "--model-arg", "size"], "expected key=value"),
        (["baseline:freeze", "--model-arg", "size=9", "--device", "cpu"], "between 32 and 2048"),
    ],
)
def test_wrong_use_exits_with_2_in_a_line_or_two(check, arguments, words) -> None:
    code, out, error = check(*arguments)
    assert code == 2 and out == "" and words in error
    assert len(error.strip().splitlines()) <= 2


@pytest.mark.usefixtures("warm_models")
def test_the_list_names_what_can_be_evaluated(capfd) -> None:
    import json

    assert run(["models", "list"]) == 0
    out = capfd.readouterr().out
    for words in ("baseline:freeze", "64x64 px, 15 frames/s", "path/to/file.py:factory", "objects", "privileged"):
        assert words in out
    assert run(["models", "list", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert "baseline:oracle" in [model["model"] for model in document["models"]]
    assert {"jepa", "objects", "rssm", "simple", "token-ar"} <= set(document["architectures"])


@pytest.mark.usefixtures("warm_models")
def test_a_picture_that_cannot_be_written_is_told_first(check) -> None:
    code, out, error = check("baseline:freeze", "--out", "/proc/nowhere/a.png")
    assert code == 2 and out == "" and "--out" in error and len(error.splitlines()) == 1
