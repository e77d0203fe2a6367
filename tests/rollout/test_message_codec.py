"""What the model's process sends is read as one of a few kinds with bounded fields, or refused in a line."""

import json
import pickle
import time

import pytest

from physbench.models.protocol import ModelCard
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
    decode,
    encode,
)

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
