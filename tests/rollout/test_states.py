"""What a model of states is given, in memory and as tables, in the columns and units of its card, and the way back."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from physbench.cli.main import run
from physbench.clips.task import Parameter
from physbench.models.protocol import BODY_COLUMNS, STATE_COLUMNS, STATIC_COLUMNS, StateCard
from physbench.rollout import states as inputs_module
from physbench.rollout.states import from_model, known_constants, state_inputs, to_model
from physbench.world.camera import px_from_plane

TASKS = ("falling/projectile-v1", "orbits/flyby-v1", "collisions/billiards-v1")


@pytest.fixture
def clips(clip_of):
    return [clip_of(task) for task in TASKS]


@pytest.mark.parametrize(
    ("columns", "space", "units", "layout"),
    [
        ("all", "world", "m", "objects"),
        *itertools.product(("positions", "positions+velocities"), ("world",), ("m",), ("objects", "flat")),
        *itertools.product(("positions", "positions+velocities"), ("plane",), ("m", "px"), ("objects", "flat")),
    ],
)
def test_what_is_given_comes_back(clips, columns, space, units, layout) -> None:
    card = StateCard("a", 15, 4, columns=columns, space=space, units=units, layout=layout)
    given = state_inputs(clips, card)
    shown = to_model(given.states, card, given)
    rows = given.mask.shape[1]
    assert shown.shape == ((3, 4, rows * card.width) if layout == "flat" else (3, 4, rows, card.width))
    back = from_model(shown.reshape(3, 4, rows, -1), card, given, given.states[:, -1])
    for own, true, mask in zip(back, given.states, given.mask, strict=True):
        assert np.allclose(own[:, mask, :3], true[:, mask, :3], atol=1e-12)
        if columns != "positions":
            assert np.allclose(own[:, mask, 7:10], true[:, mask, 7:10], atol=1e-12)
        else:
            assert np.isnan(own[:, mask, 7:10]).all()


def test_px_are_those_of_the_picture(clips) -> None:
    card = StateCard("a", 15, 1, columns="positions+velocities", space="plane", units="px", window_px=64)
    given = state_inputs(clips, card)
    shown = to_model(given.states, card, given)
    for own, clip in zip(shown, clips, strict=True):
        count = len(clip.tracked)
        true = px_from_plane(clip.scene.camera, clip.spec, clip.plane_positions()[clip.handover])  # 64 px
        assert np.allclose(own[0, :count, :2], true)
        speed = clip.states[clip.handover, list(clip.tracked), 7:10] @ np.eye(3)[:, given.axes[clips.index(clip)]]
        assert np.allclose(own[0, :count, 2:], speed * [12.5, -12.5])  # 64 px for 5.12 m; y goes down


def test_rows_are_padded_and_masked(clips) -> None:
    given = state_inputs(clips, StateCard("a", 15, 4, bodies=6))
    assert given.states.shape == (3, 4, 6, 13)
    assert given.mask.sum(1).tolist() == [len(clip.tracked) for clip in clips]
    assert not given.states[~np.broadcast_to(given.mask[:, None], given.states.shape[:3])].any()
    assert state_inputs(clips, StateCard("a", 15, 4, bodies=1)).states.shape == (3, 4, 1, 13)


def test_constants_are_those_of_the_scene(clips) -> None:
    given = state_inputs(clips, StateCard("a", 15, 4))
    thrown, star = given.bodies[0, 0], given.bodies[1, 1]
    ball = clips[0].tracked_bodies[0]
    named = dict(zip(BODY_COLUMNS, thrown, strict=True))
    assert (named["shape"], named["size_1"], named["mass"], named["moves"]) == (0, ball.radius, ball.mass, 1)
    assert (named["release"], named["restitution"]) == (ball.release, ball.restitution)
    assert star[BODY_COLUMNS.index("pull")] == clips[1].scene.fields[0].mu and star[BODY_COLUMNS.index("moves")] == 0
    assert given.gravity.tolist() == [[0, 0, -9.81], [0, 0, 0], [0, 0, -9.81]]
    shapes = given.statics[..., STATIC_COLUMNS.index("shape")]
    assert shapes[0].tolist()[0] == 3 and (shapes[1] == -1).all()  # a floor; nothing to touch


def test_what_a_context_must_reveal_is_not_handed_over(clip_of, monkeypatch) -> None:
    """Gravity and restitution of a task that declares them so are NaN; the same values declared `fixed` are given."""
    clip = clip_of("falling/projectile-v1")
    task = inputs_module.find_task(clip.row.task)
    hidden = {
        "gravity": Parameter("m/s2", "free", (5.0, 12.0), ""),
        "restitution": Parameter("", "revealed", (0.5, 0.9), ""),
    }

    secretive = SimpleNamespace(parameters={**task.parameters, **hidden})
    monkeypatch.setattr(inputs_module, "find_task", lambda name: secretive)
    known_constants.cache_clear()
    bodies, statics, gravity = known_constants(clip.row, clip.scene)
    known_constants.cache_clear()
    named = dict(zip(BODY_COLUMNS, bodies[0], strict=True))
    assert np.isnan(named["restitution"]) and np.isnan(gravity[2]) and gravity[0] == 0
    assert np.isfinite([named["mass"], named["size_1"], named["friction"], statics[0, 0]]).all()


def test_pushes_stand_on_the_body_that_gets_them(clip_of) -> None:
    clip = clip_of("collisions/head-on-push-v1")
    (push,) = clip.scene.impulses
    card = StateCard("a", 15, 4, uses_actions=True)
    actions = state_inputs([clip], card).actions
    assert actions is not None and actions.shape == (1, 4 + clip.horizon, len(clip.tracked), 3)
    (row,), (body,) = np.nonzero(actions[0].any(-1))
    assert body == clip.tracked.index(clip.scene.index(push.body)) and actions[0, row, body].tolist() == [*push.impulse]
    shown = clip.times[clip.handover + 1 - 4 + row]
    assert push.time < shown <= push.time + 1 / 15 + 1e-9
    assert state_inputs([clip], replace(card, uses_actions=False)).actions is None


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
