"""Entry points, and files of the user: what they hold and import, how long they take, which line an error blames."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
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
from physbench.scorers.diagnostics import gravity
from physbench.support import plugins
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.plugins import (
    MAX_MESSAGE,
    TookTooLong,
    describe_error,
    describe_error_in_file,
    interrupted_after,
    local_imports,
    note_user_line,
    sources_hash,
    user_line,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "mine.py": "import json, numpy, near\nfrom physbench import scorer\nif near:\n    import pack.inner.deep\n",
        "near.py": "import further as other, mine\n",
        "further.py": "raise SystemExit('it was run')\n",
        "pack/__init__.py": "from . import sibling\n",
        "pack/inner/__init__.py": "from ..cousin import name\n",
        "pack/inner/deep.py": "",
        "pack/sibling.py": "from .inner import nothing_of_that_name\n",
        "pack/cousin.py": "from ...outside import of_the_folder\n",
        "pack/alone.py": "",
        "json.py": "",  # the standard library's comes first
        "numpy.py": "",  # and so does what is installed
        "physbench/__init__.py": "",
        "alone.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_are_followed_and_nothing_else_is_found(folder: Path) -> None:
    found = [path.relative_to(folder).as_posix() for path in local_imports(folder / "mine.py")]
    inner = ["pack/inner/__init__.py", "pack/inner/deep.py"]
    assert found == ["further.py", "near.py", "pack/__init__.py", "pack/cousin.py", *inner, "pack/sibling.py"]
    assert local_imports(folder / "alone.py") == ()


def test_the_hash_moves_with_each_of_them(folder: Path) -> None:
    mine = folder / "mine.py"
    before = sources_hash(mine)
    (folder / "alone.py").write_text("edited")
    assert sources_hash(mine) == before
    seen = {before}
    for path in (mine, *local_imports(mine)):
        path.write_text(path.read_text() + "\n")
        seen.add(sources_hash(mine))
    assert len(seen) == 2 + len(local_imports(mine))


def test_a_neighbour_that_is_no_python_is_left_to_its_import(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import not_python_at_all")
    (tmp_path / "not_python_at_all.py").write_text("def (:")
    assert local_imports(tmp_path / "mine.py") == (tmp_path / "not_python_at_all.py",)


def test_a_file_is_imported_once_however_many_others_are(tmp_path: Path) -> None:
    def only(file: plugins.UserFile) -> object:
        ((_, member),) = plugins.public_members(file, lambda value: isinstance(value, type))
        return member

    for n in range(100):
        (tmp_path / f"file_{n}.py").write_text("class Thing: ...\n", encoding="utf-8")
    files = [plugins.open_files(str(tmp_path / f"file_{n}.py"))[0][0] for n in range(100)]
    things = [only(file) for file in files]
    assert [only(file) for file in files] == things and len(set(things)) == 100


def test_a_link_to_another_folder_is_hashed_by_its_own_name(tmp_path: Path) -> None:
    away, here = tmp_path / "away", tmp_path / "here"
    away.mkdir(), here.mkdir()
    (away / "shared.py").write_text("import beside")
    (here / "shared.py").symlink_to(away / "shared.py")
    (here / "beside.py").write_text("")
    (here / "mine.py").write_text("import shared")
    assert local_imports(here / "mine.py") == (here / "beside.py", here / "shared.py")
    before = sources_hash(here / "mine.py")
    (away / "shared.py").write_text("import beside, os")
    assert sources_hash(here / "mine.py") != before


ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sources as git writes them where links are switched off."""
    shutil.copytree(ROOT / "physbench", tmp_path / "physbench", symlinks=True, ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("tasks", "scorers", "leaderboard"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc"))
        link = tmp_path / "physbench" / name
        target = str(link.readlink())
        link.unlink()
        link.write_text(target)
    return tmp_path


def python(checkout: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code with that checkout on the path; -S: no installed physbench, whose packages would be found instead."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    return subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "code",
    [
        "import physbench.tasks",
        "from physbench.scorers.diagnostics import gravity",
        "from physbench.leaderboard.entries import Entry",
        "from physbench.support.fingerprint import follow; follow(['physbench.tasks'])",
    ],
)
def test_text_files_instead_of_links_are_an_import_error_with_a_remedy(checkout: Path, code: str) -> None:
    assert python(checkout, "import physbench, physbench.support.errors").returncode == 0
    done = python(checkout, f"try:\n    {code}\nexcept ImportError as error:\n    print(error)")
    assert "should be a link to ../" in done.stdout, done.stderr
    assert "pip install -e ." in done.stdout and "git config core.symlinks true" in done.stdout


def test_the_remedy_of_a_broken_link_is_not_to_uninstall_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from physbench.support import plugins
    from physbench.support.errors import BrokenLinkError

    class Point:
        def load(self) -> object:
            raise BrokenLinkError("what to do")

    monkeypatch.setattr(plugins, "entries", lambda group: {"a/b-v1": Point()})
    with pytest.raises(BrokenLinkError, match=r"^what to do$"):
        plugins.load("physbench.tasks", "a/b-v1")


def test_what_does_not_exist_is_still_not_found() -> None:
    from importlib.util import find_spec

    assert find_spec("physbench.nothing_of_that_name") is None
    with pytest.raises(ModuleNotFoundError):
        __import__("physbench.nothing_of_that_name")


def test_a_loop_is_ended_although_it_catches_exceptions() -> None:
    begun = time.monotonic()
    with pytest.raises(TookTooLong), interrupted_after(0.2):
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                continue
    assert 0.15 < time.monotonic() - begun < 20


def test_what_is_in_time_is_left_alone_with_the_alarm_of_the_program() -> None:
    rang = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rang.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with interrupted_after(30):
            pass
        time.sleep(0.5)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert rang == [signal.SIGALRM]


def test_other_threads_are_not_limited() -> None:
    done = []

    def work() -> None:
        with interrupted_after(0.01):
            time.sleep(0.1)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


LOOPS = ("while True:\n    pass\n", "still being imported after 0.2 s, in own.py, line")
EXITS = ("import sys\nsys.exit(3)\n", "SystemExit")


@pytest.mark.parametrize(("text", "words"), [LOOPS, EXITS], ids=["loops", "exits"])
def test_a_file_that_loops_or_exits_at_import_is_a_message(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "IMPORT_TIME", 0.2)
    (tmp_path / "own.py").write_text(text)
    [(file, _)] = plugins.open_files(str(tmp_path / "own.py"))
    with pytest.raises(UsageError, match=words):
        file.module  # noqa: B018


def caught(run: object) -> Exception:
    assert callable(run)
    with pytest.raises(ZeroDivisionError) as error:
        run()
    return error.value


def compiled(text: str, file: Path) -> object:
    """The function `run` of a file."""
    names: dict[str, object] = {}
    exec(compile(text, str(file), "exec"), names)
    return names["run"]


def test_the_innermost_line_of_the_users_code_is_named(tmp_path: Path) -> None:
    error = caught(compiled("def run():\n    return 1 / 0\n", tmp_path / "mine.py"))
    assert user_line(error) == "mine.py, line 2 (run)"
    assert describe_error_in_file(error, tmp_path / "mine.py") == "ZeroDivisionError in line 2 (run): division by zero"
    said = describe_error_in_file(error, tmp_path / "other.py")
    assert said == "ZeroDivisionError in mine.py, line 2 (run): division by zero"


@pytest.mark.parametrize("file", [gravity.__file__, np.__file__, "/opt/other/site-packages/torch/nn.py", "<string>"])
def test_code_of_physbench_and_of_libraries_is_not_the_users(file: str, tmp_path: Path) -> None:
    """Also where physbench is a checkout, whose scorers and tasks lie behind a link."""
    error = caught(compiled("def run():\n    return 1 / 0\n", Path(file)))
    assert user_line(error) == f"{Path(__file__).name}, line {caught.__code__.co_firstlineno + 3} (caught)"


def test_an_error_that_is_raised_again_keeps_the_line() -> None:
    again, without = ZeroDivisionError("odd"), ZeroDivisionError("odd")
    again.add_note("something else")
    note_user_line(again, "mine.py, line 2 (run)")
    note_user_line(without, "")
    assert (user_line(again), user_line(without)) == ("mine.py, line 2 (run)", "")
    assert describe_error_in_file(again, Path("other.py")) == "ZeroDivisionError in mine.py, line 2 (run): odd"
    assert describe_error_in_file(without, Path("other.py")) == "ZeroDivisionError: odd"


def test_what_a_line_announces_is_said(tmp_path: Path) -> None:
    """Which keys of a checkpoint do not fit, as torch says it in lines of their own; at most MAX_MESSAGE characters."""
    import torch

    net = torch.nn.Linear(2, 3)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict({"weight": net.weight, "offset": net.bias})
    said = describe_error(caught.value)
    assert 'Missing key(s) in state_dict: "bias".' in said and 'Unexpected key(s) in state_dict: "offset".' in said
    assert len(describe_error(ValueError("these:\n" + "a" * 999))) < MAX_MESSAGE + 20


def test_the_built_in_parts_are_found_as_anybodys() -> None:
    for group in ("tasks", "scorers", "adapters", "architectures"):
        for name in plugins.entries(f"physbench.{group}"):
            assert plugins.load(f"physbench.{group}", name) is not None


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no scorer named 'drift/acuracy'\. Did you mean drift/accuracy"):
        plugins.load("physbench.scorers", "drift/acuracy")


def test_a_package_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("mine/laws-v1", "no_such_package.laws:law", "physbench.scorers")
    monkeypatch.setattr(plugins, "entries", lambda group: {broken.name: broken})
    with pytest.raises(PhysbenchError, match=r"'mine/laws-v1' of no_such_package\.laws:law .*ModuleNotFoundError"):
        plugins.load("physbench.scorers", "mine/laws-v1")


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
