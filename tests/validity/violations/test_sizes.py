"""What each violation does to the motion has the size that its severity says, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.validity.violations import Violated, candidate_events
from physbench.validity.violations.violation_motion import _grazes
from physbench.world.bullet import simulate

Clips, Wrong = Callable[..., Clip], Callable[[Clip, str], Violated]

PROJECTILE, DROP, INCLINE = "falling/projectile-v1", "falling/drop-bounce-v1", "falling/incline-v1"
HEAD_ON, PASS, STOP = "collisions/head-on-v1", "occlusion/screen-pass-v1", "occlusion/screen-stop-v1"
FLYBY, KEPLER = "orbits/flyby-v1", "orbits/kepler-v1"
STEP = 1 / 1200
G = 9.81


def around(time: float, steps: int = 1) -> NDArray[np.float64]:
    """`time` and a few physics steps behind it."""
    return np.rint((time + np.arange(steps + 1) * STEP) * 1200) / 1200


def body_of(clip: Clip, world: Violated) -> int:
    name = world.events[0].body
    assert name is not None
    return clip.scene.index(name)


@pytest.mark.parametrize("factor", [0.8, 0.95])
def test_gravity_is_that_much_weaker(clip_of: Clips, wrong: Wrong, factor: float) -> None:
    states = wrong(clip_of(PROJECTILE), f"gravity:{factor}").states(around(0.0, 120))[:, 0]
    assert np.diff(states[:, 9]) / STEP == pytest.approx(-factor * G, rel=1e-6)


def test_gravity_is_turned_by_that_angle(clip_of: Clips, wrong: Wrong) -> None:
    states = wrong(clip_of(PROJECTILE), "gravity-tilt:5").states(around(0.0, 60))[:, 0, 7:10]
    x, _, z = (states[-1] - states[0]) / (60 * STEP)
    assert np.degrees(np.arctan2(abs(x), -z)) == pytest.approx(5, abs=1e-4)
    assert np.hypot(x, z) == pytest.approx(G, rel=1e-6)


def pulls(clip: Clip, world: Violated, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance from the star and acceleration towards it at times a step apart."""
    body, star = clip.tracked
    states = world.states(times)
    offset = states[:, star, :3] - states[:, body, :3]
    gain = np.linalg.norm(np.diff(states[:, body, 7:10], axis=0), axis=1) / np.diff(times)
    return np.linalg.norm(offset, axis=1)[:-1], gain


def test_the_star_is_that_much_lighter(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(KEPLER)
    distance, gain = pulls(clip, wrong(clip, "central-mass:0.9"), around(0.0, 4))
    assert gain * distance**2 == pytest.approx(0.9 * clip.scene.fields[0].mu, rel=1e-6)


def test_the_force_falls_with_that_power_from_where_it_was(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(FLYBY)
    times = np.unique(np.concatenate([around(t) for t in (0.0, 0.4, 0.8, 1.2)]))
    distance, gain = (values[::2] for values in pulls(clip, wrong(clip, "force-exponent:1.5"), times))
    slope = np.diff(np.log(gain)) / np.diff(np.log(distance))
    assert slope == pytest.approx(-1.5, abs=1e-4)
    assert gain[0] == pytest.approx(clip.scene.fields[0].mu / distance[0] ** 2, rel=1e-6)


@pytest.mark.parametrize("severity", [0.1, 0.25, 1.0])
def test_a_teleport_is_a_jump_of_that_many_diameters(clip_of: Clips, wrong: Wrong, severity: float) -> None:
    clip = clip_of(PROJECTILE)
    world = wrong(clip, f"teleport:{severity}")
    times = around(world.events[0].time)
    change = world.states(times)[:, body_of(clip, world)] - simulate(clip.scene, times).states[:, 0]
    assert not change[0].any()
    assert np.linalg.norm(change[1, :3]) == pytest.approx(severity * 2 * clip.scene.bodies[0].size[0], rel=1e-9)
    assert np.abs(change[1, 7:10]).max() < 1e-12


@pytest.mark.parametrize(("task", "severity"), [(PROJECTILE, 0.2), (PASS, 0.5)])
def test_a_kick_is_a_jump_of_that_speed(clip_of: Clips, wrong: Wrong, task: str, severity: float) -> None:
    clip = clip_of(task)
    world = wrong(clip, f"kick:{severity}")
    times = around(world.events[0].time, 60)
    change = world.states(times)[:, 0] - simulate(clip.scene, times).states[:, 0]
    assert not change[0].any()
    gained = np.linalg.norm(change[1:, 7:10], axis=1)
    assert gained == pytest.approx(severity, rel=1e-3)  # a ball that rolls goes on rolling: friction takes nothing


@pytest.mark.parametrize("severity", [0.2, 1.0])
def test_what_lies_still_starts_at_that_speed(clip_of: Clips, wrong: Wrong, severity: float) -> None:
    clip = clip_of("occlusion/screen-lift-v1")
    world = wrong(clip, f"start:{severity}")
    states = world.states(around(world.events[0].time, 60))[:, body_of(clip, world)]
    assert np.linalg.norm(states[0, 7:10]) < 0.01
    speed = np.linalg.norm(states[1:, 7:10], axis=1)
    assert speed == pytest.approx(severity, rel=0.01)  # it rolls: friction takes nothing
    assert states[1, 9] == pytest.approx(0.0, abs=0.02)  # level


@pytest.mark.parametrize("severity", [0.1, 0.8])
def test_time_runs_backwards_for_so_long_and_then_forwards(clip_of: Clips, wrong: Wrong, severity: float) -> None:
    clip = clip_of(PROJECTILE)
    world = wrong(clip, f"reverse-time:{severity}")
    since = world.events[0].time
    ahead = np.rint(np.array([0.02, 0.05, severity]) * 1200) / 1200
    there, back = world.states(since + ahead), simulate(clip.scene, np.sort(since - ahead)).states[::-1]
    assert np.array_equal(there[..., :3], back[..., :3])
    later = np.rint((since + 2 * severity + ahead[:1]) * 1200) / 1200
    assert np.array_equal(world.states(later), simulate(clip.scene, later - 2 * severity).states)


def test_speed_grows_by_that_share_in_every_thirtieth_of_a_second(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(HEAD_ON)
    world = wrong(clip, "speed-gain:1")
    start = max(world.events[0].time, max(c.time for c in clip.contacts) + 0.05)
    states = world.states(np.rint(np.array([start, start + 1.0]) * 1200) / 1200)
    speed = np.linalg.norm(states[..., list(clip.tracked), 7:10], axis=-1)
    assert speed[1] / speed[0] == pytest.approx(1.01**30, rel=1e-6)


def test_what_freezes_stands_still_for_so_long_and_then_goes_on(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(PROJECTILE)
    world = wrong(clip, "freeze:0.5")
    time = world.events[0].time
    lawful = simulate(clip.scene, around(time)).states[:, 0]
    states = world.states(np.concatenate([around(time, 600), around(time + 0.5, 2)[1:]]))[:, 0]
    assert (states[:601, :3] == lawful[0, :3]).all() and not states[1:600, 7:10].any()
    assert np.linalg.norm(lawful[0, 7:10]) > 0.2
    assert states[601, 7:10] == pytest.approx(lawful[1, 7:10], abs=1e-9)
    assert states[601, :3] == pytest.approx(lawful[1, :3], abs=1e-9)


@pytest.mark.parametrize("severity", [0.25, 1.0])
def test_what_hangs_has_that_much_air_below_it(clip_of: Clips, wrong: Wrong, severity: float) -> None:
    clip = clip_of(PROJECTILE)
    world = wrong(clip, f"hanging:{severity}")
    radius = clip.scene.bodies[0].size[0]
    states = world.states(np.array([world.events[0].time, world.events[0].time + 1.0, 4.0]))[:, 0]
    step = np.linalg.norm(simulate(clip.scene, [world.events[0].time]).states[0, 0, 7:10]) / 60
    assert (states[:, 2] - radius - severity * 2 * radius >= 0).all()
    assert (states[:, 2] - radius - severity * 2 * radius <= step).all()
    assert (states[1:, :3] == states[0, :3]).all()


def momenta(clip: Clip, world: Violated, before: float, after: float) -> NDArray[np.float64]:
    """Momentum (2 times, 2 bodies, 3) kg m/s of the two balls."""
    states = world.states(np.rint(np.array([before, after]) * 1200) / 1200)[:, list(clip.tracked), 7:10]
    return states * np.array([body.mass for body in clip.tracked_bodies])[:, None]


@pytest.mark.parametrize("severity", [-0.5, 0.5])
def test_the_total_momentum_changes_by_that_share_of_what_is_exchanged(
    clip_of: Clips, wrong: Wrong, severity: float
) -> None:
    clip = clip_of(HEAD_ON)
    world = wrong(clip, f"momentum:{severity}")
    (a0, b0), (a1, b1) = momenta(clip, world, world.events[0].time - 0.05, world.events[0].time + 0.05)
    given = a0 - a1
    assert np.linalg.norm(given) > 1
    assert (b1 - b0) == pytest.approx((1 + severity) * given, abs=1e-6 * np.linalg.norm(given))


def test_a_body_counts_with_that_much_more_mass(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(HEAD_ON)
    world = wrong(clip, "mass-ratio:2")
    heavy = clip.tracked.index(body_of(clip, world))
    states = world.states(np.rint((world.events[0].time + np.array([-0.05, 0.05])) * 1200) / 1200)
    velocities = states[:, list(clip.tracked), 7:10]
    masses = np.array([body.mass for body in clip.tracked_bodies])
    gained = np.linalg.norm(velocities[1] - velocities[0], axis=-1)
    lawful, doubled = masses[1] / masses[0], masses[1] / masses[0] * (2.0 if heavy == 1 else 0.5)
    assert gained[0] / gained[1] == pytest.approx(doubled, rel=1e-3)
    assert abs(gained[0] / gained[1] / lawful - 1) > 0.4


@pytest.mark.parametrize("severity", [0.5, 1.3])
def test_things_part_at_that_share_of_the_speed_at_which_they_met(
    clip_of: Clips, wrong: Wrong, severity: float
) -> None:
    clip = clip_of(DROP)
    time = next(c.time for c in clip.contacts if c.time > 0)
    speeds = wrong(clip, f"restitution:{severity}").states(np.rint((time + np.array([-0.02, 0.02])) * 1200) / 1200)
    fall, rise = speeds[:, 0, 9] + G * np.array([-0.02, 0.02])
    assert rise / -fall == pytest.approx(severity, rel=0.01)


def test_friction_is_that_much_less(clip_of: Clips, wrong: Wrong) -> None:
    clip = next(c for seed in range(20) if (c := clip_of(INCLINE, seed=seed)).scene.bodies[0].shape == "box")
    ramp, body = clip.scene.bodies[1], clip.scene.bodies[0]
    angle = 2 * np.arcsin(abs(ramp.orientation[1]))
    states = wrong(clip, "friction:0.5").states(np.array([0.05, 0.25]))[:, 0, 7:10]
    gained = np.diff(np.linalg.norm(states, axis=1))[0] / 0.2
    expected = G * (np.sin(angle) - 0.5 * ramp.friction * body.friction * np.cos(angle))
    assert gained == pytest.approx(expected, abs=0.02)


def test_what_passes_through_keeps_its_velocity(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(HEAD_ON)
    world = wrong(clip, "pass-through")
    before, after = momenta(clip, world, world.events[0].time - 0.1, world.events[0].time + 0.5)
    assert after == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize(("text", "shown", "lawful"), [("slow-time:0.5", 0.6, 0.3), ("fast-time:2", 0.3, 0.6)])
def test_time_runs_at_that_rate(clip_of: Clips, wrong: Wrong, text: str, shown: float, lawful: float) -> None:
    clip = clip_of(PROJECTILE)
    world = wrong(clip, text)
    start = world.events[0].time
    times = np.rint(np.array([start + shown, start + lawful]) * 1200) / 1200
    assert np.array_equal(world.states(times[:1]), simulate(clip.scene, times[1:]).states)


def test_a_stutter_stands_still_for_so_long_and_catches_up(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(PROJECTILE)
    world = wrong(clip, "stutter:0.2")
    start = world.events[0].time
    times = np.rint((start + np.array([0.0, 0.1, 0.19, 0.21, 0.49, 0.6, 0.71])) * 1200) / 1200
    ours, lawful = world.states(times)[:, 0, 0], simulate(clip.scene, times).states[:, 0, 0]
    same = ours == lawful
    assert same.tolist() == [True, False, False, True, True, False, True]
    assert ours[1] == ours[2] == lawful[0]


@pytest.mark.parametrize(("text", "delay"), [("return-late:0.2", 0.2), ("return-early:0.2", -0.2)])
def test_what_returns_is_that_much_late(clip_of: Clips, wrong: Wrong, text: str, delay: float) -> None:
    clip = clip_of(PASS)
    times = np.rint(np.array([2.5, 2.5 - delay]) * 1200) / 1200
    assert np.array_equal(wrong(clip, text).states(times[:1])[:, 0], simulate(clip.scene, times[1:]).states[:, 0])


def test_what_returns_on_the_wrong_side_is_mirrored_at_the_screen(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(PASS)
    world = wrong(clip, "return-wrong-side")
    screen = clip.scene.bodies[clip.scene.index("screen")].position[0]
    ours, lawful = world.states([2.5])[0, 0], simulate(clip.scene, [2.5]).states[0, 0]
    assert ours[0] - screen == pytest.approx(screen - lawful[0])
    assert ours[7] == -lawful[7] and ours[2] == lawful[2]


def test_what_goes_through_a_hidden_wall_shows_when_it_is_said_to(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(STOP)
    world = wrong(clip, "return-through-wall")
    frames = world.frames(clip.times, clip.spec)
    first = clip.times[np.flatnonzero((frames != clip.frames).any(axis=(1, 2, 3)))[0]]
    assert 0 < first - world.events[0].time < 0.15


def test_the_truth_of_a_scene_is_the_clip_itself(clip_of: Clips) -> None:
    clip = clip_of(HEAD_ON)
    truth = candidate_events(clip.scene)
    ours = truth.states[np.isin(np.rint(truth.times * 1200), np.rint(clip.times * 1200))]
    assert np.array_equal(ours, clip.states[clip.handover :])


def test_what_vanishes_draws_nothing_any_more(clip_of: Clips, wrong: Wrong) -> None:
    clip = next(
        clip
        for clip in (clip_of("orbits/binary-v1", seed=seed) for seed in range(4))
        if len([b for b in clip.scene.bodies if b.role == "moving"]) == 2
    )
    world = wrong(clip, "vanish")
    gone = body_of(clip, world)
    (other,) = [i for i in clip.tracked if i != gone]
    velocity = world.states(around(world.events[0].time, 600))[2:, other, 7:10]
    assert np.ptp(velocity, axis=0).max() < 1e-6  # a straight line at a constant speed


def test_a_graze_is_no_hit(clip_of: Clips) -> None:
    truth = candidate_events(clip_of(HEAD_ON).scene)
    (hit,) = [c for c in truth.contacts if 0.1 < c.time < 3.7][:1]
    assert not _grazes(truth, hit)
    states = truth.states.copy()
    a, b = truth.scene.index(hit.a), truth.scene.index(hit.b)
    line = states[:, b, :3] - states[:, a, :3]
    across = np.cross([0.0, 0.0, 1.0], line)  # seen from above
    for i, sign in ((a, 1), (b, -1)):
        states[:, i, 7:10] = sign * (across + 0.2 * line) / np.linalg.norm(line, axis=1)[:, None]
    assert _grazes(replace(truth, states=states), hit)  # 0.4 of 2.04 m/s lie along the line of centres
