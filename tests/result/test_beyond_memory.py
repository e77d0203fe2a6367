"""Skill beside that of a memory of training clips: which one, by how much, and what is said where there is none."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from made_manifests import CARD as MADE_CARD
from made_manifests import made_manifest

from physbench.clips.suite import SUITE_VERSION
from physbench.models.safetensors_files import read_checkpoint
from physbench.result import beyond_memory as module
from physbench.result.beyond_memory import (
    ZERO_SHOT_CLIPS,
    beyond_memory,
    difference,
    measured_memory,
    memory_size,
    stated_clips,
    write_memory,
)
from physbench.result.build import build_result
from physbench.result.document import AxisResult, SkillValue, write_document
from physbench.result.manifest import Manifest
from physbench.score.protocol import AXES
from physbench.support.errors import UsageError

CARD = {**MADE_CARD, "track": "trained", "training_clips": 900}
STATES = {"image_size": [128, 128], "answers": "states"}


def skill(value: float | None, half: float | None = None, reason: str = "") -> SkillValue:
    interval = None if half is None or value is None else (value - half, value + half)
    return SkillValue(skill=value, interval=interval, reason=reason)


def axis(value: float, half: float) -> AxisResult:
    fields = {"quality": value, "quality_interval": None, "informative": 3, "guards": 0, "unscored": 0}
    return AxisResult(**skill(value, half).model_dump(), **fields)


def manifest(options: dict | None = None, **card: object) -> Manifest:
    suite = {"name": "core", "version": SUITE_VERSION, "local": False}
    return made_manifest({"card": {**CARD, **card}}, suite, options=options or {})


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memories of 150 and 1,500 clips on core at 64 px."""

    def of(value: float) -> dict:
        return {"overall": skill(value, 0.04).model_dump(), "axes": {a: skill(value, 0.04).model_dump() for a in AXES}}

    found = {str(SUITE_VERSION): {"core": {"64": {"150": of(0.4), "1500": of(0.5)}}}}
    monkeypatch.setattr(module, "_golden_memory", lambda: found)


def told(**card: object) -> module.BeyondMemory:
    axes = {name: axis(0.6, 0.03) for name in AXES}
    return beyond_memory(manifest(**card), skill(0.7, 0.03), axes)


@pytest.mark.parametrize(("stated", "clips"), [(1, 150), (150, 150), (151, 1500), (1500, 1500), (1501, None)])
def test_the_memory_holds_no_fewer_clips_than_the_model_saw(stated: int, clips: int | None) -> None:
    assert memory_size(stated, {150: {}, 1500: {}}) == clips


def test_skill_minus_that_of_the_memory(published: None) -> None:
    found = told()
    assert (found.stated, found.clips) == (900, 1500)
    assert found.overall is not None and found.overall.skill == pytest.approx(0.2)
    assert found.overall.interval == pytest.approx((0.15, 0.25))  # 3, 4, 5
    assert {name: value.skill for name, value in found.axes.items()} == pytest.approx(dict.fromkeys(AXES, 0.1))
    zero = told(track="zero-shot", training_clips=None)
    assert zero.stated == ZERO_SHOT_CLIPS == 1500 and zero.overall == found.overall
    assert told(training_clips=100).clips == 150


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"training_clips": None}, "does not state its training_clips"),
        ({"track": "privileged"}, "more than its context"),
        (STATES, "answers with frames"),
        ({"training_clips": 15_000}, r"no memory of 15,000 clips or more .* core \d in the class 64, .* holds 1,500"),
        ({"image_size": [256, 256]}, r"no memory is published for core \d in the class 256"),
        ({"context_frames": 1}, r"no memory is published for core \d in the class 64 image"),
    ],
)
def test_where_there_is_no_number_the_reason_is_said(published: None, card: dict, words: str) -> None:
    found = told(**card)
    assert found.clips is None and found.overall is None and not found.axes
    assert re.search(words, found.reason)


def test_a_part_of_a_suite_is_not_compared(published: None) -> None:
    found = beyond_memory(manifest({"limit": 14}), skill(0.7), {})
    assert found.clips is None and "whole suites" in found.reason


def test_a_difference_needs_both() -> None:
    assert difference(skill(None, reason="not asked"), skill(0.5)).reason == "not asked"
    few = difference(skill(0.7, reason="too few clips"), skill(0.5, 0.1))
    assert few.skill == pytest.approx(0.2) and few.interval is None and few.reason == "too few clips"


def test_numbers_are_written_from_whole_runs_of_the_memory_alone(make_run, tmp_path: Path) -> None:
    run, path = make_run(2, 0, suite="smoke"), tmp_path / "memory.json"
    built = build_result(run, resamples=20)
    card = replace(built.model.card, training_clips=150)
    model = built.model.model_copy(update={"target": "baseline:memory", "card": card})
    suite = built.suite.model_copy(update={"complete": True, "version": 2})
    result = built.model_copy(update={"model": model, "suite": suite, "overall": skill(0.42)})
    write_document(run.result, result)
    write_memory([run], path)
    core = result.model_copy(update={"suite": suite.model_copy(update={"name": "core"})})
    write_document(run.result, core)
    write_memory([run], path)
    versions = json.loads(path.read_text())["versions"]
    assert set(versions["2"]) == {"smoke", "core"}
    kept = versions["2"]["smoke"]["64"]["150"]
    assert kept["overall"]["skill"] == 0.42 and set(kept["axes"]["drift"]) == {"skill", "interval", "reason"}
    wrongs = {"suite": {"complete": False}, "model": {"target": "baseline:freeze"}, "counts": {"failed": 1}}
    for part, wrong in wrongs.items():
        changed = getattr(result, part).model_copy(update=wrong)
        write_document(run.result, result.model_copy(update={part: changed}))
        with pytest.raises(UsageError, match="in which no clip failed"):
            measured_memory(run)


def test_what_is_published_can_be_read() -> None:
    for suites in module._golden_memory().values():
        for classes in suites.values():
            for memories in classes.values():
                for clips, found in memories.items():
                    assert int(clips) > 0 and set(found["axes"]) == set(AXES)
                    assert SkillValue.model_validate(found["overall"]).skill is not None


def test_the_shipped_reference_states_its_clips() -> None:
    path = Path(str(files("physbench.reference").joinpath("checkpoints", "objects.safetensors")))
    card = read_checkpoint(path).card
    assert stated_clips(card)[0] == 1260
