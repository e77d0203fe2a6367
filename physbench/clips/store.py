"""Clips on disk, as .npz with a key and a checksum. The store only saves time: what is damaged or old is made again."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import sys
import threading
import time
import zlib
from collections.abc import Iterable, Sequence
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from physbench.clips import generate
from physbench.clips.clip import Clip, Contact, LazyClip, Row
from physbench.clips.generate import CLIP_PRELOAD, known_scene, make_clip
from physbench.support.errors import PhysbenchError
from physbench.support.files import DRAFTS, ENVIRONMENT, NOT_ARRAYS, cache_dir, write_bytes, writer_lives
from physbench.support.fingerprint import fingerprint
from physbench.support.processes import scheduled
from physbench.support.progress import Progress
from physbench.world.scene import RenderSpec, Scene
from physbench.world.styles.catalogue import look_key

# A clip as the bytes of an .npz file with a key (what it was made from) and a checksum (that it is whole).

FORMAT = 1


class CorruptError(Exception):
    """The bytes are not those that were written."""


class StoredClip(NamedTuple):
    """Hashes of a stored clip, read without unpacking it."""

    content: str  # hash of all that it holds, and of its row, spec and scene
    state_hash: str


class StaleError(Exception):
    """The clip was made by another version of the program or from another scene."""


@cache
def generator_key() -> str:
    """Hash of what turns a scene into a clip: the sources, the format of the archive, PyBullet."""
    try:
        physics = version("pybullet")
    except PackageNotFoundError:
        physics = "none"
    return hashlib.sha256(f"{fingerprint('clips')}|{FORMAT}|{physics}".encode()).hexdigest()


def clip_key(row: Row, spec: RenderSpec, scene: Scene) -> str:
    """Hash of everything that decides a clip."""
    key = f"{generator_key()}|{row!r}|{spec!r}|{scene!r}{look_key(spec.look)}"
    return hashlib.sha256(key.encode()).hexdigest()


def pack(clip: Clip) -> bytes:
    """A clip as the content of an .npz file."""
    head = {
        "key": clip_key(clip.row, clip.spec, clip.scene),
        "clip": clip.id,
        "spec": str(clip.spec),
        "state_hash": clip.state_hash,
        "contacts": [[contact.time, contact.a, contact.b] for contact in clip.contacts],
        "shapes": [list(clip.frames.shape), list(clip.states.shape)],
    }
    # Frames are 95 % flat grey: the fastest level halves the time of writing and loads as fast as any.
    level = 1
    parts = {
        "head": json.dumps(head).encode(),
        "frames": zlib.compress(np.ascontiguousarray(clip.frames).data, level),
        "states": zlib.compress(np.ascontiguousarray(clip.states, dtype="<f8").data, level),
        "visible_area": zlib.compress(np.ascontiguousarray(clip.visible_area, dtype="<f4").data, level),
        "full_area": zlib.compress(np.ascontiguousarray(clip.full_area, dtype="<f4").data, level),
    }
    arrays: dict[str, Any] = {name: np.frombuffer(part, dtype=np.uint8) for name, part in parts.items()}
    buffer = io.BytesIO()
    np.savez(buffer, checksum=np.frombuffer(_checksum(parts), dtype=np.uint8), **arrays)
    return buffer.getvalue()


def read_head(content: bytes, row: Row, spec: RenderSpec, scene: Scene) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Check a file; return its description and its parts, still compressed.

    Raises CorruptError if the bytes are not whole, StaleError if the key is not that of this row, spec and scene.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            parts = {name: arrays[name].tobytes() for name in arrays.files}
        checksum = parts.pop("checksum")
        head: dict[str, Any] = json.loads(parts["head"])
        key = head["key"]
    except NOT_ARRAYS as error:
        raise CorruptError("it is not a whole .npz file") from error
    if checksum != _checksum(parts):
        raise CorruptError("its checksum does not fit")
    if key != clip_key(row, spec, scene):
        raise StaleError
    return head, parts


def describe(content: bytes, row: Row, spec: RenderSpec, scene: Scene) -> StoredClip:
    """Hashes of what `pack` wrote; raises like `read_head`."""
    head, parts = read_head(content, row, spec, scene)
    return StoredClip(_checksum(parts).hex(), head["state_hash"])


def unpack(content: bytes, row: Row, spec: RenderSpec, scene: Scene) -> Clip:
    """The clip that `pack` wrote; raises like `read_head`."""
    head, parts = read_head(content, row, spec, scene)
    frames_shape, states_shape = head["shapes"]

    def array(name: str, dtype: str, shape: list[int]) -> NDArray[Any]:
        # An array that can be written to, like that of a new clip.
        content = zlib.decompress(parts[name])
        return np.frombuffer(bytearray(content), dtype=dtype).reshape(shape)

    return LazyClip.of(
        partial(_frames, parts["frames"], frames_shape),
        row=row,
        scene=scene,
        spec=spec,
        times=generate.frame_times(scene, spec),
        states=array("states", "<f8", states_shape),
        visible_area=array("visible_area", "<f4", states_shape[:2]),
        full_area=array("full_area", "<f4", states_shape[:2]),
        contacts=tuple(Contact(time, a, b) for time, a, b in head["contacts"]),
        state_hash=head["state_hash"],
        stated_velocities=None,
    )


def _frames(packed: bytes, shape: list[int], count: int) -> NDArray[np.uint8]:
    """The first `count` frames of (T, H, W, 3)."""
    frames = np.empty((count, *shape[1:]), dtype=np.uint8)
    memory, filled, inflate = frames.reshape(-1).data, 0, zlib.decompressobj()
    piece_bytes = 1 << 14  # of compressed frames that are unpacked at once
    for start in range(0, len(packed), piece_bytes):  # what is copied is in the processor's cache
        if filled < len(memory):
            piece = inflate.decompress(packed[start : start + piece_bytes], len(memory) - filled)
            memory[filled : filled + len(piece)] = piece
            filled += len(piece)
    if filled < len(memory):
        raise ValueError(f"Expected {len(memory)} bytes of frames, got {filled}.")
    return frames


def _checksum(parts: dict[str, bytes]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(f"{name}|{len(parts[name])}|".encode() + parts[name])
    return digest.digest()


_making = threading.Lock()  # what draws a clip keeps meshes of a process: two threads would fill them at once


class ClipStore:
    """Clips in `directory` (default: `clips` in the cache folder), one file per clip and render spec.

    Each file carries a key, the hash of everything that decides its content, and a checksum. Files with another key or
    a wrong checksum are replaced, with a message on stderr. Where nothing can be written, the store prints that once
    and works without storing; with `required` it raises PhysbenchError.
    """

    def __init__(self, directory: Path | str | None = None, required: bool = False) -> None:
        self.directory = cache_dir() / "clips" if directory is None else Path(directory)
        self.required = required
        self.problem: str | None = None  # why nothing is stored
        self._reported: set[str] = set()

    def folder(self, spec: RenderSpec) -> Path:
        """Folder of the clips of a spec."""
        return self.directory / spec.folder

    def path(self, row: Row, spec: RenderSpec) -> Path:
        """File of a clip."""
        return self.folder(spec) / f"{row.task.replace('/', '.')}.{row.split}" / f"{row.name}.npz"

    def get(self, row: Row, spec: RenderSpec, *, store: bool = True) -> Clip:
        """Load a clip, or make it, and store it unless store=False."""
        scene = known_scene(row, spec.view)
        path = self.path(row, spec)
        try:
            return unpack(path.read_bytes(), row, spec, scene)
        except FileNotFoundError:
            pass
        except (OSError, CorruptError, StaleError) as error:
            self._say_replaced(path, error)
        with _making:
            clip = make_clip(row, spec)
        if store:
            self.put(clip)
        return clip

    def stored(self, row: Row, spec: RenderSpec) -> StoredClip | None:
        """Hashes of a clip that is stored whole, without unpacking its frames; None where it is not."""
        try:
            return describe(self.path(row, spec).read_bytes(), row, spec, known_scene(row, spec.view))
        except (OSError, CorruptError, StaleError):  # `get` says so and makes it again
            return None

    def put(self, clip: Clip) -> bool:
        """Store a clip whole or not at all. Returns False where nothing can be written, which is printed once."""
        return self.put_packed(clip.row, clip.spec, pack(clip)) if self.problem is None else False

    def put_packed(self, row: Row, spec: RenderSpec, content: bytes) -> bool:
        """Store a clip that is packed already, as `put` does."""
        if self.problem is None:
            try:
                write_bytes(self.path(row, spec), content)
            except OSError as error:
                self._give_up(error.strerror or str(error))
        return self.problem is None

    def missing(self, rows: Iterable[Row], spec: RenderSpec) -> list[Row]:
        """The rows that are not stored, or are damaged or out of date (with a message on stderr)."""
        absent = []
        rows = list(rows)
        with Progress("looking at stored clips", len(rows)) as progress:
            for row in rows:
                path = self.path(row, spec)
                try:
                    read_head(path.read_bytes(), row, spec, known_scene(row, spec.view))
                except FileNotFoundError:
                    absent.append(row)
                except (OSError, CorruptError, StaleError) as error:
                    self._say_replaced(path, error)
                    absent.append(row)
                progress.advance()
        return absent

    def ensure(self, rows: Sequence[Row], spec: RenderSpec, workers: int = 2) -> int:
        """Make all clips that are not stored, with `workers` processes and progress. Returns how many were made."""
        self._sweep(spec)
        missing = self.missing(dict.fromkeys(rows), spec)
        if not missing or not self._can_write():
            return 0
        written = 0
        job = functools.partial(_make_and_store, str(self.directory), spec)
        with scheduled(job, missing, workers=workers, preload=CLIP_PRELOAD, label=f"clips {spec}") as problems:
            for problem in problems:
                if problem is not None:
                    self._give_up(problem)
                    break
                written += 1
        return written

    def _can_write(self) -> bool:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if not os.access(self.directory, os.W_OK):
                self._give_up("Permission denied")
        except OSError as error:
            self._give_up(error.strerror or str(error))
        return self.problem is None

    def _give_up(self, reason: str) -> None:
        if self.required:
            raise PhysbenchError(
                f"Clips cannot be stored in {self.directory}: {reason}. "
                "Free some space or name another folder with --out; what is stored is kept."
            )
        if self.problem is None:
            self.problem = reason
            _say(
                f"clips are not stored in {self.directory}: {reason}. Going on without; ${ENVIRONMENT} names a folder."
            )

    def _say_replaced(self, path: Path, error: Exception) -> None:
        """Report damage for each file, another version and unreadable files once."""
        if isinstance(error, CorruptError):
            _say(f"stored clip {path} is damaged ({error}) and is made again")
            return
        if type(error).__name__ in self._reported:
            return
        self._reported.add(type(error).__name__)
        if isinstance(error, StaleError):
            _say(f"stored clips in {path.parent.parent} are of another version of the program and are made again")
        else:
            _say(f"stored clip {path} cannot be read ({error}): such clips are made again")

    def _sweep(self, spec: RenderSpec) -> None:
        """Remove unfinished files of processes that were killed long ago."""
        for path in self.folder(spec).glob(f"*/{DRAFTS}"):
            try:
                # After an hour an unfinished file is left over from a process that was killed
                if not writer_lives(path) and time.time() - path.stat().st_mtime > 3600.0:
                    path.unlink()
            except OSError:
                continue


def clip_store(directory: Path | None = None) -> ClipStore:
    """One store of a folder (default: in the cache) for each process, so that what is wrong with it is said once."""
    return _store_of_process(cache_dir() / "clips" if directory is None else directory)


@functools.cache
def _store_of_process(directory: Path) -> ClipStore:
    return ClipStore(directory)


def _make_and_store(directory: str, spec: RenderSpec, row: Row) -> str | None:
    """In a worker: make a clip and store it; returns why it could not be stored."""
    clip = make_clip(row, spec)
    store = ClipStore(directory)
    try:
        write_bytes(store.path(row, spec), pack(clip))
    except OSError as error:
        return error.strerror or str(error)
    return None


def _say(message: str) -> None:
    print(f"physbench: {message}", file=sys.stderr)
