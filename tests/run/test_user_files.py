"""Tasks and scorers from files, in every process of an evaluation."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from made_manifests import made_manifest

from physbench.cli.main import run
from physbench.clips.generate import make_scene
from physbench.clips.suite import find_suite
from physbench.clips.task import builtin_task_ids, find_task, match_tasks, task_ids
from physbench.run import references
from physbench.run.manifest import first_difference
from physbench.run.options import Options
from physbench.run.versions import code_hash
from physbench.score.score_clip import find_scorers
from physbench.support import plugins
from physbench.support.errors import UsageError

EXAMPLES = Path(__file__).parents[2] / "examples"
TASK = "own/two-balls-v1"


@pytest.fixture(autouse=True)
def _no_trace(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(plugins.TASK_FILES_VARIABLE, "")
    plugins.adopt_in_worker("")
    yield
    plugins.adopt_in_worker("")


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    return Path(shutil.copy(EXAMPLES / "my_task.py", tmp_path / "my_task.py"))


@pytest.fixture
def scorer_file(tmp_path: Path) -> Path:
    return Path(shutil.copy(EXAMPLES / "my_scorer.py", tmp_path / "my_scorer.py"))


def test_a_file_gives_as_many_clips_as_a_task_of_the_suite(task_file: Path) -> None:
    smoke, core = (find_suite(name, tasks=str(task_file)) for name in ("smoke", "core"))
    assert smoke.name == "own-smoke" and smoke.partial and smoke.tasks == (TASK,)
    assert [row.split for row in smoke.rows] == ["test"] * 4
    assert [row.split for row in core.rows] == ["test"] * 24 + ["ood"] * 8
    mixed = find_suite("smoke", tasks=f"{task_file}:TwoBalls, projectile")
    assert mixed.tasks == ("falling/projectile-v1", TASK) and mixed.name == "own-smoke"
    assert find_suite("smoke", tasks="projectile").name == "smoke"
    assert TASK not in (*builtin_task_ids(), *find_suite("smoke").tasks), "a suite is what it was"


def test_an_edited_file_is_read_again(task_file: Path) -> None:
    (row, *_) = find_suite("smoke", tasks=str(task_file)).rows
    before = make_scene(row)
    task_file.write_text(task_file.read_text().replace("(1.5, 4.5)", "(1.4, 4.4)"))
    assert make_scene(row) == before, "only when it is named"
    find_suite("smoke", tasks=str(task_file))
    assert make_scene(row) != before


def test_an_edit_of_the_same_second_and_size_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "small.py"
    for word in ("one", "two"):
        path.write_text(f"word = '{word}'\n")
        os.utime(path, (0, 0))
        assert plugins.open_files(str(path))[0][0].module.word == word
    assert list(tmp_path.iterdir()) == [path], "nothing is written beside it"


def test_what_a_file_imports_from_its_folder_is_a_part_of_it(tmp_path: Path, scorer_file: Path) -> None:
    """An edited neighbour is read again, refused by a worker, another key of the cache, and named on resume."""
    helper = tmp_path / "helper_of_mine.py"
    helper.write_text("word = 'one'\n")
    scorer_file.write_text(f"from {helper.stem} import word\n{scorer_file.read_text()}")
    file, _ = plugins.open_files(str(scorer_file))[0]
    assert file.module.word == "one" and [path for path, _ in file.imports] == [helper]
    before, key = plugins.manifest_documents(str(scorer_file)), code_hash(find_scorers(str(scorer_file)))
    hashes = plugins.environment_for_workers()[1]
    helper.write_text("word = 'two'\n")
    os.utime(helper, (0, 0))
    assert plugins.open_files(str(scorer_file))[0][0].module.word == "two"
    assert code_hash(find_scorers(str(scorer_file))) != key
    stored, now = (
        made_manifest(files={"scorers": found}) for found in (before, plugins.manifest_documents(str(scorer_file)))
    )
    assert first_difference(stored, now) == f"The content of the files of --scorers ({helper}) has changed"
    stored, now = (made_manifest(files={"actions": each.files.model_dump()["scorers"]}) for each in (stored, now))
    assert first_difference(stored, now) == f"The content of the file of --actions ({helper}) has changed"
    plugins.adopt_in_worker("", hashes)
    with pytest.raises(UsageError, match="has changed while it was in use"):
        plugins.open_files(str(scorer_file))


def test_a_worker_refuses_what_its_parent_has_not_read(task_file: Path) -> None:
    match_tasks(str(task_file))
    paths, hashes = plugins.environment_for_workers()
    plugins.adopt_in_worker(paths, hashes)
    assert TASK in task_ids()
    task_file.write_text(task_file.read_text() + "# edited while it runs\n")
    plugins.adopt_in_worker(paths, hashes)
    with pytest.raises(UsageError, match="has changed while it was in use"):
        task_ids()


def test_a_program_that_goes_on_knows_no_file_any_more(task_file: Path) -> None:
    with plugins.temporarily_registered():
        match_tasks(str(task_file))
        assert TASK in task_ids()
    task_file.unlink()
    assert plugins.environment_for_workers()[0] == "" and TASK not in task_ids()


def test_a_reference_is_not_that_of_another_text_of_the_task(task_file: Path) -> None:
    """The same clip, but other speeds that the task could have drawn: predictability differs."""
    keys = []
    for more in ("", "# another range\n"):
        task_file.write_text(task_file.read_text() + more)
        match_tasks(str(task_file))
        keys.append(references._code_key((), references._own_files(TASK)))
    assert keys[0] != keys[1]
    assert references._own_files("orbits/kepler-v1") == ()


def test_a_worker_that_is_older_learns_the_files_of_its_parent(task_file: Path) -> None:
    match_tasks(str(task_file))
    paths = plugins.registered_files()[0].path
    plugins.adopt_in_worker("")
    assert TASK not in task_ids()
    plugins.adopt_in_worker(str(paths))
    assert TASK in task_ids() and find_task("two-balls").id == TASK


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no task"),
        ("import nowhere", "ModuleNotFoundError in line 1 .*nowhere"),
        ("def f(:", "SyntaxError in line 1"),
        ("class A:\n    id = 'own/a-v1'\n", "class A has an id but no parameters, no sample, no scene"),
        (
            "from physbench import Task, declare\nclass A(Task):\n    id = 'own/a-v1'\n    parameters = declare()\n",
            "class A has an id but no scene",
        ),
        ("class A:\n    id = 'Mine'\n    parameters = sample = scene = 1\n", "Expected a family, a slash"),
        ("class A:\n    id = 'orbits/kepler-v1'\n    parameters = sample = scene = 1\n", "'orbits/kepler-v1' already"),
    ],
)
def test_files_that_hold_no_task_say_why(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        match_tasks(str(path))
    assert not plugins.registered_files()


def test_names_of_files_and_classes(task_file: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        match_tasks(str(task_file.with_name("my_tusk.py")))
    with pytest.raises(UsageError, match=r"holds no task named 'TwoBall'. Did you mean TwoBalls"):
        match_tasks(f"{task_file}:TwoBall")
    assert match_tasks(str(task_file.with_name("*.py"))) == (TASK,)
    assert Options("m", tasks=f"{task_file.parent}/*.py, kepler").tasks == f"{task_file},kepler"


def test_a_scorer_of_ones_own_is_added_and_changes_no_axis(scorer_file: Path) -> None:
    text = scorer_file.read_text().replace("axis=None,", 'axis="drift", headline=True,')
    scorer_file.write_text(text.replace("quality=None", "quality=lambda value: 1.0"))
    found = find_scorers(str(scorer_file))
    assert {each.id for each in found} == {each.id for each in find_scorers()} | {"own/speed-error"}
    assert not next(each for each in found if each.id == "own/speed-error").headline
    assert {each.id for each in find_scorers(f"gravity,{scorer_file}")} == {"laws/gravity", "own/speed-error"}
    scorer_file.write_text(text.replace("own/speed-error", "laws/gravity"))
    with pytest.raises(UsageError, match="'laws/gravity' already"):
        find_scorers(str(scorer_file))


def test_a_file_shows_its_own_definitions_alone(scorer_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(("scorers", "show", str(scorer_file))) == 0
    said = capsys.readouterr().out
    assert said.startswith("own/speed-error") and said.count("noise floor") == 1
    assert run(("scorers", "show", f"gravity,{scorer_file}")) == 0
    assert capsys.readouterr().out.count("noise floor") == 2


def test_an_evaluation_with_both(
    no_report: pytest.MonkeyPatch,
    task_file: Path,
    scorer_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    wanted = ("eval", "baseline:freeze", "--suite", "smoke", "--limit", "1", "--tasks", str(task_file))
    command = (*wanted, "--scorers", f"gravity,{scorer_file}", "--workers", "2", "--out", str(out))
    assert run(command) == 0
    capsys.readouterr()
    manifest, result = (json.loads((out / name).read_text()) for name in ("manifest.json", "result.json"))
    assert [file["path"] for file in manifest["files"]["tasks"]] == [str(task_file)]
    assert len(manifest["files"]["scorers"][0]["sha256"]) == 64
    suite = result["suite"]
    assert (suite["name"], suite["local"], suite["complete"], suite["clips"]) == ("own-smoke", True, False, 1)
    assert result["overall"]["skill"] is None
    value = result["readings"]["own/speed-error"]["tasks"][TASK]
    assert value["references"]["truth"] < 0.1 < 1 < value["value"]
    assert "own/speed-error" in set(pd.read_parquet(out / "scores.parquet")["reading"])

    plugins.adopt_in_worker("")
    no_report.undo()
    assert run(("report", str(out))) == 2
    assert f"--tasks {task_file}" in capsys.readouterr().err
    assert run(("report", str(out), "--tasks", str(task_file))) == 0
    task_file.write_text(task_file.read_text() + "\n# edited\n")
    assert run((*command, "--resume")) == 2
    assert "my_task.py) has changed" in capsys.readouterr().err
