"""From a row of a suite to a clip: draw the parameters, describe the scene, simulate, render."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.clips.task import Params, Task, changed, find_task
from physbench.support import plugins
from physbench.support.errors import UsageError
from physbench.support.plugins import UserFile, registered_files
from physbench.world.ballistic import flies, fly
from physbench.world.bullet import WaypointPath, initial_states, simulate
from physbench.world.camera import in_view
from physbench.world.scene import FAR, HISTORY, PHYSICS_HZ, PLAIN, RenderSpec, Scene, wrong_rate
from physbench.world.styles.catalogue import check_drawn, draw

STATE_HZ = 20  # the grid of state hashes, independent of any model's frame rate
HASH_ROUNDING = 1e-6  # m and m/s, in state hashes
CLIP_PRELOAD = ("physbench.world.drawing", "physbench.world.bullet")  # what workers that make clips import first


def render_spec(size: int | tuple[int, int], fps: float, look: str = PLAIN, view: str = FAR) -> RenderSpec:
    """Return a checked RenderSpec.

    Args:
        size: A side in px, or (height, width).
        fps: Frames a second.
        look: "plain" or "natural", with options: "natural:shutter=0".
        view: One of `scene.VIEWS`.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if not 16 <= min(height, width) <= max(height, width) <= 2048:
        raise UsageError(
            f"size: expected 16 to 2048 px a side, got {width}x{height}. Use 64, 128 or 256; models have 32 or more."
        )
    if wrong := wrong_rate(fps, least=1):
        raise UsageError(f"fps: {wrong}")
    check_drawn(look, view)
    return RenderSpec(height, width, float(fps), look, view)  # 30 and 30.0 are one rate, and one key of stored clips


def random_stream(row: Row) -> np.random.Generator:
    """The random numbers of a clip, the same for every change of it.

    Streams of different tasks, splits and seeds are independent.
    """
    digest = hashlib.sha256(f"physbench clip|{row.task}|{row.split}|{row.seed}".encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest, "big")))


def make_params(row: Row) -> Params:
    """Draw the parameters of a clip."""
    return _task(row.task).sample(random_stream(row), row.split)


def make_scene(row: Row, view: str = FAR) -> Scene:
    """Describe the scene of a clip, with the camera of a view; takes about a millisecond."""
    return in_view(scene_with(row, make_params(row)), view)


def frames_ahead(row: Row, spec: RenderSpec) -> int:
    """Number of frames to predict of a clip, from its scene."""
    return int((frame_times(make_scene(row), spec) > 1e-9).sum())


def scene_with(row: Row, params: Params) -> Scene:
    """Describe the scene of a clip with other parameters; the row's change is applied to it, too."""
    scene = changed(_task(row.task).scene(params), row.change, row.task)
    return replace(scene, decor=f"{row.split}|{row.task}|{row.seed}")


def make_clip(row: Row, spec: RenderSpec) -> Clip:
    """Simulate and render a clip: a pure function of its arguments."""
    scene = make_scene(row, spec.view)
    frames, grid, both = _stops(scene, spec)
    simulation = simulate(scene, both / PHYSICS_HZ)
    shown = np.isin(both, frames)
    times, states = frames / PHYSICS_HZ, simulation.states[shown]
    picture = draw(scene, times, states, spec)
    return Clip(
        row=row,
        scene=scene,
        spec=spec,
        times=times,
        frames=picture.frames,
        states=states,
        visible_area=picture.visible_area,
        full_area=picture.full_area,
        contacts=simulation.contacts,
        state_hash=state_hash(simulation.states[np.isin(both, grid)]),
    )


# What was before the history, for models that look back further.


def frames_before(clip: Clip, count: int) -> NDArray[np.uint8]:
    """The `count` frames (count, H, W, 3) before the first one of a clip; that one again where `past_states` has none.

    The camera stands as it does in the first frame.
    """
    states = past_states(clip, count + 1)  # one more: of one alone it is not seen whether anything moves
    if states is None or not np.ptp(states[..., :7], axis=0).any():
        return np.repeat(clip.frames[:1], count, axis=0)
    return draw(clip.scene, np.repeat(clip.times[:1], count), states[1:], clip.spec).frames


def past_states(clip: Clip, count: int) -> NDArray[np.float64] | None:
    """States (count, N, 13) in the frames before the first one of a clip; None where its scene does not tell them.

    What is held or rests has been there, and what is on a path has come straight along it. Balls that only fly have
    their flight run backward, step by step as the simulator would undo it, where forward again leads to the same.
    """
    scene, begin = clip.scene, -round(HISTORY * PHYSICS_HZ)
    first = initial_states(scene)
    back = begin - round(float(clip.times[0]) * PHYSICS_HZ) + clip.spec.steps * np.arange(count, 0, -1)  # steps
    states = np.repeat(first[None], count, axis=0)
    for i, body in enumerate(scene.bodies):
        if body.role == "kinematic":
            place, velocity = map(np.array, WaypointPath(body).at(-HISTORY))
            states[:, i, :3] = place - back[:, None] / PHYSICS_HZ * velocity
    later = clip.states[np.searchsorted(clip.times, 0.1 - HISTORY)]
    # What moves by less than 1e-4 m as the history begins is held, or rests
    moves = np.linalg.norm((later - first)[:, :3], axis=-1) > 1e-4
    moving = [i for i, body in enumerate(scene.bodies) if body.role == "moving" and moves[i]]
    if not moving:
        return states
    unpushed = replace(scene, impulses=())
    if not flies(unpushed, begin / PHYSICS_HZ):
        return None
    # A step is v += h a(x), x += h v: with the velocity after the next step turned round, it goes to the place before.
    (second,), _ = fly(unpushed, first[None], np.array([1]), begin / PHYSICS_HZ)
    turned = first[None].copy()
    turned[..., 7:] = -second[..., 7:]
    steps = np.union1d(back, back + 1)
    flown, met = fly(unpushed, turned, steps, begin / PHYSICS_HZ)
    past = flown[0, np.searchsorted(steps, back)]
    past[..., 7:] = -flown[0, np.searchsorted(steps, back + 1), :, 7:]
    again, met_again = fly(unpushed, past[:1], back[:1], (begin - back[0]) / PHYSICS_HZ)
    # A motion that is run backward and forward again may miss where it began by 1e-6 m and m/s
    if met.any() or met_again.any() or not np.abs(again[0, 0] - first)[moving].max() < 1e-6:
        return None
    states[:, moving] = past[:, moving]
    return states


def frame_times(scene: Scene, spec: RenderSpec) -> NDArray[np.float64]:
    """Times (T,) s of the frames of a clip, 0 among them."""
    return _steps(scene, spec.steps) / PHYSICS_HZ


def simulated_times(scene: Scene, spec: RenderSpec) -> NDArray[np.float64]:
    """Times s up to which a clip is simulated one after the other; with others the last bits of states may differ."""
    return _stops(scene, spec)[2] / PHYSICS_HZ


def grid_states(scene: Scene) -> NDArray[np.float64]:
    """States (T, N, 13) on the 20 Hz grid from the start of the history to the end of the horizon."""
    return simulate(scene, _steps(scene, PHYSICS_HZ // STATE_HZ) / PHYSICS_HZ).states


def state_hash(states: NDArray[np.float64]) -> str:
    """Hash of grid states (T, N, 13): positions and velocities, rounded to 1e-6."""
    values = np.concatenate([states[..., :3], states[..., 7:10]], axis=-1)
    whole = np.rint(values / HASH_ROUNDING).astype("<i8")
    return hashlib.sha256(str(whole.shape).encode() + whole.tobytes()).hexdigest()


def _stops(scene: Scene, spec: RenderSpec) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Physics steps of the frames, of the grid of state hashes, and of both."""
    frames, grid = _steps(scene, spec.steps), _steps(scene, PHYSICS_HZ // STATE_HZ)
    return frames, grid, np.union1d(frames, grid)


def _steps(scene: Scene, stride: int) -> NDArray[np.int64]:
    """Physics steps k * stride of the clip, with step 0 at the hand-over."""
    first = round(HISTORY * PHYSICS_HZ) // stride
    last = round(scene.horizon * PHYSICS_HZ) // stride
    return np.arange(-first, last + 1, dtype=np.int64) * stride


def _task(task_id: str) -> Task:
    return _task_of(task_id, plugins.registered_files())


@lru_cache
def _task_of(task_id: str, files: tuple[UserFile, ...]) -> Task:
    """The task as it is in these files, which may have changed since the last call."""
    return find_task(task_id)


# Scenes that this process has described already. To draw the parameters of one takes a millisecond or two.

MOST = 1024  # that are kept: some kB each


def known_scene(row: Row, view: str = FAR) -> Scene:
    """As `make_scene`, once for each clip."""
    return in_view(_scene(row, registered_files()), view)


@lru_cache(MOST)
def _scene(row: Row, files: tuple[UserFile, ...]) -> Scene:
    """The scene with the user's tasks as they are in these files, which may have changed since the last call."""
    return make_scene(row)
