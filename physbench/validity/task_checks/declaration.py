"""The declaration of a task: docstring, parameters, and the bodies of its scenes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator

import numpy as np

from physbench.clips.task import LEVELS, Parameter, Task, parameter_table
from physbench.support.errors import nearest
from physbench.validity.task_checks.finding import Finding, failed, fine, remark
from physbench.world.drawing import apparent_radius
from physbench.world.scene import DENSITY, PALETTE, WINDOW, Body, Rod, Scene, mass_of_size

SECTIONS = ("What happens", "Law", "Camera", "Actions", "Hand-over", "May be hidden", "Version history")
MIN_BODY_RADIUS = 0.4  # m, radius: 5 px in a frame of 64 px
MAX_HORIZON = 12.0  # s, horizon


LOOSE = 0.005  # m by which a rod may be longer or shorter than its bodies are apart


def check_declaration(task: Task) -> Iterator[Finding]:
    """Docstring, and the classes and ranges of the parameters."""
    findings = [*_docstring(task), *_parameters(task)]
    yield from findings
    if not any(finding.state == "failed" for finding in findings):
        changed = [name for name, parameter in task.parameters.items() if parameter.ood is not None]
        yield fine("declaration", f"{len(task.parameters)} parameters, ood changes {', '.join(changed)}")


def declares_parameters(task: Task) -> bool:
    """True if the parameters are a table from which clips can be drawn."""
    return bool(task.parameters) and all(isinstance(each, Parameter) for each in task.parameters.values())


def _docstring(task: Task) -> Iterator[Finding]:
    doc = inspect.getdoc(type(task)) or ""
    missing = [section for section in SECTIONS if f"{section}: " not in doc]
    if missing:
        yield failed(
            "declaration",
            f"the docstring of the class does not say: {', '.join(missing)}",
            f"Write a line for each, as in '{missing[0]}: ...': it is the specification of the task.",
        )
    table = [line for line in doc.splitlines() if line.startswith("|")]
    if table and table != parameter_table(task.parameters):
        yield failed(
            "declaration",
            "the table of parameters in the docstring is not that of the declaration",
            "Derive the class from physbench.Task and put `{parameters}` in its place, or leave the table out.",
        )


def _parameters(task: Task) -> Iterator[Finding]:
    if not declares_parameters(task):
        yield failed("declaration", "`parameters` is not a table of Parameter", "Write parameters = declare(...).")
        return
    if (evenly := getattr(task, "evenly", None)) is not None and evenly not in task.parameters:
        yield failed(
            "declaration",
            f"`evenly` names {evenly!r}, which is no parameter.{nearest(str(evenly), task.parameters)}",
            "Name the parameter each of whose values is to be as frequent, or leave it out.",
        )
    for kind, level in getattr(task, "levels", {}).items():
        if kind not in LEVELS:
            yield failed("declaration", f"`levels` has no kind {kind!r}", f"Its kinds are {' and '.join(LEVELS)}.")
        elif isinstance(level, str) and level not in task.parameters:
            yield failed(
                "declaration",
                f"`levels` names {level!r}, which is no parameter.{nearest(level, task.parameters)}",
                "Name a parameter, or give a function of the parameters.",
            )
    for name, p in task.parameters.items():
        if p.kind not in ("fixed", "visible", "revealed", "free"):
            yield failed("declaration", f"{name}: there is no class '{p.kind}'", "Use fixed, visible or revealed.")
        elif p.kind == "free":
            yield failed(
                "declaration",
                f"{name} is free: a viewer cannot know it, so what follows from it cannot be predicted",
                "Fix it, or let it be seen in size, grey or hue (visible) or in an event before 0 (revealed).",
            )
        elif p.kind == "fixed" and (p.train[0] != p.train[1] or p.ood is not None):
            yield failed(
                "declaration", f"{name} is fixed and has more than one value", "Use Parameter.fixed(value, unit, doc)."
            )
        if p.train[0] > p.train[1] or (p.ood and p.ood[0] > p.ood[1]):
            yield failed("declaration", f"{name}: its range ends before it begins", "Write (lowest, highest).")
        elif p.ood and p.train[0] < p.ood[1] and p.ood[0] < p.train[1]:
            yield failed(
                "declaration",
                f"{name}: the ood range {p.span('ood')} overlaps that of train, {p.span('train')}",
                "Out of distribution means outside: move the ranges apart.",
            )
    if all(parameter.ood is None for parameter in task.parameters.values()):
        yield failed(
            "declaration",
            "no parameter has another range in the split ood",
            "Give a visible or revealed one a second range, as in ood=(0.55, 0.65).",
        )


def check_scene(scene: Scene) -> Iterator[Finding]:
    """Bodies, hues, prompt and horizon of one scene."""
    names = [body.name for body in scene.bodies]
    hues = [body.hue for body in scene.bodies if body.hue is not None]
    moving = [body for body in scene.bodies if body.role == "moving"]
    if len(set(names)) < len(names):
        yield failed("scene", "two bodies have one name", "Give each its own.")
    if not moving:
        yield failed("scene", "no body moves: there is nothing to predict", "Give one the role 'moving'.")
    for body in scene.bodies:
        if not is_finite(body):
            yield failed("scene", f"{body.name} has numbers that are not finite", "Look for a division by zero.")
    for body in moving:
        yield from _moving(body, scene)
    for rod in (each for each in scene.fields if isinstance(each, Rod)):
        apart = math.dist(*(scene.bodies[scene.index(name)].position for name in rod.sources))
        if not abs(apart - rod.length) <= LOOSE:
            yield failed(
                "scene",
                f"the rod from {rod.anchor} to {rod.body} is {rod.length:.3f} m long, not {apart:.3f} m",
                "Place the body at the length of its rod: it would be pulled there at once.",
            )
    if len(set(hues)) < len(hues) or not all(0 <= hue < len(PALETTE) for hue in hues):
        yield failed(
            "scene",
            f"the hues {hues} are not different indices from 0 to {len(PALETTE) - 1}",
            "Objects are told apart by hue: refuse equal ones in `accepts`.",
        )
    if not scene.prompt.strip().endswith("."):
        yield failed("scene", "the prompt is not a sentence", "Say what happens in one or two, with a full stop.")
    if not 1 <= scene.horizon <= MAX_HORIZON:
        yield failed("scene", f"the horizon is {scene.horizon:g} s", f"Use 4 s (from 1 to {MAX_HORIZON:g} s).")
    if scene.camera.width != WINDOW:
        yield remark("scene", f"the camera shows {scene.camera.width:g} m; the built-in tasks show {WINDOW:g} m")
    try:
        hash(scene)
    except TypeError:
        yield failed("scene", "the scene holds lists or arrays", "Use tuples of numbers: a scene is frozen data.")


def is_finite(body: Body) -> bool:
    """True if a body can be simulated: without a number that is not finite."""
    return bool(np.isfinite((*body.size, *body.position, *body.orientation, *body.velocity, *body.spin)).all())


def _moving(body: Body, scene: Scene) -> Iterator[Finding]:
    if body.hue is None:
        yield failed("scene", f"{body.name} moves and has no hue", "Give it one: trackers follow hues.")
    if body.shape == "plane":
        yield failed("scene", f"{body.name} is a plane and moves", "Use a box.")
        return
    radius = apparent_radius(body, scene.camera)
    if radius < MIN_BODY_RADIUS - 1e-9:
        size = "the area of a disc of" if body.bore else "a radius of"
        yield failed(
            "scene",
            f"{body.name} has {size} {radius:.2f} m, {radius / WINDOW * 64:.1f} px at 64 px",
            f"Make it at least {MIN_BODY_RADIUS} m (5 px): smaller ones are not located well.",
        )
    expected = mass_of_size(body)
    if abs(body.mass / expected - 1) > 0.01:
        yield failed(
            "scene",
            f"{body.name} has {body.mass:.4g} kg, but its size says {expected:.4g} kg",
            f"A viewer knows the mass by the size, {DENSITY:g} kg/m3: leave `mass` out.",
        )
    spin, speed = np.linalg.norm(body.spin), np.linalg.norm(body.velocity)
    if spin > 1e-9 and abs(spin * body.size[0] - speed) > 0.01 * speed:
        yield failed(
            "scene", f"{body.name} spins unseen", "Let it start without spin, or rolling: spin = speed / radius."
        )
