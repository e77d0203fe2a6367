"""Violations of the forces: gravity, radial fields, drag and springs."""

from __future__ import annotations

import math

import numpy as np

from physbench.laws.changes import WorldChange
from physbench.validity.violations.candidate_events import CandidateEvents
from physbench.validity.violations.hooks import ChangeLaws
from physbench.validity.violations.violation_plan import Inapplicable, ViolationEvent, ViolationPlan, violation
from physbench.world.scene import CentralGravity, Drag, RadialField, Rod, Spring


def _from_the_handover_on(change: WorldChange) -> ViolationPlan:
    return ViolationPlan((ViolationEvent(0.0, None),), hooks=(ChangeLaws(0.0, change),))


def _require_gravity(candidates: CandidateEvents) -> None:
    if not any(candidates.scene.gravity):
        raise Inapplicable("there is no gravity")


@violation(
    "gravity",
    group="forces",
    unit="",
    meaning="gravity is s times as strong from the hand-over on",
    severities=(0.8, 0.9, 0.95, 0.98, 1.1),
    main=0.9,
    allowed=(-10.0, 10.0),
)
def gravity(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Uniform gravity times a factor, direction kept. It sets in at 0: it is everywhere by nature."""
    _require_gravity(candidates)
    if candidates.scene.camera.view == "top":
        raise Inapplicable("gravity lies along the view")
    return _from_the_handover_on(WorldChange(gravity=severity))


@violation(
    "gravity-tilt",
    group="forces",
    unit="deg",
    meaning="gravity is turned by s from the hand-over on, its size kept",
    severities=(2.0, 5.0, 15.0),
    main=5.0,
    allowed=(-180.0, 180.0),
)
def gravity_tilt(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Gravity turned within the plane of motion, or out of the line of sight towards a drawn side of the plane."""
    _require_gravity(candidates)
    side = float(np.linalg.norm(candidates.scene.gravity)) * (1 if rng.random() < 0.5 else -1)
    angle = math.radians(severity)
    return _from_the_handover_on(WorldChange(gravity=math.cos(angle), wind=(side * math.sin(angle), 0.0)))


@violation(
    "central-mass",
    group="forces",
    unit="",
    meaning="every central mass is s times as large from the hand-over on",
    severities=(0.8, 0.9, 0.95, 1.1),
    main=0.95,
    allowed=(0.0, 10.0),
)
def central_mass(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """The strength of all fields times a factor. It sets in at 0."""
    if all(isinstance(field, Drag | Spring | Rod) for field in candidates.scene.fields):
        raise Inapplicable("there is no central field")
    return _from_the_handover_on(WorldChange(central_mass=severity))


@violation(
    "force-exponent",
    group="forces",
    unit="",
    meaning="central forces fall with the distance to the power -s from the hand-over on",
    severities=(1.0, 1.5, 1.8, 1.9, 2.2),
    main=1.8,
    allowed=(-2.0, 6.0),
)
def force_exponent(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Another power of the distance; at the hand-over every body feels the force that it felt before."""
    # Fields that do not fall with the square go with a power that is 2 - s higher than theirs.
    if not any(isinstance(field, CentralGravity | RadialField) for field in candidates.scene.fields):
        raise Inapplicable("there is no central field")
    return _from_the_handover_on(WorldChange(exponent=severity))


@violation(
    "drag",
    group="forces",
    unit="",
    meaning="a medium slows things s times as much from the hand-over on",
    severities=(0.0, 0.5, 0.8, 1.5),
    main=0.5,
    allowed=(-10.0, 10.0),
)
def drag(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """The drag of all media times a factor; below 0 they speed things up. It sets in at 0."""
    if not any(isinstance(field, Drag) for field in candidates.scene.fields):
        raise Inapplicable("there is no medium with drag")
    return _from_the_handover_on(WorldChange(constants=(("medium_drag", severity),)))


@violation(
    "stiffness",
    group="forces",
    unit="",
    meaning="springs are s times as stiff from the hand-over on",
    severities=(0.0, 0.5, 0.8, 0.9, 1.1, 1.5),
    main=0.8,
    allowed=(0.0, 10.0),
)
def stiffness(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """The stiffness of all springs times a factor; at 0 they let go. It sets in at 0."""
    if not any(isinstance(field, Spring) for field in candidates.scene.fields):
        raise Inapplicable("there is no spring")
    return _from_the_handover_on(WorldChange(constants=(("spring_stiffness", severity),)))
