"""Files with tasks, and no trace of them in the next test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from physbench.support import user_files


@pytest.fixture(autouse=True)
def _no_trace(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(user_files.TASK_FILES_VARIABLE, "")
    user_files.forget_all()
    yield
    user_files.forget_all()


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a source into a file of that name."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write
