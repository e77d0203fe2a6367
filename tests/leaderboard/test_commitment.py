"""The round of commit, challenge and reveal, what breaks it, and commitments that a board has answered."""

from __future__ import annotations

import json
import shutil
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tiny_board import QUICK, TINY_ROWS, with_changed_document

from physbench.cli.main import run as cli
from physbench.leaderboard.check_tables import Verification, failed
from physbench.leaderboard.commitment import (
    Commitment,
    CommittedRollout,
    Round,
    challenge_file,
    changing,
    chosen_rollouts,
    issue_challenge,
    read_document,
    round_file,
)
from physbench.leaderboard.eligibility import of_result
from physbench.leaderboard.entries import entries
from physbench.leaderboard.submission import commit, opened_submission, reveal, write_archive
from physbench.leaderboard.verify import Checked, NotAdmittedError, admit, challenge, verified
from physbench.rollout.store import frames_hash, read_video, write_video
from physbench.support.errors import UsageError
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

QUICKER = replace(QUICK, rescore=False)


def verdict(path: Path, check: str, how: object = QUICKER) -> tuple[str, str]:
    with verified(path, how) as found:  # type: ignore[arg-type]
        return next((v.outcome, v.detail) for v in found.verification.verdicts if v.check == check)


@pytest.fixture
def asked(tiny_copy: RunFolder, tmp_path: Path) -> Path:
    """A commitment that the board has answered: board, submission.zip and challenge.json lie here."""
    commit(tiny_copy, tmp_path / "submission.zip")
    made = challenge(tmp_path / "submission.zip", tmp_path / "board", "A. Author").challenge
    write_json(tmp_path / "challenge.json", made.model_dump(mode="json"))
    return tmp_path


@pytest.mark.usefixtures("warm_models")
def test_a_whole_round(tiny_copy: RunFolder, asked: Path, plain_reports: None) -> None:
    board, revealed = asked / "board", asked / "revealed.zip"
    commit(tiny_copy, asked / "again.zip")
    assert (asked / "again.zip").read_bytes() == (asked / "submission.zip").read_bytes()
    shown = reveal(tiny_copy, asked / "challenge.json", revealed)
    assert len(shown.rollouts) == 1, "a tenth of four, rounded up"
    entry = admit(revealed, board, replace(QUICK, board=board), diagnosis=False)
    assert entry.about.badge == "re-scored"
    assert entry.about.checked("rollouts").startswith("1 rollout decoded and tracked again")
    assert "4 rollouts as committed" in entry.about.checked("commitment")
    assert entry.result.overall.skill is not None
    with zipfile.ZipFile(asked / "submission.zip") as archive:
        assert not [name for name in archive.namelist() if name.startswith("rollouts/")]
        assert str(tiny_copy.path) not in archive.read("manifest.json").decode(), "no paths of the submitter"


@pytest.mark.usefixtures("warm_models")
def test_the_board_answers_a_commitment_once(tiny_copy: RunFolder, asked: Path) -> None:
    """Whoever does not like the choice cannot ask for another one."""
    first = json.loads((asked / "challenge.json").read_text())
    assert challenge(asked / "submission.zip", asked / "board").challenge.seed == first["seed"]
    assert challenge(asked / "submission.zip", asked / "other").challenge.seed != first["seed"]


@pytest.mark.usefixtures("warm_models")
def test_the_seed_chooses_a_tenth_that_no_one_can_foresee() -> None:
    rollouts = {f"clip{k}.0": CommittedRollout(hash="0" * 32, steps=int(k % 7 > 0)) for k in range(448)}
    made = Commitment(files={}, rollouts=rollouts)
    one, two = (chosen_rollouts(made, seed * 64) for seed in "ab")
    there = sum(rollout.steps for rollout in rollouts.values())
    assert len(one) == len(two) == -(-there // 10) and len(set(one) & set(two)) < len(one) / 2
    assert all(rollouts[name].steps for name in one), "a rollout that failed shows nothing"
    other = Commitment(files={"scores.parquet": "1" * 64}, rollouts=rollouts)
    assert chosen_rollouts(other, "a" * 64) != one, "another commitment, another choice"


@pytest.mark.usefixtures("warm_models")
def test_a_run_that_kept_some_rollouts_cannot_commit(tiny_copy: RunFolder, tmp_path: Path) -> None:
    path = tiny_copy.rollout(TINY_ROWS[1].id)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"projectile-v1.test.0.0 is damaged. Run it with eval --for-board"):
        commit(tiny_copy, tmp_path / "s.zip")
    path.with_suffix(".json").unlink()
    with pytest.raises(UsageError, match=r"was not kept.*eval --for-board"):
        commit(tiny_copy, tmp_path / "s.zip")
    assert not (tmp_path / "s.zip").exists()


@pytest.mark.usefixtures("warm_models")
def test_a_changed_run_does_not_fit_its_challenge(tiny_copy: RunFolder, asked: Path) -> None:
    with_changed_document(tiny_copy.result, lambda document: document["overall"].update(skill=0.5))
    with pytest.raises(UsageError, match="another commitment"):
        reveal(tiny_copy, asked / "challenge.json", asked / "s.zip")


def repacked(source: Path, target: Path, place: Path, change: object) -> None:
    """An archive with files that are changed in a folder in between."""
    with opened_submission(source) as folder:
        shutil.copytree(folder.path, place)
    change(RunFolder(place))  # type: ignore[operator]
    write_archive(target, {p.relative_to(place).as_posix(): p for p in place.rglob("*") if p.is_file()})


@pytest.mark.usefixtures("warm_models")
def test_what_was_not_committed_is_found(tiny_copy: RunFolder, asked: Path) -> None:
    """Other frames for a rollout that was asked for; a file that was changed; a challenge of one's own; none at all."""
    board, revealed = asked / "board", asked / "revealed.zip"
    shown = reveal(tiny_copy, asked / "challenge.json", revealed)
    name = shown.rollouts[0]

    def other_frames(run: RunFolder) -> None:
        path = run.path / "rollouts" / f"{name}.mkv"
        frames = read_video(path).copy()
        frames[-1] = 255 - frames[-1]
        assert frames_hash(frames) != frames_hash(read_video(path))
        write_video(path, frames, 15)

    def own_challenge(run: RunFolder) -> None:
        with_changed_document(run.path / "challenge.json", lambda document: document.update(seed="0" * 64))

    def no_rollout(run: RunFolder) -> None:
        shutil.rmtree(run.path / "rollouts")

    def other_tracks(run: RunFolder) -> None:
        shutil.copy(run.tracks(TINY_ROWS[0].id), run.tracks(TINY_ROWS[1].id))

    def one_rollout_less(run: RunFolder) -> None:
        with_changed_document(run.path / "commitment.json", lambda document: document["rollouts"].popitem())

    def no_challenge(run: RunFolder) -> None:
        (run.path / "challenge.json").unlink()

    for number, (change, check, said) in enumerate(
        (
            (no_challenge, "commitment", "the board has asked for 1 rollout"),
            (other_frames, "rollouts", "is not the rollout that was committed"),
            (no_rollout, "rollouts", "was asked for and is not there"),
            (own_challenge, "commitment", "not one that this board has issued"),
            (other_tracks, "commitment", "is not the one that was committed"),
            (one_rollout_less, "commitment", "names 3 rollouts, the run has 4"),
        )
    ):
        path = asked / f"{number}.zip"
        repacked(revealed, path, asked / f"place{number}", change)
        outcome, detail = verdict(path, check, replace(QUICK, board=board))
        assert outcome == "failed" and said in detail, (check, detail)
    assert verdict(revealed, "commitment", replace(QUICKER, board=asked / "none"))[0] == "failed"


@pytest.mark.usefixtures("warm_models")
def test_a_rollout_with_readings_cannot_be_committed_as_failed(asked: Path) -> None:
    """Nobody would ask for it."""

    def hidden(run: RunFolder) -> None:
        def hide(document: dict) -> None:
            document["rollouts"][f"{TINY_ROWS[0].id}.0"]["steps"] = 0

        with_changed_document(run.path / "commitment.json", hide)

    repacked(asked / "submission.zip", asked / "hidden.zip", asked / "place", hidden)
    outcome, detail = verdict(asked / "hidden.zip", "commitment")
    assert outcome == "failed" and "was committed as failed, and has readings" in detail


@pytest.mark.usefixtures("warm_models")
def test_a_forged_submission_gets_no_challenge(tiny_copy: RunFolder, tmp_path: Path) -> None:
    with_changed_document(tiny_copy.result, lambda document: document["overall"].update(skill=0.5))
    commit(tiny_copy, tmp_path / "s.zip")
    with pytest.raises(NotAdmittedError, match=r"aggregates: failed: overall\.skill: '0\.5' was sent"):
        challenge(tmp_path / "s.zip", tmp_path / "board")
    with pytest.raises(UsageError, match="holds no commitment"):
        tiny_copy.result.unlink()
        challenge(tiny_copy.path, tmp_path / "board")


@pytest.mark.usefixtures("warm_models")
def test_commands(tiny_copy: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_copy.result.unlink()  # it has fewer resamples than the commands make
    run, out, board, sent = (str(p) for p in (tiny_copy.path, tmp_path / "s.zip", tmp_path / "b", tmp_path / "c.json"))
    assert cli(["leaderboard", "submit", run, "--commit", "--out", out]) == 0
    assert cli(["leaderboard", "challenge", out, "--board", board, "--out", sent]) == 0
    assert cli(["leaderboard", "submit", run, "--reveal", sent, "--out", out]) == 0
    said = capsys.readouterr().err
    assert "Committed to 4 rollouts" in said and "With 1 rollouts that the board has asked for" in said
    for words, expected in (
        (["submit", run, "--out", out], "--commit or --reveal"),
        (["submit", run, "--commit", "--reveal", sent, "--out", out], "--commit or --reveal"),
        (["submit", run, "--commit", "--out", str(tmp_path)], "is a folder"),
        (["submit", str(tmp_path), "--commit", "--out", out], "is not a run"),
        (["submit", run, "--reveal", str(tiny_copy.manifest), "--out", out], "manifest.json: "),
        (["challenge", run, "--board", board], "holds no commitment"),
    ):
        assert cli(["leaderboard", *words]) == 2
        assert expected in capsys.readouterr().err


def smoke(document: dict) -> None:
    document["suite"].update(name="smoke")


def three_clips(document: dict) -> None:
    document["suite"]["rows"].pop()


def local(document: dict) -> None:
    document["suite"]["local"] = True


def fresh(document: dict) -> None:
    document["suite"].update(name="fresh-core", fresh={"salt": "x"})


@pytest.mark.usefixtures("warm_models")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (smoke, "ran the suite smoke; the board ranks core. Run eval --suite core."),
        (three_clips, "expected the 4 clips of core, got 3"),
        (local, "the run is marked local: its machine does not reproduce the states of the suite"),
        (fresh, "ran on fresh seeds. The board ranks models on the same clips"),
    ],
)
@pytest.mark.parametrize("step", ["--commit", pytest.param("--reveal", marks=pytest.mark.slow)])
def test_a_run_that_no_board_ranks_is_not_committed(
    tiny_copy: RunFolder, asked: Path, capsys: pytest.CaptureFixture[str], change: object, said: str, step: str
) -> None:
    """It would be found only once the board is asked for its challenge."""
    with_changed_document(tiny_copy.manifest, change)  # type: ignore[arg-type]
    words = [step] if step == "--commit" else [step, str(asked / "challenge.json")]
    out = asked / "new.zip"
    assert cli(["leaderboard", "submit", str(tiny_copy.path), *words, "--out", str(out)]) == 2
    assert f"{tiny_copy.path}: {said}" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.usefixtures("warm_models")
def test_a_size_at_which_truth_is_not_lawful_is_not_committed(tiny_copy: RunFolder, tmp_path: Path) -> None:
    place = tiny_copy.reference("truth").scores
    table = pd.read_parquet(place)
    explained = table["reading"] == "consistency/shadowing.explained"
    table.assign(value=table["value"].where(~explained, 0.5)).to_parquet(place)
    with pytest.raises(UsageError, match="64x64@15 with 8 context frames is not ranked"):
        commit(tiny_copy, tmp_path / "s.zip")


@pytest.mark.usefixtures("warm_models")
@pytest.mark.parametrize(
    "words", [("--limit", "4"), ("--tasks", "falling/*"), ("--scorers", "laws/*"), ("--fresh-seeds", "2")]
)
def test_a_run_for_a_board_is_whole(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["eval", "baseline:freeze", "--for-board", *words]) == 2
    assert f"Leave out {words[0]}" in capsys.readouterr().err


@pytest.mark.usefixtures("warm_models")
def test_a_run_for_a_board_in_another_look_names_the_archive(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["eval", "baseline:freeze", "--for-board", "--look", "natural"]) == 2
    assert "Give it: --clips FILE" in capsys.readouterr().err


ASKS_FOR_A_LOOK = """
from physbench import ModelCard

class Still:
    card = ModelCard("still", (64, 64), 15.0, 8, look="natural")

    def rollout(self, context, *, horizon, **_):
        return context[:, -1:].repeat(1, horizon, 1, 1, 1)

def make(device, dtype):
    return Still()
"""


@pytest.mark.usefixtures("warm_models")
@pytest.mark.slow
def test_a_model_that_asks_for_another_look_is_stopped_before_it_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "still.py").write_text(ASKS_FOR_A_LOOK)
    out = tmp_path / "run"
    assert cli(["eval", f"{tmp_path / 'still.py'}:make", "--for-board", "--suite", "smoke", "--out", str(out)]) == 2
    assert "in the look natural only on the archive" in capsys.readouterr().err
    assert not any(out.rglob("*.mkv"))


def committed(run: RunFolder, place: Path, name: str, started: str) -> tuple[Path, Commitment]:
    """A submission with another commitment for each date: who wants another draw changes a byte."""
    with_changed_document(run.manifest, lambda document: document.update(started=started))
    return place / name, commit(run, place / name)


@pytest.mark.usefixtures("plain_reports", "warm_models")
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


@pytest.mark.usefixtures("plain_reports", "warm_models")
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


@pytest.mark.usefixtures("plain_reports", "warm_models")
def test_a_round_that_fails_is_remembered(tiny_copy: RunFolder, tmp_path: Path) -> None:
    board = tmp_path / "board"
    first, one = committed(tiny_copy, tmp_path, "1.zip", "2026-11-20")
    challenge(first, board, "A. Author")
    with pytest.raises(NotAdmittedError, match="none was sent with its challenge"):
        admit(first, board, replace(QUICK, board=board), diagnosis=False)
    second, _ = committed(tiny_copy, tmp_path, "2.zip", "2026-11-21")
    assert f"{one.id[:8]} of " in (said := challenge(second, board, "A. Author").remark)
    assert said.endswith("(failed: commitment)")


@pytest.mark.usefixtures("plain_reports", "warm_models")
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


@pytest.mark.usefixtures("plain_reports", "warm_models")
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


@pytest.mark.usefixtures("plain_reports", "warm_models")
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


@pytest.mark.usefixtures("plain_reports", "warm_models")
def test_a_board_that_another_process_is_changing_is_waited_for_and_named(tmp_path: Path) -> None:
    with changing(tmp_path), pytest.raises(UsageError, match="Another process is changing"), changing(tmp_path, 0.1):
        pass
    with changing(tmp_path, 0.1):
        pass
