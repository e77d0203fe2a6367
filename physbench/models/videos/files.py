"""The files of an answer in videos: containers that are accepted; videos read only, matched with clips by name."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO

from physbench.clips.conditioning import ANSWER, MANIFEST
from physbench.clips.video import ACCEPTED, IMAGE_SUFFIX, container_suffix
from physbench.support.errors import ModelError
from physbench.support.files import DAMAGED_ARCHIVE, file_sha256
from physbench.support.printable import printable

# The files of an answer, in a folder or an archive, read only: nothing is unpacked, and no link is followed.


@dataclass(frozen=True)
class ArchiveBounds:
    """The most that is read of a folder or an archive."""

    files: int = 200_000
    file_bytes: int = 2 * 2**30  # bytes of one file in an archive
    buffer_bytes: int = 2**20


BOUNDS = ArchiveBounds()


ENCRYPTED = "encrypted"
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
                members = list(_folder_files(path, ()))
            elif zipfile.is_zipfile(path):
                self._zip = zipfile.ZipFile(path)
                members = list(_zip_members(self._zip))
            else:
                self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed with the process
                members = list(_tar_members(self._tar))
        except FileNotFoundError:
            raise ModelError(f"{path} does not exist. Name the folder of the answers to a `data export`.") from None
        except DAMAGED_ARCHIVE as error:
            raise ModelError(
                f"{path} cannot be read as a folder, a .zip or a plain .tar of videos ({error}). Unpack it first."
            ) from None
        if len(members) > BOUNDS.files:
            raise ModelError(f"{path} holds more than {BOUNDS.files} files: it is not a folder of videos.")
        if not path.is_dir():
            members = _without_top_folder(members)
        if any(file.problem == ENCRYPTED for file in members):
            raise ModelError(f"{path} is encrypted. Unpack it, or pack it without a password.")
        self.files = tuple(sorted(members, key=lambda file: file.parts))

    @classmethod
    def of_file(cls, path: Path) -> VideoSource:
        """One file, without a look at what lies beside it. Raises OSError."""
        source = cls.__new__(cls)
        source.path, source._zip, source._tar = path.parent, None, None
        source.files = (SourceFile((path.name,), path.stat().st_size),)
        return source

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
            return file_sha256(self.path)
        for file in self.files:
            digest.update(f"{'/'.join(file.parts)}|{file.size}|{file.problem}|".encode("utf-8", "surrogateescape"))
            if file.problem:
                continue
            try:
                with self.open(file) as stream:
                    while block := stream.read(BOUNDS.buffer_bytes):
                        digest.update(block)
            except OSError as error:  # its clip fails with that reason
                digest.update(f"{error.strerror}|".encode())
        return digest.hexdigest()


def _folder_files(folder: Path, parents: tuple[str, ...]) -> Iterator[SourceFile]:
    for count, entry in enumerate(os.scandir(folder)):
        if count > BOUNDS.files:
            raise ModelError(f"{folder} holds more than {BOUNDS.files} entries: it is not a folder of videos.")
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
    zip_methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    for item in archive.infolist():
        if not item.is_dir():
            link = stat.S_ISLNK(item.external_attr >> 16)
            member = _member(item.filename, item.file_size, link)
            if item.flag_bits & 1:
                member = replace(member, problem=ENCRYPTED)
            elif item.compress_type not in zip_methods:
                member = replace(member, problem=f"compressed in a way that is not read (method {item.compress_type})")
            yield member


def _tar_members(archive: tarfile.TarFile) -> Iterator[SourceFile]:
    for count, item in enumerate(archive):
        if count > BOUNDS.files:
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
    return SourceFile(
        parts, size, f"larger than {BOUNDS.file_bytes >> 30} GB" if size > BOUNDS.file_bytes else "", name
    )


def _without_top_folder(members: Iterable[SourceFile]) -> list[SourceFile]:
    """Drop the folder that everything was packed in, and files that operating systems add."""
    kept = [file for file in members if not set(file.parts) & set(SYSTEM_FILES)]
    if len({file.parts[0] for file in kept}) == 1 and all(len(file.parts) > 1 for file in kept):
        return [replace(file, parts=file.parts[1:]) for file in kept]
    return kept


def _temporary_copy(stream: IO[bytes], file: SourceFile) -> IO[bytes]:
    """A temporary copy: seeking back in a compressed stream would decompress it from its start."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        shutil.copyfileobj(_Bounded(stream, file.size), copy, BOUNDS.buffer_bytes)
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


EXPORT_DOCUMENTS = (ANSWER, MANIFEST, "README.md")
SampleKey = tuple[str, int]  # name of the clip's files, sample


@dataclass(frozen=True)
class VideoEntry:
    """The answer to one sample of one clip: a video file, or a folder of numbered images."""

    name: str
    files: tuple[SourceFile, ...]
    is_image_sequence: bool = False
    problem: str = ""  # why it cannot be used


@dataclass
class VideoListing:
    """The files of a source, matched with the clips that were asked for."""

    entries: dict[SampleKey, VideoEntry] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)  # name of a file that answers no clip: why
    similar_names: dict[str, str] = field(default_factory=dict)  # name without a video: the extra one most like it

    def missing(self, ids: Iterable[str], samples: int = 1) -> list[str]:
        """Names of the samples without a video."""
        return [sample_name((id_, k)) for id_ in ids for k in range(samples) if (id_, k) not in self.entries]

    def reason(self, key: SampleKey) -> str:
        """The message for a sample without a video."""
        near = self.similar_names.get(key[0], "")
        hint = f" Did you mean '{near}'?" if near else ""
        if near.rpartition(".")[0] == key[0]:
            hint = f" {near} is none of these: save it as one of them."
        return f"There is no video '{sample_name(key)}' ({ACCEPTED}).{hint}"


def sample_name(key: SampleKey) -> str:
    """Name of a sample: that of its clip, with ".s1", ".s2" ... after it for further samples."""
    return key[0] if key[1] == 0 else f"{key[0]}.s{key[1]}"


def list_answers(source: VideoSource, ids: Sequence[str]) -> VideoListing:
    """Match the files of a source with the names that were asked for."""
    known = set(ids)
    listing = VideoListing()
    candidates: dict[SampleKey, list[VideoEntry]] = {}
    for name, entry in _entries(source.files):
        suffix = container_suffix(name)
        stem = name if entry.is_image_sequence else name[: -len(suffix)] if suffix else ""
        key = _sample_key(stem, known)
        if key is not None:
            candidates.setdefault(key, []).append(entry)
        elif name not in EXPORT_DOCUMENTS:
            listing.extra[name] = entry.problem or ("named after no clip" if stem else f"no video ({ACCEPTED})")
    for key, entries in candidates.items():
        if len(entries) == 1:
            listing.entries[key] = entries[0]
        else:
            names = ", ".join(entry.name for entry in entries)
            listing.entries[key] = VideoEntry(names, (), problem=f"Several files for one clip ({names}): keep one.")
    _find_similar_names(listing, [id_ for id_ in ids if (id_, 0) not in listing.entries])
    return listing


def _entries(files: Iterable[SourceFile]) -> list[tuple[str, VideoEntry]]:
    """Names and entries of top-level files and of folders, sorted; a folder is one entry."""
    folders: dict[str, list[SourceFile]] = {}
    entries = []
    for file in files:
        if len(file.parts) > 1:
            folders.setdefault(printable(file.parts[0]), []).append(file)
        elif file.problem or not file.name.startswith("."):
            problem = f"{file.name} is {file.problem}." if file.problem else ""
            if not problem and not file.size and file.name not in EXPORT_DOCUMENTS:
                problem = f"{file.name} is empty."
            entries.append((file.name, VideoEntry(file.name, (file,), problem=problem)))
    entries += [(name, _image_sequence(name, inside)) for name, inside in folders.items()]
    return sorted(entries, key=lambda entry: entry[0])


def _image_sequence(name: str, inside: Sequence[SourceFile]) -> VideoEntry:
    """A folder of numbered PNG files as one entry, in the order of the number in their names that counts them."""
    odd = next((file for file in inside if file.problem), None)
    if odd is not None:
        return VideoEntry(f"{name}/", (), True, f"{odd.name} is {odd.problem}.")
    images = [file for file in inside if file.parts[-1].lower().endswith(IMAGE_SUFFIX) and len(file.parts) == 2]
    others = [file for file in inside if file not in images and not file.parts[-1].startswith(".")]
    if others or not images:
        what = f"holds {others[0].parts[-1]!r}" if others else "holds no .png"
        return VideoEntry(f"{name}/", (), True, f"Folder {name} {what}: expected numbered PNG files and nothing else.")
    numbers = [tuple(map(int, re.findall(r"\d+", file.parts[-1][: -len(IMAGE_SUFFIX)]))) for file in images]
    numbering = "Name them so that one number counts up by 1, such as 0001.png, 0002.png ..."
    if not all(numbers):
        unnumbered = images[numbers.index(())]
        return VideoEntry(f"{name}/", (), True, f"{unnumbered.name} has no number in its name: {numbering}")
    orders = _orders(numbers)
    if len({tuple(order) for order in orders}) > 1:
        problem = f"Folder {name}: two numbers of the names count, in different orders. {numbering}"
        return VideoEntry(f"{name}/", (), True, problem)
    if not orders:
        return VideoEntry(f"{name}/", (), True, f"Folder {name}{_miscounted(numbers)}. {numbering}")
    return VideoEntry(f"{name}/", tuple(images[place] for place in orders[0]), True)


def _orders(numbers: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """The orders of pictures by those of the numbers in their names that count, one up from picture to picture."""
    if len(set(map(len, numbers))) > 1:  # names of several kinds: the last number of each
        numbers = [each[-1:] for each in numbers]
    orders = []
    for column in zip(*numbers, strict=True):
        order = sorted(range(len(column)), key=column.__getitem__)
        if [column[place] for place in order] == list(range(min(column), min(column) + len(column))):
            orders.append(order)
    return orders


def _miscounted(numbers: Sequence[tuple[int, ...]]) -> str:
    """Fault of numbers that do not count, in the column with most values."""
    columns = [tuple(each[-1] for each in numbers)]
    if len(set(map(len, numbers))) == 1:
        columns = list(zip(*numbers, strict=True))[::-1]
    values = sorted(max(columns, key=lambda column: len(set(column))))
    twice = next((value for value, after in pairwise(values) if value == after), None)
    if twice is not None:
        return f" has two files of number {twice}"
    gap = next(value + 1 for value, after in pairwise(values) if after != value + 1)
    return f": frame {gap} is missing between {values[0]} and {values[-1]}"


def _sample_key(stem: str, known: set[str]) -> SampleKey | None:
    if stem in known:
        return stem, 0
    match = re.fullmatch(r"(.+)\.s([1-9]\d{0,3})", stem)
    return (match[1], int(match[2])) if match and match[1] in known else None


def _find_similar_names(listing: VideoListing, missing: Sequence[str]) -> None:
    """Pair clips without a video with extra files of similar names, in small letters or capitals."""
    stems = {name: name[: -len(container_suffix(name))] if container_suffix(name) else name for name in listing.extra}
    left = {stem.lower(): name for name, stem in stems.items()}
    if len(left) > 1000:  # thousands of loose images: a hint is not worth minutes
        return
    for id_ in missing[:500]:
        match = difflib.get_close_matches(id_.lower(), left, n=1, cutoff=0.85)
        if match:
            listing.similar_names[id_] = left.pop(match[0])
