"""States that models are given and answer with: columns, units, export, pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row, mean_commands
from physbench.clips.generate import frame_times, make_params, make_scene, past_states, scene_with
from physbench.clips.suite import Suite
from physbench.clips.task import CHANGES, find_task
from physbench.models import protocol
from physbench.rollout.store import Rollout
from physbench.support.arrays import Array
from physbench.support.errors import PhysbenchError, UsageError
from physbench.support.files import atomic_path
from physbench.world.bullet import simulate
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import HISTORY, PALETTE, Body, RenderSpec, Scene, wrong_rate
from physbench.world.styles.catalogue import draw

# States in the columns, units and layout of a model's card, and back to 13 columns in SI units.


def to_model(states: Array, card: protocol.StateCard, given: StateInputs) -> Array:
    """States (B, T, N, 13) -> (B, T, N, S), or (B, T, N * S), as the card has them."""
    if card.columns == "all":
        columns = states
    else:
        parts = [_shown(states[..., protocol.PLACE], card, given, moves=False)]
        if card.columns == "positions+velocities":
            parts.append(_shown(states[..., protocol.SPEED], card, given, moves=True))
        columns = np.concatenate(parts, axis=-1) * given.mask[:, None, :, None]
    return columns.reshape(*columns.shape[:2], -1) if card.layout == "flat" else columns


def from_model(answer: Array, card: protocol.StateCard, given: StateInputs, last: Array) -> Array:
    """Answers (B, T, N, S) or positions alone (B, T, N, axes) -> (B, T, N, 13), NaN where a column is unknown.

    last: states (B, N, 13) before the answer. A model of the plane of motion leaves each body at its depth.
    """
    if answer.shape[-1] == len(protocol.STATE_COLUMNS):
        return answer
    states = np.full((*answer.shape[:3], len(protocol.STATE_COLUMNS)), np.nan)
    axes = card.axes
    states[..., protocol.PLACE] = _placed(
        answer[..., :axes], card, given, last[:, None, :, protocol.PLACE], moves=False
    )
    if answer.shape[-1] == 2 * axes:
        still = np.zeros((len(last), 1, last.shape[1], 3))
        states[..., protocol.SPEED] = _placed(answer[..., axes:], card, given, still, moves=True)
    return states


def _shown(vectors: Array, card: protocol.StateCard, given: StateInputs, moves: bool) -> Array:
    """Places or velocities (B, T, N, 3) of the world in the card's space and units (B, T, N, axes)."""
    if card.space == "world":
        return vectors
    index = given.axes[:, None, None, :]
    flat = np.take_along_axis(vectors, np.broadcast_to(index, (*vectors.shape[:3], 2)), axis=-1)
    if card.units == "m":
        return flat
    scale, centre = _image(card, given, moves)
    return (flat - centre) * scale + (0.0 if moves else card.window_px / 2)


def _placed(values: Array, card: protocol.StateCard, given: StateInputs, depth: Array, moves: bool) -> Array:
    """The way back: (B, T, N, axes) -> (B, T, N, 3). depth: (B, 1, N, 3), of which the third axis is used."""
    if card.space == "world":
        return values
    if card.units == "px":
        scale, centre = _image(card, given, moves)
        values = (values - (0.0 if moves else card.window_px / 2)) / scale + centre
    placed = np.array(np.broadcast_to(depth, (*values.shape[:3], 3)))
    index = np.broadcast_to(given.axes[:, None, None, :], values.shape)
    np.put_along_axis(placed, index, values, axis=-1)
    return placed


def _image(card: protocol.StateCard, given: StateInputs, moves: bool) -> tuple[Array, Array]:
    """px per m of both axes (B, 1, 1, 2), y downwards, and the middle of the image (B, 1, 1, 2) m; 0 for velocities."""
    scale = np.array([1.0, -1.0]) * (card.window_px / given.window)[:, None, None, None]
    centre = given.center[:, None, None, :]
    return scale, np.zeros_like(centre) if moves else centre


def completed(states: Array, before: Array) -> Array:
    """States (T, N, 13) with unknown turns and spins as they were `before` (N, 13); for a context and for pictures."""
    return np.where(np.isnan(states), before, states)


# What a model of states is given of clips: states of the context, constants that it may know, what stands still.
#
# A constant that depends on a `revealed` or `free` parameter of the task is NaN: a context must reveal it.

MOST_ROWS = len(PALETTE)  # coloured bodies of a scene: no two have one hue
NO_SHAPE = -1.0  # of a row of statics that a clip does not have
Constants = tuple[Array, Array, Array]  # of bodies, of statics, gravity


@dataclass(frozen=True, eq=False)
class StateInputs:
    """A batch of B clips, N rows, M statics; SI units, in the world."""

    states: Array  # (B, C, N, 13)
    bodies: Array  # (B, N, len(BODY_COLUMNS))
    statics: Array  # (B, M, len(STATIC_COLUMNS))
    mask: NDArray[np.bool_]  # (B, N)
    many: NDArray[np.intp]  # (B,) bodies of a clip, which may be more than N
    gravity: Array  # (B, 3)
    actions: Array | None  # (B, C + horizon, N, 3)
    axes: NDArray[np.intp]  # (B, 2) of the world, that span the plane of motion
    center: Array  # (B, 2) m, the middle of the window in that plane
    window: Array  # (B,) m, its side

    def select(self, rows: Sequence[int]) -> StateInputs:
        """The same for some of the clips."""
        chosen = list(rows)
        parts: dict[str, Any] = {name: None if value is None else value[chosen] for name, value in vars(self).items()}
        return StateInputs(**parts)


def state_inputs(clips: Sequence[Clip], card: protocol.StateCard) -> StateInputs:
    """Inputs of a model from clips of one horizon; of a clip with more bodies than rows the first ones."""
    many = np.array([len(clip.tracked) for clip in clips])
    rows = card.bodies or int(many.max())
    constants = [known_constants(clip.row, clip.scene) for clip in clips]
    statics = max(len(each) for _, each, _ in constants)
    camera = [clip.scene.camera for clip in clips]
    axes = np.array([PLANE_AXES[each.view] for each in camera], dtype=np.intp)
    return StateInputs(
        states=np.stack([_padded(context_states(clip, card), rows, axis=1) for clip in clips]),
        bodies=np.stack([_padded(bodies, rows) for bodies, _, _ in constants]),
        statics=np.stack([_padded_statics(fixed, statics) for _, fixed, _ in constants]),
        mask=np.arange(rows) < many[:, None],
        many=many,
        gravity=np.stack([gravity for _, _, gravity in constants]),
        actions=state_actions(clips, card, rows),
        axes=axes,
        center=np.stack([np.asarray(each.center)[list(pair)] for each, pair in zip(camera, axes, strict=True)]),
        window=np.array([each.width for each in camera]),
    )


def context_states(clip: Clip, card: protocol.StateCard) -> Array:
    """States (C, K, 13) of the coloured bodies; where C reaches further back than the history, with `past_states`.

    Where there are none, the first is repeated.
    """
    since = clip.handover + 1 - min(card.context_frames, card.history_frames)
    states = clip.states[since : clip.handover + 1, list(clip.tracked)]
    missing = card.context_frames - len(states)
    if not missing:
        return states
    past = past_states(clip, missing)
    before = np.repeat(states[:1], missing, axis=0) if past is None else past[:, list(clip.tracked)]
    return np.concatenate([before, states])


def state_actions(clips: Sequence[Clip], card: protocol.StateCard, rows: int) -> Array | None:
    """Impulses (B, C + horizon, N, 3) in N s, zeros for clips without; None where none has any, or none are used.

    Of a driven body the velocities in m/s that it is told, of one with a thruster its forces in N.
    """
    scenes = [clip.scene for clip in clips]
    unpushed = [bool(clip.row.change) and CHANGES[clip.row.change].by_actions for clip in clips]
    shown = any(unpushed) or any(scene.impulses or scene.actuators for scene in scenes)
    if not card.uses_actions or not shown:
        return None
    table = np.zeros((len(clips), card.context_frames + clips[0].horizon, rows, 3))
    for own, clip in zip(table, clips, strict=True):
        start = clip.handover + 1 - card.context_frames
        for push in clip.scene.impulses:
            row = int(np.searchsorted(clip.times, push.time + 1e-9, side="right")) - start
            index = clip.scene.index(push.body)
            if 0 <= row < len(own) and index in clip.tracked[:rows]:
                own[row, clip.tracked.index(index)] = push.impulse
        for actuator in clip.scene.actuators:
            if (index := clip.scene.index(actuator.body)) in clip.tracked[:rows]:
                commands = mean_commands(actuator, clip.times)[max(start, 0) :]
                own[-len(commands) :, clip.tracked.index(index)] = commands
    return table


@lru_cache(maxsize=4096)
def known_constants(row: Row, scene: Scene) -> Constants:
    """Constants of the coloured bodies (K, ..), of the statics (M, ..) and gravity (3,); NaN where they are hidden."""
    constants = scene_constants(scene)
    try:
        task, own = find_task(row.task), make_params(row)
    except PhysbenchError:  # a scene without a task hides nothing
        return constants
    for name, parameter in task.parameters.items():
        if parameter.kind not in ("revealed", "free") and name not in scene.free:
            continue
        for value in parameter.range(row.split):
            other = scene_constants(scene_with(row, {**own, name: value}))
            for mine, theirs in zip(constants, other, strict=True):
                if mine.shape == theirs.shape:
                    mine[~np.isclose(mine, theirs, rtol=1e-9, atol=1e-12, equal_nan=True)] = np.nan
    return constants


def scene_constants(scene: Scene) -> Constants:
    """All constants of a scene; of places only those of what stands still."""
    pull = {field.source: field.mu for field in scene.central}
    bodies = [_body_row(scene.bodies[index], pull) for index in scene.tracked]
    statics = [
        _static_row(body)
        for body in scene.bodies
        if body.hue is None and body.role != "moving" and body.collides and body.until is None
    ]
    return (
        np.array(bodies, dtype=np.float64).reshape(-1, len(protocol.BODY_COLUMNS)),
        np.array(statics, dtype=np.float64).reshape(-1, len(protocol.STATIC_COLUMNS)),
        np.array(scene.gravity, dtype=np.float64),
    )


def _shape(body: Body) -> list[float]:
    """Number of the shape and its sizes, padded with zeros."""
    sizes = [*body.size, *[0.0] * (len(protocol.SIZES) - len(body.size))]
    if body.bore:
        sizes[2] = body.bore * body.size[0]
    return [float(protocol.SHAPE_NUMBERS.index(body.shape)), *sizes]


def _body_row(body: Body, pull: dict[str, float]) -> list[float]:
    moves = body.role == "moving"
    release = -HISTORY if body.release is None else body.release  # a holder that vanishes shows it
    return [
        *_shape(body),
        body.mass if moves else 0.0,
        body.friction,
        body.restitution,
        pull.get(body.name, 0.0),
        release,
        float(moves),
    ]


def _static_row(body: Body) -> list[float]:
    return [*_shape(body), *body.position, *body.orientation, body.friction, body.restitution]


def _padded(values: Array, rows: int, axis: int = 0) -> Array:
    """Exactly so many rows along an axis: zeros are added, or what is too much is left out."""
    kept = values.take(range(min(rows, values.shape[axis])), axis)
    width = [(0, rows - kept.shape[axis]) if each == axis else (0, 0) for each in range(values.ndim)]
    return np.pad(kept, width)


def _padded_statics(values: Array, rows: int) -> Array:
    padded = _padded(values, rows)
    padded[len(values) :, protocol.STATIC_COLUMNS.index("shape")] = NO_SHAPE
    return padded


# Writes what models of states are given of a suite as Parquet files, for training and for models that run elsewhere.
#
# - `clips.parquet`: a row a clip: its id, task, split, seed, states_per_s, horizon (states to predict), view, gravity,
#   prompt.
# - `states.parquet`: a row a moment and body of the context: clip, time_s, body, STATE_COLUMNS.
# - `bodies.parquet`: a row a body: clip, body, BODY_COLUMNS.
# - `statics.parquet`: a row a fixed body: clip, STATIC_COLUMNS.
#
# No future, and no constant that a context must reveal: those are null.

Table = list[dict[str, Any]]


def check_state_export(fps: float, context: int, noise: float) -> None:
    """Raise UsageError, with values that work, where states cannot be exported so."""
    if wrong := wrong_rate(fps):
        raise UsageError(f"--fps: {wrong}")
    most = int(HISTORY * fps + 1e-9) + 1
    if not 1 <= context <= most:
        raise UsageError(f"--context: expected 1 to {most} states ({HISTORY:g} s at {fps:g} a second), got {context}.")
    if not 0 <= noise <= 1:
        raise UsageError(f"--state-noise: expected 0 to 1 m, got {noise:g}.")


def export_states(
    suite: Suite, fps: float, context: int, folder: Path, *, noise: float = 0.0, done: Callable[[], None] = lambda: None
) -> list[Path]:
    """Write the tables of a suite into a folder and return their files; `done` is called after each clip.

    noise: sd of every coordinate of a position in m, and of a velocity in m/s; the same for a clip each time.
    """
    tables: dict[str, Table] = {name: [] for name in ("clips", "states", "bodies", "statics")}
    for row in suite.rows:
        for name, rows in clip_tables(row, fps, context, noise).items():
            tables[name] += rows
        done()
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / f"{name}.parquet", rows) for name, rows in tables.items()]


def clip_tables(row: Row, fps: float, context: int, noise: float) -> dict[str, Table]:
    """The rows of one clip in every table."""
    scene = make_scene(row)
    times = frame_times(scene, RenderSpec(*protocol.VIEW, float(fps)))
    since = int(np.argmin(np.abs(times))) + 1 - context
    shown_times = times[since : since + context]
    states = simulate(scene, shown_times).states[:, list(scene.tracked)]
    # Add noise to positions and velocities (T, K, 13), in place.
    seed = int.from_bytes(hashlib.sha256(f"state noise|{row.unchanged.id}".encode()).digest()[:8], "little")
    draw = np.random.default_rng(seed).normal(0.0, 1.0, (*states.shape[:2], 6))
    states[..., protocol.PLACE] += noise * draw[..., :3]
    states[..., protocol.SPEED] += noise * draw[..., 3:]
    names = [scene.bodies[index].name for index in scene.tracked]
    bodies, statics, gravity = known_constants(row, scene)
    pull = dict(zip(("gravity_x", "gravity_y", "gravity_z"), _known(gravity), strict=True))
    about = {"clip": row.id, "task": row.task, "split": row.split, "seed": row.seed, "states_per_s": float(fps)}
    about |= {"horizon": int((times > 1e-9).sum()), "view": scene.camera.view, **pull, "prompt": scene.prompt}
    return {
        "clips": [about],
        "states": [
            {"clip": row.id, "time_s": float(time), "body": name, **_named(protocol.STATE_COLUMNS, state)}
            for time, moment in zip(shown_times, states, strict=True)
            for name, state in zip(names, moment, strict=True)
        ],
        "bodies": [
            {"clip": row.id, "body": n, **_named(protocol.BODY_COLUMNS, b)} for n, b in zip(names, bodies, strict=True)
        ],
        "statics": [{"clip": row.id, **_named(protocol.STATIC_COLUMNS, fixed)} for fixed in statics],
    }


def _named(columns: Sequence[str], values: NDArray[np.float64]) -> dict[str, float | None]:
    return dict(zip(columns, _known(values), strict=True))


def _known(values: NDArray[np.float64]) -> list[float | None]:
    """Values for a table; null where they are hidden."""
    return [None if np.isnan(value) else float(value) for value in values]


def _write(path: Path, rows: Table) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    nothing = {
        name: pa.array([], pa.float64()) for name in ("clip", *protocol.STATIC_COLUMNS)
    }  # no clip has anything fixed
    table = pa.Table.from_pylist(rows) if rows else pa.table(nothing)
    with atomic_path(path) as draft:
        pq.write_table(table, draft, compression="zstd")
    return path


def draw_states(clip: Clip, states: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) of states (T, K, 13) after the hand-over; all other bodies are where they truly are."""
    ahead = slice(clip.handover + 1, clip.handover + 1 + len(states))
    every = clip.states[ahead].copy()
    before = clip.states[clip.handover, list(clip.tracked)]
    every[:, list(clip.tracked)] = completed(states, before)[: len(every)]
    farthest_drawn = 1e3  # m; what is drawn beyond it would overflow
    every[..., :3] = np.clip(every[..., :3], -farthest_drawn, farthest_drawn)
    turn = every[..., 3:7]
    length = np.linalg.norm(turn, axis=-1, keepdims=True)
    whole = np.isfinite(length) & (length > 1e-9)
    every[..., 3:7] = np.where(whole, turn / np.where(whole, length, 1.0), [0.0, 0.0, 0.0, 1.0])
    if not len(every):
        return clip.future()[:0]
    return draw(clip.scene, clip.times[ahead], every, clip.spec).frames


def shown_frames(clip: Clip, rollout: Rollout) -> NDArray[np.uint8]:
    """The frames of a rollout, drawn where it has states."""
    return rollout.frames if rollout.states is None else draw_states(clip, rollout.states)
