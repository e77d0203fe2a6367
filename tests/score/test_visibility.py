"""When each object should be visible or hidden, by ground truth and by the lawful motion of a prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.clips.generate import make_params
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation
from physbench.score.visibility import (
    HiddenInterval,
    expected_visible,
    hidden_intervals,
    lawful_continuations,
    present,
    true_trajectory,
)
from physbench.scorers.axes.permanence import intact
from physbench.scorers.diagnostics.identity import reappearance
from physbench.shadowing import shadow
from physbench.tasks.moving_camera import TURN_TIME, LookAway
from physbench.track.moving_camera import path_framing
from physbench.track.tracks import Tracks
from physbench.track.visibility import VISIBLE_SHARE, truth_visible

Clips, Ideal = Callable[..., Clip], Callable[..., Tracks]
CONTEXT = 6


def observed(clip: Clip, tracks: Tracks) -> Observation:
    return Observation(clip, Rollout(clip.id, 0, clip.future()), tracks)


def expected(clip: Clip, tracks: Tracks) -> np.ndarray:
    return observed(clip, tracks).expected_visible


@pytest.mark.parametrize(
    "task", ["falling/projectile-v1", "occlusion/screen-pass-v1", "occlusion/screen-lift-v1", "orbits/flyby-v1"]
)
def test_of_truth_what_truth_shows_is_expected(clip_of: Clips, ideal: Ideal, task: str) -> None:
    """But for a frame or two at the edge of a screen or the view, where a disc of samples stands for a picture."""
    clip = clip_of(task)
    plain, found = truth_visible(clip, CONTEXT), expected(clip, ideal(clip, CONTEXT))
    assert np.count_nonzero(plain != found) <= 2 * plain.shape[1] * 2
    assert not found[:CONTEXT].any()


def test_without_a_law_truth_decides(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("falling/stack-v1")
    np.testing.assert_array_equal(expected(clip, ideal(clip, CONTEXT)), truth_visible(clip, CONTEXT))


def slowed(clip: Clip, ideal: Ideal, factor: float, gone_from: float = np.inf) -> Tracks:
    """The ball rolls on at a part of its speed from the hand-over on, hidden where the screen hides it then."""
    window = clip.window(CONTEXT)
    px, share = clip.px_positions()[window].copy(), clip.visible_share()[window]
    times = clip.times[window]
    as_if = np.interp(np.where(times > 0, factor * times, times), times, np.arange(len(times)))
    shown = np.interp(as_if, np.arange(len(times)), share[:, 0])[:, None] >= 0.25
    px = np.stack([np.interp(as_if, np.arange(len(times)), px[:, 0, axis]) for axis in (0, 1)], axis=-1)[:, None]
    shown &= (times < gone_from)[:, None]
    return ideal(clip, CONTEXT, px, shown)


def test_a_slower_ball_is_due_until_it_is_hidden_itself(clip_of: Clips, ideal: Ideal) -> None:
    """After a break nothing is excused, but its trajectory adds expected frames: it goes in later than in truth."""
    clip = clip_of("occlusion/screen-pass-v1")
    tracks = slowed(clip, ideal, 0.6)
    found, plain = expected(clip, tracks)[:, 0], truth_visible(clip, CONTEXT)[:, 0]
    more = found & ~plain
    assert more.sum() >= 3
    assert (tracks.area[more, 0] > 0).mean() > 0.8  # it is seen where it is newly expected
    assert (found >= plain).all()


def test_a_ball_that_vanishes_stays_due_where_it_would_be(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("falling/projectile-v1")
    seen = np.ones((len(clip.times[clip.window(CONTEXT)]), 1), dtype=bool)
    seen[CONTEXT + 10 :] = False
    found = expected(clip, ideal(clip, CONTEXT, clip.px_positions()[clip.window(CONTEXT)], seen))
    np.testing.assert_array_equal(found, truth_visible(clip, CONTEXT))


def leaving(clip: Clip, ideal: Ideal, gone_from: float) -> tuple[Tracks, np.ndarray]:
    """A fly-by as it is, unseen from a time on; and where the middles are out of view (C + T, K)."""
    window = clip.window(CONTEXT)
    px = clip.px_positions()[window]
    outside = (px < 0).any(axis=-1) | (px > clip.spec.width).any(axis=-1)
    shown = (clip.times[window] < gone_from)[:, None] & ~outside
    return ideal(clip, CONTEXT, px, shown), outside


def test_who_leaves_is_excused_and_who_vanishes_on_the_way_is_not(clip_of: Clips, ideal: Ideal) -> None:
    """In a clip whose truth stays in view its own trajectory decides."""
    clip = next(
        clip
        for clip in (clip_of("orbits/flyby-v1", seed=seed) for seed in range(12))
        if (np.abs(clip.plane_positions()[-1, 0]) > 2.6).any()
    )
    tracks, outside = leaving(clip, ideal, np.inf)
    states = clip.states.copy()
    states[clip.handover :, clip.tracked[0]] = states[clip.handover, clip.tracked[0]]
    stays = replace(clip, states=states, visible_area=clip.full_area)
    assert truth_visible(stays, CONTEXT)[CONTEXT:, 0].all()
    own = lawful_continuations(clip, shadow(clip, tracks))
    gone = expected_visible(stays, tracks, own, present(stays, tracks, own))[:, 0]
    np.testing.assert_array_equal(gone[CONTEXT:], ~outside[CONTEXT:, 0])
    exit_at = float(tracks.times[np.flatnonzero(outside[:, 0])[0]])
    vanished, _ = leaving(clip, ideal, exit_at - 0.6)
    own = lawful_continuations(clip, shadow(clip, vanished))
    assert expected_visible(stays, vanished, own, present(stays, vanished, own))[CONTEXT:, 0].all()


def test_how_it_goes_on_says_what_is_shown_before_and_not_what_is_shown_later(clip_of: Clips, ideal: Ideal) -> None:
    """A ball waits for 0.4 s behind the screen: the motion that fits best bends, the continued one does not."""
    clip = clip_of("occlusion/screen-pass-v1")
    window, truth = clip.window(CONTEXT), true_trajectory(clip, CONTEXT, 0)
    hidden = np.flatnonzero((truth.share < 0.05) & truth.inside & (clip.times[window] > 0))
    middle, wait = int(hidden[len(hidden) // 2]), round(0.4 * clip.spec.fps)
    at = np.arange(len(truth.share))
    at = np.where(at > middle, np.maximum(at - wait, middle), at)
    late = ideal(clip, CONTEXT, clip.px_positions()[window][at], clip.visible_share()[window][at] >= 0.25)
    own = observed(clip, late).lawful_continuations[0]
    assert own.until > hidden[0]
    onward = own.continued(int(hidden[0]))
    diameter = clip.diameters()[clip.handover, 0] * clip.pixels_per_metre
    shown = truth.inside & onward.inside & (clip.times[window] > 0)
    assert shown.sum() >= truth.inside[CONTEXT:].sum() - 1
    assert (np.linalg.norm(onward.position - truth.position, axis=-1) / diameter)[shown].max() < 0.05
    assert np.abs(onward.share - truth.share)[shown].max() < 0.15


def test_nobody_goes_on_who_was_never_seen_to(clip_of: Clips, ideal: Ideal) -> None:
    """Ground truth decides for an object that vanishes in the first predicted frame."""
    clip = clip_of("occlusion/screen-pass-v1")
    seen = np.ones((len(clip.times[clip.window(CONTEXT)]), 1), dtype=bool)
    seen[CONTEXT:] = False
    tracks = ideal(clip, CONTEXT, clip.px_positions()[clip.window(CONTEXT)], seen)
    assert observed(clip, tracks).lawful_continuations == {}
    np.testing.assert_array_equal(expected(clip, tracks), truth_visible(clip, CONTEXT))


def test_what_breaks_later_was_met_all_the_same(clip_of: Clips, ideal: Ideal) -> None:
    """One of two balls jumps up after they met: how the other goes on knows of the collision."""
    clip = clip_of("collisions/head-on-v1")
    window, times = clip.window(CONTEXT), clip.times[clip.window(CONTEXT)]
    px, diameter = clip.px_positions()[window].copy(), clip.diameters()[clip.handover] * clip.pixels_per_metre
    gap = np.linalg.norm(px[:, 0] - px[:, 1], axis=-1)
    jump = times[gap.argmin()] + 0.5
    px[times > jump, 1, 1] -= 0.5 * diameter[1]
    own = observed(clip, ideal(clip, CONTEXT, px, np.ones(px.shape[:2], dtype=bool))).lawful_continuations
    assert own[1].broken and not own[0].broken and own[1].until < own[0].until == len(times)
    onward = own[0].continued(own[0].until)
    assert np.linalg.norm(onward.position - px[:, 0], axis=-1).max() < 0.1 * diameter[0]


def test_a_segment_ends_where_its_break_is_dated(clip_of: Clips, ideal: Ideal) -> None:
    """A kick is missed some frames later. What is shown in between does not bend how the object goes on."""
    clip = clip_of("falling/projectile-v1")
    window, times = clip.window(CONTEXT), clip.times[clip.window(CONTEXT)]
    px = clip.px_positions()[window].copy()
    kick = 0.4
    px[:, 0, 0] += 0.6 * clip.pixels_per_metre * np.maximum(times - kick, 0)
    own = observed(clip, ideal(clip, CONTEXT, px, np.ones(px.shape[:2], dtype=bool))).lawful_continuations[0]
    segment = own.segments[0]
    assert own.until == segment.until < segment.first_miss and segment.unbroken
    assert times[segment.until] == pytest.approx(kick, abs=0.2)


def test_who_breaks_at_once_has_segments_all_the_same(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("occlusion/screen-pass-v1")
    own = observed(clip, slowed(clip, ideal, 0.6)).lawful_continuations[0]
    assert own.until == 0 and own.segments and not own.segments[0].unbroken


def test_what_has_no_place_for_long_is_not_there(clip_of: Clips, ideal: Ideal) -> None:
    clip = clip_of("falling/projectile-v1")
    tracks = ideal(clip, CONTEXT)
    for many, there in ((7, True), (9, False)):
        position = tracks.position.copy()
        position[CONTEXT + 2 : CONTEXT + 2 + many] = np.nan
        found = present(clip, replace(tracks, position=position), {})
        assert found[CONTEXT + 2 : CONTEXT + 2 + many].all() == there and found[CONTEXT + 2 + many :, 0].any()


C, PASS, STOP = 8, "occlusion/screen-pass-v1", "occlusion/screen-stop-v1"


def answer(clip: Clip, tracks: Tracks) -> dict[str, float | None]:
    found = intact.read(Observation(clip, Rollout(clip.id, 0, clip.future()), tracks))
    assert isinstance(found, dict)
    return {key: reading.value for key, reading in found.items()}


def true_interval(clip: Clip) -> HiddenInterval:
    return hidden_intervals(true_trajectory(clip, C, 0), 0, C)[0]


@pytest.mark.parametrize(("jump", "before"), [(0.0, 0), (0.15, 8), (0.15, 3), (0.15, 99)])
def test_a_break_before_the_interval_does_not_excuse_a_late_return(
    clip_of: Clips, ideal: Ideal, jump: float, before: int
) -> None:
    """0.3 s late, with or without a jump by a part of a diameter some frames before it is hidden, or all the time."""
    for seed in range(3):
        clip = clip_of(PASS, seed=seed)
        window, interval = clip.window(C), true_interval(clip)
        at = np.arange(len(clip.times[window]))
        middle = (interval.first + interval.last) // 2
        at = np.where(at > middle, np.maximum(at - round(0.3 * clip.spec.fps), middle), at)
        px, share = clip.px_positions()[window][at], clip.visible_share()[window][at]
        px[max(C, interval.first - before) :, :, 1] -= jump * clip.diameters()[clip.handover, 0] * clip.pixels_per_metre
        tracks = ideal(clip, C, px, share >= VISIBLE_SHARE)
        assert answer(clip, tracks)[""] == 0


def test_what_cannot_be_placed_is_not_back(clip_of: Clips, ideal: Ideal) -> None:
    """A bar of the ball's hue and area has no place."""
    clip = clip_of(PASS)
    tracks, interval = ideal(clip, C), true_interval(clip)
    assert answer(clip, tracks)["reemergence"] == 1
    position = tracks.position.copy()
    position[interval.last + 1 :] = np.nan
    found = answer(clip, replace(tracks, position=position))
    assert found["reemergence"] == 0 and (found["survival"] or 1) < 0.7


def test_who_leaves_on_the_other_side_does_not_stay_hidden(clip_of: Clips, ideal: Ideal) -> None:
    """A ball that must not come out turns round after the hand-over and rolls out of the image."""
    clip = clip_of(STOP)
    window = clip.window(C)
    px, share = clip.px_positions()[window].copy(), clip.visible_share()[window]
    steps = np.arange(1, len(px) - C + 1)[:, None, None]
    px[C:] = px[C - 1] - 2.4 * steps * (px[C - 1] - px[C - 2])
    inside = ((px > 0) & (px < clip.spec.width)).all(axis=-1)
    assert true_interval(clip).returns_at is None
    assert answer(clip, ideal(clip, C, px, (share[:1] >= VISIBLE_SHARE) & inside))["reemergence"] == 0


# The camera looks elsewhere.
def returned(clip: Clip, tracks: Tracks) -> dict[str, float | None] | None:
    """Readings of returns, None where nothing is hidden."""
    found = reappearance.read(Observation(clip, Rollout(clip.id, 0, clip.future()), tracks))
    return {key: reading.value for key, reading in found.items()} if isinstance(found, dict) else None


def test_who_is_out_of_the_picture_while_the_camera_looks_elsewhere_is_due_when_it_looks_back(
    clip_of: Clips, ideal: Ideal
) -> None:
    clip = clip_of(LookAway.id)
    window, p = clip.window(C), make_params(clip.row)
    (interval,) = hidden_intervals(true_trajectory(clip, C, 0), 0, C, away=True)
    away, back = p["away_at"], p["away_at"] + p["away_for"]
    assert away < clip.times[window][interval.first] < away + TURN_TIME
    assert interval.returns_at is not None and back < clip.times[window][interval.returns_at] < back + TURN_TIME
    assert hidden_intervals(true_trajectory(clip, C, 0), 0, C) == ()
    framing, px = path_framing(clip)[window], clip.px_positions()[window]
    seen, late = clip.visible_share()[window] >= VISIBLE_SHARE, np.arange(len(px))[:, None] > interval.last
    true = replace(ideal(clip), framing=framing)
    found = returned(clip, true)
    assert found is not None and found["returned"] == 1 and (found["unseen"] or 0) > 0.8
    assert (found[""] or 0) <= 1 / clip.spec.fps + 1e-9 and (found["place"] or 0) < 0.1
    assert answer(clip, true)["reemergence"] is None  # that is of what is behind something
    gone = returned(clip, replace(ideal(clip, C, px, seen & ~late), framing=framing))
    assert gone is not None and gone["returned"] == 0 and gone[""] is None
    aside = px + np.where(late, clip.diameters()[window] * clip.pixels_per_metre, 0)[..., None] * (1, 0)
    elsewhere = returned(clip, replace(ideal(clip, C, aside, seen), framing=framing))
    assert elsewhere is not None and elsewhere["returned"] == 1 and (elsewhere["place"] or 0) > 0.5
    # A camera that never turns hides nothing of a lawful motion.
    at_rest = np.repeat(np.eye(3)[None], len(px), axis=0)
    assert returned(clip, replace(ideal(clip, C, px, np.ones_like(seen)), framing=at_rest)) is None
