"""The files that came back, in a folder or an archive. Nothing is written, unpacked or renamed, no link is followed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from physbench.errors import ModelError

MOST_FILES = 200_000
LARGEST = 2 * 2**30  # bytes of one file in an archive
BUFFER = 2**20
LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Found:
    """One file: where it lies below the folder, or in the archive."""

    parts: tuple[str, ...]
    size: int  # bytes
    oddity: str = ""  # why it is not read
    member: str = ""  # its name in the archive

    @property
    def name(self) -> str:
        """The path as it can be printed and written as text anywhere: names may hold any bytes."""
        return printable("/".join(self.parts))


class Source:
    """A folder, a .zip or an uncompressed .tar, read only. `files` are those of two levels, sorted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._tar: tarfile.TarFile | None = None
        try:
            if path.is_dir():
                found = list(_walk(path, ()))
            elif zipfile.is_zipfile(path):
                self._zip = zipfile.ZipFile(path)
                found = list(_zipped(self._zip))
            else:
                self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed with the process
                found = list(_tarred(self._tar))
        except FileNotFoundError:
            raise ModelError(f"{path} does not exist.") from None
        except (OSError, tarfile.TarError, zipfile.BadZipFile, ValueError) as error:
            raise ModelError(
                f"{path} cannot be read as a folder, a .zip or a plain .tar of videos ({error}). Unpack it first."
            ) from None
        if len(found) > MOST_FILES:
            raise ModelError(f"{path} holds more than {MOST_FILES} files: it is no folder of videos.")
        if not path.is_dir():
            found = _without_top(found)
        self.files = tuple(sorted(found, key=lambda file: file.parts))

    def open(self, file: Found) -> IO[bytes]:
        """A seekable stream of one file. Raises OSError, also where an archive is damaged."""
        if self._zip is None and self._tar is None:
            return self.path.joinpath(*file.parts).open("rb")
        try:
            if self._zip is not None:
                with self._zip.open(file.member) as stream:
                    return _nameless(stream, file)
            assert self._tar is not None
            plain = self._tar.extractfile(file.member)
            if plain is None:
                raise OSError(f"{file.name} is no plain file")
            return plain
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise OSError(f"damaged in the archive ({error})") from None

    def sha256(self) -> str:
        """Hash of the names and contents of all files that are read."""
        digest = hashlib.sha256()
        if not self.path.is_dir():
            with self.path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        for file in self.files:
            digest.update(f"{'/'.join(file.parts)}|{file.size}|{file.oddity}|".encode("utf-8", "surrogateescape"))
            if not file.oddity:
                with self.open(file) as stream:
                    while block := stream.read(BUFFER):
                        digest.update(block)
        return digest.hexdigest()


def printable(text: str) -> str:
    """The text without what no terminal, page or UTF-8 file takes as it is."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _walk(folder: Path, above: tuple[str, ...]) -> Iterator[Found]:
    for count, entry in enumerate(os.scandir(folder)):
        if count > MOST_FILES:
            raise ModelError(f"{folder} holds more than {MOST_FILES} entries: it is no folder of videos.")
        parts = (*above, entry.name)
        if entry.name in LITTER:
            continue
        if entry.is_symlink():
            yield Found(parts, 0, "a link, which is not followed: put the file itself there")
        elif entry.is_dir():
            if above:
                yield Found(parts, 0, "a folder in a folder")
            else:
                yield from _walk(Path(entry.path), parts)
        elif entry.is_file():
            yield Found(parts, entry.stat().st_size)
        else:
            yield Found(parts, 0, "neither a file nor a folder")


def _zipped(archive: zipfile.ZipFile) -> Iterator[Found]:
    for item in archive.infolist():
        if not item.is_dir():
            link = stat.S_ISLNK(item.external_attr >> 16)
            yield _member(item.filename, item.file_size, link)


def _tarred(archive: tarfile.TarFile) -> Iterator[Found]:
    for count, item in enumerate(archive):
        if count > MOST_FILES:
            return
        if not item.isdir():
            yield _member(item.name, item.size, not item.isreg())


def _member(name: str, size: int, odd: bool) -> Found:
    """A name in an archive is never a path on disk; one that tries to be is reported."""
    parts = PurePosixPath(name.replace("\\", "/")).parts or (name,)
    if parts[0] == "/" or ".." in parts:
        return Found((name,), size, "a path out of the archive", name)
    if odd:
        return Found(parts, size, "no plain file", name)
    return Found(parts, size, f"larger than {LARGEST >> 30} GB" if size > LARGEST else "", name)


def _without_top(found: Iterable[Found]) -> list[Found]:
    """Drop the folder that everything was packed in, and what systems leave behind."""
    kept = [file for file in found if not set(file.parts) & set(LITTER)]
    if len({file.parts[0] for file in kept}) == 1 and all(len(file.parts) > 1 for file in kept):
        return [replace(file, parts=file.parts[1:]) for file in kept]
    return kept


def _nameless(stream: IO[bytes], file: Found) -> IO[bytes]:
    """A copy that can be gone back in: in a compressed stream that means starting over."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        shutil.copyfileobj(_Bounded(stream, file.size), copy, BUFFER)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy


class _Bounded:
    """A stream that ends with an error where it holds more than was declared."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream = stream
        self.left = size

    def read(self, size: int = -1) -> bytes:
        block = self.stream.read(size)
        self.left -= len(block)
        if self.left < 0:
            raise OSError("larger than the archive says")
        return block
