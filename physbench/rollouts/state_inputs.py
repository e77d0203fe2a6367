"""What a model of states is given of clips: states of the context, constants that it may know, what stands still.

A constant that depends on a `revealed` or `free` parameter of the task is NaN: a context must reveal it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.state_card import BODY_COLUMNS, SHAPE_NUMBERS, SIZES, STATIC_COLUMNS, StateCard
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_params, scene_with
from physbench.clips.scene_changes import CHANGES
from physbench.clips.task import find_task
from physbench.errors import PhysbenchError
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import HISTORY, PALETTE, Body, Scene

Array = NDArray[np.float64]

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


def state_inputs(clips: Sequence[Clip], card: StateCard) -> StateInputs:
    """What a model is given of clips of one horizon; of a clip with more bodies than rows the first ones."""
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


def context_states(clip: Clip, card: StateCard) -> Array:
    """States (C, K, 13) of the coloured bodies; the first is repeated where C reaches further back than the history."""
    since = clip.handover + 1 - min(card.context_frames, card.history_frames)
    states = clip.states[since : clip.handover + 1, list(clip.tracked)]
    missing = card.context_frames - len(states)
    return np.concatenate([np.repeat(states[:1], missing, axis=0), states]) if missing else states


def state_actions(clips: Sequence[Clip], card: StateCard, rows: int) -> Array | None:
    """Impulses (B, C + horizon, N, 3) in N s, zeros for clips without; None where none has any, or none are used."""
    shown = any(clip.scene.impulses or (clip.row.change and CHANGES[clip.row.change].by_actions) for clip in clips)
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
    return table


@lru_cache(maxsize=4096)
def known_constants(row: Row, scene: Scene) -> Constants:
    """Constants of the coloured bodies (K, ..), of the statics (M, ..) and gravity (3,); NaN where they are hidden."""
    found = scene_constants(scene)
    try:
        task, own = find_task(row.task), make_params(row)
    except PhysbenchError:  # a scene without a task hides nothing
        return found
    for name, parameter in task.parameters.items():
        if parameter.kind not in ("revealed", "free") and name not in scene.free:
            continue
        for value in parameter.range(row.split):
            other = scene_constants(scene_with(row, {**own, name: value}))
            for mine, theirs in zip(found, other, strict=True):
                if mine.shape == theirs.shape:
                    mine[~np.isclose(mine, theirs, rtol=1e-9, atol=1e-12, equal_nan=True)] = np.nan
    return found


def scene_constants(scene: Scene) -> Constants:
    """All constants of a scene; of places only those of what stands still."""
    pull = {field.source: field.mu for field in scene.fields}
    bodies = [_body_row(scene.bodies[index], pull) for index in scene.tracked]
    statics = [
        _static_row(body)
        for body in scene.bodies
        if body.hue is None and body.role != "moving" and body.collides and body.until is None
    ]
    return (
        np.array(bodies, dtype=np.float64).reshape(-1, len(BODY_COLUMNS)),
        np.array(statics, dtype=np.float64).reshape(-1, len(STATIC_COLUMNS)),
        np.array(scene.gravity, dtype=np.float64),
    )


def _shape(body: Body) -> list[float]:
    """Number of the shape and its sizes, padded with zeros."""
    return [float(SHAPE_NUMBERS.index(body.shape)), *body.size, *[0.0] * (len(SIZES) - len(body.size))]


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
    padded[len(values) :, STATIC_COLUMNS.index("shape")] = NO_SHAPE
    return padded
