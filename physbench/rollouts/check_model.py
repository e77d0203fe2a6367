"""Rolls a model out on two clips, several times, and describes what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.errors import UsageError
from physbench.rollouts.batch_plan import Batch, BatchItem
from physbench.rollouts.messages import GLOBAL_RANDOMNESS, LoadedModel
from physbench.rollouts.rollout import Rollout
from physbench.rollouts.rollout_engine import RolloutEngine

Frames = NDArray[np.uint8]
ROUNDING_LEVELS = 2  # grey levels; a batch may change a value by rounding
MAX_FIRST_STEP = 16.0  # grey levels, mean, from the last context frame to the first predicted one


@dataclass
class CheckedModel:
    """What was found. Problems cost clips or repeatability, notes do not."""

    info: LoadedModel
    clips: tuple[Clip, ...]
    rollouts: tuple[Rollout, ...] = ()
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float | None = None  # a clip
    rss: int = 0  # bytes
    accelerator: int = 0  # bytes

    @property
    def failed(self) -> bool:
        return not self.rollouts or any(rollout.failure for rollout in self.rollouts)


def two_comparable_rows(rows: Sequence[Row], engine: RolloutEngine) -> tuple[Row, Row]:
    """Two rows with one horizon, of different tasks if there are any."""
    first, horizon = rows[0], engine.horizon(rows[0])
    alike = [row for row in rows[1:] if engine.horizon(row) == horizon]
    if not alike:
        raise UsageError(f"Expected two clips of one length, got none as long as {first.id}. Answer more clips.")
    return first, next((row for row in alike if row.task != first.task), alike[0])


def check_model(engine: RolloutEngine, clips: Sequence[Clip]) -> CheckedModel:
    """Roll out two clips together, a second time, one by one, and with another sample.

    Args:
        engine: The model.
        clips: Two clips of one horizon.
    """
    checked = CheckedModel(engine.info, tuple(clips))
    by_row = {clip.row: clip for clip in clips}
    rows = [clip.row for clip in clips]
    horizon = clips[0].horizon

    def roll_out(*batches: Sequence[tuple[Row, int]]) -> list[Rollout]:
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
        _compare_calls(checked, again)
        _compare_batches(checked, roll_out(*([item] for item in together)), engine.notes)
        _compare_samples(checked, roll_out([(rows[0], 0), (rows[0], 1)]))
        _check_first_frames(checked)
    checked.notes += engine.notes
    checked.rss, checked.accelerator = engine.peak_rss, engine.peak_accelerator
    return checked


def _difference(first: Sequence[Rollout], second: Sequence[Rollout]) -> tuple[int, float]:
    """Largest difference in grey levels, and the share of values that differ."""
    differences = [
        np.abs(a.frames.astype(np.int16) - b.frames) for a, b in zip(first, second, strict=True) if not b.failure
    ]
    if not differences:
        return 0, 0.0
    return max(int(difference.max()) for difference in differences), float(
        np.mean([(difference > 0).mean() for difference in differences])
    )


def _compare_calls(checked: CheckedModel, again: Sequence[Rollout]) -> None:
    levels, share = _difference(checked.rollouts, again)
    if levels:
        checked.problems.append(
            f"Two calls with the same context and the same generators differ, by up to {levels} grey levels in "
            f"{share:.1%} of the values. Draw random numbers from `generators` only, and put networks into eval mode."
        )


def _compare_batches(checked: CheckedModel, alone: Sequence[Rollout], engine_notes: Sequence[str]) -> None:
    failures = [rollout.failure for rollout in alone if rollout.failure]
    if failures:
        checked.problems.append(f"A clip that works together with another fails alone: {failures[0]}")
    levels, share = _difference(checked.rollouts, alone)
    if levels and not checked.problems:
        cause = "the clips of a batch influence one another. Is a normalisation over the batch in training mode?"
        if levels <= ROUNDING_LEVELS:
            cause = "rounding, which is harmless as the plan of batches is fixed."
        elif GLOBAL_RANDOMNESS in engine_notes:
            cause = "random numbers that do not come from `generators`."
        checked.notes.append(
            f"The rollouts of a clip alone and with another differ by up to {levels} grey levels in {share:.1%} of the "
            f"values: {cause}"
        )


def _compare_samples(checked: CheckedModel, samples: Sequence[Rollout]) -> None:
    if any(sample.failure for sample in samples) or checked.problems:
        return
    levels, _ = _difference(samples[:1], samples[1:])
    stochastic = checked.info.card.stochastic
    if stochastic and not levels:
        checked.notes.append("The card says stochastic=True, but two samples of one clip are the same.")
    if not stochastic and levels > ROUNDING_LEVELS:
        checked.notes.append("Two samples of one clip differ: the card should say stochastic=True.")


def _check_first_frames(checked: CheckedModel) -> None:
    """Look for signs of swapped channels, a wrong range or a frozen answer."""
    first = np.stack([rollout.frames[0] for rollout in checked.rollouts]).astype(np.float64)
    last = np.stack([clip.context(1)[0] for clip in checked.clips])
    difference, swapped = float(np.abs(first - last).mean()), float(np.abs(first[..., ::-1] - last).mean())
    colored = last.max(-1).astype(int) - last.min(-1) > 40
    if colored.any() and difference > 0 and swapped < difference / 2:
        checked.notes.append(
            "The first predicted frame looks like BGR: the channels belong in the order red, green, blue."
        )
    elif difference > MAX_FIRST_STEP:
        checked.notes.append(
            f"The first predicted frame is {difference:.0f} grey levels (mean) away from the last context frame: are "
            "context and prediction scaled to [0, 1] in the same way?"
        )
    if all(not (np.diff(rollout.frames.astype(np.int16), axis=0)).any() for rollout in checked.rollouts):
        checked.notes.append("All predicted frames are the same.")
