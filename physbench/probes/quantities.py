"""Physical quantities of clips that read-outs are fitted to, from the states and the constants of the scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.result.bootstrap import FEWEST, MISS, TOO_FEW
from physbench.score.motion import MIN_RADIUS, MOMENTS_PER_FRAME
from physbench.scorers.diagnostics.orbits import FORCE, weak_weights
from physbench.support.arrays import Array
from physbench.track.tracks import known_runs, upsampled
from physbench.validity.task_checks.physics import energy_of
from physbench.world.camera import plane_from_world
from physbench.world.drawing import apparent_radius
from physbench.world.scene import HUE_NAMES

VISIBLE = 0.5  # share of a body's area from which it is in sight
HIDDEN = 0.05  # share below which it is out of sight
ONE = "the moving body"  # slot of a scene in which one coloured body moves; where several do, slots are hues


@dataclass(frozen=True)
class Quantity:
    """A quantity of the moving coloured bodies, or of the scene.

    Attributes:
        name: In tables.
        unit: SI unit; "" for a ratio.
        about: Its definition.
    """

    name: str
    unit: str
    about: str


QUANTITIES = (
    Quantity("position", "m", "centre in the plane of motion, both axes"),
    Quantity("velocity", "m/s", "of the centre in the plane of motion, both axes"),
    Quantity("size", "m", "radius of a circle with the area of the silhouette"),
    Quantity("mass", "kg", "density x volume, with one density for all bodies"),
    Quantity("restitution", "", "of the body's contacts"),
    Quantity("hidden position", "m", "position while less than 5 % of the body is in sight"),
    Quantity("energy", "J", "kinetic and potential, of all moving bodies"),
)
BODY = ("position", "velocity", "size", "mass")  # what read-outs of one family may read in another
Targets = dict[tuple[str, str], Array]  # by name of the quantity and slot: (F, 1 or 2), NaN where it is not read


def clip_targets(clip: Clip, frames: NDArray[np.int64]) -> Targets:
    """Values of all quantities at some frames.

    frames: Their indices (F,).

    Returns:
        (F, A) by quantity and slot. Hidden positions are those of bodies behind something, not of those that left the
        picture; all else is read while at least half of the body is in sight, energy while that holds for all bodies.
    """
    moving = [(k, i) for k, i in enumerate(clip.tracked) if clip.scene.bodies[i].role == "moving"]
    share = clip.visible_share()[frames]  # (F, K)
    place = clip.px_positions()[frames]  # (F, K, 2) px
    inside = np.asarray(((place >= 0) & (place <= (clip.spec.width, clip.spec.height))).all(-1))
    targets: Targets = {}
    for k, i in moving:
        body, states = clip.scene.bodies[i], clip.states[frames, i]
        slot = ONE if len(moving) == 1 else HUE_NAMES[int(body.hue or 0)]
        seen, hidden = share[:, k] >= VISIBLE, (share[:, k] < HIDDEN) & inside[:, k]
        position = plane_from_world(clip.scene.camera, states[:, :3])
        values = {
            "position": position,
            "velocity": plane_from_world(clip.scene.camera, states[:, 7:10]),
            "size": np.full((len(frames), 1), apparent_radius(body, clip.scene.camera)),
            "mass": np.full((len(frames), 1), body.mass),
            "restitution": np.full((len(frames), 1), body.restitution),
        }
        for name, each in values.items():
            targets[name, slot] = np.where(seen[:, None], each, np.nan)
        targets["hidden position", slot] = np.where(hidden[:, None], position, np.nan)
    has_energy = all(field.energy(clip.scene, clip.states[..., :3]) is not None for field in clip.scene.fields)
    if moving and has_energy:
        everything = share[:, [k for k, _ in moving]].min(-1) >= VISIBLE
        energy = energy_of(clip.scene, clip.states, clip.times)[frames]
        targets["energy", ""] = np.where(everything, energy, np.nan).reshape(-1, 1)
    return targets


# The law of force that probed orbits imply: acceleration against distance, without differentiating a position.
#
# As `laws/force-law` reads it off predicted orbits (weak form, Messenger and Bortz, arXiv:2005.04339; the question is
# that of Vafa et al., arXiv:2507.06952): for smooth weights w, integral(w'' x dt) = k integral(w r^p u dt), with u
# towards the source. One exponent p for all clips of a task, a strength k for each body; the interval resamples
# clips.

GRID = np.arange(FORCE.exponents[0], FORCE.exponents[1] + 0.01, 0.05)


@dataclass(frozen=True)
class Pull:
    """A body that one other body draws."""

    clip: int
    slot: str
    source: str | tuple[float, float]  # slot of the other body, or where it stands in the plane, m


@dataclass(frozen=True)
class ImpliedForce:
    """Exponent of the force of probed orbits, or the reason that none can be told."""

    exponent: float | None
    interval: tuple[float, float] | None
    share: float | None  # of the accelerations (squared) that the best exponent explains
    clips: int
    reason: str = ""


def pulls_of(index: int, clip: Clip) -> list[Pull]:
    """The bodies of a clip that exactly one other body draws."""
    scene = clip.scene
    moving = [i for i in clip.tracked if scene.bodies[i].role == "moving"]
    slots = {i: ONE if len(moving) == 1 else HUE_NAMES[int(scene.bodies[i].hue or 0)] for i in moving}
    pulls = []
    for i in moving:
        sources = [scene.index(field.source) for field in scene.central if field.source != scene.bodies[i].name]
        if len(sources) != 1 or len(scene.fields) != len(scene.central):
            continue
        other = sources[0]
        place = plane_from_world(scene.camera, clip.states[0, other, :3])
        pulls.append(Pull(index, slots[i], slots.get(other, (float(place[0]), float(place[1])))))
    return pulls


def implied_force(pulls: Sequence[Pull], path: Callable[[int, str], Array], step: float) -> ImpliedForce:
    """The exponent that paths imply.

    Args:
        pulls: Bodies of clips of one task.
        path: Positions (T, 2) m of a clip's slot at moments `step` s apart, NaN where none is known.
        step: s.
    """
    clips = sorted({pull.clip for pull in pulls})
    missed, total = np.zeros((len(clips), len(GRID))), np.zeros(len(clips))
    ranges: list[float] = []
    for pull in pulls:
        source = path(pull.clip, pull.source) if isinstance(pull.source, str) else np.array(pull.source)
        for errors, size, span in _runs(path(pull.clip, pull.slot) - source, step):
            missed[clips.index(pull.clip)] += errors
            total[clips.index(pull.clip)] += size
            ranges.append(span)
    known = total > 0
    missed, total = missed[known], total[known]
    if len(total) < FEWEST:
        return ImpliedForce(None, None, None, len(total), TOO_FEW)
    if np.median(ranges) < FORCE.min_range:
        return ImpliedForce(None, None, None, len(total), "the distance to the source varies too little")
    best = int(missed.sum(0).argmin())
    share = float(1 - missed.sum(0)[best] / total.sum())
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(total), np.full(len(total), 1 / len(total)), size=2000)
    low, high = np.quantile(GRID[(draws @ missed).argmin(1)], [MISS / 2, 1 - MISS / 2])
    interval = float(low), float(high)
    reason = ""
    if share < FORCE.min_share:
        reason = f"no force along the line to the source explains more than {max(share, 0):.0%} of the accelerations"
    elif best in (0, len(GRID) - 1):
        reason = f"the best exponent lies outside of {FORCE.exponents[0]:g} to {FORCE.exponents[1]:g}"
    elif high - low > 2.0:  # of an interval that still tells an exponent
        reason = f"exponents from {low:.1f} to {high:.1f} fit as well"
    return ImpliedForce(None if reason else float(GRID[best]), None if reason else interval, share, len(total), reason)


def _runs(away: Array, step: float) -> list[tuple[Array, float, float]]:
    """Of each unbroken run of a path (T, 2) m from the source: squared error of each exponent of GRID, squared size of
    the accelerations, range of ln r."""
    weight, curve = weak_weights(step, 1.6)  # s of a weight: read-outs are noisier than tracks
    runs = []
    for run in known_runs(away):
        windows = len(run) - (len(weight) - 1) // MOMENTS_PER_FRAME
        if windows < 1 or len(run) < 6:  # frames of a spline, at least
            continue
        arc = upsampled(away[run], MOMENTS_PER_FRAME) @ np.array([1, 1j])
        acceleration = _banded(curve, windows) @ arc
        radius = np.log(np.maximum(np.abs(arc), MIN_RADIUS))
        powers = np.exp((radius - radius.mean())[:, None] * GRID)
        along = _banded(weight, windows) @ (-arc[:, None] / np.exp(radius)[:, None] * powers)  # (windows, grid)
        size = float((np.abs(acceleration) ** 2).sum())
        strength = (along.conj() * acceleration[:, None]).real.sum(0) / (np.abs(along) ** 2).sum(0)
        errors = (np.abs(acceleration[:, None] - np.maximum(strength, 0) * along) ** 2).sum(0)
        low, high = np.percentile(radius, [5, 95])
        runs.append((errors, size, float(high - low)))
    return runs


def _banded(weight: Array, windows: int) -> Array:
    """Sums around each of so many frames as a matrix (windows, fine moments)."""
    matrix = np.zeros((windows, len(weight) + (windows - 1) * MOMENTS_PER_FRAME))
    for window in range(windows):
        matrix[window, window * MOMENTS_PER_FRAME :][: len(weight)] = weight
    return matrix
