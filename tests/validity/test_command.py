"""`physbench scorers check`, with a scorer of somebody's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from physbench.cli.main import run
from physbench.support.errors import UsageError
from physbench.support.plugins import TASK_FILES_VARIABLE, adopt_in_worker, open_files, register_file
from physbench.validity.gaming_baselines import GAMING_BASELINES, GamingBaseline
from physbench.validity.measure import Settings, key
from physbench.validity.table import read_table

OWN = '''
"""A scorer of one's own."""

from physbench.score.protocol import Reading, scorer


@scorer(id="own/seen", version=1, axis=None, unit="1", better="higher", quality=None, noise_floor="1", source="none")
def seen(clip, rollout, tracks):
    """Share of the predicted frames in which the first object is seen."""
    return Reading(float((tracks.area[tracks.context :, 0] > 0).mean()))
'''


TASKS = "projectile,head-on"
SOURCES = "vanish,momentum,cheat-black"


@pytest.fixture(scope="module", autouse=True)
def _code_stands_still() -> Iterator[None]:
    """Tables of one code compare: sources may be edited while these tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("physbench.validity.measure.versions", lambda *_: {"code": "one"})
        yield


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "seen.py"
    path.write_text(OWN, encoding="utf-8")
    return path


def words(own: Path, folder: Path, **more: str) -> list[str]:
    options = {
        "tasks": TASKS,
        "violations": SOURCES,
        "scorers": f"permanence/intact,{own}",
        "clips": "1",
        "truths": "1",
        "workers": "1",
        "out": str(folder / "table.parquet"),
        **more,
    }
    return ["scorers", "check", *(word for name, value in options.items() for word in (f"--{name}", value))]


@pytest.fixture(scope="module")
def made(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table that was made by one process."""
    folder = tmp_path_factory.mktemp("made")
    assert run(words(own, folder)) == 0
    return folder


def lines(folder: Path) -> dict[str, list[str]]:
    return {
        path.name: path.read_text().splitlines() for path in sorted((folder / "table.parquet.parts").rglob("*.jsonl"))
    }


def test_it_makes_a_table_of_scorers_of_ones_own(made: Path) -> None:
    table, header = read_table(made / "table.parquet")
    cells = table[(table["source"] == "vanish:1") & (table["level"] == "family")].set_index(["family", "reading"])
    assert cells.loc[("falling", "own/seen"), "auroc"] == 1.0
    for family in ("falling", "collisions"):
        assert cells.loc[(family, "permanence/intact"), "auroc"] == 1.0
        assert cells.loc[(family, "own/seen"), "negatives"] == 3  # truth and two near alternatives of a clip
    assert header.clips == 1 and header.scorers["own/seen"] == 1 and header.sources[0] == "vanish:1"
    assert header.spec == "64x64@15" and header.versions["code"] and header.columns["auroc"]


def test_ones_own_scorer_has_the_first_column(made: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words(own, made)) == 0
    head = next(line for line in capsys.readouterr().out.splitlines() if "seen" in line and "intact" in line)
    assert head.index("seen") < head.index("intact")


def test_a_scorer_that_breaks_on_ground_truth_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.py"
    path.write_text(OWN.replace("tracks.area[tracks.context :, 0]", "tracks.speed").replace("own/seen", "own/bad"))
    assert run(words(path, tmp_path, tasks="projectile", violations="vanish", clips="1", truths="1")) == 1
    assert "own/bad raised AttributeError" in capsys.readouterr().err


def test_refused_clips_are_replaced_where_a_source_applies_at_all(made: Path) -> None:
    table, _ = read_table(made / "table.parquet")
    cells = table[(table["source"] == "momentum:0.5") & (table["reading"] == "own/seen")]
    meet = cells[cells["task"] == "collisions/head-on-v1"].iloc[0]
    assert meet["clips"] == 1
    alone = [name for name, said in lines(made).items() if "projectile" in name and "momentum" in "".join(said)]
    assert len(alone) == 4  # there it has nothing to do: no more than that are tried


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped(
    made: Path, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    whole, table = lines(copy), read_table(copy / "table.parquet")[0]
    first, second, third = sorted((copy / "table.parquet.parts").rglob("*.jsonl"))[:3]
    first.write_text("\n".join(whole[first.name][:-1]) + "\n" + whole[first.name][-1][:40])  # as if it had been killed
    second.unlink()
    third.write_text("{")
    assert run(words(own, copy)) == 0
    assert "videos are measured already" in capsys.readouterr().err
    again = lines(copy)
    assert [line for line in again[first.name] if line != whole[first.name][-1][:40]] == whole[first.name]
    assert {**again, first.name: 0, second.name: 0, third.name: 0} == {
        **whole,
        first.name: 0,
        second.name: 0,
        third.name: 0,
    }
    assert len(again[second.name]) == len(whole[second.name])
    pd.testing.assert_frame_equal(read_table(copy / "table.parquet")[0], table)
    stamps = {path: path.stat().st_mtime_ns for path in copy.rglob("*.jsonl")}
    assert run(words(own, copy)) == 0  # nothing is left: nothing is written
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*.jsonl")} == stamps


@pytest.mark.slow
def test_two_processes_make_the_same_table(made: Path, own: Path, tmp_path: Path) -> None:
    assert run(words(own, tmp_path, workers="2")) == 0
    assert (tmp_path / "table.parquet").read_bytes() == (made / "table.parquet").read_bytes()


@pytest.mark.slow
def test_an_error_is_a_row_with_its_reason(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise IndexError("no such frame")

    monkeypatch.setitem(GAMING_BASELINES, "black", GamingBaseline("black", "", broken))  # type: ignore[arg-type]
    options = {"tasks": "projectile", "violations": "cheat-black,vanish", "clips": "1", "truths": "1"}
    for _ in range(2):  # it is kept, and the next one is not in its way
        assert run(words(own, tmp_path, **options)) == 1
        assert "cheat-black on falling.projectile-v1.test.5000: IndexError: no such frame" in capsys.readouterr().err
    table, _ = read_table(tmp_path / "table.parquet")
    assert np.isfinite(table[table["source"] == "vanish:1"]["auroc"]).any()
    skill = table[(table["source"] == "cheat-black") & (table["level"] == "skill")]
    assert (skill["failed"] == 1).all()


@pytest.mark.slow
def test_videos_that_went_through_h264_are_kept_apart(own: Path, tmp_path: Path) -> None:
    options = {"tasks": "projectile", "violations": "vanish", "clips": "1", "truths": "1", "scorers": str(own)}
    for crf in ({}, {"crf": "51"}):
        assert run(words(own, tmp_path, **options, **crf)) == 0
    table, header = read_table(tmp_path / "table.parquet")
    assert header.crf == 51 and header.versions["av"] and len(table)
    plain, coded = (tmp_path / "table.parquet.parts").iterdir()
    (name,) = {path.name for path in plain.iterdir()} & {path.name for path in coded.iterdir()}
    assert (plain / name).read_text() != (coded / name).read_text()


def test_a_newer_table_is_refused(made: Path, tmp_path: Path) -> None:
    table = pq.read_table(made / "table.parquet")
    metadata = dict(table.schema.metadata)
    path = tmp_path / "newer.parquet"
    pq.write_table(table.replace_schema_metadata({**metadata, b"physbench_table_version": b"99"}), path)
    with pytest.raises(UsageError, match="newer physbench"):
        read_table(path)
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(UsageError, match="no table of"):
        read_table(path)


def test_tasks_of_ones_own_are_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TASK_FILES_VARIABLE, "")
    adopt_in_worker("")
    settings = Settings(("own/x",), (), None, 1, 1)
    keys = {key(settings, ())}
    for text in ("x = 1\n", "x = 2\n"):
        path = tmp_path / "task.py"
        path.write_text(text)
        ((file, _),) = open_files(str(path))
        register_file(file)
        keys.add(key(settings, ()))
    adopt_in_worker("")
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"violations": "telport"}, "teleport"),
        ({"violations": ","}, "Expected names"),
        ({"violations": "fade:150"}, "from 0.1 to 100"),
        ({"workers": "-3"}, "--workers"),
        ({"clips": "0"}, "expected 1 to 1000"),
        ({"by": "seed"}, "all, family, task"),
        ({"out": "table.csv"}, ".parquet"),
        ({"context": "99"}, "expected 1 to 30"),
        ({"view": "nearer"}, "Did you mean near"),
        ({"crf": "52"}, "0 (best) to 51"),
        ({"crf": "23", "size": "65"}, "H.264 takes even sizes"),
    ],
)
def test_wrong_use_says_what_to_do(
    own: Path, tmp_path: Path, change: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words(own, tmp_path, **change)) == 2
    assert said in capsys.readouterr().err
