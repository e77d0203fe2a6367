"""Which bodies are drawn over a stage, how deep they are, and their shadows against sums over many rays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.suite import find_suite
from physbench.clips.task import builtin_task_ids
from physbench.support.errors import UsageError
from physbench.world.bullet import initial_states, simulate
from physbench.world.scene import Body, Camera, RenderSpec, Scene
from physbench.world.styles.catalogue import draw, draw_still
from physbench.world.styles.natural import materials, movers
from physbench.world.styles.natural.materials import MARK, ball_marks
from physbench.world.styles.natural.movers import (
    BallBlocker,
    Blocker,
    BoxBlocker,
    CylinderBlocker,
    Mover,
    drawable,
    hit_mover,
    lamp_light,
    lamp_share_hidden,
    movers_at,
    sky_share_hidden,
)
from physbench.world.styles.natural.rays import NOTHING_MET, hit_box
from physbench.world.styles.natural.stage import Lamp, stage_of

ROWS = [row for row in find_suite("core").rows if row.task in ("falling/incline-v1", "falling/stack-v1")]


@pytest.mark.parametrize("shape", ["sphere", "box", "cylinder"])
def test_flat_bodies_are_drawn_whatever_their_shape(shape: str) -> None:
    scenes = [make_scene(row) for row in ROWS]
    flat = [scene for scene in scenes if any(body.flat and body.shape == shape for body in scene.bodies)]
    assert flat
    for scene in flat[:4]:
        for mover in movers_at(scene, stage_of(scene), drawable(scene), 0.0, initial_states(scene)):
            reaches_back = mover.body.flat and mover.body.shape != "sphere"
            assert (np.linalg.norm(mover.deep) > 0) == reaches_back


@pytest.mark.parametrize("task", builtin_task_ids(full=True) + builtin_task_ids(actions=True))
def test_what_comes_with_physbench_can_be_drawn(task: str) -> None:
    scene = make_scene(Row(task, "test", 0))
    assert drawable(scene)


BALL = Body("ball", "sphere", (0.3,), "moving", (0.0, 0.0, 1.0), hue=0)
FLOOR = Body("ground", "plane", (), "fixed", (0.0, 0.0, 0.0))
FRONT, TOP = Camera("front", (0.0, 0.0, 2.0)), Camera("top", (0.0, 0.0, 0.0))
TILTED = (0.0, float(np.sin(0.2)), 0.0, float(np.cos(0.2)))


@pytest.mark.parametrize(
    ("camera", "bodies", "name", "reason"),
    [
        (FRONT, (replace(FLOOR, until=0.5),), "ground", "moves or vanishes"),
        (FRONT, (replace(FLOOR, orientation=TILTED),), "ground", "not level"),
        (FRONT, (FLOOR, replace(FLOOR, name="wall", orientation=TILTED)), "wall", "not level"),
        (FRONT, (FLOOR, replace(FLOOR, name="wall", position=(0.0, 0.0, 1.0))), "wall", "second plane"),
        (FRONT, (replace(FLOOR, hue=2),), "ground", "plane with a hue"),
    ],
)
def test_what_cannot_be_drawn_is_named_with_the_reason(
    camera: Camera, bodies: tuple[Body, ...], name: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=f"'{name}' cannot be drawn in the look natural: .*{reason}.*--look plain"):
        drawable(Scene((BALL, *bodies), camera))


@pytest.mark.slow
def test_boxes_that_stand_still_in_a_sky_have_the_areas_of_the_plain_look() -> None:
    grey = Body("bumper", "box", (0.3, 1.0, 0.3), "fixed", (1.0, 0.0, 0.0), grey=0.6)
    dark = Body("screen", "box", (0.4, 0.3, 0.3), "fixed", (0.0, 0.0, 1.5), grey=0.2)  # above the ball, which it hides
    scene = Scene((BALL, grey, dark), TOP)
    states = simulate(scene, np.array([0.0])).states
    plain, natural = (draw(scene, [0.0], states, RenderSpec(128, 128, 15.0, look)) for look in ("plain", "natural"))
    np.testing.assert_allclose(natural.visible_area, plain.visible_area, rtol=0.05, atol=2)
    assert natural.visible_area[0, 0] == 0 and natural.visible_area[0, 2] > 300
    rows, columns = (natural.frames[0].max(axis=-1) < 96).nonzero()
    assert len(rows) > 300 and abs(columns.mean() - 63.5) < 1 and abs(rows.mean() - 63.5) < 1


def test_what_is_not_drawn_is_not_refused() -> None:
    scene = Scene((BALL, FLOOR, replace(FLOOR, name="wall", orientation=TILTED, drawn=False)), FRONT)
    assert drawable(scene) == [0]


@pytest.mark.usefixtures("evenly_lit")
def test_marks_of_a_ball_turn_with_it_and_keep_its_hue_and_centre() -> None:
    scene = make_scene(Row("falling/projectile-v1", "test", 1))
    (ball,) = scene.tracked
    states = simulate(scene, [0.3]).states.repeat(2, axis=0)
    states[1, ball, 3:7] = (0.0, np.sin(0.3), 0.0, np.cos(0.3))  # by 34 degrees about the line of sight
    frames = draw(scene, [0.3, 0.4], states, RenderSpec(128, 128, 15.0, "natural")).frames.astype(float)
    still = draw_still(scene, RenderSpec(128, 128, 15.0, "natural")).astype(float)
    own = np.ptp(frames, axis=-1) > 80
    assert (np.abs(frames[0] - frames[1]).max(axis=-1) > 8).sum() > 0.05 * own[0].sum()
    rows, columns = np.mgrid[:128, :128] + 0.5
    places, hues = [], []
    for frame in frames:
        chroma = np.maximum(np.ptp(frame, axis=-1) - np.ptp(still, axis=-1), 0.0)
        places.append([(chroma * axis).sum() / chroma.sum() for axis in (columns, rows)])
        r, g, b = np.moveaxis(frame[np.ptp(frame, axis=-1) > 80], -1, 0)
        hues.append(np.degrees(np.median(np.arctan2(np.sqrt(3) / 2 * (g - b), r - (g + b) / 2))))
    assert np.abs(np.subtract(*places)).max() < 0.1 and abs(hues[0] - hues[1]) < 1


def test_marks_and_wear_of_a_ball_are_faint(monkeypatch: pytest.MonkeyPatch) -> None:
    places = np.random.default_rng(0).normal(size=(4000, 3))
    places /= np.linalg.norm(places, axis=1)[:, None]
    used = ball_marks(3, places)
    monkeypatch.setattr(materials, "MARK", replace(MARK, wear=0.0))
    marks = ball_marks(3, places)
    assert marks.min() == pytest.approx(MARK.seam_tone * (1 - MARK.gore_tone), abs=0.03) and marks.max() < 1.04
    seams = marks < 0.95
    assert 0.05 < seams.mean() < 0.3 and marks.mean() == pytest.approx(0.98, abs=0.02)
    wear = used / marks - 1
    assert np.abs(wear).max() <= MARK.wear and abs(wear.mean()) < 0.02 < wear.std()
    assert (ball_marks(4, places) != marks).any(), "two balls are not marked alike"


def test_planets_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = make_scene(Row("orbits/kepler-v1", "test", 1))
    states = simulate(scene, [0.3]).states
    drawn = draw(scene, [0.3], states, RenderSpec(96, 96, 15.0, "natural")).frames
    monkeypatch.setattr("physbench.world.styles.natural.light.ball_marks", lambda seed, places: np.zeros(len(places)))
    assert np.array_equal(draw(scene, [0.3], states, RenderSpec(96, 96, 15.0, "natural")).frames, drawn)


LAMP = Lamp((3.0, -4.0, 14.0), 1.7, 1.0)
TURN = np.array([0.0, np.sin(0.2), 0.0, np.cos(0.2)])
BALL_BLOCKER = BallBlocker(np.array([0.2, 0.1, 0.9]), 0.45)
BOX = BoxBlocker(np.array([0.1, 0.0, 0.9]), (0.5, 0.4, 0.25), TURN)
CYLINDER = CylinderBlocker(np.array([0.1, 0.0, 0.9]), 0.45, 0.25, TURN)
RAYS, PLACES = 10_000, 12


def blocked(blocker: Blocker, point: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Which rays (R, 3) from a point meet the body."""
    if isinstance(blocker, BoxBlocker):
        return hit_box(point, directions, blocker.centre, tuple(blocker.half), blocker.turn)[0] < NOTHING_MET
    if isinstance(blocker, CylinderBlocker):
        half = (blocker.radius, blocker.radius, blocker.half_length)
        body = Body("x", "cylinder", (blocker.radius, 2 * blocker.half_length), "moving", (0.0, 0.0, 0.0))
        mover = Mover(0, body, blocker.centre, blocker.turn, (1.0, 1.0, 1.0), half, False, np.zeros(3))
        return hit_mover(mover, point, directions)[0] < NOTHING_MET
    along = directions @ (blocker.centre - point)
    square = ((blocker.centre - point) ** 2).sum() - along**2 / (directions**2).sum(axis=1)
    return (along > 0) & (square < blocker.radius**2)


def on_disc() -> np.ndarray:
    """Points (R, 2) spread evenly over the unit disc along a spiral, each for the same area: far better than chance."""
    k = np.arange(RAYS) + 0.5
    radius, angle = np.sqrt(k / RAYS), k * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def about_up() -> np.ndarray:
    """Directions (R, 3) of the half space about z, weighted by the cosine."""
    disc = on_disc()
    return np.column_stack([disc, np.sqrt(1 - (disc**2).sum(axis=1))])


def places() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.concatenate([rng.uniform(-2, 2, (PLACES, 2)), np.zeros((PLACES, 1))], axis=1)


@pytest.mark.parametrize(("blocker", "tolerance"), [(BALL_BLOCKER, 0.01), (BOX, 0.005), (CYLINDER, 0.02)])
def test_share_of_the_lamp_is_that_of_rays(blocker: Blocker, tolerance: float) -> None:
    rng = np.random.default_rng(2)
    points = places() * [0.6, 0.6, 1] + [-0.3, 0.3, 0]
    expected, disc = [], LAMP.radius * on_disc()
    for point in points:
        way = np.asarray(LAMP.position) - point
        across = np.linalg.qr(np.column_stack([way, rng.normal(size=(3, 2))]))[0][:, 1:]
        expected.append(blocked(blocker, point, way + disc @ across.T).mean())
    found = lamp_share_hidden(blocker, points, LAMP)
    assert np.ptp(expected) > 0.9
    assert np.sqrt(np.mean((found - expected) ** 2)) < tolerance
    assert np.abs(found - expected).max() < 4 * tolerance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_shadow_falls_where_none_is_looked_for(dtype: type[np.floating]) -> None:
    points = np.random.default_rng(5).uniform(-4, 4, (20_000, 3)).astype(dtype)
    points[:2000] *= dtype(0.2)  # close to the body, and in it
    for lamp in (LAMP, Lamp((0.3, -0.5, 8.0), 2.0, 1.0)):
        everywhere = movers._lamp_behind_ball(BALL_BLOCKER, points, lamp)
        assert 0.01 < (everywhere > 0).mean() < 0.7
        assert np.abs(lamp_share_hidden(BALL_BLOCKER, points, lamp) - everywhere).max() < 1e-5


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.0, -0.8, 0.6), (1.0, 0.0, 0.0)])
@pytest.mark.parametrize("blocker", [BALL_BLOCKER, BOX, CYLINDER])
def test_share_of_the_sky_is_that_of_rays(blocker: Blocker, normal: tuple[float, float, float]) -> None:
    """Also where a body crosses the horizon of a point."""
    first = np.cross(normal, (0.0, 1.0, 0.0))
    first /= np.linalg.norm(first)
    rays = about_up() @ np.stack([first, np.cross(normal, first), normal])
    expected = [blocked(blocker, point, rays).mean() for point in places()]
    normals = np.broadcast_to(np.array(normal), (PLACES, 3))
    assert max(expected) > 0.05
    assert np.abs(sky_share_hidden(blocker, places(), normals) - expected).max() < 0.01


@pytest.mark.parametrize("gap", [0.001, 0.01, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("height", [-0.9, -0.4, 0.0, 0.3, 0.8])
def test_share_of_the_sky_beside_a_ball_is_exact_where_the_horizon_cuts_it(gap: float, height: float) -> None:
    """Of a point beside a ball: by how many radii the centre lies above its horizon, and its gap to the surface."""
    away, normal = BALL_BLOCKER.radius * (1 + gap), np.array([0.0, 0.0, 1.0])
    centre = np.array([np.sqrt(away**2 - (height * BALL_BLOCKER.radius) ** 2), 0.0, height * BALL_BLOCKER.radius])
    ball = BallBlocker(centre, BALL_BLOCKER.radius)
    expected = blocked(ball, np.zeros(3), about_up()).mean()
    assert float(sky_share_hidden(ball, np.zeros((1, 3)), normal[None])[0]) == pytest.approx(expected, abs=0.003)


def test_light_of_a_lamp_falls_to_nothing_over_its_width_at_the_horizon() -> None:
    lamp = Lamp((0.0, 0.0, 10.0), 1.0, 100.0)
    tilt = np.deg2rad([0.0, 60.0, 84.3, 90.0, 95.7, 97.0])
    normals = np.stack([np.sin(tilt), 0 * tilt, np.cos(tilt)], axis=1)
    light = lamp_light(np.zeros((6, 3)), normals, lamp)
    assert light[0] == pytest.approx(1.0, rel=0.01) and light[1] == pytest.approx(0.5, rel=0.01)
    disc = np.column_stack([on_disc(), np.full(RAYS, 10.0)])
    cosines = disc @ normals.T / np.linalg.norm(disc, axis=1)[:, None]
    assert np.allclose(light, np.maximum(cosines, 0).mean(axis=0), atol=0.003)
    assert light[-1] == 0.0
