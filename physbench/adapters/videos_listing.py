"""Which file answers which clip, and everything that is missing, in excess or wrongly named."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from physbench.adapters.videos_source import Found, Source, printable
from physbench.clips.conditioning import ANSWER, MANIFEST

# Extension: the one demuxer that is used. A playlist called .mp4 must not make the library open other files.
CONTAINERS = {
    ".mp4": "mov",
    ".m4v": "mov",
    ".mov": "mov",
    ".webm": "matroska",
    ".mkv": "matroska",
    ".gif": "gif",
    ".avi": "avi",
}
PICTURE = ".png"
OURS = (ANSWER, MANIFEST, "README.md")
SAMPLE = re.compile(r"(.+)\.s([1-9]\d{0,3})")
NUMBER = re.compile(r"\d+")
MOST_COMPARED = 1000  # names that a missing one is compared with
Key = tuple[str, int]  # clip id, sample


@dataclass(frozen=True)
class VideoEntry:
    """What answers one sample of one clip: a file, or the numbered pictures of a folder."""

    name: str
    files: tuple[Found, ...]
    pictures: bool = False
    problem: str = ""  # why it cannot be used


@dataclass
class Listing:
    """All that came back, by what it is good for."""

    entries: dict[Key, VideoEntry] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)  # name: what is odd about it
    close: dict[str, str] = field(default_factory=dict)  # clip id without a video: an extra name that looks like it

    def missing(self, ids: Iterable[str], samples: int = 1) -> list[str]:
        """Names of the samples that nothing answers."""
        return [label((id_, k)) for id_ in ids for k in range(samples) if (id_, k) not in self.entries]

    def reason(self, key: Key) -> str:
        """Why a sample has no video."""
        hint = f" Did you mean '{self.close[key[0]]}'?" if key[0] in self.close else ""
        return f"There is no video '{label(key)}' (.mp4, .webm, .mkv, .mov, .gif, .avi or a folder of PNG).{hint}"


def label(key: Key) -> str:
    """Name of a sample: that of its clip, for the first one."""
    return key[0] if key[1] == 0 else f"{key[0]}.s{key[1]}"


def list_answers(source: Source, ids: Sequence[str]) -> Listing:
    """Match the files with the clips `ids`."""
    known = set(ids)
    listing = Listing()
    candidates: dict[Key, list[VideoEntry]] = {}
    for name, entry in _entries(source.files):
        stem = name if entry.pictures else name[: -len(_suffix(name))] if _suffix(name) else ""
        key = _key(stem, known)
        if key is not None:
            candidates.setdefault(key, []).append(entry)
        elif name not in OURS:
            listing.extra[name] = entry.problem or _oddity(name, stem)
    for key, entries in candidates.items():
        if len(entries) == 1:
            listing.entries[key] = entries[0]
        else:
            names = ", ".join(entry.name for entry in entries)
            listing.entries[key] = VideoEntry(names, (), problem=f"Several files for one clip ({names}): keep one.")
    _find_close(listing, [id_ for id_ in ids if (id_, 0) not in listing.entries])
    return listing


def _entries(files: Iterable[Found]) -> list[tuple[str, VideoEntry]]:
    """Top-level files, and folders as one entry each, by name."""
    folders: dict[str, list[Found]] = {}
    entries = []
    for file in files:
        if len(file.parts) > 1:
            folders.setdefault(printable(file.parts[0]), []).append(file)
        elif file.oddity or not file.name.startswith("."):
            problem = f"{file.name} is {file.oddity}." if file.oddity else ""
            if not problem and not file.size and file.name not in OURS:
                problem = f"{file.name} is empty."
            entries.append((file.name, VideoEntry(file.name, (file,), problem=problem)))
    entries += [(name, _pictures(name, inside)) for name, inside in folders.items()]
    return sorted(entries)


def _pictures(name: str, inside: Sequence[Found]) -> VideoEntry:
    """A folder of numbered PNG files, in the order of their last numbers."""
    odd = next((file for file in inside if file.oddity), None)
    if odd is not None:
        return VideoEntry(f"{name}/", (), True, f"{odd.name} is {odd.oddity}.")
    pictures = [file for file in inside if file.parts[-1].lower().endswith(PICTURE) and len(file.parts) == 2]
    others = [file for file in inside if file not in pictures and not file.parts[-1].startswith(".")]
    if others or not pictures:
        what = f"holds {others[0].parts[-1]!r}" if others else "holds no .png"
        return VideoEntry(f"{name}/", (), True, f"Folder {name} {what}: expected numbered PNG files and nothing else.")
    numbered = {}
    for file in pictures:
        numbers = NUMBER.findall(file.parts[-1][: -len(PICTURE)])
        if not numbers:
            return VideoEntry(f"{name}/", (), True, f"{file.name} has no number in its name.")
        if int(numbers[-1][-9:]) in numbered:
            return VideoEntry(f"{name}/", (), True, f"Folder {name} has two files of number {int(numbers[-1][-9:])}.")
        numbered[int(numbers[-1][-9:])] = file
    first, last = min(numbered), max(numbered)
    if last - first + 1 != len(numbered):
        gap = next(number for number in range(first, last) if number not in numbered)
        return VideoEntry(f"{name}/", (), True, f"Folder {name}: frame {gap} is missing between {first} and {last}.")
    return VideoEntry(f"{name}/", tuple(numbered[number] for number in range(first, last + 1)), True)


def _suffix(name: str) -> str:
    """The extension, as it is written, if it is one of a video."""
    return next((name[-len(end) :] for end in CONTAINERS if name.lower().endswith(end)), "")


def demuxer(name: str) -> str:
    """The one demuxer for a file of this name."""
    return CONTAINERS[_suffix(name).lower()]


def _key(stem: str, known: set[str]) -> Key | None:
    if stem in known:
        return stem, 0
    match = SAMPLE.fullmatch(stem)
    return (match[1], int(match[2])) if match and match[1] in known else None


def _oddity(name: str, stem: str) -> str:
    return "named after no clip" if stem else f"no video ({', '.join(CONTAINERS)} or a folder of PNG)"


def _find_close(listing: Listing, missing: Sequence[str]) -> None:
    """Pair clips without a video with extra files whose names look like theirs."""
    left = {(name[: -len(_suffix(name))] if _suffix(name) else name): name for name in listing.extra}
    if len(left) > MOST_COMPARED:  # as many loose pictures: a hint is not worth minutes
        return
    for id_ in missing[:500]:
        match = difflib.get_close_matches(id_, left, n=1, cutoff=0.85)
        if match:
            listing.close[id_] = left.pop(match[0])
