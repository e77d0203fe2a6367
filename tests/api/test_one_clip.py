"""One clip and one answer: as in a run, from any thread or process, and with a clear line for what is wrong."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scored_answers import ScoredAnswers

import physbench
from physbench.api.one_clip import ClipScore, clip_rate, read_file, score, score_batch
from physbench.clips.clip import Clip, Row
from physbench.laws.kernels import compile_kernels
from physbench.models.load_model import load_model
from physbench.rollout.store import write_video
from physbench.score.protocol import AXES
from physbench.support.errors import UsageError
from physbench.validity.gaming_baselines import GAMING_BASELINES

SIZE, FPS, CONTEXT = 48, 10.0, 8
PROJECTILE, SCREEN = "falling/projectile-v1", "occlusion/screen-pass-v1"


@pytest.fixture(scope="module")
def clip() -> Clip:
    return physbench.clip(PROJECTILE, "test", 0, size=SIZE, fps=FPS)


@pytest.fixture(scope="module")
def slow(clip: Clip) -> np.ndarray:
    """Everything at 0.9 times its speed."""
    return clip.future()[(np.arange(clip.horizon) * 0.9).astype(int)]


@pytest.fixture(scope="module")
def result(clip: Clip, slow: np.ndarray) -> ClipScore:
    return score(clip, slow, FPS)


def test_scores_are_those_of_a_run(tmp_path: Path) -> None:
    """Every row of the tables, skill by axis, the family, and the first sentence, of a clip."""
    arguments = {"size": str(SIZE), "fps": str(FPS), "context": str(CONTEXT)}
    place = {"device": torch.device("cpu"), "dtype": torch.float32}
    model = load_model("baseline:constant-velocity", model_args=arguments, **place)
    options: dict[str, Any] = {"report": False, "diagnosis": False, "workers": 0, "limit": 1}
    for task in (SCREEN,):
        run = physbench.evaluate(model, tasks=task, out=tmp_path / task.replace("/", "-"), **options)
        (row,) = (Row(task, "test", int(seed)) for seed in pd.read_parquet(run.folder / "scores.parquet").seed.unique())
        clip = physbench.clip(row.id, size=SIZE, fps=FPS)
        context = torch.from_numpy(clip.context(CONTEXT)).movedim(-1, 1)[None] / 255
        frames = model.rollout(
            context, horizon=clip.horizon, actions=None, prompts=[""], generators=[torch.Generator()]
        )
        found = physbench.score(clip, torch.cat(list(frames), 1)[0], FPS, context=CONTEXT)

        table = pd.read_parquet(run.folder / "scores.parquet")
        assert set(found["readings"]) == set(table["reading"])
        for one in table.itertuples():
            mine = found["readings"][one.reading]
            for name in ("value", "quality"):
                theirs = getattr(one, name)
                assert (None if pd.isna(theirs) else theirs) == mine[name], (one.reading, name)
            assert (mine["status"], mine["reason"], mine["unit"]) == (one.status, one.reason, one.unit)
        for axis, mine in found["axes"].items():
            theirs = run["tasks"][task][axis]
            assert mine["kind"] == theirs["kind"]
            for own, other in (
                (mine["quality"], theirs["quality"]),
                (mine["skill"], theirs["skill"]),
                *((mine[name], theirs["references"][name]) for name in ("truth", "freeze")),
            ):
                assert own == pytest.approx(other, abs=1e-6)  # a result is rounded
        assert found["score"] == pytest.approx(run["by_family"][clip.row.family]["skill"], abs=1e-6)
        assert found["sentence"] == run.sentences[0]


def test_an_answer_is_numbers_and_text(result: ClipScore) -> None:
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert set(result["axes"]) == set(AXES) and 0.05 < (result["score"] or 0) < 0.95
    assert all(each["status"] != "failed" for each in result["readings"].values())


def test_truth_has_all_and_a_frozen_frame_nothing(clip: Clip) -> None:
    still = np.broadcast_to(clip.context(1), clip.future().shape)
    truth, frozen = physbench.score_batch(clip, [clip.future(), still], FPS)
    assert truth["score"] == pytest.approx(1) and frozen["score"] == pytest.approx(0)
    assert "Physical for 4.0 s of 4 s" in truth["sentence"]


@pytest.mark.parametrize(
    "names", [("empty", "leave"), pytest.param(("black", "noise", "loop", "curtain"), marks=pytest.mark.slow)]
)
def test_cheats_have_nothing(clip: Clip, names: tuple[str, ...]) -> None:
    """What a reward must not pay: things that leave, fade or stand, and noise."""
    answers = [GAMING_BASELINES[name].make(clip, CONTEXT) for name in names]
    found = score_batch(clip, answers, FPS)
    assert all((each["score"] or 0) < 0.2 for each in found), dict(zip(names, found, strict=True))


def test_every_form_of_frames_is_read_alike(clip: Clip, slow: np.ndarray, result: ClipScore, tmp_path: Path) -> None:
    write_video(tmp_path / "answer.mkv", slow, FPS)
    planes = np.ascontiguousarray(slow.transpose(0, 3, 1, 2))
    floats = torch.from_numpy(planes).float().div(255).requires_grad_()
    cheap = score(clip, slow, FPS, axes="drift")
    for frames, fps in (
        (planes, 10),
        (planes / 255, 10.0),
        (np.broadcast_to((slow / 255).astype(">f4"), slow.shape), 10),
        (floats, 10),
        (torch.from_numpy(planes), 10),
        (slow[:, ::-1][:, ::-1], 10),
        (tmp_path / "answer.mkv", None),
        (str(tmp_path / "answer.mkv"), 10),
    ):
        assert score(clip, frames, fps, axes="drift") == cheap
    assert cheap["axes"]["drift"] == result["axes"]["drift"]


def test_a_clip_may_be_named(clip: Clip, slow: np.ndarray, result: ClipScore) -> None:
    for named in (clip.id, clip.row):
        assert score(named, slow, FPS) == result
    train = physbench.clip("projectile", size=SIZE, fps=FPS, store=False)
    assert train.id == "falling.projectile-v1.train.0"
    assert score("projectile", train.future(), FPS, axes="drift")["clip"] == train.id


def test_named_axes_have_the_same_qualities_and_fewer_readings(clip: Clip, slow: np.ndarray, result: ClipScore) -> None:
    cheap = score(clip, slow, FPS, axes="consistency")
    assert cheap["axes"] == {"consistency": result["axes"]["consistency"]} and cheap["sentence"] == result["sentence"]
    assert cheap["score"] == cheap["axes"]["consistency"]["skill"]
    assert set(cheap["readings"]) < set(result["readings"]) and "laws/gravity" not in cheap["readings"]
    plain = score(clip, slow, FPS, axes=["drift", "consistency"], references=False)
    assert list(plain["axes"]) == ["consistency", "drift"] and plain["score"] is None
    for axis, each in plain["axes"].items():
        assert each["quality"] == result["axes"][axis]["quality"] and each["skill"] is each["truth"] is None
    assert plain["sentence"] == result["sentence"].partition(" (")[0] + "."


@pytest.mark.slow
def test_a_named_clip_has_the_rate_of_a_file_whose_time_stamps_are_rounded(tmp_path: Path) -> None:
    clip = physbench.clip(PROJECTILE, "test", 0, size=SIZE, fps=15)
    write_video(tmp_path / "answer.mkv", clip.future(), 15)
    assert read_file(tmp_path / "answer.mkv")[1] != 15
    found = score(clip.id, tmp_path / "answer.mkv", None, axes="drift", references=False)
    assert found == score(clip, clip.future(), 15, axes="drift", references=False)
    assert [clip_rate(fps) for fps in (23.976, 15.0013, 12.5, 13.5)] == [24, 15, 12.5, 13.5]


def test_the_function_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(physbench.score)) is physbench.score


def test_what_cannot_be_read_says_why() -> None:
    stack = physbench.clip("falling/stack", "test", 0, size=SIZE, fps=FPS)
    found = score(stack, stack.future(), FPS, axes="consistency")
    assert found["sentence"] == "Ends as ground truth does in 100 % of what is asked about the end."
    assert found["readings"]["consistency/shadowing"]["reason"].startswith("cannot be shadowed")


def bad(change: Callable[[np.ndarray], Any], says: str, **options: Any) -> Any:
    return pytest.param(change, options, says, id=says[:40])


def with_nan(frames: np.ndarray) -> np.ndarray:
    found = frames / 255.0
    found[4, 0, 0, 0] = np.nan
    return found


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        bad(lambda f: f[..., :2], "got (40, 48, 48, 2): three channels"),
        bad(lambda f: f[None], "several answers go into physbench.score_batch"),
        bad(lambda f: f[0, 0], "expected (T, H, W, 3) or (T, 3, H, W), got (48, 3)"),
        bad(lambda f: f, "the clip has 10 frames/s, the answer 24", fps=24),
        bad(lambda f: f, "the clip has 10 frames/s, the answer nan", fps=float("nan")),
        bad(lambda f: f, "fps: expected the rate of the frames, got None", fps=None),
        bad(lambda f: f, "fps: expected a number of frames/s, got '10'", fps="10", clip="falling/projectile"),
        bad(with_nan, "Predicted frame 5 of 40 holds NaN (1 of 6912 values)"),
        bad(lambda f: f.astype(int), "got int64"),
        bad(lambda f: f.astype(float), "divide by 255"),
        bad(lambda f: f / 127.5 - 1, "map [-1, 1] to [0, 1]"),
        bad(lambda f: (f / 255).round().astype(np.uint8), "uint8 frames with no value above 1"),
        bad(lambda f: f[:30], "asks for 40 frames after its hand-over, got 30: too few"),
        bad(lambda f: np.concatenate([f[:8], f]), "got 48: leave out the 8 context frames"),
        bad(lambda f: f[:, :32], "the clip is 48x48 px, the answer 48x32"),
        bad(lambda f: "no.mp4", "there is no file no.mp4"),
        bad(lambda f: None, "expected an array, a tensor or the path of a video, got NoneType"),
        bad(lambda f: f, "there is no axis 'physics'", axes="physics"),
        bad(lambda f: f, "Did you mean consistency?", axes=["consistancy"]),
        bad(lambda f: f, "axes: expected one or more", axes=[]),
        bad(lambda f: f, "permanence, drift, got 3", axes=3),
        bad(lambda f: f, "context: expected 1 to 21 frames", context=30),
        bad(lambda f: f, "clip: expected a Clip, a Row or the name of a task or clip, got int", clip=3),
        bad(lambda f: f, "There is no task named 'fallin/projectile'", clip="fallin/projectile"),
        bad(lambda f: f, "split: expected train, test or ood", clip="falling.projectile-v1.tset.0"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    clip: Clip, slow: np.ndarray, change: Callable[[np.ndarray], Any], options: dict[str, Any], says: str
) -> None:
    options = {"clip": clip, "fps": FPS, **options}
    with pytest.raises(UsageError) as error:
        score(options.pop("clip"), change(slow), options.pop("fps"), **options)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_an_answer_that_cannot_be_read_does_not_lose_the_others(
    clip: Clip, slow: np.ndarray, result: ClipScore, tmp_path: Path
) -> None:
    damaged = tmp_path / "answer.mkv"
    write_video(damaged, slow, FPS)
    damaged.write_bytes(damaged.read_bytes()[:200])
    answers = [slow[:5], slow, str(damaged), with_nan(slow), None]
    found = score_batch([clip, clip, clip, clip.row, clip.id], answers, FPS)
    assert found[1] == result and found[1]["error"] == ""
    for number, words in ((0, "too few"), (2, "answer.mkv"), (3, "holds NaN"), (4, "got NoneType")):
        one = found[number]
        assert one["error"].startswith(f"answer {number}: frames: ") and words in one["error"]
        assert one["score"] is None and one["clip"] == clip.id and not one["axes"] and not one["readings"]
    json.dumps(found, allow_nan=False)


def test_a_batch_of_which_nothing_can_be_read_is_refused(clip: Clip, slow: np.ndarray, result: ClipScore) -> None:
    with pytest.raises(UsageError, match=r"^answer 0: frames: .* too few"):
        score_batch(clip, [slow[:4], slow[:5]], FPS, axes="drift")
    with pytest.raises(UsageError, match="there is no axis 'physics'"):
        score_batch(clip, [slow], FPS, axes="physics")
    with pytest.raises(UsageError, match="expected one for each of 1 answers, or one for all, got 2"):
        score_batch([clip, clip], [slow], FPS)
    with pytest.raises(UsageError, match="got list_iterator"):
        score_batch(clip, iter([slow]), FPS)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="clips: expected one clip or a list of them, got int"):
        score_batch(3, [slow], FPS)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Put it in a list"):
        score_batch(clip, "answer.mkv", FPS)
    assert score_batch([clip], slow[None], FPS) == [result]


def test_a_file_that_is_no_video_is_refused(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "answer.mp4").write_bytes(b"no video")
    with pytest.raises(UsageError, match=r"^frames: .*answer.mp4"):
        score(clip, tmp_path / "answer.mp4", None)
    (tmp_path / "answer.txt").touch()
    with pytest.raises(UsageError, match=r"^frames: expected a video \(.mp4, .*answer.txt"):
        score(clip, tmp_path / "answer.txt", None)


def test_references_are_those_of_the_clip(clip: Clip, slow: np.ndarray, result: ClipScore) -> None:
    """A clip under the same row whose frames differ has references of its own."""
    score(clip, slow, FPS, axes="drift")
    other = replace(clip, frames=np.concatenate([clip.frames[: clip.handover + 1], clip.future()[::-1]]))
    assert score(other, slow, FPS, axes="drift")["axes"]["drift"]["truth"] != result["axes"]["drift"]["truth"]


def test_the_settings_of_a_training_change_nothing(clip: Clip, slow: np.ndarray, result: ClipScore) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16), torch.device("meta"), torch.inference_mode():
            assert score(clip, slow, FPS) == result
            assert torch.is_autocast_enabled("cpu") and torch.zeros(1).is_meta
        assert torch.get_num_threads() == 2 and torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.set_num_threads(before)


@pytest.mark.slow
def test_threads_score_as_one_does(clip: Clip, slow: np.ndarray, result: ClipScore) -> None:
    screen = physbench.clip(SCREEN, "test", 0, size=SIZE, fps=FPS)
    jobs = [(clip, slow), (screen, screen.future()[::-1])] * 3
    alone = [result, score(screen, screen.future()[::-1], FPS)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda job: score(*job, FPS), jobs)) == alone * 3


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_of_a_data_loader_score(clip: Clip, slow: np.ndarray, result: ClipScore, start: str) -> None:
    loader = torch.utils.data.DataLoader(
        ScoredAnswers(clip.id, slow, FPS), batch_size=None, num_workers=1, timeout=240, multiprocessing_context=start
    )
    assert list(loader) == [result, result]


ALONE = """
import os
import sys
import numpy as np
import torch  # asks the system for its libraries when it is imported
import physbench
from physbench.laws.kernels import compile_kernels

compile_kernels()  # once on a machine, beside the package, as Python keeps what it compiles
seen = []

def hook(event, arguments):
    writes = os.O_WRONLY | os.O_RDWR
    path, flags = (arguments[0], arguments[2] or 0) if event == "open" else (None, 0)
    if isinstance(path, str) and path != os.devnull and flags & writes:
        seen.append((event, path))
    if event in ("os.fork", "os.posix_spawn", "subprocess.Popen", "os.mkdir", "os.rename", "os.remove", "os.system"):
        seen.append((event, str(arguments[:1])))

sys.dont_write_bytecode = True
sys.addaudithook(hook)
clip = physbench.clip("falling/projectile", size=48, fps=10, store=False)
found = physbench.score(clip, clip.future()[::-1].copy(), 10)
assert found["axes"]["drift"]["quality"] is not None
assert physbench.score is sys.modules["physbench.score"] and physbench.score.Observation
print(seen)
"""


def test_nothing_is_written_and_no_process_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the time for which the clip can be predicted, which a run keeps in the cache."""
    seen, watches = list[str](), [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not watches or threading.current_thread() is not threading.main_thread():
            return
        path, flags = (arguments[0], arguments[2] or 0) if event == "open" else (None, 0)
        if isinstance(path, str) and path != os.devnull and flags & (os.O_WRONLY | os.O_RDWR):
            seen.append(path)
        if event in ("os.fork", "os.posix_spawn", "subprocess.Popen", "os.mkdir", "os.rename", "os.remove"):
            seen.append(event)

    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    compile_kernels()  # once on a machine, beside the package
    sys.addaudithook(hook)  # for good: afterwards it does nothing
    clip = physbench.clip("falling/projectile", "test", 7, size=SIZE, fps=FPS, store=False)
    found = physbench.score(clip, clip.future()[::-1].copy(), 10)
    with (tmp_path / "seen").open("w"):
        watches.clear()
    assert found["axes"]["drift"]["quality"] is not None
    assert seen == [str(tmp_path / "seen")] and not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_nothing_is_written_by_a_new_interpreter(tmp_path: Path) -> None:
    environment = {"PHYSBENCH_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("size", ["64", (64,), 63.5])
def test_a_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(UsageError, match="size: expected a number of px"):
        physbench.clip(PROJECTILE, "test", 0, size=size)  # type: ignore[arg-type]
