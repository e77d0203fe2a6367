"""Matches files with clips by name, and lists what is missing, extra or wrongly named."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from physbench.adapters.videos_containers import ACCEPTED, IMAGE_SUFFIX, container_suffix
from physbench.adapters.videos_source import SourceFile, VideoSource
from physbench.clips.conditioning import ANSWER, MANIFEST
from physbench.printable import printable

EXPORT_DOCUMENTS = (ANSWER, MANIFEST, "README.md")
SAMPLE_PATTERN = re.compile(r"(.+)\.s([1-9]\d{0,3})")
NUMBER_PATTERN = re.compile(r"\d+")
NUMBERING = "Name them so that one number counts up by 1, such as 0001.png, 0002.png ..."
MAX_NAMES_COMPARED = 1000  # extra names that missing ones are compared with
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
            listing.extra[name] = entry.problem or _why_extra(name, stem)
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
    numbers = [tuple(map(int, NUMBER_PATTERN.findall(file.parts[-1][: -len(IMAGE_SUFFIX)]))) for file in images]
    if not all(numbers):
        unnumbered = images[numbers.index(())]
        return VideoEntry(f"{name}/", (), True, f"{unnumbered.name} has no number in its name: {NUMBERING}")
    orders = _orders(numbers)
    if len({tuple(order) for order in orders}) > 1:
        problem = f"Folder {name}: two numbers of the names count, in different orders. {NUMBERING}"
        return VideoEntry(f"{name}/", (), True, problem)
    if not orders:
        return VideoEntry(f"{name}/", (), True, f"Folder {name}{_miscounted(numbers)}. {NUMBERING}")
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
    """What is wrong with numbers that do not count: said of that which takes most values."""
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
    match = SAMPLE_PATTERN.fullmatch(stem)
    return (match[1], int(match[2])) if match and match[1] in known else None


def _why_extra(name: str, stem: str) -> str:
    return "named after no clip" if stem else f"no video ({ACCEPTED})"


def _find_similar_names(listing: VideoListing, missing: Sequence[str]) -> None:
    """Pair clips without a video with extra files of similar names."""
    left = {(name[: -len(container_suffix(name))] if container_suffix(name) else name): name for name in listing.extra}
    if len(left) > MAX_NAMES_COMPARED:  # thousands of loose images: a hint is not worth minutes
        return
    for id_ in missing[:500]:
        match = difflib.get_close_matches(id_, left, n=1, cutoff=0.85)
        if match:
            listing.similar_names[id_] = left.pop(match[0])
