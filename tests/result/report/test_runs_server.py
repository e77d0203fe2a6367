"""The server of runs: what it serves, and what it must not."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs_on_disk import Texts, unfinished

from physbench.cli.main import run
from physbench.result.read import find_runs
from physbench.result.report.runs import LOOPBACK, RunsServer, report_link


@pytest.fixture
def served(tmp_path: Path) -> Iterator[RunsServer]:
    """A folder of one run with a report, beside a file that nobody may see."""
    root = tmp_path / "runs"
    done = unfinished(root, "done & <b>")
    (done / "report").mkdir()
    (done / "report" / "index.html").write_text("<p>the report</p>")
    (done / "report" / "other.html").write_text("another file")
    (tmp_path / "secret.txt").write_text("secret")
    with RunsServer(root, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(server: RunsServer, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str, dict]:
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
