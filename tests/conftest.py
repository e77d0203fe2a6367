"""What all tests share: one cache for the session, so that clips are made once and nobody's own cache is touched."""

from __future__ import annotations

import functools
import gc
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from warm_models import WarmModels

    from physbench.clips.clip import Clip

# One thread each, as pytest-xdist has a process on every core. It is read when NumPy and torch are imported.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

# What is imported and collected stays to the end: the garbage collector need not go through it again and again.
gc.disable()

# Folders whose files share fixtures that take seconds: --dist loadfile gives each of them to one process as a whole.
SHARED = ("tests/models/", "tests/leaderboard/", "tests/reference/", "tests/run/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--first-cases", action="store_true", help="of each parametrised test, run the first case alone")


@pytest.hookimpl(trylast=True)  # when slow tests are gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(3600))
    if config.getoption("first_cases"):
        first = {item.nodeid.partition("[")[0]: item for item in reversed(items)}
        chosen = set(first.values())
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = [item for item in items if item in chosen]


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFixtures(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in SHARED if nodeid.startswith(folder)), super()._split_scope(nodeid))

    return ByFixtures(config, log)


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


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_works() -> None:
    """A shell starts background jobs with SIGINT ignored, and what they start inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_lines_of_progress() -> Iterator[None]:
    """What a test expects on stderr does not depend on how long it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("physbench.support.progress.FIRST_LINE", 1e6)
        yield


@pytest.fixture(autouse=True)
def _own_files_are_forgotten() -> Iterator[None]:
    """A file with tasks that a test names is registered in this process: the next test must not find its tasks."""
    from physbench.support.plugins import temporarily_registered

    with temporarily_registered():
        yield


@pytest.fixture(scope="session", autouse=True)
def _workers_start_warm() -> Iterator[None]:
    """The fork server, one for the session, has imported what workers of any pool need, whichever pool is the first."""
    from physbench.support import processes

    start = processes.start_fork_server
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "start_fork_server", lambda preload: start((*preload, "physbench.run.preload")))
        yield


@functools.cache
def _warm_server() -> WarmModels:
    from warm_models import WarmModels

    return WarmModels()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Also while the fixtures of a test are made that asks for `warm_models`, those of the session among them."""
    if "warm_models" not in item.fixturenames:  # type: ignore[attr-defined]
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("physbench.rollout.model_process.subprocess", _warm_server())
        return (yield)


def pytest_sessionfinish() -> None:
    if _warm_server.cache_info().currsize:
        _warm_server().stop()


@pytest.fixture
def warm_models() -> None:
    """Processes of models are forked from one that has imported torch, see `warm_models.py`; others are not."""


@pytest.fixture
def cold_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file that asks for `warm_models`: here every model's process is a new interpreter, as in the program."""
    monkeypatch.setattr("physbench.rollout.model_process.subprocess", subprocess)


@pytest.fixture
def cache() -> Path:
    """The cache folder of the session."""
    return Path(os.environ["PHYSBENCH_CACHE"])


@pytest.fixture(scope="session")
def clip_of() -> Callable[..., Clip]:
    """clip_of(task, split="test", seed=0, size=64, fps=15.0), see `kept_clips`."""
    from kept_clips import kept_clip

    return kept_clip
