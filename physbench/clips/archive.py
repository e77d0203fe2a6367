"""A clip as the bytes of an .npz file with a key (what it was made from) and a checksum (that it is whole)."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from physbench.clips import generate
from physbench.clips.clip import Clip, Contact, Row
from physbench.clips.lazy_clip import LazyClip
from physbench.looks.known_looks import look_key
from physbench.storage.fingerprint import fingerprint
from physbench.storage.sealed_file import NOT_ARRAYS
from physbench.world.scene import RenderSpec, Scene

FORMAT = 1
# Frames are 95 % flat grey: the fastest level halves the time of writing and loads as fast as any.
COMPRESSION_LEVEL = 1
PIECE_BYTES = 1 << 14  # of compressed frames that are unpacked at once


class CorruptError(Exception):
    """The bytes are not those that were written."""


class StoredClip(NamedTuple):
    """What is known of a stored clip without unpacking it."""

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
    parts = {
        "head": json.dumps(head).encode(),
        "frames": zlib.compress(np.ascontiguousarray(clip.frames).data, COMPRESSION_LEVEL),
        "states": zlib.compress(np.ascontiguousarray(clip.states, dtype="<f8").data, COMPRESSION_LEVEL),
        "visible_area": zlib.compress(np.ascontiguousarray(clip.visible_area, dtype="<f4").data, COMPRESSION_LEVEL),
        "full_area": zlib.compress(np.ascontiguousarray(clip.full_area, dtype="<f4").data, COMPRESSION_LEVEL),
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
    """What `pack` wrote, in short; raises like `read_head`."""
    head, parts = read_head(content, row, spec, scene)
    return StoredClip(_checksum(parts).hex(), head["state_hash"])


def unpack(content: bytes, row: Row, spec: RenderSpec, scene: Scene) -> Clip:
    """The clip that `pack` wrote; raises like `read_head`."""
    head, parts = read_head(content, row, spec, scene)
    frames_shape, states_shape = head["shapes"]

    def array(name: str, dtype: str, shape: list[int]) -> NDArray[Any]:
        return _writable(zlib.decompress(parts[name]), dtype, shape)

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
        told=None,
    )


def _frames(packed: bytes, shape: list[int], count: int) -> NDArray[np.uint8]:
    """The first `count` frames of (T, H, W, 3)."""
    frames = np.empty((count, *shape[1:]), dtype=np.uint8)
    memory, filled, inflate = frames.reshape(-1).data, 0, zlib.decompressobj()
    for start in range(0, len(packed), PIECE_BYTES):  # what is copied is in the processor's cache
        if filled < len(memory):
            piece = inflate.decompress(packed[start : start + PIECE_BYTES], len(memory) - filled)
            memory[filled : filled + len(piece)] = piece
            filled += len(piece)
    if filled < len(memory):
        raise ValueError(f"Expected {len(memory)} bytes of frames, got {filled}.")
    return frames


def _writable(content: bytes, dtype: str, shape: list[int]) -> NDArray[Any]:
    """An array that can be written to, like that of a new clip."""
    return np.frombuffer(bytearray(content), dtype=dtype).reshape(shape)


def _checksum(parts: dict[str, bytes]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(f"{name}|{len(parts[name])}|".encode() + parts[name])
    return digest.digest()
