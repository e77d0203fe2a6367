"""Messages that contradict what was asked of the model's process."""

from dataclasses import replace

import numpy as np
import pytest

from physbench.models.protocol import ModelCard
from physbench.rollout.answers import answers_of
from physbench.rollout.batches import Batch, BatchInFlight, BatchItem, make_job
from physbench.rollout.messages import (
    DeviceFailure,
    JobDone,
    LoadFailure,
    PartFinished,
    PartStarted,
    PositionResult,
    RolloutEvent,
)

STARTED = PartStarted(4, (0, 1), False, 1.0)
GOOD = PositionResult(0, 12, 1, 0.1), PositionResult(1, 0, 0, 0.0, "NaN")


@pytest.fixture
def in_flight(clip_maker) -> BatchInFlight:
    """Batch 4: three clips of 12 frames."""
    made = [clip_maker(seed) for seed in range(3)]
    batch = Batch(tuple(BatchItem(clip.row) for clip in made), 12)
    card = ModelCard("toy", (32, 40), 10, 3)
    job = make_job(4, batch, made, card, privileged=False, chain=True, seed=0, part_size=None, memory=10**7, offset=0)
    return BatchInFlight(4, batch, job, started=STARTED)


@pytest.mark.parametrize(
    "message",
    [
        PartStarted(4, (2,), True, 1.0),
        PartFinished(4, GOOD),
        RolloutEvent("halved", 4, (), "full", 1, (0, 1)),
        RolloutEvent("retried", 4, (), "raised", positions=(0, 1)),
        DeviceFailure(4, "CUDA error"),
    ],
)
def test_what_fits_has_no_problem(in_flight, message) -> None:
    assert in_flight.contradiction(message) == ""


@pytest.mark.parametrize(
    "message",
    [
        PartStarted(3, (0,), False, 1.0),
        PartStarted(4, (), False, 1.0),
        PartStarted(4, (3,), False, 1.0),
        PartStarted(4, (1, 1), False, 1.0),
        PartFinished(5, GOOD),
        PartFinished(4, GOOD[:1]),
        PartFinished(4, GOOD[::-1]),
        PartFinished(4, ()),
        RolloutEvent("halved", 4, (), "full", 4, (0, 1)),
        RolloutEvent("halved", 4, (), "full", 1, (0, 99)),
        RolloutEvent("halved", 4, ("another clip",), "full", 1, (0, 1)),
        RolloutEvent("timeout", 4, (), "slow", None, (0, 1)),
        JobDone(4, 0, 0, 0),
        LoadFailure("again", ""),
    ],
)
def test_what_does_not_fit_is_said(in_flight, message) -> None:
    assert type(message).__name__ in in_flight.contradiction(message)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (replace(GOOD[0], frames=11), "11 frames of 12"),
        (replace(GOOD[0], frames=13), "13 frames of 12"),
        (replace(GOOD[0], frames=2**40), "frames of 12"),
        (replace(GOOD[0], frames=12, failure="but"), "12 frames of 12"),
    ],
)
def test_a_clip_has_all_its_frames_or_none(in_flight, result, words) -> None:
    assert words in in_flight.contradiction(PartFinished(4, (result, GOOD[1])))


def test_a_video_may_end_early(in_flight) -> None:
    in_flight.job = replace(in_flight.job, inputs=replace(in_flight.job.inputs, items=(("a", 0),) * 3))
    assert in_flight.contradiction(PartFinished(4, (replace(GOOD[0], frames=3), GOOD[1]))) == ""


def test_nothing_is_done_twice(in_flight) -> None:
    in_flight.results = {0: GOOD[0], 1: GOOD[1]}
    assert in_flight.contradiction(PartStarted(4, (1, 2), False, 1.0))
    assert in_flight.contradiction(JobDone(4, 0, 0, 0)), "a clip is left"
    in_flight.results[2] = GOOD[0]
    assert in_flight.contradiction(JobDone(4, 0, 0, 0)) == ""


def test_messages_about_one_batch_come_to_an_end(in_flight) -> None:
    """Each might put the time limit off."""
    problems = [in_flight.contradiction(STARTED) for _ in range(1000)]
    assert problems[:20] == [""] * 20 and "more messages" in problems[-1]


def test_a_job_is_the_same_without_future_frames(clip_maker) -> None:
    made = [clip_maker(seed) for seed in range(2)]
    batch = Batch(tuple(BatchItem(clip.row) for clip in made), 12)
    card = ModelCard("toy", (32, 40), 10, 3)
    cut = [answers_of(card).needed(clip, False) for clip in made]
    assert all(len(clip.frames) == clip.handover + 1 and clip.frames.base is None for clip in cut)
    settings = {"privileged": False, "chain": True, "seed": 0, "part_size": None, "memory": 10**7, "offset": 0}
    whole, short = (vars(make_job(0, batch, clips, card, **settings)) for clips in (made, cut))
    inputs = [vars(job.pop("inputs")) for job in (whole, short)]
    assert np.array_equal(*(each.pop("context") for each in inputs))
    assert whole == short and inputs[0] == inputs[1]
    assert answers_of(card).needed(made[0], True) is made[0]
