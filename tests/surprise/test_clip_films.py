"""Films of states and of tracks: what they show of an event, and the surprise of models at them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from physbench.baselines.baseline_adapter import StateConstantVelocity
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_scene
from physbench.models.protocol import PLACE, SPEED, StateCard
from physbench.rollout.in_process import InProcessEngine
from physbench.surprise.ask import ClipSurprise, observer_of, read_pair
from physbench.surprise.clip_films import (
    MOST_PLACE_ERROR,
    STATE_BASELINES,
    ClipFilms,
    coloured_places,
    place_error,
    state_films,
)
from physbench.surprise.films import POSSIBLE, film_of, film_states
from physbench.surprise.pairs import IMPOSSIBLE_KINDS, FilmPair, all_pairs, find_pairs
from physbench.track.colour import colours_of
from physbench.track.tracker import track
from physbench.validity.violations import find_acts, violate
from physbench.world.camera import pixels_per_metre

FPS, CONTEXT = 10, 3
ROW = Row("falling/projectile-v1", "test", 0)
EXAMPLE = Path(__file__).parents[2] / "examples" / "state_model.py"
CARD = StateCard("throws", fps=FPS, context_frames=CONTEXT)
JUMP, WEAK, SLOW = "teleport:0.8", "gravity:0.5", "slow-time:0.5"


def pulls() -> StateConstantVelocity:
    """The example, which knows free fall and the floor, at the rate of these films."""
    spec = importlib.util.spec_from_file_location("state_model", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: StateConstantVelocity = module.Pulls(1.0)
    model.card = CARD
    return model


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(ROW, CARD.spec)


@pytest.fixture(scope="module")
def films() -> ClipFilms:
    return state_films(ROW, CARD.spec, CONTEXT, (JUMP, WEAK, SLOW, "central-mass:0.5"))


def surprise(model: StateConstantVelocity, films: ClipFilms) -> ClipSurprise:
    with InProcessEngine(model) as engine:
        return observer_of(engine.card).ask(engine, films, 7, 1)


def test_no_window_begins_while_a_body_is_held(clip: Clip, films: ClipFilms) -> None:
    """What holds it is no state, so that every lawful model would let it fall."""
    released = max(body.release for body in clip.scene.bodies if body.release is not None)
    assert clip.times[0] < released < clip.times[films.grid.starts[0]] + 1e-9
    assert len(films.grid.times) == len(films.grid.starts) == len(films.baselines["frozen state"][POSSIBLE])


def test_a_film_is_the_clip_up_to_the_event_and_then_is_off_by_its_size(clip: Clip) -> None:
    states, event = film_states(clip, JUMP)
    late = clip.times > event + 1e-9
    np.testing.assert_array_equal(states[~late], clip.states[~late])
    first, body = int(np.flatnonzero(late)[0]), list(clip.tracked)
    off = np.linalg.norm((states - clip.states)[first, body, PLACE], axis=-1) / clip.diameters()[clip.handover]
    assert off.max() == pytest.approx(0.8, abs=0.05)  # diameters of a disc of pixels against those of the ball


def test_velocities_are_those_of_the_motion_that_is_shown(clip: Clip) -> None:
    """In slow motion at half speed things are half as fast, whatever the simulation calls their velocity."""
    states, event = film_states(clip, SLOW)
    body = states[clip.times > event + 1e-9][:, clip.tracked[0]]
    moved, mean = np.diff(body[:, PLACE], axis=0), (body[1:, SPEED] + body[:-1, SPEED]) / 2 / FPS
    assert np.median(np.abs(moved - mean).max(axis=1)) < 1e-3, "but for bounces"
    assert np.median(np.abs(moved).max(axis=1)) > 0.05


def test_what_cannot_be_is_absent_with_its_reason(films: ClipFilms) -> None:
    assert list(films.absent) == ["central-mass:0.5"] and "\n" not in films.absent["central-mass:0.5"]
    assert set(films.events) == {JUMP, WEAK, SLOW}


def test_a_model_that_knows_the_law_is_surprised_by_what_breaks_it_alone(films: ClipFilms) -> None:
    found = surprise(pulls(), films)
    assert found.failures == {}
    flies = (found.times > -0.3) & (found.times < 0.4)  # it is let go at -0.65 s and lands at 0.5 s
    assert found.films[POSSIBLE][flies].max() < 0.01, "diameters, of the steps of both integrators"
    for source in (JUMP, WEAK, SLOW):
        event = films.events[source]
        pair = FilmPair(ROW, source.partition(":")[0], 0.5, event, None, POSSIBLE, source)
        reading = read_pair(pair, found.films, found.times)
        assert reading.right == 1.0 and reading.ahead == 0.0
        before = found.times <= event + 1e-9
        np.testing.assert_array_equal(found.films[source][before], found.films[POSSIBLE][before])


@pytest.mark.parametrize(
    "card",
    [
        CARD,
        StateCard("flat", fps=FPS, context_frames=CONTEXT, columns="positions+velocities", layout="flat"),
        StateCard("px", fps=FPS, context_frames=1, columns="positions+velocities", space="plane", units="px", bodies=4),
    ],
    ids=lambda card: card.name,
)
def test_straight_lines_have_the_surprise_of_their_baseline_in_all_columns_and_units(
    films: ClipFilms, card: StateCard
) -> None:
    class Straight(StateConstantVelocity):
        def rollout_states(self, states: Tensor, *, horizon: int, **given: object) -> Tensor:
            axes = self.card.axes
            own = states.unflatten(-1, (-1, 2 * axes)) if self.card.layout == "flat" else states
            speed = own[:, -1, :, SPEED] if self.card.columns == "all" else own[:, -1, :, axes:]
            time = torch.arange(1, horizon + 1).to(states)[:, None, None] / self.card.fps
            answer = own[:, -1:, :, :axes] + speed[:, None] * time
            return answer.flatten(2) if self.card.layout == "flat" else answer

    found = surprise(Straight(card), films)
    at = np.searchsorted(films.pixel_grid.times, found.times)
    for source, values in found.films.items():
        np.testing.assert_allclose(values, films.baselines["constant velocity"][source][at], atol=1e-4)


def test_no_baseline_knows_what_comes(clip: Clip, films: ClipFilms) -> None:
    for name in STATE_BASELINES:
        before = films.pixel_grid.times <= films.events[JUMP] + 1e-9
        one, other = (films.baselines[name][source] for source in (POSSIBLE, JUMP))
        np.testing.assert_array_equal(one[before], other[before])
        assert (one != other).any()


def test_pairs_of_looks_and_controls_are_not_asked_of_states() -> None:
    every = find_pairs()
    asked = observer_of(CARD).pairs(every)
    assert 0 < len(asked) < len(every) and not any(pair.control for pair in asked)
    assert {"vanish", "hue", "blink", "size"}.isdisjoint(pair.kind for pair in asked)
    assert CARD.sight == np.inf


@pytest.mark.slow
@pytest.mark.parametrize("name", list(IMPOSSIBLE_KINDS))
def test_states_show_every_kind_that_is_asked(name: str) -> None:
    """A kind that changes how a body is drawn is one of looks, and no other kind is."""
    pair = next(pair for pair in all_pairs() if pair.kind == name)
    world = violate(make_scene(pair.row), find_acts(f"{name}:{pair.size:g}"), pair.row.id)
    assert bool(world.plan.appearances) == IMPOSSIBLE_KINDS[name].look


Clips = Callable[..., Clip]
PROJECTILE, BILLIARDS = "falling/projectile-v1", "collisions/billiards-v1"


def diameter(clip: Clip) -> float:
    """px of the first body."""
    return 2 * clip.tracked_bodies[0].size[0] * pixels_per_metre(clip.scene.camera, clip.spec)


def in_view(clip: Clip) -> np.ndarray:
    """Frames in which all of the first body is seen."""
    k = clip.tracked[0]
    return np.flatnonzero(clip.visible_area[:, k] >= 0.999 * clip.full_area[:, k])


@pytest.mark.parametrize("size", [64, 128, pytest.param(512, marks=pytest.mark.slow)])
def test_a_body_is_where_the_tracker_finds_it(clip_of: Clips, size: int) -> None:
    import torch

    clip = clip_of(PROJECTILE, size=size)
    frames = clip.frames[clip.window(4)]
    hue = clip.tracked_bodies[0].hue
    assert hue is not None
    places = coloured_places(frames, colours_of((hue,), torch.device("cpu")), np.ones(1))
    tracked = track(clip, 4, frames).position
    both = np.isfinite(tracked).all(-1) & np.isfinite(places).all(-1)
    assert both.sum() > 20
    assert np.linalg.norm(places - tracked, axis=-1)[both].max() < 0.06 * diameter(clip)


@pytest.mark.parametrize("pixels", [1, 3])
def test_a_prediction_that_is_off_is_wrong_by_so_many_diameters(clip_of: Clips, pixels: int) -> None:
    clip = clip_of(PROJECTILE)
    true = clip.frames[in_view(clip)[:6]]
    assert place_error(clip, true, true) == 0.0
    moved = np.roll(true, pixels, axis=2)
    assert place_error(clip, moved, true) == pytest.approx(pixels / diameter(clip), rel=1e-6)
    assert place_error(clip, true, moved) == place_error(clip, moved, true)


def test_what_is_seen_in_one_alone_counts_most_and_what_is_seen_in_none_nothing(clip_of: Clips) -> None:
    clip = clip_of(PROJECTILE)
    true = clip.frames[in_view(clip)[:6]]
    empty = np.full_like(true, 128)
    assert place_error(clip, empty, true) == place_error(clip, true, empty) == MOST_PLACE_ERROR
    assert place_error(clip, empty, empty) == 0.0
    far = np.roll(true, 32, axis=2)
    assert place_error(clip, far, true) == MOST_PLACE_ERROR


def test_hues_that_are_exchanged_are_bodies_elsewhere(clip_of: Clips) -> None:
    clip = clip_of(BILLIARDS)
    other = film_of(clip, "exchange:1", 4).frames
    late = slice(-3, None)
    error = place_error(clip, clip.frames[late], other[late])
    assert 2 / len(clip.tracked) * 0.9 <= error / MOST_PLACE_ERROR <= 1.0
