"""Serves the list of runs and their reports to browsers on this machine, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from physbench.errors import PhysbenchError, UsageError
from physbench.report.runs_page import report_file, report_link, run_key, runs_page, two_runs_page
from physbench.results.run_listing import SORTED_BY, find_runs

LOOPBACK = "127.0.0.1"
OWN_PARTS = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; media-src data: blob:; font-src data:; "
    "base-uri 'none'; frame-ancestors 'none'"
)
ALLOWED_PARTS = f"{OWN_PARTS}; form-action 'self'"  # of the list, which asks for two runs
# Reports come from run folders of others, too: they play what they hold, in an origin of their own, from which neither
# the list of runs nor another report can be read.
REPORT_POLICY = f"{OWN_PARTS}; form-action 'none'; script-src 'unsafe-inline'; sandbox allow-scripts"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class RunsServer(ThreadingHTTPServer):
    """A server of one folder on the loopback address. `server_port` says where."""

    daemon_threads = True  # a browser that holds its connection does not keep the program
    allow_reuse_address = True

    def __init__(self, folder: Path, port: int) -> None:
        """Open the port; 0 takes any that is free. Raises OSError where it is taken."""
        self.folder = folder
        super().__init__((LOOPBACK, port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a browser that goes away in the middle of an answer is no error."""

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD. A report is found by the hash of its run's path: no path comes from the request."""

    server: RunsServer
    server_version, sys_version = "physbench", ""
    timeout = 30  # s for a request to arrive

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if host not in (LOOPBACK, "localhost"):  # another name that was made to point here
            self._answer(HTTPStatus.FORBIDDEN, b"Only for this machine.\n", "text/plain")
            return
        try:
            path, _, query = self.path.partition("?")
            content = self._content(path, parse_qs(query))
        except (PhysbenchError, OSError, ValueError) as error:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error}\n".encode(errors="replace"), "text/plain")
            return
        if content is None:
            self._answer(HTTPStatus.NOT_FOUND, b"There is no such page.\n", "text/plain")
        else:
            self._answer(HTTPStatus.OK, content, "text/html")

    do_HEAD = do_GET

    def _content(self, path: str, asked: Mapping[str, Sequence[str]]) -> bytes | None:
        if path not in ("/", "/two") and not path.startswith("/report/"):
            return None
        runs = find_runs(self.server.folder)
        if path == "/":
            by = asked.get("sort", ["changed"])[0]
            return runs_page(self.server.folder, runs, by if by in SORTED_BY else "changed").encode()
        if path == "/two":
            pair = [run for key in asked.get("run", ()) for run in runs if run.axes and run_key(run) == key]
            if len(pair) != 2 or pair[0] is pair[1]:
                raise UsageError("Choose two runs that have a result, and go back to the list for others.")
            return two_runs_page(self.server.folder, pair).encode()
        found = next((file for run in runs if report_link(run) == path and (file := report_file(run))), None)
        return None if found is None else found.read_bytes()

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        own = self.path.startswith("/report/")
        self.send_header("Content-Security-Policy", REPORT_POLICY if own else ALLOWED_PARTS)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a line a request would hide what matters."""
