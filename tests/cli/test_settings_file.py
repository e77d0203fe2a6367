"""Settings in a file: what they set, what the command line overrides, and what no file may do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from quick_runs import write_result_alone

from physbench.cli.main import run, typed_options
from physbench.cli.settings_file import read_settings
from physbench.support.errors import UsageError

pytestmark = pytest.mark.usefixtures("warm_models")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_gives_options_by_command(here: Path) -> None:
    (here / "physbench.toml").write_text(
        """
        [eval]
        suite = "smoke"
        batch-size = 4
        diagnosis = false
        autocast = "bfloat16"
        compile = true
        look = "natural"
        prompt-motion = true
        tag = "mine"
        [data.generate]
        size = 128
        look = "plain"
        """
    )
    settings = read_settings(here)
    assert settings.file == "physbench.toml"
    computing = {"autocast": "bfloat16", "compile": True}
    shown = {"look": "natural", "prompt_motion": True}
    assert settings.default_map == {
        "eval": {"suite": "smoke", "batch_size": "4", "diagnosis": False, **computing, **shown, "tag": ["mine"]},
        "data": {"generate": {"size": "128", "look": "plain"}},
    }


def test_the_project_file_has_a_table(here: Path) -> None:
    assert read_settings(here).values == {}
    shared = here / "pyproject.toml"
    shared.write_text("[project]\nname = 'x'\n")
    assert read_settings(here).values == {}
    shared.write_text("[tool.physbench.eval]\nworkers = 1\n")
    assert read_settings(here).values == {"eval": {"workers": "1"}}
    (here / "physbench.toml").write_text("[eval]\nworkers = 3\n")
    assert read_settings(here).values == {"eval": {"workers": "3"}}, "its own file comes first"
    (here / "physbench.toml").unlink()
    shared.write_text("[tool.physbench\n")
    assert read_settings(here).values == {}, "somebody else's broken file is not ours to refuse"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[eval]\ntrust-code = true", "'trust-code' cannot be set for eval"),
        ("[eval]\nprivileged = true", "'privileged' cannot be set"),
        ("[eval]\nmodel = 'evil.py:make'", "'model' cannot be set"),
        ("[eval]\nmodel_arg = 'a=b'", "'model_arg' cannot be set"),
        ("[eval]\nout = '/'", "'out' cannot be set"),
        ("[eval]\nfresh = true", "'fresh' cannot be set"),
        ("[eval]\ntasks = 'falling/*,evil.py'", "code is named on the command line only"),
        ("[eval]\nscorers = './x.py:Class'", "code is named on the command line only"),
        ("[eval]\nsuit = 'smoke'", "Did you mean suite"),
        ("[evals]\nsuite = 'smoke'", "no settings for 'evals'. Did you mean eval"),
        ("[eval]\njson = true", "Give it on the command line: --json"),
        ("[eval]\nfor-board = true", "Give it on the command line: --for-board"),
        ("[eval]\nmodel = 'reference:objects'", "Give it on the command line: MODEL"),
        ("[score]\nsuite = 'smoke'", "It can be set for eval, rollout, data.generate, data.export"),
        ("suite = 'smoke'", "It is an option: write it below [eval]"),
        ("[compare]\njson = true", "Give its options on the command line. Commands with settings: eval"),
        ("[data.pack]\nsize = 3", "Give its options on the command line"),
        ("[leaderboard.add]\nboard = 'x'", "Give its options on the command line"),
        ("[eval]\nlimit = []", "expected a text, a number"),
        ("[eval]\nlimit = true", "expected a text or a number"),
        ("[eval]\nchain = 'yes'", "expected true or false"),
        ("[eval]\ntag = 3", "expected a text, or a list"),
        ("eval = 3", "expected a table"),
        ("[eval", "cannot be read"),
        ("a = " + "[" * 5000, "cannot be read"),
        ("a = " + "1" * 5000, "cannot be read"),
        ('[eval]\n"\\u001b[31m" = 1', "'\\x1b[31m' cannot be set"),
    ],
)
def test_what_a_file_may_not_say(here: Path, text: str, said: str) -> None:
    (here / "physbench.toml").write_text(text)
    with pytest.raises(UsageError, match=r"physbench\.toml") as caught:
        read_settings(here, typed_options)
    assert said in str(caught.value)
    assert run(["eval", "baseline:freeze"]) == 2
    assert run(["--help"]) == 0


def test_the_command_line_overrides_it_and_the_manifest_says_what_came_from_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "[eval]\nsuite = 'smoke'\ntasks = 'projectile'\nlimit = 2\ndiagnosis = false\nworkers = 2\n"
    (here / "physbench.toml").write_text(text)
    monkeypatch.setattr("physbench.result.report.page.write_report", write_result_alone)
    words = ("--limit", "1", "--workers", "1", "--scorers", "drift/sharpness", "--out", "run")
    assert run(["eval", "baseline:freeze", *words]) == 0
    assert "physbench.toml: suite = smoke, tasks = projectile, diagnosis = False" in capsys.readouterr().err
    manifest = json.loads((here / "run" / "manifest.json").read_text())
    assert len(manifest["suite"]["rows"]) == 1 and manifest["suite"]["name"] == "smoke"
    assert manifest["settings_file"] == {
        "file": "physbench.toml",
        "values": {"suite": "smoke", "tasks": "projectile", "diagnosis": False},
    }
    (here / "physbench.toml").write_text("[eval]\nlimit = 'many'\n")
    assert run(["eval", "baseline:freeze"]) == 2
    said = capsys.readouterr().err
    assert "--limit" in said and "Some options are from physbench.toml." in said


AS_EDITORS_WRITE = {
    "UTF-8": ("", "utf-8", "\n"),
    "UTF-8 with a mark": ("", "utf-8-sig", "\n"),
    "UTF-16 of PowerShell": ("", "utf-16", "\r\n"),
    "UTF-16, big end first": ("\ufeff", "utf-16-be", "\n"),
    "UTF-16 without a mark": ("", "utf-16-le", "\n"),
    "UTF-32": ("", "utf-32", "\n"),
    "ends of lines of Windows": ("", "utf-8", "\r\n"),
    "ends of lines of an old Mac": ("", "utf-8", "\r"),
}


@pytest.mark.parametrize(("mark", "encoding", "end"), AS_EDITORS_WRITE.values(), ids=AS_EDITORS_WRITE)
@pytest.mark.parametrize(("name", "above"), [("physbench.toml", "["), ("pyproject.toml", "[tool.physbench.")])
def test_a_file_is_read_as_editors_write_it(name: str, above: str, mark: str, encoding: str, end: str, here) -> None:
    """Nayjest/Gito#315, python/cpython#157201: a byte order mark was "Invalid statement (at line 1, column 1)"."""
    text = end.join((f"{above}eval]", "suite = 'smoke'", "note = 'Größe, 物理'", ""))
    (here / name).write_bytes((mark + text).encode(encoding))
    assert read_settings(here).values == {"eval": {"suite": "smoke", "note": "Größe, 物理"}}


def test_a_file_in_no_unicode_is_named_with_the_line(here: Path) -> None:
    (here / "physbench.toml").write_bytes("[eval]\nnote = 'Größe'\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"physbench\.toml: .*line 2 is not in UTF-8: save it as UTF-8"):
        read_settings(here)
