"""Ground truth with one thing wrong: continuations (horizon, H, W, 3) u8 of a clip that scorers must see through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.world.bullet import simulate, simulate_ensemble
from physbench.world.drawing import render
from physbench.world.scene import PALETTE, PHYSICS_HZ, Scene

Frames = NDArray[np.uint8]


def rollout(clip: Clip, frames: Frames) -> Rollout:
    return Rollout(clip.id, 0, frames)


def ahead(clip: Clip) -> NDArray[np.float64]:
    """Times (T,) s of the frames to predict."""
    return clip.times[clip.handover + 1 :]


def truth(clip: Clip) -> Frames:
    return clip.future()


def freeze(clip: Clip) -> Frames:
    return np.repeat(clip.frames[clip.handover][None], clip.horizon, axis=0)


def picture(clip: Clip, states: NDArray[np.float64], scene: Scene | None = None) -> Frames:
    """Frames of states (T, N, 13) at the times to predict."""
    return render(scene or clip.scene, ahead(clip), states, clip.spec).frames


def twin(clip: Clip, scene: Scene, states: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """States (T, N, 13) after the hand-over in another scene, from the clip's own state or `states` (N, 13) there."""
    start = clip.states[clip.handover] if states is None else states
    return simulate_ensemble(scene, 0.0, start[None], ahead(clip))[0]


def gravity_times(clip: Clip, factor: float) -> Frames:
    """Gravity, also that of central fields, times `factor` from the hand-over on."""
    x, y, z = clip.scene.gravity
    fields = tuple(replace(field, mu=field.mu * factor) for field in clip.scene.fields)
    scene = replace(clip.scene, gravity=(x * factor, y * factor, z * factor), fields=fields)
    return picture(clip, twin(clip, scene))


def kicked(clip: Clip, name: str, gain: tuple[float, float, float], at: float = 0.0) -> Frames:
    """Body `name` gets `gain` m/s at `at` s."""
    times = ahead(clip)
    start = clip.handover + int(np.searchsorted(clip.times[clip.handover :], at - 1e-9))
    states = clip.states[start].copy()
    states[clip.scene.index(name), 7:10] += gain
    later = times[times > clip.times[start] + 1e-9]
    moved = simulate_ensemble(clip.scene, float(clip.times[start]), states[None], later)[0]
    return picture(clip, np.concatenate([clip.states[clip.handover + 1 : start + 1], moved]))


def at_speed(clip: Clip, factor: float) -> Frames:
    """Ground truth played at `factor` times its speed from the hand-over on; `factor` at most 1."""
    steps = np.round(ahead(clip) * factor * PHYSICS_HZ)
    return picture(clip, simulate(clip.scene, steps / PHYSICS_HZ).states)


def removed(clip: Clip, name: str, since: float) -> Frames:
    """Body `name` is gone from `since` s on."""
    bodies = tuple(replace(body, until=since) if body.name == name else body for body in clip.scene.bodies)
    return picture(clip, clip.states[clip.handover + 1 :], replace(clip.scene, bodies=bodies))


def flickering(clip: Clip) -> Frames:
    """Every third frame of ground truth; in the others all moving bodies are gone."""
    bodies = tuple(replace(body, drawn=body.role != "moving") for body in clip.scene.bodies)
    empty = picture(clip, clip.states[clip.handover + 1 :], replace(clip.scene, bodies=bodies))
    shown = np.arange(clip.horizon) % 3 == 0
    return np.where(shown[:, None, None, None], clip.future(), empty)


def recoloured(clip: Clip, name: str, since: float) -> Frames:
    """Body `name` has a hue that the scene does not hold from `since` s on."""
    used = {body.hue for body in clip.scene.bodies}
    hue = next(h for h in range(len(PALETTE)) if h not in used)
    bodies = tuple(replace(body, hue=hue) if body.name == name else body for body in clip.scene.bodies)
    painted = picture(clip, clip.states[clip.handover + 1 :], replace(clip.scene, bodies=bodies))
    frames = clip.future().copy()
    frames[ahead(clip) >= since] = painted[ahead(clip) >= since]
    return frames


def black(clip: Clip) -> Frames:
    return np.zeros_like(clip.future())


def noise(clip: Clip, seed: int = 0) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, clip.future().shape, dtype=np.uint8)


def one_hue(clip: Clip) -> Frames:
    """Every pixel has the hue of the first tracked object."""
    colour = np.round(np.array(PALETTE[clip.tracked_bodies[0].hue or 0]) * 255).astype(np.uint8)
    return np.broadcast_to(colour, clip.future().shape).copy()


def constant_velocity(clip: Clip) -> Frames:
    """Every moving body goes on in a straight line, through everything."""
    states = np.repeat(clip.states[clip.handover][None], clip.horizon, axis=0)
    states[..., :3] += states[..., 7:10] * ahead(clip)[:, None, None]
    return picture(clip, states)
