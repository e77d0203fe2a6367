"""Laws of contact, support and energy, on motion of which the answer is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import saboteurs as sabotage
from handmade import times_ahead, tracks_at, true_places
from numpy.typing import NDArray
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.clips.generate import make_params
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation, Scorer, ScoreRow
from physbench.scorers.diagnostics.conservation import energy_from_nothing
from physbench.scorers.diagnostics.contacts import friction, restitution, solidity, support

Clips, Read = Callable[..., Clip], Callable[..., dict[str, ScoreRow]]
FALLING, COLLISIONS, ROLLING, INCLINE = (
    "falling/projectile-v1",
    "collisions/head-on-v1",
    "occlusion/screen-pass-v1",
    "falling/incline-v1",
)
NOISE = 0.03  # px


def value(scorer: Scorer, clip: Clip, places: NDArray[np.float64], key: str = "", noise: float = NOISE) -> float | None:
    answer = scorer.read(Observation(clip, Rollout(clip.id, 0, clip.future()), tracks_at(clip, places, noise_px=noise)))
    return (answer if isinstance(answer, dict) else {"": answer})[key].value


def rolling(clip: Clip, pace: float = 1.0, brake: float = 0.0) -> NDArray[np.float64]:
    """The ball of ROLLING at `pace` times its speed from the hand-over on, braked by `brake` m/s2 until it stops."""
    places, time = true_places(clip), times_ahead(clip)
    ball = next(i for i in clip.tracked if clip.scene.bodies[i].role == "moving")
    speed = pace * clip.states[clip.handover, ball, 7]
    ran = np.minimum(time, abs(speed) / brake) if brake else time
    column = list(clip.tracked).index(ball)
    places[:, column, 0] = clip.states[clip.handover, ball, 0] + speed * ran - np.sign(speed) * brake * ran**2 / 2
    return places


def bouncing(clip: Clip, restitution: float) -> NDArray[np.float64]:
    """The ball of FALLING from the hand-over on, with another restitution, in closed form."""
    body, now = clip.scene.bodies[clip.tracked[0]], clip.states[clip.handover, clip.tracked[0]]
    height, speed, gravity, since = now[2] - body.size[0], now[9], 9.81, 0.0
    heights = []
    for time in times_ahead(clip):
        while True:
            fall = (speed + math.sqrt(speed**2 + 2 * gravity * height)) / gravity
            if since + fall > time or speed**2 + 2 * gravity * height < 1e-3:
                break
            since, speed, height = since + fall, restitution * (gravity * fall - speed), 0.0
        left = time - since
        heights.append(max(height + speed * left - gravity * left**2 / 2, 0.0))
    places = true_places(clip)
    places[:, 0, 1] = body.size[0] + np.array(heights)
    return places


@pytest.mark.parametrize("ratio", [0.5, 0.8, 0.95, 1.05])
def test_restitution_is_found(clip_of: Clips, ratio: float) -> None:
    clip = clip_of(FALLING)
    assert value(restitution, clip, bouncing(clip, ratio)) == pytest.approx(ratio, abs=0.03)
    gained = value(energy_from_nothing, clip, bouncing(clip, ratio))
    assert gained is not None and (gained > 0.03 if ratio > 1 else gained < 0.02)


@pytest.mark.parametrize("task", [FALLING, COLLISIONS, "collisions/wall-bounce-v1", "falling/drop-bounce-v1"])
def test_true_contacts_have_the_restitution_of_the_scene(clip_of: Clips, read: Read, task: str) -> None:
    clip = clip_of(task)
    rows = read(clip, sabotage.truth(clip))
    first = next(contact for contact in clip.contacts if contact.time > 0)
    a, b = (clip.scene.bodies[clip.scene.index(name)] for name in (first.a, first.b))
    assert rows["laws/restitution"].value == pytest.approx(a.restitution * b.restitution, abs=0.03)
    assert rows["laws/energy"].value < 0.03
    assert rows["laws/solidity"].value < 0.03
    assert rows["laws/support"].value in (0, None)


def test_a_kick_brings_as_much_energy_as_it_should(clip_of: Clips, read: Read) -> None:
    """(v + gain)^2 - v^2 of the kicked ball, over the largest kinetic energy of both; nothing rolls here."""
    clip = clip_of(COLLISIONS)
    index = [clip.scene.index(name) for name in ("ball a", "ball b")]
    masses = np.array([clip.scene.bodies[i].mass for i in index])
    speeds = clip.states[clip.handover :, index, 7:9]
    largest = (np.sum(speeds**2, axis=-1) @ masses / 2).max()
    state = clip.states[clip.handover]
    gain = 0.4 * state[index[1], 7:10] / np.linalg.norm(state[index[1], 7:10])
    kicked = read(clip, sabotage.kicked(clip, "ball b", tuple(gain)))
    expected = masses[1] * (np.sum((speeds[0, 1] + gain[:2]) ** 2) - np.sum(speeds[0, 1] ** 2)) / 2 / largest
    assert kicked["laws/energy"].value == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("pace", [0.5, 1.0, 1.15, 1.5, 2.0])
def test_spin_may_give_back_two_fifths_of_a_ball_s_motion_and_no_more(clip_of: Clips, pace: float) -> None:
    """Of its kinetic energy, over the reading's unit: here its weight times its diameter, which is more."""
    clip = clip_of(ROLLING)
    ball = next(i for i in clip.tracked if clip.scene.bodies[i].role == "moving")
    kinetic, least = clip.states[clip.handover, ball, 7] ** 2 / 2, 9.81 * 2 * clip.scene.bodies[ball].size[0]
    assert kinetic < least
    expected = max(pace**2 - 1.4, 0) * kinetic / least
    assert value(energy_from_nothing, clip, rolling(clip, pace)) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("depth", [0.0, 0.1, 0.3])
def test_how_deep_a_ball_sinks_into_the_floor(clip_of: Clips, depth: float) -> None:
    clip = clip_of(FALLING)
    radius = clip.scene.bodies[clip.tracked[0]].size[0]
    places = bouncing(clip, 0.8)
    lowest = int(np.argmin(places[:, 0, 1]))
    places[lowest, 0, 1] = radius - depth * 2 * radius
    assert value(solidity, clip, places, noise=0.0) == pytest.approx(depth, abs=1e-6)
    share = value(solidity, clip, places, "time", noise=0.0)
    assert share == pytest.approx((depth > 0.2) / clip.horizon)


def test_balls_that_go_through_each_other_overlap(clip_of: Clips, read: Read) -> None:
    """As deep as straight lines bring them: the sum of the radii less the distance of the centres, over a diameter."""
    clip = clip_of(COLLISIONS)
    now = clip.states[clip.handover, list(clip.tracked)]
    places = now[None, :, :2] + now[None, :, 7:9] * times_ahead(clip)[:, None, None]
    radii = [body.size[0] for body in clip.tracked_bodies]
    nearest = np.linalg.norm(places[:, 0] - places[:, 1], axis=-1).min()
    expected = (sum(radii) - nearest) / (2 * min(radii))
    assert value(solidity, clip, places) == pytest.approx(expected, abs=0.01) and expected > 0.9
    seen = read(clip, sabotage.constant_velocity(clip))["laws/solidity"].value
    assert 0.3 < seen < expected + 0.01  # a ball loses its place where the other one hides it


@pytest.mark.parametrize(("height", "share"), [(0.0, 0.0), (0.05, 0.0), (0.2, 1.0)])
def test_what_hovers_over_the_floor(clip_of: Clips, height: float, share: float) -> None:
    """A ball at rest at a height in diameters, for the whole prediction and for half of it."""
    clip = clip_of(FALLING)
    radius = clip.scene.bodies[clip.tracked[0]].size[0]
    places = true_places(clip)
    places[:, 0] = 0.0, radius * (1 + 2 * height)
    assert value(support, clip, places) == pytest.approx(share, abs=0.04)
    places[: clip.horizon // 2, 0, 0] -= np.arange(clip.horizon // 2)[::-1] * 0.1
    assert value(support, clip, places) == pytest.approx(share / 2, abs=0.06)


def test_a_frozen_ball_hangs_in_the_air_and_a_true_one_never_does(clip_of: Clips, read: Read) -> None:
    clip = clip_of(FALLING)
    assert read(clip, sabotage.freeze(clip))["laws/support"].value > 0.95
    on_floor = clip_of(ROLLING)
    assert read(on_floor, sabotage.freeze(on_floor))["laws/support"].value == 0


@pytest.mark.parametrize("brake", [0.0, 0.15, 0.3])
def test_friction_on_the_level_is_the_brake_over_the_weight(clip_of: Clips, brake: float) -> None:
    clip = clip_of(ROLLING)
    found = value(friction, clip, rolling(clip, brake=brake)[:, :])
    assert found == pytest.approx(brake / 9.81, abs=0.004)


@pytest.mark.parametrize("seed", others_slow(range(4), 1))
def test_friction_on_a_slope(clip_of: Clips, read: Read, seed: int) -> None:
    """A box shows what its ramp declares, a ball 2/7 tan a and a cylinder 1/3 tan a downwards, at most that."""
    clip = clip_of(INCLINE, seed=seed)
    p = make_params(clip.row)
    rows = read(clip, sabotage.truth(clip))
    found = rows["laws/friction"]
    if found.value is None:
        assert found.reason
        return
    tangent, mu = math.tan(p["angle"]), p["ramp_friction"]
    if p["shape"] == 2:
        assert found.value == pytest.approx(mu, abs=0.02)
        return
    rolls = min((2 / 7, 1 / 3)[int(p["shape"])] * tangent, mu)
    assert abs(found.value) <= rolls + 0.01  # moving up it is negative
    body = next(body for body in clip.tracked_bodies if body.role == "moving")
    path = clip.plane_positions()[clip.handover :, 0, 1]
    if np.all(np.diff(path[path > path[-1] + 0.1 * body.size[0]]) < 0):  # down only
        assert found.value == pytest.approx(rolls, abs=0.01)


@pytest.mark.parametrize("seed", [0, *(pytest.param(each, marks=pytest.mark.slow) for each in (1, 2))])
def test_a_push_is_no_contact(clip_of: Clips, read: Read, seed: int) -> None:
    """What a push changes is read neither as restitution nor as momentum, nor as energy for nothing."""
    clip = clip_of("collisions/head-on-push-v1", seed=seed)
    rows = read(clip, sabotage.truth(clip))
    for reading, right in (("laws/restitution", 0.9), ("laws/momentum", 1.0)):
        if rows[reading].value is not None:
            assert rows[reading].value == pytest.approx(right, abs=0.03)
    assert rows["laws/energy"].value < 0.03 and rows["drift/energy"].status == "not applicable"


def test_a_thrust_is_not_read_as_another_pull(clip_of: Clips, read: Read) -> None:
    thrust = clip_of("orbits/kepler-thrust-v1")
    rows = read(thrust, sabotage.truth(thrust))
    assert rows["laws/areal-velocity"].value == pytest.approx(1, abs=0.02)
    assert rows["laws/orbit-energy"].value == pytest.approx(1, abs=0.03)
