"""The terminal: data to stdout, progress and notes to stderr, and the words that a shell offers after Tab.

`physbench --install-completion` tells bash, zsh or fish to ask for suites, tasks, scorers, models and runs by name.
Where nothing is offered, the shell offers files.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from physbench.support.errors import DISK_FULL, UsageError
from physbench.support.printable import LIKE_ASCII, SUBSTITUTES, printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    from physbench.result.report.runs import LoopbackServer

# Options of what shows pages in the browser.
Port = Annotated[
    int, typer.Option(min=0, max=65535, metavar="N", help="Port on the loopback address; 0: any that is free.")
]
OpenBrowser = Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")]

READABLE = 110  # columns; text is wrapped there, also where stdout is not a terminal


def debugging() -> bool:
    """True if --debug stands anywhere in the command line."""
    return "--debug" in sys.argv


class GroupedHelp(TyperCommand):
    """A command whose --help lists options under headings, their `rich_help_panel`, the advanced ones last."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from physbench.run.options import ADVANCED

        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                argument = parameter.param_type_name == "argument"
                heading = "Arguments" if argument else getattr(parameter, "rich_help_panel", None) or "Options"
                groups.setdefault(heading, []).append(record)
        if len(groups) > 2 and "Options" in groups:  # --help alone
            groups.setdefault(ADVANCED, []).extend(groups.pop("Options"))
        for heading, records in sorted(groups.items(), key=lambda group: group[0] == ADVANCED):
            with formatter.section(heading):
                formatter.write_dl(records)


def prepare_streams() -> None:
    """Let stdout and stderr take every text, whatever the terminal's encoding lacks, also where they are closed.

    Call it before the first file is opened: one that took the number of a closed stream would get what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until the end
        elif isinstance(stream, io.TextIOWrapper):
            plain = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding=LIKE_ASCII if plain else None, errors=SUBSTITUTES)


def note(message: str) -> None:
    """Print a line for the person at the terminal, on stderr."""
    typer.echo(printable(message, keep="\n\t"), err=True)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    typer.echo(typer.style("Warning: ", fg="yellow") + printable(message, keep="\n\t"), err=True)


def complain(message: str) -> None:
    """Print an error on stderr. The message says what was wrong, where, and what to do."""
    typer.echo(typer.style("Error: ", fg="red", bold=True) + printable(message, keep="\n\t"), err=True)


def refuse_missing(*runs: str) -> None:
    """Raise UsageError for folders that hold no run, before anything heavy is imported. URLs are not asked."""
    from physbench.support.remote import is_url
    from physbench.support.run_folder import RunFolder, require_run

    for run in runs:
        if not is_url(run):
            require_run(RunFolder(Path(run)))


def refuse_unwritable(folder: Path) -> None:
    """Raise UsageError where `folder` cannot be written into; it is created if it does not exist."""
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise UsageError(f"Cannot write into {folder.absolute()}: {error.strerror}. Choose another --out.") from error


def serve(server: Callable[[], LoopbackServer], shown: str, port: int, *, open_browser: bool) -> None:
    """Serve pages for this machine alone until Ctrl-C. shown: what they are. Raises UsageError where the port is taken.

    The address goes to stdout.
    """
    try:
        pages = server()
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise UsageError(f"--port: {port} cannot be used ({error.strerror}). Try another, or 0 for any.") from None
    with pages:
        typer.echo(pages.address)
        note(f"{shown}, for this machine alone. Ctrl-C ends it.")
        if open_browser:
            import webbrowser

            webbrowser.open(pages.address)
        try:
            pages.serve_forever()
        except KeyboardInterrupt:
            note("Stopped.")


def stdout_console() -> Console:
    """A rich console for tables of data. Where stdout is not a terminal, lines are not cut at 80 columns.

    Brackets and colons are shown as they are: `pip install 'physbench[lpips]'` holds no markup.
    """
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False, emoji=False)
    hook: Any = _PlainTexts()  # rich's RenderHook, which is not imported before it is needed
    console.push_render_hook(hook)
    return console


class _PlainTexts:
    """Shows no character that is not printable, of whatever a console prints: names and reasons are other people's."""

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        return [_PlainText(each) for each in renderables]


class _PlainText:
    """Something for a rich console, without characters that are not printable."""

    def __init__(self, shown: Any) -> None:
        self.shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.segment import Segment

        for segment in console.render(self.shown, options):
            yield segment if segment.control else Segment(printable(segment.text, keep="\n"), segment.style)


@contextmanager
def interrupted_note(words: str) -> Iterator[None]:
    """On Ctrl-C in here, say what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        note(words)
        raise


COMPLETING = "_PHYSBENCH_COMPLETE"  # set by the shell's script


def answer(program: Callable[[], object]) -> None:
    """Answer a shell that asks, and end. bash splits words at colons and puts in only what follows the last one."""
    before = _join_words_of_bash() if os.environ[COMPLETING].endswith("_bash") else ""
    code: str | int | None = 0
    with redirect_stdout(io.StringIO()) as captured:
        try:
            program()
        except SystemExit as leave:
            code = leave.code
    sys.stdout.write("".join(line.removeprefix(before) for line in captured.getvalue().splitlines(keepends=True)))
    sys.exit(code)


def _join_words_of_bash() -> str:
    """Join "reference : obj", as bash hands over "reference:obj", and return what of the last word it keeps."""
    typed, number = os.environ.get("COMP_WORDS", ""), int(os.environ.get("COMP_CWORD") or 0)
    between = "\n" if "\n" in typed else " "
    program, *rest = typed.split(between)[: number + 1]
    joined = [program]
    for word in rest:
        if word == ":" or joined[-1].endswith(":"):
            joined[-1] += word
        else:
            joined.append(word)
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = between.join(joined), str(len(joined) - 1)
    kept, colon, _ = joined[-1].rpartition(":")
    return kept + colon


def suite_names(incomplete: str) -> Iterable[str]:
    from physbench.clips.suite import GOLDEN_SUITES

    return _beginning(incomplete, GOLDEN_SUITES)


def clip_suites(incomplete: str) -> Iterable[str]:
    """Suites of clips, that of the reference models' training among them."""
    from physbench.clips.suite import EXPECTATION_SUITE, suite_names

    return _beginning(incomplete, [name for name in suite_names() if name != EXPECTATION_SUITE])


def task_names(incomplete: str) -> Iterable[str]:
    """Ids and families of tasks; of a list with commas, for its last part."""
    ids = _registered("physbench.tasks")
    return _last_of_list(incomplete, [*ids, *(f"{family}/*" for family in {each.partition("/")[0] for each in ids})])


def scorer_names(incomplete: str) -> Iterable[str]:
    return _last_of_list(incomplete, _registered("physbench.scorers"))


def model_names(incomplete: str) -> Iterable[str]:
    """Models with names, and the beginnings of the others. A checkpoint or a file with code is a path."""
    from physbench.support import plugins

    named = []
    for name in ("baseline", "reference", "saboteur"):  # adapters whose models have names
        if name.startswith(incomplete) or incomplete.startswith(f"{name}:"):
            named += [target for target, *_ in plugins.load("physbench.adapters", name).examples()]
    other_models = ("diffusers:", "http://", "https://", "python:", "transformers:", "videos:")
    return _beginning(incomplete, [*named, *other_models])


def architecture_names(incomplete: str) -> Iterable[str]:
    return _beginning(incomplete, _registered("physbench.architectures"))


def run_folders(incomplete: str) -> Iterable[str]:
    """Folders below ./runs with a run; nothing where another folder was begun."""
    from pathlib import Path

    return _beginning(incomplete, [str(path.parent) for path in sorted(Path("runs").glob("*/manifest.json"))])


def one_of(names: Iterable[str]) -> Callable[[str], Iterable[str]]:
    """Offers these."""
    return lambda incomplete: _beginning(incomplete, names)


looks = one_of(("plain", "natural", "natural:shutter=0", "natural:noise=1.5"))
views = one_of(("far", "near", "moving"))
devices = one_of(("auto", "cpu", "cuda", "mps"))


def _registered(group: str) -> list[str]:
    from physbench.support import plugins

    return list(plugins.entries(group))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _last_of_list(incomplete: str, names: Iterable[str]) -> list[str]:
    first, comma, last = incomplete.rpartition(",")
    return [first + comma + name for name in _beginning(last, names)]
