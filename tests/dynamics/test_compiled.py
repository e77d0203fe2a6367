"""Compiled functions are kept, made anew when they have to be, and do without a folder to be kept in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numba
import pytest

from physbench.dynamics import compiled

HEAD = "from room.compiled import compiled\n"
INNER = HEAD + "\n@compiled\ndef inner(x):\n    return {} * x\n"
OUTER = HEAD + "from room.inner import inner\n\n@compiled\ndef outer(x):\n    return inner(x)\n"


def test_a_change_of_a_called_function_is_not_passed_over(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "compiled.py").write_bytes(Path(compiled.__file__).read_bytes())
    (room / "outer.py").write_text(OUTER)
    code = (
        "from physbench.storage import fingerprint\n"
        "fingerprint.PURPOSES = {'kernels': fingerprint.Purpose(('room.outer',))}\n"
        "from room.outer import outer; print(outer(2.0), sum(outer.stats.cache_hits.values()))"
    )
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    found = []
    for factor in (3.0, 3.0, 5.0):
        (room / "inner.py").write_text(INNER.format(factor))
        env = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        env["PYTHONDONTWRITEBYTECODE"] = "1"  # Python's own cache takes a file of one size and second for the same
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        found.append(done.stdout.split())
    assert found == [["6.0", "0"], ["6.0", "1"], ["10.0", "0"]]


def test_functions_are_compiled_where_they_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def unkept(cache: bool = False, error_model: str = "python") -> Callable[..., object]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return cast(Callable[..., object], numba.njit(error_model=error_model))

    monkeypatch.setattr(compiled, "numba", SimpleNamespace(njit=unkept))

    def over(x: float) -> float:
        return 1.0 / x

    function = compiled.compiled(over)
    assert function(4.0) == 0.25
    assert function(0.0) == float("inf")
