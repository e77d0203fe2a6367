"""Write the task gallery: per task an animation, the specification (its docstring), and figures of four models."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
from PIL import Image
from sphinx.application import Sphinx

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, render_spec
from physbench.clips.task import Task, find_task, short_names, task_ids

SIZE, FPS = 160, 20.0  # px, frames/s
CLIPS = 3  # beside each other in an animation
AXES = ("consistency", "permanence", "drift")
INTRODUCTION = """# Tasks

Every clip of a task is drawn from a seed. In the animations a mark in the corner tells the history, which a model may
see the end of, from the future, which it has to predict. The tables show mean qualities on `core`, from 0 to 1: ground
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
            animate(task, picture)
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
    if figures:
        parts += ["## Figures", "", f"| quality on core | {' | '.join(AXES)} |", "| --- |" + " --- |" * len(AXES)]
        for source, values in figures.items():
            cells = (cell(values.get(axis)) for axis in AXES)
            parts.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(parts) + "\n"


def cell(value: float | str | None) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.2f}"


def animate(task: Task, path: Path) -> None:
    """Write a looping animation of three clips beside each other, with a mark that fills once the future begins."""
    spec = render_spec(SIZE, FPS)
    clips = [make_clip(Row(task.id, "test", seed), spec) for seed in range(CLIPS)]
    edge = np.full((len(clips[0].frames), SIZE, 6, 3), 255, np.uint8)
    film = np.concatenate([part for clip in clips for part in (clip.frames, edge)][:-1], axis=2)
    first = clips[0].handover - round(FPS)  # the last second of the history
    for k in range(first, len(film)):
        film[k, 4:12, 4:12] = (255, 255, 255) if k > clips[0].handover else (90, 90, 90)
    frames = [Image.fromarray(frame) for frame in film[first:]]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=round(1000 / FPS), loop=0, quality=60, method=3
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
