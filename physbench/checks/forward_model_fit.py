"""Where the forward model leaves ground truth, and what happens there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from physbench.checks.finding import Finding, Shot, failed, fine, remark
from physbench.clips.clip import Clip
from physbench.shadowing import Shadowing, shadow_states, why_not
from physbench.world.geometry import gap, unrotate
from physbench.world.scene import Body

LEAST_FIT = 0.95  # quality of exact states of ground truth, mean over clips
NEAR = 0.1  # radii or half extents within which bodies touch at a break
AROUND = (0.2, 0.1)  # s before and after a break in which they do


@dataclass(frozen=True, eq=False)
class Misfit:
    """The first moment of a clip that its forward model does not follow."""

    clip: Clip
    quality: float
    time: float  # s; NaN where no break is dated
    body: str
    touched: str  # "an edge of block", "the ball b", "" for nothing


def check_shadowing(clips: Sequence[Clip], context: int) -> Iterator[Finding]:
    """Whether each scene has a forward model, and whether exact states of ground truth obey it."""
    reasons = [why_not(clip) for clip in clips]
    without = [clip for clip, reason in zip(clips, reasons, strict=True) if reason is not None]
    if without:
        yield remark(
            "shadowing",
            f"not valid in {len(without)} of {len(clips)} clips: {'; '.join(sorted(set(filter(None, reasons))))}",
            "Consistency is read by the outcomes that the scene declares."
            if without[0].scene.outcomes
            else "Consistency is not read there. Give the scene `outcomes`, or bodies that a forward model follows.",
        )
        return
    found = [misfit(clip, context) for clip in clips]
    mean, worst = float(np.mean([each.quality for each in found])), min(found, key=lambda each: each.quality)
    if mean >= LEAST_FIT:
        yield fine("shadowing", "valid: the scene has a forward model, which ground truth follows")
        return
    leaves = f"leaves it at {worst.time:.2f} s, where {worst.body} touches {worst.touched or 'nothing'}"
    leaves = leaves if worst.body else "breaks nowhere"
    moment = 0.0 if np.isnan(worst.time) else worst.time
    yield failed(
        "shadowing",
        f"the forward model follows {mean:.2f} of ground truth (at least {LEAST_FIT:g}) and {leaves}",
        "A body that turns about an edge has no closed form: let it meet faces alone, or fly over the edge without "
        "touching it. Or declare `outcomes`."
        if "edge" in worst.touched
        else "Leave out what has no closed form, such as several bodies that touch at once, or declare `outcomes`.",
        worst.clip,
        Shot(worst.clip, (max(moment - 0.2, 0.0), moment, moment + 0.2), worst.body or None),
    )


def misfit(clip: Clip, context: int) -> Misfit:
    """How well the forward model follows exact states of a clip that has one, and where it leaves them first.

    context: frames from which it starts.
    """
    window = clip.window(context)
    found = shadow_states(clip, clip.times[window], clip.states[window])
    assert found is not None, "the clip has a forward model"
    breaks = found.levels[0].breaks
    if not breaks:
        return Misfit(clip, found.quality, float("nan"), "", "")
    first = min(breaks, key=lambda each: each.time)
    body = _body(clip, found, first.disc)
    return Misfit(clip, found.quality, first.time, body.name, _touched(clip, body, first.time))


def _body(clip: Clip, found: Shadowing, disc: int) -> Body:
    return clip.scene.bodies[int(found.problem.forward.index[disc])]


def _touched(clip: Clip, body: Body, when: float) -> str:
    """What a body is nearest to around a moment: "an edge of block", "floor"; "" where nothing is near."""
    frames = np.flatnonzero((clip.times >= when - AROUND[0]) & (clip.times <= when + AROUND[1]))
    number, reach = clip.scene.bodies.index(body), NEAR * max(body.size)
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
