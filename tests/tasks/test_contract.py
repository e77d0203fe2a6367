"""Every task keeps the protocol of a clip, on simulated and rendered clips of every split."""

from __future__ import annotations

import inspect
import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from kept_clips import kept_clip
from scipy.spatial.transform import Rotation
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_params, make_scene, past_states, render_spec
from physbench.clips.suite import find_suite
from physbench.clips.task import HORIZON, SPLITS, Params, Task, find_task, parameter_table, short_names, task_ids
from physbench.result.levels import level_of
from physbench.world.bullet import simulate_ensemble
from physbench.world.camera import plane_from_world
from physbench.world.drawing import apparent_radius
from physbench.world.scene import DENSITY, HISTORY, PALETTE, PHYSICS_HZ, WINDOW, Body, CentralGravity, RadialField

FAST, MANY = range(1), range(100, 140)
SPEC = render_spec(64, 15)
# Tasks of a suite of their own keep its protocol, which a test file of their own looks at.
EVERY = [(t, split) for t in task_ids() if not getattr(find_task(t), "suite", "") for split in SPLITS]
# Tasks whose deciding event is looked at here; the others have a test file of their own, and of test alone a clip here:
# the slow test looks at every split.
EVENTS = ("falling/projectile-v1", "collisions/head-on-v1", "occlusion/screen-pass-v1", "orbits/kepler-v1")


def clip_of(task: str, split: Split, seed: int) -> Clip:
    return kept_clip(task, split, seed, SPEC.height, SPEC.fps)


def moving(clip: Clip) -> list[tuple[int, Body]]:
    return [(i, body) for i, body in enumerate(clip.scene.bodies) if body.role == "moving"]


def outside(clip: Clip, index: int) -> np.ndarray:
    """By how many radii the body is over the border of the window, (T,): <= 0 in full view, 2 gone."""
    center = plane_from_world(clip.scene.camera, np.array(clip.scene.camera.center))
    offset = np.abs(plane_from_world(clip.scene.camera, clip.states[:, index, :3]) - center).max(axis=-1)
    return (offset - WINDOW / 2) / apparent_radius(clip.scene.bodies[index], clip.scene.camera) + 1


def shares(clip: Clip, index: int) -> np.ndarray:
    return clip.visible_area[:, index] / clip.full_area[:, index]


def is_static(clip: Clip) -> bool:
    """Whether the task is at rest by nature up to the hand-over."""
    return bool(getattr(find_task(clip.row.task), "static_history", False))


# What decides them begins at the hand-over, or goes on throughout.
UNDATED = ("collisions/domino-v1", "falling/overhang-v2", "falling/seesaw-v1", "falling/stack-v1", "orbits/decay-v1",
           "orbits/three-body-v1")  # fmt: skip


@pytest.mark.parametrize("task", sorted({row.task for row in find_suite("full").rows}))
def test_reports_can_part_a_task_by_difficulty_and_by_its_deciding_event(task: str) -> None:
    """Each level tells clips apart, and the event lies between the hand-over and the end."""
    kinds = ("difficulty",) if task in UNDATED else ("difficulty", "event")
    params = [make_params(Row(task, "test", seed)) for seed in range(12)]
    levels = {kind: [level_of(find_task(task), kind, each) for each in params] for kind in kinds}
    assert set(kinds) == set(find_task(task).levels) and all(len(set(each)) > 1 for each in levels.values())
    end = getattr(find_task(task), "horizon", HORIZON)
    assert all(0 <= time < end for time in levels.get("event", ()))


def spin_energy(body: Body, states: np.ndarray) -> np.ndarray:
    """Energy of rotation in J, (T,), from states (T, 13)."""
    size = body.size
    if body.shape == "sphere":
        inertia = np.full(3, 0.4 * size[0] ** 2)
    elif body.shape == "cylinder":
        across = size[0] ** 2 / 4 + size[1] ** 2 / 12
        inertia = np.array([across, across, size[0] ** 2 / 2])
    else:
        squares = np.array(size) ** 2
        inertia = (squares.sum() - squares) / 3
    own = Rotation.from_quat(states[:, 3:7]).inv().apply(states[:, 10:])  # spin about the body's own axes
    return np.asarray(body.mass * (inertia * own**2).sum(-1) / 2)


def check_clip(clip: Clip) -> None:
    """All clauses that hold for any task."""
    check_bodies(clip)
    check_history(clip)
    check_view(clip)
    check_energy(clip)


def check_bodies(clip: Clip) -> None:
    hues = [body.hue for body in clip.tracked_bodies]
    assert len(set(hues)) == len(hues) and all(0 <= hue < len(PALETTE) for hue in hues if hue is not None)
    assert clip.scene.prompt.endswith(".") and len({body.name for body in clip.scene.bodies}) == len(clip.scene.bodies)
    on_joints = {joint.body for joint in clip.scene.guides if clip.scene.outcomes}  # nothing is asked of them
    for _, body in moving(clip):
        assert body.hue is not None or body.name in on_joints
        assert apparent_radius(body, clip.scene.camera) >= 0.4 - 1e-9
        assert body.shape != "sphere" or body.mass == pytest.approx(DENSITY * 4 / 3 * np.pi * body.radius**3)
        speed = np.linalg.norm(body.velocity)
        assert np.linalg.norm(body.spin) == pytest.approx(0, abs=1e-9) or np.linalg.norm(body.spin) == pytest.approx(
            speed / body.size[0]
        ), "spin is invisible: zero or that of rolling"


def check_history(clip: Clip) -> None:
    assert clip.times[0] == -HISTORY and clip.times[clip.handover] == 0 and clip.times[-1] == clip.scene.horizon
    ways = []
    for i, body in moving(clip):
        start = -HISTORY if body.release is None else body.release
        if body.release is not None:
            assert is_static(clip) or -1 <= body.release <= -0.4
            held = clip.states[clip.times <= body.release, i, :3]
            np.testing.assert_allclose(held, np.broadcast_to(body.position, held.shape), atol=1e-9)
        if is_static(clip):
            continue
        seen = (clip.times >= start) & (clip.times <= 0) & (shares(clip, i) > 0.95) & (outside(clip, i) <= 0)
        assert np.ptp(clip.times[seen]) >= 0.4 - 1e-9, "it is seen for 0.4 s after its release"
        travelled = np.linalg.norm(
            np.diff(clip.states[(clip.times >= start) & (clip.times <= 0), i, :3], axis=0), axis=-1
        )
        ways.append(travelled.sum())
    assert is_static(clip) or max(ways) > 0.25, "motion is seen before the hand-over"
    for body in clip.scene.bodies:
        if body.until is not None:
            assert body.until in {other.release for other in clip.scene.bodies}, "holders vanish at a release"


def check_view(clip: Clip) -> None:
    past = clip.times <= 0
    for i, _ in moving(clip):
        over = outside(clip, i)
        assert over[past].max() <= 0, "all of it is in the window up to the hand-over"
        gone = over[~past] > 0
        assert not gone.any() or gone[np.argmax(gone) :].all(), "what leaves does not come back"
        assert (~gone).sum() / SPEC.fps > 1.0


def check_energy(clip: Clip) -> None:
    fields = [field for field in clip.scene.fields if isinstance(field, CentralGravity | RadialField)]
    pulling = [clip.scene.bodies[clip.scene.index(field.source)] for field in fields]
    if any(action.time > 0 for action in clip.scene.impulses) or any(body.role == "moving" for body in pulling):
        return  # pushed, or bound to each other: the task's own test says what is conserved
    energy = np.sum([link.energy(clip.scene, clip.states[..., :3]) for link in clip.scene.links], axis=0)
    energy = energy + np.zeros(len(clip.times))
    gravity = np.array(clip.scene.gravity)
    belt = np.sum([body.surface for body in clip.scene.bodies], axis=0)  # m/s; on it, bodies slide until they rest
    for i, body in moving(clip):
        state = clip.states[:, i]
        velocity = state[:, 7:10].copy()
        for field in fields:  # the integrator's velocity is that of half a step ago
            away = state[:, :3] - clip.states[:, clip.scene.index(field.source), :3]
            distance = np.linalg.norm(away, axis=-1, keepdims=True)
            velocity -= field.strength * away * distance ** (field.power - 1) / (2 * PHYSICS_HZ)
        energy += body.mass * (((velocity - belt) ** 2).sum(-1) / 2 - state[:, :3] @ gravity)
        energy += spin_energy(body, state)
        for field in fields:
            source = clip.states[:, clip.scene.index(field.source), :3]
            distance = np.linalg.norm(state[:, :3] - source, axis=-1)
            energy += body.mass * field.strength * distance ** (field.power + 1) / (field.power + 1)
    future = energy[clip.handover :]
    scale = np.ptp(energy) + np.abs(energy).max()
    assert (future - np.minimum.accumulate(future)).max() <= 0.002 * scale, "nothing gains energy"


def check_event(clip: Clip) -> None:
    """The deciding event of the family lies in [0.2 s, 0.6 H]."""
    first, last = 0.2, 0.6 * clip.scene.horizon
    family = clip.row.family
    hits = [contact.time for contact in clip.contacts]
    if family in ("falling", "collisions"):
        assert first <= hits[0] <= last
        assert family == "falling" or len(hits) == 1
    elif family == "orbits":
        assert not hits
        planet, star = (clip.states[:, clip.scene.index(name), :3] for name in ("planet", "star"))
        distance = np.linalg.norm(planet - star, axis=-1)
        radii = sum(body.radius for body in clip.tracked_bodies)
        assert distance.min() >= radii + 0.08 - 2e-3
        turning = 1 + np.flatnonzero(np.diff(np.sign(np.diff(distance))))
        times = clip.times[turning]
        assert ((times >= first) & (times <= last)).any()
        assert ((times > 0).sum() + 1) // 2 >= 3, "three periods"
        assert max(outside(clip, clip.scene.index("planet"))) <= 0
    else:
        assert family == "occlusion"
        share = shares(clip, 0)
        hidden = (share < 0.05) & (outside(clip, 0) < 1)
        in_view = outside(clip, 0) <= 0
        start = clip.times[np.argmax(hidden)]
        assert 0.2 <= start <= 1.0 and hidden.sum() / SPEC.fps >= 0.25
        assert abs(clip.states[np.argmax(hidden), 0, 7]) >= 0.7
        assert np.abs(np.diff(np.flatnonzero(hidden))).max() == 1
        out = (share > 0.95) & in_view & (clip.times > start)
        assert clip.times[np.argmax(out)] <= 0.9 * clip.scene.horizon - 0.3 and out.sum() / SPEC.fps >= 0.35
        assert share[clip.handover] > 0.5
        speeds = clip.states[clip.times > 0, 0, 7]
        np.testing.assert_allclose(speeds, clip.scene.bodies[0].velocity[0], rtol=1e-3)
    if family != "occlusion":
        inside = np.stack([outside(clip, i) <= 0 for i in clip.tracked], axis=1)
        visible = np.stack([shares(clip, i) for i in clip.tracked], axis=1)
        assert visible[inside].min() > 0.9, "nothing is hidden"


@pytest.mark.parametrize(
    ("task", "split"),
    others_slow([(t, s) for t, s in EVERY if t in EVENTS or s == "test"], lambda case: case[1] == "test"),
)
def test_clips_keep_the_protocol(task: str, split: Split) -> None:
    for seed in FAST:
        clip = clip_of(task, split, seed)
        check_clip(clip)
        if task in EVENTS:
            check_event(clip)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "split"), EVERY)
def test_many_clips_keep_the_protocol(task: str, split: Split) -> None:
    for seed in MANY if task in EVENTS else MANY[:10]:
        clip = make_clip(Row(task, split, seed), SPEC)
        check_clip(clip)
        if task in EVENTS:
            check_event(clip)


@pytest.mark.parametrize(
    ("split", "seed"), others_slow(itertools.product(SPLITS, FAST), lambda case: case[0] != "train")
)
def test_projectile_and_its_half_gravity_twin_stay_in_view(split: Split, seed: int) -> None:
    clip = clip_of("falling/projectile-v1", split, seed)
    light = replace(clip.scene, gravity=(0.0, 0.0, clip.scene.gravity[2] / 2))
    now = clip.handover
    twin = simulate_ensemble(light, 0.0, clip.states[None, now], clip.times[now:])[0]
    both = replace(clip, times=clip.times[now:], states=twin, frames=clip.frames[now:])
    assert outside(clip, 0).max() <= 0
    assert outside(both, 0).max() <= 0
    assert np.abs(twin[:, 0, 2] - clip.states[now:, 0, 2]).max() > 0.5


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_collisions_follow_the_closed_form(split: Split) -> None:
    from physbench.tasks.collisions import VIEW_AFTER_HIT, head_on_motion

    for seed in FAST:
        row = Row("collisions/head-on-v1", split, seed)
        clip, params = clip_of(row.task, split, seed), make_params(row)
        _, before, after = head_on_motion(params)
        assert min(np.linalg.norm(before, axis=-1)) >= 0.7
        assert clip.contacts[0].time == pytest.approx(params["meeting"], abs=2e-3)
        np.testing.assert_allclose(clip.states[clip.handover, :2, 7:9], before, atol=1e-4)
        np.testing.assert_allclose(clip.states[-1, :2, 7:9], after, atol=0.03)
        np.testing.assert_allclose(clip.states[:, :2, 2], 0.0, atol=1e-6)
        after_contact = (clip.times > params["meeting"]) & (clip.times < params["meeting"] + VIEW_AFTER_HIT - 0.05)
        assert max(outside(clip, i)[after_contact].max() for i in (0, 1)) <= 0


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_orbits_follow_kepler(split: Split) -> None:
    from physbench.tasks.orbits import kepler_state

    for seed in FAST:
        row = Row("orbits/kepler-v1", split, seed)
        clip, params = clip_of(row.task, split, seed), make_params(row)
        truth = np.array([kepler_state(params, time)[0] for time in clip.times])
        distance = np.linalg.norm(clip.states[:, 0, :2] - clip.states[:, 1, :2] - truth, axis=-1)
        assert distance[clip.times <= 0].max() < 0.1 and distance.max() < 0.4  # first order in the step of 1/1200 s


@cache
def drawn(task: str, split: Split, seed: int) -> Params:
    """Some tasks simulate before they accept a draw: each is made once, and once more where they are compared."""
    return make_params(Row(task, split, seed))


@pytest.mark.parametrize("draws", [4, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("task_id", "split"), EVERY)
def test_parameters_keep_their_ranges(task_id: str, split: Split, draws: int) -> None:
    task = find_task(task_id)
    assert isinstance(task, Task)
    streams = set()
    for seed in range(draws):
        row = Row(task_id, split, seed)
        params = drawn(task_id, split, seed)
        assert params == make_params(row) and list(params) == list(task.parameters)
        for name, parameter in task.parameters.items():
            assert parameter.contains(params[name], split), (name, params[name])
            if split == "ood" and parameter.ood is not None:
                assert not parameter.contains(params[name], "train") or {params[name], abs(params[name])} & {
                    *parameter.train
                }
        streams.add(tuple(params.values()))
    first = Row(task_id, split, 0)
    assert hash(make_scene(first)) == hash(make_scene(first))
    others = {tuple(drawn(task_id, s, seed).values()) for s in SPLITS if s != split for seed in range(draws)}
    assert len(streams) == draws and not streams & others


@pytest.mark.parametrize("task_id", task_ids())
def test_declarations(task_id: str) -> None:
    task = find_task(task_id)
    assert task.id == task_id and task_id.count("/") == 1 and short_names(task_id)[0] != short_names(task_id)[1]
    doc = inspect.getdoc(task) or ""
    for section in ("What happens", "Law", "Camera", "Actions", "Hand-over", "May be hidden", "Version history"):
        assert f"{section}: " in doc, section
    assert "\n".join(parameter_table(task.parameters)) in doc and "{parameters}" not in doc
    for name, parameter in task.parameters.items():
        assert parameter.kind != "free", "core tasks have no free parameter"
        if parameter.kind == "fixed":
            assert parameter.train[0] == parameter.train[1] and parameter.ood is None
        if name in ("restitution", "friction", "mu", "gravity"):
            assert parameter.kind in ("fixed", "visible")
    assert any(parameter.ood is not None for parameter in task.parameters.values())
    assert find_task(short_names(task_id)[1]).id.rpartition("-v")[0] == task_id.rpartition("-v")[0]


@pytest.mark.slow
def test_every_task_of_core_tells_what_was_before_its_history() -> None:
    """docs/models/diffusers.md names those of `full` that do not."""
    moving, untold = set(), set()
    for task in find_suite("full").tasks:
        for seed in range(2):
            past = past_states(kept_clip(task, "test", seed, 32, 24.0), 25)
            if past is None:
                untold.add(task)
            elif np.ptp(past[..., :3], axis=0).max() > 1e-6:
                moving.add(task)
    assert untold == {"orbits/decay-v1"}
    assert moving & {*find_suite("core").tasks} == {"occlusion/screen-lift-v1", "orbits/binary-v1", "orbits/kepler-v1"}
