"""report/index.html: one page that opens from a file, with everything inline and no request to anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from physbench.results import words
from physbench.results.folder import RunFolder, write_atomically


def write_report(folder: RunFolder) -> Path:
    """Write the report of a finished run and return its path. result.json is built if it is not there yet.

    Raises UsageError where the folder is no finished run.
    """
    from physbench.results.build import write_result
    from physbench.results.gather import gather
    from physbench.results.manifest import read_run
    from physbench.results.schema import read_result

    manifest, tables = read_run(folder)
    stored = folder.result.is_file()
    result = read_result(folder.result).model_dump(mode="json") if stored else write_result(folder)
    curves, figures = gather(folder, manifest, tables)
    text = render(result, manifest, curves, figures)
    write_atomically(folder.report, lambda part: part.write_text(text, encoding="utf-8"))
    return folder.report


def render(result: Mapping[str, Any], manifest: Mapping[str, Any], curves: Any, figures: Any) -> str:
    """The page. Everything that comes from models and users is escaped by the template engine."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from physbench.results.charts import axis_chart, error_chart
    from physbench.world.scene import PALETTE

    environment = Environment(
        loader=PackageLoader("physbench.results"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "fixed": words.fixed,
        "number": words.number,
        "bracket": words.bracket,
        "short": words.short,
        "plain": words.plain,
        "unit": words.unit,
    }
    return environment.get_template("report.html.j2").render(
        r=result,
        manifest=manifest,
        axis_names=words.AXIS_NAMES,
        axis_questions=words.AXIS_QUESTIONS,
        axis_charts={axis: Markup(axis_chart(dict(result), axis)) for axis in result["axes"]},
        families=[{"name": c.family, "chart": Markup(error_chart(c)), "limit": c.predictability} for c in curves],
        figures=figures,
        laws={name: found for name, found in result["readings"].items() if name.startswith("laws/")},
        others={
            name: found
            for name, found in result["readings"].items()
            if not name.startswith("laws/") and not found["axis"]
        },
        palette=["rgb({} {} {})".format(*(round(255 * channel) for channel in colour)) for colour in PALETTE],
        settings=settings(result, manifest),
    )


def settings(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the run was decided by, as (name, value)."""
    model, suite, card = result["model"], result["suite"], result["model"]["card"]
    options = manifest.get("options") or {}
    versions = manifest.get("versions") or {}
    batches = manifest.get("batches") or []  # a model's answer may depend on who shares its batch
    speed = result["speed"]
    horizon = card.get("max_horizon")
    found = [
        ("model", f"{model['name']} ({model['target']})"),
        ("sha256", model["sha256"] or "none: nothing to hash"),
        ("model arguments", ", ".join(f"{key}={value}" for key, value in model["args"].items())),
        ("track", model["track"]),
        ("frames", f"{result['render_spec']}, {result['context']} context frames scored"),
        ("longest call", f"{horizon} frames; up to {model['chained']} calls a clip" if horizon else ""),
        ("suite", f"{suite['name']} {suite['version']}, {suite['clips']} clips"),
        ("suite hash", suite["hash"]),
        ("clips", "made here, not those of the suite" if suite["local"] else "states as published with the suite"),
        ("device", f"{manifest.get('device', '')} {options.get('dtype', '')}".strip()),
        ("batches", f"{len(batches)} of up to {max(map(len, batches))} rollouts" if batches else ""),
        ("seed, samples", f"{manifest.get('seed', options.get('seed', 0))}, {result['counts']['samples']} a clip"),
        ("speed", _speed(speed)),
        ("memory", _memory(speed)),
        ("versions", ", ".join(f"{name} {versions[name]}" for name in versions if versions[name])),
    ]
    return [(name, value) for name, value in found if value]


def _speed(speed: Mapping[str, Any]) -> str:
    parts = []
    if speed["model_frames_per_s"] is not None:
        parts.append(f"{speed['model_frames_per_s']:.0f} model frames/s")
    if speed["total_seconds"] is not None:
        parts.append(f"{speed['total_seconds']:.0f} s in all")
    if speed["harness_share"] is not None:
        parts.append(f"{100 * speed['harness_share']:.0f} % of it outside the model")
    return ", ".join(parts)


def _memory(speed: Mapping[str, Any]) -> str:
    parts = []
    if speed["peak_memory_gb"] is not None:
        parts.append(f"{speed['peak_memory_gb']:.2f} GB at most")
    if speed["device_memory_gb"] is not None:
        parts.append(f"{speed['device_memory_gb']:.2f} GB on the device")
    return ", ".join(parts)
