"""A checkout in which git made text files of the links says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
