"""Skill beyond memory: that of a model minus that of `baseline:memory` with as many training clips.

The skills of `baseline:memory` are published with the suites, from whole runs. They are compared with runs of the same
suite and version, of the same class of sizes and context. `python -m physbench.result.beyond_memory RUN ...` writes
what runs of it found into the golden file. Where no number is published, the result says so.

The interval of a difference is made of those of the two skills as if they were independent (Zou and Donner 2008,
doi:10.1002/sim.3095): the same clips are hard for both, so that it is rather too wide.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from physbench.models.protocol import ModelCard
from physbench.result.document import AxisResult, BeyondMemory, SkillValue, read_result
from physbench.result.manifest import Manifest, read_manifest
from physbench.result.task_roles import render_class
from physbench.support.errors import UsageError
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder

MEMORY_TARGET = "baseline:memory"
ZERO_SHOT_CLIPS = 1500  # of the memory that a model is compared with that was trained on none
MEMORY_FILE = "memory.json"


def beyond_memory(manifest: Manifest, overall: SkillValue, axes: Mapping[str, AxisResult]) -> BeyondMemory:
    """The skills of a run minus those of the memory; without published numbers, the reason alone."""
    published = _published_for(manifest)
    stated, reason = stated_clips(manifest.card)
    if stated is None:
        return BeyondMemory(stated=None, reason=reason)
    clips = memory_size(stated, published)
    if clips is None:
        return BeyondMemory(stated=stated, reason=_nothing_published(manifest, stated, published))
    memory = published[clips]
    own = {axis: SkillValue.model_validate(memory["axes"][axis]) for axis in axes}
    whole = SkillValue.model_validate(memory["overall"])
    return BeyondMemory(
        stated=stated,
        clips=clips,
        memory=whole,
        memory_axes=own,
        overall=difference(overall, whole),
        axes={axis: difference(skill, own[axis]) for axis, skill in axes.items()},
    )


def stated_clips(card: ModelCard) -> tuple[int | None, str]:
    """With how many training clips of the memory a model is compared, or None and why with none."""
    if not card.sees_pictures:
        return None, "the memory answers with frames, this model with states"
    if card.track == "privileged":
        return None, "a privileged model is given more than its context"
    if card.track == "trained":
        clips = card.training_clips
        return (
            (None, "the card of this trained model does not state its training_clips") if clips is None else (clips, "")
        )
    return ZERO_SHOT_CLIPS, ""


def memory_size(stated: int, published: Mapping[int, Any]) -> int | None:
    """The smallest published memory that holds at least as many clips as were stated, so that no model is flattered."""
    return min((clips for clips in published if clips >= stated), default=None)


def difference(own: SkillValue, other: SkillValue) -> SkillValue:
    """One skill minus another, with its interval where both have one."""
    if own.skill is None or other.skill is None:
        return SkillValue(skill=None, interval=None, reason=own.reason or other.reason)
    value = own.skill - other.skill
    if own.interval is None or other.interval is None:
        return SkillValue(skill=round(value, 6), interval=None, reason=own.reason or other.reason)
    low = math.hypot(own.skill - own.interval[0], other.interval[1] - other.skill)
    high = math.hypot(own.interval[1] - own.skill, other.skill - other.interval[0])
    return SkillValue(skill=round(value, 6), interval=(round(value - low, 6), round(value + high, 6)))


def _nothing_published(manifest: Manifest, stated: int, published: Mapping[int, Any]) -> str:
    where = f"{manifest.suite.label} in the class {render_class(manifest.spec, manifest.scored_context)}"
    if _is_part(manifest):
        return "numbers of the memory are those of whole suites, and these are not the clips of one"
    if published:
        return f"no memory of {stated:,} clips or more is published for {where}, the largest holds {max(published):,}"
    return f"no memory is published for {where}"


def _published_for(manifest: Manifest) -> dict[int, Any]:
    """Published skills for the suite, version and class of a whole run, by number of clips."""
    suite = manifest.suite
    if _is_part(manifest):
        return {}
    suites = _golden_memory().get(str(suite.version), {}).get(suite.name, {})
    by_clips = suites.get(render_class(manifest.spec, manifest.scored_context), {})
    return {int(clips): skills for clips, skills in by_clips.items()}


def _is_part(manifest: Manifest) -> bool:
    """True if a run has not exactly the clips of its suite."""
    return manifest.options.tasks is not None or manifest.options.limit is not None or manifest.suite.local


@cache
def _golden_memory() -> dict[str, Any]:
    path = files("physbench.clips").joinpath("golden", MEMORY_FILE)
    return dict(json.loads(path.read_text(encoding="utf-8"))["versions"])


def measured_memory(run: RunFolder) -> tuple[tuple[str, str, str, str], dict[str, Any]]:
    """(version, suite, class, clips) and the skills of a finished run of the memory.

    Raises UsageError: it is none, or not of a whole suite.
    """
    result = read_result(run.result)
    manifest = read_manifest(run)
    suite, model = result.suite, result.model
    if model.target != MEMORY_TARGET or not suite.complete or suite.local or result.counts.failed:
        raise UsageError(f"{run.path}: is not a run of {MEMORY_TARGET} on a whole suite in which no clip failed.")
    place = (
        str(suite.version),
        suite.name,
        render_class(manifest.spec, manifest.scored_context),
        str(model.card.training_clips),
    )
    keep = set(SkillValue.model_fields)
    skills = {
        "overall": result.overall.model_dump(mode="json"),
        "axes": {axis: skill.model_dump(mode="json", include=keep) for axis, skill in result.axes.items()},
    }
    return place, {"render_spec": result.render_spec, "context": result.context, **skills}


def write_memory(runs: Sequence[RunFolder], path: Path) -> None:
    """Put the skills of runs of the memory into the golden file, beside those of other suites and sizes."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"versions": {}}
    document["made_by"] = "python -m physbench.result.beyond_memory RUN ..."
    for run in runs:
        (version, suite, render, clips), skills = measured_memory(run)
        by_suite = document["versions"].setdefault(version, {}).setdefault(suite, {})
        by_suite.setdefault(render, {})[clips] = skills
    write_json(path, document)


if __name__ == "__main__":
    write_memory(
        [RunFolder(Path(argument)) for argument in sys.argv[1:]],
        Path(str(files("physbench.clips").joinpath("golden", MEMORY_FILE))),
    )
