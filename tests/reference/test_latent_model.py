"""What world models of latents share: autoencoders, training data on the device, losses, training that is resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from slow_cases import others_slow

from physbench.reference import latent_model, training_loop
from physbench.reference.architecture import continued, frame_validation
from physbench.reference.latent_model import FramePool, LatentBank, cell_weights, clip_noise, weighted_error
from physbench.reference.layers import FlatAutoencoder, SpatialAutoencoder, fsq, picture_loss, unshuffle
from physbench.reference.simple import architecture
from physbench.reference.train import CURVE_FILE, ValidationCurve, learn
from physbench.reference.training_loop import generator
from physbench.support import plugins
from physbench.support.errors import ModelError, UsageError

LEVELS = (8, 5, 5, 5)
TINY = {**architecture.defaults, "pictures": 8, "width": 8, "blocks": 1, "memory": 4, "unrolled": 4}
CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_model, "POOL_FRAMES", 96)
    monkeypatch.setattr(latent_model, "PICTURE_BATCH", 16)
    monkeypatch.setattr(latent_model, "SAVED_EVERY", 4)
    monkeypatch.setattr(latent_model, "PICTURE_SHARE", 0.5)


def train(toys, folder: Path, steps: int = 8, resume: bool = False, watched=None, device: str = "cpu"):  # type: ignore[no-untyped-def]
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(architecture.dynamics_class, "batch", 8)
        return learn(
            architecture, TINY, toys, folder, {"steps": steps}, seed=0, steps=steps, minutes=None, device=device,
            resume=resume, threads=1, watched=watched,
        )[0]  # fmt: skip


def test_fsq_gives_evenly_spaced_levels_and_passes_gradients() -> None:
    numbers = torch.linspace(-4, 4, 400).view(100, 4, 1, 1).requires_grad_()
    rounded = fsq(numbers, torch.tensor(LEVELS)[:, None, None])
    for channel, many in enumerate(LEVELS):
        allowed = np.linspace(-1, 1, many)
        found = rounded[:, channel].detach().numpy().ravel()
        assert np.abs(found[:, None] - allowed).min(1).max() < 1e-6
        assert len(np.unique(found.round(4))) == many
    rounded.sum().backward()
    # 2 / (L - 1) of (L - 1) / 2 times the slope of tanh: rounding is passed as if it were not there
    assert torch.allclose(numbers.grad, 1 - torch.tanh(numbers.detach()) ** 2, atol=1e-5)  # type: ignore[arg-type]


def test_unshuffle_is_that_of_torch() -> None:
    numbers = torch.randn(2, 3, 8, 12)
    assert torch.equal(unshuffle(numbers, 4), torch.nn.functional.pixel_unshuffle(numbers, 4))


def test_digits_are_the_rounded_latents() -> None:
    torch.manual_seed(0)
    net = SpatialAutoencoder(8, levels=LEVELS)
    frames = torch.rand(3, 3, 64, 64)
    net.standardise(frames)
    latents = net.encode(frames)
    digits = net.digits(latents)
    assert latents.shape == digits.shape == (3, 16, 8, 8)
    assert (digits.amax((0, 2, 3)) <= torch.tensor(LEVELS).repeat_interleave(4) - 1).all() and digits.min() >= 0
    assert torch.allclose(net.latents_of(digits), latents, atol=1e-5)


@pytest.mark.parametrize(
    "make", [lambda: SpatialAutoencoder(8), lambda: FlatAutoencoder(16, 4)], ids=["spatial", "flat"]
)
def test_latents_are_standardised_and_drawn_alike(make) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)  # some weights leave a latent all but constant, which is not stretched
    net = make()
    frames = torch.rand(32, 3, 64, 64)
    raw, _ = net.moments(frames)
    before = net.draw(raw)
    net.standardise(frames)
    latents = net.encode(frames)
    axes = (0, 2, 3) if latents.ndim == 4 else (0,)
    assert latents.shape[1:] == net.shape == net.latent_shape((64, 64))
    assert latents.mean(axes).abs().max() < 1e-4 and (latents.std(axes) - 1).abs().max() < 1e-3
    assert torch.allclose(net.decode(latents), before, atol=1e-4)


def test_coloured_pixels_weigh_more() -> None:
    frames = torch.full((1, 3, 16, 16), 0.5)
    frames[:, 0, 8, 8] = 0.9
    grey, red = frames.clone(), frames.clone()
    grey[:, :, 0, 0] += 0.1
    red[:, :, 8, 8] += 0.1
    focus = torch.tensor(9.0)
    # nine pixels at or beside the coloured one weigh 10, the other 247 weigh 1
    expected = (0.1 + 4 * 0.01) / (247 + 90)
    assert float(picture_loss(grey, frames, focus)) == pytest.approx(expected, rel=1e-4)
    assert float(picture_loss(red, frames, focus)) == pytest.approx(10 * expected, rel=1e-4)


@pytest.mark.slow
def test_crops_are_parts_of_frames_most_of_them_with_colour(toys, small) -> None:  # type: ignore[no-untyped-def]
    pool = FramePool(toys, CPU)
    crops = pool.crops(64, generator("crops"))
    assert crops.shape == (64, 3, 32, 32)
    coloured = ((crops.amax(1) - crops.amin(1)) > 0.2).flatten(1).any(1)
    assert coloured.float().mean() > 0.65
    assert torch.equal(crops, pool.crops(64, generator("crops")))
    assert not torch.equal(crops, pool.crops(64, generator("others")))
    sums = pool.frames.float().sum(1) / 255  # in which neither mirrors nor colours matter, but for the place
    patch = crops[0].sum(0)
    windows = sums.unfold(1, 32, 1).unfold(2, 32, 1)
    distance = min(float((windows - each).abs().amax((3, 4)).min()) for each in (patch, patch.flip(-1)))
    assert distance < 1e-4


def test_windows_lie_in_one_clip_and_something_moves_in_most(toys, small) -> None:  # type: ignore[no-untyped-def]
    bank = LatentBank(lambda frames: frames[:, :1, ::16, ::16], toys, CPU, 8)
    assert len(bank.length) == 2 * len(toys)  # each clip and its mirror
    assert torch.allclose(bank.latents[:40, 0].float(), toys.frames(0)[:, 0, ::16, ::16].float() / 255, atol=1e-3)
    starts = bank.starts(20)
    clip = torch.searchsorted(bank.first, starts, right=True) - 1
    assert ((starts + 20) <= bank.first[clip] + bank.length[clip]).all()
    windows = bank.windows(32, 20, generator("windows"))
    assert windows.shape == (32, 20, 1, 4, 4) and windows.dtype == torch.float32
    still = latent_model.cell_weights(windows, 8)
    assert (still > 1).flatten(1).any(1).float().mean() > 0.5


def test_what_rests_is_drawn_less_often(small) -> None:
    class Mixed:
        """A clip in which a disc moves and one in which all rests."""

        def __len__(self) -> int:
            return 2

        def frames(self, index: int) -> torch.Tensor:
            frames = torch.full((40, 3, 64, 64), 128, dtype=torch.uint8)
            if index:
                for k in range(40):
                    frames[k, 0, 30, k] = 255
            return frames

        def actions(self, index: int) -> None:
            return None

    bank = LatentBank(lambda frames: frames[:, :1, ::16, ::16], Mixed(), CPU, 8)
    clip = torch.searchsorted(bank.first, bank.starts(12), right=True) - 1
    moving = (clip % 2 == 1).float().mean()  # mirrors follow
    assert 0.85 < moving < 0.95  # 8 of 9


class Short:
    """Two clips of these numbers of frames, in each of which one pixel moves; the frames of the second are lighter."""

    def __init__(self, *lengths: int) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def frames(self, index: int) -> torch.Tensor:
        frames = torch.full((self.lengths[index], 3, 64, 64), 60 + 120 * index, dtype=torch.uint8)
        for k in range(len(frames)):
            frames[k, :, 30, k] = 255
        return frames

    def actions(self, index: int) -> None:
        return None


def test_windows_are_no_longer_than_the_longest_clip_and_lie_in_one() -> None:
    """A kind may ask for more frames than a clip has, as all clips of combined elements are short."""
    bank = LatentBank(lambda frames: frames[:, :1, ::16, ::16], Short(20, 25), CPU, 8)
    assert bank.longest == 24
    for asked, length in ((12, 12), (20, 20), (22, 22), (40, 24)):
        windows = bank.windows(64, asked, generator("windows", asked))
        assert windows.shape[:2] == (64, length)
        ground = windows[..., 0, 3]  # in which no pixel moves
        assert (ground == ground[:, :1]).all()
        assert (length <= 20) == (ground[:, 0].unique().numel() == 2)


def test_cells_that_change_weigh_more() -> None:
    latents = torch.zeros(1, 6, 2, 2, 2)
    latents[:, 3:, 0, 0, 0] = 1.0  # changes once, and stays unlike the context
    weight = cell_weights(latents, 2)[0, :, 0]
    assert weight[:, 0, 0].tolist() == [1, 1, 1, 16, 6, 6]
    assert (weight[:, 1, 1] == 1).all()
    error = weighted_error(torch.zeros_like(latents), latents, cell_weights(latents, 2))
    assert float(error) == pytest.approx(2 * (16 + 6 + 6) / (2 * (3 + 16 + 6 + 6 + 18)))


@pytest.mark.parametrize(
    "name",
    others_slow(
        ["video-dit", "vae-mdn-rnn", "vae-mdn-rnn-spatial", "simple", "rssm", "token-ar", "diffusion", "jepa-frames"], 2
    ),
)
@pytest.mark.parametrize("frames", [10, 17, 24])
def test_kinds_learn_from_clips_shorter_than_their_windows(
    name: str, frames: int, small, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = Short(frames, frames)
    kind = plugins.load("physbench.architectures", name)
    net = kind.net(kind.config())
    monkeypatch.setattr(type(net.dynamics), "batch", 2)
    stage = kind.stages(net, kind.config(), clips, Path(), 4)[-1]
    stage.prepare()
    for progress in (0.0, 1.0):
        loss = stage.loss(progress, generator(name, progress))
        loss.backward()
        assert loss.isfinite()
    assert all(each.grad is None or each.grad.isfinite().all() for each in net.dynamics.parameters())
    model = kind.wrap(net, kind.card(kind.config()), CPU, torch.float32)
    assert np.isfinite(kind.validation(model, clips).skills()).all()


def test_clips_without_two_frames_to_predict_are_refused(small) -> None:
    with pytest.raises(UsageError, match="at least 10 frames, 8 of context and two to predict, but the longest has 9"):
        LatentBank(lambda frames: frames[:, :1, ::16, ::16], Short(9, 9), CPU, 8)


def test_noise_of_a_clip_does_not_depend_on_the_batch() -> None:
    alone = clip_noise([generator("a")], torch.zeros(1, 3, 4))
    both = clip_noise([generator("b"), generator("a")], torch.zeros(2, 3, 4))
    assert torch.equal(alone[0], both[1]) and not torch.equal(both[0], both[1])


@pytest.mark.parametrize(
    "name",
    ["simple", "rssm", "diffusion", "video-dit", "vae-mdn-rnn", "jepa-frames", "token-ar", "token-ar-latent"],
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.slow)])
def test_frames_of_any_type_are_taken(name: str, dtype: torch.dtype, toys) -> None:  # type: ignore[no-untyped-def]
    kind = plugins.load("physbench.architectures", name)
    net = kind.net(kind.config())
    model = kind.load(net.state_dict(), kind.config(), kind.card(kind.config()), CPU, dtype)
    context = (toys.frames(0)[None, :8].float() / 255).to(dtype)
    frames = continued(model, context, 2, None, [generator("a")])
    assert frames.shape == (1, 2, 3, 64, 64) and frames.isfinite().all()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("token-ar", {"heads": 7}, "heads divide"),
        ("rssm", {"size": 60}, "divides"),
        ("simple", {"blocks": -1}, "blocks"),
    ],
)
def test_numbers_that_make_no_network_are_refused(name: str, change: dict[str, int], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        plugins.load("physbench.architectures", name).build(change)


def test_moments_are_laid_out_as_the_weights_are(toys, small, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Fused optimizers read both alike."""
    weights = list(architecture.net(TINY).parameters())
    optimizer = torch.optim.AdamW(weights)
    saved = {f"{i}.exp_avg": torch.randn(each.shape) for i, each in enumerate(weights)}
    training_loop._set_moments(optimizer, weights, saved)
    for i, each in enumerate(weights):
        moment = optimizer.state[each]["exp_avg"]
        assert moment.stride() == each.stride() and torch.equal(moment, saved[f"{i}.exp_avg"])


class Killed(Exception):
    pass


def test_a_resumed_training_ends_with_the_same_weights(toys, small, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    whole = train(toys, tmp_path / "whole").state_dict()
    for calls in (3, 6):  # in the autoencoder, in the dynamics
        real, count = training_loop._one_step, [0]

        def step(*arguments, limit=calls, real=real, count=count):  # type: ignore[no-untyped-def]
            count[0] += 1
            if count[0] > limit:
                raise Killed
            return real(*arguments)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(training_loop, "_one_step", step)
            train(toys, tmp_path / "killed", resume=True)
    resumed = train(toys, tmp_path / "killed", resume=True).state_dict()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_training_on_a_gpu_is_resumed_and_ends_near_one_that_was_not(toys, small, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The losses are CUDA graphs there, and the optimizer is fused; kernels of a GPU do not add in one order."""
    whole = train(toys, tmp_path / "whole", device="cuda")
    real, count = training_loop._one_step, [0]

    def step(*arguments):  # type: ignore[no-untyped-def]
        count[0] += 1
        if count[0] > 9:  # in the dynamics, after a save
            raise Killed
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training_loop, "_one_step", step)
        train(toys, tmp_path / "killed", device="cuda", resume=True)
    resumed = train(toys, tmp_path / "killed", device="cuda", resume=True)
    for mine, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert mine.isfinite().all() and torch.allclose(mine, other, atol=2e-3)


@pytest.mark.slow
def test_the_curve_of_a_training_is_0_for_a_frozen_frame_and_1_for_the_truth(toys, small, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    train(toys, tmp_path / "run", watched=toys)
    rows = (tmp_path / "run" / CURVE_FILE).read_text().splitlines()
    assert rows[0].split(",")[:3] == ["stage", "step", "seconds"] and rows[1].startswith("dynamics,4,")
    assert len(rows) == 3 and rows[2].startswith("dynamics,8,")
    built = architecture.build(TINY)
    again = ValidationCurve(architecture.validation(built, toys), built.net, tmp_path / "run")
    again.row("dynamics", 6, 2.0)  # of a training that went back to a save
    assert [row.split(",")[1] for row in (tmp_path / "run" / CURVE_FILE).read_text().splitlines()] == ["step", "4", "6"]

    class Answers:
        card, device, net = architecture.card(TINY), CPU, torch.nn.Identity()

        def __init__(self, true: bool) -> None:
            self.true = true

        def rollout(self, context, *, horizon, **_):  # type: ignore[no-untyped-def]
            index = [int((firsts - each).abs().amax((1, 2, 3)).argmin()) for each in context[:, 0]]
            truth = torch.stack([toys.frames(k)[8 : 8 + horizon] for k in index]).float() / 255
            return truth if self.true else context[:, -1:].expand_as(truth)

    firsts = torch.stack([toys.frames(k)[0] for k in range(len(toys))]).float() / 255
    for true in (True, False):
        assert frame_validation(Answers(true), toys).skills() == pytest.approx([float(true)] * 4, abs=1e-6)
