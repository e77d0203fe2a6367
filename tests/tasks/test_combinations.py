"""combo: the templates cover all pairs of kinds, the scenes keep them apart and at rest, throws meet an element."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_params, make_scene
from physbench.clips.suite import COMBO_LISTS, find_suite, fresh_suite, template_of
from physbench.clips.task import builtin_task_ids, find_task, splits_of
from physbench.support.errors import UsageError
from physbench.tasks.combinations import KINDS, TEMPLATES, Throw, elements, extents, first_contact, hue_of, room
from physbench.world.bullet import simulate
from physbench.world.geometry import gap

SPLITS = ("train", "test", "ood")
PAIRS = set(combinations(KINDS, 2))


def pairs_of(templates: range) -> Counter[tuple[str, str]]:
    return Counter(pair for number in templates for pair in combinations(TEMPLATES[number], 2))


def test_training_sets_are_nested_hold_every_pair_of_kinds_and_no_held_out_template() -> None:
    assert len(TEMPLATES) == len(set(TEMPLATES)) == 70 and set(TEMPLATES) == set(combinations(KINDS, 4))
    sets = [Throw.templates[name] for name in COMBO_LISTS]
    assert [len(each) for each in sets] == [6, 30, 60] and all(
        a.start == b.start == 0 for a, b in combinations(sets, 2)
    )
    assert all(set(pairs_of(each)) == PAIRS for each in sets)
    held_out = Throw.templates["ood"]
    assert len(held_out) == 10 and not set(held_out) & set(sets[-1])
    assert set(Throw.templates["test"]) <= set(sets[0]), "every training set holds what is judged as trained"


def test_kinds_are_as_frequent_in_trained_as_in_held_out_templates() -> None:
    for split, times in (("test", 3), ("ood", 5)):
        kinds = Counter(kind for number in Throw.templates[split] for kind in TEMPLATES[number])
        assert set(kinds.values()) == {times} and len(kinds) == len(KINDS)
    held_out = pairs_of(Throw.templates["ood"])
    assert set(held_out) == PAIRS and max(held_out.values()) == 3


def test_no_fewer_templates_would_do() -> None:
    """A kind has seven others and meets three in a template: it is in three of the six, which are 8 x 3 / 4."""
    assert all(Counter(kind for number in range(6) for kind in TEMPLATES[number])[kind] == 3 for kind in KINDS)
    for left_out in range(6):
        assert set(pairs_of(range(6)) - pairs_of(range(left_out, left_out + 1))) != PAIRS


def test_the_suite_holds_as_many_clips_of_each_template_and_no_other_suite_does() -> None:
    suite, task = find_suite("combo"), find_task(Throw.id)
    assert suite.tasks == (Throw.id,) and not suite.local and splits_of(task) == SPLITS
    drawn = Counter((row.split, template_of(task, row)) for row in suite.rows)
    assert drawn == {**{("test", k): 5 for k in range(6)}, **{("ood", k): 3 for k in range(60, 70)}}
    assert not {Throw.id} & {*builtin_task_ids(full=True), *builtin_task_ids(actions=True)}
    assert find_suite("combo", limit=8).partial
    fresh = fresh_suite(suite, 2)
    assert {template_of(task, row) for row in fresh.rows if row.split == "test"} <= set(range(6))


@pytest.mark.parametrize("name", COMBO_LISTS)
def test_lists_to_learn_from_hold_as_many_clips_of_each_of_their_templates(name: str) -> None:
    templates = Throw.templates[name]
    rows = find_suite(name, limit=2 * len(templates) + 1).rows
    drawn = Counter(template_of(find_task(Throw.id), row) for row in rows)
    assert {row.split for row in rows} == {"train"} and set(drawn) == set(templates)
    assert sorted(drawn.values())[-2:] == [2, 3] and list(rows) == sorted(rows)
    with pytest.raises(UsageError, match="Leave --tasks out"):
        find_suite(name, tasks="kepler")


@pytest.mark.parametrize("split", SPLITS)
def test_elements_are_those_of_the_template_apart_and_between_the_sides(split: str) -> None:
    for seed in range(5):
        row = Row(Throw.id, split, seed)  # type: ignore[arg-type]
        p = make_params(row)
        assert (int(p["template"]) >= 60) is (split == "ood") and tuple(extents(p)) == TEMPLATES[int(p["template"])]
        assert len({hue_of(p, k) for k in range(4)}) == 4
        for a, b in combinations([*elements(p), *room()], 2):
            if "plane" not in (a.shape, b.shape) and not {a.name, b.name} <= {"left side", "right side"}:
                assert gap(a, a.position, b, b.position) > 0.0, (row.id, a.name, b.name)


@pytest.mark.parametrize("seed", range(3))
def test_elements_rest_until_the_throw_meets_one_at_the_declared_time(seed: int) -> None:
    row = Row(Throw.id, "test", seed)
    scene, (when, element) = make_scene(row), first_contact(make_params(row))
    simulation = simulate(scene, np.linspace(-2.0, scene.horizon, 81))
    first = min(each.time for each in simulation.contacts if each.time > 0)
    assert element and first == pytest.approx(when, abs=0.02) and 0.25 <= first <= 0.6 * scene.horizon
    resting = [i for i, body in enumerate(scene.bodies) if body.role == "moving" and body.release is None]
    before = simulation.states[np.linspace(-2.0, scene.horizon, 81) < first][:, resting, :3]
    assert np.abs(before - before[0]).max(initial=0.0) < 2e-3
