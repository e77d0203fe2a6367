"""Messages of the model's process: of few kinds, with bounded fields that fit what was asked, or refused in a line."""

from __future__ import annotations

import json
import pickle
import time
from dataclasses import replace

import numpy as np
import pytest

from physbench.models.protocol import ModelCard, StateCard
from physbench.rollout.answers import answers_of
from physbench.rollout.batches import Batch, BatchInFlight, BatchItem, make_job
from physbench.rollout.messages import (
    BOUNDS,
    DeviceFailure,
    JobDone,
    LoadedModel,
    LoadFailure,
    MessageError,
    PartFinished,
    PartStarted,
    PositionResult,
    RolloutEvent,
    checked_info,
    decode,
    encode,
)
from physbench.support.errors import ModelError

CARD = ModelCard("model", (64, 96), 15, 8, max_horizon=4, uses_actions=True)
RESULTS = (PositionResult(0, 12, 1, 0.25), PositionResult(3, 0, 0, 0.0, "NaN in frame 3: 9.8 m/s²"))


@pytest.mark.parametrize(
    "message",
    [
        LoadedModel(CARD, False, "cuda:1", "bfloat16", "NVIDIA H200", 10**9, 0, notes=("a word",)),
        LoadFailure("make failed.\nGive it weights.", "Traceback:\n  line 1\n"),
        PartStarted(1, (0, 3), True, 12.5),
        PartFinished(1, RESULTS),
        RolloutEvent("halved", 1, (), "Memory was full", 2, (0, 3)),
        DeviceFailure(1, "CUDA error"),
        JobDone(1, 1, 2, 3, ("a", "b")),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_is_read_as_it_was_sent(message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize("fps", [15, 15.0])
def test_a_rate_stays_the_number_that_it_was(fps) -> None:
    read = decode(encode(LoadedModel(ModelCard("model", (64, 64), fps, 8), False, "cpu", "float32", "", 0, 0)))
    assert type(read.card.fps) is type(fps), "it is written into the manifest"


def test_texts_of_a_model_are_cut_and_made_plain() -> None:
    read = decode(encode(LoadFailure("\x1b[31mred\0 \ud800" + "x" * 10_000, "start" + "y" * BOUNDS.traceback + "end")))
    assert read.reason.startswith(" [31mred") and len(read.reason) == BOUNDS.text
    assert read.traceback.endswith("yend") and len(read.traceback) == BOUNDS.traceback
    assert len(decode(encode(JobDone(0, 0, 0, 0, ("n",) * 1000))).notes) == BOUNDS.notes


def changed(**fields) -> bytes:
    document = {"index": 1, "positions": [0], "retry": False, "time": 1.0, **fields}
    return b"PartStarted " + json.dumps([document]).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "known kind"),
        (pickle.dumps({"a": 1}), "known kind"),
        (b"RolloutJob []", "known kind"),
        (b"PartStarted", "wrong PartStarted"),
        (b"PartStarted {}", "wrong PartStarted"),
        (b"PartStarted [{}]", "index"),
        (changed(index="1"), "index"),
        (changed(index=True), "index"),
        (changed(index=1.0), "index"),
        (changed(index=-1), "index"),
        (changed(index=2**70), "index"),
        (changed(positions=[0, -1]), "positions"),
        (changed(positions=None), "positions"),
        (changed(retry=0), "retry"),
        (changed(time=float("nan")), "PartStarted"),
        (changed(time=1e300), "time"),
        (changed(other=1), "other"),
        (changed(**{"\x1b[31m": 1}), "PartStarted"),
        (b"DeviceFailure " + json.dumps([{"index": 0, "reason": "\x1b[2J"}]).encode(), "reason"),
        (b"DeviceFailure " + json.dumps([{"index": 0, "reason": "x" * (BOUNDS.text + 1)}]).encode(), "reason"),
    ],
)
def test_anything_else_is_refused_in_one_plain_line(content, words) -> None:
    with pytest.raises(MessageError, match=words) as caught:
        decode(content)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "card",
    [{"name": 3}, {"image_size": [64]}, {"image_size": ["64", 64]}, {"track": "best"}, {"more": 1}],
)
def test_a_card_has_the_types_of_a_card(card) -> None:
    document = json.loads(encode(LoadedModel(CARD, False, "cpu", "float32", "", 0, 0)).partition(b" ")[2])
    document[0]["card"] |= card
    with pytest.raises(MessageError, match=rf"card\..*{next(iter(card))}"):
        decode(b"LoadedModel " + json.dumps(document).encode())


@pytest.mark.slow
def test_the_largest_wrong_message_takes_seconds_at_most() -> None:
    content = b"PartFinished " + json.dumps([{"index": 0, "results": [1] * (BOUNDS.message_bytes // 3 - 100)}]).encode()
    begun = time.process_time()
    with pytest.raises(MessageError):
        decode(content[: BOUNDS.message_bytes])
    with pytest.raises(MessageError):
        decode(content)
    assert time.process_time() - begun < 10


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


FRAMES = LoadedModel(ModelCard("made", (64, 64), 15.0, 4), False, "cpu", "float32", "", 0, 0)
STATES = LoadedModel(StateCard("made", fps=15.0, context_frames=4), False, "cpu", "float32", "", 0, 0)


@pytest.mark.parametrize("info", [FRAMES, STATES], ids=["frames", "states"])
def test_a_card_arrives_as_it_was_sent(info: LoadedModel) -> None:
    assert checked_info(decode(encode(info)), "made.py:make", "context", None) == info


@pytest.mark.parametrize(
    ("info", "says"),
    [
        (replace(STATES, card=StateCard("made", fps=15.0, context_frames=4, bodies=-5)), "bodies"),
        (replace(STATES, card=StateCard("made", fps=15.0, context_frames=4, bodies=10**9)), "bodies"),
        (replace(FRAMES, card=ModelCard("made", (64, 64), 15.0, 10**15, repeat_first=True)), "context frames"),
        (replace(FRAMES, card=ModelCard("made", (64, 64), 10**400, 4)), "got inf"),
        (replace(FRAMES, privileged=True), "may not be handed"),
        (PartFinished(0, ()), "before the model"),
    ],
)
def test_what_would_harm_the_parent_is_refused(info: LoadedModel, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        checked_info(info, "made.py:make", "context", None)


def test_a_model_that_is_handed_clips_says_so_on_its_card() -> None:
    with pytest.raises(ModelError, match="contradicts itself"):
        checked_info(replace(FRAMES, privileged=True), "made.py:make", "clip", None)


@pytest.mark.parametrize("change", [{"reported_sha256": "b" * 64}, {"settings": {"steps": "5"}}])
def test_a_model_that_is_loaded_again_is_the_same(change: dict[str, object]) -> None:
    first = replace(FRAMES, reported_sha256="a" * 64, settings={"steps": "4"})
    assert checked_info(replace(first, rss=7), "made.py:make", "context", first).rss == 7
    with pytest.raises(ModelError, match="another one than before"):
        checked_info(replace(first, **change), "made.py:make", "context", first)
