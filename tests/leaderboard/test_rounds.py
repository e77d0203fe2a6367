"""Commitments that a board has answered: named as long as they are not met, by model and submitter."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_board import QUICK, with_changed_document

from physbench.leaderboard.check_tables import Verification, failed
from physbench.leaderboard.commitment import (
    Commitment,
    CommittedRollout,
    Round,
    challenge_file,
    changing,
    issue_challenge,
    read_document,
    round_file,
)
from physbench.leaderboard.eligibility import of_result
from physbench.leaderboard.entries import entries
from physbench.leaderboard.submission import commit, reveal
from physbench.leaderboard.verify import Checked, NotAdmittedError, admit, challenge, verified
from physbench.support.errors import UsageError
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("plain_reports", "warm_models")


def committed(run: RunFolder, place: Path, name: str, started: str) -> tuple[Path, Commitment]:
    """A submission with another commitment for each date: who wants another draw changes a byte."""
    with_changed_document(run.manifest, lambda document: document.update(started=started))
    return place / name, commit(run, place / name)


@pytest.mark.slow
def test_earlier_commitments_that_were_not_met_are_named(tiny_copy: RunFolder, tmp_path: Path) -> None:
    board = tmp_path / "board"
    first, one = committed(tiny_copy, tmp_path, "1.zip", "2026-11-20")
    assert challenge(first, board, "A. Author").remark == ""
    second, two = committed(tiny_copy, tmp_path, "2.zip", "2026-11-21")
    answered = challenge(second, board, "a. author")
    assert one.id != two.id
    assert answered.remark.startswith("this model has 1 other commitment on this board that was not met: " + one.id[:8])
    assert "(open)" in answered.remark
    with verified(second, replace(QUICK, rescore=False, board=board)) as found:
        assert found.verification.verdicts[5].check == "commitment"
        assert "1 other commitment on this board that was not met" in found.verification.verdicts[5].detail
        assert found.verification.verdicts[5].figures["unmet"] == [one.id]
    assert challenge(second, board, "A. Author").challenge == answered.challenge


@pytest.mark.slow
def test_other_submitters_and_commitments_that_were_met_are_not(tiny_copy: RunFolder, tmp_path: Path) -> None:
    board = tmp_path / "board"
    first, one = committed(tiny_copy, tmp_path, "1.zip", "2026-11-20")
    write_json(tmp_path / "c.json", challenge(first, board, "A. Author").challenge.model_dump(mode="json"))
    reveal(tiny_copy, tmp_path / "c.json", tmp_path / "revealed.zip")
    entry = admit(tmp_path / "revealed.zip", board, replace(QUICK, board=board), diagnosis=False)
    assert read_document(round_file(board, one.id), Round).outcome == "met"
    second, _ = committed(tiny_copy, tmp_path, "2.zip", "2026-11-21")
    assert challenge(second, board, "A. Author").remark == ""
    third, _ = committed(tiny_copy, tmp_path, "3.zip", "2026-11-22")
    assert challenge(third, board, "Somebody else").remark == ""
    fourth, _ = committed(tiny_copy, tmp_path, "4.zip", "2026-11-23")
    assert "2 other commitments" in challenge(fourth, board).remark, "who does not say a name may be either"
    assert [each.name for each in entries(board)] == [entry.name]


def test_a_round_that_fails_is_remembered(tiny_copy: RunFolder, tmp_path: Path) -> None:
    board = tmp_path / "board"
    first, one = committed(tiny_copy, tmp_path, "1.zip", "2026-11-20")
    challenge(first, board, "A. Author")
    with pytest.raises(NotAdmittedError, match="none was sent with its challenge"):
        admit(first, board, replace(QUICK, board=board), diagnosis=False)
    second, _ = committed(tiny_copy, tmp_path, "2.zip", "2026-11-21")
    assert f"{one.id[:8]} of " in (said := challenge(second, board, "A. Author").remark)
    assert said.endswith("(failed: commitment)")


def test_a_wrong_archive_on_the_board_fails_no_round(
    tiny_copy: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the one that was given to the command."""
    board = tmp_path / "board"
    first, one = committed(tiny_copy, tmp_path, "1.zip", "2026-11-20")
    challenge(first, board, "A. Author")
    wrong = Checked(Verification((failed("pictures", "of another archive"),)), None, None, one)
    monkeypatch.setattr("physbench.leaderboard.verify._check", lambda *args: wrong)
    with pytest.raises(NotAdmittedError, match="of another archive"):
        admit(first, board, replace(QUICK, board=board), diagnosis=False)
    assert read_document(round_file(board, one.id), Round).outcome == "open"


def test_what_the_board_does_not_rank_gets_no_challenge(
    tiny_copy: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = tmp_path / "board"
    entry = admit(tiny_copy.path, board, replace(QUICK, rescore=False), diagnosis=False)
    first, one = committed(tiny_copy, tmp_path, "1.zip", "2026-11-20")
    others = (replace(of_result(entry.result), states=True),)
    monkeypatch.setattr("physbench.leaderboard.verify.candidates", lambda board: others)
    with pytest.raises(UsageError, match="states"):
        challenge(first, board, "A. Author")
    assert not challenge_file(board, one.id).exists()


def test_two_that_ask_at_once_get_one_answer(tmp_path: Path) -> None:
    made = Commitment(files={}, rollouts={f"clip{k}.0": CommittedRollout(hash="0" * 32, steps=1) for k in range(448)})
    seeds: list[str] = []
    ready = threading.Barrier(8)

    def ask() -> None:
        ready.wait()
        seeds.append(issue_challenge(made, tmp_path / "board").seed)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seeds) == 8 and len(set(seeds)) == 1


def test_a_board_that_another_process_is_changing_is_waited_for_and_named(tmp_path: Path) -> None:
    with changing(tmp_path), pytest.raises(UsageError, match="Another process is changing"), changing(tmp_path, 0.1):
        pass
    with changing(tmp_path, 0.1):
        pass
