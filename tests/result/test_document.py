"""The published schema, and what readers refuse."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel

from physbench import __version__
from physbench.result.build import build_result
from physbench.result.document import SCHEMA_FILE, FamilyResult, ResultDocument, SuiteInfo, json_schema, read_result
from physbench.support.errors import UsageError
from physbench.support.files import write_json


def test_the_published_schema_is_that_of_the_program() -> None:
    """After a change: python -m physbench.result.document."""
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == json_schema()


def test_every_field_says_what_it_is() -> None:
    schema = json_schema()
    parts = {"result": schema, **schema["$defs"]}
    bare = [
        f"{part}.{name}" for part, s in parts.items() for name, p in s["properties"].items() if "description" not in p
    ]
    assert not bare
    assert all("description" in part for part in parts.values())


def test_a_result_keeps_the_published_schema_and_comes_back_the_same(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # with parts
    built = build_result(make_run(failed=frozenset({"orbits.kepler-v1.test.3"})), resamples=200)
    result = built.model_dump(mode="json")
    jsonschema.validate(result, json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    write_json(tmp_path / "result.json", result)
    assert read_result(tmp_path / "result.json") == built


def test_a_newer_result_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text('{"schema_version": 7}', encoding="utf-8")
    with pytest.raises(UsageError, match=r"schema version 7; this physbench reads up to 1\. Update"):
        read_result(path)


def optional(part: type[BaseModel]) -> list[str]:
    return [name for name, field in part.model_fields.items() if not field.is_required()]


def test_a_result_of_an_older_version_reads(make_run, tmp_path: Path) -> None:
    """Without the fields that have come since: axis_counts, gaps, the interval over tasks and others with a default."""
    result = build_result(make_run(), resamples=50).model_dump(mode="json")
    assert {"axis_counts", "gaps"} <= set(optional(ResultDocument))
    for name in optional(ResultDocument):
        del result[name]
    for name in optional(SuiteInfo):
        del result["suite"][name]
    for axes in result["families"].values():
        for found in axes.values():
            for name in optional(FamilyResult):
                found.pop(name)
    write_json(tmp_path / "result.json", result)
    read = read_result(tmp_path / "result.json")
    assert read.axis_counts == read.gaps == {} and read.families["falling"]["drift"].tasks_interval is None
    jsonschema.validate(result, json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def test_a_field_of_another_program_is_refused_with_both_named(make_run, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    result = build_result(make_run(4, 0), resamples=50).model_dump(mode="json")
    result["axis_counts"]["drift"]["later"] = 1
    write_json(path, result)
    with pytest.raises(UsageError, match=r"axis_counts\.drift\.later: .+ \(and 0 more\)\.$"):
        read_result(path)
    write_json(path, result | {"physbench_version": "7.1"})
    with pytest.raises(UsageError, match=rf"written by physbench 7\.1; physbench {__version__} does not know its axis"):
        read_result(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "expected a result of physbench"),
        ('{"scores": 1}', "expected a result of physbench"),
        ('{"schema_version": 1}', r"physbench_version: .+ \(and \d+ more\)\.$"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        read_result(path)


def test_a_missing_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_result(tmp_path / "result.json")
