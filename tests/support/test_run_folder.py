"""The hashes in a manifest tell what of a finished run is not as it was."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from physbench.support.files import read_sealed_json, write_sealed_json
from physbench.support.run_folder import RunFolder, contents_of, is_other, other_contents


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    for name in ("scores.parquet", "result.json", "tracks/b.npz", "tracks/a.npz", "references/truth/parts/a.0.json"):
        path = folder.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder.path / "tracks" / ".draft").touch()
    write_sealed_json(folder.manifest, {"contents": contents_of(folder)})
    return folder


def contents(run: RunFolder) -> dict[str, str]:
    found: dict[str, str] = read_sealed_json(run.manifest)["contents"]
    return found


def test_the_hashes_are_those_of_other_programs(run: RunFolder) -> None:
    known = contents_of(run)
    assert set(known) == {"scores.parquet", "result.json", "tracks", "references/truth/parts"}

    def said(command: str) -> str:
        done = subprocess.run(command, shell=True, cwd=run.path, capture_output=True, text=True, check=True)
        return done.stdout.split()[0]

    assert said("sha256sum scores.parquet") == known["scores.parquet"]
    assert said("cd tracks && LC_ALL=C sha256sum * | sha256sum") == known["tracks"]


def test_what_was_changed_exchanged_lost_or_added_is_named(run: RunFolder) -> None:
    assert other_contents(run, contents(run)) == []
    a, b = run.path / "tracks" / "a.npz", run.path / "tracks" / "b.npz"
    a.rename(run.path / "tracks" / "c"), b.rename(a), (run.path / "tracks" / "c").rename(b)
    run.result.unlink()
    run.scores.write_text("other")
    run.diagnosis.write_text("{}")
    assert other_contents(run, contents(run)) == ["diagnosis.json", "result.json", "scores.parquet", "tracks"]
    assert is_other(run, contents(run), run.scores) and other_contents(run, None) == []
