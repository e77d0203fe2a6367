"""A stored clip whose frames, nearly all of its bytes, are unpacked when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip

Frames = NDArray[np.uint8]


class LazyClip(Clip):
    """As a `Clip`. Who needs states alone unpacks no frame, and who asks for a context no frame that follows it."""

    _unpack: Callable[[int], Frames]

    @classmethod
    def of(cls, unpack: Callable[[int], Frames], **known: Any) -> LazyClip:
        """A clip of all fields but its frames.

        Args:
            unpack: Gives the first so many frames (count, H, W, 3). It is pickled with the clip.
            known: The fields.
        """
        clip = cls.__new__(cls)
        for name, value in (("_unpack", unpack), *known.items()):
            object.__setattr__(clip, name, value)
        clip.__post_init__()
        return clip

    @cached_property
    def frames(self) -> Frames:
        """(T, H, W, 3)."""
        return self._unpack(len(self.times))

    @cached_property
    def _history(self) -> Frames:
        return self.frames if "frames" in self.__dict__ else self._unpack(self.handover + 1)

    def context(self, context: int) -> Frames:
        """As `Clip.context`; what follows the hand-over is not unpacked."""
        end = self.handover + 1
        return self._history[max(end - context, 0) : end]

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be unpacked again."""
        unpacked = ("frames", "_history") if "_unpack" in self.__dict__ else ()
        return {name: value for name, value in self.__dict__.items() if name not in unpacked}
