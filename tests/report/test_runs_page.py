"""The list of runs as a page."""

from __future__ import annotations

from pathlib import Path

from runs_on_disk import Texts, unfinished

from physbench.report.runs_page import report_link, runs_page
from physbench.results.run_listing import find_runs

HOSTILE = "<img src=x onerror=alert(1)>"


def test_each_run_is_a_row_and_a_report_a_link(tmp_path: Path) -> None:
    unfinished(tmp_path, "week/half", note="with dropout")
    done = unfinished(tmp_path, "done")
    (done / "report").mkdir()
    (done / "report" / "index.html").write_text("<p>report</p>")
    runs = find_runs(tmp_path)
    page = Texts(runs_page(tmp_path, runs))
    assert "week/half" in page.text and "with dropout" in page.text and "0 of 3 scored" in page.text
    assert page.links == [report_link(next(run for run in runs if run.path.endswith("done")))]


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
    assert not Texts(runs_page(tmp_path / "runs", find_runs(tmp_path / "runs"))).links
