"""Trains on clips of the train split, and asks every few steps how physical the model has become.

python examples/train_on_physbench.py
physbench eval examples/train_on_physbench.py:make --model-arg weights=next-frame.pt --suite core
"""

import itertools

import torch
from torch.utils.data import DataLoader

import physbench
from physbench import ModelCard
from physbench.data import clips, collate


class NextFrame(torch.nn.Module):
    """Predicts the next frame as the last one plus a change seen by a small convolution."""

    card = ModelCard("next-frame", image_size=(64, 64), fps=10, context_frames=2, track="trained", training_clips=200)

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


def batches(size, seeds, workers=0):
    """Three frames of clips of the train split, (B, 3, 3, 64, 64), epoch after epoch."""
    data = clips("train", size=64, fps=10, seeds=seeds, tasks="falling/projectile", window=3).stream()
    for epoch in itertools.count():
        data.set_epoch(epoch)
        context = "spawn" if workers else None
        for batch in DataLoader(data, size, num_workers=workers, collate_fn=collate, multiprocessing_context=context):
            yield batch["frames"] / 255


def train(steps=400, every=100, seeds=range(200), weights="next-frame.pt", **options):
    """Train, keep the weights, and return the results in their order. `options` are those of physbench.evaluate."""
    torch.manual_seed(0)
    model = NextFrame()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    results = []
    for step, frames in zip(range(1, steps + 1), batches(8, seeds), strict=False):
        loss = torch.nn.functional.mse_loss(model(frames[:, :2]), frames[:, 2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % every == 0:
            torch.save(model.state_dict(), weights)
            results.append(physbench.evaluate(model, suite="smoke", report=False, **options))
            print(f"step {step}: loss {loss.item():.5f}, {results[-1].scalars(detail='axes')}")
    return results


def make(*, device, dtype, weights="next-frame.pt"):
    """The model that was trained, for `physbench eval`."""
    model = NextFrame()
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.to(device, dtype).eval()


if __name__ == "__main__":
    print(train()[-1])
