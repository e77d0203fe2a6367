"""The page on what each kind gets wrong: its words follow from the numbers of a board."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from core_tables import MakeRun

from physbench.leaderboard.entries import add
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "board"


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the three modules of the page define."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "figures"))
    modules = (import_module(name) for name in ("findings_read", "findings_words", "findings"))
    return SimpleNamespace(**{name: value for module in modules for name, value in vars(module).items()})


def as_target(run: RunFolder, target: str) -> RunFolder:
    document = json.loads(run.manifest.read_text(encoding="utf-8"))
    document["model"]["target"] = target
    write_json(run.manifest, document)
    return run


@pytest.mark.slow
@pytest.mark.usefixtures("plain_reports")
def test_the_words_follow_the_numbers(
    findings: SimpleNamespace, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("findings_read.hidden_seconds", lambda row, spec, context: 0.5)
    monkeypatch.setattr("findings_read.DRAWS", 200)
    monkeypatch.setattr("findings_read.CURVES", tmp_path / "none.csv")
    place = tmp_path / "board"
    add(as_target(make_run("large", 0.6), "reference:large"), place, resamples=200)
    add(as_target(make_run("small", 0.2, seed=2), "reference:small"), place, resamples=200)
    add(make_run("somebody's", 0.5, seed=4), place, resamples=200)  # of which nothing is known here
    add(as_target(make_run("constant-velocity", 0.4, seed=3), "baseline:constant-velocity"), place, resamples=200)
    found = findings.find(place)
    assert [model.label for model in found.board.shown] == ["large", "constant-velocity", "small"]
    page = findings.page(found)
    assert re.search(
        r"^Ahead of constant velocity for sure: `large` by 0\.\d\d \[.{10}\]\. Behind it: 1 of 2 \(`small`\)\.",
        page,
        re.M,
    )
    assert "2 small world models" in page and "Ahead of a memory" not in page and "untrained" not in page
    drawn = [path.name for path in import_module("findings_draw").draw(found, tmp_path)]
    assert drawn == [f"findings-{name}.svg" for name in ("skill", "hidden", "horizon", "ranges")]


def test_shares_and_their_difference(findings: SimpleNamespace) -> None:
    """56 of 70 less 48 of 80: 0.2 [0.0524, 0.3339] (Newcombe 1998, Statist. Med. 17, 873, table II a, method 10)."""
    gap = findings.less(findings.wilson(56, 70), findings.wilson(48, 80))
    assert gap.value == pytest.approx(0.2)
    assert gap.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_mean_of_independent_numbers(findings: SimpleNamespace) -> None:
    """n numbers with the half-width h each have a mean with h / sqrt(n); one without an interval takes it away."""
    values = [findings.Value(value, (value - 0.2, value + 0.2)) for value in (0.0, 1.0, 2.0, 3.0)]
    assert findings.mean_of(values).interval == pytest.approx((1.4, 1.6))
    assert findings.mean_of([*values, findings.Value(4.0, None)]).interval is None


def test_the_rank_correlation_of_equal_orders_is_1(findings: SimpleNamespace) -> None:
    rho = findings.rank_correlation([1, 2, 30, 400, 401], [0.1, 0.2, 0.3, 0.4, 0.9])
    assert rho.value == pytest.approx(1) and rho.interval == pytest.approx((1, 1))
    assert findings.rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]).value == pytest.approx(-1)


def test_the_words_on_samples(findings: SimpleNamespace) -> None:
    kept = {"suite": "lite 4", "clips": 112, "samples": 8, "crps": 2.0, "open": 0.01}
    found = [
        findings.Samples("a", overall=0.1, best=0.3, spread=40.0, **kept),
        findings.Samples("b", overall=0.0, best=0.1, spread=0.5, **kept),
    ]
    chosen, spread = findings.samples_text(found, 0.2)
    assert "adds most to `a`: 0.20. With it 1 of 2 (`a`) would be above constant velocity" in chosen
    assert "Those of 1 of 2 (`a`) spread by more than the context leaves open" in spread
    assert findings.samples_text([], 0.2) == []


def test_samples_are_compared_with_constant_velocity_on_their_own_clips(
    findings: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"suite": "core 4", "clips": 112}
    found = [findings.Samples("a", overall=0.1, best=0.3, spread=1.0, samples=4, crps=2.0, open=0.01, **one)]
    monkeypatch.setattr("findings_read.kept_values", lambda: {"samples": {"a": {**one, "best": 0.3, "overall": 0.1}}})
    with pytest.raises(ValueError, match="give a run of baseline:constant-velocity"):
        findings.straight_on(found)
    straight = {"constant-velocity": {**one, "overall": 0.16}}
    monkeypatch.setattr("findings_read.kept_values", lambda: {"samples": straight})
    assert findings.straight_on(found) == 0.16 and findings.straight_on([]) == 0.0


def test_the_words_on_surprise(findings: SimpleNamespace) -> None:
    """Above is said where intervals lie apart; models without an untrained copy are not counted."""

    def value(low: float, high: float) -> object:
        return findings.Value((low + high) / 2, (low, high))

    films = {"pairs": 350, "counted": value(0.4, 0.6), "baseline": value(0.5, 0.6)}
    found = [
        findings.Surprise("a", all=value(0.7, 0.8), untrained=value(0.4, 0.5), **films),
        findings.Surprise("b", all=value(0.55, 0.7), untrained=None, **films),
        findings.Surprise("c", all=value(0.55, 0.7), untrained=value(0.5, 0.6), **films),
    ]
    best, learned, left = findings.surprise_text(found, {"a": 0.3, "b": 0.1, "c": 0.1, "d": 0.2})
    assert best.startswith("`a` tells most pairs apart: 0.75 [0.70, 0.80].") and best.endswith("1 of 3 (`a`).")
    assert learned == "Above its own untrained copy for sure: 1 of 2 (`a`)."
    assert left == "Not asked: `d`."
    four = [findings.Surprise(name, all=value(k / 9, k / 9), untrained=None, **films) for k, name in enumerate("abcd")]
    assert "rank correlation 1.00" in findings.surprise_text(four, dict(zip("abcd", range(4), strict=True)))[-1]
    assert len(findings.surprise_text(found[1:2], {"b": 0.1})) == 1, "none has an untrained copy"
    assert findings.surprise_text([], {}) == []
    assert "the best of the state baselines" in findings.surprise_text(found, {"a": 0.3}, "state")[0]


CURVES = """kind,size,parameters,clips,suite,overall,overall_low,overall_high,velocity_test,velocity_test_low,\
velocity_test_high,velocity_ood,velocity_ood_low,velocity_ood_high,lost_ood,consistency_gap,consistency_gap_low,\
consistency_gap_high,{ratios}
net,S,1000,150,core 4,0.10,0.08,0.12,1.0,0.9,1.1,2.0,1.8,2.2,0.4,0.1,0.05,0.15
net,S,1000,1500,core 4,0.30,0.28,0.32,0.5,0.4,0.6,{outside},0.2,,,
net,M,4000,150,core 4,0.10,0.08,0.12,1.0,0.9,1.1,2.0,1.8,2.2,,,,
net,M,4000,1500,core 4,0.40,0.38,0.42,0.5,0.4,0.6,1.9,1.7,2.1,,,,
memory,,,150,core 4,0.2,0.18,0.22,1.0,0.9,1.1,2.0,1.8,2.2,,,,
constant-velocity,,,,core 4,0.14,0.13,0.15,0.9,0.8,1.0,1.0,0.9,1.1,,,,
"""
RATIOS = ",".join(
    f"velocity_{split}_of_{base}{end}"
    for split in ("test", "ood")
    for base in ("fewest", "smallest")
    for end in ("", "_low", "_high")
)


@pytest.mark.parametrize(("outside", "falls"), [("1.0,0.9,1.1", "1 of 2"), ("2.0,1.8,2.2", "none of 2")])
def test_the_words_on_data_and_size(findings: SimpleNamespace, tmp_path: Path, outside: str, falls: str) -> None:
    table = tmp_path / "curves.csv"
    table.write_text(CURVES.format(outside=outside, ratios=RATIOS))
    curves = findings.read_curves(table)
    assert [each.clips for each in curves] == [150, 1500, 150, 1500, 150, 0] and curves[1].gap is None
    size, unseen, last = findings.curves_text(curves)
    assert unseen.endswith("Frames of bodies outside that it does not show: `net` 20 to 40 %.")
    assert size.startswith("`net` on 1,500 clips, 1,000 to 4,000 numbers: skill 0.30 [0.28, 0.32] to 0.40")
    assert f"for data **open** with `net` (they fall for sure in {falls})" in last
    assert findings.read_curves(tmp_path / "none.csv") == () and findings.curves_text(()) == []


def test_the_table_of_data_and_size(findings: SimpleNamespace, tmp_path: Path) -> None:
    """1.0 to 0.5 m/s in intervals of .1 falls for sure, 2.0 to 1.9 in intervals of .2 does not."""
    table = tmp_path / "curves.csv"
    table.write_text(CURVES.format(outside="1.0,0.9,1.1", ratios=RATIOS))
    rows = findings.curve_cells(findings.read_curves(table))
    assert [row[:2] for row in rows[1:4:2]] == [["`net` S", "1,500"], ["`net` M", "1,500"]]
    assert [row[3:] for row in rows[:2]] == [
        ["1.00 [0.90, 1.10]", "2.00 [1.80, 2.20]"],
        ["**0.50 [0.40, 0.60]**", "**1.00 [0.90, 1.10]**"],
    ]
    assert rows[3][-1].startswith("1.90")
    assert [row[:2] for row in rows[4:]] == [["constant velocity", "–"], ["memory", "150"]]


def test_the_last_step_of_three_is_told(findings: SimpleNamespace, tmp_path: Path) -> None:
    """1.0 to 0.9 m/s within intervals of .1: most of what data do is done by the step before."""
    table = tmp_path / "curves.csv"
    row = "net,S,1000,15000,core 4,0.40,,,0.45,0.40,0.50,0.9,0.8,1.0,,,,\n"
    table.write_text(CURVES.format(outside="1.0,0.9,1.1", ratios=RATIOS) + row)
    curves = findings.read_curves(table)
    step, *_, last = findings.curves_text(curves)
    assert step.startswith("From 1,500 to 15,000 clips alone the error falls for sure inside in none of 1, outside in")
    assert findings.curve_cells(curves)[2][-1] == "**0.90 [0.80, 1.00]**", "beside 150 clips it falls"
    assert "1 of 2" in last


def test_a_ratio_on_the_same_clips_decides(findings: SimpleNamespace, tmp_path: Path) -> None:
    """Errors of 2.0 and 1.9 m/s, whose intervals overlap: on the same clips the later one is smaller for sure."""
    table = tmp_path / "curves.csv"
    text = CURVES.format(outside="1.0,0.9,1.1", ratios=RATIOS)
    paired = "1.9,1.7,2.1,,,,,0.5,0.4,0.6,1.0,0.9,1.1,0.95,0.92,0.98,1.0,0.98,1.02\n"
    table.write_text(text.replace("1.9,1.7,2.1,,,,\n", paired))
    curves = findings.read_curves(table)
    size, _, last = findings.curves_text(curves)
    assert findings.curve_cells(curves)[3][-1] == "**1.90 [1.70, 2.10]**"
    assert "outside it is not told apart (1.00 to 1.90" in size
    assert "for data **refuted** with `net` (they fall for sure in all 2)" in last


def test_families_that_training_made_worse(findings: SimpleNamespace) -> None:
    def model(**skills: tuple[float, float]) -> object:
        by_family = {
            family: SimpleNamespace(skill=(low + high) / 2, interval=(low, high))
            for family, (low, high) in skills.items()
        }
        return SimpleNamespace(name="`net`", result=SimpleNamespace(by_family=by_family))

    untrained = model(falling=(0.7, 0.8), orbits=(0.1, 0.2), collisions=(0.5, 0.6))
    trained = model(falling=(0.3, 0.4), orbits=(0.8, 0.9), collisions=(0.45, 0.55))
    assert findings.losses_text(trained, untrained) == "`net` in falling (0.75 to 0.35)"
    assert findings.losses_text(untrained, untrained) == ""


def test_the_table_of_tasks_that_none_was_trained_on(findings: SimpleNamespace) -> None:
    """Means over tasks, resampled over tasks: two of .2 and .4 lie between these; a single one has no spread."""

    def axes(skill: float, kind: str = "informative") -> dict[str, object]:
        return {axis: SimpleNamespace(kind=kind, skill=skill) for axis in findings.TRANSFER}

    tasks = {"falling/a-v1": axes(0.2), "orbits/b-v1": axes(0.4), "orbits/c-v1": axes(0.9, "guard")}
    board_axes = {"consistency": SimpleNamespace(skill=0.25)}
    result = SimpleNamespace(tasks=tasks, axes=board_axes, lawful=SimpleNamespace(seconds=2.0))
    model = SimpleNamespace(name="`net`", label="net", result=result)
    board = SimpleNamespace(shown=[model, SimpleNamespace(label="other")], models=[model])
    there = {axis: {"falling/spring-v1": -0.1, "falling/row-v1": -0.1} for axis in findings.TRANSFER}
    found = [findings.Transfer("net", "full 4", 100, 0.5, there)]
    inside, outside = "0.30 [0.20, 0.40]", "-0.10 [-0.10, -0.10]"
    assert findings.transfer_cells(board, found) == [["`net`", inside, outside, outside, "0.5 s"]]
    means, best, above, near = findings.transfer_text(board, found)
    assert means.endswith("`net` has 0.25 of consistency in `core` there, 0.30 here.")
    assert best.startswith(f"Of physical consistency the best there, `net`, has {outside} instead of {inside}")
    assert above == "Above a frozen frame on physical consistency for sure: none of 1."
    assert near == "Above a frozen frame on long-horizon drift for sure: none of 1."
    there["drift"] = {"falling/spring-v1": 0.2, "falling/row-v1": 0.2}
    *_, near = findings.transfer_text(board, found)
    assert near.endswith("long-horizon drift for sure: all 1, by 0.20 [0.20, 0.20].")
    assert findings.transfer_text(board, []) == []


def test_counts_in_words(findings: SimpleNamespace) -> None:
    assert findings.counted(0, 9) == "none of 9"
    assert findings.counted(9, 9) == "all 9"
    assert findings.counted(2, 9, ["a", "b"]) == "2 of 9 (a and b)"
    assert findings.listed(["a", "b", "c"]) == "a, b and c"


@pytest.mark.slow
def test_times_behind_screens_are_those_of_the_clips(findings: SimpleNamespace) -> None:
    kept = findings.kept_values().pop("hidden")
    findings.find(BOARD, findings.STATES)
    assert findings.kept_values()["hidden"] == pytest.approx(kept, abs=1e-6)


@pytest.mark.skipif(not (BOARD / "entries").is_dir(), reason="this checkout has no board")
def test_the_page_is_that_of_the_board(findings: SimpleNamespace) -> None:
    """`python docs/figures/findings.py` writes it again. 3 s: no other fast test holds it to the board."""
    assert findings.PAGE.read_text(encoding="utf-8") == findings.page(findings.find(BOARD, findings.STATES))


def test_a_frechet_distance_is_that_of_gaussians(findings: SimpleNamespace) -> None:
    """Of N(m, s^2) and N(n, t^2) in one dimension it is (m - n)^2 + (s - t)^2 (Dowson and Landau 1982)."""
    errors = import_module("pixel_errors")
    random = np.random.default_rng(0)
    axis = random.normal(size=40)
    axis /= np.linalg.norm(axis)
    one, other = (mean + sd * random.normal(size=(20_000, 1)) * axis for mean, sd in ((0.0, 2.0), (0.0, 0.5)))
    assert errors.frechet(one, other, components=1) == pytest.approx((2.0 - 0.5) ** 2, rel=0.05)
    assert errors.frechet(other + 3 * axis, other, components=1) == pytest.approx(9.0, rel=0.01)
    assert errors.frechet(other, other, components=1) == pytest.approx(0.0, abs=1e-9)
