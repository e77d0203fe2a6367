"""Weights of tasks against values worked out by hand, and against what tasks do to an axis."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.clips.suite import PUBLISHED_VERSION
from physbench.result.skill import Kind, overall_weights, skills, task_weights
from physbench.result.task_roles import print_weights, weight_table
from physbench.score.protocol import AXES

DOCS = Path(__file__).parents[2] / "docs" / "design" / "skill.md"
GOLDEN = json.loads(files("physbench.clips").joinpath("golden", "kinds.json").read_text(encoding="utf-8"))["versions"]
PUBLISHED = [(version, size) for version, classes in GOLDEN.items() for size in classes]


def moved(kinds: dict[str, tuple[Kind, ...]], task: str) -> np.ndarray:
    """How far each axis (A,) falls where one task goes from ground truth to nothing, all others staying at truth."""
    width = len(kinds[task])

    def axis(lost: float) -> np.ndarray:
        means = {}
        for name, row in kinds.items():
            truth, freeze = np.ones(width), np.where([kind == "informative" for kind in row], 0.0, 1.0)
            means[name] = np.stack([truth * (lost if name == task else 1.0), truth, freeze])
        return skills(means, kinds, 0, slice(1, 3)).axis

    return axis(1.0) - axis(0.0)


def test_by_hand() -> None:
    rows = {
        "f/a": ("informative", "informative", "guard"),
        "f/b": ("informative", "guard", "guard"),
        "g/c": ("informative", "guard", "unscored"),
        "g/d": ("guard", "absent", "informative"),
    }
    found = task_weights(rows)
    np.testing.assert_allclose(found["f/a"], [1 / 4, 1, 1 / 2])
    np.testing.assert_allclose(found["f/b"], [1 / 4, 1 / 2, 1 / 2])
    np.testing.assert_allclose(found["g/c"], [1 / 2, 1 / 2, 0])
    np.testing.assert_allclose(found["g/d"], [1 / 4, 0, 1])  # a guard alone: not 1
    lines = weight_table(rows, found, AXES)
    assert lines[2:4] == ["| f/a | 0.250 | 1.000 | −0.500 |", "| f/b | 0.250 | −0.500 | −0.500 |"]


def test_overall_by_hand() -> None:
    rows = {
        "f/a": ("informative", "informative", "guard"),
        "f/b": ("informative", "guard", "guard"),
        "g/c": ("informative", "guard", "unscored"),
        "h/d": ("guard", "guard", "unscored"),
    }
    found = overall_weights(rows)
    # f and g are the families that show skill, half each; f/a has two axes. The guards of f have the weight of the
    # lightest cell, an eighth, that of g all of what g gains, and h has nothing to lose.
    np.testing.assert_allclose(found["f/a"], [1 / 8, 1 / 8, 1 / 8])
    np.testing.assert_allclose(found["f/b"], [1 / 4, 1 / 8, 1 / 8])
    np.testing.assert_allclose(found["g/c"], [1 / 2, 1 / 2, 0])
    np.testing.assert_allclose(found["h/d"], 0)
    np.testing.assert_allclose(overall_weights(rows, axes=(0,))["f/a"], [1 / 4, 0, 0])


@pytest.mark.parametrize(("version", "size"), PUBLISHED)
def test_families_weigh_the_same_in_overall(version: str, size: str) -> None:
    rows = {task: tuple(row[axis] for axis in AXES) for task, row in GOLDEN[version][size].items()}
    weights = overall_weights(rows)
    families: dict[str, float] = {}
    for task, row in rows.items():
        gains = sum(weights[task][a] for a, kind in enumerate(row) if kind == "informative")
        families[task.split("/")[0]] = families.get(task.split("/")[0], 0.0) + gains
    assert families == {name: pytest.approx(1 / 4) for name in ("collisions", "falling", "occlusion", "orbits")}


@pytest.mark.parametrize(("version", "size"), PUBLISHED)
def test_no_guard_moves_an_axis_further_than_an_informative_task(version: str, size: str) -> None:
    rows = {task: tuple(row[axis] for axis in AXES) for task, row in GOLDEN[version][size].items()}
    weights = task_weights(rows)
    moves = {task: moved(rows, task) for task in rows}
    for a in range(len(AXES)):
        of = {kind: [task for task, row in rows.items() if row[a] == kind] for kind in ("informative", "guard")}
        none = "natural" in size or (version == "4" and AXES[a] == "consistency")  # a plate that stays hides scenery
        assert of["informative"] and (of["guard"] or none)
        least = min(moves[task][a] for task in of["informative"])
        assert all(moves[task][a] <= least + 1e-9 for task in of["guard"])
        for task in (*of["informative"], *of["guard"]):
            assert moves[task][a] == pytest.approx(weights[task][a])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("fgh"), st.sampled_from(["informative", "guard", "unscored"])), min_size=1))
def test_for_any_kinds(drawn: list[tuple[str, str]]) -> None:
    rows = {f"{family}/{n}": (kind,) for n, (family, kind) in enumerate(drawn)}
    weights = {task: float(found[0]) for task, found in task_weights(rows).items()}
    of = {kind: [weights[task] for task, row in rows.items() if row == (kind,)] for kind in ("informative", "guard")}
    if of["informative"]:
        assert sum(of["informative"]) == pytest.approx(1)
        assert max(of["guard"], default=0) <= min(of["informative"]) + 1e-12
    elif of["guard"]:
        assert sum(of["guard"]) == pytest.approx(1)


def test_losses_of_guards_are_clipped_once_a_family() -> None:
    """A guard above its references makes up for another one of its family, not for one of another family."""
    kinds = {"f/a": ("informative",), "f/b": ("guard",), "f/c": ("guard",), "g/d": ("guard",)}

    def cost(b: float, c: float, d: float) -> float:
        own = {"f/a": 0.5, "f/b": b, "f/c": c, "g/d": d}
        means = {task: np.array([[own[task]], [1.0], [0.0 if task == "f/a" else 1.0]]) for task in kinds}
        return float(skills(means, kinds, 0, slice(1, 3)).axis[0]) - 0.5

    assert cost(1.0, 1.0, 0.8) == pytest.approx(-0.2 / 2)
    assert cost(1.1, 0.9, 1.0) == pytest.approx(0.0)
    assert cost(1.1, 0.8, 1.0) == pytest.approx(-0.1 / 4)
    assert cost(1.5, 1.0, 0.8) == pytest.approx(-0.2 / 2)


def test_the_published_table_is_that_of_this_version(capsys: pytest.CaptureFixture[str]) -> None:
    print_weights()
    table = capsys.readouterr().out.strip()
    assert f"Suite version {PUBLISHED_VERSION}" in table and table in DOCS.read_text(encoding="utf-8")
