"""Velocities that an image leaves open: what the task declares, cut to what the prompt says of the motion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.clips.task import own_ids
from physbench.score.predictability import content_key, predictability_time
from physbench.shadowing import shadow
from physbench.shadowing.context import open_velocities, velocity_prior
from physbench.support import plugins
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.world.styles.prompt import angle_bounds, speed_bounds

TASK = '''
from physbench.clips.task import Parameter, declare
from physbench.world.scene import Body, Camera, Scene, sphere_mass
import math


class Glide:
    """A ball glides over a table: 0.3 to 3 m/s, in any direction."""

    id = "own/any-way-v1"
    horizon = 1.0
    parameters = declare(
        speed=Parameter("m/s", "visible", (0.3, 3.0), "of the ball"),
        angle=Parameter("rad", "visible", (0.0, 6.28), "its direction"),
    )

    def sample(self, rng, split):
        return {name: each.draw(rng, split) for name, each in self.parameters.items()}

    def scene(self, p):
        speed = (p["speed"] * math.cos(p["angle"]), p["speed"] * math.sin(p["angle"]), 0.0)
        ball = Body(
            "ball", "sphere", (0.4,), "moving", (-2 * speed[0], -2 * speed[1], 0.0), velocity=speed, hue=0,
            mass=sphere_mass(0.4),
        )
        return Scene((ball,), Camera("top", (0.0, 0.0, 0.0)), horizon=1.0, prompt="A red ball glides.")
'''


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clip]:
    """A clip of a user's task."""
    path = tmp_path_factory.mktemp("tasks") / "any_way.py"
    path.write_text(TASK, encoding="utf-8")
    with plugins.temporarily_registered():
        own_ids(str(path))
        rows = (Row("own/any-way-v1", "test", seed) for seed in range(40))
        row = next(row for row in rows if 1.0 < make_params(row)["speed"] < 1.4)  # twice as fast is another pace
        yield make_clip(row, render_spec(64, 15))


def velocities_in_prompt(clip: Clip) -> Clip:
    return replace(clip, row=replace(clip.row, change="told"), stated_velocities=None)


def with_velocity(clip: Clip, ideal: Callable[..., Tracks], velocity: np.ndarray) -> Tracks:
    """Perfect tracks of the ball behind one image, with a velocity (2,) m/s of its own."""
    window = clip.window(1)
    px = clip.px_positions()[window].copy()
    steps = clip.times[window][:, None] * velocity * [1, -1] * clip.pixels_per_metre
    px[:, 0] = px[0, 0] + steps
    return ideal(clip, 1, px)


def breaks(clip: Clip, tracks: Tracks) -> int:
    found = shadow(clip, tracks)
    assert found is not None
    return len(found.levels[0].segments.breaks)


@pytest.mark.slow
def test_what_contradicts_the_words_is_noticed(image: Clip, ideal: Callable[..., Tracks]) -> None:
    """Truth is lawful in both tracks. Twice as fast, or the other way, is lawful unless the prompt says otherwise."""
    told = velocities_in_prompt(image)
    velocity = image.states[image.handover, 0, 7:9]
    for factor, contradicts in ((1.0, False), (2.0, True), (-1.0, True)):
        tracks = with_velocity(image, ideal, factor * velocity)
        assert breaks(image, tracks) == 0
        assert bool(breaks(told, tracks)) == contradicts


@pytest.mark.slow
def test_the_range_is_cut_to_the_words(image: Clip) -> None:
    told = velocities_in_prompt(image)
    (said,) = told.stated_velocities or ()
    slowest, fastest = speed_bounds(told.scene, said)
    toward, beside = angle_bounds(said)
    velocity = open_velocities(told, 0)
    speed = np.linalg.norm(velocity, axis=1)
    turned = np.angle(np.exp(1j * (np.arctan2(velocity[:, 1], velocity[:, 0]) - toward)))
    assert (
        (speed <= fastest + 1e-9).all() and (speed >= 0.9 * slowest).all() and (np.abs(turned) <= beside + 1e-9).all()
    )
    assert np.ptp(np.arctan2(*open_velocities(image, 0).T)) > np.pi, "an image leaves the direction open"
    before, after = (velocity_prior(clip, (0,)) for clip in (image, told))
    assert before is not None and after is not None
    true = told.states[told.handover, 0, 7:9]
    assert after.outside(0, true) == 0.0 and before.outside(0, -true) == 0.0
    assert after.outside(0, -true) == pytest.approx(np.linalg.norm(true), rel=0.2)


def test_more_can_be_known_with_words_and_is_kept_apart(image: Clip) -> None:
    told = velocities_in_prompt(image)
    assert predictability_time(told, 1) > predictability_time(image, 1)
    assert (
        content_key(told, 1)
        != content_key(image, 1)
        != content_key(replace(image, stated_velocities=told.stated_velocities), 1)
    )


@pytest.mark.slow
def test_truth_is_lawful_with_words_through_the_tracker(clip_of: Callable[..., Clip]) -> None:
    clip = velocities_in_prompt(clip_of("falling/drop-bounce-v1"))
    tracks = track(clip, 1, clip.frames[clip.window(1)])
    assert breaks(clip, tracks) == 0


@pytest.mark.slow
def test_a_body_that_lies_on_a_ramp_may_have_any_velocity_into_it() -> None:
    """A fit may let it fall onto the ramp within two frames of the image: the frames are those of a slide."""
    clip = make_clip(Row("falling/incline-v1", "ood", 6), render_spec(256, 16))
    found = shadow(clip, track(clip, 1, clip.frames[clip.window(1)]))
    assert found is not None and found.quality == 1 and found.strength < 0.03
    faster = clip.frames[clip.handover :: 2]  # twice as fast: no body of this task is
    frames = np.concatenate([faster, np.repeat(faster[-1:], clip.horizon + 1 - len(faster), axis=0)])
    sped = shadow(clip, track(clip, 1, frames))
    assert sped is not None and sped.levels[0].breaks
