"""Pictures of the report: film strips, frames of the player, timelines and close-ups of breaks."""

from __future__ import annotations

import base64
import io
import re
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from runs_on_disk import gathered

from physbench.clips.clip import Clip, Row
from physbench.clips.store import ClipStore
from physbench.result.build import build_result
from physbench.result.read import read_run
from physbench.result.readings import BINS, BreakCount, SharePool
from physbench.result.report.charts import share_chart
from physbench.result.report.page import render
from physbench.result.report.pictures import (
    CLOSE_UP_LEGEND,
    SHEET,
    STRIP,
    clip_breaks,
    moments,
    picture_strip,
    player,
    strips,
    times_of,
)
from physbench.shadowing import Break, shadow
from physbench.shadowing.shadow import MAX_KEPT, Trace, lawful_path, save_trace
from physbench.shadowing.shadow import trace as made_trace
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, Visibility
from physbench.world.scene import RenderSpec

CONTEXT, FPS = 8, 15


def make_trace(
    weight: NDArray[np.float64], breaks: list[tuple[int, int, float]] | None = None, due: float = 1.0
) -> Trace:
    """weight (R, G, N) in the predicted frames; breaks: (rung, body, time); due up to this share of the horizon."""
    many = weight.shape[1]
    total = CONTEXT + many
    times = (np.arange(total) - CONTEXT + 1) / FPS
    owed = np.zeros((total, weight.shape[2]), dtype=bool)
    owed[CONTEXT : CONTEXT + round(due * many)] = True
    found = sorted(breaks or [])
    frames = [round(time * FPS) + CONTEXT - 1 for _, _, time in found]
    return Trace(
        rungs=np.array([0.03, 0.08, 0.2], np.float32),
        columns=np.arange(weight.shape[2], dtype=np.int16),
        times=times.astype(np.float32),
        due=owed,
        weight=np.concatenate([np.zeros((3, CONTEXT, weight.shape[2])), weight], axis=1).astype(np.float16),
        rung=np.array([r for r, _, _ in found], np.int16),
        body=np.array([n for _, n, _ in found], np.int16),
        frame=np.array(frames, np.int16),
        time=np.array([t for _, _, t in found], np.float32),
        gross=np.zeros(len(found), bool),
        jump=np.full(len(found), 0.5, np.float32),
        kick=np.full(len(found), 1.25, np.float32),
        lawful=np.full((len(found), 13, 2), 20.0, np.float32),
    )


def test_shares_are_means_over_due_objects_with_a_band_from_eight_clips() -> None:
    pool = SharePool("falling")
    for seed in range(8):
        truth = make_trace(np.ones((3, 30, 2)))
        model = np.ones((3, 30, 2))
        model[:, 10 + seed :, 0] = 0.5
        pool.add({"truth": truth, "model": make_trace(model, [(0, 0, 0.6), (1, 0, 0.6)])})
    group = pool.result()
    share = group.shares["model"]
    assert np.allclose(group.shares["truth"].explained, 1)
    assert share.explained[0] == 1 and share.explained[-1] == pytest.approx(0.75)
    assert share.explained[12] == pytest.approx((5 + 3 * 0.75) / 8)
    assert share.band is not None and group.shares["truth"].band is None
    assert np.all(share.band[0] <= share.explained + 1e-9) and np.all(share.explained <= share.band[1] + 1e-9)
    # 2 breaks over 3 tolerances in each clip, all in the same eighth of 2 s with two objects
    bin_ = int(0.6 / 2 * BINS)
    assert share.breaks[bin_] == pytest.approx((2 / 3) / (2 * 2 / BINS), rel=0.15)
    assert np.delete(share.breaks, bin_).sum() == 0


def test_a_failed_clip_explains_nothing_and_what_is_not_due_does_not_count() -> None:
    pool = SharePool("falling")
    pool.add({"truth": make_trace(np.ones((3, 30, 1)), due=0.5)})
    pool.add({})  # cannot be shadowed
    share = pool.result().shares["model"]
    assert np.all(share.explained[:15] == 0) and np.isnan(share.explained[15:]).all()


def test_counts_say_how_many_clips_break() -> None:
    count = BreakCount()
    assert count.sentences() == []
    for breaks in ([(0, 0, 0.1), (1, 0, 0.1)], [(0, 0, 1.0)], []):
        count.add({"truth": make_trace(np.ones((3, 30, 1))), "model": make_trace(np.ones((3, 30, 1)), breaks)})
    count.add({"truth": make_trace(np.ones((3, 30, 1)))})
    count.add({})  # cannot be shadowed
    first, second, third = count.sentences()
    assert first == "Of 4 clips, 2 at 0.03, 1 at 0.08 and 0 at 0.2 diameters break (ground truth: 0, 0, 0)."
    assert second == (
        "At 0.03 the first break comes at 0.6 s (median of the 2 that break); in 1 it is at the hand-over, within "
        "0.2 s of it."
    )
    assert third.startswith("In 1 of 4 clips an object that should be seen is in no lawful motion, or not there")


def test_what_breaks_before_the_hand_over_is_not_counted_as_at_it() -> None:
    count = BreakCount()
    count.add({"truth": make_trace(np.ones((3, 30, 1))), "model": make_trace(np.ones((3, 30, 1)), [(0, 0, 0.0)])})
    assert "at the hand-over" not in " ".join(count.sentences())


def test_a_video_in_which_everything_is_gone_is_not_called_lawful() -> None:
    count, weight = BreakCount(), np.ones((3, 30, 1))
    weight[:, 15:] = 0
    count.add({"truth": make_trace(np.ones((3, 30, 1))), "model": make_trace(weight)})
    assert count.sentences()[0] == "No clip of 1 breaks at any tolerance."
    assert count.sentences()[1].startswith("In 1 of 1 clip an object that should be seen")


def test_breaks_are_drawn_when_they_happen_among_clips_of_other_lengths() -> None:
    """One at 1.9 s of 2 s lies in the fourth eighth of another clip's 4 s."""
    pool = SharePool("orbits")
    for many, breaks in ((30, [(0, 0, 1.9)]), (60, [])):
        pool.add({"truth": make_trace(np.ones((3, many, 1))), "model": make_trace(np.ones((3, many, 1)), breaks)})
    assert np.flatnonzero(pool.result().shares["model"].breaks).tolist() == [3]


def test_the_chart_says_what_it_shows_and_escapes() -> None:
    pool = SharePool('a"b<script>/c$x$-v1')
    pool.add({"truth": make_trace(np.ones((3, 30, 1))), "model": make_trace(np.full((3, 30, 1), 0.25), [(0, 0, 1.0)])})
    chart = share_chart(pool.result())
    label = ElementTree.fromstring(chart).attrib["aria-label"]
    assert "model: 25 % explained" in label and "truth: 100 % explained" in label
    assert "<script" not in chart
    assert chart == share_chart(pool.result())


@pytest.fixture(scope="module")
def clip(kit: SimpleNamespace) -> Clip:
    return ClipStore().get(Row("collisions/head-on-v1", "test", 0), kit.SPEC)


def test_a_timeline_cuts_the_horizon_where_the_weight_changes(clip: Clip, kit: SimpleNamespace) -> None:
    weight = np.ones((3, clip.horizon, 2))
    weight[0, clip.horizon // 2 :, 0] = 0
    weight[0, 3 * clip.horizon // 4 :, 0] = 0.5
    half = clip.horizon // 2 / FPS
    found = clip_breaks(clip, make_trace(weight, [(0, 0, half)]), kit.true_tracks(clip), clip.future())
    assert found.words.startswith(
        "Breaks, by tolerance in diameters: 1 at 0.03. At 0.03 no lawful motion is seen for 1."
    )
    first, second = found.timelines
    assert [bar.weight for bar in first.lanes[0].bars] == [1.0, 0.0, 0.5]
    assert first.lanes[0].bars[0].end == first.lanes[0].bars[1].start == pytest.approx(0.5)
    assert first.lanes[0].breaks == (pytest.approx(0.5),)
    assert [bar.weight for bar in second.lanes[0].bars] == [1.0] and second.lanes[0].breaks == ()
    assert "ball" in first.name or "(" in first.name


def test_a_close_up_is_cut_from_the_frame_of_the_break(clip: Clip, kit: SimpleNamespace) -> None:
    trace = make_trace(np.ones((3, clip.horizon, 2)), [(0, 1, 1.0), (2, 1, 1.0)])
    trace.lawful[:] = clip.px_positions()[clip.window(CONTEXT)][int(trace.frame[0]), 1]
    tracks = kit.true_tracks(clip)
    found = clip_breaks(clip, trace, tracks, clip.future())
    (close,) = found.close_ups  # once, at the largest tolerance at which it is one
    assert close.words.endswith(", 1.00 s, ±0.2: 0.50⌀ 1.2 m/s") and len(close.words.split()) <= 10
    trace.gross[:] = True
    (close,) = clip_breaks(clip, trace, tracks, clip.future()).close_ups
    assert close.words.endswith(" m/s gross") and len(close.words.split()) == 10
    trace.kick[:] = np.nan
    (close,) = clip_breaks(clip, trace, tracks, clip.future()).close_ups
    assert close.words.endswith(", ±0.2: nothing lawful follows") and len(close.words.split()) <= 10
    assert found.left_out == ""
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(close.picture.partition(",")[2]))))
    assert picture.shape[:2] == (int(close.side),) * 2
    assert close.here is not None
    x, y = (int(value) for value in close.here)
    own, corner = picture[y, x].astype(int), picture[0, 0].astype(int)
    assert np.abs(own - corner).max() > 60  # the ball is there, and not everywhere
    assert clip_breaks(clip, trace, tracks, None).close_ups[0].picture == ""


def test_a_break_is_drawn_once_at_the_largest_tolerance(clip: Clip, kit: SimpleNamespace) -> None:
    """Within 0.4 s of one of the same body it is in that one's picture; of another body, or farther off, it is not."""
    trace = make_trace(
        np.ones((3, clip.horizon, 2)), [(0, 0, 0.9), (1, 0, 1.2), (2, 0, 1.0), (0, 1, 1.1), (0, 0, 2.0), (0, 0, 2.2)]
    )
    words = [close.words for close in clip_breaks(clip, trace, kit.true_tracks(clip), clip.future()).close_ups]
    assert [(said.split(", ")[1][:-2], said.split("±")[1].split(":")[0]) for said in words] == [
        ("1.00", "0.2"),
        ("1.10", "0.03"),
        ("2.00", "0.03"),
        ("2.20", "0.03"),
    ]


def test_what_is_not_drawn_is_counted_with_the_reason(clip: Clip, kit: SimpleNamespace) -> None:
    """Of ten breaks eight are drawn, those of large tolerances first."""
    times = [0.2 + 0.3 * k for k in range(MAX_KEPT + 1)]
    trace = make_trace(np.ones((3, clip.horizon, 2)), [*((0, 0, time) for time in times), (2, 1, 3.0)])
    found = clip_breaks(clip, trace, kit.true_tracks(clip), clip.future())
    assert len(found.close_ups) == MAX_KEPT and ", 3.00 s, " in found.close_ups[-1].words
    assert (
        found.left_out
        == "8 of 10 different breaks drawn. Left out: 2 at smaller tolerances or later (8 are drawn at most)."
    )
    trace.lawful[0] = np.nan
    found = clip_breaks(clip, trace, kit.true_tracks(clip), clip.future())
    assert found.left_out == (
        "7 of 10 different breaks drawn. Left out: 2 at smaller tolerances or later (8 are drawn at most) and 1 with "
        "no lawful trajectory around them."
    )


@pytest.fixture(scope="module")
def jumping(clip: Clip, kit: SimpleNamespace) -> Tracks:
    """The first ball lies 0.4 diameters higher from 0.4 s on."""
    tracks = kit.true_tracks(clip)
    position = tracks.position.copy()
    position[tracks.times > 0.4, 0, 1] -= 0.4 * clip.diameters()[0, 0] * clip.pixels_per_metre
    return replace(tracks, position=position)


def test_a_close_up_lies_around_the_moment_at_which_the_motions_part(clip: Clip, jumping: Tracks) -> None:
    """That may be more than 0.4 s before the first miss."""
    found = shadow(clip, jumping)
    assert found is not None
    kept = made_trace(clip, jumping, found)
    assert kept is not None and np.isfinite(kept.lawful[kept.distinct(), kept.lawful.shape[1] // 2]).all()
    b = kept.distinct()[0]
    frame, reach = int(kept.frame[b]), kept.lawful.shape[1] // 2
    breaks = [(level, each) for level in found.levels for each in level.breaks]
    true = clip.px_positions()[clip.window(CONTEXT)][:, int(kept.columns[kept.body[b]])]
    for frames in (0, 1, 3, reach + 1):
        early = replace(kept, time=np.where(np.arange(len(kept.time)) == b, kept.times[frame - frames], kept.time))
        assert early.moment(b) == frame - frames
        early.lawful[b] = lawful_path(clip, found, *breaks[b], reach, early.moment(b))
        way = frame - frames + np.arange(-reach, reach + 1)
        seen = np.isfinite(early.lawful[b, :, 0]) & np.isfinite(true[way, 0]) & (way <= frame)
        assert seen[:reach].all()
        off = np.linalg.norm(early.lawful[b, seen] - true[way[seen]], axis=1)
        assert off.max() < 0.3 * clip.diameters()[0, 0] * clip.pixels_per_metre
        when = f"{early.time[b]:.2f}"
        shows = f"{when}–{kept.times[frame]:.2f}"
        said = [close.words for close in clip_breaks(clip, early, jumping, None).close_ups]
        assert any(f", {shows if frames > 1 else when} s, ±" in words for words in said), said


def test_at_a_break_that_nothing_leads_to_the_arc_that_begins_there_is_drawn(clip: Clip, kit: SimpleNamespace) -> None:
    """As where a video goes on from its image at a speed that the task does not declare."""
    tracks = kit.true_tracks(clip)
    found = shadow(clip, tracks)
    assert found is not None
    (level,) = (each for each in found.levels if each.tolerance == 0.2)
    arc = next(arc for arc in level.segments.arcs if arc.body == 1)
    way = lawful_path(clip, found, level, Break(1, arc.first, 0.0, False, 0.0, 1.5), 6, arc.first)
    assert np.isnan(way[:6]).all()
    true = clip.px_positions()[clip.window(CONTEXT)][arc.first : arc.first + 7, 1]
    np.testing.assert_allclose(way[6:], true, atol=0.2 * clip.diameters()[0, 1] * clip.pixels_per_metre)
    assert np.isnan(
        lawful_path(clip, found, level, Break(1, arc.first + 3, 0.2, False, 0.0, 1.5), 6, arc.first + 3)
    ).all()
    trace = make_trace(np.ones((3, clip.horizon, 2)), [(2, 1, 0.0)])
    trace.jump[:], trace.kick[:] = 0.0, 1.5
    (close,) = clip_breaks(clip, trace, tracks, clip.future()).close_ups
    assert close.words.endswith("±0.2: begins 1.5 m/s off") and len(close.words.split()) <= 10
    assert (
        close.picture == clip_breaks(clip, trace, tracks, None).close_ups[0].picture != ""
    )  # it is the last frame of the context


def test_no_break_is_said(clip: Clip, kit: SimpleNamespace) -> None:
    found = clip_breaks(clip, make_trace(np.ones((3, clip.horizon, 2))), kit.true_tracks(clip), None)
    assert found.words == "No break: lawful within 0.03 diameters from the hand-over on." and not found.close_ups
    black = clip_breaks(clip, make_trace(np.zeros((3, clip.horizon, 2))), kit.true_tracks(clip), None)
    assert black.words == "No break, but no lawful motion is seen for 8.0 of 8.0 s of object-time."


@pytest.mark.slow
def test_the_page_shows_lawfulness_and_breaks(small_run: RunFolder, tmp_path: Path) -> None:
    """With traces of the model, two references and a physicist's run; without them the page has no such section."""
    folder, physicist = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "physicist")
    shutil.copytree(small_run.path, folder.path)
    manifest, tables = read_run(folder)
    bare = render(build_result(folder, resamples=20), manifest, gathered(folder, manifest, tables))
    assert 'id="lawful"' not in bare and 'class="lines"' not in bare
    for row in manifest.rows:
        clip = ClipStore().get(row, manifest.spec)
        shape = (3, clip.horizon, len([body for body in clip.tracked_bodies if body.role == "moving"]))
        whole = make_trace(np.ones(shape))
        for place in (folder.reference("truth"), folder.reference("freeze"), physicist):
            save_trace(place.trace(row.id), whole)
        if folder.tracks(row.id).is_file():
            save_trace(folder.trace(row.id), make_trace(np.full(shape, 0.5), [(0, 0, 0.5), (2, 0, 1.0)]))
    shown = render(build_result(folder, resamples=20), manifest, gathered(folder, manifest, tables, physicist))
    assert "Of 8 clips, 7 at 0.03, 0 at 0.08 and 7 at 0.2 diameters break (ground truth: 0, 0, 0)." in shown
    assert "physbench eval baseline:physicist" not in shown
    alone = render(build_result(folder, resamples=20), manifest, gathered(folder, manifest, tables))
    assert "<code>physbench eval baseline:physicist --suite smoke --model-arg size=64" in alone
    assert "physicist: sees the context" in shown and "physicist: 100 % explained" in shown
    assert shown.count('class="tick"') == 2 * shown.count('class="lines"') > 0
    assert shown.count('class="law"') == 2 * shown.count('class="lines"')  # two close-ups a clip
    for height, lanes in re.findall(r'viewBox="0 0 1000 (\d+)" [^>]*>(.*?)</svg>', shown, re.DOTALL):
        assert max(int(y) for y in re.findall(r'class="owed" x="[^"]*" y="(\d+)"', lanes)) + 8 < int(height)
    assert re.search("±0.03: [0-9.]+⌀ [0-9.]+ m/s", shown) and re.search("±0.2: [0-9.]+⌀ [0-9.]+ m/s", shown)
    assert shown.count(CLOSE_UP_LEGEND) == 1
    assert "http://" not in shown.replace("http://www.w3.org", "") and shown.count("<script") == 1


@pytest.fixture(scope="module")
def throw(kit) -> Clip:
    return ClipStore().get(Row("falling/projectile-v1", "test", 0), kit.SPEC)


def decoded(uri: str) -> np.ndarray:
    kind, data = uri.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_moments_end_with_the_horizon(throw: Clip) -> None:
    assert len(moments(throw)) == 8
    assert moments(throw)[-1] == throw.horizon - 1
    assert times_of(throw)[-1] == pytest.approx(4.0)


def test_frames_are_those_of_truth_and_prediction(throw: Clip, kit) -> None:
    prediction, tracks = kit.at_half_speed(throw)
    truth, model = strips(throw, prediction, tracks)
    for strip, frames in ((truth, throw.future()), (model, prediction)):
        picture = decoded(strip.picture)
        assert picture.shape == (64, 8 * (64 + STRIP.gap) - STRIP.gap, 4)
        for column, moment in enumerate(moments(throw)):
            left = column * (64 + STRIP.gap)
            np.testing.assert_array_equal(picture[:, left : left + 64, :3], frames[moment])
        assert len(strip.picture) < 30_000


def test_marks_are_where_objects_are_seen_and_should_be(throw: Clip, kit) -> None:
    prediction, tracks = kit.at_half_speed(throw)
    truth, model = strips(throw, prediction, tracks)
    for column, moment in enumerate(moments(throw)):
        left = column * (64 + STRIP.gap)
        true, seen = throw.px_positions()[throw.handover + 1 + moment, 0], tracks.position[kit.CONTEXT + moment, 0]
        assert (truth.marks[column].x, truth.marks[column].y) == pytest.approx((true[0] + left, true[1]), abs=0.06)
        assert model.marks[column].ring[:2] == pytest.approx((true[0] + left, true[1]), abs=0.06)
        assert model.marks[column].ring[2] == pytest.approx(throw.scene.bodies[throw.tracked[0]].radius * 12.5, abs=0.3)
        if np.isfinite(seen[0]):
            assert (model.marks[column].x, model.marks[column].y) == pytest.approx((seen[0] + left, seen[1]), abs=0.06)
            assert model.marks[column].lost is None
    assert model.marks[-1].x is None
    assert model.marks[-1].lost is not None


def test_a_perfect_prediction_has_nothing_lost(throw: Clip, kit) -> None:
    _, model = strips(throw, throw.future(), kit.true_tracks(throw))
    assert all(mark.lost is None for mark in model.marks)
    assert model.marks[0].trail.count(",") > 3


def test_a_prediction_that_ends_early_leaves_empty_places(throw: Clip, kit) -> None:
    tracks = kit.true_tracks(throw)
    state, position = tracks.state.copy(), tracks.position.copy()
    state[kit.CONTEXT + 20 :], position[kit.CONTEXT + 20 :] = Visibility.ABSENT, np.nan
    _, model = strips(throw, throw.future()[:20], replace(tracks, state=state, position=position))
    picture = decoded(model.picture)
    assert picture[:, -64:, 3].max() == 0
    assert picture[:, :64, 3].min() == 255
    assert model.marks[-1].lost is not None


def test_the_star_of_an_orbit_has_no_ring(kit) -> None:
    throw = ClipStore().get(Row("orbits/kepler-v1", "test", 0), kit.SPEC)
    _, model = strips(throw, throw.future(), kit.true_tracks(throw))
    fixed = [body.role == "fixed" for body in throw.tracked_bodies]
    assert [mark.ring is None for mark in model.marks] == fixed * 8


def test_large_frames_are_made_smaller() -> None:
    frame = np.zeros((256, 384, 3), np.uint8)
    picture = decoded(picture_strip([frame, None], (128, 85)))
    assert picture.shape == (85, 2 * 128 + STRIP.gap, 4)


def test_wide_and_large_clips(kit) -> None:
    throw = ClipStore().get(Row("falling/projectile-v1", "test", 0), RenderSpec(96, 160, 10))
    truth, _ = strips(throw, throw.future(), kit.true_tracks(throw))
    assert truth.height == round(96 * 128 / 160)
    assert decoded(truth.picture).shape[:2] == (truth.height, truth.width)
    assert all(0 <= mark.y <= truth.height for mark in truth.marks if mark.y is not None)


def decoded_webp(uri: str) -> np.ndarray:
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


def moving_square(count: int, size: int = 64) -> np.ndarray:
    frames = np.full((count, size, size, 3), 130, np.uint8)
    for t, frame in enumerate(frames):
        frame[20:30, t % 50 : t % 50 + 10] = (220, 40, 40)
    return frames


@pytest.mark.parametrize(("fps", "step"), [(10, 1), (15, 1), (30, 3), (60, 6)])
def test_truth_and_prediction_are_in_step_at_the_times_of_the_clip(fps: float, step: int) -> None:
    truth = moving_square(round(4 * fps))
    found = player("a", truth, truth[::-1], fps)
    assert found is not None and found.seconds == 4 and found.moments == len(truth) // step
    sheet = decoded_webp(found.sheet).reshape(found.moments, found.height, found.width, 3)
    assert (found.width, found.height) == (2 * 64 + SHEET.side_gap, 64)
    for shown, time in zip(sheet, found.times, strict=True):
        i = round(time * fps) - 1  # the first predicted frame is one frame after the hand-over
        assert np.abs(shown[:, :64] - truth[i]).max() <= SHEET.greys_as_one
        assert np.abs(shown[:, 64 + SHEET.side_gap :] - truth[::-1][i]).max() <= SHEET.greys_as_one
    assert player("a", truth, truth[::-1], fps) == found


def test_a_prediction_that_ends_early_turns_grey() -> None:
    found = player("a", moving_square(20), moving_square(20)[:5], 10)
    assert found is not None
    sheet = decoded_webp(found.sheet).reshape(20, found.height, found.width, 3)
    assert sheet[4, :, 64 + SHEET.side_gap :].std() > 0 and sheet[5:, :, 64 + SHEET.side_gap :].std() == 0


def test_noise_and_length_are_kept_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 128, 128, 3), dtype=np.uint8)
    found = player("a", moving_square(60, 128), noise, 30)
    assert found is not None and found.moments < 20
    lossy = player("a", moving_square(60, 128), noise, 30, quality=60)
    assert lossy is not None and lossy.moments == found.moments and len(lossy.sheet) < len(found.sheet) / 8
    finer = player("a", moving_square(60, 128), (noise // 16 + 120).astype(np.uint8), 30, quality=60)
    assert finer is not None and len(finer.sheet) < 4 / 3 * SHEET.most_lossy_bytes + 100
    long = player("a", moving_square(400, 128), moving_square(400, 128), 15)
    assert long is not None and len(long.sheet) < 4 / 3 * SHEET.most_bytes + 100
    assert long.moments * long.height <= 16_383, "the largest picture of this format"


def test_large_frames_of_a_player_are_made_smaller() -> None:
    found = player("a", moving_square(8, 256), moving_square(8, 256), 10)
    assert found is not None
    assert found.width == 2 * 128 + SHEET.side_gap


def test_marks_lie_on_the_time_line() -> None:
    truth = moving_square(20)
    found = player("a", truth, truth, 10, (1.05, 0.0, 1.0512, 5.0))
    assert found is not None
    assert found.breaks == (0.0, 1.05, 5.0), "once each"
    assert found.marks == ((0.0, 0.0), (0.5, 1.05), (1.0, 5.0)), "from the first moment, 0.1 s, to the last, 2 s"
