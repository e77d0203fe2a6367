"""A scene is described once, and anew where the file of its task has changed."""

from __future__ import annotations

import pytest

from physbench.clips import generate
from physbench.clips.clip import Row
from physbench.clips.generate import known_scene, make_scene


def test_the_same_scene_once_for_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    row, asked = Row("orbits/kepler-v1", "ood", 3), list[Row]()

    def counted(row: Row) -> object:
        asked.append(row)
        return make_scene(row)

    monkeypatch.setattr(generate, "make_scene", counted)
    generate._scene.cache_clear()
    assert known_scene(row) == make_scene(row) and known_scene(row) is known_scene(row)
    assert asked == [row]
    monkeypatch.setattr(generate, "registered_files", lambda: ("another text of a file",))
    assert known_scene(row) == make_scene(row)
    assert asked == [row, row]
