"""Tables as they are shown: cells that are worded and formatted, without HTML.

Overall is the mean of its column over families. An axis is the mean of its families' figures, with what is lost added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from physbench.result import document, formats
from physbench.result.findings import bounds, event_counts
from physbench.result.formats import AXIS_NAMES, bracket, fixed, joined, number, plain, short, unit
from physbench.result.readings import strength_text
from physbench.score.score_clip import reading_of

# Sentences on which clips count and which do not, for the report and for Markdown.


def counting(result: document.ResultDocument) -> list[str]:
    """Sentences: how many clips count on each axis, which are left out and why, and which show too little."""
    clips, axes = result.counts.clips, result.axis_counts
    if not axes:
        return []
    counted = {AXIS_NAMES.get(axis, axis): count.counted for axis, count in axes.items()}
    if set(counted.values()) == {clips}:
        sentences = [f"All {clips} clips count on every axis." if clips > 1 else "The clip counts on every axis."]
    else:
        each = joined([f"{many} on {name}" for name, many in counted.items()])
        sentences = [f"Of {formats.counted(clips, 'clip')} count {each}."]
    for axis, own in axes.items():
        if own.left_out:
            sentences.append(f"Left out of {AXIS_NAMES.get(axis, axis)}: {'; '.join(map(left_out, own.left_out))}.")
    few = [_too_little(own.undetermined, axis) for axis, own in axes.items() if own.undetermined]
    return [sentences[0], *few, *sentences[1:]]


def partly(result: document.ResultDocument) -> list[str]:
    """Sentences: which readings of an axis are not valid in clips that others of the axis read."""
    return [
        f"{reading} is not valid in {'; '.join(map(left_out, own.not_valid))}."
        for counts in result.axis_counts.values()
        for reading, own in counts.readings.items()
        if own.not_valid and own.valid and reading != reading_of("stand-in")
    ]


def not_valid(result: document.ResultDocument, task: str) -> dict[str, list[str]]:
    """By axis: which of its readings are not valid in clips of a task, with the reason and what is read instead."""
    reasons = {}
    for axis, own in result.axis_counts.items():
        clips = result.tasks[task][axis].clips + sum(each.tasks.get(task, 0) for each in own.left_out)
        missing = {
            reading: [each for each in readings.not_valid if task in each.tasks]
            for reading, readings in own.readings.items()
        }
        others = joined([plain(reading) for reading, each in missing.items() if not each])
        reasons[axis] = [
            f"{plain(reading)}: not valid"
            + (f" in {one.tasks[task]} of {formats.counted(clips, 'clip')}" if one.tasks[task] < clips else "")
            + f" ({one.reason})"
            + (f"; {others} alone counts" if others and one.tasks[task] >= clips else "")
            for reading, each in missing.items()
            for one in each
            if reading != reading_of("stand-in")
        ]
    return reasons


def left_out(omitted: document.LeftOut) -> str:
    """ "32 clips of stack (cannot be shadowed)"."""
    tasks = [short(task) for task in omitted.tasks]
    of = joined(tasks) if len(tasks) <= 3 else f"{len(tasks)} tasks"
    return f"{formats.counted(omitted.clips, 'clip')} of {of} ({omitted.reason})"


def _too_little(lack: document.Undetermined, axis: str) -> str:
    share = (
        f"{100 * lack.share:.1f} % of the time in which objects should be visible is undetermined on average, in the "
        f"{formats.counted(lack.of, 'clip')} whose motion is shadowed"
    )
    if not lack.clips:
        return f"None of them shows too little to be judged; {share}."
    tasks = joined([f"{short(task)} {many}" for task, many in lack.tasks.items()])
    count, show = ("counts", "it shows") if lack.clips == 1 else ("count", "they show")
    return (
        f"{lack.clips} of them {count} as 0 on {AXIS_NAMES.get(axis, axis)}: {show} too little to be judged "
        f"({tasks}); {share}."
    )


# Deciding events behind one image in words: what happens too seldom, and what that costs.


def event_sentences(result: document.ResultDocument) -> list[str]:
    """Sentences on events that a model shows too seldom behind one image, by task, and their cost; [] for none."""
    sentences = [
        f"{kind} in {each.seen:.3g} of {each.clips} clips of {task.split('/')[-1]}, where lawful futures have "
        f"{each.expected:.1f} (costs {100 * each.lost:.0f} %)"
        for task, kind, each in event_counts(result)
        if each.lost > 0
    ]
    if not sentences:
        return []
    return [
        f"Avoids what decides a scene: {joined(sentences)}. Tasks lose that share of their consistency above a frozen "
        "frame. Futures that are much slower than those of the task pay, too."
    ]


# Tables as they are shown: cells that are already worded and formatted, without a word of HTML.

BASES = {"truth": "truth", "freeze": "freeze", "constant-velocity": "constant velocity"}  # columns beside the model
KEPT_FROM = -0.005  # cost of a guard from which on the cell says "kept"
LISTED_FAILURES = 40  # that are listed on the page


@dataclass(frozen=True)
class Cell:
    """One field of a table."""

    text: str
    note: str = ""  # an interval, or what the text means
    title: str = ""  # on hover
    tone: str = ""  # good, bad, kept, off, none
    strength: float = 0.0  # 0..1, of the colour


@dataclass(frozen=True)
class TableRow:
    """One line; with fewer cells than the table has columns, the last one spans the rest."""

    name: str
    cells: tuple[Cell, ...] = ()
    level: str = ""  # all, family, task, reference, head, sum, beside, note, off


@dataclass(frozen=True)
class Table:
    """A table with a name for those who do not see it."""

    label: str
    columns: tuple[str, ...]  # the first one is that of the names
    groups: tuple[tuple[TableRow, ...], ...]  # rows that belong together
    words: tuple[int, ...] = ()  # columns of words, at the left
    style: str = ""


def cell(value: float | None, interval: document.Interval | None, title: str = "", tone: str = "") -> Cell:
    """A figure of a result with its interval."""
    return Cell(fixed(value), bracket(interval), title, tone)


def once(rows: Sequence[tuple[str, tuple[Cell, ...], str]]) -> tuple[TableRow, ...]:
    """Rows (name, cells, level) whose name is shown where it first stands."""
    before = ["", *(name for name, _, _ in rows)]
    return tuple(
        TableRow("" if name == last else name, cells, level)
        for last, (name, cells, level) in zip(before, rows, strict=False)
    )


def qualities(result: document.ResultDocument) -> Table:
    """Skill and quality of every task on every axis, beside those of the references."""
    groups = []
    empty_cells = (Cell(""),) * 6
    for axis, value in result.axes.items():
        name = AXIS_NAMES.get(axis, axis)
        rows = [TableRow(name[0].upper() + name[1:], level="head")]
        for task, axes in result.tasks.items():
            own = axes[axis]
            kept = own.kind == "guard" and own.skill is not None and own.skill > KEPT_FROM
            skill = Cell("kept") if kept else cell(own.skill, own.skill_interval)
            bases = tuple(Cell(fixed(own.references[base])) for base in BASES)
            kind = Cell(own.kind, title=own.why)
            rows.append(TableRow(task, (skill, cell(own.quality, own.interval), *bases, Cell(str(own.clips)), kind)))
            rows += [TableRow("", (Cell(words),), "note") for words in not_valid(result, task).get(axis, ())]
        whole = (cell(value.skill, value.interval), cell(value.quality, value.quality_interval), *empty_cells[:5])
        rows.append(TableRow("all families", whole, "sum"))
        for reference, other in result.references.items():
            skill = cell(other.axes[axis].skill, other.axes[axis].interval)
            rows.append(TableRow(plain(reference), (skill, *empty_cells), "beside"))
        groups.append(tuple(rows))
    columns = ("axis and task", "skill", "quality", *BASES.values(), "clips", "kind")
    return Table("Skill and quality by axis and task", columns, tuple(groups), style="group")


def over_tasks(result: document.ResultDocument) -> Table | None:
    """Intervals for other clips and for other tasks; None where no family has the second, and for few clips."""
    rows = [
        (family, (Cell(AXIS_NAMES.get(axis, axis)), Cell(fixed(skill.skill)),
                  Cell(bracket(skill.skill_interval) or "–"), Cell(bracket(skill.tasks_interval))), "")
        for family, axes in result.families.items()
        for axis, skill in axes.items()
        if skill.tasks_interval
    ]  # fmt: skip
    if not rows or result.note:
        return None
    columns = ("family", "axis", "skill", "other clips", "other tasks")
    return Table("Intervals over clips and over tasks by family", columns, (once(rows),), (1,))


def unseen_constants(result: document.ResultDocument) -> Table | None:
    """Consistency with unseen constants free, by task; None where the context shows them all."""
    unseen = result.unseen_constants
    if not unseen:
        return None
    axes = [cell(skill.skill, skill.interval) for skill in (unseen.consistency, result.axes["consistency"])]
    whole = (*axes, Cell(""), Cell(str(unseen.clips)))
    rows = [TableRow("all families", whole)]
    for task, own in unseen.tasks.items():
        if own.applies:
            given = result.tasks[task]["consistency"]
            scored = cell(given.skill, given.skill_interval)
            factor = cell(own.factor.value, own.factor.interval, own.factor.reason)
            free = cell(own.skill, own.skill_interval, own.reason)
            rows.append(TableRow(short(task), (free, scored, factor, Cell(str(own.applies)))))
    columns = (AXIS_NAMES["consistency"], "left free", "as scored", "factor", "clips")
    return Table("Physical consistency with unseen constants left free", columns, (tuple(rows),))


def events(result: document.ResultDocument) -> Table | None:
    """Frequency of decisive events behind one image; None where nothing was counted."""
    rows = tuple(
        TableRow(
            short(task),
            (
                Cell(kind), Cell(f"{each.seen:.3g}"), Cell(f"{each.expected:.1f}"), Cell(str(each.fewest)),
                Cell(str(each.clips)),
                Cell("–" if each.reason else f"{100 * each.lost:.0f} %", title=each.reason),
            ),
        )
        for task, kind, each in event_counts(result)
    )  # fmt: skip
    columns = ("task", "event", "shown", "lawful mean", "fewest", "clips", "lost")
    return Table("Events behind one image", columns, (rows,)) if rows else None


def gaps(result: document.ResultDocument) -> tuple[Table, Table] | None:
    """Quality on `test` minus that on `ood`: by family, and by task with both; None where there is no second split."""
    if not result.gaps:
        return None

    def tone(gap: document.GapValue) -> str:
        ends = gap.interval
        return "off" if ends and (ends[0] > 0 or ends[1] < 0) else ""

    def about(gap: document.GapValue) -> str:
        known = f"test {fixed(gap.test)}, ood {fixed(gap.ood)}; truth itself {fixed(gap.truth)}"
        return gap.reason if gap.gap is None else known

    names = tuple(AXIS_NAMES.get(axis, axis) for axis in result.axes)
    levels = tuple(
        TableRow(
            "all families" if level == "all" else level,
            tuple(cell(axes[a].gap, axes[a].interval, about(axes[a]), tone(axes[a])) for a in result.axes),
            "all" if level == "all" else "task",
        )
        for level, axes in result.gaps.items()
        if "/" not in level
    )
    rows = [
        (short(level), (Cell(AXIS_NAMES.get(axis, axis)), Cell(fixed(gap.test)), Cell(fixed(gap.ood)),
                        cell(gap.gap, gap.interval, tone=tone(gap)), Cell(fixed(gap.truth))), "")
        for level, axes in result.gaps.items()
        if "/" in level
        for axis, gap in axes.items()
        if gap.gap is not None
    ]  # fmt: skip
    columns = ("task", "axis", "test", "ood", "test − ood", "of truth")
    return (
        Table("Generalisation gap by family", ("test − ood", *names), (levels,), style="heat gaps"),
        Table("Generalisation gap by task", columns, (once(rows),), (1,)),
    )


VELOCITY_LEGEND = (
    "PhyWorld's errors of velocity in units/s, of which a picture is 10 units wide; less is better. By its paper: mean "
    "over balls and frames of |v - v'|. By its code: |mean v - mean v'| along x, in a collision after the hit. "
    "Missing: the share of balls and frames in which a ball is not seen; by the paper's it stays where it was, by the "
    "code's it is at the border. Skill is that of these clips."
)


def velocity_errors(result: document.ResultDocument) -> Table | None:
    """PhyWorld's errors beside those of the references and skill, by scene and split; None on other suites."""
    rows: list[tuple[str, tuple[Cell, ...], str]] = []
    split_words = {"test": "in range", "gap": "in the gap", "ood": "out of range"}
    for task, splits in result.velocity_errors.items():
        for split in sorted(splits, key=lambda name: [*split_words, name].index(name)):
            own = splits[split]
            bases = [own.references.get(base, {}) for base in BASES]
            missing = Cell("–" if own.missing is None else f"{100 * own.missing:.0f} %")
            clips = Cell(f"{own.clips}" if own.clips == own.of else f"{own.clips} of {own.of}")
            values = [
                Cell(fixed(own.paper, 3), bracket(own.interval, 3), own.reason),
                Cell(fixed(own.code, 3)),
                missing,
            ]
            beside = [Cell(fixed(base.get("paper"), 3), f"code {fixed(base.get('code'), 3)}") for base in bases]
            skill = cell(own.skill.skill, own.skill.interval, own.skill.reason)
            rows.append((short(task), (Cell(split_words.get(split, split)), *values, skill, *beside, clips), ""))
    columns = ("scene", "split", "paper", "code", "missing", "skill", *BASES.values(), "clips")
    return Table("PhyWorld's errors of velocity", columns, (once(rows),), (1,)) if rows else None


COMBINATIONS_LEGEND = (
    "Combinations of elements. Trained: templates that every training set holds; held out: templates that none holds. "
    "The gap is what held-out templates cost; of a model that was trained on none it says nothing of combinations. "
    "Abnormal: share of clips that break at 0.46 diameters or lose an object for 0.2 s. References: trained/held out."
)


def combinations(result: document.ResultDocument) -> Table | None:
    """Consistency, permanence and abnormal clips in trained and held-out templates; None on other suites."""
    rows: list[tuple[str, tuple[Cell, ...], str]] = []
    combination_bases = {name: BASES[name] for name in ("truth", "constant-velocity")}
    for measure, own in result.combinations.items():
        values = (own.trained, own.held_out, own.gap)
        bases = [own.references.get(name, {}) for name in combination_bases]
        cells = (
            *(Cell(fixed(value), title=own.reason) for value in values),
            Cell(bracket(own.interval)),
            *(Cell(f"{fixed(base.get('test'))}/{fixed(base.get('ood'))}") for base in bases),
        )
        rows.append((measure, cells, ""))
    columns = ("measure", "trained", "held out", "gap", "95 % interval", *combination_bases.values())
    return Table("Combinations", columns, (once(rows),)) if rows else None


def parts(result: document.ResultDocument) -> Table | None:
    """Skill by difficulty and by time of the deciding event; None where no task declares either."""
    axes, groups = tuple(result.axes), []
    for kind, rows_of_part in result.by_part.items():
        rows = [TableRow({"difficulty": "By difficulty", "event": "By time of the deciding event"}[kind], level="head")]
        for name, own in rows_of_part.items():
            values = (own.overall, *(own.axes[axis] for axis in axes))
            skills = tuple(_skill(value.skill, value.interval, value.reason) for value in values)
            when = "" if own.mean is None else f", {own.mean:.1f} s"
            rows.append(TableRow(f"{name}{when}", (*skills, Cell(fixed(own.constant_velocity)), Cell(str(own.clips)))))
        groups.append(tuple(rows))
    columns = ("part", "overall", *(AXIS_NAMES.get(axis, axis) for axis in axes), "constant velocity", "clips")
    return Table("Skill by difficulty and time of the event", columns, tuple(groups), style="group") if groups else None


def implied_worlds(result: document.ResultDocument) -> Table | None:
    """Changed worlds that explain each family, with their values; None where nothing was diagnosed."""
    rows: list[tuple[str, tuple[Cell, ...], str]] = []
    for family, world in result.implied_worlds.items():
        ends = world.interval
        share = bracket([100 * end for end in ends], 0) if ends else ""
        rest = f"{100 * world.unexplained:.0f} %, {world.clips} clips"
        cells = (Cell(f"{100 * world.share:.0f} %", share), Cell(rest))
        level = "off" if world.verdict == "named" else ""
        for first, law in enumerate(world.laws or [None]):
            name, value, true = Cell("–"), Cell("–"), Cell("–")
            if law is not None:
                size = f"{number(law.value)} {unit(law.unit)}".strip()
                name, value, true = Cell(law.short), Cell(size, bounds(law.interval)), Cell(number(law.true))
            rows.append((family, (name, value, true, *(cells if not first else (Cell(""), Cell("")))), level))
    columns = ("family", "law", "implied", "true", "explains", "unexplained")
    return Table("Changed worlds by family", columns, (once(rows),), (1,)) if rows else None


def readings(label: str, values: Iterable[tuple[str, str, document.ReadingValue, str]]) -> Table:
    """Diagnostics (reading, task, value, unit) beside those of the references."""
    rows = [
        (name, (
            Cell(short(task)),
            Cell(number(value.value), _ends(value.interval), value.reason, "off" if value.departs else ""),
            *(Cell(number(value.references[base])) for base in BASES),
            Cell(unit(of)), Cell(f"{value.clips} of {value.applicable}"),
        ), "")
        for name, task, value, of in values
    ]  # fmt: skip
    columns = ("reading", "task", "model", *BASES.values(), "unit", "clips")
    return Table(label, columns, (once(rows),), (1, 6))


def _ends(interval: Sequence[float] | None) -> str:
    return f"[{number(interval[0])}, {number(interval[1])}]" if interval else ""


def valid_counts(result: document.ResultDocument) -> Table | None:
    """In how many clips each reading of an axis is valid; None for results of older programs."""
    rows = [
        (AXIS_NAMES.get(axis, axis), (
            Cell(reading), Cell(f"{own.valid} of {result.counts.clips}"),
            Cell("; ".join(map(left_out, own.not_valid)) or "–", tone="words"),
        ), "")
        for axis, counts in result.axis_counts.items()
        for reading, own in counts.readings.items()
    ]  # fmt: skip
    columns = ("axis", "reading", "valid in", "not valid in")
    return Table("Clips that count by reading", columns, (once(rows),), (1, 3)) if rows else None


def failures(result: document.ResultDocument) -> Table | None:
    """The first clips that failed; None where none did."""
    several = result.counts.samples > 1
    rows = tuple(
        TableRow(each.clip + (f" sample {each.sample}" if several else ""), (Cell(each.reason, tone="words bad"),))
        for each in result.failures[:LISTED_FAILURES]
    )
    return Table("Failed clips", ("clip", "reason"), (rows,), (1,)) if rows else None


BEYOND_MEMORY = "beyond memory"


@dataclass(frozen=True)
class SkillRow:
    """One row: all families, a family, a task or a reference model."""

    level: Literal["all", "family", "task", "reference"]
    name: str
    cells: tuple[Cell, ...]  # overall, then by axis
    strength: str = "–"  # diameters, median


def skill_rows(result: document.ResultDocument) -> list[SkillRow]:
    """Rows in the order in which they are shown."""
    axes = list(result.axes)
    whole, references, families, sizes = _strengths(result)
    lines = [SkillRow("all", "all families", _skills(result.overall, result.axes, axes), whole)]
    for name, reference in result.references.items():
        cells = _skills(reference.overall, reference.axes, axes)
        lines.append(SkillRow("reference", name.replace("-", " "), cells, references.get(name, "–")))
    lines += _memory_rows(result)
    if result.gaps:
        gaps = result.gaps["all"]
        lines.append(SkillRow("reference", "lost out of range", (Cell("–"), *(_gap(gaps[axis]) for axis in axes))))
    for family, skills in result.families.items():
        tasks = [task for task in result.tasks if task.split("/")[0] == family]
        if len(tasks) > 1:
            cells = (_adds(result, family, tasks), *(_family(skills[axis]) for axis in axes))
            lines.append(SkillRow("family", family, cells, families.get(family, "–")))
        for task in tasks:
            name = short(task) if len(tasks) > 1 else f"{family}: {short(task)}"
            own = result.tasks[task]
            cells = (_gain(own) if len(tasks) > 1 else _adds(result, family, tasks), *(_task(own[a]) for a in axes))
            lines.append(SkillRow("task", name, cells, sizes.get(task, "–")))
    return lines


def _strengths(result: document.ResultDocument) -> tuple[str, dict[str, str], dict[str, str], dict[str, str]]:
    """Strength of all clips, and by reference, family and task; nothing where it was not read."""
    sizes = result.strength
    if sizes is None:
        return "–", {}, {}, {}
    references = {name: strength_text(size) for name, size in sizes.references.items()}
    families, tasks = ({n: strength_text(size.median) for n, size in e.items()} for e in (sizes.families, sizes.tasks))
    return strength_text(sizes.all.median), references, families, tasks


def _skills(
    overall: document.SkillValue, axes: Mapping[str, document.SkillValue], names: Iterable[str]
) -> tuple[Cell, ...]:
    skills = (overall, *(axes[name] for name in names))
    return tuple(_skill(each.skill, each.interval, each.reason) for each in skills)


def _memory_rows(result: document.ResultDocument) -> list[SkillRow]:
    """The memory of as many training clips, and the model minus it; nothing where none is published."""
    compared = result.beyond_memory
    if compared is None or compared.clips is None or compared.memory is None or compared.overall is None:
        return []
    own, beyond = (
        _skills(compared.memory, compared.memory_axes, result.axes),
        _skills(compared.overall, compared.axes, result.axes),
    )
    return [
        SkillRow("reference", f"memory, {compared.clips:,} clips", own),
        SkillRow("reference", BEYOND_MEMORY, beyond),
    ]


def memory_note(result: document.ResultDocument) -> str:
    """Reason that a result says nothing of memory; "" where it does, and for results of older programs."""
    beyond = result.beyond_memory
    return f"{BEYOND_MEMORY.capitalize()} is not known: {beyond.reason}." if beyond and beyond.clips is None else ""


def _gap(gap: document.GapValue) -> Cell:
    """Quality on `test` minus that on `ood`: no skill, so that it has no colour."""
    if gap.gap is None:
        return Cell("–", title=gap.reason)
    title = f"quality: test {fixed(gap.test)}, ood {fixed(gap.ood)}; truth itself loses {fixed(gap.truth)}"
    return Cell(fixed(gap.gap), bracket(gap.interval), title)


def _gains(task: Mapping[str, document.TaskResult]) -> list[float]:
    return [axis.skill for axis in task.values() if axis.kind == "informative" and axis.skill is not None]


def _gain(task: Mapping[str, document.TaskResult]) -> Cell:
    """Gain of a task: its mean over the axes on which it is informative."""
    gains = _gains(task)
    return _skill(sum(gains) / len(gains), None, "mean of the axes on which it is informative") if gains else Cell("–")


def _adds(result: document.ResultDocument, family: str, tasks: list[str]) -> Cell:
    """Contribution of a family to overall."""
    family_skill = result.by_family.get(family)
    if family_skill is None or family_skill.skill is None:
        return Cell("–", title="" if family_skill is None else family_skill.reason)
    means = [sum(gains) / len(gains) for task in tasks if (gains := _gains(result.tasks[task]))]
    share = 1 - family_skill.skill / gain if means and (gain := sum(means) / len(means)) > 0 else 0.0
    lost = f", less {share:.0%} of it that its guards take" if share >= -KEPT_FROM else ""
    return _skill(family_skill.skill, family_skill.interval, f"mean of its tasks{lost}")


def _family(value: document.FamilyResult) -> Cell:
    lost = value.guard
    if value.skill is None:
        return _saturated(lost, "its tasks cost the axis this") if lost is not None else Cell("–", title=value.reason)
    own = _skill(value.skill, value.skill_interval, "mean of its informative tasks")
    if lost is None or lost >= KEPT_FROM:
        return own
    return replace(own, text=gained_and_lost(value.skill, lost), title=f"{own.title}; it loses {fixed(-lost)} more")


def gained_and_lost(gained: float | None, lost: float | None) -> str:
    """A family on an axis: "0.64", "0.64 −0.05 lost" with what it loses, "−0.05 lost" or "kept" with no gain."""
    if gained is not None and (lost is None or lost >= KEPT_FROM):
        return fixed(gained)
    cell = _saturated(lost, "")
    return f"{'' if gained is None else fixed(gained)} {cell.text} {cell.note}".strip()


def _task(value: document.TaskResult) -> Cell:
    if value.kind == "informative":
        return _skill(value.skill, value.skill_interval, value.why)
    if value.kind == "guard":
        return _saturated(value.skill, value.why)
    return Cell("–", value.kind, value.why)


def _skill(value: float | None, interval: document.Interval | None, title: str) -> Cell:
    if value is None:
        return Cell("–", title=title)
    strength = round(min(abs(value), 1.0), 3)
    return Cell(fixed(value), bracket(interval), title, "good" if value >= 0 else "bad", strength)


def _saturated(cost: float | None, title: str) -> Cell:
    if cost is None:
        return Cell("–", title=title)
    if cost >= KEPT_FROM:
        return Cell("kept", title=title, tone="kept")
    return Cell(fixed(cost), "lost", title, "bad", round(min(-cost, 1.0), 3))
