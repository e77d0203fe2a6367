"""Prompt of a scene for a model that reads words, in the words of its look."""

from __future__ import annotations

import re
from collections.abc import Sequence

from physbench.world.camera import PLANE_AXES
from physbench.world.motion_words import BODY_NOUNS, StatedVelocity, camera_sentence, motion_sentence
from physbench.world.scene import PLAIN, Body, Camera, Scene, hue_name

FLOORS = {"boards": "a floor of wooden boards", "concrete": "a concrete floor", "terrazzo": "a terrazzo floor"}
WALLS = {"bricks": "a wall of painted bricks", "plaster": "a plastered wall", "panels": "a wall of panels"}
NIGHT_SKY = "Before a night sky with faint stars."
ONE_TAKE = "Real time, one take, no cut, no zoom."


def scene_prompt(scene: Scene, look: str, stated: Sequence[StatedVelocity] = ()) -> str:
    """The prompt of a scene in a look.

    The plain one is the scene's own. In another look holders are drawn back where it says that they vanish, and it goes
    on with the set, with the sizes of bodies that have a hue, and with how it is filmed. It says no more of what
    happens. What is told of the motion at the hand-over follows the scene's own prompt, and then what a moving
    camera does, where the scene's own does not say it.
    """
    prompt = " ".join(filter(None, (scene.prompt, motion_sentence(scene, stated))))
    if scene.camera.path and prompt:
        prompt = _not_static(prompt)
        if "The camera " not in prompt:  # a task whose camera moves says so itself
            prompt = f"{prompt} {camera_sentence(scene.camera)}".rstrip()
    if look == PLAIN or not prompt:
        return prompt
    return " ".join(filter(None, (_drawn_back(prompt, scene), set_words(scene), size_words(scene), ONE_TAKE)))


def _not_static(prompt: str) -> str:
    """A prompt without the words that its camera stands still."""
    return prompt.replace(" Static camera.", "").replace("Static camera, seen", "Seen")


def _drawn_back(prompt: str, scene: Scene) -> str:
    """A prompt whose holders do in words what they do in the natural look."""
    from physbench.world.styles.natural import frames

    if not any(frames.is_holder(body) for body in scene.bodies):
        return prompt
    return re.sub(r"\bvanish\b", "are drawn back", re.sub(r"\bvanishes\b", "is drawn back", prompt))


def set_words(scene: Scene) -> str:
    """Words on the surroundings in the natural look."""
    from physbench.world.styles.natural import frames

    stage = frames.stage_of(scene)
    if stage.kind == "sky":
        return NIGHT_SKY
    floors = [FLOORS[each.material.texture] for each in stage.surfaces if each.axis == 2]
    walls = [WALLS[each.material.texture] for each in stage.surfaces if each.axis != 2]
    if stage.kind == "table":
        return f"Below is {floors[0]}, in soft light."
    shown = floors if any(body.shape == "plane" and body.drawn for body in scene.bodies) else []
    return f"In a hall with {' and '.join(shown + walls)}, in soft light."


def size_words(scene: Scene) -> str:
    """Sizes of bodies with a hue, in cm; "" where nothing is near that would give a scale."""
    from physbench.world.styles.natural import frames

    if frames.stage_of(scene).kind == "sky":
        return ""
    bodies = [body for body in scene.bodies if body.hue is not None and body.drawn and body.shape != "plane"]
    sizes = [f"{_name(body)} {_measures(body, scene.camera)}" for body in bodies]
    return f"Sizes: {', '.join(sizes)}." if sizes else ""


def _name(body: Body) -> str:
    assert body.hue is not None
    return f"{hue_name(body.hue)} {BODY_NOUNS[body.shape]}"


def _measures(body: Body, camera: Camera) -> str:
    """ "34 cm", or "80 x 40 cm" of a box, along its own axes in the plane of motion."""
    if body.shape != "box":
        return f"{200 * body.size[0]:.0f} cm"
    wide, high = (round(200 * body.size[axis]) for axis in PLANE_AXES[camera.view])
    return f"{wide} cm" if wide == high else f"{wide} x {high} cm"
