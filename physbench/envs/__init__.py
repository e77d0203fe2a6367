"""Every task as an environment of Gymnasium: frames as observations, one action a frame, the physics of clips.

`import physbench.envs` registers them, then `gymnasium.make("physbench/NAME")`. Gymnasium 1.0 and later calls no entry
points, so that it has to be imported, or named in the id: `gymnasium.make("physbench.envs:physbench/NAME")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physbench.clips.action_space import ActionSpace, in_world
from physbench.clips.clip import ACTION_WIDTH, Row, action_table, mean_commands, pose_table
from physbench.clips.generate import frame_times, make_scene, render_spec, simulated_times
from physbench.clips.task import SPLITS, find_task, short_names, task_ids
from physbench.support.arrays import Array, Image
from physbench.support.errors import PhysbenchError, UsageError, nearest
from physbench.world.bullet import World
from physbench.world.camera import PLANE_AXES
from physbench.world.drawing import MomentRenderer
from physbench.world.scene import HISTORY, PALETTE, Burn, Impulse, Scene, Thrust

try:
    import gymnasium
except ImportError as error:
    raise PhysbenchError("physbench.envs needs Gymnasium: pip install 'physbench[envs]'.") from error

ROWS = len(PALETTE)  # coloured bodies of a scene: no two have one hue


class TaskEnv(gymnasium.Env[Image, Any]):  # type: ignore[misc, unused-ignore]  # where it is not installed
    """One clip an episode, from the hand-over to the end of its horizon, one step a frame.

    Observation: the frame (H, W, 3) uint8, in the plain look.

    Action: of a task in which something is pushed the impulse (2,) in N s, to the right and up in the picture, on the
    body that the task pushes, cut to the bounds of the space. It acts at the start of the step; in the step that holds
    the push of the clip itself, at the time of that push. Any step may push. Of a task with a driven body the velocity
    (2,) in m/s that it is told during the step, of one with a thruster its force (2,) in N. A task without actions is
    to be watched: its space is `Discrete(1)`, whose one action does nothing.

    Reward: 0. No task has a goal; wrap the environment to give it one.

    Episode: truncated at the end of the clip, never terminated.

    Info, at each step: `time` s; `states` (5, 13) of the coloured bodies, position m, quaternion xyzw, velocity m/s,
    spin rad/s, zeros where there are fewer; `hues` (5,) their indices into the palette, -1 where there are fewer;
    `action` (6,) as models are given it, hue of the pushed body as RGB and impulse in N s, or the velocity of the
    driven one; `camera` (6,), its pose against that at the hand-over, `CAMERA_POSE`, zeros where it stands still. At a
    reset also `clip` (its id), `prompt`, `context` (C, H, W, 3), the frames up to the first observation, and, of a task
    with actions, `own_actions` (T, 2), those with which the episode is the clip, bit for bit; of a driven body at rates
    at which its commands begin with a frame.

    task: id, short name or FILE.py of a task. size: side in px or (height, width). fps: frames/s, divides 1200.
    context_frames: C. held_out: whether clips of `test` and `ood` may be asked for; nothing should learn from them.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        task: str,
        *,
        size: int | tuple[int, int] = 64,
        fps: float = 15,
        context_frames: int = 1,
        held_out: bool = False,
        render_mode: str | None = None,
    ) -> None:
        named = find_task(task)
        if render_mode not in (None, "rgb_array"):
            raise UsageError(f"render_mode: there is no {render_mode!r}. Use rgb_array, or None.")
        self.spec_of_frames = render_spec(size, fps)
        if not 1 <= context_frames <= (most := int(HISTORY * fps + 1e-9) + 1):
            raise UsageError(f"context_frames: expected 1 to {most} ({HISTORY:g} s), got {context_frames}.")
        self.task, self.held_out, self.render_mode = named.id, held_out, render_mode
        self.context_frames = context_frames
        self._frame: Image | None = None
        self.metadata = {**type(self).metadata, "render_fps": fps}
        self.actions: ActionSpace | None = getattr(named, "action_space", None)
        if self.actions is None and getattr(named, "actions", False):
            spaces = "action_space = pushes(60.0), in N s, or velocities(2.0), in m/s"
            raise UsageError(f"{named.id} takes actions, and does not say how large: {spaces}.")
        shape = (self.spec_of_frames.height, self.spec_of_frames.width, 3)
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(1)
        if self.actions is not None:
            low, high = np.array(self.actions.low), np.array(self.actions.high)
            self.action_space = gymnasium.spaces.Box(low, high, dtype=np.float64)  # float32 actions are in it, too
        self._world: World | None = None
        self._renderer: MomentRenderer | None = None

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Image, dict[str, Any]]:
        """Begin a clip.

        seed: that of the clip, and of the random numbers from which later resets without one draw theirs.
        options: `split`, "train" where it is left out; `seed`, that of the clip, whatever the other one is.
        """
        super().reset(seed=seed)
        row = self._row(seed, dict(options or {}))
        self.close()
        self._scene = make_scene(row)
        self._own = self._scene.impulses
        self._drive = next(iter(self._scene.actuators), None)
        self._burns: list[Burn] = []
        quiet = self._quiet()
        self._world = World(quiet)
        self._renderer = MomentRenderer(quiet, self.spec_of_frames)
        self._stops = simulated_times(self._scene, self.spec_of_frames)
        times = frame_times(self._scene, self.spec_of_frames)
        handover = int(np.argmin(np.abs(times)))
        self._times, self._step = times[handover:], 0
        context = []
        for time in times[handover + 1 - self.context_frames : handover + 1]:
            self._advance(float(time))
            context.append(self._picture())
        self._frame = context[-1]
        table = action_table(self._scene, times, handover)
        info = self._info(np.zeros(ACTION_WIDTH, np.float32) if table is None else table[0])
        info |= {
            "clip": row.id,
            "prompt": self._scene.prompt_unpushed or self._scene.prompt,
            "context": np.stack(context),
        }
        if self.actions is not None:
            info["own_actions"] = self._own_actions()
        return self._frame.copy(), info

    def step(self, action: ArrayLike) -> tuple[Image, float, bool, bool, dict[str, Any]]:
        """Do the action, and go on to the next frame."""
        if self._world is None or self._step + 1 >= len(self._times):
            raise PhysbenchError("The episode has ended, or none has begun: call reset().")
        given: NDArray[np.float32] = np.zeros(ACTION_WIDTH, np.float32)
        if self.actions is None:
            if action not in self.action_space:
                raise UsageError(f"{self.task} has no actions: expected 0, which does nothing, got {action!r:.80}.")
        elif (pushed := self.actions.bounded(action)).any() or self._drive:
            given = self._act(pushed)
        self._step += 1
        self._advance(float(self._times[self._step]))
        self._frame = self._picture()
        return self._frame.copy(), 0.0, False, self._step + 1 == len(self._times), self._info(given)

    def render(self) -> Any:
        """The frame (H, W, 3) as it is now; None without a render mode."""
        if self._frame is None:
            raise PhysbenchError("No episode has begun: call reset().")
        return self._frame.copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the simulator and the renderer; a second call does nothing."""
        for each in (self._world, self._renderer):
            if each is not None:
                each.close()
        self._world = self._renderer = None

    def _quiet(self) -> Scene:
        """The scene without its own actions; a thruster acts as it was told so far."""
        scene = replace(self._scene, impulses=())
        if isinstance(self._drive, Thrust):
            told = Thrust(self._drive.body, tuple(self._burns))
            scene = replace(scene, fields=tuple(told if each is self._drive else each for each in scene.fields))
        return scene

    def _row(self, seed: int | None, options: dict[str, Any]) -> Row:
        """The row of the clip that a reset asks for."""
        split, chosen = options.pop("split", "train"), options.pop("seed", seed)
        if options:
            raise UsageError(f"options: there is no {next(iter(options))!r}. Known: seed, split.")
        if split not in SPLITS:
            raise UsageError(f"options: there is no split {split!r}.{nearest(str(split), SPLITS)}")
        if split != "train" and not self.held_out:
            raise UsageError(
                f"Clips of {split} are held out: nothing should learn from them. To look at one: held_out=True."
            )
        if chosen is None:
            chosen = self.np_random.integers(2**31)  # seeds of clips that are drawn lie below
        if isinstance(chosen, bool) or not isinstance(chosen, int | np.integer) or chosen < 0:
            raise UsageError(f"options: expected a seed that is a whole number from 0 on, got {chosen!r:.80}.")
        return Row(self.task, split, int(chosen))

    def _act(self, action: Array) -> NDArray[np.float32]:
        """Push or drive in this step, and return the action (6,) as models are given it."""
        assert self._world is not None
        vector = in_world(action, PLANE_AXES[self._scene.camera.view])
        if self._drive:
            body = self._drive.body
            self._world.command(body, vector)
            if isinstance(self._drive, Thrust) and self._renderer is not None:
                self._burns.append(Burn(self._now, vector))
                self._renderer = MomentRenderer(self._quiet(), self.spec_of_frames)
        else:
            body = self._own[0].body
            self._advance(next((push.time for push in self._own if self._frame_of(push) == self._step), self._now))
            self._world.push(body, vector)
        hue = self._scene.bodies[self._scene.index(body)].hue
        return np.array([*PALETTE[hue or 0], *vector], np.float32)

    def _advance(self, time: float) -> None:
        """Simulate up to `time` s, by way of the times at which `make_clip` stops."""
        assert self._world is not None
        for stop in (*self._stops[(self._stops > self._world.time) & (self._stops < time)], time):
            self._world.advance(float(stop))

    @property
    def _now(self) -> float:
        return float(self._times[self._step])

    def _frame_of(self, push: Impulse) -> int:
        """The step in which a push of the scene lies, from 0."""
        return int(np.searchsorted(self._times, push.time + 1e-9, side="right")) - 1

    def _own_actions(self) -> Array:
        """The pushes or velocities of the clip as actions (T, 2) of the steps of its episode."""
        axes = list(PLANE_AXES[self._scene.camera.view])
        if self._drive:
            return np.asarray(mean_commands(self._drive, self._times)[1:, axes])
        table = np.zeros((len(self._times) - 1, 2))
        for push in self._own:
            table[self._frame_of(push)] = [push.impulse[axis] for axis in axes]
        return table

    def _picture(self) -> Image:
        assert self._world is not None and self._renderer is not None
        return self._renderer.draw(self._world.time, self._world.states()[0])

    def _info(self, action: NDArray[np.float32]) -> dict[str, Any]:
        assert self._world is not None
        states, hues = np.zeros((ROWS, 13)), np.full(ROWS, -1)
        tracked = list(self._scene.tracked)
        states[: len(tracked)] = self._world.states()[0][tracked]
        hues[: len(tracked)] = [self._scene.bodies[index].hue for index in tracked]
        (pose,) = pose_table(self._scene, np.array([self._now]))
        return {"time": self._now, "states": states, "hues": hues, "action": action, "camera": pose}


NAMESPACE = "physbench"


def register_tasks() -> None:
    """Register every installed task under its name without its family, or with it where another task has that name."""
    for task in task_ids():
        name = f"{NAMESPACE}/{short_names(task)[0]}"
        if name in gymnasium.registry and gymnasium.registry[name].kwargs["task"] != task:
            name = f"{NAMESPACE}/{task.replace('/', '-')}"
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point="physbench.envs:TaskEnv", kwargs={"task": task})


register_tasks()
