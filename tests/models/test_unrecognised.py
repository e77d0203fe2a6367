"""What a pickle would import is read from its instructions, and nothing of it is run."""

from __future__ import annotations

import collections
import io
import os
import pickle
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from physbench.models.unrecognised import (
    BOUNDS,
    NotAPickle,
    describe_unrecognised,
    pickles_in_zip,
    read_pickles,
    unsafe_globals,
)


class Runs:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def names_in(data: bytes) -> set[str]:
    return read_pickles([data]).names


SYSTEM = f"{os.system.__module__}.system"


@pytest.mark.parametrize("protocol", range(6))
def test_all_protocols_are_read(protocol: int) -> None:
    assert names_in(pickle.dumps([Runs(), "words", {"a": (1, 2)}], protocol)) == {SYSTEM}
    table = collections.OrderedDict(a=[1.5, "b"], c=b"bytes")
    plain = names_in(pickle.dumps(table, protocol))
    assert "collections.OrderedDict" in plain and SYSTEM not in plain


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x04safe0\x93.",  # two texts, and one that POP (0) takes away again
        b"\x80\x04\x8c\x05torch\x8c\x04Size00\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04\x8c\x02os(\x8c\x01x1\x8c\x06system\x93.",  # MARK ... POP_MARK
        b"\x80\x04\x8c\x02os(0\x8c\x06system\x93.",  # POP of a mark
        b"\x80\x04\x8c\x02osq\x000\x8c\x06system\x94h\x00h\x01\x93.",  # from the memo
        b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94h\x012\x86000h\x01h\x00\x93.",
        b"\x80\x04\x8c\x02os2\x85\x850\x8c\x06system\x93.",
    ],
    ids=range(7),
)
def test_the_global_is_the_one_that_python_would_import(code: bytes) -> None:
    seen = []

    class Watching(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            seen.append(f"{module}.{name}")
            return str

    Watching(io.BytesIO(code)).load()
    assert names_in(code) == set(seen) == {"os.system"}
    assert unsafe_globals({"os.system"})


@pytest.mark.parametrize("code", [b"\x80\x040.", b"\x80\x04h\x05.", b"\x80\x04\x85.", b"\x80\x04u.", b"\x80\x04"])
def test_what_python_could_not_read_is_no_pickle(code: bytes) -> None:
    with pytest.raises(NotAPickle):
        names_in(code)


@pytest.mark.slow
def test_endless_instructions_are_refused_within_little_memory() -> None:
    code = b"\x80\x04" + b"\x8c\x01a\x94" * (BOUNDS.instructions // 2) + b"."
    with pytest.raises(NotAPickle, match="instructions"):
        names_in(code)


def test_the_pickles_of_a_zip_file_share_one_budget_that_is_counted_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "many.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(f"a/{number}.pkl", bytes(BOUNDS.bytes // 8))
    tracemalloc.start()
    assert pickles_in_zip(path) is None
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    said = describe_unrecognised(str(path))
    assert "64 MB together: refused" in said and len(said.splitlines()) <= 2


def test_words_for_old_encrypted_and_repeated_files(tmp_path: Path) -> None:
    old = tmp_path / "old.pt"
    old.write_bytes(pickle.dumps([Runs()], 0))
    assert f"would run code when it is loaded ({SYSTEM})" in describe_unrecognised(str(old))
    notes = tmp_path / "notes.txt"
    notes.write_text("(c) some words, and no pickle\n")
    assert "is a text file" in describe_unrecognised(str(notes))
    twice = tmp_path / "twice.pt"
    with zipfile.ZipFile(twice, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a/data.pkl", pickle.dumps({"a": 1}, 2))
        archive.writestr("a/data.pkl", pickle.dumps(Runs(), 2))
    assert "would run code" in describe_unrecognised(str(twice))
    hidden = tmp_path / "hidden.pt"
    content = bytearray(twice.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the bit that says: encrypted
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + offset] |= 1
    hidden.write_bytes(content)
    assert "encrypted" in describe_unrecognised(str(hidden))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_videos_is_known_by_what_is_in_it(tmp_path: Path, kind: str) -> None:
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "clip-1.mp4").write_bytes(b"0" * 40)
    path = Path(shutil.make_archive(str(tmp_path / "answers"), kind, tmp_path, "answers")).rename(
        tmp_path / "answers.x"
    )
    assert f"give videos:{path}" in describe_unrecognised(str(path))


def test_a_config_without_a_type_of_model_is_none_of_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert "not a model that this version knows" in describe_unrecognised(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    assert "is a transformers model" in describe_unrecognised(str(tmp_path))
