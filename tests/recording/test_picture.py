"""The plane of motion in a picture, and hues that are learned."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.recording.document import Ball, Point, Recording
from physbench.recording.picture import (
    Plane,
    distortion_of,
    homography_of,
    learn_hues,
    like,
    measured_outline,
    plane_of,
)
from physbench.support.arrays import Array, Image
from physbench.support.errors import UsageError
from physbench.track.colour import opponent
from physbench.world.scene import PALETTE

CORNERS = ((-1.2, 0.0), (1.2, 0.0), (1.2, 1.1), (-1.2, 1.1), (0.0, 0.5))
BALL = Ball(box=(10, 10, 30, 30))


def through_a_pinhole(metres: Array) -> Array:
    """Places (..., 2) m in the plane y = 0, seen from (0.3, -3.5, 1.4) m 14 degrees downwards; px of 848 x 480."""
    tilt = np.radians(14)
    ahead, up = np.array([0, np.cos(tilt), -np.sin(tilt)]), np.array([0, np.sin(tilt), np.cos(tilt)])
    away = np.stack([metres[..., 0], np.zeros(metres.shape[:-1]), metres[..., 1]], axis=-1) - (0.3, -3.5, 1.4)
    return np.stack([away[..., 0], -(away @ up)], axis=-1) * 900 / (away @ ahead)[..., None] + (424, 240)


def points(places: Array, px: Array) -> tuple[Point, ...]:
    return tuple(Point(px=tuple(p), m=tuple(m)) for p, m in zip(px.tolist(), places.tolist(), strict=True))


@pytest.mark.parametrize("count", [4, 5])
def test_a_homography_is_that_of_the_pinhole(count: int) -> None:
    places = np.array(CORNERS[:count])
    found = homography_of(points(places, through_a_pinhole(places)), 975)
    more = np.random.default_rng(0).uniform((-1.2, 0), (1.2, 1.1), (20, 2))
    seen = np.concatenate([more, np.ones((20, 1))], axis=1) @ found.T
    assert seen[:, :2] / seen[:, 2:] == pytest.approx(through_a_pinhole(more), abs=1e-6)


def test_a_plane_maps_to_the_picture_and_back() -> None:
    places = np.array(CORNERS)
    plane = plane_of(
        Recording(video="a", time_zero=5, points=points(places, through_a_pinhole(places)), balls=(BALL,)), 480, 848
    )
    px = np.random.default_rng(1).uniform((0, 0), (848, 480), (9, 2))
    assert plane.picture_px(plane.metres(plane.window_px(px))) == pytest.approx(px)
    assert plane.picture_px(plane.metres(plane.window_px(px))) == pytest.approx(
        plane.seen_at((480, 848), (240, 424)).picture_px(plane.metres(plane.window_px(px))) * 2
    )
    twice = plane.enlarged(2.0)
    assert twice.metres(px) == pytest.approx(2 * plane.metres(px))
    assert twice.picture_px(twice.metres(px)) == pytest.approx(plane.picture_px(plane.metres(px)))
    assert min(plane.height, plane.width) in (255, 256)


def test_a_warped_square_is_square() -> None:
    places = np.array(CORNERS)
    plane = plane_of(
        Recording(video="a", time_zero=5, points=points(places, through_a_pinhole(places)), balls=(BALL,)), 480, 848
    )
    y, x = np.mgrid[0:480, 0:848] + 0.5
    metres = plane.metres(plane.window_px(np.stack([x, y], axis=-1)))
    white = (np.abs(metres - (0.2, 0.6)) < 0.3).all(axis=-1)
    warped = plane.warp([np.repeat(np.where(white, 255, 0).astype(np.uint8)[..., None], 3, axis=2)])[0, ..., 0] / 255
    assert warped.sum() / plane.scale**2 == pytest.approx(0.36, rel=0.02)
    rows, columns = (warped > 0.5).any(1).sum(), (warped > 0.5).any(0).sum()
    assert rows == pytest.approx(columns, abs=1)


# The camera before the plane.

FOCAL = 570.0  # px; the picture of 848 x 480 is 73.3 degrees wide
POSES = {"tilted": (0.2, -2.6, 1.4, 0.0), "panned": (1.4, -2.1, 0.8, 0.0), "rolled": (0.5, -2.2, 1.8, 0.12)}


def pinhole(eye_x: float, eye_y: float, eye_z: float, roll: float) -> tuple[Array, Array]:
    """An eye (3,) that looks at (0, 0, 0.6) m, and its axes (3, 3): to the right, down and ahead."""
    eye = np.array([eye_x, eye_y, eye_z])
    ahead = (np.array([0.0, 0.0, 0.6]) - eye) / np.linalg.norm(np.array([0.0, 0.0, 0.6]) - eye)
    right = np.cross(ahead, (0, 0, 1)) / np.linalg.norm(np.cross(ahead, (0, 0, 1)))
    down = np.cross(ahead, right)
    cos, sin = np.cos(roll), np.sin(roll)
    return eye, np.array([cos * right + sin * down, cos * down - sin * right, ahead])


def seen_by(eye: Array, axes: Array, metres: Array) -> Array:
    away = (np.insert(metres, 1, 0.0, axis=-1) - eye) @ axes.T
    return np.asarray(away[..., :2] * FOCAL / away[..., 2:] + (424, 240))


def plane_by(eye: Array, axes: Array, more: dict[str, float] | None = None, reading: float = 0.0) -> Plane:
    """The plane by its corners, all read to a multiple of `reading` px."""
    px = seen_by(eye, axes, np.array(CORNERS[:4]))
    px = np.rint(px / reading) * reading if reading else px
    said = {"video": "a", "time_zero": 5, "points": points(np.array(CORNERS[:4]), px), "balls": (BALL,), **(more or {})}
    return plane_of(Recording.model_validate(said), 480, 848)


def outline(plane: Plane, eye: Array, axes: Array, centre: Array, radius: float) -> tuple[float, Array]:
    """Area and centre px of a ball in the window, by rays through 400 x 400 places around it."""
    middle, step = plane.window_px(seen_by(eye, axes, centre)), 2.5 * radius * plane.scale / 200
    places = (np.mgrid[-200:200, -200:200].reshape(2, -1).T + 0.5) * step + middle
    flat = (plane.picture_px(plane.metres(places)) - (424, 240)) / FOCAL
    rays = np.concatenate([flat, np.ones((len(flat), 1))], axis=1) @ axes
    towards = np.insert(centre, 1, 0.0) - eye
    nearest2 = towards @ towards - (rays @ towards) ** 2 / (rays**2).sum(axis=1)
    inside = places[nearest2 < radius**2]
    return len(inside) * step**2, inside.mean(axis=0)


@pytest.mark.parametrize("pose", POSES.values(), ids=POSES)
@pytest.mark.parametrize("radius", [0.11, 0.3])
def test_outlines_are_those_that_rays_draw(pose: tuple[float, ...], radius: float) -> None:
    eye, axes = pinhole(*pose)
    plane = plane_by(eye, axes)
    assert plane.focal == pytest.approx(FOCAL, rel=1e-6)
    assert plane.camera == pytest.approx((-eye[1], 2 * np.degrees(np.arctan(424 / FOCAL))), rel=1e-6)
    sight = plane.sight(radius, 2)
    assert sight is not None
    places = np.array([(-1.0, 0.7), (1.0, 0.9)])
    drawn = [outline(plane, eye, axes, place, radius) for place in places]
    true = plane.window_px(seen_by(eye, axes, places))
    off = np.array([centre for _, centre in drawn]) - true
    assert np.linalg.norm(off, axis=1).max() > 0.2  # px, which is what is to be corrected
    assert sight.centre(true + off) == pytest.approx(true, abs=0.02)
    assert sight.area(true) == pytest.approx([area for area, _ in drawn], rel=1e-3)
    for area, centre in drawn:
        assert plane.radius(area, centre) == pytest.approx(radius, rel=1e-3)
    assert np.sqrt(drawn[0][0] / np.pi) / plane.scale > 1.04 * radius


def test_a_camera_straight_before_the_plane_tells_no_focal_length() -> None:
    """Its field of view does. Unread, a ball at 25 degrees is 1.05 = cos(25 degrees)^-1/2 times as large, and more."""
    eye, axes = pinhole(0.0, -2.2, 0.6, 0.0)
    for reading in (0.0, 1.0):
        bare = plane_by(eye, axes, reading=reading)
        assert (bare.focal, bare.inverse_depth, bare.camera, bare.sight(0.11, 1)) == (None, None, None, None)
    width = 2 * np.degrees(np.arctan(424 / FOCAL))
    plane = plane_by(eye, axes, {"field_of_view": width})
    area, centre = outline(plane, eye, axes, np.array([2.2 * np.tan(np.radians(25)), 0.6]), 0.11)
    assert bare.radius(area, centre) == pytest.approx(0.11 * 1.051, rel=2e-3)
    assert plane.radius(area, centre) == pytest.approx(0.11, rel=1e-3)
    assert plane.enlarged(3.0).radius(area, centre) == pytest.approx(0.33, rel=1e-3)


@pytest.mark.parametrize(("height", "known"), [(1.4, True), (0.9, False)])
def test_a_focal_length_is_taken_where_whole_pixels_tell_it(height: float, known: bool) -> None:
    """17 degrees from above, it is known to 15 %; 7 degrees from above it may be anything from half to twice."""
    plane = plane_by(*pinhole(0.0, -2.6, height, 0.0), reading=1.0)
    assert plane.focal == (pytest.approx(FOCAL, rel=0.15) if known else None)


def test_a_camera_in_the_ball_is_refused() -> None:
    plane = plane_by(*pinhole(0.0, -2.2, 0.6, 0.0), {"field_of_view": 150.0})
    assert plane.radius(900.0, np.array([200.0, 100.0])) > 0
    with pytest.raises(UsageError, match="field_of_view the camera nearly touches the ball"):
        plane.radius(40_000.0, np.array([200.0, 100.0]))


def through_a_lens(px: Array, distortion: float) -> Array:
    """Pixels (..., 2) of 848 x 480 moved from the middle by a share of the square of their distance (Brown 1966)."""
    away = px - (424, 240)
    return np.asarray(px + distortion * (away**2).sum(-1, keepdims=True) / (424**2 + 240**2) * away)


def said_of(distortion: float, edges: int = 2) -> Recording:
    """A recording through a lens, of which pixels are read whole."""
    lath = np.linspace((-1.4, 0.0), (1.4, 0.0), 7)
    laths = [through_a_pinhole(lath + np.array([0, height])) for height in (0.0, 1.2)[:edges]]
    seen = [np.rint(through_a_lens(each, distortion)) for each in laths]
    shown = [each[((each >= 0) & (each <= (848, 480))).all(axis=1)] for each in seen]
    px = np.rint(through_a_lens(through_a_pinhole(np.array(CORNERS)), distortion))
    return Recording(
        video="a",
        time_zero=5,
        points=points(np.array(CORNERS), px),
        balls=(BALL,),
        edges=tuple(tuple(map(tuple, each.tolist())) for each in shown),
    )


@pytest.mark.parametrize("distortion", [-0.06, -0.03, 0.0, 0.03])
def test_straight_edges_tell_the_lens(distortion: float) -> None:
    plane = plane_of(said_of(distortion), 480, 848)
    assert plane.distortion.coefficient == pytest.approx(distortion, abs=0.02)
    places = np.random.default_rng(2).uniform((-1.2, 0), (1.2, 1.1), (50, 2))
    seen = through_a_lens(through_a_pinhole(places), distortion)
    assert plane.metres(plane.window_px(seen)) == pytest.approx(places, abs=0.006)  # whole pixels of 4 mm were read
    assert plane.picture_px(places) == pytest.approx(seen, abs=1.5)
    half = plane.seen_at((480, 848), (240, 424))
    assert half.picture_px(places) * 2 == pytest.approx(plane.picture_px(places))
    assert half.window_px(half.picture_px(places)) == pytest.approx(plane.window_px(plane.picture_px(places)))
    corners = np.array([[0, 0], [plane.width, 0], [plane.width, plane.height], [0, plane.height]])
    assert (plane.picture_px(plane.metres(corners)) >= -1).all()  # the window lies within the picture
    assert (plane.picture_px(plane.metres(corners)) <= (849, 481)).all()


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ([[(100, 240), (424, 240), (800, 240)]], "hardly tell the lens"),  # through the middle it stays straight
        ([[(100, 20), (110, 20), (120, 20)]], "number 1 is too short"),
        ([[(20, 100), (20, 424), (20, 800)]], r"number 1 lies outside of 848x480. Pixels are \[x, y\]"),
        ([[(-5, 20), (424, 20), (800, 20)]], "number 1 lies outside"),
        ([[(0, 230), (424, 90), (848, 230)], [(0, 250), (424, 390), (848, 250)]], "no lens of -60% to"),
        ([[(0, 20), (200, 20), (424, 60), (848, 20)], [(0, 470), (424, 470), (848, 470)]], "number 1 is .* px off"),
    ],
)
def test_edges_that_tell_no_lens_are_refused(edges: list[list[tuple[float, float]]], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        distortion_of([tuple(edge) for edge in edges], 480, 848)


@pytest.mark.parametrize(
    ("px", "words"),
    [
        ([[0, 400], [400, 400], [800, 400], [0, 0]], "lie on a line"),
        ([[0, 400], [0, 400], [800, 0], [0, 0]], "lie on a line"),
        ([[800, 400], [0, 400], [0, 0], [800, 0]], "right is left"),
        ([[0, 0], [800, 0], [800, 400], [0, 400]], "right is left"),
        ([[0, 400], [800, 0], [800, 400], [0, 0]], "no camera sees them so"),
    ],
)
def test_points_that_tell_no_plane_are_refused(px: list[list[float]], words: str) -> None:
    said = Recording(video="a", time_zero=5, points=points(np.array(CORNERS[:4]), np.array(px, float)), balls=(BALL,))
    with pytest.raises(UsageError, match=words):
        plane_of(said, 480, 848)


def test_a_fifth_point_off_the_plane_is_refused() -> None:
    px = through_a_pinhole(np.array(CORNERS))
    px[4] += 30
    with pytest.raises(UsageError, match="off the plane of the others"):
        homography_of(points(np.array(CORNERS), px), 975)


def balls(*colours: tuple[int, int, int]) -> Image:
    """A grey frame (60, 120, 3) with discs of radius 10 px at (20, 30), (80, 30), ..., dark below."""
    frame = np.full((60, 120, 3), 140.0)
    y, x = np.mgrid[0:60, 0:120] + 0.5
    for k, colour in enumerate(colours):
        inside = np.hypot(x - 20 - 60 * k, y - 30) < 10
        frame[inside] = np.array(colour) * np.where(y > 30, 0.6, 1.0)[inside][:, None]
    return frame.astype(np.uint8)


BOXES = [(8, 18, 32, 42), (68, 18, 92, 42)]


@pytest.mark.parametrize("colours", [[(40, 160, 130)], [(200, 120, 40)], [(60, 70, 160), (190, 140, 40)]])
def test_hues_become_those_of_the_palette(colours: list[tuple[int, int, int]]) -> None:
    names = ["a", "b"][: len(colours)]
    hues = learn_hues(balls(*colours), BOXES[: len(colours)], names)
    assert len(set(hues.palette)) == len(colours)
    matte = opponent(hues.matte(balls(*colours)[None])[0].astype(float))
    for k, hue in enumerate(hues.palette):
        target = opponent(np.array(PALETTE[hue]))
        for row in (25, 35):  # the lit and the dark half
            own = matte[row, 20 + 60 * k]
            assert own @ target / np.linalg.norm(own) / np.linalg.norm(target) == pytest.approx(1, abs=0.01)
        assert np.linalg.norm(matte[35, 20 + 60 * k]) > 0.7 * np.linalg.norm(matte[25, 20 + 60 * k])
        area, centre = measured_outline(hues, balls(*colours), BOXES[k], k)
        assert np.sqrt(area / np.pi) == pytest.approx(10, abs=0.3)
        assert centre == pytest.approx((20 + 60 * k, 30), abs=0.3)
    assert np.abs(matte[5, 5]).max() < 4


@pytest.mark.parametrize(
    ("frame", "boxes", "words"),
    [
        (balls(), BOXES[:1], "hardly another"),
        (balls((40, 160, 130)), [(300, 300, 320, 320)], "outside of the picture"),
        (balls((40, 160, 130), (40, 160, 130)), BOXES, "too near to be told"),
        (balls((40, 160, 130), (40, 160, 130)), BOXES[:1], "have its hue"),
    ],
)
def test_balls_that_no_hue_tells_are_refused(frame: Image, boxes: list[tuple[float, ...]], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        learn_hues(frame, boxes, ["a", "b"][: len(boxes)])  # type: ignore[arg-type]


def test_grey_is_not_like_a_ball() -> None:
    frame = balls((40, 160, 130))
    hues = learn_hues(frame, BOXES[:1], ["a"])
    assert not like(hues, np.full_like(frame, 90), 0, 0.25).any()


def test_a_field_of_view_that_the_points_contradict_is_refused() -> None:
    told = 2 * np.degrees(np.arctan(424 / FOCAL))
    pose = pinhole(0.0, -2.6, 1.4, 0.0)
    assert plane_by(*pose, {"field_of_view": told}).focal == pytest.approx(FOCAL, rel=1e-6)
    with pytest.raises(UsageError, match=rf"field_of_view: the points tell {told:.0f} degrees, not 20"):
        plane_by(*pose, {"field_of_view": 20.0})
