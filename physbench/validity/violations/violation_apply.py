"""Applies a violation plan: what a perfect renderer would show of the violated world."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from physbench.support.arrays import Array, Image
from physbench.support.errors import UsageError, nearest
from physbench.validity.violations import violation_plan
from physbench.validity.violations.candidate_events import candidate_events
from physbench.validity.violations.hooks import simulate_hooked
from physbench.world.bodies import UPRIGHT
from physbench.world.camera import plane_from_world
from physbench.world.scene import HISTORY, PHYSICS_HZ, RenderSpec, Scene
from physbench.world.styles.catalogue import draw

LEAST_EFFECT = 0.05  # diameters; a violation of the motion that moves nothing further is not seen
NO_EFFECT = 0.005  # diameters; one that moves nothing further has nothing to violate


@dataclass(eq=False)
class Violated:
    """A violated world: a scene, what was done to it, and what is seen of that."""

    scene: Scene
    acts: tuple[violation_plan.Act, ...]
    plans: tuple[violation_plan.ViolationPlan, ...]  # one of each act
    seed: int
    _known: tuple[Array, Array] | None = field(default=None, repr=False)  # times and states that were asked for last

    @property
    def id(self) -> str:
        """ "teleport:0.25", or several joined by +."""
        return "+".join(act.id for act in self.acts)

    @property
    def plan(self) -> violation_plan.ViolationPlan:
        """All that is done to the scene."""
        return sum(self.plans, violation_plan.ViolationPlan(()))

    @property
    def events(self) -> tuple[violation_plan.ViolationEvent, ...]:
        """Times and bodies at which the acts are seen. Raises Inapplicable where a clock puts one after the end.

        What happens in the world happens later where a clock makes it slow: times of hooks, bends and appearances are
        those of the world.
        """
        clocks = [clock for whose, clock in self.plan.clocks if whose is None]
        if not clocks or len(self.plans) == 1:
            return self.plan.events
        shown = np.arange(round(self.scene.horizon * PHYSICS_HZ) + 1) / PHYSICS_HZ
        shown_events, before = [], 0
        for plan in self.plans:
            own = sum(whose is None for whose, _ in plan.clocks)
            world = _through(clocks[:before] if own else clocks, shown)
            before += own
            for event in plan.events:
                later = np.flatnonzero(world > event.time + 1e-9)
                if not len(later):
                    raise violation_plan.Inapplicable("with another clock it comes after the end of the clip")
                time = float(shown[max(later[0] - 1, 0)])
                shown_events.append(replace(event, time=time, hidden_since=None if event.hidden_since is None else 0.0))
        return tuple(shown_events)

    def states(self, times: Sequence[float] | Array) -> Array:
        """States (T, N, 13) of the bodies of the scene, as shown at times (T,) s, ascending multiples of 1/1200."""
        times = np.asarray(times, dtype=np.float64)
        if self._known is None or not np.isin(times, self._known[0]).all():
            self._known = times, self._simulate(times)
        known, states = self._known
        return np.asarray(states[np.searchsorted(known, times)])

    def _simulate(self, times: Array) -> Array:
        names = [body.name for body in self.scene.bodies]
        shown = np.empty((len(times), len(names)))  # s of the simulation
        world = self._world(times)
        shown[:] = world[:, None]
        for whose, clock in self.plan.clocks:
            if whose is not None:
                shown[:, names.index(whose)] = clock(shown[:, names.index(whose)])
        steps = np.maximum(np.rint(shown * PHYSICS_HZ).astype(np.int64), -round(HISTORY * PHYSICS_HZ))
        states = simulate_hooked(self.scene, copy.deepcopy(self.plan.hooks), np.unique(steps))
        at = np.searchsorted(np.unique(steps), steps)
        result = np.stack([states[at[:, i], i] for i in range(len(names))], axis=1)
        for name, bend in self.plan.bends:
            result[:, names.index(name)] = bend(world, result[:, names.index(name)])
        return result

    def _world(self, times: Array) -> Array:
        """Time in the world (T,) s when it is shown at `times` (T,) s."""
        return _through([clock for whose, clock in self.plan.clocks if whose is None], times)

    def frames(self, times: Sequence[float] | Array, spec: RenderSpec) -> Image:
        """Frames (T, H, W, 3) at times (T,) s."""
        times = np.asarray(times, dtype=np.float64)
        with np.errstate(invalid="ignore"):  # areas of bodies that flew far out of the view, which frames do not need
            frames = self._drawn_frames(times, spec)
        random = np.random.default_rng(self.seed)
        for treat in self.plan.treatments:
            late = times > 1e-9
            frames = frames.copy()
            frames[late] = treat(frames[late], times[late], random)
        return frames

    def _drawn_frames(self, times: Array, spec: RenderSpec) -> Image:
        """Frames (T, H, W, 3) before anything is done to the picture."""
        states = self.states(times)
        world = self._world(times)  # which holders are still there is a matter of that
        if not self.plan.appearances:
            return draw(self.scene, world, states, spec).frames
        frames = np.empty((len(times), spec.height, spec.width, 3), dtype=np.uint8)
        active = np.stack([appearance.active(world) for appearance in self.plan.appearances], axis=1)
        for row in np.unique(active, axis=0):
            at = np.flatnonzero((active == row).all(axis=1))
            appearances = [appearance for appearance, on in zip(self.plan.appearances, row, strict=True) if on]
            frames[at] = _drawn(self.scene, appearances, world[at], states[at], spec)
        return frames

    def effect(self, times: Array, lawful: Array) -> float:
        """Largest distance in diameters from the lawful states (T, N, 13) while either is in view; 0 if none moves."""
        candidates = candidate_events(self.scene)
        ours, most = self.states(times), 0.0
        for i in candidates.moving:
            a, b = (plane_from_world(self.scene.camera, states[:, i, :3]) for states in (ours, lawful))
            seen = candidates.in_view(i, a) | candidates.in_view(i, b)
            far = np.linalg.norm(a - b, axis=1)[seen]
            most = max(most, float(far.max(initial=0.0)) / candidates.diameter(i))
        return most

    def refuse_unseen(self, times: Array, lawful: Array) -> None:
        """Raise Inapplicable where only the motion is wrong and no body ever is LEAST_EFFECT off for it.

        It is Unseen where something moves at all, by NO_EFFECT or more.
        """
        if self.plan.appearances or self.plan.treatments:
            return
        effect = self.effect(times, lawful)
        if effect < LEAST_EFFECT:
            refused = violation_plan.Inapplicable if effect < NO_EFFECT else violation_plan.Unseen
            raise refused(f"it moves nothing in view by more than {effect:.2g} diameters")


def _through(clocks: Sequence[violation_plan.Clock], times: Array) -> Array:
    """Times (T,) s through clocks, one after the other."""
    for clock in clocks:
        times = clock(times)
    return times


def _drawn(
    scene: Scene, appearances: Sequence[violation_plan.Appearance], times: Array, states: Array, spec: RenderSpec
) -> Image:
    """Frames of a scene in which these appearances hold throughout."""
    bodies, columns, coloured = list(scene.bodies), [states], {}
    for appearance in appearances:
        i = scene.index(appearance.body)
        if appearance.hidden:
            bodies[i] = replace(bodies[i], drawn=False)
        if appearance.size != 1.0:
            bodies[i] = replace(bodies[i], size=tuple(appearance.size * x for x in bodies[i].size))
        if appearance.shape is not None:
            shape, measures = appearance.shape
            bodies[i] = replace(bodies[i], shape=shape, size=measures, flat=True)
            states[:, i, 3:7] = UPRIGHT
        states[:, i, 2] += appearance.lift
        if appearance.colour is not None:
            coloured[i] = appearance.colour
    for appearance in appearances:
        if appearance.shift is not None:
            i = scene.index(appearance.body)
            double = states[:, i : i + 1].copy()
            double[..., :3] += appearance.shift
            columns.append(double)
            if i in coloured:
                coloured[len(bodies)] = coloured[i]
            bodies.append(replace(bodies[i], name=f"{appearance.body} again"))
    every = np.concatenate(columns, axis=1)
    return draw(replace(scene, bodies=tuple(bodies), bins=()), times, every, spec, coloured).frames


def violate(scene: Scene, acts: Sequence[violation_plan.Act], key: str) -> Violated:
    """Plan violations of a scene, one after the other, each on its own random numbers.

    key: what the drawn times, bodies and directions depend on besides the scene, such as the id of a clip; severities
    of one violation share them. Raises Inapplicable with the reason where one of them finds nothing to violate.
    """
    candidates = candidate_events(scene)
    plans = (
        act.violation.plan(candidates, act.severity, np.random.default_rng(_seed(key, act.violation.name)))
        for act in acts
    )
    return Violated(scene, tuple(acts), tuple(plans), _seed(key, "picture"))


def _seed(key: str, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"physbench violation|{key}|{name}".encode()).digest()[:8], "big")


def find_acts(text: str) -> tuple[violation_plan.Act, ...]:
    """The acts of "teleport:0.25+hue:72"; without a severity a violation has its main one. Raises UsageError."""
    acts = []
    for part in text.split("+"):
        name, _, severity = part.partition(":")
        if name not in violation_plan.REGISTRY:
            raise UsageError(f"There is no violation '{name}'.{nearest(name, violation_plan.REGISTRY)}")
        violation = violation_plan.REGISTRY[name]
        try:
            number = float(severity) if severity else violation.main
        except ValueError:
            raise UsageError(f"'{part}': expected a number after the colon, as in {violation.acts[0].id}.") from None
        acts.append(violation.act(number))
    names = [act.violation.name for act in acts]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"'{text}': {twice[0]} is there twice. Give it once, at the severity that is meant.")
    return tuple(acts)
