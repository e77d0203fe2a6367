"""Fine-tunes reference:diffusion with physics as the reward: python examples/reward.py

Each round draws answers to a clip of the train split, scores them, and learns from the best ones seen so far (RAFT,
arXiv 2304.06767). Any other use of a reward begins with the same three lines.
"""

import torch
from best_of_n import answers

import physbench
from physbench.models.load_model import load_model


def rewards(clip, frames, card):
    """Score of each answer (N, T, 3, H, W): 0 is the frozen last frame, 1 ground truth, and cheats have none."""
    results = physbench.score_batch(clip, frames, card.fps, context=card.context_frames)
    return torch.tensor([result["score"] or 0.0 for result in results])


def finetune(model, clip, rounds=3, count=4, steps=40, kept=2, rate=2e-4):
    """Train the dynamics of a reference model in place; returns the mean reward of each round."""
    torch.manual_seed(0)
    card, net, numbers = model.card, model.net, torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(net.dynamics.requires_grad_().parameters(), rate)  # loading has frozen them
    context = torch.from_numpy(clip.context(card.context_frames)).movedim(-1, 1) / 255
    best, history = [], []
    for number in range(rounds):
        frames = answers(model, clip, count, seed=number * count)
        scores = rewards(clip, frames, card)
        history.append(float(scores.mean()))
        best = sorted([*best, *zip(scores.tolist(), frames, strict=True)], key=lambda pair: -pair[0])[:kept]
        with torch.no_grad():
            latents = torch.stack([net.autoencoder.encode(torch.cat([context, each])) for _, each in best])
        for _ in range(steps):
            windows = latents[torch.randint(len(latents), (16,))][:, : net.dynamics.window(1.0)]
            loss = net.dynamics(windows, *net.dynamics.draws(windows, 1.0, numbers))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"round {number}: mean reward {history[-1]:.3f}, best so far {best[0][0]:.3f}", flush=True)
    history.append(float(rewards(clip, answers(model, clip, count), card).mean()))
    return history


if __name__ == "__main__":
    model = load_model("reference:diffusion", device=torch.device("cpu"), dtype=torch.float32)
    clip = physbench.clip("occlusion/screen-stop", size=model.card.image_size, fps=model.card.fps)
    before, *_, after = finetune(model, clip)
    print(f"mean reward before {before:.3f}, after {after:.3f}")
