"""Physical consistency: whether the predicted motion is possible by the laws of the scene."""

from __future__ import annotations

import math

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.outcomes import answer_questions
from physbench.score.protocol import Reading, not_modelled, nothing_expected, scorer
from physbench.shadowing import Shadowing
from physbench.shadowing.levels import scenery_broken
from physbench.track.tracks import Tracks

# Shadowing: whether the predicted motion is possible after the context, by the laws of the scene.


@scorer(
    id="consistency/shadowing",
    version=6,
    axis="consistency",
    better="higher",
    quality=lambda share: share,
    noise_floor="ground truth has no break in 52 of 52 clips of 13 tasks (128 px, 30 frames/s)",
    source="lawful segments and breaks, after the shadowing lemma: Hammel, Yorke & Grebogi 1987, "
    "doi:10.1016/0885-064X(87)90024-0",
    headline=True,
    roles={
        "": "lawfulness",
        "explained": "explained-share",
        "shadowing-time": "lawful-time",
        "first-break": "first-break",
        "strict": "strict-lawfulness",
        "jitter": "jitter",
        "undetermined": "undetermined-share",
        "unseen-constants": "freed-constants",
        "unseen-factor": "freed-factor",
    },
    needs=("shadowing", "free_constants"),
)
def shadowing(
    clip: Clip, rollout: Rollout, tracks: Tracks, *, shadowing: Shadowing | None, free_constants: Shadowing | None
) -> dict[str, Reading]:
    """Lawful share of the motion: mean of explained share E and shadowing time S, over four tolerances.

    Q = mean over 0.03, 0.08, 0.2 and 0.5 apparent diameters of (E + S) / 2. 0 to 1, higher is better; quality = Q. In Q
    lawful time weighs a tenth until rest, constant velocity, acceleration and turn rate have all been off by four
    tolerances, and tolerances weigh as the time does that is left; where that never is, all weighs the same.

    One trajectory of the scene's own laws is fitted to the track from the hand-over on, the last context frames
    included, and extended for as long as it stays within the tolerance. Where no lawful trajectory goes on, that is a
    break, with a time and an object, and another one begins after it. E = sum over segments of 2^-(breaks before it) x
    its expected time, over the time in which the object should be visible; a gross break counts 4. S is the explained
    share of expected time before each object's first break. A segment counts if it spans 0.3 s and has 4 known
    positions, 4 of them predicted, or half of those that ground truth itself could give, where these are too few. Where
    a fixed body is off by more than the tolerance, against most of the scenery, all bodies have a break from then on, a
    gross one where it is gone, and count whether they should be seen or not. A different future that obeys the laws has
    no break. Not applicable where a scene has no law (towers: `consistency/outcome` reads those), and where
    the context shows no velocity and ground truth no moving object for as long as a segment.

    Further readings, plain means over the tolerances and time: explained (E), shadowing-time (S times the horizon, s),
    behind-join (E where a jump at the hand-over is forgiven), breaks-per-second (per expected object-second),
    undetermined (share of expected time in segments too short to count); strict, medium, lenient and loose (Q at 0.03,
    0.08, 0.2 and 0.5). At 0.03: first-break (s; the horizon where there is none; the reason names the body), join-jump
    (diameters) and join-kick (m/s; of a break within 0.2 s of the hand-over, 0 without one). jitter (what changes from
    frame to frame, rms; independent noise costs nothing else) and offset (of things that stand still) in diameters.
    Where the context does not show how strongly things are pulled, or what a parameter is: unseen-constants (Q with one
    free factor in [0.5, 2] on gravity or the fields, and free parameters) and unseen-factor (that factor).
    """
    shadowed = shadowing
    if shadowed is None:
        return {"": not_modelled(clip)}
    if not shadowed.problem.seen.expected_visible.any():
        return {"": nothing_expected(shadowed)}
    horizon = float(tracks.times[-1])
    dt = float(tracks.times[1] - tracks.times[0])
    rates = [len(level.breaks) / max(dt * float(level.counted.sum()), dt) for level in shadowed.levels]
    readings = {
        "": Reading(shadowed.quality),
        "explained": Reading(shadowed.explained),
        "shadowing-time": Reading(shadowed.shadowed * horizon, unit="s"),
        "behind-join": Reading(shadowed.explained_after_handover),
        "breaks-per-second": Reading(float(np.mean(rates)), unit="1/s"),
        "undetermined": Reading(float(np.mean([level.undetermined for level in shadowed.levels]))),
        "first-break": _first(clip, tracks, shadowed, horizon),
        "jitter": _known(shadowed.jitter, "diameters", "no three frames in a row are explained"),
        "offset": _known(shadowed.offset, "diameters", "nothing that stands still is tracked"),
        **dict(zip(("join-jump", "join-kick"), _join(shadowed), strict=True)),
    }
    for name, level in zip(("strict", "medium", "lenient", "loose"), shadowed.levels, strict=True):
        readings[name] = Reading(level.quality)
    return readings | _unseen(free_constants)


def _first(clip: Clip, tracks: Tracks, shadowed: Shadowing, horizon: float) -> Reading:
    """Time of the first break, with the body that breaks as the reason; the horizon where none does."""
    level, index = shadowed.levels[0], shadowed.problem.law.index
    breaks = [(each.time, each.body, clip.scene.bodies[index[each.body]].name) for each in level.breaks]
    moved = np.flatnonzero(scenery_broken(shadowed.problem.seen, level.tolerance)[0])
    if len(moved):
        breaks.append((float(tracks.times[moved[0]]), -1, _moved_body(clip, tracks, int(moved[0]))))
    if not breaks:
        return Reading(horizon, unit="s")
    time, _, name = min(breaks)
    return Reading(time, reason=name, unit="s")


def _moved_body(clip: Clip, tracks: Tracks, frame: int) -> str:
    """The fixed body that is lost in a frame, or that is off most."""
    off, lost = tracks.scenery_off, tracks.scenery_lost
    fixed = [body.name for body in clip.tracked_bodies if body.role == "fixed"]
    if off is None or lost is None or tracks.scenery is None or (not off[frame].any() and not lost[frame].any()):
        return fixed[0] if fixed else "scenery"
    return clip.scene.bodies[int(tracks.scenery[np.where(lost[frame], np.inf, off[frame]).argmax()])].name


def _join(shadowed: Shadowing) -> tuple[Reading, Reading]:
    jump, kick = shadowed.handover_discontinuity
    missing = "nothing lawful follows the break at the hand-over"
    return _known(jump, "diameters", missing), _known(kick, "m/s", missing)


def _known(value: float | None, unit: str, missing: str) -> Reading:
    if value is None or not math.isfinite(value):
        return Reading(None, "not applicable", missing, unit)
    return Reading(float(value), unit=unit)


def _unseen(free: Shadowing | None) -> dict[str, Reading]:
    """The reading with unseen constants, where the context cannot show them."""
    if free is None:
        return {"unseen-constants": Reading(None, "not applicable", "the context shows every constant")}
    return {"unseen-constants": Reading(free.quality), "unseen-factor": Reading(free.factor)}


@scorer(
    id="consistency/strength",
    version=5,
    axis="consistency",
    unit="diameters",
    better="lower",
    noise_floor="ground truth reads 0.010, the least value, in 52 of 52 clips of 13 tasks (128 px, 30 frames/s)",
    source="the smallest tolerance at which `consistency/shadowing` finds no break, by bisection",
    roles={"": "strength"},
    needs=("shadowing",),
)
def strength(clip: Clip, rollout: Rollout, tracks: Tracks, *, shadowing: Shadowing | None) -> Reading:
    """Violation size of a prediction: the smallest tolerance at which it has no break.

    One of 0.01 x 1.2^k apparent diameters up to 2, by bisection; 2 where an expected object is lost. It has no weights,
    depends on no choice of tolerances, and is a size where skill is a share: its median stands beside skill everywhere.
    """
    if shadowing is None:
        return not_modelled(clip)
    if not shadowing.problem.seen.expected_visible.any():
        return nothing_expected(shadowing)
    return Reading(shadowing.strength)


@scorer(
    id="consistency/outcome",
    axis="consistency",
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
    a question only where it falls in ground truth, and wrong where it does not in a prediction. falls when: from then
    on it stays so far away, within 0.15 s, or a frame, of when it does in ground truth; a question where it falls
    there. sinks: it falls, and is there lower than it started; a question where it falls in ground truth. hangs: it is
    at rest (moves less than a tenth of a diameter) and nothing is so near below it that it could carry it, however both
    are turned. The same code answers for ground truth and tracks. A body that is not seen in at least half of these
    frames disagrees in all questions about it.

    Further readings: falls, falls-left, falls-when and sinks (where a scene asks them) and hangs (shares of each kind
    that agree), questions (number).
    """
    answers = answer_questions(clip, tracks)
    if not answers:
        return {"": Reading(None, "not applicable", "the scene declares no outcomes")}
    counted = [one for one in answers if one.outcome.question != "hangs" or not one.agrees] or answers
    readings = {"": Reading(float(np.mean([one.agrees for one in counted])))}
    asked = {one.question for one in clip.scene.outcomes}
    further = [question for question in ("falls when", "sinks") if question in asked]
    for question in ("falls", "falls left", *further, "hangs"):
        agree = [one.agrees for one in answers if one.outcome.question == question]
        key = question.replace(" ", "-")
        readings[key] = (
            Reading(float(np.mean(agree))) if agree else Reading(None, "not applicable", "no such question here")
        )
    readings["questions"] = Reading(float(len(answers)), unit="1")
    return readings
