"""Bring what the README and the methodology page say of the readings up to the published table.

`python docs/_ext/measured_words.py` rewrites both. Cells of the methodology's table stay as they were written where no
published table has a figure.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pandas as pd
from published_tables import MAIN, Published, Row, published, verdict

from physbench.validity.lawful_alternatives import FRAME_SHIFTS
from physbench.validity.table import (
    GIVEN,
    LEVEL,
    LOW,
    OVERALL,
    PORTFOLIO,
    SKILL,
    SOURCE,
    STRAIGHT,
    UNAIDED,
    records,
)
from physbench.validity.text import SEEN
from physbench.validity.thresholds import is_strength, last_part, measure_of
from physbench.validity.violations import REGISTRY

README, PAGE = (Path(__file__).parents[2] / name for name in ("README.md", "docs/methodology.md"))
BLOCK = re.compile(r"(?<=<!-- validity -->\n).*?(?=\n *<!-- /validity -->)", re.DOTALL)
WIDTH, INDENT = 120, "  "
HEADLINES = (
    "consistency/shadowing",
    "drift/stability",
    "permanence/intact",
    "drift/accuracy",
)
SEES, BLIND = 0.945, 0.6  # AUROC: at least, in every family; at most, in every one
WEAK = 0.85  # AUROC below which a case is named
KINDS = ("violation", "timing", "picture", "stranger")
FEW = 10  # clips in all: said beside the word
LABEL = re.compile(r"`([\w-]+)`(?: ([\d.]+)[^`]*)?")
NAMING = re.compile(r"`([\w./-]+)` [\d.]+(?:–[\d.]+)?")


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
    sources = _sources(cells[0]) if len(cells) == len(HEADLINES) + 2 else []
    if not sources:
        return line

    def rows(reading: str) -> pd.DataFrame:
        return seen[seen.index.isin([(source, reading) for source in sources])]

    def named(found: re.Match[str]) -> str:
        measured = rows(found[1] if "/" in found[1] else f"permanence/{found[1]}")
        return f"`{found[1]}` {_range(measured)}" if len(measured) else found[0]

    for k, reading in enumerate(HEADLINES, 1):
        measured = rows(reading)
        if len(measured):
            said, (before, colon, reason) = word(measured), cells[k].partition(":")
            cells[k] = said + (colon + reason if _kind(before) == _kind(said) else "")
    cells[-1] = NAMING.sub(named, cells[-1])
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _kind(said: str) -> str:
    """ "sees", "weak" or "blind": what a word says, measured or not."""
    return said.replace("*", "").partition(" ")[0]


def _sources(label: str) -> list[str]:
    """The sources that a row is about, parted by commas; none where one of them is no source of the table."""
    if label.startswith("near "):
        return ["stranger-near"]
    known = REGISTRY | FRAME_SHIFTS
    found = [LABEL.fullmatch(part) for part in label.split(", ")]
    if any(each is None or each[1] not in known for each in found):
        return []
    return [f"{each[1]}:{each[2] or format(known[each[1]].main, 'g')}" for each in found if each is not None]


def word(seen: pd.DataFrame) -> str:
    """What a headline reading sees of the sources of a row."""
    said = f"weak {_range(seen)}" if seen["most"].max() > BLIND else "**blind**"
    said = "**sees**" if seen["least"].min() >= SEES else said
    count = int(seen["clips"].min())
    return said + (f" ({count})" if count <= FEW else "")


def _range(seen: pd.DataFrame) -> str:
    least, most = seen["least"].min(), seen["most"].max()
    return f"{least:.2f}" if most - least < 0.005 else f"{least:.2f}–{most:.2f}"


def with_summary(readme: str, table: Published) -> str:
    """The README with the block between its marks made again from the table."""
    text = textwrap.fill(summary(table), WIDTH, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False)
    return BLOCK.sub(lambda _: text, readme)


def summary(table: Published) -> str:
    """What the table says in a few sentences: lawful clips, violations with a bar, gaming baselines, bars."""
    barred = [row for row in records(table.table) if verdict(row)]
    verdicts = [verdict(row) for row in barred]
    met, few = verdicts.count("met"), verdicts.count("too few clips")
    said = [
        f"Version {table.headers[0].suite} at {table.title}:",
        *_lawful(table.table),
        *_violations(barred),
    ]
    said += [*_gaming(table.table), f"Of {len(barred)} bars {met} are met, {len(barred) - met - few} are missed,"]
    said.append(f"{few} need more clips.")
    return " ".join(said)


def _lawful(table: pd.DataFrame) -> list[str]:
    """How many lawful clips read as broken, or as less than lawful."""
    rows = list(records(table[(table["level"] == LEVEL) & (table["task"] == "*")]))
    above = [row for row in rows if row["source"].startswith(SOURCE) and is_strength(row["reading"])]
    below = [row for row in rows if row["source"].startswith(LOW)]
    counts = [(f"{row['value'] * row['clips']:.0f}", row["source"].removeprefix(SOURCE)) for row in above]
    said = []
    if above:
        (many, limit), *further = counts
        lies = f"{'lies' if many == '1' else 'lie'} more than {limit} diameters off every lawful path"
        more = "".join(f", {many} more than {limit}" for many, limit in further)
        said = [f"{many} of {above[0]['clips']:,.0f} lawful clips {lies}{more}."]
    worst = max(below, key=lambda row: (row["value"], row["clips"]), default=None)
    if worst is not None:
        many, limit = round(worst["value"] * worst["clips"]), worst["source"].removeprefix(LOW)
        count = f"at most {many}" if many else "none"
        said.append(f"Ground truth loses quality (below {limit}) on an axis in {count} of {worst['clips']:,.0f}.")
    return said


def _violations(barred: list[Row]) -> list[str]:
    """The range of what violations with a bar reach, those that are seen least, and how often breaks are located."""
    apart = [row for row in barred if row["level"] == "family" and measure_of(row) == "auroc" and row["clips"]]
    located = [row for row in barred if measure_of(row) == "located" and pd.notna(row["located"])]
    said = []
    if apart:
        clips = sorted(row["clips"] for row in apart)
        sure = sum(row["auroc"] >= SEEN for row in apart)
        least = sorted((row for row in apart if row["auroc"] < WEAK), key=lambda row: row["auroc"])
        named = "; ".join(
            f"`{row['source']}` in {row['family']} {row['auroc']:.2f} (`{last_part(row['reading'])}`)" for row in least
        )
        said.append(
            f"{len({row['source'] for row in apart})} broken laws and wrong timings are told from lawful clips with an "
            f"AUROC of {SEEN:g} or more in {sure} of {len(apart)} cases (families of {clips[0]:.0f} to "
            f"{clips[-1]:.0f} clips)" + (f"; worst {named}." if named else ".")
        )
    if located:
        found = sum(row["located"] * row["clips"] for row in located)
        total = sum(row["clips"] for row in located)
        names = len({row["source"] for row in located})
        said.append(f"{names} sudden violations are located within 0.2 s in {found:,.0f} of {total:,.0f} clips.")
    return said


def _gaming(table: pd.DataFrame) -> list[str]:
    """The best gaming baseline overall, their portfolio, and constant velocity."""
    rows = table[(table["level"] == "skill") & (table["reading"] == f"{SKILL}{OVERALL}")].set_index("source")["value"]
    cheats = rows[rows.index.str.startswith("cheat-") & ~rows.index.isin((PORTFOLIO, UNAIDED, STRAIGHT))]
    shown = cheats.index.str.startswith(GIVEN)
    blind = cheats[~shown]
    if blind.empty or STRAIGHT not in rows:
        return []
    said = [
        f"Of {len(blind)} futures made to score well the best (`{blind.idxmax()}`) has {blind.max():.2f} overall, "
        f"constant velocity {rows[STRAIGHT]:.2f}."
    ]
    said += [f"`{name}`, given the future at first, has {value:.2f}." for name, value in cheats[shown].items()]
    if PORTFOLIO in rows:
        unaided = f", among the others {rows[UNAIDED]:.2f}" if UNAIDED in rows else ""
        said.append(f"The best choice among all of them by task has {rows[PORTFOLIO]:.2f}{unaided}.")
    return said


if __name__ == "__main__":
    main = published(PAGE.parent / "validity")[MAIN]
    for path, made in ((README, with_summary), (PAGE, rewritten)):
        path.write_text(made(path.read_text(encoding="utf-8"), main), encoding="utf-8")
