"""Objects that should be hidden, on tracks made from exact positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.clips.generate import make_params
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation
from physbench.score.visibility import HiddenInterval, hidden_intervals, true_trajectory
from physbench.scorers.axes.permanence import intact
from physbench.scorers.diagnostics.identity import reappearance
from physbench.tasks.moving_camera import TURN_TIME, LookAway
from physbench.track.moving_camera import path_framing
from physbench.track.tracks import Tracks
from physbench.track.visibility import VISIBLE_SHARE

Clips, Ideal = Callable[..., Clip], Callable[..., Tracks]
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
