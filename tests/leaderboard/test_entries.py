"""How runs come onto a board: through all checks, with a badge, and never over another entry inapplicable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_board import QUICK, TINY_ARGS, TINY_TARGET

from physbench.cli.main import run as cli
from physbench.leaderboard.claim import read_claim
from physbench.leaderboard.eligibility import of_claim, of_result
from physbench.leaderboard.entries import entries
from physbench.leaderboard.fresh_rollouts import ModelToRun
from physbench.leaderboard.site import build
from physbench.leaderboard.verify import NotAdmittedError, admit
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("plain_reports", "warm_models")


def test_a_badge_says_how_far_a_run_was_checked(tiny_copy: RunFolder, tmp_path: Path) -> None:
    board = tmp_path / "board"
    first = admit(tiny_copy.path, board, replace(QUICK, rescore=False), diagnosis=False)
    assert (first.about.badge, first.about.rollouts, first.about.checked("tracks")) == ("self-reported", 0, "")
    with pytest.raises(UsageError, match="Give --replace"):
        admit(tiny_copy.path, board, QUICK, diagnosis=False)
    second = admit(tiny_copy.path, board, QUICK, diagnosis=False, replace=True)
    assert second.about.badge == "re-scored" and second.about.rollouts == 4
    assert second.result.overall == first.result.overall
    assert second.about.hardware == "cpu (a test)" and second.about.date == "2026-11-22"
    page = build(board).read_text(encoding="utf-8")
    assert "re-scored, 4 rollouts seen" in page and "<b>rows</b> passed: 4 clips x 1 x 34 scorers" in page
    assert len(list((board / "history" / second.name).iterdir())) == 1 and len(entries(board)) == 1


def test_what_takes_milliseconds_is_asked_first(
    tiny_copy: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that is there already, a board of another kind, a model that cannot be loaded or is another one."""
    board = tmp_path / "board"
    admit(tiny_copy.path, board, replace(QUICK, rescore=False), diagnosis=False)
    monkeypatch.setattr("physbench.leaderboard.rescoring.reread", lambda job: pytest.fail("a clip was read again"))
    with pytest.raises(UsageError, match="has an entry of this model already"):
        admit(tiny_copy.path, board, QUICK, diagnosis=False)
    for target, arguments, said in (
        ("baseline:nothing", {}, "nothing"),
        (str(tmp_path / "none.py") + ":make", {}, "none.py"),
        (TINY_TARGET, TINY_ARGS | {"size": "32"}, r"image_size is \[32, 32\], and the card that was sent says"),
        (TINY_TARGET, TINY_ARGS | {"sise": "32"}, "sise"),
    ):
        model = ModelToRun(target, 0, arguments, device="cpu")
        with pytest.raises(NotAdmittedError, match=f"model: failed: .*{said}"):
            admit(tiny_copy.path, board, replace(QUICK, model=model), diagnosis=False, replace=True)
    with pytest.raises(NotAdmittedError, match="32 hexadecimal digits"):
        model = ModelToRun(TINY_TARGET, 2, TINY_ARGS, device="cpu", draw="mine")
        admit(tiny_copy.path, board, replace(QUICK, model=model), diagnosis=False, replace=True)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--board: .*file cannot be changed: File exists"):
        admit(tiny_copy.path, tmp_path / "file", QUICK, diagnosis=False)
    lost = sorted((tiny_copy.path / "tracks").glob("*.npz"))[-1]
    lost.unlink()
    with pytest.raises(NotAdmittedError, match=f"tracks: failed: .*{lost.name} is missing"):
        admit(tiny_copy.path, board, QUICK, diagnosis=False, replace=True)
    assert len(entries(board)) == 1


def test_a_candidate_is_called_as_its_entry(tiny_copy: RunFolder, tmp_path: Path) -> None:
    entry = admit(tiny_copy.path, tmp_path / "board", replace(QUICK, rescore=False), diagnosis=False)
    claim, made = read_claim(tiny_copy), of_result(entry.result)
    assert of_claim(claim) == made and made.name == entry.name


def test_an_entry_holds_nothing_that_was_not_checked(tiny_copy: RunFolder, tmp_path: Path) -> None:
    """Readings of frames are not made again from tracks, and notes and options of the submitter are not taken over."""
    entry = admit(tiny_copy.path, tmp_path / "board", QUICK, diagnosis=False)
    assert "drift/sharpness" not in entry.result.readings and "laws/gravity" in entry.result.readings


def test_commands(tiny_copy: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_copy.result.unlink()  # it has fewer resamples than the command makes
    board, run = str(tmp_path / "board"), str(tiny_copy.path)
    assert cli(["leaderboard", "add", run, "--board", board, "--self-reported", "--no-diagnosis"]) == 0
    assert ": self-reported" in capsys.readouterr().err
    assert cli(["leaderboard", "add", run, "--board", board, "--self-reported"]) == 2
    assert "--replace" in capsys.readouterr().err
    assert cli(["leaderboard", "add", run, run, "--board", board, "--model", "baseline:freeze"]) == 2
    assert "belongs to one submission" in capsys.readouterr().err
