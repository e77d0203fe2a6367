"""What the validity page says, section by section. Each function returns Markdown, "" where there is nothing to say."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from published_tables import (
    Published,
    Row,
    auroc,
    broken,
    folded,
    known,
    located,
    mark,
    markdown,
    matrix,
    number,
    plain_auroc,
    short,
    skill,
    two_lines,
    verdict,
)

from physbench.scoring.score_clip import find_scorers
from physbench.scoring.scorer_protocol import AXES
from physbench.validation.false_breaks import LEVEL, SOURCE
from physbench.validation.gaming_baselines import GAMING_BASELINES
from physbench.validation.publish import shown_readings
from physbench.validation.source_skill import SKILL
from physbench.validation.sources import LOW_RATE, sets_in
from physbench.validation.table_file import records
from physbench.validation.thresholds import BARS, LOW_RATE_GAIN, last_part
from physbench.validation.validity_text import MOST_SKILL, figures, seen

ABOUT = WRONG, LOCATE, LOSS, FALSE_BREAKS, ALTERNATIVES, GAMING, LOW = (
    "Violations are told from lawful clips",
    "Violations are located",
    "Violations cost as much as they should",
    "Lawful clips are read as lawful",
    "Lawful alternatives keep their quality",
    "Gaming baselines have no skill",
    "Lasting violations gain nothing at 4 frames/s",
)

SHADOWING, STRENGTH, INTACT = "consistency/shadowing", "consistency/strength", "permanence/intact"
LOCATED = f"{SHADOWING}.first-break"
SCALES = ("gravity", "central-mass")  # violations by a factor that an image cannot show

QUALITY_LOST = """Quality of ground truth less that of the violation, on the same clips, from 0 to 1; mean over
families."""
SKILL_LEFT = """Skill of a model that does this in every clip to which it applies: 1 is ground truth, 0 a frozen
picture."""


def run_of(tables: Sequence[Published]) -> str:
    """What was run, and with which versions."""
    rows = []
    for table in tables:
        for head in table.headers:
            each = f"{len(head.sources)} on {head.clips} clips of each task"
            numbers = (f"{n}" for n in (head.truths, len(head.tasks), head.context, head.suite))
            rows.append((table.title, each, *numbers))
    head = tables[0].headers[0]
    readings = ", ".join(f"`{name}` {head.scorers[name]}" for name in shown_readings() if name in head.scorers)
    libraries = ", ".join(f"{name} {version}" for name, version in head.versions.items() if version and name != "code")
    columns = ("pictures", "violations and others", "lawful clips a task", "tasks", "context", "suite")
    said = (
        f"Clips are of the test split, seeds from {head.first_seed} on, which no suite holds. "
        f"Versions of the readings: {readings}. Made with {libraries} (code {head.versions.get('code')}).\n"
    )
    return "\n".join((markdown(columns, rows, (0, 1)), said))


def bars(table: Published) -> str:
    """How many bars are met, and those that are not."""
    barred = records(table.table[table.table["bar"].notna()])
    counts = {name: [0, 0, 0] for name in ABOUT}
    for row in barred:
        counts[_about(row)][2 if not known(row["met"]) else int(row["met"] == 0)] += 1
    met, missed, few = (sum(each[k] for each in counts.values()) for k in range(3))
    said = f"**{len(barred)} bars: {met} met, {missed} not met, {few} with too few clips to tell.**"
    rows = [(name, *(f"{n}" for n in each)) for name, each in counts.items() if sum(each)]
    failed = [
        f"- `{row['source']}`, `{row['reading']}`{_where(row)}: {figures(row)}" for row in barred if row["met"] == 0
    ]
    return "\n".join(
        [
            f"{said} {' '.join(seen(table.table, list(shown_readings())))}\n",
            markdown(("bars", "met", "not met", "too few clips"), rows),
            *(("Not met:\n", *failed, "") if failed else ()),
        ]
    )


def _where(row: Row) -> str:
    where = row["family"] if row["task"] == "*" else row["task"]
    return "" if where == "*" else f" in {where}"


def _about(row: Row) -> str:
    """What a bar is about."""
    if row["level"] == LEVEL:
        return FALSE_BREAKS
    if row["source"].endswith(LOW_RATE):
        return LOW
    if row["kind"] == "cheat":
        return GAMING
    if row["kind"] == "stranger":
        return ALTERNATIVES
    if last_part(row["reading"]) == last_part(LOCATED):
        return LOCATE
    wanted = (row["source"], last_part(row["reading"]))
    at_all = any(bar.measure == "broken" and bar.names(wanted[0]) and bar.reading == wanted[1] for bar in BARS)
    return LOSS if at_all or row["level"] == "skill" else WRONG


def told_apart(table: Published, reading: str) -> str:
    """Violations and families: chance that a reading finds one worse than a lawful clip."""
    families, rows = table.families(), table.rows("family", reading)
    barred = rows[[known(row["bar"]) and _about(row) == WRONG for row in records(rows)]]

    def cell(row: Row) -> str:
        return f"{row['bar']:.2f}" if row["family"] == "bar" else auroc(row, _about(row) == WRONG)

    both = pd.concat([rows, barred.assign(family="bar")])
    parts = [matrix(both, "family", {name: name for name in (*families, "bar")}, cell)]
    of_tasks = table.rows("task", reading)
    for family in families:
        mine = of_tasks[of_tasks["family"] == family]
        tasks = {task: short(task) for task in sorted(mine["task"].unique())}
        parts.append(folded(f"By task: {family}", matrix(mine, "task", tasks, plain_auroc)))
    return "\n".join(part for part in parts if part)


def strength(table: Published) -> str:
    """What strength tells apart, and how many clips break a law at every tolerance."""
    families = {name: name for name in table.families()}
    most = matrix(table.rows("family", STRENGTH), "family", families, lambda row: broken(row, _about(row) == LOSS))
    return f"{told_apart(table, STRENGTH)}\n{folded('Share of the clips that break a law at every tolerance', most)}"


def places(table: Published) -> str:
    """Share of the violations that set in at a moment whose first break is read then and there."""
    rows = table.rows("family", LOCATED, ("violation",))
    return matrix(rows[rows["source"].map(sets_in)], "family", {name: name for name in table.families()}, located)


def losses(table: Published) -> str:
    """Quality that violations lose on each headline reading, and their skill."""
    readings, axes = headlines(), {f"{SKILL}{axis}": str(axis) for axis in AXES}
    lost = {name: last_part(name) for name in readings}
    return "\n".join(
        (
            f"### Quality lost\n\n{QUALITY_LOST}\n",
            matrix(table.rows("all", readings), "reading", lost, lambda row: number(row["quality_lost"])),
            f"### Skill that is left\n\n{SKILL_LEFT}\n",
            matrix(table.rows("skill", axes), "reading", axes, lambda row: skill(row, bars=True)),
        )
    )


def headlines() -> list[str]:
    """Ids of the headline readings in the order of the axes; that of towers after that of all other tasks."""
    found = [each for each in find_scorers() if each.headline]
    ranked = [(AXES.index(each.axis), last_part(each.id) == "outcome", each.id) for each in found if each.axis]
    return [name for *_, name in sorted(ranked)]


def false_breaks(table: Published) -> str:
    """Share of lawful clips that read as if they broke a law, pooled and by task."""
    rows = records(table.rows(LEVEL, STRENGTH, ("reference",)))
    head = ("", "clips", "share", "at most (95 %)", "bar", "")

    def line(row: Row, name: str) -> tuple[str, ...]:
        shares = (f"{row[column]:.2%}" if known(row[column]) else "" for column in ("value", "high", "bar"))
        return (name, f"{row['clips']:.0f}", *shares, verdict(row))

    pooled = [line(row, f"strength above {row['source'].removeprefix(SOURCE)}") for row in rows if row["task"] == "*"]
    tasks = [line(row, row["task"]) for row in rows if row["task"] != "*" and row["clips"]]
    asked = "By task: strength above 0.03, at most 6 of 150 clips"
    return "\n".join((markdown(head, pooled), folded(asked, markdown(head, tasks))))


def alternatives(table: Published) -> str:
    """Quality of futures that are lawful and not the recorded one."""
    lines, readings = [], headlines()
    rows = table.rows("family", readings, ("stranger",))
    order = {source: k for k, source in enumerate(rows["source"].unique())}
    for (source, family), group in sorted(rows.groupby(["source", "family"]), key=lambda e: (order[e[0][0]], e[0][1])):
        cells = {row["reading"]: number(row["quality"]) + mark(row) for row in records(group)}
        distance = group["distance"].iloc[0]
        apart = two_lines(number(distance), "near only") if distance < 1 else number(distance)
        lines.append((f"`{source}`", str(family), apart, *(cells.get(reading, "") for reading in readings)))
    return markdown(("", "family", "diameters", *map(last_part, readings)), lines, (0, 1))


def gaming(table: Published) -> str:
    """Skill of futures that are made to score well, those that have any first."""
    weak, held = [], []
    rows = table.rows("skill", [f"{SKILL}{axis}" for axis in AXES], ("cheat",))
    for source, group in sorted(rows.groupby("source", sort=False), key=lambda each: -each[1]["value"].max()):
        found = {row["reading"].removeprefix(SKILL): row for row in records(group)}
        cells = [_strong(skill(found.get(axis), places=3), found.get(axis)) for axis in AXES]
        name = str(source).removeprefix("cheat-")
        line = (f"`{source}`", *cells, GAMING_BASELINES[name].doc if name in GAMING_BASELINES else "")
        (weak if group["value"].max() > MOST_SKILL else held).append(line)
    head = ("", *AXES, "what it shows")
    parts = []
    if weak:
        text = f"These have more than {MOST_SKILL:g} on an axis. A model that did the same would have it too."
        parts += ["### Known weaknesses\n", f"{text}\n", markdown(head, weak, (0, 4))]
    if held:
        parts += [folded(f"The other {len(held)}: at most {MOST_SKILL:g} on every axis", markdown(head, held, (0, 4)))]
    return "\n".join(parts)


def _strong(text: str, row: Row | None) -> str:
    """A cell, its first line bold where there is more skill than there may be."""
    first, line, rest = text.partition("<br>")
    return f"**{first}**{line}{rest}" if row and row["value"] > MOST_SKILL else text


def low_rate(table: Published) -> str:
    """Skill of lasting violations where few frames are shown."""
    rows = {(row["source"], row["reading"]): row for row in records(table.table[table.table["level"] == "skill"])}
    lines = []
    for (source, reading), row in rows.items():
        if source.endswith(LOW_RATE):
            usual = rows.get((source.removesuffix(LOW_RATE), reading))
            gain = "" if usual is None else f"{row['value'] - usual['value']:+.2f}"
            axis, name = reading.removeprefix(SKILL), source.removesuffix(LOW_RATE)
            lines.append((f"`{name}`", axis, skill(usual), skill(row), gain, verdict(row)))
    columns = ("", "axis", "at the rate of the table", "at 4 frames/s", "gain", f"at most {LOW_RATE_GAIN:g}")
    return markdown(columns, lines, (0, 1))


def one_context_frame(table: Published) -> str:
    """What is read where the context shows no velocity, under the scene's constants and under free ones."""
    free = f"{SHADOWING}.unseen-constants"
    heads = {SHADOWING: "as the scene says", free: "constants free", INTACT: "permanence"}

    def cell(row: Row) -> str:
        text, (name, _, severity) = auroc(row), row["source"].partition(":")
        blind = row["reading"] == free and name in SCALES and "+" not in severity and 0.5 <= float(severity) <= 2
        return f"{text}<br><small>blind by design</small>" if text and blind else text

    said, gamed = matrix(table.rows("all", heads), "reading", heads, cell), gaming(table)
    return "\n".join((said, f"### Gaming baselines with one context frame\n\n{gamed}")) if gamed else said


def beside(tables: Sequence[Published]) -> str:
    """The same violations in other pictures."""
    if len(tables) < 2:
        return ""
    titles = {table.name: table.title for table in tables}
    parts = []
    for reading, name in ((STRENGTH, "Strength"), (INTACT, "Permanence")):
        rows = pd.concat([table.rows("all", reading).assign(name=table.name) for table in tables])
        rows = rows[rows["source"].isin(tables[0].table["source"])]
        text = matrix(rows, "name", titles, auroc, least=2)
        parts += [f"### {name}\n", text] if text else []
    lines = []
    for limit in ("0.03", "0.08"):
        shares = []
        for table in tables:
            rows = table.rows(LEVEL, STRENGTH, ("reference",))
            pooled = records(rows[(rows["task"] == "*") & (rows["source"] == f"{SOURCE}{limit}")])
            shares.append(_share(pooled[0]) if pooled else "")
        lines.append((f"strength above {limit}", *shares))
    return "\n".join((*parts, "### False breaks\n", markdown(("", *titles.values()), lines)))


def _share(row: Row) -> str:
    """A share of clips with its upper bound."""
    return two_lines(f"{row['value']:.2%}", f"of {row['clips']:.0f}, at most {row['high']:.2%}")
