"""Archives of clips for machines that cannot make them, in files or behind URLs.

In the cache an archive bears the hash of its index, as it does in the manifest of a run: the same archive is fetched
once, whatever its URL, and another one at the same URL is fetched again. Nothing is kept there that was not read whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import secrets
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Contact, LazyClip, Row
from physbench.clips.generate import frame_times, known_scene
from physbench.clips.store import StoredClip
from physbench.clips.suite import (
    GOLDEN_SUITES,
    OWN,
    PROMPT_MOTION_OPTION,
    Golden,
    Suite,
    chosen_suite,
    split_name,
)
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import EMPTY_SEAL, NOT_ARRAYS, SEAL, atomic_path, cache_dir, seal_of, sealed, user_path
from physbench.support.fingerprint import fingerprint
from physbench.support.remote import RemotePlace, is_url, remote_errors, remote_place
from physbench.world.camera import in_view
from physbench.world.scene import FAR, PLAIN, VIEWS, RenderSpec, Scene
from physbench.world.styles.catalogue import look_hash
from physbench.world.styles.look_options import LOOKS, base_look

# The clips of a suite in one file, for machines that cannot make them: those without PyBullet, or with another build.
#
# A file is a zip archive: `index.json`, which carries its own hash, and one .npz by clip, whose SHA-256 is in the
# index. The scene is not in it: it follows from the task, and its hash in the index tells where a task has another one
# here.

PACKED_VERSION = 1
PACKED_INDEX = "index.json"
FRAMES_FILE = "frames.npy"  # in the .npz file of a clip


@dataclass(frozen=True)
class PackedClip:
    """Entry of a clip in the index."""

    sha256: str  # of its .npz
    scene: str  # hash of the scene
    state_hash: str


def pack_clips(suite: Suite, spec: RenderSpec, clip: Callable[[Row], Clip], out: Path) -> str:
    """Write the clips of a suite into one file, whole or not at all; the same bytes for the same clips.

    Args:
        suite: Its rows are packed, in their order.
        spec: Size and rate.
        clip: Loads or makes a clip.

    Returns the SHA-256 of the index, by which runs name the file.
    """
    packed_date = (1980, 1, 1, 0, 0, 0)  # of all files in an archive: the same clips are the same bytes
    entries: dict[str, PackedClip] = {}
    with atomic_path(out) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for row in suite.rows:
            one = clip(row)
            content = _arrays_of(one)
            sha256 = hashlib.sha256(content).hexdigest()
            entries[row.id] = PackedClip(sha256, _scene_hash(one.scene), one.state_hash)
            archive.writestr(zipfile.ZipInfo(_place(row.id), packed_date), content)
        index = _index(suite, spec, entries)
        archive.writestr(zipfile.ZipInfo(PACKED_INDEX, packed_date), index)
    return hashlib.sha256(index).hexdigest()


def _index(suite: Suite, spec: RenderSpec, entries: Mapping[str, PackedClip]) -> bytes:
    document = {
        "kind": "physbench-clips",
        "schema_version": PACKED_VERSION,
        "suite": {"name": suite.name, "version": suite.version, "hash": suite.hash},
        "spec": [spec.height, spec.width, spec.fps],
        **({"look": _look_document(spec.look)} if spec.look != PLAIN else {}),
        **({"view": spec.view} if spec.view != FAR else {}),
        "pybullet": version("pybullet"),
        "code": fingerprint("clips"),
        "clips": {name: asdict(entry) for name, entry in entries.items()},
        SEAL: EMPTY_SEAL.decode(),
    }
    return sealed(f"{json.dumps(document, indent=0)}\n".encode())


def _look_document(look: str) -> dict[str, str]:
    """Identity of the drawing: the look, its code, and the hash of these with versions that no reader needs to have."""
    return {"name": look, "code": fingerprint(base_look(look)), "drawn_by": look_hash(look)}


def _place(clip: str) -> str:
    return f"clips/{clip}.npz"


def _scene_hash(scene: Scene) -> str:
    return hashlib.sha256(repr(scene).encode()).hexdigest()


def _arrays_of(clip: Clip) -> bytes:
    """The frames (T, H, W, 3), states (T, N, 13), areas (T, N) and contacts of a clip as an .npz file."""
    contacts = clip.contacts
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        frames=clip.frames,
        states=clip.states.astype("<f8"),
        visible_area=clip.visible_area.astype("<f4"),
        full_area=clip.full_area.astype("<f4"),
        contact_times=np.array([contact.time for contact in contacts], dtype="<f8"),
        contact_bodies=np.array([(contact.a, contact.b) for contact in contacts], dtype=str).reshape(-1, 2),
    )
    return buffer.getvalue()


def packed_index(file: Path | BinaryIO) -> bytes:
    """The index of an archive, whose hash fits. Raises one of NOT_ARRAYS where the file is no whole archive."""
    with zipfile.ZipFile(file) as archive:
        if archive.getinfo(PACKED_INDEX).file_size > 1 << 28:  # bytes
            raise ValueError("its index is too large")
        content = archive.read(PACKED_INDEX)
    seal_of(content)
    return content


def _frames_header(file: IO[bytes]) -> tuple[int, ...]:
    """Read the header of frames up to their first byte: the shape (T, H, W, 3). Raises ValueError for other arrays."""
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, by_columns, dtype = read[np.lib.format.read_magic(file)](file)
    if by_columns or dtype != np.uint8:
        raise ValueError("its frames are no bytes")
    return tuple(shape)


def _frames_shape(content: bytes) -> tuple[int, ...]:
    with zipfile.ZipFile(io.BytesIO(content)) as arrays, arrays.open(FRAMES_FILE) as file:
        return _frames_header(file)


def _first_frames(content: bytes, damaged: str, count: int) -> NDArray[np.uint8]:
    """The first `count` frames (count, H, W, 3) of the .npz file of a clip; those that follow are not unpacked.

    Raises UsageError with the words `damaged` where it holds fewer.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as arrays, arrays.open(FRAMES_FILE) as file:
            shape = (count, *_frames_header(file)[1:])
            content = file.read(math.prod(shape))
        if len(content) < math.prod(shape):
            raise ValueError("frames are missing")
    except NOT_ARRAYS as error:
        raise UsageError(damaged) from error
    return np.frombuffer(bytearray(content), dtype=np.uint8).reshape(shape)  # it can be written to


class PackedClips:
    """The clips in a file of `pack_clips`. Whatever is read of it is checked against the hashes in its index."""

    def __init__(self, path: Path | str, url: str | None = None) -> None:
        """Open the file.

        url: Where the user says that it is, if the file is a copy of that.

        Raises UsageError: it is no such file, is damaged, or was packed by another version of physbench.
        """
        self.path = Path(path).expanduser().absolute()
        self.name = url or str(self.path)
        named = url or str(path)
        try:
            content = packed_index(self.path)
            index: dict[str, Any] = json.loads(content)
            packed_version, code = int(index["schema_version"]), str(index["code"])
            self.sha256 = hashlib.sha256(content).hexdigest()
            self.suite: Mapping[str, Any] = {**index["suite"], "name": str(index["suite"]["name"])}
            look: dict[str, str] = dict(index.get("look") or {"name": PLAIN})
            self.drawn_by = None if look["name"] == PLAIN else str(look["drawn_by"])
            self.spec = replace(RenderSpec(*index["spec"]), look=str(look["name"]), view=str(index.get("view", FAR)))
            if self.spec.view not in VIEWS:
                raise ValueError(f"its view is {self.spec.view!r:.80}")
            if not 0 < max(self.spec.height, self.spec.width, self.spec.fps) < 1 << 14:  # px
                raise ValueError("its size or rate is none")
            self.pybullet = str(index["pybullet"])
            self._clips = {name: PackedClip(**entry) for name, entry in dict(index["clips"]).items()}
        except FileNotFoundError as error:
            count = f" A number of clips is --limit {self.path.name}." if self.path.name.isdecimal() else ""
            raise UsageError(f"--clips: there is no file '{named}'. `physbench data pack` makes one.{count}") from error
        except NOT_ARRAYS as error:
            raise UsageError(
                f"--clips: {named} is no whole archive of clips ({error}). Copy it again, or make it with "
                "`physbench data pack`."
            ) from error
        base = base_look(self.spec.look)
        same_look = self.drawn_by is None or (base in LOOKS and look.get("code") == fingerprint(base))
        if packed_version > PACKED_VERSION or code != fingerprint("clips") or not same_look:
            raise UsageError(
                f"--clips: {named} was packed by another version of physbench, which makes other clips. Pack "
                "it again with this version: `physbench data pack`."
            )

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.path)

    def document(self) -> dict[str, str]:
        """For manifest.json."""
        drawn = {"drawn_by": self.drawn_by} if self.drawn_by else {}
        return {"file": self.name, "sha256": self.sha256, **drawn}

    def __len__(self) -> int:
        return len(self._clips)

    def check(self, done: Callable[[], object] = lambda: None) -> None:
        """Read all clips, and call `done` after each. Raises UsageError where one is damaged."""
        for name, entry in self._clips.items():
            self._bytes_of(name, entry)
            done()

    def golden_rows(self) -> list[Row]:
        """Rows of the clips in here, all of one suite with golden states, in the plain look.

        Raises UsageError where they are others: a store would take them for clips of this machine.
        """
        name, prompt_motion = split_name(self.suite["name"])
        known = chosen_suite(name, None, None, prompt_motion).rows if name in GOLDEN_SUITES else ()
        rows = [row for row in known if row.id in self._clips]
        alone = "Give it to the commands that take --clips FILE."
        if not rows or len(rows) != len(self):
            raise UsageError(f"--clips: {self.name} holds clips of no suite with golden states. {alone}")
        if self.spec.look != PLAIN:
            raise UsageError(f"--clips: {self.name} holds clips of the look {self.spec.look}. {alone}")
        return rows

    def other_states(self) -> list[str]:
        """The clips that have other states than the golden ones of their suite, if it has such."""
        name, prompt_motion = split_name(self.suite["name"].removeprefix(OWN))
        if name not in GOLDEN_SUITES:
            return []
        suite = chosen_suite(name, None, None, prompt_motion)
        golden = {row.id: known.state_hash for row, known in suite.golden.items()}
        return [clip for clip, entry in self._clips.items() if golden.get(clip, entry.state_hash) != entry.state_hash]

    def known(self, suite: Suite) -> Suite:
        """The suite with the state hashes of the clips in here as golden ones, where it has none."""
        own = {row: Golden(self._entry(row).state_hash, {}) for row in suite.rows if row not in suite.golden}
        return replace(suite, golden={**own, **suite.golden}) if own else suite

    def missing(self, rows: Iterable[Row], spec: RenderSpec) -> list[Row]:
        """[], as nothing has to be made; reads and checks the clips.

        Raises UsageError: the clips in here are of another size or rate, one of the rows is not in here, or is damaged.
        """
        for row in rows:
            self._content(row, spec)
        return []

    def ensure(self, rows: Iterable[Row], spec: RenderSpec, workers: int = 1) -> int:
        """0, as nothing is made; as of a `ClipStore`."""
        return len(self.missing(rows, spec))

    def get(self, row: Row, spec: RenderSpec) -> Clip:
        """A clip; raises as `missing`, and where its task describes another scene here."""
        scene = self._scene(row)
        content, times = self._content(row, spec), frame_times(scene, spec)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                contacts = zip(arrays["contact_times"].tolist(), arrays["contact_bodies"].tolist(), strict=True)
                frames = _frames_shape(content)
                clip = LazyClip.of(
                    partial(_first_frames, content, f"--clips: {self.name} is damaged at {row.id}."),
                    row=row,
                    scene=scene,
                    spec=spec,
                    times=times,
                    states=arrays["states"],
                    visible_area=arrays["visible_area"],
                    full_area=arrays["full_area"],
                    contacts=tuple(Contact(time, a, b) for time, (a, b) in contacts),
                    state_hash=self._entry(row).state_hash,
                    stated_velocities=None,
                )
        except NOT_ARRAYS as error:
            raise self._damaged(row.id) from error
        picture, bodies = (spec.height, spec.width, 3), len(scene.bodies)
        shapes = (frames, clip.states.shape, clip.visible_area.shape, clip.full_area.shape)
        of_scene = ((*picture,), (bodies, 13), (bodies,), (bodies,))
        if shapes != tuple((len(times), *each) for each in of_scene):
            raise self._damaged(row.id)
        return clip

    def stored(self, row: Row, spec: RenderSpec) -> StoredClip:
        """Hashes of a clip, without unpacking its frames; raises as `get`."""
        entry = self._entry(row)
        content = hashlib.sha256(self._content(row, spec)).hexdigest()
        key = f"{fingerprint('clips')}|{row!r}|{spec!r}|{self._scene(row)!r}|{content}"
        return StoredClip(hashlib.sha256(key.encode()).hexdigest(), entry.state_hash)

    @property
    def _requested_suite(self) -> str:
        """The suite as it is asked for on the command line."""
        name, prompt_motion = split_name(self.suite["name"])
        return f"{name} {PROMPT_MOTION_OPTION}" if prompt_motion else name

    def _scene(self, row: Row) -> Scene:
        """The scene of a clip, which is that with which it was packed."""
        scene = in_view(known_scene(row), self.spec.view)
        if _scene_hash(scene) != self._entry(row).scene:
            raise UsageError(
                f"--clips: {self.name} holds {row.id} of another scene than the task describes here. Use the task "
                "with which it was packed, or pack it again."
            )
        return scene

    def _entry(self, row: Row) -> PackedClip:
        entry = self._clips.get(row.id)
        if entry is None:
            raise UsageError(
                f"--clips: {self.name} holds {len(self._clips)} clips of {self.suite['name']}, and {row.id} is not "
                "among them. Pack the clips that are asked for, or ask for those with --suite, --tasks, --limit and "
                f"{PROMPT_MOTION_OPTION}."
            )
        return entry

    def _content(self, row: Row, spec: RenderSpec) -> bytes:
        """The bytes of a clip, which are those that were packed."""
        if spec != self.spec:
            as_packed = replace(spec, look=self.spec.look, view=self.spec.view) == self.spec
            raise UsageError(
                f"--clips: {self.name} holds clips of {self.spec}, and the model asks for {spec}. "
                f"{f'Give{_drawn(self.spec, spec)}, or pack' if as_packed else 'Pack'} those: "
                f"{pack_command(self._requested_suite, spec)}"
            )
        return self._bytes_of(row.id, self._entry(row))

    def _bytes_of(self, name: str, entry: PackedClip) -> bytes:
        try:
            if self._archive.getinfo(_place(name)).file_size > 1 << 31:  # bytes
                raise self._damaged(name)
            content = self._archive.read(_place(name))
        except NOT_ARRAYS as error:
            raise self._damaged(name) from error
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise self._damaged(name)
        return content

    def _damaged(self, clip: str) -> UsageError:
        return UsageError(f"--clips: {self.name} is damaged at {clip}: its hash does not fit. Copy the file again.")


def pack_command(suite: str, spec: RenderSpec) -> str:
    """The command that packs clips of that size, rate and look. `suite` holds the options that choose clips, too."""
    drawn = _drawn(spec, RenderSpec(spec.height, spec.width, spec.fps))
    return f"physbench data pack {suite} --size {_size(spec)} --fps {spec.fps:g}{drawn} --out FILE"


def _drawn(spec: RenderSpec, other: RenderSpec) -> str:
    """The options of look and view in which a spec differs from another one."""
    look = f" --look {spec.look}" if spec.look != other.look else ""
    return look + (f" --view {spec.view}" if spec.view != other.view else "")


def _size(spec: RenderSpec) -> str:
    """ "64", "128x64" (width x height)."""
    return f"{spec.height}" if spec.height == spec.width else f"{spec.width}x{spec.height}"


ARCHIVE_AREA = "archives"  # of the cache


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
    """Path to write an archive to that is to be at `out`: the file itself, or one that is then sent to the URL.

    Raises UsageError: there is one already, and it is not to be replaced, or the place cannot be written to.
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
            # bytes: the index and the list of files stand at the end
            with place.fs.open(place.path, "rb", block_size=1 << 20) as stream:
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
    """Path of an archive in the cache."""
    return cache_dir() / ARCHIVE_AREA / f"{sha256}.clips"
