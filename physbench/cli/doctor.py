"""`physbench doctor`: what works on this machine and what is missing."""

from __future__ import annotations

import time
from typing import Annotated

import typer

CHECK_COLOURS = {"ok": "green", "optional": "yellow", "missing": "red"}


def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="First compile what the first run on this machine would compile.")
    ] = False,
) -> None:
    """Show what works on this machine and what is missing.

    Exits with 1 where something that every run needs is missing.
    """
    from physbench.run.host import findings

    if warm:
        _warm()
    missing = 0
    for finding in findings():
        state = typer.style(f"{finding.state:8}", fg=CHECK_COLOURS[finding.state])
        typer.echo(f"{state} {finding.name:18} {finding.text}")
        if finding.remedy:
            typer.echo(f"{'':27} {finding.remedy}")
        missing += finding.state == "missing"
    if missing:
        raise typer.Exit(1)


def _warm() -> None:
    """Compile ahead, and say how long that took."""
    from physbench.laws.kernels import KERNELS, compile_kernels

    typer.echo(f"Compiling the {len(KERNELS)} functions of the motion analysis ...", err=True)
    started = time.monotonic()
    many = compile_kernels()
    took = time.monotonic() - started
    typer.echo(f"Compiled {many} in {took:.0f} s." if many else "All are compiled already.", err=True)
