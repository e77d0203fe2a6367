"""The runs of a folder as a page, and a server for it on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from physbench.result.compare import compare
from physbench.result.document import read_result
from physbench.result.formats import AXIS_NAMES, SATURATED_MEANING, bracket, fixed
from physbench.result.read import SORTED_BY, RunSummary, find_runs, sorted_runs
from physbench.result.report.page import page_environment
from physbench.result.report.tables import skill_rows
from physbench.score.protocol import AXES
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.printable import printable
from physbench.support.run_folder import RunFolder

# The runs of a folder as a page, with a link to each report.


@dataclass(frozen=True)
class RunRow:
    """One row, in words."""

    name: str
    link: str  # "" where there is no report
    model: str
    suite: str
    overall: str
    axes: tuple[str, ...]
    key: str  # by which it is named in a request
    state: str
    changed: str
    note: str


def report_link(run: RunSummary) -> str:
    """Address at which the report of a run is served."""
    return f"/report/{run_key(run)}"


def run_key(run: RunSummary) -> str:
    """By which a run is named in a request: a hash of its path, so that nothing in a path counts."""
    return hashlib.sha256(run.path.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def report_file(run: RunSummary) -> Path | None:
    """The report of a run, or None: there is none, or it is a link to somewhere else."""
    path = RunFolder(Path(run.path)).report
    linked = path.is_symlink() or path.parent.is_symlink()
    return path if path.is_file() and not linked else None


def overall_words(run: RunSummary) -> str:
    """ "0.50 [0.43, 0.57]"; a dash with the reason where there is no overall."""
    if run.overall is None:
        return f"– {run.reason}".rstrip()
    return f"{fixed(run.overall)} {bracket(run.interval)}".rstrip()


def axis_words(run: RunSummary, axis: str) -> str:
    """ "0.46"; a dash where there is no skill, and "" where the run has no result."""
    return fixed(run.axes[axis]) if axis in run.axes else ""


def state_words(run: RunSummary) -> str:
    """ "finished"; "finished: 3 of 8 failed"; "finished: 0 of 8 scored"; "partial: 14 of 56"; "12 of 56 scored"."""
    if run.state == "unfinished":
        return f"{run.done} of {run.of} scored"
    words = [f"{run.done} of {run.of}"] if run.state == "partial" else []
    if run.failed:
        words.append(f"{run.failed} of {run.clips} failed" if run.scored else f"0 of {run.clips} scored")
    return f"{run.state}: {', '.join(words)}" if words else run.state


def runs_page(folder: Path, runs: Sequence[RunSummary], by: str = "changed") -> str:
    """HTML. Every text is escaped: names of folders and models may hold anything. by: as of `sorted_runs`."""
    rows = [_row(folder, run) for run in sorted_runs(runs, by)]
    page = page_environment("physbench.result.report").get_template("runs.html.j2")
    columns = ("run", "model", "suite", "overall", *AXES, "state", "changed")
    return page.render(
        folder=printable(str(folder.resolve())),
        rows=rows,
        notes=any(row.note for row in rows),
        columns=[(name, AXIS_NAMES.get(name, name), name in SORTED_BY, name in ("overall", *AXES)) for name in columns],
        by=by,
    )


def two_runs_page(folder: Path, pair: Sequence[RunSummary]) -> str:
    """HTML of two runs side by side: skills of all levels, and in a sentence which one is ahead."""
    results = [read_result(RunFolder(Path(run.path)).result) for run in pair]
    levels = [{(line.level, line.name): line.cells for line in skill_rows(result)} for result in results]
    axes = [axis for axis in AXES if any(axis in result.axes for result in results)]
    rows = []
    for level, name in dict.fromkeys(key for each in levels for key in each):
        cells = [
            tuple(f"{cell.text}{' lost' if cell.note == 'lost' else ''}" for cell in each[level, name])
            if (level, name) in each
            else ("",) * (1 + len(axes))
            for each in levels
        ]
        rows.append((level, printable(name), list(zip(*cells, strict=False))))  # by axis, both runs
    try:
        # few, as a page is waited for
        found = compare(*(RunFolder(Path(run.path)) for run in pair), resamples=1000)
        sentence = " ".join([found.against[0].sentence, *found.failures])
    except (PhysbenchError, OSError) as error:
        sentence = str(error)
    page = page_environment("physbench.result.report").get_template("two_runs.html.j2")
    return page.render(
        folder=printable(str(folder.resolve())),
        pair=[_row(folder, run) for run in pair],
        columns=["overall", *(AXIS_NAMES[axis] for axis in axes)],
        rows=rows,
        said=printable(sentence),
        guards=SATURATED_MEANING,
    )


def _row(folder: Path, run: RunSummary) -> RunRow:
    path = Path(run.path)
    name = str(path.relative_to(folder)) if path.is_relative_to(folder) and path != folder else path.name or run.path
    tags = " ".join(f"[{tag}]" for tag in run.tags)
    return RunRow(
        name=printable(name),
        link=report_link(run) if report_file(run) else "",
        model=printable(run.model),
        suite=printable(run.suite),
        overall=overall_words(run),
        axes=tuple(axis_words(run, axis) for axis in AXES),
        key=run_key(run) if run.axes else "",
        state=state_words(run),
        changed=datetime.fromtimestamp(run.changed).strftime("%Y-%m-%d %H:%M"),
        note=printable(" ".join(part for part in (tags, run.note) if part)),
    )


LOOPBACK = "127.0.0.1"
OWN_PARTS = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; media-src data: blob:; font-src data:; "
    "base-uri 'none'; frame-ancestors 'none'"
)


class LoopbackServer(ThreadingHTTPServer):
    """A server on the loopback address. `server_port` says where."""

    daemon_threads = True  # a browser that holds its connection does not keep the program
    allow_reuse_address = True

    def __init__(self, port: int, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        """Open the port; 0 takes any that is free. Raises OSError where it is taken."""
        super().__init__((LOOPBACK, port), handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a browser that goes away in the middle of an answer is no error."""

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/"


def is_for_loopback(request: BaseHTTPRequestHandler) -> bool:
    """False if a request came under another name that was made to point here."""
    return (request.headers.get("Host") or "").rsplit(":", 1)[0] in (LOOPBACK, "localhost")


class RunsServer(LoopbackServer):
    """A server of the runs of one folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        super().__init__(port, _Handler)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD. A report is found by the hash of its run's path: no path comes from the request."""

    server: RunsServer
    server_version, sys_version = "physbench", ""
    timeout = 30  # s for a request to arrive

    def do_GET(self) -> None:
        if not is_for_loopback(self):
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

    def _content(self, path: str, query: Mapping[str, Sequence[str]]) -> bytes | None:
        if path not in ("/", "/two") and not path.startswith("/report/"):
            return None
        runs = find_runs(self.server.folder)
        if path == "/":
            by = query.get("sort", ["changed"])[0]
            return runs_page(self.server.folder, runs, by if by in SORTED_BY else "changed").encode()
        if path == "/two":
            pair = [run for key in query.get("run", ()) for run in runs if run.axes and run_key(run) == key]
            if len(pair) != 2 or pair[0] is pair[1]:
                raise UsageError("Choose two runs that have a result, and go back to the list for others.")
            return two_runs_page(self.server.folder, pair).encode()
        report_path = next((file for run in runs if report_link(run) == path and (file := report_file(run))), None)
        return None if report_path is None else report_path.read_bytes()

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        policy = f"{OWN_PARTS}; form-action 'self'"  # of the list, which asks for two runs
        if self.path.startswith("/report/"):
            # Reports come from run folders of others, too: they play what they hold, in an origin of their own, from
            # which neither the list of runs nor another report can be read.
            policy = f"{OWN_PARTS}; form-action 'none'; script-src 'unsafe-inline'; sandbox allow-scripts"
        self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a line a request would hide what matters."""
