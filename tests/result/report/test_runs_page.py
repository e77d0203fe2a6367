"""The list of runs as a page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from runs_on_disk import Texts, unfinished

from physbench.result.build import write_result
from physbench.result.document import read_result
from physbench.result.read import find_runs, sorted_runs, summary
from physbench.result.report.runs import overall_words, report_link, runs_page, two_runs_page

HOSTILE = "<img src=x onerror=alert(1)>"


def test_each_run_is_a_row_and_a_report_a_link(tmp_path: Path) -> None:
    unfinished(tmp_path, "week/half", note="with dropout")
    done = unfinished(tmp_path, "done")
    (done / "report").mkdir()
    (done / "report" / "index.html").write_text("<p>report</p>")
    runs = find_runs(tmp_path)
    page = Texts(runs_page(tmp_path, runs))
    assert "week/half" in page.text and "with dropout" in page.text and "0 of 3 scored" in page.text
    links = [link for link in page.links if not link.startswith("/?sort=")]
    assert links == [report_link(next(run for run in runs if run.path.endswith("done")))]


def test_names_of_any_kind_are_text(tmp_path: Path) -> None:
    """Folders, models and notes may hold markup, or bytes that are no text."""
    unfinished(tmp_path, HOSTILE.replace("/", ""), model="<script>x</script>", note='"><svg onload=y>')
    plain = Texts(runs_page(tmp_path, find_runs(tmp_path)))
    assert not {"img", "svg", "script"} & set(plain.elements)
    assert HOSTILE in plain.text and "<script>x</script>" in plain.text
    (tmp_path / "bytes\udcff").mkdir()
    (tmp_path / "bytes\udcff" / "manifest.json").write_text("{}")
    assert "bytes\N{REPLACEMENT CHARACTER}" in Texts(runs_page(tmp_path, find_runs(tmp_path))).text


def test_no_runs(tmp_path: Path) -> None:
    assert "There is no run here." in Texts(runs_page(tmp_path, [])).text


def test_a_link_out_of_the_run_is_no_report(tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("secret")
    run = unfinished(tmp_path / "runs", "a")
    (run / "report").mkdir()
    (run / "report" / "index.html").symlink_to(secret)
    other = unfinished(tmp_path / "runs", "b")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "index.html").write_text("secret")
    (other / "report").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    links = Texts(runs_page(tmp_path / "runs", find_runs(tmp_path / "runs"))).links
    assert not [link for link in links if not link.startswith("/?sort=")]


def test_runs_are_shown_with_axes_and_why_overall_is_blank(make_run, tmp_path: Path) -> None:
    whole, part = make_run(2, 0, name="whole"), make_run(2, 0, tasks=("falling/projectile-v1",), name="part")
    for each in (whole, part):
        write_result(each)
    unfinished(whole.path.parent, "half")
    runs = find_runs(whole.path.parent)
    found = {Path(each.path).name: each for each in runs}
    result = read_result(whole.result)
    assert found["whole"].axes == {axis: each.skill for axis, each in result.axes.items()}
    assert overall_words(found["whole"]) == f"{result.overall.skill:.2f}"
    reason = read_result(part.result).overall.reason
    assert reason and overall_words(found["part"]) == f"– {reason}"
    assert overall_words(found["half"]) == "–" and found["half"].axes == {}
    text = " ".join(Texts(runs_page(whole.path.parent, runs)).text.split())
    assert "physical consistency" in text and reason in text


def test_runs_are_sorted_by_any_column(make_run) -> None:
    """Those without a skill come last, whatever they are sorted by."""
    low, high = make_run(2, 0, name="low"), make_run(2, 0, name="high")
    pd.read_parquet(high.reference("truth").scores).to_parquet(high.scores)
    for each in (low, high):
        write_result(each)
    unfinished(low.path.parent, "half", model="another")
    runs = find_runs(low.path.parent)

    def order(by: str) -> list[str]:
        return [Path(each.path).name for each in sorted_runs(runs, by)]

    assert order("overall") == order("drift") == ["high", "low", "half"]
    assert order("run") == ["half", "high", "low"] and order("model")[0] == "half"
    assert order("changed")[0] == "half"
    page = runs_page(low.path.parent, runs, "overall")
    assert page.index(">high<") < page.index(">low<") < page.index(">half<")
    assert page.count('aria-current="true"') == 1


def test_two_runs_stand_side_by_side(make_run) -> None:
    best, worst = make_run(2, 0, name="best"), make_run(2, 0, name="<b>worst")
    pd.read_parquet(best.reference("truth").scores).to_parquet(best.scores)
    for each in (best, worst):
        write_result(each)
    pair = [summary(best), summary(worst)]
    page = Texts(two_runs_page(best.path.parent, pair))
    text = " ".join(page.text.split())
    assert "clips (sign test" in text and "projectile" in text and "b" not in page.elements
    assert overall_words(pair[0]) in text and overall_words(pair[1]) in text
