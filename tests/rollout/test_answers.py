"""The three kinds of answer keep one contract: what is given, what lies in memory, and the rollout that it becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from physbench.models.protocol import CARDS, ModelCard, StateCard, SurpriseCard, card_document, card_fields
from physbench.rollout.answers import KINDS, Answers, answers_of
from physbench.rollout.predict import ANSWERED
from physbench.rollout.store import Rollout
from physbench.support.run_folder import RunFolder
from physbench.surprise.ask import OBSERVERS

FIELDS: dict[str, Any] = {"name": "toy", "fps": 10, "context_frames": 3}
ALL = (ModelCard(image_size=(32, 40), **FIELDS), StateCard(**FIELDS), SurpriseCard(image_size=(32, 40), **FIELDS))


@pytest.fixture(params=ALL, ids=lambda card: card.answers)
def kind(request: pytest.FixtureRequest) -> Answers:
    return answers_of(request.param)


def test_every_kind_of_card_has_its_classes_everywhere() -> None:
    assert CARDS.keys() == KINDS.keys() == ANSWERED.keys() == OBSERVERS.keys() == {card.answers for card in ALL}
    methods = [set(card.methods) - {"rollout_clips"} for card in ALL]
    assert not methods[0] & methods[1] and not methods[0] & methods[2] and not methods[1] & methods[2]


def test_a_document_names_the_kind_of_its_card(kind: Answers) -> None:
    made, values = card_fields(card_document(kind.card))
    assert made(**values) == kind.card


def test_an_answer_in_memory_becomes_a_rollout_of_its_own(kind: Answers, clip_maker, tmp_path) -> None:
    clip, moments = clip_maker(0), 12
    memory = np.zeros(2 * kind.bytes_of(1, moments) + 16, dtype=np.uint8)
    view = kind.view(memory, 16, 2, moments)
    assert view.shape == (2, moments, *kind.step[0])
    view[1] = np.arange(moments).reshape(-1, *(1 for _ in kind.step[0]))
    rollout = Rollout(clip.id, 0, **kind.predicted(view[1, :7], len(clip.tracked)))
    assert rollout.steps == 7 and (rollout.answer[3] == 3).all()
    view[1] = 0
    assert rollout.answer.any(), "its own memory"
    assert not kind.apart(rollout, rollout).any() and kind.rounding > 0 and kind.unit
    assert kind.file(RunFolder(tmp_path), clip.id, 0).parent == RunFolder(tmp_path).rollout(clip.id, 0).parent


def test_a_privileged_model_alone_is_given_the_clips(kind: Answers, clip_maker) -> None:
    made = [clip_maker(seed) for seed in range(3)]
    given, handed = (kind.inputs(made, seeds=(1, 2, 3), privileged=granted) for granted in (False, True))
    assert given.clips is None and handed.clips == tuple(made)
    assert handed.context is None and (given.context is None) == (given.states is not None)
    assert kind.needed(made[0], True) is made[0]
    kept = len(kind.needed(made[0], False).frames)
    assert kept == (made[0].handover + 1 if kind.card.continues else len(made[0].frames))


def test_some_of_the_clips_are_given_as_all_of_them_are(kind: Answers, clip_maker) -> None:
    made = [clip_maker(seed) for seed in range(3)]
    whole, some = kind.inputs(made, seeds=(1, 2, 3)), kind.inputs(made[:0:-1], seeds=(3, 2))
    assert whole.select([0, 1, 2]) is whole
    chosen = whole.select([2, 1])
    assert list(chosen.seeds) == list(some.seeds)
    if whole.states is None:
        assert np.array_equal(chosen.context, some.context)
    else:
        pairs = zip(vars(chosen.states).values(), vars(some.states).values(), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs if one is not None)
