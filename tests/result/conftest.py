"""Run folders made up from real clips and known scores, and tracks made from exact states."""

from ideal_tracks import ideal
from made_runs import kit, make_run, small_run

__all__ = ["ideal", "kit", "make_run", "small_run"]
