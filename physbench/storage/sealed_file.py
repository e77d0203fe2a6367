"""Files that carry a hash of their own content, which is checked when they are read.

A file holds `physbench-sha256:` and 64 hexadecimal digits in one place that its format has for remarks: the last value
of a JSON object, the comment of an .npz archive, the metadata of a Parquet table. The digits are the SHA-256 of all
bytes of the file with these digits as zeros. Other programs read the file as they read any other of its format.

The hash finds damage, not forgery: who changes a file on purpose can compute it again.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.storage.archive_errors import DAMAGED_ARCHIVE
from physbench.storage.atomic_write import atomic_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEAL_MARK = b"physbench-sha256:"
DIGITS = 64
EMPTY_SEAL = SEAL_MARK + b"0" * DIGITS  # what a writer puts in the place of the hash
PACKED = ".gz"
MOST_UNPACKED = 1 << 26  # bytes of a packed file
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

    Raises:
        DamagedFileError: The hash is not that of the content.
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
    whole = sealed(content)
    with atomic_path(path) as draft:
        draft.write_bytes(whole)


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
    try:
        with gzip.open(path) as file:
            content = file.read(MOST_UNPACKED + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedFileError(f"it is no whole file of gzip ({error})") from error
    if len(content) > MOST_UNPACKED:
        raise DamagedFileError(f"it holds more than {MOST_UNPACKED >> 20} MB")
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
