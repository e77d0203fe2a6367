"""Boards: what is refused, what ranks and their intervals say, and what the page shows."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from core_tables import MakeRun, lawfulness, make_core_run, scores
from slow_cases import others_slow
from tiny_board import without_reports

from physbench.cli.main import run as cli
from physbench.clips.suite import find_suite
from physbench.leaderboard.entries import Entry, _other_references, add, entries
from physbench.leaderboard.site import (
    RankedTable,
    ResampledSkill,
    build,
    kinds_of,
    percent,
    preview,
    rank,
    ranked_entries,
    ranked_with_free_constants,
    resampled_skill,
    unseen_kinds_of,
)
from physbench.leaderboard.submission import Submission, short_count
from physbench.result.bootstrap import resample
from physbench.result.build import build_result
from physbench.result.skill import Stratum
from physbench.score.protocol import AXES
from physbench.support.errors import UsageError
from physbench.support.files import read_packed, read_sealed_json, write_json, write_packed, write_sealed_json
from physbench.support.run_folder import RunFolder
from physbench.world.scene import PLAIN

pytestmark = pytest.mark.usefixtures("plain_reports")
FEW = 300  # resamples, where intervals are not looked at
ZERO_SHOT, ONE_IMAGE = RankedTable(PLAIN, "zero-shot"), RankedTable(PLAIN, "zero-shot", True)


def shows_events(run: RunFolder, share: float) -> RunFolder:
    """The run with events in its tables: in half of lawful futures, in a share of the model."""
    for source in ("model", "truth", "freeze", "constant-velocity"):
        place = run if source == "model" else run.reference(source)
        table = pd.read_parquet(place.scores)
        own = table[table["axis"] == "consistency"].assign(axis=None, quality=np.nan)
        seen = own.assign(reading="consistency/event-frequency.meeting", value=share if source == "model" else 1.0)
        chance = own.assign(reading="consistency/event-frequency.meeting-chance", value=0.5)
        pd.concat([table, seen, chance]).to_parquet(place.scores)
    return run


@pytest.mark.parametrize(
    ("explained", "broken", "message"),
    [
        (0.979, 0, "97.9% is explained"),
        (0.99, 23, "5% of the clips"),
        pytest.param(0.99, 200, "45% of the clips", marks=pytest.mark.slow),
        (0.981, 22, None),
    ],
)
def test_nobody_is_ranked_where_ground_truth_reads_as_broken(
    make_run: MakeRun, tmp_path: Path, explained: float, broken: int, message: str | None
) -> None:
    """448 clips: 22 of them are 4.9 %, 23 are 5.1 %."""
    run = make_run("small", 0.5)
    truth = pd.concat([scores(1.0, 0), lawfulness(explained, broken)])
    truth.to_parquet(run.reference("truth").scores)
    if message is None:
        assert add(run, tmp_path / "board", resamples=FEW).path.is_dir()
        return
    with pytest.raises(UsageError, match=f"64x64@15 with 8 context frames is not ranked.*{message}"):
        add(run, tmp_path / "board", resamples=FEW)
    assert not (tmp_path / "board").exists()


def test_models_of_states_have_a_board_of_their_own(make_run: MakeRun, tmp_path: Path) -> None:
    states = {"answers": "states", "columns": "all", "units": "m", "image_size": [128, 128], "context_frames": 1}
    frames, own = make_run("objects", 0.5), make_run("pulls", 0.7, **states)
    add(frames, tmp_path / "board", resamples=FEW)
    with pytest.raises(UsageError, match=r"answers with states, and .* answer with frames.*board of its own: --board"):
        add(own, tmp_path / "board", resamples=FEW)
    entry = add(own, tmp_path / "states", resamples=FEW)
    with pytest.raises(UsageError, match=r"answers with frames, and .* answer with states"):
        add(frames, tmp_path / "states", resamples=FEW)
    skill = {axis: found.skill for axis, found in entry.result.axes.items()}
    assert skill["permanence"] is None
    adds = [found.skill for found in entry.result.by_family.values()]
    assert entry.result.overall.skill == pytest.approx(sum(adds) / len(adds), abs=1e-6)
    page = build(tmp_path / "states", resamples=FEW).read_text()
    assert "mean of four families" in page and "object permanence" not in page and "1 state<" in page
    assert "object\n  permanence" in build(tmp_path / "board", resamples=FEW).read_text()


def test_a_table_that_repeats_a_row_is_not_added(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("twice", 0.5)
    truth = pd.read_parquet(run.reference("truth").scores)
    pd.concat([truth, truth.iloc[[-1]]]).to_parquet(run.reference("truth").scores)
    with pytest.raises(UsageError, match=f"truth/scores.parquet: .*1 of {len(truth) + 1} rows repeat another"):
        add(run, tmp_path / "board", resamples=FEW)
    assert not (tmp_path / "board").exists()


def test_ground_truth_that_cannot_be_read_is_unexplained(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("small", 0.5)
    truth = pd.concat([scores(1.0, 0), lawfulness(1.0, 0)], ignore_index=True)
    lost = truth["clip"].isin(row.id for row in find_suite("core").rows[:20])
    further = truth["reading"].str.startswith("consistency/shadowing.")
    of_scorer = lost & (truth["reading"] == "consistency/shadowing")
    truth.loc[of_scorer, ["status", "value", "quality"]] = "failed", None, 0.0
    truth[~(lost & further)].to_parquet(run.reference("truth").scores)
    with pytest.raises(UsageError, match=r"of ground truth 95\.5% is explained"):
        add(run, tmp_path / "board", resamples=FEW)


def test_equal_entries_share_ranks_and_better_ones_do_not() -> None:
    freeze, truth = scores(0.0, 0), scores(1.0, 0)
    tables = [scores(0.6, 1), scores(0.6, 2), scores(0.3, 3)]
    found = [resampled_skill({"model": t, "truth": truth, "freeze": freeze}, resamples=2000) for t in tables]
    assert found[0].skill == pytest.approx(tables[0]["quality"].groupby(tables[0]["axis"]).mean().mean(), abs=0.02)
    first, second, third = rank(found)
    assert {first.rank, second.rank} == {1, 2} and third.rank == 3
    assert (first.low, first.high) == (second.low, second.high) == (1, 2)
    assert (third.low, third.high) == (3, 3) and str(third) == "3" and str(first) == "1–2"


def test_pairing_tells_apart_what_intervals_alone_do_not() -> None:
    """Clips differ by 0.15, the two models by 0.01 on every clip: only the paired difference sees it."""
    base = scores(0.5, 1, noise=0.0)
    better = base.assign(quality=np.clip(base["quality"] + 0.01, 0, 1))
    freeze, truth = scores(0.0, 0), scores(1.0, 0)
    found = [resampled_skill({"model": t, "truth": truth, "freeze": freeze}, resamples=2000) for t in (base, better)]
    (low, high), (low_2, _) = (entry.resampled.interval(entry.rows) for entry in found)
    assert low < low_2 < high, "their own intervals overlap"
    worse, best = rank(found)
    assert (worse.low, worse.high, best.low, best.high) == (2, 2, 1, 1)


def test_rank_intervals_hold_the_true_order_as_often_as_they_say() -> None:
    """Three models whose true skills are equal: an interval must hold ranks 1 to 3 in at least 95 % of all suites."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(300):
        values = rng.normal(0.5, 0.2, (3, 1, 40))
        drawn = resample({Stratum("f/a", "test"): values[:, 0]}, resamples=600)
        rows = drawn.means[Stratum("f/a", "test")]
        ranks = rank([ResampledSkill(float(rows[0, k]), rows[:, k], drawn) for k in range(3)])
        wrong += ranks[0].low > 1 or ranks[0].high < 3
    assert wrong / 300 <= 0.09  # 5 % and what 300 tries and 600 resamples add


def test_add_computes_figures_again_and_replaces_the_same_model(make_run: MakeRun, tmp_path: Path) -> None:
    board, run = tmp_path / "board", make_run("toy", 0.6)
    write_json(run.result, {"schema_version": 1, "overall": {"skill": 0.99}})
    before = run.result.read_bytes()
    entry = add(run, board, resamples=FEW)
    assert entry.result.overall.skill is not None and 0.5 < entry.result.overall.skill < 0.7
    assert run.result.read_bytes() == before, "a run is not changed"
    with pytest.raises(UsageError, match=f"an entry of this model already: {entry.name}. Give --replace"):
        add(run, board, resamples=FEW)
    assert add(run, board, resamples=FEW, replace=True).name == entry.name and len(entries(board)) == 1
    assert add(run, board, resamples=FEW, replace=True).name == entry.name
    assert sum(file.stat().st_size for file in entry.path.iterdir()) < 1_000_000
    history = sorted((board / "history" / entry.name).iterdir())
    assert [path.name for path in history] == ["001", "002"], "the old ones are kept"
    assert all((path / "headlines.parquet").is_file() for path in history)


def test_an_entry_is_replaced_as_a_whole_or_not_at_all(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board, run = tmp_path / "board", make_run("toy", 0.6)
    entry = add(run, board, resamples=FEW)
    before = {path.name: path.read_bytes() for path in entry.path.iterdir()}

    def full(path: Path, document: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("physbench.leaderboard.entries.write_sealed_json", full)
        with pytest.raises(OSError, match="No space"):
            add(run, board, resamples=FEW, replace=True)
    assert {path.name: path.read_bytes() for path in entry.path.iterdir()} == before
    assert add(run, board, resamples=FEW, replace=True, submission=Submission("B")).about.submission.submitter == "B"
    assert [path.name for path in (board / "entries").iterdir()] == [entry.name], "nothing is left behind"


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ({"name": "smoke"}, "ran the suite smoke"),
        ({"hash": "0" * 64}, "--limit"),
        ({"local": True}, "physbench data verify"),
    ],
)
def test_add_refuses_what_cannot_be_ranked(
    make_run: MakeRun, tmp_path: Path, suite: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        add(make_run("toy", 0.6, suite=suite), tmp_path / "board", resamples=FEW)
    assert not (tmp_path / "board" / "entries").exists() or not list((tmp_path / "board" / "entries").iterdir())


def test_add_refuses_another_suite_version_beside_the_old_one(make_run: MakeRun, tmp_path: Path) -> None:
    board = tmp_path / "board"
    entry = add(make_run("toy", 0.6), board, resamples=FEW)
    document = json.loads(read_packed(entry.path / "result.json.gz"))
    document["suite"]["version"] += 1
    write_packed(entry.path / "result.json.gz", json.dumps(document))
    with pytest.raises(UsageError, match="another version"):
        add(make_run("other", 0.5), board, resamples=FEW)


class Page(HTMLParser):
    """What a page loads from elsewhere, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [str(value) for key, value in attrs if key in ("src", "srcset", "href") and value]


def test_the_page_is_self_contained_ranks_tracks_apart_and_escapes(make_run: MakeRun, tmp_path: Path) -> None:
    board = tmp_path / "board"
    add(make_run("best <script>alert(1)</script>", 0.8), board, resamples=FEW)
    add(make_run("second", 0.5, seed=2), board, resamples=FEW)
    add(make_run("learner", 0.7, seed=3, track="trained"), board, resamples=FEW)
    text = build(board, resamples=FEW).read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.tags.count("script") == 1 and page.tags.count("table") == 2
    for link in page.loads:
        assert link.startswith("data:") or (board / link).is_file(), link
    assert text.index("best &lt;script") < text.index("second") < text.index("learner")
    assert text == build(board, resamples=FEW).read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_an_image_cannot_show_has_a_board_of_its_own(make_run: MakeRun, tmp_path: Path) -> None:
    """Wrong gravity costs `light` its rank on the axis and nothing where it is free; `video` was shown it."""
    board = tmp_path / "board"
    add(make_run("light", 0.5, unseen=0.9), board, resamples=FEW)
    add(make_run("image", 0.6, seed=2, unseen=0.6), board, resamples=FEW)
    add(make_run("video", 0.9, seed=3), board, resamples=FEW)
    add(make_run("learner", 0.7, seed=4, unseen=0.7, track="trained"), board, resamples=FEW)
    found = entries(board)
    main, unseen = ranked_entries(found, FEW), ranked_with_free_constants(found, FEW)
    assert [line.result.model.name for line in main[ZERO_SHOT]] == ["video"]
    assert [line.result.model.name for line in main[ONE_IMAGE]] == ["image", "light"]
    assert [line.result.model.name for line in unseen[ONE_IMAGE]] == ["light", "image"]
    assert [str(line.rank) for line in unseen[ONE_IMAGE]] == ["1", "2"]
    learners = unseen[RankedTable(PLAIN, "trained", True)]
    assert [line.result.model.name for line in learners] == ["learner"] and len(unseen) == 2
    text = build(board, resamples=FEW).read_text(encoding="utf-8")
    own = text[text.index("What an image cannot show, left free") :]
    row = 'scope="row">'
    assert own.index(f"{row}light") < own.index(f"{row}image") < own.index(f"{row}learner") and f"{row}video" not in own
    assert "falling 0.90 [0.90, 0.90]" in own and "224 of 448" in own


@pytest.mark.slow
def test_what_an_image_cannot_show_is_ranked_by_what_add_computed(make_run: MakeRun, tmp_path: Path) -> None:
    """Two that are alike share ranks; the skill is that of the result, from the scores of falling and orbits."""
    board = tmp_path / "board"
    names = [add(make_run(f"m{k}", 0.5, seed=k, unseen=0.8), board, resamples=FEW).name for k in (1, 2)]
    found = ranked_with_free_constants(entries(board), 2000)[ONE_IMAGE]
    assert {line.entry.name for line in found} == set(names)
    assert [str(line.rank) for line in found] == ["1–2", "1–2"]
    for line in found:
        unseen = line.result.unseen_constants
        assert unseen is not None and unseen.clips == 224
        mine = resampled_skill(
            line.entry.unseen_tables(), resamples=FEW, fixed=unseen_kinds_of(line.result), axes=AXES[:1]
        )
        assert mine.skill == pytest.approx(unseen.consistency.skill, abs=1e-6)
        assert mine.skill == pytest.approx((2 * 0.8 + 2 * 0.5) / 4, abs=0.03)
        assert line.result.axes["consistency"].skill == pytest.approx(0.5, abs=0.03)


def test_baselines_take_no_rank_and_trained_references_do(make_run: MakeRun, tmp_path: Path) -> None:
    """The best of all sees hidden states: the models are ranked among themselves."""
    board = tmp_path / "board"
    for name, level, target, track in (
        ("freeze", 0.1, "baseline:freeze", "zero-shot"),
        ("objects", 0.8, "reference:objects", "trained"),
        ("objects untrained", 0.2, "untrained:objects", "zero-shot"),
        ("oracle", 0.9, "mine.py:make", "privileged"),
        ("first", 0.6, "mine.py:make", "zero-shot"),
        ("second", 0.4, "mine.py:other", "zero-shot"),
    ):
        run = make_run(name, level, track=track)
        manifest = json.loads(run.manifest.read_text())
        manifest["model"]["target"] = target
        write_json(run.manifest, manifest)
        add(run, board, resamples=FEW)
    tables = ranked_entries(entries(board), FEW)
    assert {
        table.track: [(row.result.model.name, str(row.rank)) for row in rows] for table, rows in tables.items()
    } == {
        "zero-shot": [("first", "1"), ("second", "2")],
        "trained": [("objects", "1")],
        "comparison": [("oracle", "None"), ("freeze", "None")],
        "untrained": [("objects untrained", "None")],
    }


def in_result(change: Callable[[dict], object]) -> Callable[[Entry], None]:
    """Change the result of an entry."""

    def changed(entry: Entry) -> None:
        document = json.loads(read_packed(entry.path / "result.json.gz"))
        change(document)
        write_packed(entry.path / "result.json.gz", json.dumps(document))

    return changed


def in_table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Entry], None]:
    """Change the qualities of an entry."""

    def changed(entry: Entry) -> None:
        path = entry.path / "headlines.parquet"
        change(pd.read_parquet(path)).to_parquet(path, index=False)

    return changed


def scaled(source: str, factor: float) -> Callable[[Entry], None]:
    return in_table(
        lambda table: table.assign(quality=table["quality"].where(table["source"] != source, table["quality"] * factor))
    )


@pytest.fixture(scope="module")
def two_entries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of two models of which a page can be built. Not to be changed."""
    place = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        without_reports(patch)
        for name, level in (("first", 0.6), ("a second", 0.4)):
            add(make_core_run(place, name, level), place / "board", resamples=FEW)
    build(place / "board", resamples=FEW)
    return place / "board"


HIGHER = in_result(lambda document: document["overall"].update(skill=document["overall"]["skill"] + 0.01))
GUARD = {"kind": "guard"}


@pytest.mark.parametrize(
    ("change", "hashed", "said"),
    others_slow(
        [
            (HIGHER, False, "result.json.gz is not the file that was added"),
            (scaled("model", 0.9), False, "headlines.parquet is not the file that was added"),
            (lambda entry: (entry.path / "report.html.gz").unlink(), False, "report.html.gz is not the file"),
            (lambda entry: (entry.path / "result.json.gz").unlink(), False, "holds no result.json.gz"),
            (lambda entry: (entry.path / "more.html").touch(), False, "holds more.html, which no entry has"),
            (lambda entry: entry.path.rename(entry.path.with_name("other-1")), False, "is a result of first-"),
            (HIGHER, True, "overall is 0.5979"),
            (scaled("model", 0.9), True, "from the clips"),
            (scaled("model", 5), True, "model has a quality outside of 0 to 1"),
            (scaled("truth", 0.9), True, "its truth is not that of"),
            (
                in_table(lambda table: pd.concat([table, table[table["source"] == "model"]])),
                True,
                "model has a reading twice",
            ),
            (
                in_table(lambda table: table[(table["clip"] != table["clip"][0]) | (table["source"] != "model")]),
                True,
                "model has 447 clips, the suite 448",
            ),
            (in_table(lambda table: table[table["source"] != "truth"]), True, "its truth is not that of"),
            (in_table(lambda table: table.assign(quality="high")), True, "do not belong together"),
            (in_result(lambda document: document["by_family"].clear()), True, "overall is made of"),
            (in_result(lambda document: document["tasks"].popitem()), True, "tasks, the suite 14"),
            (
                in_result(lambda document: document["tasks"]["orbits/kepler-v1"]["drift"].update(GUARD)),
                True,
                "drift of orbits/kepler-v1 counts as guard, and is informative",
            ),
            (
                in_result(lambda document: document["families"]["orbits"]["drift"].update(skill=0.99)),
                True,
                "drift of orbits is 0.99",
            ),
            (in_result(lambda document: document["suite"].update(version=99)), True, "another version of core"),
            (in_result(lambda document: document["model"].update(target="reference:x")), True, "is a result of first-"),
            (
                lambda entry: (entry.path / "report.html.gz").write_bytes(b"torn"),
                True,
                "report.html.gz: cannot be read",
            ),
        ],
        9,
    ),
)
def test_one_changed_number_of_an_entry_builds_no_board(
    two_entries: Path, tmp_path: Path, change: Callable[[Entry], None], hashed: bool, said: str
) -> None:
    """Neither what damage does, nor a skill that somebody changes who makes the hashes again."""
    board = shutil.copytree(two_entries, tmp_path / "board")
    (entry,) = (each for each in entries(board) if each.result.model.name == "first")
    change(entry)
    if hashed:
        about = entry.path / "about.json"
        named = read_sealed_json(about)["files"]
        files = {name: sha256((entry.path / name).read_bytes()).hexdigest() for name in named}
        write_sealed_json(about, read_sealed_json(about) | {"files": files})
    with pytest.raises(UsageError, match=said):
        build(board, resamples=FEW)


@pytest.mark.parametrize(
    ("source", "by", "said"),
    [
        ("freeze", 0.15, ""),
        ("freeze", 0.5, "its freeze is not that of first-"),
        ("truth", 1e-3, "its truth is not that of first-"),
    ],
)
def test_a_frozen_frame_of_another_processor_is_the_same(two_entries: Path, source: str, by: float, said: str) -> None:
    """One clip of a task, as a search through motion that breaks laws may end elsewhere; ground truth breaks none."""
    first, second = sorted(entries(two_entries), key=lambda each: each.result.model.name != "first")
    table = pd.read_parquet(first.path / "headlines.parquet")
    tables = {name: rows.drop(columns="source") for name, rows in table.groupby("source")}
    other = {name: rows.copy() for name, rows in tables.items()}
    at = other[source].index[other[source]["reading"] == "consistency/shadowing"][0]
    other[source].loc[at, "quality"] += by
    known: dict[Any, Any] = {}
    assert _other_references(first, tables, known) == ""
    assert _other_references(second, other, known).startswith(said or "its") is bool(said)


@pytest.mark.parametrize("files", [{}, {"result.json.gz": "0"}])
def test_an_entry_does_not_choose_which_files_are_checked(
    make_run: MakeRun, tmp_path: Path, files: dict[str, str]
) -> None:
    board = tmp_path / "board"
    about = add(make_run("toy", 0.6), board, resamples=FEW).path / "about.json"
    write_sealed_json(about, read_sealed_json(about) | {"files": files})
    with pytest.raises(UsageError, match=r"about\.json names other files than an entry has: headlines\.parquet"):
        build(board, resamples=FEW)


def test_the_page_shows_what_is_said_of_a_model(make_run: MakeRun, tmp_path: Path) -> None:
    board = tmp_path / "board"
    run = make_run("toy", 0.6)
    manifest = json.loads(run.manifest.read_text())
    write_json(run.manifest, manifest | {"started": "2026-11-22T08:00:00+00:00", "device": "cuda:0 (NVIDIA H200)"})
    said_of_it = Submission("A. <b>Author</b>", paper="https://example.org/p?a=1&b=2", parameters=1_300_000_000)
    add(run, board, resamples=FEW, submission=said_of_it)
    text = build(board, resamples=FEW).read_text(encoding="utf-8")
    for said in (
        "A. &lt;b&gt;Author",
        "1.3B parameters",
        "2026-11-22",
        "self-reported",
        "What no check excludes",
        "cuda:0 (NVIDIA H200)",
        "report.html",
    ):
        assert said in text, said
    assert '<a href="https://example.org/p?a=1&amp;b=2"' in text and "<b>Author" not in text
    table = pd.read_csv(board / "board.csv")
    (row,) = json.loads((board / "board.json").read_text())
    assert list(table.columns) == list(row)
    assert row["overall"] == pytest.approx(table["overall"][0]) == pytest.approx(entries(board)[0].result.overall.skill)
    assert (row["parameters"], row["submitter"], row["date"]) == (1_300_000_000, "A. <b>Author</b>", "2026-11-22")
    assert row["falling_consistency"] == entries(board)[0].result.families["falling"]["consistency"].skill
    add(run, board, resamples=FEW, replace=True)  # without a word
    assert entries(board)[0].about.submission.submitter == "A. <b>Author</b>"
    assert [short_count(n) for n in (7, 999_999, 999_999_999)] == ["7", "1M", "1B"]
    assert (
        row["badge"] == "self-reported"
        and row["code"] is None
        and row["rank_low"] == 1
        and (board / row["report"]).is_file()
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--paper", "javascript:alert(1)"), "expected a link"),
        (("--code", "file:///etc/passwd"), "expected a link"),
        (("--weights", "https://"), "expected a link"),
        (("--paper", 'https://example.org/"onclick=x'), "expected a link"),
        (("--submitter", "a\u202eb"), "printable"),
        (("--submitter", "a" * 301), "at most 300"),
        (("--parameters", "many"), "such as 350M"),
        (("--parameters", "-3"), "from 1 to"),
        (("--parameters", "nan"), "such as 350M"),
        (("--parameters", "1e300"), "from 1 to 1e+15"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], said: str
) -> None:
    run, board = make_run("toy", 0.6), tmp_path / "board"
    assert cli(["leaderboard", "add", str(run.path), "--board", str(board), *words]) == 2
    assert said in capsys.readouterr().err and not list(board.glob("entries/*"))


@pytest.mark.parametrize(
    "change",
    [
        {"date": 5},
        {"hardware": "\ud800"},
        {"submission": {"parameters": True}},
        {"submission": {"parameters": 10**400}},
        {"submission": {"paper": "javascript:x"}},
        {"submission": {"submitter": 3}},
        {"more": 1},
        {"files": {"../../secret": "0"}},
        {"files": {"report.html.gz": 0}},
        {"badge": "verified by nobody"},
        {"checks": [{"check": "rows", "outcome": "passed", "detail": "a\u202eb"}]},
        {"checks": [{"check": "rows"}]},
    ],
)
def test_a_damaged_description_of_an_entry_is_named(
    make_run: MakeRun, tmp_path: Path, change: dict[str, object]
) -> None:
    board = tmp_path / "board"
    path = add(make_run("toy", 0.6), board, resamples=FEW).path / "about.json"
    write_sealed_json(path, read_sealed_json(path) | change)
    with pytest.raises(UsageError, match=r"about\.json: cannot be read"):
        build(board, resamples=FEW)
    path.write_text("[" * 100_000)
    with pytest.raises(UsageError, match=r"about\.json: cannot be read"):
        build(board, resamples=FEW)


def test_links_belong_to_one_model(make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(make_run(name, 0.5).path) for name in ("a", "b")]
    assert cli(["leaderboard", "add", *runs, "--board", str(tmp_path / "board"), "--paper", "https://x.org"]) == 2
    assert "belong to one model" in capsys.readouterr().err


@pytest.mark.slow
def test_a_preview_changes_no_board(make_run: MakeRun, tmp_path: Path) -> None:
    """It shows the rank that the run would have, and stands for an entry of the same model."""
    board, out = tmp_path / "board", tmp_path / "pages" / "preview.html"
    theirs = make_run("theirs", 0.6)
    add(theirs, board, resamples=FEW)
    before = {path: path.read_bytes() for path in board.rglob("*") if path.is_file()}
    mine = make_run("mine", 0.7, seed=2)
    text = preview(mine, board, out, resamples=FEW).path.read_text(encoding="utf-8")
    assert text.index("your run, not on the board") < text.index("theirs") and text.count("<tbody>") == 1
    for link in re.findall('href="([^"]*report[^"]*)"', text):
        assert (out.parent / link).resolve().is_file()
    again = preview(theirs, board, out, resamples=FEW).path.read_text(encoding="utf-8")
    assert again.count('scope="row"') == 1
    assert {path: path.read_bytes() for path in board.rglob("*") if path.is_file()} == before
    assert preview(mine, tmp_path / "none", out, resamples=FEW).path.is_file() and not (tmp_path / "none").exists()
    (report,) = board.glob("entries/*/report.html")
    report.unlink()  # as after a clone
    assert "no report" not in preview(mine, board, out, resamples=FEW).path.read_text(encoding="utf-8")
    assert report.is_file()


@pytest.mark.slow
def test_any_two_entries_are_compared_and_can_be_cited(make_run: MakeRun, tmp_path: Path) -> None:
    """Differences are those of the skills, with intervals that hold 0 for equals, and names stay texts."""
    board = tmp_path / "board"
    for name, level, seed in (("a </script><b>", 0.7, 1), ("b_50%", 0.4, 2), ("c", 0.4, 4)):
        add(make_run(name, level, seed=seed), board, resamples=FEW, submission=Submission("A. {Author} & B"))
    (board / "note.txt").write_text("Toys <b>only</b>.\n", encoding="utf-8")
    page = build(board, resamples=FEW).read_text(encoding="utf-8")
    assert "Toys &lt;b&gt;only&lt;/b&gt;." in page and 'href="compare.html"' in page
    text = (board / "compare.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 2 and text.count("<script") == 2
    document = json.loads(text.partition('type="application/json">')[2].partition("</script>")[0])
    skills = [model["overall"][0] for model in document["models"]]
    assert skills == sorted(skills, reverse=True) and document["axes"][0] == ["consistency", "physical consistency"]
    for level, rows in document["differences"].items():
        assert [len(row) for row in rows] == [2, 1]
        of = [model["overall"] if level == "overall" else model["families"][level] for model in document["models"]]
        for i, row in enumerate(rows):
            for k, (value, low, high) in enumerate(row):
                assert value == pytest.approx(of[i][0] - of[i + 1 + k][0], abs=2e-4) and low <= value <= high
    (first, second), (equals,) = document["differences"]["overall"]
    assert first[1] > 0 and second[1] > 0 and equals[1] < 0 < equals[2]
    cited = (board / "board.bib").read_text(encoding="utf-8")
    assert (
        cited.count("@misc{physbench:") == 3
        and r"b\_50\% on physbench" in cited
        and r"A. \textbraceleft{}Author\textbraceright{} \& B" in cited
    )
    (board / "note.txt").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"note\.txt: cannot be read"):
        build(board, resamples=FEW)


def part_of(run: RunFolder, suite: str, family: str) -> RunFolder:
    """The run on another suite, or on one family alone."""
    manifest = json.loads(run.manifest.read_text())
    rows = [row for row in manifest["suite"]["rows"] if row["task"].startswith(family)]
    manifest["suite"] |= {"name": suite, "rows": rows}
    manifest["options"]["tasks"] = f"{family}*" if family else None
    write_json(run.manifest, manifest)
    for source in ("model", "truth", "freeze", "constant-velocity"):
        place = run if source == "model" else run.reference(source)
        table = pd.read_parquet(place.scores)
        table[table["task"].str.startswith(family)].to_parquet(place.scores)
    return run


@pytest.mark.parametrize(
    ("suite", "family", "said"),
    others_slow(
        [
            ("smoke", "", "ran the suite smoke; the board ranks core"),
            ("core", "falling/", "ran 128 clips of core"),
            ("fresh-core", "", "ran on fresh seeds"),
            ("core", "collisions/", "ran 96 clips of core"),
        ],
        2,
    ),
)
@pytest.mark.parametrize("others", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_preview_takes_any_finished_run(
    make_run: MakeRun,
    tmp_path: Path,
    suite: str,
    family: str,
    said: str,
    others: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that no board ranks stands in a table of its own, without a rank and with the reason."""
    board, out = tmp_path / "board", tmp_path / "preview.html"
    if others:
        add(make_run("theirs", 0.6), board, resamples=FEW)
    mine = part_of(make_run("mine", 0.7, seed=2), suite, family)
    assert cli(["leaderboard", "preview", str(mine.path), "--board", str(board), "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert text.count("<tbody>") == 1 + others and text.index("mine") < text.index("not rankable")
    assert f"Not rankable: {said}" in text
    printed = capsys.readouterr()
    assert f"Not rankable: {said}" in printed.err and printed.out.strip() == str(out.resolve())
    own = text[text.index("Your run") : text.index("</tbody>")]
    assert "95 % interval of the rank" not in own and ("theirs" in text) is others


@pytest.mark.slow
def test_a_preview_of_states_beside_frames(make_run: MakeRun, tmp_path: Path) -> None:
    add(make_run("theirs", 0.6), tmp_path / "board", resamples=FEW)
    states = {"answers": "states", "columns": "positions", "units": "m", "space": "plane", "layout": "flat"}
    written = preview(make_run("mine", 0.7, **states), tmp_path / "board", tmp_path / "page.html", resamples=FEW)
    assert "answers with states" in written.problem and "ranks models that answer with frames" in written.problem


def test_what_is_not_finished_has_no_preview(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run("mine", 0.6)
    run.scores.unlink()
    assert cli(["leaderboard", "preview", str(run.path), "--out", str(tmp_path / "page.html")]) == 2
    assert "the run is not finished: 0 of 448 samples are scored" in capsys.readouterr().err
    assert cli(["leaderboard", "preview", str(run.path), "--out", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert cli(["leaderboard", "preview", str(run.path), "--out", str(tmp_path / "page")]) == 2
    assert "page is the name of no page. Name a file such as" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


@pytest.mark.slow
def test_a_model_that_dodges_events_is_ranked_by_what_that_leaves(make_run: MakeRun, tmp_path: Path) -> None:
    """All of consistency is lost where no event is shown, on both boards, as in the result of the run."""
    board = tmp_path / "board"
    add(shows_events(make_run("dodges", 0.7, unseen=0.7), 0.0), board, resamples=FEW)
    add(shows_events(make_run("honest", 0.6, seed=2, unseen=0.6), 0.5), board, resamples=FEW)
    for lines in (ranked_entries(entries(board), FEW), ranked_with_free_constants(entries(board), FEW)):
        assert [line.result.model.name for line in lines[ONE_IMAGE]] == ["honest", "dodges"]
    for entry in entries(board):
        assert entry.result.unseen_constants is not None
        overall = resampled_skill(entry.tables(), resamples=FEW, fixed=kinds_of(entry.result))
        unseen = resampled_skill(
            entry.unseen_tables(), resamples=FEW, fixed=unseen_kinds_of(entry.result), axes=AXES[:1]
        )
        assert overall.skill == pytest.approx(entry.result.overall.skill, abs=1e-6)
        assert unseen.skill == pytest.approx(entry.result.unseen_constants.consistency.skill, abs=1e-6)
        lost = entry.result.model.name == "dodges"
        assert unseen.skill == pytest.approx(0.0 if lost else 0.6, abs=0.03)


@pytest.mark.slow
def test_a_board_without_unseen_constants_has_no_such_part(make_run: MakeRun, tmp_path: Path) -> None:
    board = tmp_path / "board"
    entry = add(make_run("video", 0.6), board, resamples=FEW)
    assert not (entry.path / "unseen.parquet").exists()
    assert "left free" not in build(board, resamples=FEW).read_text(encoding="utf-8")


def test_a_page_that_a_run_brings_never_comes_onto_the_board(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("toy", 0.6)
    run.report.write_text("<script>steal()</script><!doctype html><html>")
    text = add(run, tmp_path / "board", resamples=FEW).report.read_text(encoding="utf-8")
    assert "steal" not in text and "a report of toy" in text
    assert run.report.read_text().startswith("<script>"), "a run is not changed"


@pytest.mark.parametrize(("side", "ranked"), [(127, False), pytest.param(128, True, marks=pytest.mark.slow)])
def test_small_videos_take_no_rank(make_run: MakeRun, tmp_path: Path, side: int, ranked: bool) -> None:
    """Compression costs too much of a skill below 128 px; the page says why, and so does the run by itself."""
    board = tmp_path / "board"
    run = make_run("film", 0.6, image_size=[side, 160])
    manifest = json.loads(run.manifest.read_text())
    manifest["model"]["target"] = "videos:answers"
    write_json(run.manifest, manifest)
    add(run, board, resamples=FEW)
    assert [table.track for table in ranked_entries(entries(board), FEW)] == ["zero-shot" if ranked else "comparison"]
    assert ("no rank: videos below 128 px" in build(board, resamples=FEW).read_text()) is not ranked
    assert ("videos below 128 px" in build_result(run, resamples=FEW).note) is not ranked


def test_an_entry_that_was_interrupted_does_not_stand_in_the_way(make_run: MakeRun, tmp_path: Path) -> None:
    board = tmp_path / "board"
    (board / "entries" / "toy-00000000").mkdir(parents=True)
    add(make_run("toy", 0.6), board, resamples=FEW)
    assert len(entries(board)) == 1


def test_commands_and_their_errors(make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = str(tmp_path / "board")
    assert cli(["leaderboard", "build", "--board", board]) == 2
    assert "physbench leaderboard add RUN" in capsys.readouterr().err
    assert cli(["leaderboard", "add", str(tmp_path / "nothing"), "--board", board]) == 2
    assert cli(["leaderboard", "add", str(make_run("toy", 0.6).path), "--board", board]) == 2
    assert "is not added" in capsys.readouterr().err, "made-up scores"
    add(make_run("other", 0.6), tmp_path / "board", resamples=FEW)
    assert cli(["leaderboard", "build", "--board", board]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "board" / "index.html")


def test_bars_run_from_a_quarter_below_zero_to_one() -> None:
    assert percent(-1) == percent(-0.25) == 0 and percent(0) == 20 and percent(1) == percent(1.2) == 100


@pytest.mark.slow
def test_models_of_images_are_ranked_apart(make_run: MakeRun, tmp_path: Path) -> None:
    board = tmp_path / "board"
    add(make_run("video", 0.5), board, resamples=FEW)
    add(make_run("image", 0.6, seed=2, unseen=0.6), board, resamples=FEW)
    tables = ranked_entries(entries(board), FEW)
    assert list(tables) == [ZERO_SHOT, ONE_IMAGE]
    assert [str(row.rank) for rows in tables.values() for row in rows] == ["1", "1"]
    assert [table.title for table in tables] == ["Zero-shot", "Zero-shot, from one image"]
