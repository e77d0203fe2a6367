"""Tables and cells of the validity page, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from validity_files import Row, grouped, known

STRENGTH, LOCATED = "consistency/strength", "consistency/shadowing.first-break"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A table; the columns `left` to the left, the others to the right. "" where there are no rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return ""
    rule = "|" + "".join(" :--- |" if k in left else " ---: |" for k in range(len(head)))
    return "\n".join(["| " + " | ".join(head) + " |", rule, *lines]) + "\n"


def by_group(sources: Iterable[str], cells: Callable[[str], Sequence[str]]) -> list[Sequence[str]]:
    """Rows of violations under the names of their groups. A violation without a single cell is left out."""
    rows: list[Sequence[str]] = []
    for title, members in grouped(sources).items():
        found = [(f"`{source}`", *cells(source)) for source in members]
        some = [row for row in found if any(row[1:])]
        if some:
            rows += [(f"**{title}**", *[""] * (len(some[0]) - 1)), *some]
    return rows


def folded(title: str, text: str) -> str:
    """Text that is shown when its title is clicked."""
    return f"<details><summary>{title}</summary>\n\n{text}\n</details>\n" if text else ""


def short(task: str) -> str:
    """The name of a task without its family and version."""
    return task.partition("/")[2].rpartition("-v")[0] or task


def verdict(row: Row) -> str:
    """What became of the bar of a row; "" where it has none."""
    if not known(row["bar"]):
        return ""
    return {1.0: "met", 0.0: "**not met**"}.get(row["met"], "too few clips")


def mark(row: Row) -> str:
    """A sign for what became of the bar of a row; "" where it has none."""
    return {"": "", "met": " ✓", "too few clips": " ?"}.get(verdict(row), " ✗")


def auroc(row: Row | None, bars: bool = False) -> str:
    """Chance and whether the bar is met; in a second line the interval, and of how many clips."""
    if row is None or not known(row["auroc"]):
        return ""
    return two_lines(f"{row['auroc']:.3f}{mark(row) if bars else ''}", f"{interval(row, 3)} of {row['clips']:.0f}")


def two_lines(first: str, second: str) -> str:
    """Two lines of a cell, the second one small."""
    return f"{first}<br><small>{second.strip()}</small>"


def plain_auroc(row: Row | None) -> str:
    """Chance and number of clips in one line."""
    return "" if row is None or not known(row["auroc"]) else f"{row['auroc']:.3f} ({row['clips']:.0f})"


def located(row: Row | None) -> str:
    """Share of located events with its lower bound."""
    if row is None or not known(row["located"]):
        return ""
    return two_lines(f"{row['located']:.0%}{mark(row)}", f"at least {row['located_low']:.0%}")


def broken(row: Row | None, bars: bool = False) -> str:
    """Share of the clips that break a law at every tolerance, and what became of the bar."""
    if row is None or not known(row["broken"]):
        return ""
    share = f"{row['broken']:.0%}"
    return two_lines(f"{share}{mark(row)}", f"at least {row['bar']:.0%}") if bars and verdict(row) else share


def number(row: Row | None, column: str, places: int = 2) -> str:
    """One number of a row."""
    return "" if row is None or not known(row[column]) else plain(row[column], places)


def plain(value: float, places: int) -> str:
    """A number with so many places, and no minus before nought."""
    return f"{round(value, places) + 0.0:.{places}f}"


def skill(row: Row | None, bars: bool = False, places: int = 2) -> str:
    """Skill with its interval, and what became of the bar."""
    if row is None or not known(row["value"]):
        return ""
    asked = f" (at most {row['bar']:.2f})" if bars and known(row["bar"]) else ""
    value, between = f"{plain(row['value'], places)}{mark(row) if asked else ''}", f"{interval(row, places)}{asked}"
    return two_lines(value, between) if between else value


def strong(text: str, bold: bool) -> str:
    """A cell, its first line bold where that is asked for."""
    first, line, rest = text.partition("<br>")
    return f"**{first}**{line}{rest}" if bold else text


def interval(row: Row, places: int) -> str:
    """The 95 % interval of a row in brackets."""
    low, high = row["low"], row["high"]
    return f" [{plain(low, places)}, {plain(high, places)}]" if known(low) and known(high) else ""


def share(row: Row | None) -> str:
    """A share of clips with its upper bound."""
    if row is None or not known(row["value"]):
        return ""
    return two_lines(f"{row['value']:.2%}", f"of {row['clips']:.0f}, at most {row['high']:.2%}")
