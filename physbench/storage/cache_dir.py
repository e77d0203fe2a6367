"""The folder of all caches."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

ENVIRONMENT = "PHYSBENCH_CACHE"


def cache_dir() -> Path:
    """Return $PHYSBENCH_CACHE, or the user's cache folder."""
    return Path(os.environ.get(ENVIRONMENT) or platformdirs.user_cache_dir("physbench"))
