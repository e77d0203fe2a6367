"""Whether what objects touch can be seen. The future cannot be known near a wall as grey as the background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.checks.clip_protocol import moving, outside
from physbench.checks.finding import Finding, Shot, failed, fine
from physbench.clips.clip import Clip
from physbench.dynamics.motion_law import supports
from physbench.world.rendering import render
from physbench.world.scene import FLOOR_GREY, SCREEN_GREY, Scene

Image = NDArray[np.uint8]

LEAST_CONTRAST = 12.0  # grey levels of 255; a floor of FLOOR_GREY stands out from the background by 20
LEAST_VISIBLE_AREA = 4.0  # px, of a body that has to be seen at all
MARK_COLOUR = (200, 69, 27)  # where an unseen body is, in the picture of the failure


def check_seen(clip: Clip) -> Iterator[Finding]:
    """Every fixed or kinematic body without hue that objects touch stands out from what is around it at time 0.

    Where it is hidden then, the earlier frame counts in which most of it is visible. Contacts out of view do not count.
    """
    least, which = np.inf, ""
    for index, when in touched(clip).items():
        body = clip.scene.bodies[index]
        before = clip.visible_area[: clip.handover + 1, index]
        frame = clip.handover if before[-1] >= LEAST_VISIBLE_AREA else int(np.argmax(before))
        if not body.drawn or before[frame] < LEAST_VISIBLE_AREA:
            yield failed(
                "visible",
                f"{body.name} is touched at {when:.2f} s and is not seen at any time before 0",
                "Let it be drawn and in the window before 0, or let it not collide: a model that was not shown it "
                "cannot know.",
                clip,
                Shot(clip, (0.0, when)),
            )
            continue
        levels = contrast(clip, index, frame)
        least, which = min((least, which), (levels, body.name))
        if levels < LEAST_CONTRAST:
            time = float(clip.times[frame])
            yield failed(
                "visible",
                f"{body.name} is touched at {when:.2f} s and cannot be seen: at {time:.2f} s it differs from what is "
                f"behind it by {levels:.0f} of 255 grey levels, and {LEAST_CONTRAST:g} are needed",
                f"Its `grey` is {body.grey:g}. Against the background use at most 0.48 or at least 0.6: floors of the "
                f"built-in tasks have {FLOOR_GREY:g}, their walls and screens {SCREEN_GREY:g}.",
                clip,
                Shot(
                    clip,
                    (time, time),
                    None,
                    (clip.frames[frame], _marked(clip, index, frame)),
                    (f"{time:.2f} s", f"where {body.name} is"),
                ),
            )
    if np.isfinite(least):
        level = f"{which} stands out by {least:.0f} of 255 grey levels (least {LEAST_CONTRAST:g})"
        yield fine("visible", f"what objects touch is seen: {level}", 255 - least)


def touched(clip: Clip) -> dict[int, float]:
    """Bodies without hue that are no objects and that an object in view touches, with the time of it in s."""
    scene, found = clip.scene, dict[int, float]()
    objects = {body.name: i for i, body in moving(clip)}
    for contact in sorted(clip.contacts, key=lambda contact: contact.time):
        for name, other in ((contact.a, contact.b), (contact.b, contact.a)):
            if name in objects and other not in objects:
                k = int(np.argmin(np.abs(clip.times - contact.time)))
                if outside(clip, objects[name])[k] <= 1:  # at least half of it is in the window
                    found.setdefault(scene.index(other), contact.time)
    for i in objects.values():
        for j in supports(clip, i):
            found.setdefault(j, scene.bodies[i].release or 0.0)
    return {j: when for j, when in sorted(found.items()) if scene.bodies[j].hue is None}


def contrast(clip: Clip, index: int, frame: int) -> float:
    """Grey levels by which a body differs from the same frame without it: the median over its visible pixels."""
    without = _frame(clip, _changed(clip.scene, index, drawn=False), frame)
    apart = np.abs(clip.frames[frame].astype(np.int16) - without).max(axis=-1).ravel()
    seen = np.sort(apart)[::-1][: max(1, round(float(clip.visible_area[frame, index])))]
    return float(np.median(seen))


def _marked(clip: Clip, index: int, frame: int) -> Image:
    """The frame with the pixels of a body painted."""
    black, white = (_frame(clip, _changed(clip.scene, index, grey=grey), frame).max(axis=-1) for grey in (0.0, 1.0))
    picture: Image = clip.frames[frame].copy()
    picture[white.astype(np.int16) - black > 64] = MARK_COLOUR
    return picture


def _changed(scene: Scene, index: int, **changes: object) -> Scene:
    bodies = list(scene.bodies)
    bodies[index] = replace(bodies[index], **changes)  # type: ignore[arg-type]
    return replace(scene, bodies=tuple(bodies))


def _frame(clip: Clip, scene: Scene, frame: int) -> Image:
    at: Sequence[float] = clip.times[frame : frame + 1].tolist()
    picture: Image = render(scene, at, clip.states[frame : frame + 1], clip.spec).frames[0]
    return picture
