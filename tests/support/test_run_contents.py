"""The hashes in a manifest tell what of a finished run is not as it was."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from physbench.support.files import read_sealed_json, write_sealed_json
from physbench.support.run_folder import CONTENTS, RunFolder, contents_of, is_other, other_contents, renew


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    for name in ("scores.parquet", "result.json", "tracks/b.npz", "tracks/a.npz", "references/truth/parts/a.0.json"):
        path = folder.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder.path / "tracks" / ".draft").touch()
    write_sealed_json(folder.manifest, {CONTENTS: contents_of(folder)})
    return folder


def manifest(run: RunFolder) -> dict[str, object]:
    document: dict[str, object] = read_sealed_json(run.manifest)
    return document


def test_the_hashes_are_those_of_other_programs(run: RunFolder) -> None:
    known = contents_of(run)
    assert set(known) == {"scores.parquet", "result.json", "tracks", "references/truth/parts"}

    def said(command: str) -> str:
        done = subprocess.run(command, shell=True, cwd=run.path, capture_output=True, text=True, check=True)
        return done.stdout.split()[0]

    assert said("sha256sum scores.parquet") == known["scores.parquet"]
    assert said("cd tracks && LC_ALL=C sha256sum * | sha256sum") == known["tracks"]


def test_what_was_changed_exchanged_lost_or_added_is_named(run: RunFolder) -> None:
    assert other_contents(run, manifest(run)) == []
    a, b = run.path / "tracks" / "a.npz", run.path / "tracks" / "b.npz"
    a.rename(run.path / "tracks" / "c"), b.rename(a), (run.path / "tracks" / "c").rename(b)
    run.result.unlink()
    run.scores.write_text("other")
    run.diagnosis.write_text("{}")
    assert other_contents(run, manifest(run)) == ["diagnosis.json", "result.json", "scores.parquet", "tracks"]
    assert is_other(run, manifest(run), run.scores) and other_contents(run, {}) == []


def test_what_is_made_again_is_noted_in_a_finished_run_alone(run: RunFolder) -> None:
    run.result.write_text("new")
    assert is_other(run, manifest(run), run.result)
    renew(run, run.result)
    assert other_contents(run, manifest(run)) == []
    write_sealed_json(run.manifest, {"schema_version": 1})
    renew(run, run.result)
    assert manifest(run) == {"schema_version": 1}
