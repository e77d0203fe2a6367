"""`states-transformer`: a transformer over the past positions of bodies, which it continues one moment at a time.

After sequence models of orbits (arXiv 2507.06952), which read positions and are asked for the next one. Each body looks
at a sequence of its own: one token for each body and past moment, relative to where it is now, and one for each thing
that stands still, at its nearest point. The last token says what the body is, and becomes its acceleration.

Given: positions, shapes and materials, gravity as a number. Not given: velocities, spins, turns, or any law. Learned:
everything but that a body without acceleration goes on as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from physbench.models.protocol import SHAPE_NUMBERS
from physbench.reference.layers import Attention, mlp
from physbench.reference.states_graph import BOX, GROUND, PLANE, rotate, surface
from physbench.reference.states_training import StateArchitecture, StateNet, StateScene, moving_axes

SMALL = 0.01  # m; lengths below it are seen in proportion, those above by their logarithm
SMALL_CHANGE = 0.003  # m, likewise of the change of a displacement that is predicted
FAR = 2.0  # m, unit of positions
ABOUT_BODY, ABOUT_PAIR, ABOUT_STATIC, MOVING = 11, 15, 11, 8  # numbers of a token


class TransformerBlock(nn.Module):
    """Attention and an MLP, each added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.between, self.mlp = nn.LayerNorm(width), mlp(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (Q, L, width), mask (Q, 1, 1, L) of tokens that exist -> (Q, L, width)."""
        x = x + self.attention(self.before(x), mask=mask)
        out: Tensor = x + self.mlp(self.between(x))
        return out


class StateTransformer(StateNet):
    """Positions of the last C moments -> the change of each body's displacement."""

    columns = "positions"
    rate = 2e-3
    batch = 32
    unrolls: Mapping[float, int] = {0.0: 1, 0.6: 2, 0.75: 4, 0.9: 8}
    noise = 1e-4
    precise = 0.1

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.context, width = config["context"], config["width"]
        self.moving = nn.Linear(MOVING, width)  # of a body at a moment
        self.pair = nn.Linear(ABOUT_PAIR, width)  # of a body as another one sees it
        self.lag = nn.Embedding(self.context, width)
        self.static = nn.Linear(ABOUT_STATIC, width)
        self.own = nn.Linear(ABOUT_BODY + 3, width)
        self.last = mlp(6, 2 * width, width)  # displacement of the body itself, and its change
        self.blocks = nn.ModuleList(TransformerBlock(width, config["heads"]) for _ in range(config["layers"]))
        self.norm, self.change = nn.LayerNorm(width), nn.Linear(width, 3)
        with torch.no_grad():  # a change of 0 would keep all others from learning at first
            self.change.weight.mul_(0.3)
            self.change.bias.zero_()

    def unroll(self, states: Tensor, scene: StateScene, held: Tensor) -> Iterator[Tensor]:
        seen, fixed = states[..., :3], self.constants(scene)
        axes = moving_axes(seen, scene.gravity)[:, None] * scene.body("moves")[..., None]  # (B, N, 3)
        while True:
            change = SMALL_CHANGE * torch.sinh(self.acceleration(seen, scene, held, fixed).clamp(-8, 8)) * axes
            following = 2 * seen[:, -1] - seen[:, -2] + change
            yield following
            seen = torch.cat([seen[:, 1:], following[:, None]], 1)
            held = torch.cat([held[:, 1:], torch.zeros_like(held[:, :1])], 1)

    def constants(self, scene: StateScene) -> tuple[Tensor, Tensor]:
        """Constant features of tokens: of pairs (B, N, N, width), and of bodies themselves (B, N, width)."""
        many = scene.mask.shape[1]
        about = torch.cat(
            [
                torch.stack([scene.body("shape") == each for each in range(len(SHAPE_NUMBERS))], -1).float(),
                scene.bodies[..., 1:4],
                (scene.body("mass") + 1).log()[..., None] / 3,
                (scene.body("pull") + 1).log()[..., None] / 3,
                scene.body("moves")[..., None],
                (scene.body("friction") + 0.01).log()[..., None] / 3,
            ],
            -1,
        )  # (B, N, ABOUT_BODY)
        mass, restitution, friction = scene.body("mass"), scene.body("restitution"), scene.body("friction")
        share = mass[:, None] / (mass[:, None] + mass[:, :, None]).clamp_min(1e-6)
        between = torch.stack(
            [
                torch.eye(many, device=mass.device).expand(len(mass), -1, -1),
                share,
                restitution[:, None] * restitution[:, :, None],
                (friction[:, None] * friction[:, :, None] + 0.01).log() / 3,
            ],
            -1,
        )
        pair = self.pair(torch.cat([about[:, None].expand(-1, many, -1, -1), between], -1))
        gravity = scene.gravity[:, None].expand(-1, many, -1) / 9.81
        return pair, self.own(torch.cat([about, gravity], -1))

    def acceleration(self, seen: Tensor, scene: StateScene, held: Tensor, fixed: tuple[Tensor, Tensor]) -> Tensor:
        """Positions (B, C, N, 3) m -> change of displacements (B, N, 3) m, as the `asinh` of that over SMALL_CHANGE."""
        batch, context, many, _ = seen.shape
        pair, own = fixed
        step = seen.diff(dim=1)
        step = torch.cat([step[:, :1], step], 1)
        apart = seen[:, :, None] - seen[:, -1:, :, None]  # (B, C, i, j, 3) where j was, from where i is
        radius = scene.body("size_1")
        together = (seen[:, :, None] - seen[:, :, :, None]).square().sum(-1).add(1e-8).sqrt()
        gap = together - radius[:, None, None] - radius[:, None, :, None]
        moving = torch.cat(
            [
                apart / FAR,
                torch.asinh(step / SMALL)[:, :, None].expand(-1, -1, many, -1, -1) / 3,
                torch.asinh(gap / SMALL)[..., None] / 3,
                held[:, :, None, :, None].expand(-1, -1, many, -1, -1),
            ],
            -1,
        )
        tokens = self.moving(moving) + pair[:, None] + self.lag.weight[:, None, None]
        tokens = tokens.transpose(1, 2).flatten(2, 3)  # (B, i, C j, width)
        exist = scene.mask[:, None, None].expand(-1, many, context, -1).flatten(2)
        change = torch.asinh((step[:, -1] - step[:, -2]) / SMALL_CHANGE) / 2
        own = own + self.last(torch.cat([torch.asinh(step[:, -1] / SMALL) / 3, change], -1))
        tokens = torch.cat([tokens, self.statics(seen[:, -1], scene), own[:, :, None]], 2)
        near = (scene.static("shape") >= 0)[:, None].expand(-1, many, -1)
        exist = torch.cat([exist, near, torch.ones_like(exist[..., :1])], 2)
        rows = scene.mask & (scene.body("moves") > 0)
        x, mask = tokens[rows], exist[rows][:, None, None]
        for block in self.blocks:
            x = block(x, mask)
        acceleration = seen.new_zeros(batch, many, 3)
        acceleration[rows] = self.change(self.norm(x[:, -1]))
        return acceleration

    def statics(self, place: Tensor, scene: StateScene) -> Tensor:
        """Tokens (B, N, M, width) of what stands still, from bodies at places (B, N, 3)."""
        shape, statics = scene.static("shape"), scene.statics
        plane = (shape == PLANE)[..., None]
        extent = torch.where(plane, GROUND, torch.where((shape == BOX)[..., None], statics[..., 1:4], 0.0))
        turn = statics[..., 7:11]
        turn = torch.where(turn.norm(dim=-1, keepdim=True) > 0.5, turn, turn.new_tensor([0.0, 0.0, 0.0, 1.0]))
        below = rotate(turn, turn.new_tensor([0.0, 0.0, -GROUND]).expand(*turn.shape[:2], 3))
        middle = torch.where(plane, statics[..., 4:7] + below, statics[..., 4:7])
        many, fixed = place.shape[1], statics.shape[1]
        wide = (-1, many, -1, -1)
        distance, normal = surface(
            middle[:, None].expand(wide), turn[:, None].expand(wide), extent[:, None].expand(wide),
            place[:, :, None].expand(-1, -1, fixed, -1),
        )  # fmt: skip
        rounded = torch.where((shape != BOX) & (shape != PLANE), statics[..., 1], 0.0)[:, None]
        gap = distance - rounded - scene.body("size_1")[..., None]
        restitution = scene.body("restitution")[..., None] * scene.static("restitution")[:, None]
        friction = scene.body("friction")[..., None] * scene.static("friction")[:, None]
        numbers = [
            normal,
            normal * torch.asinh(gap / SMALL)[..., None] / 3,
            torch.stack([torch.asinh(gap / SMALL) / 3, gap / FAR, restitution, friction], -1),
            (friction + 0.01).log()[..., None] / 3,
        ]
        out: Tensor = self.static(torch.cat(numbers, -1))
        return out


class Transformer(StateArchitecture):
    """`states-transformer` as the harness and the training use it."""

    name = "states-transformer"
    summary = "a transformer over the past positions of bodies; minutes of one core"
    steps = 5000
    defaults: Mapping[str, Any] = {"fps": 15, "context": 8, "width": 64, "layers": 3, "heads": 4}
    sizes: Mapping[str, Mapping[str, Any]] = {"S": {}, "M": {"width": 128, "layers": 4}}
    net_class = StateTransformer


architecture = Transformer()
