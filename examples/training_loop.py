"""A training loop that asks every few steps how physical its model has become: python examples/training_loop.py"""

import torch

import physbench
from physbench import ModelCard


class NextFrame(torch.nn.Module):
    """Predicts the next frame as the last one plus a change seen by a small convolution."""

    card = ModelCard("next-frame", image_size=(64, 64), fps=10, context_frames=2, track="trained")

    def __init__(self):
        super().__init__()
        self.change = torch.nn.Sequential(
            torch.nn.Conv2d(6, 16, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv2d(16, 3, 5, padding=2)
        )

    def forward(self, pair):  # (B, 2, 3, H, W) -> (B, 3, H, W)
        return pair[:, -1] + self.change(pair.flatten(1, 2))

    def rollout(self, context, *, horizon, actions, prompts, generators):
        for _ in range(horizon):
            frame = self(context).clamp(0, 1)[:, None]
            context = torch.cat([context[:, 1:], frame], 1)
            yield frame


def batches(size):
    """A square that moves by a pixel a frame, (B, 3, 3, 64, 64): yours are the clips of `physbench data generate`."""
    while True:
        frames = torch.full((size, 3, 3, 64, 64), 0.5)
        for clip, corner in zip(frames, torch.randint(4, 50, (size, 2)), strict=True):
            for t, frame in enumerate(clip):
                row, column = (corner + t).tolist()
                frame[:, row : row + 8, column : column + 8] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]
        yield frames


def train(steps=40, every=20, **options):
    """Train, and return the results in their order. `options` are those of physbench.evaluate."""
    torch.manual_seed(0)
    model = NextFrame()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    results = []
    for step, frames in zip(range(1, steps + 1), batches(8), strict=False):
        loss = torch.nn.functional.mse_loss(model(frames[:, :2]), frames[:, 2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % every == 0:
            results.append(physbench.evaluate(model, suite="smoke", report=False, **options))
            print(f"step {step}: loss {loss.item():.5f}, {results[-1].scalars()}")
    return results


if __name__ == "__main__":
    print(train()[-1])
