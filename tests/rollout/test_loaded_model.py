"""What a model's process may say of the model that it has loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from physbench.models.protocol import ModelCard, StateCard
from physbench.rollout.messages import LoadedModel, PartFinished, checked_info, decode, encode
from physbench.support.errors import ModelError

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
