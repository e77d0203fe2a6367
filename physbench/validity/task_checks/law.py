"""A law, asked directly: shapes, numbers, given states, velocities, candidates, times, constants.

Shadowing, predictability, diagnosis and free constants lean on these; they would blame a task or a model for what a law
gets wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from physbench.clips.clip import Clip
from physbench.laws.scene_law import FREE, Intervention, LawConstant, SceneLaw, blaming, comes_with_physbench, source_of
from physbench.shadowing.levels import TOLERANCES
from physbench.shadowing.shadow import scene_law_of
from physbench.support.arrays import Array
from physbench.support.errors import LawError
from physbench.validity.task_checks.finding import Finding, failed, fine
from physbench.world.camera import PLANE_AXES
from physbench.world.drawing import apparent_radius
from physbench.world.scene import PHYSICS_HZ


@dataclass(frozen=True)
class LawLimits:
    """By how much a law may miss what it promises.

    The worst of physbench's own on four clips of each task: .007 from the given state; candidates .11 apart (`bullet`,
    whose copies round apart in contacts; all others below 1e-9), .31 at other times or gone on with from halfway
    (`bullet`; all others below 1e-5); other velocities in 2.5 % of the moments (`bullet`; all others .4 %); constants
    that move something by .15.
    """

    seen: float = TOLERANCES[0]  # diameters, or of them in a second: no reading sees less
    contacts: float = TOLERANCES[-1]  # the same of a law with contacts: these make rounding errors large
    velocity: float = 0.02  # of a body's largest speed
    slow: float = 0.02  # m/s, besides
    moments: float = 0.1  # share of them in which a velocity may be another one: events within a difference


LIMITS = LawLimits()
STRIDE = 20  # physics steps between the times for which motion is asked, 1/60 s
SIGNATURE = (
    "Mend it: simulate(self, states, times, constants) takes (K, N, 4), (F,) and (K or 1, C), which it must not "
    "change, and returns states (K, F, N, 4): x, y, vx, vy."
)
Fault = tuple[str, str]  # what is wrong, and what to do


class LawProbe:
    """Motion of four candidates by the law of a clip's scene, from the states of ground truth.

    They begin with its first states, with those in the middle, and with the first ones again, at 0.8 of their
    velocities, and pushed by 1 m/s to the right and up, which lifts them off a floor. A law may give up all but the
    first, which then are NaN.
    """

    def __init__(self, clip: Clip, law: SceneLaw) -> None:
        self.law = law
        self.bodies = [clip.scene.bodies[i] for i in law.index]
        self.across = np.array([2 * apparent_radius(body, clip.scene.camera) for body in self.bodies])  # m
        first = int(np.argmax(clip.times >= law.since - 1e-9))
        axes = list(PLANE_AXES[clip.scene.camera.view])
        states = clip.states[[first, (first + len(clip.times)) // 2, first, first]][:, list(law.index)]
        self.given = np.concatenate([states[..., axes], states[..., [7 + axis for axis in axes]]], axis=-1)  # (4, N, 4)
        self.given[2, :, 2:] *= 0.8
        self.given[3, :, 2:] += 1.0
        begin, end = round(clip.times[first] * PHYSICS_HZ), round(clip.times[-1] * PHYSICS_HZ)
        self.steps = np.arange(begin, end, STRIDE, dtype=np.float64)

    def moved(
        self,
        candidates: Sequence[int],
        constants: Array | None = None,
        steps: Array | None = None,
        resumed: int | None = None,
    ) -> Array:
        """States (K, F, N, 4) of some candidates.

        Args:
            candidates: Which ones.
            constants: (K or 1, C) factors.
            steps: (F,) at which; None: all.
            resumed: A step at which the motion is taken up again from its states there.

        Raises LawError where a user's law raises.
        """
        with np.errstate(all="ignore"), blaming(type(self.law), "its simulator"):
            changes = []
            for n in range(len(self.bodies)):
                value = np.zeros((len(candidates), 6))
                self.law.set_states(value, n, FREE, self.given[list(candidates), n])
                changes.append(Intervention(int(self.steps[0]), n, "state", value))
            simulator = self.law.simulator(constants)
            if resumed is not None:
                simulator = simulator.followed_by(self.law.simulator(constants), resumed)
            run = simulator.run(changes, int(self.steps[-1]))
            position, velocity, _ = run.at(self.steps if steps is None else steps)
        return np.concatenate([position, velocity], axis=-1)

    @cached_property
    def motion(self) -> Array:
        """States (4, F, N, 4) of all candidates."""
        return self.moved(range(len(self.given)))

    @property
    def near(self) -> float:
        """Diameters by which motions that should be the same may differ."""
        return LIMITS.contacts if self.law.has_contacts else LIMITS.seen

    def apart(self, one: Array, other: Array) -> float:
        """Largest distance in diameters of motions (K, F, N, 4); infinite where only one of them is given up."""
        far = np.linalg.norm(one[..., :2] - other[..., :2], axis=-1) / self.across
        far[np.isnan(far)] = np.inf
        far[np.isnan(one[..., 0]) & np.isnan(other[..., 0])] = 0.0
        return float(far.max(initial=0.0))

    def not_finite(self) -> Fault | None:
        """Numbers that are none: infinite ones, and NaN from the first states of ground truth on."""
        wrong = np.asarray(np.isinf(self.motion).any(axis=-1))  # (4, F, N)
        wrong[0] |= np.isnan(self.motion[0]).any(axis=-1)
        if not wrong.any():
            return None
        k, f, n = np.argwhere(wrong)[0]
        gives = "infinite numbers" if np.isinf(self.motion[k, f, n]).any() else "NaN"
        where = f"at {self.steps[f] / PHYSICS_HZ:.2f} s" if f else "at the first time, which is given twice"
        where = "at all times" if wrong[k, :, n].all() else where
        begun = ("", " from its states in the middle", " at 0.8 of its velocity", " pushed by 1 m/s right and up")[k]
        return (
            f"gives {gives} for {self.bodies[n].name}{begun} {where}",
            "Look for a division by zero, or a root or arc of what is out of range. Only what is absent, or given up, "
            "is NaN.",
        )

    def not_given(self) -> Fault | None:
        """A motion that begins with another state than the given one."""
        first, given = self.motion[:3, 0], self.given[:3]  # rods and rails take up a push
        off = np.linalg.norm((first - given).reshape(*given.shape[:2], 2, 2), axis=-1)
        worst = np.nanmax(off / self.across[:, None], axis=(0, 1))  # of positions, of velocities
        if worst.max() <= LIMITS.seen:
            return None
        wrong = "position" if worst[0] > LIMITS.seen else "velocity"
        size = f"{worst[0]:.2f} diameters" if wrong == "position" else f"{worst[1]:.2f} diameters/s"
        return (
            f"begins with another {wrong} than the given one, {size} off",
            "Return at times[0] the states that simulate() was given: time runs from there, not from 0.",
        )

    def not_derived(self) -> Fault | None:
        """Velocities that are not the change of the positions.

        Central differences of fourth order, over 1/60 s. What these leave open is seen in the third and fourth
        differences: a kink makes them at least twice as large as its error. Velocities may be half a physics step old.
        """
        span, place = STRIDE / PHYSICS_HZ, self.motion[..., :2]
        a, b, c, d, e = (place[:, k : place.shape[1] - 4 + k] for k in range(5))  # (4, F - 4, N, 2)
        velocity = (a - 8 * b + 8 * d - e) / (12 * span)

        def size(each: Array) -> Array:
            return np.asarray(np.linalg.norm(each, axis=-1))

        rough = (size(e - 2 * d + 2 * b - a) + size(e - 4 * d + 6 * c - 4 * b + a)) / span
        step = size(d - 2 * c + b) / span**2 / PHYSICS_HZ
        off, speed = size(velocity - self.motion[:, 2:-2, :, 2:]), size(velocity)
        fastest = np.fmax.reduce(speed, axis=1)[:, None]
        wrong = off > rough / 2 + step + LIMITS.velocity * fastest + LIMITS.slow
        share = wrong.mean(axis=1)  # (4, N)
        if share.max() <= LIMITS.moments:
            return None
        k, n = np.unravel_index(share.argmax(), share.shape)
        f = int(np.argmax(np.where(wrong[k, :, n], off[k, :, n], 0.0)))
        return (
            f"gives velocities that are not the change of its positions: {self.bodies[n].name} has "
            f"{size(self.motion[k, f + 2, n, 2:]):.2f} m/s at {self.steps[f + 2] / PHYSICS_HZ:.2f} s and moves by "
            f"{speed[k, f, n]:.2f} m/s there, {off[k, f, n]:.2f} m/s apart",
            "Return the derivative of x, y as vx, vy: a motion is taken up again from any of its states.",
        )

    def not_alone(self) -> Fault | None:
        """Candidates that move otherwise in company, or by the constants of others."""
        everyone, count = range(len(self.given)), len(self.law.constants)
        alone = np.concatenate([self.moved([k]) for k in everyone])
        if (far := self.apart(self.motion, alone)) > self.near:
            return (
                f"moves candidates otherwise together than alone, {_diameters(far)} apart",
                "Let each row of states (K, N, 4) have its own motion: no mean, sum or order over K.",
            )
        rows = np.linspace(0.8, 1.2, len(self.given))[:, None] * np.ones(count)
        alone = np.concatenate([self.moved([k], rows[k : k + 1]) for k in everyone])
        if np.isinf(alone).any():
            return "gives infinite numbers at 0.8 to 1.2 times its constants", "Give up such candidates as NaN."
        if (far := self.apart(self.moved(everyone, rows), alone)) > self.near:
            return (
                f"moves candidates by the constants of others, {_diameters(far)} apart from each one's own",
                "Constants (K, C) hold a row for each candidate: use constants[:, 0], not constants[0, 0].",
            )
        return None

    def not_timed(self) -> Fault | None:
        """Motion that depends on which times are asked: all, some of them unevenly, or the last alone."""
        some = np.cumsum(np.arange(int(np.sqrt(2 * len(self.steps)))))  # 0, 1, 3, 6, 10 ...
        everyone = range(len(self.given))
        far = max(
            self.apart(self.motion[:, part], self.moved(everyone, steps=self.steps[part])) for part in (some, [-1])
        )
        if far <= self.near:
            return None
        return (
            f"moves bodies otherwise where other times are asked, {_diameters(far)} apart",
            "Give each of `times` its state by itself: they come in any spacing, and a law takes steps of its own.",
        )

    def not_resumed(self) -> Fault | None:
        """Motion that goes on otherwise from a state on its way."""
        middle = int(self.steps[len(self.steps) // 2])
        far = self.apart(self.motion, self.moved(range(len(self.given)), resumed=middle))
        if far <= self.near:
            return None
        return (
            f"moves bodies otherwise when it goes on from a state halfway, {_diameters(far)} apart",
            "What a state does next follows from it and the time in the scene, not from the time since times[0].",
        )

    def effect(self, constant: LawConstant) -> float:
        """Largest distance in diameters by which a constant moves anything, at the least and largest of its values."""
        everyone = range(len(self.given))
        ends = (min(constant.values), max(constant.values))
        rows = [np.array([[end if each is constant else 1.0 for each in self.law.constants]]) for end in ends]
        return max(self.apart(self.motion, self.moved(everyone, row)) for row in rows)


@np.errstate(all="ignore")  # of numbers that are infinite
def fault_of(probes: Sequence[LawProbe]) -> Fault | None:
    """The first thing that is wrong with the law of all probes, and what to do; None where nothing is."""
    asked = (
        LawProbe.not_finite,
        LawProbe.not_alone,
        LawProbe.not_timed,
        LawProbe.not_given,
        LawProbe.not_derived,
        LawProbe.not_resumed,
    )
    for ask in asked:
        if fault := next(filter(None, map(ask, probes)), None):
            return fault
    for constant in probes[0].law.constants:
        having = [probe for probe in probes if constant.id in probe.law.alterable]
        if having and max(probe.effect(constant) for probe in having) <= LIMITS.seen:
            values = f"{min(constant.values):g} and {max(constant.values):g}"
            return (
                f"has a constant '{constant.id}' without effect: {values} times it, bodies move as before",
                "Use its column of `constants` in simulate(), or leave it out: of `constants`, or of `alterable` in "
                "scenes in which it has no part.",
            )
    return None


def check_law(clips: Sequence[Clip]) -> Iterator[Finding]:
    """Laws of users keep the protocol of `SceneLaw` on the clips of a task."""
    try:
        laws = [(clip, law) for clip in clips if (law := scene_law_of(clip)) and not comes_with_physbench(type(law))]
        for kind in dict.fromkeys(type(law) for _, law in laws):
            fault = fault_of([LawProbe(clip, law) for clip, law in laws if type(law) is kind])
            name = f"the law {kind.name} ({source_of(kind).name})"
            if fault:
                yield failed("law", f"{name} {fault[0]}", fault[1])
            else:
                yield fine(
                    "law",
                    f"{name} keeps what is relied on: shapes, first states, velocities, candidates, times, constants",
                )
    except LawError as error:
        remedy = SIGNATURE if "simulate()" in str(error) else "Mend that line."
        yield failed("law", f"the{str(error).removeprefix('The').rstrip('.')}", remedy)


def _diameters(far: float) -> str:
    return f"{far:.2f} diameters" if np.isfinite(far) else "without end"
