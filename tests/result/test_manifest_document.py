"""A manifest is checked when it is read: whatever stands in it, a reader gets a run or two lines."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from physbench.result.build import build_result
from physbench.result.compare import compare
from physbench.result.read import read_manifest, read_run, rows_of, summary
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import write_sealed_json
from physbench.support.run_folder import RunFolder

ODD: tuple[Any, ...] = (None, True, -1, 0, 10**400, 1.5, float("inf"), "x", "", [], {}, [[1]], {"x": [None]}, "\ud800")
GONE = object()


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values; of a list those of its first."""
    if path:
        yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*path, key))
    elif isinstance(document, list) and document:
        yield from places(document[0], (*path, 0))


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return changed


def test_whatever_a_manifest_holds_is_read_or_refused_in_words(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(2, 0, suite="smoke")
    whole = {
        **read_manifest(run),
        "batches": [["a", "b"]],
        "events": [{"kind": "halved", "part_size": 2}],
        "notes": ["one"],
        "files": {"tasks": [{"path": "a.py", "sha256": "0", "imports": {"b.py": "1"}}], "scorers": []},
        "own_laws": {"own/law": {"breaks": "x", "holds": "y", "breaks_at": 0.5}},
        "contents": {},
    }
    refused = read = 0
    for path in places(whole):
        for value in (GONE, *ODD):
            write_sealed_json(run.manifest, with_value(whole, path, value), allow_nan=True)
            assert summary(run).state in ("unfinished", "damaged")
            try:
                manifest = read_manifest(run)
                rows_of(manifest)
                if path[0] in ("schema_version", "versions", "contents"):
                    read_run(run)
            except UsageError as error:
                assert len(str(error).splitlines()) <= 2 and len(str(error)) < 600, str(error)
                refused += 1
            else:
                read += 1
    assert refused > 300 and read > 50, (refused, read)


@pytest.mark.slow
def test_a_result_is_built_of_every_manifest_that_is_read(make_run: Callable[..., RunFolder]) -> None:
    run, other = make_run(2, 0, suite="smoke"), make_run(2, 0, suite="smoke", name="other")
    whole = {**read_manifest(run), "batches": [["a"]], "events": [], "notes": ["one"]}
    for path in places(whole):
        for value in (GONE, *ODD):
            write_sealed_json(run.manifest, with_value(whole, path, value), allow_nan=True)
            try:
                build_result(run, resamples=10)
                compare(run, other)
            except PhysbenchError as error:
                assert len(str(error).splitlines()) <= 2, str(error)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "5", "{}", '{"schema_version": 1}', "[" * 100_000, "\x00", '{"a": 1e999}']
)
def test_what_is_no_manifest_is_refused_in_words(text: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.manifest.write_text(text)
    with pytest.raises(UsageError, match=r"manifest\.json"):
        read_manifest(run)


def test_the_place_that_is_wrong_is_named(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(2, 0)
    manifest = read_manifest(run)
    manifest["suite"]["rows"][1]["seed"] = "three"
    run.manifest.write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match=r"suite\.rows\.1\.seed: .*integer"):
        read_manifest(run)
