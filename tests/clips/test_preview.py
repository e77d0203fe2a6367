"""Sheets and animations of clips: they show what was drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from physbench.cli.main import run
from physbench.clips import preview
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.clips.preview import (
    EXPOSURE_STEP,
    HEADS,
    LEFT,
    SHEET_FPS,
    TIMES_BEFORE,
    TITLE,
    _exposures,
    default_name,
    draw_sheet,
    multiple_exposure,
    usual_size,
    write,
)
from physbench.clips.task import find_task
from physbench.track.colour import HUED
from physbench.world.styles.catalogue import draw_still


@pytest.mark.parametrize(
    "task", ["collisions/walk-round-v1", "collisions/head-on-v1", "falling/seesaw-v1", "falling/spring-v1"]
)
def test_the_latest_exposure_is_the_last_frame(clip_of: Callable[..., Clip], task: str) -> None:
    """Also of a camera that has gone half round: its way is not that of a camera at rest; and of what has no hue."""
    clip = clip_of(task)
    exposed, (frames, ground) = multiple_exposure(clip).astype(int), last_exposure(clip)
    there = np.abs(frames[-1] - ground).max(axis=-1) > 10
    assert there.sum() > 20 and np.abs(exposed - frames[-1])[there].max() <= 1
    coloured = np.ptp(frames[-1], axis=-1) > 2 * HUED
    assert (np.ptp(exposed, axis=-1) > 2 * HUED).sum() > 1.5 * coloured.sum()  # the earlier ones are there


def last_exposure(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    later = np.arange(clip.handover, len(clip.times), round(EXPOSURE_STEP * clip.spec.fps))
    return _exposures(clip, later, clip.spec)


def test_a_shadow_does_not_cover_an_earlier_body(clip_of: Callable[..., Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a look with shadows: a body in the first exposure, and in its place a darker patch in the last."""
    clip = clip_of("falling/projectile-v1")
    ground = draw_still(clip.scene, clip.spec, hueless=False)
    plain = np.repeat(ground[None], len(clip.frames), axis=0)
    plain[clip.handover, 10:20, 10:20] = (200, 30, 30)
    shaded = plain.copy()
    shaded[clip.handover + 1 :, 10:20, 10:20] = np.clip(ground[10:20, 10:20].astype(int) - 25, 0, 255)
    frames = {"plain": plain, "natural": shaded}
    monkeypatch.setattr(
        preview,
        "_exposures",
        lambda clip, later, spec: (frames[spec.look][later].astype(np.float32), ground.astype(np.float32)),
    )
    patch = multiple_exposure(replace(clip, spec=replace(clip.spec, look="natural")))[10:20, 10:20].astype(int)
    assert (patch[..., 0] > patch[..., 1] + 30).all()


@pytest.mark.parametrize(("size", "side"), [((), 192), (("--size", "384"), 384)])
def test_a_sheet_shows_the_pixels_of_its_pictures(
    size: tuple[str, ...], side: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sheet.png"
    assert run(["tasks", "preview", "projectile", "--clips", "1", "--out", str(path), *size]) == 0
    clip = make_clip(Row("falling/projectile-v1", "test", 0), render_spec(side, SHEET_FPS))
    with Image.open(path) as picture:
        sheet = np.array(picture.convert("RGB")).astype(int)
    left, top = round(150 * LEFT), round(150 * (TITLE + HEADS))  # of the first picture, 150 px an inch
    first = clip.frames[np.argmin(np.abs(clip.times - TIMES_BEFORE[0]))]
    shown = sheet[top : top + side, left : left + side]
    assert np.ptp(first, axis=-1).max() > 2 * HUED and np.mean(np.abs(shown - first).max(axis=-1) > 40) < 0.01


def test_pictures_with_effects_that_were_asked_for_are_twice_as_large() -> None:
    assert usual_size(160, "natural:shutter=360") == usual_size(160, "natural:noise=1.5") == 320
    assert usual_size(160, "natural") == usual_size(160, "natural:shutter=0") == usual_size(160, "plain") == 160


def test_a_preview_names_what_is_not_the_plain_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sheet of one look, view, seed, number of clips or size does not overwrite that of another."""
    monkeypatch.chdir(tmp_path)
    words = ("tasks", "preview", "projectile", "--clips", "1", "--size", "32")
    for options in ((), ("--view", "near")):
        assert run([*words, *options]) == 0
    said = capsys.readouterr()
    name = "preview-projectile-v1-test-clips-1-size-32"
    assert said.out.split() == [f"{name}.png", f"{name}-near.png"]
    assert default_name("kepler", "test", 0, "plain", "far") == "preview-kepler-test.png"
    assert all((tmp_path / name).is_file() for name in said.out.split())
    first, second = said.err.splitlines()
    assert second == f"{first}, view near"
    assert default_name("kepler", "ood", 7, "natural:shutter=360,noise=1.5", "moving") == (
        "preview-kepler-ood-seed-7-natural-shutter-360-noise-1.5-moving.png"
    )
    clip = make_clip(Row("falling/projectile-v1", "test", 0), render_spec(32, SHEET_FPS, view="near"))
    figure = draw_sheet(find_task("projectile"), [clip])
    assert "falling/projectile-v1, view near" in [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(
    ("view", "seen"), [("far", "seen from straight above"), ("near", "seen from above, a little aslant")]
)
def test_a_sheet_says_from_where_its_view_looks(view: str, seen: str) -> None:
    task = find_task("head-on")
    clip = make_clip(Row(task.id, "test", 0), render_spec(32, SHEET_FPS, view=view))
    assert f"Two balls of different size meet, {seen}." in [text.get_text() for text in draw_sheet(task, [clip]).texts]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_small_shaded_ball_keeps_its_colour_on_a_textured_ground(suffix: str, tmp_path: Path) -> None:
    """Most pixels are greys, as in the natural look; a palette that follows their number alone has no blue left."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    frames = np.repeat(rng.integers(120, 190, (96, 96, 1)) + np.array([8, 0, -12]), 8, axis=0).reshape(96, 8, 96, 3)
    frames = np.moveaxis(frames, 1, 0).astype(np.uint8)
    for k, frame in enumerate(frames):
        inside = np.hypot(x - 20 - 6 * k, y - 48) < 6
        light = 1 - 0.5 * np.hypot(x - 18 - 6 * k, y - 46)[inside] / 8
        frame[inside] = light[:, None] * np.array([30, 90, 240])
    write(tmp_path / f"clips{suffix}", frames)
    with Image.open(tmp_path / f"clips{suffix}") as picture:
        seen = np.stack([np.array(each.convert("RGB")) for each in ImageSequence.Iterator(picture)])
    assert seen.shape == frames.shape
    blue = frames[..., 2] > frames[..., 0].astype(int) + 60
    error = np.abs(seen.astype(int) - frames)
    assert blue.sum() > 500
    assert error[blue].mean() < 12
    assert error.mean() < 12
