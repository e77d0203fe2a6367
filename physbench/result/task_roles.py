"""Informative tasks and guards, fixed for a suite's version and a render class.

This is decided once, from the references on all clips of `core`, so that it does not depend on the few clips of a run.
`python -m physbench.result.task_roles RUN` writes what a whole run of core found into the golden file of this package;
without a run it prints how far each task can move an axis, and overall.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from physbench.clips.suite import FRESH, GOLDEN_SUITES, PUBLISHED_VERSION, find_suite
from physbench.result.manifest import Manifest
from physbench.result.read import read_run
from physbench.result.skill import Kind, clip_qualities, kinds, overall_weights, task_weights
from physbench.score.protocol import AXES
from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder
from physbench.world.scene import PLAIN, RenderSpec
from physbench.world.styles.look_options import base_look

KINDS_FILE = "kinds.json"
CLASSES = (64, 128, 256)  # px of the shorter side

Kinds = Mapping[str, Mapping[str, Kind]]  # by task and axis


def picture_class(spec: RenderSpec) -> str:
    """The class of a size: "64", "128" or "256", the nearest."""
    size = min(spec.height, spec.width)
    return str(min(CLASSES, key=lambda known: max(known / size, size / known)))


def render_class(spec: RenderSpec, context: int) -> str:
    """The class of a size, a number of context frames and a look: "64", "64 image" for one frame, "256 natural".

    One image shows less than several frames, so that truth and freeze are measured on other questions. A look with
    options is of the class of the look.
    """
    picture = replace(spec, look=base_look(spec.look)).picture
    return picture_class(spec) + (" image" if context == 1 else "") + (f" {picture}" if picture != PLAIN else "")


def fixed_kinds(manifest: Manifest) -> Kinds | None:
    """The kinds for the suite and class of a run; None where they are not fixed and its own clips decide.

    They are not fixed for a suite with other tasks or of another version, nor for a class that was not measured.
    """
    if manifest.suite.name.removeprefix(FRESH) not in GOLDEN_SUITES:
        return None
    return kinds_of(manifest.suite.version, manifest.spec, manifest.scored_context)


def kinds_of(version: int, spec: RenderSpec, context: int) -> Kinds | None:
    """The kinds that are fixed for a version of the suites and the class of a size and a number of context frames."""
    published = min(version, PUBLISHED_VERSION)  # one in development keeps the kinds of the version before it
    kinds: Kinds | None = _golden().get(str(published), {}).get(render_class(spec, context))
    return kinds


@cache
def _golden() -> dict[str, Any]:
    text = files("physbench.clips").joinpath("golden", KINDS_FILE).read_text(encoding="utf-8")
    return dict(json.loads(text)["versions"])


def measured_kinds(run: RunFolder) -> tuple[str, str, Kinds]:
    """Version of the suite, render class and kinds of a run of core. Raises UsageError where it is not whole."""
    manifest, tables = read_run(run)
    core, suite = find_suite("core"), manifest.suite
    alike = (suite.name, suite.version, suite.hash) == (core.name, core.version, core.hash)
    if not alike or manifest.rows != core.rows or suite.local:
        raise UsageError(f"{run.path}: is not a run of all of {core.label} with its golden states.")
    qualities = clip_qualities({"truth": tables["truth"]}, tables["truth"], tables["freeze"], AXES)
    measured: Kinds = {
        task: {str(axis): kind for axis, kind in zip(AXES, row, strict=True)} for task, row in kinds(qualities).items()
    }
    return str(core.version), render_class(manifest.spec, manifest.scored_context), measured


def write_kinds(runs: list[RunFolder], path: Path) -> None:
    """Put the kinds of runs of core into the golden file, beside those of other versions and classes."""
    document: dict[str, Any] = (
        json.loads(path.read_text(encoding="utf-8"))
        if path.exists()
        else {"made_by": "python -m physbench.result.task_roles RUN", "versions": {}}
    )
    for run in runs:
        version, name, kinds = measured_kinds(run)
        document["versions"].setdefault(version, {})[name] = kinds
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def weight_table(
    kinds: Mapping[str, tuple[str, ...]], weights: Mapping[str, Array], axes: tuple[str, ...]
) -> list[str]:
    """Lines of a Markdown table: weights by task and axis; those of guards are negative, as they can only cost.

    Tasks of a family that have the same weights share a line.
    """
    rows: dict[tuple[str, ...], list[str]] = {}
    for task, row in kinds.items():
        cells = [
            f"−{weight:.3f}" if kind == "guard" else f"{weight:.3f}" if kind == "informative" else ""
            for weight, kind in zip(weights[task], row, strict=True)
        ]
        rows.setdefault((task.partition("/")[0], *cells), []).append(task)
    lines = [f"| task | {' | '.join(axes)} |", f"| --- |{' --- |' * len(axes)}"]
    return lines + [f"| {', '.join(tasks)} | {' | '.join(cells)} |" for (_, *cells), tasks in rows.items()]


def print_weights() -> None:
    """Print the tables of docs/design/skill.md, for the published version."""
    tables: dict[str, list[str]] = {}  # sizes with the same table
    for size in CLASSES:
        kinds = kinds_of(PUBLISHED_VERSION, RenderSpec(size, size, 15.0), 8)
        if kinds is not None:
            rows = {task: tuple(row[axis] for axis in AXES) for task, row in kinds.items()}
            both = (task_weights(rows), "its axis"), (overall_weights(rows), "overall")
            text = "\n\n".join(f"{what}:\n\n" + "\n".join(weight_table(rows, kinds, AXES)) for kinds, what in both)
            tables.setdefault(text, []).append(f"{size}")
    for table, sizes in tables.items():
        print(f"Suite version {PUBLISHED_VERSION}, {' and '.join(sizes)} px:\n\n{table}\n")


if __name__ == "__main__":
    if not sys.argv[1:]:
        print_weights()
    else:
        write_kinds(
            [RunFolder(Path(name)) for name in sys.argv[1:]],
            Path(__file__).parents[1] / "clips" / "golden" / KINDS_FILE,
        )
