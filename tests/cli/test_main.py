"""The program itself: help, versions, exit codes, errors in one or two lines; completion in bash and zsh."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from physbench import __version__
from physbench.cli import main
from physbench.run.options import ADVANCED, HOW, WHAT, WHERE
from physbench.support.errors import ModelError, PhysbenchError, UsageError


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from physbench.cli.main import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make the program have one command, `fail`, that raises."""
    app = typer.Typer()
    app.callback()(main._root)

    @app.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "COMMANDS", {"fail": "Fail."})
    monkeypatch.setattr(main, "build", lambda commands=(): app)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"physbench {__version__}\n"


def test_help_lists_the_commands_that_exist_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in main.COMMANDS)
    assert not any(f"\n  {name} " in shown for name in ("verify", "check", "pack"))


def test_the_line_of_a_command_is_short_and_each_has_help_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """The list is printed without importing the commands."""
    for name, line in main.COMMANDS.items():
        assert len(line) <= 60 and line.endswith(".")
        assert main.run([name, "--help"]) == 0
        assert f"physbench {name} " in capsys.readouterr().out


def test_options_of_eval_stand_under_headings(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("eval", "rollout"):
        assert main.run([command, "--help"]) == 0
        shown = capsys.readouterr().out
        places = [shown.index(f"\n{heading}:") for heading in (WHAT, HOW, WHERE, ADVANCED)]
        assert places == sorted(places)
        assert shown.index("  --suite") < places[1] < shown.index("  --device") < places[2] < shown.index("  --out ")
        lines = shown[places[0] : places[3]].splitlines()
        assert "--help" in shown[places[3] :] and not any("\nOptions:" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("weights=x.pt",), "--model-arg weights=x.pt."),
        (("--weights", "x.pt"), "Of the model: --model-arg weights=VALUE."),
        (("--hidden-size=3",), "Of the model: --model-arg hidden_size=VALUE."),
        (("--model-arg", "size"), "expected key=value, got 'size'. Write --model-arg size=VALUE."),
        (("--model-arg", "=3"), "expected key=value, got '=3'. Write --model-arg size=64."),
        (("--model-arg", "weights", "=", "x"), "--model-arg KEY=VALUE."),
    ],
)
def test_an_argument_of_the_model_given_in_another_way(words, said, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["models", "check", "baseline:freeze", *words]) == 2
    shown = capsys.readouterr().err
    assert said in shown and len(shown.splitlines()) <= 2


def test_unknown_command_and_option() -> None:
    done = program("evl")
    assert done.returncode == 2
    assert "evl" in done.stderr and "--help" in done.stderr and "Traceback" not in done.stderr
    assert "?\nSee" in done.stderr, "a question ends with its mark alone"
    done = program("eval", "--suit", "smoke")
    assert done.returncode == 2
    assert "--suit" in done.stderr and len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UsageError("no task 'a'. Did you mean b?"), 2, "Did you mean b?"),
        (ModelError("broken"), 2, "broken"),
        (PhysbenchError("the run failed"), 1, "the run failed"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 1, "full at /x/y"),
        (OSError(errno.EFBIG, "File too large"), 1, "ulimit -f"),
        (ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow.parquet"), 2, "pyarrow is not installed here"),
        (ModuleNotFoundError("No module named 'skimage'", name="skimage"), 2, "scikit-image is not installed here"),
        (ModuleNotFoundError("No module named 'x'", name="x"), 1, "should not happen"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 2, "No permission at /x/y"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/x/y"), 2, "Is a directory at /x/y"),
        (ValueError("odd"), 1, "--debug"),
        (typer.Exit(3), 3, ""),
    ],
)
def test_errors_are_one_or_two_lines(
    error: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(monkeypatch, error)
    assert main.run(["fail"]) == code
    shown = capsys.readouterr()
    assert words in shown.err
    assert len(shown.err.splitlines()) <= 2
    assert "Traceback" not in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("arguments", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_traceback(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, ValueError("odd"))
    assert main.run(arguments) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "import sys; from physbench.cli.main import run; sys.exit(run(['--help']))"
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{code}" | true; echo ${{PIPESTATUS[0]}}'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "0"
    assert done.stderr == ""


def test_an_error_of_a_task_file_names_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a file of the user's raises while clips are made is no fault of the program."""
    file = tmp_path / "own.py"
    assert main.run(["tasks", "new", "own", "--out", str(tmp_path)]) == 0
    file.write_text(file.read_text(encoding="utf-8").replace("return Scene(", "return 1 / 0, Scene("), encoding="utf-8")
    assert main.run(["data", "generate", "--tasks", str(file), "--limit", "1", "--out", str(tmp_path / "c")]) == 2
    shown = capsys.readouterr().err
    assert "ZeroDivisionError in own.py, line " in shown and "Mend that line." in shown


def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """What bash is offered after these words, the last of which is being typed; a line each, as its script sends."""
    monkeypatch.setenv("_PHYSBENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(("physbench", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit) as left:
        main.run([])
    assert not left.value.code
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "some", "never"),
    [
        (("ev",), ("eval",), "export"),
        (("eval", ""), ("reference:objects", "baseline:freeze", "videos:"), "core"),
        (("eval", "refer"), ("reference:objects",), "baseline:freeze"),
        (("eval", "reference:objects", "--suite", ""), ("smoke", "core", "lite", "actions"), "reference:objects"),
        (("eval", "'two words'", "--suite", "sm"), ("smoke",), "core"),
        (("data", "generate", "--suite", "t"), ("train",), "smoke"),
        (("tasks", "show", "orb"), ("orbits/kepler-v1",), "falling/stack-v1"),
        (("eval", "x", "--tasks", "falling/*,orb"), ("falling/*,orbits/kepler-v1",), "orbits/kepler-v1"),
        (("models", "check", "base"), ("baseline:oracle",), "reference:objects"),
        (("train", ""), ("objects", "jepa", "simple"), "smoke"),
    ],
)
def test_names_are_offered(words, some, never, monkeypatch, capsys) -> None:
    found = offered(monkeypatch, capsys, *words)
    assert set(some) <= set(found) and never not in found


@pytest.mark.parametrize(
    "words", [("eval", "reference", ":"), ("eval", "reference", ":", "ob"), ("eval", "reference:", "ob")]
)
def test_bash_gets_what_follows_the_colon(words, monkeypatch, capsys) -> None:
    """pallets/click#1515: bash takes a colon for the end of a word, and the line became `bob:bob:`."""
    names = offered(monkeypatch, capsys, *words)
    assert "objects" in names and (len(names) == 1) == (words[-1] == "ob")
    monkeypatch.setenv("COMP_WORDS", "x")
    assert offered(monkeypatch, capsys, *words[:1], "baseline", ":", "freeze", "--suite", "sm") == ["smoke"]


def test_zsh_gets_colons_that_are_no_descriptions(monkeypatch, capsys) -> None:
    """fastapi/typer#162, pallets/click#2703: zsh took what follows a colon for the description."""
    monkeypatch.setenv("_PHYSBENCH_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "physbench eval reference:")
    with pytest.raises(SystemExit):
        main.run([])
    assert r"reference\\:objects" in capsys.readouterr().out


def test_runs_of_this_folder_are_offered(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a-1", "b-1"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / "a-1" / "manifest.json").write_text("{}")
    assert offered(monkeypatch, capsys, "report", "ru") == ["runs/a-1"]
    assert offered(monkeypatch, capsys, "report", "elsewhere") == [], "the shell offers files"
