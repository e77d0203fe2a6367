"""The validity page: what the published tables of `physbench scorers check` say of the readings.

Functions that the template calls return Markdown, "" where there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from page_templates import rendered
from published_tables import (
    IMAGE,
    MAIN,
    OF_VIEWS,
    VIOLATIONS,
    Published,
    Row,
    auroc,
    broken,
    mark,
    markdown,
    matrix,
    number,
    short,
    skill,
    two_lines,
    verdict,
)
from validity_curves import CURVES, curves

from physbench.score.protocol import AXES
from physbench.score.score_clip import find_scorers
from physbench.validity.gaming_baselines import GAMING_BASELINES
from physbench.validity.sources import LOW_RATE, sets_in
from physbench.validity.table import LEVEL, LOW, OVERALL, PORTFOLIO, SKILL, SOURCE, UNAIDED, records, shown_readings
from physbench.validity.text import MOST_SKILL, at_low_rate, figures, seen, where
from physbench.validity.thresholds import LIMITS, last_part, measure_of
from physbench.world.scene import FAR, VIEWS
from physbench.world.styles.look_options import LOOKS, base_look

ABOUT = {  # what bars are about, by kind of source or by measure
    "auroc": "Violations are told from lawful clips",
    "located": "Violations are located",
    "skill": "Violations cost as much as they should",
    LEVEL: "Lawful clips are read as lawful",
    "quality": "Lawful alternatives keep their quality",
    "cheat": "Gaming baselines have little more than constant velocity",
    LOW_RATE: "Lasting violations gain nothing at 4 frames/s",
}
PORTFOLIOS = {
    PORTFOLIO: "in each task the best of the others, chosen on other clips",
    UNAIDED: "the same of those that are given no part of the future",
}
VERDICTS = ("met", "**not met**", "too few clips")
SHADOWING, STRENGTH, INTACT = "consistency/shadowing", "consistency/strength", "permanence/intact"
LOCATED, FREE = f"{SHADOWING}.first-break", f"{SHADOWING}.unseen-constants"
SPREAD = 0.05  # of the figures of a family's tasks, from which on they are shown
SCALES = ("gravity", "central-mass")  # violations by a factor that an image cannot show
SKILLS = {f"{SKILL}{axis}": str(axis) for axis in AXES}
WITH_OVERALL = {f"{SKILL}{OVERALL}": OVERALL, **SKILLS}


def page(tables: Mapping[str, Published]) -> str:
    """The page as Markdown."""
    main = tables.get(MAIN)
    return rendered(
        "validity.md.j2",
        main=main,
        image=tables.get(IMAGE),
        tables=list(tables.values()),
        videos=[table for name, table in tables.items() if name != IMAGE and not name.startswith(OF_VIEWS)],
        views=[table for name, table in tables.items() if name.startswith(OF_VIEWS)],
        readings=shown_readings(),
        curves=CURVES if main and curves(main) else "",
        **{each.__name__: each for each in SECTIONS},
    )


def bars(table: Published) -> str:
    """How many bars are met, and those that are not."""
    barred = records(table.table[table.table["bar"].notna()])
    found = pd.DataFrame([(_about(row), verdict(row)) for row in barred], columns=["about", "verdict"])
    counts = pd.crosstab(found["about"], found["verdict"]).reindex(columns=VERDICTS, fill_value=0)
    met, missed, few = counts.sum()
    said = f"**{len(barred)} bars: {met} met, {missed} not met, {few} with too few clips to tell.**"
    rows = [(about, *map(str, counts.loc[about])) for about in ABOUT.values() if about in counts.index]
    failed = []
    for row in (row for row in barred if row["met"] == 0):
        place = "" if where(row) == "*" else f" in {where(row)}"
        failed.append(f"- `{row['source']}`, `{row['reading']}`{place}: {figures(row)}")
    parts = [f"{said} {' '.join(seen(table.table, list(shown_readings())))}\n"]
    parts.append(markdown(("bars", "met", "not met", "too few clips"), rows))
    return "\n".join([*parts, "Not met:\n", *failed, ""] if failed else parts)


def _about(row: Row) -> str:
    """What a bar is about, of ABOUT."""
    measure = measure_of(row).replace("broken", "skill")
    return ABOUT[LOW_RATE if row["source"].endswith(LOW_RATE) else "cheat" if row["kind"] == "cheat" else measure]


def _families(table: Published) -> dict[str, str]:
    return {name: name for name in sorted({*table.table["family"]} - {"*"})}


def _folded(title: str, text: str) -> str:
    """Text that is shown when its title is clicked."""
    return f"<details><summary>{title}</summary>\n\n{text}\n</details>\n" if text else ""


def told_apart(table: Published, reading: str) -> str:
    """Violations and families: chance that a reading finds one worse than a lawful clip."""
    families, rows = _families(table), table.rows("family", reading)
    limits = rows[rows["bar"].notna() & (rows.apply(measure_of, axis=1) == "auroc")].drop_duplicates("source")
    both = pd.concat([rows, limits.assign(family="bar", auroc=limits["bar"])])

    def cell(row: Row) -> str:
        return f"{row['bar']:.2f}" if row["family"] == "bar" else auroc(row)

    parts = [matrix(both, "family", {**families, "bar": "bar"}, "auroc", cell)]
    for family, every in table.rows("task", reading).groupby("family"):
        mine = every.groupby("source").filter(lambda each: each["auroc"].max() - each["auroc"].min() >= SPREAD)
        tasks = {task: short(task) for task in sorted(mine["task"].unique())}
        texts = matrix(mine, "task", tasks, "auroc", lambda row: f"{row['auroc']:.3f} ({row['clips']:.0f})")
        parts.append(_folded(f"By task, where tasks differ by {SPREAD:g} or more: {family}", texts) if texts else "")
    return "\n".join(part for part in parts if part)


def strength(table: Published) -> str:
    """What strength tells apart, and how many clips break a law at every tolerance."""
    most = matrix(table.rows("family", STRENGTH), "family", _families(table), "broken", broken)
    return f"{told_apart(table, STRENGTH)}\n{_folded('Share of the clips that break a law at every tolerance', most)}"


def places(table: Published) -> str:
    """Share of the violations that set in at a moment whose first break is read then and there."""
    rows = table.rows("family", LOCATED, ("violation",))

    def cell(row: Row) -> str:
        return two_lines(f"{row['located']:.0%}{mark(row)}", f"at least {row['located_low']:.0%}")

    return matrix(rows[rows["source"].map(sets_in)], "family", _families(table), "located", cell)


def quality_lost(table: Published) -> str:
    """Quality that violations lose on each headline reading."""
    readings = {name: last_part(name) for name in _headlines()}
    rows = table.rows("all", readings)
    return matrix(rows, "reading", readings, "quality_lost", lambda row: number(row["quality_lost"]))


def skill_left(table: Published) -> str:
    """Skill of violations on each axis."""
    return matrix(table.rows("skill", SKILLS), "reading", SKILLS, "value", lambda row: skill(row, bars=True))


def _headlines() -> list[str]:
    """Ids of the headline readings in the order of the axes; that of towers after that of all other tasks."""
    found = [each for each in find_scorers() if each.headline]
    ranked = [(AXES.index(each.axis), last_part(each.id) == "outcome", each.id) for each in found if each.axis]
    return [name for *_, name in sorted(ranked)]


def false_breaks(table: Published) -> str:
    """Share of lawful clips that read as if they broke a law, pooled and by task."""
    rows = table.rows(LEVEL, [STRENGTH, *_headlines()], ("reference",))
    head = ("", "clips", "share", "at most (95 %)", "bar", "")

    def line(row: Row) -> tuple[str, ...]:
        name = _beyond(row) if row["task"] == "*" else row["task"]
        shares = ("" if pd.isna(row[column]) else f"{row[column]:.2%}" for column in ("value", "high", "bar"))
        return (name, f"{row['clips']:.0f}", *shares, verdict(row))

    pooled = rows[rows["task"] == "*"]
    tasks = rows[(rows["task"] != "*") & (rows["clips"] > 0) & (rows["reading"] == STRENGTH)]
    of_tasks = _folded(
        "By task: strength above 0.03, at most 6 of 150 clips", markdown(head, map(line, records(tasks)))
    )
    return "\n".join((markdown(head, map(line, records(pooled))), of_tasks))


def _beyond(row: Row) -> str:
    """What lawful clips are counted for: "strength above 0.03", "`permanence/intact` of ground truth below 0.995"."""
    if row["source"].startswith(LOW):
        return f"`{row['reading']}` of ground truth below {row['source'].removeprefix(LOW)}"
    return f"strength above {row['source'].removeprefix(SOURCE)}"


def alternatives(table: Published) -> str:
    """Quality of futures that are lawful and not the recorded one."""
    lines, readings = [], _headlines()
    for source, rows in table.rows("family", readings, ("stranger",)).groupby("source", sort=False):
        for family, group in rows.groupby("family"):
            cells = {row["reading"]: number(row["quality"]) + mark(row) for row in records(group)}
            distance = group["distance"].iloc[0]
            apart = two_lines(number(distance), "near only" if distance < 1 else "")
            lines.append((f"`{source}`", str(family), apart, *(cells.get(reading, "") for reading in readings)))
    return markdown(("", "family", "diameters", *map(last_part, readings)), lines, (0, 1))


def gaming(table: Published) -> str:
    """Skill of futures that are made to score well, those that have any first."""
    weak, held = [], []
    columns = {name: short for name, short in WITH_OVERALL.items() if (table.table["reading"] == name).any()}
    rows = table.rows("skill", columns, ("cheat",))
    for source, group in sorted(rows.groupby("source", sort=False), key=lambda each: -each[1]["value"].max()):
        cells = {row["reading"]: _strong(skill(row, places=3), row) for row in records(group)}
        name = str(source).removeprefix("cheat-")
        doc = GAMING_BASELINES[name].doc if name in GAMING_BASELINES else PORTFOLIOS.get(str(source), "")
        line = (f"`{source}`", *(cells.get(reading, "") for reading in columns), doc)
        (weak if group["value"].max() > MOST_SKILL else held).append(line)
    head, last = ("", *columns.values()), len(columns) + 1
    parts = []
    if weak:
        text = f"These have more than {MOST_SKILL:g} on an axis. A model that did the same would have it too."
        shown = markdown((*head, "what it shows"), weak, (0, last))
        parts += ["### Known weaknesses\n", f"{text}\n", shown]
    if held:
        title = f"The other {len(held)}: at most {MOST_SKILL:g} on every axis"
        parts.append(_folded(title, markdown(head, [line[:last] for line in held])))
    return "\n".join(parts)


def _strong(text: str, row: Row) -> str:
    """A cell, its first line bold where there is more skill than there may be."""
    first, line, rest = text.partition("<br>")
    return f"**{first}**{line}{rest}" if row["value"] > MOST_SKILL else text


def low_rate(table: Published) -> str:
    """Skill of lasting violations where few frames are shown."""
    usual = {(row["source"], row["reading"]): row for row in records(table.rows("skill", SKILLS))}
    lines = []
    for row in records(at_low_rate(table.table)):
        gain = "" if pd.isna(row["usual"]) else f"{row['value'] - row['usual']:+.2f}"
        texts = skill(usual.get((row["shown"], row["reading"]))), skill(row), gain, verdict(row)
        lines.append((f"`{row['shown']}`", SKILLS[row["reading"]], *texts))
    columns = ("", "axis", "at the rate of the table", "at 4 frames/s", "gain", f"at most {LIMITS.low_rate_gain:g}")
    return markdown(columns, lines, (0, 1))


def one_context_frame(table: Published) -> str:
    """What is read where the context shows no velocity, under the scene's constants and under free ones."""
    heads = {SHADOWING: "as the scene says", FREE: "constants free", INTACT: "permanence"}

    def cell(row: Row) -> str:
        name, _, severity = row["source"].partition(":")
        blind = row["reading"] == FREE and name in SCALES and "+" not in severity and 0.5 <= float(severity) <= 2
        return auroc(row) + ("<br><small>blind by design</small>" if blind else "")

    return matrix(table.rows("all", heads), "reading", heads, "auroc", cell)


def _rows_of(tables: Sequence[Published], level: str, reading: str, kinds: Sequence[str]) -> pd.DataFrame:
    """Cells of several tables, with the name of each in the column `name`."""
    return pd.concat([table.rows(level, reading, kinds).assign(name=table.name) for table in tables])


def beside(tables: Sequence[Published]) -> str:
    """The same violations in other pictures."""
    if len(tables) < 2:
        return ""
    titles = {table.name: table.title for table in tables}

    parts = []
    for reading, name in ((STRENGTH, "Strength"), (INTACT, "Permanence")):
        rows = _rows_of(tables, "all", reading, VIOLATIONS)
        rows = rows[rows["source"].isin(tables[0].table["source"])]
        text = matrix(rows, "name", titles, "auroc", auroc, least=2)
        parts += [f"### {name}\n", text] if text else []
    return "\n".join((*parts, _false_breaks_of(tables, titles)))


def _false_breaks_of(tables: Sequence[Published], titles: Mapping[str, str]) -> str:
    """Shares of lawful clips that read as broken, a column a table."""
    rows = _rows_of(tables, LEVEL, STRENGTH, ("reference",))
    lines = []
    for source, pooled in rows[rows["task"] == "*"].groupby("source"):
        shares = {row["name"]: _share(row) for row in records(pooled)}
        lines.append((f"strength above {source.removeprefix(SOURCE)}", *(shares.get(name, "") for name in titles)))
    return "\n".join(("### False breaks\n", markdown(("", *titles.values()), lines)))


def by_view(tables: Sequence[Published]) -> str:
    """Ground truth, violations and pictures that suffer, in every view and look."""
    if len(tables) < 2:
        return ""
    tables = sorted(tables, key=lambda table: (LOOKS.index(base_look(table.look)), VIEWS.index(table.view)))
    titles = {table.name: f"{table.look}, {table.view}" for table in tables}

    parts = [*_between_views(tables), _false_breaks_of(tables, titles)]
    for reading, name in ((STRENGTH, "Strength"), (INTACT, "Permanence")):
        text = matrix(_rows_of(tables, "all", reading, VIOLATIONS), "name", titles, "auroc", auroc)
        parts += [f"### {name}: chance that it tells a clip from a lawful one\n", text]
    for reading in (SHADOWING, INTACT):
        rows = _rows_of(tables, "all", reading, VIOLATIONS)
        text = matrix(rows, "name", titles, "quality", lambda row: number(row["quality"]))
        parts += [f"### Quality on `{reading}`\n", text]
    return "\n".join(parts)


def _between_views(tables: Sequence[Published]) -> list[str]:
    """A sentence for each look and view: by how much the quality of a source differs from that in the far view."""
    said = []
    for look in dict.fromkeys(table.look for table in tables):
        seen = {
            table.view: table.rows("all", (SHADOWING, INTACT), VIOLATIONS).set_index(["source", "reading"])["quality"]
            for table in tables
            if table.look == look
        }
        for view in [view for view in seen if view != FAR and FAR in seen]:
            off = (seen[view] - seen[FAR]).dropna()
            most = off.abs().idxmax()
            said.append(
                f"In the look {look} qualities of a source in the view {view} are at most {off.abs().max():.2f} off "
                f"those from afar (`{most[0]}` on `{most[1]}`), {off.abs().mean():.2f} on average.\n"
            )
    return said


def _share(row: Row) -> str:
    """A share of clips with its upper bound."""
    return two_lines(f"{row['value']:.2%}", f"of {row['clips']:.0f}, at most {row['high']:.2%}")


SECTIONS = (
    *(bars, strength, told_apart, places, quality_lost, skill_left, false_breaks, alternatives),
    *(gaming, low_rate, beside, by_view, one_context_frame),
)
