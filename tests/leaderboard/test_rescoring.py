"""Tracks and videos from elsewhere, and scorers with a package that one of two machines lacks."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny_board import TINY_CARD, TINY_ROWS

from physbench.clips.clip import Clip
from physbench.clips.store import ClipStore
from physbench.clips.video import FFV1, H264_RGB_FAST, Codec, encode
from physbench.leaderboard import rescoring
from physbench.leaderboard.check_tables import own_scorers
from physbench.leaderboard.rescoring import compared, read_sent_tracks, read_sent_video, track_difference
from physbench.rollout.store import write_video
from physbench.support.errors import UsageError
from physbench.track.tracker import track
from physbench.track.tracks import Tracks, save_tracks

OPTIONAL = next(each.id for each in own_scorers().values() if each.packages)


def table() -> pd.DataFrame:
    fields = {"task": "f/a", "split": "test", "seed": 0, "sample": 0, "axis": None, "unit": "1", "reason": ""}
    rows = [
        fields | {"clip": clip, "reading": name, "value": 0.5, "quality": np.nan, "status": "ok"}
        for clip in ("a", "b", "c")
        for name in (OPTIONAL, f"{OPTIONAL}.more", "laws/gravity")
    ]
    return pd.DataFrame(rows)


def without(clips: str, names: tuple[str, ...] = (OPTIONAL, f"{OPTIONAL}.more")) -> pd.DataFrame:
    made = table()
    at = made["clip"].isin(list(clips)) & made["reading"].isin(names)
    made.loc[at, "value"], made.loc[at, "status"] = np.nan, "unavailable"
    return made


def test_a_machine_without_the_package_is_not_compared_there() -> None:
    for sent, made in ((without("abc"), table()), (table(), without("abc")), (without("abc"), without("abc"))):
        found = compared(sent, made)
        assert (found.first, found.rows) == ("", 3)


@pytest.mark.parametrize("clips", ["a", "bc"])
def test_some_rows_that_say_unavailable_exempt_nothing(clips: str) -> None:
    found = compared(without(clips), table())
    assert found.different == 2 * len(clips) and "status 'unavailable' was sent" in found.first


def test_a_scorer_without_packages_is_always_compared() -> None:
    assert compared(without("abc", ("laws/gravity",)), table()).different == 3


CONTEXT = 8


@pytest.fixture(scope="module")
def clip() -> Clip:
    return ClipStore().get(TINY_ROWS[1], TINY_CARD.spec)


@pytest.fixture(scope="module")
def tracks(clip: Clip) -> Tracks:
    return track(clip, CONTEXT, clip.frames[clip.window(CONTEXT)])


def test_tracks_are_read_as_they_were_written(tmp_path: Path, clip: Clip, tracks: Tracks) -> None:
    save_tracks(tmp_path / "a.npz", tracks)
    assert track_difference(read_sent_tracks(tmp_path / "a.npz", clip, CONTEXT), tracks) == ""


@pytest.mark.parametrize(
    ("field", "change", "said"),
    [
        ("times", lambda a: a + 1, "times are not those"),
        ("times", lambda a: a[:-1], "times has the shape"),
        ("position", lambda a: a[:, :, :1], "position has the shape"),
        ("position", lambda a: np.full_like(a, np.inf), "position is not finite"),
        ("position", lambda a: a.astype(str), "position has the shape"),
        ("state", lambda a: a + 9, "a state that there is not"),
        ("names", lambda names: ("other", *names[1:]), "tracks of other"),
        ("context", lambda n: n - 1, "7 context frames"),
        ("area", lambda a: None, "cannot be read"),
    ],
)
def test_tracks_of_something_else_are_named(
    tmp_path: Path, clip: Clip, tracks: Tracks, field: str, change: Callable[[Any], Any], said: str
) -> None:
    path = tmp_path / "a.npz"
    changed = change(getattr(tracks, field))
    if changed is None:
        save_tracks(path, tracks)
        with np.load(path) as data:
            kept = {name: data[name] for name in data.files if name != field}
        np.savez(path, **kept)
    else:
        save_tracks(path, replace(tracks, **{field: changed}))
    with pytest.raises(UsageError, match=r"a\.npz") as error:
        read_sent_tracks(path, clip, CONTEXT)
    assert said in str(error.value)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("position.npy", bytes(40_000_000))
    monkeypatch.setattr(rescoring, "load_tracks", lambda path: pytest.fail("it was read"))
    with pytest.raises(UsageError, match="holds 38 MB, more than tracks have"):
        read_sent_tracks(tmp_path / "a.npz", clip, CONTEXT)


def test_a_difference_names_field_and_frame(tracks: Tracks) -> None:
    position = tracks.position.copy()
    position[20, 0, 0] += 1e-3
    assert track_difference(replace(tracks, position=position), tracks) == "position differs at frame 20"
    position[20, 0, 0] = tracks.position[20, 0, 0] + 1e-9
    assert track_difference(replace(tracks, position=position), tracks) == ""
    assert track_difference(replace(tracks, chroma=None), tracks) == "chroma differs"
    assert track_difference(replace(tracks, context=7), tracks) == "context differs"


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((6, 32, 48, 3), ""),
        ((5, 32, 48, 3), "expected 5 frames"),
        ((7, 32, 48, 3), "got 6"),
        ((6, 48, 32, 3), "H.264 of"),
    ],
)
def test_a_video_has_exactly_the_frames_that_were_committed(tmp_path: Path, shape: tuple[int, ...], said: str) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (6, 32, 48, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mkv", frames, 15)
    if not said:
        assert np.array_equal(read_sent_video(tmp_path / "a.mkv", shape), frames)
        return
    with pytest.raises(UsageError, match=said):
        read_sent_video(tmp_path / "a.mkv", shape)


def test_a_video_as_rollouts_are_stored_comes_back_exactly(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (6, 31, 48, 3), dtype=np.uint8)
    encode(tmp_path / "a.mkv", frames, 15, H264_RGB_FAST)
    assert np.array_equal(read_sent_video(tmp_path / "a.mkv", frames.shape), frames)


@pytest.mark.parametrize("codec", [FFV1, Codec(".mkv", "matroska", "mpeg4", "yuv420p")])
def test_a_video_of_another_codec_is_named(tmp_path: Path, codec: Codec) -> None:
    frames = np.zeros((6, 32, 48, 3), dtype=np.uint8)
    encode(tmp_path / "a.mkv", frames, 15, codec)
    with pytest.raises(UsageError, match=r"expected H\.264 of 32 x 48 px"):
        read_sent_video(tmp_path / "a.mkv", frames.shape)


@pytest.mark.parametrize("content", [b"", b"no video", b"\x1aE\xdf\xa3" + bytes(100)])
def test_files_that_are_no_video_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mkv").write_bytes(content)
    with pytest.raises(UsageError, match="is not a readable video"):
        read_sent_video(tmp_path / "a.mkv", (6, 32, 48, 3))
