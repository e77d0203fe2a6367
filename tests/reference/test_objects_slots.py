"""What `objects` makes of pixels without learning: backgrounds, plates, outlines, shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from physbench.reference.objects import Painter, cut_out_objects, draw_moving_screen
from physbench.reference.objects_slots import (
    FAR,
    REACH,
    MovingScreen,
    cut_images,
    distance_to_hiding,
    estimate_background,
    fill_holes,
    outline,
    reach_and_roundness,
    reach_towards,
    read_slots,
    rim_shading,
    shift_images,
)

RED = torch.tensor([0.9, 0.1, 0.1])


def soft_box(x: float, y: float, half_x: float, half_y: float, angle: float = 0.0) -> torch.Tensor:
    """Coverage (64, 64) of a box turned by `angle`, from 8 x 8 samples in each pixel."""
    fine = (torch.arange(512) + 0.5) / 8
    dx, dy = fine[None, :] - x, fine[:, None] - y
    along, across = dx * math.cos(angle) + dy * math.sin(angle), dy * math.cos(angle) - dx * math.sin(angle)
    inside = ((along.abs() < half_x) & (across.abs() < half_y)).float()
    return inside.view(64, 8, 64, 8).mean((1, 3))


def soft_disc(x: float, y: float, radius: float) -> torch.Tensor:
    fine = (torch.arange(512) + 0.5) / 8
    inside = (torch.hypot(fine[None, :] - x, fine[:, None] - y) < radius).float()
    return inside.view(64, 8, 64, 8).mean((1, 3))


def test_what_held_a_ball_is_not_a_part_of_the_background() -> None:
    frames = torch.full((1, 8, 3, 32, 32), 0.5)
    frames[0, :2, :, 20, 8:24] = 0.2  # the holder, there in the first two frames
    frames[0, :, :, 10:20, 10:22] = RED[:, None, None]
    frames[0, 2:, :, 16:26, 10:22] = RED[:, None, None]  # the ball then falls past where it was
    found, _ = estimate_background(frames)
    assert (found - 0.5).abs().max() < 1e-5


def test_a_floor_at_the_foot_of_a_screen_is_not_taken_for_the_screen() -> None:
    picture = np.full((64, 64), 0.5, np.float32)
    picture[50:] = 0.42
    picture[30:50, 30:44] = 0.28
    points = outline(picture, 0.03)
    floor = points[(np.abs(points[:, 1] - 50) < 0.6) & (np.abs(points[:, 0] - 27) < 1.6)]
    side = points[(np.abs(points[:, 0] - 30) < 0.6) & (np.abs(points[:, 1] - 40) < 6)]
    assert len(floor) and floor[:, 4] == pytest.approx(-0.08, abs=1e-3)
    assert len(side) and side[:, 4] == pytest.approx(-0.22, abs=1e-3) and side[:, 5].min() >= 9


def test_the_depth_of_a_thin_thing_is_its_own() -> None:
    picture = np.full((64, 64), 0.5, np.float32)
    picture[60:] = 0.3
    points = outline(picture, 0.03)
    points = points[points[:, 0] < FAR / 2]
    assert points[:, 5] == pytest.approx(3.75, abs=0.5)


def test_background_is_what_lies_behind_the_balls() -> None:
    frames = torch.full((1, 3, 3, 32, 32), 0.5)
    frames[..., 20:, :] = 0.4
    truth = frames[0, 0].clone()
    for k in range(3):
        frames[0, k, :, 8:24, 2 * k : 12 + 2 * k] = RED[:, None, None]
    found, plate = estimate_background(frames)
    # What is never free is filled along the rows, since the ends of the columns differ: the floor goes on straight.
    assert (found[0] - truth).abs().max() < 1e-4
    assert not plate.cover.any()


def test_a_hole_is_filled_along_the_side_whose_ends_agree() -> None:
    picture = torch.full((2, 3, 16, 16), 0.5)
    picture[0, :, :, 8:] = 0.3  # an edge that goes down
    picture[1, :, 8:] = 0.3  # one that goes to the right
    empty = torch.zeros(2, 16, 16, dtype=torch.bool)
    empty[:, 5:11, 5:12] = True
    assert (fill_holes(torch.where(empty[:, None], torch.nan, picture), empty) - picture).abs().max() < 1e-4
    assert (fill_holes(torch.where(empty[:, None], torch.nan, picture), torch.ones_like(empty)) - 0.5).abs().max() < 0.3


@pytest.mark.parametrize("speed", [(0.0, -1.1), (0.0, 0.95), (1.3, 0.0)])
def test_a_moving_plate_is_told_from_the_background(speed: tuple[float, float]) -> None:
    frames = torch.full((1, 8, 3, 64, 64), 0.5)
    frames[..., 30:, 28:36] = 0.44  # a pedestal
    still = frames[0, 0].clone()
    for k in range(8):
        cover = soft_box(32.0 + speed[0] * (k - 4), 44.0 + speed[1] * (k - 4), 10, 8)
        frames[0, k] = torch.lerp(frames[0, k], torch.tensor(0.28), cover)
    found, plate = estimate_background(frames)
    assert plate.grey[0] == pytest.approx(0.28, abs=1e-6)
    assert plate.velocity[0].tolist() == pytest.approx(speed, abs=0.05)
    assert float((plate.cover[0] - cover).abs().max()) < 0.35  # at its rim the background counts in
    assert float((plate.cover[0] - cover).abs().mean()) < 0.01
    assert (found[0] - still).abs().mean() < 3e-3  # but for what the rim leaves


def test_what_held_a_ball_is_no_plate() -> None:
    frames = torch.full((1, 8, 3, 64, 64), 0.5)
    frames[0, :2, :, 40:44, 20:30] = 0.38
    found, plate = estimate_background(frames)
    assert not plate.cover.any()
    assert (found - 0.5).abs().max() < 1e-6


def test_outline_of_a_floor_is_exact_and_its_normals_point_up() -> None:
    picture = np.full((64, 64), 0.5, dtype=np.float32)
    picture[51:] = 0.42
    picture[50] = 0.42 * 0.3 + 0.5 * 0.7
    points = outline(picture, 0.03)
    points = points[points[:, 0] < FAR / 2]
    assert len(points) == 64
    assert np.abs(points[:, 1] - 50.7).max() < 0.25
    assert np.abs(points[:, 2:4] - [0, -1]).max() < 1e-5
    assert points[:, 4] == pytest.approx(-0.08, abs=1e-6)
    assert points[:, 5] == pytest.approx(10.0)  # goes on below for at least as far as is looked
    assert (outline(np.full((64, 64), 0.3, dtype=np.float32), 0.03)[:, 0] == FAR).all()


def test_a_wall_goes_on_behind_a_screen() -> None:
    picture = np.full((64, 64), 0.5, dtype=np.float32)
    picture[50:] = 0.45
    picture[20:50, 40:46] = 0.62
    picture[30:52, 24:42] = 0.3  # hides the foot of the wall's face
    points = outline(picture, 0.03, picture < 0.36)
    face = points[(np.abs(points[:, 0] - 40) < 0.3) & (points[:, 2] < -0.9) & (points[:, 4] > 0)]
    assert np.isin(np.arange(31, 49), np.floor(face[:, 1])).all()
    floor = points[(np.abs(points[:, 1] - 50) < 0.6) & (points[:, 3] < -0.9) & (points[:, 4] < 0)]
    assert np.isin(np.arange(26, 40), np.floor(floor[:, 0])).all()
    alone = outline(picture, 0.03)
    assert not ((np.abs(alone[:, 0] - 40) < 0.3) & (alone[:, 1] > 34)).any()


@pytest.mark.parametrize("angle", [0.0, 0.2, 0.4])
def test_reach_of_boxes_and_discs(angle: float) -> None:
    masks = torch.stack([soft_box(30.3, 31.6, 6.0, 4.0, angle), soft_disc(30.3, 31.6, 5.2)])[None]
    centre, radius = torch.tensor([[[30.3, 31.6]] * 2])[0][None], (masks.sum((2, 3)) / math.pi).sqrt()
    reach, is_round = reach_and_roundness(masks, centre, radius)
    assert is_round.tolist() == [[0.0, 1.0]]
    down = torch.tensor([-math.sin(angle), math.cos(angle)])[:, None, None, None].expand(2, 1, 2, 1)
    found = reach_towards(reach, down)[0, :, 0]
    assert float(found[0]) == pytest.approx(4.0, abs=0.3)
    assert float(found[1]) == pytest.approx(5.2, abs=0.05)
    assert reach.shape == (1, 2, REACH.directions)


def test_a_ball_is_darker_at_its_rim_than_a_cylinder() -> None:
    mask = soft_disc(32, 32, 6.0)
    y, x = torch.meshgrid(torch.arange(64) + 0.5 - 32, torch.arange(64) + 0.5 - 32, indexing="ij")
    shaded = 0.9 - 0.2 * (x * x + y * y) / 36
    light = torch.stack([shaded, torch.full_like(shaded, 0.9)])[None]
    masks = mask.expand(1, 2, 64, 64)
    found = rim_shading(light, masks, torch.full((1, 2, 2), 32.0), torch.full((1, 2), 6.0))
    assert float(found[0, 0]) == pytest.approx(0.2 / 0.83, rel=0.1)
    assert float(found[0, 1]) == pytest.approx(0.0, abs=1e-4)


def test_a_silhouette_is_moved_with_its_colour() -> None:
    mask = soft_box(20.0, 30.0, 6.0, 4.0, 0.3)[None]
    frame = torch.lerp(torch.full((1, 3, 64, 64), 0.5), RED[:, None, None], mask[:, None])
    picture = cut_images(frame, mask, RED[None])
    there = shift_images(picture, torch.tensor([[[0.0, 0.0], [15.0, 5.0], [3.5, -2.25]]]))[0]
    assert (there[0] - picture[0]).abs().max() < 1e-4
    assert (there[1, 3] - soft_box(35.0, 35.0, 6.0, 4.0, 0.3)).abs().max() < 0.01
    assert (there[2, 3] - soft_box(23.5, 27.75, 6.0, 4.0, 0.3)).abs().mean() < 0.01
    solid = there[2, 3] > 0.5
    assert (there[2, :3, solid] / there[2, 3, solid] - RED[:, None]).abs().max() < 0.02


def test_it_is_known_where_an_object_would_be_seen() -> None:
    picture, hidden = torch.full((2, 3, 64, 64), 0.5), torch.zeros(2, 64, 64)
    hidden[:, 30:50, 24:40] = 1.0
    cover = torch.zeros(2, 64, 64)
    cover[1, 10:20, 10:20] = 1.0  # what a moving plate hides is not looked into
    found = distance_to_hiding(picture, hidden, MovingScreen(cover, torch.zeros(2), torch.zeros(2, 2)))
    assert not found[0, 30:50, 24:40].any()
    assert found[0, 40, 20] == 4.0  # to the left of what hides
    assert found[0, 2, 50] == 3.0  # close to the upper border
    assert not found[1].any()


def test_the_plate_is_drawn_before_everything_and_moves_on() -> None:
    frames = torch.full((2, 3, 3, 64, 64), 0.5)
    frames[..., 20:40, 20:40] = RED[:, None, None]
    cover = torch.stack([soft_box(30.0, 50.0, 10, 8), torch.zeros(64, 64)])
    plate = MovingScreen(cover, torch.tensor([0.3, 0.0]), torch.tensor([[0.0, -2.0], [0.0, 0.0]]))
    drawn = draw_moving_screen(frames, plate, 5)
    assert torch.equal(drawn[1], frames[1])
    for k in range(3):
        there = soft_box(30.0, 50.0 - 2 * (5 + k), 10, 8)
        assert (drawn[0, k][:, there > 0.99] - 0.3).abs().max() < 1e-3
        assert torch.equal(drawn[0, k][:, there == 0], frames[0, k][:, there == 0])


def test_a_box_is_drawn_with_its_own_silhouette(net) -> None:  # type: ignore[no-untyped-def]
    colour = net.segmenter.colours[0]
    frames = torch.full((1, 8, 3, 64, 64), 0.5)
    for k in range(8):
        frames[0, k] = torch.lerp(frames[0, k], colour[:, None, None], soft_box(20.0 + k, 30.0, 7.0, 4.0, 0.3))
    slots, looks = read_slots(net.segmenter, frames, 8)
    assert slots.round[0, 0] == 0 and slots.present[0, 0] == 1
    pictures = cut_out_objects(frames, slots, looks, net.painter.colours)
    assert pictures is not None
    places = torch.tensor([[[[40.0, 35.0]]]])
    drawn = Painter().forward(places, slots, torch.zeros(1, 64, 64), pictures)[0, 0]
    truth = torch.lerp(torch.full((3, 64, 64), 0.5), colour[:, None, None], soft_box(40.0, 35.0, 7.0, 4.0, 0.3))
    assert (drawn - truth).abs().mean() < 0.004
