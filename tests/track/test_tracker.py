"""What a prediction can do to an object, drawn with numpy: each must be seen for what it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from picture_styles import sharpening
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.track import patches, tracker
from physbench.track.blobs import Choice
from physbench.track.tracker import track
from physbench.track.tracks import Tracks, Visibility
from physbench.world.scene import PALETTE, Body

CONTEXT, STEPS, EVENT = 8, 30, 20  # frames; the event comes after the hand-over at frame 7
SEEN = (Visibility.VISIBLE, Visibility.CLIPPED)


@pytest.fixture
def size() -> int:
    return 64


both_sizes = pytest.mark.parametrize("size", (64, pytest.param(128, marks=pytest.mark.slow)))


class Bench:
    """A true clip and tracks of a changed version of it."""

    def __init__(self, stages: dict, clip_of: Callable[..., Clip], size: int) -> None:
        self.stages, self.clip_of, self.size = stages, clip_of, size
        self.clip = clip_of(stages["four"](STEPS), size)
        self.truth: Tracks | None = None

    def tracks(self, **changes: object) -> Tracks:
        """Tracks when ball 0 is drawn with `changes`; the true ones are made once."""
        if changes:
            return self._made(changes)
        if self.truth is None:
            self.truth = self._made({})
        return self.truth

    def _made(self, changes: dict[str, object]) -> Tracks:
        stage = self.stages["four"](STEPS)
        stage.balls[0] = dataclasses.replace(stage.balls[0], **changes)
        frames = self.clip_of(stage, self.size).frames.copy()
        frames[:CONTEXT] = self.clip.frames[:CONTEXT]
        return track(self.clip, CONTEXT, frames)


@pytest.fixture(scope="module")
def benches() -> dict[int, Bench]:
    return {}


@pytest.fixture
def bench(stages: dict, clip_of: Callable[..., Clip], size: int, benches: dict[int, Bench]) -> Bench:
    if size not in benches:
        benches[size] = Bench(stages, clip_of, size)
    return benches[size]


def others_untouched(bench: Bench, tracks: Tracks) -> bool:
    truth = bench.tracks()
    moved = np.abs(truth.position[:, 1:] - tracks.position[:, 1:]).max()
    return bool(moved < 0.002 and (tracks.state[:, 1:] == truth.state[:, 1:]).all())


@both_sizes
def test_truth_is_seen_whole(bench: Bench) -> None:
    tracks = bench.tracks()
    assert (tracks.state == Visibility.VISIBLE).all()
    off = tracks.position - bench.clip.px_positions()
    # The drawing is a parallel projection: what the tracker takes back of the camera's perspective is left.
    assert np.abs(off).max() < 0.12
    assert (tracks.position_sd < 0.05).all()
    assert np.abs(tracks.area / bench.clip.full_area - 1).max() < 0.03
    assert np.nanmax(tracks.hue) < 1


def test_vanished_object_is_absent(bench: Bench) -> None:
    tracks = bench.tracks(shown=np.arange(STEPS) < EVENT)
    assert np.isin(tracks.state[:EVENT, 0], SEEN).all()
    assert (tracks.state[EVENT:, 0] == Visibility.ABSENT).all()
    assert np.isnan(tracks.position[EVENT:, 0]).all()
    assert (tracks.area[EVENT:, 0] == 0).all()
    assert others_untouched(bench, tracks)


def test_two_missing_frames_are_no_absence(bench: Bench) -> None:
    shown = np.ones(STEPS, dtype=bool)
    shown[EVENT : EVENT + 2] = False
    tracks = bench.tracks(shown=shown)
    assert (tracks.state[:, 0] == Visibility.VISIBLE).all()
    assert np.isnan(tracks.position[EVENT : EVENT + 2, 0]).all()


def test_object_in_a_strange_hue_is_absent_and_a_hallucination(bench: Bench) -> None:
    tracks = bench.tracks(colour=PALETTE[4])
    assert (tracks.state[CONTEXT:, 0] == Visibility.ABSENT).all()
    assert (tracks.hallucinations[CONTEXT:] == 1).all()
    assert not tracks.hallucinations[:CONTEXT].any()


def test_object_in_the_hue_of_another_is_a_duplicate_of_that(bench: Bench) -> None:
    tracks = bench.tracks(colour=PALETTE[2])
    assert (tracks.state[CONTEXT:, 0] == Visibility.ABSENT).all()
    assert (tracks.duplicates[CONTEXT:, 2] == 1).all()
    truth = bench.tracks()
    assert np.abs(tracks.position[:, 2] - truth.position[:, 2]).max() < 0.01
    assert not tracks.hallucinations.any()


@both_sizes
def test_second_blob_is_a_duplicate(bench: Bench) -> None:
    tracks = bench.tracks(twin=(-14.0, 0.0))
    assert (tracks.duplicates[CONTEXT + 4 :, 0] == 1).all()  # by then it is entirely in the picture
    off = tracks.position[:, 0] - bench.clip.px_positions()[:, 0]
    assert np.abs(off).max() < 0.15  # it stays with the one that was there


@pytest.mark.parametrize("degrees", (8, 22))
def test_hue_drift_is_measured(bench: Bench, degrees: int) -> None:
    red, angle = np.array(PALETTE[0]), np.radians(degrees)
    chroma, low = red.max() - red.min(), red.min()
    # Turning towards yellow-green in the opponent plane: o = (R - (G + B) / 2, .866 (G - B)).
    x, y = chroma * np.cos(angle), chroma * np.sin(angle)
    green_minus_blue = y / 0.8660254
    blue = low
    green = blue + green_minus_blue
    tracks = bench.tracks(colour=(x + (green + blue) / 2, green, blue))
    assert np.abs(tracks.hue[CONTEXT:, 0] - degrees).max() < 1.5
    assert (tracks.state[:, 0] == Visibility.VISIBLE).all()


@both_sizes
@pytest.mark.parametrize("scale", (0.8, 1.2))
def test_size_is_measured(bench: Bench, scale: float) -> None:
    tracks = bench.tracks(scale=np.where(np.arange(STEPS) < CONTEXT, 1.0, scale))
    ratio = tracks.area[CONTEXT:, 0] / bench.clip.full_area[CONTEXT:, 0]
    assert np.abs(ratio - scale**2).max() < 0.04
    off = tracks.position[:, 0] - bench.clip.px_positions()[:, 0]
    assert np.nanmax(np.abs(off)) < 0.15
    assert np.isfinite(off).all()


@pytest.mark.parametrize("share", (0.75, 0.5, 0.4))
def test_faded_object_loses_chroma_and_no_area(bench: Bench, share: float) -> None:
    faded = tuple(0.5 + share * (part - 0.5) for part in PALETTE[0])
    tracks = bench.tracks(colour=faded)
    ratio = tracks.area[CONTEXT:, 0] / bench.clip.full_area[CONTEXT:, 0]
    assert np.abs(ratio - 1).max() < 0.03
    assert tracks.chroma is not None
    assert np.abs(tracks.chroma[CONTEXT:, 0] - share).max() < 0.03
    assert np.abs(tracks.chroma[:, 1:] - 1).max() < 0.03
    assert np.isfinite(tracks.position[:, 0]).all()


def test_a_ghost_of_an_object_has_little_area(bench: Bench) -> None:
    faded = tuple(0.5 + 0.3 * (part - 0.5) for part in PALETTE[0])
    tracks = bench.tracks(colour=faded)
    ratio = tracks.area[CONTEXT:, 0] / bench.clip.full_area[CONTEXT:, 0]
    assert np.abs(ratio - 0.3).max() < 0.05


def test_half_a_ball_in_the_open_has_no_place(bench: Bench) -> None:
    """A part of a disc that nothing hides: its centroid is not the centre, so that no position or a fit is reported."""
    frames = bench.clip.frames.copy()
    true = bench.clip.px_positions()[:, 0]
    x = np.arange(bench.size) + 0.5
    for t in range(CONTEXT, STEPS):
        frames[t][(np.abs(x[:, None] - true[t, 1]) < bench.size / 8) & (x[None] > true[t, 0])] = 127
    tracks = track(bench.clip, CONTEXT, frames)
    off = np.linalg.norm(tracks.position[CONTEXT:, 0] - true[CONTEXT:], axis=-1)
    assert np.isnan(off).mean() > 0.5
    assert not (off > 1.0).any()
    assert np.abs(tracks.area[CONTEXT:, 0] / bench.clip.full_area[CONTEXT:, 0] - 0.5).max() < 0.1


@both_sizes
def test_hidden_ball_and_its_return(stages: dict, clip_of: Callable[..., Clip], size: int) -> None:
    clip = clip_of(stages["screen"](60), size)
    tracks = track(clip, CONTEXT, clip.frames)
    share = clip.visible_share()[:, 0]
    assert (tracks.state[share < 0.05, 0] == Visibility.OCCLUDED).all()
    assert np.isnan(tracks.position[share < 0.05, 0]).all()
    assert (tracks.state[share >= 0.25, 0] == Visibility.VISIBLE).all()
    off = np.linalg.norm(tracks.position[:, 0] - clip.px_positions()[:, 0], axis=-1)
    part = (share > 0.5) & (share < 0.95)
    assert np.isfinite(off[part]).all()
    assert np.nanmax(off) < 0.3
    assert not tracks.duplicates.any()


def test_what_is_seen_counts_where_truth_hides_it(stages: dict, clip_of: Callable[..., Clip], size: int) -> None:
    clip = clip_of(stages["screen"](60), size)
    stage = stages["screen"](60)
    stage.screens = []
    tracks = track(clip, CONTEXT, clip_of(stage, size).frames)  # a prediction that draws the ball before the screen
    hidden = clip.visible_share()[:, 0] < 0.05
    assert (tracks.state[hidden, 0] == Visibility.VISIBLE).all()
    off = tracks.position[hidden, 0] - clip.px_positions()[hidden, 0]
    assert np.nanmax(np.abs(off)) < 0.3
    assert np.isfinite(off).all()


def test_ball_behind_a_post_is_one_ball(stages: dict, clip_of: Callable[..., Clip], size: int) -> None:
    stage = stages["screen"](60)
    stage.screens = [(30.0, 4.0, 34.0, 40.0)]
    clip = clip_of(stage, size)
    tracks = track(clip, CONTEXT, clip.frames)
    assert not tracks.duplicates.any()
    assert (tracks.state[:, 0] == Visibility.VISIBLE).all()
    off = np.linalg.norm(tracks.position[:, 0] - clip.px_positions()[:, 0], axis=-1)
    assert np.nanmax(off) < 0.3
    assert np.isfinite(off).mean() > 0.8


@both_sizes
def test_crossing_and_leaving(stages: dict, clip_of: Callable[..., Clip], size: int) -> None:
    clip = clip_of(stages["crossing"](60), size)
    tracks = track(clip, CONTEXT, clip.frames)
    share, true = clip.visible_share(), clip.px_positions()
    off = np.linalg.norm(tracks.position - true, axis=-1)
    assert np.nanmax(off) < 0.5
    expected = share >= 0.25
    assert np.isnan(off[expected]).mean() < 0.1
    assert np.isin(tracks.state[expected], SEEN).all()
    leaving = (share[:, 2] > 0.25) & (share[:, 2] < 0.9)
    assert (tracks.state[leaving, 2] == Visibility.CLIPPED).all()
    assert (tracks.state[share[:, 2] == 0, 2] == Visibility.OCCLUDED).all()


def test_a_large_ball_may_be_blurred_by_more_px() -> None:
    """x, y, blur, amplitude, rms, step, share, sd, stray: of a picture that was reduced by 8, at 256 px."""
    fits = np.array([[0.0, 0.0, 3.7, 1.0, 0.06, 0.0, 0.9, 0.05, 0.0]])
    assert tracker.accepted(fits, radius=21.0).all() and not tracker.accepted(fits, radius=12.0).any()


def test_a_part_of_a_disc_is_not_more_blurred_than_whole_ones() -> None:
    """Of a ball that leaves the picture: the last fit has its centre 5 px off, and a blur that no other has."""
    fits = np.zeros((5, 9))
    fits[:, 2], fits[:, 6] = [0.2, 0.3, 2.4, 0.5, 2.3], [0.96, 0.91, 0.97, 0.57, 0.33]
    good = np.ones(5, dtype=bool)
    assert tracker._too_blurred_parts(fits, good, 14.0, 0).tolist() == [False, False, False, False, True]
    assert not tracker._too_blurred_parts(fits[3:], good[3:], 14.0, 0).any()
    assert not tracker._too_blurred_parts(fits, good, 14.0, 3).any(), "what is predicted has a blur of its own"


def test_a_part_is_compared_with_frames_near_it() -> None:
    """A prediction that grows more and more blurred, in which the ball goes behind a screen now and then."""
    fits = np.zeros((40, 9))
    fits[8:, 2] = np.linspace(0.1, 4.0, 32)
    fits[:, 6] = np.where(np.arange(40) % 8 == 7, 0.4, 0.95)
    good = np.ones(40, dtype=bool)
    assert not tracker._too_blurred_parts(fits, good, 14.0, 8).any()
    fits[31, 2] += 2.0
    assert np.flatnonzero(tracker._too_blurred_parts(fits, good, 14.0, 8)).tolist() == [31]


@pytest.mark.parametrize(
    ("shade", "amount"), others_slow([(0.5, 0.0), (0.65, 0.0), (0.8, 0.0), (0.5, 1.0), (0.8, 1.0)], 2)
)
def test_a_ball_lit_from_above_has_a_place_on_a_post(
    stages: dict, clip_of: Callable[..., Clip], shade: float, amount: float
) -> None:
    """The context tells how it is lit; from later on the light is stronger.

    amount: of sharpening of what is predicted, whose rims a fit leaves in addition.
    """
    clip = clip_of(stages["post"](24), 256)
    frames = clip.frames.astype(np.float64)
    ball = frames.max(axis=-1) - frames.min(axis=-1) > 20
    height = (4 * 24.3 - np.arange(256) - 0.5) / 24.0  # radii above the centre
    light = shade * np.where(np.arange(24) <= clip.handover, 0.7, 1.0)
    factor = 1 + ball[..., None] * (light[:, None] * height)[:, :, None, None]
    lit = np.clip(frames * factor, 0, 255).astype(np.uint8)
    if amount:
        rng = np.random.default_rng(0)
        lit[CONTEXT:] = sharpening(lit[CONTEXT:], clip.spec.fps, rng, amount=amount, sd=2.0)
    clip = dataclasses.replace(clip, spec=dataclasses.replace(clip.spec, look="natural"))
    tracks = track(clip, CONTEXT, lit)
    off = np.linalg.norm(tracks.position - clip.px_positions(), axis=-1)
    assert np.isfinite(off).all()
    assert off.max() < 0.5


def blobs_of(area: np.ndarray, radius: float) -> tuple[tracker.BlobMeasurements, tracker.TrueAreas]:
    """A disc that moves by a px a frame, measured with areas (N,) px; no context."""
    frames, full = len(area), np.pi * radius**2
    choice = Choice(*np.zeros((6, 1)))  # type: ignore[arg-type]
    none = np.zeros((frames, 1))
    stats = np.zeros((frames, 1, len(patches.STATS)))
    stats[:, 0, tracker.X] = np.arange(frames)
    seen = tracker.BlobMeasurements(choice, stats, none, area[:, None], none, none, none, none)
    same = np.full((frames, 1), full)
    body = Body("a", "sphere", (1.0,), "moving", (0.0, 0.0, 0.0))
    middle = np.zeros(2)
    return seen, tracker.TrueAreas(
        ("a",), np.arange(frames) / 15, 0, (body,), same, same, middle, 1.0, (0, 2), 15, (None,)
    )


def test_edge_noise_tells_how_far_noisy_outlines_move_a_centre() -> None:
    # Outlines of 36 independent points: area and centre by the shoelace formulae, as in the closed form.
    rng, radius = np.random.default_rng(0), 5.0
    angle = np.arange(36) * 2 * np.pi / 36
    off = rng.normal(0, 0.5, (400, 36))
    area = np.pi * radius**2 + radius * off.sum(axis=1) * angle[1]
    centre = (off @ np.stack([np.cos(angle), np.sin(angle)], axis=1)) * angle[1] / np.pi
    found = tracker.edge_noise(*blobs_of(area, radius), [np.ones(400)], 1.0)
    assert found / tracker.TOGETHER == pytest.approx(centre.std(), rel=0.1)


def test_neither_a_size_nor_its_slow_change_is_edge_noise() -> None:
    radius, time = 5.0, np.arange(60) / 15
    for ratio in (np.full(60, 0.9), 1 - 0.05 * time):
        area = np.pi * radius**2 * ratio
        assert tracker.edge_noise(*blobs_of(area, radius), [np.ones(60)], 1.0) == 0
