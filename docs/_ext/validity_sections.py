"""What the validity page says, section by section. Each function returns Markdown, "" where there is nothing to say."""

from __future__ import annotations

from collections.abc import Sequence

from validity_cells import (
    LOCATED,
    STRENGTH,
    auroc,
    broken,
    by_group,
    folded,
    located,
    mark,
    markdown,
    number,
    plain_auroc,
    share,
    short,
    skill,
    strong,
    two_lines,
    verdict,
)
from validity_files import Published, Row, known

from physbench.scoring.score_clip import find_scorers
from physbench.scoring.scorer_protocol import AXES
from physbench.validation.false_breaks import LEVEL, SOURCE
from physbench.validation.gaming_baselines import CHEATS
from physbench.validation.publish import shown_readings
from physbench.validation.source_skill import SKILL
from physbench.validation.sources import LOW_RATE, sets_in
from physbench.validation.thresholds import BARS, LOW_RATE_GAIN, last_part
from physbench.validation.validity_text import MOST_SKILL, figures, seen

ABOUT = WRONG, LOCATE, LOSS, FALSE_BREAKS, STRANGERS, CHEATING, LOW = (
    "Violations are told from lawful clips",
    "Violations are located",
    "Violations cost as much as they should",
    "Lawful clips are read as lawful",
    "Lawful strangers keep their quality",
    "Cheats have no skill",
    "Lasting violations gain nothing at 4 frames/s",
)

SHADOWING = "consistency/shadowing"
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
    barred = [row for row in table.rows if known(row["bar"])]
    counts = {name: [0, 0, 0] for name in ABOUT}
    for row in barred:
        counts[_about(row)][2 if not known(row["met"]) else int(row["met"] == 0)] += 1
    met, missed, few = (sum(each[k] for each in counts.values()) for k in range(3))
    said = f"**{len(barred)} bars: {met} met, {missed} not met, {few} with too few clips to tell.**"
    rows = [(name, *(f"{n}" for n in each)) for name, each in counts.items() if sum(each)]
    failed = [
        f"- `{row['source']}`, `{row['reading']}`{_where(row)}: {figures(dict(row))}"
        for row in barred
        if row["met"] == 0
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
    """What a bar is about, in words."""
    if row["level"] == LEVEL:
        return FALSE_BREAKS
    if row["source"].endswith(LOW_RATE):
        return LOW
    if row["kind"] == "cheat":
        return CHEATING
    if row["kind"] == "stranger":
        return STRANGERS
    if last_part(row["reading"]) == last_part(LOCATED):
        return LOCATE
    wanted = (row["source"], last_part(row["reading"]))
    at_all = any(bar.measure == "broken" and bar.names(wanted[0]) and bar.reading == wanted[1] for bar in BARS)
    return LOSS if at_all or row["level"] == "skill" else WRONG


def told_apart(table: Published, reading: str) -> str:
    """Violations and families: chance that a reading finds one worse than a lawful clip."""
    families = table.families()

    def cells(source: str) -> list[str]:
        rows = [table.find("family", source, reading, family) for family in families]
        limits = {row["bar"] for row in rows if row and known(row["bar"]) and _about(row) == WRONG}
        shown = [auroc(row, row is not None and _about(row) == WRONG) for row in rows]
        return [*shown, " ".join(f"{limit:.2f}" for limit in limits)] if any(shown) else [""]

    sources = table.sources("violation", "picture")
    parts = [markdown(("", *families, "bar"), by_group(sources, cells))]
    for family in families:
        tasks = sorted({row["task"] for row in table.rows if row["family"] == family and row["task"] != "*"})
        tasks = [task for task in tasks if any(table.find("task", s, reading, task) for s in sources)]

        def of_tasks(source: str, tasks: list[str] = tasks) -> list[str]:
            return [plain_auroc(table.find("task", source, reading, task)) for task in tasks]

        rows = by_group(sources, of_tasks)
        parts.append(folded(f"By task: {family}", markdown(("", *map(short, tasks)), rows)))
    return "\n".join(part for part in parts if part)


def strength(table: Published) -> str:
    """What strength tells apart, and how many clips break a law at every tolerance."""
    families = table.families()

    def cells(source: str) -> list[str]:
        rows = [table.find("family", source, STRENGTH, family) for family in families]
        return [broken(row, row is not None and _about(row) == LOSS) for row in rows]

    most = markdown(("", *families), by_group(table.sources("violation", "picture"), cells))
    return f"{told_apart(table, STRENGTH)}\n{folded('Share of the clips that break a law at every tolerance', most)}"


def places(table: Published) -> str:
    """Share of the violations that set in at a moment whose first break is read then and there."""
    families = table.families()

    def cells(source: str) -> list[str]:
        return [located(table.find("family", source, LOCATED, family)) for family in families]

    sources = [source for source in table.sources("violation") if sets_in(source)]
    return markdown(("", *families), by_group(sources, cells))


def losses(table: Published) -> str:
    """Quality that violations lose on each headline reading, and their skill."""
    sources, readings = table.sources("violation", "picture"), headlines()

    def lost(source: str) -> list[str]:
        return [number(table.find("all", source, reading), "quality_lost") for reading in readings]

    def kept(source: str) -> list[str]:
        return [skill(table.find("skill", source, f"{SKILL}{axis}"), bars=True) for axis in AXES]

    return "\n".join(
        (
            f"### Quality lost\n\n{QUALITY_LOST}\n",
            markdown(("", *map(last_part, readings)), by_group(sources, lost)),
            f"### Skill that is left\n\n{SKILL_LEFT}\n",
            markdown(("", *AXES), by_group(sources, kept)),
        )
    )


def headlines() -> list[str]:
    """Ids of the headline readings in the order of the axes; that of towers behind that of all other tasks."""
    found = [each for each in find_scorers() if each.headline]
    ranked = [(AXES.index(each.axis), last_part(each.id) == "outcome", each.id) for each in found if each.axis]
    return [name for *_, name in sorted(ranked)]


def false_breaks(table: Published) -> str:
    """Share of lawful clips that read as if they broke a law, pooled and by task."""
    rows = [row for row in table.rows if row["level"] == LEVEL and row["reading"] == STRENGTH]
    head = ("", "clips", "share", "at most (95 %)", "bar", "")

    def line(row: Row, name: str) -> tuple[str, ...]:
        shares = (f"{row[column]:.2%}" if known(row[column]) else "" for column in ("value", "high", "bar"))
        return (name, f"{row['clips']:.0f}", *shares, verdict(row))

    pooled = [line(row, f"strength above {row['source'].removeprefix(SOURCE)}") for row in rows if row["task"] == "*"]
    tasks = [line(row, row["task"]) for row in rows if row["task"] != "*" and row["clips"]]
    asked = "By task: strength above 0.03, at most 6 of 150 clips"
    return "\n".join((markdown(head, pooled), folded(asked, markdown(head, tasks))))


def strangers(table: Published) -> str:
    """Quality of futures that are lawful and not the recorded one."""
    rows, readings = [], headlines()
    for source in table.sources("stranger"):
        for family in table.families():
            found = [table.find("family", source, reading, family) for reading in readings]
            some = next((row for row in found if row is not None), None)
            if some is None:
                continue
            distance = some["distance"]
            apart = "" if not known(distance) else f"{distance:.2f}"
            apart = two_lines(apart, "near only") if apart and distance < 1 else apart
            cells = [number(row, "quality") + (mark(row) if row else "") for row in found]
            rows.append((f"`{source}`", family, apart, *cells))
    return markdown(("", "family", "diameters", *map(last_part, readings)), rows, (0, 1))


def cheats(table: Published) -> str:
    """Skill of futures that are made to please a scorer, those that have any first."""
    rows: dict[bool, list[tuple[float, Sequence[str]]]] = {True: [], False: []}
    for source in table.sources("cheat"):
        found = [table.find("skill", source, f"{SKILL}{axis}") for axis in AXES]
        values = [row["value"] for row in found if row is not None and known(row["value"])]
        if not values:
            continue
        cells = [strong(skill(row, places=3), bool(row and row["value"] > MOST_SKILL)) for row in found]
        name = source.removeprefix("cheat-")
        doc = CHEATS[name].doc if name in CHEATS else ""
        rows[max(values) > MOST_SKILL].append((max(values), (f"`{source}`", *cells, doc)))
    head = ("", *AXES, "what it shows")
    weak, held = ([row for _, row in sorted(each, key=lambda pair: -pair[0])] for each in (rows[True], rows[False]))
    parts = []
    if weak:
        text = f"These have more than {MOST_SKILL:g} on an axis. A model that did the same would have it too."
        parts += ["### Known weaknesses\n", f"{text}\n", markdown(head, weak, (0, 4))]
    if held:
        parts += [folded(f"The other {len(held)}: at most {MOST_SKILL:g} on every axis", markdown(head, held, (0, 4)))]
    return "\n".join(parts)


def low_rate(table: Published) -> str:
    """Skill of lasting violations where few frames are shown."""
    rows = []
    for row in table.rows:
        if row["level"] == "skill" and row["source"].endswith(LOW_RATE):
            source = row["source"].removesuffix(LOW_RATE)
            usual = table.find("skill", source, row["reading"])
            before = skill(usual)
            gain = "" if usual is None else f"{row['value'] - usual['value']:+.2f}"
            axis = row["reading"].removeprefix(SKILL)
            rows.append((f"`{source}`", axis, before, skill(row), gain, verdict(row)))
    columns = ("", "axis", "at the rate of the table", "at 4 frames/s", "gain", f"at most {LOW_RATE_GAIN:g}")
    return markdown(columns, rows, (0, 1))


def behind_image(table: Published) -> str:
    """What is read where the context shows no speed, under the scene's constants and under free ones."""
    columns = {"as the scene says": SHADOWING, "constants free": f"{SHADOWING}.unseen-constants"}

    def cells(source: str) -> list[str]:
        shown = [auroc(table.find("all", source, reading)) for reading in columns.values()]
        name, _, severity = source.partition(":")
        if shown[1] and name in SCALES and "+" not in source and 0.5 <= float(severity) <= 2:
            shown[1] += "<br><small>blind by design</small>"
        return [*shown, auroc(table.find("all", source, "permanence/intact"))] if any(shown) else [""]

    rows = by_group(table.sources("violation", "picture"), cells)
    said = markdown(("", *columns, "permanence"), rows)
    cheating = cheats(table)
    return "\n".join((said, f"### Cheats behind an image\n\n{cheating}")) if cheating else said


def beside(tables: Sequence[Published]) -> str:
    """The same violations in other pictures."""
    if len(tables) < 2:
        return ""
    head = ("", *(table.title for table in tables))
    parts = []
    for reading, name in ((STRENGTH, "Strength"), ("permanence/intact", "Permanence")):

        def cells(source: str, reading: str = reading) -> list[str]:
            shown = [auroc(table.find("all", source, reading)) for table in tables]
            return shown if sum(map(bool, shown)) > 1 else [""]

        rows = by_group(tables[0].sources("violation", "picture"), cells)
        parts += [f"### {name}\n", markdown(head, rows)] if rows else []
    rows = [
        (f"strength above {limit}", *(share(table.find(LEVEL, f"{SOURCE}{limit}", STRENGTH)) for table in tables))
        for limit in ("0.03", "0.08")
    ]
    return "\n".join((*parts, "### False breaks\n", markdown(head, rows)))
