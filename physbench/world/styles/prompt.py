"""Prompt of a scene for a model that reads words, in the words of its look."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from physbench.support.arrays import Array
from physbench.world.camera import PLANE_AXES
from physbench.world.drawing import apparent_radius
from physbench.world.scene import PLAIN, Body, Camera, Scene, hue_name

# A velocity in words: how fast in five steps, and in which of eight directions of the picture.
#
# The words are for models that see one image, which shows no velocity. Speeds are in the body's own diameters a
# second (that of a circle as large as its silhouette), since these can be seen in the picture, and metres cannot.
# Each word has bounds, so that it can be said which velocities a word allows.

BODY_NOUNS = {"sphere": "ball", "box": "box", "cylinder": "disc"}
# Diameters/s from which on a pace is meant, up to that of the next one.
PACES = (
    (0.0, "at rest", ""),
    (0.05, "slowly", "less than its own width a second"),
    (1.0, "at a moderate speed", "one to two of its own widths a second"),
    (2.0, "fast", "two to four of its own widths a second"),
    (4.0, "very fast", "more than four of its own widths a second"),
)
# Counter-clockwise from the right, each SECTOR wide, seen from the side and from above.
HEADINGS = {
    "front": (
        *("to the right", "up and to the right", "straight up", "up and to the left"),
        *("to the left", "down and to the left", "straight down", "down and to the right"),
    ),
    "top": (
        *("to the right", "towards the upper right", "towards the top of the picture", "towards the upper left"),
        *("to the left", "towards the lower left", "towards the bottom of the picture", "towards the lower right"),
    ),
}
SECTOR = math.tau / 8  # rad


@dataclass(frozen=True)
class StatedVelocity:
    """Statement on a body's velocity at the hand-over."""

    body: str
    pace: int  # index into PACES; 0 is at rest
    direction: int | None  # index into HEADINGS; None at rest
    rolls: bool


def stated_velocities(scene: Scene, states: Array) -> tuple[StatedVelocity, ...]:
    """Statements on the moving bodies with a hue, from the true states (N, 13) of all bodies at the hand-over."""
    motions = []
    for index, body in enumerate(scene.bodies):
        if body.role != "moving" or body.hue is None or not body.drawn:
            continue
        velocity = states[index, 7:10][list(PLANE_AXES[scene.camera.view])]
        speed = float(np.linalg.norm(velocity))
        pace = sum(speed >= slowest * _diameter(scene, index) for slowest, _, _ in PACES) - 1
        direction = round(math.atan2(velocity[1], velocity[0]) / SECTOR) % len(HEADINGS["top"]) if pace else None
        rolls = body.shape != "box" and pace > 0 and _rolls(scene.camera, states[index], body.size[0])
        motions.append(StatedVelocity(body.name, pace, direction, rolls))
    return tuple(motions)


def _rolls(camera: Camera, state: Array, radius: float) -> bool:
    """True if the spin of a body (13,) fits its velocity on a surface below it, seen from the side, or on the table."""
    velocity, spin = state[7:10], state[10:13]
    speed = float(np.linalg.norm(velocity))
    normal = np.array([0.0, 0.0, 1.0])
    if camera.view == "front":  # square to the velocity, in the plane of motion, and upwards
        across, _ = PLANE_AXES[camera.view]
        normal = np.zeros(3)
        normal[across], normal[2] = -velocity[2] / speed, velocity[across] / speed
        normal *= np.sign(normal[2])
    # 0.1 of the speed, by which spin x radius may differ from it in what rolls
    return bool(np.linalg.norm(velocity - radius * np.cross(spin, normal)) < 0.1 * speed)


def speed_bounds(scene: Scene, stated: StatedVelocity) -> tuple[float, float]:
    """The least and the largest speed in m/s that a word allows; the latter is infinite for the fastest."""
    bounds = (*(slowest for slowest, _, _ in PACES), math.inf)
    diameter = _diameter(scene, scene.index(stated.body))
    return bounds[stated.pace] * diameter, bounds[stated.pace + 1] * diameter


def angle_bounds(stated: StatedVelocity) -> tuple[float, float]:
    """The direction that a word means, in rad counter-clockwise from the right, and how far beside it still counts."""
    return (0.0, math.pi) if stated.direction is None else (stated.direction * SECTOR, SECTOR / 2)


def motion_sentence(scene: Scene, motions: Sequence[StatedVelocity]) -> str:
    """Sentence of a prompt on velocities at the hand-over; "" where none is stated.

    Of screens and other bodies that are driven it says nothing: the prompt of the task does.
    """
    sentences = [f"{_the(scene, stated)} {_moves(scene.camera, stated)}" for stated in motions if stated.pace]
    sentences += [f"{_the(scene, stated)} is {PACES[0][1]}" for stated in motions if not stated.pace]
    return f"At the start {'; '.join(sentences)}." if sentences else ""


def _moves(camera: Camera, stated: StatedVelocity) -> str:
    """ "rolls slowly to the right (less than its own width a second)"."""
    assert stated.direction is not None
    _, pace, measure = PACES[stated.pace]
    return f"{'rolls' if stated.rolls else 'moves'} {pace} {HEADINGS[camera.view][stated.direction]} ({measure})"


def _the(scene: Scene, stated: StatedVelocity) -> str:
    body = scene.bodies[scene.index(stated.body)]
    assert body.hue is not None
    return f"the {hue_name(body.hue)} {BODY_NOUNS[body.shape]}"


def _diameter(scene: Scene, index: int) -> float:
    return 2 * apparent_radius(scene.bodies[index], scene.camera)


# What a camera does that moves.

CAMERA_WORDS = {  # to and fro; to the one side; to the other
    "pan": ("sways from side to side", "pans right", "pans left"),
    "tilt": ("nods up and down", "tilts down", "tilts up"),
    "roll": ("rocks", "rolls clockwise", "rolls counterclockwise"),
    "dolly": ("goes to and fro", "moves in", "moves back"),
    "orbit": ("circles to and fro", "circles to the right", "circles to the left"),
    "shake": ("shakes",) * 3,
}


def camera_sentence(camera: Camera) -> str:
    """A sentence on what a camera does from the hand-over on; "" where it stands still then."""
    moves = [move for move in camera.path if move.size and (move.period or move.kind == "shake" or move.end > 0)]
    if not moves:
        return ""
    *first, last = dict.fromkeys(CAMERA_WORDS[m.kind][0 if m.period else 1 if m.size > 0 else 2] for m in moves)
    return f"The camera {' and '.join(filter(None, (', '.join(first), last)))}."


ONE_TAKE = "Real time, one continuous take."
STATIC_SHOT = "Static shot with no camera movement."  # the words of Physics-IQ (Motamed et al. 2025, arXiv 2501.09038)


def side_seen(camera: Camera) -> str:
    """From where a camera sees the plane of motion: "seen from the side"."""
    if abs(camera.tilt) >= math.radians(20):  # from there on it looks down obliquely
        return "seen obliquely from above"
    if camera.view == "front":
        return "seen from the side, a little from above" if camera.tilt else "seen from the side"
    return "seen from above, a little aslant" if camera.tilt else "seen from straight above"


def scene_prompt(scene: Scene, look: str, stated: Sequence[StatedVelocity] = ()) -> str:
    """The prompt of a scene in a look.

    The plain one is the scene's own; where its camera is not the task's own, what it says of the camera is that one's.
    In another look it is the scene's caption, or the scene's own prompt without its words on the camera where it has
    none, with the set, with the sizes of bodies that have a hue, and with how it is filmed. What is told of the motion
    at the hand-over follows the scene's own words, or is all where it has none.
    """
    camera, motion = scene.camera, motion_sentence(scene, stated)
    if not scene.prompt:
        return motion
    if look != PLAIN:
        told = scene.caption or _drawn_back(re.sub(r" ?Static camera.*?\.(?=\s|$)", "", scene.prompt), scene)
        filmed = _filmed(scene, "The camera " not in told)
        return " ".join(filter(None, (told, motion, set_words(scene), size_words(scene), ONE_TAKE, *filmed)))
    prompt = scene.prompt
    if camera.tilt:
        prompt = prompt.replace("seen from straight above", side_seen(camera))
    prompt = " ".join(filter(None, (prompt, motion)))
    if camera.path:
        # A prompt without the words that its camera stands still.
        prompt = prompt.replace(" Static camera.", "").replace("Static camera, seen", "Seen")
        if "The camera " not in prompt:  # a task whose camera moves says so itself
            prompt = f"{prompt} {camera_sentence(camera)}".rstrip()
    return prompt


def _drawn_back(prompt: str, scene: Scene) -> str:
    """A prompt of a task without a caption, whose holders do in words what they do in the natural look."""
    from physbench.world.styles.natural import frames

    if not any(frames.is_holder(body) for body in scene.bodies):
        return prompt
    return re.sub(r"\bvanish\b", "are drawn back", re.sub(r"\bvanishes\b", "is drawn back", prompt))


def _filmed(scene: Scene, unsaid: bool) -> Iterator[str]:
    """From where the natural look shows a scene, and what its camera does where that is `unsaid`."""
    from physbench.world.styles.natural import frames

    if frames.stage_of(scene).kind != "sky":
        yield f"{side_seen(scene.camera).capitalize()}."
    if unsaid:
        yield camera_sentence(scene.camera) or STATIC_SHOT


def set_words(scene: Scene) -> str:
    """Words on the surroundings in the natural look."""
    from physbench.world.styles.natural import frames

    stage = frames.stage_of(scene)
    if stage.kind == "sky":
        return "Behind is a night sky full of stars."
    floor_words = {"boards": "a floor of wooden boards", "concrete": "a concrete floor", "terrazzo": "a terrazzo floor"}
    floors = [floor_words[each.material.texture] for each in stage.surfaces if each.axis == 2]
    wall_words = {"bricks": "a wall of painted bricks", "plaster": "a plastered wall", "panels": "a wall of panels"}
    walls = [wall_words[each.material.texture] for each in stage.surfaces if each.axis != 2]
    if stage.kind == "table":
        return f"On {floors[0]}, in soft light."
    shown = floors if any(body.shape == "plane" and body.drawn for body in scene.bodies) else []
    return f"In a hall with {' and '.join(shown + walls)}, in soft light."


def size_words(scene: Scene) -> str:
    """Sizes of bodies with a hue, in cm; "" where nothing is near that would give a scale."""
    from physbench.world.styles.natural import frames

    if frames.stage_of(scene).kind == "sky":
        return ""
    bodies = [body for body in scene.bodies if body.hue is not None and body.drawn and body.shape != "plane"]
    sizes = [_measured(body, scene.camera) for body in bodies]
    if len(sizes) > 1 and len(set(sizes)) == 1:
        return f"Each {sizes[0]}."
    told = [f"the {hue_name(body.hue or 0)} one {size}" for body, size in zip(bodies, sizes, strict=True)]
    return f"T{', '.join(told)[1:]}." if told else ""


def _measured(body: Body, camera: Camera) -> str:
    """ "is 34 cm wide", or "is 80 x 40 cm", along its own axes in the plane of motion."""
    if body.shape != "box":
        return f"is {200 * body.size[0]:.0f} cm wide"
    wide, high = (round(200 * body.size[axis]) for axis in PLANE_AXES[camera.view])
    return f"is {wide} cm wide" if wide == high else f"is {wide} x {high} cm"
