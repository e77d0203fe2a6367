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
    from physbench.run.remote_run import run_at
    from physbench.run.stages import finish_run
    from physbench.run.state import say_on_stderr

    with run_at(run, "go on", say_on_stderr) as place:
        finish_run(place.folder.path, workers=workers, clips=clips, debug=debugging(), say=place.say)
        print_result(place, as_json)
