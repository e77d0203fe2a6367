"""Files: written whole or not at all, with a hash of their content, locked, in the cache folder, as users name them."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import lzma
import math
import os
import struct
import sys
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import platformdirs

from physbench.support.errors import UsageError

if TYPE_CHECKING:
    from hashlib import _Hash

    import numpy as np
    from numpy.typing import NDArray

# Files that are written whole or not at all.

DRAFTS = ".[0-9]*.*"  # names of files that are being written, or were when their process was killed


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a draft beside `path` to write to, and rename it at the end: a reader sees the old file or the new one.

    Folders are made. The draft keeps the suffix, which some writers look at; it is removed if the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def writer_lives(draft: Path) -> bool:
    """True if the process that has begun a draft of `atomic_path` may still be at it, whatever the clocks say.

    One that was killed and that nobody has waited for, as in containers without an init process, is over.
    """
    import psutil

    try:
        process = psutil.Process(int(draft.name.lstrip(".").partition(".")[0]))
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.AccessDenied:  # of another user
        return True
    except (psutil.Error, ValueError, OverflowError):
        return False


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as draft:
        draft.write_bytes(content)


def write_packed(path: Path, text: str) -> None:
    """Write a text as gzip, atomically; the same bytes for the same text."""
    write_bytes(path, gzip.compress(text.encode(), mtime=0))


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically, keys in the order given, refusing NaN."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


# Adds the bytes of large files to a hash.

BLOCK = 1 << 22  # bytes read at once


def add_file(digest: _Hash, path: Path) -> None:
    """Add the bytes of a file to a hash, a block at a time."""
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# What Python raises where a zip or tar file from elsewhere is damaged.

# RuntimeError: encrypted, or of another version of zip; ValueError: names that are no text; IndexError: without a name;
# OverflowError: arrays with sides of any length.
DAMAGED_ARCHIVE = (
    OSError,
    EOFError,
    ValueError,
    IndexError,
    RuntimeError,
    OverflowError,
    struct.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


# Paths and files as a user writes them.


def user_path(text: str) -> Path:
    """The path that a user names, with `~` and `~name` as home folders.

    Raises UsageError: it holds a NUL character, or names the home of nobody, and no file of that very name exists.
    """
    if "\0" in text:
        raise UsageError(f"No file can be named {text!r}: it holds a NUL character.")
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError as error:  # no such user, or no home
        if path.exists():
            return path
        raise UsageError(f"{text}: the home folder {path.parts[0]} is not known here. Give the whole path.") from error


def user_text(content: bytes) -> str:
    """The text of a file as editors write it: UTF-8, UTF-16 or UTF-32, with a mark of it or without, and any line ends.

    Raises ValueError: it is in another encoding. The message names the line, and what to do.
    """
    encoding = json.detect_encoding(content)  # by the mark, or by where the first bytes are zero
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not in UTF-8: save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


# A lock file, which one process holds; the system lifts the lock when the process ends.

COPY_LOCK = "at-work.lock"  # beside the copy of a run that lies behind a URL


def locked_file(path: Path, *, wait: bool = False) -> int:
    """Make the lock file if need be, and take its lock. Returns its descriptor: closing it gives the lock back.

    With `wait`, wait until nobody else holds it. Whoever holds the lock may remove the file before closing it. On a
    network file system without locks there is none.

    Raises:
        BlockingIOError: Another process holds the lock, and `wait` is not set.
        OSError: The file cannot be made.
    """
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            raise
        except OSError:  # the filelock library would say that it is locked
            return handle
        if _is_at(path, handle):
            return handle
        os.close(handle)  # it was removed between opening and locking: others may lock the one that is there now


def _is_at(path: Path, handle: int) -> bool:
    """True if the file that is open is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


# Files that carry a hash of their own content, which is checked when they are read.
#
# A file holds `physbench-sha256:` and 64 hexadecimal digits in one place that its format has for remarks: the last
# value of a JSON object, the comment of an .npz archive, the metadata of a Parquet table. The digits are the SHA-256 of
# all bytes of the file with these digits as zeros. Other programs read the file as they read any other of its format.
#
# The hash finds damage, not forgery: who changes a file on purpose can compute it again.

SEAL_MARK = b"physbench-sha256:"
DIGITS = 64
EMPTY_SEAL = SEAL_MARK + b"0" * DIGITS  # what a writer puts in the place of the hash
PACKED = ".gz"
SEAL = "seal"  # the key in a JSON object, and in the metadata of a table
SEAL_SCHEMA = {
    "type": "string",
    "pattern": f"^{SEAL_MARK.decode()}[0-9a-f]{{{DIGITS}}}$",
    "description": f"SHA-256 of this file with these {DIGITS} digits as zeros; it is checked when the file is read.",
}


class DamagedFileError(ValueError):
    """The bytes of a file are not those that were written."""


# What reading arrays raises where a file is not what was written, or is none.
# TokenError and SyntaxError: NumPy reads the head of an array as Python text.
NOT_ARRAYS = (*DAMAGED_ARCHIVE, KeyError, TypeError, SyntaxError, tokenize.TokenError)


def sealed(content: bytes) -> bytes:
    """The content of a file with the hash in the place of its last EMPTY_SEAL. Raises ValueError where it has none."""
    at = content.rfind(EMPTY_SEAL)
    if at < 0:
        raise ValueError("There is no place for the hash.")
    digits = _digest(content, at + len(SEAL_MARK)).encode()
    return content[: at + len(SEAL_MARK)] + digits + content[at + len(EMPTY_SEAL) :]


def seal_of(content: bytes, *, required: bool = True) -> str | None:
    """Check the content of a file and return its hash.

    Args:
        content: All bytes of the file.
        required: Whether a file without a hash counts as damaged; else None is returned for it.

    Raises DamagedFileError: the hash is not that of the content.
    """
    at = content.rfind(SEAL_MARK)
    if at < 0:
        if required:
            raise DamagedFileError("it does not hold the hash of its content")
        return None
    start = at + len(SEAL_MARK)
    digits = content[start : start + DIGITS]
    if digits != _digest(content, start).encode():
        raise DamagedFileError("its hash does not fit its content")
    return digits.decode()


def _digest(content: bytes, start: int) -> str:
    """SHA-256 of the content with the digits that begin at `start` as zeros."""
    view = memoryview(content)
    digest = hashlib.sha256(view[:start])
    digest.update(b"0" * DIGITS)
    digest.update(view[start + DIGITS :])
    return digest.hexdigest()


def write_sealed(path: Path, content: bytes) -> None:
    """Write content that holds EMPTY_SEAL with its hash, whole or not at all."""
    write_bytes(path, sealed(content))


def read_sealed(path: Path, *, required: bool = True) -> bytes:
    """The bytes of a file that are those that were written.

    Raises:
        OSError: It cannot be read.
        DamagedFileError: As `seal_of`.
    """
    content = read_packed(path) if path.suffix == PACKED else path.read_bytes()
    seal_of(content, required=required)
    return content


def read_packed(path: Path) -> bytes:
    """The content of a file of gzip. Raises OSError or DamagedFileError, also where it is larger than any of ours."""
    most_unpacked = 1 << 26  # bytes of a packed file
    try:
        with gzip.open(path) as file:
            content = file.read(most_unpacked + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedFileError(f"it is no whole file of gzip ({error})") from error
    if len(content) > most_unpacked:
        raise DamagedFileError(f"it holds more than {most_unpacked >> 20} MB")
    return content


def write_sealed_json(path: Path, document: Mapping[str, Any], *, indent: int = 1, allow_nan: bool = False) -> None:
    """Write a JSON object and its hash as the last value, atomically, keys in the order given."""
    plain = {key: value for key, value in document.items() if key != SEAL}
    text = json.dumps({**plain, SEAL: EMPTY_SEAL.decode()}, indent=indent, allow_nan=allow_nan)
    write_sealed(path, f"{text}\n".encode())


def read_sealed_json(path: Path, *, required: bool = True) -> Any:
    """The document that `write_sealed_json` wrote, without its hash.

    Raises:
        OSError, DamagedFileError: As `read_sealed`.
        ValueError: It is no JSON, or is nested too deeply.
    """
    content = read_sealed(path, required=required)
    try:
        document = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return {key: value for key, value in document.items() if key != SEAL} if isinstance(document, dict) else document


def write_sealed_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as a compressed .npz without pickle, its hash in the comment; the same bytes for the same arrays."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = EMPTY_SEAL
    write_sealed(path, buffer.getvalue())


def read_sealed_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays that `write_sealed_npz` wrote.

    Raises:
        OSError, DamagedFileError: As `read_sealed`.
    """
    with zipfile.ZipFile(io.BytesIO(read_sealed(path))) as archive:
        return {name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()}


def _array(content: bytes) -> NDArray[Any]:
    """An array as NumPy stores it, without pickle.

    `numpy.load` parses the head of each array as Python text, which takes longer than small arrays themselves; most of
    the heads of a run are alike.
    """
    import numpy as np

    if np.lib.format.read_magic(io.BytesIO(content[:8])) != (1, 0):
        return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
    start = 10 + int.from_bytes(content[8:10], "little")
    shape, fortran, dtype = _head(content[8:start])
    if dtype.hasobject or min(shape, default=0) < 0:
        raise ValueError("it holds Python objects, or a side below 0")
    array = np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape, order="F" if fortran else "C")
    return array.copy(order="K")


@lru_cache(maxsize=1024)
def _head(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type, of the head of an array from its length on."""
    import numpy as np

    return np.lib.format.read_array_header_1_0(io.BytesIO(head))


# The folder of all caches.

ENVIRONMENT = "PHYSBENCH_CACHE"


def cache_dir() -> Path:
    """Return $PHYSBENCH_CACHE, or the user's cache folder."""
    return Path(os.environ.get(ENVIRONMENT) or platformdirs.user_cache_dir("physbench"))


Content = TypeVar("Content")


def cached(read: Callable[[Path], Content], path: Path, damage: tuple[type[Exception], ...]) -> Content | None:
    """Content of an entry, by `read`; None where it is missing, and where it is damaged, which is said on stderr.

    Args:
        read: Reads a file and raises one of `damage` where it is not what was written.
        damage: Errors that mean damage.
    """
    try:
        return read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except damage as error:
        print(f"physbench: {path} in the cache is damaged ({error}) and is made again", file=sys.stderr)
        return None
