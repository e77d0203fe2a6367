"""Your model in 15 lines: physbench eval examples/my_model.py:make --model-arg weights=my_model.pt"""

import torch

from physbench import ModelCard


class MyModel:
    card = ModelCard("my-model", image_size=(64, 64), fps=15, context_frames=2)

    def __init__(self, net):
        self.net = net.eval()

    def rollout(self, context, *, horizon, actions, prompts, generators):
        for _ in range(horizon):  # context (B, 2, 3, 64, 64) in [0, 1]
            frame = self.net(context.flatten(1, 2)).clamp(0, 1)[:, None]
            context = torch.cat([context[:, 1:], frame], 1)
            yield frame  # (B, 1, 3, 64, 64)


def make(*, device, dtype, weights="my_model.pt"):
    net = torch.nn.Conv2d(6, 3, 5, padding=2)
    net.load_state_dict(torch.load(weights, weights_only=True))
    return MyModel(net.to(device, dtype))
