"""Curved boards against closed forms: pendulums, cycloids, loops, jumps, and what joints take."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ellipk

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.laws.scene_law import scene_law
from physbench.validity.task_checks.clip_protocol import check_seen, curve_of
from physbench.world.bodies import ball, curve, wall
from physbench.world.bullet import MOST_LINKED, simulate
from physbench.world.geometry import rotate
from physbench.world.scene import HISTORY, PHYSICS_HZ, Body, Camera, RenderSpec, Scene
from physbench.world.styles.catalogue import draw

Array = NDArray[np.float64]
Points = list[tuple[float, float]]

G, R, SIZE = 9.81, 2.4, 0.4  # m/s2; m, of a bowl, and of a ball
SWING = R - SIZE  # m, radius on which the middle of the ball moves
FRONT = Camera("front", (0.0, 0.0, 1.6))


def arc(radius: float, first: float, last: float, count: int = 33) -> Points:
    """Points of a circle about (0, radius); angles in rad from its lowest point."""
    return [(radius * math.sin(a), radius * (1 - math.cos(a))) for a in np.linspace(first, last, count)]


def on(boxes: tuple[Body, ...], middle: tuple[float, float], friction: float, **more: object) -> Scene:
    """A scene with a ball on a board; middle: (x, z) m of the ball."""
    rolling = ball("ball", SIZE, (middle[0], 0.0, middle[1]), 0, friction=friction, **more)  # type: ignore[arg-type]
    return Scene((rolling, *boxes), FRONT, gravity=(0.0, 0.0, -G))


def motion(scene: Scene, seconds: float, refine: int = 1) -> tuple[Array, Array]:
    """Times s from the beginning, and states (T, 13) of the first body, at each second step."""
    times = np.arange(0, round(seconds * PHYSICS_HZ), 2) / PHYSICS_HZ
    return times, simulate(scene, times - HISTORY, log=False, refine=refine).states[:, 0]


def energy(states: Array) -> Array:
    """J/kg of a ball above the bottom of the bowl, that of its turn included."""
    turn = 0.4 * SIZE**2 * (states[:, 10:] ** 2).sum(axis=1)
    return np.asarray(G * (states[:, 2] - SIZE) + ((states[:, 7:10] ** 2).sum(axis=1) + turn) / 2)


def swing(start: float, friction: float, joint: float, refine: int = 1) -> tuple[float, float]:
    """Period over that of the pendulum, and the share of energy that one way through a bowl leaves."""
    bowl = curve("bowl", arc(R, -1.3, 1.3), joint=joint)
    times, states = motion(on(bowl, (-SWING * math.sin(start), R - SWING * math.cos(start)), friction), 3.5, refine)
    angle = np.arctan2(states[:, 0], R - states[:, 2])
    k = np.flatnonzero(np.diff(np.sign(angle)))
    crossing = times[k] - angle[k] * np.diff(times)[0] / (angle[k + 1] - angle[k])
    pulled = G * (5 / 7 if friction else 1.0)
    period = 4 * math.sqrt(SWING / pulled) * float(ellipk(math.sin(start / 2) ** 2))
    far = k[0] + int(np.abs(angle[k[0] : k[1]]).argmax())
    return 2 * float(crossing[1] - crossing[0]) / period, float(energy(states)[far] / energy(states)[0])


def test_a_board_lies_on_its_curve_and_its_boxes_meet() -> None:
    boxes = curve("bowl", arc(R, -1.2, 1.2, 17), joint=0.04, thickness=0.1)
    tops = []
    for box in boxes:
        assert (box.shape, box.role, box.size[1:]) == ("box", "fixed", (0.5, 0.05))
        along, _, up = rotate(box.orientation, np.diag(box.size))
        tops.append((np.asarray(box.position) + up - along, np.asarray(box.position) + up + along))
    for (_, end), (begin, _) in pairwise(tops):
        np.testing.assert_allclose(end, begin, atol=1e-9)
    headings = [math.atan2(*(end - begin)[[2, 0]]) for begin, end in tops]
    assert np.diff(headings).min() > 0 and np.diff(headings).max() < 1.02 * 0.04
    middles = np.array([(begin + end) / 2 for begin, end in tops])
    off = np.hypot(middles[:, 0], middles[:, 2] - R) - R
    assert off.min() > -1.1 * R * 0.04**2 / 8 and off.max() < 1e-5
    assert len(boxes) == pytest.approx(2.4 / 0.04, abs=1)
    assert set(curve_of(Scene(boxes, FRONT), 7)) == set(range(len(boxes)))


def test_points_that_are_no_curve_are_refused() -> None:
    for points in ([(0, 0), (1, 0), (2, 0)], [(0, 0), (1, 0), (1, 0), (2, 0)], [(0, 0), (1, 0), (2, math.nan), (3, 0)]):
        with pytest.raises(ValueError, match="hill: expected"):
            curve("hill", points)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"thickness": 0.0}, "a thickness above 0 m, got 0.0"),
        ({"depth": -1.0}, "a depth above 0 m"),
        ({"grey": math.nan}, "a grey from 0 to 1"),
        ({"friction": -1.0}, "a friction from 0 on"),
        ({"joint": -0.1}, "a joint above 0 rad"),
        ({"joint": 1e-6}, "at most 1000 boxes, got 20"),
    ],
)
def test_sizes_that_no_board_has_are_refused(sizes: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=f"hill: expected .*{words}"):
        curve("hill", arc(R, -1.0, 1.0), **sizes)


def test_a_board_of_boxes_below_a_pixel_is_seen_as_one() -> None:
    """Its boxes are compared with what is behind them together: one of .02 m has no pixel of its own."""
    board = curve("bowl", arc(R, -1.0, 1.0), joint=0.008, thickness=0.1)
    scene = Scene(
        (ball("ball", SIZE, (0.5, 0.0, R - math.sqrt(SWING**2 - 0.25)), 0, friction=0.8), *board),
        FRONT,
        gravity=(0.0, 0.0, -G),
        prompt="A ball rolls in a bowl.",
    )

    def clip_of(scene: Scene) -> Clip:
        base = make_clip(Row("falling/projectile-v1", "test", 0), RenderSpec(64, 64, 15.0))
        simulation = simulate(scene, base.times)
        picture = draw(scene, base.times, simulation.states, base.spec)
        areas = {"visible_area": picture.visible_area, "full_area": picture.full_area}
        shown = {"states": simulation.states, "contacts": simulation.contacts, "frames": picture.frames, **areas}
        return replace(base, scene=scene, **shown)

    (seen,) = check_seen(clip_of(scene))
    assert seen.state == "ok"
    faint = replace(scene, bodies=(scene.bodies[0], *(replace(box, grey=0.53) for box in board)))
    assert next(check_seen(clip_of(faint))).state == "failed"


@pytest.mark.parametrize(
    ("friction", "start"), [(0.0, 0.9), (0.8, 0.9), pytest.param(0.8, 0.4, marks=pytest.mark.slow)]
)
def test_a_ball_in_a_bowl_swings_as_a_pendulum(friction: float, start: float) -> None:
    """Sliding, one of the radius less the ball's; rolling, under 5/7 of gravity. What it loses is below the bound."""
    period, left = swing(start, friction, 0.03)
    assert period == pytest.approx(1.0, abs=0.004)
    assert 1 - 2 * start * 0.03 - 0.005 < left < 1.0


def test_what_joints_take_falls_with_their_turn() -> None:
    """Of a swing that turns by 1.8 rad; a quarter of the step takes .2 % less."""
    loss = {joint: 1 - swing(0.9, 0.0, joint)[1] for joint in (0.08, 0.04)}
    finer = 1 - swing(0.9, 0.0, 0.04, refine=4)[1]
    for joint, lost in loss.items():
        assert 0.5 * 1.8 * joint < lost < 1.8 * joint
    assert 0.45 < loss[0.04] / loss[0.08] < 0.6
    assert loss[0.04] - 0.004 < finer < loss[0.04]


@pytest.mark.parametrize("start", [0.6, 1.5])
def test_the_period_on_a_cycloid_is_that_of_any_swing(start: float) -> None:
    """4 pi sqrt(a / g) of a cycloid from a circle of radius a (Huygens 1673), on which a ball's middle slides."""
    a = 0.7
    turn = np.linspace(-2.0, 2.0, 81)
    path = a * np.stack([turn + np.sin(turn), 1 - np.cos(turn)], axis=-1)
    normal = np.stack([-np.sin(turn / 2), np.cos(turn / 2)], axis=-1)
    bowl = curve("cycloid", [(x, z) for x, z in path - SIZE * normal])
    middle = (-a * (start + math.sin(start)), a * (1 - math.cos(start)))
    times, states = motion(on(bowl, middle, 0.0), 4.0)
    k = np.flatnonzero(np.diff(np.sign(states[:, 0])))
    period = 2 * float(times[k[1]] - times[k[0]])
    assert period == pytest.approx(4 * math.pi * math.sqrt(a / G), rel=0.005)


def loops(height: float, friction: float, joint: float) -> bool:
    """True if a ball that starts `height` m above the lowest place of its middle stays on a loop beyond its top."""
    radius, slope = 1.4, 0.9  # m; rad, of the straight way down
    foot = arc(radius, -slope, -slope)[0]
    way = [(foot[0] - s * math.cos(slope), foot[1] + s * math.sin(slope)) for s in np.linspace(4.5, 0.1, 45)]
    loop = curve("loop", [*way, *arc(radius, -slope, 3.7, 90)], joint=joint)
    swing_radius = radius - SIZE
    start = swing_radius * (1 - math.cos(slope))  # height at which the loop begins
    along = (height - start) / math.sin(slope)
    x = -swing_radius * math.sin(slope) - along * math.cos(slope)
    _, states = motion(on(loop, (x, SIZE + height), friction), 2.6)
    away = np.hypot(states[:, 0], states[:, 2] - radius)
    angle = np.unwrap(np.arctan2(states[:, 0], radius - states[:, 2]))
    past = angle > 3.4
    return bool(past.any() and np.abs(away[: past.argmax()][angle[: past.argmax()] > 0] - swing_radius).max() < 0.02)


@pytest.mark.parametrize(("friction", "least"), [(0.0, 2.5), pytest.param(1.0, 2.7, marks=pytest.mark.slow)])
def test_a_loop_needs_a_start_of_so_many_radii(friction: float, least: float) -> None:
    """2.5 sliding, 2.7 rolling, of the circle of its middle, which is 1 m here; joints ask for up to 5 % more."""
    assert not loops(0.98 * least, friction, 0.03)
    assert loops(1.06 * least, friction, 0.03)


def test_a_jump_flies_as_it_is_thrown_off() -> None:
    """A ball slides down and up to a lip at .5 rad, which it leaves with the energy of its start, in a parabola."""
    start, lip = 1.0, 0.5  # rad
    out = curve("jump", arc(R, -1.3, lip))
    times, states = motion(on(out, (-SWING * math.sin(start), R - SWING * math.cos(start)), 0.0), 1.6)
    k = int((np.arctan2(states[:, 0], R - states[:, 2]) > lip).argmax())
    (x, _, z), (vx, _, vz) = states[k, :3], states[k, 7:10]
    assert math.atan2(vz, vx) == pytest.approx(lip, abs=0.03)
    assert 1 - (start + lip) * 0.03 - 0.005 < energy(states)[k] / energy(states)[0] < 1
    t = times[k:] - times[k]
    np.testing.assert_allclose(states[k:, 0], x + vx * t, atol=2e-3)
    np.testing.assert_allclose(states[k:, 2], z + vz * t - G * t**2 / 2, atol=2e-3)


def test_restitution_and_friction_are_the_same_on_many_boxes() -> None:
    """PyBullet holds the fixed bodies of a scene as multibodies or, where they are many, as rigid bodies."""
    floor = wall("floor", (3.0, 0.5, 0.1), (0.0, 0.0, -0.1), restitution=1.0, friction=1.0)
    others = tuple(wall(f"far {k}", (0.1, 0.1, 0.1), (50.0 + k, 0.0, 50.0)) for k in range(MOST_LINKED))
    thrown = ball("ball", SIZE, (-1.0, 0.0, 1.2), 0, velocity=(1.0, 0.0, 0.0), restitution=0.7, friction=0.3)
    few = Scene((thrown, floor), FRONT, gravity=(0.0, 0.0, -G))
    many = replace(few, bodies=(*few.bodies, *others))
    one, other = (motion(scene, 2.0)[1] for scene in (few, many))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_curve_is_simulated_again_and_not_fitted_joint_by_joint() -> None:
    boxes = curve("bowl", arc(R, -1.2, 1.2))
    assert scene_law(on(boxes, (0.5, R - math.sqrt(SWING**2 - 0.25)), 0.8), -HISTORY).name == "bullet"
    flat = tuple(wall(f"slab {k}", (0.5, 0.5, 0.1), (k - 1.0, 0.0, -0.1)) for k in range(3))
    assert scene_law(on(flat, (0.0, 1.0), 0.0), -HISTORY).name == "planar"
