"""Write the task gallery: per task an animation, the specification (its docstring), and figures of four models."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from sphinx.application import Sphinx

from physbench.clips.animate import animate
from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, render_spec
from physbench.clips.task import Task, find_task, short_names, task_ids
from physbench.shadowing import why_not

CLIPS = 3  # beside each other in an animation
AXES = ("consistency", "permanence", "drift")
INTRODUCTION = """# Tasks

Every clip of a task is drawn from a seed. In the animations a bar of another colour marks the history, which a model
may see the end of; the rest it has to predict. The tables show mean qualities on `core`, from 0 to 1: ground
truth, the frozen last frame, constant velocity and the shipped reference model, all through the same chain. On an axis
where ground truth and the frozen frame differ by at least 0.25 a task is *informative*; elsewhere it is a *guard*,
which can only cost.
"""


def write(app: Sphinx) -> None:
    """Write generated/tasks.md, a page and an animation a task."""
    folder = Path(app.srcdir) / "generated"
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    figures = json.loads((Path(app.srcdir) / "figures" / "core.json").read_text(encoding="utf-8"))
    lines = [INTRODUCTION]
    for task_id in task_ids():
        task, name = find_task(task_id), short_names(task_id)[0]
        picture = folder / "tasks" / f"{name}.webp"
        if not picture.exists() or picture.stat().st_mtime < Path(inspect.getfile(type(task))).stat().st_mtime:
            animate(task, "test", range(CLIPS), picture)
        text = page(task, name, figures["tasks"].get(task_id, {}))
        (folder / "tasks" / f"{name}.md").write_text(text, encoding="utf-8")
        lines.append(
            f"[![{task_id}](tasks/{name}.webp)](tasks/{name}.md)\n\n[{task_id}](tasks/{name}.md): {summary(task)}\n"
        )
    toctree = "\n".join(["```{toctree}", ":hidden:", "", *(f"tasks/{short_names(i)[0]}" for i in task_ids()), "```"])
    (folder / "tasks.md").write_text("\n".join([*lines, toctree, ""]), encoding="utf-8")


def summary(task: Task) -> str:
    return (inspect.getdoc(task) or "").splitlines()[0]


def page(task: Task, name: str, figures: dict[str, dict[str, float | None]]) -> str:
    """One task: animation, docstring without its first line, figures."""
    lines = (inspect.getdoc(task) or "").splitlines()
    parts = [f"# {task.id}", "", lines[0], "", f"![Three clips of the test split]({name}.webp)", "", *lines[1:], ""]
    parts += [shadowing(task), ""]
    if figures:
        parts += ["## Figures", "", f"| quality on core | {' | '.join(AXES)} |", "| --- |" + " --- |" * len(AXES)]
        for source, values in figures.items():
            cells = (cell(values.get(axis)) for axis in AXES)
            parts.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(parts) + "\n"


def shadowing(task: Task) -> str:
    """Whether the consistency of its clips is read by shadowing, and if not why."""
    reason = why_not(make_clip(Row(task.id, "test", 0), render_spec(16, 10.0)))
    if reason is None:
        return "**Shadowing: valid.** Its consistency is read off [lawful segments](../../methodology.md)."
    return f"**Shadowing: not valid**: {reason}. Its consistency is read by [outcomes](../../methodology.md)."


def cell(value: float | str | None) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.2f}"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
