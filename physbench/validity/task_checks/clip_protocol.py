"""The protocol of a clip: motion before the hand-over, the deciding event, what stays in view and can be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from physbench.clips.clip import Clip
from physbench.clips.task import EVENT_FROM, EVENT_UNTIL, RELEASE
from physbench.laws.closed_form import supports
from physbench.laws.support_check import TOUCH_GAP
from physbench.support.arrays import Array, Image
from physbench.track.visibility import HIDDEN_SHARE
from physbench.validity.task_checks.finding import Finding, Shot, failed, fine
from physbench.world.camera import PLANE_AXES, plane_from_world
from physbench.world.drawing import apparent_radius, render
from physbench.world.geometry import gap, rotate
from physbench.world.links import LINK
from physbench.world.scene import (
    FLOOR_GREY,
    HISTORY,
    SCREEN_GREY,
    WINDOW,
    Body,
    CentralGravity,
    RadialField,
    RenderSpec,
    Scene,
)
from physbench.world.styles.catalogue import draw

RELEASES = RELEASE.train  # s


@dataclass(frozen=True)
class ViewLimits:
    """Limits on what the context and the pictures of a clip show."""

    least_time: float = 0.4  # s of motion before the hand-over
    least_way: float = 0.25 / WINDOW  # of the window's width, that the body goes which moves most before the hand-over
    event_slack: float = 0.02  # s, less than a frame
    least_contrast: float = 12.0  # grey levels of 255; a floor of FLOOR_GREY stands out from the background by 20
    least_area: float = 4.0  # px, of a body that has to be seen at all
    drawn_side: int = 128  # px
    betraying_levels: float = 4.0  # of 255, by which a pixel may differ: less is lost in noise


VIEW = ViewLimits()


def moving(clip: Clip) -> list[tuple[int, Body]]:
    """Bodies that move by themselves, with their index."""
    return [(i, body) for i, body in enumerate(clip.scene.bodies) if body.role == "moving"]


def outside(clip: Clip, index: int) -> Array:
    """By how many radii a body is over the border of the window, (T,): <= 0 in full view, 2 gone.

    A box counts as its corners do, with half of its width or height, as it stands, in place of a radius.
    """
    camera, body = clip.scene.camera, clip.scene.bodies[index]
    center = plane_from_world(camera, np.array(camera.center))
    offset = np.abs(plane_from_world(camera, clip.states[:, index, :3]) - center)
    if body.shape == "box":
        edges = rotate(clip.states[:, index, None, 3:7], np.diag(body.size))  # (T, 3, 3), from the middle to the faces
        half = np.abs(edges).sum(axis=1)[:, PLANE_AXES[camera.view]]
    else:
        half = np.full(offset.shape, apparent_radius(body, camera))
    return np.asarray(((offset - camera.width / 2) / half + 1).max(axis=-1))


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
        if not static and (not seen.any() or np.ptp(clip.times[seen]) < VIEW.least_time - 1.5 / clip.spec.fps):
            yield failed(
                "history",
                f"{body.name} is seen in full for less than {VIEW.least_time:g} s between its release and 0",
                "Release it earlier, or move what hides it.",
                clip,
                Shot(clip, (start, start / 2, 0.0), body.name),
            )
        steps = np.linalg.norm(np.diff(clip.states[before, i, :3], axis=0), axis=-1)
        travels.append(float(steps.sum()))
    if not static and travels and max(travels) < VIEW.least_way * clip.scene.camera.width:
        yield failed(
            "history",
            f"nothing moves by more than {max(travels):.2f} m before the hand-over: its velocity cannot be seen",
            "Release it earlier or faster; a task at rest by nature says static_history = True.",
            clip,
            Shot(clip, (-1.0, -0.5, 0.0)),
        )


def check_view(clip: Clip) -> Iterator[Finding]:
    """Bodies that leave the window after the hand-over do not come back, and are in it for a second."""
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
    times_of_kinds: dict[str, list[float]] = {
        "contact": [],
        "turning point": [],
        "hiding": [],
        "push": [],
        "screen": [],
    }
    bodies = {body.name: i for i, body in moving(clip)}
    rests = {name: {clip.scene.bodies[j].name for j in supports(clip, i)} for name, i in bodies.items()}
    for contact in clip.contacts:
        a, b = contact.a, contact.b
        if contact.time > 0 and b not in rests.get(a, ()) and a not in rests.get(b, ()):
            times_of_kinds["contact"].append(contact.time)
    ahead = clip.times > 0
    times = clip.times[ahead]
    for _, i in bodies.items():
        flat = plane_from_world(clip.scene.camera, clip.states[ahead, i, 7:10])
        curves = [*flat.T, np.linalg.norm(flat, axis=-1) - 0.05]  # m/s on both sides of a turning point
        for field in clip.scene.fields:
            if not isinstance(field, CentralGravity | RadialField):
                continue
            away = clip.states[ahead, i, :3] - clip.states[ahead, clip.scene.index(field.source), :3]
            curves.append(np.gradient(np.linalg.norm(away, axis=-1), times))
        for curve in curves:
            times_of_kinds["turning point"] += [float(times[k + 1]) for k in np.flatnonzero(np.diff(np.sign(curve)))]
        hidden = (visible_share(clip, i)[ahead] < HIDDEN_SHARE) & (outside(clip, i)[ahead] < 1)
        times_of_kinds["hiding"] += [float(times[k + 1]) for k in np.flatnonzero(np.diff(hidden.astype(int)) > 0)]
    times_of_kinds["push"] = [action.time for action in clip.scene.impulses if action.time > 0]
    times_of_kinds["push"] += [burn.time for each in clip.scene.thrusts for burn in each.burns if burn.time > 0]
    times_of_kinds["screen"] = [point.time for body in clip.scene.bodies for point in body.path if point.time > 0]
    return {kind: sorted(times) for kind, times in times_of_kinds.items() if times}


def check_event(clip: Clip, static: bool) -> Iterator[Finding]:
    """An event lies between 0.2 s and 0.6 of the horizon. `static`: none is needed."""
    moments = sorted(time for times in events(clip).values() for time in times)
    last = EVENT_UNTIL * clip.scene.horizon
    if static or any(EVENT_FROM - VIEW.event_slack <= time <= last + VIEW.event_slack for time in moments):
        return
    pictures = Shot(clip, tuple(clip.scene.horizon * k / 4 for k in range(5)))
    if not moments:
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
            f"the deciding event lies at {', '.join(f'{time:.2f}' for time in moments[:3])} s",
            f"Let it happen in [{EVENT_FROM:g}, {last:g}] s (contact, turning point, hiding): late enough to "
            "be predicted, and early enough to show what follows.",
            clip,
            pictures,
        )


def _around(clip: Clip, time: float) -> tuple[float, ...]:
    return tuple(float(np.clip(time + shift, clip.times[0], clip.times[-1])) for shift in (-0.4, 0.0, 0.4))


# Whether what objects touch can be seen. The future cannot be known near a wall as grey as the background.


def check_seen(clip: Clip) -> Iterator[Finding]:
    """Every fixed or kinematic body without hue that objects touch stands out from what is around it at time 0.

    Where it is hidden then, the earlier frame counts in which most of it is visible. Contacts out of view do not count.
    A box of a curved board, which may be thinner than a pixel, is seen with those that it touches.
    """
    least, which = np.inf, ""
    of_rows = dict[tuple[int, int], float]()  # contrast by first box of a board and frame
    for index, when in touched(clip).items():
        body = clip.scene.bodies[index]
        row = curve_of(clip.scene, index)
        before = clip.visible_area[: clip.handover + 1, row].sum(axis=1)
        frame = clip.handover if before[-1] >= VIEW.least_area else int(np.argmax(before))
        if not body.drawn or before[frame] < VIEW.least_area:
            yield failed(
                "visible",
                f"{body.name} is touched at {when:.2f} s and is not seen at any time before 0",
                "Let it be drawn and in the window before 0, or let it not collide: a model that was not shown it "
                "cannot know.",
                clip,
                Shot(clip, (0.0, when)),
            )
            continue
        if (min(row), frame) not in of_rows:
            of_rows[min(row), frame] = contrast(clip, row, frame)
        levels = of_rows[min(row), frame]
        least, which = min((least, which), (levels, body.name))
        if levels < VIEW.least_contrast:
            time = float(clip.times[frame])
            yield failed(
                "visible",
                f"{body.name} is touched at {when:.2f} s and cannot be seen: at {time:.2f} s it differs from what is "
                f"behind it by {levels:.0f} of 255 grey levels, and {VIEW.least_contrast:g} are needed",
                f"Its `grey` is {body.grey:g}. Against the background use at most 0.48 or at least 0.6: floors of the "
                f"built-in tasks have {FLOOR_GREY:g}, their walls and screens {SCREEN_GREY:g}.",
                clip,
                Shot(
                    clip,
                    (time, time),
                    None,
                    (clip.frames[frame], _marked(clip, row, frame)),
                    (f"{time:.2f} s", f"where {body.name} is"),
                ),
            )
    if np.isfinite(least):
        level = f"{which} stands out by {least:.0f} of 255 grey levels (least {VIEW.least_contrast:g})"
        yield fine("visible", f"what objects touch is seen: {level}", 255 - least)


def check_causes(clip: Clip) -> Iterator[Finding]:
    """Every body from which a force comes is seen before the hand-over."""
    scene = clip.scene
    for field in scene.fields:
        for name in field.sources:
            index, kind = scene.index(name), type(field).__name__
            before = clip.visible_area[: clip.handover + 1, index]
            frame = int(np.argmax(before))
            if scene.bodies[index].drawn and before[frame] >= VIEW.least_area:
                levels = contrast(clip, [index], frame) if scene.bodies[index].hue is None else 255.0
                if levels >= VIEW.least_contrast:
                    continue
                seen = f"differs from what is behind it by {levels:.0f} of 255 grey levels"
            else:
                seen = "is not seen at any time before 0"
            yield failed(
                "visible",
                f"the force {kind} comes from {name}, which {seen}",
                f"Let {name} be drawn, in the window and at least {VIEW.least_contrast:g} levels darker or lighter: a "
                "model that was not shown it cannot know that a force acts.",
                clip,
                Shot(clip, (-1.0, 0.0, scene.horizon / 2)),
            )


def check_links(clip: Clip) -> Iterator[Finding]:
    """Every spring and joint is seen before the hand-over."""
    scene, alone = clip.scene, replace(clip.scene, fields=())
    for link in scene.links:
        shown = replace(alone, fields=(link,))
        levels = max(_link_contrast(clip, shown, alone, frame) for frame in (0, clip.handover))
        if levels < VIEW.least_contrast:
            ends = "from {} to {}" if len(link.sources) > 1 else "of {}"
            yield failed(
                "visible",
                f"the {type(link).__name__} {ends.format(*link.sources)} cannot be seen before 0: it differs from what "
                f"is behind it by {levels:.0f} of 255 grey levels, and {VIEW.least_contrast:g} are needed",
                "Let it reach out from behind its bodies, in the window, before something that is not as "
                f"grey as it is ({LINK.grey:g}), and behind no screen: a model that was not shown it cannot know it.",
                clip,
                Shot(clip, (float(clip.times[0]), 0.0, scene.horizon / 2)),
            )


def _link_contrast(clip: Clip, scene: Scene, without: Scene, frame: int) -> float:
    """Grey levels by which a frame differs from that without a link: the least of `VIEW.least_area` px."""
    apart = np.abs(_frame(clip, scene, frame).astype(np.int16) - _frame(clip, without, frame)).max(axis=-1)
    return float(np.sort(apart.ravel())[-round(VIEW.least_area)])


def touched(clip: Clip) -> dict[int, float]:
    """Bodies without hue that are no objects and that an object in view touches, with the time of it in s."""
    scene, first_contacts = clip.scene, dict[int, float]()
    objects = {body.name: i for i, body in moving(clip)}
    for contact in sorted(clip.contacts, key=lambda contact: contact.time):
        for name, other in ((contact.a, contact.b), (contact.b, contact.a)):
            if name in objects and other not in objects:
                k = int(np.argmin(np.abs(clip.times - contact.time)))
                if outside(clip, objects[name])[k] <= 1:  # at least half of it is in the window
                    first_contacts.setdefault(scene.index(other), contact.time)
    for i in objects.values():
        for j in supports(clip, i):
            first_contacts.setdefault(j, scene.bodies[i].release or 0.0)
    return {j: when for j, when in sorted(first_contacts.items()) if scene.bodies[j].hue is None}


def curve_of(scene: Scene, index: int) -> list[int]:
    """The boxes of the curved board of which a body is one: each touches the next. Of other bodies, that one alone."""
    bodies, row = scene.bodies, [index]
    for step in (-1, 1):
        here = index
        while 0 <= (there := here + step) < len(bodies) and _joined(bodies[here], bodies[there]):
            row.append(there)
            here = there
    return row


def _joined(a: Body, b: Body) -> bool:
    """True if two fixed boxes of one grey touch."""
    if any(body.role != "fixed" or body.shape != "box" or body.hue is not None for body in (a, b)) or a.grey != b.grey:
        return False
    return float(gap(a, np.asarray(a.position), b, np.asarray(b.position))) <= TOUCH_GAP


def contrast(clip: Clip, row: Sequence[int], frame: int) -> float:
    """Grey levels by which bodies differ from the same frame without them: the median over their visible pixels."""
    without = _frame(clip, _changed(clip.scene, row, drawn=False), frame)
    apart = np.abs(clip.frames[frame].astype(np.int16) - without).max(axis=-1).ravel()
    seen = np.sort(apart)[::-1][: max(1, round(float(clip.visible_area[frame, list(row)].sum())))]
    return float(np.median(seen))


def _marked(clip: Clip, row: Sequence[int], frame: int) -> Image:
    """The frame with the pixels of bodies painted."""
    black, white = (_frame(clip, _changed(clip.scene, row, grey=grey), frame).max(axis=-1) for grey in (0.0, 1.0))
    picture: Image = clip.frames[frame].copy()
    picture[white.astype(np.int16) - black > 64] = (200, 69, 27)  # where an unseen body is
    return picture


def _changed(scene: Scene, row: Sequence[int], **changes: object) -> Scene:
    bodies = list(scene.bodies)
    for index in row:
        bodies[index] = replace(bodies[index], **changes)  # type: ignore[arg-type]
    return replace(scene, bodies=tuple(bodies))


def _frame(clip: Clip, scene: Scene, frame: int) -> Image:
    at: Sequence[float] = clip.times[frame : frame + 1].tolist()
    picture: Image = render(scene, at, clip.states[frame : frame + 1], clip.spec).frames[0]
    return picture


# Whether a picture betrays a body that it does not show, by its shadow or by light from it.
#
# A model that sees a shadow beside a screen has no need to remember what went behind it. So pictures are drawn with
# each hidden body and without it, and compared.


@dataclass(frozen=True, eq=False)
class HiddenDifference:
    """Difference between two pictures, with a hidden body and without it."""

    body: str
    time: float  # s
    levels: float  # of 255, largest over pixels and channels
    pictures: tuple[Image, Image]  # (H, W, 3) with and without


def hidden_differences(clip: Clip, look: str) -> Iterator[HiddenDifference]:
    """Draw moments of a clip at which a body is wholly hidden in the window, with and without it.

    Raises UsageError where the look cannot be drawn.
    """
    spec = RenderSpec(VIEW.drawn_side, VIEW.drawn_side, clip.spec.fps, look)
    for index, body in moving(clip):
        inside = outside(clip, index) <= 0
        hidden = inside & (clip.visible_area[:, index] == 0) & (clip.full_area[:, index] > 0)
        frames = np.flatnonzero(hidden)
        if not len(frames):
            continue
        # moments of each body and clip that are drawn
        chosen = frames[np.unique(np.linspace(0, len(frames) - 1, 4).round().astype(int))]
        times, states = clip.times[chosen], clip.states[chosen]
        bodies = tuple(replace(each, drawn=False) if each is body else each for each in clip.scene.bodies)
        shown = draw(clip.scene, times, states, spec)
        left_out = draw(replace(clip.scene, bodies=bodies), times, states, spec).frames
        for k in np.flatnonzero(shown.visible_area[:, index] == 0):  # in larger pictures a rim of it may be seen
            pair, time = (shown.frames[k], left_out[k]), float(times[k])
            levels = float(np.abs(pair[0].astype(int) - pair[1]).max())
            yield HiddenDifference(body.name, time, levels, pair)


def check_hidden(clip: Clip, look: str) -> Iterator[Finding]:
    """Nothing in the picture tells that a hidden body is there."""
    worst = max(hidden_differences(clip, look), key=lambda each: each.levels, default=None)
    if worst is None:
        return
    measured = f"by {worst.levels:.0f} of 255 levels (at most {VIEW.betraying_levels:g})"
    if worst.levels <= VIEW.betraying_levels:
        yield fine(
            "hidden", f"pictures with {worst.body} and without it, while it is hidden, differ {measured}", worst.levels
        )
        return
    yield failed(
        "hidden",
        f"at {worst.time:.2f} s {worst.body} is hidden, and the picture without it differs {measured}",
        "Its shadow or its light tells where it is. Let a screen hide it, and no other object.",
        clip,
        Shot(clip, (worst.time,) * 2, None, worst.pictures, (f"{worst.time:.2f} s", f"without {worst.body}")),
    )
