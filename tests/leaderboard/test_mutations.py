"""Mutated submissions: nothing is accepted that differs in a reading, an aggregate, the rows or a reference.

Each mutation changes one thing; half of the time the aggregates are made again, so that they fit. Cheap checks come
first, so that most examples take a tenth of a second.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from full_counts import SEED, asked
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tiny_board import FEW_DRAWS, QUICK, TINY_ROWS

from physbench.clips.clip import Row
from physbench.clips.store import ClipStore
from physbench.leaderboard.check_tables import compare_tables, first_difference
from physbench.leaderboard.verify import verified
from physbench.models.protocol import ModelCard
from physbench.result.build import build_result
from physbench.result.document import read_result
from physbench.result.read import REFERENCE_MODELS, read_scores
from physbench.support.errors import PhysbenchError
from physbench.support.files import write_json
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import load_tracks, save_tracks

SOURCES = ("model", "truth", "freeze", "constant-velocity")
FIGURES = (
    "overall",
    "axes",
    "families",
    "tasks",
    "splits",
    "references",
    "strength",
    "lawful",
    "counts",
    "first_breaks",
)
Draw = Callable[[st.SearchStrategy[Any]], Any]


def scores_of(run: RunFolder, source: str) -> Path:
    return (run if source == "model" else run.reference(source)).scores


def numbers(near: float) -> st.SearchStrategy[float]:
    """Numbers near one, and those that programs stumble over."""
    base = near if math.isfinite(near) else 0.0
    return st.one_of(
        st.sampled_from([0.0, 1.0, 5.0, -1.0, math.nan, math.inf, -math.inf, 1e300, 1e-300]),
        st.floats(-0.5, 0.5).map(lambda step: base + step),
        st.floats(0.9, 1.1).map(lambda factor: base * factor),
    )


def words(most: int) -> st.SearchStrategy[str]:
    """Short texts with what programs stumble over. A table of all characters takes seconds to make."""
    return st.text(st.sampled_from("aZ09 ./-\x00\x1b\n\u202e\ud7ff\u00e9"), max_size=most)


def change_table(run: RunFolder, draw: Draw) -> None:
    """Values, texts, rows, columns or types of one table."""
    path = scores_of(run, draw(st.sampled_from(SOURCES)))
    table = pd.read_parquet(path)
    kind = draw(st.sampled_from(["cell", "quality", "drop", "repeat", "clip", "shuffle", "column", "type", "rename"]))
    row = draw(st.integers(0, len(table) - 1))
    if kind == "cell":
        column = draw(st.sampled_from(list(table.columns)))
        if column in ("value", "quality"):
            table.loc[row, column] = draw(numbers(float(table[column].fillna(0.0)[row])))
        elif column in ("seed", "sample"):
            table.loc[row, column] = draw(st.integers(-1, 3))
        else:
            other = st.sampled_from(sorted(set(table[column].dropna()) | {"", "failed"}))
            table.loc[row, column] = draw(st.one_of(other, words(5), st.none()))
    elif kind == "quality":  # a headline reading gets the value and the quality of another one
        own = table[(table["axis"].notna()) & (table["status"] == "ok")]
        names = own.groupby("reading")["value"].nunique()
        chosen = own[own["reading"] == draw(st.sampled_from(sorted(names.index)))]
        a, b = (chosen.index[draw(st.integers(0, len(chosen) - 1))] for _ in range(2))
        table.loc[a, ["value", "quality"]] = table.loc[b, ["value", "quality"]].to_numpy()
    elif kind == "drop":
        table = table.drop(table.index[row : row + draw(st.integers(1, 50))])
    elif kind == "repeat":
        table = pd.concat([table, table.iloc[[row]].assign(sample=draw(st.integers(0, 2)))])
    elif kind == "clip":
        a, b = (draw(st.sampled_from(TINY_ROWS)).id for _ in range(2))
        table["clip"] = table["clip"].map({a: b, b: a} | {r.id: r.id for r in TINY_ROWS if r.id not in (a, b)})
    elif kind == "shuffle":  # of one reading over its clips
        own = table.index[table["reading"] == table["reading"][row]]
        order = draw(st.permutations(list(own)))
        fields = ["value", "quality", "status", "reason"]
        table.loc[own, fields] = table.loc[order, fields].to_numpy()
    elif kind == "column":
        table = table.drop(columns=draw(st.sampled_from(list(table.columns))))
    elif kind == "type":
        column = draw(st.sampled_from(list(table.columns)))
        table[column] = table[column].astype(str)
    else:
        table.loc[row, "reading"] = draw(st.sampled_from(["laws/nothing", "consistency/shadowing.x", ""]))
    table.to_parquet(path, index=False)


def places_in(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values of a JSON document."""
    if isinstance(document, dict):
        return [place for key, value in document.items() for place in places_in(value, (*at, key))] or [at]
    if isinstance(document, list):
        return [place for number, value in enumerate(document) for place in places_in(value, (*at, number))] or [at]
    return [at]


def change_document(run: RunFolder, draw: Draw) -> None:
    """One value of the manifest or of the result, or its absence, or a document that is none."""
    path = draw(st.sampled_from([run.manifest, run.result]))
    document = json.loads(path.read_text())
    document.pop("seal", None)
    if draw(st.integers(0, 19)) == 0:
        path.write_text(draw(st.sampled_from(["", "[]", "null", "{", "[" * 5000, '{"schema_version": 1}', "\ud7ff"])))
        return
    place = draw(st.sampled_from([place for place in places_in(document) if place]))
    owner = document
    for key in place[:-1]:
        owner = owner[key]
    value = owner[place[-1]]
    if draw(st.integers(0, 4)) == 0:
        del owner[place[-1]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        owner[place[-1]] = draw(
            st.one_of(numbers(float(value)).filter(math.isfinite), st.integers(-2, 10**6), st.none())
        )
    else:
        owner[place[-1]] = draw(st.one_of(words(4), st.none(), st.booleans(), st.just([]), st.just({})))
    path.write_text(json.dumps(document))


def change_tracks(run: RunFolder, draw: Draw) -> None:
    """One array of the tracks of a clip: a number, a frame, a shape, or those of another clip."""
    row = draw(st.sampled_from(TINY_ROWS))
    path = run.tracks(row.id)
    kind = draw(st.sampled_from(["number", "number", "frames", "shape", "other", "bytes", "gone"]))
    if kind == "other":
        others = [other for other in TINY_ROWS if other != row]
        shutil.copy(run.tracks(draw(st.sampled_from(others)).id), path)
    elif kind == "gone":
        path.unlink()
    elif kind == "bytes":
        content = bytearray(path.read_bytes())
        content[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
        path.write_bytes(content)
    else:
        tracks = load_tracks(path)
        name = draw(st.sampled_from(["position", "area", "hue", "state", "position_sd", "times"]))
        array = getattr(tracks, name)
        if kind == "shape":
            array = array[:-1]
        elif kind == "frames":
            array = np.roll(array, draw(st.integers(1, len(array) - 1)), axis=0)
        else:
            array = array.copy()
            at = draw(st.integers(tracks.context, len(array) - 1))
            array[at] = draw(st.sampled_from([0, 1, 3])) if array.dtype == np.uint8 else array[at] + draw(numbers(0.0))
        vars(tracks)[name] = array
        save_tracks(path, tracks)


MUTATIONS = (change_table, change_table, change_document, change_tracks)


def differs(mutant: RunFolder, honest: RunFolder) -> str:
    """In what a submission differs that is read again: readings, references, aggregates; "" where in nothing."""
    for source in SOURCES:
        a, b = (read_scores(run if source == "model" else run.reference(source)) for run in (mutant, honest))
        found = compare_tables(a, b, source)
        if found.first:
            return found.first
    said, right = (read_result(run.result).model_dump(mode="json") for run in (mutant, honest))
    return first_difference({k: said[k] for k in FIGURES}, {k: right[k] for k in FIGURES})[1]


@pytest.fixture
def _references_at_hand(tiny_run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """References come from the honest run, which has made them: a mutation cannot reach them."""

    def bring(made: RunFolder, row: Row, clips: ClipStore, card: ModelCard, *_: object, **__: object) -> str:
        for name in REFERENCE_MODELS:
            source, target = tiny_run.reference(name), made.reference(name)
            for path in (source.part(row.id), source.tracks(row.id), source.trace(row.id)):
                place = target.path / path.relative_to(source.path)
                place.parent.mkdir(parents=True, exist_ok=True)
                if path.is_file():
                    shutil.copy(path, place)
        return clips.get(row, card.spec).state_hash

    monkeypatch.setattr("physbench.leaderboard.rescoring.bring_references", bring)


class Counts:
    """What became of the examples of one test."""

    def __init__(self) -> None:
        self.refused: dict[str, int] = {}
        self.accepted = 0

    def attack(self, honest: RunFolder, draw: Draw) -> None:
        with tempfile.TemporaryDirectory() as place:
            mutant = RunFolder(Path(place) / "run")
            shutil.copytree(honest.path, mutant.path)
            mutate = draw(st.sampled_from(MUTATIONS))
            mutate(mutant, draw)
            if mutate is change_table and draw(st.booleans()):
                with suppress(Exception):  # whatever a forger's tool does with it
                    write_json(mutant.result, build_result(mutant, resamples=FEW_DRAWS).model_dump(mode="json"))
            try:
                with verified(mutant.path, QUICK) as found:
                    problems = found.verification.problems
                    if not problems and found.verification.badge == "re-scored":
                        assert differs(mutant, honest) == ""
                        assert found.folder is not None and differs_in_rows(found.folder, honest) == ""
                        self.accepted += 1
                    name = problems[0].check if problems else "accepted"
                    self.refused[name] = self.refused.get(name, 0) + 1
            except PhysbenchError:  # with words for the user
                self.refused["error"] = self.refused.get("error", 0) + 1


def differs_in_rows(made: RunFolder, honest: RunFolder) -> str:
    """Whether what an entry is made of differs from the honest run, in rows that are read from tracks."""
    a, b = read_scores(made), read_scores(honest)
    return compare_tables(a, b[b["reading"].isin(a["reading"])]).first


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def attack(honest: RunFolder, examples: int, start: int) -> Counts:
    """Examples that follow from a seed. None is made smaller: that takes as many again, and the seed repeats it."""
    counts, phases = Counts(), (Phase.generate,)

    @seed(start)
    @settings(max_examples=examples, deadline=None, database=None, phases=phases, suppress_health_check=QUIET)
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        counts.attack(honest, data.draw)

    try:
        run()
    except BaseException as error:
        error.add_note(f"Repeat it: PHYSBENCH_TEST_SEED={start} PHYSBENCH_TEST_MUTATIONS={examples}")
        raise
    return counts


@pytest.mark.usefixtures("tiny_suite", "_references_at_hand")
def test_no_mutated_submission_is_accepted_that_differs(tiny_run: RunFolder) -> None:
    counts = attack(tiny_run, 4, 1)
    assert sum(counts.refused.values()) == 4, counts.refused


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_suite", "_references_at_hand")
def test_no_mutated_submission_of_a_thousand_is_accepted_that_differs(
    tiny_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = asked("MUTATIONS", 1000)
    counts = attack(tiny_run, examples, SEED)
    with capsys.disabled():
        print(f"{examples} mutations of seed {SEED}: {counts.refused}, of these {counts.accepted} as the honest run")
    assert sum(counts.refused.values()) >= examples
    if examples >= 1000:
        checks = {"documents", "clips", "ranges", "rows", "qualities", "aggregates", "references", "tracks"}
        assert checks <= set(counts.refused)
