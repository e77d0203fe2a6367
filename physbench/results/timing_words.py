"""What is said of the timing of a run's frames, and what mends it."""

from __future__ import annotations

from collections.abc import Sequence

from physbench.results.number_format import bracket, joined
from physbench.results.schema_parts import TimingFault, TimingResult

SAME_RATE = 0.05  # of real time


def told_timing(found: TimingResult, fps: float) -> TimingResult:
    """The finding with its sentence and remedy. fps: of the scored frames."""
    faults = joined([phrase(fault) for fault in found.faults])
    missing = all(fault.kind == "repeats" and fault.frame is None for fault in found.faults)
    undone = "with these taken as missing" if missing else "with that undone"
    size = f"{undone}, the laws explain {100 * found.undone:.0f} % of its motion instead of {100 * found.quality:.0f} %"
    apart = _mended_apart(found.faults)
    remedy = " ".join(dict.fromkeys(remedy_of(fault, fps) for fault in apart))
    if len(apart) < len(found.faults):
        remedy = f"{remedy} Leave the repeats out: what is left runs in real time at the same `fps`.".strip()
    return found.model_copy(update={"sentence": f"Timing: {faults}; {size}. {remedy}".strip(), "remedy": remedy})


def _mended_apart(faults: Sequence[TimingFault]) -> list[TimingFault]:
    """Faults that are mended each by itself: not repeats with the rate that follows from them."""
    repeats = [fault for fault in faults if fault.kind == "repeats" and fault.frame is None]
    rates = [fault for fault in faults if fault.kind == "rate"]
    if repeats and rates and abs(rates[0].value - (1 - repeats[0].value)) < SAME_RATE:
        return [fault for fault in faults if fault not in (repeats[0], rates[0])]
    return list(faults)


def phrase(fault: TimingFault) -> str:
    """What is wrong with the timing: "predictions begin one frame late"."""
    if fault.frame is not None and fault.kind == "repeats":
        return f"frame {fault.frame} of every clip repeats the one before"
    if fault.frame is not None:
        return f"frames are left out before frame {fault.frame} of every clip"
    if fault.kind == "repeats" and fault.period is None:
        return f"{100 * fault.value:.0f} % of the frames repeat the one before"
    if fault.kind == "repeats":
        return f"{_every(fault)} repeats the one before"
    if fault.kind == "left-out":
        return f"frames are left out, {100 * fault.value:.0f} for each 100 that are shown"
    if fault.kind == "rate":
        return f"everything runs at {fault.value:.3g} x real time {bracket(fault.interval, 3)}".rstrip()
    if fault.kind == "blend":
        return f"each frame is a blend of neighbouring ones, {abs(fault.value):.2g} frames behind its time"
    size = abs(fault.value)
    frames = "one frame" if size == 1 else f"{size:.2g} frames"
    return f"predictions begin {frames} {'early' if fault.value > 0 else 'late'}"


def _every(fault: TimingFault) -> str:
    ordinals = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 8: "eighth", 10: "tenth"}
    return f"every {ordinals[fault.period]} frame" if fault.period in ordinals else f"one frame in {fault.period}"


def remedy_of(fault: TimingFault, fps: float) -> str:
    """The setting that mends a fault of an adapter."""
    if fault.kind == "shift" and fault.value == -1:
        return (
            "If the answer begins with the last context frame, leave it out: the first frame is due one interval after "
            "the hand-over (videos: --model-arg includes_context=true)."
        )
    if fault.kind == "shift" and fault.value == 1:
        return (
            "If the adapter takes the first new frame for the last context frame, keep it: it is due one interval "
            "after the hand-over (videos: --model-arg includes_context=false)."
        )
    if fault.kind == "rate":
        native = f"{fps / fault.value:.3g}"
        return f"If the model draws {native} frames/s, say so: `fps` of its card (videos: --model-arg fps={native})."
    if fault.frame is not None:
        return "If chunks of frames are joined there, each must begin with the frame behind the last one."
    if fault.kind == "repeats":
        return "If a conversion of frame rates repeats frames, leave them out and state the lower rate as `fps`."
    if fault.kind == "left-out":
        return "If a conversion of frame rates leaves frames out, answer with all of them."
    if fault.kind == "blend":
        return "If frames are interpolated to a higher rate, answer with those of the model and its rate as `fps`."
    return "The first frame is due one interval after the hand-over."
