"""The beginning of videos: the one conditioning image, or the first new frame?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import least_squares
from scipy.special import log_ndtr

from physbench.clips.conditioning import ANSWER
from physbench.support.arrays import Array, Mask
from physbench.support.errors import ModelError
from physbench.world.scene import PALETTE

# How far each object has moved from the conditioning image to the first frame of a video, beside its motion a frame.
#
# Objects are found by their hue: the mean over the pixels of an object, weighted by chroma, is its place. Blur, noise,
# brightness and a shift of all colours leave that place where it is.


@dataclass(frozen=True)
class ObjectLimits:
    """Objects of the image whose motion is measured in a video."""

    least_hue_share: float = 0.4  # of the object's in the image; weaker pixels are its blurred rim, or noise
    least_levels: float = 40.0  # levels of chroma of an object's pixels in the image
    least_pixels: int = 9  # of an object
    # relative; an object whose area changes by more is being hidden, or is no longer the same
    area_tolerance: float = 0.25
    window: float = 0.3  # s of the video in which motion is measured
    frames: tuple[int, int] = (5, 16)  # least and most of the frames in which it is measured
    median_stride: int = 7  # of the pixels, one in so many is enough for the cast of all
    place_noise_px: float = 0.02  # least standard deviation of a place: that of 8-bit frames without compression


OBJECT = ObjectLimits()


Chroma = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Step:
    """One object at the start of a video. Vectors are (x, y) in px of the scored frames."""

    lead: Array  # (2,) from its place in the image to that in the first frame
    step: Array  # (2,) in the frame before the first one, extrapolated from the frames after it
    step_error: float  # standard deviation of `step` along either axis for places with a noise of 1 px
    noise: float | None  # standard deviation of a place, from what a parabola leaves; None: too few frames
    place: Array  # (2,) in the image, from its centre


def frames_needed(rate: float) -> int:
    """Number of first frames in which motion is measured at a rate in frames/s."""
    least, most = OBJECT.frames
    return min(max(math.ceil(OBJECT.window * rate) + 1, least), most)


def measure_steps(
    image: NDArray[np.uint8], frames: Sequence[NDArray[np.uint8]], times: Sequence[float], inside: Mask
) -> list[Step]:
    """Measure every object that is seen whole in the image and in the first frames.

    The step before the first frame follows from a parabola through the places in all frames: with p(t) = a + b t +
    c t^2, p(0) - p(-1) = b - c. An object falls or turns little else within 0.3 s; where it bounces, the parabola
    leaves much, which counts as noise.

    Args:
        image: The conditioning image (H, W, 3).
        frames: The first frames of the video, resampled to the same size.
        times: Their times in frame intervals from the first one.
        inside: (H, W) what the video shows; beyond, frames hold no picture.
    """
    if len(frames) < 4:
        return []
    shown = [_chroma(frame, inside) for frame in (image, *frames)]
    strengths = [np.sqrt(np.einsum("hwc,hwc->hw", each, each)) for each in shown]
    centre = np.array([inside.shape[1] / 2, inside.shape[0] / 2])
    edge = ~ndimage.binary_erosion(inside, iterations=2, border_value=0)
    steps = []
    for direction in _HUES:
        path = _places(direction, shown, strengths, edge)
        if path is None:
            continue
        first, places = path[0], path[1:]
        seen = np.isfinite(places[:, 0])
        count = len(seen) if seen.all() else int(seen.argmin())
        if count >= 4:
            steps.append(_step(first, places[:count], np.asarray(times[:count], dtype=np.float64), centre))
    return steps


def _step(first: Array, places: Array, times: Array, centre: Array) -> Step:
    design = np.stack([np.ones_like(times), times, times**2], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ places  # (3, 2)
    backward = np.array([0.0, 1.0, -1.0])
    free = 2 * (len(times) - 3)
    rest = float(((places - design @ coefficients) ** 2).sum())
    return Step(
        lead=places[0] - first,
        step=backward @ coefficients,
        step_error=math.sqrt(float(backward @ inverse @ backward)),
        noise=math.sqrt(rest / free) if free >= 2 else None,
        place=first - centre,
    )


def _directions() -> Chroma:
    """Unit vectors (5, 3) of the palette in the plane perpendicular to grey."""
    palette = np.asarray(PALETTE, dtype=np.float64)
    chroma = palette - palette.mean(1, keepdims=True)
    return np.asarray(chroma / np.linalg.norm(chroma, axis=1, keepdims=True), dtype=np.float32)


_HUES = _directions()


def _chroma(frame: NDArray[np.uint8], inside: Mask) -> Chroma:
    """(H, W, 3) levels by which each channel differs from the mean of the three, less what most pixels have of it."""
    light = frame.astype(np.float32)
    mean = (light[..., 0] + light[..., 1] + light[..., 2]) * np.float32(1 / 3)
    chroma: Chroma = light - mean[..., None]
    chroma -= np.median(chroma[inside][:: OBJECT.median_stride], axis=0)
    chroma[~inside] = 0.0
    return chroma


def _places(direction: Chroma, chroma: Sequence[Chroma], strength: Sequence[Chroma], edge: Mask) -> Array | None:
    """Places (1 + T, 2) px of the object of one hue, NaN from where it is not seen whole; None: not in the image.

    Args:
        direction: Unit vector (3,) of the hue.
        chroma: The pictures (H, W, 3); the conditioning image comes first.
        strength: Their lengths (H, W).
        edge: (H, W) the rim of what is shown, beyond which an object may go on.
    """
    places = np.full((len(chroma), 2), np.nan)
    gate = area = 0.0
    cos_half_gap = math.cos(math.pi / len(PALETTE))  # of the angle from a hue to half way to the next one
    for number, (picture, length) in enumerate(zip(chroma, strength, strict=True)):
        along = picture @ direction
        of_hue = along > cos_half_gap * length
        if not number:
            sure = along[of_hue & (along > OBJECT.least_levels)]
            if len(sure) < OBJECT.least_pixels:
                return None
            gate = OBJECT.least_hue_share * float(np.median(sure))
        labels, count = ndimage.label(of_hue & (along > gate))
        if not count:
            break
        sizes = np.bincount(labels.ravel())[1:]
        body = labels == int(sizes.argmax()) + 1
        size = float(sizes.max())
        area = area or size
        if size < OBJECT.least_pixels or (body & edge).any() or abs(size / area - 1) > OBJECT.area_tolerance:
            break
        places[number] = _centre(np.where(body, along, 0.0))
    return places if np.isfinite(places[0, 0]) else None


def _centre(weight: NDArray[np.floating]) -> Array:
    """(x, y) px of the centre of weights (H, W)."""
    rows, columns = weight.sum(1, dtype=np.float64), weight.sum(0, dtype=np.float64)
    x, y = columns @ (np.arange(len(columns)) + 0.5), rows @ (np.arange(len(rows)) + 0.5)
    centre: Array = np.array([x, y]) / rows.sum()
    return centre


# Do videos begin with the one conditioning image, or with the first new frame? Decided from all of them together.
#
# The *lead* of a video is how far its first frame is ahead of the image, in units of its objects' motion a frame: 0
# where the first frame is the image, about 1 where it is the first new frame. Docs: docs/design/timing.md.

# What either reading expects of the mean lead. A model that draws the image anew may move things by a part of a step;
# one whose first new frame has moved by less than `slowest` cannot be told from that.


@dataclass(frozen=True)
class LeadLimits:
    """Leads that either reading expects, and what tells them apart."""

    redrawn: float = 0.05  # standard deviation of the lead behind videos that begin with the image
    slowest: float = 0.15  # of videos that begin with the first new frame
    fastest: float = 1.75  # of these: any in between is as likely
    new_spread: float = 0.3  # standard deviation between videos that begin with the first new frame, about 1
    decided: float = math.log(1000.0)  # log of the likelihood ratio from which a reading is taken
    clip_decided: float = math.log(20.0)  # the same for one clip, to see whether videos are of two kinds
    mixed_share: float = 0.05  # of the clips that tell; more of the other kind: the videos are not alike
    misfit: float = 4.0  # standard deviations between the mean lead and what the better reading expects
    telling_error: float = 0.35  # of a clip's lead; less sure ones say nothing
    loose: float = 10.0  # standard deviation of the common lead before anything is seen


LEAD = LeadLimits()


@dataclass(frozen=True)
class ShiftLimits:
    """Shift and stretch that all videos share, and first frames that are not those of a clip."""

    px: float = 0.5  # of the scored frames
    stretch: float = 0.004  # of the length of either axis
    passes: int = 8  # shift and error of leads depend on each other; the first error is that without a shift
    step_signal: float = 4.0  # standard deviations that a step must have for an object to tell
    least_sideways: int = 3  # numbers from which a deviation is estimated
    # A first frame that shows an object farther off than so many frames' motion and px is not the start of that clip.
    far_steps: float = 3.0
    far_px: float = 3.0


SHIFT = ShiftLimits()


SHARED = 4  # numbers of the shift and the stretch that all videos share

Reading = Literal["image", "new", "open", "mixed"]


@dataclass(frozen=True, eq=False)
class ClipLead:
    """Lead of the first frame of one video over the image, in steps."""

    lead: float
    own_error: float  # standard deviation, of what differs from video to video
    # What each independent part of the uncertainty of the shared shift does to the lead; the same for other videos.
    shared: Array = field(default_factory=lambda: np.zeros(SHARED))

    @property
    def error(self) -> float:
        """Standard deviation."""
        return math.hypot(self.own_error, *self.shared)

    @property
    def log_ratio(self) -> float:
        """Above 0 where the video begins with the image, below where with the first new frame.

        One video is compared with a lead of about 1: that any lead is as likely is said of a model, once.
        """
        return _log_normal(self.lead, math.hypot(self.error, LEAD.redrawn)) - _log_normal(
            self.lead - 1, math.hypot(self.error, LEAD.new_spread)
        )


@dataclass(frozen=True)
class StartDecision:
    """Decision from all videos together."""

    reading: Reading
    lead: float  # mean over the clips that tell, in steps; NaN where none does
    error: float  # its standard deviation
    log_ratio: float  # of the likelihoods, begins with the image over begins with the first new frame
    clips: int  # videos that were compared
    telling: Mapping[str, ClipLead]  # by name of the video
    unlike: tuple[str, ...]  # videos that read as the other kind than most
    seen: int = 0  # videos in which an object of the image was followed
    far: int = 0  # of these, those that show one far from where the image has it

    @property
    def begins_with_image(self) -> bool | None:
        """None where it is not decided."""
        return {"image": True, "new": False}.get(self.reading)


def log_ratio(lead: float, error: float) -> float:
    """Log of the likelihood of a measured lead if videos begin with the image, over that if with the first new frame.

    With the image: normal about 0, `LEAD.redrawn` wide. With the first new frame: any lead from `slowest` to
    `fastest` is as likely. Both are widened by `error`.
    """
    with_image = _log_normal(lead, math.hypot(error, LEAD.redrawn))
    high, low = (LEAD.fastest - lead) / error, (LEAD.slowest - lead) / error
    if low > 0:  # the difference of two numbers near 1 is that of their complements
        high, low = -low, -high
    upper, lower = float(log_ndtr(high)), float(log_ndtr(low))
    new = upper + math.log1p(-math.exp(min(lower - upper, -1e-12))) - math.log(LEAD.fastest - LEAD.slowest)
    return with_image - new


def _log_normal(off: float, width: float) -> float:
    """Log of the normal density at a distance from its mean."""
    return -0.5 * (off / width) ** 2 - math.log(width * math.sqrt(2 * math.pi))


def decide_start(steps: Mapping[str, Sequence[Step]]) -> StartDecision:
    """Decide from the objects of all videos. steps: By name of the video, what `measure_steps` found in it."""
    clips = clip_leads(steps)
    seen, far = sum(map(bool, steps.values())), sum(map(_begins_far_off, steps.values()))
    telling = {name: clip for name, clip in clips.items() if clip.error < LEAD.telling_error}
    image = [name for name, clip in telling.items() if clip.log_ratio > LEAD.clip_decided]
    new = [name for name, clip in telling.items() if clip.log_ratio < -LEAD.clip_decided]
    fewer = min(image, new, key=len)
    if not telling:
        return StartDecision("open", math.nan, math.nan, 0.0, len(steps), telling, (), seen, far)
    lead, error = mean_lead(list(telling.values()))
    ratio = log_ratio(lead, error)
    reading: Reading = "open"
    if len(fewer) > max(1, LEAD.mixed_share * (len(image) + len(new))):  # one video alone may be misread
        reading = "mixed"
    elif ratio > LEAD.decided and abs(lead) < LEAD.misfit * math.hypot(error, LEAD.redrawn):
        reading = "image"
    elif ratio < -LEAD.decided and lead < LEAD.fastest:  # beyond, frames were cut off: two are a lead of 2
        reading = "new"
    return StartDecision(reading, lead, error, ratio, len(steps), telling, tuple(fewer), seen, far)


def _begins_far_off(objects: Sequence[Step]) -> bool:
    """True if an object is seen much farther from its place in the image than it moves in a frame."""
    return any(
        float(np.linalg.norm(each.lead)) > SHIFT.far_px + SHIFT.far_steps * float(np.linalg.norm(each.step))
        for each in objects
    )


def mean_lead(clips: Sequence[ClipLead]) -> tuple[float, float]:
    """Mean lead and its standard deviation, with the variance between clips of DerSimonian and Laird (1986)."""
    leads = np.array([clip.lead for clip in clips])
    weights = 1 / np.array([clip.own_error for clip in clips]) ** 2
    mean = float(weights @ leads / weights.sum())
    spread = float(weights @ (leads - mean) ** 2) - (len(clips) - 1)
    between = max(spread / (weights.sum() - (weights**2).sum() / weights.sum()), 0.0) if len(clips) > 1 else 0.0
    weights = 1 / (1 / weights + between)
    shared = weights @ np.stack([clip.shared for clip in clips]) / weights.sum()
    return float(weights @ leads / weights.sum()), math.hypot(weights.sum() ** -0.5, *shared)


def clip_leads(steps: Mapping[str, Sequence[Step]]) -> dict[str, ClipLead]:
    """Lead of each video that has an object whose motion stands out of the noise.

    The lead of an object is `lead` on `step`, after a shift and a stretch that all videos share were taken off: a fit
    that is undone wrongly moves every object, moving or not.
    """
    listed = [(name, step) for name, several in steps.items() for step in several]
    if not listed:
        return {}
    own = np.array([math.nan if step.noise is None else step.noise for _, step in listed])
    common = float(np.nanmedian(own)) if np.isfinite(own).any() else math.inf
    noise = np.fmax(np.fmax(own, common), OBJECT.place_noise_px)
    lead = np.stack([step.lead for _, step in listed])
    step = np.stack([step.step for _, step in listed])
    place = np.stack([step.place for _, step in listed])
    length = np.linalg.norm(step, axis=1)
    signal = length > SHIFT.step_signal * noise * np.array([step.step_error for _, step in listed])
    known = step * signal[:, None]
    rest, error, root = lead, noise, np.zeros((SHARED, SHARED))
    for _ in range(SHIFT.passes):
        error = np.fmax(math.sqrt(2) * noise, _sideways_error(rest, known))  # the image's place and the first frame's
        shift, root = _shared_shift(lead, known, place, error)
        rest = lead - _shifted(shift, place)
    error = np.fmax(math.sqrt(2) * noise, _sideways_error(rest, known))
    leads_of_clips: dict[str, list[int]] = {}
    for number, (name, _) in enumerate(listed):
        if signal[number]:
            leads_of_clips.setdefault(name, []).append(number)
    leads = {}
    for name, mine in leads_of_clips.items():
        weighted = step[mine] / error[mine, None] ** 2
        information = float((weighted * step[mine]).sum())
        by_shift = np.concatenate([weighted.sum(0), (weighted * place[mine]).sum(0)]) / information
        value = float((weighted * rest[mine]).sum()) / information
        leads[name] = ClipLead(value, information**-0.5, by_shift @ root)
    return leads


def _sideways_error(rest: Array, step: Array) -> float:
    """Standard deviation of a lead in px that no motion explains: across the motion, and of objects without.

    What a codec does to a place can stay the same from frame to frame, and then a parabola leaves nothing of it.

    Args:
        rest: (N, 2) px leads without the shared shift.
        step: (N, 2) px, 0 for objects whose motion is not known.
    """
    length = np.linalg.norm(step, axis=1)
    moving = length > 0
    across = (rest[moving, 0] * step[moving, 1] - rest[moving, 1] * step[moving, 0]) / length[moving]
    sideways = np.concatenate([across, rest[~moving].ravel()])
    if len(sideways) < SHIFT.least_sideways:
        return 0.0
    fitted = math.sqrt(len(sideways) / max(len(sideways) - SHARED, 1))  # the shared shift took part of it
    # 1.4826: standard deviation of a normal distribution over its median absolute deviation
    return 1.4826 * fitted * float(np.median(np.abs(sideways)))


def _shifted(numbers: Array, place: Array) -> Array:
    """(N, 2) px by which a shift and a stretch about the centre (x, y, stretch x, stretch y) move places (N, 2)."""
    moved: Array = numbers[:2] + numbers[2:] * place
    return moved


def _shared_shift(lead: Array, step: Array, place: Array, error: Array) -> tuple[Array, Array]:
    """The shift and stretch that all objects share, beside a common lead. Robust: one object pulls little.

    Args:
        lead: (N, 2) px.
        step: (N, 2) px, 0 for objects whose motion is not known.
        place: (N, 2) px from the centre.
        error: (N,) px of the leads.

    Returns shift and stretch (4,), and a root (4, 4) of their covariance.
    """
    expected = np.array([SHIFT.px, SHIFT.px, SHIFT.stretch, SHIFT.stretch])

    def misfit(numbers: Array) -> Array:
        rest = (lead - numbers[SHARED] * step - _shifted(numbers[:SHARED], place)) / error[:, None]
        loose = numbers[SHARED:] / LEAD.loose
        return np.concatenate([rest.ravel(), numbers[:SHARED] / expected, loose])

    solution = least_squares(misfit, np.zeros(SHARED + 1), loss="soft_l1")
    jacobian = np.asarray(solution.jac, dtype=np.float64)
    root: Array = np.linalg.cholesky(np.linalg.inv(jacobian.T @ jacobian)[:SHARED, :SHARED])
    return solution.x[:SHARED], root


def describe_start(decision: StartDecision) -> str:
    """A note for the reader of a run. The decision must be made."""
    what, other, word = ("with the image", "with the first new frame", "false")
    if not decision.begins_with_image:
        what, other, word = other, what, "true"
    text = (
        f"Videos begin {what}: {_evidence(decision)}. If they begin {other}, say --model-arg includes_context={word}."
    )
    if decision.unlike:
        text += f" {_names(decision.unlike)} {'looks' if len(decision.unlike) == 1 else 'look'} as if it were so."
    return text


def refuse_open(decision: StartDecision) -> ModelError:
    """The error where it is not decided."""
    words = (
        "  --model-arg includes_context=true   the first frame is the image, time 0\n"
        "  --model-arg includes_context=false  the first frame is the first new one, one interval after it\n"
        f"or set `includes_context` in {ANSWER}. Scores differ between the two."
    )
    if decision.reading == "mixed":
        kinds = {True: [name for name in decision.telling if name not in decision.unlike], False: decision.unlike}
        fewer_with = decision.telling[decision.unlike[0]].log_ratio > 0
        with_image, without = (kinds[False], kinds[True]) if fewer_with else (kinds[True], kinds[False])
        sure = [name for name in with_image if decision.telling[name].log_ratio > 0]
        new = [name for name in without if decision.telling[name].log_ratio < 0]
        return ModelError(
            f"The videos are of two kinds: {len(sure)} begin with the conditioning image, such as {_names(sure)}, and "
            f"{len(new)} with the first new frame, such as {_names(new)}.\nMake them alike, or say how all are read:\n"
            f"{words}"
        )
    if other := _other_pictures(decision):
        return ModelError(f"{other}\nLook at them. To score them all the same, say how they begin:\n{words}")
    return ModelError(
        f"Do the videos begin with the conditioning image or with the first new frame? They do not tell: "
        f"{_evidence(decision)}.\nSay which:\n{words}"
    )


def _other_pictures(decision: StartDecision) -> str:
    """Fault of videos that do not begin near the image at all; "" where they do."""
    clips, unseen = decision.clips, decision.clips - decision.seen
    if 2 * unseen > clips:
        return (
            f"In {unseen} of {clips} videos no object of the conditioning image is seen in the first "
            f"{OBJECT.window:g} s: they do not go on from it. Are they noise, of other clips or in other colours?"
        )
    if 2 * decision.far > decision.seen:
        return (
            f"In {decision.far} of {clips} videos objects begin elsewhere than in the conditioning image, by much more "
            "than they move in a frame. Do they run backwards, are they of other clips, or was their start cut off?"
        )
    if decision.lead >= LEAD.fastest:
        return (
            f"The videos begin neither with the conditioning image nor one frame after it: {_evidence(decision)}. Were "
            "first frames cut off?"
        )
    return ""


def _evidence(decision: StartDecision) -> str:
    """ "their first frames are 0.01 +- 0.02 of a frame's motion ahead of it (12 of 14 videos tell)"."""
    if not decision.telling:
        return f"in none of the {decision.clips} compared does anything move enough in the first {OBJECT.window:g} s"
    return (
        f"their first frames are {decision.lead:.2f} +- {decision.error:.2f} of one frame's motion ahead of it "
        f"({len(decision.telling)} of {decision.clips} videos tell)"
    )


def _names(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:3])
