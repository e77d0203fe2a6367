"""How a clip ends, for scenes without a forward model."""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.end_state import answer_questions
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.tracks import Tracks


@scorer(
    id="consistency/outcome",
    version=1,
    axis="consistency",
    unit="1",
    better="higher",
    quality=lambda share: share,
    noise_floor="ground truth reads 1.000 in each of 24 clips (64 px, 15 frames/s)",
    source="share of declared yes/no outcomes that agree; cf. ShapeStacks, Groth et al. 2018, arXiv:1804.08018",
    headline=True,
    roles={"": "stand-in"},
)
def outcome(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """Share of the scene's yes/no questions about the end that a prediction answers as ground truth does.

    O = agreeing answers / questions. 0 to 1, higher is better; quality = O. It applies where a scene declares outcomes
    (`Scene.outcomes`), such as towers, which `consistency/shadowing` cannot read. What hangs counts only where the
    answers differ, or where there is no other question: a picture that never moves, too, shows that nothing hangs.

    Each body is looked at in the last 0.3 s in which ground truth shows it. falls: it is there more than 0.3 of its
    apparent diameter away from where it started. falls left: it falls, and is there further left than it started;
    a question only where it falls in ground truth, and wrong where it does not in a prediction. hangs: it is at
    rest (moves less than a tenth of a diameter) and nothing is so near below it that it could carry it, however both
    are turned. The same code answers for ground truth and tracks. A body that is not seen in at least half of these
    frames disagrees in all questions about it.

    Further readings: falls, falls-left and hangs (shares of each kind that agree), questions (number).
    """
    answers = answer_questions(clip, tracks)
    if not answers:
        return {"": Reading(None, "not applicable", "the scene declares no outcomes")}
    counted = [one for one in answers if one.outcome.question != "hangs" or not one.agrees] or answers
    readings = {"": Reading(float(np.mean([one.agrees for one in counted])))}
    for question in ("falls", "falls left", "hangs"):
        agree = [one.agrees for one in answers if one.outcome.question == question]
        key = question.replace(" ", "-")
        readings[key] = (
            Reading(float(np.mean(agree))) if agree else Reading(None, "not applicable", "no such question here")
        )
    readings["questions"] = Reading(float(len(answers)), unit="1")
    return readings
