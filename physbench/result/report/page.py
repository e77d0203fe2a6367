"""report/index.html: one page that opens from a file, with everything inline and no requests."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from physbench.clips.suite import PROMPT_MOTION_OPTION
from physbench.result.compare import PHYSICIST_TARGET, require_physicist
from physbench.result.document import (
    ImpliedWorldResult,
    ReadingResult,
    ReadingValue,
    ResultDocument,
    Speed,
    read_result,
)
from physbench.result.findings import FEWEST_CLIPS, apart, departs, implied_sentence
from physbench.result.formats import (
    AXIS_NAMES,
    AXIS_QUESTIONS,
    SATURATED_MEANING,
    STRENGTH_MEANING,
    counted,
    fixed,
    joined,
    short,
)
from physbench.result.manifest import Manifest, renew
from physbench.result.read import clips_of, read_run
from physbench.result.readings import GroupShares
from physbench.result.report import tables as table_view
from physbench.result.report.charts import GroupCurves, axis_chart, error_chart, share_chart
from physbench.result.report.pictures import CLOSE_UP_LEGEND
from physbench.result.report.summary import SummaryView, summary_view
from physbench.result.report.tables import Table, not_valid, skill_rows
from physbench.score.protocol import LAWS
from physbench.support.files import write_text
from physbench.support.printable import printable
from physbench.support.run_folder import RunFolder

if TYPE_CHECKING:
    from jinja2 import Environment

    from physbench.result.report.data import ClipFigure, ReportData

# The template engine of all pages: what comes from models and users is escaped, and nothing may be missing.


def _plain(value: object) -> object:
    """Printable value: in texts of models and users no character that is not printable."""
    from markupsafe import Markup

    return printable(value, keep="\n\t") if isinstance(value, str) and not isinstance(value, Markup) else value


def page_environment(package: str, **filters: Callable[..., object]) -> Environment:
    """The template engine for the folder `templates` of a package, with filters by name."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters |= filters
    return environment


# The words of the page that need an explanation: shown on hover and focus, and as a list at its end.

GLOSSARY: dict[str, tuple[str, str]] = {  # by key: the term, and what it means
    "skill": ("skill", "0 is the last frame frozen, 1 is ground truth, both through the same measuring chain."),
    "quality": ("quality", "A share of time or of objects, from 0 to 1, before it is set between freeze and truth."),
    "reading": (
        "reading",
        "One number that a scorer makes of a clip, with its unit; a headline reading makes the quality of its axis.",
    ),
    "consistency": (
        AXIS_NAMES["consistency"],
        "Could this have happened under the laws of the scene, whatever the recorded future was?",
    ),
    "permanence": (AXIS_NAMES["permanence"], "Is everything still there, whole, and still itself?"),
    "drift": (
        AXIS_NAMES["drift"],
        "Is it what happens here, for as long as that can be known? More is better: 1 drifts no more than truth.",
    ),
    "accuracy": (
        "accuracy (half of drift)",
        "The share of the predictability time before an object is missing or off the recorded future, by a diameter or "
        "by more than the context leaves open.",
    ),
    "stability": (
        "stability (half of drift)",
        "The share explained by shadowing in quarters 2 to 4 of the horizon, breaks counted from each quarter’s own "
        "start.",
    ),
    "informative": (
        "informative task",
        "A task on which the quality of ground truth is ahead of that of the frozen frame by 0.25 or more.",
    ),
    "guard": (
        "guard",
        "A task on which a frozen frame does nearly as well as ground truth, so that a model can only lose.",
    ),
    "kept": (
        "kept, lost",
        SATURATED_MEANING,
    ),
    "truth": ("truth", "The simulated future, seen through the same tracker as the prediction."),
    "freeze": ("freeze", "The last frame that the model was shown, repeated."),
    "cv": ("constant velocity", "Everything goes on as it last moved, through all that it meets."),
    "diameter": ("diameter", "Errors and tolerances are measured in the object’s own diameters."),
    "handover": ("hand-over", "Time 0: the model was shown everything before it and predicts everything after it."),
    "lawful": ("lawful", "Near a trajectory of the scene’s own simulation, whatever the recorded future was."),
    "tolerance": ("tolerance", "How near a lawful trajectory must be: 0.03, 0.08, 0.2 and 0.5 diameters."),
    "break": ("break", "The moment at which no lawful trajectory goes on within the tolerance."),
    "strength": (
        "strength",
        f"{STRENGTH_MEANING[0].upper()}{STRENGTH_MEANING[1:]}; less is better.",
    ),
    "tp": ("predictability time", "Until when the context determines what happens, to within a diameter."),
    "interval": ("95 % interval", "By resampling clips together with their references; in brackets."),
}


# What the page of a run shows that is chosen, counted or drawn; the templates word and lay it out.

Item = tuple[str, str, ReadingValue, str]  # reading, task, value, unit


@dataclass(frozen=True)
class ChartView:
    """A chart with its heading."""

    name: str
    note: str
    svg: str  # "" where there is none: the note says why


@dataclass(frozen=True)
class FamilyCharts:
    """The chart of a family, and those of its tasks."""

    chart: ChartView
    tasks: tuple[ChartView, ...]  # () for a family of one task


@dataclass(frozen=True)
class FamilyClips:
    """The clips of a family that are shown."""

    name: str
    worst: str  # the skill of the worst clip of each task
    clips: tuple[tuple[ClipFigure, ...], ...]  # by task
    open: bool


@dataclass(frozen=True)
class PageView:
    """Content of a run's page beside the tables of `table_view`, which the templates ask for by name."""

    summary: SummaryView
    contents: tuple[tuple[str, str], ...]  # (id, title)
    few: bool  # tasks, so that all parts are open
    heat: Table | None  # skill by family, task and axis
    charts: tuple[ChartView, ...]  # by axis
    errors: tuple[FamilyCharts, ...]
    lawful: tuple[FamilyCharts, ...]
    breaks: str  # how many clips break
    physicist: bool
    physicist_command: str  # that adds it; "" where it cannot be
    implied_words: tuple[str, ...]  # a sentence for each family with a law, and one for the others together
    close_up_legend: str  # "" where there is no close-up
    clips: tuple[FamilyClips, ...]
    striking: Table | None
    readings: tuple[tuple[str, Table], ...]  # (title, table)
    run_events: int  # batches that were halved, retried or ended
    settings: tuple[tuple[str, str], ...]


def page_view(result: ResultDocument, manifest: Manifest, gathered: ReportData) -> PageView:
    """The page from a result document, the manifest of its run, and what was gathered of its clips."""
    scored = result.counts.scored > 0
    first = first_family(result)
    summary = summary_view(result)
    few = len(result.tasks) <= 6  # up to 6 tasks, all parts of the page are open
    errors = _errors(gathered, first) if scored else ()
    lawful = _lawful(result, gathered, first) if scored else ()
    clips = by_family(gathered.figures, first, few)
    groups = reading_groups(result) if scored else ()
    sections = (
        ("axes", "Skill", scored),
        ("time", "Error", errors),
        ("lawful", "Lawfulness", lawful),
        ("implied", "Implied world", result.implied_worlds),
        ("clips", "Clips", clips),
        ("readings", "Readings", groups),
        ("failed", "What counts", True),
        ("took", "What it took", summary.took),
        ("settings", "Settings", True),
        ("guide", "How to read it", True),
        ("glossary", "Glossary", True),
    )
    return PageView(
        summary=summary,
        contents=tuple((name, title) for name, title, there in sections if there),
        few=few,
        heat=_heat(result) if scored else None,
        charts=tuple(
            ChartView(AXIS_NAMES.get(axis, axis), AXIS_QUESTIONS.get(axis, ""), axis_chart(result, axis))
            for axis in result.axes
        ) if scored else (),
        errors=errors,
        lawful=lawful,
        breaks=" ".join(gathered.breaks),
        physicist=any("physicist" in group.shares for group in gathered.shares),
        physicist_command=physicist_command(manifest),
        implied_words=implied_words(result.implied_worlds),
        close_up_legend=CLOSE_UP_LEGEND if any(f.broken and f.broken.close_ups for f in gathered.figures) else "",
        clips=clips,
        striking=_striking(result) if scored else None,
        readings=groups,
        run_events=len(manifest.events),
        settings=tuple(settings(result, manifest)),
    )  # fmt: skip


def first_family(result: ResultDocument) -> str:
    """The family of the first finding that has one; "" for none."""
    return next((finding.family for finding in result.findings if finding.family), "")


def _heat(result: ResultDocument) -> Table:
    """Skill by family, task and axis, with the strength of what is unlawful where it is known."""
    sized = bool(result.strength)
    axes = tuple(AXIS_NAMES.get(axis, axis) for axis in result.axes)
    rows = tuple(
        table_view.TableRow(line.name, (*line.cells, *([table_view.Cell(line.strength)] if sized else [])), line.level)
        for line in skill_rows(result)
    )
    columns = ("skill", "overall", *axes, *(["strength, diameters"] if sized else []))
    return Table("Table of skill by family and task", columns, (rows,), style="heat")


def _errors(gathered: ReportData, first: str) -> tuple[FamilyCharts, ...]:
    def chart(group: GroupCurves, name: str, *, small: bool = False) -> ChartView:
        limit = group.predictability
        return ChartView(name, "" if limit is None else f"{limit:.1f} s", error_chart(group, small=small))

    return tuple(
        FamilyCharts(chart(group, group.name), _several(
            [chart(task, short(task.name), small=True) for task in gathered.tasks[group.name]]
        ))
        for group in _worst_first(gathered.families, first)
    )  # fmt: skip


def _lawful(result: ResultDocument, gathered: ReportData, first: str) -> tuple[FamilyCharts, ...]:
    families = []
    for group in _worst_first(gathered.shares, first):
        drawn = gathered.task_shares.get(group.name, ())
        missing = without_chart(result, group.name, drawn)
        tasks = [ChartView(short(task.name), "", share_chart(task, small=True)) for task in drawn]
        if len(drawn) > 1:
            tasks += [ChartView(short(task), "; ".join(words), "") for task, words in missing.items() if words]
        families.append(FamilyCharts(ChartView(group.name, "", share_chart(group)), _several(tasks)))
    return tuple(families)


def _several(charts: Sequence[ChartView]) -> tuple[ChartView, ...]:
    return tuple(charts) if len(charts) > 1 else ()


def _worst_first(groups: Sequence[Any], first: str) -> list[Any]:
    return sorted(groups, key=lambda group: group.name != first)


def without_chart(result: ResultDocument, family: str, drawn: Sequence[GroupShares]) -> dict[str, list[str]]:
    """Tasks of a family in which nothing is shadowed, with what is not valid there."""
    names = {group.name for group in drawn}
    tasks = [task for task in result.tasks if task.split("/")[0] == family and task not in names]
    return {task: not_valid(result, task).get("consistency", []) for task in tasks}


def by_family(figures: Sequence[ClipFigure], first: str = "", every: bool = False) -> tuple[FamilyClips, ...]:
    """Figures by family and task. The family of the first finding comes first and is open."""
    families: dict[str, dict[str, list[ClipFigure]]] = {}
    for item in figures:
        families.setdefault(item.shown.task.split("/")[0], {}).setdefault(item.shown.task, []).append(item)
    order = sorted(families, key=lambda family: family != first)
    return tuple(
        FamilyClips(
            family,
            ", ".join(f"{short(task)} {fixed(shown[0].shown.skill)}" for task, shown in families[family].items()),
            tuple(tuple(shown) for shown in families[family].values()),
            every or family == order[0],
        )
        for family in order
    )


def implied_words(worlds: Mapping[str, ImpliedWorldResult]) -> tuple[str, ...]:
    """Explanations of each family's motion, and others as good; families that nothing explains in one sentence."""
    named: list[str] = []
    unexplained: list[str] = []
    lawful: list[str] = []
    for family, world in worlds.items():
        if world.verdict in ("named", "unsure"):
            alike = world.alike
            also = f"; {', '.join(alike)} explain{'s' if len(alike) == 1 else ''} as much" if alike else ""
            named.append(f"{family.capitalize()}: {implied_sentence(world)}{also}.")
        else:
            (lawful if world.verdict == "lawful" else unexplained).append(family)
    parts = [f"no single changed law explains {joined(unexplained)}"] if unexplained else []
    parts += [f"the true laws explain {joined(lawful)}"] if lawful else []
    rest = "; ".join(parts)
    return (*named, *([f"{rest[0].upper()}{rest[1:]}."] if rest else []))


def _striking(result: ResultDocument) -> Table | None:
    """Diagnostics that differ from ground truth: laws first, the farthest first."""
    ranked: list[tuple[bool, float, str, str, Item]] = []
    for name, reading in result.readings.items():
        for task, value in () if reading.axis else reading.tasks.items():
            if departs(value) and value.clips >= FEWEST_CLIPS:
                item = (name, task, value, reading.unit)
                ranked.append((not name.startswith(f"{LAWS}/"), -apart(value), name, task, item))
    ranked.sort(key=lambda item: item[:4])
    items = [item for *_, item in ranked[:12]]  # readings that are shown first
    return table_view.readings("Readings that are farthest from ground truth", items) if items else None


def reading_groups(result: ResultDocument) -> tuple[tuple[str, Table], ...]:
    """All diagnostics by what stands before their slash: laws first."""
    groups: dict[str, dict[str, ReadingResult]] = {LAWS: {}}
    for name, reading in result.readings.items():
        if not reading.axis:
            groups.setdefault(name.split("/")[0], {})[name] = reading
    tables = []
    for group, members in groups.items():
        items = [(name, task, value, own.unit) for name, own in members.items() for task, value in own.tasks.items()]
        if items:
            title = f"All of {group}/: {counted(len(members), 'reading')}"
            tables.append((title, table_view.readings(f"All readings of {group}", items)))
    return tuple(tables)


def physicist_command(manifest: Manifest) -> str:
    """Commands that run the physicist under the conditions of a run and add it to the report; "" for its own run."""
    if manifest.model.target == PHYSICIST_TARGET or not manifest.card.sees_pictures:
        return ""  # it sees pictures
    options, spec = manifest.options, manifest.spec
    size = f"{spec.height}" if spec.height == spec.width else f"{spec.width}x{spec.height}"
    chosen = {
        "--suite": options.suite or manifest.suite.name,
        "--tasks": options.tasks,
        "--limit": options.limit,
        "--fresh-seeds": "RUN" if manifest.suite.fresh else None,  # the seeds of this run, as nobody else has them
    }
    parts = [f"{name} {quote(str(value))}" for name, value in chosen.items() if value is not None]
    parts += [f"--model-arg {name}={value}" for name, value in (("size", size), ("fps", f"{spec.fps:g}"))]
    parts.append(f"--model-arg context={manifest.scored_context}")
    parts += [PROMPT_MOTION_OPTION] if options.prompt_motion else []
    own = f"physbench eval {PHYSICIST_TARGET} {' '.join(parts)} --out PHYSICIST"
    return f"{own} && physbench report RUN --physicist PHYSICIST"


def settings(result: ResultDocument, manifest: Manifest) -> list[tuple[str, str]]:
    """The settings that decided the run, as (name, value)."""
    model, suite, options = result.model, result.suite, manifest.options
    batches = manifest.batches or []  # a model's answer may depend on who shares its batch
    horizon = model.card.max_horizon
    rows = [
        ("model", f"{model.name} ({model.target})"),
        ("sha256", model.sha256 or "none: nothing to hash"),
        ("sha256 as reported", manifest.model.reported_sha256),
        ("model arguments", ", ".join(f"{key}={value}" for key, value in model.args.items())),
        *manifest.model.settings.items(),
        ("track", model.track),
        seen(result),
        ("longest call", f"{horizon} frames; up to {model.chained} calls a clip" if horizon else ""),
        ("suite", f"{result.suite_label}, {counted(suite.clips, 'clip')}"),
        ("suite hash", suite.hash),
        ("clips", "made here, not those of the suite" if suite.local else "states as published with the suite"),
        ("device", f"{manifest.device} {options.dtype}".strip()),
        ("autocast", options.autocast),
        ("compiled", "networks, with torch.compile" if options.compile else ""),
        ("batches", f"{len(batches)} of up to {max(map(len, batches))} rollouts" if batches else ""),
        ("seed, samples", f"{manifest.seed}, {result.counts.samples} a clip"),
        ("versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items() if version)),
        *(("note", note) for note in manifest.notes),
        ("note of the run", options.note),
        ("tags", ", ".join(options.tags or ())),
    ]
    return [(name, value) for name, value in rows if value]


def seen(result: ResultDocument) -> tuple[str, str]:
    """Input and answer of the model, as (name, value)."""
    card, context = result.model.card, result.context
    drawn = "" if card.sees_pictures else "; pictures are drawn from them"
    return f"{card.moment}s", f"{card.shown(result.render_spec)}, {context} context {card.moment}s scored{drawn}"


SCRIPT = (Path(__file__).parent / "templates" / "page.js").read_text(encoding="utf-8")
SCRIPT_HASH = b64encode(sha256(SCRIPT.encode()).digest()).decode()
# No request, and no script but that of the page, whatever names of models and users hold.
INLINE_ONLY = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_HASH}'"


def write_report(
    folder: RunFolder,
    place: Path | None = None,
    result: ResultDocument | None = None,
    physicist: RunFolder | None = None,
    workers: int = 1,
    anew: bool = False,
    spent: Callable[[], Speed] | None = None,
    quality: int | None = None,
) -> Path:
    """Write the report of a finished run and return its path, from `result`, else from result.json.

    result.json is built if it is not there yet, or `anew`. With a `place` for the report nothing is written into the
    folder. physicist: a run of `baseline:physicist` on the same clips, drawn beside the references. Raises UsageError
    where that run is not finished or had other conditions. workers: processes that read clips at the same time, and
    while the result is built. spent: of a run that ends with this page, gives its speed once
    all else is done. quality: of pictures, 0 to 100 as of WebP, where the page must be small; None: lossless.
    """
    from physbench.result.build import build_result, write_result
    from physbench.result.report.data import clips_read, gather, require_tasks

    manifest, tables = read_run(folder)
    if physicist is not None:
        require_physicist(folder, physicist)
    require_tasks(folder, manifest)
    if not anew:  # else the run has just read them
        clips_of(folder, manifest).ensure(manifest.rows, manifest.spec)
    with clips_read(folder, manifest, tables, physicist, workers, quality) as clips:
        if result is None and folder.result.is_file() and not anew:
            result = read_result(folder.result)
        elif result is None:
            result = write_result(folder) if place is None else build_result(folder)
        gathered = gather(manifest, tables, clips)
        text = render(result if spent is None else result.model_copy(update={"speed": spent()}), manifest, gathered)
    place = place or folder.report
    write_text(place, text)
    if place == folder.report:
        renew(folder, place)
    return place


def render(result: ResultDocument, manifest: Manifest, gathered: ReportData) -> str:
    """The page. Everything that comes from models and users is escaped by the template engine."""
    from markupsafe import Markup

    from physbench.result import formats

    environment = page_environment(
        "physbench.result.report",
        bracket=formats.bracket,
        counted=formats.counted,
        drawn=Markup,  # charts, whose texts are escaped where they are drawn
        fixed=formats.fixed,
        number=formats.number,
        short=formats.short,
        unit=formats.unit,
    )
    return environment.get_template("report.html.j2").render(
        page=page_view(result, manifest, gathered),
        result=result,
        tables=table_view,
        axes=formats.AXIS_NAMES,
        inline_only=INLINE_ONLY,
        glossary=GLOSSARY,
        script=Markup(SCRIPT),
    )
