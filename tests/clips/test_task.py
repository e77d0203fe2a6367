"""Finding tasks, and the declaration of parameters."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from physbench.clips.clip import Row, Split
from physbench.clips.generate import random_stream
from physbench.clips.task import (
    NothingAccepted,
    Parameter,
    Params,
    Task,
    declare,
    draw,
    find_task,
    match_tasks,
    parameter_table,
    task_ids,
)
from physbench.support.errors import UsageError
from physbench.world.scene import Scene

FOUR = ("collisions/head-on-v1", "falling/projectile-v1", "occlusion/screen-pass-v1", "orbits/kepler-v1")


def test_finds_tasks_by_any_name() -> None:
    assert set(FOUR) <= set(task_ids())
    for name in ("falling/projectile-v1", "projectile-v1", "projectile"):
        assert find_task(name).id == "falling/projectile-v1"


@pytest.mark.parametrize(
    ("wrong", "offer"),
    [
        ("projectil", "falling/projectile-v1"),
        ("falling/projectile-v2", "falling/projectile-v1"),
        ("fallin", "falling/"),
        ("screenpass", "occlusion/screen-pass-v1"),
        ("qqqq", "Known: chance/"),
    ],
)
def test_offers_nearest_tasks(wrong: str, offer: str) -> None:
    for find in (find_task, match_tasks):
        with pytest.raises(UsageError, match=offer.replace(".", "\\.")):
            find(wrong)


def test_matches_globs_families_and_lists() -> None:
    assert match_tasks("*", FOUR) == FOUR
    assert match_tasks("falling", FOUR) == match_tasks("fall*", FOUR) == ("falling/projectile-v1",)
    assert match_tasks("kepler, projectile-*", FOUR) == ("falling/projectile-v1", "orbits/kepler-v1")
    with pytest.raises(UsageError, match="No task is named"):
        match_tasks(" , ")
    with pytest.raises(UsageError, match="nonsense"):
        match_tasks("kepler,nonsense")


def test_parameters_draw_from_their_ranges() -> None:
    rng = np.random.default_rng(0)
    plain = Parameter("m", "visible", (1.0, 2.0), "", ood=(3.0, 4.0))
    assert all(1 <= plain.draw(rng, split) <= 2 for split in ("train", "test") for _ in range(100))
    assert all(3 <= plain.draw(rng, "ood") <= 4 for _ in range(100))
    signed = Parameter("m", "visible", (1.0, 2.0), "", signed=True)
    drawn = [signed.draw(rng, "train") for _ in range(100)]
    assert min(drawn) < -1 and max(drawn) > 1 and all(signed.contains(value, "train") for value in drawn)
    grid = Parameter("s", "visible", (-1.0, -0.4), "", grid=0.05)
    assert {grid.draw(rng, "test") for _ in range(500)} == {round(-1 + 0.05 * k, 4) for k in range(13)}
    assert Parameter.fixed(9.81, "m/s2", "").draw(rng, "ood") == 9.81
    assert (plain.span("ood"), signed.span("train"), grid.span("train")) == ("3 .. 4", "+-1 .. 2", "-1, -0.95 .. -0.4")


def test_a_gap_is_left_out_of_train_and_ood_may_have_two_ranges() -> None:
    rng = np.random.default_rng(0)
    speed = Parameter("m/s", "visible", (1.0, 4.0), "", ood=(4.5, 6.0), below=(0.0, 0.8), gap=(2.0, 3.5))
    drawn = {split: np.array([speed.draw(rng, split) for _ in range(400)]) for split in ("train", "gap", "ood")}
    assert all(speed.contains(value, split) for split, values in drawn.items() for value in values)  # type: ignore[arg-type]
    assert not any(speed.contains(value, "gap") for value in drawn["train"] if value not in (2.0, 3.5))
    assert not any(speed.contains(value, "train") for value in (*drawn["gap"], *drawn["ood"]))
    assert np.mean(drawn["train"] < 2) == pytest.approx(1 / 1.5, abs=0.08), "as likely as they are wide"
    assert np.mean(drawn["ood"] < 1) == pytest.approx(0.8 / 2.3, abs=0.08)
    assert (speed.span("test"), speed.span("ood")) == ("1 .. 2 and 3.5 .. 4", "0 .. 0.8 and 4.5 .. 6")
    assert parameter_table({"speed": speed})[2].split("|")[5].strip() == "0 .. 0.8 and 4.5 .. 6; gap 2 .. 3.5"


def test_table_and_impossible_ranges() -> None:
    parameters = declare(size=Parameter("m", "visible", (1.0, 2.0), "of it", ood=(2.0, 3.0)))
    assert parameter_table(parameters) == [
        "| parameter | unit | class   | train and test | ood    | meaning |",
        "| --------- | ---- | ------- | -------------- | ------ | ------- |",
        "| size      | m    | visible | 1 .. 2         | 2 .. 3 | of it   |",
    ]
    with pytest.raises(TypeError):
        parameters["size"] = parameters["size"]  # type: ignore[index]
    with pytest.raises(NothingAccepted, match=r"refused all of 20,000 draws of the split train, .* with size 1\.\d+\."):
        draw(parameters, np.random.default_rng(0), "train", lambda values: False)


def test_streams_of_tasks_splits_and_seeds_differ() -> None:
    rows = [Row(task, split, seed) for task in FOUR for split in ("train", "test", "ood") for seed in range(50)]
    assert len({random_stream(row).random() for row in rows}) == len(rows)
    assert random_stream(rows[0]).random() == random_stream(rows[0]).random()


def test_a_task_needs_no_more_than_what_is_its_own() -> None:
    class Thrown(Task):
        """A ball is thrown.

        {parameters}

        The rest.
        """

        id = "own/thrown-v1"
        parameters = declare(size=Parameter("m", "visible", (1.0, 2.0), "of it"))

        def accepts(self, params: Params) -> bool:
            return params["size"] > 1.9

        def scene(self, params: Params) -> Scene:
            raise NotImplementedError

    assert 1.9 < Thrown().sample(np.random.default_rng(0), "train")["size"] <= 2
    assert inspect.getdoc(Thrown) == "\n".join(
        ["A ball is thrown.", "", *parameter_table(Thrown.parameters), "", "The rest."]
    )

    class Silent(Thrown):
        parameters = declare(size=Parameter.fixed(1.0, "m", "of it"))

    assert inspect.getdoc(Silent) == "", "a docstring is about one task"

    class Plain:
        id = "own/plain-v1"
        parameters = Thrown.parameters

        def sample(self, rng: np.random.Generator, split: Split) -> Params:
            return {"size": 1.0}

        def scene(self, params: Params) -> Scene:
            raise NotImplementedError

    plain: Task = Plain()
    assert isinstance(plain, Task), "a class of its own is a task, too"
