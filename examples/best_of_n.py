"""The most physical of several answers of a stochastic model to one clip: python examples/best_of_n.py"""

import torch

import physbench
from physbench.models.load_model import load_model


def answers(model, clip, count, seed=0):
    """Frames (count, T, 3, H, W) in [0, 1]: a model is given the context of the clip and nothing else."""
    context = torch.from_numpy(clip.context(model.card.context_frames)).movedim(-1, 1) / 255
    generators = [torch.Generator().manual_seed(seed + number) for number in range(count)]
    chunks = model.rollout(
        context.expand(count, *context.shape),
        horizon=clip.horizon,
        actions=None,
        prompts=[""] * count,
        generators=generators,
    )
    return torch.cat(list(chunks), 1)


def best_of(model, clip, count):
    """The best of some answers, and what all of them score."""
    frames, card = answers(model, clip, count), model.card
    results = physbench.score_batch(clip, frames, card.fps, context=card.context_frames, axes="consistency")
    best = max(range(count), key=lambda number: results[number]["score"] or 0.0)
    return frames[best], results


if __name__ == "__main__":
    model = load_model("reference:diffusion", device=torch.device("cpu"), dtype=torch.float32)
    clip = physbench.clip("falling/projectile", size=model.card.image_size, fps=model.card.fps)
    for result in best_of(model, clip, 4)[1]:
        print(f"{result['score'] or 0:.3f}  {result['sentence']}")
