"""Entry points and the user's code: what a file imports, how long it may take, and which line an error is blamed on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

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
