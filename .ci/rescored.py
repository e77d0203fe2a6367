"""Re-score an entry of the board: its clips that the run of the README's main command has, from the model on.

.ci/rescored.py RUN

The model has answered again, and everything was tracked and scored again, on this machine with these libraries.
Readings of ground truth and of the frozen frame must be those of the entry. Networks differ in their last bits, and
with them what a ball does after a near miss, so that of the model the means must agree.
"""

import sys
from pathlib import Path

import pandas as pd

from physbench.leaderboard.entry import Entry, present
from physbench.results.read_run import read_run
from physbench.storage.run_folder import RunFolder

KEY = ["clip", "reading"]
EXACT = 1e-6  # of a quality
MEAN = 0.02  # of a quality, mean over the clips of an axis


def entry_of(model: dict[str, object], board: Path) -> Entry:
    """The entry of the same model."""
    for entry in present(board):
        if entry.result.model.sha256 == model["sha256"] and entry.result.model.target == model["target"]:
            return entry
    sys.exit(f"{board} has no entry of {model['target']}.")


def differences(theirs: pd.DataFrame, mine: pd.DataFrame) -> pd.DataFrame:
    """Quality here less that of the entry, with its axis, of the headline readings of the clips that both have."""
    theirs, mine = (table[table["axis"].notna() & table["quality"].notna()] for table in (theirs, mine))
    both = theirs.merge(mine[mine["clip"].isin(theirs["clip"])], on=KEY, how="right", suffixes=("", "_here"))
    return both.assign(difference=both["quality_here"] - both["quality"])


def main(run: str, board: str = "board") -> None:
    manifest, tables = read_run(RunFolder(Path(run)))
    entry = entry_of(manifest["model"], Path(board))
    known = entry.tables()
    for source in ("truth", "freeze", "model"):
        found = differences(known[source], tables[source])
        if source == "model":
            by_axis = found.groupby("axis")["difference"].mean()
            print(f"{entry.name}, {found['clip'].nunique()} clips from the model on, mean difference of quality:")
            print("  " + ", ".join(f"{axis} {value:+.4f}" for axis, value in by_axis.items()))
            wrong = found["quality"].isna().any() or not (by_axis.abs() <= MEAN).all()
        else:
            wrong = not (found["difference"].abs() <= EXACT).all()
        if wrong or found.empty:
            columns = [*KEY, "quality", "quality_here"]
            worst = found.reindex(found["difference"].abs().fillna(9).sort_values(ascending=False).index).head(5)
            sys.exit(f"{entry.path}: {source} is not what is measured here\n{worst[columns].to_string(index=False)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
