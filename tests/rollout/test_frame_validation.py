import re

import numpy as np
import pytest
import torch

from physbench.rollout.device import AnswerError, check_chunk, iterate_chunks, store_chunk

SHAPE = (2, 5, 3, 32, 40)


def place() -> torch.Tensor:
    return torch.zeros(SHAPE, dtype=torch.uint8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_every_grey_level_arrives_exactly(dtype: torch.dtype) -> None:
    levels = torch.randint(0, 256, SHAPE, dtype=torch.uint8)
    out = place()
    assert store_chunk((levels.double() / 255).to(dtype), out, 0, 5) == {}
    assert torch.equal(out, levels)


def test_values_round_to_the_nearest_level() -> None:
    frames = torch.full(SHAPE, 99.4 / 255)
    frames[1] = 99.6 / 255
    frames[0, 0] = -0.0015  # rounding hides it
    frames[1, 0] = 1.0015
    out = place()
    assert store_chunk(frames, out, 0, 5) == {}
    assert out[0, 1:].unique().tolist() == [99] and out[1, 1:].unique().tolist() == [100]
    assert out[0, 0].unique().tolist() == [0] and out[1, 0].unique().tolist() == [255]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda clip: clip[3, 1].fill_(float("nan")), r"frame 14 of 60 holds NaN \(1280 of 3840 values\)"),
        (lambda clip: clip[0, 0, 0, 0].fill_(float("inf")), r"frame 11 of 60 holds Inf \(1 of 3840 values\)"),
        (lambda clip: clip[2:].mul_(255), r"got .* to 25\d from predicted frame 13 of 60 on: divide by 255"),
        (lambda clip: clip.mul_(2).sub_(1), r"got -1.* from predicted frame 11 .*: map \[-1, 1\] to \[0, 1\]"),
        (lambda clip: clip[4].add_(0.1), r"from predicted frame 15 of 60 on: clamp them"),
    ],
)
def test_a_bad_clip_fails_in_words_and_spares_its_neighbour(change, words: str) -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(SHAPE, generator=generator)
    change(frames[0])
    out = place()
    failures = store_chunk(frames, out, 10, 60)
    assert list(failures) == [0]
    assert re.search(words, failures[0]), failures[0]
    assert out[0].max() == 0
    assert np.abs(out[1].numpy() - frames[1].numpy() * 255).max() <= 0.5001


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.zeros(SHAPE), "got ndarray"),
        (torch.zeros(SHAPE, dtype=torch.uint8), "got uint8: divide by 255"),
        (torch.zeros(SHAPE, dtype=torch.int64), "got int64"),
        (torch.zeros(2, 5, 32, 40, 3), "channels belong before height and width"),
        (torch.zeros(5, 2, 3, 32, 40), "the batch belongs before time"),
        (torch.zeros(2, 9, 3, 32, 40), "leave out the 4 context frames"),
        (torch.zeros(2, 5, 3, 40, 32), r"image_size is \(height, width\)"),
        (torch.zeros(5, 3, 32, 40), "the batch dimension is missing"),
        (torch.zeros(2, 0, 3, 32, 40), "got \\(2, 0"),
        (torch.zeros(1), r"got \(1,\)"),
        (torch.zeros(SHAPE).to_sparse(), "a dense tensor of frames, got the layout sparse_coo"),
        (torch.zeros(SHAPE, device="meta"), "a dense tensor of frames, got a meta tensor"),
    ],
)
def test_a_wrong_chunk_is_explained(answer, words: str) -> None:
    with pytest.raises(AnswerError, match=words):
        check_chunk(answer, 2, 5, (32, 40), context=4)


@pytest.mark.parametrize("answer", [(torch.zeros(1), 3), {"frames": 1}, None, "frames"])
def test_only_tensors_and_iterators_are_answers(answer) -> None:
    with pytest.raises(AnswerError, match="or an iterator over tensors"):
        iterate_chunks(answer)
