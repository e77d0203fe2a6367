"""`physbench view`: the runs below a folder in the browser."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Annotated

import typer

from physbench.cli.console import note


def command(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder with runs.")] = Path("runs"),
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port on the loopback address; 0: any that is free.")
    ] = 8380,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
) -> None:
    """Show the runs of a folder and their reports in the browser, for this machine alone, until Ctrl-C.

    Example: physbench view
    """
    from physbench.result.formats import counted
    from physbench.result.read import find_runs
    from physbench.result.report.runs import RunsServer
    from physbench.support.errors import UsageError

    count = len(find_runs(folder))
    try:
        server = RunsServer(folder, port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise UsageError(f"--port: {port} cannot be used ({error.strerror}). Try another, or 0 for any.") from None
    with server:
        typer.echo(server.address)
        note(f"{counted(count, 'run')} in {folder}, for this machine alone. Ctrl-C ends it.")
        if open_browser:
            import webbrowser

            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            note("Stopped.")
