"""`physbench finish RUN`: the last stage of an evaluation alone: tables, diagnosis, result and report."""

from __future__ import annotations

from physbench.cli import eval_options as o
from physbench.cli.score import ArchiveNow, Run


def command(
    run: Run, clips: ArchiveNow = None, workers: o.Workers = None, as_json: o.Json = False, debug: o.Debug = False
) -> None:
    """Write result and report of a run that is rolled out and scored.

    Example: physbench finish runs/a
    """
    from physbench.cli.console import debugging
    from physbench.cli.eval import print_result
    from physbench.run.evaluate import say_on_stderr
    from physbench.run.stored_stages import finish_run

    print_result(finish_run(run, workers=workers, clips=clips, debug=debugging(), say=say_on_stderr), as_json)
