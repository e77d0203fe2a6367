"""What is read from tracks: the analysis of a prediction's motion, and the protocol of the scorers that read it.

- `scorer_protocol`: `@scorer` declares a scorer, a pure function that returns a `Reading`.
- `observation`: `Observation`, a tracked prediction with its analyses, each made once and only on demand.
- `score_clip`: finds scorers and reads a rollout, all samples of a clip, or a pair of clips with them.
- Analyses of motion: `free_segments` (contacts and the frames in between), `impact_velocities`, `energy_momentum`,
  `penetration`, `position_error`, `end_state`, `stability_by_quarter`; `not_judged` (why there is no such reading).
- Analyses of visibility: `expected_visibility` (when an object should be visible), `hidden_intervals` (when it should
  be hidden, and how it comes back). What ground truth alone shows is in `physbench.tracks.visibility`.
- `predictability`: for how long a clip can be predicted from its context.
- `image_stats`: colour and sharpness of frames.

The scorers themselves are in `scorers/`.
"""

from physbench.scoring.observation import Observation
from physbench.scoring.scorer_protocol import Reading, Scorer, ScoreRow, scorer

__all__ = ["Observation", "Reading", "ScoreRow", "Scorer", "scorer"]
