"""A recurrent state-space model (RSSM) of the moon lander of Gymnasium, evaluated on a ball in free fall.

    git clone https://github.com/nsmoly/LunarLander_RSSM
    physbench eval examples/public_checkpoints/lunar_lander_rssm.py:make --suite smoke --tasks 'falling/projectile*' \
        --model-arg weights=LunarLander_RSSM/world_model.pt

The network below has the layout of that checkpoint. With its engines off, the lander falls freely, and so a ball is
given to it as one: upright, without spin, its legs off the ground.
"""

import torch
from torch import nn

from physbench import BODY_COLUMNS, STATIC_COLUMNS, StateCard

FPS = 50  # steps/s of the lander
HALF_WIDTH, HALF_HEIGHT = 10.0, 400 / 30 / 2  # of its view, in its own lengths: 1 in an observation
UNIT = 0.981  # m that are one of its lengths: it falls by 10 of them a second squared
PLANE = 3  # number of this shape
LATENT, HIDDEN, OBSERVED, ACTIONS = 16, 256, 8, 4


def encoder(inputs):
    layers = [nn.Linear(inputs, HIDDEN), nn.LayerNorm(HIDDEN), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, HIDDEN), nn.LayerNorm(HIDDEN), nn.SiLU())


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.obs_encoder = encoder(OBSERVED)
        self.gru = nn.GRUCell(LATENT + ACTIONS, HIDDEN)
        self.prior_net = nn.Sequential(*encoder(HIDDEN), nn.Linear(HIDDEN, 2 * LATENT))
        self.post_net = nn.Sequential(*encoder(2 * HIDDEN), nn.Linear(HIDDEN, 2 * LATENT))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.rssm = Recurrent()
        self.decoder_backbone = encoder(LATENT + HIDDEN)
        self.physics_head = nn.Linear(HIDDEN, 6)  # x, y, their velocities, angle, spin

    def forward(self, seen, horizon):
        """Observations (B, C, 8) to the six numbers of the next `horizon` steps (B, horizon, 6), engines off."""
        deterministic, latent = seen.new_zeros(len(seen), HIDDEN), seen.new_zeros(len(seen), LATENT)
        idle = torch.zeros(len(seen), ACTIONS, device=seen.device, dtype=seen.dtype)
        answer = []
        for step in range(seen.shape[1] + horizon):
            deterministic = self.rssm.gru(torch.cat([latent, idle], -1), deterministic)
            idle[:, 0] = 1.0  # before the first step its training data have no action
            if step < seen.shape[1]:
                found = torch.cat([deterministic, self.rssm.obs_encoder(seen[:, step])], -1)
                latent = self.rssm.post_net(found)[:, :LATENT]  # the mean, as in its own tests
            else:
                latent = self.rssm.prior_net(deterministic)[:, :LATENT]
                answer.append(self.physics_head(self.decoder_backbone(torch.cat([deterministic, latent], -1))))
        return torch.stack(answer, 1)


class Lander:
    card = StateCard("lunar-lander-rssm", fps=FPS, context_frames=20, columns="positions+velocities")

    def __init__(self, net):
        self.net = net.eval()

    def rollout_states(self, states, *, bodies, statics, mask, gravity, horizon, actions, prompts, generators):
        if states.shape[2] != 1:
            raise ValueError("it knows scenes with one body alone")
        floors = statics[..., STATIC_COLUMNS.index("shape")] == PLANE
        floor = (statics[..., STATIC_COLUMNS.index("z")] * floors).nan_to_num().sum(1)[:, None]  # (B, 1) m
        ground = floor + bodies[:, :1, BODY_COLUMNS.index("size_1")]  # of the body's middle
        body = states[:, :, 0] / UNIT  # (B, C, 6)
        seen = states.new_zeros(*body.shape[:2], OBSERVED)
        seen[..., 0], seen[..., 1] = body[..., 0] / HALF_WIDTH, (body[..., 2] - ground / UNIT) / HALF_HEIGHT
        seen[..., 2], seen[..., 3] = body[..., 3] * HALF_WIDTH / FPS, body[..., 5] * HALF_HEIGHT / FPS
        said = self.net(seen, horizon) * UNIT
        answer = states[:, -1:].repeat(1, horizon, 1, 1)
        answer[:, :, 0, 0], answer[:, :, 0, 2] = said[..., 0] * HALF_WIDTH, said[..., 1] * HALF_HEIGHT + ground
        answer[:, :, 0, 3], answer[:, :, 0, 5] = said[..., 2] * FPS / HALF_WIDTH, said[..., 3] * FPS / HALF_HEIGHT
        return answer


def make(*, device, dtype, weights):
    saved = torch.load(weights, map_location="cpu", weights_only=True)
    net = Network()
    net.load_state_dict({name: saved[name] for name in net.state_dict()})  # without the heads of reward and contact
    return Lander(net.to(device, dtype))
