"""The cache: its parts are counted, and removed by age."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from physbench.storage.cache_contents import CACHE_AREAS, DAY, cache_areas, prune

NOW = 1e9  # s since 1970


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with an old and a new clip, a reference, and what is not the cache's."""
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    ages = {"clips/64/old.npz": 40, "clips/64/new.npz": 1, "references/key/a.json": 40, "mine/notes.txt": 40}
    for name, days in ages.items():
        path = tmp_path / "cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, (NOW - days * DAY, NOW - days * DAY))
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "data.bin").write_bytes(b"kept")
    os.utime(tmp_path / "precious" / "data.bin", (0, 0))
    (tmp_path / "cache" / "clips" / "link").symlink_to(tmp_path / "precious")
    return tmp_path / "cache"


def test_each_part_has_its_size(full: Path) -> None:
    areas = {area.name: area for area in cache_areas()}
    assert set(areas) == set(CACHE_AREAS)
    assert (areas["clips"].files, areas["clips"].size) == (2, 200)
    assert areas["clips"].newest == NOW - DAY
    assert (areas["memory"].files, areas["memory"].newest) == (0, None)


def test_what_is_old_is_removed_and_nothing_else(full: Path) -> None:
    assert prune(("clips",), 30, NOW, dry=True) == (1, 100)
    assert (full / "clips/64/old.npz").exists()
    assert prune(("clips",), 30, NOW) == (1, 100)
    assert not (full / "clips/64/old.npz").exists() and (full / "clips/64/new.npz").exists()
    assert (full / "references/key/a.json").exists()
    assert prune(tuple(CACHE_AREAS), 0, NOW) == (2, 200)
    assert not (full / "references/key").exists(), "empty folders go, too"
    assert (full / "mine/notes.txt").exists(), "no part of the cache"
    assert (full.parent / "precious/data.bin").exists(), "links are not followed"
    assert prune(tuple(CACHE_AREAS), 0, NOW) == (0, 0)


def test_links_and_drafts_are_left(full: Path) -> None:
    (full / "memory").symlink_to(full.parent / "precious")
    (full.parent / "precious" / "empty").mkdir()
    draft = full / "clips" / "64" / ".123.new.npz"
    draft.touch()
    prune(tuple(CACHE_AREAS), 0)
    assert (full.parent / "precious" / "empty").is_dir() and draft.exists()
