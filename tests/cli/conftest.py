"""Run folders made up from real clips and known scores."""

from made_runs import kit, make_run, small_run

__all__ = ["kit", "make_run", "small_run"]
