"""What of a run of the suite expectation has to be asked again."""

from __future__ import annotations

from pathlib import Path

from made_manifests import made_manifest

from physbench.models.http.connection import NO_ANSWER
from physbench.run.options import Options
from physbench.support.files import write_sealed_json
from physbench.support.run_folder import RunFolder
from physbench.surprise.pairs import find_pairs
from physbench.surprise.run import ExpectationRun


def test_clips_whose_server_had_gone_are_asked_again(tmp_path: Path) -> None:
    """A failure of the model stays: it would fail again."""
    run = ExpectationRun(RunFolder(tmp_path), Options("baseline:freeze"), find_pairs(12), made_manifest(), print, 1)
    gone, failed, *rest = run.rows
    assert run.missing() == list(run.rows) and rest
    part = {"times": [], "films": {}, "baselines": {}, "absent": {}, "failures": {}}
    for row, failures in ((gone, {"a": f"{NO_ANSWER}http://127.0.0.1:9."}), (failed, {"a": "ValueError: no"})):
        run.part(row).parent.mkdir(exist_ok=True)
        write_sealed_json(run.part(row), part | {"failures": failures})
    assert run.missing() == [gone, *rest]
    for row in rest:
        write_sealed_json(run.part(row), part)
    assert run.missing() == [gone] and run.missing(untrained=True) == list(run.rows)
