"""What `physbench data export` writes, and that nothing of the future is in it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from physbench.cli.main import run
from physbench.clips.action_space import CAMERA_POSE
from physbench.clips.clip import Row, action_table
from physbench.clips.conditioning import (
    CONDITIONING_VERSION,
    Asked,
    find_key,
    key_path,
    read_document,
    read_file,
    read_key,
    with_key,
)
from physbench.clips.export import TIME_COLUMNS, _table, export, push_columns
from physbench.clips.generate import make_clip, make_scene
from physbench.clips.suite import find_suite
from physbench.rollout.store import read_video
from physbench.support.errors import UsageError
from physbench.world.camera import relative_poses
from physbench.world.scene import Impulse, RenderSpec

WORDS = ("--suite", "smoke", "--tasks", "occlusion/screen-pass*", "--limit", "2", "--size", "96x64", "--fps", "10")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "cond"
    assert run(["data", "export", *WORDS, "--context", "4", "--workers", "1", "--out", str(path)]) == 0
    return path


def asked_of(folder: Path) -> Asked:
    """What was asked, with what the key says."""
    return with_key(read_file(folder / "manifest.json"), read_key(key_path(folder)), folder).asked


def test_everything_is_there_and_is_what_the_manifest_says(folder: Path) -> None:
    asked = asked_of(folder)
    suite = find_suite("smoke", 2, "occlusion/screen-pass*")
    assert asked.suite.hash == suite.hash and asked.suite.partial
    assert (asked.width, asked.height, asked.fps, asked.context_frames) == (96, 64, 10.0, 4)
    assert sorted(clip.row for clip in asked.clips) == list(suite.rows)
    named = {"README.md", "manifest.json", "answers/answer.json"}
    for clip in asked.clips:
        files = {name: path for name, path in clip.files.model_dump().items() if path is not None}
        assert set(files) == {"image", "video", "video_lossless", "prompt"} == set(clip.sha256)
        for name, path in files.items():
            assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == clip.sha256[name]
        named |= set(files.values())
        assert (folder / clip.files.prompt).read_text() == clip.prompt + "\n"
        assert clip.state_hash == suite.state_hash(clip.row)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == named


def test_the_frames_are_the_last_of_the_history_and_none_behind(folder: Path) -> None:
    for clip in asked_of(folder).clips:
        truth = make_clip(clip.row, RenderSpec(64, 96, 10.0))
        lossless = read_video(folder / str(clip.files.video_lossless))
        assert np.array_equal(lossless, truth.context(4)), "exactly the frames that a model here is shown"
        assert np.array_equal(np.asarray(Image.open(folder / clip.files.image)), truth.context(1)[0])
        with av.open(str(folder / str(clip.files.video))) as container:
            assert container.streams.video[0].codec_context.name == "h264"
            lossy = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        assert lossy.shape == lossless.shape
        assert np.abs(lossy.astype(int) - lossless).mean() < 2
        assert clip.frames == truth.horizon and clip.seconds == truth.scene.horizon


def test_only_the_history_is_simulated_and_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Seen where it is decided: no time behind the hand-over reaches the simulation or the renderer."""
    import physbench.clips.export
    import physbench.world.drawing

    seen = []
    simulate, render = physbench.clips.export.simulate, physbench.world.drawing.render
    monkeypatch.setattr(
        physbench.clips.export, "simulate", lambda s, t, **k: seen.append(max(t)) or simulate(s, t, **k)
    )
    monkeypatch.setattr(physbench.world.drawing, "render", lambda s, t, *a: seen.append(max(t)) or render(s, t, *a))
    words = ("--suite", "smoke", "--limit", "1", "--size", "32", "--workers", "1", "--out", str(tmp_path / "c"))
    assert run(["data", "export", *words]) == 0
    assert seen == [0.0, 0.0]
    asked = read_file(tmp_path / "c" / "manifest.json").asked
    assert not (tmp_path / "c" / "videos").exists() and asked.clips[0].files.video is None, "an image is no video"


def test_the_readme_holds_the_words_to_copy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "README.md").read_text()
    asked = read_file(folder / "manifest.json").asked
    assert asked.clips[0].answer in text and "4 s (40 frames)" in text
    assert "--suite smoke --tasks 'occlusion/screen-pass*' --limit 2" in text


def test_actions_as_a_table() -> None:
    """One row a frame from the first context frame on; a push stands in the first frame that shows its effect."""
    from dataclasses import replace

    scene = make_scene(Row("collisions/head-on-v1", "test", 0))
    body = next(body for body in scene.bodies if body.hue is not None)
    scene = replace(scene, impulses=(Impulse(0.25, body.name, (1.5, 0.0, -2.0)),))
    times = np.arange(-20, 41) / 10
    actions = action_table(scene, times, 20 - 3)
    assert actions is not None and actions.shape == (44, 6)
    rows = list(csv.DictReader(io.StringIO(_table(actions, times[17:], TIME_COLUMNS + push_columns(scene)).decode())))
    pushed = [row for row in rows if float(row["impulse_x_Ns"])]
    assert len(rows) == 44 and len(pushed) == 1
    assert float(pushed[0]["time_s"]) == pytest.approx(0.3) and float(pushed[0]["impulse_z_Ns"]) == -2
    assert action_table(replace(scene, impulses=()), times, 17) is None
    for task, name in (("collisions/pusher-v1", "velocity_x_m_s"), ("orbits/thruster-v1", "force_x_N")):
        assert push_columns(make_scene(Row(task, "test", 0)))[3] == name


def test_actions_in_the_words_of_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each clip has a table, also one without a push; the pushed body's clip says the word in the row of its push."""
    words = "from physbench import Words\nspace = Words(('none', 'push'))\n"
    words += "def convert(actions, fps):\n    return ['push' if row[3:].any() else 'none' for row in actions]\n"
    (tmp_path / "map.py").write_text(words)
    asked = ["data", "export", "--suite", "counterfactuals", "--tasks", "collisions/head-on-push", "--limit", "2"]
    asked += ["--size", "64", "--fps", "10", "--workers", "1"]
    folder = tmp_path / "cond"
    assert run([*asked, "--actions", str(tmp_path / "map.py"), "--out", str(folder)]) == 0
    found = asked_of(folder)
    assert found.action_names == ("none", "push") and "actions: none, push" in (folder / "README.md").read_text()
    told = {}
    for clip in found.clips:
        rows = list(csv.DictReader((folder / str(clip.files.actions)).open()))
        assert list(rows[0]) == ["frame", "time_s", "none", "push"] and len(rows) == clip.frames + 1
        told[clip.change] = sum(float(row["push"]) for row in rows)
    assert sorted(told.values()) == [0, 1], "the clip without its push, and the clip"
    assert run([*asked, "--actions", "left", "--out", str(tmp_path / "other")]) == 2
    assert "expected one file MAP.py" in capsys.readouterr().err and not (tmp_path / "other").exists()
    assert run([*asked, "--states", "--actions", str(tmp_path / "map.py"), "--out", str(tmp_path / "other")]) == 2


def test_poses_of_a_moving_camera_beside_pushes(tmp_path: Path) -> None:
    words = ("--suite", "counterfactuals", "--tasks", "collisions/head-on-push", "--limit", "2", "--view", "moving")
    words += ("--size", "64", "--fps", "10", "--workers", "1", "--out", str(tmp_path / "c"))
    assert run(["data", "export", *words]) == 0
    for clip in asked_of(tmp_path / "c").clips:
        rows = list(csv.DictReader((tmp_path / "c" / str(clip.files.actions)).open()))
        pushed = [] if clip.change else list(push_columns(make_scene(clip.row)))
        assert list(rows[0]) == [*TIME_COLUMNS, *pushed, *CAMERA_POSE.names]
        expected = make_scene(clip.row, "moving").camera
        found = np.array([[float(row[name]) for name in CAMERA_POSE.names] for row in rows])
        times = np.array([float(row["time_s"]) for row in rows])
        np.testing.assert_allclose(found, relative_poses(expected, times), atol=1e-4)
        assert np.ptp(found[:, 0]) > 6
    assert "pose of a moving camera" in (tmp_path / "c" / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--size", "3x4"), "32 to 2048"),
        (("--size", "65x64"), "64x64"),
        (("--size", "wide"), "1280x720"),
        (("--fps", "7"), "Use 4, 5, 6, 8, 10"),
        (("--fps", "10", "--context", "22"), "1 to 21"),
        (("--context", "0"), "1 to 49"),
        (("--out", __file__), "is a file"),
        (("--out", str(Path(__file__).parent)), "is not empty"),
    ],
)
def test_wrong_use(words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "export", "--suite", "smoke", "--limit", "1", "--out", str(tmp_path / "c"), *words]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "c" / "manifest.json").exists()


def test_one_that_was_interrupted_at_its_end_is_made_again(tmp_path: Path) -> None:
    words = ("data", "export", "--suite", "smoke", "--limit", "1", "--size", "64", "--fps", "10")
    (tmp_path / "c" / "answers").mkdir(parents=True)
    (tmp_path / "c" / "README.md").write_text("# Conditioning for physbench: smoke")
    assert run([*words, "--out", str(tmp_path / "c")]) == 0
    assert (tmp_path / "c" / "manifest.json").exists()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "README.md").write_text("# My folder")
    assert run([*words, "--out", str(tmp_path / "d")]) == 2
    assert (tmp_path / "d" / "README.md").read_text() == "# My folder"


def test_an_export_is_never_mixed_with_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "manifest.json").read_bytes()
    assert run(["data", "export", *WORDS, "--out", str(folder)]) == 2
    assert "holds an export already" in capsys.readouterr().err
    assert (folder / "manifest.json").read_bytes() == before


def document(folder: Path) -> dict[str, object]:
    return json.loads((folder / "answers" / "answer.json").read_text())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fit": "squeeze"}, r"answer\.json: fit: .+, got 'squeeze'\.$"),
        ({"includes_context": -1}, r"answer\.json: includes_context\b.*: .+, got -1\.$"),
        ({"fps": 0}, r"answer\.json: fps: .+, got 0\.$"),
        ({"colour": "red"}, r"answer\.json: colour: .+, got 'red'\.$"),
        ({"schema_version": CONDITIONING_VERSION + 1}, "update physbench"),
        ({"kind": "other"}, "neither"),
    ],
)
def test_a_wrong_answer_names_the_field(folder: Path, change: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_document(json.dumps({**document(folder), **change}), "answer.json")


def test_an_answer_may_be_the_manifest_itself(folder: Path) -> None:
    answer = read_file(folder / "manifest.json")
    assert isinstance(answer.asked, Asked) and answer.includes_context == "auto" and answer.fit is None
    assert answer.asked == read_file(folder / "answers" / "answer.json").asked
    with pytest.raises(UsageError, match="not valid JSON"):
        read_document("{", "x")


def test_what_goes_to_the_model_does_not_say_which_clip_it_is(folder: Path) -> None:
    """Task and seed make a clip: neither is in a name, in a document or in the order of the clips."""
    rows = [clip.row for clip in asked_of(folder).clips]
    hashes = [clip.state_hash for clip in asked_of(folder).clips]
    for path in folder.rglob("*"):
        assert "test" not in path.name and "screen" not in path.name
    for path in (folder / "manifest.json", folder / "answers" / "answer.json", folder / "README.md"):
        text = path.read_text()
        assert not any(
            secret in text for secret in (*hashes, *(row.id for row in rows), '"seed"', '"task"', '"change"')
        )
        assert read_key(key_path(folder)).salt not in text
    ids = [clip.id for clip in read_file(folder / "manifest.json").asked.clips]
    assert ids == sorted(ids) and len(set(ids)) == 2


def test_two_exports_name_the_same_clips_differently(tmp_path: Path) -> None:
    suite, spec = find_suite("smoke", 3), RenderSpec(32, 32, 10.0)
    first, second = (export(suite, spec, 1, tmp_path / name) for name in ("a", "b"))
    assert {clip.row for clip in first.clips} == {clip.row for clip in second.clips} == set(suite.rows)
    assert not {clip.id for clip in first.clips} & {clip.id for clip in second.clips}
    (tmp_path / "a" / "manifest.json").unlink()  # as one that was interrupted
    assert export(suite, spec, 1, tmp_path / "a").clips == first.clips


def test_a_video_cannot_be_matched_without_the_key(folder: Path, tmp_path: Path) -> None:
    answer = read_file(folder / "manifest.json")
    with pytest.raises(UsageError, match=r"no\.json, which says which clip.*\n.*--model-arg key=PATH"):
        find_key(answer, [tmp_path / "no.json"])
    assert find_key(answer, [tmp_path / "no.json", key_path(folder)]).asked == asked_of(folder)
    document = json.loads(key_path(folder).read_text())
    for change, words in (
        ({"clips": {}}, "key of another export"),
        ({"kind": "other"}, "is no key of an export. kind"),
        ({"schema_version": 9}, "update physbench"),
    ):
        (tmp_path / "other.json").write_text(json.dumps({**document, **change}))
        with pytest.raises(UsageError, match=words):
            find_key(answer, [tmp_path / "other.json"])
    (tmp_path / "other.json").write_text("{")
    with pytest.raises(UsageError, match="is no key"):
        read_key(tmp_path / "other.json")


def test_an_export_of_version_1_needs_no_key(folder: Path) -> None:
    old = asked_of(folder).model_copy(update={"schema_version": 1})
    answer = read_document(json.dumps(old.model_dump(mode="json")), "manifest.json")
    assert find_key(answer, []).asked == old
