"""Files appear whole or not at all, carry the hash of their content, are locked by one, and are named by users."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from physbench.support import files
from physbench.support.errors import UsageError
from physbench.support.files import (
    BLOCK,
    DIGITS,
    EMPTY_SEAL,
    NOT_ARRAYS,
    SEAL_MARK,
    DamagedFileError,
    add_file,
    atomic_path,
    locked_file,
    read_sealed,
    read_sealed_json,
    read_sealed_npz,
    seal_of,
    sealed,
    user_path,
    user_text,
    write_json,
    write_sealed,
    write_sealed_json,
    write_sealed_npz,
    writer_lives,
)

DOCUMENT = {"skill": 0.5, "note": f"it says {EMPTY_SEAL.decode()} itself", "rows": [1, None, "ü"]}


def test_a_document_is_read_as_it_was_written_and_stays_json(tmp_path: Path) -> None:
    path = tmp_path / "made" / "a.json"
    write_sealed_json(path, DOCUMENT)
    assert read_sealed_json(path) == DOCUMENT
    assert list(json.loads(path.read_text())) == ["skill", "note", "rows", "seal"]
    write_sealed_json(path, json.loads(path.read_text()))  # with its old hash in it
    assert read_sealed_json(path) == DOCUMENT


def test_arrays_are_read_as_they_were_written_with_the_same_bytes(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "names": np.array(["ball", "block"])}
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    write_sealed_npz(first, arrays)
    write_sealed_npz(second, arrays)
    assert first.read_bytes() == second.read_bytes()
    found = read_sealed_npz(first)
    assert set(found) == set(arrays) and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    with np.load(first) as plain:
        assert np.array_equal(plain["a"], arrays["a"])
    with zipfile.ZipFile(first) as archive:
        assert archive.testzip() is None and archive.comment.startswith(SEAL_MARK)


@pytest.mark.filterwarnings("ignore:Stored array in format 2.0")
@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3), dtype=np.float32),
        np.float64(2.5),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["", "ball"]),
        np.array([True, False]),
        np.arange(3, dtype=">i4"),
        np.zeros(2, dtype=[("a", "u1"), ("b", "<f8", (2,))]),
        np.zeros(1, dtype=[(f"{number:03}" + "x" * 60, "u1") for number in range(900)]),  # with a head of version 2
    ],
    ids=["empty", "scalar", "columns", "texts", "bits", "swapped", "fields", "many fields"],
)
def test_any_array_is_read_as_numpy_reads_it(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "a.npz"
    write_sealed_npz(path, {"a": array})
    try:
        with np.load(path, allow_pickle=False) as plain:
            expected = plain["a"]
    except ValueError:
        with pytest.raises(ValueError):
            read_sealed_npz(path)
        return
    found = read_sealed_npz(path)["a"]
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert (found.flags.c_contiguous, found.flags.f_contiguous) == (
        expected.flags.c_contiguous,
        expected.flags.f_contiguous,
    )
    assert found.tobytes() == expected.tobytes() and found.flags.writeable


@pytest.mark.parametrize(
    "head", ["'descr': '|O', 'shape': (1,)", "'descr': '<f8', 'shape': (-1,)", "'descr': '<f8', 'shape': (9,)"]
)
def test_an_array_that_is_none_is_refused(tmp_path: Path, head: str) -> None:
    """Python objects, a side below 0, more than there is."""
    text = f"{{{head}, 'fortran_order': False}}\n".encode()
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(16)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", content)
        archive.comment = EMPTY_SEAL
    write_sealed(tmp_path / "a.npz", buffer.getvalue())
    with pytest.raises(NOT_ARRAYS):
        read_sealed_npz(tmp_path / "a.npz")


def test_the_hash_is_that_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed_json(path, DOCUMENT)
    text = path.read_bytes()
    start = text.rfind(SEAL_MARK) + len(SEAL_MARK)
    (tmp_path / "zeros").write_bytes(text[:start] + b"0" * DIGITS + text[start + DIGITS :])
    said = subprocess.run(["sha256sum", tmp_path / "zeros"], capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == seal_of(text) == text[start : start + DIGITS].decode()


@pytest.mark.parametrize("kind", ["json", "npz", "parquet"])
def test_every_flipped_bit_is_found(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"file.{kind}"
    if kind == "json":
        write_sealed_json(path, DOCUMENT)
    elif kind == "npz":
        write_sealed_npz(path, {"a": np.linspace(0, 1, 50)})
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(pa.table({"a": [1.0, 2.0]}).replace_schema_metadata({"seal": EMPTY_SEAL.decode()}), buffer)
        write_sealed(path, buffer.getvalue())
        assert pq.read_table(path).column("a").to_pylist() == [1.0, 2.0]
    whole = read_sealed(path)
    bits = range(len(whole) * 8) if len(whole) < 400 else random.Random(0).sample(range(len(whole) * 8), 3000)
    for bit in bits:
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedFileError):
            seal_of(bytes(broken))


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_file_that_was_cut_or_lengthened_is_damaged(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed_json(path, DOCUMENT)
    text = path.read_bytes()
    path.write_bytes(text[:-cut] if cut > 0 else text[:0] if cut == 0 else text + b" ")
    with pytest.raises(DamagedFileError):
        read_sealed(path)


def test_a_document_made_by_hand_is_read_where_no_hash_is_required(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert read_sealed_json(path, required=False) == {"a": 1}
    with pytest.raises(DamagedFileError, match="does not hold the hash"):
        read_sealed_json(path)
    write_sealed_json(path, {"a": 1})
    path.write_text(path.read_text().replace("1,", "2,"))
    with pytest.raises(DamagedFileError, match="does not fit"):
        read_sealed_json(path, required=False)


def test_content_without_a_place_for_the_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        sealed(b"nothing")


def test_it_imports_nothing_heavy() -> None:
    code = "import physbench.support.files, sys; assert not {'torch', 'pandas', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    held = locked_file(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        locked_file(tmp_path / "lock")
    os.close(held)
    os.close(locked_file(tmp_path / "lock"))
    with pytest.raises(FileNotFoundError):
        locked_file(tmp_path / "none" / "lock")


def test_a_file_that_was_removed_before_it_was_locked_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder removes the file and ends between another's `open` and `flock`."""
    path, take = tmp_path / "lock", fcntl.flock
    taken: list[int] = []

    def late(handle: int, how: int) -> None:
        if not taken:
            path.unlink()
        taken.append(handle)
        take(handle, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    held = locked_file(path)
    assert len(taken) == 2
    with pytest.raises(BlockingIOError):
        locked_file(path)
    os.close(held)


def test_who_waits_gets_the_lock_as_soon_as_it_is_given_back(tmp_path: Path) -> None:
    """Also where the holder removes the file: the lock is that of the file that is there then."""
    path = tmp_path / "lock"
    held, waiting = locked_file(path), threading.Event()
    later: list[int] = []

    def wait() -> None:
        waiting.set()
        later.append(locked_file(path, wait=True))

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(60)
    path.unlink()
    os.close(held)
    thread.join(60)
    assert len(later) == 1 and path.exists()
    with pytest.raises(BlockingIOError):
        locked_file(path)
    os.close(later[0])


def test_many_that_begin_together_are_never_inside_together(tmp_path: Path) -> None:
    path, start, inside, most, entered = tmp_path / "lock", threading.Barrier(6), [0], [0], [0]

    def work() -> None:
        start.wait()
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            try:
                held = locked_file(path)
            except BlockingIOError:
                continue
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            entered[0] += 1
            time.sleep(1e-4)
            inside[0] -= 1
            path.unlink()
            os.close(held)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] and entered[0] > 10


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "made" / "a.txt"
    with atomic_path(path) as draft:
        draft.write_text("one")
        assert not path.exists() and draft.suffix == ".txt"
    with atomic_path(path) as draft:
        draft.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two" and list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": 2})
    assert path.read_text() == '{\n "b": 1,\n "a": 2\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    with pytest.raises(KeyError), atomic_path(path) as draft:
        draft.write_text("half")
        raise KeyError
    assert list(tmp_path.iterdir()) == [path] and path.read_text().startswith("{")


def test_a_draft_of_a_process_that_lives_is_at_work_whatever_the_clocks_say(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.json") as draft:
        assert writer_lives(draft)
        draft.touch()
    gone = subprocess.Popen(["true"])
    ended = tmp_path / f".{gone.pid}.a.json"
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    assert not writer_lives(ended), "nobody has waited for it"
    gone.wait()
    assert not writer_lives(ended)
    assert not writer_lives(tmp_path / ".x.json") and not writer_lives(tmp_path / f".{10**30}.a.json")


def test_home_folders_are_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/nets/a.pt") == Path("/home/me/nets/a.pt")
    assert user_path("nets/~a.pt") == Path("nets/~a.pt")


def test_a_file_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nobody-here").write_text("")
    assert user_path("~nobody-here") == Path("~nobody-here")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("~nobody-here/net.onnx", "the home folder ~nobody-here is not known here"),
        ("net\0.onnx", r"it holds a NUL character"),
    ],
)
def test_what_can_be_no_path_is_refused_in_a_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        user_path(text)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_is_read_as_editors_write_it(encoding: str, end: str) -> None:
    assert user_text(end.join(("one = 1", "# ü 物", "")).encode(encoding)) == "one = 1\n# ü 物\n"
    assert user_text(b"") == ""


def test_a_text_in_another_encoding_is_named_with_its_line() -> None:
    with pytest.raises(ValueError, match="line 3 is not in UTF-8: save it as UTF-8"):
        user_text("one\ntwo\nGröße\n".encode("latin-1"))


def test_a_file_of_several_blocks_has_the_hash_of_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * (BLOCK // 256) + b"the rest"
    (tmp_path / "weights").write_bytes(content)
    digest = hashlib.sha256(b"before")
    add_file(digest, tmp_path / "weights")
    assert digest.hexdigest() == hashlib.sha256(b"before" + content).hexdigest()
