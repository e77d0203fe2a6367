"""Re-score an entry of the board: its clips that the run of the README's main command has, from the model on.

.ci/rescored.py RUN

The model has answered again, and everything was tracked and scored again, on this machine with these libraries.
Readings of ground truth must be those of the entry. Processors differ in their last bits, and with them what the ball
of a network does after a near miss, and which of two equally near lawful arcs is found for a motion that breaks laws:
of a frozen frame nine in ten must be the same, and of it and of the model the means must agree.
"""

import sys
from pathlib import Path

import pandas as pd

from physbench.clips.suite import find_suite
from physbench.leaderboard.eligibility import of_result
from physbench.leaderboard.entries import Entry, present
from physbench.result.document import ResultDocument, read_result
from physbench.result.read import read_run
from physbench.score.protocol import AXES
from physbench.support.errors import PhysbenchError
from physbench.support.run_folder import RunFolder

KEY = ["clip", "sample", "reading"]
EXACT = 1e-6  # of a quality
MEAN, ABSOLUTE = 0.02, 0.05  # of a quality, over the clips of an axis
SAME = 0.9  # share of the readings of a frozen frame
SUITE = "smoke"


def entry_of(result: ResultDocument, board: Path) -> Entry:
    """The entry of the same model, arguments, size, context and number of samples."""
    name = of_result(result).name
    for entry in present(board):
        if entry.name == name:
            return entry
    sys.exit(f"{board} has no entry {name}.")


def differences(theirs: pd.DataFrame, mine: pd.DataFrame) -> pd.DataFrame:
    """Quality here less that of the entry, of headline readings of the suite; NaN where one has none."""
    clips = [row.id for row in find_suite(SUITE).rows]
    both = [table[table["axis"].notna() & table["clip"].isin(clips)] for table in (theirs, mine)]
    found = both[0].merge(both[1], on=[*KEY, "axis"], how="outer", suffixes=("", "_here"))
    unread = found["quality"].isna() & found["quality_here"].isna()
    lost = set(clips) - set(found["clip"])
    if lost or set(found["axis"]) != set(AXES):
        sys.exit(f"{len(lost)} clips of {SUITE} are missing, or an axis is: {sorted(set(found['axis']))}")
    return found[~unread].assign(difference=found["quality_here"] - found["quality"])


def main(run: str, board: str = "board") -> None:
    _, tables = read_run(RunFolder(Path(run)))
    entry = entry_of(read_result(RunFolder(Path(run)).result), Path(board))
    known = entry.tables()
    for source in ("truth", "freeze", "model"):
        found = differences(known[source], tables[source])
        same = found["difference"].abs() <= EXACT  # not where one of the two has no quality
        wrong = not same.all() if source == "truth" else same.mean() < SAME and source == "freeze"
        if source != "truth":
            mean = found.groupby("axis")["difference"].mean()
            absolute = found["difference"].abs().groupby(found["axis"]).mean()
            print(f"{entry.name}, {source}, {found['clip'].nunique()} clips, mean difference of quality:")
            print("  " + ", ".join(f"{axis} {mean[axis]:+.4f} (absolute {absolute[axis]:.4f})" for axis in AXES))
            gaps = found["difference"].isna().any()
            wrong = wrong or gaps or not ((mean.abs() <= MEAN) & (absolute <= ABSOLUTE)).all()
        if wrong:
            worst = found.reindex(found["difference"].abs().fillna(9).sort_values(ascending=False).index).head(5)
            columns = [*KEY, "quality", "quality_here"]
            sys.exit(f"{entry.path}: {source} is not what is measured here\n{worst[columns].to_string(index=False)}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (PhysbenchError, TypeError) as error:
        sys.exit(f"{error}\n{__doc__.splitlines()[2]}")
