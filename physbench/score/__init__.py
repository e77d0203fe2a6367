"""Readings of tracks: the analysis of a prediction's motion, and the protocol of the scorers that read it.

- `protocol`: `@scorer` declares a scorer, a pure function that returns a `Reading`.
- `observation`: `Observation`, a tracked prediction with its analyses, each made once and only on demand.
- `score_clip`: finds scorers and reads a rollout, all samples of a clip, or a pair of clips with them.
- Analyses: `motion` (between and at contacts), `visibility` (when an object should be seen or hidden), `identity`,
  `outcomes`, `frame_timing`, `stability`, `image_stats`.
- `predictability`: for how long a clip can be predicted from its context.

The scorers themselves are in `scorers/`.
"""

from physbench.score.observation import Observation
from physbench.score.protocol import Reading, Scorer, ScoreRow, scorer

__all__ = ["Observation", "Reading", "ScoreRow", "Scorer", "scorer"]
