"""Predictability where the context leaves something open, against closed forms: tasks made for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.clips.task import find_task, own_ids
from physbench.laws.scene_law import scene_law
from physbench.score import predictability
from physbench.score.predictability import ensemble_positions, ensemble_states, first_time_beyond, spread
from physbench.shadowing import context as context_information
from physbench.shadowing import nuisances
from physbench.shadowing.shadow import shadow
from physbench.support import plugins
from physbench.world.bullet import simulate_ensemble
from physbench.world.scene import Scene

TASKS = '''
from physbench.clips.task import Parameter, declare, draw
from physbench.world.scene import Body, Camera, Scene, sphere_mass

RADIUS, GRAVITY = 0.2, 9.81


class Glide:
    """A ball moves straight on; nothing acts on it."""

    id = "own/glide-v1"
    parameters = declare(speed=Parameter("m/s", "visible", (0.2, 0.7), "to the right"))
    velocity = staticmethod(lambda speed: (speed, 0.0, 0.0))

    def sample(self, rng, split):
        return draw(self.parameters, rng, split, lambda p: True)

    def scene(self, p):
        v = self.velocity(p["speed"])
        start = tuple(-2 * part for part in v)  # in the middle at the hand-over
        ball = Body("ball", "sphere", (RADIUS,), "moving", start, velocity=v, hue=0, mass=sphere_mass(RADIUS))
        return Scene((ball,), Camera("top", (0.0, 0.0, 0.0)), horizon=4.0)


class Either(Glide):
    """To the right or to the left."""

    id = "own/either-v1"
    parameters = declare(speed=Parameter("m/s", "visible", (0.6, 0.7), "to the right", signed=True))


class Slide:
    """A box slides over a floor whose friction nothing shows."""

    id = "own/slide-v1"
    kind = "free"
    parameters = declare(friction=Parameter("", "free", (0.05, 0.25), "of the box on the floor"))

    def sample(self, rng, split):
        return draw(self.parameters, rng, split, lambda p: True)

    def scene(self, p):
        box = Body(
            "box", "box", (0.25, 0.25, 0.25), "moving", (-2.0, 0.0, 0.25), velocity=(4.0, 0.0, 0.0), hue=0, mass=1.0,
            restitution=0.0, friction=p["friction"], release=-0.3, flat=True,
        )
        floor = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), friction=1.0)
        camera = Camera("front", (0.0, 0.0, 2.0))
        return Scene((box, floor), camera, gravity=(0.0, 0.0, -GRAVITY), horizon=2.0, free=("friction",))


class Shown(Slide):
    """The same, but the friction is revealed before the hand-over."""

    id = "own/shown-v1"
    parameters = declare(friction=Parameter("", "revealed", (0.05, 0.25), "of the box on the floor"))

    def scene(self, p):
        from dataclasses import replace
        return replace(Slide.scene(self, p), free=())


class Pushed(Slide):
    """The same, and pushed on a second after the hand-over."""

    id = "own/pushed-v1"

    def scene(self, p):
        from dataclasses import replace
        from physbench.world.scene import Impulse
        push = Impulse(1.0, "box", (1.0, 0.0, 0.0))
        return replace(Slide.scene(self, p), impulses=(push,), prompt="pushed", prompt_unpushed="left alone")


class Spun(Glide):
    """A ball turns about the axis of the view, how fast cannot be seen."""

    id = "own/spun-v1"
    parameters = declare(spin=Parameter("rad/s", "free", (1.0, 9.0), "about the vertical"))

    def scene(self, p):
        ball = Body(
            "ball", "sphere", (RADIUS,), "moving", (0.0, 0.0, 0.0), velocity=(0.1, 0.0, 0.0),
            spin=(0.0, 0.0, p["spin"]), hue=0, mass=sphere_mass(RADIUS),
        )
        return Scene((ball,), Camera("top", (0.0, 0.0, 0.0)), horizon=1.0)


class Bounced(Glide):
    """A ball comes back from a wall, half a second before the hand-over, with what the wall leaves it."""

    id = "own/bounced-v1"
    parameters = declare(restitution=Parameter("", "revealed", (0.4, 0.9), "of ball and wall"))

    def scene(self, p):
        ball = Body(
            "ball", "sphere", (RADIUS,), "moving", (-0.5, 0.0, 0.0), velocity=(1.0, 0.0, 0.0), hue=0,
            mass=sphere_mass(RADIUS), restitution=p["restitution"],
        )
        wall = Body("wall", "box", (0.1, 1.0, 1.0), "fixed", (1.0 + RADIUS + 0.1, 0.0, 0.0), grey=0.3)
        return Scene((ball, wall), Camera("top", (0.0, 0.0, 0.0)), horizon=2.0)
'''


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    path = tmp_path_factory.mktemp("tasks") / "unknown_tasks.py"
    path.write_text(TASKS, encoding="utf-8")
    with plugins.temporarily_registered():
        own_ids(str(path))
        yield


def clip_of(name: str, seed: int = 0, change: str = "") -> Clip:
    return make_clip(Row(f"own/{name}-v1", "test", seed, change), render_spec(64, 15))


def test_an_unknown_speed_spreads_the_places_linearly() -> None:
    """Speeds uniform in [a, b]: 80 % lie within 0.4 (b - a) of their median, so that T_p = d / (0.4 (b - a))."""
    clip = clip_of("glide")
    velocities = ensemble_states(clip, 1)[:, 0, 7]
    assert 0.2 <= velocities.min() < 0.28 and 0.62 < velocities.max() <= 0.7
    ahead = clip.times[clip.handover + 1 :]
    off = np.percentile(np.abs(velocities - np.median(velocities)), 80)
    np.testing.assert_allclose(spread(clip, 1)[:, 0] * 0.4, off * ahead, atol=0.004)  # of 1 mm of noise
    seconds = first_time_beyond(clip, 1, spread(clip, 1))
    assert seconds == pytest.approx(0.4 / off, abs=1.1 / 15)
    assert seconds == pytest.approx(0.4 / (0.4 * 0.5), rel=0.25)  # 2 s; 32 members
    assert first_time_beyond(clip, 8, spread(clip, 8)) == clip.scene.horizon  # eight frames tell the speed


def test_a_direction_that_the_task_draws_is_unknown() -> None:
    """To the right or to the left at 0.65 m/s: most members are twice that away from the rest, or once from nothing."""
    clip = clip_of("either")
    velocities = ensemble_states(clip, 1)[:, 0, 7]
    assert 8 <= np.count_nonzero(velocities > 0) <= 24
    seconds = first_time_beyond(clip, 1, spread(clip, 1))
    off = np.percentile(np.abs(velocities - np.median(velocities)), 80)
    assert seconds == pytest.approx(0.4 / off, abs=1.1 / 15)
    assert 0.28 < seconds < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("context", [1, 5])
def test_an_unknown_friction_spreads_the_places_quadratically(context: int) -> None:
    """Uniform in 0.05 .. 0.25 and v > mu g t: T_p = sqrt(2 d / (0.08 g)) = 1.2 s where the video tells the speed."""
    clip = clip_of("slide")
    box, index = clip.tracked_bodies[0], clip.tracked[0]
    scenes = context_information.possible_scenes(clip, 5)
    frictions = np.array([scene.bodies[index].friction for scene in scenes])
    assert (
        len(frictions) == context_information.MEMBERS
        and 0.05 <= frictions.min() < 0.08
        and 0.22 < frictions.max() <= 0.25
    )
    paths = ensemble_positions(clip, context)[:, :, index, 0]
    states = ensemble_states(clip, context)[:, index]
    ahead = clip.times[clip.handover + 1 :]
    braked = frictions[:, None] * 9.81
    stop = states[:, 7, None] / braked
    time = np.minimum(ahead, stop)
    np.testing.assert_allclose(paths, states[:, :1] + states[:, 7, None] * time - braked * time**2 / 2, atol=1e-6)
    if context > 1:
        off = np.percentile(np.abs(frictions - np.median(frictions)), 80)
        diameter = clip.diameters()[clip.handover, 0]
        expected = np.sqrt(2 * diameter / (9.81 * off))
        assert first_time_beyond(clip, context, spread(clip, context)) == pytest.approx(expected, abs=2.2 / 15)
        assert expected == pytest.approx(np.sqrt(2 * diameter / (9.81 * 0.08)), rel=0.15)
        assert box.friction not in frictions


@pytest.mark.slow
def test_closed_forms_of_unknown_friction_are_what_the_simulation_gives() -> None:
    clip = clip_of("slide")
    ahead = clip.times[clip.handover + 1 :]
    states, paths = ensemble_states(clip, 5), ensemble_positions(clip, 5)
    for m, scene in enumerate(context_information.possible_scenes(clip, 5)[:3]):
        simulated = simulate_ensemble(scene, 0.0, states[m : m + 1], ahead)[0, :, 0, 0]
        assert np.abs(simulated - paths[m, :, 0, 0]).max() < 0.01


def test_what_is_revealed_is_unknown_where_the_context_does_not_show_it() -> None:
    clip = clip_of("shown")  # it is the motion that tells
    assert context_information.unknown_parameters(clip, 2) == ()
    assert context_information.unknown_parameters(clip, 1) == ("friction",)
    assert context_information.unknown_parameters(clip_of("glide"), 1) == ()  # seen in size, grey, hue or a video
    assert context_information.unknown_parameters(clip_of("slide"), 5) == ("friction",)


def test_what_a_touch_reveals_is_known_if_the_touch_lies_in_the_context() -> None:
    """A ball meets a wall 0.5 s before the hand-over: 15 frames/s show it from 9 frames on."""
    clip = clip_of("bounced")
    assert [round(contact.time, 1) for contact in clip.contacts] == [-0.5]
    assert context_information.unknown_parameters(clip, 8) == ("restitution",)
    assert context_information.unknown_parameters(clip, 10) == ()
    scenes, states = zip(*predictability.ensemble(clip, 8), strict=True)
    assert len({scene.bodies[0].restitution for scene in scenes}) == context_information.MEMBERS
    assert all(scene is clip.scene for scene, _ in predictability.ensemble(clip, 10))
    np.testing.assert_array_equal(np.stack(states), ensemble_states(clip, 8))


@pytest.mark.slow
def test_a_touch_in_the_last_frames_does_not_make_an_image_of_a_video() -> None:
    """What came before tells the speed; another ball that nothing touched says nothing else."""
    clip = clip_of("bounced")
    late = replace(clip, contacts=(replace(clip.contacts[0], time=-0.01),))
    assert not predictability._is_image(late, 8)
    assert predictability._is_image(late, 1)
    known = ensemble_states(late, 8)[:, 0, 7]
    assert known.std() < 0.05 < ensemble_states(late, 1)[:, 0, 7].std()


def test_members_of_an_ensemble_are_what_its_paths_are_made_of() -> None:
    clip = clip_of("slide")
    ahead = clip.times[clip.handover + 1 :]
    paths = ensemble_positions(clip, 5)
    for m, (scene, state) in enumerate(predictability.ensemble(clip, 5)[:3]):
        simulated = simulate_ensemble(scene, 0.0, state[None], ahead)[0, :, 0, 0]
        assert np.abs(simulated - paths[m, :, 0, 0]).max() < 0.01


def test_a_draw_that_is_never_accepted_is_the_own_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clip_of("slide")
    task = type(find_task(clip.row.task))
    monkeypatch.setattr(task, "accepts", lambda self, params: False, raising=False)
    context_information._possible.cache_clear()
    assert set(context_information.possible_scenes(clip, 5)) == {clip.scene}
    context_information._possible.cache_clear()


@pytest.mark.slow
def test_speeds_are_those_of_draws_with_the_same_bodies() -> None:
    """A ball, a cylinder or a box: each rolls or slides at speeds of its own."""
    task = "falling/incline-v1"
    bodies = context_information.body_signature(make_scene(Row(task, "test", 0)))
    scenes = context_information.other_scenes(task, "test", bodies)
    assert len(scenes) == context_information.MEMBERS and {
        context_information.body_signature(scene) for scene in scenes
    } == {bodies}
    assert (
        len({context_information.body_signature(scene) for scene in context_information.other_scenes(task, "test")})
        == 3
    )
    assert context_information.other_states(task, "test", bodies, 0).shape == (context_information.MEMBERS, 13)
    strange = (("nothing", "moving", "sphere"),)
    assert context_information.other_states("collisions/head-on-v1", "test", strange, 0).shape == (0, 13)


def test_the_middle_of_what_is_unknown_does_not_depend_on_the_truth() -> None:
    frictions = {context_information.middle_scene(clip_of("slide", seed), 5).bodies[0].friction for seed in range(3)}
    assert frictions == {0.15}
    clip = clip_of("glide")
    assert context_information.middle_scene(clip, 1) is clip.scene


def test_what_a_clip_without_its_push_leaves_open_holds_no_push() -> None:
    """Friction is free in both, and the same draws of it; the push is known to be there, or not to be."""
    clip, quiet = clip_of("pushed"), clip_of("pushed", change="unpushed")
    drawn, without = (context_information.possible_scenes(each, 5) for each in (clip, quiet))
    assert all(scene.impulses == clip.scene.impulses for scene in (*drawn, context_information.middle_scene(clip, 5)))
    assert not any(scene.impulses for scene in (*without, context_information.middle_scene(quiet, 5)))
    assert {scene.prompt for scene in without} == {"left alone"}
    assert len({scene.bodies[0].friction for scene in without}) == context_information.MEMBERS


def test_a_law_with_friction_free_is_that_of_the_clip_without_its_push(ideal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scene that the search for the best friction looks at lacks the push, as the clip does."""
    quiet = clip_of("pushed", change="unpushed")
    tried: list[Scene] = []
    monkeypatch.setattr(nuisances, "scene_law", lambda scene, since: tried.append(scene) or scene_law(scene, since))
    shadow(quiet, ideal(quiet), free=True)
    assert tried and not any(scene.impulses for scene in tried)


def test_spin_that_is_not_seen_differs_between_members_and_nothing_else_does() -> None:
    clip = clip_of("spun")
    states = ensemble_states(clip, 8)
    assert np.ptp(states[:, 0, 12]) > 4 and states[:, 0, 12].min() >= 1 and states[:, 0, 12].max() <= 9
    known = ensemble_states(clip_of("glide"), 8)
    assert np.ptp(known[:, 0, 12]) == 0
    assert np.abs(states[:, 0, :3] - clip.states[clip.handover, 0, :3]).max() < 0.01


def test_what_is_unknown_decides_the_time_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clip_of("slide")
    before = predictability.content_key(clip, 5)
    monkeypatch.setattr(predictability, "possible_scenes", lambda clip, context: ("another range",))
    assert predictability.content_key(clip, 5) != before
