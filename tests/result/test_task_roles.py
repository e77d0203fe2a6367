"""What is informative is fixed for the suites that come with physbench, and found in the clips elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from made_manifests import CARD, made_manifest

from physbench.clips.suite import SUITE_VERSION, find_suite
from physbench.result.build import build_result
from physbench.result.manifest import Manifest, read_manifest
from physbench.result.skill import clip_qualities, kinds
from physbench.result.task_roles import fixed_kinds, measured_kinds, render_class, write_kinds
from physbench.score.protocol import AXES
from physbench.support.errors import UsageError
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder
from physbench.world.scene import RenderSpec

TASK = "falling/stack-v1"


def manifest(
    suite: str = "core", version: int = SUITE_VERSION, size: int = 64, context: int = 8, look: str = "plain"
) -> Manifest:
    card = {**CARD, "image_size": [size, size], "context_frames": context, "look": look}
    return made_manifest({"card": card}, {"name": suite, "version": version})


@pytest.mark.parametrize(
    ("height", "width", "context", "name"),
    [
        (64, 64, 8, "64"),
        (48, 200, 2, "64"),
        (96, 96, 8, "128"),
        (180, 320, 4, "128"),
        (512, 512, 4, "256"),
        (64, 64, 1, "64 image"),
    ],
)
def test_a_size_belongs_to_the_nearest_class(height: int, width: int, context: int, name: str) -> None:
    assert render_class(RenderSpec(height, width, 15), context) == name


def test_kinds_are_fixed_for_every_task_of_core() -> None:
    found = fixed_kinds(manifest())
    assert found is not None and set(found) == set(find_suite("core").tasks)
    assert all(set(axes) == set(AXES) for axes in found.values())
    assert all("informative" in {axes[axis] for axes in found.values()} for axis in AXES)
    assert found["falling/projectile-v1"] == {
        "consistency": "informative",
        "permanence": "guard",
        "drift": "informative",
    }
    assert fixed_kinds(manifest("smoke")) == found


def test_kinds_are_fixed_in_the_natural_look_at_256_px() -> None:
    found = fixed_kinds(manifest("lite", size=256, look="natural"))
    assert found is not None and set(found) == set(find_suite("core").tasks)
    assert found["occlusion/screen-pass-v1"]["permanence"] == "informative"
    assert fixed_kinds(manifest("lite", size=128, look="natural")) is None
    image = fixed_kinds(manifest("lite", size=256, look="natural", context=1))
    assert image is not None and image["orbits/kepler-v1"]["drift"] == "absent"


@pytest.mark.parametrize("other", [{"suite": "own-core"}, {"version": 0}, {"context": 1}, {"suite": "train"}])
def test_elsewhere_the_clips_of_the_run_decide(other: dict[str, object]) -> None:
    assert fixed_kinds(manifest(**other)) is None  # type: ignore[arg-type]


def table(quality: float) -> pd.DataFrame:
    rows = [
        {
            "clip": f"a.{seed}",
            "task": TASK,
            "split": "test",
            "seed": seed,
            "sample": 0,
            "reading": axis,
            "axis": axis,
            "value": quality,
            "quality": quality,
        }
        for seed in range(4)
        for axis in AXES
    ]
    return pd.DataFrame.from_records(rows)


@pytest.mark.parametrize(
    ("freeze", "wanted", "expected"),
    [
        (0.85, "informative", "informative"),  # which 0.15 alone would not say
        (0.95, "informative", "guard"),  # too little to divide by
        (0.1, "guard", "guard"),
        (0.1, "unscored", "unscored"),
        (0.1, None, "informative"),
    ],
)
def test_what_is_fixed_holds_where_the_clips_tell_anything(freeze: float, wanted: str | None, expected: str) -> None:
    qualities = clip_qualities({"model": table(0.5)}, table(1.0), table(freeze), AXES)
    fixed = {TASK: dict.fromkeys(AXES, wanted)} if wanted else {}
    assert kinds(qualities, fixed) == {TASK: (expected,) * 3}  # type: ignore[arg-type]


def test_a_result_says_where_its_kinds_come_from(make_run, tmp_path: Path) -> None:
    run = make_run()
    assert build_result(run, resamples=100).suite.kinds == "run"
    document = json.loads(run.manifest.read_text())
    document["suite"]["version"] = SUITE_VERSION
    write_json(run.manifest, document)
    found = build_result(run, resamples=100)
    assert found.suite.kinds == "suite"
    fixed = fixed_kinds(read_manifest(run))
    assert fixed is not None
    assert {task: {axis: one.kind for axis, one in axes.items()} for task, axes in found.tasks.items()} == {
        task: fixed[task] for task in found.tasks
    }


def test_a_whole_run_of_core_fixes_a_class_and_a_part_does_not(make_run, tmp_path: Path) -> None:
    core, path = find_suite("core"), tmp_path / "kinds.json"
    with pytest.raises(UsageError, match="is not a run of all of core"):
        measured_kinds(make_run())
    run: RunFolder = make_run(24, 8, tasks=core.tasks)
    document = json.loads(run.manifest.read_text())
    document["suite"] |= {"version": core.version, "hash": core.hash}
    for size in (64, 128):
        document["model"]["card"]["image_size"] = [size, size]
        write_json(run.manifest, document)
        write_kinds([run], path)
    written = json.loads(path.read_text())["versions"][str(core.version)]
    assert set(written) == {"64", "128"} and set(written["64"]) == set(core.tasks)
    assert written["64"]["occlusion/screen-pass-v1"]["permanence"] == "informative"
    assert written["64"]["orbits/kepler-v1"]["permanence"] == "guard"
