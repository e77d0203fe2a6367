"""What a model tells apart of each kind, as a figure of matplotlib and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from physbench.expectation.expectation_text import best_baseline
from physbench.results.schema import ResultDocument

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FIGURE_WIDTH, KIND_HEIGHT = 6.5, 0.28  # inches
MODEL_COLOUR, BASELINE_COLOUR = "#1f57b0", "#8a8f98"


def kinds_table(document: ResultDocument) -> pd.DataFrame:
    """One row a kind: share told apart with its interval, the best baseline, threshold with unit, pairs."""
    import pandas as pd

    found = document.expectation
    assert found is not None
    rows = []
    for name, kind in found.kinds.items():
        low, high = kind.interval or (None, None)
        rows.append(
            {
                "kind": name,
                "told_apart": kind.accuracy,
                "low": low,
                "high": high,
                "best_baseline": best_baseline(kind),
                "threshold": None if kind.threshold is None else kind.threshold.size,
                "unit": kind.unit,
                "pairs": kind.pairs,
            }
        )
    return pd.DataFrame(rows)


def kinds_figure(document: ResultDocument) -> Figure:
    """One row a kind: the share told apart with its 95 % interval, and the best baseline; the line is guessing."""
    import matplotlib.pyplot as plt

    found = document.expectation
    assert found is not None
    table = kinds_table(document)
    figure, panel = plt.subplots(figsize=(FIGURE_WIDTH, KIND_HEIGHT * len(table) + 1.3), layout="constrained")
    plt.close(figure)
    places = range(len(table))
    panel.hlines(places, table["low"], table["high"], color=MODEL_COLOUR, linewidth=4, alpha=0.35)
    name = document.model.name.replace("$", r"\$")  # which begins a formula
    panel.plot(table["told_apart"], places, "o", color=MODEL_COLOUR, markersize=6, label=name)
    panel.plot(
        table["best_baseline"], places, "|", color=BASELINE_COLOUR, markersize=10, label=f"best {found.baseline}"
    )
    panel.axvline(0.5, color="0.6", linewidth=0.8)
    panel.set_yticks(places, [kind.noun for kind in found.kinds.values()])
    panel.set_xlim(-0.03, 1.03)
    panel.invert_yaxis()
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0)
    panel.set_xlabel("share of the pairs told apart; guessing gives 0.5", fontsize=9)
    figure.legend(loc="outside upper center", ncols=2, fontsize=9, frameon=False)
    return figure
