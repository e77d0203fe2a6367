"""Models of frames and states called along time: what they are given, and answers that break the protocol."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from kept_clips import kept_clip

from physbench.clips.generate import frames_before
from physbench.models.protocol import StateCard
from physbench.rollout.answers import answers_of, model_actions, model_context
from physbench.rollout.batches import stored_frames
from physbench.rollout.device import AnswerError
from physbench.rollout.in_process import InProcessEngine
from physbench.rollout.predict import check_answer, predict
from physbench.rollout.states import state_inputs

CPU = torch.device("cpu")


def roll(model, clips, *, chain: bool = True, seeds=None):
    """Its answer to clips and the frames (B, T, 3, H, W)."""
    inputs = answers_of(model.card).inputs(clips, seeds=seeds or range(len(clips)))
    stored = stored_frames(model.card, inputs.horizon, chain)
    place = torch.empty((len(clips), stored, 3, *model.card.image_size), dtype=torch.uint8)
    return predict(model, inputs, place, CPU, torch.float32), place


def test_a_short_model_goes_on_from_its_own_rounded_frames(toys, clip_maker) -> None:
    model = toys.Short()
    clip = clip_maker(0, code=10, horizon=10, impulse=True)
    answer, frames = roll(model, [clip])
    assert answer.chained == 3
    # 1.4 levels a frame, rounded to 1, 3, 4, 6 within a call; the next call starts at the rounded 6.
    assert (frames[0, :, 0, 0, 0].int() - 10).tolist() == [1, 3, 4, 6, 7, 9, 10, 12, 13, 15]
    shapes = [(shape, horizon) for shape, horizon, _ in model.calls]
    assert shapes == [((1, 3, 3, 32, 40), 4), ((1, 3, 3, 32, 40), 4), ((1, 3, 3, 32, 40), 2)]


def test_what_a_model_assumes_is_told(toys, clip_maker) -> None:
    model = toys.Short()
    part = [clip_maker(0, horizon=4)]
    assert roll(model, part)[0].notes == set()
    model.assumptions = ("The file says no frame rate.",)
    assert roll(model, part)[0].notes == {"The file says no frame rate."}


def test_actions_are_cut_to_each_call(toys, clip_maker) -> None:
    model = toys.Short()
    clip = clip_maker(0, horizon=10, impulse=True)
    roll(model, [clip, clip_maker(1, horizon=10)])
    tables = [actions for _, _, actions in model.calls]
    assert [table.shape for table in tables] == [(2, 7, 6), (2, 7, 6), (2, 5, 6)]
    # The impulse at 0.5 s shows in predicted frame 6, at 0.6 s: row 2 + 6 of the whole table, row 4 of the second call.
    assert tables[1][0].any(1).nonzero().flatten().tolist() == [4]
    assert tables[1][0, 4].tolist() == pytest.approx([0.9, 0.135, 0.135, 1, 0, 2])
    assert tables[0][0].any(1).nonzero().flatten().tolist() == [1]  # the one at -0.15 s shows at -0.1 s
    assert not any(table[1].any() for table in tables)


def test_what_a_pair_is_given_does_not_depend_on_the_batch(toys, clip_maker) -> None:
    """Zeros for the clip without its push, beside the one with it and alone; None for other clips without, as ever."""
    card = toys.Short().card
    pushed, plain = clip_maker(0, impulse=True), clip_maker(0)
    quiet = replace(plain, row=replace(plain.row, change="unpushed"))
    together = model_actions([pushed, quiet], card)
    for row, clip in zip(together, (pushed, quiet), strict=True):
        alone = model_actions([clip], card)
        assert alone.dtype == together.dtype and (alone[0] == row).all()
    assert together[0].any() and not together[1].any()
    assert model_actions([plain], card) is None and model_actions([quiet], toys.card()) is None


def test_without_chain_the_rest_is_missing(toys, clip_maker) -> None:
    model = toys.Short()
    answer, frames = roll(model, [clip_maker(0, horizon=10)], chain=False)
    assert answer.chained == 1 and frames.shape[1] == 4


def test_the_first_frame_is_repeated_where_the_context_reaches_back_further(toys, clip_maker) -> None:
    card = toys.card(context_frames=30, repeat_first=True, uses_actions=True)
    clip = clip_maker(0, impulse=True)
    context = model_context(clip, card)
    assert len(context) == 30
    assert (context[:10] == clip.frames[0]).all() and (context[9:] == clip.context(21)).all()
    table = model_actions([clip], card)
    assert table.shape == (1, 30 + 12, 6)
    assert table[0].any(1).nonzero()[0].tolist() == [28, 35]  # frames at -0.1 s and 0.6 s


def test_a_context_that_reaches_back_further_shows_what_came_before(toys) -> None:
    """As 73 frames at 24/s, which Cosmos 3 asks for: 49 of the history, and the orbit before them."""
    clip = kept_clip("orbits/kepler-v1", size=32, fps=24.0)
    context = model_context(clip, toys.card(context_frames=73, repeat_first=True, fps=24.0))
    assert np.array_equal(context[24:], clip.context(49)) and np.array_equal(context[:24], frames_before(clip, 24))
    assert (context[:24] != context[24]).any(axis=(1, 2, 3)).all()


def test_generators_belong_to_clips_not_to_batches(toys, clip_maker) -> None:
    model = toys.Noise(stochastic=True)
    pair = [clip_maker(0), clip_maker(1)]
    _, together = roll(model, pair, seeds=[5, 6])
    _, alone = roll(model, pair[1:], seeds=[6])
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], together[1])


def test_an_endless_or_short_answer_is_refused(toys, clip_maker) -> None:
    class Endless(toys.Coded):
        def rollout(self, context, *, horizon, **_):
            while True:
                yield context[:, -1:]

    class TooShort(toys.Coded):
        def rollout(self, context, *, horizon, **_):
            return context[:, -1:].expand(-1, horizon - 1, -1, -1, -1)

    with pytest.raises(AnswerError, match="Expected 12 frames, got more"):
        roll(Endless(), [clip_maker(0)])
    with pytest.raises(AnswerError, match="Expected 12 frames, got 11"):
        roll(TooShort(), [clip_maker(0)])


def test_models_run_without_gradients_and_get_a_contiguous_context(toys, clip_maker) -> None:
    seen = {}

    class Curious(toys.Coded):
        def rollout(self, context, *, horizon, actions, prompts, generators):
            seen.update(gradients=torch.is_grad_enabled(), inference=context.is_inference())
            seen.update(contiguous=context.is_contiguous(), actions=actions, prompts=prompts)
            seen.update(low=float(context.min()), high=float(context.max()))
            return context[:, -1:].expand(-1, horizon, -1, -1, -1)

    roll(Curious(), [clip_maker(0)])
    assert seen == {
        "gradients": False,
        "inference": False,
        "contiguous": True,
        "actions": None,
        "prompts": [""],
        "low": 0.0,
        "high": pytest.approx(230 / 255),
    }


def test_chunks_are_let_go_when_they_have_arrived(toys, clip_maker) -> None:
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = 0

    class Chunked(toys.Coded):
        def rollout(self, context, *, horizon, actions, prompts, generators):
            nonlocal most
            for _ in range(horizon):
                chunk = context[:, -1:] * 0.9
                alive.add(chunk)
                most = max(most, len(alive))
                yield chunk
                del chunk

    roll(Chunked(), [clip_maker(0, horizon=40)])
    assert most <= 2


def test_a_model_that_writes_to_its_actions_is_shown_the_true_ones_again(toys, clip_maker) -> None:
    seen = []

    class Doubling(toys.Short):
        def rollout(self, context, *, actions, **asked):
            seen.append(actions.clone())
            return super().rollout(context, actions=actions.mul_(2), **asked)

    model = Doubling()
    part = [clip_maker(0, horizon=10, impulse=True)]
    for _ in range(2):
        roll(model, part)
    assert len(seen) == 6
    assert all(torch.equal(*pair) for pair in zip(seen[:3], seen[3:], strict=True))


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
def roll_states(clip_of):
    """roll_states(model, tasks): the rollouts of clips, in one batch."""

    def run(model, tasks=TASKS, chain=True):
        clips = {clip.row: clip for clip in (clip_of(task, size=128) for task in tasks)}
        with InProcessEngine(model, chain=chain) as engine:
            plan = engine.plan(
                list(clips), batch_size=len(clips), load=clips.__getitem__, horizon=lambda row: clips[row].horizon
            )
            return [rollout for result in engine.run(plan, clips.__getitem__) for rollout in result]

    return run


def test_states_come_back_for_the_bodies_of_each_clip(roll_states, clip_of) -> None:
    first, second = roll_states(Toy(), ("falling/projectile-v1", "collisions/billiards-v1"))
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
def test_a_wrong_answer_fails_with_the_likely_mistake(roll_states, answer, words) -> None:
    for rollout in roll_states(Toy(answer)):
        assert rollout.failure is not None and "\n" not in rollout.failure
        assert rollout.states is not None and not len(rollout.states)
        assert re.search(words, rollout.failure), rollout.failure


def test_nan_fails_the_clip_that_has_it(roll_states) -> None:
    bad, good = roll_states(Toy(_first_nan))
    assert bad.failure == "Predicted state 4 of 60 holds NaN (1 of 13 values)." and good.failure is None


def test_nan_in_a_row_that_a_clip_does_not_have_is_nothing(roll_states) -> None:
    def pad(states: torch.Tensor) -> torch.Tensor:
        states[0, :, 1:] = torch.nan
        return states

    first, second = roll_states(Toy(pad), ("falling/projectile-v1", "collisions/billiards-v1"))
    assert first.failure is None and second.failure is None


def test_a_clip_with_more_bodies_than_the_card_fails_alone(roll_states) -> None:
    first, second = roll_states(Toy(bodies=1), ("falling/projectile-v1", "collisions/head-on-v1"))
    assert first.failure is None and second.failure == "The clip has 2 bodies, and the card says bodies=1."


def test_positions_alone_are_an_answer(roll_states) -> None:
    (rollout,) = roll_states(Toy(lambda states: states[..., :3]), TASKS[:1])
    assert np.isfinite(rollout.states[..., :3]).all() and np.isnan(rollout.states[..., 3:]).all()


def test_a_short_model_goes_on_from_its_own_last_states(roll_states) -> None:
    def move(states: torch.Tensor) -> torch.Tensor:
        steps = torch.arange(1, states.shape[1] + 1)[None, :, None]
        states[..., 0] += 0.01 * steps
        return states

    model = Toy(move, max_horizon=7)
    (rollout,) = roll_states(model, TASKS[:1])
    assert rollout.chained == 9 and len(model.calls) == 9
    assert np.allclose(np.diff(rollout.states[:, 0, 0]), 0.01, atol=1e-5)
    assert np.allclose(model.calls[1][0, :, 0, 0].numpy(), rollout.states[3:7, 0, 0], atol=1e-6)
    (short,) = roll_states(Toy(move, max_horizon=7), TASKS[:1], chain=False)
    assert short.states.shape[0] == 7
    (refused,) = roll_states(Toy(lambda states: states[..., :3], max_horizon=7), TASKS[:1])
    assert refused.failure is not None and "must answer with velocities" in refused.failure


def test_flat_px_models_get_and_give_flat_px(roll_states, clip_of) -> None:
    fields = {"columns": "positions", "space": "plane", "units": "px", "layout": "flat", "bodies": 3}
    model = Toy(**fields)
    (rollout,) = roll_states(model, TASKS[:1])
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


def test_a_model_of_double_precision_may_change_what_it_is_given(roll_states) -> None:
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
    (rollout,) = roll_states(model, TASKS[:1])
    assert rollout.failure is None and model.calls[0].dtype == torch.float64
    assert not (model.calls[1] == 7).any()  # the second call has the last states of the context and of the answer
