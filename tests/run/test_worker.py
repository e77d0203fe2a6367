"""What a worker does on another machine: it is given what it reads, and is of the same version."""

from __future__ import annotations

from pathlib import Path

import pytest

from physbench.clips.clip import Row
from physbench.run import worker
from physbench.run.worker import Setting, files_read, own_setting, prepare, run_job
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder


def test_jobs_are_given_what_they_read(tmp_path: Path) -> None:
    """Files of other clips stay, what says that a job is done is written last, and nothing stays where it was done."""
    row = Row("falling/projectile-v1", "test", 3)
    folder = RunFolder(tmp_path)
    for name in (row.id, f"{row.id}0"):
        for path in (folder.rollout(name), folder.tracks(name)):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")
    assert list(files_read(worker.score, tmp_path, [row])) == [f"rollouts/{row.id}.0.mkv"]

    def job(place: Path, text: str) -> Path:
        assert (place / "rollouts" / "a").read_bytes() == b"a" and (place / "clips" / "c").read_bytes() == b"c"
        for name in ("parts", "tracks"):
            (place / name).mkdir()
            (place / name / "b").write_text(text)
        return place

    place, left = run_job(own_setting(), job, ("text",), {"rollouts/a": b"a"}, ("clips/c", b"c"))
    assert list(left) == ["tracks/b", "parts/b"] and left["parts/b"] == b"text"
    worker._remover().submit(lambda: None).result()
    assert not place.exists()


def test_a_node_with_another_version_is_refused() -> None:
    known = dict(own_setting().versions)
    for name, words in (("numpy", "instead of 0.1"), ("code", "another source code of physbench")):
        other = Setting(tuple({**known, name: "0.1"}.items()), "", (), (), Path())
        with pytest.raises(UsageError, match=words):
            prepare(other)
    assert set(worker.READS) == {worker.score, worker.references, worker.together, worker.pair}
