"""Run folders made up from known scores."""

from made_runs import make_run, small_run

__all__ = ["make_run", "small_run"]
