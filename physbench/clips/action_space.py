"""Action spaces, one action a frame: what a task lets others do in its scene, and what a model takes.

Actions of clips become a model's own by a function of a file, `--actions MAP.py`. The file says `space`, an
`ActionSpace` or `Words`, and has `convert(actions, fps)`: the actions (T, 12) of a clip and the frame rate -> T actions
in that space. The 12 are the hue of the pushed body as RGB, the impulse in N s, zeros for none, and the pose of the
camera, `CAMERA_POSE`, zeros where it stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physbench.support.arrays import Array
from physbench.support.errors import UsageError, nearest
from physbench.support.plugins import UserFile, describe_error_in_file, names_files, open_files


@dataclass(frozen=True)
class ActionSpace:
    """A box of numbers, as Gymnasium's `spaces.Box`, which the core does not import.

    names: of the numbers of one action, in order. low, high: bounds of each. unit: of all of them.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    unit: str

    def __post_init__(self) -> None:
        """Raises ValueError where the bounds do not fit the names."""
        if not all(isinstance(each, tuple | list) for each in (self.names, self.low, self.high)):
            raise ValueError(
                f"Expected names, low and high as one tuple each, got {self.names!r}, {self.low!r} and {self.high!r}."
            )
        if not len(self.names) == len(self.low) == len(self.high) or not self.names:
            raise ValueError(
                f"Expected one bound on each side of each of {self.names}, got {self.low} and {self.high}."
            )
        if not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ValueError(f"Expected low below high, got {self.low} and {self.high}.")

    def bounded(self, action: ArrayLike) -> Array:
        """One action (len(names),), cut to the bounds. Raises UsageError for another shape and for NaN or infinity."""
        numbers = ", ".join(self.names)
        try:
            given = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise UsageError(f"Expected an action of {self.width} numbers ({numbers}), got {action!r:.80}.") from None
        if given.shape != (self.width,):
            raise UsageError(f"Expected an action of shape ({self.width},) ({numbers}), got {given.shape}.")
        if not np.isfinite(given).all():
            raise UsageError(f"Expected finite numbers in an action ({numbers}), got {given.tolist()}.")
        return np.clip(given, self.low, self.high)

    @property
    def width(self) -> int:
        """Numbers of one action."""
        return len(self.names)

    def table(self, rows: Any, count: int) -> NDArray[np.float32]:
        """Actions (count, width) of as many frames. Raises UsageError, with the first row that is none."""
        numbers = ", ".join(self.names)
        try:
            values = np.asarray(rows, dtype=np.float64)
        except (TypeError, ValueError):
            raise UsageError(f"expected ({count}, {self.width}) numbers ({numbers}), got {rows!r:.60}") from None
        if values.shape != (count, self.width):
            raise UsageError(f"expected numbers of shape ({count}, {self.width}) ({numbers}), got {values.shape}")
        wrong = ~((values >= np.array(self.low) - 1e-6) & (values <= np.array(self.high) + 1e-6))  # NaN, too
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            bounds = f"{self.low[column]:g} to {self.high[column]:g}"
            raise UsageError(f"row {row}: expected {self.names[column]} from {bounds}, got {values[row, column]:g}")
        return values.astype(np.float32)


@dataclass(frozen=True)
class Words:
    """Words such as those of a keyboard, of which an action is one or several, "up+left": a 1 for each, else 0."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where there are none, or one twice."""
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"Expected different words, got {self.names}.")

    @property
    def width(self) -> int:
        """Numbers of one action."""
        return len(self.names)

    def table(self, rows: Any, count: int) -> NDArray[np.float32]:
        """Actions (count, width) of as many frames. Raises UsageError, with the first word that there is not."""
        if isinstance(rows, str) or not isinstance(rows, Sequence | np.ndarray) or np.shape(rows)[:1] != (count,):
            raise UsageError(f"expected {count} words, one a frame, got {rows!r:.60}")
        values = np.zeros((count, self.width), dtype=np.float32)
        for number, row in enumerate(rows):
            for word in str(row).split("+"):
                if word not in self.names:
                    raise UsageError(f"row {number}: there is no word {word!r}.{nearest(word, self.names).rstrip('.')}")
                values[number, self.names.index(word)] = 1.0
        return values


def pushes(largest: float) -> ActionSpace:
    """Impulses in the plane of motion on the body that the task pushes, each number up to `largest` N s."""
    return ActionSpace(("right", "up"), (-largest, -largest), (largest, largest), "N s")


def velocities(largest: float) -> ActionSpace:
    """Velocities in the plane of motion of the body that the task drives, each number up to `largest` m/s."""
    return ActionSpace(("right", "up"), (-largest, -largest), (largest, largest), "m/s")


def forces(largest: float) -> ActionSpace:
    """Forces in the plane of motion of the thruster of the task, each number up to `largest` N."""
    return ActionSpace(("right", "up"), (-largest, -largest), (largest, largest), "N")


# Pose of the camera, against that at the hand-over: physbench.world.camera.relative_poses. No camera goes farther.
CAMERA_POSE = ActionSpace(
    ("pan_deg", "tilt_deg", "roll_deg", "right_m", "down_m", "ahead_m"),
    (-180.0, -90.0, -180.0, -50.0, -50.0, -50.0),
    (180.0, 90.0, 180.0, 50.0, 50.0, 50.0),
    "degrees, m",
)


def in_world(action: Sequence[float] | Array, axes: tuple[int, int]) -> tuple[float, float, float]:
    """An action (2,) in the plane of motion as a vector in the world; axes: `camera.PLANE_AXES` of the view."""
    vector = [0.0, 0.0, 0.0]
    for axis, value in zip(axes, action, strict=True):
        vector[axis] = float(value)
    return vector[0], vector[1], vector[2]


@dataclass(frozen=True)
class ActionMap:
    """The function of a file, and the space of what it gives."""

    file: UserFile
    space: ActionSpace | Words
    convert: Callable[[NDArray[np.float32], float], Any]

    def table(self, actions: NDArray[np.float32], fps: float) -> NDArray[np.float32]:
        """Actions (B, T, width) in the model's space of actions (B, T, 12).

        Raises UsageError where the function raises, or gives what is not in its space.
        """
        return np.stack([self._of_clip(each, fps) for each in actions])

    def _of_clip(self, actions: NDArray[np.float32], fps: float) -> NDArray[np.float32]:
        try:
            converted = self.convert(actions.copy(), fps)
        except Exception as error:
            raise UsageError(f"{self.file.path}: {describe_error_in_file(error, self.file.path)}.") from error
        try:
            return self.space.table(converted, len(actions))
        except UsageError as problem:
            raise UsageError(f"{self.file.path}, convert: {problem}.") from None


def read_action_map(path: str) -> ActionMap:
    """The map of a file. Raises UsageError where it is none."""
    if not names_files(path) or len(files := open_files(path)) != 1:
        raise UsageError(f"--actions: expected one file MAP.py, got '{path}'.")
    ((file, name),) = files
    if name:
        raise UsageError(f"--actions: expected a file alone, MAP.py, got '{path}'.")
    space, convert = (getattr(file.module, name, None) for name in ("space", "convert"))
    if not isinstance(space, ActionSpace | Words):
        raise UsageError(f"{file.path}: expected `space`, an ActionSpace or Words, got {space!r:.60}.")
    if not callable(convert):
        raise UsageError(f"{file.path}: expected a function `convert(actions, fps)`, got {convert!r:.60}.")
    return ActionMap(file, space, convert)
