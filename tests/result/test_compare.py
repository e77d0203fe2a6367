"""Paired differences of runs."""

from __future__ import annotations

import io
import json
import re

import pandas as pd
import pytest
from made_runs import built_once
from rich.console import Console

from physbench.cli.main import run
from physbench.result.build import write_result
from physbench.result.compare import Comparison, SkillParts, compare, sign_test
from physbench.result.manifest import read_manifest
from physbench.result.read import summary
from physbench.result.report.runs import two_runs_page
from physbench.result.report.terminal import print_comparison
from physbench.support.errors import UsageError
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

FEW = {"resamples": 400}
TASK = ("falling/projectile-v1",)


def be(folder: RunFolder, source: str, family: str = "") -> RunFolder:
    """Let the model have the scores of a reference, in one family or in all."""
    own, other = (pd.read_parquet(place.scores) for place in (folder, folder.reference(source)))
    taken = own["task"].str.startswith(family)
    pd.concat([own[~taken], other[other["task"].str.startswith(family)]]).to_parquet(folder.scores)
    return folder


def rename(folder: RunFolder, name: str, **changes: object) -> RunFolder:
    manifest = read_manifest(folder)
    manifest.model.name = name
    write_json(folder.manifest, {**manifest.document(), **changes})
    return folder


def test_the_difference_is_that_of_the_two_results(make_run) -> None:
    better, worse = be(make_run(name="a"), "truth"), make_run(name="b")
    (found,) = compare(better, worse, **FEW).against
    results = [built_once(folder, resamples=200) for folder in (better, worse)]
    skills = [result.overall.skill for result in results]
    assert found.overall.ahead == pytest.approx(skills[0] - skills[1], abs=2e-6)
    assert found.overall.other == pytest.approx(skills[1], abs=2e-6)
    assert found.overall.interval is not None
    assert 0 < found.overall.interval[0] < found.overall.ahead <= found.overall.interval[1]
    (back,) = compare(worse, better, **FEW).against
    assert back.overall.ahead == pytest.approx(-found.overall.ahead)
    assert back.overall.sign == -found.overall.sign == -1
    for axis, difference in found.axes.items():
        ours, theirs = (result.axes[axis].skill for result in results)
        assert difference.ahead == pytest.approx(ours - theirs, abs=2e-6)
    orbits = found.families["orbits"]
    ours, theirs = (result.families["orbits"]["drift"].skill for result in results)
    assert orbits["drift"].ahead == pytest.approx(ours - theirs, abs=2e-6)
    assert orbits["permanence"].other == pytest.approx(results[1].families["orbits"]["permanence"].guard, abs=2e-6)
    adds = [result.by_family["orbits"].skill for result in results]
    assert orbits["overall"].ahead == pytest.approx(adds[0] - adds[1], abs=2e-6)
    assert orbits["overall"].first == pytest.approx(1.0)


def test_pairing_makes_the_interval_narrow(make_run) -> None:
    """Two runs that differ by a constant in clips of very different difficulty."""
    first, second = make_run(name="a"), make_run(name="b")
    table = pd.read_parquet(first.scores)
    hard = table["seed"] % 2 == 0
    for folder, level in ((first, 0.5), (second, 0.4)):
        values = (hard * 0.4 + level).clip(0, 1)
        chosen = table["axis"].notna()
        table.assign(
            quality=table["quality"].where(~chosen, values), value=table["value"].where(~chosen, values)
        ).to_parquet(folder.scores)
    (found,) = compare(first, second, **FEW).against
    alone = built_once(first, resamples=400).axes["drift"].interval
    assert found.axes["drift"].interval is not None
    low, high = found.axes["drift"].interval
    assert high - low < 0.25 * (alone[1] - alone[0])
    assert low > 0


def test_it_says_on_how_many_clips_a_model_failed(make_run, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = ("falling.projectile-v1", "orbits.kepler-v1")
    clips = frozenset(f"{task}.test.{seed}" for task in tasks for seed in range(3))
    whole, half = rename(make_run(4, 0, name="a"), "whole"), rename(make_run(4, 0, failed=clips, name="b"), "half")
    found = compare(half, whole, **FEW)
    assert (found.first.failed, found.against[0].other.failed) == (6, 0)
    assert run(["compare", str(whole.path), str(half.path)]) == 0
    text = capsys.readouterr().out
    assert "half failed on 6 of 16 clips: what failed counts as 0." in text.splitlines()
    assert "whole failed" not in text
    for each in (half, whole):
        write_result(each)
    page = two_runs_page(whole.path.parent, [summary(half), summary(whole)])
    assert "half failed on 6 of 16 clips" in page


def test_what_a_family_loses_is_called_lost_beside_a_gain_too(make_run) -> None:
    comparison = compare(make_run(name="a"), make_run(name="b"), **FEW)
    (found,) = comparison.against
    both = SkillParts(gained=0.06, lost=-0.17)
    drift = found.families["orbits"]["drift"]
    found.families["orbits"]["drift"] = drift.model_copy(update={"parts": (both, both)})
    target = io.StringIO()
    print_comparison(comparison, Console(file=target, width=80))
    assert ["-0.17", "lost"] * 2 in [line.split() for line in target.getvalue().splitlines()]


def test_a_model_is_not_ahead_of_itself(make_run) -> None:
    (found,) = compare(make_run(name="a"), make_run(name="b"), **FEW).against
    assert found.overall.ahead == 0
    assert found.overall.interval is not None
    assert -0.03 < found.overall.interval[0] <= 0 <= found.overall.interval[1] < 0.03  # what was never seen may differ
    assert "cannot be told apart overall: 0.00 [" in found.sentence


def test_the_sentence_says_where(make_run) -> None:
    mine = rename(make_run(name="a"), "mine")
    other = rename(be(be(make_run(name="b"), "freeze", "orbits"), "truth", "occlusion"), "theirs")
    (found,) = compare(mine, other, **FEW).against
    assert "ahead" in found.sentence and "orbits" in found.sentence
    assert "behind" in found.sentence and "occlusion" in found.sentence
    assert [name for name, axes in found.families.items() if axes["overall"].sign > 0] == ["orbits"]
    (best,) = compare(rename(be(make_run(name="c"), "truth"), "best"), mine, **FEW).against
    assert best.sentence.startswith("best is ahead of mine by 0.")
    assert "; most in " in best.sentence and best.sentence.endswith(".")


def test_a_look_tells_no_difference(make_run) -> None:
    (found,) = compare(be(make_run(4, 0, name="a"), "truth"), make_run(4, 0, name="b"), **FEW).against
    assert found.overall.interval is None and found.overall.ahead is not None
    assert "too few clips to tell" in found.sentence
    runs = [be(make_run(4, 0, tasks=TASK, name=name), "truth") for name in ("c", "d")]
    part = compare(*runs, **FEW)
    assert "not distinguishable" not in part.against[0].sentence
    assert "have no overall skill to compare here" in part.against[0].sentence
    assert " cannot be told apart: ahead in 0 and behind in 0 of 4 clips (sign test, p = 1" in part.against[0].sentence
    target = io.StringIO()
    print_comparison(part, Console(file=target, width=100))
    assert "95 % intervals" not in target.getvalue() and "no intervals: they need 8" in target.getvalue()


def test_runs_of_other_sizes_are_compared_by_skill(make_run) -> None:
    small = make_run(name="a")
    card = {**read_manifest(small).document()["model"]["card"], "image_size": [128, 128]}
    model = {**read_manifest(small).document()["model"], "card": card}
    large = rename(be(make_run(name="b"), "truth"), "large", model=model)
    comparison = compare(large, small, **FEW)
    assert comparison.against[0].overall.sign == 1
    target = io.StringIO()
    print_comparison(comparison, Console(file=target, width=80))
    assert "128x128@15" in target.getvalue()


def test_runs_that_cannot_be_compared_are_refused_with_the_remedy(make_run) -> None:
    first = make_run(name="a")
    with pytest.raises(
        UsageError, match=r"128 clips of core 0, the second 16 clips of own-core 0, 16 of them.*same --suite"
    ):
        other = make_run(4, 0, name="b")
        compare(first, rename(other, "b", suite={**read_manifest(other).document()["suite"], "name": "own-core"}))
    suite = read_manifest(first).document()["suite"]
    with pytest.raises(UsageError, match="simulated to other states"):
        compare(first, rename(make_run(name="c"), "c", suite={**suite, "hash": "other"}))
    with pytest.raises(UsageError, match=r"scored by other code.*--fresh"):
        compare(first, rename(make_run(name="d"), "d", versions={"code": "f00"}))
    with pytest.raises(UsageError, match=r"as in versions 0 and 1 of the suite.*--fresh"):
        compare(first, rename(make_run(name="e"), "e", suite={**suite, "version": 1}))
    with pytest.raises(UsageError, match="at least two"):
        compare(first)


def test_a_sign_test_answers_where_clips_are_too_few_for_intervals(make_run) -> None:
    """14 clips of `smoke`, one of each task, never have an interval."""
    best, worst = (be(make_run(2, 0, name=name), source) for name, source in (("a", "truth"), ("b", "freeze")))
    (found,) = compare(rename(best, "best"), rename(worst, "worst"), **FEW).against
    total = found.clips.ahead + found.clips.behind + found.clips.equal
    assert found.overall.interval is None and found.clips.ahead > 0 == found.clips.behind
    assert found.clips.p == pytest.approx(2 * 0.5**found.clips.ahead, abs=1e-6) and found.clips.sign == 1
    odds = rf"\(sign test, p (= 0\.\d+|< 0\.001)(, equal in {found.clips.equal})?\)"
    assert re.match(rf"best is ahead of worst in {found.clips.ahead} of {total} clips {odds}; overall", found.sentence)
    (back,) = compare(worst, best, **FEW).against
    assert back.sentence.startswith(f"worst is behind best in {found.clips.ahead} of {total} clips (sign test, p ")
    (same,) = compare(best, rename(be(make_run(2, 0, name="c"), "truth"), "same"), **FEW).against
    assert same.clips.p == 1 and same.clips.sign == 0
    assert same.sentence.startswith("best and same cannot be told apart: ahead in 0 and behind in 0 of ")


@pytest.mark.parametrize(("ahead", "behind", "p"), [(12, 2, 0.012939), (9, 4, 0.266846), (7, 7, 1.0), (0, 0, 1.0)])
def test_the_sign_test_is_that_of_scipy(ahead: int, behind: int, p: float) -> None:
    from scipy.stats import binomtest

    if ahead + behind:
        assert binomtest(ahead, ahead + behind).pvalue == pytest.approx(p, abs=1e-6)
    assert sign_test(ahead, behind) == pytest.approx(p, abs=1e-6)


def test_runs_are_compared_on_the_clips_that_they_share(make_run) -> None:
    """One of 128 clips and one of 16 are paired on the 16, as two runs of these would be."""
    many, few = be(make_run(name="a"), "truth"), make_run(4, 0, name="b")
    found = compare(many, few, **FEW)
    assert found.clips == 16 and found.held == [128, 16]
    alone = compare(be(make_run(4, 0, name="c"), "truth"), few, **FEW)
    assert found.against[0].overall == alone.against[0].overall and found.against[0].clips == alone.against[0].clips
    target = io.StringIO()
    print_comparison(found, Console(file=target, width=200))
    assert "core 0, 16 clips, those that all runs hold (of 128 and 16), paired" in target.getvalue()
    three = compare(many, few, make_run(name="d"), **FEW)
    assert three.clips == 16 and len(three.against) == 2


@pytest.mark.parametrize("change", [{"local": True}, {"version": 1}])
def test_parts_are_not_paired_where_states_may_differ(make_run, change) -> None:
    many, few = make_run(name="a"), make_run(4, 0, name="b")
    suite = {**read_manifest(few).document()["suite"], **change}
    with pytest.raises(UsageError, match="cannot be compared clip by clip"):
        compare(many, rename(few, "b", suite=suite))


def in_look(folder: RunFolder, look: str, **changes: object) -> RunFolder:
    """Let a run have been shown a look; `changes` overwrite fields of its card."""
    model = read_manifest(folder).document()["model"]
    card = {**model["card"], "look": look, **changes}
    return rename(folder, str(model["name"]), model={**model, "card": card})


def test_one_model_in_two_looks_says_what_the_look_changes(make_run) -> None:
    plain, lit = be(make_run(name="a"), "truth"), in_look(make_run(name="b"), "natural")
    for pair in ((plain, lit), (lit, plain)):
        comparison = compare(*pair, **FEW)
        (found,) = comparison.against
        assert comparison.differs == "look" and comparison.first.look == "natural" and found.other.look == "plain"
        assert comparison.first.path == str(lit.path), "the order in which they are given does not turn the sign"
    results = [built_once(folder, resamples=200) for folder in (lit, plain)]
    assert found.overall.ahead == pytest.approx(results[0].overall.skill - results[1].overall.skill, abs=2e-6)
    assert found.overall.interval is not None and found.overall.interval[1] < 0
    for axis, change in found.axes.items():
        lower, higher = (result.axes[axis].skill for result in results)
        assert change.ahead == pytest.approx(lower - higher, abs=2e-6)
    target = io.StringIO()
    print_comparison(comparison, Console(file=target, width=100))
    text = " ".join(target.getvalue().split())
    assert "(natural) is behind" in text and "what the pictures change for it, not the physics" in text
    assert "look changes" in text and "ahead by" not in text


def test_two_looks_of_other_models_or_sizes_are_refused(make_run) -> None:
    plain, lit = make_run(name="a"), in_look(make_run(name="b"), "natural")
    with pytest.raises(UsageError, match=r"look natural, the second the look plain.*two runs of one model"):
        compare(rename(plain, "other"), lit)
    with pytest.raises(UsageError, match=r"not all that differs.*128x128@15-natural, 8 context frames and 1 sample"):
        compare(make_run(name="c"), in_look(make_run(name="d"), "natural", image_size=[128, 128]))
    with pytest.raises(UsageError, match="two runs of one model"):
        compare(lit, make_run(name="e"), make_run(name="f"))


def test_several_runs_from_the_command_line(make_run, capsys) -> None:
    paths = [str(rename(make_run(name=name), name).path) for name in ("a", "b", "c")]
    assert run(["compare", *paths, "--json"]) == 0
    comparison = Comparison.model_validate(json.loads(capsys.readouterr().out))
    assert [against.other.name for against in comparison.against] == ["b", "c"]
    assert run(["compare", *paths[:2]]) == 0
    text = capsys.readouterr().out
    assert "ahead by" in text and "95 % interval" in text
    assert run(["compare", paths[0]]) == 2
    assert "two runs" in capsys.readouterr().err
