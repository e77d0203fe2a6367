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
import numpy as np
import pytest

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_scene
from physbench.clips.task import own_ids
from physbench.laws.field_law import FieldSimulator, KeplerSimulator
from physbench.laws.kernels import KERNELS
from physbench.laws.scene_law import Intervention, scene_law
from physbench.shadowing import shadow
from physbench.track.tracks import Tracks
from physbench.world import compiled

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
        "from physbench.support import fingerprint\n"
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


@pytest.fixture
def again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], compiled.Kernel[[float], float]]:
    """Another process's view of one kernel, which nothing has compiled yet."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def make() -> compiled.Kernel[[float], float]:
        def twice(x: float) -> float:
            return 2 * x

        return compiled.kernel("(float64,)")(twice)

    return make


def test_a_kernel_is_compiled_once_and_loaded_by_others(again: Callable[[], compiled.Kernel[[float], float]]) -> None:
    first, second, third = again(), again(), again()
    assert not first.load() and not second.load()
    assert first.compile() and not first.compile()
    assert not second.compile() and second.load()
    assert third(1.5) == 3.0 and sum(third.function.stats.cache_hits.values()) == 1
    assert third.folder is not None and not list(third.folder.glob("*.lock"))


def test_who_waits_for_the_lock_loads_what_was_compiled_meanwhile(
    again: Callable[[], compiled.Kernel[[float], float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, take, asked = again(), again(), compiled.locked_file, [0]

    def late(path: Path, *, wait: bool) -> int:
        asked[0] += 1
        if asked[0] == 1:
            assert first.compile()
        return take(path, wait=wait)

    monkeypatch.setattr(compiled, "locked_file", late)
    assert not second.compile() and asked == [2]
    assert second(2.0) == 4.0


def test_a_kernel_is_compiled_where_no_lock_can_be_made(
    again: Callable[[], compiled.Kernel[[float], float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *, wait: bool) -> int:
        raise OSError("No space left on device")

    monkeypatch.setattr(compiled, "locked_file", full)
    assert again()(3.0) == 6.0


def test_kernels_are_called_with_the_arguments_of_their_signature(
    clip_of: Callable[..., Clip], ideal: Callable[..., Tracks]
) -> None:
    """Others would be compiled by every process for itself."""
    for task in ("collisions/head-on-v1", "orbits/scatter-v1", "orbits/kepler-v1"):
        clip = clip_of(task)
        held = clip.px_positions()[clip.window(8)].copy()
        held[20:] = held[20]  # everything stands still in the middle of its motion
        found = shadow(clip, ideal(clip, 8, held))
        assert found is not None and found.levels[0].breaks and found.strength > 0
    simulator = found.problem.simulator
    assert isinstance(simulator, KeplerSimulator)
    state = Intervention(0, 0, "state", np.ones((3, 6)))
    field = FieldSimulator(simulator, 1.0, np.zeros(6), 0.0)
    assert np.isfinite(field.run([state], 60).positions(np.array([30.0, 60.0]))).all()
    chained = own_ids(str(Path(__file__).parents[2] / "examples" / "double_pendulum.py"))
    for task in ("falling/pendulum-v1", "collisions/pusher-v1", *chained):
        law = scene_law(make_scene(Row(task, "test", 0)), 0.0)
        law.simulate(np.zeros((1, len(law.index), 4)), np.array([0.0, 0.1]), np.ones((1, len(law.constants))))
    for each in KERNELS:
        assert each.function.signatures == [each.types]


def test_functions_are_compiled_where_they_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def unkept(cache: bool = False, **options: str) -> Callable[..., object]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return cast(Callable[..., object], numba.njit(**options))

    monkeypatch.setattr(compiled, "numba", SimpleNamespace(njit=unkept))

    def over(x: float) -> float:
        return 1.0 / x

    function = compiled.compiled(over)
    assert function(4.0) == 0.25
    assert function(0.0) == float("inf")
