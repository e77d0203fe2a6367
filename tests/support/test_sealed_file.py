"""Files that carry the hash of their content: every bit that changes is found."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from physbench.support.files import (
    DIGITS,
    EMPTY_SEAL,
    NOT_ARRAYS,
    SEAL_MARK,
    DamagedFileError,
    read_sealed,
    read_sealed_json,
    read_sealed_npz,
    seal_of,
    sealed,
    write_sealed,
    write_sealed_json,
    write_sealed_npz,
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
