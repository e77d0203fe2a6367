"""Latents of clips and the physical quantities that read-outs are fitted to.

Latents are those of a model's own encoder, checked at the door, of its untrained copy, and pixels beside them.
Quantities come from the states and the constants of the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from physbench.clips.clip import Clip, Row
from physbench.models.protocol import Encoder
from physbench.result.bootstrap import FEWEST, MISS, TOO_FEW
from physbench.score.motion import MIN_RADIUS, MOMENTS_PER_FRAME
from physbench.scorers.diagnostics.orbits import FORCE, weak_weights
from physbench.support.arrays import Array
from physbench.support.errors import ModelError, PhysbenchError
from physbench.support.plugins import describe_error
from physbench.support.progress import Progress
from physbench.track.tracks import known_runs, upsampled
from physbench.validity.task_checks.physics import energy_of
from physbench.world.camera import plane_from_world
from physbench.world.drawing import apparent_radius
from physbench.world.scene import HUE_NAMES

VISIBLE = 0.5  # share of a body's area from which it is in sight
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
        # Below a share of 0.05 it is out of sight.
        seen, hidden = share[:, k] >= VISIBLE, (share[:, k] < 0.05) & inside[:, k]
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


@dataclass(frozen=True)
class LatentSample:
    """Latents that are kept of each clip."""

    features: int = 16_384  # of a moment; larger latents are averaged over space
    grids: tuple[int, ...] = (16, 8, 4, 2, 1)  # cells a side, the most that fit
    pixel_grid: int = 16  # cells a side of a frame for the read-out of pixels
    moments: int = 10  # moments of a clip, evenly spread from the hand-over on, at most
    rows: int = 3000  # moments of a family, which fewer of a clip keep to
    same: float = 1e-3  # of the latents' spread; what differs by more, and by more than rounding, is another latent


SAMPLE = LatentSample()


Features = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Samples:
    """Moments of clips and the quantities there. R moments.

    Attributes:
        rows: The clips.
        clip: (R,) index of the clip of a moment.
        times: (R,) s.
        read: (R,) whether read-outs are fitted to it and measured at it; the others serve the force law alone.
        targets: (R, A) by quantity and slot, NaN where it is not read.
        pulls: Bodies that another body draws.
    """

    rows: tuple[Row, ...]
    clip: NDArray[np.int64]
    times: Array
    read: NDArray[np.bool_]
    targets: Targets
    pulls: tuple[Pull, ...] = ()

    @property
    def families(self) -> tuple[str, ...]:
        """Families of the clips, sorted."""
        return tuple(sorted({row.family for row in self.rows}))

    def of(self, family: str, split: str) -> NDArray[np.bool_]:
        """Mask (R,) of the moments of a family and split."""
        chosen = np.array([row.family == family and row.split == split for row in self.rows], dtype=bool)
        return np.asarray(chosen[self.clip])


@dataclass(frozen=True, eq=False)
class Part:
    """The moments of one clip."""

    clip: int
    times: Array
    read: NDArray[np.bool_]
    targets: Targets


def pooled(latents: Tensor) -> Features:
    """Latents (T, D) or (T, C, h, w), or of any other shape (T, ...), as features (T, F) of at most `SAMPLE.features`.

    Grids are averaged to the most cells that fit. Other shapes are flattened.

    Raises ModelError: more than `SAMPLE.features` are left.
    """
    if latents.ndim == 4:
        channels, height, width = latents.shape[1:]
        fits = (side for side in SAMPLE.grids if channels * min(side, height) * min(side, width) <= SAMPLE.features)
        side = next(fits, 1)
        latents = adaptive_avg_pool2d(latents.float(), (min(side, height), min(side, width)))
    flat = latents.flatten(1)
    if flat.shape[1] > SAMPLE.features:
        raise ModelError(
            f"encode: {flat.shape[1]:,} numbers a moment are more than the {SAMPLE.features:,} that are read. Give a "
            "grid (B, T, channels, height, width), which is averaged, or average over tokens yourself."
        )
    return flat.float().cpu().numpy()


class Latents:
    """Asks an encoder, and refuses what cannot be read: other shapes, NaN, another size at another call."""

    def __init__(self, encoder: Encoder, name: str) -> None:
        self.encoder, self.name = encoder, name
        self._shape: tuple[int, ...] | None = None

    def __call__(self, frames: NDArray[np.uint8]) -> Tensor:
        """Latents (B, T', ...) of frames (B, T, H, W, 3)."""
        given = torch.from_numpy(np.ascontiguousarray(frames))
        try:
            with torch.no_grad():
                latents = self.encoder.encode(given)
        except PhysbenchError:
            raise
        except Exception as error:
            raise ModelError(f"{self.name}: encode failed: {describe_error(error)}.") from error
        batch, length = frames.shape[:2]
        if not isinstance(latents, Tensor):
            raise ModelError(f"{self.name}: encode returned a {type(latents).__name__}, expected a torch.Tensor.")
        if latents.ndim < 3 or len(latents) != batch or not 2 <= latents.shape[1] <= length:
            raise ModelError(
                f"{self.name}: encode returned {tuple(latents.shape)} for frames {tuple(frames.shape)}; expected "
                f"({batch}, T', ...) with 2 to {length} moments T'."
            )
        shape = tuple(latents.shape[2:])
        if self._shape not in (None, shape):
            raise ModelError(f"{self.name}: encode returned latents of {self._shape} first and of {shape} now.")
        self._shape = shape
        if not bool(torch.isfinite(latents).all()):
            raise ModelError(f"{self.name}: encode returned latents that are not finite.")
        return latents


def moments_of(length: int, latents: int) -> NDArray[np.int64]:
    """Frames (T',) at which T' latents of T frames stand: evenly apart, the last at the last frame.

    Right for encoders that leave out a remainder, fill it up, or have the first frame by itself (1 + (T - 1) / stride),
    up to a stride of 4.
    """
    stride = min(round(length / latents), (length - 1) // max(latents - 1, 1))
    return length - 1 - stride * np.arange(latents)[::-1]


def two_frames(frames: NDArray[np.uint8]) -> Tensor:
    """Frames (B, T, H, W, 3) averaged to `pixel_grid` cells a side, each with the one before it: (B, T, 1536)."""
    batch, length = frames.shape[:2]
    flat = torch.from_numpy(np.ascontiguousarray(frames)).flatten(0, 1).movedim(-1, 1).float() / 255
    small = adaptive_avg_pool2d(flat, (SAMPLE.pixel_grid, SAMPLE.pixel_grid)).view(
        batch, length, 3, SAMPLE.pixel_grid, SAMPLE.pixel_grid
    )
    return torch.cat([small, torch.cat([small[:, :1], small[:, :-1]], 1)], 2).flatten(2)


def looks_ahead(ask: Latents, frames: NDArray[np.uint8]) -> bool:
    """True if latents of the first half of frames (T, H, W, 3) change where later frames are left out."""
    whole = ask(frames[None])[0]
    at = moments_of(len(frames), len(whole))
    half = len(whole) // 2
    if half < 1:
        return False
    cut = ask(frames[None, : at[half - 1] + 1])[0]
    many = min(len(cut), half)
    away = (cut[-many:].float() - whole[half - many : half].float()).abs().max()
    rounding = 4 * torch.finfo(whole.dtype).eps if whole.dtype.is_floating_point else 0.0
    return bool(away > max(SAMPLE.same, rounding) * whole.float().std().clamp_min(1e-12))


def sampled(
    clips: Callable[[int], Clip], rows: Sequence[Row], encoders: Mapping[str, Callable[[NDArray[np.uint8]], Tensor]]
) -> tuple[Samples, dict[str, Features]]:
    """Encode clips.

    Args:
        clips: Gives a clip by the index of its row.
        encoders: Latents (B, T', ...) of frames (B, T, H, W, 3), by name; the first one says at which moments all of
            them are read.

    Returns the moments, and their features (R, F) by name of the encoder.
    """
    of_family = {family: sum(row.family == family for row in rows) for family in {row.family for row in rows}}
    features: dict[str, list[Features]] = {name: [] for name in encoders}
    parts: list[Part] = []
    pulls: list[Pull] = []
    with Progress("encode clips", len(rows)) as progress:
        for group in _batches(clips, len(rows)):
            frames = np.stack([clip.frames for _, clip in group])
            moments: NDArray[np.int64] | None = None
            pooled_by_name: dict[str, list[Features]] = {}
            for name, encode in encoders.items():
                latents = encode(frames)
                at = moments_of(frames.shape[1], latents.shape[1])
                moments = at if moments is None else moments
                column = {int(frame): number for number, frame in enumerate(at)}
                if missing := [frame for frame in moments if int(frame) not in column]:
                    raise ModelError(f"{name}: encode has no latents at frame {missing[0]}, where the model has.")
                chosen = [column[int(frame)] for frame in moments]
                pooled_by_name[name] = [pooled(each[chosen]) for each in latents]
            assert moments is not None
            for number, (index, clip) in enumerate(group):
                after = np.flatnonzero(clip.times[moments] > -1e-9)
                many = min(SAMPLE.moments, max(1, SAMPLE.rows // of_family[rows[index].family]))
                spread = after[np.unique(np.linspace(0, len(after) - 1, many).round().astype(int))]
                drawn = pulls_of(index, clip)
                kept = after if drawn else spread
                targets = clip_targets(clip, moments[kept])
                parts.append(Part(index, clip.times[moments[kept]], np.isin(kept, spread), targets))
                pulls += drawn
                for name in encoders:
                    features[name].append(pooled_by_name[name][number][kept])
            progress.advance(len(group))
    return joined(tuple(rows), parts, pulls), {name: np.concatenate(each) for name, each in features.items()}


def _batches(clips: Callable[[int], Clip], count: int) -> Iterator[list[tuple[int, Clip]]]:
    """Clips with their indices, a few of one length together."""
    loaded = ((index, clips(index)) for index in range(count))
    for _, group in groupby(loaded, lambda each: len(each[1].times)):
        batch: list[tuple[int, Clip]] = []
        for each in group:
            batch.append(each)
            if len(batch) == 4:  # clips at once
                yield batch
                batch = []
        if batch:
            yield batch


def joined(rows: tuple[Row, ...], parts: Sequence[Part], pulls: Sequence[Pull] = ()) -> Samples:
    """All moments, with NaN for the slots that a clip does not have."""
    sizes = {key: values.shape[1] for part in parts for key, values in part.targets.items()}
    targets = {
        key: np.concatenate([part.targets.get(key, np.full((len(part.times), size), np.nan)) for part in parts])
        for key, size in sizes.items()
    }
    clip = np.repeat([part.clip for part in parts], [len(part.times) for part in parts])
    times, read = (np.concatenate([getattr(part, name) for part in parts]) for name in ("times", "read"))
    return Samples(rows, clip, times, read, targets, tuple(pulls))
