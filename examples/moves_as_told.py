"""A model that takes actions: physbench eval examples/moves_as_told.py:make --suite pusher

The pixels of the driven body move as it is told, whatever is in their way; all others stay.
"""

import torch

from physbench import ModelCard

WINDOW = 5.12  # m, the shorter side of the picture
NEAR = 0.45  # of the colour of a pixel to the hue of the body


class MovesAsTold:
    card = ModelCard("moves-as-told", image_size=(64, 64), fps=15, context_frames=4, uses_actions=True)

    def rollout(self, context, *, horizon, actions, prompts, generators):
        size, last = context.shape[-1], context[:, -1]  # (B, 3, H, W)
        actions = torch.zeros(len(last), horizon, 6) if actions is None else actions[:, -horizon:].cpu()
        shift = actions[..., 3:5].cumsum(1) / self.card.fps * size / WINDOW  # (B, horizon, 2) px, right and up
        hue = actions[:, 0, :3, None, None].to(last)
        body = ((last - last.mean(1, keepdim=True)) - (hue - hue.mean(1, keepdim=True))).norm(dim=1) < NEAR  # (B, H, W)
        ground = last.flatten(2).median(-1).values[..., None, None].expand_as(last)
        for t in range(horizon):
            frames = torch.where(body[:, None], ground, last)
            for frame, old, mask, (right, up) in zip(
                frames, last, body, shift[:, t].round().int().tolist(), strict=True
            ):
                rows, columns = mask.nonzero(as_tuple=True)
                x, y = columns + right, rows - up
                seen = (x >= 0) & (x < size) & (y >= 0) & (y < size)
                frame[:, y[seen], x[seen]] = old[:, rows[seen], columns[seen]]
            yield frames[:, None]


def make(*, device, dtype):
    return MovesAsTold()
