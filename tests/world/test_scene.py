"""What a scene may hold, the mass of its bodies, and rates at which frames fall on physics steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest

from physbench.world.bodies import HOLDER_GAP, ball, held, table
from physbench.world.scene import (
    DENSITY,
    PHYSICS_HZ,
    Body,
    Camera,
    CentralGravity,
    Impulse,
    RenderSpec,
    Scene,
    box_mass,
    cylinder_mass,
    sphere_mass,
    whole_rates,
    wrong_rate,
)

TOP = Camera("top", (0.0, 0.0, 0.0))


@dataclass(frozen=True)
class Spring:
    """No force of the engine."""

    stiffness: float = 1.0


@pytest.mark.parametrize(
    ("shape", "size", "volume"),
    [
        ("sphere", (0.4,), 4 / 3 * math.pi * 0.4**3),
        ("box", (0.5, 0.3, 0.2), 8 * 0.5 * 0.3 * 0.2),
        ("cylinder", (0.4, 0.6), math.pi * 0.4**2 * 0.6),
    ],
)
def test_a_body_that_moves_has_the_mass_of_its_size(shape, size, volume) -> None:
    body = Body("b", shape, size, "moving", (0.0, 0.0, 1.0))
    assert body.mass == pytest.approx(DENSITY * volume)
    assert body.mass in (sphere_mass(size[0]), box_mass((*size, 0.0, 0.0)[:3]), cylinder_mass(size[0], size[-1]))
    assert replace(body, mass=3.0).mass == 3.0 == Body("b", shape, size, "moving", (0, 0, 1), mass=3.0).mass
    assert Body("b", shape, size, "fixed", (0.0, 0.0, 1.0)).mass == 1.0


def test_a_hole_takes_mass_and_moves_the_rest_outwards() -> None:
    full = Body("b", "cylinder", (0.4, 0.6), "moving", (0.0, 0.0, 1.0), flat=True)
    hollow = Body("b", "cylinder", (0.4, 0.6), "moving", (0.0, 0.0, 1.0), flat=True, bore=0.5)
    assert hollow.mass == pytest.approx(0.75 * full.mass)
    hole = 0.25 * full.mass * 0.5 * 0.5**2  # the moment of what is missing
    assert hollow.inertia * hollow.mass == pytest.approx(full.inertia * full.mass - hole)
    for changes in ({"bore": 1.0}, {"bore": -0.1}, {"bore": 0.5, "flat": False}):
        with pytest.raises(ValueError, match="has a bore of"):
            replace(full, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shape": "spheer"}, "Did you mean sphere"),
        ({"role": "static"}, "has the role 'static'"),
        ({"size": (0.4, 0.4)}, r"is \(radius,\) in m"),
        ({"shape": "box"}, r"is \(half_x, half_y, half_z\) in m"),
    ],
)
def test_a_body_that_the_engine_does_not_know(changes, said) -> None:
    with pytest.raises(ValueError, match=said):
        replace(ball("b", 0.4, (0, 0, 1), 0), **changes)


@pytest.mark.parametrize(
    ("parts", "kind", "said"),
    [
        ({"fields": (Spring(),)}, TypeError, r"holds a Spring, .*fields=\(CentralGravity\(source, mu\)"),
        ({"fields": (Spring,)}, TypeError, "holds a Spring"),
        ({"impulses": ((0.0, "b", (1, 0, 0)),)}, TypeError, "holds a tuple"),
        ({"bodies": ("b",)}, TypeError, "holds a str"),
        ({"fields": (CentralGravity("star", 1.0),)}, ValueError, "CentralGravity: there is no body named 'star'"),
        ({"impulses": (Impulse(0.0, "bal", (1, 0, 0)),)}, ValueError, "Impulse: .*Did you mean ball"),
        ({"bins": (1.0, -1.0)}, ValueError, "finite numbers, ascending"),
        ({"bins": (0.0, math.nan)}, ValueError, "finite numbers, ascending"),
    ],
)
def test_a_scene_says_what_it_can_hold(parts, kind, said) -> None:
    whole = {"bodies": (ball("ball", 0.4, (0, 0, 0), 0), table()), "camera": TOP}
    with pytest.raises(kind, match=said):
        Scene(**(whole | parts))


def test_the_holder_of_a_ball_at_rest_wants_a_heading() -> None:
    rests = ball("ball", 0.4, (1.0, 0.0, 0.0), 0, release=-0.5)
    with pytest.raises(ValueError, match=r"ball is at rest: .*give heading="):
        held(rests, "holder")
    assert held(rests, "holder", heading=0.0).position == pytest.approx((1.0 - 0.4 - HOLDER_GAP, 0.0, 0.0))
    moves = replace(rests, velocity=(0.0, 2.0, 0.0))
    assert held(moves, "holder").position == pytest.approx((1.0, -0.4 - HOLDER_GAP, 0.0))
    with pytest.raises(ValueError, match="ball is not held: it has no release"):
        held(replace(moves, release=None), "holder")


def test_rates_that_divide_are_taken_and_all_whole_ones_are_named() -> None:
    assert whole_rates(1) == (1, 2, 3, *whole_rates())
    assert all(wrong_rate(rate) is None and PHYSICS_HZ % rate == 0 for rate in whole_rates())
    assert wrong_rate(7.5) is None and wrong_rate(1, least=1) is None
    assert wrong_rate(7) == (
        "expected 4 to 60 frames/s, a rate that divides 1200, got 7. "
        "Use 4, 5, 6, 8, 10, 12, 15, 16, 20, 24, 25, 30, 40, 48, 50 or 60."
    )


@pytest.mark.parametrize("fps", [3, 61, 0, -15, float("nan"), float("inf")])
def test_rates_out_of_range_are_refused(fps: float) -> None:
    assert "4 to 60" in str(wrong_rate(fps))


def test_a_whole_rate_names_the_same_stored_clips() -> None:
    assert repr(RenderSpec(64, 64, 15)) == repr(RenderSpec(64, 64, 15.0))
