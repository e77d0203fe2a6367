"""What is said of how videos begin: the decision with its evidence, or both readings and the words that choose one."""

from __future__ import annotations

from physbench.adapters.videos_start import FASTEST_LEAD, StartDecision
from physbench.adapters.videos_steps import WINDOW_S
from physbench.clips.conditioning import ANSWER
from physbench.errors import ModelError

NAMED_VIDEOS = 3  # names in a message


def describe_start(decision: StartDecision) -> str:
    """A note for the reader of a run. The decision must be made."""
    what, other, word = ("with the image", "with the first new frame", "false")
    if not decision.begins_with_image:
        what, other, word = other, what, "true"
    text = (
        f"Videos begin {what}: {_evidence(decision)}. If they begin {other}, say --model-arg includes_context={word}."
    )
    if decision.unlike:
        text += f" {_names(decision.unlike)} {'looks' if len(decision.unlike) == 1 else 'look'} as if it were so."
    return text


def refuse_open(decision: StartDecision) -> ModelError:
    """The error where it is not decided."""
    words = (
        "  --model-arg includes_context=true   the first frame is the image, time 0\n"
        "  --model-arg includes_context=false  the first frame is the first new one, one interval after it\n"
        f"or set `includes_context` in {ANSWER}. Scores differ between the two."
    )
    if decision.reading == "mixed":
        kinds = {True: [name for name in decision.telling if name not in decision.unlike], False: decision.unlike}
        fewer_with = decision.telling[decision.unlike[0]].log_ratio > 0
        with_image, without = (kinds[False], kinds[True]) if fewer_with else (kinds[True], kinds[False])
        sure = [name for name in with_image if decision.telling[name].log_ratio > 0]
        new = [name for name in without if decision.telling[name].log_ratio < 0]
        return ModelError(
            f"The videos are of two kinds: {len(sure)} begin with the conditioning image, such as {_names(sure)}, and "
            f"{len(new)} with the first new frame, such as {_names(new)}.\nMake them alike, or say how all are read:\n"
            f"{words}"
        )
    if other := _other_pictures(decision):
        return ModelError(f"{other}\nLook at them. To score them all the same, say how they begin:\n{words}")
    return ModelError(
        f"Do the videos begin with the conditioning image or with the first new frame? They do not tell: "
        f"{_evidence(decision)}.\nSay which:\n{words}"
    )


def _other_pictures(decision: StartDecision) -> str:
    """What is wrong with videos that do not begin near the image at all; "" where they do."""
    clips, unseen = decision.clips, decision.clips - decision.seen
    if 2 * unseen > clips:
        return (
            f"In {unseen} of {clips} videos no object of the conditioning image is seen in the first {WINDOW_S:g} s: "
            "they do not go on from it. Are they noise, of other clips or in other colours?"
        )
    if 2 * decision.far > decision.seen:
        return (
            f"In {decision.far} of {clips} videos objects begin elsewhere than in the conditioning image, by much more "
            "than they move in a frame. Do they run backwards, are they of other clips, or was their start cut off?"
        )
    if decision.lead >= FASTEST_LEAD:
        return (
            f"The videos begin neither with the conditioning image nor one frame after it: {_evidence(decision)}. Were "
            "first frames cut off?"
        )
    return ""


def _evidence(decision: StartDecision) -> str:
    """ "their first frames are 0.01 +- 0.02 of a frame's motion ahead of it (12 of 14 videos tell)"."""
    if not decision.telling:
        return f"in none of the {decision.clips} compared does anything move enough in the first {WINDOW_S:g} s"
    return (
        f"their first frames are {decision.lead:.2f} +- {decision.error:.2f} of one frame's motion ahead of it "
        f"({len(decision.telling)} of {decision.clips} videos tell)"
    )


def _names(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:NAMED_VIDEOS])
