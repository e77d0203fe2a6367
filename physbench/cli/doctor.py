"""`physbench doctor`: what works on this machine and what is missing."""

from __future__ import annotations

import typer

CHECK_COLOURS = {"ok": "green", "optional": "yellow", "missing": "red"}


def command() -> None:
    """Show what works on this machine and what is missing.

    Exits with 1 where something that every run needs is missing.
    """
    from physbench.run.host_info import findings

    missing = 0
    for finding in findings():
        state = typer.style(f"{finding.state:8}", fg=CHECK_COLOURS[finding.state])
        typer.echo(f"{state} {finding.name:18} {finding.text}")
        if finding.remedy:
            typer.echo(f"{'':27} {finding.remedy}")
        missing += finding.state == "missing"
    if missing:
        raise typer.Exit(1)
