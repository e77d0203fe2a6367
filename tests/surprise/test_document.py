"""From stored parts to result.json, the words on a terminal and the page, with surprises that are made up by a rule."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from physbench.cli import main
from physbench.leaderboard.claim import read_claim
from physbench.models.protocol import StateCard, card_document
from physbench.result.document import AxisResult, PairShare, ResultDocument, SkillValue, read_result
from physbench.result.manifest import read_manifest
from physbench.support.errors import UsageError
from physbench.support.files import write_sealed_json
from physbench.support.run_folder import RunFolder
from physbench.surprise import document as documents
from physbench.surprise import physicist, report
from physbench.surprise.ask import UNTRAINED, PairReading
from physbench.surprise.clip_films import PIXEL_BASELINES, STATE_BASELINES
from physbench.surprise.document import (
    agreement,
    pairs_of,
    print_skill_and_notice,
    rewrite_expectation,
    skill_and_notice,
)
from physbench.surprise.films import POSSIBLE
from physbench.surprise.pairs import IMPOSSIBLE_KINDS, FilmPair, find_pairs, pairs_hash, shown_in_states
from physbench.surprise.physicist import clip_strengths, physicist_table
from physbench.surprise.readings import expectation_result
from physbench.surprise.report import (
    expectation_sentences,
    print_expectation,
    print_thresholds,
    shows_films,
    threshold_table,
)
from physbench.world.scene import RenderSpec

SPEC = RenderSpec(64, 64, 15.0)
KINDS_SHOWN = "teleport,gravity,vanish,return-hue"
TIMES = [-0.4, -0.2, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
CARD = {
    "name": "made <up>",
    "image_size": [64, 64],
    "fps": 15,
    "context_frames": 8,
    "max_horizon": None,
    "uses_actions": False,
    "uses_prompt": False,
    "stochastic": False,
    "repeat_first": False,
    "track": "zero-shot",
    "training_clips": None,
}


def surprise(pair: FilmPair) -> float:
    """Jumps from 0.4 diameters on and vanishing are noticed; the rest is as usual."""
    large = pair.kind == "teleport" and pair.size >= 0.4
    return 3.0 if large or pair.kind == "vanish" else 1.0


def made_run(
    path: Path,
    *,
    failed: bool = False,
    missing: bool = False,
    untrained: bool = False,
    states: StateCard | None = None,
) -> RunFolder:
    """A run all of whose films were shown; of a model of states where it has such a card."""
    folder = RunFolder(path)
    pairs = find_pairs(None, KINDS_SHOWN)
    shown = pairs if states is None else shown_in_states(pairs)
    rows = list(dict.fromkeys(pair.row for pair in shown))
    manifest = {
        "schema_version": 1,
        "suite": {
            "name": "expectation",
            "version": 3,
            "hash": pairs_hash(pairs),
            "partial": True,
            "in_development": True,
            "rows": [{"task": row.task, "split": row.split, "seed": row.seed} for row in rows],
        },
        "model": {
            "name": CARD["name"],
            "target": "made.py:up",
            "card": CARD if states is None else card_document(states),
        },
        "options": {"limit": None, "tasks": KINDS_SHOWN, "samples": 1},
        "render_spec": "64x64@15",
        "context": 8,
    }
    folder.path.mkdir(parents=True)
    write_sealed_json(folder.manifest, manifest)
    usual = [1.0] * len(TIMES)
    for number, row in enumerate(rows):
        own = [pair for pair in shown if pair.row == row]
        names = {name for pair in own for name in (pair.possible, pair.impossible)}
        films: dict[str, list[float | None]] = {name: list(usual) for name in names}
        for pair in own:
            if pair.possible == POSSIBLE:
                films[pair.impossible] = [1.0 if time <= pair.event else surprise(pair) for time in TIMES]
        failures = {}
        broken = f"teleport:{IMPOSSIBLE_KINDS['teleport'].sizes[0]:g}"  # one that is not noticed
        if failed and broken in films:
            films[broken], failures, failed = [None] * len(TIMES), {broken: "It broke."}, False
        part = {
            "times": TIMES,
            "films": films,
            "baseline_times": TIMES,
            "baselines": {
                name: dict.fromkeys(names, usual) for name in (PIXEL_BASELINES if states is None else STATE_BASELINES)
            },
            "absent": {},
            "failures": failures,
        }
        if states is not None:
            part["events"] = dict.fromkeys(names, -0.2)
        if untrained:
            part[UNTRAINED] = {name: list(usual) for name in names}
        path_of = folder.part(row.id)
        path_of.parent.mkdir(exist_ok=True)
        if not (missing and number == 0):
            write_sealed_json(path_of, part)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = made_run(tmp_path_factory.mktemp("runs") / "made", failed=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "published_readings", lambda pairs, spec: [])
        rewrite_expectation(folder)
    return folder


@pytest.fixture(scope="module")
def document(run: RunFolder) -> ResultDocument:
    return read_result(run.result)


def test_the_result_holds_what_the_rule_says(document: ResultDocument) -> None:
    result = document.expectation
    assert result is not None and document.overall.skill is None and document.axes == {}
    threshold = result.kinds["teleport"].threshold
    assert threshold is not None and threshold.size is not None and 0.2 < threshold.size < 0.4
    assert result.kinds["teleport"].said.startswith("from 0.")
    assert result.kinds["gravity"].said == "never" and result.kinds["return-hue"].said == "never"
    assert result.kinds["vanish"].accuracy == 1.0
    assert result.beyond_memory.pairs > 0  # C = 8 frames reach back 0.53 s
    assert [failure.reason for failure in document.failures] == ["It broke."] and result.failed == 1
    assert result.looks_ahead == ""


def test_the_first_sentence_names_what_is_noticed_and_what_never_is(document: ResultDocument) -> None:
    first = document.sentences[0]
    assert first.startswith("Notices vanishing and jumps from 0.") and "diameters on; never gravity" in first
    assert "guessing gives 50 %" in document.sentences[1]


def test_the_terminal_has_a_line_for_each_kind(document: ResultDocument) -> None:
    target = io.StringIO()
    print_expectation(document, Console(file=target, width=120, highlight=False))
    text = target.getvalue()
    for name in KINDS_SHOWN.split(","):
        assert IMPOSSIBLE_KINDS[name].noun in text
    assert "beyond memory" in text and "1 film failed" in text and "−" not in text


def test_the_page_shows_thresholds_with_units_and_escapes_names(run: RunFolder) -> None:
    page = run.report.read_text(encoding="utf-8")
    assert "made &lt;up&gt;" in page and "made <up>" not in page
    assert "diameters on" in page and "Psychometric curves" in page and page.count("<svg") >= 6
    assert "It broke." in page and "http://" not in page.replace("http://www.w3.org", "")


def test_what_nobody_published_or_asked_is_said_in_words(document: ResultDocument, run: RunFolder) -> None:
    result = document.expectation
    assert result is not None
    assert result.observers["physicist"].reason == "not published"
    assert result.observers["untrained copy"].reason == "not asked: --untrained-copy"
    page = run.report.read_text(encoding="utf-8")
    assert "not published" in page and "not asked: --untrained-copy" in page


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of strengths in the place of the package's: a jump of s diameters has the strength s."""
    path = tmp_path / "golden" / physicist.PHYSICIST_FILE
    path.parent.mkdir()
    strengths: dict[str, dict[str, float | None]] = {}
    for pair in physicist.judged(find_pairs(None, "teleport")):
        strengths.setdefault(pair.row.id, {POSSIBLE: 0.01})[pair.impossible] = pair.size
    physicist.write_strengths(path, SPEC, physicist.inputs_of(SPEC, 8), strengths)
    monkeypatch.setattr(physicist, "files", lambda name: tmp_path)
    monkeypatch.setattr(report, "chosen_pairs", lambda *given: [])  # no film need be made
    physicist._golden.cache_clear()
    yield path
    physicist._golden.cache_clear()


def test_the_physicist_and_the_untrained_copy_stand_in_every_row(published: Path, tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", untrained=True)
    rewrite_expectation(folder)
    found = read_result(folder.result)
    result = found.expectation
    assert result is not None
    jumps = result.kinds["teleport"]
    threshold = jumps.beside_thresholds["physicist"]
    assert threshold.below_smallest and all(
        size.beside == {"physicist": 1.0, "untrained copy": 0.5} for size in jumps.sizes
    )
    assert jumps.beside_thresholds["untrained copy"].size is None
    assert result.kinds["vanish"].sizes[0].beside == {"untrained copy": 0.5}
    copy, physicist = result.observers["untrained copy"], result.observers["physicist"]
    assert copy.all == 0.5 and copy.interval is not None and copy.interval[0] <= 0.5 <= copy.interval[1]
    assert physicist.all == 1.0 and physicist.pairs == jumps.pairs and physicist.auroc is None
    page = folder.report.read_text(encoding="utf-8")
    assert "Thresholds beside others" in page and "untrained copy" in page and "not published" not in page
    target = io.StringIO()
    print_expectation(found, Console(file=target, width=140, highlight=False))
    assert "physicist 1.00" in target.getvalue() and "untrained copy 0.50" in target.getvalue()


def test_strengths_are_gone_on_with_and_forgotten_where_the_suite_is_another(published: Path) -> None:
    made = physicist.inputs_of(SPEC, 8)
    known = physicist.kept_strengths(published, SPEC, made)
    assert len(known) == 12 and physicist.kept_strengths(published, SPEC, {**made, "context": 4}) == {}
    pairs = physicist.judged(find_pairs(None, "teleport"))
    assert list(clip_strengths(pairs, SPEC, 8, 1, known)) == [], "nothing is computed again"
    assert len(physicist.published_readings(pairs, SPEC)) == len(pairs)
    known[pairs[0].row.id] = {POSSIBLE: None}
    physicist.write_strengths(published, SPEC, made, known)
    assert physicist.kept_strengths(published, SPEC, made) == known
    physicist._golden.cache_clear()
    assert len(physicist.published_readings(pairs, SPEC)) == len(pairs) - 5, "a film in which nothing is shadowed"
    physicist.write_strengths(published, SPEC, {**made, "pairs": "of another suite"}, known)
    physicist._golden.cache_clear()
    assert physicist.published_readings(pairs, SPEC) == []


def test_the_document_of_a_run_behind_a_url_is_printed_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The copy of a run may be at work."""
    monkeypatch.setattr(report, "chosen_pairs", lambda *given: [])  # no film need be made
    folder = made_run(tmp_path / "states", states=StateCard("made", fps=15, context_frames=8))
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    assert main.run(("report", f"file://{folder.path}", "--format", "json")) == 0
    assert not list(tmp_path.rglob("result.json")) and list(tmp_path.glob("cache/**/manifest.json"))
    rewrite_expectation(folder)
    assert ResultDocument.model_validate_json(capsys.readouterr().out) == read_result(folder.result)


def test_of_a_model_of_states_what_states_show_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "chosen_pairs", lambda *given: [])  # no film need be made
    folder = made_run(tmp_path / "states", states=StateCard("made <up>", fps=15, context_frames=8))
    rewrite_expectation(folder)
    found = read_result(folder.result)
    result = found.expectation
    assert result is not None and set(result.kinds) == {"teleport", "gravity"} and result.controls == {}
    assert result.unit == "diameters" and result.baselines == ["frozen state", "constant velocity"]
    assert result.beyond_memory.pairs == 0, "nothing is hidden in states"
    assert result.observers["physicist"].reason == "not published" and result.auroc is not None
    said = " ".join(found.sentences)
    assert (
        "States of bodies do not show another hue behind a screen and vanishing: it is not asked about these." in said
    )
    assert "that no state baseline solves" in said and "pixel" not in said
    # Surprise rises 0.2 s before the hand-over, where states first differ: the peak is read from there.
    assert result.kinds["teleport"].peak is not None and result.kinds["teleport"].peak > 0.2
    target = io.StringIO()
    print_expectation(found, Console(file=target, width=120, highlight=False))
    assert "state baselines on all: frozen state" in target.getvalue() and "lawful and new" not in target.getvalue()
    page = folder.report.read_text(encoding="utf-8")
    assert "best state baseline" in page and "False alarms" not in page and "pixel baseline" not in page


def test_runs_stand_side_by_side_with_their_thresholds(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "chosen_pairs", lambda *given: [])  # no film need be made
    states = made_run(tmp_path / "states", states=StateCard("of states", fps=15, context_frames=8))
    rewrite_expectation(states)
    table = threshold_table([run, states])
    jumps, gravity = (table.runs[0].kinds[name] for name in ("teleport", "gravity"))
    assert jumps.said.startswith("from 0.") and jumps.threshold is not None and gravity.said == "never"
    assert table.runs[0].kinds["vanish"].said == "yes" and "vanish" not in table.runs[1].kinds
    target = io.StringIO()
    print_thresholds(table, Console(file=target, width=160, highlight=False))
    text = target.getvalue()
    assert "not asked" in text and "not of the same pairs" in text and "never (0.50)" in text
    assert table.runs[0].name == f"made <up> ({run.path})", "two models of one name"


def with_axes(run: RunFolder, folder: Path, consistency: float, target: str = "") -> RunFolder:
    """The run of the same model on a suite with axes."""
    document = read_result(run.result)
    sure = (consistency - 0.05, consistency + 0.05)
    axis = AxisResult(
        skill=consistency, interval=sure, quality=0.5, quality_interval=None, informative=1, guards=0, unscored=0
    )
    suite = document.suite.model_copy(update={"name": "core"})
    model = document.model.model_copy(update={"target": target or document.model.target})
    whole = document.model_copy(
        update={"suite": suite, "model": model, "axes": {"consistency": axis}, "overall": axis, "expectation": None}
    )
    made = RunFolder(folder)
    folder.mkdir()
    write_sealed_json(made.result, whole.model_dump(mode="json"))
    write_sealed_json(
        made.manifest,
        {**read_manifest(run).document(), "suite": {**read_manifest(run).document()["suite"], "name": "core"}},
    )
    return made


def test_skill_stands_beside_what_is_noticed(run: RunFolder, tmp_path: Path) -> None:
    core = with_axes(run, tmp_path / "core", 0.4)
    table = skill_and_notice([core, run])
    (one,) = table.models
    assert one.axes["consistency"].skill == 0.4 and one.noticed.path == str(run.path)
    assert one.axes["permanence"].reason == "not in this run" and table.said.startswith("With runs of further models")
    better, worse = (
        one.model_copy(
            update={
                "axes": {"consistency": SkillValue(skill=skill, interval=(skill - 0.1, skill + 0.1))},
                "noticed": one.noticed.model_copy(
                    update={"everything": PairShare(accuracy=share, interval=(share - 0.1, share + 0.1), pairs=9)}
                ),
            }
        )
        for skill, share in ((0.8, 0.9), (0.1, 0.6))
    )
    assert agreement([better, worse, better]).startswith(
        "2 of 3 pairs of models differ for sure in both; in 2 of these"
    )
    against = worse.model_copy(update={"noticed": better.noticed})
    turned = better.model_copy(update={"noticed": worse.noticed})
    assert "in 0 of these" in agreement([against, turned])
    target = io.StringIO()
    print_skill_and_notice(table, Console(file=target, width=160, highlight=False))
    assert "0.40 [0.35, 0.45]" in target.getvalue() and "Skill on core" in target.getvalue()


def test_models_without_both_kinds_of_runs_are_named(run: RunFolder, tmp_path: Path) -> None:
    core, other = (with_axes(run, tmp_path / name, 0.4, target) for name, target in (("core", ""), ("other", "x:y")))
    with pytest.raises(UsageError, match="other: this model, with these arguments, has no run of the other kind"):
        skill_and_notice([core, run, other])
    with pytest.raises(UsageError, match="a second run of one model"):
        skill_and_notice([core, run, with_axes(run, tmp_path / "again", 0.5)])


def test_runs_that_cannot_stand_side_by_side_say_why(run: RunFolder, tmp_path: Path) -> None:
    assert shows_films(run)
    with pytest.raises(UsageError, match="is not finished"):
        threshold_table([run, made_run(tmp_path / "half")])
    for changed, words in (({"hash": "0"}, "shows other pairs"), ({"name": "core"}, "is a run of core")):
        other = made_run(tmp_path / words)
        manifest = read_manifest(other).document()
        manifest["suite"] |= changed
        write_sealed_json(other.manifest, manifest)
        other.result.write_bytes(run.result.read_bytes())
        with pytest.raises(UsageError, match=words) as refused:
            threshold_table([run, other])
        assert "\n" not in str(refused.value)


def test_no_board_takes_such_a_run_and_says_so(run: RunFolder) -> None:
    with pytest.raises(UsageError, match=r"which no board ranks.*physbench compare"):
        read_claim(run)


def test_a_model_that_says_that_it_sees_what_comes_is_read_by_whole_films() -> None:
    pairs = find_pairs(None, "teleport")
    readings = [PairReading(pair, 1.0, 2.0, 1.0, 2.0, 1.0, 0.3, ahead=0.5) for pair in pairs]
    said = expectation_result(readings, {}, sees=9.0, unit="1", way="test", ahead=4.8)
    assert said.looks_ahead == "" and said.ahead == 4.8 and said.kinds["teleport"].peak is None
    assert any("up to 4.8 s that come after" in sentence for sentence in expectation_sentences(said))
    silent = expectation_result(readings, {}, sees=9.0, unit="1", way="test")
    assert "50.0 %" in silent.looks_ahead and silent.kinds["teleport"].peak == 0.3


def test_a_run_that_is_not_finished_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        rewrite_expectation(made_run(tmp_path / "half", missing=True))


def test_the_pairs_of_a_run_are_those_that_it_was_asked_for(run: RunFolder) -> None:
    manifest = read_manifest(run)
    assert pairs_of(manifest) == find_pairs(None, KINDS_SHOWN)


def test_the_table_of_the_physicist_counts_what_its_track_shows() -> None:
    pairs = [pair for pair in find_pairs(None, "teleport") if not pair.control]
    text = physicist_table([PairReading(pair, 0.01, pair.size) for pair in pairs])
    assert "jumps: from 0.1 diameters on" in text and "1.6: 1.00 of 12" in text
    assert "all pairs: 1.00" in text and "at 0.08 diameters: 1.00" in text
