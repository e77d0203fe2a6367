"""The files of an answer, in a folder or an archive, read only: nothing is unpacked, and no link is followed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from physbench.errors import ModelError
from physbench.printable import printable
from physbench.storage.archive_errors import DAMAGED_ARCHIVE

MAX_FILES = 200_000
MAX_FILE_BYTES = 2 * 2**30  # bytes of one file in an archive
BUFFER_BYTES = 2**20
ENCRYPTED = "encrypted"
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
SYSTEM_FILES = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class SourceFile:
    """One file of a folder or an archive."""

    parts: tuple[str, ...]  # of its path below the folder, or in the archive
    size: int  # bytes
    problem: str = ""  # why it is not read
    member: str = ""  # its name in the archive

    @property
    def name(self) -> str:
        """The path, printable: names of files may hold any bytes."""
        return printable("/".join(self.parts))


class VideoSource:
    """A folder, a .zip or an uncompressed .tar, read only. `files` are those of its top two levels, sorted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._tar: tarfile.TarFile | None = None
        try:
            if path.is_dir():
                found = list(_folder_files(path, ()))
            elif zipfile.is_zipfile(path):
                self._zip = zipfile.ZipFile(path)
                found = list(_zip_members(self._zip))
            else:
                self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed with the process
                found = list(_tar_members(self._tar))
        except FileNotFoundError:
            raise ModelError(f"{path} does not exist.") from None
        except DAMAGED_ARCHIVE as error:
            raise ModelError(
                f"{path} cannot be read as a folder, a .zip or a plain .tar of videos ({error}). Unpack it first."
            ) from None
        if len(found) > MAX_FILES:
            raise ModelError(f"{path} holds more than {MAX_FILES} files: it is not a folder of videos.")
        if not path.is_dir():
            found = _without_top_folder(found)
        if any(file.problem == ENCRYPTED for file in found):
            raise ModelError(f"{path} is encrypted. Unpack it, or pack it without a password.")
        self.files = tuple(sorted(found, key=lambda file: file.parts))

    def open(self, file: SourceFile) -> IO[bytes]:
        """Open one file as a seekable stream. Raises OSError, also where an archive is damaged."""
        if self._zip is None and self._tar is None:
            return self.path.joinpath(*file.parts).open("rb")
        try:
            if self._zip is not None:
                with self._zip.open(file.member) as stream:
                    return _temporary_copy(stream, file)
            assert self._tar is not None
            plain = self._tar.extractfile(file.member)
            if plain is None:
                raise OSError(f"{file.name} is no plain file")
            return plain
        except OSError:
            raise
        except DAMAGED_ARCHIVE as error:
            raise OSError(f"damaged in the archive ({error!s:.200})") from None

    def sha256(self) -> str:
        """Hash of the archive, or of the names and contents of all files in the folder."""
        digest = hashlib.sha256()
        if not self.path.is_dir():
            with self.path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        for file in self.files:
            digest.update(f"{'/'.join(file.parts)}|{file.size}|{file.problem}|".encode("utf-8", "surrogateescape"))
            if file.problem:
                continue
            try:
                with self.open(file) as stream:
                    while block := stream.read(BUFFER_BYTES):
                        digest.update(block)
            except OSError as error:  # its clip fails with that reason
                digest.update(f"{error.strerror}|".encode())
        return digest.hexdigest()


def _folder_files(folder: Path, parents: tuple[str, ...]) -> Iterator[SourceFile]:
    for count, entry in enumerate(os.scandir(folder)):
        if count > MAX_FILES:
            raise ModelError(f"{folder} holds more than {MAX_FILES} entries: it is not a folder of videos.")
        parts = (*parents, entry.name)
        if entry.name in SYSTEM_FILES:
            continue
        if entry.is_symlink():
            yield SourceFile(parts, 0, "a link, which is not followed: put the file itself there")
        elif entry.is_dir():
            if parents:
                yield SourceFile(parts, 0, "a folder in a folder")
            else:
                yield from _folder_files(Path(entry.path), parts)
        elif entry.is_file():
            yield SourceFile(parts, entry.stat().st_size)
        else:
            yield SourceFile(parts, 0, "neither a file nor a folder")


def _zip_members(archive: zipfile.ZipFile) -> Iterator[SourceFile]:
    for item in archive.infolist():
        if not item.is_dir():
            link = stat.S_ISLNK(item.external_attr >> 16)
            member = _member(item.filename, item.file_size, link)
            if item.flag_bits & 1:
                member = replace(member, problem=ENCRYPTED)
            elif item.compress_type not in ZIP_METHODS:
                member = replace(member, problem=f"compressed in a way that is not read (method {item.compress_type})")
            yield member


def _tar_members(archive: tarfile.TarFile) -> Iterator[SourceFile]:
    for count, item in enumerate(archive):
        if count > MAX_FILES:
            return
        if not item.isdir():
            yield _member(item.name, item.size, not item.isreg())


def _member(name: str, size: int, special: bool) -> SourceFile:
    """A member of an archive. Its name is never used as a path on disk; absolute names and ".." are reported."""
    parts = PurePosixPath(name.replace("\\", "/")).parts or (name,)
    if parts[0] == "/" or ".." in parts:
        return SourceFile((name,), size, "a path out of the archive", name)
    if special:
        return SourceFile(parts, size, "no plain file", name)
    return SourceFile(parts, size, f"larger than {MAX_FILE_BYTES >> 30} GB" if size > MAX_FILE_BYTES else "", name)


def _without_top_folder(found: Iterable[SourceFile]) -> list[SourceFile]:
    """Drop the folder that everything was packed in, and files that operating systems add."""
    kept = [file for file in found if not set(file.parts) & set(SYSTEM_FILES)]
    if len({file.parts[0] for file in kept}) == 1 and all(len(file.parts) > 1 for file in kept):
        return [replace(file, parts=file.parts[1:]) for file in kept]
    return kept


def _temporary_copy(stream: IO[bytes], file: SourceFile) -> IO[bytes]:
    """A temporary copy: seeking back in a compressed stream would decompress it from its start."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        shutil.copyfileobj(_Bounded(stream, file.size), copy, BUFFER_BYTES)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy


class _Bounded:
    """A stream that raises where it holds more bytes than the archive declares."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream = stream
        self.left = size

    def read(self, size: int = -1) -> bytes:
        block = self.stream.read(size)
        self.left -= len(block)
        if self.left < 0:
            raise OSError("larger than the archive says")
        return block
