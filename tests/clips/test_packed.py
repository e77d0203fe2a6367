"""Clips in one file: the same clips come out, whatever is damaged, missing or of another kind is refused."""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pytest

from physbench.cli import data
from physbench.cli.main import run
from physbench.clips import packed as packed_clips
from physbench.clips.clip import Clip
from physbench.clips.generate import make_clip, render_spec
from physbench.clips.packed import PackedClips, pack_clips
from physbench.clips.store import ClipStore, pack
from physbench.clips.suite import (
    EXPECTATION_SUITE,
    Suite,
    find_suite,
    suite_names,
    with_prompt_motion,
    without_prompt_motion,
)
from physbench.support.errors import UsageError

SPEC = render_spec((24, 32), 5)
SUITE = find_suite("smoke", 2, "falling/drop-bounce,orbits/kepler")


@pytest.fixture(scope="module")
def clips() -> dict[str, Clip]:
    return {row.id: make_clip(row, SPEC) for row in SUITE.rows}


@pytest.fixture(scope="module")
def packed(clips: dict[str, Clip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "two.clips"
    pack_clips(SUITE, SPEC, lambda row: clips[row.id], path)
    return path


def test_the_same_clips_come_out(packed: Path, clips: dict[str, Clip]) -> None:
    source = PackedClips(packed)
    assert source.missing(SUITE.rows, SPEC) == []
    for row in SUITE.rows:
        found, made = source.get(row, SPEC), clips[row.id]
        for name in ("times", "frames", "states", "visible_area", "full_area"):
            one, other = getattr(found, name), getattr(made, name)
            assert one.dtype == other.dtype and np.array_equal(one, other), name
        assert (found.scene, found.contacts, found.state_hash) == (made.scene, made.contacts, made.state_hash)
    assert clips[SUITE.rows[0].id].contacts, "one of the clips has a contact to compare"


def test_clips_of_another_view_come_out_before_its_camera(tmp_path: Path) -> None:
    row, near = SUITE.rows[0], replace(SPEC, view="near")
    pack_clips(replace(SUITE, rows=(row,)), near, lambda row: make_clip(row, near), tmp_path / "near.clips")
    found, made = PackedClips(tmp_path / "near.clips").get(row, near), make_clip(row, near)
    assert np.array_equal(found.frames, made.frames)
    assert found.scene == made.scene and found.scene.camera.tilt > 0


def test_the_same_clips_are_the_same_bytes(packed: Path, clips: dict[str, Clip], tmp_path: Path) -> None:
    sha256 = pack_clips(SUITE, SPEC, lambda row: clips[row.id], tmp_path / "again.clips")
    assert (tmp_path / "again.clips").read_bytes() == packed.read_bytes()
    assert PackedClips(packed).document() == {"file": str(packed), "sha256": sha256}


def test_damage_is_found(packed: Path, tmp_path: Path) -> None:
    """One flipped bit in a clip, one in the index, and a copy that broke off."""
    content, row = packed.read_bytes(), SUITE.rows[1]
    with zipfile.ZipFile(packed) as archive:
        clip, index = (archive.getinfo(name) for name in (f"clips/{row.id}.npz", "index.json"))
    flipped = tmp_path / "flipped.clips"
    for info, words in ((clip, f"damaged at {row.id}"), (index, "no whole archive")):
        at = info.header_offset + 30 + len(info.filename) + info.file_size // 2
        flipped.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(UsageError, match=words):
            PackedClips(flipped).missing(SUITE.rows, SPEC)
    flipped.write_bytes(content[:-50])
    with pytest.raises(UsageError, match="Copy it again"):
        PackedClips(flipped)


def test_an_archive_is_verified(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(("data", "verify", str(packed))) == 0
    said = capsys.readouterr()
    assert (
        said.out
        == f"{packed}: 2 clips of smoke at 32x24@5, index {PackedClips(packed).sha256[:12]}, all as they were packed\n"
    )
    content = packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        info = archive.getinfo(f"clips/{SUITE.rows[1].id}.npz")
    at = info.header_offset + 30 + len(info.filename) + info.file_size // 2
    flipped = tmp_path / "flipped.clips"
    flipped.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    assert run(("data", "verify", str(flipped))) == 2
    assert capsys.readouterr().err.startswith(f"Error: {flipped} is damaged at {SUITE.rows[1].id}: ")
    for words, said_of_it in (
        ((str(tmp_path / "none"),), "there is no file"),
        (("smoke",), "physbench data verify --suite smoke"),
        ((str(packed), "--suite", "smoke"), "Leave them out"),
        ((str(packed), "--workers", "1"), "Leave them out"),
    ):
        assert run(("data", "verify", *words)) == 2
        assert said_of_it in capsys.readouterr().err


def test_an_archive_with_other_states_is_named(
    clips: dict[str, Clip], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row, path = SUITE.rows[1], tmp_path / "other.clips"
    others = {**clips, row.id: replace(clips[row.id], state_hash="0" * 64)}
    for suite in (SUITE, with_prompt_motion(SUITE)):
        pack_clips(suite, SPEC, lambda each: replace(others[without_prompt_motion([each])[0].id], row=each), path)
        assert run(("data", "verify", str(path))) == 1
        said = capsys.readouterr()
        assert f"1 differ from the golden states, first {suite.rows[1].id}" in said.out and "`local`" in said.err
    pack_clips(replace(SUITE, name="train"), SPEC, lambda each: others[each.id], path)
    assert run(("data", "verify", str(path))) == 0, "it has no golden states"


def test_a_clip_in_the_place_of_another_is_found(packed: Path, tmp_path: Path) -> None:
    names = [f"clips/{row.id}.npz" for row in SUITE.rows]
    swapped = tmp_path / "swapped.clips"
    with zipfile.ZipFile(packed) as archive, zipfile.ZipFile(swapped, "w") as other:
        for name, place in zip((*names, "index.json"), (*reversed(names), "index.json"), strict=True):
            other.writestr(place, archive.read(name))
    with pytest.raises(UsageError, match="damaged at"):
        PackedClips(swapped).missing(SUITE.rows, SPEC)


def test_what_is_not_in_it_is_refused(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = PackedClips(packed)
    with pytest.raises(UsageError, match=r"32x24@5, and the model asks for 64x64@15\. .*--size 64 --fps 15"):
        source.missing(SUITE.rows, render_spec(64, 15))
    with pytest.raises(UsageError, match="holds 2 clips of smoke, and occlusion"):
        source.missing(find_suite("smoke", 1, "occlusion/screen-pass").rows, SPEC)
    row = SUITE.rows[0]
    scene = packed_clips.known_scene(row)
    monkeypatch.setattr(packed_clips, "known_scene", lambda row: replace(scene, horizon=scene.horizon + 1))
    with pytest.raises(UsageError, match="of another scene"):
        source.get(row, SPEC)
    monkeypatch.setattr(packed_clips, "fingerprint", lambda purpose: "of another version")
    with pytest.raises(UsageError, match="another version of physbench"):
        PackedClips(packed)
    with pytest.raises(UsageError, match="there is no file"):
        PackedClips(packed.with_name("other.clips"))


def test_suites_without_golden_states_need_no_simulation(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Suite("own-smoke", SUITE.version, SUITE.rows)
    monkeypatch.setattr("physbench.clips.generate.grid_states", None)
    assert PackedClips(packed).known(bare).hash == SUITE.hash
    assert PackedClips(packed).known(SUITE) is SUITE


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "one.clips"
    words = ("data", "pack", "smoke", "--size", "32x24", "--fps", "5", "--limit", "1", "--workers", "1")
    assert run((*words, "--out", str(out))) == 0
    said = capsys.readouterr()
    assert said.out == f"{out}\n" and "1 clip of smoke at 32x24@5" in said.err
    assert len(PackedClips(out)._clips) == 1
    assert run((*words, "--out", str(tmp_path))) == 2
    assert "is a folder" in capsys.readouterr().err
    out.write_bytes(b"other clips")
    assert run((*words, "--out", str(out))) == 2 and out.read_bytes() == b"other clips"
    assert "exists already. Name another file, or give --replace" in capsys.readouterr().err
    assert run((*words, "--out", str(out), "--replace")) == 0
    assert len(PackedClips(out)._clips) == 1
    capsys.readouterr()
    assert run(("data", "pack", "smok", "--out", str(out))) == 2
    assert "smoke" in capsys.readouterr().err


def test_the_help_names_the_suites_that_can_be_packed() -> None:
    """As it is written: a narrow terminal breaks words."""
    said = signature(data.pack, eval_str=True).parameters["suite"].annotation.__metadata__[0].help
    assert all(re.search(rf"\b{name}\b", said) for name in suite_names() if name != EXPECTATION_SUITE)


def test_another_look_is_read_without_what_draws_it(
    packed: Path, clips: dict[str, Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    natural = replace(SPEC, look="natural")
    monkeypatch.setattr(packed_clips, "look_hash", lambda look: f"hash of {look}")
    path = tmp_path / "natural.clips"
    pack_clips(SUITE, natural, lambda row: replace(clips[row.id], spec=natural), path)
    monkeypatch.undo()
    source = PackedClips(path)
    assert source.spec == natural and source.document()["drawn_by"] == "hash of natural"
    assert source.get(SUITE.rows[0], natural).spec == natural
    for one, asked, look in ((path, SPEC, "natural"), (packed, natural, "plain")):
        words = rf"the model asks for {asked}\. Give --look {look}, or pack those: physbench data pack"
        with pytest.raises(UsageError, match=words):
            PackedClips(one).get(SUITE.rows[0], asked)
    real = packed_clips.fingerprint
    monkeypatch.setattr(packed_clips, "fingerprint", lambda part: "another" if part == "natural" else real(part))
    assert PackedClips(packed).drawn_by is None
    with pytest.raises(UsageError, match="another version of physbench"):
        PackedClips(path)


def test_arrays_of_other_shapes_are_damage(clips: dict[str, Clip], tmp_path: Path) -> None:
    """Their hashes are those of the index, which whoever made the archive wrote."""
    row, path = SUITE.rows[0], tmp_path / "odd.clips"
    odd = {each.id: replace(clips[each.id], frames=clips[each.id].frames[:, :, :8]) for each in SUITE.rows}
    pack_clips(SUITE, SPEC, lambda each: odd[each.id], path)
    with pytest.raises(UsageError, match=f"damaged at {row.id}"):
        PackedClips(path).get(row, SPEC)


def test_frames_that_cannot_be_unpacked_are_damage(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are unpacked when they are asked for. Their hash fits: whoever made the archive wrote it."""
    clip = PackedClips(packed).get(SUITE.rows[0], SPEC)

    def broken(*_: object) -> tuple[int, ...]:
        raise zlib.error("invalid distance too far back")

    monkeypatch.setattr(packed_clips, "_frames_header", broken)
    with pytest.raises(UsageError, match=f"damaged at {SUITE.rows[0].id}"):
        clip.context(3)


def test_imported_clips_are_those_that_are_made_here(
    packed: Path, clips: dict[str, Clip], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "import", str(packed), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / SPEC.folder)
    store = ClipStore(tmp_path)
    assert store.missing(SUITE.rows, SPEC) == []
    for row in SUITE.rows:
        assert store.path(row, SPEC).read_bytes() == pack(clips[row.id])


def test_clips_of_another_build_or_no_suite_are_not_imported(
    clips: dict[str, Clip], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, own = tmp_path / "other.clips", tmp_path / "own.clips"
    pack_clips(SUITE, SPEC, lambda row: replace(clips[row.id], state_hash="0" * 64), other)
    pack_clips(replace(SUITE, name="own-smoke"), SPEC, lambda row: clips[row.id], own)
    learn = find_suite("train", 1)
    pack_clips(learn, SPEC, lambda row: make_clip(row, SPEC), tmp_path / "train.clips")
    for path, words in (
        (other, "2 of its clips differ from the golden states of smoke"),
        (own, "no suite with golden states"),
        (tmp_path / "train.clips", "no suite with golden states"),
    ):
        assert run(["data", "import", str(path), "--out", str(tmp_path / "clips")]) == 2
        assert words in capsys.readouterr().err
    assert not list((tmp_path / "clips").rglob("*.npz"))
