"""A model of states is called along time, and an answer that breaks the protocol costs its clips and no more."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from physbench.models.protocol import StateCard
from physbench.rollout.device import AnswerError
from physbench.rollout.in_process import InProcessEngine
from physbench.rollout.predict import check_answer
from physbench.rollout.states import state_inputs

TASKS = ("falling/projectile-v1", "falling/drop-bounce-v1")


class Toy:
    """Answers with what `answer` makes of the last state repeated (B, horizon, N, 13)."""

    def __init__(self, answer: Callable[[torch.Tensor], object] = lambda states: states, **fields: object) -> None:
        self.card = StateCard(**{"name": "toy", "fps": 15.0, "context_frames": 4, **fields})  # type: ignore[arg-type]
        self.answer = answer
        self.calls: list[torch.Tensor] = []

    def rollout_states(self, states, *, bodies, statics, mask, gravity, horizon, actions, prompts, generators):
        self.calls.append(states.clone())
        shape = [1, horizon] + [1] * (states.ndim - 2)
        return self.answer(states[:, -1:].repeat(*shape))


@pytest.fixture
def roll(clip_of):
    """roll(model, tasks): the rollouts of clips, in one batch."""

    def run(model, tasks=TASKS, chain=True):
        clips = {clip.row: clip for clip in (clip_of(task, size=128) for task in tasks)}
        with InProcessEngine(model, chain=chain) as engine:
            plan = engine.plan(
                list(clips), batch_size=len(clips), load=clips.__getitem__, horizon=lambda row: clips[row].horizon
            )
            return [rollout for result in engine.run(plan, clips.__getitem__) for rollout in result]

    return run


def test_states_come_back_for_the_bodies_of_each_clip(roll, clip_of) -> None:
    first, second = roll(Toy(), ("falling/projectile-v1", "collisions/billiards-v1"))
    for rollout, task in ((first, "falling/projectile-v1"), (second, "collisions/billiards-v1")):
        clip = clip_of(task, size=128)
        assert rollout.failure is None and rollout.states.shape == (clip.horizon, len(clip.tracked), 13)
        assert np.allclose(rollout.states, clip.states[clip.handover, list(clip.tracked)], atol=1e-6)
        assert rollout.steps == clip.horizon and not len(rollout.frames)


def _first_nan(states: torch.Tensor) -> torch.Tensor:
    states[0, 3, 0, 0] = torch.nan
    return states


def _raise(states: torch.Tensor) -> torch.Tensor:
    raise ValueError("no orbit")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda s: s[:, :-1], r"got \(2, 59, 1, 13\): answer with `horizon` states, 60 here"),
        (lambda s: torch.cat([s[:, :4], s], 1), "leave out the 4 states of the context"),
        (lambda s: s.transpose(0, 1), "the batch belongs before time"),
        (lambda s: s[0], "the batch dimension is missing"),
        (lambda s: s.flatten(2), "the card's layout says"),
        (lambda s: s[..., :7], r"\(2, 60, 1, 13\) or \(2, 60, 1, 3\), got \(2, 60, 1, 7\)"),
        (lambda s: torch.zeros(2, 60, 3, 64, 64), "these look like frames"),
        (lambda s: s.long(), "floating-point states, got int64"),
        (lambda s: s.numpy(), "Expected a torch.Tensor of states, got ndarray"),
        (lambda s: (s, s), "got tuple: return the states alone"),
        (lambda s: None, "got NoneType"),
        (_raise, r"ValueError in .*: no orbit"),
    ],
)
def test_a_wrong_answer_fails_with_the_likely_mistake(roll, answer, words) -> None:
    for rollout in roll(Toy(answer)):
        assert rollout.failure is not None and "\n" not in rollout.failure
        assert rollout.states is not None and not len(rollout.states)
        assert re.search(words, rollout.failure), rollout.failure


def test_nan_fails_the_clip_that_has_it(roll) -> None:
    bad, good = roll(Toy(_first_nan))
    assert bad.failure == "Predicted state 4 of 60 holds NaN (1 of 13 values)." and good.failure is None


def test_nan_in_a_row_that_a_clip_does_not_have_is_nothing(roll) -> None:
    def pad(states: torch.Tensor) -> torch.Tensor:
        states[0, :, 1:] = torch.nan
        return states

    first, second = roll(Toy(pad), ("falling/projectile-v1", "collisions/billiards-v1"))
    assert first.failure is None and second.failure is None


def test_a_clip_with_more_bodies_than_the_card_fails_alone(roll) -> None:
    first, second = roll(Toy(bodies=1), ("falling/projectile-v1", "collisions/head-on-v1"))
    assert first.failure is None and second.failure == "The clip has 2 bodies, and the card says bodies=1."


def test_positions_alone_are_an_answer(roll) -> None:
    (rollout,) = roll(Toy(lambda states: states[..., :3]), TASKS[:1])
    assert np.isfinite(rollout.states[..., :3]).all() and np.isnan(rollout.states[..., 3:]).all()


def test_a_short_model_goes_on_from_its_own_last_states(roll) -> None:
    def move(states: torch.Tensor) -> torch.Tensor:
        steps = torch.arange(1, states.shape[1] + 1)[None, :, None]
        states[..., 0] += 0.01 * steps
        return states

    model = Toy(move, max_horizon=7)
    (rollout,) = roll(model, TASKS[:1])
    assert rollout.chained == 9 and len(model.calls) == 9
    assert np.allclose(np.diff(rollout.states[:, 0, 0]), 0.01, atol=1e-5)
    assert np.allclose(model.calls[1][0, :, 0, 0].numpy(), rollout.states[3:7, 0, 0], atol=1e-6)
    (short,) = roll(Toy(move, max_horizon=7), TASKS[:1], chain=False)
    assert short.states.shape[0] == 7
    (refused,) = roll(Toy(lambda states: states[..., :3], max_horizon=7), TASKS[:1])
    assert refused.failure is not None and "must answer with velocities" in refused.failure


def test_flat_px_models_get_and_give_flat_px(roll, clip_of) -> None:
    fields = {"columns": "positions", "space": "plane", "units": "px", "layout": "flat", "bodies": 3}
    model = Toy(**fields)
    (rollout,) = roll(model, TASKS[:1])
    assert model.calls[0].shape == (1, 4, 6)
    clip = clip_of(TASKS[0], size=128)
    assert np.allclose(rollout.states[:, :, :3], clip.states[clip.handover, list(clip.tracked), :3], atol=1e-5)


def test_a_privileged_model_need_not_know_how_many_bodies_other_clips_have(clip_of) -> None:
    card = StateCard("toy", fps=15.0, context_frames=4, track="privileged")
    clips = [clip_of(task, size=128) for task in ("falling/projectile-v1", "collisions/billiards-v1")]
    given = state_inputs(clips, card).select([0])  # a part of the batch
    rows, own = given.mask.shape[1], int(given.many[0])
    assert own < rows
    answer = torch.rand(1, 5, own, 13)
    found = check_answer(answer, card, given, 5, whole=True)
    assert found.shape == (1, 5, rows, 13) and np.allclose(found[:, :, :own], answer.numpy())
    with pytest.raises(AnswerError, match="shape"):
        check_answer(answer, card, given, 5, whole=False)


def test_a_model_of_double_precision_may_change_what_it_is_given(roll) -> None:
    class Careless(Toy):
        def __init__(self) -> None:
            super().__init__(max_horizon=2)
            self.network = torch.nn.Linear(1, 1).double()

        def rollout_states(self, states, *, bodies, **given):
            answer = super().rollout_states(states, bodies=bodies, **given)
            for tensor in (states, bodies, given["gravity"]):
                tensor.fill_(7)
            return answer

    model = Careless()
    (rollout,) = roll(model, TASKS[:1])
    assert rollout.failure is None and model.calls[0].dtype == torch.float64
    assert not (model.calls[1] == 7).any()  # the second call has the last states of the context and of the answer
