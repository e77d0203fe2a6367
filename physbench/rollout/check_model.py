"""Rolls a model out on two clips, several times, and describes what is wrong with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_scene
from physbench.clips.suite import find_suite
from physbench.models.protocol import ModelCard
from physbench.rollout.answers import Answers, answers_of
from physbench.rollout.batches import Batch, BatchItem
from physbench.rollout.engine import RolloutEngine
from physbench.rollout.messages import GLOBAL_RANDOMNESS, LoadedModel
from physbench.rollout.states import shown_frames
from physbench.rollout.store import Rollout
from physbench.support.errors import UsageError

# Draws truth and prediction side by side.

FRAME_SIDE, NAMES_WIDTH, TOP, BOTTOM = 1.25, 0.95, 0.55, 0.12  # inches


def save_comparison(path: Path, clips: Sequence[Clip], rollouts: Sequence[Rollout], title: str) -> None:
    """Write a PNG: for each clip a row of truth and a row of prediction, from the last context frame on."""
    from matplotlib.figure import Figure

    wide = max(1.0, min(2.0, clips[0].spec.width / clips[0].spec.height))
    rows = 2 * len(clips)
    frames_a_row = 7
    width, height = NAMES_WIDTH + frames_a_row * FRAME_SIDE * wide + 0.1, TOP + rows * FRAME_SIDE + BOTTOM
    figure = Figure(figsize=(width, height))
    figure.text(0.1 / width, 1 - 0.2 / height, title, fontsize=10, weight="bold", va="center")
    for number, (clip, rollout) in enumerate(zip(clips, rollouts, strict=True)):
        predicted = shown_frames(clip, rollout)
        shown = np.linspace(0, clip.horizon, frames_a_row).round().astype(int)
        truth = np.concatenate([clip.context(1), clip.future()])
        for line, name in enumerate(("truth", "prediction")):
            row = 2 * number + line
            bottom = 1 - (TOP + (row + 1) * FRAME_SIDE) / height
            figure.text(0.1 / width, bottom + 0.5 * FRAME_SIDE / height, name, fontsize=8, va="center", color="#5b6270")
            if line == 0:
                label = clip.row.task.split("/")[-1]
                figure.text(0.1 / width, bottom + 0.85 * FRAME_SIDE / height, label, fontsize=7, va="center")
            for column, frame in enumerate(shown):
                box = (
                    (NAMES_WIDTH + column * FRAME_SIDE * wide) / width,
                    bottom,
                    0.96 * FRAME_SIDE * wide / width,
                    0.96 * FRAME_SIDE / height,
                )
                axes = figure.add_axes(box)
                axes.set_axis_off()
                if row == 0:
                    axes.set_title(f"{frame / clip.spec.fps:.2g} s", fontsize=8, pad=3)
                if line == 0 or frame == 0:
                    axes.imshow(truth[frame], interpolation="nearest")
                elif frame <= len(predicted):
                    axes.imshow(predicted[frame - 1], interpolation="nearest")
                else:
                    axes.text(0.5, 0.5, "failed" if rollout.failure else "missing", ha="center", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, facecolor="white", metadata={"Software": None})


RollOut = Callable[[Sequence[Clip]], list[Rollout]]  # the model's answers to other versions of the two clips
RED_GREEN_BLUE = "RGB"


@dataclass
class CheckedModel:
    """Outcome of a model's check. Problems cost clips or repeatability, notes do not."""

    info: LoadedModel
    clips: tuple[Clip, ...]
    rollouts: tuple[Rollout, ...] = ()
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float | None = None  # a clip
    rss: int = 0  # bytes
    accelerator: int = 0  # bytes

    @property
    def kind(self) -> Answers:
        return answers_of(self.info.card)

    @property
    def failed(self) -> bool:
        return not self.rollouts or any(rollout.failure for rollout in self.rollouts)


def rows_to_check(card: ModelCard) -> Sequence[Row]:
    """Rows of clips to check a model with: for one that takes poses of the camera those in which a camera moves."""
    if not card.uses_camera:
        return find_suite("smoke").rows
    first: dict[str, Row] = {}
    for row in find_suite("full").rows:
        first.setdefault(row.task, row)
    return [row for row in first.values() if make_scene(row).camera.path]


def two_comparable_rows(rows: Sequence[Row], engine: RolloutEngine) -> tuple[Row, Row]:
    """Two rows with one horizon, of different tasks if there are any."""
    first, horizon = rows[0], engine.horizon(rows[0])
    alike = [row for row in rows[1:] if engine.horizon(row) == horizon]
    if not alike:
        raise UsageError(f"Expected two clips of one length, got none as long as {first.id}. Answer more clips.")
    return first, next((row for row in alike if row.task != first.task), alike[0])


def check_model(engine: RolloutEngine, clips: Sequence[Clip]) -> CheckedModel:
    """Roll out two clips together, a second time, one by one, and with another sample.

    clips: Two clips of one horizon.
    """
    checked = CheckedModel(engine.info, tuple(clips))
    rows = [clip.row for clip in clips]
    horizon = clips[0].horizon

    def roll_out(*batches: Sequence[tuple[Row, int]], shown: Sequence[Clip] = clips) -> list[Rollout]:
        by_row = {clip.row: clip for clip in shown}
        plan = [Batch(tuple(BatchItem(row, sample) for row, sample in batch), horizon) for batch in batches]
        return [rollout for result in engine.run(plan, by_row.__getitem__) for rollout in result]

    together = [(row, 0) for row in rows]
    checked.rollouts = tuple(roll_out(together))
    for rollout in checked.rollouts:
        if rollout.failure and rollout.failure not in checked.problems:
            checked.problems.append(rollout.failure)
    for event in engine.events:
        if event.kind == "retried" and not checked.failed:
            checked.notes.append(f"Two clips together raised an error and were tried one by one: {event.detail}.")
        elif event.kind == "halved":
            checked.notes.append(event.detail)
    if not checked.failed:
        again = roll_out(together)
        checked.seconds = sum(rollout.seconds for rollout in again) / len(again)
        difference = _difference(checked.kind, checked.rollouts, again)
        if difference.largest:
            checked.problems.append(
                f"Two calls with the same context and the same generators differ, by up to {difference.words}. Draw "
                "random numbers from `generators` only, and put networks into eval mode."
            )
        _compare_batches(checked, roll_out(*([item] for item in together)), engine.notes)
        _compare_samples(checked, roll_out([(rows[0], 0), (rows[0], 1)]))
        SIGNS[checked.info.card.answers](checked, lambda shown: roll_out(together, shown=shown))
    checked.notes += engine.notes
    checked.rss, checked.accelerator = engine.peak_rss, engine.peak_accelerator
    return checked


@dataclass(frozen=True)
class AnswerDifference:
    """Difference between two answers to the same clips."""

    largest: float  # grey levels, m, or a share of the largest surprise
    share: float  # of the values that differ
    rounding: bool  # so small that rounding explains it
    words: str  # "3 grey levels in 1.0% of the values"


def _difference(kind: Answers, first: Sequence[Rollout], second: Sequence[Rollout]) -> AnswerDifference:
    """Compare answers to the same clips."""
    apart = [kind.apart(a, b) for a, b in zip(first, second, strict=True) if not b.failure]
    largest = max((float(each.max()) for each in apart), default=0.0)
    share = float(np.mean([(each > 0).mean() for each in apart])) if apart else 0.0
    words = f"{largest:.0f}" if kind.rounding >= 1 else f"{largest:.2g}"
    return AnswerDifference(
        largest, share, largest <= kind.rounding, f"{words} {kind.unit} in {share:.1%} of the values"
    )


def frozen_end(clip: Clip) -> Clip:
    """The clip with the middle frame of its future to the end."""
    frames = clip.frames.copy()
    frames[clip.handover + clip.horizon // 2 :] = frames[clip.handover + clip.horizon // 2]
    return replace(clip, frames=frames)


def _compare_batches(checked: CheckedModel, alone: Sequence[Rollout], engine_notes: Sequence[str]) -> None:
    failures = [rollout.failure for rollout in alone if rollout.failure]
    if failures:
        checked.problems.append(f"A clip that works together with another fails alone: {failures[0]}")
    difference = _difference(checked.kind, checked.rollouts, alone)
    if difference.largest and not checked.problems:
        cause = "the clips of a batch influence one another. Is a normalisation over the batch in training mode?"
        if difference.rounding:
            cause = "rounding, which is harmless as the plan of batches is fixed."
        elif GLOBAL_RANDOMNESS in engine_notes:
            cause = "random numbers that do not come from `generators`."
        checked.notes.append(
            f"The rollouts of a clip alone and with another differ by up to {difference.words}: {cause}"
        )


def _compare_samples(checked: CheckedModel, samples: Sequence[Rollout]) -> None:
    if any(sample.failure for sample in samples) or checked.problems:
        return
    difference = _difference(checked.kind, samples[:1], samples[1:])
    stochastic = checked.info.card.stochastic
    if stochastic and not difference.largest:
        checked.notes.append("The card says stochastic=True, but two samples of one clip are the same.")
    if not stochastic and not difference.rounding:
        checked.notes.append("Two samples of one clip differ: the card should say stochastic=True.")


def _check_first_frames(checked: CheckedModel, again: RollOut) -> None:
    """Look for signs of channels in another order, a wrong range or a frozen answer."""
    first = np.stack([rollout.frames[0] for rollout in checked.rollouts]).astype(np.float64)
    last = np.stack([clip.context(1)[0] for clip in checked.clips])
    difference, order = float(np.abs(first - last).mean()), channel_order(first, last)
    if order != RED_GREEN_BLUE:
        checked.notes.append(
            f"The first predicted frame looks like {order}: the channels belong in the order red, green, blue."
        )
    elif difference > 16.0:  # grey levels, mean, from the last context frame to the first predicted one
        checked.notes.append(
            f"The first predicted frame is {difference:.0f} grey levels (mean) away from the last context frame: are "
            "context and prediction scaled to [0, 1] in the same way?"
        )
    if all(not (np.diff(rollout.frames.astype(np.int16), axis=0)).any() for rollout in checked.rollouts):
        checked.notes.append("All predicted frames are the same.")


def channel_order(first: NDArray[np.float64], last: NDArray[np.uint8]) -> str:
    """Order in which channels come, "BGR", from frames (..., 3) that should be alike; "RGB" where none is clearer."""
    # no pixel's channels differ by enough grey levels to show their order
    if not (last.max(-1).astype(int) - last.min(-1) > 40).any():
        return RED_GREEN_BLUE
    usual, reverse = (0, 1, 2), (2, 1, 0)
    orders = list(dict.fromkeys((usual, reverse, *itertools.permutations(range(3)))))
    apart = {places: float(np.abs(first[..., list(places)] - last).mean()) for places in orders}
    best = min(orders, key=lambda places: round(apart[places], 3))  # of equal ones the more usual one
    if apart[best] >= apart[usual] / 2:
        return RED_GREEN_BLUE
    return "".join(RED_GREEN_BLUE[best.index(channel)] for channel in range(3))


def _check_first_states(checked: CheckedModel, again: RollOut) -> None:
    """Look for signs of other units or axes, or a frozen answer."""
    moves = [
        np.linalg.norm(
            checked.kind.compared(rollout)[0] - clip.states[clip.handover, list(clip.tracked), :3], axis=-1
        ).max()
        for rollout, clip in zip(checked.rollouts, checked.clips, strict=True)
    ]
    if max(moves) > 1.0:  # m, from the last state of the context to the first predicted one
        checked.notes.append(
            f"The first predicted state lies {max(moves):.2g} m away from the last one of the context: are both in the "
            "units, the axes and the order of columns of the card?"
        )
    if all(not np.diff(checked.kind.compared(rollout), axis=0).any() for rollout in checked.rollouts):
        checked.notes.append("All predicted states are the same.")


def _check_surprise(checked: CheckedModel, again: RollOut) -> None:
    """Look for surprise that depends on later frames, or never changes."""
    half = checked.clips[0].horizon // 2
    ended = again([frozen_end(clip) for clip in checked.clips])
    seen = [
        float(checked.kind.apart(a, b)[:half].max())
        for a, b in zip(checked.rollouts, ended, strict=True)
        if not b.failure
    ]
    ahead = getattr(checked.info.card, "ahead", 0.0)
    if ahead > 0:
        checked.notes.append(
            f"Surprise may depend on what comes up to {ahead:.2g} s later, as its card says: whole films can be "
            "compared with it, moments of them cannot."
        )
    elif seen and max(seen) > checked.kind.rounding:
        checked.problems.append(
            f"Surprise depends on later frames, by up to {max(seen):.2g} of the largest: where the second half of the "
            "films is frozen, that at the first half is another one."
        )
    if all(np.ptp(rollout.answer) == 0 for rollout in checked.rollouts):
        checked.notes.append("Surprise is the same at all frames.")


# What an answer of each kind may show to be wrong.
SIGNS: Mapping[str, Callable[[CheckedModel, RollOut], None]] = {
    "frames": _check_first_frames,
    "states": _check_first_states,
    "surprise": _check_surprise,
}
