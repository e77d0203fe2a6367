"""Exports as data sets: what each format gives back, resumption, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from slow_cases import others_slow

from physbench.cli.main import run
from physbench.clips.action_space import CAMERA_POSE
from physbench.clips.clip import Clip
from physbench.clips.generate import make_params
from physbench.clips.suite import Suite, find_suite
from physbench.data import export, tables
from physbench.data.export import DATASET_FORMATS, export_dataset
from physbench.data.tables import STATE_NAMES, DatasetPlan, actions_of, plan_dataset
from physbench.support.errors import UsageError
from physbench.world.scene import RenderSpec

TASKS = "falling/projectile,collisions/head-on-push"
SPEC = RenderSpec(32, 32, 10.0)
LIBRARY = {"hdf5": "h5py", "webdataset": "webdataset"}
READ_WITH = {
    "parquet+video": "pip install av pandas pyarrow",
    "hdf5": "pip install 'h5py>=3.16'",
    "webdataset": "pip install 'webdataset>=1.0.2' av",
    "lerobot": "pip install 'lerobot>=0.4'",
}


@pytest.fixture(scope="module")
def suite() -> Suite:
    return find_suite("train", 6, TASKS)


@pytest.fixture(scope="module")
def clips(suite: Suite, clip_of: Callable[..., Clip]) -> list[Clip]:
    """The clips in the order of an export; they are in the store from then on."""
    rows = sorted(suite.rows, key=lambda row: (row.seed, row.task))
    return [clip_of(row.task, "train", row.seed, 32, 10.0) for row in rows]


@pytest.fixture
def planned(suite: Suite, clips: list[Clip]) -> Callable[..., DatasetPlan]:
    """A plan of the suite, two clips a file."""

    def plan(name: str, **options: Any) -> DatasetPlan:
        if name in LIBRARY:
            pytest.importorskip(LIBRARY[name])
        return plan_dataset(suite, SPEC, name, clips_per_file=2, **options)

    return plan


def frames_of(video: str | io.BytesIO) -> NDArray[np.uint8]:
    with av.open(video) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "tables" / name)


def test_videos_and_tables_give_every_clip_back(
    tmp_path: Path, clips: list[Clip], planned: Callable[..., DatasetPlan]
) -> None:
    exported = export_dataset(planned("parquet+video"), tmp_path)
    assert exported.written == len(clips) == 6
    episodes, steps, states = (table(tmp_path, name) for name in ("episodes", "steps", "states"))
    assert episodes.id.tolist() == [clip.id for clip in clips]
    for clip, row in zip(clips, episodes.itertuples(), strict=True):
        assert np.array_equal(frames_of(str(tmp_path / row.file)), clip.frames)
        assert (row.task, row.family, row.split, row.seed) == (clip.row.task, clip.row.family, "train", clip.row.seed)
        assert (row.frames, row.handover, row.fps, row.prompt) == (
            len(clip.times),
            clip.handover,
            10.0,
            clip.scene.prompt,
        )
        mine = steps[steps.episode_index == row.episode_index]
        assert np.array_equal(mine.time, clip.times)
        assert np.array_equal(mine.iloc[:, 3:9].to_numpy(np.float32), actions_of(clip))
        assert not mine[list(CAMERA_POSE.names)].to_numpy().any()  # it stands still
        mine = states[states.episode_index == row.episode_index]
        assert np.array_equal(mine[list(STATE_NAMES)].to_numpy().reshape(clip.states.shape), clip.states)
        assert np.array_equal(mine.visible_area.to_numpy().reshape(clip.visible_area.shape), clip.visible_area)


@pytest.mark.parametrize("name", others_slow(DATASET_FORMATS))
def test_a_camera_that_moves_has_its_pose_in_every_frame(
    name: str, tmp_path: Path, clip_of: Callable[..., Clip]
) -> None:
    if name in LIBRARY:
        pytest.importorskip(LIBRARY[name])
    moving = find_suite("train", 1, "occlusion/look-away")
    export_dataset(plan_dataset(moving, SPEC, name), tmp_path)
    (row,) = moving.rows
    clip = clip_of(row.task, "train", row.seed, 32, 10.0)
    if name == "parquet+video":
        poses = table(tmp_path, "steps")[list(CAMERA_POSE.names)].to_numpy()
    elif name == "hdf5":
        import h5py

        with h5py.File(tmp_path / "clips.h5", "r") as file:
            poses = file["camera_pose"][:]
    elif name == "webdataset":
        import webdataset

        (sample,) = webdataset.WebDataset(str(tmp_path / "clips-000000.tar"), shardshuffle=False)
        poses = np.load(io.BytesIO(sample["npz"]))["camera_poses"]
    else:
        poses = np.stack(pd.read_parquet(tmp_path / "data")["observation.camera_pose"])
        assert "observation.camera_pose" in json.loads((tmp_path / "meta/stats.json").read_text())
    whole = clip.camera_poses(clip.handover + 1)
    assert np.array_equal(poses, whole) and np.ptp(whole[:, 0]) > 10  # degrees: it turns away and back
    assert not poses[clip.handover].any()


def test_tables_say_what_bodies_contacts_and_parameters_are(
    tmp_path: Path, clips: list[Clip], planned: Callable[..., DatasetPlan]
) -> None:
    export_dataset(planned("parquet+video"), tmp_path)
    names = ("episodes", "bodies", "contacts", "parameters")
    episodes, bodies, contacts, parameters = (table(tmp_path, name) for name in names)
    for index, clip in enumerate(clips):
        found = contacts[contacts.episode_index == index]
        assert [*zip(found.time, found.a, found.b, strict=True)] == [(c.time, c.a, c.b) for c in clip.contacts]
        row, up = episodes.iloc[index], 2 if episodes.camera_view[index] == "front" else 1
        columns = row.width / 2 + (clip.states[..., 0] - row.camera_center[0]) * row.pixels_per_metre
        rows = row.height / 2 - (clip.states[..., up] - row.camera_center[up]) * row.pixels_per_metre
        seen = np.stack([columns, rows], axis=-1)[:, list(clip.tracked)]
        assert np.allclose(seen, clip.px_positions(), atol=0.05)  # as the card says
        assert bodies[bodies.episode_index == index].name.tolist() == [body.name for body in clip.scene.bodies]
    assert len(contacts)
    ball = bodies[(bodies.episode_index == 1) & (bodies.name == "ball")].iloc[0]
    assert ball["mass"] == pytest.approx(100 * 4 / 3 * np.pi * ball["size"][0] ** 3)  # 100 kg/m3
    drawn = parameters[parameters.episode_index == 1].set_index("name")
    assert drawn.value["gravity"] == 9.81 and drawn.unit["gravity"] == "m/s2"
    assert drawn.value["radius"] == ball["size"][0]


def test_hdf5_has_a_row_for_each_frame(tmp_path: Path, clips: list[Clip], planned: Callable[..., DatasetPlan]) -> None:
    plan = planned("hdf5")
    export_dataset(plan, tmp_path)
    import h5py

    with h5py.File(tmp_path / "clips.h5", "r", swmr=True) as file:
        columns = [name for name in file if name not in ("ep_len", "ep_offset")]
        assert {len(file[name]) for name in columns} == {plan.frames}  # readers slice all of them alike
        for clip, first, length in zip(clips, file["ep_offset"], file["ep_len"], strict=True):
            rows, bodies = slice(first, first + length), clip.states.shape[1]
            assert np.array_equal(file["pixels"][rows], clip.frames)
            assert np.array_equal(file["state"][rows, :bodies], clip.states)
            assert np.isnan(file["state"][rows, bodies:]).all()
            assert np.array_equal(file["action"][rows][:-1], actions_of(clip)[1:])  # leads to the next frame
            assert np.array_equal(file["time"][rows], clip.times)
            assert file["prompt"][first].decode() == clip.scene.prompt and file["task"][first].decode() == clip.row.task
            assert file["is_first"][rows].tolist() == [True] + [False] * (length - 1)
            assert set(file["seed"][rows]) == {clip.row.seed}


def test_webdataset_reads_the_shards(tmp_path: Path, clips: list[Clip], planned: Callable[..., DatasetPlan]) -> None:
    plan = planned("webdataset")
    export_dataset(plan, tmp_path)
    import webdataset as wds

    def decode(key: str, data: bytes) -> NDArray[np.uint8] | None:
        return frames_of(io.BytesIO(data)) if key.endswith("mp4") else None

    shards = sorted(str(path) for path in tmp_path.glob("clips-*.tar"))
    assert len(shards) == 3
    samples = [*wds.WebDataset(shards, shardshuffle=False).decode(decode).to_tuple("__key__", "mp4", "npz", "json")]
    for clip, (key, frames, arrays, described) in zip(clips, samples, strict=True):
        assert key == clip.id.replace(".", "_")
        assert np.array_equal(frames, clip.frames) and np.array_equal(arrays["states"], clip.states)
        assert np.array_equal(arrays["actions"], actions_of(clip)) and np.array_equal(arrays["times"], clip.times)
        assert described["prompt"] == clip.scene.prompt and described["seed"] == clip.row.seed
        drawn = {name: each["value"] for name, each in described["parameters"].items()}
        assert described["fps"] == 10.0 and drawn == dict(make_params(clip.row))
        assert [body["name"] for body in described["bodies"]] == [body.name for body in clip.scene.bodies]
        assert [contact["time"] for contact in described["contacts"]] == [contact.time for contact in clip.contacts]


@pytest.fixture
def lerobot(tmp_path: Path, planned: Callable[..., DatasetPlan]) -> Path:
    export_dataset(planned("lerobot"), tmp_path / "set")
    return tmp_path / "set"


def test_lerobot_places_every_clip_in_videos_and_tables(lerobot: Path, clips: list[Clip]) -> None:
    info = json.loads((lerobot / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == 10 and info["splits"] == {"train": "0:6"}
    assert (info["total_episodes"], info["total_frames"]) == (6, sum(len(clip.times) for clip in clips))
    tasks = pd.read_parquet(lerobot / "meta/tasks.parquet")
    episodes = pd.read_parquet(lerobot / "meta/episodes")
    data = pd.read_parquet(lerobot / "data")
    assert set(data.columns) == set(info["features"]) - {"observation.image"}
    assert data["index"].tolist() == list(range(info["total_frames"]))
    videos = {}
    for clip, row in zip(clips, episodes.to_dict("records"), strict=True):
        place = {key: row[f"videos/observation.image/{key}"] for key in ("chunk_index", "file_index")}
        path = lerobot / info["video_path"].format(video_key="observation.image", **place)
        frames = videos.setdefault(path, frames_of(str(path)))
        first = round(row["videos/observation.image/from_timestamp"] * 10)
        assert np.array_equal(frames[first : first + row["length"]], clip.frames)
        mine = data.iloc[row["dataset_from_index"] : row["dataset_to_index"]]
        assert set(mine.episode_index) == {row["episode_index"]}
        assert np.allclose(mine.timestamp, np.arange(len(clip.times)) / 10)
        state = np.stack(mine["observation.environment_state"]).reshape(len(mine), -1, 13)
        assert np.array_equal(state[:, : clip.states.shape[1]], clip.states.astype(np.float32))
        assert not state[:, clip.states.shape[1] :].any()
        assert np.array_equal(np.stack(mine["action"])[:-1], actions_of(clip)[1:])  # leads to the next frame
        assert {*tasks.index[[*set(mine.task_index)]]} == {clip.scene.prompt} == {*row["tasks"]}
        assert info["features"]["observation.environment_state"]["shape"] == [state.shape[1] * 13]
    assert len(videos) == 3  # several clips in each


def test_lerobot_statistics_are_those_of_all_frames(lerobot: Path, clips: list[Clip]) -> None:
    stats = json.loads((lerobot / "meta/stats.json").read_text())
    pixels = np.concatenate([clip.frames.reshape(-1, 3) for clip in clips]) / 255
    actions = np.concatenate([actions_of(clip) for clip in clips]).astype(float)
    for name, values, shape in (("observation.image", pixels, (3, 1, 1)), ("action", actions, (6,))):
        for key in ("min", "max", "mean", "std"):
            assert np.allclose(stats[name][key], getattr(values, key)(axis=0).reshape(shape), atol=1e-7), (name, key)
        assert stats[name]["count"] == [sum(len(clip.times) for clip in clips)]


def test_lerobot_itself_loads_it(lerobot: Path, clips: list[Clip]) -> None:
    module = pytest.importorskip("lerobot.datasets.lerobot_dataset")
    data = module.LeRobotDataset("physbench", root=lerobot, episodes=[1])
    assert len(data) == len(clips[1].times)
    item = data[5]
    assert np.array_equal((item["observation.image"] * 255).round().permute(1, 2, 0), clips[1].frames[5])
    assert item["task"] == clips[1].scene.prompt


@pytest.mark.parametrize("name", others_slow(DATASET_FORMATS, ("parquet+video", "webdataset")))
def test_an_interrupted_export_goes_on_to_the_same_bytes(
    name: str, tmp_path: Path, planned: Callable[..., DatasetPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(name)
    export_dataset(plan, tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    made: list[int] = []
    clip = export._clip

    def stopping(part: Any, place: Any) -> Clip:
        if place.index == 3 and 3 not in made:
            made.append(3)
            raise KeyboardInterrupt
        return clip(part, place)

    monkeypatch.setattr(export, "_clip", stopping)
    with pytest.raises(KeyboardInterrupt):
        export_dataset(plan, tmp_path / "cut")
    assert not json.loads((tmp_path / "cut/dataset.json").read_text())["complete"]
    draft = tmp_path / "cut" / "tables" / "episodes" / ".4711.part-00001.parquet"  # as a killed process leaves one
    draft.write_bytes(b"PAR1")
    counted: dict[str, list[int]] = {"done": [], "kept": []}
    counts = {key: each.append for key, each in counted.items()}
    assert export_dataset(plan, tmp_path / "cut", **counts).written == 4  # of 6: the first part is kept
    assert counted == {"done": [2, 2], "kept": [2]}
    assert contents(tmp_path / "cut") == whole
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut").rglob("*") if path.is_file()}
    assert export_dataset(plan, tmp_path / "cut").written == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cut").rglob("*") if path.is_file()} == before


def test_the_manifest_names_every_file(tmp_path: Path, planned: Callable[..., DatasetPlan]) -> None:
    export_dataset(planned("parquet+video"), tmp_path)
    manifest = json.loads((tmp_path / "dataset.json").read_text())
    found = contents(tmp_path)
    del found["dataset.json"]
    assert {name: file["sha256"] for name, file in manifest["files"].items()} == found
    assert manifest["complete"] and manifest["clips"] == 6 and manifest["splits"] == {"train": [0, 6]}
    (tmp_path / "tables/states/part-00001.parquet").unlink()
    export_dataset(planned("parquet+video"), tmp_path)  # what was removed is made again
    assert {name: file["sha256"] for name, file in manifest["files"].items()}.items() <= contents(tmp_path).items()


def test_a_folder_holds_one_export(tmp_path: Path, planned: Callable[..., DatasetPlan], suite: Suite) -> None:
    plan = planned("parquet+video")
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").write_text("")
    for folder, words in (("file", "is a file"), ("other", r"not empty \('thesis.tex'\)")):
        with pytest.raises(UsageError, match=words):
            export_dataset(plan, tmp_path / folder)
    export_dataset(plan, tmp_path / "set")
    with pytest.raises(UsageError, match=r"another export \(format parquet.video, not lerobot\)"):
        export_dataset(planned("lerobot"), tmp_path / "set")
    with pytest.raises(UsageError, match=r"another export \(clips 6, not 4\)"):
        fewer = find_suite("train", 4, TASKS)
        export_dataset(plan_dataset(fewer, SPEC, "parquet+video", clips_per_file=2), tmp_path / "set")
    with pytest.raises(UsageError, match=r"fps 10\.0, not 5\.0"):
        export_dataset(
            plan_dataset(suite, RenderSpec(32, 32, 5.0), "parquet+video", clips_per_file=2), tmp_path / "set"
        )


def test_two_processes_do_not_write_into_one_folder(tmp_path: Path, planned: Callable[..., DatasetPlan]) -> None:
    with (
        export._alone(tmp_path),
        pytest.raises(UsageError, match="another process is writing"),
    ):
        export_dataset(planned("parquet+video"), tmp_path)


def test_an_export_that_another_process_wrote_meanwhile_is_not_overwritten(
    tmp_path: Path, planned: Callable[..., DatasetPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two begin in the same instant in an empty folder; the first has ended when the second takes the lock."""
    plan, take, begun = planned("parquet+video"), export.locked_file, []

    def second(path: Path) -> int:
        if not begun:
            begun.append(path)
            export_dataset(planned("parquet+video", video="h264"), tmp_path)
        return take(path)

    monkeypatch.setattr(export, "locked_file", second)
    with pytest.raises(UsageError, match="holds another export"):
        export_dataset(plan, tmp_path)
    assert "lossy" in (tmp_path / "README.md").read_text()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    "name", others_slow(["../precious", "/etc/hostname", "tables/../../precious", "a\0b"], ["../precious"])
)
def test_a_complete_export_that_names_files_elsewhere_is_made_again(
    tmp_path: Path, planned: Callable[..., DatasetPlan], name: str
) -> None:
    plan, out = planned("parquet+video"), tmp_path / "out"
    export_dataset(plan, out)
    (tmp_path / "precious").write_text("x")
    document = json.loads((out / "dataset.json").read_text())
    size = Path("/etc/hostname").stat().st_size if name.startswith("/") else 1
    (out / "dataset.json").write_text(json.dumps({**document, "files": {name: {"bytes": size, "sha256": ""}}}))
    assert export_dataset(plan, out).written == plan.clips
    assert json.loads((out / "dataset.json").read_text()) == document


def test_what_the_codec_does_is_measured(
    tmp_path: Path, clips: list[Clip], planned: Callable[..., DatasetPlan]
) -> None:
    export_dataset(planned("parquet+video", video="h264"), tmp_path)
    video = table(tmp_path, "episodes").file[0]
    errors = frames_of(str(tmp_path / video)).astype(float) - clips[0].frames
    assert 0.5 < np.sqrt(np.mean(errors**2)) < 12  # levels of 255; without loss it is 0, as in the test above
    assert "lossy" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("name", DATASET_FORMATS)
def test_the_card_explains_the_data(name: str, tmp_path: Path, planned: Callable[..., DatasetPlan]) -> None:
    export_dataset(planned(name), tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert READ_WITH[name] in card
    for words in ("license: apache-2.0", "## Load", "PyBullet", "train 6", "m/s2", "falling/projectile-v1 3"):
        assert words in card, words
    listed = sorted(path.name for path in (tmp_path / "tables").iterdir())
    assert listed == sorted(line.split("`")[1].partition("/")[2] for line in card.splitlines() if "| `tables/" in line)
    assert "must not be submitted" not in card


def code_of(card: str) -> str:
    return card.partition("```python\n")[2].partition("```")[0]


@pytest.mark.parametrize("name", ["parquet+video", "hdf5", "webdataset"])
def test_the_code_of_the_card_runs(
    name: str,
    tmp_path: Path,
    clips: list[Clip],
    planned: Callable[..., DatasetPlan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export_dataset(planned(name), tmp_path)
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(code_of((tmp_path / "README.md").read_text()), found)
    frames = found["video"] if name == "webdataset" else found["frames"]
    shown = [clip for clip in clips if np.array_equal(clip.frames, frames)]
    assert len(shown) == 1


WORDS = ["data", "export", "--tasks", TASKS, "--limit", "2", "--size", "32", "--fps", "10", "--workers", "1"]


def test_the_command_writes_and_continues(
    tmp_path: Path, clips: list[Clip], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*WORDS, "--format", "parquet+video", "--out", str(tmp_path / "set")]

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    with monkeypatch.context() as patch:
        patch.setattr(export, "encode", full)
        assert run(words) == 1
    assert "The disk is full" in capsys.readouterr().err
    assert run(words) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'set'}\n" and "2 clips of train at 32x32@10 as parquet+video: 2 made; " in err
    assert run(words) == 0
    assert "0 made, 2 were there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "parquet"], "no format 'parquet'. Did you mean parquet+video?"),
        (["--format", "condition"], "Did you mean conditioning?"),
        (["--format", "hdf5", "--video", "h264"], "frames as they are"),
        (["--format", "lerobot", "--video", "av1"], "expected lossless or h264, got 'av1'"),
        (["--format", "lerobot", "--fps", "7.5"], "whole frames a second, not 7.5"),
        (["--format", "lerobot", "--video", "h264", "--size", "33"], "Use 32x32"),
        (["--format", "lerobot", "--clips-per-file", "0"], "expected 1 to 1,000,000, got 0"),
        (["--format", "lerobot", "--context", "4"], "whole clips"),
        (["--format", "lerobot", "--suite", "trian"], "no suite named 'trian'"),
        (["--video", "h264"], "are of data sets"),
        (["--held-out"], "are of data sets"),
    ],
)
def test_wrong_options_are_explained(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "hdf5" in words:
        pytest.importorskip("h5py")
    assert run([*WORDS, "--out", str(tmp_path / "set"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_what_models_are_judged_on_is_exported_only_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, "--format", "parquet+video", "--suite", "smoke", "--tasks", "projectile", "--limit", "1"]
    words += ["--out", str(tmp_path / "set")]
    assert run(words) == 2
    assert "which models are judged on" in (said := capsys.readouterr().err) and "--held-out" in said
    assert run([*words, "--held-out"]) == 0
    assert table(tmp_path / "set", "episodes").split.tolist() == ["test"]
    assert "must not be submitted to a board" in (tmp_path / "set/README.md").read_text()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, suite: Suite) -> None:
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    for name, library in LIBRARY.items():
        with pytest.raises(UsageError, match=rf"{library}: pip install 'physbench\[export\]'"):
            plan_dataset(suite, SPEC, name)


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Path]:
    """An export by two processes that was killed between its parts."""
    command = [sys.executable, "-c", "from physbench.cli.main import main; main()", *SLOW_WORDS, "--workers", "2"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "cut")], start_new_session=True)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "cut").glob(".parts/part-*.json")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    yield tmp_path / "cut"


SLOW_WORDS = [*WORDS[:-2], "--limit", "12", "--clips-per-file", "2", "--format", "parquet+video"]


@pytest.mark.slow
def test_a_killed_export_goes_on_to_the_bytes_of_one_process(killed: Path, tmp_path: Path) -> None:
    assert run([*SLOW_WORDS, "--workers", "1", "--out", str(tmp_path / "whole")]) == 0
    assert not json.loads((killed / "dataset.json").read_text())["complete"]
    assert run([*SLOW_WORDS, "--workers", "2", "--out", str(killed)]) == 0
    assert contents(killed) == contents(tmp_path / "whole")


def test_a_disk_without_room_for_the_file_is_reported_before_it_is_written(
    tmp_path: Path, planned: Callable[..., DatasetPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned("hdf5")
    with monkeypatch.context() as patch:
        patch.setattr(export.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
        with pytest.raises(OSError, match=r"No space left on device.*clips\.h5"):
            export_dataset(plan, tmp_path)
    assert export_dataset(plan, tmp_path).written == 0  # what there was room for is kept


def test_nothing_is_written_through_links(planned: Callable[..., DatasetPlan], tmp_path: Path) -> None:
    target = tmp_path / "target.txt"
    target.write_text("precious")
    out = tmp_path / "out"
    (out / ".parts").mkdir(parents=True)
    (out / ".parts" / "lock").symlink_to(target)
    with pytest.raises(UsageError, match="through links"):
        export_dataset(planned("hdf5"), out, workers=1)
    assert target.read_text() == "precious"


@pytest.mark.parametrize("text", ["[]", '"x"', "null", '{"files": []}', '{"files": {"a": {}}}', "[" * 100_000])
def test_a_damaged_manifest_is_refused_in_a_line(
    planned: Callable[..., DatasetPlan], tmp_path: Path, text: str
) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(UsageError, match="cannot be read"):
        export_dataset(planned("hdf5"), tmp_path, workers=1)


def test_a_truncated_file_of_a_finished_export_is_made_again(
    planned: Callable[..., DatasetPlan], tmp_path: Path
) -> None:
    export_dataset(planned("hdf5"), tmp_path, workers=1)
    path = tmp_path / "clips.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[:10])
    assert export_dataset(planned("hdf5"), tmp_path, workers=1).written > 0
    assert path.read_bytes() == whole
