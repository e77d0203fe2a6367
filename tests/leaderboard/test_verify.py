"""All checks together: an honest run passes, and seven well-formed forgeries do not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from slow_cases import others_slow
from tiny_board import FEW_DRAWS, QUICK, TINY_ROWS, with_changed_document

from physbench.cli.main import run as cli
from physbench.clips.suite import find_suite
from physbench.leaderboard.submission import write_archive
from physbench.leaderboard.verify import NotAdmittedError, admit, verified
from physbench.result.build import build_result
from physbench.result.document import write_document
from physbench.rollout.store import has_rollout, load_rollout
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import load_tracks, save_tracks

SECONDS = replace(QUICK, rescore=False)
Tables = dict[str, pd.DataFrame]


def outcomes(path: Path, how: object = QUICK) -> dict[str, tuple[str, str]]:
    with verified(path, how) as found:  # type: ignore[arg-type]
        return {each.check: (each.outcome, each.detail) for each in found.verification.verdicts}


def rewrite(run: RunFolder, change: Callable[[pd.DataFrame], pd.DataFrame], source: str = "model") -> None:
    """Change a score table, and write the aggregates that follow from it: a forgery that fits together."""
    place = run if source == "model" else run.reference(source)
    change(pd.read_parquet(place.scores)).to_parquet(place.scores, index=False)
    with suppress(UsageError):  # a run that lacks a clip has no aggregates
        write_document(run.result, build_result(run, resamples=FEW_DRAWS))


def test_an_honest_run_passes_all_checks(tiny_copy: RunFolder) -> None:
    """Every row of the references, and every row from tracks, is equal to the last bit."""
    found = outcomes(tiny_copy.path)
    assert found.pop("commitment")[0] == "not possible"
    assert {check: outcome for check, (outcome, _) in found.items()} == dict.fromkeys(
        (
            "documents", "clips", "ranges", "rows", "qualities", "aggregates", "ranking", "references", "tracks",
            "rollouts",
        ),
        "passed",
    )  # fmt: skip
    assert "equal to the last bit" in found["references"][1] and "equal to the last bit" in found["tracks"][1]
    assert found["rollouts"][1].startswith("4 rollouts decoded and tracked again")


def test_what_is_made_shows_the_rollouts_that_were_tracked_again(tiny_copy: RunFolder) -> None:
    """The report of an entry draws them; a rollout that was not sent is not there."""
    first, second = (row.id for row in TINY_ROWS[:2])
    tiny_copy.rollout(second).unlink()
    with verified(tiny_copy.path, QUICK) as found:
        assert found.folder is not None
        made, sent = (load_rollout(folder, first, 0) for folder in (found.folder, tiny_copy))
        assert made is not None and sent is not None and np.array_equal(made.frames, sent.frames)
        assert has_rollout(found.folder, first, 0) and not has_rollout(found.folder, second, 0)


def test_a_memory_may_have_been_published_since_the_run(tiny_copy: RunFolder) -> None:
    with_changed_document(tiny_copy.result, lambda document: document["beyond_memory"].update(reason="none then"))
    assert outcomes(tiny_copy.path, QUICK)["aggregates"][0] == "passed"


@pytest.mark.slow
def test_references_that_are_made_again_are_equal_to_the_last_bit(tiny_copy: RunFolder) -> None:
    found = outcomes(tiny_copy.path, replace(QUICK, cached_references=False))
    assert found["references"][0] == "passed" and "equal to the last bit" in found["references"][1]


def raised(quality: float) -> Callable[[RunFolder], None]:
    """All qualities of the model are set."""

    def change(run: RunFolder) -> None:
        rewrite(run, lambda table: table.assign(quality=table["quality"].where(table["quality"].isna(), quality)))

    return change


def copied_to_more_clips(run: RunFolder) -> None:
    """The rows of the four clips stand for all of core, with qualities of 1."""
    core = find_suite("core").rows

    def spread(table: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for first in range(0, len(core), len(TINY_ROWS)):
            names = {own.id: row for own, row in zip(TINY_ROWS, core[first:], strict=False)}
            rows = table["clip"].map(names)
            fields = {name: rows.map(lambda row, name=name: getattr(row, name)) for name in ("task", "split", "seed")}
            parts.append(table.assign(clip=rows.map(lambda row: row.id), **fields))
        return pd.concat(parts)

    for source in ("truth", "freeze", "constant-velocity", "model"):
        place = run if source == "model" else run.reference(source)
        spread(pd.read_parquet(place.scores)).to_parquet(place.scores, index=False)
    rows = [{"task": row.task, "split": row.split, "seed": row.seed} for row in core]
    with_changed_document(run.manifest, lambda document: document["suite"].update(rows=rows))


def further_samples(run: RunFolder) -> None:
    """The best clip's rows come again as a second sample."""
    rewrite(run, lambda table: pd.concat([table, table[table["clip"] == TINY_ROWS[0].id].assign(sample=1)]))


def lowered_freeze(run: RunFolder) -> None:
    """The frozen frame reads worse than it is: every value that makes a quality is what makes the least of it."""

    def lower(table: pd.DataFrame) -> pd.DataFrame:
        at = (table["reading"] == "drift/accuracy") & (table["status"] == "ok")
        worst = table.loc[at, "quality"].idxmin()
        for column in ("value", "quality"):
            table.loc[at, column] = table.loc[worst, column]
        return table

    rewrite(run, lower, "freeze")


def dropped_rows(run: RunFolder) -> None:
    """The worst clip is gone."""
    rewrite(run, lambda table: table[table["clip"] != TINY_ROWS[1].id])


def dropped_headline(run: RunFolder) -> None:
    """One headline reading does not apply any more, where ground truth has it."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        at = (table["reading"] == "permanence/intact") & (table["clip"] == TINY_ROWS[2].id)
        table.loc[at, ["value", "quality"]] = np.nan
        table.loc[at, "status"] = "not applicable"
        return table

    rewrite(run, change)


def dropped_headlines(sources: tuple[str, ...]) -> Callable[[RunFolder], None]:
    """No headline reading applies in the tables of these."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        at = table["axis"].notna()
        table.loc[at, ["value", "quality"]] = np.nan
        table.loc[at, "status"] = "not applicable"
        return table

    def forge(run: RunFolder) -> None:
        for source in sources:
            rewrite(run, change, source)

    return forge


def better_values(run: RunFolder) -> None:
    """Values and qualities of ground truth under the name of the model: all that needs no clip fits."""
    truth = pd.read_parquet(run.reference("truth").scores)
    rewrite(run, lambda _: truth)


def better_result(run: RunFolder) -> None:
    """Only the aggregate is better."""
    with_changed_document(run.result, lambda document: document["overall"].update(skill=0.99))


def invented_reading(run: RunFolder) -> None:
    """A further reading that no scorer gives stands beside the others."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        row = table[table["reading"] == "laws/gravity.sideways"]
        return pd.concat([table, row.assign(reading="laws/gravity.perfection", value=1.0)])

    rewrite(run, change)


def hidden_law(run: RunFolder) -> None:
    """A scorer that needs no package is said to be unavailable on one clip."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        at = table["reading"].str.startswith("laws/gravity") & (table["clip"] == TINY_ROWS[1].id)
        table.loc[at, "value"] = np.nan
        table.loc[at, "status"] = "unavailable"
        return table

    rewrite(run, change)


FORGERIES = {
    "qualities of 1": (raised(1.0), "qualities"),
    "qualities of 5": (raised(5.0), "ranges"),
    "rows copied to 448 clips": (copied_to_more_clips, "clips"),
    "extra samples": (further_samples, "rows"),
    "a lowered freeze reference": (lowered_freeze, "references"),
    "dropped rows": (dropped_rows, "rows"),
    "a headline that does not apply": (dropped_headline, "rows"),
    "headlines that never apply": (dropped_headlines(("model",)), "rows"),
    "headlines that apply to nobody": (dropped_headlines(("model", "truth", "freeze", "constant-velocity")), "rows"),
    "values of ground truth": (better_values, "tracks"),
    "an invented reading": (invented_reading, "rows"),
    "a law that is not available": (hidden_law, "ranges"),
    "another result": (better_result, "aggregates"),
}


ONE_OF_EACH_CHECK = list({check: name for name, (_, check) in reversed(FORGERIES.items())}.values())


@pytest.mark.parametrize("name", others_slow(FORGERIES, ONE_OF_EACH_CHECK))
def test_forgeries_fail_the_check_that_is_for_them(tiny_copy: RunFolder, name: str) -> None:
    forge, check = FORGERIES[name]
    forge(tiny_copy)
    found = outcomes(tiny_copy.path)
    assert [each for each, (outcome, _) in found.items() if outcome == "failed"][:1] == [check], found


def test_a_forgery_is_not_admitted(tiny_copy: RunFolder, tmp_path: Path, plain_reports: None) -> None:
    forge, check = FORGERIES["values of ground truth"]
    forge(tiny_copy)
    with pytest.raises(NotAdmittedError, match=f"is not added:\n  {check}: failed: "):
        admit(tiny_copy.path, tmp_path / "board", QUICK)
    assert not (tmp_path / "board" / "entries").exists()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"quality": 5.0}, "has a quality outside 0..1"),
        pytest.param({"value": np.inf}, "has a value that is not finite", marks=pytest.mark.slow),
        pytest.param({"value": np.nan}, "has a value without status ok, or ok without a value", marks=pytest.mark.slow),
        pytest.param({"status": "good"}, "has a status that there is not", marks=pytest.mark.slow),
        pytest.param(
            {"status": "unavailable", "value": np.nan},
            "has the status unavailable, and needs no package",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_value_out_of_range_is_named_in_one_line(tiny_copy: RunFolder, change: dict, what: str) -> None:
    """Columns of a table that pandas has methods of the same name for are read as columns (pandas-dev/pandas#26274)."""
    clip = TINY_ROWS[1].id

    def wrong(table: pd.DataFrame) -> pd.DataFrame:
        at = table.index[(table["reading"] == "drift/accuracy") & (table["clip"] == clip)][0]
        for column, value in change.items():
            table.loc[at, column] = value
        return table

    rewrite(tiny_copy, wrong)
    outcome, detail = outcomes(tiny_copy.path, SECONDS)["ranges"]
    assert outcome == "failed" and detail.startswith(f"drift/accuracy of model on {clip} {what} (value ")
    assert len(detail.splitlines()) == 1 and "bound method" not in detail


def test_a_headline_that_is_withheld_is_named(tiny_copy: RunFolder) -> None:
    """A board whose means leave out what was not scored ranks the incomplete higher: truera/trulens#2698."""
    dropped_headline(tiny_copy)
    assert outcomes(tiny_copy.path, SECONDS)["rows"][1] == (
        f"permanence/intact of model on {TINY_ROWS[2].id} is said to be not applicable, and ground truth has it"
    )


def not_scored(run: RunFolder) -> None:
    run.scores.unlink()


def no_reference(run: RunFolder) -> None:
    run.reference("freeze").scores.unlink()


def not_loaded(run: RunFolder) -> None:
    with_changed_document(run.manifest, lambda document: document["model"].pop("card"))


def a_shard(run: RunFolder) -> None:
    with_changed_document(run.manifest, lambda document: document["options"].update(shard="1/2"))
    run.scores.unlink()


@pytest.mark.parametrize(
    ("undo", "said"),
    [
        (not_scored, "0 of 4 samples are scored. Finish it with the same eval command and --resume."),
        (no_reference, "lacks the scores of freeze. Finish it with"),
        (not_loaded, "its model was not loaded yet. Finish it with"),
        (a_shard, "It is shard 1/2 of one: join all shards with physbench merge."),
    ],
)
def test_a_run_that_is_not_finished_is_named_with_the_command_that_finishes_it(
    tiny_copy: RunFolder, capsys: pytest.CaptureFixture[str], undo: Callable[[RunFolder], None], said: str
) -> None:
    shutil.rmtree(tiny_copy.path / "parts", ignore_errors=True)
    undo(tiny_copy)
    assert cli(["leaderboard", "verify", str(tiny_copy.path)]) == 2
    text = capsys.readouterr().err
    assert f"{tiny_copy.path}: the run is not finished" in text and said in text and "Errno" not in text


def test_a_submission_without_a_table_says_how_to_write_it_again(tiny_copy: RunFolder, tmp_path: Path) -> None:
    write_archive(tmp_path / "s.zip", {"manifest.json": tiny_copy.manifest})
    outcome, detail = outcomes(tmp_path / "s.zip", SECONDS)["documents"]
    assert outcome == "failed" and detail.startswith("scores.parquet is missing. Write the submission again: physbench")


@pytest.mark.slow
def test_tracks_of_other_frames_do_not_fit_the_rollouts(tiny_copy: RunFolder) -> None:
    """Tracks, scores and aggregates of ground truth fit together; only the enclosed frames say otherwise."""
    row = TINY_ROWS[1]
    truth = load_tracks(tiny_copy.reference("truth").tracks(row.id))
    save_tracks(tiny_copy.tracks(row.id), truth)
    scores = pd.read_parquet(tiny_copy.reference("truth").scores)
    theirs = scores["reading"].str.match("drift/(background|sharpness)|appearance/(lpips|persistence)")

    def change(table: pd.DataFrame) -> pd.DataFrame:
        framed = table["reading"].str.match("drift/(background|sharpness)|appearance/(lpips|persistence)")
        own = table["clip"] == row.id
        return pd.concat([table[~own | framed], scores[(scores["clip"] == row.id) & ~theirs]])

    rewrite(tiny_copy, change)
    found = outcomes(tiny_copy.path)
    assert found["tracks"][0] == "passed"
    assert found["rollouts"][0] == "failed" and "from the tracks that were sent" in found["rollouts"][1]


def test_nothing_expensive_is_begun_for_what_is_refused_anyway(
    tiny_copy: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("physbench.leaderboard.rescoring.reread", lambda job: pytest.fail("a clip was read again"))
    better_result(tiny_copy)
    assert outcomes(tiny_copy.path)["tracks"] == ("not possible", "an earlier check failed")


def test_what_is_not_there_is_said_and_does_not_fail(tiny_copy: RunFolder) -> None:
    for folder in ("tracks", "rollouts"):
        for path in (tiny_copy.path / folder).iterdir():
            path.unlink()
    tiny_copy.result.unlink()
    found = outcomes(tiny_copy.path)
    assert [check for check, (outcome, _) in found.items() if outcome == "not possible"] == [
        "commitment", "aggregates", "tracks", "rollouts",
    ]  # fmt: skip
    assert found["references"][0] == "passed"


def test_verify_says_what_it_found(
    tiny_copy: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_copy.result.unlink()  # it has fewer resamples than the command makes
    assert cli(["leaderboard", "verify", str(tiny_copy.path), "--quick"]) == 0
    text = capsys.readouterr().out
    assert "rows        passed" in text and text.endswith("Accepted: self-reported.\n")
    raised(1.0)(tiny_copy)
    assert cli(["leaderboard", "verify", str(tiny_copy.path), "--quick", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["accepted"] is False and document["badge"] is None
    assert {"check": "tracks", "outcome": "not possible", "detail": "an earlier check failed"} in document["checks"]


def test_verify_does_not_accept_what_add_refuses_to_rank(
    tiny_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All else about it is right: here `core` is the whole one, of which the run has four clips."""
    run = RunFolder(tmp_path / "run")
    shutil.copytree(tiny_run.path, run.path)
    run.result.unlink()
    part = find_suite("core", 4, ",".join(row.task for row in TINY_ROWS))

    def to_part(document: dict) -> None:
        document["suite"].update(version=part.version, hash=part.hash)
        document["options"].update(limit=4, tasks=",".join(row.task for row in TINY_ROWS))

    with_changed_document(run.manifest, to_part)
    assert cli(["leaderboard", "verify", str(run.path), "--quick"]) == 1
    text = capsys.readouterr().out
    why = f"ran 4 clips of {part.label} ({part.hash[:12]}); the board ranks all"
    assert "qualities   passed" in text and f"ranking     failed        not rankable: {why}" in text
    assert text.endswith("\nNot accepted.\n")
    assert cli(["leaderboard", "add", str(run.path), "--board", str(tmp_path / "board"), "--self-reported"]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "there is no such file"),
        (("--fresh-seeds", "4", "."), "need the model itself"),
        ((".",), "neither a submission nor a run"),
        (("--workers", "0", "."), "expected at least 1"),
        (("--draw", "12", "--model", "baseline:freeze", "."), "expected the 32 hexadecimal digits"),
        (("--draw", "0" * 32, "."), "need the model itself"),
    ],
)
def test_wrong_use_is_explained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli(["leaderboard", "verify", *words]) == 2
    assert said in capsys.readouterr().err


def test_an_unreadable_path_raises(tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"PK\x03\x04 no archive")
    with (
        pytest.raises(UsageError, match="is not a submission that can be read"),
        verified(tmp_path / "file.zip", SECONDS),
    ):
        pass
