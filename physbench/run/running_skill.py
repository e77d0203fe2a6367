"""Overall skill of a run at work, from the score rows that lie in its folder, each read once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.clips.clip import Row
from physbench.results.answers import unasked_axes
from physbench.results.estimates import MODELS, estimate, pooled
from physbench.results.levels import overall
from physbench.results.number_format import bracket, counted, fixed
from physbench.results.read_run import REFERENCE_MODELS
from physbench.results.task_roles import fixed_kinds
from physbench.run.run_state import Run
from physbench.run.score_shards import read_part, rows_document
from physbench.scoring.reading_roles import scorer_of
from physbench.scoring.scorer_protocol import ScoreRow

if TYPE_CHECKING:
    import pandas as pd

ESTIMATE_EVERY = 30.0  # s from one estimate to the next
FEW_DRAWS = 1000  # of the bootstrap


class RunningSkill:
    """Overall of the clips that are scored with all samples and references."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._parts: dict[Path, list[ScoreRow]] = {}  # rows that overall is made of
        self._words, self._counted = "", time.monotonic()

    def tables(self, rows: Iterable[Row], *names: str) -> dict[str, pd.DataFrame] | None:
        """Score tables of these clips by source; None where a part is not there."""
        import pandas as pd

        clips, found = list(rows), dict[str, pd.DataFrame]()
        for name in names:
            parts = [self._part(path) for row in clips for path in self._paths(name, row)]
            if not all(parts):
                return None
            found[name] = pd.DataFrame(rows_document(row for part in parts for row in part or ()))
        return found

    def words(self) -> str:
        """ "overall 0.52 [0.45, 0.59] on 120 clips", at most every half minute anew; "" where there is none yet."""
        if time.monotonic() - self._counted >= ESTIMATE_EVERY:
            self._words = self._now()
            self._counted = time.monotonic()
        return self._words

    def _now(self) -> str:
        names = (*MODELS, *(name for name in REFERENCE_MODELS if name not in MODELS))
        rows = [row for row in self.run.rows if all(self._part(p) for name in names for p in self._paths(name, row))]
        if {row.task for row in rows} != set(self.run.suite.tasks):
            return ""
        tables, manifest = self.tables(rows, *names), self.run.manifest
        if tables is None:
            return ""
        unasked = unasked_axes(manifest["model"]["card"])
        found = overall(
            estimate(pooled(tables), resamples=FEW_DRAWS, fixed=fixed_kinds(manifest), unasked=unasked), 0, ""
        )
        return f"overall {fixed(found.skill)} {bracket(found.interval)}".rstrip() + f" on {counted(len(rows), 'clip')}"

    def _paths(self, name: str, row: Row) -> list[Path]:
        if name != MODELS[0]:
            return [self.run.folder.reference(name).part(row.id)]
        return [self.run.folder.part(row.id, item.sample) for item in self.run.samples_of(row)]

    def _part(self, path: Path) -> list[ScoreRow] | None:
        if path not in self._parts:
            part = read_part(path) if path.is_file() else None
            if part is None:
                return None
            events = scorer_of("event-balance").id
            self._parts[path] = [row for row in part if row.axis or row.reading.partition(".")[0] == events]
        return self._parts[path]
