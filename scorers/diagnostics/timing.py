"""Frame timing: whether frames show what is so at their time."""

from __future__ import annotations

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.frame_timing import REPEATS, Estimate, frame_timing, smear
from physbench.score.protocol import Reading, scorer
from physbench.track.tracks import Tracks


@scorer(
    id="drift/timing",
    unit="frames",
    better="neither",
    noise_floor="ground truth: lead -0.02 to 0.03, rate 0.98 to 1.01, no repeats (26 clips, 64 px, 15 frames/s)",
    source="least squares of places on the true path at other times; docs/design/timing.md",
    roles={"smear": "frame-smear"},
    needs=("tracks", "frames"),
)
def timing(clip: Clip, rollout: Rollout, tracks: Tracks) -> dict[str, Reading]:
    """By how many frames a prediction begins too early (above 0) or too late, in units of its own motion; 0 is right.

    The places of each moving body in the first 0.3 s, six frames at least, are fitted by the true path at other times,
    x(k) = X(rate (k + lead)) + b k^2 / 2. A model that repeats the last context frame reads -1, one that leaves out its
    first frame 1, and one that shows the mean of neighbouring frames -0.5. Wrong laws are no wrong timing: b takes
    them. After a single image, which shows no velocity, a parabola is carried back to the place in the image. Bodies
    that rest or jump tell nothing.

    Further readings: rate (of that fit; 1 is right; not behind one image), repeats (share of the frames that repeat the
    one before, while things move before and after), left-out (frames that are skipped and not to make up for repeats,
    over the frames that tell), smear (variance of balls along their motion over the square of the step: w (1 - w) in a
    mean of neighbouring frames with weights w and 1 - w, at most 0.25; 0.083 in frames that are exposed for all of
    their time). Outside every mean. What is said of a run pools its clips.
    """
    measured = frame_timing(clip, tracks)
    enough = measured.comparable >= REPEATS.least_measured
    few, blurred = "too few frames in which things move on", None
    if len(rollout.frames):
        blurred = smear(clip, rollout.frames[: clip.horizon], tracks)
    return {
        "": _reading(measured.lead, "nothing moves steadily from the hand-over on", "frames"),
        "rate": _reading(measured.rate, "the context shows no steady motion that goes on", "1"),
        "repeats": Reading(measured.repeats, unit="1") if enough else _not_applicable(few, "1"),
        "left-out": Reading(measured.left_out, unit="1") if enough else _not_applicable(few, "1"),
        "smear": _not_applicable("no ball moves fast in full view", "1")
        if blurred is None
        else Reading(blurred, unit="1"),
    }


def _reading(estimate: Estimate | None, missing: str, unit: str) -> Reading:
    return _not_applicable(missing, unit) if estimate is None else Reading(estimate.value, unit=unit)


def _not_applicable(reason: str, unit: str) -> Reading:
    return Reading(None, "not applicable", reason, unit)
