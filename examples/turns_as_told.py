"""A model that takes poses of the camera: physbench eval examples/turns_as_told.py:make --suite smoke

The last frame is a wall that fills the view, before which the camera turns as it is told; nothing in it moves. What the
frame did not show is filled with its border.
"""

import torch

from physbench import ModelCard, camera_matrices

FOCAL = 0.7272  # of the shorter side, in the view `moving`


class TurnsAsTold:
    def __init__(self, share):
        self.share = share  # of each turn that it does
        self.card = ModelCard(
            "turns-as-told", image_size=(128, 128), fps=10, context_frames=8, view="moving", uses_camera=True
        )

    def rollout(self, context, *, horizon, actions, prompts, generators):
        size, last = context.shape[-1], context[:, -1]  # (B, 3, H, W)
        place = (torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5
        down, right = torch.meshgrid(place / FOCAL, place / FOCAL, indexing="ij")
        rays = torch.stack([right, down, torch.ones_like(down)], -1)  # (H, W, 3) in the axes of the camera
        poses = actions[:, -horizon:].double().cpu() * self.share  # (B, horizon, 6)
        for t in range(horizon):
            turns = torch.from_numpy(camera_matrices(poses[:, t])[:, :, :3])  # (B, 3, 3) to those at the hand-over
            seen = torch.einsum("bij,hwj->bhwi", turns, rays)
            grid = 2 * FOCAL * seen[..., :2] / seen[..., 2:].clamp(min=1e-3)
            yield torch.nn.functional.grid_sample(last, grid.to(last), padding_mode="border", align_corners=False)[
                :, None
            ]


def make(*, device, dtype, share=1.0):
    return TurnsAsTold(share)
