"""Clips as data sets: what an item holds, windows, order, workers, and which split may be trained on."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from physbench.clips.clip import Clip
from physbench.clips.generate import make_params
from physbench.data import clips, collate
from physbench.support.errors import UsageError

TASKS = "falling/projectile,collisions/head-on-push"
CHOSEN = {"size": 32, "fps": 10, "seeds": range(3), "tasks": TASKS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the tests of this file share."""
    return tmp_path_factory.mktemp("clips")


def test_an_item_is_the_clip(folder: Path, clip_of: Callable[..., Clip]) -> None:
    data = clips(**CHOSEN, store=folder)
    assert [row.id for row in data.rows[:2]] == ["collisions.head-on-push-v1.train.0", "falling.projectile-v1.train.0"]
    item, clip = data[1], clip_of("falling/projectile-v1", "train", 0, 32, 10.0)
    assert torch.equal(item["frames"], torch.from_numpy(clip.frames.transpose(0, 3, 1, 2).copy()))
    assert np.array_equal(item["states"].numpy(), clip.states) and np.array_equal(item["times"].numpy(), clip.times)
    assert item["prompt"] == clip.scene.prompt and item["seed"] == 0 and item["task"] == "falling/projectile-v1"
    assert item["bodies"] == tuple(body.name for body in clip.scene.bodies)
    assert item["parameters"] == dict(make_params(clip.row))
    assert data.length(1) == len(item["frames"])
    assert not item["actions"].any() and item["actions"].shape == (len(clip.times), 6)
    assert not item["camera_poses"].any() and item["camera_poses"].shape == (len(clip.times), 6)


def test_pushes_stand_where_their_effect_is_first_seen(folder: Path) -> None:
    data = clips(**CHOSEN, store=folder)
    item, clip = data[0], data.clip(0)
    whole = clip.actions(clip.handover + 1)
    assert whole is not None and np.array_equal(item["actions"].numpy(), whole)
    pushed = int(np.flatnonzero(whole.any(axis=1))[0])
    when = clip.scene.impulses[0].time
    assert item["times"][pushed - 1] <= when < item["times"][pushed]


def test_a_camera_that_moves_has_its_pose_beside_every_frame(folder: Path) -> None:
    """Against that at time 0, in a window, too."""
    for chosen in ({"tasks": "look-away"}, {"tasks": "projectile", "view": "moving"}):
        data = clips(size=32, fps=10, seeds=[0], window=20, store=folder, **chosen)  # type: ignore[arg-type]
        item, clip = data[0], data.clip(0)
        first = int(np.argmin(np.abs(clip.times - item["times"][0].item())))
        whole = clip.camera_poses(clip.handover + 1)
        assert np.array_equal(item["camera_poses"].numpy(), whole[first : first + 20])
        assert whole.any() and not whole[clip.handover].any()
        assert collate([item, item])["camera_poses"].shape == (2, 20, 6)


def test_windows_are_drawn_anew_each_epoch_and_nothing_else_decides_them(folder: Path) -> None:
    data = clips(**CHOSEN, window=5, store=folder)
    whole = clips(**CHOSEN, store=folder)
    starts = []
    for epoch in range(4):
        data.set_epoch(epoch)
        item = data[1]
        assert item["frames"].shape == (5, 3, 32, 32) and item["states"].shape[0] == 5
        first = int(np.argmin(np.abs(whole[1]["times"].numpy() - item["times"][0].item())))
        assert torch.equal(item["frames"], whole[1]["frames"][first : first + 5])
        assert torch.equal(data[1]["times"], item["times"])
        starts.append(first)
    assert len({*starts}) > 1
    other = clips(**CHOSEN, window=5, store=folder, seed=1)
    assert [float(other[i]["times"][0]) for i in range(6)] != [float(data[i]["times"][0]) for i in range(6)]
    with pytest.raises(UsageError, match=r"expected 1 to 61 frames, all that clips of .* have at 10 frames/s, got 62"):
        clips(**CHOSEN, window=62, store=folder)  # before any clip is made
    assert len(clips(**CHOSEN, window=61, store=folder)[0]["frames"]) == 61


def test_a_stream_has_each_clip_once_in_an_order_of_its_own(folder: Path) -> None:
    data = clips(**CHOSEN, window=4, store=folder)
    stream = data.stream()

    def order(epoch: int) -> list[tuple[str, int]]:
        stream.set_epoch(epoch)
        return [(item["task"], item["seed"]) for item in stream]

    assert sorted(order(0)) == sorted((row.task, row.seed) for row in data.rows)
    assert order(0) == order(0) != order(1)
    assert [(item["task"], item["seed"]) for item in data.stream(shuffle=False)] == [
        (row.task, row.seed) for row in data.rows
    ]


@pytest.mark.slow
def test_workers_share_the_clips_out(folder: Path) -> None:
    data = clips(**CHOSEN, window=4, store=folder)
    data.prepare(1)
    loader = DataLoader(data.stream(), 2, num_workers=2, collate_fn=collate, multiprocessing_context="spawn")
    seen = [pair for batch in loader for pair in zip(batch["task"], batch["seed"], strict=True)]
    assert sorted(seen) == sorted((row.task, row.seed) for row in data.rows)


def test_a_batch_fills_up_what_is_shorter(folder: Path) -> None:
    data = clips(**CHOSEN, store=folder)
    short, long = data[0], data[1]
    batch = collate([short, long])
    steps, bodies = max(len(short["times"]), len(long["times"])), max(len(short["bodies"]), len(long["bodies"]))
    assert batch["frames"].shape == (2, steps, 3, 32, 32) and batch["frames"].dtype == torch.uint8
    assert batch["states"].shape == (2, steps, bodies, 13) and batch["length"].tolist() == [
        len(short["times"]),
        len(long["times"]),
    ]
    for each, item in enumerate((short, long)):
        frames, known = len(item["times"]), len(item["bodies"])
        assert torch.equal(batch["states"][each, :frames, :known], item["states"])
        assert batch["states"][each, :frames, known:].isnan().all()
        assert not batch["frames"][each, frames:].any()
    assert batch["prompt"] == [short["prompt"], long["prompt"]]


def test_what_models_are_judged_on_is_given_only_to_who_asks_for_it() -> None:
    for split in ("test", "ood"):
        with pytest.raises(UsageError, match="held_out=True"):
            clips(split)  # type: ignore[arg-type]
    assert clips("test", seeds=[3], tasks="projectile", held_out=True).rows[0].id == "falling.projectile-v1.test.3"
    for wrong in (
        {"split": "trian"},
        {"seeds": []},
        {"seeds": [-1]},
        {"size": 4},
        {"fps": 7},
        {"view": "nearby"},
        {"tasks": "projectil"},
        {"window": 0},
    ):
        with pytest.raises(UsageError):
            clips(**wrong)  # type: ignore[arg-type]


def test_clips_are_made_each_time_where_nothing_is_kept(cache: Path) -> None:
    data = clips(size=32, fps=10, seeds=[71], tasks="projectile", store=False)
    assert data.prepare() == 0
    assert len(data[0]["frames"]) == data.length(0)
    assert not list((cache / "clips").glob("32x32@10/falling.projectile-v1.train/71.npz"))


@pytest.fixture(scope="module")
def loading_script() -> str:
    """The program of the docs that loads clips with workers."""
    text = (Path(__file__).parents[2] / "docs" / "training-data.md").read_text(encoding="utf-8")
    (script,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "DataLoader(" in block)
    return script


def test_the_program_of_the_docs_starts_workers_behind_a_guard(loading_script: str) -> None:
    """A worker imports the program anew: without a guard it would start workers, and fails."""
    tree = ast.parse(loading_script)
    assert all(isinstance(node, ast.ImportFrom | ast.FunctionDef | ast.If) for node in tree.body)
    assert "if __name__ == '__main__':" in ast.unparse(tree.body[-1])


@pytest.mark.slow
def test_the_program_of_the_docs_runs_as_a_file(loading_script: str, folder: Path, tmp_path: Path) -> None:
    chosen = f"size=32, fps=10, seeds=range(3), tasks={TASKS!r}, store={str(folder)!r}"
    smaller = {
        "size=64, fps=15, seeds=range(1000)": chosen,
        "num_workers=4": "num_workers=2",
        "range(10)": "range(2)",
        'batch["frames"]  #': 'print(tuple(batch["frames"].shape))  #',
    }
    for words, other in smaller.items():
        assert words in loading_script
        loading_script = loading_script.replace(words, other)
    (tmp_path / "load.py").write_text(loading_script)
    done = subprocess.run([sys.executable, tmp_path / "load.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(3, 16, 3, 32, 32)"] * 4


def test_clips_are_made_in_this_process_where_it_is_asked_to_start_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("physbench.support.processes.WorkerPool", None)
    data = clips(size=32, fps=10, seeds=range(71, 75), tasks="projectile", store=tmp_path / "own")
    assert data.prepare(workers=0) == 4 and data.prepare() == 0
