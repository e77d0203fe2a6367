"""A submission as one file: a zip of what a run found, without compression, links or folders; the same bytes each time.

    manifest.json  result.json  scores.parquet  references/FILE_NAME/scores.parquet  tracks/CLIP.SAMPLE.npz
    commitment.json                             hashes of these files and of all rollouts
    challenge.json  rollouts/CLIP.SAMPLE.mkv    once the board has chosen which rollouts it wants to see

The files have the names that they have in a run folder, so that a submission is read as a run is.
"""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from physbench.errors import UsageError
from physbench.results.read_run import REFERENCE_MODELS
from physbench.storage.archive_errors import DAMAGED_ARCHIVE
from physbench.storage.atomic_write import atomic_path
from physbench.storage.run_folder import RunFolder

FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}"
SENT_NAMES = re.compile(
    rf"(manifest|result|commitment|challenge)\.json|scores\.parquet|references/({'|'.join(REFERENCE_MODELS)})/scores\.parquet"
    rf"|tracks/{FILE_NAME}\.npz|rollouts/{FILE_NAME}\.(mkv|npz)"
)
MOST_SENT_FILES = 100_000
MOST_SENT_BYTES = 8 << 30  # of all files together
READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the date of every file: an archive depends on nothing but their content


def write_archive(path: Path, files: Mapping[str, Path]) -> None:
    """Write files under their names into one archive, whole or not at all."""
    with atomic_path(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            if not SENT_NAMES.fullmatch(name):
                raise ValueError(f"{name} is no part of a submission.")
            info = zipfile.ZipInfo(name, FIXED_DATE)
            info.external_attr, info.create_system = 0o644 << 16, 3
            with files[name].open("rb") as source, archive.open(info, "w", force_zip64=False) as target:
                shutil.copyfileobj(source, target)


@contextmanager
def opened_submission(path: Path) -> Iterator[RunFolder]:
    """The files of an archive in a folder of their own, while the block lasts; a folder is given as it is.

    Raises UsageError where there is nothing, or an archive holds anything else than a submission does.
    """
    if path.is_dir():
        yield RunFolder(path)
        return
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file. Expected a submission, or the folder of a run.")
    with tempfile.TemporaryDirectory(prefix="physbench-") as place:
        _unpack(path, Path(place))
        yield RunFolder(Path(place))


def _unpack(path: Path, place: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            items = archive.infolist()
            _refuse(path, items)
            for item in items:
                target = place / item.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(item) as source, target.open("xb") as copy:
                    shutil.copyfileobj(source, copy)
    except DAMAGED_ARCHIVE as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: a place before the start of the file
            raise
        raise UsageError(f"{path}: is not a submission that can be read ({type(error).__name__}: {error}).") from error


def _refuse(path: Path, items: list[zipfile.ZipInfo]) -> None:
    """Raise UsageError for an archive with anything in it that a submission does not have, before it is unpacked."""
    if len(items) > MOST_SENT_FILES or sum(item.file_size for item in items) > MOST_SENT_BYTES:
        raise UsageError(f"{path}: holds more than {MOST_SENT_FILES} files or {MOST_SENT_BYTES >> 30} GB.")
    names = [item.filename.lower() for item in items]
    if len(set(names)) < len(names):
        raise UsageError(f"{path}: holds a file twice.")
    for item in items:
        if not SENT_NAMES.fullmatch(item.filename):
            raise UsageError(f"{path}: holds {item.filename[:120]!r}, which is no part of a submission.")
        if item.compress_type not in READ_METHODS or item.flag_bits & 1:
            raise UsageError(f"{path}: {item.filename} is encrypted, or packed in a way that is not read.")
