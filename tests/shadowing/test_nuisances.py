"""What the context does not show: gravity, revealed parameters, velocities at the hand-over, a shift of all bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_scenes import again, problem
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.clips.task import own_ids
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.shadowing import shadow
from physbench.shadowing.context import body_signature, other_states, velocity_prior
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.levels import at_levels, strength
from physbench.shadowing.nuisances import best_constants, best_factor
from physbench.shadowing.observed_motion import PlacedBodies, from_states, from_tracks
from physbench.shadowing.shadow import place_bodies, scene_law_of
from physbench.support import plugins
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.world.scene import Scene

Array = NDArray[np.float64]
TASKS = '''
from physbench.clips.task import Parameter, declare
from physbench.world.scene import Body, Camera, Scene, sphere_mass


class Returned:
    """A ball comes back from a wall, half a second before the hand-over, and then meets another one."""

    id = "own/returned-v1"
    horizon = 1.4
    parameters = declare(restitution=Parameter("", "revealed", (0.4, 0.9), "of ball and walls"))

    def sample(self, rng, split):
        return {"restitution": self.parameters["restitution"].draw(rng, split)}

    def scene(self, p):
        ball = Body(
            "ball", "sphere", (0.4,), "moving", (0.7, 0.0, 0.0), velocity=(1.2, 0.0, 0.0), hue=0,
            mass=sphere_mass(0.4), restitution=p["restitution"], release=-0.75,
        )
        right, left = (
            Body(name, "box", (0.1, 1.0, 1.0), "fixed", (x, 0.0, 0.0), grey=0.3)
            for name, x in (("right", 1.5), ("left", -0.5))
        )
        return Scene((ball, right, left), Camera("top", (0.0, 0.0, 0.0)), horizon=1.4)
'''


def pulled(factor: float, position_jump: float = 0.0) -> Callable[[Scene, Array, Array], Array]:
    """Another gravity from the hand-over on, and a jump of so many m 0.2 s after it."""

    def edit(scene: Scene, times: Array, states: Array) -> Array:
        other = replace(
            scene,
            gravity=tuple(factor * g for g in scene.gravity),  # type: ignore[arg-type]
            fields=tuple(replace(field, mu=factor * field.mu) for field in scene.fields),
        )
        states = again(other, times, states, int(np.searchsorted(times, -1e-9)), lambda state: None)
        states[times > 0.2, 0, 0] += position_jump
        return states

    return edit


def image(given: Hypothesis) -> PlacedBodies:
    """What is seen of a problem after the hand-over, and in the one frame before."""
    seen = given.seen
    first = int(np.searchsorted(seen.times, -1e-9))
    place = seen.position.copy()
    place[:first] = np.nan
    return replace(seen, position=place, start=np.full(len(seen.start), first))


@pytest.mark.parametrize("task", others_slow(["falling/projectile-v1", "orbits/kepler-v1"], 1))
def test_a_wrong_pull_is_found_and_the_right_one_is_kept(task: str) -> None:
    given = problem(task, 0)
    assert best_factor(given.law, image(given)) == 1.0
    for factor in (0.7, 0.9, 1.3):
        given = problem(task, 0, pulled(factor))
        found = best_factor(given.law, image(given))
        assert found == pytest.approx(factor, rel=0.004)  # 2 % off breaks a clip at 0.03
        assert found is not None
        assert at_levels(Hypothesis(given.law, image(given), found))[0].explained == 1.0


def test_a_jump_decides_nothing_about_the_pull() -> None:
    """Before it any factor will do; after it the track is long enough to tell."""
    given = problem("falling/projectile-v1", 0, pulled(1.0, position_jump=0.3))
    assert best_factor(given.law, image(given)) == 1.0
    given = problem("falling/projectile-v1", 0, pulled(0.7, position_jump=0.3))
    assert best_factor(given.law, image(given)) == pytest.approx(0.7, rel=0.01)


def test_what_presses_onto_a_table_has_no_factor() -> None:
    given = problem("collisions/billiards-v1", 0)
    assert best_factor(given.law, given.seen) is None


def states_of(clip: Clip, factor: float, context: int) -> tuple[Array, Array]:
    """Times (T,) and states (T, N, 13) of a clip whose gravity changes at the hand-over."""
    window = clip.window(context)
    states = clip.states[window].copy()
    states = pulled(factor)(clip.scene, clip.times[window], states)
    return clip.times[window], states


def test_the_pull_is_free_where_the_context_does_not_show_it(clip_of: Callable[..., Clip]) -> None:
    clip = clip_of("falling/drop-bounce-v1")
    model = scene_law_of(clip)
    assert model is not None
    for context, free in ((1, True), (6, False)):
        seen = from_states(clip, *states_of(clip, 0.8, context), model)
        found = best_constants(clip, context, model, seen)
        assert found.factor == (pytest.approx(0.8, rel=0.05) if free else 1.0)
        assert not found.parameters


@pytest.fixture(scope="module")
def returned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clip]:
    path = tmp_path_factory.mktemp("tasks") / "unseen_tasks.py"
    path.write_text(TASKS, encoding="utf-8")
    with plugins.temporarily_registered():
        own_ids(str(path))
        rows = [Row("own/returned-v1", "test", seed) for seed in range(20)]
        fast = next(row for row in rows if make_params(row)["restitution"] > 0.75)  # it meets the second wall early
        yield make_clip(fast, render_spec(64, 15))


def test_a_revealed_parameter_is_free_where_its_event_is_not_shown(
    returned: Clip, ideal: Callable[..., Tracks]
) -> None:
    """Tracks that leave the second wall with another share of their speed than the scene's."""
    clip, own_share = returned, returned.scene.bodies[0].restitution
    other = 0.45
    model = scene_law_of(clip)
    assert model is not None
    hit = next(contact.time for contact in clip.contacts if contact.time > 0)
    late = clip.times > hit
    shift = (other / own_share - 1) * 1.2 * own_share**2 * (clip.times[late] - hit)
    px = clip.px_positions().copy()
    px[late, 0, 0] += shift * clip.pixels_per_metre
    for context, free in ((1, True), (10, False)):
        tracks = ideal(clip, context, px[clip.window(context)])
        found = best_constants(clip, context, model, from_tracks(clip, tracks, model))
        assert found.factor == 1.0
        assert dict(found.parameters) == ({"restitution": pytest.approx(other, abs=0.03)} if free else {})
    truth = best_constants(clip, 1, model, from_tracks(clip, ideal(clip, 1), model))
    assert not truth.parameters


def test_a_task_declares_how_fast_bodies_start(clip_of: Callable[..., Clip]) -> None:
    clip = clip_of("collisions/head-on-v1")
    index = tuple(i for i, body in enumerate(clip.scene.bodies) if body.role == "moving")
    range_ = velocity_prior(clip, index)
    assert range_ is not None
    for n, i in enumerate(index):
        velocity = clip.states[clip.handover, i, 7:9]
        assert range_.outside(n, velocity) == 0.0
        assert range_.outside(n, 5 * velocity) > 0.5
        assert range_.outside(n, np.zeros(2)) > 0.1  # a frozen picture


@pytest.mark.slow
def test_velocities_of_other_draws_lie_inside_what_is_declared(clip_of: Callable[..., Clip]) -> None:
    """All but one in some 300: how a ball moves that bounced before the hand-over is rarely drawn."""
    clip = clip_of("falling/projectile-v1")
    (ball,) = (i for i, body in enumerate(clip.scene.bodies) if body.role == "moving")
    range_ = velocity_prior(clip, (ball,))
    assert range_ is not None
    drawn = other_states("falling/projectile-v1", "test", body_signature(clip.scene), ball, 300)[128:]
    assert sum(range_.outside(0, state[[7, 9]]) > 0 for state in drawn) <= 2
    assert range_.outside(0, np.array([0.0, 12.0])) > 4


@pytest.mark.slow
def test_what_even_ground_truth_shows_for_a_moment_only_is_not_judged_behind_an_image() -> None:
    """A ball that rolls behind a screen within 0.2 s: an image tells no velocity, and no segment is that short."""
    clip = make_clip(Row("occlusion/screen-stop-v1", "test", 5007), render_spec(128, 30.0))
    ball = clip.tracked.index(clip.scene.index("ball"))
    assert (clip.visible_share()[clip.handover :, ball] >= 0.25).sum() <= 10
    scorers = find_scorers("consistency/shadowing")
    for context, status, quality in ((1, "not applicable", None), (16, "ok", 1.0)):
        rows, _ = score_clip(clip, Rollout(clip.id, 0, clip.future()), context, scorers)
        headline = rows[0]
        assert (headline.status, headline.quality) == (status, quality)
        assert ("too briefly to fit a segment" in headline.reason) == (context == 1)


def test_who_is_not_judged_is_never_broken_and_spoils_nobody(
    clip_of: Callable[..., Clip], ideal: Callable[..., Tracks]
) -> None:
    """One of two balls jumps by a diameter, 0.4 s after they met."""
    clip = clip_of("collisions/head-on-v1")
    model = scene_law_of(clip)
    assert model is not None
    px = clip.px_positions()[clip.window(1)].copy()
    column = clip.tracked.index(model.index[0])
    hit = next(contact.time for contact in clip.contacts if contact.time > 0)
    px[clip.times[clip.window(1)] > hit + 0.4, column, 1] += (
        clip.diameters()[clip.handover, column] * clip.pixels_per_metre
    )
    seen = place_bodies(clip, ideal(clip, 1, px), model)
    assert not seen.too_brief
    strict = Hypothesis(model, seen)
    assert any(b.body == 0 for b in at_levels(strict)[0].breaks) and strength(strict) > 0.3
    expected_visible = seen.expected_visible.copy()
    expected_visible[:, 0] = False
    spared = Hypothesis(model, replace(seen, too_brief=(0,), expected_visible=expected_visible))
    assert all(not level.breaks and level.quality == 1.0 for level in at_levels(spared))
    assert strength(spared) == 0.01


CONTEXT = 8


@cache
def true(task: str) -> tuple[Clip, Tracks]:
    clip = make_clip(Row(task, "test", 0), render_spec(128, 15.0))
    return clip, track(clip, CONTEXT, clip.frames[clip.window(CONTEXT)])


def quality(task: str, off: np.ndarray) -> float:
    """Quality of ground truth whose predicted positions are off by (T, K, 2) px."""
    clip, tracks = true(task)
    position = tracks.position.copy()
    position[CONTEXT:] += np.broadcast_to(off, position.shape)[CONTEXT:]
    found = shadow(clip, replace(tracks, position=position))
    assert found is not None
    return found.quality


@pytest.mark.parametrize("task", others_slow(("collisions/head-on-v1", "orbits/binary-v1"), 1))
def test_what_bodies_share_on_bare_ground_is_free(task: str) -> None:
    _, tracks = true(task)
    noise = np.random.default_rng(0).normal(0, 0.3, (len(tracks.times), 1, 2))
    assert quality(task, noise) > 0.97
    assert quality(task, np.array([[[1.0, -0.8]]])) > 0.95


def test_a_larger_shift_and_one_of_a_single_body_are_not() -> None:
    task = "collisions/head-on-v1"
    assert quality(task, np.array([[[3.5, 0.0]]])) < 0.9
    assert quality(task, np.array([[[1.5, 0.0], [0.0, 0.0]]])) < 0.95


def pan(task: str, px: float) -> np.ndarray:
    """A pan (T, 1, 2) by so many px/s to the left from the hand-over on."""
    _, tracks = true(task)
    return np.maximum(tracks.times, 0.0)[:, None, None] * np.array([-px, 0.0])


@pytest.mark.parametrize("task", ("collisions/head-on-v1", pytest.param("orbits/binary-v1", marks=pytest.mark.slow)))
def test_a_slow_pan_of_two_bodies_on_bare_ground_is_free(task: str) -> None:
    assert quality(task, pan(task, 0.03 * 128)) > 0.97
    assert quality(task, pan(task, 0.08 * 128)) < 0.9  # faster than a slow camera


@pytest.mark.parametrize("task", others_slow(("collisions/head-on-v1", "orbits/binary-v1"), 1))
def test_a_push_of_one_body_and_one_that_grows_are_no_pan(task: str) -> None:
    steady = pan(task, 0.03 * 128)
    assert quality(task, steady * np.array([[1.0], [0.0]])) < 0.95
    assert quality(task, steady * np.maximum(true(task)[1].times, 0.0)[:, None, None]) < 0.95


def test_what_looks_like_a_pan_of_a_lone_body_is_a_push() -> None:
    task = "falling/drop-bounce-v1"
    assert quality(task, pan(task, 0.03 * 128)) < 0.9


def test_along_a_floor_and_not_across_it() -> None:
    task = "falling/drop-bounce-v1"
    _, tracks = true(task)
    noise = np.random.default_rng(0).normal(0, 0.3, len(tracks.times))
    along, across = np.zeros((2, len(tracks.times), 1, 2))
    along[:, 0, 0] = across[:, 0, 1] = np.clip(noise, -0.9, 0.9)
    assert quality(task, along) > 0.97
    assert quality(task, 2 * across) < 0.9
