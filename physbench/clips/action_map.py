"""Actions of clips in a model's own, by a function of a file: `--actions MAP.py`.

The file says `space`, an `ActionSpace` or `Words`, and has `convert(actions, fps)`: the actions (T, 12) of a clip and
the frame rate -> T actions in that space. The 12 are the hue of the pushed body as RGB, the impulse in N s, zeros for
none, and the pose of the camera, `action_space.CAMERA_POSE`, zeros where it stands still.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.action_space import ActionSpace, Words
from physbench.support.errors import UsageError
from physbench.support.plugins import describe_error_in_file
from physbench.support.user_files import UserFile, names_files, open_files


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
