"""Violations, styles and cheats that the project was not tuned on: what scorers read of them on fresh clips.

    python benchmarks/attack.py [--clips 8] [--first 70000] [--size 64] [--fps 15] [--context 8] [--tasks GLOB]
                                [--kinds violation,style,cheat] [--kept FILE] [--table] [--by-task]

None of these futures is one of `physbench scorers check` or of `tests/picture_styles.py`, and nothing in the project
may be tuned on them: where one is mended, another takes its place. Sizes were set before the first run.

Printed, with 95 % intervals: of violations the AUROC of each axis against ground truth, mean over tasks, and of the
axis that tells best in each task (chosen after the fact); of styles what they cost true clips as skill; of cheats their
overall skill beside that of constant velocity on the same clips. --table prints it as Markdown.

With --by-task the best axis of each violation, and the quality of each style, in every task where it is not 1.00.

--kept keeps the qualities of each video, a line each, and goes on from there; they hold for one state of the sources.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pandas as pd
from scipy.ndimage import map_coordinates
from style_cost import headline_rows, keep, kept_rows

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_scene
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.result.bootstrap import estimate
from physbench.result.task_roles import kinds_of
from physbench.score.protocol import AXES
from physbench.support.arrays import Array, Image
from physbench.support.progress import Progress
from physbench.track.visibility import moving, truth_visible
from physbench.validity.gaming_baselines import drop, hide, moving_bodies, stay, straight, turn
from physbench.validity.lawful_alternatives import ahead, frames_of
from physbench.validity.table import Separation, mean_of, separation
from physbench.validity.violations import LEAST_EFFECT, Inapplicable
from physbench.world.bullet import simulate
from physbench.world.camera import PLANE_AXES
from physbench.world.geometry import gap
from physbench.world.scene import RenderSpec

REFERENCES = ("truth", "freeze", "constant-velocity")
TRAINING_CLIPS = 80  # of each task, for the look-up

# Violations: of the true states (T, N, 13) after the hand-over. One body that is seen and moves is drawn from the
# clip's id, and a frame in the first 10 to 40 % of the horizon in which it begins.


def _event(clip: Clip, context: int) -> tuple[int, int]:
    """Index of a body and of a predicted frame (at least 1) that show what a violation does."""
    draw = np.random.default_rng(zlib.crc32(clip.id.encode()))
    seen = truth_visible(clip, context)[context:] & moving(clip)
    first, last = max(clip.horizon // 10, 1), max(2 * clip.horizon // 5, 2)
    choices = np.argwhere(seen[first:last])
    if not len(choices):
        raise Inapplicable("no moving body is in view early on")
    frame, body = choices[draw.integers(len(choices))]
    return clip.tracked[body], int(frame) + first


def swerve(clip: Clip, context: int) -> Array:
    """The way of one body turns by 15 degrees a second, as if a force acted from aside."""
    body, start = _event(clip, context)
    states, (a, b) = clip.states[clip.handover + 1 :].copy(), PLANE_AXES[clip.scene.camera.view]
    away = states[start:, body][:, [a, b]] - states[start, body, [a, b]]
    angle = np.radians(15) * (ahead(clip)[start:] - ahead(clip)[start])
    states[start:, body, a] = states[start, body, a] + np.cos(angle) * away[:, 0] - np.sin(angle) * away[:, 1]
    states[start:, body, b] = states[start, body, b] + np.sin(angle) * away[:, 0] + np.cos(angle) * away[:, 1]
    return states


def weave(clip: Clip, context: int) -> Array:
    """One body swings by 0.15 diameters about its way, 1.5 times a second."""
    body, start = _event(clip, context)
    states, (a, b) = clip.states[clip.handover + 1 :].copy(), PLANE_AXES[clip.scene.camera.view]
    velocity = states[start, body, [7 + a, 7 + b]]
    aside = np.array([-velocity[1], velocity[0]]) / max(float(np.linalg.norm(velocity)), 1e-9)
    size = 0.15 * clip.diameters()[clip.handover, clip.tracked.index(body)]
    swing = size * np.sin(2 * np.pi * 1.5 * (ahead(clip)[start:] - ahead(clip)[start]))
    states[start:, body, [a, b]] += swing[:, None] * aside
    return states


def lag(clip: Clip, context: int) -> Array:
    """One body waits for 0.2 s and then runs that much behind the others."""
    body, start = _event(clip, context)
    states = clip.states[clip.handover + 1 :].copy()
    wait = round(0.2 * clip.spec.fps)
    behind = np.maximum(np.arange(len(states)) - wait, np.minimum(np.arange(len(states)), start))
    states[:, body] = states[behind, body]
    return states


def turn_back(clip: Clip, context: int) -> Array:
    """One body turns back in mid-way, as from a wall that nobody sees."""
    body, start = _event(clip, context)
    states, axis = clip.states[clip.handover + 1 :].copy(), PLANE_AXES[clip.scene.camera.view][0]
    states[start:, body, axis] = 2 * states[start, body, axis] - states[start:, body, axis]
    return states


def all_jump(clip: Clip, context: int) -> Array:
    """All that moves jumps aside by 0.3 diameters, together."""
    _, start = _event(clip, context)
    states, axis = clip.states[clip.handover + 1 :].copy(), PLANE_AXES[clip.scene.camera.view][0]
    for body in moving_bodies(clip):
        states[start:, body, axis] += 0.3 * clip.diameters()[clip.handover, clip.tracked.index(body)]
    return states


def sink(clip: Clip, context: int) -> Array:
    """All that moves sinks by a tenth of a diameter a second, through what carries it."""
    if clip.scene.camera.view != "front" or not any(clip.scene.gravity):
        raise Inapplicable("nothing carries anything in view: it would only begin faster")
    states, axis = clip.states[clip.handover + 1 :].copy(), PLANE_AXES[clip.scene.camera.view][1]
    for body in moving_bodies(clip):
        states[:, body, axis] -= 0.1 * clip.diameters()[clip.handover, clip.tracked.index(body)] * ahead(clip)
    return states


VIOLATIONS: dict[str, Callable[[Clip, int], Array]] = {
    each.__name__.replace("_", "-"): each for each in (swerve, weave, lag, turn_back, all_jump, sink)
}


def least_effect(clip: Clip, context: int, states: Array) -> None:
    """Raise Inapplicable where no body is moved by LEAST_EFFECT diameters while it is in view."""
    axes = list(PLANE_AXES[clip.scene.camera.view])
    off = (states - clip.states[clip.handover + 1 :])[:, list(clip.tracked)][:, :, axes]
    shown = truth_visible(clip, context)[context:] & moving(clip)
    far = np.linalg.norm(off, axis=-1) / np.maximum(clip.diameters()[clip.handover + 1 :], 1e-9)
    if far[shown].max(initial=0.0) < LEAST_EFFECT:
        raise Inapplicable("it moves nothing that is in view")


# Styles: of all frames (T, H, W, 3) in 0..255.


def _radius(frames: Array) -> tuple[Array, Array, Array]:
    """Rows and columns (H, W) from the middle, in half heights, and their distance."""
    height, width = frames.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    y, x = (rows - (height - 1) / 2) / (height / 2), (columns - (width - 1) / 2) / (height / 2)
    return y, x, np.hypot(y, x)


def vignette(frames: Array) -> Array:
    """Corners are 30 % darker."""
    return frames * (1 - 0.15 * _radius(frames)[2] ** 2)[None, :, :, None]


def fringe(frames: Array) -> Array:
    """Red and blue lie half a pixel apart."""
    shifted = frames.copy()
    shifted[:, :, 1:, 0] = 0.75 * frames[:, :, 1:, 0] + 0.25 * frames[:, :, :-1, 0]
    shifted[:, :, :-1, 2] = 0.75 * frames[:, :, :-1, 2] + 0.25 * frames[:, :, 1:, 2]
    return shifted


def posterise(frames: Array) -> Array:
    """Sixteen levels a channel."""
    return np.floor(frames / 16) * 16 + 7.5


def gamma(frames: Array) -> Array:
    """Middle tones are darker, by a gamma of 1.3."""
    return 255 * (frames / 255) ** 1.3


def scan_lines(frames: Array) -> Array:
    """Every second row is 10 % darker."""
    darker = frames.copy()
    darker[:, ::2] *= 0.9
    return darker


def lens(frames: Array) -> Array:
    """A barrel: what is at the middle of an edge lies 2 % of the half height further in."""
    y, x, radius = _radius(frames)
    further = (1 + 0.02 * radius**2) * frames.shape[1] / 2
    at = [y * further + (frames.shape[1] - 1) / 2, x * further + (frames.shape[2] - 1) / 2]
    return np.stack(
        [
            np.stack([map_coordinates(frame[..., c], at, order=1, mode="nearest") for c in range(3)], axis=-1)
            for frame in frames
        ]
    )


STYLES: dict[str, Callable[[Array], Array]] = {
    each.__name__.replace("_", "-"): each for each in (vignette, fringe, posterise, gamma, scan_lines, lens)
}

# Cheats: of states (N, 13) at the hand-over to states (T, N, 13).


def soft_stop(clip: Clip) -> Array:
    """Everything slows down, by a factor e each second."""
    return straight(clip, clip.states[clip.handover], 1 - np.exp(-ahead(clip)))


def half_speed(clip: Clip) -> Array:
    """Everything goes straight on at half its speed."""
    return straight(clip, clip.states[clip.handover], ahead(clip) / 2)


def edge_bounce(clip: Clip) -> Array:
    """Everything goes straight on and turns back at the border of the picture."""
    states, camera = straight(clip, clip.states[clip.handover], ahead(clip)), clip.scene.camera
    height = camera.width * clip.spec.height / clip.spec.width
    for axis, extent in zip(PLANE_AXES[camera.view], (camera.width, height), strict=True):
        low = camera.center[axis] - extent / 2
        for body in moving_bodies(clip):
            along = np.mod(states[:, body, axis] - low, 2 * extent)
            states[:, body, axis] = low + np.minimum(along, 2 * extent - along)
    return states


def stop_at_contact(clip: Clip) -> Array:
    """Everything goes straight on until it meets something, and stays there."""
    states, bodies = straight(clip, clip.states[clip.handover], ahead(clip)), clip.scene.bodies
    for i in moving_bodies(clip):
        others = [j for j, body in enumerate(bodies) if j != i and body.collides]
        now = clip.states[clip.handover]
        for j in others:
            before = float(gap(bodies[i], now[i, :3], bodies[j], now[j, :3]))
            later = gap(bodies[i], states[:, i, :3], bodies[j], states[:, j, :3])
            met = np.flatnonzero(later < min(before, 0.0) - 1e-3)
            if len(met):
                states[met[0] :, i] = states[max(met[0] - 1, 0), i]
    return states


def rules(clip: Clip) -> Array:
    """By what is seen: turn where something pulls to a centre, stop behind screens, fall where it is free, or go on."""
    start, times = clip.states[clip.handover], ahead(clip)
    if clip.scene.fields:
        return turn(clip, start, times)
    hidden = hide(clip, start, times)
    if not np.array_equal(hidden, straight(clip, start, times)):
        return hidden
    still = np.linalg.norm(start[moving_bodies(clip), 7:10], axis=1).max(initial=0.0) < 0.05  # m/s
    if still:
        return stay(clip, start, times)
    rolls = np.abs(start[moving_bodies(clip), 9]).max(initial=0.0) < 0.02 and clip.scene.camera.view == "front"
    if clip.scene.camera.view == "front" and any(clip.scene.gravity) and not rolls:
        return drop(clip, start, times)
    return straight(clip, start, times)


@cache
def _training(task: str, times: tuple[float, ...]) -> list[tuple[Array, Array]]:
    """Plane states at the hand-over (K, 4) and ways since then (T, K, 2) of the moving bodies of training clips."""
    found = []
    for seed in range(TRAINING_CLIPS):
        scene = make_scene(Row(task, "train", seed))
        states = simulate(scene, [0.0, *times]).states
        axes = list(PLANE_AXES[scene.camera.view])
        bodies = [i for i in scene.tracked if scene.bodies[i].role == "moving"]
        flat = states[:, bodies][:, :, [*axes, *(7 + axis for axis in axes)]]
        found.append((flat[0], flat[1:, :, :2] - flat[0, :, :2]))
    return found


def look_up(clip: Clip) -> Array:
    """Everything moves as in the nearest of 80 training clips of the task, velocity counted over half a second."""
    states = np.repeat(clip.states[clip.handover][None], clip.horizon, axis=0)
    bodies, axes = moving_bodies(clip), list(PLANE_AXES[clip.scene.camera.view])
    own = states[0, bodies][:, [*axes, *(7 + axis for axis in axes)]]
    known = [each for each in _training(clip.row.task, tuple(ahead(clip))) if each[0].shape == own.shape]
    if not known:
        raise Inapplicable("no training clip has as many bodies")
    weights = np.array([1, 1, 0.5, 0.5])
    nearest = min(known, key=lambda each: float(np.abs((each[0] - own) * weights).sum()))
    for k, axis in enumerate(axes):
        states[:, bodies, axis] += nearest[1][..., k]
    return states


CHEATS: dict[str, Callable[[Clip], Array]] = {
    each.__name__.replace("_", "-"): each
    for each in (soft_stop, half_speed, edge_bounce, stop_at_contact, rules, look_up)
}
KINDS = {"violation": VIOLATIONS, "style": STYLES, "cheat": CHEATS}


def future(clip: Clip, context: int, name: str) -> Image:
    """Frames (T, H, W, 3) of one of the futures. Raises Inapplicable where it has nothing to do."""
    if name == "truth":
        return clip.future()
    if name == "freeze":
        return np.repeat(clip.frames[clip.handover][None], clip.horizon, axis=0)
    if name == "constant-velocity":
        return frames_of(clip, straight(clip, clip.states[clip.handover], ahead(clip)))
    if name in STYLES:
        styled = STYLES[name](clip.future().astype(np.float64))
        return np.clip(np.rint(styled), 0, 255).astype(np.uint8)
    if name in CHEATS:
        return frames_of(clip, CHEATS[name](clip))
    states = VIOLATIONS[name](clip, context)
    least_effect(clip, context, states)
    return frames_of(clip, states)


def setting(spec: RenderSpec, context: int) -> str:
    """Size, rate and context of a video: what kept rows must have in common."""
    return f"{spec}, context {context}"


def measured(options: argparse.Namespace, names: list[str], spec: RenderSpec) -> pd.DataFrame:
    """Qualities of all videos, those that are kept included."""
    about = setting(spec, options.context)
    rows = [row for row in kept_rows(options.kept) if row["setting"] == about]
    known, store = {(row["clip"], row["source"]) for row in rows}, ClipStore()
    tasks = fnmatch.filter(sorted({row.task for row in find_suite("core").rows}), f"*{options.tasks}*")
    wanted = [Row(task, "test", options.first + k) for k in range(options.clips) for task in tasks]
    with Progress("clips", len(wanted)) as progress:
        for row in wanted:
            clip = None
            for name in (*REFERENCES, *names):
                if (row.id, name) in known:
                    continue
                clip = clip or store.get(row, spec)
                try:
                    read = headline_rows(clip, future(clip, options.context, name), options.context)
                except Inapplicable:
                    continue
                found = [{"setting": about, "source": name, **each} for each in read]
                rows += found
                keep(options.kept, found)
            progress.advance(1)
    table, clips = pd.DataFrame(rows), {row.id for row in wanted}
    return table[table["clip"].isin(clips) & table["source"].isin([*REFERENCES, *names])]


def told_apart(table: pd.DataFrame, name: str) -> list[Separation]:
    """AUROC of a violation against ground truth by axis, mean over tasks, then of the best axis of each task."""
    by_task: dict[str, list[Separation]] = {}
    for task, part in table[table["source"].isin([name, "truth"])].groupby("task"):
        if name not in set(part["source"]):
            continue
        for axis in AXES:
            own = part[(part["axis"] == axis) & part["quality"].notna()]
            sides = [own[own["source"] == source] for source in (name, "truth")]
            values = [(-side["quality"].to_numpy(float), side["seed"].to_numpy(int)) for side in sides]
            by_task.setdefault(str(task), []).append(separation(*values[0], *values[1]))
    axes = [mean_of([each[k] for each in by_task.values()]) for k in range(len(AXES))]
    known = [[one for one in each if np.isfinite(one.value)] for each in by_task.values()]
    return [*axes, mean_of([max(each, key=lambda one: one.value) for each in known if each])]


def weak_tasks(table: pd.DataFrame, name: str) -> Iterator[str]:
    """Tasks in which no axis tells a violation perfectly, or a style costs consistency, with the figure."""
    for task, part in table[table["source"].isin([name, "truth"])].groupby("task"):
        if name in VIOLATIONS and name in set(part["source"]):
            value = told_apart(part, name)[-1].value
        else:
            value = part.loc[(part["source"] == name) & (part["axis"] == "consistency"), "quality"].mean()
        if value < 0.995:
            yield f"{str(task).split('/')[1]} {value:.2f}"


def skill(
    table: pd.DataFrame, name: str, options: argparse.Namespace, spec: RenderSpec
) -> dict[str, tuple[float, ...]]:
    """Skill of a source overall and on each axis, each with the ends of its interval, and its lead (see below).

    The lead is that over constant velocity on the same clips.
    """
    own = table[table["source"] == name]
    parts = {source: table[(table["source"] == source) & table["clip"].isin(own["clip"])] for source in REFERENCES}
    fixed = kinds_of(find_suite("core").version, spec, options.context)
    found = estimate({"model": own, **{k: parts[k] for k in ("constant-velocity", "truth", "freeze")}}, fixed=fixed)
    made, other = found.draws
    values = {"overall": made.overall, **{axis: made.axis[:, k] for k, axis in enumerate(AXES)}}
    triples = {key: (float(draws[0]), *found.resampled.interval(draws)) for key, draws in values.items()}
    lead = (float(made.overall[0] - other.overall[0]), *found.resampled.interval(made.overall, other.overall))
    return triples | {"lead": lead}


def cell(value: float, low: float, high: float) -> str:
    """A number with its interval."""
    return f"{value:.2f}" if np.isnan(low) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def lines(table: pd.DataFrame, options: argparse.Namespace, spec: RenderSpec) -> Iterator[list[list[str]]]:
    """Rows of cells of each kind, the head first."""
    for kind, futures in KINDS.items():
        present = [name for name in futures if name in set(table["source"])]
        if not present:
            continue
        if kind == "violation":
            rows = [[kind, "clips", *AXES, "best axis"]]
            for name in present:
                clips = table.loc[table["source"] == name, "clip"].nunique()
                each = [cell(part.value, *part.interval()) for part in told_apart(table, name)]
                rows.append([f"`{name}`", str(clips), *each])
        else:
            last = "cost overall" if kind == "style" else "above constant velocity"
            rows = [[kind, "clips", *AXES, "overall", last]]
            for name in present:
                clips = table.loc[table["source"] == name, "clip"].nunique()
                found = skill(table, name, options, spec)
                value, low, high = found["overall"]
                end = (1 - value, 1 - high, 1 - low) if kind == "style" else found["lead"]
                rows.append([f"`{name}`", str(clips), *(cell(*found[key]) for key in (*AXES, "overall")), cell(*end)])
        if options.by_task and kind != "cheat":
            rows[0].append("below 1.00 in")
            for name, row in zip(present, rows[1:], strict=True):
                row.append(", ".join(weak_tasks(table, name)))
        yield rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8, help="of each task")
    parser.add_argument("--first", type=int, default=70_000, help="seed of the first clip")
    parser.add_argument("--tasks", default="*")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--context", type=int, default=8, help="frames")
    parser.add_argument("--kept", help="file of qualities to go on from")
    parser.add_argument("--by-task", action="store_true", help="name the tasks that are not told, or cost consistency")
    parser.add_argument("--table", action="store_true", help="as Markdown")
    options = parser.parse_args()
    unknown = set(options.kinds.split(",")) - set(KINDS)
    if unknown:
        sys.exit(f"--kinds: there are {', '.join(KINDS)}, and no {', '.join(sorted(unknown))}.")
    names = [name for kind in options.kinds.split(",") for name in KINDS[kind]]
    spec = RenderSpec(options.size, options.size, options.fps)
    table = measured(options, names, spec)
    for rows in lines(table, options, spec):
        if options.table:
            rows.insert(1, ["---"] * len(rows[0]))
            print("\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n")
        else:
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
            print()


if __name__ == "__main__":
    main()
