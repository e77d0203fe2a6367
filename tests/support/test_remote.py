"""A folder behind a URL and its copy: what travels, in which order, and what is refused."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from physbench.run.state import OURS
from physbench.support import remote
from physbench.support.cache import DAY, prune, unsent_copies
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import read_sealed_json, write_sealed_json
from physbench.support.remote import (
    LOCK_OBJECT,
    RemoteFolder,
    RemoteLock,
    TakenOverError,
    is_plain_name,
    is_url,
    remote_errors,
    remote_place,
)

Machine = Callable[[str], RemoteFolder]


def say(message: str) -> None:
    pass


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The folder that the URL names."""
    return tmp_path / "store" / "mine"


@pytest.fixture
def machine(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """machine("a"): the folder as one of several machines sees it, each of which has a cache of its own."""

    def made(name: str) -> RemoteFolder:
        monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / name))
        return RemoteFolder(f"file://{store}", OURS)

    return made


def write(folder: Path, *names: str, content: str = "{}") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def manifest(folder: Path, **more: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_sealed_json(folder / "manifest.json", {"run": "mine", **more})


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class Watched:
    """A file system that notes what travels, and stops working at a chosen call."""

    def __init__(self, fs: Any, fails_at: int = -1) -> None:
        self._fs, self._fails_at, self._calls = fs, fails_at, 0
        self.done: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        plain = getattr(self._fs, name)
        if name not in ("put", "get", "rm_file", "pipe_file"):
            return plain

        def call(first: Any, second: Any = None, **more: Any) -> Any:
            self._calls += 1
            if self._calls == self._fails_at:
                raise OSError("the line is dead")
            places = second if name == "put" else first
            for place in places if isinstance(places, list) else [places]:
                self.done.append((name, place.partition("/mine/")[2]))
            return plain(first, *([] if second is None else [second]), **more)

        return call


def watched(folder: RemoteFolder, fails_at: int = -1) -> Watched:
    found = Watched(folder.place.fs, fails_at)
    object.__setattr__(folder.place, "fs", found)
    return found


def finished_run(folder: RemoteFolder) -> None:
    write(folder.local, "rollouts/a.0.mkv", "rollouts/a.0.json", "parts/a.0.json", "tracks/a.0.npz", "scores.parquet")
    manifest(folder.local, contents={"scores.parquet": "1"})


def test_what_one_machine_makes_another_has(machine: Machine, store: Path) -> None:
    """Also what it changes and removes; drafts and locks do not travel, and objects that are not ours stay."""
    write(store, ".keep", content="of somebody else")
    a = machine("a")
    a.pull(say)
    finished_run(a)
    write(a.local, "rollouts/.77.b.mkv", ".lock")
    a.settle()
    b = machine("b")
    b.pull(say)
    expected = names_in(a.local) - {"rollouts/.77.b.mkv", ".lock"}
    assert names_in(b.local) == expected and names_in(store) == {*expected, ".keep"}
    (b.local / "rollouts/a.0.mkv").unlink()
    write(b.local, "parts/a.0.json", content="[]")
    b.settle()
    a.pull(say)
    assert (a.local / "parts/a.0.json").read_text() == "[]" and not (a.local / "rollouts/a.0.mkv").exists()


def test_only_what_has_changed_travels(machine: Machine) -> None:
    a = machine("a")
    finished_run(a)
    a.settle()
    again = machine("a")
    seen = watched(again)
    again.pull(say)
    again.settle()
    assert seen.done == []
    write(again.local, "diagnosis.json")
    again.push()
    assert [name for how, name in seen.done if how == "put"] == ["diagnosis.json"]
    b = machine("b")
    seen = watched(b)
    b.pull(say, lambda name: name.endswith(".json"))
    b.pull(say)
    fetched = [name for how, name in seen.done]
    assert len(fetched) == len(set(fetched)) == 7 and fetched[0] == "manifest.json"


def test_nothing_speaks_of_files_that_are_not_there_yet(machine: Machine) -> None:
    """First how it was made, then data, then documents, then what is gone, and the finished manifest last."""
    a = machine("a")
    seen = watched(a)
    finished_run(a)
    a.push()
    first, *rest, last = (name for _, name in seen.done)
    assert first == last == "manifest.json"
    documents = [name.endswith(".json") for name in rest]
    assert documents == sorted(documents) and len(rest) == 5


@pytest.mark.parametrize("fails_at", [4, 1, 2, 3, 5])  # of a manifest, three times 16 files or fewer, a manifest
def test_a_push_that_stops_in_the_middle(machine: Machine, store: Path, fails_at: int) -> None:
    """The manifest there promises nothing that is missing; the next session brings the rest."""
    a = machine("a")
    manifest(a.local)
    a.settle()
    watched(a, fails_at)
    finished_run(a)
    write(a.local, *(f"tracks/{number:02}.npz" for number in range(40)))
    with pytest.raises(PhysbenchError, match="the line is dead"):
        a.push()
    assert "contents" not in read_sealed_json(store / "manifest.json") and a.waiting() > 0
    again = machine("a")
    again.pull(say)
    again.settle()
    assert again.waiting() == 0 and names_in(store) == names_in(a.local)
    assert "contents" in read_sealed_json(store / "manifest.json")


def test_what_the_url_holds_counts(machine: Machine) -> None:
    """What was not pushed is gone where another machine has gone on with the run, or has started it over."""
    a = machine("a")
    manifest(a.local)
    a.settle()
    write(a.local, "rollouts/a.0.mkv")
    b = machine("b")
    b.start_over()
    manifest(b.local, other="model")
    b.settle()
    a = machine("a")
    a.pull(say)
    assert names_in(a.local) == {"manifest.json"} and read_sealed_json(a.manifest)["other"] == "model"


def test_starting_over_and_killed_before_a_push(machine: Machine) -> None:
    """The old run is still at the URL, and nothing of the new one is taken for a part of it."""
    a = machine("a")
    finished_run(a)
    a.settle()
    a.start_over()
    manifest(a.local, other="model")
    write(a.local, "rollouts/b.0.json")
    again = machine("a")
    again.pull(say)
    assert "other" not in read_sealed_json(again.manifest) and "rollouts/b.0.json" not in names_in(again.local)


def test_starting_over_removes_the_old_run_before_the_new_one_comes(machine: Machine, store: Path) -> None:
    a = machine("a")
    finished_run(a)
    a.settle()
    before = names_in(store)
    b = machine("b")
    b.start_over()
    b.settle()
    assert names_in(store) == before, "nothing was begun"
    seen = watched(b)
    manifest(b.local, other="model")
    b.settle()
    assert names_in(store) == {"manifest.json"} and seen.done[-1] == ("pipe_file", "manifest.json")


def test_a_copy_that_is_gone_removes_nothing(machine: Machine, store: Path) -> None:
    a = machine("a")
    finished_run(a)
    a.settle()
    for path in sorted(a.local.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    a.push()
    assert "scores.parquet" in names_in(store)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a//b", "a/./b", "a/.b", "a\\..\\b", "a/\0", "a/\n", "", "a" * 999, "a/*", "a[1]"]
)
def test_names_that_no_file_of_a_run_has(name: str) -> None:
    assert not is_plain_name(name) and is_plain_name("references/truth/parts/orbits.kepler-v1.test.0.0.json")


def test_links_and_other_folders_are_refused(machine: Machine, store: Path, tmp_path: Path) -> None:
    write(store, "notes.txt", "clips/holiday.mkv")
    with pytest.raises(UsageError, match=r"holds other files \(clips, notes.txt\) and no run"):
        machine("a").pull(say)
    manifest(store)
    (store / "tracks").mkdir()
    (store / "tracks" / "a.npz").symlink_to(tmp_path / "secret")
    write(tmp_path, "secret")
    with pytest.raises(UsageError, match="which is no file of a run"):
        machine("a").pull(say)
    with pytest.raises(UsageError, match="is a file"):
        RemoteFolder(f"file://{store}/notes.txt", OURS).pull(say)


def test_a_lock_of_the_living_is_refused_and_one_of_the_dead_taken(
    machine: Machine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LOCK", replace(remote.LOCK, lease=0.3, poll=0.05))
    said: list[str] = []
    a, b = (RemoteLock(machine(name).place, name, said.append) for name in "ab")
    a.take()
    over = threading.Event()

    def live() -> None:
        while not over.wait(0.01):
            a.renew()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        with pytest.raises(UsageError, match=r"is at work there\. Wait for it"):
            b.take()
    finally:
        over.set()
        thread.join()
    RemoteLock(machine("a").place, "a", said.append).take()  # the same one, killed and started again
    assert len(said) == 1
    b.take()
    with pytest.raises(TakenOverError, match="has taken over"):
        a.renew()
    a.release()
    assert json.loads((store / LOCK_OBJECT).read_text())["token"] == "b"
    b.release()
    assert not (store / LOCK_OBJECT).exists()


def test_a_copy_at_work_is_not_pruned(machine: Machine, cache: Path) -> None:
    a = machine("a")
    with a.held():
        finished_run(a)
        a.settle()
        assert prune(["runs"], 0)[0] == 0
        with pytest.raises(BlockingIOError), machine("a").held():
            pass
    assert prune(["runs"], 0)[0] >= 6 and not a.base.exists()


def test_a_copy_is_pruned_once_all_of_it_was_sent(machine: Machine) -> None:
    """Whole, or not at all: files that the copy lacked would be removed at the URL."""
    a, now = machine("a"), time.time()
    finished_run(a)
    a.settle()
    for path in a.base.rglob("*"):
        os.utime(path, (now - 40 * DAY, now - 40 * DAY))
    write(a.local, "diagnosis.json")
    before = names_in(a.base)
    for days in (0, 30):
        assert prune(["runs"], days)[0] == 0, "diagnosis.json was not sent"
    assert unsent_copies() == 1
    with a.held():
        assert unsent_copies() == 0, "it is at work"
    a.settle()
    assert unsent_copies() == 0
    assert prune(["runs"], 30)[0] == 0, "one file is new"
    assert before <= names_in(a.base)
    assert prune(["runs"], 0, dry=True)[0] >= 7 and before <= names_in(a.base)
    assert prune(["runs"], 0)[0] >= 7 and not a.base.exists()


@pytest.mark.parametrize("name", ["incoming", "known.json", "begun.json", "at-work.lock", "copy"])
def test_a_run_may_have_any_name(tmp_path: Path, cache: Path, name: str) -> None:
    """Nothing that is kept beside the copy bears its name."""
    for _ in range(2):
        folder = RemoteFolder(f"file://{tmp_path}/store/{name}", OURS)
        with folder.held():
            folder.pull(say)
            finished_run(folder)
            folder.settle()
    write(tmp_path / "store" / name, "tracks/b.0.npz")
    folder = RemoteFolder(f"file://{tmp_path}/store/{name}", OURS)
    folder.pull(say)
    assert names_in(folder.local) == names_in(tmp_path / "store" / name) and len(names_in(folder.local)) == 7


def test_what_is_gone_at_the_url_already_keeps_nothing_else_there(machine: Machine, store: Path) -> None:
    a = machine("a")
    finished_run(a)
    a.settle()
    for name in ("rollouts/a.0.json", "rollouts/a.0.mkv", "tracks/a.0.npz"):
        (a.local / name).unlink()
    (store / "rollouts/a.0.json").unlink()
    a.settle()
    assert names_in(store) == names_in(a.local)


def test_what_goes_while_it_is_fetched_is_left_out(machine: Machine, store: Path) -> None:
    finished_run(a := machine("a"))
    a.settle()
    b = machine("b")
    listing = b._listing

    def outdated() -> dict[str, tuple[int, str]]:
        found = listing()
        (store / "rollouts/a.0.mkv").unlink(missing_ok=True)
        return found

    b._listing = outdated  # type: ignore[method-assign]
    b.pull(say)
    assert names_in(b.local) == names_in(store) and len(names_in(store)) == 5


@pytest.mark.parametrize(
    "url",
    ["s3://user:pass@b/x", "https://h/x?X-Amz-Signature=1", "s3://", "s3://b/a b", "zip://x::file:///y", "s3://b/$x"],
)
def test_urls_that_are_refused(url: str) -> None:
    assert is_url(url)
    with pytest.raises(UsageError, match="expected a URL") as error:
        remote_place(url)
    assert "pass" not in str(error.value).partition("expected")[0] and "Signature" not in str(error.value)


@pytest.mark.parametrize("url", ["file:///tmp/a/..", "s3://b/../x", "file:///tmp/./x", "s3://b/."])
def test_urls_do_not_climb(url: str) -> None:
    with pytest.raises(UsageError, match="without parts"):
        remote_place(url)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ImportError("Install s3fs to access S3"), UsageError, r"pip install 'physbench\[remote\]'"),
        (PermissionError("Forbidden"), UsageError, "access is denied"),
        (FileNotFoundError("no bucket"), UsageError, "there is no such place"),
        (type("NoCredentialsError", (Exception,), {})("Unable"), UsageError, "AWS_ACCESS_KEY_ID"),
        (TimeoutError("http://h/x?Signature=1"), PhysbenchError, r"http://h/x\?\.\.\.\). Is the network up"),
    ],
)
def test_what_goes_wrong_is_said(error: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words), remote_errors("s3://b/x"):
        raise error


def test_a_full_disk_is_said_elsewhere() -> None:
    with pytest.raises(OSError, match="full"), remote_errors("s3://b/x"):
        raise OSError(28, os.strerror(28) + " full")
