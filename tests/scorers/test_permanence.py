"""Permanence on tracks made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from picture_styles import styled
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation
from physbench.scorers.axes.permanence import intact
from physbench.track.tracker import track
from physbench.track.tracks import Tracks, Visibility
from physbench.validity.lawful_alternatives import ahead, frames_of
from physbench.world.bullet import simulate_ensemble

Clips = Callable[..., Clip]
C, FALLING, OCCLUSION = 8, "falling/projectile-v1", "occlusion/screen-pass-v1"
COLLISION = "collisions/head-on-v1"
STOP, BRIEFLY = "occlusion/screen-stop-v1", (1, 3)  # seeds whose ball truth shows too briefly to judge behind one image


def true_tracks(clip: Clip) -> Tracks:
    return track(clip, C, clip.frames[clip.window(C)])


def read(clip: Clip, tracks: Tracks) -> dict[str, float | None]:
    answer = intact.read(Observation(clip, Rollout(clip.id, 0, clip.future()), tracks))
    assert isinstance(answer, dict)
    return {key: reading.value for key, reading in answer.items()}


@pytest.mark.parametrize(
    ("factor", "kept"), [(0.7, 0.75), (0.8, 1.0), (1.2, 1.0), (1.3, 0.75)], ids=["faded", "pale", "fat", "grown"]
)
def test_mass_must_lie_between_bounds(clip_of: Clips, factor: float, kept: float) -> None:
    clip = clip_of(FALLING)
    tracks = true_tracks(clip)
    area = tracks.area.copy()
    area[C : C + 15] *= factor  # a quarter of the 60 frames
    assert read(clip, replace(tracks, area=area))[""] == pytest.approx(kept)


@pytest.mark.parametrize(
    "name", others_slow(("bright-.6", "bright-1.4", "saturate-.6", "saturate-1.4", "contrast-10", "unsharp-1"), 3)
)
@pytest.mark.parametrize("task", (FALLING, OCCLUSION))
def test_how_pale_dark_or_sharp_a_picture_is_costs_nothing(clip_of: Clips, task: str, name: str) -> None:
    clip = clip_of(task)
    frames = np.concatenate([clip.context(C), styled(clip.future(), name, clip.spec.fps, 0)])
    assert read(clip, track(clip, C, frames))[""] == 1


@pytest.mark.parametrize(
    ("own", "style", "kept"), [(0.7, 1.0, False), (0.8, 1.0, True), (0.5, 0.6, True), (0.4, 0.6, False)]
)
def test_an_object_that_fades_alone_is_not_intact(clip_of: Clips, own: float, style: float, kept: bool) -> None:
    """Chroma that all objects lose is the picture's."""
    clip = clip_of(COLLISION)
    tracks = true_tracks(clip)
    chroma = np.ones(tracks.area.shape)
    chroma[C:] = (own, style)
    survival = read(clip, replace(tracks, chroma=chroma))["survival"]
    assert survival is not None and (survival == 1 if kept else 0.25 < survival < 0.75)  # one of two objects


@pytest.mark.parametrize(
    ("area", "chroma", "kept"), [(2.0, 0.6, 1.0), (1.37, 0.65, 1.0), (1.6, 1.0, 0.0), (1.0, 0.5, 0.0)]
)
def test_a_star_that_blur_spreads_is_the_same(clip_of: Clips, area: float, chroma: float, kept: float) -> None:
    clip = clip_of("orbits/kepler-v1")
    tracks = true_tracks(clip)
    star = [body.role for body in clip.tracked_bodies].index("fixed")
    assert tracks.chroma is not None
    change = [array.copy() for array in (tracks.area, tracks.chroma)]
    change[0][tracks.context :, star] *= area
    change[1][tracks.context :, star] *= chroma
    expected = (1 + kept) / 2  # of a star and a planet
    assert read(clip, replace(tracks, area=change[0], chroma=change[1]))["survival"] == pytest.approx(
        expected, abs=0.03
    )


def test_the_only_object_may_fade_as_far_as_a_picture_does(clip_of: Clips) -> None:
    clip = clip_of(FALLING)
    tracks = true_tracks(clip)
    for chroma, kept in ((0.45, 1.0), (0.40, 0.0)):
        assert read(clip, replace(tracks, chroma=np.full(tracks.area.shape, chroma)))[""] == kept


def test_frames_with_something_too_much_are_taken_off(clip_of: Clips) -> None:
    clip = clip_of(FALLING)
    tracks = true_tracks(clip)
    tracks.duplicates[C : C + 6] = 1
    tracks.hallucinations[C + 3 : C + 15] = 2  # in half of these frames both
    found = read(clip, tracks)
    assert found["survival"] == 1 and found["duplicates"] == pytest.approx(0.1)
    assert found["hallucinations"] == pytest.approx(0.2) and found[""] == pytest.approx(0.75)
    tracks.hallucinations[C:] = 1
    assert read(clip, tracks)[""] == 0


def test_what_is_gone_at_the_end_is_lost(clip_of: Clips) -> None:
    clip = clip_of(FALLING)
    tracks = true_tracks(clip)
    assert read(clip, tracks)["lost"] == 0
    state, area = tracks.state.copy(), tracks.area.copy()
    state[-6:], area[-6:] = Visibility.ABSENT, 0
    assert read(clip, replace(tracks, state=state, area=area))["lost"] == 1


def test_what_happens_in_the_context_does_not_count(clip_of: Clips) -> None:
    clip = clip_of(FALLING)
    tracks = true_tracks(clip)
    tracks.duplicates[:C] = 1
    assert read(clip, tracks)[""] == 1


def test_being_seen_while_hidden_is_allowed_in_a_fifth_of_the_frames(clip_of: Clips) -> None:
    clip = clip_of(OCCLUSION)
    tracks = true_tracks(clip)
    share = clip.visible_share()[clip.window(C), 0]
    hidden = np.flatnonzero((share < 0.05) & (clip.px_positions()[clip.window(C), 0, 0] > 0))
    hidden = hidden[(hidden > C) & (hidden < hidden[0] + 30)]
    for count, value in ((int(0.2 * len(hidden)), 1.0), (int(0.2 * len(hidden)) + 1, 0.0)):
        state, area = tracks.state.copy(), tracks.area.copy()
        middle = hidden[2 : 2 + count]
        state[middle], area[middle] = Visibility.VISIBLE, 80
        assert read(clip, replace(tracks, state=state, area=area))["reemergence"] == value


def test_an_object_that_never_comes_back_loses_all(clip_of: Clips) -> None:
    clip = clip_of(OCCLUSION)
    tracks = true_tracks(clip)
    share = clip.visible_share()[clip.window(C), 0]
    gone = C + int(np.argmax(share[C:] < 0.05))
    state, area = tracks.state.copy(), tracks.area.copy()
    state[gone:], area[gone:] = Visibility.ABSENT, 0
    found = read(clip, replace(tracks, state=state, area=area))
    assert found["reemergence"] == 0 and found[""] == 0 and found["survival"] > 0.1


def rolls(clip: Clip, factor: float) -> np.ndarray:
    """States (T, N, 13) of a ball that rolls on, from where the image shows it, at `factor` times its true velocity."""
    start = clip.states[clip.handover].copy()
    start[list(clip.tracked), 7:] *= factor
    return np.asarray(simulate_ensemble(clip.scene, 0.0, start[None], ahead(clip))[0])


def behind_an_image(clip: Clip, frames: np.ndarray) -> dict[str, float | None]:
    return read(clip, track(clip, 1, np.concatenate([clip.context(1), frames])))


@pytest.mark.slow
@pytest.mark.parametrize("factor", [-1.0, *(pytest.param(each, marks=pytest.mark.slow) for each in (-0.9, 0.9, 1.0))])
@pytest.mark.parametrize("seed", [BRIEFLY[0], pytest.param(BRIEFLY[1], marks=pytest.mark.slow)])
def test_a_ball_that_rolls_the_other_way_behind_an_image_keeps_all(clip_of: Clips, seed: int, factor: float) -> None:
    """Ground truth hides it after too few frames to judge any motion, so that its own motion decides."""
    clip = clip_of(STOP, seed=seed)
    found = behind_an_image(clip, frames_of(clip, rolls(clip, factor)))
    assert found[""] == found["survival"] == 1


@pytest.mark.slow
def test_nothing_is_gained_there_by_breaking_smearing_or_showing_less(clip_of: Clips) -> None:
    clip = clip_of(STOP, seed=BRIEFLY[0])
    away, times, without = rolls(clip, -1.0), ahead(clip), clip.frames[-1]
    assert clip.visible_share()[-1, 0] == 0
    shown = frames_of(clip, away)
    halted, jumped = away.copy(), away.copy()
    halted[times > 0.4] = away[times <= 0.4][-1]
    jumped[times > 0.4, 0, 0] -= np.sign(clip.states[clip.handover, 0, 7]) * clip.diameters()[clip.handover, 0] / 2
    smear = np.rint(shown[times <= 1.0].mean(axis=0)).astype(np.uint8)
    wrong = {
        "never shown": np.where(times[:, None, None, None] > 0, without, shown),
        "vanishes": np.where(times[:, None, None, None] > 0.4, without, shown),
        "smears": np.where(times[:, None, None, None] > 0.3, smear, shown),
        "stays": np.repeat(clip.context(1), len(times), axis=0),
        "halts": frames_of(clip, halted),
        "jumps": frames_of(clip, jumped),
        "is slower than the task's": frames_of(clip, rolls(clip, -0.3)),
    }
    for name, frames in wrong.items():
        assert behind_an_image(clip, frames)[""] < 0.45, name
