"""A Lightning callback that scores one answer after each validation: Trainer(callbacks=[PhysicsScore()])

It takes a second or less, where `physbench.LightningCallback` evaluates a suite.
"""

import torch
from lightning.pytorch import Callback

import physbench


class PhysicsScore(Callback):
    """Logs "physbench/score" of a module with a `card` and a `rollout`, and the axes beside it."""

    def __init__(self, task="falling/projectile", seed=0):
        self.task, self.seed, self.clip = task, seed, None

    def on_validation_epoch_end(self, trainer, pl_module):
        card = pl_module.card
        if self.clip is None:
            self.clip = physbench.clip(self.task, seed=self.seed, size=card.image_size, fps=card.fps)
        context = torch.from_numpy(self.clip.context(card.context_frames)).movedim(-1, 1) / 255
        answer = pl_module.rollout(
            context[None].to(pl_module.device),
            horizon=self.clip.horizon,
            actions=None,
            prompts=[""],
            generators=[torch.Generator().manual_seed(0)],
        )
        frames = answer if torch.is_tensor(answer) else torch.cat(list(answer), 1)  # a model may yield chunks
        found = physbench.score(self.clip, frames[0], card.fps, context=card.context_frames)
        logged = {"score": found["score"], **{name: axis["skill"] for name, axis in found["axes"].items()}}
        pl_module.log_dict({f"physbench/{name}": value for name, value in logged.items() if value is not None})
