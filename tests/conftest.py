"""What all tests share: one cache for the session, so that clips are made once and nobody's own cache is touched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set PHYSBENCH_CACHE for tests and the processes that they start; workers of pytest-xdist share one folder."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    before = os.environ.get("PHYSBENCH_CACHE")
    os.environ["PHYSBENCH_CACHE"] = str(folder)
    yield
    if before is None:
        del os.environ["PHYSBENCH_CACHE"]
    else:
        os.environ["PHYSBENCH_CACHE"] = before


@pytest.fixture
def cache() -> Path:
    """The cache folder of the session."""
    return Path(os.environ["PHYSBENCH_CACHE"])
