"""Trust in a simulation: overlap, energy, dependence on the time step, where the law of the scene leaves it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from physbench.clips.clip import Clip
from physbench.result.diagnosis.worlds import find_changed_worlds
from physbench.score.predictability import Predictability
from physbench.shadowing import shadow_states, why_not
from physbench.shadowing.shadow import scene_law_of
from physbench.support.arrays import Array
from physbench.validity.task_checks.clip_protocol import moving
from physbench.validity.task_checks.finding import Finding, Shot, failed, fine, remark
from physbench.world.ballistic import accelerations
from physbench.world.bullet import initial_states, simulate
from physbench.world.geometry import gap, unrotate
from physbench.world.links import moments
from physbench.world.scene import PHYSICS_HZ, Body, Scene, Spring, Vector

# Where the law of a scene leaves ground truth, and what happens there.

AROUND = (0.2, 0.1)  # s before and after a break in which they do


@dataclass(frozen=True, eq=False)
class Misfit:
    """The first moment of a clip that the law of its scene does not follow."""

    clip: Clip
    quality: float
    lawful: bool  # all of it, at the smallest tolerance
    time: float  # s; NaN where no break is dated
    body: str
    touched: str  # "an edge of block", "the ball b", "" for nothing


def check_shadowing(clips: Sequence[Clip], context: int) -> Iterator[Finding]:
    """Exact states of ground truth obey the law that moves each scene, if one does."""
    reasons = [why_not(clip) for clip in clips]
    without = [clip for clip, reason in zip(clips, reasons, strict=True) if reason is not None]
    if without:
        yield remark(
            "shadowing",
            f"not valid in {len(without)} of {len(clips)} clips: {'; '.join(sorted(set(filter(None, reasons))))}",
            "Consistency is read by the outcomes that the scene declares."
            if without[0].scene.outcomes
            else "Consistency is not read there. Give the scene `outcomes`, bodies that a law follows, or a law.",
        )
        return
    laws = {law.name: law for clip in clips if (law := scene_law_of(clip)) is not None}
    misfits = [misfit(clip, context) for clip in clips]
    mean, worst = float(np.mean([each.quality for each in misfits])), min(misfits, key=lambda each: each.quality)
    names = " or ".join(sorted(laws))
    find_changed_worlds()  # raises where a constant of the user's law has a name that is taken
    if any(law.last_resort for law in laws.values()):
        yield _last_resort(misfits, names)
        return
    least_fit = 0.95  # quality of exact states of ground truth, mean over clips
    if mean >= least_fit:
        yield fine("shadowing", f"valid: ground truth follows the law {names}, which moves this scene")
        return
    yield failed(
        "shadowing",
        f"the law {names} follows {mean:.2f} of ground truth (at least {least_fit:g}) and {_leaves(worst)}",
        "A body that turns about an edge has no closed form: let it meet faces alone, or fly over the edge without "
        "touching it. Or declare `outcomes`."
        if "edge" in worst.touched
        else "Let simulate() of the law move bodies as the forces of the scene do."
        if worst.clip.scene.own_fields
        else "Leave out what has no closed form, such as several bodies that touch at once, or declare `outcomes`.",
        worst.clip,
        _shot(worst),
    )


def _last_resort(misfits: Sequence[Misfit], names: str) -> Finding:
    """The finding of a law that lets a task in only if its ground truth is lawful, clip by clip."""
    lawful = sum(each.lawful for each in misfits)
    summary = f"{lawful} of {len(misfits)} clips of ground truth are lawful under the law {names}"
    least_lawful = 0.99  # of clips whose ground truth is lawful without a break, under a law of last resort
    if lawful >= least_lawful * len(misfits):
        return fine("shadowing", f"valid: {summary}, which simulates it again (asked: {least_lawful:.0%})")
    worst = min((each for each in misfits if not each.lawful), key=lambda each: each.quality)
    return failed(
        "shadowing",
        f"{summary} (asked: {least_lawful:.0%}), which simulates it again and {_leaves(worst)}",
        "Its search does not find every lawful motion through many contacts or about edges: models would be blamed. "
        "Declare `outcomes`, as `stack` does, or bring a law.",
        worst.clip,
        _shot(worst),
    )


def _leaves(worst: Misfit) -> str:
    if not worst.body:
        return "breaks nowhere"
    return f"leaves it at {worst.time:.2f} s, where {worst.body} touches {worst.touched or 'nothing'}"


def _shot(worst: Misfit) -> Shot:
    moment = 0.0 if np.isnan(worst.time) else worst.time
    return Shot(worst.clip, (max(moment - 0.2, 0.0), moment, moment + 0.2), worst.body or None)


def misfit(clip: Clip, context: int) -> Misfit:
    """Misfit of the law of a clip's scene, which has one, to its exact states, and when it leaves them first.

    The search must find ground truth as it must find the lawful motion of a model, which is another one: without the
    scene's own motion to begin with.

    context: frames from which it starts.
    """
    window = clip.window(context)
    shadowing = shadow_states(clip, clip.times[window], clip.states[window], own_motion=False)
    assert shadowing is not None, "a law moves the scene"
    breaks = shadowing.levels[0].breaks
    if not breaks:
        return Misfit(clip, shadowing.quality, shadowing.levels[0].explained == 1.0, float("nan"), "", "")
    first = min(breaks, key=lambda each: each.time)
    body = clip.scene.bodies[int(shadowing.problem.law.index[first.body])]
    return Misfit(clip, shadowing.quality, False, first.time, body.name, _touched(clip, body, first.time))


def _touched(clip: Clip, body: Body, when: float) -> str:
    """Body or edge nearest to a body around a moment: "an edge of block", "floor"; "" where nothing is near."""
    frames = np.flatnonzero((clip.times >= when - AROUND[0]) & (clip.times <= when + AROUND[1]))
    # Bodies touch at a break within 0.1 radii or half extents
    number, reach = clip.scene.bodies.index(body), 0.1 * max(body.size)
    nearest, name = reach, ""
    for other, each in enumerate(clip.scene.bodies):
        if each is body or not each.collides or (each.until is not None and each.until < when):
            continue
        places, theirs = clip.states[frames, number, :3], clip.states[frames, other, :3]
        apart = np.abs(gap(body, places, each, theirs))
        if apart.min() < nearest:
            nearest, name = float(apart.min()), each.name
            if each.shape == "box":
                local = np.abs(unrotate(each.orientation, places[apart.argmin()] - theirs[apart.argmin()]))
                if np.count_nonzero(local > np.array(each.size) + 1e-6) >= 2:
                    name = f"an edge of {each.name}"
    return name


@dataclass(frozen=True)
class EnergyLimits:
    """Ground truth that keeps the laws."""

    max_overlap: float = 0.02  # m
    max_gain: float = 0.005  # of the largest energy
    reported_gain: float = 1e-4  # of it; the report gives no number for less
    max_step_effect: float = 0.1  # diameters by which half the step may move a body before the predictability time


TRUTH = EnergyLimits()


FASTEST = 30.0  # m/s, of any body


def check_sane(clip: Clip) -> Iterator[Finding]:
    """Nothing is infinitely far or absurdly fast."""
    for i, body in moving(clip):
        state = clip.states[:, i]
        speed = np.linalg.norm(state[:, 7:10], axis=-1)
        wild = ~np.isfinite(state).all(axis=-1) | (speed > FASTEST)
        if wild.any():
            when = float(clip.times[np.argmax(wild)])
            yield failed(
                "explosion",
                f"{body.name} reaches {speed[np.argmax(wild)]:.0f} m/s at {when:.2f} s",
                springs_remedy(clip.scene)
                or "Bodies that start inside each other do that, restitution above 1, or a body amid a force.",
                clip,
                Shot(
                    clip,
                    (max(when - 0.3, float(clip.times[0])), when, min(when + 0.3, float(clip.times[-1]))),
                    body.name,
                ),
            )


def check_overlap(clip: Clip) -> Iterator[Finding]:
    """Bodies that collide do not overlap, from the first frame on."""
    deepest = 0.0
    for (i, a), (j, b) in combinations(enumerate(clip.scene.bodies), 2):
        if "moving" not in (a.role, b.role) or not (a.collides and b.collides):
            continue
        there = np.ones(len(clip.times), dtype=bool)
        for body in (a, b):
            there &= clip.times < np.inf if body.until is None else clip.times < body.until - 1e-9
        depth = np.where(there, -_gaps(a, clip.states[:, i], b, clip.states[:, j]), 0.0)
        deepest = max(deepest, float(depth.max()))
        if depth.max() > TRUTH.max_overlap:
            first = int(np.argmax(depth > TRUTH.max_overlap))
            when = float(clip.times[first])
            remedy = "Place them apart: the solver throws out what starts inside another body."
            if first:  # what presses them together is stronger than what the solver holds apart
                remedy = "They begin apart: make what presses or throws them together weaker, or slower."
            yield failed(
                "overlap",
                f"{a.name} and {b.name} are {depth.max():.2f} m inside each other (first at {when:.2f} s)",
                remedy,
                clip,
                Shot(clip, (when, min(when + 0.2, float(clip.times[-1])), 0.0)),
            )
    yield fine("overlap", f"bodies are at most {1000 * deepest:.1f} mm inside each other", deepest)


def check_energy(clip: Clip) -> Iterator[Finding]:
    """Mechanical energy never rises, except by a push; that of bodies on a belt as seen from the belt."""
    pushers = [body for body in clip.scene.bodies if body.role == "kinematic" and body.path and body.collides]
    pushes = [action.time for action in clip.scene.impulses]
    # At its release a body has its new velocity already; at a push it still has the old one.
    releases = [body.release - 1e-6 for body in clip.scene.bodies if body.release is not None]
    unknown_energy = any(field.energy(clip.scene, clip.states[..., :3]) is None for field in clip.scene.fields)
    if pushers or unknown_energy or len(_surfaces(clip.scene)) > 1:
        return
    edges = [float(clip.times[0]), *sorted({*pushes, *releases}), float(clip.times[-1])]
    energy = energy_of(clip.scene, clip.states, clip.times)
    scale = float(np.ptp(energy) + np.abs(energy).max())
    worst = 0.0
    for first, end in pairwise(edges):
        part = (clip.times > first + 1e-9) & (clip.times <= end + 1e-9)
        if part.sum() < 2 or scale == 0:
            continue
        gains = energy[part] - np.minimum.accumulate(energy[part])
        worst = max(worst, float(gains.max()) / scale)
        if gains.max() > TRUTH.max_gain * scale:
            when = float(clip.times[part][np.argmax(gains > TRUTH.max_gain * scale)])
            yield failed(
                "energy",
                f"the bodies gain {gains.max():,.1f} J of about {scale:,.0f} J from nowhere (first at {when:.2f} s)",
                _where_energy_may_come_from(clip.scene),
                clip,
                Shot(clip, (max(when - 0.3, -2.0), when, min(when + 0.3, float(clip.times[-1])))),
            )
            return
    size = (
        f"by at most {100 * worst:.2g} %"
        if worst >= TRUTH.reported_gain
        else f"by less than {100 * TRUTH.reported_gain:g} %"
    )
    yield fine("energy", f"energy rises {size} of its size (allowed: {100 * TRUTH.max_gain:g} %)", worst)


def _surfaces(scene: Scene) -> set[Vector]:
    """Velocities m/s of the surfaces that bodies may touch, seen from one of which nothing gains energy."""
    return {body.surface for body in scene.bodies if body.role != "moving" and body.collides}


def _where_energy_may_come_from(scene: Scene) -> str:
    """Remedy where energy is gained: restitutions by their names if they can be it."""
    lively = [
        f"{a.name} {a.restitution:g} x {b.name} {b.restitution:g}"
        for a, b in combinations(scene.bodies, 2)
        if a.collides and b.collides and "moving" in (a.role, b.role) and a.restitution * b.restitution > 1
    ]
    if lively:
        return f"A bounce has the product of two restitutions, here above 1: {', '.join(lively[:3])}. Lower them."
    return springs_remedy(scene) or (
        "Bodies that begin inside each other (restitution throws them out), a body through the centre of a force, or a "
        "force that is not declared as a field of the scene do that."
    )


LEAST_STEPS = 30  # in a period of springs: with as many the energy of a swing stays within what is allowed


def springs_remedy(scene: Scene) -> str:
    """Remedies where springs swing too fast for the simulator's step, or begin too far from their lengths.

    A line for all that are too stiff and one for each that is stretched; "" for none.
    """
    springs = [each for each in scene.fields if isinstance(each, Spring)]
    softer = _softened(scene, springs)
    lines, stiff = [], [(each, k) for each, k in zip(springs, softer, strict=True) if k < each.stiffness]
    if stiff:
        steps = 2 * np.pi * PHYSICS_HZ / _fastest(scene, springs, np.array([each.stiffness for each in springs]))
        wanted = ", ".join(
            f"that from {each.anchor} to {each.body} softer than {_rounded_down(k):g} N/m (now {each.stiffness:.3g})"
            for each, k in stiff
        )
        lines.append(
            f"Springs have a period of {steps:.1f} steps of 1/{PHYSICS_HZ} s. Make {wanted}, for a period of "
            f"{LEAST_STEPS} steps, or their bodies heavier."
        )
    for spring, stiffness in zip(springs, softer, strict=True):
        ends = [scene.bodies[scene.index(name)].position for name in spring.sources]
        stretch = math.dist(*ends) - spring.length
        if (speed := abs(stretch) * _fastest(scene, [spring], np.array([stiffness]))) > FASTEST:
            lines.append(
                f"The spring from {spring.anchor} to {spring.body} begins {abs(stretch):.2f} m "
                f"{'longer' if stretch > 0 else 'shorter'} than it is at rest, good for {speed:.0f} m/s. Place its "
                f"bodies nearer to {spring.length:g} m apart, or make it softer."
            )
    return "\n".join(lines)


def _rounded_down(value: float) -> float:
    """A positive number of two digits that is not larger."""
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.floor(value / digit) * digit


def _softened(scene: Scene, springs: Sequence[Spring]) -> Array:
    """Stiffnesses (S,) N/m with which no swing of all springs together is too fast: the largest ones are lowered."""
    stiffness = np.array([spring.stiffness for spring in springs])
    limit = 2 * np.pi * PHYSICS_HZ / LEAST_STEPS  # rad/s
    if not springs or _fastest(scene, springs, stiffness) <= limit:
        return stiffness
    alone = np.array([_fastest(scene, [spring], np.ones(1)) for spring in springs])  # rad/s of each, of 1 N/m

    def lowered(rate: float) -> Array:
        return np.asarray(np.minimum(stiffness, (rate / np.maximum(alone, 1e-12)) ** 2))

    most, least = float((alone * np.sqrt(stiffness)).max()), 0.0  # rad/s that a spring may have alone
    for _ in range(40):
        middle = (least + most) / 2
        least, most = (middle, most) if _fastest(scene, springs, lowered(middle)) <= limit else (least, middle)
    return lowered(least)


def _fastest(scene: Scene, springs: Sequence[Spring], stiffness: Array) -> float:
    """Rate in rad/s of the fastest swing of bodies on springs of a stiffness (S,) N/m that lie in one line."""
    matrix = np.zeros((len(scene.bodies), len(scene.bodies)))
    inverse = np.array([1 / body.mass if body.role == "moving" else 0.0 for body in scene.bodies])
    for spring, k in zip(springs, stiffness, strict=True):
        ends = [scene.index(name) for name in spring.sources]
        matrix[np.ix_(ends, ends)] += k * np.array([[1.0, -1.0], [-1.0, 1.0]])
    root = np.sqrt(inverse)
    return float(np.sqrt(max(np.linalg.eigvalsh(root[:, None] * matrix * root).max(), 0.0)))


def energy_of(scene: Scene, states: Array, times: Array) -> Array:
    """Mechanical energy in J of the moving bodies, (T,), from states (T, N, 13), as seen from a belt if there is one.

    times: (T,) s, at which forces act that begin or end with a body.

    The integrator's velocity is that of half a step ago: it is brought forward by the known accelerations.
    """
    gravity = np.array(scene.gravity)
    potentials = [field.energy(scene, states[..., :3]) for field in scene.fields]
    total = np.zeros(len(states)) + np.sum([each for each in potentials if each is not None], axis=0)
    pulls = [accelerations(scene, scene.fields, *moment) for moment in zip(states, times.tolist(), strict=True)]
    acceleration = gravity + np.array(pulls)
    frame = np.array(max(_surfaces(scene), key=any, default=(0.0, 0.0, 0.0)))  # m/s
    for i, body in enumerate(scene.bodies):
        if body.role != "moving":
            continue
        position, velocity = states[:, i, :3], states[:, i, 7:10]
        moves = np.linalg.norm(velocity, axis=-1, keepdims=True) > 1e-3
        velocity = velocity + moves * acceleration[:, i] / (2 * PHYSICS_HZ)
        kinetic = ((velocity - frame) ** 2).sum(-1) / 2
        total += body.mass * (kinetic - position @ gravity) + _spin_energy(body, states[:, i])
    return np.asarray(total)


def _spin_energy(body: Body, states: Array) -> Array:
    turned = Rotation.from_quat(states[:, 3:7]).inv().apply(states[:, 10:])
    return np.asarray((moments(body) * turned**2).sum(-1) / 2)


def check_step(clip: Clip, known: Predictability) -> Iterator[Finding]:
    """Half the step moves no body by a tenth of its diameter before the predictability time, as long as the context
    leaves its place open by less than that."""
    fine_states = simulate(_same_start(clip.scene), clip.times, refine=2).states
    keep = (clip.times > 0) & (clip.times <= known.seconds)
    moved = np.linalg.norm(fine_states[..., :3] - clip.states[..., :3], axis=-1)[:, list(clip.tracked)]
    apart = np.where(keep[:, None], moved / np.maximum(clip.diameters(), 1e-9), 0.0)
    wide = np.zeros_like(apart)
    wide[clip.handover + 1 :][: len(known.spread)] = known.spread
    apart[wide > TRUTH.max_step_effect] = 0.0  # what nobody can know depends on more than the step
    worst = float(apart.max())
    if worst <= TRUTH.max_step_effect:
        yield fine(
            "step", f"half the step moves a body by {worst:.3f} diameters (at most {TRUTH.max_step_effect:g})", worst
        )
        return
    when = float(clip.times[np.argmax(apart.max(axis=1) > TRUTH.max_step_effect)])
    name = clip.tracked_bodies[int(apart.max(axis=0).argmax())].name
    yield failed(
        "step",
        f"half the step moves {name} by {worst:.2f} diameters, from {when:.2f} s on by more than "
        f"{TRUTH.max_step_effect:g}",
        "A result that depends on the time step cannot be predicted. Use weaker forces near their centre, fewer "
        "contacts on edges or slower bodies.",
        clip,
        Shot(clip, (0.0, when, float(clip.times[keep][-1])), name),
    )


def _same_start(scene: Scene) -> Scene:
    """The scene whose bodies start, with half the step, on the same paths in fields.

    A velocity is that of half a step ago. With half the step that is later by a quarter of a step, in which a body near
    the centre gains speed; the same number would be another orbit.
    """
    shift = accelerations(scene, scene.fields, initial_states(scene), 0.0) / (4 * PHYSICS_HZ)
    bodies = []
    for body, change in zip(scene.bodies, shift, strict=True):
        velocity = np.array(body.velocity) + (change if body.role == "moving" else 0.0)
        bodies.append(replace(body, velocity=(float(velocity[0]), float(velocity[1]), float(velocity[2]))))
    return replace(scene, bodies=tuple(bodies))


def _gaps(a: Body, sa: Array, b: Body, sb: Array) -> Array:
    """Distance of surfaces, (T,), of bodies whose states are (T, 13), as they are turned in each frame."""

    def turns(body: Body, states: Array) -> bool:
        return body.shape in ("box", "cylinder") and bool(np.ptp(states[:, 3:7], axis=0).max() > 1e-6)

    if not turns(a, sa) and not turns(b, sb):
        return gap(_as(a, sa[0]), sa[:, :3], _as(b, sb[0]), sb[:, :3])
    return np.array([float(gap(_as(a, x), x[:3], _as(b, y), y[:3])) for x, y in zip(sa, sb, strict=True)])


def _as(body: Body, state: Array) -> Body:
    x, y, z, w = (float(value) for value in state[3:7])
    return replace(body, orientation=(x, y, z, w))
