"""Videos that come back: containers, rates, shapes, with the conditioning in front or not."""

from __future__ import annotations

import numpy as np
import pytest
from benchmark_modules import benchmark
from PIL import Image

from physbench.clips.conditioning import EXPORTED_ACTIONS
from physbench.clips.video import FFV1, Codec, encode, png
from physbench.models.videos.adapter import adapter
from physbench.support.errors import ModelError, UsageError
from physbench.world.scene import RenderSpec

MP4 = Codec(".mp4", "mp4", "libx264", "yuv420p", {"crf": "18", "preset": "veryfast"})
WEBM = Codec(".webm", "webm", "libvpx-vp9", "yuv420p", {"crf": "18", "b": "0", "cpu-used": "8", "deadline": "realtime"})
MOV = Codec(".mov", "mov", "libx264", "yuv444p", {"crf": "12", "preset": "veryfast"})
GIF = Codec(".gif", "gif", "gif", "rgb8")


def write(answered, clip_id, frames, fps=15.0, codec=FFV1, sample=0):
    name = clip_id if sample == 0 else f"{clip_id}.s{sample}"
    encode(answered.folder / f"{name}{codec.suffix}", frames, fps, codec)


def centres(frames):
    """Where the red ball is (T, 2) px, as the centre of what is red; NaN where nothing is."""
    light = frames.astype(np.float64)
    red = np.maximum(light[..., 0] - light[..., 1:].max(-1) - 40, 0)
    total = red.sum((1, 2))
    total[total < 500] = np.nan
    y, x = (np.arange(size) + 0.5 for size in red.shape[1:])
    return np.stack([(red.sum(1) * x).sum(-1), (red.sum(2) * y).sum(-1)], -1) / total[:, None]


def error_px(frames, truth):
    """Largest distance of the red ball from where it really is, in px, where the truth shows all of it."""
    found, true = centres(frames), centres(truth)
    whole = (np.abs(true - 32) < 26).all(-1)
    assert whole.sum() > 10 and np.isfinite(found[whole]).all()
    return float(np.linalg.norm(found - true, axis=-1)[whole].max())


@pytest.mark.parametrize("context", [False, True])
def test_ffv1_comes_back_exactly(answered, context) -> None:
    clip_id = answered.ids[0]
    answered.say(includes_context=context)
    write(answered, clip_id, answered.truth(clip_id, context))
    model = answered.open()
    assert (model.card.image_size, model.card.fps, model.card.context_frames) == ((64, 64), 15.0, 4)
    assert model.card.uses_prompt and not model.card.uses_actions and not model.card.stochastic
    assert np.array_equal(answered.play(clip_id), answered.truth(clip_id))


def test_actions_of_the_export_are_a_setting_of_the_run(answered) -> None:
    """Boards refuse it; pushes as they are need none."""
    write(answered, answered.ids[0], answered.truth(answered.ids[0]))
    assert answered.open().run_settings == {}
    answered.asked = answered.asked.model_copy(update={"action_names": ("none", "left")})
    answered.say(includes_context=False)
    assert answered.open().run_settings == {EXPORTED_ACTIONS: "none, left"}


@pytest.mark.parametrize(("codec", "levels"), [(MP4, 2.0), (WEBM, 2.0), (MOV, 1.0), (GIF, 45.0)])
def test_each_container(answered, codec, levels) -> None:
    """The frames in their order and in their colours, as well as the codec keeps them; GIF has 256 fixed colours."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    write(answered, clip_id, truth, codec=codec)
    played = answered.play(clip_id)
    assert played.shape == truth.shape
    assert np.abs(played.astype(int) - truth).mean() < levels
    assert error_px(played, truth) < 0.5, "half the colour is gone in 4:2:0"


def test_a_folder_of_pictures(answered) -> None:
    """Sorted by number, not by letter; frames are evenly spaced at the export's rate, or at that which is stated."""
    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    folder = answered.folder / clip_id
    folder.mkdir()
    for number, frame in enumerate(truth):
        (folder / f"frame_{number + 1}.png").write_bytes(png(frame))
    assert np.array_equal(answered.play(clip_id), truth)
    Image.fromarray(truth[0]).convert("RGBA").save(folder / "frame_1.png")
    assert np.array_equal(answered.play(clip_id)[0], truth[0]), "an alpha channel is let go"
    answered.say(includes_context=False, fps=30)
    model = answered.open()
    assert model.card.fps == 15 and len(model.short_videos()) == 1, "at 30 frames/s they last half as long"
    (folder / "frame_7.png").unlink()
    with pytest.raises(ModelError, match="frame 7 is missing between 1 and 60"):
        answered.play(clip_id)


@pytest.mark.parametrize("rate", [10.0, pytest.param(24.0, marks=pytest.mark.slow), 30.0])
@pytest.mark.parametrize("context", [False, True])
def test_other_rates(answered, rate, context) -> None:
    """Videos are scored at their own rate if it can be rendered, at the export's if theirs is a multiple of it."""
    clip_id = answered.ids[0]
    clip = answered.made(answered.clips[clip_id].row, RenderSpec(64, 64, rate))
    lead = round(3 / 15 * rate) if context else -1  # the conditioning reaches 3 / 15 s back
    encode(answered.folder / f"{clip_id}.mkv", clip.frames[clip.handover - lead :], rate)
    answered.say(includes_context=context)
    model = answered.open()
    assert model.card.fps == (15 if rate == 30 else rate) and not model.short_videos()
    truth = answered.made(clip.row, model.card.spec)
    played = answered.play(clip_id)
    assert played.shape == truth.future().shape
    if context and rate == 24:  # 4.8 frames: no frame lies at the hand-over
        assert error_px(played, truth.future()) < 1.5
    else:
        assert np.array_equal(played, truth.future())


def test_a_rate_that_cannot_be_rendered_is_resampled_by_time(answered) -> None:
    """7 frames/s do not divide 1200: at each time the nearest frame, at most 1/14 s away."""
    clip_id = answered.ids[0]
    clip = answered.made(answered.clips[clip_id].row, RenderSpec(64, 64, 30.0))
    times = np.arange(1, 29) / 7
    frames = clip.frames[clip.handover + np.rint(times * 30).astype(int)]
    encode(answered.folder / f"{clip_id}.mkv", frames, 7)
    model = answered.open()
    assert model.card.fps == 15
    played = answered.play(clip_id)
    nearest = [frames[np.abs(times - k / 15).argmin()] for k in range(1, 61)]
    same = [np.array_equal(a, b) for a, b in zip(played, nearest, strict=True)]
    assert np.mean(same) > 0.95, "all but where two are as near"


SHAPES = [
    ("stretch", (100, 60)),
    ("contain", (100, 60)),
    ("contain", (50, 90)),
    ("cover", (96, 96)),
    ("cover", (64, 120)),
]


@pytest.mark.parametrize(("fit", "size"), SHAPES)
def test_other_shapes_are_undone(answered, fit, size) -> None:
    """The square window comes back where it was; `size` is (width, height) px of what comes back."""
    clip_id = answered.ids[0]
    large = answered.made(answered.clips[clip_id].row, RenderSpec(128, 128, 15.0))
    frames = np.stack([benchmark("alignment").fitted(frame, size, fit) for frame in large.future()])
    write(answered, clip_id, frames)
    if fit != "cover" or size[0] != size[1]:
        with pytest.raises(ModelError, match=f"{size[0]}x{size[1]}, which is not the shape of 64x64"):
            answered.open()
    played = answered.play(clip_id, fit=fit)
    assert played.shape == (60, 64, 64, 3)
    if fit != "cover" or size[0] == size[1]:
        assert error_px(played, answered.truth(clip_id)) < (0.2 if min(size) >= 60 else 0.3)
        assert np.abs(played[:, 0].astype(int) - answered.truth(clip_id)[:, 0]).max() <= 1, "no bar is left"
    else:
        assert any("cut off parts" in note for note in answered.open(fit=fit).notes)


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("codec", [FFV1, MP4])
def test_whether_the_conditioning_is_in_front_is_seen(answered, context, codec) -> None:
    answered.say()  # auto
    for clip_id in answered.ids:
        write(answered, clip_id, answered.truth(clip_id, context), codec=codec)
        assert np.abs(answered.play(clip_id).astype(int) - answered.truth(clip_id)).mean() < 2


def test_a_submission_that_is_not_of_one_kind_is_told_so(answered) -> None:
    """Looking decides clip by clip: where it finds both, a note names one video of each."""
    answered.say()  # auto
    first, second = answered.ids
    for clip_id, context in ((first, True), (second, False)):
        write(answered, clip_id, answered.truth(clip_id, context))
    model = answered.open()
    for clip_id in answered.ids:
        shown = answered.clips[clip_id]
        list(model.play((clip_id, 0), context=shown.context(4), horizon=shown.horizon))
        told = [note for note in model.notes if "each is scored as it looks" in note]
        assert len(told) == (clip_id == second)
    assert told[0].startswith(f"{first}.mkv seems to begin with the conditioning frames and {second}.mkv does not")


def test_a_number_of_conditioning_frames(answered) -> None:
    clip_id = answered.ids[0]
    write(answered, clip_id, answered.truth(clip_id, True)[2:])
    assert np.array_equal(answered.play(clip_id, includes_context="2"), answered.truth(clip_id))


def test_a_short_video_is_there_as_far_as_it_goes(answered) -> None:
    clip_id = answered.ids[0]
    write(answered, clip_id, answered.truth(clip_id)[:41])
    model = answered.open()
    assert list(model.short_videos().values()) == [f"{clip_id}.mkv 41 of 60 frames, 2.73 of 4 s"]
    assert np.array_equal(answered.play(clip_id), answered.truth(clip_id)[:41])


def test_frames_that_were_left_out_because_nothing_changed(answered) -> None:
    """A frame stays until the next one: variable rates and GIF do not store what repeats."""
    from fractions import Fraction

    import av

    clip_id = answered.ids[0]
    truth = answered.truth(clip_id)
    kept = [number for number in range(60) if number < 20 or number % 5 == 0]
    with av.open(str(answered.folder / f"{clip_id}.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=15)
        stream.width = stream.height = 64
        stream.pix_fmt = "bgr0"
        stream.codec_context.time_base = Fraction(1, 15)
        for number in kept:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(truth[number]), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 15)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    played = answered.play(clip_id)
    expected = [max(k for k in kept if k <= number) for number in range(len(played))]
    assert len(played) >= 56 and np.array_equal(played, truth[expected])


def test_samples_of_a_stochastic_model(answered) -> None:
    clip_id = answered.ids[0]
    write(answered, clip_id, answered.truth(clip_id))
    write(answered, clip_id, answered.truth(clip_id)[::-1], sample=1)
    assert answered.open().card.stochastic
    assert np.array_equal(answered.play(clip_id, sample=1), answered.truth(clip_id)[::-1])
    with pytest.raises(ModelError, match=r"There is no video 'falling.projectile-v1.test.0.s2'"):
        answered.play(clip_id, sample=2)


def test_large_pictures_are_scored_smaller(answered, exported, tmp_path) -> None:
    """1280x720 is tracked at 427x240: the same window, a third of the size."""
    from physbench.models.videos.resample import make_resampler, scored_size

    assert scored_size(720, 1280) == (240, 427) and scored_size(1024, 1024) == (256, 256)
    assert scored_size(64, 64) == (64, 64) and scored_size(480, 832) == (240, 416)
    clip = answered.clips[answered.ids[0]]
    large = answered.made(clip.row, RenderSpec(480, 480, 4.0))
    small = answered.made(clip.row, RenderSpec(240, 240, 4.0))
    shrink = make_resampler((480, 480), (480, 480), (240, 240), None)
    gaps = [np.abs(shrink(a).astype(int) - b).mean() for a, b in zip(large.future(), small.future(), strict=True)]
    assert max(gaps) < 0.5


def test_the_card_is_what_the_answer_says(answered) -> None:
    answered.say(name="Sora 9", track="trained", includes_context=False)
    card = answered.open().card
    assert (card.name, card.track) == ("Sora 9", "trained")
    assert answered.open(name="other").card.name == "other"
    assert not card.uses_actions and answered.open(uses_actions="true").card.uses_actions
    answered.say(uses_actions=True, includes_context=False)
    assert answered.open().card.uses_actions and answered.open().card.uses_camera
    answered.say(includes_context=False)
    assert answered.open().card.name == answered.folder.parent.name
    with pytest.raises(ModelError, match="includes_context"):
        answered.open(includes_context="maybe")


def test_training_clips_of_a_trained_model(answered) -> None:
    """With them, its score beyond a memory of as many clips can be told."""
    from physbench.result.beyond_memory import stated_clips

    answered.say(track="trained", includes_context=False)
    card = answered.open(training_clips="200").card
    assert card.training_clips == 200
    assert stated_clips(card) == (200, "")
    answered.say(track="trained", training_clips=300, includes_context=False)
    assert answered.open().card.training_clips == 300
    answered.say(includes_context=False)
    assert answered.open().card.training_clips is None
    with pytest.raises(ModelError, match=r"200 clips .* not zero-shot: say --model-arg track=trained"):
        answered.open(training_clips="200")
    with pytest.raises(ModelError, match="training_clips: input should be greater than or equal to 1, got '0'"):
        answered.open(training_clips="0", track="trained")


def test_the_hash_is_that_of_all_that_counts(answered) -> None:
    target = f"videos:{answered.folder}"
    clip_id = answered.ids[0]
    write(answered, clip_id, answered.truth(clip_id))
    first = adapter.sha256(target)
    assert adapter.sha256(target) == first
    answered.say(includes_context=True)
    second = adapter.sha256(target)
    write(answered, clip_id, answered.truth(clip_id)[:-1])
    assert len({first, second, adapter.sha256(target)}) == 3


def test_only_clips_that_were_exported_can_be_evaluated(answered) -> None:
    from physbench.clips.suite import Suite

    rows = tuple(clip.row for clip in answered.asked.clips)
    target = f"videos:{answered.folder}"
    lines = adapter.preflight(target, Suite("smoke", 1, rows[:1], partial=True), 1, {})
    assert "0 of 1 videos are there" in lines[0]
    other = type(rows[0])(rows[0].task, "test", 3)
    with pytest.raises(UsageError, match=r"1 of the 2 clips asked for.*\nEvaluate with --suite smoke"):
        adapter.preflight(target, Suite("smoke", 1, (rows[0], other), partial=True), 1, {})
