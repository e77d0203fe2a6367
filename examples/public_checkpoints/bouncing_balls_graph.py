"""A graph network that others trained on ten balls in a box, evaluated on one that bounces: a model of states.

    git clone https://github.com/vishnucanada/world-model
    physbench eval examples/public_checkpoints/bouncing_balls_graph.py:make --suite smoke \
        --tasks 'falling/drop-bounce*' --model-arg weights=world-model/checkpoints/world_model_graph_big.pt

The network below has the layout of that checkpoint. It adds a learned correction to a step of free fall and reflection.
"""

import torch
from torch import nn

from physbench import BODY_COLUMNS, STATIC_COLUMNS, StateCard

PX = 900 / 9.81  # px/m: gravity is 900 px/s2 in its training data
PLANE = 3  # number of this shape
BUFFERS = {
    "ball_state_mean": (4,),
    "ball_state_std": (4,),
    "c_scale": (4,),
    "dt": (),
    "gravity_y": (),
    "wall_min": (2,),
    "wall_max": (2,),
    "wall_e": (),
}


class Network(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        act = nn.SiLU
        self.node_enc = nn.Sequential(nn.Linear(6, hidden), act(), nn.Linear(hidden, hidden), act())
        self.edge_mlp = nn.Sequential(nn.Linear(2 * hidden + 5, hidden), act(), nn.Linear(hidden, hidden), act())
        self.mean_head = nn.Linear(2 * hidden, 4)
        for name, shape in BUFFERS.items():
            self.register_buffer(name, torch.zeros(shape))

    def free(self, state):
        """One step of free fall and reflection (..., N, 4): x, y px, y down, and velocities px/s."""
        place, speed = state[..., :2], state[..., 2:]
        fall = torch.stack([torch.zeros_like(self.gravity_y), self.gravity_y])
        place, speed = place + speed * self.dt + fall * self.dt**2 / 2, speed + fall * self.dt
        out = ((place < self.wall_min) & (speed < 0)) | ((place > self.wall_max) & (speed > 0))
        place = place.clamp(self.wall_min, self.wall_max)
        return torch.cat([place, torch.where(out, -self.wall_e * speed, speed)], -1)

    def forward(self, state):
        normal = (state - self.ball_state_mean) / self.ball_state_std
        nodes = self.node_enc(torch.cat([normal, torch.zeros_like(state[..., :2])], -1))  # no forces act
        apart = state.unsqueeze(-3) - state.unsqueeze(-2)  # (..., N, N, 4), from the receiver to the sender
        distance = apart[..., :2].norm(dim=-1, keepdim=True) / (self.ball_state_std[:2].norm() + 1e-6)
        wide = [*apart.shape[:-1], nodes.shape[-1]]
        ends = [nodes.unsqueeze(-2).expand(wide), nodes.unsqueeze(-3).expand(wide)]
        messages = self.edge_mlp(torch.cat([*ends, apart / self.ball_state_std, distance], -1))
        messages = (messages * (1 - torch.eye(state.shape[-2], device=state.device)[..., None])).sum(-2)
        return self.free(state) + self.mean_head(torch.cat([nodes, messages], -1)) * self.c_scale


class Balls:
    card = StateCard("bouncing-balls-graph", fps=60, context_frames=1, columns="positions+velocities")

    def __init__(self, net):
        self.net = net.eval()

    def rollout_states(self, states, *, bodies, statics, mask, gravity, horizon, actions, prompts, generators):
        floors = statics[..., STATIC_COLUMNS.index("shape")] == PLANE
        if not bool((floors.sum(1) == 1).all()):
            raise ValueError("it knows scenes with a floor alone")
        floor = (statics[..., STATIC_COLUMNS.index("z")] * floors).nan_to_num().sum(1)[:, None, None]
        lowest = floor + bodies[..., BODY_COLUMNS.index("size_1"), None]  # (B, N, 1) m, of a centre
        low, high = self.net.wall_min, self.net.wall_max
        middle = ((low[0] + high[0]) / 2).expand_as(lowest)
        origin = torch.cat([middle, high[1] + lowest * PX], -1)  # (B, N, 2) px
        flip = states.new_tensor([1, -1])  # y is down
        now = states[:, -1]
        state = torch.cat([origin + now[..., [0, 2]] * PX * flip, now[..., [3, 5]] * PX * flip], -1)
        answer = []
        for _ in range(horizon):
            state = self.net(state)
            found = now.clone()
            found[..., [0, 2]] = (state[..., :2] - origin) / PX * flip
            found[..., [3, 5]] = state[..., 2:] / PX * flip
            answer.append(found)
        return torch.stack(answer, 1)


def make(*, device, dtype, weights):
    saved = torch.load(weights, map_location="cpu", weights_only=True)
    net = Network(saved["config"]["hidden"])
    net.load_state_dict({name: saved["state_dict"][name] for name in net.state_dict()})
    return Balls(net.to(device, dtype))
