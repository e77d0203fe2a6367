"""The legs of a run with `--until`: after each it is looked at, and may stop. Any other run has one leg."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from physbench.clips.clip import Row
from physbench.results.answers import unasked_axes
from physbench.results.number_format import bracket, counted, fixed
from physbench.results.skill import SCALE
from physbench.results.task_roles import fixed_kinds
from physbench.rollouts.batch_plan import Batch
from physbench.run.run_order import done_after, in_turn
from physbench.run.run_state import Run
from physbench.run.running_skill import RunningSkill


@dataclass(frozen=True)
class Leg:
    """A part of a run's batches."""

    batches: tuple[int, ...]  # those of it that are missing, in turn
    rows: tuple[Row, ...] = ()  # clips that are done after it, at a look; () for no look
    look: int = 0  # number of the look, from 1
    looks: int = 0  # how many there are
    miss: float = 0.0  # how often the interval of this look may miss


def legs(run: Run, batches: Sequence[Batch]) -> list[Leg]:
    """The batches that are missing, in turn, up to each look. After the whole suite there is nothing to stop."""
    missing = set(run.missing())
    order = in_turn(batches, run.own_batches())
    left = [index for index in order if index in missing]
    if run.options.until is None:
        return [Leg(tuple(left))]
    from physbench.results.stop_rule import look_points, misses  # with scipy: runs without looks do not wait for it

    done = done_after(batches, order)
    points = look_points([_splits(rows) for rows in done], _splits(run.suite.rows))
    chances = misses([len(done[point - 1]) / len(run.suite.rows) for point in points])
    found, begin = list[Leg](), 0
    for number, (point, miss) in enumerate(zip(points, chances, strict=True), 1):
        if point < len(order):
            part = tuple(index for index in order[begin:point] if index in missing)
            found.append(Leg(part, tuple(done[point - 1]), number, len(points), miss))
            begin = point
    return [*found, Leg(tuple(index for index in order[begin:] if index in missing))]


def _splits(rows: Iterable[Row]) -> Counter[tuple[str, str]]:
    """How many clips there are of each task and split."""
    return Counter((row.task, str(row.split)) for row in rows)


def stops_at(run: Run, running: RunningSkill, leg: Leg) -> bool:
    """Look at a run after a leg: whether it ends with it, which is then written down.

    Where a rollout of it has to be made again, too, so that the same look can be taken once that is done.
    """
    from physbench.results.stop_rule import look_at_tables

    until = run.options.until
    assert until is not None
    tables = running.tables(leg.rows, "model", *SCALE)
    references = running.tables(run.suite.rows, *SCALE)
    if tables is None or references is None:
        return True
    unasked = unasked_axes(run.manifest["model"]["card"])
    found = look_at_tables(tables, references, leg.miss, fixed=fixed_kinds(run.manifest), unasked=unasked)
    level = 1 - leg.miss
    shown = (
        f"overall {fixed(found.skill)} {bracket(found.interval)}".rstrip() if found.skill is not None else "no overall"
    )
    why = f" ({found.reason})" if found.reason else f", half its width {found.half_width:.3f}"
    run.say(f"Look {leg.look} of {leg.looks}, {counted(len(leg.rows), 'clip')}: {shown} at {100 * level:.4g} %{why}.")
    if found.half_width > until:
        return False
    run.stop(
        "until",
        f"{until:g}",
        leg.rows,
        looks=leg.look,
        of_looks=leg.looks,
        level=round(level, 6),
        skill=found.skill,
        interval=found.interval,
    )
    run.say(f"That is at most {until:g}: {run.ended()}")
    return True
