import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.rollout import store
from physbench.rollout.store import read_video, write_video
from physbench.support.errors import PhysbenchError


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 6), st.integers(32, 70), st.integers(32, 70), st.sampled_from([4.0, 15.0, 60.0]))
def test_the_round_trip_is_exact(tmp_path_factory, length: int, height: int, width: int, fps: float) -> None:
    path = tmp_path_factory.mktemp("video") / "a.mkv"
    noise = np.random.default_rng(length).integers(0, 256, (length, height, width, 3), dtype=np.uint8)
    frames = np.concatenate([noise, noise[-1:], noise[-1:] // 2, noise[:1]])  # skipped blocks, residuals, references
    write_video(path, frames, fps)
    assert np.array_equal(read_video(path, len(frames)), frames)
    assert np.array_equal(read_video(path), frames)


def test_the_bytes_depend_on_the_frames_alone(tmp_path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    for name in ("a", "b"):
        write_video(tmp_path / name, frames, 15)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_truncated_and_foreign_files_are_told(tmp_path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.mkv"
    write_video(path, frames, 15)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PhysbenchError, match=r"expected 30 frames, got \d+. It is truncated"):
        read_video(path, 30)
    path.write_text("no video")
    with pytest.raises(PhysbenchError, match="not a readable video"):
        read_video(path)
    with pytest.raises(PhysbenchError, match="does not exist"):
        read_video(tmp_path / "none.mkv")


def test_more_frames_than_there_is_room_for_at_first(tmp_path, monkeypatch) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, 48, 33, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mkv", frames, 15)
    for room in (1, 2, 9, 64):
        monkeypatch.setattr(store, "FIRST_FRAMES", room)
        assert np.array_equal(read_video(tmp_path / "a.mkv"), frames)
    with pytest.raises(PhysbenchError, match="expected 4 frames, got 9"):
        read_video(tmp_path / "a.mkv", 4)
