"""The list of runs as a page, and its server: what it serves, and what it must not."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from runs_on_disk import Texts, unfinished

from physbench.cli.main import run
from physbench.leaderboard.site import BoardServer
from physbench.result.build import write_result
from physbench.result.document import read_result
from physbench.result.read import find_runs, sorted_runs, summary
from physbench.result.report.runs import (
    LOOPBACK,
    LoopbackServer,
    RunsServer,
    overall_words,
    report_link,
    runs_page,
    state_words,
    two_runs_page,
)

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


def test_a_run_says_how_many_clips_failed(make_run, capsys: pytest.CaptureFixture[str]) -> None:
    """Skills alone would read as those of a model that answered: what failed counts as 0."""
    clips = sorted(pd.read_parquet(make_run(2, 0, name="whole").scores)["clip"].unique())
    for name, failed in (("whole", 0), ("part", 3), ("none", 8)):
        write_result(make_run(2, 0, name=name, failed=frozenset(clips[:failed])))
    runs = find_runs(make_run(2, 0, name="half").path.parent)
    words = {"whole": "finished", "part": "finished: 3 of 8 failed", "none": "finished: 0 of 8 scored"}
    assert {Path(each.path).name: state_words(each) for each in runs if each.axes} == words
    page = Texts(runs_page(Path(runs[0].path).parent, runs)).text
    assert run(["runs", str(Path(runs[0].path).parent)]) == 0
    for text in (page, capsys.readouterr().out):
        assert "finished: 3 of 8 failed" in text and "finished: 0 of 8 scored" in text


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


@contextmanager
def answering(server: LoopbackServer) -> Iterator[LoopbackServer]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[RunsServer]:
    """A folder of one run with a report, beside a file that nobody may see."""
    root = tmp_path / "runs"
    done = unfinished(root, "done & <b>")
    (done / "report").mkdir()
    (done / "report" / "index.html").write_text("<p>the report</p>")
    (done / "report" / "other.html").write_text("another file")
    (tmp_path / "secret.txt").write_text("secret")
    with answering(RunsServer(root, 0)) as server:
        yield server


def asked(server: LoopbackServer, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str, dict]:
    connection = http.client.HTTPConnection(LOOPBACK, server.server_port, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"{LOOPBACK}:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), dict(answer.getheaders())


def test_the_list_leads_to_the_report(served: RunsServer) -> None:
    status, page, headers = asked(served, "/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    [link] = [link for link in Texts(page).links if not link.startswith("/?sort=")]
    assert "done & <b>" in Texts(page).text
    status, page, headers = asked(served, link)
    assert (status, page) == (200, "<p>the report</p>")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, page, headers = asked(served, link, "HEAD")
    assert (status, page, headers["Content-Length"]) == (200, "", "17")


@pytest.mark.parametrize("by", ["overall", "drift", "nothing", "../../secret", ""])
def test_the_list_is_sorted_by_what_it_knows(served: RunsServer, by: str) -> None:
    status, page, _ = asked(served, f"/?sort={by}")
    assert status == 200 and page.count('aria-current="true"') == 1


@pytest.mark.parametrize("query", ["", "run=a", "run=a&run=b", "run=../../secret.txt&run=x"])
def test_two_runs_are_named_by_what_the_list_gives(served: RunsServer, query: str) -> None:
    status, page, _ = asked(served, f"/two?{query}")
    assert status == 500 and page.startswith("Choose two runs that have a result") and "secret" not in page


def test_a_run_that_was_added_is_there_at_the_next_look(served: RunsServer) -> None:
    unfinished(served.folder, "new")
    assert "new" in Texts(asked(served, "/")[1]).text


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/report/../../secret.txt",
        "/done%20&%20%3Cb%3E/manifest.json",
        "/manifest.json",
        "/report/",
        "//etc/passwd",
        "/etc/passwd",
        "http://example.org/",
    ],
)
def test_nothing_else_is_served(served: RunsServer, path: str) -> None:
    status, text, _ = asked(served, path)
    assert (status, text) == (404, "There is no such page.\n")


def test_files_beside_the_report_are_not_served(served: RunsServer) -> None:
    link = report_link(find_runs(served.folder)[0])
    for more in ("/other.html", "/../index.html", "/"):
        assert asked(served, link + more)[0] == 404
    (served.folder / "done & <b>" / "report" / "index.html").unlink()
    links = Texts(asked(served, "/")[1]).links
    assert asked(served, link)[0] == 404 and not [each for each in links if not each.startswith("/?sort=")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(served: RunsServer, method: str) -> None:
    assert asked(served, "/", method)[0] == 501


def test_only_this_machine_is_answered(served: RunsServer) -> None:
    assert served.server_address[0] == "127.0.0.1"
    assert asked(served, "/", host="evil.example")[0] == 403, "a name that was made to point to the loopback address"
    assert asked(served, "/", host=f"localhost:{served.server_port}")[0] == 200


def test_a_board_shows_its_files_and_lists_no_folder(tmp_path: Path) -> None:
    entry = tmp_path / "board" / "entries" / "a"
    entry.mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "board" / "index.html").write_text("<p>the board</p>")
    (entry / "report.html").write_text("<p>the report</p>")
    with answering(BoardServer(tmp_path / "board", 0)) as server:
        assert asked(server, "/")[:2] == (200, "<p>the board</p>")
        assert asked(server, "/entries/a/report.html")[:2] == (200, "<p>the report</p>")
        for path in ("/entries/", "/entries", "/../secret.txt", "/%2e%2e/secret.txt", "//etc/passwd"):
            status, text, _ = asked(server, path)
            assert (status in (301, 404)) and "secret" not in text and "report" not in text
        assert asked(server, "/", host="evil.example")[0] == 403
        (tmp_path / "board" / "out.txt").symlink_to(tmp_path / "secret.txt")
        (tmp_path / "board" / ".hidden").write_text("secret")
        for path in ("/out.txt", "/.hidden", "/%00"):
            status, text, _ = asked(server, path)
            assert status == 404 and "secret" not in text


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    unfinished(tmp_path, "a")
    words = ["view", str(tmp_path), "--port", "0", "--no-open"]
    program = subprocess.Popen(
        [sys.executable, "-c", "from physbench.cli.main import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    address = program.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:")
    time.sleep(0.2)
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=120)
    assert program.returncode == 0
    assert said.startswith("1 run in ") and said.endswith("Stopped.\n") and "Traceback" not in said


def test_what_cannot_be_served_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["view", str(tmp_path / "none"), "--no-open"]) == 2
    assert "There is no folder" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        assert run(["view", str(tmp_path), "--no-open", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot be used" in capsys.readouterr().err
    assert run(["view", str(tmp_path), "--port", "70000"]) == 2
