"""What a user says of a recording is checked before anything is tracked."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from filmed import FRAMES, SAID, ZERO, film

from physbench.recording.document import FILE, TEMPLATE, Recording, read
from physbench.recording.recorded import check_even, clip_rate, load
from physbench.support.errors import UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("still") / "ball", [np.array([0.0, 0.5])] * FRAMES)


@pytest.mark.parametrize(
    ("more", "zero", "words"),
    [
        ("last = 18", ZERO, "expected 0.2 s, 5 frames and 0.3 s at least"),
        ("", 3, "expected 0.2 s, 5 frames and 0.3 s at least"),
        ("", 300, "has frames 0 to 45"),
        ("crop = [0, 0, 5000, 100]", ZERO, "crop: expected"),
        ("first = 40", ZERO, "time_zero: expected a frame after first"),
        ("restitution = [0.9, 0.2]", ZERO, "restitution: expected two numbers"),
        ("speed = 1", ZERO, "speed: Extra inputs"),
        ("gravity = nan", ZERO, "gravity: Input should be"),
        ("[[points]]\npx = [3, 4]\nm = [1, 0]", ZERO, "points: expected four or more"),
        ("[[points]]\npx = [0, 0]\nm = [0, 0]", ZERO, "still to be filled in, .* px and m of the points"),
        ("gravity = ", ZERO, "Invalid value"),
    ],
)
def test_recordings_that_say_what_is_wrong_are_refused(folder: Path, more: str, zero: int, words: str) -> None:
    said = SAID.format(zero=zero, floor=148, box=[30, 60, 54, 84], more=more)
    (folder / FILE).write_text(said, encoding="utf-8")
    with pytest.raises(UsageError, match=words) as raised:
        load(folder)
    assert "\n" not in str(raised.value)


def test_a_missing_recording_or_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="physbench record new"):
        read(tmp_path)
    (tmp_path / FILE).write_text(SAID.format(zero=ZERO, floor=148, box=[0, 0, 20, 20], more=""))
    with pytest.raises(UsageError, match="there is no file"):
        read(tmp_path)


def test_rates_are_those_that_divide_the_physics_rate() -> None:
    assert clip_rate(29.97) == (1, 30.0)
    assert clip_rate(240) == (4, 60.0)
    assert clip_rate(25) == (1, 25.0)
    with pytest.raises(UsageError, match=r"27\.3 frames/s"):
        clip_rate(27.3)


def test_frames_at_uneven_times_are_refused() -> None:
    even = np.arange(20) / 30
    check_even(even + 0.005 * (np.arange(20) % 2), 30.0)
    with pytest.raises(UsageError, match="its rate varies"):
        check_even(np.where(even > 0.3, even + 0.02, even), 30.0)


def test_a_template_asks_for_nothing_but_places() -> None:
    numbers = {"width": 320, "height": 160, "frames": 46, "zero": 15, "last": 45, "x": 160, "floor": 159}
    said = tomllib.loads(TEMPLATE.format(video=json.dumps('a "b".mp4'), rate="30 frames/s", **numbers))
    assert said["video"] == 'a "b".mp4'
    assert {field for field in said if field not in Recording.model_fields} == set()
    said["balls"][0]["box"] = [0, 0, 20, 20]
    assert Recording.model_validate(said).time_zero == 15
