"""Archives of clips as the user names them: files, or URLs from which they are fetched into the cache, once.

In the cache an archive bears the hash of its index, as it does in the manifest of a run: the same archive is fetched
once, whatever its URL, and another one at the same URL is fetched again. Nothing is kept there that was not read whole.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from physbench.clips.packed_clips import PackedClips, packed_index
from physbench.errors import PhysbenchError, UsageError
from physbench.storage.atomic_write import atomic_path
from physbench.storage.cache_dir import cache_dir
from physbench.storage.remote_place import RemotePlace, is_url, remote_errors, remote_place
from physbench.storage.sealed_file import NOT_ARRAYS
from physbench.storage.user_paths import user_path

ARCHIVE_AREA = "archives"  # of the cache
READ_AHEAD = 1 << 20  # bytes: the index and the list of files stand at the end


def opened_archive(place: str) -> PackedClips:
    """The archive that a user names.

    Raises:
        UsageError: There is none, or it is damaged.
        PhysbenchError: Its URL does not answer.
    """
    return _fetched(remote_place(place)) if is_url(place) else PackedClips(user_path(place))


def kept_archive(place: str, sha256: str) -> PackedClips | None:
    """The archive of which a manifest says where it was; None where it is not there, or not in the cache.

    A URL is not asked: a manifest may be from somebody else.
    """
    if is_url(place) and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        return None
    path = _in_cache(sha256) if is_url(place) else Path(place)
    if not path.is_file():
        return None
    return PackedClips(path, place if is_url(place) else None)


@contextmanager
def archive_to_write(out: str, replace: bool) -> Iterator[Path]:
    """Where to write an archive that is to be at `out`: the file itself, or one that is then sent to the URL.

    Raises:
        UsageError: There is one already, and it is not to be replaced, or the place cannot be written to.
    """
    place = remote_place(out) if is_url(out) else None
    if place is None:
        there = Path(out).exists()
    else:
        with remote_errors(out):
            there = place.fs.exists(place.path)
    if there and not replace:
        raise UsageError(f"--out: '{out}' exists already. Name another file, or give --replace to write over it.")
    if place is None:
        yield Path(out)
        return
    area = cache_dir() / ARCHIVE_AREA
    area.mkdir(parents=True, exist_ok=True)
    path = _in_cache(secrets.token_hex(32))  # until its hash is known; what is left of one is pruned as any other
    try:
        yield path
        kept = _in_cache(PackedClips(path).sha256)
        path.replace(kept)
    finally:
        path.unlink(missing_ok=True)
    try:
        with remote_errors(out):
            place.fs.put_file(str(kept), place.path)
    except PhysbenchError as error:
        raise type(error)(f"{error}\nThe archive is kept as {kept}.") from error


def _fetched(place: RemotePlace) -> PackedClips:
    """The copy in the cache of an archive behind a URL, which is fetched if need be."""
    with remote_errors(place.url):
        place.fs.invalidate_cache()
        size = place.fs.info(place.path).get("size") or 0
        try:
            with place.fs.open(place.path, "rb", block_size=READ_AHEAD) as stream:
                sha256 = hashlib.sha256(packed_index(stream)).hexdigest()
        except OSError:
            raise
        except NOT_ARRAYS as error:
            raise UsageError(f"--clips: {place.url} is no whole archive of clips ({error}). Pack it again.") from error
        path = _in_cache(sha256)
        if not path.is_file():
            print(f"physbench: fetching {place.url} ({size / 1e6:.1f} MB) into the cache ...", file=sys.stderr)
            with atomic_path(path) as draft:
                place.fs.get_file(place.path, str(draft))
                copy = PackedClips(draft, place.url)
                copy.check()
                if copy.sha256 != sha256:
                    raise UsageError(f"--clips: {place.url} was replaced while it was fetched. Try again.")
    return PackedClips(path, place.url)


def _in_cache(sha256: str) -> Path:
    """Where an archive is kept."""
    return cache_dir() / ARCHIVE_AREA / f"{sha256}.clips"
