"""Which bodies are drawn over a stage, and how deep they are."""

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
from physbench.world.styles.natural.materials import MARK, ball_marks
from physbench.world.styles.natural.movers import drawable, movers_at
from physbench.world.styles.natural.stage import stage_of

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


def test_marks_of_a_ball_are_faint_and_few() -> None:
    places = np.random.default_rng(0).normal(size=(4000, 3))
    places /= np.linalg.norm(places, axis=1)[:, None]
    marks = ball_marks(3, places)
    assert marks.min() == pytest.approx(MARK.seam_tone * (1 - MARK.gore_tone), abs=0.03) and marks.max() < 1.04
    seams = marks < 0.95
    assert 0.05 < seams.mean() < 0.3 and marks.mean() == pytest.approx(0.98, abs=0.02)
    assert (ball_marks(4, places) != marks).any(), "two balls are not marked alike"


def test_planets_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = make_scene(Row("orbits/kepler-v1", "test", 1))
    states = simulate(scene, [0.3]).states
    drawn = draw(scene, [0.3], states, RenderSpec(96, 96, 15.0, "natural")).frames
    monkeypatch.setattr("physbench.world.styles.natural.light.ball_marks", lambda seed, places: np.zeros(len(places)))
    assert np.array_equal(draw(scene, [0.3], states, RenderSpec(96, 96, 15.0, "natural")).frames, drawn)
