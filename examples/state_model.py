"""A model that answers with states: free fall, bounces on the floor, mutual gravity, from the last state it is given.

It knows of no collisions between bodies, walls or ramps. `strength` is the factor on every pull.
"""

import torch

from physbench import BODY_COLUMNS, STATIC_COLUMNS, StateCard

BODY, FIXED = BODY_COLUMNS.index, STATIC_COLUMNS.index  # places of columns by name
PLANE = 3  # number of this shape
STEPS = 40  # of integration from one state to the next


class Pulls:
    card = StateCard("pulls", fps=30, context_frames=1)

    def __init__(self, strength):
        self.strength = strength

    def acceleration(self, place, bodies, gravity):
        apart = place[:, None] - place[:, :, None]  # (B, N, N, 3), from each body to each other one
        distance = apart.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        mutual = (bodies[:, None, :, BODY("pull"), None] * apart / distance**3).sum(2)
        return self.strength * (gravity[:, None] + mutual) * bodies[..., BODY("moves"), None]

    def rollout_states(self, states, *, bodies, statics, mask, gravity, horizon, actions, prompts, generators):
        bodies, statics, gravity = bodies.double(), statics.double(), gravity.double()
        place, speed = states[:, -1, :, 0:3].double(), states[:, -1, :, 7:10].double()
        dt, answer = 1 / self.card.fps / STEPS, []
        for step in range(horizon * STEPS):
            speed = speed + dt / 2 * self.acceleration(place, bodies, gravity)
            place = place + dt * speed
            speed = speed + dt / 2 * self.acceleration(place, bodies, gravity)
            for row in range(statics.shape[1]):
                fixed = statics[:, row, None]  # (B, 1, columns)
                depth = fixed[..., FIXED("z")] + bodies[..., BODY("size_1")] - place[..., 2]
                hits = (fixed[..., FIXED("shape")] == PLANE) & (depth > 0) & (speed[..., 2] < 0) & mask
                bounce = fixed[..., FIXED("restitution")] * bodies[..., BODY("restitution")]
                place[..., 2] = torch.where(hits, place[..., 2] + depth, place[..., 2])
                speed[..., 2] = torch.where(hits, -bounce * speed[..., 2], speed[..., 2])
            if step % STEPS == STEPS - 1:
                answer.append(torch.cat([place, speed], -1))
        turn, spin = states[:, -1:, :, 3:7].double(), states[:, -1:, :, 10:13].double()
        moved = torch.stack(answer, 1)  # (B, horizon, N, 6)
        turn, spin = (held.expand(-1, horizon, -1, -1) for held in (turn, spin))
        return torch.cat([moved[..., :3], turn, moved[..., 3:], spin], -1).to(states.dtype)


def make(*, device: torch.device, dtype: torch.dtype, strength: float = 1.0) -> Pulls:
    return Pulls(strength)
