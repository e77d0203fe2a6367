"""Runs on fresh seeds: while the model runs, no file holds what follows."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from truth_readers import STORE_READER

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore
from physbench.result.manifest import read_manifest
from physbench.rollout.store import load_rollout
from physbench.run.rollouts import UnseenClips, unseen
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder
from physbench.world.scene import RenderSpec

SPEC = RenderSpec(64, 64, 15)
ROWS = tuple(Row("falling/projectile-v1", "test", seed) for seed in range(5))

# Writes down which files of clips and references there are whenever it is loaded or asked.
WITNESS = (
    STORE_READER
    + """
def seen(store, out):
    own = [f"{out}/{name}" for name in ("clips", "references", "tracks")]
    found = [str(p) for place in (store, str(Path(store).parent / "references"), *own)
             for p in Path(place).rglob("*") if p.is_file()]
    with open(Path(out).parent / "seen.jsonl", "a") as file:
        file.write(json.dumps(found) + "\\n")

class Witness(Reader):
    def __init__(self, store, out):
        super().__init__(store)
        self.out = out
        seen(store, out)

    def rollout(self, context, **asked):
        seen(self.store, self.out)
        return super().rollout(context, **asked)

def make_witness(*, device, dtype):
    return Witness(STORE, OUT)
"""
)


@pytest.mark.slow
def test_a_model_that_opens_the_store_finds_nothing_of_fresh_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where a run goes on whose rollouts are lost, nor beside another run on the same seeds.

    The other run has all its files by then, so that there is no moment at which these could be found or changed.
    """
    cache, out, other = tmp_path / "cache", RunFolder(tmp_path / "run"), RunFolder(tmp_path / "other")
    monkeypatch.setenv("PHYSBENCH_CACHE", str(cache))
    # Paths stand in the file: a folder that is an argument belongs to the model, and may not change.
    (tmp_path / "witness.py").write_text(f"STORE, OUT = {str(cache / 'clips')!r}, {str(out.path)!r}\n{WITNESS}")
    words = ("--suite", "smoke", "--tasks", "falling/projectile*", "--scorers", "drift/sharpness", "--workers", "1")
    model = (f"{tmp_path / 'witness.py'}:make_witness", "--device", "cpu", "--keep-rollouts", "all")
    ask = ("eval", *model, *words, "--fresh-seeds", "2", "--out", str(other.path))
    # A program of its own: workers of this one may have been begun with another cache.
    program = [sys.executable, "-c", "from physbench.cli.main import main; main()", *ask]
    subprocess.run(program, check=True, capture_output=True)
    rows = read_manifest(other).rows
    assert all(ClipStore(other.clips).path(row, SPEC).is_file() for row in rows), "clips are stored in the end"
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in other.path.rglob("*") if path.is_file()}
    program[-3:] = [str(other.path), "--out", str(out.path)]
    subprocess.run(program, check=True, capture_output=True)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before, "of the other run"
    assert out.scores.read_bytes() == other.scores.read_bytes()
    (out.rollout(rows[0].id)).unlink()
    subprocess.run([*program, "--resume"], check=True, capture_output=True)
    assert out.scores.read_bytes() == other.scores.read_bytes()
    assert not [path for name in ("clips", "references") for path in (cache / name).rglob("*.*") if path.is_file()]
    witnessed = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
    looks = [[path for path in found if "/tracks/" not in path or "/references/" in path] for found in witnessed]
    assert len(looks) >= 6 and not any(looks), looks
    for row in rows:
        rollout, clip = load_rollout(out, row.id, 0), make_clip(row, SPEC)
        assert rollout is not None and (rollout.frames == rollout.frames[0]).all(), "it repeats the last frame"
        assert not np.array_equal(rollout.frames, clip.future())


class Counting:
    """A pool that makes clips here, and counts them."""

    def __init__(self) -> None:
        self.made: list[Row] = []

    def submit(self, function: object, row: Row, spec: RenderSpec) -> Future[SimpleNamespace]:
        self.made.append(row)
        future: Future[SimpleNamespace] = Future()
        future.set_result(SimpleNamespace(row=row, spec=spec))
        return future


def test_clips_are_made_once_in_advance_and_not_all_kept() -> None:
    pool = Counting()
    clips = UnseenClips(pool, SPEC, 2)  # type: ignore[arg-type]
    assert clips.get(ROWS[4]).row == ROWS[4], "the probe of the batch size asks before the plan is made"
    clips.expect([*ROWS[:4], *ROWS[:4]])
    assert [clips.get(row).row for row in (ROWS[0], ROWS[0], ROWS[1])] == [ROWS[0], ROWS[0], ROWS[1]]
    assert pool.made == [ROWS[4], *ROWS[:4]], "each once, two ahead"
    assert clips.get(ROWS[3]).row == ROWS[3] and len(clips._known) <= 5


def test_what_was_stored_before_is_forgotten(tmp_path: Path) -> None:
    out = RunFolder(tmp_path / "run")
    clips = [ClipStore(out.clips).path(row, SPEC) for row in ROWS]
    references = [out.reference("truth").tracks(row.id) for row in ROWS]
    for path in (*clips, *references, out.report):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    own = out.tracks(ROWS[0].id)
    own.parent.mkdir(parents=True)
    own.write_bytes(b"x")
    with pytest.raises(UsageError), unseen(out):
        assert not any(path.exists() for path in (*clips, *references, out.report)) and own.exists()
        raise UsageError("The model is another one now.")
    assert all(path.read_bytes() == b"x" for path in (*references, out.report)), "a run that is refused stays whole"
    with unseen(out):
        pass
    assert not any(path.exists() for path in (*references, out.report)) and own.exists()
