"""`physbench scorers check`, with a scorer of somebody's own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from physbench.cli.main import run

OWN = '''
"""A scorer of one's own."""

from physbench.scoring.protocol import Reading, scorer


@scorer(id="own/seen", version=1, axis=None, unit="1", better="higher", quality=None, noise_floor="1", source="none")
def seen(clip, rollout, tracks):
    """Share of the predicted frames in which the first object is seen."""
    return Reading(float((tracks.area[tracks.context :, 0] > 0).mean()))
'''


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "seen.py").write_text(OWN, encoding="utf-8")
    options = {
        "--tasks": "projectile",
        "--violations": "vanish,cheat-black",
        "--scorers": f"permanence/intact,{tmp_path / 'seen.py'}",
        "--clips": "1",
        "--truths": "2",
        "--workers": "1",
        "--out": str(tmp_path / "table.parquet"),
    }
    return ["scorers", "check", *(word for pair in options.items() for word in pair)]


def test_it_makes_a_table_and_goes_on_where_it_was_stopped(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command) == 0
    printed = capsys.readouterr()
    assert "vanish:1" in printed.out and "cheat-black" in printed.out and "own" not in printed.err
    table = pd.read_parquet(tmp_path / "table.parquet")
    cells = table[(table["source"] == "vanish:1") & (table["level"] == "task")].set_index("reading")
    assert cells.loc["own/seen", "auroc"] == 1.0 and cells.loc["permanence/intact", "auroc"] == 1.0
    assert cells.loc["own/seen", "negatives"] == 6  # truth and two near strangers of two clips
    assert b"physbench_table_version" in pq.read_schema(tmp_path / "table.parquet").metadata
    made = sorted((tmp_path / "table.parquet.parts").rglob("*.json"))
    assert len(made) == 2 * 4 + 2
    before = {path: path.stat().st_mtime_ns for path in made}
    made[0].write_text("{", encoding="utf-8")  # as if it had been killed
    made[1].unlink()
    assert run(command) == 0
    again = {path: path.stat().st_mtime_ns for path in made}
    assert {path for path in made if again[path] != before[path]} == set(made[:2])
    assert "videos are measured already" in capsys.readouterr().err
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), table)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--violations", "telport"), "teleport"),
        (("--clips", "0"), "expected 1 to 1000"),
        (("--by", "seed"), "all, family, task"),
        (("--out", "table.csv"), ".parquet"),
        (("--context", "99"), "expected 1 to 30"),
    ],
)
def test_wrong_use_says_what_to_do(
    command: list[str], change: tuple[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, *change]) == 2
    assert words in capsys.readouterr().err
