"""Boards of the natural look: which pictures they take, tables of their own, and what the look changes."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
from core_tables import MakeRun
from tiny_board import QUICK, make_tiny_run, stand_for_core, tiny_core, with_changed_document

from physbench.clips.clip import Clip, Row
from physbench.clips.packed import PackedClips, pack_clips
from physbench.clips.store import ClipStore
from physbench.clips.suite import Suite
from physbench.leaderboard.eligibility import Candidate, board_suite, refuse_ineligible
from physbench.leaderboard.entries import add, entries
from physbench.leaderboard.site import PICTURES, RankedTable, build, look_differences, ranked_entries
from physbench.leaderboard.verify import verified
from physbench.models.protocol import ModelCard
from physbench.result.compare import compare
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder
from physbench.world.scene import PLAIN, RenderSpec

pytestmark = pytest.mark.usefixtures("plain_reports")
NATURAL = {"look": "natural", "image_size": [256, 256], "fps": 16.0}
PUBLISHED, OTHER = "a" * 64, "b" * 64  # hashes of archives
FEW = 300  # resamples


@pytest.mark.parametrize(
    ("look", "view", "words"),
    [
        ("plain", "far", ""),
        ("plain", "near", ", view near"),
        ("plain", "moving", ", view moving"),
        ("natural", "far", ", look natural"),
        ("natural", "near", ", look natural, view near"),
        ("natural", "moving", ", look natural, view moving"),
    ],
)
def test_a_look_from_a_view_has_a_table_of_its_own(look: str, view: str, words: str) -> None:
    """All of them are ranked: an entry that stands in no table would vanish from the board."""
    picture = RenderSpec(64, 64, 15.0, look, view).picture
    assert PICTURES.count(picture) == 1
    assert RankedTable(picture, "trained").title == RankedTable(PLAIN, "trained").title + words


def test_every_look_and_view_is_ranked(make_run: MakeRun, tmp_path: Path) -> None:
    """As many tables as looks from views, each with its entry."""
    views = ("far", "near", "moving")
    for number, (look, view) in enumerate((look, view) for look in ("plain", "natural") for view in views):
        run = make_run("toy", 0.5, seed=number, folder=f"toy-{number}", **NATURAL | {"look": look, "view": view})
        add(run if look == "plain" else on_archive(run, PUBLISHED), tmp_path / "board", resamples=FEW)
    found = entries(tmp_path / "board")
    assert [table.look for table in ranked_entries(found, FEW)] == list(PICTURES) and len(found) == len(PICTURES)


def on_archive(run: RunFolder, sha256: str) -> RunFolder:
    """The run, rolled out on the clips of an archive."""
    with_changed_document(run.manifest, lambda said: said.update(clips={"file": "core.clips", "sha256": sha256}))
    return run


def test_looks_have_tables_of_their_own(make_run: MakeRun, tmp_path: Path) -> None:
    board = tmp_path / "board"
    plain = {"image_size": [256, 256], "fps": 16.0}
    for name, level, seed in (("steady", 0.6, 1), ("startled", 0.7, 2)):
        run = make_run(name, level, seed=seed, **plain)
        add(run, board, resamples=FEW)
        lower = {"steady": 0.6, "startled": 0.4}[name]
        lit = on_archive(make_run(name, lower, seed=seed, folder=f"{name}-lit", **NATURAL), PUBLISHED)
        add(lit, board, resamples=FEW)
    alone = on_archive(make_run("alone", 0.5, seed=4, **NATURAL), PUBLISHED)
    add(alone, board, resamples=FEW)

    (told,) = compare(
        *(RunFolder(tmp_path / "runs" / name) for name in ("startled", "startled-lit")), resamples=FEW
    ).against

    found = entries(board)
    tables = ranked_entries(found, FEW)
    assert [[row.result.model.name for row in rows] for rows in tables.values()] == [
        ["startled", "steady"],
        ["steady", "alone", "startled"],
    ]
    assert list(tables) == [RankedTable(PLAIN, "zero-shot"), RankedTable("natural", "zero-shot")]
    assert [str(row.rank) for row in tables[RankedTable("natural", "zero-shot")]] == ["1", "2", "3"]

    startled, steady = look_differences(found, FEW)
    assert (startled.model, steady.model) == ("startled", "steady"), "the largest loss first; one look alone has none"
    assert startled.value == pytest.approx(-0.3, abs=0.03) and abs(steady.value) < 0.01
    assert told.overall.ahead == pytest.approx(startled.value, abs=1e-6), "compare says the same of the two runs"
    assert told.overall.interval == pytest.approx(startled.interval, abs=1e-6)
    low, high = startled.interval
    assert low < startled.value < high < 0
    widths = [each.interval[1] - each.interval[0] for each in (startled.plain, startled.other) if each.interval]
    assert len(widths) == 2 and high - low < 0.8 * math.hypot(*widths), "hard clips are hard in both looks"
    low, high = steady.interval
    assert low <= steady.value <= high and high - low < 0.02, "equal qualities: only which tasks count is another"

    page = build(board, resamples=FEW).read_text()
    own = page[page.index("What the look changes") :]
    assert own.index("startled") < own.index("steady") and "alone" not in own[: own.index("</section>")]
    assert "Zero-shot, look natural" in page
    with (board / "board.csv").open() as file:
        rows = {(row["model"], row["look"]): row["less_plain"] for row in csv.DictReader(file)}
    assert rows["startled", "plain"] == rows["alone", "natural"] == ""
    assert float(rows["startled", "natural"]) == pytest.approx(startled.value)


def test_a_board_without_other_looks_does_not_speak_of_them(make_run: MakeRun, tmp_path: Path) -> None:
    add(make_run("toy", 0.6), tmp_path / "board", resamples=FEW)
    page = build(tmp_path / "board", resamples=FEW).read_text()
    assert "What the look changes" not in page and "natural" not in page


def test_pictures_of_its_own_machine_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"its own machine has drawn.*eval --clips"):
        add(make_run("toy", 0.6, **NATURAL), tmp_path / "board", resamples=FEW)
    assert not (tmp_path / "board").exists()


def test_a_board_keeps_to_one_archive_of_a_size() -> None:
    core = board_suite()
    common = {"suite": core.name, "version": core.version, "hash": core.hash, "clips": len(core.rows)}
    one = Candidate(
        "one", **common, provisional=False, local=False, states=False,
        look="natural", archive=PUBLISHED, spec="256x256@16-natural",
    )  # fmt: skip
    board = Path("board")
    with pytest.raises(
        UsageError, match=f"archive {OTHER[:12]}, and board ranks 256x256@16-natural on .*{PUBLISHED[:12]}"
    ):
        refuse_ineligible(Path("run"), replace(one, name="two", archive=OTHER), board, [one])
    refuse_ineligible(Path("run"), replace(one, archive=OTHER), board, [one])  # which takes its place
    refuse_ineligible(Path("run"), replace(one, archive=OTHER, spec="128x128@16-natural"), board, [one])
    refuse_ineligible(Path("run"), replace(one, look=PLAIN, archive="", spec="256x256@16"), board, [one])


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, PackedClips, PackedClips]:
    """A run on two clips of orbits in the natural look, its archive, and one of which a pixel differs."""
    for package in ("mitsuba", "mitsuba_oidn"):
        pytest.importorskip(package)
    place = tmp_path_factory.mktemp("night")
    spec = RenderSpec(192, 192, 8.0, "natural")
    suite = tiny_core((Row("orbits/kepler-v1", "test", 0), Row("orbits/flyby-v1", "test", 0)))
    store = ClipStore()
    pack_clips(suite, spec, lambda row: store.get(row, spec), place / "published.clips")
    published = PackedClips(place / "published.clips")

    def altered(row: Row) -> Clip:
        clip = published.get(row, spec)
        clip.frames[0, 0, 0] ^= 1
        return clip

    pack_clips(suite, spec, altered, place / "other.clips")
    run = RunFolder(place / "run")
    make_tiny_run(run, suite, ModelCard("constant-velocity", (192, 192), 8.0, 8, look="natural"))
    return on_archive(run, published.sha256), published, PackedClips(place / "other.clips")


@pytest.fixture
def night_suite(monkeypatch: pytest.MonkeyPatch) -> Suite:
    """While a test runs, `core` is that of `night`."""
    suite = tiny_core((Row("orbits/kepler-v1", "test", 0), Row("orbits/flyby-v1", "test", 0)))
    stand_for_core(suite, monkeypatch)
    return suite


def outcomes(path: Path, archive: PackedClips | None) -> dict[str, str]:
    with verified(path, replace(QUICK, cached_references=False, archive=archive)) as found:
        return {each.check: each.outcome for each in found.verification.verdicts}


@pytest.mark.slow
def test_a_run_is_checked_with_the_pictures_of_the_archive(
    night: tuple[RunFolder, PackedClips, PackedClips], night_suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, published, _ = night
    monkeypatch.setattr(ClipStore, "get", lambda *_: pytest.fail("a clip that this machine has drawn"))
    found = outcomes(run.path, published)
    assert found["pictures"] == found["references"] == found["tracks"] == found["rollouts"] == "passed"


@pytest.mark.slow
def test_pictures_of_another_archive_fail(
    night: tuple[RunFolder, PackedClips, PackedClips], night_suite: Suite, tmp_path: Path
) -> None:
    run, published, other = night
    found = outcomes(run.path, other)
    assert found["pictures"] == "failed" and "references" not in found, "nothing expensive is begun"
    with pytest.raises(UsageError, match=f"archive {published.sha256[:12]}.*--clips FILE"):
        outcomes(run.path, None)
