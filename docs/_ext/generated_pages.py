"""Write the pages made from code, board and docs/validity: task gallery, scorer reference, violations, validity."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import validity_page
from page_templates import rendered
from published_tables import GROUPS, MAIN, published
from sphinx.application import Sphinx
from validity_curves import CURVES, curves, draw

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.clips.preview import preview
from physbench.clips.task import find_task, short_names, task_ids
from physbench.leaderboard.entries import entries
from physbench.result.document import ResultDocument
from physbench.result.formats import AXIS_NAMES, fixed, joined
from physbench.score.protocol import AXES, Scorer
from physbench.score.score_clip import find_scorers
from physbench.shadowing import why_not
from physbench.support.progress import Progress
from physbench.validity.gaming_baselines import GAMING_BASELINES
from physbench.validity.lawful_alternatives import FRAME_SHIFTS, FrameShift
from physbench.validity.violations import REGISTRY, Violation
from physbench.world.bullet import simulate
from physbench.world.styles.look_options import LOOKS
from physbench.world.styles.prompt import scene_prompt, stated_velocities

SECTIONS = dict(zip(AXES, ("physical-consistency-shadowing", "object-permanence", "long-horizon-drift"), strict=True))
CLIPS = 3  # beside each other in an animation


def write(app: Sphinx) -> None:
    """Write all of them to the folder "generated"."""
    source = Path(app.srcdir)
    folder = source / "generated"
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    figures = json.loads((source / "figures" / "core.json").read_text(encoding="utf-8"))["tasks"]
    tasks = {task_id: short_names(task_id)[0] for task_id in task_ids()}
    best = best_models(source.parent / "board")
    families: dict[str, list[Card]] = {}
    with Progress("pages of tasks", len(tasks)) as progress:  # a minute and more, before sphinx says anything
        for task_id, name in tasks.items():
            first = write_task(task_id, folder / "tasks" / name, figures)
            kinds = figures.get(task_id, {}).get("kind", {})
            card = Card(task_id, name, first, law_of(task_id), tested(task_id, kinds), best.get(task_id, ""))
            families.setdefault(task_id.split("/")[0], []).append(card)
            progress.advance(note=name)
    outside = json.loads((source / "figures" / "full_tasks.json").read_text(encoding="utf-8"))
    (folder / "tasks.md").write_text(rendered("tasks.md.j2", families=families, tasks=tasks, outside=outside), "utf-8")
    (folder / "scorers.md").write_text(scorer_reference(), encoding="utf-8")
    (folder / "violations.md").write_text(violation_list(), encoding="utf-8")
    tables = published(source / "validity")
    (folder / "validity.md").write_text(validity_page.page(tables), encoding="utf-8")
    if MAIN in tables and (found := curves(tables[MAIN])):
        draw(found, folder / CURVES)


@dataclass(frozen=True)
class Card:
    """One task in the gallery."""

    id: str
    name: str
    first: str  # line of its docstring
    law: str
    tested: str
    best: str  # model of the board; "" where the board does not hold the task


def law_of(task_id: str) -> str:
    """The first statement of what a docstring says of the law, without its sources."""
    text = re.search(r"^Law: (.*?)(?:\n\n|\Z)", inspect.getdoc(find_task(task_id)) or "", re.DOTALL | re.MULTILINE)
    words = " ".join(text[1].split()) if text else ""
    plain = re.sub(
        r" \((?:[^()]|\([^()]*\))*\b(?:1[5-9]|20)\d\d\b(?:[^()]|\([^()]*\))*\)", "", words
    )  # a source has a year
    return re.split(r"\. (?=[A-Z])|[;:] ", plain)[0].rstrip(".")


def tested(task_id: str, kinds: Mapping[str, str]) -> str:
    """The axes that gain by the task, and what can only be lost; of a task outside of core its suite."""
    if not kinds:
        task = find_task(task_id)
        suite = getattr(task, "suite", "") or ("actions" if getattr(task, "actions", False) else "full")
        return f"in the suite `{suite}`"
    gains, guards = (
        [AXIS_NAMES[axis] for axis in AXES if kinds.get(axis) == kind] for kind in ("informative", "guard")
    )
    parts = [joined(gains)] if gains else []
    return "; ".join(parts + ([f"{joined(guards)} can only be lost"] if guards else []))


def best_models(board: Path) -> dict[str, str]:
    """By task: the best trained model of the board and its skill, mean of the axes on which the task is informative."""
    found: dict[str, tuple[float, str]] = {}
    for entry in entries(board):
        result = entry.result
        if result.model.card.track != "trained" or result.model.target.startswith(("baseline:", "untrained:")):
            continue
        for task, skill in gains(result).items():
            found[task] = max(found.get(task, (-2.0, "")), (skill, result.model.name))
    return {task: f"`{name}`, skill {fixed(skill)}" for task, (skill, name) in found.items()}


def gains(result: ResultDocument) -> dict[str, float]:
    """Mean skill by task on the axes on which it is informative; without tasks that have none."""
    own = {
        task: [each.skill for each in axes.values() if each.kind == "informative" and each.skill is not None]
        for task, axes in result.tasks.items()
    }
    return {task: sum(skills) / len(skills) for task, skills in own.items() if skills}


def write_task(task_id: str, target: Path, figures: dict[str, dict[str, dict[str, float | str | None]]]) -> str:
    """Write one task: animation, docstring, whether its clips are read by shadowing, and mean qualities of models.

    Returns:
        The first line of its docstring.
    """
    task, picture = find_task(task_id), target.with_suffix(".webp")
    if not picture.exists() or picture.stat().st_mtime < Path(inspect.getfile(type(task))).stat().st_mtime:
        preview(task, "test", range(CLIPS), picture)
    first, _, rest = (inspect.getdoc(task) or "").partition("\n")
    reason = why_not(make_clip(Row(task_id, "test", 0), render_spec(16, 10.0)))
    scene = make_scene(Row(task_id, "test", 0))
    told = stated_velocities(scene, simulate(scene, [0.0]).states[0])
    prompts = {look: scene_prompt(scene, look) for look in LOOKS}
    prompts |= {f"{look}, `--prompt-motion`": scene_prompt(scene, look, told) for look in LOOKS}
    values = {"prompts": prompts, "task": task_id, "name": target.name, "first": first, "rest": rest, "reason": reason}
    text = rendered("task.md.j2", **values, figures=figures.get(task_id, {}), axes=AXES)
    target.with_suffix(".md").write_text(text, encoding="utf-8")
    return first


def scorer_reference() -> str:
    """The reference of the installed scorers: headlines by axis, then diagnostics by group.

    What a headline is made of is defined in the methodology: its first line and its further readings stand here.
    """
    groups: dict[str, list[Scorer]] = {}
    for each in sorted(
        find_scorers(costly=True), key=lambda s: (not s.headline, AXES.index(s.axis) if s.axis else 9, s.id)
    ):
        groups.setdefault("Headline readings" if each.headline else each.id.split("/")[0].capitalize(), []).append(each)
    return rendered("scorers.md.j2", groups=groups, text=scorer_text, sections=SECTIONS)


def scorer_text(scorer: Scorer) -> str:
    """What stands of a docstring: of a headline reading all but its definition."""
    first, *rest = inspect.cleandoc(scorer.doc).split("\n\n")
    further = [each for each in rest if each.startswith(("Further readings", "Where the context"))]
    return "\n\n".join((first, *(further if scorer.headline else rest)))


def violation_list() -> str:
    """Violations by group, frames at wrong times and gaming baselines, each with what it does."""
    groups: dict[str, list[Violation]] = {title: [] for title in GROUPS.values()}
    for each in REGISTRY.values():
        groups[GROUPS[each.group]].append(each)

    def degrees(each: Violation | FrameShift) -> str:
        return ", ".join(f"**{s:g}**" if s == each.main else f"{s:g}" for s in each.severities)

    cheats = {name: baseline.doc for name, baseline in GAMING_BASELINES.items()}
    known = {title: found for title, found in groups.items() if found}
    return rendered("violations.md.j2", groups=known, shifts=FRAME_SHIFTS.values(), cheats=cheats, degrees=degrees)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
