"""A manifest is checked when it is read: whatever stands in it, a reader gets a run or two lines."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from physbench.models.protocol import card_document, card_from
from physbench.result.build import build_result
from physbench.result.compare import compare
from physbench.result.manifest import read_manifest, renew, write_manifest
from physbench.result.read import read_run, summary
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import write_sealed_json
from physbench.support.run_folder import RunFolder, hash_of

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
        **read_manifest(run).document(),
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
                assert read_manifest(run).rows is not None
                if path[0] in ("schema_version", "versions", "contents"):
                    read_run(run)
            except UsageError as error:
                assert len(str(error).splitlines()) <= 2 and len(str(error)) < 600, str(error)
                refused += 1
            else:
                read += 1
    assert refused > 300 and read > 50, (refused, read)


def test_what_was_stored_is_written_again_byte_by_byte(make_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    """In the order in which it was stored, unknown fields among it; what is set later stands at the end."""
    document = make_run(2, 0, suite="smoke").manifest.read_text()
    whole = {"later": {"b": 1, "a": [2.0, 2]}, **json.loads(document), "notes": ["one"], "contents": {"a": "b"}}
    whole["model"]["card"] = card_document(card_from(whole["model"]["card"]))
    whole["options"] = {"zeta": None, **whole["options"], "alpha": 1}
    stored, again = RunFolder(tmp_path / "stored"), RunFolder(tmp_path / "again")
    write_sealed_json(stored.manifest, whole)
    manifest = read_manifest(stored)
    write_manifest(again, manifest)
    assert again.manifest.read_bytes() == stored.manifest.read_bytes()
    manifest.contents, manifest.seed, manifest.started = None, 5, "today"
    assert list(manifest.document()) == [*(name for name in whole if name != "contents"), "seed", "started"]


def test_what_is_made_again_is_noted_in_a_finished_run_alone(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(2, 0)
    before = run.manifest.read_bytes()
    renew(run, run.scores)
    assert run.manifest.read_bytes() == before
    manifest = read_manifest(run)
    manifest.contents = {"scores.parquet": "other", "result.json": "0"}
    write_manifest(run, manifest)
    renew(run, run.scores)
    assert read_manifest(run).contents == {"scores.parquet": hash_of(run.scores), "result.json": "0"}


@pytest.mark.slow
def test_a_result_is_built_of_every_manifest_that_is_read(make_run: Callable[..., RunFolder]) -> None:
    run, other = make_run(2, 0, suite="smoke"), make_run(2, 0, suite="smoke", name="other")
    whole = {**read_manifest(run).document(), "batches": [["a"]], "events": [], "notes": ["one"]}
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
    manifest = read_manifest(run).document()
    manifest["suite"]["rows"][1]["seed"] = "three"
    run.manifest.write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match=r"suite\.rows\.1\.seed: .*integer"):
        read_manifest(run)
