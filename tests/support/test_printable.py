"""What is shown on terminals, pages and in Markdown holds no control characters of other people's texts."""

from __future__ import annotations

import io
import sys
import unicodedata

import pytest
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from physbench.cli import console
from physbench.result.report.page import page_environment
from physbench.run.state import say_on_stderr
from physbench.support.plugins import describe_error
from physbench.support.printable import printable
from physbench.support.progress import on_terminal

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \u202egpj.exe\u202c \u2066a\u2069 \x9b2J \u200bb\r\x00\x08 \ud800 \u2028"


def hidden(text: str) -> list[str]:
    """Characters of a text that are not printable, but for spaces between words."""
    return [f"U+{ord(sign):04X}" for sign in text if not sign.isprintable() and sign not in "\n\t"]


def test_every_control_and_direction_mark_is_replaced_and_all_scripts_stay() -> None:
    assert hidden(HOSTILE) and not hidden(printable(HOSTILE))
    assert "red" in printable(HOSTILE) and "\N{REPLACEMENT CHARACTER}" in printable(HOSTILE)
    marks = [chr(code) for code in range(0x3000) if unicodedata.category(chr(code)) in ("Cc", "Cf")]
    assert len(marks) > 80 and all(printable(mark) == "\N{REPLACEMENT CHARACTER}" for mark in marks)
    assert printable("1\u2009000\u00a0m") == "1\u2009000\u00a0m"
    for text in ("Grüße, мир, 物理, العربية, עברית, ½ µm²", "one\ntwo"):
        assert printable(text, keep="\n") == text


def test_a_terminal_shows_none(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    for say in (console.note, console.warn, console.complain, say_on_stderr):
        say(HOSTILE)
    table = Table(HOSTILE)
    table.add_row(Text(HOSTILE))
    table.add_row(HOSTILE.replace("[", ""))
    shown = console.stdout_console()
    shown.print(table)
    shown.print(HOSTILE, markup=False)
    found = capsys.readouterr()
    assert "red" in found.out and "red" in found.err
    assert not hidden(found.out) and not hidden(found.err)


def test_the_console_keeps_its_own_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown, plain = console.stdout_console(), Console(width=160, highlight=False)
    for each in (shown, plain):
        each.file, each._color_system = io.StringIO(), plain._detect_color_system() or plain._color_system
        each._force_terminal = True
        each.print(Text("bold", style="bold red"), "words", style="green")
    assert shown.file.getvalue() == plain.file.getvalue()


def test_a_page_shows_none() -> None:
    page = (
        page_environment("physbench.result.report")
        .from_string("<p title='{{ text }}'>{{ text }}</p>")
        .render(text=HOSTILE)
    )
    assert "red" in page and not hidden(page)


def test_an_error_that_cannot_be_told_is_told() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    class Number(Exception):
        def __str__(self) -> str:
            return 5  # type: ignore[return-value]

    for kind, words in ((Mute, "__str__ raises RuntimeError"), (Number, "__str__ raises TypeError")):
        try:
            raise kind
        except Exception as error:
            said = describe_error(error)
        assert said.startswith(f"{kind.__name__} in test_printable.py, line") and words in said
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        assert not hidden(describe_error(error))


def prepared(monkeypatch: pytest.MonkeyPatch, encoding: str) -> io.BytesIO:
    """A terminal of this encoding in the place of stdout and stderr, as the program prepares it."""
    written = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(written, encoding=encoding, write_through=True))
    console.prepare_streams()
    return written


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "gbk", "koi8-r", "utf-8"])
def test_terminals_of_every_encoding_take_every_text(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ozeranskii/httptap#270: all was done, and the program died of a character that the terminal does not have.

    freedomofpress/dangerzone#768: the name of a file is no UTF-8, and cannot be printed.
    """
    written = prepared(monkeypatch, encoding)
    texts = ("gravity 0 m/s² – × 2", "Müller’s “ball”, 物理, \N{ROCKET}", "b\udcff/run")
    for text in texts:
        typer.echo(text)
        typer.echo(text, err=True)
        table = Table(text)
        table.add_row(text)
        console.stdout_console().print(table)
    console.complain(" ".join(texts))
    sys.stdout.flush()
    sys.stderr.flush()
    shown = written.getvalue().decode(encoding)
    assert "Error: gravity" in shown and "b?/run" in shown
    if encoding == "ascii":
        assert "gravity 0 m/s2 - x 2" in shown and 'Muller\'s "ball", ??, ?' in shown


def test_a_program_without_streams_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """meta-pytorch/torchx#418: stdout was closed, and the colours of the program asked whether it is a terminal."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    console.prepare_streams()
    typer.echo("one")
    console.note("two")
    console.stdout_console().print("three")
    assert sys.stdout is not None and sys.stderr is not None
    sys.stdout.close()
    sys.stderr.close()
    assert not on_terminal(), "nor does progress ask a stream that is closed"


def test_brackets_and_colons_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """pypa/pip#12023: what stands in brackets, such as extras of a package, was taken for markup and vanished."""
    words = "pip install 'physbench[lpips]' [bold] [/red] :smile: videos:DIR"
    table = Table(words)
    table.add_row(words)
    shown = console.stdout_console()
    shown.print(words)
    shown.print(table)
    assert capsys.readouterr().out.count(words) == 3
