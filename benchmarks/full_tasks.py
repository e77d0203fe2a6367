"""Skill of baselines on tasks of `full` outside `core`, and a broken law of stated size each, told from ground truth.

python benchmarks/full_tasks.py [TASK ...] [--clips N] [--law-clips M] [--px 64|128] [--out TABLE]

N clips of test (120) of 64 px at 15 frames/s, or 128 px at 30; a row a task and size. What TABLE holds on as many clips
is not made again: of a law that such a row lacks, ground truth and what breaks it are read, until each can be
broken in M clips (60).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.models.protocol import ModelCard
from physbench.result.skill import kind
from physbench.rollout.store import Rollout
from physbench.run.references import baseline_rollout
from physbench.score.protocol import AXES
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support.progress import Progress
from physbench.tasks.falling import overhang_margin
from physbench.tasks.occlusion import cup_edges
from physbench.validity.sources import show
from physbench.validity.table import separation
from physbench.validity.violations import Inapplicable, Unseen
from physbench.world.bullet import simulate
from physbench.world.drawing import render
from physbench.world.scene import Body

RATES = {64: 15.0, 128: 30.0}  # frames/s by side of the picture, px
SCORERS = tuple(scorer for scorer in find_scorers() if scorer.headline)
BASELINES = ("freeze", "constant-velocity", "physicist")
Broken = Callable[[Clip], np.ndarray]


def context_frames(px: int) -> int:
    """Frames of about half a second."""
    return round(8 * RATES[px] / 15)


def altered(change: Callable[[Body], Body]) -> Broken:
    """Predicted frames of the scene with other bodies, which look the same until the law acts."""

    def frames(clip: Clip) -> np.ndarray:
        scene = replace(clip.scene, bodies=tuple(change(body) for body in clip.scene.bodies))
        return drawn(clip, simulate(scene, clip.times).states)

    return frames


def drawn(clip: Clip, states: np.ndarray) -> np.ndarray:
    return np.asarray(render(clip.scene, clip.times, states, clip.spec).frames[clip.handover + 1 :])


def smoother_belt(clip: Clip) -> np.ndarray:
    """The box has 0.6 of its friction from the hand-over on; a ball would roll on the belt all the same."""
    if make_params(clip.row)["shape"] == 1:
        raise Inapplicable("a ball rolls on a smoother belt, too")
    return broken_frames(clip, "friction:0.6")


def slower_belt(body: Body) -> Body:
    return replace(body, surface=(0.5 * body.surface[0], 0.0, 0.0))


def deader_wall(body: Body) -> Body:
    """0.7 of the speed is left after a bounce, in place of 0.9."""
    return replace(body, restitution=0.7) if body.name == "wall" else body


def no_wall(body: Body) -> Body:
    """What stands behind the screen holds nothing up."""
    return replace(body, collides=False) if body.name == "wall" else body


def dead_ball(body: Body) -> Body:
    """0.6 of the speed is left after a bounce, in place of 0.8."""
    return replace(body, restitution=0.6) if body.role == "moving" else body


def sliding_ball(body: Body) -> Body:
    """A ball that the ramp does not turn: slowed by g sin a, in place of 5/7 of that."""
    return replace(body, friction=0.0) if body.role == "moving" else body


def full_cylinder(body: Body) -> Body:
    """A ring rolls as if it were full: by 14 % of the speed too fast."""
    return replace(body, bore=0.0)


def last_stays(clip: Clip) -> np.ndarray:
    """The last block that should fall stays: it has a thousand times its mass, and looks the same."""
    last = f"block {int(make_params(clip.row)['falling'])}"
    return altered(lambda body: replace(body, mass=1000 * body.mass) if body.name == last else body)(clip)


def other_balance(clip: Clip) -> np.ndarray:
    """The block tips where it should stay and stays where it should tip: a pedestal that is not seen ends elsewhere."""
    params = make_params(clip.row)
    aside = -2 * overhang_margin(params) * np.sign(params["offset"])

    def moved(body: Body) -> Body:
        x, *others = body.position
        return replace(body, position=(x + aside, *others)) if body.name == "pedestal" else body

    return altered(moved)(clip)


def other_side(clip: Clip) -> np.ndarray:
    """The block goes down that should rise: it has four times its mass, and looks the same."""
    sinks = clip.scene.outcomes[-1].body

    def heavier(body: Body) -> Body:
        return replace(body, mass=4 * body.mass) if body.hue is not None and body.name != sinks else body

    return altered(heavier)(clip)


def other_cover(clip: Clip) -> np.ndarray:
    """The ball lies behind the cover that it did not stop behind."""
    p, states = make_params(clip.row), clip.states.copy()
    (first, second), _ = cup_edges(p)
    away = (3 - 2 * p["behind"]) * (second[0] - first[0]) * np.sign(p["velocity"])
    states[clip.times >= p["lift"] - 0.1, 0, 0] += away
    return drawn(clip, states)


# By task: the axis that reads it, the broken law, and what breaks it.
LAWS: dict[str, tuple[tuple[str, str, str | Broken], ...]] = {
    "falling/roll-off-v1": (
        ("consistency", "gravity x 0.8", "gravity:0.8"),
        ("consistency", "restitution 0.5 in place of 0.7", "restitution:0.5"),
    ),
    "falling/ramp-up-v1": (
        ("consistency", "gravity x 0.8", "gravity:0.8"),
        ("consistency", "slides up and down the ramp, and does not roll", altered(sliding_ball)),
    ),
    "falling/slide-stop-v1": (("consistency", "friction x 0.6", "friction:0.6"),),
    "falling/rolling-race-v1": (
        ("consistency", "gravity x 0.8", "gravity:0.8"),
        ("consistency", "gravity x 0.7", "gravity:0.7"),
        ("consistency", "a ring rolls as a full cylinder", altered(full_cylinder)),
    ),
    "falling/conveyor-v1": (
        ("consistency", "belt speed x 0.5", altered(slower_belt)),
        ("consistency", "friction of a box and the belt x 0.6", smoother_belt),
        ("consistency", "restitution 0.4 in place of 0.6", "restitution:0.4"),
    ),
    "falling/overhang-v1": (("consistency", "tips or stays, the other way", other_balance),),
    "falling/seesaw-v1": (("consistency", "the other side goes down", other_side),),
    "falling/container-v1": (
        ("consistency", "gravity x 0.8", "gravity:0.8"),
        ("consistency", "restitution 0.4 in place of 0.6", "restitution:0.4"),
    ),
    "falling/pendulum-v1": (("consistency", "gravity x 0.9", "gravity:0.9"),),
    "falling/spring-v1": (("consistency", "stiffness x 0.8", "stiffness:0.8"),),
    "falling/tumble-v1": (
        ("consistency", "stiffness x 0.7", "stiffness:0.7"),
        ("consistency", "stiffness x 0.5", "stiffness:0.5"),
        ("consistency", "gravity x 0.8", "gravity:0.8"),
    ),
    "falling/follow-v1": (
        ("consistency", "gravity x 0.8", "gravity:0.8"),
        ("consistency", "restitution 0.6 in place of 0.8", "restitution:0.6"),
    ),
    "collisions/row-v1": (
        ("consistency", "restitution 0.5 in place of 0.9", "restitution:0.5"),
        ("consistency", "the second ball gets twice the impulse", "momentum:1"),
    ),
    "collisions/cradle-v1": (
        ("consistency", "restitution 0.7 in place of 0.95", "restitution:0.7"),
        ("consistency", "gravity x 0.8", "gravity:0.8"),
    ),
    "collisions/domino-v1": (
        ("consistency", "gravity x 0.5", "gravity:0.5"),
        ("consistency", "the last block that should fall stays", last_stays),
    ),
    "collisions/walk-round-v1": (
        ("consistency", "masses 2 : 1 in place of 1 : 1", "mass-ratio:2"),
        ("consistency", "restitution 0.5 in place of 0.9", "restitution:0.5"),
    ),
    "occlusion/tunnel-v1": (
        ("consistency", "restitution 0.7 in place of 0.9", altered(deader_wall)),
        ("consistency", "the ball goes through the wall", altered(no_wall)),
        ("permanence", "the ball is gone behind the screen", "return-never:1"),
    ),
    "occlusion/cups-v1": (("permanence", "the other cover", other_cover),),
    "occlusion/dark-v1": (
        ("consistency", "gravity x 0.8", "gravity:0.8"),
        ("consistency", "restitution 0.6 in place of 0.8", altered(dead_ball)),
        ("permanence", "the ball is gone in the dark", "return-never:1"),
    ),
    "occlusion/look-away-v2": (
        ("consistency", "restitution 0.7 in place of 0.9", altered(deader_wall)),
        ("permanence", "the ball is gone when it should be in view again", "return-never:1"),
    ),
    "orbits/scatter-v1": (
        ("consistency", "repulsion x 0.9", "central-mass:0.9"),
        ("consistency", "repulsion as 1 / r", "force-exponent:1"),
    ),
    "orbits/three-body-v1": (
        ("consistency", "attraction x 0.9", "central-mass:0.9"),
        ("consistency", "attraction as 1 / r^3", "force-exponent:3"),
    ),
    "orbits/harmonic-v1": (
        ("consistency", "attraction x 0.9", "central-mass:0.9"),
        ("consistency", "attraction as r^1.5", "force-exponent:1.5"),
    ),
    "orbits/decay-v1": (
        ("consistency", "drag x 0.5", "drag:0.5"),
        ("consistency", "attraction x 0.9", "central-mass:0.9"),
    ),
    "chance/galton-v1": (
        ("consistency", "gravity x 0.8", "gravity:0.8"),
        ("consistency", "restitution 0.4 in place of 0.7", "restitution:0.4"),
    ),
}


def broken_frames(clip: Clip, broken: str | Broken) -> np.ndarray:
    """Predicted frames of a broken law. Raises Inapplicable, or Unseen, where it has nothing to break or to show."""
    if not isinstance(broken, str):
        return broken(clip)
    shown = show(clip, context_frames(clip.spec.width), broken)
    if shown.unseen:
        raise Unseen(shown.unseen)
    return shown.frames


def qualities(clip: Clip, frames: np.ndarray) -> dict[str, float]:
    """Quality on each axis that has one."""
    rows = score_clip(clip, Rollout(clip.id, 0, frames), context_frames(clip.spec.width), SCORERS)[0]
    values = {axis: [row.quality for row in rows if row.axis == axis and row.quality is not None] for axis in AXES}
    return {axis: float(np.mean(each)) for axis, each in values.items() if each}


def measure(task: str, clips: int, px: int, held: dict[str, Any], progress: Progress, law_clips: int) -> dict[str, Any]:
    """The row of a task: ground truth, skill of the baselines, and AUROC of each broken law.

    Args:
        held: The row of as many clips to which laws are added; {}: there is none.
        law_clips: In which each can be broken, at least, before reading ends.
    """
    card = ModelCard("benchmark", (px, px), RATES[px], context_frames(px))
    laws = left_of(task, held)
    read: dict[tuple[str, int], dict[str, float]] = {}
    refused: dict[str, list[str]] = {law: [] for _, law, _ in laws}
    for seed in range(clips):
        if held and all(seed - len(reasons) >= law_clips for reasons in refused.values()):
            progress.advance(clips - seed, note=task)
            break
        clip = make_clip(Row(task, "test", seed), render_spec(px, RATES[px]))
        read["truth", seed] = qualities(clip, clip.future())
        for name in () if held else BASELINES:
            frames = baseline_rollout(name, clip, card).frames
            assert frames is not None, f"{name} answers with frames"
            read[name, seed] = qualities(clip, frames)
        for _, law, broken in laws:
            try:
                frames = broken_frames(clip, broken)
            except Inapplicable as why:
                refused[law].append(str(why))
                continue
            read[law, seed] = qualities(clip, frames)
        progress.advance(note=task)
    table = pd.DataFrame.from_dict(read, orient="index").reindex(columns=list(AXES))
    row = dict(held) if held else {"task": task, "px": px, "clips": clips, **summary(table)}
    found = {each["law"]: each for each in held.get("laws", ())}
    for axis, law, _ in laws:
        found[law] = {"law": law, "axis": axis, **told_apart(table, axis, law), "refused": sorted(set(refused[law]))}
    row["laws"] = [found[law] for _, law, _ in LAWS[task]]
    return row


def left_of(task: str, held: dict[str, Any]) -> list[tuple[str, str, str | Broken]]:
    """Broken laws of a task that a row does not hold."""
    known = {each["law"] for each in held.get("laws", ())}
    return [each for each in LAWS[task] if each[1] not in known]


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """Of ground truth and baselines, from qualities by source and seed."""
    mean = table.groupby(level=0).mean()
    axes = [axis for axis in AXES if kind(mean[axis]["truth"], mean[axis]["freeze"]) == "informative"]
    truth = table.loc["truth", axes].min(axis="columns")
    reach = mean.loc["truth", axes] - mean.loc["freeze", axes]
    return {
        "truth": {"mean": truth.mean(), "worst": truth.min(), "below": int((truth < 0.995).sum())},
        "skill": {name: ((mean.loc[name, axes] - mean.loc["freeze", axes]) / reach).mean() for name in BASELINES},
    }


def told_apart(table: pd.DataFrame, axis: str, law: str) -> dict[str, float]:
    """Quality of a broken law and its AUROC against ground truth, from qualities by source and seed."""
    if law not in table.index.get_level_values(0):
        return {"clips": 0}
    wrong, right = (1 - table.loc[source, axis].dropna() for source in (law, "truth"))
    apart = separation(wrong.to_numpy(), wrong.index.to_numpy(), right.to_numpy(), right.index.to_numpy())
    low, high = apart.interval()
    return {"quality": 1 - wrong.mean(), "auroc": apart.value, "low": low, "high": high, "clips": len(wrong)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help="ids; all without any")
    parser.add_argument("--clips", type=int, default=120, help="clips of test, at least 8 for intervals")
    # 60: the interval of an AUROC of 1 then begins at .95
    parser.add_argument("--law-clips", type=int, default=60, help="clips on which a law that a row lacks is read")
    parser.add_argument("--px", type=int, choices=RATES, default=64, help="side of the pictures")
    parser.add_argument("--out", type=Path, default=Path("docs/figures/full_tasks.json"), help="table to add rows to")
    options = parser.parse_args()
    tasks = options.tasks or list(LAWS)
    if unknown := sorted(set(tasks) - set(LAWS)):
        parser.error(f"no broken law for {', '.join(unknown)}; of {', '.join(LAWS)}")
    kept = json.loads(options.out.read_text()) if options.out.exists() else []
    rows = {(row["task"], row["px"]): row for row in kept}
    left = []
    for task in tasks:
        row = rows.get((task, options.px), {})
        held = row if row.get("clips") == options.clips else {}
        if not held or left_of(task, held):
            left.append((task, held))
    with Progress("clips", options.clips * len(left)) as shown:
        for task, held in left:
            rows[task, options.px] = measure(task, options.clips, options.px, held, shown, options.law_clips)
            ordered = [rows[key] for key in ((name, px) for name in LAWS for px in RATES) if key in rows]
            options.out.write_text(json.dumps(ordered, indent=1, default=float, allow_nan=False) + "\n")
