"""How every command prints: data to stdout, progress and notes to stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from physbench.errors import DISK_FULL, UsageError

if TYPE_CHECKING:
    from rich.console import Console

READABLE = 110  # columns; text is wrapped there, also where stdout is not a terminal


def debugging() -> bool:
    """Whether --debug stands anywhere in the command line."""
    return "--debug" in sys.argv


def note(message: str) -> None:
    """Print a line for the person at the terminal, on stderr."""
    typer.echo(message, err=True)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    typer.echo(typer.style("Warning: ", fg="yellow") + message, err=True)


def complain(message: str) -> None:
    """Print an error on stderr. The message says what was wrong, where, and what to do."""
    typer.echo(typer.style("Error: ", fg="red", bold=True) + message, err=True)


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


def stdout_console() -> Console:
    """A rich console for tables of data. Where stdout is not a terminal, lines are not cut at 80 columns."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)
