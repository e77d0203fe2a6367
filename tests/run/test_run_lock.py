"""The run folder: chosen, checked, locked, and emptied with care."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from physbench.run.state import claimed_folder, default_folder, opened
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder


def used(path: Path) -> Path:
    path.mkdir()
    (path / "manifest.json").write_text("{}")
    (path / "parts").mkdir()
    return path


def test_default_folders_count_up(tmp_path: Path) -> None:
    assert default_folder("a b", "smoke", False, tmp_path) == tmp_path / "a-b-smoke-1"
    (tmp_path / "a-b-smoke-1").mkdir()
    (tmp_path / "a-b-smoke-9").mkdir()
    (tmp_path / "a-b-smoke-x").mkdir()
    assert default_folder("a b", "smoke", False, tmp_path) == tmp_path / "a-b-smoke-10"
    assert default_folder("a b", "smoke", True, tmp_path) == tmp_path / "a-b-smoke-9"
    below, above = (default_folder(f"gravity:{severity}", "core", False, tmp_path) for severity in (-3, 3))
    assert (below.name, above.name) == ("gravity-minus-3-core-1", "gravity-3-core-1")


def test_runs_that_start_together_get_a_folder_each(tmp_path: Path) -> None:
    parent = tmp_path / "a" / "runs"
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: claimed_folder("a b", "smoke", parent), range(24)))
    assert sorted(path.name for path, _ in claims) == sorted(f"a-b-smoke-{n}" for n in range(1, 25))
    for path, made in claims:
        with opened(path, resume=False, fresh=False, created=made):
            pass
    assert list(parent.glob("*")) == [], "what came to nothing leaves nothing behind"
    (tmp_path / "file").write_text("")
    path, made = claimed_folder("a", "smoke", tmp_path / "file")
    with pytest.raises(UsageError, match="--out"), opened(path, resume=False, fresh=False, created=made):
        pass


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "run", resume=False, fresh=False):
        with pytest.raises(UsageError, match="Another process"), opened(tmp_path / "run", resume=True, fresh=False):
            pass
        assert (tmp_path / "run").exists()
    with opened(tmp_path / "run", resume=False, fresh=False):
        pass


def test_what_fails_early_leaves_nothing_behind(tmp_path: Path) -> None:
    with opened(tmp_path / "runs" / "a", resume=False, fresh=False):
        pass
    assert list(tmp_path.iterdir()) == []
    with opened(tmp_path / "runs" / "a", resume=False, fresh=False) as folder:
        folder.manifest.write_text("{}")
    assert folder.manifest.exists()


def test_a_used_folder_needs_a_word(tmp_path: Path) -> None:
    path = used(tmp_path / "run")
    with pytest.raises(UsageError, match=r"--resume.*--fresh"), opened(path, resume=False, fresh=False):
        pass
    with opened(path, resume=True, fresh=False):
        assert (path / "parts").exists()
    (path / "notes.txt").write_text("mine")
    with opened(path, resume=False, fresh=True):
        assert sorted(item.name for item in path.iterdir()) == [".lock", "notes.txt"]


def test_a_fresh_run_starts_without_anything_of_the_old_one(tmp_path: Path) -> None:
    """Every place that a run folder names: what stayed would be read as of the new model."""
    folder = RunFolder(tmp_path / "run")
    places = {}
    for name, member in vars(RunFolder).items():
        if isinstance(member, property):
            places[name] = getattr(folder, name)
        elif inspect.isfunction(member) and not name.startswith("_"):
            place = getattr(folder, name)("clip")
            places[name] = place.scores if isinstance(place, RunFolder) else place
    assert {"manifest", "scores", "rollout", "trace", "pair", "reference"} <= set(places)
    for path in places.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    with opened(folder.path, resume=False, fresh=True):
        assert [item.name for item in folder.path.iterdir()] == [".lock"]


@pytest.mark.parametrize("fresh", [True, False])
def test_somebodys_folder_is_left_alone(tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="no run"), opened(tmp_path, resume=False, fresh=fresh):
        pass
    assert (tmp_path / "report" / "thesis.tex").exists()


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(UsageError, match="--out"), opened(path, resume=False, fresh=False):
            pass
