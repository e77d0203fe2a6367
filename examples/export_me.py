"""A model as two functions, which can become a graph: physbench export examples/export_me.py:make my_model.onnx"""

import torch
from torch import nn

from physbench import ModelCard, SteppedModel


class Recurrent(nn.Module, SteppedModel):
    """Remembers what it saw in `memory`, and adds a change to the last frame."""

    card = ModelCard("recurrent", image_size=(64, 64), fps=15, context_frames=4, uses_actions=True)

    def __init__(self, width=16):
        super().__init__()
        self.look = nn.Conv2d(3 + width, width, 5, padding=2)
        self.push = nn.Linear(6, width)
        self.draw = nn.Conv2d(width, 3, 5, padding=2)

    def remember(self, memory, frame):
        return torch.tanh(self.look(torch.cat([frame - 0.5, memory], 1)))

    def init(self, context):  # (B, 4, 3, 64, 64) in [0, 1] -> the state: tensors (B, ...)
        memory = context.new_zeros(context.shape[0], self.draw.in_channels, *context.shape[-2:])
        for k in range(context.shape[1] - 1):
            memory = self.remember(memory, context[:, k])
        return memory, context[:, -1]

    def step(self, state, action):  # the state and the push (B, 6) -> the next state and frame (B, 3, 64, 64)
        memory, frame = state
        memory = self.remember(memory, frame) + self.push(action)[:, :, None, None]
        frame = (frame + 0.1 * self.draw(memory)).clamp(0, 1)
        return (memory, frame), frame


def make(*, device, dtype):
    torch.manual_seed(0)  # instead of weights that you load
    return Recurrent().eval().to(device, dtype)
