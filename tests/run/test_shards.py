"""Shards of a run joined: the bytes of one run, and one clear sentence where they cannot be joined."""

from __future__ import annotations

import errno
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from physbench.cli.main import run
from physbench.run import shards as merge_runs
from physbench.run.options import Options, parse_shard
from physbench.run.state import MERGE_DRAFT, batches_of_shard, missing_shards, opened
from physbench.support.errors import UsageError
from physbench.support.files import read_sealed_json, write_sealed_json
from physbench.support.run_folder import RunFolder

Words = Callable[..., tuple[str, ...]]
Join = Callable[..., str]
TABLES = ("scores.parquet", *(f"references/{name}/scores.parquet" for name in ("truth", "freeze", "constant-velocity")))


@pytest.fixture(scope="module")
def shards(staged_run: RunFolder, stage_words: Words, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Both shards of a run, the second of which is scored. Nobody may change them."""
    folder = tmp_path_factory.mktemp("shards")
    for index, command in ((1, "rollout"), (2, "eval")):
        assert run(stage_words(command, folder / f"{index}", "--shard", f"{index}/2")) == 0
    return [folder / "1", folder / "2"]


@pytest.fixture
def copies(shards: list[Path], tmp_path: Path) -> list[Path]:
    return [shutil.copytree(path, tmp_path / path.name) for path in shards]


@pytest.fixture
def join(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Join:
    """Tries to join folders, which must fail in so many lines and leave nothing; returns what was said."""

    def tried(*paths: Path, code: int = 2, lines: int = 2) -> str:
        capsys.readouterr()
        assert run(("merge", *map(str, paths), "--out", str(tmp_path / "whole"))) == code
        said = capsys.readouterr().err
        assert len(said.splitlines()) <= lines and not (tmp_path / "whole" / "manifest.json").exists()
        return said

    return tried


def test_shards_joined_are_one_run(
    staged_run: RunFolder, shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One shard is not scored, and the two samples of a clip lie in both: they are read together in the end."""
    manifests = [read_sealed_json(path / "manifest.json") for path in shards]
    rolled = [{path.name for path in (shard / "rollouts").glob("*.mkv")} for shard in shards]
    assert [len(names) for names in rolled] == [5, 3] and not rolled[0] & rolled[1]
    assert not (shards[0] / "parts").exists() and not list((shards[1] / "parts").glob("*.samples.json"))
    assert manifests[0]["batches"] == manifests[1]["batches"], "the plan is that of the whole run"
    before = {path: path.read_bytes() for shard in shards for path in shard.rglob("*.*") if path.is_file()}
    out = tmp_path / "whole"
    (out / MERGE_DRAFT).mkdir(parents=True)  # an earlier merge was killed before it wrote the manifest
    (out / "parts").mkdir()
    (out / "parts" / "old.json").write_text("{}")
    assert run(("merge", str(shards[1]), str(shards[0]), "--out", str(out), "--workers", "1")) == 0
    assert not (out / MERGE_DRAFT).exists() and not (out / "parts" / "old.json").exists()
    assert "4 of 56 clips, 2 samples a clip" in capsys.readouterr().out
    for name in TABLES:
        assert (out / name).read_bytes() == (staged_run.path / name).read_bytes(), name
    results = [read_sealed_json(place / "result.json") for place in (out, staged_run.path)]
    assert {**results[0], "speed": 0} == {**results[1], "speed": 0}
    for video in (staged_run.path / "rollouts").glob("*.mkv"):
        assert (out / "rollouts" / video.name).read_bytes() == video.read_bytes()
    assert before == {path: path.read_bytes() for path in before}, "the shards stay as they are"
    manifest, whole = (read_sealed_json(place / "manifest.json") for place in (out, staged_run.path))
    assert set(manifest["contents"]) == set(whole["contents"]) and manifest["options"]["shard"] is None
    assert manifest["speed"]["model_frames"] == whole["speed"]["model_frames"]
    assert run(("merge", *map(str, shards), "--out", str(out))) == 2
    assert f"holds a finished run: its report is {out / 'report' / 'index.html'}. " in capsys.readouterr().err
    _interrupted_goes_on(out, shards, capsys)


def _interrupted_goes_on(out: Path, shards: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """As if a merge had been killed at its end, when not all is scored: the same command leaves the same tables."""
    tables = {name: (out / name).read_bytes() for name in TABLES}
    manifest = read_sealed_json(out / "manifest.json")
    write_sealed_json(out / "manifest.json", {name: each for name, each in manifest.items() if name != "contents"})
    for path in (out / "result.json", out / "scores.parquet", next((out / "parts").glob("*.samples.json"))):
        path.unlink()
    kept = next((out / "parts").glob("*.0.json"))
    before = kept.stat().st_mtime_ns
    assert run(("merge", *map(str, shards), "--out", str(out), "--workers", "1")) == 0
    assert f"joined in {out} already: going on there." in capsys.readouterr().err
    assert kept.stat().st_mtime_ns == before and tables == {name: (out / name).read_bytes() for name in TABLES}
    ended = read_sealed_json(out / "manifest.json")
    assert set(ended["contents"]) == set(manifest["contents"])
    elsewhere = {**ended, "scored_with": {**ended["versions"], "numpy": "0.1"}}
    write_sealed_json(out / "manifest.json", {name: each for name, each in elsewhere.items() if name != "contents"})
    assert run(("merge", *map(str, shards), "--out", str(out))) == 0, "all is scored: nothing is mixed"


def test_shards_that_are_not_all_of_one_run(copies: list[Path], staged_run: RunFolder, join: Join) -> None:
    first = copies[0]
    assert "1 shard of 2 is missing: 2/2. Name their folders too" in join(first)
    assert "Shard 1 of 2 is given twice" in join(first, first)
    assert "is a whole run, and no shard of one" in join(first, staged_run.path)
    assert "there is no such folder" in join(first, first.with_name("none"))


@pytest.mark.parametrize("place", ["1", "2/whole"])
@pytest.mark.parametrize("more", [(), ("--fresh",)])
def test_the_whole_run_is_not_written_into_a_shard(
    copies: list[Path], place: str, more: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for shard in copies for path in shard.rglob("*"))
    assert run(("merge", *map(str, copies), "--out", str(tmp_path / place), *more)) == 2
    assert "which stays as it is. Choose another folder." in capsys.readouterr().err
    assert before == sorted(path.name for shard in copies for path in shard.rglob("*"))


@pytest.mark.parametrize(
    ("place", "name", "value", "words"),
    [
        ("options", "shard", "2/3", "is shard 2 of 3, and"),
        ("options", "seed", 7, "--seed is '0' there, here it is '7'"),
        ("options", "device", "cuda", ""),  # which one of several devices is no difference
        ("suite", "name", "core", "--suite is 'smoke' there, here it is 'core'"),
        ("suite", "version", 9, "The version of the suite is"),
        ("model", "sha256", "0", "The content of MODEL (sha256) is"),
        ("model", "device", "cuda:0", "--device is 'cpu' there, here it is 'cuda'"),
        ("model", "name", "other", "The name of the model is toy there, here it is other"),
        ("versions", "code", "0", "The source code of physbench is"),
        ("versions", "torch", "0", "The version of torch is"),
        ("", "batches", [["x"]], "Its batches are planned in another way"),
    ],
)
def test_shards_of_different_runs(
    copies: list[Path], join: Join, place: str, name: str, value: object, words: str
) -> None:
    manifest = copies[1] / "manifest.json"
    document = read_sealed_json(manifest)
    if place:
        document[place][name] = value
    else:
        document[name] = value
    write_sealed_json(manifest, document)
    if words:
        said = join(*copies, lines=3)
        assert words in said.replace("0 there", "'0' there").replace("is 7", "is '7'"), said
    else:
        from physbench.result.manifest import read_manifest
        from physbench.run.shards import _difference

        assert _difference(*(read_manifest(RunFolder(copy)) for copy in copies[:2])) is None


def test_a_shard_that_is_not_done_or_damaged(copies: list[Path], join: Join) -> None:
    sidecar, video = (next((copies[0] / "rollouts").glob(f"*.{kind}")) for kind in ("json", "mkv"))
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    said = join(*copies, code=1)
    assert "files of 1 sample are damaged or lost" in said and "physbench rollout " in said
    video.write_bytes(content)
    sidecar.unlink()
    said = join(*copies, code=1)
    assert "shard 1 of 2 is not done: 1 of 5 rollouts are missing. Go on with:" in said
    command = shlex.split(said[said.index("physbench rollout") :])[1:]
    assert run(command) == 0
    assert sidecar.exists() and video.read_bytes() == content, "a shard that was interrupted goes on"


def test_a_run_that_is_not_of_the_shards_stays(
    copies: list[Path], staged_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be unfinished; a finished one stays even where nothing tells it from that of the shards."""
    out = tmp_path / "whole"
    out.mkdir()
    document = read_sealed_json(staged_run.manifest)
    unfinished = {name: each for name, each in document.items() if name != "contents"}
    for manifest, words in (
        (document, "holds a finished run"),
        (unfinished | {"options": {**document["options"], "seed": 7}}, "is not of these shards. --seed is 0 there"),
    ):
        write_sealed_json(out / "manifest.json", manifest)
        before = (out / "manifest.json").read_bytes()
        assert run(("merge", *map(str, copies), "--out", str(out))) == 2
        assert words in capsys.readouterr().err
        assert before == (out / "manifest.json").read_bytes() and len(list(out.iterdir())) == 1


@pytest.mark.slow
def test_scores_of_two_environments_are_not_joined(copies: list[Path], join: Join, tmp_path: Path) -> None:
    """A shard that is not scored yet is not scored here either, where the other one was scored elsewhere."""
    manifest = copies[1] / "manifest.json"
    document = read_sealed_json(manifest)
    write_sealed_json(manifest, {**document, "scored_with": {**document["versions"], "numpy": "0.1"}})
    assert run(("merge", *map(str, copies), "--out", str(tmp_path / "joined"))) == 2
    assert read_sealed_json(tmp_path / "joined" / "manifest.json")["scored_with"]["numpy"] == "0.1"
    assert not (tmp_path / "joined" / "scores.parquet").exists()
    assert run(("score", str(copies[0]))) == 0
    assert f"{copies[1]} is scored with numpy 0.1, and {copies[0]} with" in join(*copies)


def test_a_shard_has_no_result(shards: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(("finish", str(shards[1]))) == 2
    assert "is shard 2 of 2: a result needs all of them" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/", "a/b", "1/4/2", "-1/4", "1/0"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match="expected I/N"):
        parse_shard(text)


def test_what_shards_could_not_agree_on_is_refused() -> None:
    Options("x", shard="1/2", batch_size=4).check()
    with pytest.raises(UsageError, match="say --batch-size N"):
        Options("x", shard="1/2").check()
    with pytest.raises(UsageError, match="each shard would draw other seeds"):
        Options("x", shard="1/2", batch_size=4, fresh_seeds=3).check()
    assert Options("x", suite="smoke", shard="1/2", batch_size=4).suite_name == "smoke-shard-1-of-2"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--shard", "1/2", "--batch-size", "2", "--json"), "has no result: leave out"),
        (("--shard", "1/2", "--batch-size", "2", "--dry-run"), "has no result: leave out"),
        (("--shard", "3/2", "--batch-size", "2"), "expected I/N with I from 1 to N"),
        (("--clips", "none.clips", "--dry-run"), "--clips: films and --dry-run"),
        (("--clips", "none.clips"), "none.clips'. `physbench data pack` makes one"),
        (("--clips", __file__), "is no whole archive of clips"),
    ],
)
def test_the_program_refuses_what_makes_no_sense(
    words: tuple[str, ...],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(("eval", "baseline:freeze", "--suite", "smoke", *words)) == 2
    said = capsys.readouterr().err
    assert says in said and len(said.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_every_batch_is_in_one_shard() -> None:
    for batches, of in ((1, 1), (7, 3), (56, 8), (8, 8)):
        parts = [list(batches_of_shard(batches, index, of)) for index in range(1, of + 1)]
        assert sorted(batch for part in parts for batch in part) == list(range(batches))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.raises(UsageError, match="the run has 3 batches"):
        batches_of_shard(3, 1, 4)
    assert missing_shards([3, 1], 4) == [2, 4]


def test_the_status_of_a_shard_is_that_of_its_own_part(shards: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    for path, words in zip(
        shards,
        ("shard 1/2: 5 of 5 rollouts are made, 0 are scored.", "shard 2/2: 3 of 3 rollouts are made, 3 are scored."),
        strict=True,
    ):
        assert run(("status", str(path))) == 0
        assert words in capsys.readouterr().err
    assert run(("status", str(shards[0]))) == 0
    assert f"physbench score {shards[0]}" in capsys.readouterr().err
    assert run(("status", str(shards[1]))) == 0
    assert "physbench merge SHARD SHARD" in capsys.readouterr().err
    assert run(("report", str(shards[1]))) == 2
    assert "shard 2/2 of one: join all shards with physbench merge" in capsys.readouterr().err


def test_a_full_disk_is_named(shards: list[Path], join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path, **_: object) -> None:
        raise shutil.Error([(str(source), str(target / "a"), f"[Errno {errno.ENOSPC}] No space left on device: 'a'")])

    monkeypatch.setattr(merge_runs.shutil, "copytree", full)
    assert "The disk is full" in join(*shards, code=1)


def test_a_shard_that_is_being_made_is_waited_for(copies: list[Path], join: Join) -> None:
    with opened(copies[0], resume=True, fresh=False):
        said = join(*copies)
    assert "Another process is working in" in said and "--out" not in said


def test_the_status_of_a_shard_that_is_all_scored(
    toy_eval: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of its clips are whole, and yet no result of the suite: it is that of a part."""
    cheap = ("--scorers", "drift/accuracy", "--workers", "1", "--samples", "1", "--batch-size", "1")
    assert run((*toy_eval(tmp_path / "run", *cheap, "--shard", "1/2", clips=4),)) == 0
    assert run(("status", str(tmp_path / "run"))) == 0
    said = capsys.readouterr()
    assert "2 of 2 rollouts are made, 2 are scored. On 2 of 2 clips so far:" in said.err and "2 of 56 clips" in said.out
    assert "physbench merge SHARD SHARD" in said.err
    for path in (tmp_path / "run" / "references" / "truth" / "parts").iterdir():
        path.unlink()
    assert run(("status", str(tmp_path / "run"))) == 0
    assert "go on with: physbench score" in capsys.readouterr().err
