"""The parts of the tracker against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, optimize

from physbench.track import blobs, disc_fit, patches
from physbench.track.colour import HUES, UNKNOWN_HUE, colours_of, hue_shift_deg, labels, opponent
from physbench.world.scene import PALETTE

CPU = torch.device("cpu")
ALL = colours_of((0, 1, 2, 3, 4), CPU)
LEVELS = torch.tensor([150.0], dtype=torch.float64)  # of chroma


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_labels_are_nearest_hues(colour: tuple[int, int, int]) -> None:
    red, green, blue = colour
    o = opponent(np.array(colour, dtype=np.float64))
    size = float(np.linalg.norm(o))
    a, b = torch.tensor([2 * red - green - blue]), torch.tensor([green - blue])
    label = int(labels(a.to(torch.int16), b.to(torch.int16), ALL.table)[0])
    assert label == int(labels(a.float() * 4, b.float() * 4, ALL.table, 4)[0])
    if size < HUES.least - 4:
        assert label == 0
    elif size > HUES.least + 12:
        angles = np.degrees(np.arccos(np.clip(ALL.hue @ o / size, -1, 1)))
        rims = size - HUES.halo * ALL.chroma[angles > 151]  # of the opposite hue of these
        if angles.min() < 25:
            assert label == 1 << int(angles.argmin())
        elif angles.min() > 29 and (angles < 149).all() | (rims > 12).all():
            assert label == UNKNOWN_HUE
        elif angles.min() > 29 and angles.max() > 155 and (rims < -12).all():
            assert label == 0  # what sharpening leaves around an object


def test_shades_and_mixtures_with_grey_keep_their_hue() -> None:
    for k, colour in enumerate(PALETTE):
        for shade in (0.5, 0.75, 0.95):
            for grey in (0.0, 0.3, 0.5, 1.0):
                mixed = 0.6 * shade * np.array(colour) + 0.4 * grey
                o = opponent(mixed)
                shift = hue_shift_deg(np.array(2 * o[0]), np.array(o[1] / 0.8660254), ALL.hue[k])
                assert float(shift) < 1e-4


def test_duals_separate_two_hues() -> None:
    for k in range(5):
        for j in range(5):
            if j == k:
                continue
            x, y = 2 * ALL.hue[j][0], ALL.hue[j][1] / 0.8660254  # (a, b) of a unit of hue j
            own_x, own_y = 2 * ALL.hue[k][0], ALL.hue[k][1] / 0.8660254
            weight = ALL.duals[k, j].numpy()
            assert abs(weight @ [x, y]) < 1e-5
            assert weight @ [own_x, own_y] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("factor", (2, 3, 4, 8))
def test_pooling_sums_squares(factor: int) -> None:
    frames = torch.randint(0, 256, (2, 48, 53, 3), dtype=torch.uint8)
    pooled = blobs.pool(frames, factor).numpy()
    padded = np.pad(frames.numpy(), ((0, 0), (0, -48 % factor), (0, -53 % factor), (0, 0)), mode="edge").astype(int)
    n, h, w, _ = padded.shape
    assert np.array_equal(pooled, padded.reshape(n, h // factor, factor, w // factor, factor, 3).sum((2, 4)))


def test_smoothing_is_a_gaussian_of_one_pixel() -> None:
    frames = np.zeros((1, 21, 21, 3), dtype=np.uint8)
    frames[0, 9:12, 9:12] = 255
    smoothed = blobs.smooth(torch.from_numpy(frames)).numpy()[0, :, :, 0].astype(float)
    grid = np.arange(21) - 10
    assert (smoothed * grid**2).sum() / smoothed.sum() == pytest.approx(1 + 2 / 3, abs=0.1)
    expected = ndimage.gaussian_filter(frames[0, :, :, 0].astype(float), 1.0)
    assert np.abs(smoothed - expected).max() < 8


def test_components_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    maps_ = np.where(rng.random((5, 30, 40)) < 0.4, 1 << rng.integers(0, 3, (5, 30, 40)), 0).astype(np.uint8)
    found = blobs.components(maps_, 2)
    for t in range(5):
        for k in range(3):
            labelled, many = ndimage.label(maps_[t] == 1 << k, np.ones((3, 3)))
            mine = (found.frame == t) & (found.label == k + 1)
            assert mine.sum() == many
            areas = np.bincount(labelled.ravel())[1:] * 4.0
            assert np.array_equal(np.sort(found.area[mine]), np.sort(areas))
            centres = (np.array(ndimage.center_of_mass(labelled > 0, labelled, range(1, many + 1))) + 0.5)[:, ::-1] * 2
            assert np.allclose(np.sort(found.centre[mine], 0), np.sort(centres, 0))


def test_runs() -> None:
    flags = np.array([1, 1, 0, 1, 1, 1, 0, 1], dtype=bool)
    assert blobs.long_runs(flags, 3).tolist() == [False, False, False, True, True, True, False, False]


@pytest.mark.parametrize("reach", (1, 2, 3, 5))
def test_dilation_agrees_with_scipy(reach: int) -> None:
    mask = (np.random.default_rng(reach).random((3, 20, 17)) < 0.03).astype(np.uint8)
    grown = patches.dilate(torch.from_numpy(mask), reach).numpy()
    side = 2 * reach + 1
    assert np.array_equal(grown, ndimage.binary_dilation(mask, np.ones((1, side, side))))


def disc_patch(
    centre: tuple[float, float],
    radius: float,
    blur: float,
    hidden: int,
    side: int = 33,
    light: tuple[float, float, float] = disc_fit.FROM_CAMERA,
) -> patches.Patches:
    """A drawn disc, left of column `hidden` behind a screen; light as of `find_light`."""
    fine = 8
    grid = (np.arange(side * fine) + 0.5) / fine
    square = ((grid[None] - centre[0]) ** 2 + (grid[:, None] - centre[1]) ** 2) / radius**2
    right, down, falls = light
    shade = 1 + falls * (np.sqrt(np.clip(1 - square, 0, 1)) - 2 / 3)
    shade = shade + right * (grid[None] - centre[0]) / radius + down * (grid[:, None] - centre[1]) / radius
    value = np.where(square < 1, shade.clip(min=0), 0).reshape(side, fine, side, fine).mean((1, 3))
    value = ndimage.gaussian_filter(value, blur) if blur else value
    screen = np.zeros((side, side), dtype=np.uint8)
    screen[:, :hidden] = 1
    value = np.where(screen, 0, value)
    core = (value > 0.25).astype(np.uint8)
    region = patches.dilate(torch.from_numpy(core)[None], 3)
    total = value.sum()
    where = [(value * (np.arange(side) + 0.5)).sum() / total, (value * (np.arange(side) + 0.5)[:, None]).sum() / total]
    stats = torch.zeros(1, len(patches.STATS), dtype=torch.float64)
    stats[0, 1:3] = torch.tensor(where)
    return patches.Patches(
        torch.from_numpy(value * 150 * patches.STEPS_PER_LEVEL).float()[None],
        torch.from_numpy(core)[None],
        region,
        torch.zeros_like(region),
        torch.from_numpy(screen)[None],
        torch.zeros(1, 2, dtype=torch.float64),
        stats,
    )


@pytest.mark.parametrize("hidden", (0, 12, 15, 17))
@pytest.mark.parametrize("blur", (0.0, 1.0, 2.0))
def test_disc_fit_finds_the_centre_of_what_is_left(hidden: int, blur: float) -> None:
    for centre in ((16.2, 15.7), (17.4, 16.9)):
        row = disc_fit.fit([disc_fit.DiscFitJob(disc_patch(centre, 9.0, blur, hidden), LEVELS, 9.0)])[0][0].tolist()
        found = dict(zip(disc_fit.FIT, row, strict=True))
        assert np.hypot(found["x"] - centre[0], found["y"] - centre[1]) < 0.1
        assert found["amplitude"] == pytest.approx(1, abs=0.1)
        assert found["step"] < 0.05
        if blur:
            assert found["blur"] == pytest.approx(blur, abs=0.4)


@pytest.mark.parametrize("light", ((0.0, 0.0, 0.23), (0.1, -0.4, 0.1), (-0.1, -0.25, 0.53), (0.3, 0.2, 0.3)))
def test_light_is_found_on_a_whole_ball(light: tuple[float, float, float]) -> None:
    """As it was drawn. What the mean of a clipped shade is does not matter: none is clipped by much."""
    for blur, within in ((0.0, 0.03), (1.0, 0.08)):
        job = disc_fit.DiscFitJob(disc_patch((37.3, 36.8), 21.0, blur, 0, 75, light), LEVELS, 21.0)
        assert disc_fit.find_light(job)[0].tolist() == pytest.approx(light, abs=within)


@pytest.mark.parametrize("hidden", (0, 30))
@pytest.mark.parametrize("blur", (0.0, 2.0, 4.0))
def test_a_ball_lit_from_above_is_fitted_with_its_light(blur: float, hidden: int) -> None:
    """Without it the centre is drawn towards the lit side, the further the more it is blurred."""
    light, centre = (0.1, -0.4, 0.1), (37.3, 36.8)
    patch, off = disc_patch(centre, 21.0, blur, hidden, 75, light), []
    for known in (light, None):
        row = disc_fit.fit([disc_fit.DiscFitJob(patch, LEVELS, 21.0, known)])[0][0].tolist()
        off.append(np.hypot(row[0] - centre[0], row[1] - centre[1]))
    least, most = {0.0: (0.1, 0.05), 2.0: (0.5, 0.25), 4.0: (2.0, 0.6)}[blur]
    assert off[0] < most and off[1] > least


@pytest.mark.parametrize("hidden", (0, 30))
@pytest.mark.parametrize("blur", (3.0, 4.0, 4.8))
def test_large_discs_may_be_blurred_by_more(hidden: int, blur: float) -> None:
    """Of 21 px: a ball at 256 px, in a picture that was reduced by 8."""
    centre = (37.3, 36.8)
    row = disc_fit.fit([disc_fit.DiscFitJob(disc_patch(centre, 21.0, blur, hidden, 75), LEVELS, 21.0)])[0][0].tolist()
    found = dict(zip(disc_fit.FIT, row, strict=True))
    assert np.hypot(found["x"] - centre[0], found["y"] - centre[1]) < 0.2
    assert found["step"] < 0.05 and found["blur"] == pytest.approx(blur, abs=0.5)


def test_disc_fit_agrees_with_scipy_least_squares() -> None:
    patch = disc_patch((16.2, 15.7), 9.0, 0.7, 14)
    mine = disc_fit.fit([disc_fit.DiscFitJob(patch, LEVELS, 9.0)])[0][0].numpy()
    value = patch.along[0].numpy() / (150 * patches.STEPS_PER_LEVEL)
    valid = ~ndimage.binary_dilation(patch.screen[0].numpy(), np.ones((3, 3)))
    grid = np.arange(33) + 0.5

    def rest(p: np.ndarray) -> np.ndarray:
        x, y, width, amplitude = p
        away = np.hypot(grid[None] - x, grid[:, None] - y)
        u = np.clip((9.0 - away) / width, -1, 1)
        cover = 0.5 + (15 * u - 10 * u**3 + 3 * u**5) / 16
        shade = disc_fit.AMBIENT_SHARE + disc_fit.DIFFUSE_SHARE * np.sqrt(np.clip(1 - (away / 9.0) ** 2, 0, 1))
        return (value - amplitude * shade * cover)[valid]

    best = optimize.least_squares(rest, [15.0, 15.0, 2.0, 1.0]).x
    assert np.abs(mine[:2] - best[:2]).max() < 0.05
