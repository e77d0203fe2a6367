"""Bring the words of the methodology page on what each reading sees up to the published table.

`python docs/_ext/measured_words.py` rewrites the page. Cells that no table has a figure for stay as they were written.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from published_tables import MAIN, Published, published

from physbench.validation.violations import REGISTRY

PAGE = Path(__file__).parents[1] / "methodology.md"
HEADLINES = (
    "consistency/shadowing",
    "drift/stability",
    "permanence/intact",
    "drift/accuracy",
    "consistency/outcome",
)
SEES, BLIND = 0.945, 0.6  # AUROC: at least, in every family; at most, in every one
KINDS = ("violation", "picture", "stranger")
FEW = 10  # clips in all: said beside the word
LABEL = re.compile(r"`([\w-]+)`(?: ([\d.]+)[^`]*)?")
NAMING = re.compile(r"`([\w./-]+)` [\d.]+(?: to [\d.]+)?")


def rewritten(page: str, table: Published) -> str:
    """The page with every measured word of its table of violations made again."""
    rows = table.table[(table.table["level"] == "family") & table.table["kind"].isin(KINDS)]
    seen = (
        rows.dropna(subset="auroc")
        .groupby(["source", "reading"])
        .agg(least=("auroc", "min"), most=("auroc", "max"), clips=("clips", "sum"))
    )
    return "\n".join(_line(line, seen) for line in page.split("\n"))


def _line(line: str, seen: pd.DataFrame) -> str:
    """A line of the page; `seen`: range of AUROC over families and number of clips, by source and reading."""
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    source = _source(cells[0]) if len(cells) == len(HEADLINES) + 3 else None
    if source is None:
        return line

    def named(found: re.Match[str]) -> str:
        key = source, found[1] if "/" in found[1] else f"permanence/{found[1]}"
        return f"`{found[1]}` {_range(seen.loc[key])}" if key in seen.index else found[0]

    for k, reading in enumerate(HEADLINES, 1):
        if (source, reading) in seen.index:
            said, (before, colon, reason) = word(seen.loc[(source, reading)]), cells[k].partition(":")
            cells[k] = said + (colon + reason if _kind(before) == _kind(said) else "")
    cells[-1] = NAMING.sub(named, cells[-1])
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _kind(said: str) -> str:
    """ "sees", "weak" or "blind": what a word says, measured or not."""
    return said.replace("*", "").partition(" ")[0]


def _source(label: str) -> str | None:
    """The source that a row is about; None for what is no single one of the table."""
    if label.startswith("near "):
        return "stranger-near"
    found = LABEL.fullmatch(label)
    if found is None or found[1] not in REGISTRY:
        return None
    return f"{found[1]}:{found[2] or format(REGISTRY[found[1]].main, 'g')}"


def word(seen: pd.Series[float]) -> str:
    """What a headline reading sees of a source."""
    said = f"weak {_range(seen)}" if seen["most"] > BLIND else "**blind**"
    said = "**sees**" if seen["least"] >= SEES else said
    count = int(seen["clips"])
    return said + (f" ({count} clip{'s' * (count > 1)})" if count <= FEW else "")


def _range(seen: pd.Series[float]) -> str:
    least, most = seen["least"], seen["most"]
    return f"{least:.2f}" if most - least < 0.005 else f"{least:.2f} to {most:.2f}"


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(), published(PAGE.parent / "validity")[MAIN]))
