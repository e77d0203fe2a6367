"""Contexts of models of states as tables: what is in them, and what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from physbench.cli.main import run
from physbench.models.protocol import STATE_COLUMNS, StateCard
from physbench.rollout.states import state_inputs

ASKED = (
    "data",
    "export",
    "--states",
    "--suite",
    "smoke",
    "--tasks",
    "falling/projectile*,orbits/flyby*",
    "--limit",
    "2",
)


def exported(folder: Path, *more: str) -> dict[str, pd.DataFrame]:
    assert run((*ASKED, "--fps", "15", "--context", "4", "--out", str(folder), *more)) == 0
    return {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}


def test_tables_hold_what_a_model_is_given(tmp_path: Path, clip_of) -> None:
    tables = exported(tmp_path / "states")
    assert set(tables) == {"clips", "states", "bodies", "statics"}
    for task in ("falling/projectile-v1", "orbits/flyby-v1"):
        (about,) = tables["clips"][tables["clips"]["task"] == task].to_dict("records")
        clip = clip_of(task, about["split"], about["seed"])
        given = state_inputs([clip], StateCard("a", 15, 4))
        rows = tables["states"][tables["states"]["clip"] == about["clip"]]
        shape = (4, len(clip.tracked), 13)
        assert np.allclose(rows[list(STATE_COLUMNS)].to_numpy().reshape(shape), given.states[0], atol=1e-12)
        assert rows["time_s"].max() == 0 and about["horizon"] == clip.horizon
        bodies = tables["bodies"][tables["bodies"]["clip"] == about["clip"]]
        assert bodies["body"].tolist() == [body.name for body in clip.tracked_bodies]
        assert bodies["mass"].tolist() == given.bodies[0, :, 4].tolist()
        assert about["gravity_z"] == given.gravity[0, 2]


def test_noise_is_as_large_as_asked_and_the_same_each_time(tmp_path: Path) -> None:
    exact, noisy, again = (
        exported(tmp_path / name, *more)["states"]
        for name, more in (("a", ()), ("b", ("--state-noise", "0.01")), ("c", ("--state-noise", "0.01")))
    )
    assert noisy.equals(again)
    off = (noisy[list(STATE_COLUMNS)] - exact[list(STATE_COLUMNS)]).to_numpy()
    assert np.std(off[:, [0, 1, 2, 7, 8, 9]]) == pytest.approx(0.01, rel=0.25)
    assert not off[:, [3, 4, 5, 6, 10, 11, 12]].any()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--fps", "7"), "divides 1200, got 7. Use 4, 5"),
        (("--context", "99"), "expected 1 to 31 states"),
        (("--state-noise", "nan"), "expected 0 to 1 m"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path: Path, capsys, more: tuple[str, ...], words: str) -> None:
    assert run((*ASKED, "--fps", "15", "--context", "4", "--out", str(tmp_path / "no"), *more)) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "no").exists()
