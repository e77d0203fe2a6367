"""Films are the same until the event, and a quadruple shows every frame as often in possible films as in impossible."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.surprise.films import BACK_AGAIN, OTHER_LOOK, POSSIBLE, film_of, first_difference
from physbench.surprise.pairs import find_pairs
from physbench.validity.violations import Inapplicable
from physbench.world.scene import RenderSpec

SPEC = RenderSpec(32, 32, 10.0)


@pytest.fixture(scope="module")
def hidden_clip() -> Clip:
    return make_clip(Row("occlusion/screen-pass-v1", "test", 0), SPEC)


@pytest.fixture(scope="module")
def thrown_clip() -> Clip:
    return make_clip(Row("falling/projectile-v1", "test", 0), SPEC)


@pytest.mark.slow
def test_every_frame_of_a_quadruple_is_as_often_possible_as_impossible(hidden_clip: Clip) -> None:
    name = "return-hue:90"
    aa, ab, bb, ba = (
        film_of(hidden_clip, source, 4).frames for source in (POSSIBLE, name, name + OTHER_LOOK, name + BACK_AGAIN)
    )
    change = first_difference(aa, ab)
    assert hidden_clip.handover < change < len(aa)
    for t in range(len(aa)):  # what a film shows at t is one of two looks: both are in a possible and an impossible one
        same, other = (aa[t], bb[t]), (ab[t], ba[t])
        assert (np.array_equal(same[0], other[0]) and np.array_equal(same[1], other[1])) or (
            np.array_equal(same[0], other[1]) and np.array_equal(same[1], other[0])
        )
    assert not np.array_equal(aa[0], bb[0]) and np.array_equal(ba[0], bb[0]) and np.array_equal(ba[-1], aa[-1])
    assert first_difference(bb, ba) == change


def test_only_a_change_of_look_has_a_second_order(thrown_clip: Clip) -> None:
    with pytest.raises(Inapplicable, match="second order"):
        film_of(thrown_clip, "teleport:0.4" + BACK_AGAIN, 4)


@pytest.mark.parametrize("source", ["teleport:0.4", "gravity:0.5", "hue:90", "stranger-near", "flicker:10"])
def test_films_are_the_same_until_the_event(thrown_clip: Clip, source: str) -> None:
    film = film_of(thrown_clip, source, 4)
    first = first_difference(film.frames, thrown_clip.frames)
    event = next((p.event for p in find_pairs() if p.row == thrown_clip.row and p.impossible == source), 0.0)
    assert film.frames.shape == thrown_clip.frames.shape and first < len(film.frames)
    assert thrown_clip.times[first] > event - 1e-9 and first > thrown_clip.handover


def test_equal_films_never_differ(thrown_clip: Clip) -> None:
    assert first_difference(thrown_clip.frames, thrown_clip.frames.copy()) == len(thrown_clip.frames)
