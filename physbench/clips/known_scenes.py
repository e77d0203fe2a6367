"""Scenes that this process has described already. To draw the parameters of one takes a millisecond or two."""

from __future__ import annotations

from functools import lru_cache

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.plugins.user_files import UserFile, registered_files
from physbench.world.scene import Scene

MOST = 1024  # that are kept: some kB each


def known_scene(row: Row) -> Scene:
    """As `make_scene`, once for each clip."""
    return _scene(row, registered_files())


@lru_cache(MOST)
def _scene(row: Row, files: tuple[UserFile, ...]) -> Scene:
    """The scene with the user's tasks as they are in these files, which may have changed since the last call."""
    return make_scene(row)
