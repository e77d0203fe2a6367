"""Machines that share an object store and nothing else: clips and runs behind URLs, on a real server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from interruptions import Ask, Session, is_whole, session
from object_store import BUCKET, object_store, store_here

from physbench.cli.main import run
from physbench.clips import packed as clip_archive
from physbench.rollout import store as rollout_store
from physbench.rollout.store import Rollout
from physbench.run import remote_run
from physbench.run.remote_run import run_at, use_of_out
from physbench.support import remote as remote_lock
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import read_sealed_json, write_sealed_json
from physbench.support.run_folder import RunFolder

CLIPS = f"s3://{BUCKET}/four.clips"
KILLED_AFTER = 4  # rollouts, of 8


@pytest.fixture(scope="module")
def store() -> Iterator[Any]:
    with object_store() as fs:
        yield fs


@pytest.fixture(scope="module")
def packed(store: Any, staged_run: RunFolder, ask: Ask) -> None:
    """The clips of the short run, behind CLIPS."""
    words = ask(Path())
    suite = words[words.index("--suite") + 1 : words.index("--scorers")]
    assert run(("data", "pack", *suite, "--fps", "5", "--workers", "1", "--out", CLIPS)) == 0


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Session]:
    """machine("a", words): a session of the program on a machine with a cache of its own."""
    sessions = iter(range(9))

    def runs(name: str, words: tuple[str, ...], prepare: Callable[[], object] = lambda: None) -> Session:
        def there() -> None:
            os.environ["PHYSBENCH_CACHE"] = str(tmp_path / name)
            remote_lock.LOCK.lease, remote_lock.LOCK.poll = 0.2, 0.05
            prepare()

        return session(words, [], tmp_path / f"session-{next(sessions)}", there)

    return runs


def rolled(ask: Ask, url: str, *more: str) -> tuple[str, ...]:
    """The command that rolls the toy out into a URL, on clips behind another one."""
    words = ask(Path(), "--clips", CLIPS, *more)
    return ("rollout", *words[1 : words.index("--out")], "--out", url, *words[words.index("--out") + 2 :])


def test_clips_and_rollouts_behind_urls(
    packed: None, store: Any, staged_run: RunFolder, ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"s3://{BUCKET}/runs/rolled"
    assert run(rolled(ask, url)) == 0
    said = capsys.readouterr()
    assert said.out == f"{url}\n" and f"physbench score {url}" in said.err
    assert run(rolled(ask, url)) == 2
    assert f"{url} holds a run. Go on with it (--resume)" in capsys.readouterr().err
    assert run(("status", url)) == 0
    assert f"{url}: 8 of 8 rollouts are made, 0 are scored" in capsys.readouterr().err
    store.get(f"{BUCKET}/runs/rolled/", str(tmp_path / "all"), recursive=True)
    for video in (staged_run.path / "rollouts").glob("*.mkv"):
        assert (tmp_path / "all" / "rollouts" / video.name).read_bytes() == video.read_bytes()
    manifest = read_sealed_json(tmp_path / "all" / "manifest.json")
    assert manifest["clips"]["file"] == CLIPS and "secret" not in (tmp_path / "all" / "manifest.json").read_text()
    assert not (tmp_path / "all" / ".lock").exists()


@pytest.mark.slow
def test_a_scored_run_behind_a_url_is_finished_and_read(
    store: Any, staged_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    url, place = f"s3://{BUCKET}/runs/scored", f"{BUCKET}/runs/scored"
    store.put(f"{staged_run.path}/", f"{place}/", recursive=True)
    store.rm([f"{place}/{name}" for name in ("scores.parquet", "result.json", ".lock")])
    assert run(("finish", url)) == 0
    assert f"Report: {url}/report/index.html" in capsys.readouterr().out
    assert store.cat_file(f"{place}/scores.parquet") == staged_run.scores.read_bytes()
    assert not store.exists(f"{place}/.lock")
    assert run(("report", url, "--format", "json")) == 0
    result = read_sealed_json(staged_run.result)
    assert json.loads(capsys.readouterr().out)["overall"] == result["overall"]
    assert run(("compare", str(staged_run.path), url, "--json")) == 0
    assert url in capsys.readouterr().out


@pytest.mark.slow
def test_three_machines_and_a_store(
    packed: None,
    store: Any,
    staged_run: RunFolder,
    ask: Ask,
    machine: Callable[..., Session],
    tmp_path: Path,
    cache: Path,
) -> None:
    """One is killed, another goes on, a third scores and finishes: the bytes of a run on one machine."""
    url, place = f"s3://{BUCKET}/runs/mine", f"{BUCKET}/runs/mine"

    def dies() -> None:
        remote_run.PUSH_SECONDS = 0.05
        plain, made, store, turn = rollout_store.store_rollout, [], store_here(), threading.Lock()

        def store_rollout(folder: RunFolder, rollout: Rollout, fps: float) -> None:
            with turn:
                plain(folder, rollout, fps)
                made.append(rollout)
                if len(made) == KILLED_AFTER:
                    while sum(name.endswith(".json") for name in store.find(f"{place}/rollouts")) < KILLED_AFTER:
                        time.sleep(0.05)
                    os.kill(os.getpid(), signal.SIGKILL)

        rollout_store.store_rollout = store_rollout

    assert machine("a", rolled(ask, url), dies).code == -signal.SIGKILL
    shutil.rmtree(tmp_path / "a")
    ended = machine("b", rolled(ask, url, "--resume"))
    assert ended.code == 0, ended.said
    assert "has begun to work there" in ended.said, "its lock is still there"
    assert f"Resuming: {KILLED_AFTER} of 8 rollouts are made" in ended.said
    assert f"physbench score {url}" in ended.said and str(tmp_path / "b" / "runs") in ended.said
    assert run(("status", url)) == 0
    shutil.copytree(cache / "references", tmp_path / "c" / "references")  # as if it had scored others before
    ended = machine("c", ("score", url, "--workers", "2"))
    assert ended.code == 2 and "which is not in the cache" in ended.said, ended.said
    ended = machine("c", ("score", url, "--workers", "2", "--clips", CLIPS))
    assert ended.code == 0 and f"physbench finish {url}" in ended.said, ended.said
    ended = machine("c", ("finish", url))
    assert ended.code == 0 and "Fetching" not in ended.said, ended.said
    store.get(f"{place}/", str(tmp_path / "all"), recursive=True)
    is_whole(RunFolder(tmp_path / "all"), staged_run)
    assert str(tmp_path) not in (tmp_path / "all" / "manifest.json").read_text()


@pytest.mark.slow  # each half is in the test above and in test_shards
def test_shards_behind_urls(packed: None, staged_run: RunFolder, ask: Ask, tmp_path: Path) -> None:
    shards = [f"s3://{BUCKET}/shards/{index}" for index in (1, 2)]
    for index, url in enumerate(shards, 1):
        assert run(rolled(ask, url, "--shard", f"{index}/2")) == 0
    assert run(("merge", *shards, "--out", str(tmp_path / "run"), "--workers", "2")) == 0
    is_whole(RunFolder(tmp_path / "run"), staged_run)


def test_an_altered_archive_is_refused_and_a_changed_one_fetched_again(
    packed: None, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path))
    place = f"{BUCKET}/other.clips"
    content = store.cat_file(CLIPS.removeprefix("s3://"))
    at = content.index(b"frames.npy") + 500
    store.pipe_file(place, content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(UsageError, match=r"s3://bench/other.clips is damaged at .* does not fit"):
        clip_archive.opened_archive(f"s3://{place}")
    assert not list((tmp_path / "archives").iterdir()), "nothing of it is kept"
    store.pipe_file(place, content[: len(content) // 2])
    with pytest.raises(UsageError, match="is no whole archive of clips"):
        clip_archive.opened_archive(f"s3://{place}")
    store.pipe_file(place, content)
    archive = clip_archive.opened_archive(f"s3://{place}")
    archive.path.touch()
    changed = archive.path.stat().st_mtime_ns
    assert clip_archive.opened_archive(CLIPS).path == archive.path, "the same under another name"
    assert archive.path.stat().st_mtime_ns == changed
    assert clip_archive.kept_archive(CLIPS, "../" * 20 + "etc/passwd") is None
    assert run(("data", "pack", "smoke", "--limit", "1", "--out", CLIPS)) == 2, "it is there already"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://absent/run", "there is no such place (The specified bucket does not exist)"),
        pytest.param("nowhere://bench/run", "there is no protocol nowhere://", marks=pytest.mark.slow),
        pytest.param(f"s3://{BUCKET}/none", "there is no such folder", marks=pytest.mark.slow),
        (f"s3://{BUCKET}/strange", "which is no file of a run. Remove it"),
        pytest.param(f"s3://{BUCKET}/four.clips", "is a file. Name a folder", marks=pytest.mark.slow),
        pytest.param(f"s3://{BUCKET}", "holds other files", marks=pytest.mark.slow),
    ],
)
def test_places_that_hold_no_run(
    packed: None, store: Any, url: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.pipe_file(f"{BUCKET}/strange/parts/../../../../etc/cron.d/x", b"")
    store.pipe_file(f"{BUCKET}/none/", b"")  # stands for a folder
    store.pipe_file(f"{BUCKET}/none/parts/", b"")
    for command in ("status", "score"):
        assert run((command, url)) == 2
        said = capsys.readouterr().err
        assert words in said and len(said.splitlines()) <= 2, said


def test_without_credentials(store: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    assert run(("status", f"s3://{BUCKET}/run")) == 2
    assert "there are no credentials for it here" in capsys.readouterr().err


@pytest.mark.slow
def test_a_network_that_is_gone_loses_nothing(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder here is named; the same command brings what is missing once the store answers again."""
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(remote_run, "PUSH_SECONDS", 0.01)
    url, said = f"s3://{BUCKET}/runs/lost", list[str]()
    with pytest.raises(PhysbenchError) as error, run_at(url, use_of_out(False, False), said.append) as place:
        assert place.path is not None
        remote = next(each for each in made if each.local == place.path)
        (place.path / "tracks").mkdir(parents=True)
        remote.place.fs.put = refuse
        write_sealed_json(place.folder.manifest, {"contents": {}})
        (place.path / "tracks" / "a.npz").write_text("")
        while not said:
            time.sleep(0.01)
    assert "The run goes on in" in said[0] and str(place.path) in said[0]
    assert f"2 files are not at {url}, but in {place.path}" in str(error.value)
    with run_at(url, use_of_out(True, False), said.append):
        pass
    assert {name.rpartition("lost/")[2] for name in store.find(url)} == {"manifest.json", "tracks/a.npz"}
    with pytest.raises(UsageError, match=f"{url}/x is wrong"), run_at(url, "read", said.append) as place:
        raise UsageError(f"{place.path}/x is wrong")


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that this machine has a copy of, and another machine has gone on with."""
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "store" / "mine"
    with run_at(f"file://{folder}", "begin", print) as place:
        make(place, "rollouts/a.0.mkv")
    write_sealed_json(folder / "manifest.json", {"run": "mine", "seen": "by another one"})
    (folder / "rollouts" / "b.0.mkv").write_text("of another one")
    return folder


def make(place: remote_run.RunPlace, *names: str) -> None:
    for name in names:
        path = place.folder.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made here")
    write_sealed_json(place.folder.manifest, {"run": "mine", "contents": {}})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("error", [PhysbenchError("the line is dead"), KeyboardInterrupt()])
def test_a_stale_copy_is_not_sent(stored: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the copy was not brought up to date, the URL stays as it is, and its lock is given back."""

    def fails(*arguments: object) -> None:
        raise error

    with run_at(f"file://{stored}", "read", print) as place:
        (place.folder.path / "rollouts" / "b.0.mkv").unlink()
        make(place, "rollouts/c.0.mkv")
    monkeypatch.setattr(remote_run.RemoteFolder, "pull", fails)
    before = contents(stored)
    with pytest.raises(type(error)), run_at(f"file://{stored}", "go on", print):
        pass
    assert contents(stored) == before


@pytest.mark.parametrize("token", ["another", None])
def test_who_was_taken_over_sends_nothing(
    stored: Path, token: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine is at work there, or was and has ended: a push may come before the next sign of life."""
    monkeypatch.setattr(remote_run, "PUSH_SECONDS", 0.01)
    said: list[str] = []
    work = run_at(f"file://{stored}", "go on", said.append)
    with pytest.raises(PhysbenchError, match="2 files are not at file://"), work as place:
        if token is None:
            (stored / ".lock").unlink()
        else:
            (stored / ".lock").write_text(json.dumps({"token": token, "host": "ann"}))
        before = contents(stored)
        make(place, "rollouts/c.0.mkv")
        while not said[1:]:
            time.sleep(0.01)
    assert "stays in" in said[-1] and ("taken over" in said[-1] or "is gone" in said[-1]) and len(said) == 2
    assert contents(stored) == before


made: list[remote_run.RemoteFolder] = []


def refuse(*arguments: object) -> None:
    raise TimeoutError("the line is dead")


@pytest.fixture(autouse=True)
def known_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember the folders behind URLs that a test opens."""

    class Known(remote_run.RemoteFolder):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    made.clear()
    monkeypatch.setattr(remote_run, "RemoteFolder", Known)
