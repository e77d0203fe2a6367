"""What every command prints with: data to stdout, progress and notes to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console


def debugging() -> bool:
    """Whether --debug stands anywhere in the command line."""
    return "--debug" in sys.argv


def note(message: str) -> None:
    """Print a line for the person at the terminal, on stderr."""
    typer.echo(message, err=True)


def warn(message: str) -> None:
    """Print a line that says that something is not as it should be, on stderr."""
    typer.echo(typer.style("Warning: ", fg="yellow") + message, err=True)


def complain(message: str) -> None:
    """Print an error on stderr. The message says what was wrong, where, and what to do."""
    typer.echo(typer.style("Error: ", fg="red", bold=True) + message, err=True)


def stdout_console() -> Console:
    """A rich console for tables of data. Where stdout is no terminal, lines are not cut at 80 columns."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)
