"""A Hamiltonian neural network that others trained on three bodies, evaluated on two: a model of states.

    git clone https://github.com/DanDumitruArdeleanu/three-body-problem
    physbench eval examples/public_checkpoints/three_body_hamiltonian.py:make --suite smoke --tasks 'orbits/binary*' \
        --model-arg weights=three-body-problem/hnn.pt

The network below has the layout of that checkpoint: H(q, p) = sum of p^2 / 2m + sum over pairs of phi(1 / distance),
with learned masses m and a learned phi. Each pair adds a term, so that two bodies need no retraining.
"""

import torch
from torch import nn

from physbench import BODY_COLUMNS, StateCard

HIDDEN, DEPTH = 128, 4  # of the pair potential
STEPS = 20  # of integration from one state to the next
PULL, MOVES = BODY_COLUMNS.index("pull"), BODY_COLUMNS.index("moves")


def potential_network():
    layers = [nn.Linear(1, HIDDEN), nn.SiLU()]
    for _ in range(DEPTH - 1):
        layers += [nn.Linear(HIDDEN, HIDDEN), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, 1))


class Hamiltonian:
    card = StateCard("three-body-hamiltonian", fps=30, context_frames=1, columns="positions+velocities")

    def __init__(self, phi, masses, softening, unit):
        self.phi, self.masses, self.softening = phi, masses, softening
        self.unit = unit  # m that are one length of its own

    def force(self, place):
        """Force (B, N, 3) on bodies at (B, N, 3), minus the gradient of the potential."""
        with torch.inference_mode(False), torch.enable_grad():
            place = place.clone().requires_grad_()
            first, second = torch.triu_indices(place.shape[1], place.shape[1], 1)
            squared = (place[:, first] - place[:, second]).square().sum(-1, keepdim=True)
            potential = self.phi((squared + self.softening**2).rsqrt()).sum()
            return -torch.autograd.grad(potential, place)[0]

    def rollout_states(self, states, *, bodies, statics, mask, gravity, horizon, actions, prompts, generators):
        if bodies.shape[1] > len(self.masses) or not bool((bodies[..., MOVES] > 0)[mask].all()):
            raise ValueError("it knows up to three bodies that all move")
        # In its units the constant of gravity and the masses are 1, so that one time is sqrt(unit^3 / pull).
        pull = (bodies[..., PULL] * mask).sum(1) / mask.sum(1)
        seconds = (self.unit**3 / pull).sqrt()[:, None, None]
        masses = self.masses[: bodies.shape[1], None]
        place, speed = states[:, -1, :, :3] / self.unit, states[:, -1, :, 3:] * seconds / self.unit
        dt, answer = 1 / self.card.fps / STEPS / seconds, []
        for step in range(horizon * STEPS):  # leapfrog
            speed = speed + dt / 2 * self.force(place) / masses
            place = place + dt * speed
            speed = speed + dt / 2 * self.force(place) / masses
            if step % STEPS == STEPS - 1:
                answer.append(torch.cat([place * self.unit, speed * self.unit / seconds], -1))
        return torch.stack(answer, 1)


def make(*, device, dtype, weights, unit: float = 2.5):
    saved = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
    phi = potential_network()
    phi.load_state_dict({name.removeprefix("phi_pair."): value for name, value in saved.items() if "phi_pair" in name})
    phi.requires_grad_(False).to(device, dtype).eval()
    masses = saved["log_m_body"].exp().to(device, dtype)
    return Hamiltonian(phi, masses, float(saved["softening_eps"]), unit)
