"""The commands `tasks` and `data`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from physbench.cli.console import READABLE
from physbench.cli.main import run
from physbench.clips import golden
from physbench.clips.golden import GoldenMismatch
from physbench.clips.suite import find_suite
from physbench.clips.task import task_ids

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_task.py"


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    return code, *capsys.readouterr()


def test_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "tasks", "list")
    assert code == 0 and not err and all(task in out for task in task_ids())
    assert max(map(len, out.splitlines())) <= READABLE
    code, out, _ = call(capsys, "scorers", "list")
    assert code == 0 and "permanence/intact" in out and max(map(len, out.splitlines())) <= READABLE
    code, out, err = call(capsys, "tasks", "show", str(EXAMPLE))  # its docstring leaves the table to the declaration
    assert code == 0, err
    assert re.search(r"radius_b +m +visible +0\.54 \.\. 0\.62", out)
    code, out, _ = call(capsys, "tasks", "show", "kepler")
    assert code == 0 and "semi_axis" in out and "34" in out and "| " not in out
    for section in ("What happens:", "Law:", "Camera:", "Hand-over:", "May be hidden:", "Version history:"):
        assert f"\n{section}" in out


def test_preview_writes_a_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "new" / "sheet.png"
    code, out, _ = call(capsys, "tasks", "preview", "projectile", "--clips", "1", "--split", "ood", "--out", str(path))
    assert code == 0 and out.strip() == str(path)
    picture = imread(path)
    assert picture.shape[1] > 1500 and picture[..., :3].std() > 0.05


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tasks", "show", "projektile"), "Did you mean falling/projectile-v1"),
        (("tasks", "preview", "keppler"), "Did you mean orbits/kepler-v1"),
        (("tasks", "preview", "kepler", "--split", "tset"), "Did you mean test"),
        (("tasks", "preview", "kepler", "--seed", "-1"), "0 or more"),
        (("tasks", "preview", "kepler", "--clips", "99"), "1 to 16"),
        (("tasks", "preview", "kepler", "--out", "a.jpg"), "--out a.png"),
        (("data", "generate", "--suite", "croe"), "Did you mean core"),
        (("data", "generate", "--size", "3"), "Use 64, 128 or 256; models have 32 or more"),
        (("data", "generate", "--fps", "7"), "Use 1, 2, 3, 4, 5, 6, 8, 10"),
        (("data", "generate", "--limit", "0"), "at least one clip"),
        (("data", "generate", "--workers", "0"), "at least 1"),
        (("data", "generate", "--tasks", "falling/fall-v1"), "Did you mean"),
        (("data", "generate", "--out", __file__), "is a file"),
        (("data", "verify", "--limit", "3"), "--limit is for --suite train"),
        (("data", "verify", "--suite", "smoek"), "Did you mean smoke"),
    ],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str) -> None:
    code, out, err = call(capsys, *arguments)
    assert code == 2 and says in err and not out
    assert 1 <= err.count("\n") <= 2 and "Traceback" not in err


def test_generate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wanted = ("data", "generate", "--suite", "smoke", "--limit", "4", "--size", "32", "--fps", "10")
    code, out, err = call(capsys, *wanted, "--out", str(tmp_path), "--workers", "1")
    assert code == 0 and out.strip() == str(tmp_path / "32x32@10") and "4 made, 0 existed" in err
    assert len(list(tmp_path.rglob("*.npz"))) == 4
    code, _, err = call(capsys, *wanted, "--out", str(tmp_path))
    assert code == 0 and "0 made, 4 existed" in err


def test_verify(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from physbench.clips.suite import find_suite

    rows = find_suite("smoke").rows
    found = [GoldenMismatch(row, k not in (3, 5), 0.002 * k) for k, row in enumerate(rows)]
    monkeypatch.setattr(golden, "verify", lambda suite, workers: iter(found))
    code, out, err = call(capsys, "data", "verify", "--suite", "smoke")
    assert code == 1 and f"2 of {len(rows)}" in out and rows[3].id in out and "0.006 m" in out and "0.01 m" in out
    assert "local" in err
    found = [GoldenMismatch(row, True, 0.0) for row in rows]
    code, out, _ = call(capsys, "data", "verify", "--suite", "smoke")
    assert code == 0 and f"all {len(rows)} clips" in out


@pytest.mark.slow
def test_a_list_of_training_clips_is_named_by_its_hash(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = find_suite("train", limit=15).hash
    for published, expected_code, says in (
        ({150: "0"}, 0, "hashes of 150 clips, none of 15"),
        ({15: made}, 0, "This is the published list."),
        ({15: "0" * 64}, 1, "The published list is another one: 000"),
    ):
        monkeypatch.setattr(golden, "published_lists", lambda name, published=published: published)
        code, out, err = call(capsys, "data", "verify", "--suite", "train", "--limit", "15", "--workers", "1")
        assert code == expected_code and made in out and says in out + err


@pytest.mark.slow
def test_the_smallest_published_list_is_made_here() -> None:
    published = golden.published_lists("train")
    assert tuple(published) == golden.TRAIN_LISTS
    assert find_suite("train", limit=150).hash == published[150]


@pytest.mark.slow  # a part of it in test_suite
@pytest.mark.parametrize("suite", ["smoke", "core"])
def test_verify_for_real(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "data", "verify", "--suite", suite)[0] == 0


def test_interrupted_generation_keeps_what_is_done(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "physbench.cli.main", "data", "generate", "--suite", "core", "--size", "32"]
    command[1:3] = ["-c", "from physbench.cli.main import main; main()"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path), "--workers", "2"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err and err.count("\n") <= 2
    kept = list(tmp_path.rglob("*.npz"))
    assert 2 <= len(kept) < 128 and not list(tmp_path.rglob(".*"))


def test_a_folder_that_cannot_be_written_is_told_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = call(capsys, "data", "generate", "--suite", "smoke", "--out", str(tmp_path / "file" / "clips"))
    assert code == 2 and "Cannot write into" in err and "--out" in err and "Free some space" not in err
