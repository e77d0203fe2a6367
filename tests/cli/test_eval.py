"""How `eval`, `rollout` and `score` begin."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from physbench.cli.main import run


def test_sigterm_while_the_command_begins_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork server of the workers is there before the run is, and has a temporary folder."""
    temporary = Path(tempfile.mkdtemp(dir="/tmp"))  # is short enough for names of sockets
    monkeypatch.setenv("TMPDIR", str(temporary))
    words = ("eval", "baseline:freeze", "--suite", "smoke", "--out", str(tmp_path / "run"))
    command = (sys.executable, "-c", "from physbench.cli.main import main; main()", *words)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not any(temporary.iterdir()):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)  # while the server is started, signals are ignored
        process.terminate()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Interrupted" in said, said
    assert not any(temporary.iterdir())
    temporary.rmdir()


@pytest.mark.parametrize("command", ["eval", "rollout", "eval --dry-run", "models check"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--device cud", "Error: --device: there is no 'cud'. Did you mean cuda"),
        (
            "--model-arg wieghts=a.pt",
            "Error: --model-arg wieghts: {} has no argument of that name. Did you mean weights",
        ),
        (
            "--model-arg weights",
            "Error: --model-arg: expected key=value, got 'weights'. Write --model-arg weights=VALUE",
        ),
    ],
)
def test_a_wrong_device_or_argument_is_refused_before_the_file_of_the_model_runs(
    command: str,
    words: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "mine.py"
    model.write_text("raise AssertionError('it ran')\ndef make(*, device, dtype, weights='w.pt'): pass\n")
    name, *more = command.split()
    if name == "models":
        name, more = command, []
    assert run([*name.split(), f"{model}:make", *words.split(), *more]) == 2
    line = capfd.readouterr().err
    assert line.startswith(said.format(f"{model}:make")) and line.count("\n") == 1
    assert list(tmp_path.iterdir()) == [model]


SURPRISED = """
from physbench.models.protocol import SurpriseCard


class Jumps:
    card = SurpriseCard("jumps", (64, 64), 15, 4)

    def surprise(self, video, *, context, actions, prompts, generators):
        return (video[:, 1:] - video[:, :-1]).square().mean((2, 3, 4))


def make(*, device, dtype):
    return Jumps()
"""


@pytest.mark.usefixtures("warm_models")
@pytest.mark.parametrize("more", [["--dry-run"], []])
def test_a_model_of_surprise_is_refused_on_clips_by_a_dry_run_too(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jumps.py").write_text(SURPRISED)
    assert run(["eval", "jumps.py:make", "--suite", "smoke", "--device", "cpu", *more]) == 2
    assert "jumps answers with its surprise at films. Ask it with --suite expectation." in capfd.readouterr().err
