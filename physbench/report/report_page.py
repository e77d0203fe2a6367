"""report/index.html: one page that opens from a file, with everything inline and no requests."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from physbench.results import number_format
from physbench.results.answers import answers_states, overall_meaning
from physbench.results.read_run import context_of, spec_of
from physbench.results.run_comparison import PHYSICIST_TARGET
from physbench.scoring.scorer_protocol import LAWS
from physbench.storage.atomic_write import write_text
from physbench.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from physbench.report.error_curves import GroupCurves
    from physbench.report.report_data import ClipFigure, ReportData
    from physbench.results.lawful_fraction import GroupShares


OPEN_TASKS = 6  # up to which all parts of the page are open
SCRIPT = (Path(__file__).parent / "templates" / "page.js").read_text(encoding="utf-8")
SCRIPT_HASH = b64encode(sha256(SCRIPT.encode()).digest()).decode()
# No request, and no script but that of the page, whatever names of models and users hold.
INLINE_ONLY = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_HASH}'"
STRIKING = 12  # readings that are shown first


def write_report(
    folder: RunFolder,
    place: Path | None = None,
    result: Mapping[str, Any] | None = None,
    physicist: RunFolder | None = None,
) -> Path:
    """Write the report of a finished run and return its path, from `result`, else from result.json.

    result.json is built if it is not there yet. With a `place` for the report nothing is written into the folder.
    physicist: a run of `baseline:physicist` on the same clips, drawn beside the references. Raises UsageError
    where that run is not finished or had other conditions.
    """
    from physbench.report.report_data import gather
    from physbench.results.build_result import build_result, write_result
    from physbench.results.read_run import read_run
    from physbench.results.schema import read_result

    manifest, tables = read_run(folder)
    if physicist is not None:
        from physbench.results.run_comparison import require_physicist

        require_physicist(folder, physicist)
    if result is None and folder.result.is_file():
        result = read_result(folder.result).model_dump(mode="json")
    elif result is None:
        result = write_result(folder) if place is None else build_result(folder)
    text = render(result, manifest, gather(folder, manifest, tables, physicist))
    place = place or folder.report
    write_text(place, text)
    return place


def render(result: Mapping[str, Any], manifest: Mapping[str, Any], gathered: ReportData) -> str:
    """The page. Everything that comes from models and users is escaped by the template engine."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from physbench.report.charts import axis_chart, error_chart, share_chart
    from physbench.report.clip_count_text import counting, left_out, not_valid
    from physbench.report.event_text import event_counts, event_sentences
    from physbench.report.free_constant_text import unseen_sentences
    from physbench.report.glossary import GLOSSARY
    from physbench.report.skill_table import memory_note, skill_rows
    from physbench.results.implied_worlds import bounds, implied_sentence
    from physbench.results.schema_parts import ImpliedWorldResult

    environment = Environment(
        loader=PackageLoader("physbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "fixed": number_format.fixed,
        "number": number_format.number,
        "bracket": number_format.bracket,
        "ahead": number_format.ahead,
        "short": number_format.short,
        "plain": number_format.plain,
        "unit": number_format.unit,
        "bounds": bounds,
        "implied": lambda world: implied_sentence(ImpliedWorldResult.model_validate(world)),
    }
    scored = result["counts"]["scored"] > 0
    blamed = blamed_family(result, manifest)

    def chart(group: GroupCurves, small: bool) -> dict[str, Any]:
        picture = Markup(error_chart(group, small=small))
        return {"name": group.name, "chart": picture, "limit": group.predictability}

    families = [
        {
            **chart(group, False),
            "tasks": [chart(task, True) for task in gathered.tasks[group.name]],
        }
        for group in sorted(gathered.families, key=lambda group: group.name != blamed)
    ]
    return environment.get_template("report.html.j2").render(
        r=result,
        suite_name=number_format.suite_name(result),
        inline_only=INLINE_ONLY,
        manifest=manifest,
        scored=scored,
        few=len(result["tasks"]) <= OPEN_TASKS,
        axis_names=number_format.AXIS_NAMES,
        axis_questions=number_format.AXIS_QUESTIONS,
        heat=skill_rows(result),
        memory_note=memory_note(result),
        axis_charts={axis: Markup(axis_chart(dict(result), axis)) for axis in result["axes"]} if scored else {},
        families=families if scored else [],
        lawful=[
            {
                "name": group.name,
                "chart": Markup(share_chart(group)),
                "tasks": [
                    {"name": task.name, "chart": Markup(share_chart(task, small=True))}
                    for task in gathered.task_shares.get(group.name, ())
                ],
                "missing": without_chart(result, group.name, gathered.task_shares.get(group.name, ())),
            }
            for group in sorted(gathered.shares, key=lambda group: group.name != blamed)
        ]
        if scored
        else [],
        physicist=any("physicist" in group.shares for group in gathered.shares),
        physicist_command=physicist_command(manifest),
        breaks=gathered.breaks,
        counting=counting(result),
        unseen=unseen_sentences(result),
        avoided=event_sentences(result),
        events=list(event_counts(result)),
        left_out={
            reading: [left_out(each) for each in own["not_valid"]]
            for found in result["axis_counts"].values()
            for reading, own in found["readings"].items()
        },
        over_tasks=[
            (family, axis, found)
            for family, axes in result["families"].items()
            for axis, found in axes.items()
            if found["tasks_interval"]
        ],
        not_valid={task: not_valid(result, task) for task in result["tasks"]},
        figures=by_family(gathered.figures, blamed),
        glossary=GLOSSARY,
        script=Markup(SCRIPT),
        contents=contents(result, gathered),
        striking=striking(result) if scored else [],
        readings=reading_groups(result),
        took=took(result["speed"]),
        overall_meaning=overall_meaning(result["model"]["card"]),
        settings=settings(result, manifest),
    )


def physicist_command(manifest: Mapping[str, Any]) -> str:
    """Commands that run the physicist under the conditions of a run and add it to the report; "" for its own run."""
    if manifest["model"]["target"] == PHYSICIST_TARGET or answers_states(manifest["model"]["card"]):
        return ""  # it sees pictures
    options = manifest.get("options") or {}
    spec = spec_of(dict(manifest))
    size = f"{spec.height}" if spec.height == spec.width else f"{spec.height}x{spec.width}"
    suite = options.get("suite") or manifest["suite"]["name"]
    drawn = "RUN" if manifest["suite"].get("fresh") else None  # the seeds of this run, as nobody else has them
    chosen = {
        "--suite": suite,
        "--tasks": options.get("tasks"),
        "--limit": options.get("limit"),
        "--fresh-seeds": drawn,
    }
    parts = [f"{name} {quote(str(value))}" for name, value in chosen.items() if value is not None]
    parts += [f"--model-arg {name}={value}" for name, value in (("size", size), ("fps", f"{spec.fps:g}"))]
    parts.append(f"--model-arg context={context_of(manifest)}")
    own = f"physbench eval {PHYSICIST_TARGET} {' '.join(parts)} --out PHYSICIST"
    return f"{own} && physbench report RUN --physicist PHYSICIST"


def without_chart(result: Mapping[str, Any], family: str, drawn: Sequence[GroupShares]) -> dict[str, list[str]]:
    """Tasks of a family in which nothing is shadowed, with what is not valid there."""
    from physbench.report.clip_count_text import not_valid

    names = {group.name for group in drawn}
    tasks = [task for task in result["tasks"] if task.split("/")[0] == family and task not in names]
    return {task: not_valid(result, task).get("consistency", []) for task in tasks}


def contents(result: Mapping[str, Any], gathered: ReportData) -> list[tuple[str, str]]:
    """The sections that the page has, (id, short title)."""
    scored = result["counts"]["scored"] > 0
    found = [
        ("axes", "Skill", scored),
        ("time", "Error", scored and gathered.families),
        ("lawful", "Lawfulness", scored and gathered.shares),
        ("implied", "Implied world", result.get("implied_worlds")),
        ("clips", "Clips", gathered.figures),
        ("readings", "Readings", scored and reading_groups(result)),
        ("failed", "What counts", True),
        ("took", "What it took", took(result["speed"])),
        ("settings", "Settings", True),
        ("guide", "How to read it", True),
        ("glossary", "Glossary", True),
    ]
    return [(name, title) for name, title, there in found if there]


def blamed_family(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """The family that the second sentence names; "" for none."""
    from physbench.results.blame import blame
    from physbench.results.law_phrases import law_phrases
    from physbench.results.schema import ResultDocument

    if not result["counts"]["scored"]:
        return ""
    found = blame(ResultDocument.model_validate(result), law_phrases(manifest))
    return "" if found is None else found.family


def by_family(figures: Sequence[ClipFigure], blamed: str = "") -> list[dict[str, Any]]:
    """Figures by family and task, the blamed family first: it is open, or the first where none is blamed."""
    families: dict[str, dict[str, list[ClipFigure]]] = {}
    for item in figures:
        families.setdefault(item.shown.task.split("/")[0], {}).setdefault(item.shown.task, []).append(item)
    order = sorted(families, key=lambda family: family != blamed)
    return [{"name": family, "tasks": families[family], "open": family == order[0]} for family in order]


def striking(result: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any], str]]:
    """Diagnostics that differ from ground truth, (reading, task, value, unit): laws first, the farthest first."""
    from physbench.results.schema import ReadingValue
    from physbench.results.sentences import apart, departs

    found = []
    for name, reading in result["readings"].items():
        if reading["axis"]:
            continue
        for task, values in reading["tasks"].items():
            value = ReadingValue.model_validate(values)
            if departs(value):
                found.append((not name.startswith(f"{LAWS}/"), -apart(value), name, task, values, reading["unit"]))
    found.sort(key=lambda item: item[:4])
    return [(name, task, values, unit) for _, _, name, task, values, unit in found[:STRIKING]]


def reading_groups(result: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All diagnostics by what stands before their slash: laws first."""
    groups: dict[str, dict[str, Any]] = {LAWS: {}}
    for name, reading in result["readings"].items():
        if not reading["axis"]:
            groups.setdefault(name.split("/")[0], {})[name] = reading
    return [(group, found) for group, found in groups.items() if found]


def settings(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings that decided the run, as (name, value)."""
    model, suite, card = result["model"], result["suite"], result["model"]["card"]
    options = manifest.get("options") or {}
    versions = manifest.get("versions") or {}
    batches = manifest.get("batches") or []  # a model's answer may depend on who shares its batch
    horizon = card.get("max_horizon")
    found = [
        ("model", f"{model['name']} ({model['target']})"),
        ("sha256", model["sha256"] or "none: nothing to hash"),
        ("sha256 as reported", (manifest.get("model") or {}).get("reported_sha256", "")),
        ("model arguments", ", ".join(f"{key}={value}" for key, value in model["args"].items())),
        *manifest["model"].get("settings", {}).items(),
        ("track", model["track"]),
        seen(result),
        ("longest call", f"{horizon} frames; up to {model['chained']} calls a clip" if horizon else ""),
        ("suite", f"{number_format.suite_name(result)}, {number_format.counted(suite['clips'], 'clip')}"),
        ("suite hash", suite["hash"]),
        ("clips", "made here, not those of the suite" if suite["local"] else "states as published with the suite"),
        ("device", f"{manifest.get('device', '')} {options.get('dtype', '')}".strip()),
        ("batches", f"{len(batches)} of up to {max(map(len, batches))} rollouts" if batches else ""),
        ("seed, samples", f"{manifest.get('seed', options.get('seed', 0))}, {result['counts']['samples']} a clip"),
        ("versions", ", ".join(f"{name} {versions[name]}" for name in versions if versions[name])),
        *(("note", note) for note in manifest.get("notes", [])),
        ("note of the run", options.get("note", "")),
        ("tags", ", ".join(options.get("tags") or ())),
    ]
    return [(name, value) for name, value in found if value]


def seen(result: Mapping[str, Any]) -> tuple[str, str]:
    """What the model was given and answered with, as (name, value)."""
    card, context = result["model"]["card"], result["context"]
    if not answers_states(card):
        return "frames", f"{result['render_spec']}, {context} context frames scored"
    how = f"{card['columns']}, {card['space']}, {card['units']}, {card['layout']}"
    return "states", f"{card['fps']:g} a second, {context} context states scored; {how}; pictures are drawn from them"


def took(speed: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Speed and memory as (name, value), as far as they are known."""
    share = speed["harness_share"]
    found = [
        ("model", speed["model_frames_per_s"], "{:.0f} frames/s"),
        ("time inside the model", speed["model_seconds"], "{:.1f} s"),
        ("whole run", speed["total_seconds"], "{:.0f} s"),
        ("of it outside the model", None if share is None else 100 * share, "{:.0f} %"),
        ("memory of all processes", speed["peak_memory_gb"], "{:.2f} GB at most"),
        ("memory of the device", speed["device_memory_gb"], "{:.2f} GB at most"),
    ]
    return [(name, text.format(value)) for name, value, text in found if value is not None]
