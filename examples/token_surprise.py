"""Surprise as a negative log-likelihood: how likely a token model finds the tokens of each frame after the one before.

physbench eval examples/token_surprise.py:make --suite expectation --limit 20
"""

import torch
from torch import nn

from physbench import SurpriseCard

PATCH, LEVELS = 8, 8  # px; brightness of a patch in so many steps is its token


class Tokens(nn.Module):
    """Predicts the token of each patch from the tokens around it, one frame earlier."""

    card = SurpriseCard("tokens", (64, 64), 15, context_frames=1, unit="nats a frame", sees=1 / 15)

    def __init__(self, width=32):
        super().__init__()
        self.embed = nn.Embedding(LEVELS, width)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Conv2d(width, LEVELS, 1)

    def tokens(self, video):  # (B, T, 3, H, W) in [0, 1] -> (B, T, h, w)
        patches = nn.functional.avg_pool2d(video.mean(2), PATCH)
        return (patches * LEVELS).long().clamp_max(LEVELS - 1)

    def forward(self, tokens):  # of frames (N, h, w) -> logits (N, LEVELS, h, w) of those of the next frames
        return self.head(torch.relu(self.mix(self.embed(tokens).movedim(-1, 1))))

    def surprise(self, video, *, context, actions, prompts, generators):
        tokens = self.tokens(video)
        logits = self(tokens[:, :-1].flatten(0, 1))
        nats = nn.functional.cross_entropy(
            logits, tokens[:, 1:].flatten(0, 1), reduction="none"
        )  # -log p of each token
        values = nats.sum((1, 2)).unflatten(0, (len(video), -1))
        return nn.functional.pad(values, (1, 0))  # nothing is known of the first frame


def make(*, device, dtype):
    torch.manual_seed(0)  # instead of weights that you load
    return Tokens().eval().to(device, dtype)
