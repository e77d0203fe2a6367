"""Skill of baselines on tasks of `full` outside `core`, and a broken law of stated size each, told from ground truth.

python benchmarks/full_tasks.py [--tasks PATTERN] [--clips N] [--px 64|128] [--out TABLE]

N clips of test (120) of 64 px at 15 frames/s, or 128 px at 30; a row a task and size. What was read of a clip is kept
in TABLE.parts, a folder for each state of the code: the same command goes on where it was stopped, and more clips are
added to those that were read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.clips.task import match_tasks
from physbench.models.protocol import ModelCard
from physbench.result.skill import kind
from physbench.rollout.store import Rollout
from physbench.run.references import baseline_rollout
from physbench.score.protocol import AXES
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support.progress import Progress
from physbench.tasks.falling import overhang_margin
from physbench.tasks.occlusion import cup_edges
from physbench.validity.measure import MeasuredPart, Settings, append, key, read_parts, reads_of
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
    "falling/overhang-v2": (("consistency", "tips or stays, the other way", other_balance),),
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


def measure(clip: Clip, source: str, broken: str | Broken | None) -> MeasuredPart:
    """What is read of ground truth, a baseline or, with what breaks it, a law."""
    name, context = (clip.row.id, clip.row.task, clip.row.seed, source), context_frames(clip.spec.width)
    if broken is not None:
        try:
            frames = broken_frames(clip, broken)
        except Inapplicable as why:
            return MeasuredPart(*name, "violation", "unseen" if isinstance(why, Unseen) else "refused", str(why))
    elif source == "truth":
        frames = clip.future()
    else:
        card = ModelCard("benchmark", (clip.spec.width, clip.spec.height), clip.spec.fps, context)
        answer = baseline_rollout(source, clip, card).frames
        assert answer is not None, f"{source} answers with frames"
        frames = answer
    rows, _ = score_clip(clip, Rollout(clip.id, 0, frames), context, SCORERS)
    return MeasuredPart(*name, "reference" if broken is None else "violation", "shown", reads=reads_of(rows))


def parts_of(row: Row, px: int, folder: Path) -> list[MeasuredPart]:
    """Parts of a clip: ground truth, baselines and broken laws. Those that `folder` lacks are made and kept there."""
    sources = {**dict.fromkeys(("truth", *BASELINES)), **{law: broken for _, law, broken in LAWS[row.task]}}
    parts, clip = read_parts(folder, row), None
    for source in [each for each in sources if each not in parts]:
        clip = clip or make_clip(row, render_spec(px, RATES[px]))
        parts[source] = measure(clip, source, sources[source])
        append(folder, row, parts[source])
    return [parts[source] for source in sources]


def folder_of_parts(table: Path, px: int) -> Path:
    """Beside a table, by what decides a part: code and libraries, size and rate, and the broken laws of this file."""
    settings = Settings((), (), None, 0, 0, px, RATES[px], context_frames(px))
    content = key(settings, SCORERS).encode() + Path(__file__).read_bytes()
    return table.with_name(f"{table.name}.parts") / hashlib.sha256(content).hexdigest()[:16]


def qualities(part: MeasuredPart) -> dict[str, float]:
    """Quality on each axis that has one."""
    values = {
        axis: [read.quality for read in part.reads if read.axis == axis and read.quality is not None] for axis in AXES
    }
    return {axis: float(np.mean(each)) for axis, each in values.items() if each}


def row_of(task: str, px: int, parts: Sequence[MeasuredPart]) -> dict[str, Any]:
    """The row of a task: ground truth, skill of the baselines, and AUROC of each broken law."""
    read = {(part.source, part.seed): qualities(part) for part in parts if part.outcome == "shown"}
    table = pd.DataFrame.from_dict(read, orient="index").reindex(columns=list(AXES))
    laws = []
    for axis, law, _ in LAWS[task]:
        reasons = sorted({part.reason for part in parts if part.source == law and part.outcome != "shown"})
        laws.append({"law": law, "axis": axis, **told_apart(table, axis, law), "refused": reasons})
    return {"task": task, "px": px, "clips": len({part.seed for part in parts}), **summary(table), "laws": laws}


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
    parser.add_argument("--tasks", default="*", help="ids, families or globs, separated by commas")
    # 60: the interval of an AUROC of 1 then begins at .951; 120: at .975
    parser.add_argument("--clips", type=int, default=120, help="clips of test, at least 8 for intervals")
    parser.add_argument("--px", type=int, choices=RATES, default=64, help="side of the pictures")
    parser.add_argument("--out", type=Path, default=Path("docs/figures/full_tasks.json"), help="table to add rows to")
    options = parser.parse_args()
    tasks = match_tasks(options.tasks, LAWS)
    if unknown := sorted(set(tasks) - set(LAWS)):
        parser.error(f"no broken law for {', '.join(unknown)}; of {', '.join(LAWS)}")
    kept = json.loads(options.out.read_text()) if options.out.exists() else []
    rows = {(row["task"], row["px"]): row for row in kept}
    folder = folder_of_parts(options.out, options.px)
    folder.mkdir(parents=True, exist_ok=True)
    with Progress("clips", options.clips * len(tasks)) as shown:
        for task in tasks:
            parts = []
            for seed in range(options.clips):
                parts += parts_of(Row(task, "test", seed), options.px, folder)
                shown.advance(note=task)
            rows[task, options.px] = row_of(task, options.px, parts)
            ordered = [rows[place] for place in ((name, px) for name in LAWS for px in RATES) if place in rows]
            options.out.write_text(json.dumps(ordered, indent=1, default=float, allow_nan=False) + "\n")
