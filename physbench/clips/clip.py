"""Clips: one episode each, a pure function of (task, split, seed, render spec)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Image
from physbench.world.camera import pixels_per_metre, plane_from_world, px_from_world, relative_poses
from physbench.world.scene import PALETTE, PHYSICS_HZ, Actuator, Body, Contact, RenderSpec, Scene
from physbench.world.styles.prompt import StatedVelocity, scene_prompt, stated_velocities

Split = Literal["train", "test", "ood", "gap"]

# The change in which the prompt alone differs: it says in words how things move, see `Clip.stated_velocities`.
PROMPT_MOTION = "told"
ACTION_WIDTH = 6  # of an action: hue of a body as RGB, impulse in N s (driven: velocity in m/s; thrust: force in N)

__all__ = [
    "ACTION_WIDTH",
    "Clip",
    "Contact",
    "Row",
    "Split",
]


@dataclass(frozen=True, order=True)
class Row:
    """Identity of a clip in a suite."""

    task: str  # "falling/projectile-v1"
    split: Split
    seed: int
    change: str = ""  # one of `physbench.clips.task.CHANGES`: how the scene differs from the task's

    @property
    def id(self) -> str:
        """Name for files, columns and people: "falling.projectile-v1.test.3"; followed by its change: ".unpushed"."""
        return f"{self.task.replace('/', '.')}.{self.split}.{self.name}"

    @property
    def name(self) -> str:
        """Name within its task and split: "3", "3.unpushed"."""
        return f"{self.seed}.{self.change}" if self.change else f"{self.seed}"

    @property
    def unchanged(self) -> Row:
        """The row with the same context and no change: itself, where nothing is changed."""
        return replace(self, change="")

    @property
    def family(self) -> str:
        return self.task.split("/")[0]


def velocities_in_prompt(row: Row, scene: Scene, states: NDArray[np.float64]) -> tuple[StatedVelocity, ...]:
    """Motions in the prompt of a row, from the states (N, 13) at the hand-over."""
    return stated_velocities(scene, states) if row.change == PROMPT_MOTION else ()


@dataclass(frozen=True, eq=False)
class Clip:
    """Scene, exact states, frames and visibility, from the start of the history to the end of the horizon.

    Frame k lies at times[k]; times[handover] == 0. A model with C context frames sees frames
    handover - C + 1 ... handover and predicts those after it. N bodies in scene order. Areas of a moving camera are
    those that it would see at rest.
    """

    row: Row
    scene: Scene
    spec: RenderSpec
    times: NDArray[np.float64]  # (T,) s
    frames: NDArray[np.uint8]  # (T, H, W, 3)
    states: NDArray[np.float64]  # (T, N, 13) position m, quaternion xyzw, velocity m/s, spin rad/s
    visible_area: NDArray[np.float32]  # (T, N) px, coverage in the image after occlusion and clipping by the border
    full_area: NDArray[np.float32]  # (T, N) px, without occlusion and border
    contacts: tuple[Contact, ...]
    state_hash: str = ""  # of positions and velocities at 20 Hz; the same for every render spec
    stated_velocities: tuple[StatedVelocity, ...] | None = (
        None  # what the prompt says of velocities at the hand-over; None: by the row
    )

    def __post_init__(self) -> None:
        """The words follow from the states: whoever makes or reads a clip need not know them."""
        if self.stated_velocities is None:
            object.__setattr__(
                self, "stated_velocities", velocities_in_prompt(self.row, self.scene, self.states[self.handover])
            )

    def __repr__(self) -> str:
        """ "Clip(falling.projectile-v1.test.3, 64x64@15, 79 frames)": in a line, and no frame is unpacked."""
        return f"Clip({self.id}, {self.spec}, {len(self.times)} frames)"

    @property
    def id(self) -> str:
        return self.row.id

    @cached_property
    def handover(self) -> int:
        """Index of the frame at time 0."""
        return int(np.argmin(np.abs(self.times)))

    @property
    def horizon(self) -> int:
        """Number of frames to predict."""
        return len(self.times) - 1 - self.handover

    @property
    def prompt(self) -> str:
        """Prompt of a model that reads words, in the words of the look of the frames."""
        return scene_prompt(self.scene, self.spec.look, self.stated_velocities or ())

    @property
    def tracked(self) -> tuple[int, ...]:
        """Indices of the bodies with a hue, K of them: the order of every track."""
        return self.scene.tracked

    @property
    def tracked_bodies(self) -> tuple[Body, ...]:
        return tuple(self.scene.bodies[i] for i in self.tracked)

    @property
    def pixels_per_metre(self) -> float:
        return pixels_per_metre(self.scene.camera, self.spec)

    def window(self, context: int) -> slice:
        """Frames that a model with `context` frames sees and predicts: (context + horizon) of them."""
        return slice(self.handover + 1 - context, len(self.times))

    def context(self, context: int) -> NDArray[np.uint8]:
        """The last `context` frames of the history (context, H, W, 3), or all of it where that is shorter."""
        return self.frames[max(self.handover + 1 - context, 0) : self.handover + 1]

    def future(self) -> NDArray[np.uint8]:
        """The frames after the hand-over (horizon, H, W, 3)."""
        return self.frames[self.handover + 1 :]

    def plane_positions(self) -> NDArray[np.float64]:
        """True centres of the tracked bodies in the plane of motion (T, K, 2) m."""
        return plane_from_world(self.scene.camera, self.states[:, list(self.tracked), :3])

    def px_positions(self) -> NDArray[np.float64]:
        """Positions of the true centres of the tracked bodies in the camera's image at rest (T, K, 2) px."""
        return self._px_positions.copy()

    @cached_property
    def _px_positions(self) -> NDArray[np.float64]:
        return px_from_world(self.scene.camera, self.spec, self.states[:, list(self.tracked), :3])

    def visible_share(self) -> NDArray[np.float64]:
        """Visible area over full area of the tracked bodies (T, K), 0..1."""
        return self._visible_share.copy()

    @cached_property
    def _visible_share(self) -> NDArray[np.float64]:
        keep = list(self.tracked)
        full = self.full_area[:, keep].astype(np.float64)
        return np.clip(self.visible_area[:, keep] / np.maximum(full, 1e-9), 0.0, 1.0)

    def diameters(self) -> NDArray[np.float64]:
        """Apparent diameter sqrt(4 full area / pi) of the tracked bodies (T, K) m."""
        full = self.full_area[:, list(self.tracked)].astype(np.float64)
        return np.sqrt(4 * full / np.pi) / self.pixels_per_metre

    def actions(self, context: int) -> NDArray[np.float32] | None:
        """Actions as a model gets them: (context + horizon, 6), hue of the pushed body as RGB and impulse in N s.

        An impulse stands in the row of the first frame that shows its effect. Of a driven body each row has the hue and
        the velocity in m/s that it is told, of one with a thruster its force in N, mean over the time since the frame
        before. None if the scene has no actions.
        """
        return action_table(self.scene, self.times, self.handover + 1 - context)

    def camera_poses(self, context: int) -> NDArray[np.float32]:
        """Poses of the camera as a model gets them: (context + horizon, 6), as `action_space.CAMERA_POSE` says."""
        return pose_table(self.scene, self.times[self.handover + 1 - context :])


def action_table(scene: Scene, times: NDArray[np.float64], start: int) -> NDArray[np.float32] | None:
    """Actions (len(times) - start, 6) from frame `start` on, as in `Clip.actions`; times: (T,) s of a clip's frames."""
    if not scene.impulses and not scene.actuators:
        return None
    table = np.zeros((len(times) - start, ACTION_WIDTH), dtype=np.float32)
    for action in scene.impulses:
        row = int(np.searchsorted(times, action.time + 1e-9, side="right")) - start
        body = scene.bodies[scene.index(action.body)]
        if 0 <= row < len(table) and body.hue is not None:
            table[row] = (*PALETTE[body.hue], *action.impulse)
    for actuator in scene.actuators:
        hue = scene.bodies[scene.index(actuator.body)].hue
        if hue is not None:
            table[:, :3], table[:, 3:] = PALETTE[hue], mean_commands(actuator, times)[start:]
    return table


def pose_table(scene: Scene, times: NDArray[np.float64]) -> NDArray[np.float32]:
    """Poses (T, 6) of the camera in frames at `times` (T,) s; zeros where it stands still."""
    return relative_poses(scene.camera, times).astype(np.float32)


def pushes_and_poses(pushes: NDArray[np.float32] | None, poses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Actions (..., 12): pushes (..., 6), zeros for None, and poses (..., 6) of the camera."""
    return np.concatenate([np.zeros_like(poses) if pushes is None else pushes, poses], axis=-1)


def mean_commands(actuator: Actuator, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Velocities (T, 3) m/s or forces N that are commanded, mean since the frame before; times: (T,) s of frames."""
    steps = np.rint(np.concatenate([[2 * times[0] - times[1]], times]) * PHYSICS_HZ)
    edges = np.array([-np.inf, *(round(time * PHYSICS_HZ) for time, _ in actuator.orders), np.inf])
    begin, end = np.maximum(steps[:-1, None], edges[:-1]), np.minimum(steps[1:, None], edges[1:])
    share = np.maximum(end - begin, 0.0) / np.diff(steps)[:, None]  # (T, parts) of a frame with a command
    commands = np.array([(0.0, 0.0, 0.0), *(command for _, command in actuator.orders)])
    return np.asarray(share @ commands)


# A stored clip whose frames, nearly all of its bytes, are unpacked when they are first asked for.


class LazyClip(Clip):
    """As a `Clip`. Who needs states alone unpacks no frame, and who asks for a context no frame that follows it."""

    _unpack: Callable[[int], Image]

    @classmethod
    def of(cls, unpack: Callable[[int], Image], **known: Any) -> LazyClip:
        """A clip of all fields but its frames.

        unpack: Gives the first so many frames (count, H, W, 3). It is pickled with the clip.
        """
        clip = cls.__new__(cls)
        for name, value in (("_unpack", unpack), *known.items()):
            object.__setattr__(clip, name, value)
        clip.__post_init__()
        return clip

    @cached_property
    def frames(self) -> Image:
        """(T, H, W, 3)."""
        return self._unpack(len(self.times))

    @cached_property
    def _history(self) -> Image:
        return self.frames if "frames" in self.__dict__ else self._unpack(self.handover + 1)

    def context(self, context: int) -> Image:
        """As `Clip.context`; what follows the hand-over is not unpacked."""
        end = self.handover + 1
        return self._history[max(end - context, 0) : end]

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be unpacked again."""
        unpacked = ("frames", "_history") if "_unpack" in self.__dict__ else ()
        return {name: value for name, value in self.__dict__.items() if name not in unpacked}
