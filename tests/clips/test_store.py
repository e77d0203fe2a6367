"""The store only saves time: damage and other versions are found, said and mended."""

from __future__ import annotations

import errno
import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from physbench.clips import store
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.clips.store import ClipStore
from physbench.support.errors import PhysbenchError
from physbench.support.files import cache_dir
from physbench.world.scene import RenderSpec

SPEC = render_spec(32, 10)
ROWS = [Row("falling/projectile-v1", "test", seed) for seed in range(3)]


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(ROWS[0], SPEC)


def assert_same(a: Clip, b: Clip) -> None:
    for name in ("row", "scene", "spec", "contacts", "state_hash"):
        assert getattr(a, name) == getattr(b, name), name
    for name in ("times", "frames", "states", "visible_area", "full_area"):
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype and np.array_equal(x, y) and y.flags.writeable, name


def test_what_is_stored_is_what_was_made(tmp_path: Path, clip: Clip, capfd: pytest.CaptureFixture[str]) -> None:
    clips = ClipStore(tmp_path)
    assert clips.missing(ROWS, SPEC) == ROWS
    assert_same(clip, clips.get(ROWS[0], SPEC))
    assert clips.missing(ROWS, SPEC) == ROWS[1:]
    assert_same(clip, ClipStore(tmp_path).get(ROWS[0], SPEC))
    path = clips.path(ROWS[0], SPEC)
    assert path.parent.name == "falling.projectile-v1.test" and path.stat().st_size < 40_000
    with np.load(path, allow_pickle=False) as arrays:
        assert {"head", "frames", "states", "checksum"} <= set(arrays.files)
    assert capfd.readouterr().err == ""


def test_no_path_holds_what_windows_refuses(tmp_path: Path) -> None:
    spec = RenderSpec(256, 256, 16, "natural:shutter=0,noise=1.5")
    path = ClipStore(tmp_path).path(Row("falling/drop-bounce-v1", "test", 1), spec)
    assert path.relative_to(tmp_path).parts[0] == "256x256@16-natural-shutter=0,noise=1.5"
    assert not set('<>:"|?*') & set("".join(path.relative_to(tmp_path).parts))


def test_a_stored_clip_is_loaded_and_not_made(tmp_path: Path, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    ClipStore(tmp_path).put(clip)

    def fail(*_: object) -> None:
        raise AssertionError("made although it is stored")

    monkeypatch.setattr(store, "make_clip", fail)
    assert_same(clip, ClipStore(tmp_path).get(ROWS[0], SPEC))


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "nonsense", "swapped"])
def test_damage_is_said_and_mended(tmp_path: Path, clip: Clip, damage: str, capfd: pytest.CaptureFixture[str]) -> None:
    clips = ClipStore(tmp_path)
    clips.put(clip)
    path = clips.path(ROWS[0], SPEC)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    parts["states"] = parts["full_area"]  # a whole zip file with the wrong content
    swapped = io.BytesIO()
    np.savez(swapped, **parts)  # type: ignore[arg-type]
    bad = {
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "flipped": bytes(flipped),
        "nonsense": b"\x93NUMPY nonsense" * 100,
        "swapped": swapped.getvalue(),
    }
    path.write_bytes(bad[damage])
    assert_same(clip, clips.get(ROWS[0], SPEC))
    said = capfd.readouterr().err
    assert "damaged" in said and str(path) in said and said.count("\n") == 1
    assert path.read_bytes() == content


def test_every_flipped_bit_is_found_or_harmless(tmp_path: Path, clip: Clip) -> None:
    content = store.pack(clip)
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(content), 60):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        try:
            read = store.unpack(bytes(flipped), clip.row, clip.spec, clip.scene)
        except store.CorruptError:
            continue
        assert_same(clip, read)  # a date or a name in the zip's own tables


def test_other_versions_are_said_once_and_mended(
    tmp_path: Path, clip: Clip, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = ClipStore(tmp_path)
    for row in ROWS:
        before.get(row, SPEC)
    monkeypatch.setattr(store, "generator_key", lambda: "a later version")
    clips = ClipStore(tmp_path)
    assert clips.missing(ROWS, SPEC) == ROWS
    assert clips.ensure(ROWS, SPEC, workers=1) == 3
    assert clips.missing(ROWS, SPEC) == []
    assert capfd.readouterr().err.count("another version") == 1
    with pytest.raises(store.StaleError):
        store.unpack(store.pack(clip), ROWS[1], SPEC, clip.scene)
    with pytest.raises(store.StaleError):
        store.unpack(store.pack(clip), ROWS[0], render_spec(64, 10), clip.scene)


def test_the_key_covers_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    key = store.generator_key.__wrapped__
    before = key()
    monkeypatch.setattr(store, "fingerprint", lambda purpose: f"other sources of {purpose}")
    assert key() != before


@pytest.mark.parametrize("how", ["file in the way", "full disk"])
def test_works_without_a_cache_and_says_so_once(
    tmp_path: Path, clip: Clip, how: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "clips"
    if how == "file in the way":
        directory.write_text("in the way")
    else:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
    clips = ClipStore(directory)
    assert_same(clip, clips.get(ROWS[0], SPEC))
    assert_same(clip, clips.get(ROWS[0], SPEC))
    assert clips.ensure(ROWS, SPEC, workers=1) == 0
    said = capfd.readouterr().err
    assert said.count("clips are not stored") == 1 and clips.problem
    assert not list(tmp_path.rglob(".*"))
    with pytest.raises(PhysbenchError, match="another folder with --out"):
        ClipStore(directory, required=True).ensure(ROWS, SPEC, workers=1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path: Path, clip: Clip, capfd: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    clips = ClipStore(tmp_path / "clips")
    assert_same(clip, clips.get(ROWS[0], SPEC))
    assert os.strerror(errno.EACCES) in capfd.readouterr().err
    tmp_path.chmod(0o700)


def test_processes_make_the_same_files(tmp_path: Path) -> None:
    rows = [Row("falling/projectile-v1", "train", seed) for seed in range(8)]
    one, two = ClipStore(tmp_path / "one"), ClipStore(tmp_path / "two")
    assert one.ensure(rows, SPEC, workers=1) == 8
    assert two.ensure([*rows, rows[0]], SPEC, workers=2) == 8
    assert two.ensure(rows, SPEC, workers=2) == 0
    for row in rows:
        assert_same(one.get(row, SPEC), two.get(row, SPEC))


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path and ClipStore().directory == tmp_path / "clips"
    monkeypatch.delenv("PHYSBENCH_CACHE")
    assert cache_dir().name == "physbench"


def test_unfinished_files_of_long_ago_are_removed(tmp_path: Path, clip: Clip) -> None:
    clips = ClipStore(tmp_path)
    clips.put(clip)
    folder = clips.path(ROWS[0], SPEC).parent
    old, new = folder / ".99999999.1.npz", folder / ".99999999.2.npz"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (0, 0))
    clips.ensure(ROWS[:1], SPEC, workers=1)
    assert not old.exists() and new.exists()


def test_threads_make_one_clip_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where clips cannot be stored, those who read them make them: what draws them is one for a process."""
    at_work, most = threading.Semaphore(0), []

    def making(row: Row, spec: RenderSpec) -> Clip:
        at_work.release()
        time.sleep(0.01)
        most.append(at_work._value)
        clip = make_clip(row, spec)
        assert at_work.acquire(blocking=False)
        return clip

    monkeypatch.setattr(store, "make_clip", making)
    clips = ClipStore(tmp_path)
    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(lambda row: clips.get(row, SPEC), ROWS))
    assert most == [1] * 3
    for row, clip in zip(ROWS, made, strict=True):
        assert_same(make_clip(row, SPEC), clip)
