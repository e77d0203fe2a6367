"""Readings of tracks: the analysis of a prediction's motion, and the protocol of the scorers that read it.

- `protocol`: `@scorer` declares a scorer, a pure function of an `Observation`, a tracked prediction with its analyses,
  that returns a `Reading`; rows of readings on disk.
- `score_clip`: finds scorers and reads a rollout, all samples of a clip, or a pair of clips with them.
- Analyses: `motion` (between and at contacts), `visibility` (when an object should be seen or hidden), `outcomes`,
  `frame_timing`.
- `predictability`: for how long a clip can be predicted from its context.

The scorers themselves are in `scorers/`. The package can be called: `physbench.score(clip, frames, fps)` is
`physbench.api.one_clip.score`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from physbench.score.protocol import Observation, Reading, Scorer, ScoreRow, scorer

__all__ = ["Observation", "Reading", "ScoreRow", "Scorer", "scorer"]


class _CallablePackage(ModuleType):
    """The function of the Python interface has the name of this package, and Python keeps the package under it."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return import_module("physbench.api.one_clip").score(*args, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        """By its name, as a function is pickled: rewards and metrics travel to other processes."""
        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = _CallablePackage
