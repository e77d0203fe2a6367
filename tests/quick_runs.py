"""Runs that end without what takes seconds there and has tests of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from physbench.result.build import write_result
from physbench.support.run_folder import RunFolder


def write_result_alone(folder: RunFolder, workers: int, anew: bool, spent: Callable[[], Mapping[str, Any]]) -> None:
    """In the place of `write_report`: the result with the times of its run, and a page that says nothing."""
    write_result(folder)
    spent()
    folder.report.parent.mkdir(exist_ok=True)
    folder.report.write_text("<!doctype html>")


@contextmanager
def quick_finish() -> Iterator[pytest.MonkeyPatch]:
    """Runs in this process make no report and no diagnosis in here, until `undo`.

    Fixtures of a module or of the session are made before the fixture `no_report` of a test: they need it themselves.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("physbench.result.report.page.write_report", write_result_alone)
        patch.setattr("physbench.result.diagnosis.diagnose_run.diagnose_run", lambda folder, workers, say: {})
        yield patch
