"""A card of states is checked before anything is loaded or made."""

from __future__ import annotations

import pytest

from physbench.models.protocol import ModelCard, StateCard, StateModel, check_contract
from physbench.support.errors import ModelError


class Answers:
    def __init__(self, card):
        self.card = card

    def rollout_states(self, states, *, bodies, statics, mask, gravity, horizon, actions, prompts, generators):
        return states


def test_a_model_of_states_keeps_the_protocol() -> None:
    model = Answers(StateCard("mine", 15, 4))
    assert check_contract(model, "mine.py:make") is model
    assert isinstance(model, StateModel)


def test_width_and_context_follow_from_the_card() -> None:
    assert StateCard("a", 15, 4).width == 13
    assert StateCard("a", 15, 4, columns="positions+velocities").width == 6
    assert StateCard("a", 15, 4, columns="positions", space="plane").width == 2
    # A velocity that is given counts as half a second of places; places alone count for what they are.
    assert StateCard("a", 30, 1).scored_context == 16
    assert StateCard("a", 30, 20).scored_context == 20
    assert StateCard("a", 30, 1, columns="positions").scored_context == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"columns": "velocities"}, "columns to be one of all, positions\\+velocities, positions"),
        ({"space": "plane"}, "all columns are those of the world"),
        ({"columns": "positions", "units": "px"}, "set space='plane'"),
        ({"layout": "list"}, "layout to be one of objects, flat"),
        ({"bodies": 0}, "bodies to be a whole number from 1"),
        ({"window_px": float("nan")}, "window_px above 0"),
        ({"window_px": "128"}, "window_px above 0"),
        ({"fps": 7}, "expected 4 to 60 frames/s"),
        ({"context_frames": 100}, "2 s of history"),
    ],
)
def test_a_wrong_card_is_refused_with_what_works(fields: dict[str, object], words: str) -> None:
    card = StateCard(**{"name": "mine", "fps": 15, "context_frames": 4, **fields})  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=words):
        check_contract(Answers(card), "mine.py:make")


def test_the_card_and_the_method_are_of_one_kind() -> None:
    with pytest.raises(ModelError, match=r"needs a physbench\.StateCard, got a ModelCard"):
        check_contract(Answers(ModelCard("mine", (64, 64), 15, 4)), "mine.py:make")

    class Frames:
        card = StateCard("mine", 15, 4)

        def rollout(self, context, *, horizon, actions, prompts, generators): ...

    with pytest.raises(ModelError, match=r"`rollout` needs .* one with a StateCard needs a method `rollout_states`"):
        check_contract(Frames(), "mine.py:make")

    class Short:
        card = StateCard("mine", 15, 4)

        def rollout_states(self, states, *, horizon): ...

    with pytest.raises(ModelError, match=r"cannot be called as rollout_states\(states, \*, bodies, statics"):
        check_contract(Short(), "mine.py:make")
