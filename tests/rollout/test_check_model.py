"""What `models check` finds, on models that are wrong in one way each, without a process of their own."""

import numpy as np
import pytest
import torch

from physbench.clips.generate import make_scene
from physbench.rollout.batches import make_job
from physbench.rollout.check_model import (
    channel_order,
    check_model,
    rows_to_check,
    save_comparison,
    two_comparable_rows,
)
from physbench.rollout.engine import BatchResult, RolloutEngine
from physbench.rollout.messages import LoadedModel
from physbench.rollout.predict import predict
from physbench.rollout.store import Rollout

pytestmark = pytest.mark.usefixtures("warm_models")


class InThisProcess:
    """Rolls out like the engine, without its safety."""

    def __init__(self, model, seed=0) -> None:
        self.model, self.seed = model, seed
        self.info = LoadedModel(model.card, False, "cpu", "float32", "here", 0, 0)
        self.events, self.notes = [], []
        self.peak_rss = self.peak_accelerator = 1

    def horizon(self, row) -> int:
        return 12 + row.seed % 2

    def run(self, plan, load):
        for index, batch in enumerate(plan):
            clips = [load(item.row) for item in batch.items]
            job = make_job(
                index,
                batch,
                clips,
                self.model.card,
                privileged=False,
                chain=True,
                seed=0,
                part_size=None,
                memory=0,
                offset=0,
            )
            place = torch.empty((len(clips), job.stored, 3, *self.model.card.image_size), dtype=torch.uint8)
            answer = predict(self.model, job.inputs, place, torch.device("cpu"), torch.float32)
            frames = place.permute(0, 1, 3, 4, 2).numpy()
            self.notes += sorted(answer.notes)
            rollouts = tuple(
                Rollout(item.row.id, item.sample, frames[k], answer.failures.get(k), 1, 0.1)
                for k, item in enumerate(batch.items)
            )
            yield BatchResult(index, batch, rollouts, 0.2, ())


@pytest.fixture
def found(toys, clip_maker):
    """Check a model whose answer is a function of (frames, context, generators)."""

    def call(answer, **fields):
        class Model(toys.Coded):
            def rollout(self, context, *, horizon, actions, prompts, generators):
                return answer(context[:, -1:].expand(-1, horizon, -1, -1, -1), context, generators)

        return check_model(InThisProcess(Model(**fields)), [clip_maker(0), clip_maker(2)])

    return call


def noise(frames, generators):
    return torch.stack([torch.rand(frames.shape[1:], generator=generator) for generator in generators])


FADE = torch.linspace(1, 0.8, 12)[:, None, None, None]


def test_a_proper_model_has_neither_problems_nor_notes(found) -> None:
    checked = found(lambda frames, context, generators: frames * FADE)
    assert (checked.problems, checked.notes, checked.failed) == ([], [], False)
    assert checked.seconds == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda f, c, g: f * 255, "divide by 255"),
        (lambda f, c, g: f.log().log(), "holds NaN"),
        (lambda f, c, g: torch.from_numpy(np.random.default_rng().random(f.shape)), "Two calls with the same context"),
    ],
)
def test_problems(found, answer, words) -> None:
    checked = found(answer)
    assert words in " ".join(checked.problems)


@pytest.mark.parametrize(
    ("answer", "fields", "words"),
    [
        (lambda f, c, g: f * FADE * (1 - c[:, :, :, 0, 0].mean() - 0.1 * len(c)), {}, "influence one another"),
        (lambda f, c, g: f * FADE * (1 - len(c) / 500), {}, "the plan of batches is fixed"),
        (lambda f, c, g: f.flip(2) * FADE, {}, "looks like BGR"),
        (lambda f, c, g: f * FADE * 0.5 + 0.5, {}, "scaled to [0, 1] in the same way"),
        (lambda f, c, g: f, {}, "All predicted frames are the same"),
        (lambda f, c, g: f * FADE, {"stochastic": True}, "two samples of one clip are the same"),
        (lambda f, c, g: noise(f, g), {}, "the card should say stochastic=True"),
    ],
)
def test_notes(found, answer, fields, words) -> None:
    checked = found(answer, **fields)
    assert checked.problems == []
    assert words in " ".join(checked.notes), checked.notes


@pytest.mark.parametrize("order", ["RGB", "RBG", "GRB", "GBR", "BRG", "BGR"])
def test_an_order_of_channels_is_named(order: str) -> None:
    last = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    first = last[..., ["RGB".index(letter) for letter in order]] * 0.98
    assert channel_order(first, last) == order
    grey = np.repeat(last[..., :1], 3, axis=-1)
    assert channel_order(grey[..., ::-1] * 0.98, grey) == "RGB", "grey shows no order"


def test_two_rows_share_a_horizon(toys, clip_maker) -> None:
    rows = [clip_maker(seed).row for seed in range(4)]
    engine: RolloutEngine = InThisProcess(toys.Coded())  # type: ignore[assignment]
    assert [row.seed for row in two_comparable_rows(rows, engine)] == [0, 2]


def test_the_picture_shows_failures_too(tmp_path, clip_maker) -> None:
    clips = [clip_maker(0), clip_maker(2)]
    empty = np.empty((0, 32, 40, 3), dtype=np.uint8)
    rollouts = [Rollout(clips[0].id, 0, clips[0].future()), Rollout(clips[1].id, 0, empty, "it failed")]
    save_comparison(tmp_path / "a.png", clips, rollouts, "toy")
    assert (tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.parametrize("draw", [torch.rand, lambda shape: torch.from_numpy(np.random.rand(*shape))])  # noqa: NPY002
def test_numbers_of_the_global_generators_are_named(found, draw) -> None:
    """They are no normalisation over the batch, though clips depend on one another through them."""
    checked = found(lambda frames, context, generators: frames * 0.9 + 0.1 * draw(tuple(frames.shape)))
    notes = " ".join(checked.notes)
    assert "draw from `generators`" in notes and "do not come from `generators`" in notes
    assert "normalisation" not in notes
    good = found(lambda frames, context, generators: frames * 0.9 + 0.1 * noise(frames, generators), stochastic=True)
    assert not good.notes and not good.problems


def test_a_model_that_takes_poses_is_checked_with_cameras_that_move(toys) -> None:
    rows = rows_to_check(toys.card(uses_camera=True))
    assert len({row.task for row in rows}) >= 2 and all(make_scene(row).camera.path for row in rows)
    assert not any(make_scene(row).camera.path for row in rows_to_check(toys.card())[:3])
