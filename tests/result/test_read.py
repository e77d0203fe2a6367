"""A table of scores that somebody else wrote is looked at before it is read."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from physbench.result import read as module
from physbench.result.build import write_result
from physbench.result.document import read_result
from physbench.result.manifest import read_manifest
from physbench.result.read import read_run, read_scores, summary
from physbench.support.errors import UsageError
from physbench.support.files import write_sealed_json
from physbench.support.run_folder import RunFolder, contents_of


def repeated(column: pa.ChunkedArray, times: int) -> pa.Array:
    """A value many times, a text by a dictionary."""
    value = column[0].as_py()
    if isinstance(value, str):
        return pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), pa.array([value]))
    return pa.array([value] * times, column.type)


def test_a_long_text_that_is_said_a_million_times_is_refused(make_run: Callable[..., RunFolder]) -> None:
    """Two megabytes on disk that would be terabytes of text."""
    run = make_run(2, 0)
    one = pd.read_parquet(run.scores).iloc[[0]].assign(reason="x" * 1_000_000)
    table = pa.Table.from_pandas(one, preserve_index=False)
    many = pa.table({name: repeated(table.column(name), 1_000_000) for name in table.column_names})
    pq.write_table(many, run.scores)
    assert run.scores.stat().st_size < 5e6
    with pytest.raises(UsageError, match="column reason take more than 1 GB"):
        read_scores(run)


def test_more_rows_than_a_run_can_have_are_refused(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(2, 0)
    read_scores(run)
    monkeypatch.setattr(module, "MOST_SCORE_ROWS", 5)
    with pytest.raises(UsageError, match="more than a table of scores can have"):
        read_scores(run)


@pytest.mark.parametrize(
    ("name", "written", "kind"),
    [
        ("value", "int64", "float64"),
        ("quality", "float32", "float64"),
        ("seed", "int32", "int64"),
        ("sample", "int8", "int64"),
    ],
)
def test_columns_of_numbers_have_one_type(
    make_run: Callable[..., RunFolder], name: str, written: str, kind: str
) -> None:
    run = make_run(2, 0)
    table = pd.read_parquet(run.scores)
    table[name] = 1
    table.astype({name: written}).to_parquet(run.scores)
    read = read_scores(run)
    assert read[name].dtype == kind and (read[name] == 1).all()


def test_a_whole_table_of_another_run_is_refused_in_a_finished_one(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(4, 0)
    manifest, _ = read_run(run)
    write_sealed_json(run.manifest, {**manifest.document(), "contents": contents_of(run)})
    read_run(run)
    truth = run.reference("truth").scores
    whole = truth.read_bytes()
    truth.write_bytes(run.reference("freeze").scores.read_bytes())
    with pytest.raises(UsageError, match=r"not the table with which this run was finished, or is damaged\. .*--resume"):
        read_run(run)
    truth.write_bytes(whole)
    read_run(run)


def test_a_damaged_result_is_named_with_the_command_that_mends_it(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(2, 0, suite="smoke")
    write_result(run)
    assert summary(run).state == "finished"
    run.result.write_text(run.result.read_text().replace('"skill": 0', '"skill": 1', 1))
    found = summary(run)
    assert found.state == "damaged" and f"`physbench report {run.path}`" in found.note
    with pytest.raises(UsageError, match="physbench report"):
        read_result(run.result)


def test_a_run_of_no_clip_has_no_result(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(2, 0)
    manifest = read_manifest(run).document()
    write_sealed_json(run.manifest, {**manifest, "suite": {**manifest["suite"], "rows": []}})
    with pytest.raises(UsageError, match=r"manifest names no clip\. Begin it again"):
        read_run(run)
