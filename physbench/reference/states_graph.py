"""`states-graph`: an interaction network over exact states. Nodes are bodies, edges are pulls and contacts.

After interaction networks (arXiv 1612.00222) and graph network simulators (arXiv 2002.09405): messages along edges are
computed by one network for all edges and added up at the nodes, in rounds. The messages are impulses, as in graph
networks that keep momentum (arXiv 2501.07373): what one end of an edge gets, the other gets reversed.

Given: gravity, inertia, where surfaces lie and when they touch, the integrator, that a pull is in proportion to the
constant of its source and a rebound to restitution, and that friction stays within Coulomb's cone, with factors that
begin at 1. Learned: how a pull depends on distance, and what a contact does along its normal and across: factors of
rebound, of what it carries, of how it ends an overlap and of the cone, and the share of sliding that it ends, of
restitution, friction, how bodies meet and what else they touch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from physbench.models.protocol import SHAPE_NUMBERS
from physbench.reference.states_training import StateArchitecture, StateNet, StateScene

SPHERE, BOX, CYLINDER, PLANE = (SHAPE_NUMBERS.index(name) for name in ("sphere", "box", "cylinder", "plane"))
CORNERS = torch.tensor([[1.0, 0, 1], [1, 0, -1], [-1, 0, 1], [-1, 0, -1]])  # of boxes, which turn in the plane x, z
GROUND = 20.0  # m, half extents of the box whose top is a plane
LEAST = 1e-3  # m/s, in logarithms of speeds; a contact that lacks less gets no impulse
RECOVERY = 6  # substeps in which an overlap opens
BESIDE = 0.005  # m beside a face of a box at which a corner still lies on it
APART = 1e3  # m, gap of what cannot meet: beyond the way of any body, or corner of a body that spins, in a substep
GRADIENT_BOUND = 0.1  # of a body at a substep: where things rest, gradients grow without end from round to round
PULL_GAIN = GRIP_GAIN = 5.0  # of numbers that are learned, so that they may change fast


@dataclass(frozen=True)
class Bodies:
    """Constants of all bodies and statics as K rows, B (N + M) of them, those of a clip one after another."""

    extent: Tensor  # (K, 3) half extents of a box, m, which is rounded by
    radius: Tensor  # (K,) m
    light: Tensor  # (K,) 1 / mass; 0 of what does not move
    nimble: Tensor  # (K,) 1 / moment of inertia
    restitution: Tensor  # (K,)
    friction: Tensor  # (K,)


@dataclass(frozen=True)
class Moment:
    """State of the same rows."""

    place: Tensor  # (K, 3) m
    turn: Tensor  # (K, 4) quaternion x y z w
    motion: Tensor  # (K, 6) velocity m/s, spin rad/s


@dataclass(frozen=True)
class Pairs:
    """P pairs of which one body pulls the other."""

    pulled: Tensor  # (P,) row
    pulling: Tensor  # (P,) row
    pull: Tensor  # (P,) m3/s2


@dataclass(frozen=True)
class Edges:
    """E possible contacts: a point of one body and the surface of another."""

    ends: Tensor  # (2, E) rows of the body with the point and of that with the surface
    point: Tensor  # (E, 3) m, in the frame of the first

    def select(self, chosen: Tensor) -> Edges:
        """Some of them."""
        return Edges(self.ends[:, chosen], self.point[chosen])


@dataclass(frozen=True)
class Contacts:
    """Geometry of E contacts."""

    gap: Tensor  # (E,) m; negative where they overlap
    normal: Tensor  # (E, 3) from the surface to the point
    arms: Tensor  # (2, E, 3) m, from the middles of both bodies to where they touch

    def select(self, chosen: Tensor) -> Contacts:
        """Some of them."""
        return Contacts(self.gap[chosen], self.normal[chosen], self.arms[:, chosen])


@dataclass(frozen=True)
class Speeds:
    """Motion at E contacts in a round of a substep, and what the rounds before it gave."""

    along: Tensor  # (E,) m/s along the normal, of the first body less the other, where they touch
    slip: Tensor  # (E, 3) m/s, the same across it
    least: Tensor  # (E,) m/s along the normal that neither overlaps nor leaves them overlapping
    late: Tensor  # (E,) m/s that gravity and pulls give each end towards the other within the substep, of both ends
    given: Tensor  # (E, 3) N s, impulse on the first body so far
    goal: Tensor  # (E,) m/s along the normal at which they were made to part

    def select(self, chosen: Tensor) -> Speeds:
        """Some of them."""
        return Speeds(*(getattr(self, each.name)[chosen] for each in fields(self)))


def bounded(gradient: Tensor) -> Tensor:
    """Gradients (K, n) of rows, those of a norm above GRADIENT_BOUND scaled to it."""
    out: Tensor = gradient * (GRADIENT_BOUND / gradient.norm(dim=1, keepdim=True).clamp_min(GRADIENT_BOUND))
    return out


def networks(*widths: int) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.SiLU(), nn.Linear(before, after)] if layers else [nn.Linear(before, after)]
    return nn.Sequential(*layers)


def rotate(turn: Tensor, vector: Tensor, back: bool = False) -> Tensor:
    """Vectors (..., 3) turned by quaternions (..., 4), or turned back."""
    axis, w = turn[..., :3] * (-1 if back else 1), turn[..., 3:]
    twice = 2 * torch.linalg.cross(axis, vector)
    out: Tensor = vector + w * twice + torch.linalg.cross(axis, twice)
    return out


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Product (..., 4) of quaternions."""
    vector = a[..., 3:] * b[..., :3] + b[..., 3:] * a[..., :3] + torch.linalg.cross(a[..., :3], b[..., :3])
    return torch.cat([vector, a[..., 3:] * b[..., 3:] - (a[..., :3] * b[..., :3]).sum(-1, keepdim=True)], -1)


def surface(place: Tensor, turn: Tensor, extent: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance (E,) m of points (E, 3) from boxes, and the direction (E, 3) in which it grows."""
    local = rotate(turn, point - place, back=True)
    beyond = local.abs() - extent
    outside = beyond.clamp_min(0)
    away = (outside.square().sum(-1) + 1e-12).sqrt()
    deepest, axis = beyond.max(-1)
    inward = functional.one_hot(axis, 3).to(local)
    direction = torch.where(deepest[..., None] > 0, outside / away[..., None], inward)
    sign = torch.where(local < 0, -1.0, 1.0)
    return torch.where(deepest > 0, away, deepest), rotate(turn, direction * sign)


def face(place: Tensor, turn: Tensor, extent: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance (E,) m of corners of boxes from the face of another box that lies between both, and its normal.

    A corner near an edge of the other box may be nearest to a face that the boxes cannot meet at. So the face is that
    from which the whole box is farthest away. A corner beside the face is not above it: its distance is APART.

    Args:
        place, turn, extent: (2, E, n) of the box with the corner and of the other one.
        point: (E, 3) m, the corner.
    """
    reach = torch.zeros_like(point)
    for axis in torch.eye(3).to(point):
        edge = rotate(turn[0], axis * extent[0])
        reach = reach + rotate(turn[1], edge, back=True).abs()
    local, middle = (rotate(turn[1], each - place[1], back=True) for each in (point, place[0]))
    chosen = functional.one_hot((middle.abs() - reach - extent[1]).argmax(-1), 3).to(point)
    sign = torch.where(middle < 0, -1.0, 1.0)
    beside = ((local.abs() - extent[1] - BESIDE) * (1 - chosen)).amax(-1) > 0
    distance = ((local * sign - extent[1]) * chosen).sum(-1)
    return torch.where(beside, APART, distance), rotate(turn[1], chosen * sign)


class StateGraph(StateNet):
    """Pulls between bodies, then rounds of impulses at contacts, `substeps` times from one state to the next.

    An impulse goes on by one contact a round: a tower of four blocks needs about 20 rounds to carry its own weight.
    """

    rate = 3e-3
    batch = 64
    unrolls: Mapping[float, int] = {0.0: 1, 0.1: 2, 0.25: 4, 0.6: 8, 0.9: 16}
    noise = 1e-4
    # Gradients of pulls are ten times those of contacts: clipped together, contacts would learn little
    own_gradient_norms = True
    symmetric = True

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.substeps, self.rounds, self.width = config["substeps"], config["rounds"], config["width"]
        self.step = 1 / config["fps"] / config["substeps"]  # s
        self.power = nn.Linear(1, 1)  # log of a distance -> log of acceleration over pull; and what this leaves
        self.profile = networks(1, 32, 1)
        self.encode = networks(10, self.width, self.width)  # numbers of a contact
        self.respond = networks(2 * self.width, self.width, 5)
        for last in (self.power, self.profile[-1], self.respond[-1]):
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def unroll(self, states: Tensor, scene: StateScene, held: Tensor) -> Iterator[Tensor]:
        batch, _, many, _ = states.shape
        bodies, now = gather_bodies(states[:, -1], scene)
        pairs = pulling_pairs(scene)
        gravity = scene.gravity.repeat_interleave(len(now.place) // batch, 0) * (bodies.light > 0)[:, None]
        while True:
            edges = find_edges(bodies, now, scene, self.step * self.substeps)
            for _ in range(self.substeps):
                now = self.advance(bodies, now, edges, pairs, gravity)
                for part in (now.place, now.turn, now.motion):
                    if part.requires_grad:
                        part.register_hook(bounded)  # type: ignore[no-untyped-call]
            rows = torch.cat([now.place, now.turn, now.motion], 1)
            yield rows.view(batch, -1, rows.shape[1])[:, :many]

    def advance(self, bodies: Bodies, now: Moment, edges: Edges, pairs: Pairs, gravity: Tensor) -> Moment:
        """One substep: half of the way, pulls there, the other half, and impulses from when things touch."""
        velocity, spin = now.motion.split_with_sizes([3, 3], 1)
        halfway = now.place + self.step / 2 * velocity
        added = self.step * (gravity + self.acceleration(halfway, pairs))
        velocity = velocity + added
        place, motion = halfway + self.step / 2 * velocity, torch.cat([velocity, spin], 1)
        contacts = touch(bodies, now, edges)
        added = added[edges.ends]
        late = (torch.stack([-added[0], added[1]]) * contacts.normal).sum(-1).clamp_min(0).sum(0)
        least = -torch.where(contacts.gap > 0, contacts.gap, contacts.gap / RECOVERY) / self.step
        given, goal = torch.zeros_like(edges.point), torch.zeros_like(least)
        for _ in range(self.rounds):
            relative = approach(edges, contacts, motion)
            along = (relative * contacts.normal).sum(1)
            slip = relative - along[:, None] * contacts.normal
            # Those that still close in; and of those that were pushed, those that slide or part too fast by now
            revised = given.any(1) & ((slip.norm(dim=1) > LEAST) | (along > goal + LEAST))
            some = ((along < least - LEAST) | revised).nonzero()[:, 0]
            if not len(some):
                break
            speeds = Speeds(along, slip, least, late, given, goal).select(some)
            impulse, target, gained = self.impulses(bodies, edges.select(some), contacts.select(some), speeds)
            given, goal = given.index_add(0, some, impulse), goal.index_add(0, some, target - speeds.goal)
            place, motion = place + self.step * gained[:, 6:], motion + gained[:, :6]
        velocity, spin = motion.split_with_sizes([3, 3], 1)
        # Corners of a box lie in one plane: nothing would hold it against turning out of this plane
        axle = rotate(now.turn, spin.new_tensor([0.0, 1.0, 0.0]).expand_as(spin))
        box = bodies.extent.amax(1, keepdim=True) > 0
        spin = torch.where(box, (spin * axle).sum(1, keepdim=True) * axle, spin)
        turn = now.turn + self.step / 2 * multiply(functional.pad(spin, (0, 1)), now.turn)
        return Moment(place, functional.normalize(turn, dim=1), torch.cat([velocity, spin], 1))

    def acceleration(self, place: Tensor, pairs: Pairs) -> Tensor:
        """Acceleration (K, 3) m/s2 by pulls."""
        total = torch.zeros_like(place)
        if not len(pairs.pulled):
            return total
        apart = place[pairs.pulling] - place[pairs.pulled]
        distance = apart.norm(dim=1, keepdim=True).clamp_min(0.05)
        log = distance.log()
        size = pairs.pull[:, None] * (PULL_GAIN * (self.power(log) + self.profile(log))).clamp_max(6).exp()
        return total.index_add(0, pairs.pulled, size * apart / distance)

    def impulses(
        self, bodies: Bodies, edges: Edges, contacts: Contacts, speeds: Speeds
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The messages of a round at E contacts, and their sums at the bodies.

        Impulses of a contact accumulate over the rounds of a substep (sequential impulses, Catto 2006). Along the
        normal their sum never pulls; across it the sum stays within Coulomb's cone, so that later rounds take back what
        others made needless.

        Returns:
            Impulse (E, 3) N s on the first body; speed (E,) m/s at which contacts are to part; and of each body the
            change (K, 9) of velocity, of spin, and of velocity by the share of the substep for which it lasts.
        """
        along, slip, given = speeds.along, speeds.slip, speeds.given
        first, other = edges.ends
        sliding, closes = (slip.square().sum(1) + 1e-10).sqrt(), along < speeds.least
        closing = torch.where(closes, -along, 0.0).clamp_min(0)
        wait = contacts.gap.clamp_min(0) / (closing * self.step).clamp_min(1e-9)
        lasting = 1 - wait.clamp_max(1)
        meeting = (closing - speeds.late * lasting).clamp_min(0)  # speed when they touch
        overlap = (-contacts.gap).clamp_min(0)
        # Boxes touch at many points, which share their mass: else impulses that are due once would be given many times.
        many = torch.zeros_like(bodies.light).index_add(0, edges.ends.flatten(), torch.ones_like(along).repeat(2))
        many = torch.where(bodies.extent.amax(1) > 0, many.clamp_min(1), 1.0)
        light, nimble = bodies.light[edges.ends], bodies.nimble[edges.ends]
        shared = many[edges.ends]
        mass = opposing_mass(light * shared, nimble * shared, contacts.arms, contacts.normal)
        restitution = bodies.restitution[first] * bodies.restitution[other]
        friction = bodies.friction[first] * bodies.friction[other]
        features = [
            (closing + LEAST).log() / 3,
            (meeting + LEAST).log() / 3,
            (sliding + LEAST).log() / 3,
            restitution,
            (friction + 0.01).log() / 3,
            ((friction * closing + LEAST) / (sliding + LEAST)).log() / 3,
            lasting,
            (overlap / 0.01).clamp_max(3),
            mass * light.sum(0),  # 1 where the push goes through the middles
            (light[1] == 0).float(),
        ]
        message = self.encode(torch.stack(features, 1))
        load = message.new_zeros(len(bodies.light), self.width)
        load = load.index_add(0, edges.ends.flatten(), message.repeat(2, 1))
        response = self.respond(torch.cat([message, load[first] + load[other]], 1))
        rebound, carry, push, rub = (2 * torch.sigmoid(response[:, :4])).unbind(1)
        opening = torch.where(closes, (overlap / self.step / RECOVERY - along.clamp_min(0)).clamp_min(0), 0.0) * push
        back = meeting * restitution * rebound  # m/s with which they part, which gravity may end again
        goal = torch.maximum(speeds.goal, back + opening)
        struck = mass * (meeting + back + opening)
        carried = mass * (closing - meeting - back).clamp_min(0) * carry
        pressed = (given * contacts.normal).sum(1)
        away = torch.maximum(struck + carried - mass * (along - goal).clamp_min(0), -pressed)
        across = opposing_mass(light * shared, nimble * shared, contacts.arms, slip / sliding[:, None])
        share = torch.exp(-functional.softplus(GRIP_GAIN * response[:, 4]))  # of the sliding that ends
        held = given - pressed[:, None] * contacts.normal
        hold = held - (across * share)[:, None] * slip
        cone = rub * friction * (pressed + away)
        hold = hold * (cone / hold.norm(dim=1).clamp_min(1e-9)).clamp_max(1)[:, None]
        own = away[:, None] * contacts.normal + hold - held
        impulse = torch.stack([own, -own])  # of both ends
        change = impulse * light[..., None]
        turn = torch.linalg.cross(contacts.arms, impulse) * nimble[..., None]
        # What is carried, is carried little by little: bodies move by half of it
        pushed = struck + carried
        lasting = torch.where(pushed > 1e-9, lasting * (1 - carried / 2 / pushed.clamp_min(1e-9)), 0.5)
        gained = torch.cat([change, turn, change * lasting[:, None]], 2)
        return (
            own,
            goal,
            gained.new_zeros(len(bodies.light), 9).index_add(0, edges.ends.flatten(), gained.flatten(0, 1)),
        )


def gather_bodies(states: Tensor, scene: StateScene) -> tuple[Bodies, Moment]:
    """Bodies in states (B, N, 13), and statics, as rows; planes are tops of large boxes."""
    statics = scene.statics
    number = torch.cat([scene.body("shape"), scene.static("shape")], 1)
    sizes = torch.cat([scene.bodies[..., 1:4], statics[..., 1:4]], 1)
    plane, box = (number == PLANE)[..., None], (number == BOX)[..., None]
    turn = torch.cat([states[..., 3:7], statics[..., 7:11]], 1)
    turn = torch.where(turn.norm(dim=-1, keepdim=True) > 0.5, turn, turn.new_tensor([0.0, 0.0, 0.0, 1.0]))
    place = torch.cat([states[..., :3], statics[..., 4:7]], 1)
    below = rotate(turn, place.new_tensor([0.0, 0.0, -GROUND]).expand_as(place))
    place = torch.where(plane, place + below, place)
    radius = torch.where((number == SPHERE) | (number == CYLINDER), sizes[..., 0], 0.0)
    motion = torch.cat([states[..., 7:13], statics.new_zeros(*statics.shape[:2], 6)], 1)
    mass = functional.pad(scene.body("mass") * scene.body("moves"), (0, statics.shape[1]))
    light = torch.where(mass > 0, 1 / mass.clamp_min(1e-6), 0.0)
    rounded = torch.where(number == SPHERE, 0.4 * radius**2, (radius**2 + sizes[..., 2] ** 2) / 2)
    inertia = torch.where(box[..., 0], (sizes[..., 0] ** 2 + sizes[..., 2] ** 2) / 3, rounded)  # over mass
    bodies = Bodies(
        extent=torch.where(plane, GROUND, torch.where(box, sizes, 0.0)).flatten(0, 1),
        radius=radius.flatten(),
        light=light.flatten(),
        nimble=(light / inertia.clamp_min(1e-6)).flatten(),
        restitution=torch.cat([scene.body("restitution"), scene.static("restitution")], 1).flatten(),
        friction=torch.cat([scene.body("friction"), scene.static("friction")], 1).flatten(),
    )
    return bodies, Moment(place.flatten(0, 1), turn.flatten(0, 1), motion.flatten(0, 1))


def pulling_pairs(scene: StateScene) -> Pairs:
    """Every moving body with every other one that pulls."""
    many = scene.mask.shape[1]
    things = many + scene.statics.shape[1]
    moves, pulls = scene.mask & (scene.body("moves") > 0), scene.mask & (scene.body("pull") > 0)
    fits = moves[:, :, None] & pulls[:, None] & ~torch.eye(many, dtype=torch.bool, device=moves.device)
    clip, pulled, pulling = fits.nonzero().unbind(1)
    return Pairs(clip * things + pulled, clip * things + pulling, scene.body("pull")[clip, pulling])


def find_edges(bodies: Bodies, now: Moment, scene: StateScene, time: float) -> Edges:
    """Points of bodies that might touch a surface within a time in s."""
    there = torch.cat([scene.mask, scene.static("shape") >= 0], 1)
    batch, things = there.shape
    moves = (bodies.light > 0).view(batch, things)
    box = (bodies.extent.amax(1) > 0).view(batch, things)
    number = torch.arange(things, device=there.device)
    once = ~box[:, :, None] & (number[:, None] < number)  # two balls make one edge
    fits = there[:, :, None] & there[:, None] & (moves[:, :, None] | moves[:, None]) & (box[:, None] | once)
    clip, first, other = (fits & (number[:, None] != number)).nonzero().unbind(1)
    first, other = clip * things + first, clip * things + other
    ball = bodies.extent[first].amax(1, keepdim=True) == 0
    used = torch.cat([ball, ~ball.expand(-1, len(CORNERS))], 1)  # the middle of a ball, the corners of a box
    pair, corner = used.nonzero().unbind(1)
    corners = functional.pad(CORNERS, (0, 0, 1, 0)).to(now.place)
    edges = Edges(torch.stack([first[pair], other[pair]]), corners[corner] * bodies.extent[first[pair]])
    speed = approach(edges, touch(bodies, now, edges), now.motion).norm(dim=1)
    place, turn = now.place[edges.ends], now.turn[edges.ends]
    point = place[0] + rotate(turn[0], edges.point)
    gap = surface(place[1], turn[1], bodies.extent[edges.ends[1]], point)[0] - bodies.radius[edges.ends].sum(0)
    falling = scene.gravity.norm(dim=1).amax() * time
    # An edge joins what is nearer than 0.1 m, or will be within a state.
    return edges.select((gap < 0.1 + time * (1.5 * speed + falling)).nonzero()[:, 0])


def touch(bodies: Bodies, now: Moment, edges: Edges) -> Contacts:
    """Contacts of the points of edges above the surfaces."""
    radius, place, turn = bodies.radius[edges.ends], now.place[edges.ends], now.turn[edges.ends]
    arm = rotate(turn[0], edges.point)
    extent, point = bodies.extent[edges.ends], place[0] + arm
    box = extent[0].amax(1) > 0
    distance, normal = surface(place[1], turn[1], extent[1], point)
    above, facing = face(place, turn, extent, point)
    distance, normal = torch.where(box, above, distance), torch.where(box[:, None], facing, normal)
    gap = distance - radius.sum(0)
    own = arm - (radius[0] + gap.clamp_max(0) / 2)[:, None] * normal  # where they overlap, halfway
    its = own + place[0] - gap.clamp_min(0)[:, None] * normal - place[1]
    return Contacts(gap, normal, torch.stack([own, its]))


def approach(edges: Edges, contacts: Contacts, motion: Tensor) -> Tensor:
    """Velocity (E, 3) m/s of the first body less that of the other, where they touch."""
    velocity, spin = motion[edges.ends].split_with_sizes([3, 3], -1)
    own, its = velocity + torch.linalg.cross(spin, contacts.arms)
    relative: Tensor = own - its
    return relative


def opposing_mass(light: Tensor, nimble: Tensor, arms: Tensor, direction: Tensor) -> Tensor:
    """Mass (E,) kg that a push along a direction (E, 3) has to move, of both ends (2, E)."""
    turning = arms.square().sum(-1) - (arms * direction).sum(-1).square()
    return 1 / (light + nimble * turning).sum(0).clamp_min(1e-9)


class Graph(StateArchitecture):
    """`states-graph` as the harness and the training use it."""

    name = "states-graph"
    summary = "an interaction network over exact states; minutes of one core"
    steps = 1000
    defaults: Mapping[str, Any] = {"fps": 15, "context": 1, "substeps": 6, "width": 64, "rounds": 28}
    net_class = StateGraph


architecture = Graph()
