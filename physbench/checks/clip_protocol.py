"""The protocol of a clip: motion seen before the hand-over, the time of the deciding event, what stays in view."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from physbench.checks.finding import Finding, Shot, failed
from physbench.clips.clip import Clip
from physbench.clips.task_helpers import EVENT_FROM, EVENT_UNTIL, RELEASE
from physbench.dynamics.motion_law import supports
from physbench.tracks.visibility import HIDDEN_SHARE
from physbench.world.camera import plane_from_world
from physbench.world.scene import HISTORY, WINDOW, Body
from physbench.world.silhouettes import apparent_radius

Array = NDArray[np.float64]

RELEASES = RELEASE.train  # s
LEAST_VIEW_TIME = 0.4  # s of motion before the hand-over
LEAST_TRAVEL = 0.25  # m, of the body that moves most before it
TURNING_SPEED = 0.05  # m/s on both sides of a turning point
EVENT_SLACK = 0.02  # s, less than a frame


def moving(clip: Clip) -> list[tuple[int, Body]]:
    """Bodies that move by themselves, with their index."""
    return [(i, body) for i, body in enumerate(clip.scene.bodies) if body.role == "moving"]


def outside(clip: Clip, index: int) -> Array:
    """By how many radii a body is over the border of the window, (T,): <= 0 in full view, 2 gone."""
    center = plane_from_world(clip.scene.camera, np.array(clip.scene.camera.center))
    offset = np.abs(plane_from_world(clip.scene.camera, clip.states[:, index, :3]) - center).max(axis=-1)
    return np.asarray((offset - WINDOW / 2) / apparent_radius(clip.scene.bodies[index], clip.scene.camera) + 1)


def visible_share(clip: Clip, index: int) -> Array:
    """Visible share of a body, (T,)."""
    return np.asarray(clip.visible_area[:, index] / np.maximum(clip.full_area[:, index], 1e-9), dtype=np.float64)


def check_history(clip: Clip, static: bool) -> Iterator[Finding]:
    """Release, motion before the hand-over and full view until then; `static`: at rest by nature."""
    travels = []
    for i, body in moving(clip):
        start = -HISTORY if body.release is None else body.release
        if body.release is not None and not static and not RELEASES[0] <= body.release <= RELEASES[1]:
            yield failed(
                "history",
                f"{body.name} is released at {body.release:g} s",
                f"Release it in [{RELEASES[0]:g}, {RELEASES[1]:g}] s: its motion is then seen before 0 by any model.",
                clip,
            )
        before = (clip.times >= start - 1e-9) & (clip.times <= 0)
        over = outside(clip, i)
        if over[clip.times <= 0].max() > 0:
            when = float(clip.times[np.argmax(over > 0)])
            yield failed(
                "view",
                f"{body.name} is not wholly in the window at {when:.2f} s, before the hand-over",
                "Keep all of it inside until 0, by narrower ranges or in `accepts`.",
                clip,
                Shot(clip, _around(clip, when), body.name),
            )
        seen = before & (visible_share(clip, i) > 0.95) & (over <= 0)
        if not static and (not seen.any() or np.ptp(clip.times[seen]) < LEAST_VIEW_TIME - 1.5 / clip.spec.fps):
            yield failed(
                "history",
                f"{body.name} is seen in full for less than {LEAST_VIEW_TIME:g} s between its release and 0",
                "Release it earlier, or move what hides it.",
                clip,
                Shot(clip, (start, start / 2, 0.0), body.name),
            )
        steps = np.linalg.norm(np.diff(clip.states[before, i, :3], axis=0), axis=-1)
        travels.append(float(steps.sum()))
    if not static and travels and max(travels) < LEAST_TRAVEL:
        yield failed(
            "history",
            f"nothing moves by more than {max(travels):.2f} m before the hand-over: its velocity cannot be seen",
            "Release it earlier or faster; a task at rest by nature says static_history = True.",
            clip,
            Shot(clip, (-1.0, -0.5, 0.0)),
        )


def check_view(clip: Clip) -> Iterator[Finding]:
    """What leaves the window after the hand-over does not come back, and is in it for a second."""
    ahead = clip.times > 0
    for i, body in moving(clip):
        gone = outside(clip, i)[ahead] > 0
        times = clip.times[ahead]
        if gone.any() and not gone[np.argmax(gone) :].all():
            back = float(times[np.argmax(gone) + np.argmin(gone[np.argmax(gone) :])])
            yield failed(
                "view",
                f"{body.name} leaves the window and is back at {back:.2f} s",
                "Nothing enters the window after 0: keep it inside throughout, or let it leave for good.",
                clip,
                Shot(clip, (float(times[np.argmax(gone)]), back), body.name),
            )
        elif (~gone).sum() / clip.spec.fps < 1.0:
            left = float(times[np.argmax(gone)])
            yield failed(
                "view",
                f"{body.name} is out of the window from {left:.2f} s on: there is too little to predict",
                "Keep it in view for a second or more after 0, by narrower ranges or in `accepts`.",
                clip,
                Shot(clip, _around(clip, left), body.name),
            )


def events(clip: Clip) -> dict[str, list[float]]:
    """Times in s after the hand-over of events that decide what follows, by kind."""
    found: dict[str, list[float]] = {"contact": [], "turning point": [], "hiding": [], "push": [], "screen": []}
    bodies = {body.name: i for i, body in moving(clip)}
    rests = {name: {clip.scene.bodies[j].name for j in supports(clip, i)} for name, i in bodies.items()}
    for contact in clip.contacts:
        a, b = contact.a, contact.b
        if contact.time > 0 and b not in rests.get(a, ()) and a not in rests.get(b, ()):
            found["contact"].append(contact.time)
    ahead = clip.times > 0
    times = clip.times[ahead]
    for _, i in bodies.items():
        flat = plane_from_world(clip.scene.camera, clip.states[ahead, i, 7:10])
        curves = [*flat.T, np.linalg.norm(flat, axis=-1) - TURNING_SPEED]
        for field in clip.scene.fields:
            away = clip.states[ahead, i, :3] - clip.states[ahead, clip.scene.index(field.source), :3]
            curves.append(np.gradient(np.linalg.norm(away, axis=-1), times))
        for curve in curves:
            found["turning point"] += [float(times[k + 1]) for k in np.flatnonzero(np.diff(np.sign(curve)))]
        hidden = (visible_share(clip, i)[ahead] < HIDDEN_SHARE) & (outside(clip, i)[ahead] < 1)
        found["hiding"] += [float(times[k + 1]) for k in np.flatnonzero(np.diff(hidden.astype(int)) > 0)]
    found["push"] = [action.time for action in clip.scene.impulses if action.time > 0]
    found["screen"] = [point.time for body in clip.scene.bodies for point in body.path if point.time > 0]
    return {kind: sorted(times) for kind, times in found.items() if times}


def check_event(clip: Clip, static: bool) -> Iterator[Finding]:
    """An event lies between 0.2 s and 0.6 of the horizon. `static`: none is needed."""
    found = sorted(time for times in events(clip).values() for time in times)
    last = EVENT_UNTIL * clip.scene.horizon
    if static or any(EVENT_FROM - EVENT_SLACK <= time <= last + EVENT_SLACK for time in found):
        return
    pictures = Shot(clip, tuple(clip.scene.horizon * k / 4 for k in range(5)))
    if not found:
        yield failed(
            "nothing to predict",
            "after the hand-over nothing happens: no contact, turning point, hiding or push",
            f"Let something decide the clip in [{EVENT_FROM:g}, {last:g}] s.",
            clip,
            pictures,
        )
    else:
        yield failed(
            "event",
            f"the deciding event lies at {', '.join(f'{time:.2f}' for time in found[:3])} s",
            f"Let it happen in [{EVENT_FROM:g}, {last:g}] s (contact, turning point, hiding): late enough to "
            "be predicted, and early enough to show what follows.",
            clip,
            pictures,
        )


def _around(clip: Clip, time: float) -> tuple[float, ...]:
    return tuple(float(np.clip(time + shift, clip.times[0], clip.times[-1])) for shift in (-0.4, 0.0, 0.4))
