"""The cache on disk: its parts are counted, and removed by age; in memory the latest results are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from physbench.clips.packed import archive_to_write
from physbench.support.cache import CACHE_AREAS, DAY, RecentlyUsed, cache_areas, prune

NOW = 1e9  # s since 1970
OLD, NEW = (f"clips/64x64@15/falling.projectile-v1.test/{seed}.npz" for seed in (1, 2))
REFERENCE = f"references/0123456789abcdef/{'0123456789abcdef' * 4}.8.truth.json"


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with an old and a new clip, a reference, and what is not the cache's."""
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    ages = {OLD: 40, NEW: 1, REFERENCE: 40, "mine/notes.txt": 40, "clips/holiday.npz": 40, "memory/letter.txt": 40}
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
    assert (full / OLD).exists()
    assert prune(("clips",), 30, NOW) == (1, 100)
    assert not (full / OLD).exists() and (full / NEW).exists()
    assert (full / REFERENCE).exists()
    assert prune(tuple(CACHE_AREAS), 0, NOW) == (2, 200)
    assert not (full / REFERENCE).parent.exists(), "empty folders go, too"
    for name in ("mine/notes.txt", "clips/holiday.npz", "memory/letter.txt"):
        assert (full / name).exists(), "no part of the cache"
    assert (full.parent / "precious/data.bin").exists(), "links are not followed"
    assert prune(tuple(CACHE_AREAS), 0, NOW) == (0, 0)


def test_an_archive_whose_packing_was_killed_is_counted_and_removed(full: Path) -> None:
    with pytest.raises(KeyError), archive_to_write(f"file://{full}/x.clips", False) as path:
        path.with_name(f".{2**30}.{path.name}").touch()  # no process has this number
        os.utime(path.with_name(f".{2**30}.{path.name}"), (NOW, NOW))
        path.touch()
        raise KeyError
    assert not path.exists(), "of one that failed nothing is left"
    assert next(area for area in cache_areas() if area.name == "archives").files == 1
    assert prune(("archives",), 0) == (1, 0) and not (full / "archives").exists()


def test_links_and_drafts_are_left(full: Path) -> None:
    (full / "predictability").symlink_to(full.parent / "precious")
    (full.parent / "precious" / "empty").mkdir()
    draft = (full / NEW).with_name(".123.2.npz")
    draft.touch()
    prune(tuple(CACHE_AREAS), 0)
    assert (full.parent / "precious" / "empty").is_dir() and draft.exists()
    os.utime(draft, (NOW, NOW))
    assert prune(tuple(CACHE_AREAS), 0) == (1, 0), "nobody writes it any more"


def test_in_memory_the_result_asked_for_longest_ago_goes_first() -> None:
    kept = RecentlyUsed[str, int](2)
    assert kept.put("a", 1) == 1 and kept.put("b", 2) == 2 and kept.get("a") == 1
    kept.put("c", 3)  # of a and b, b was asked for longer ago
    assert [kept.get(key) for key in "abc"] == [1, None, 3]
    kept.put("c", 4)
    assert [kept.get(key) for key in "abc"] == [1, None, 4]
