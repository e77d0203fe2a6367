"""What all violations share: nothing lawful changes, what is drawn is what was said, and they compose."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.support.errors import UsageError
from physbench.validity.violations import REGISTRY, Act, Inapplicable, Unseen, Violated, Violation, find_acts
from physbench.validity.violations.violation_looks import turned
from physbench.world.drawing import render
from physbench.world.scene import PALETTE

Clips, Wrong = Callable[..., Clip], Callable[[Clip, str], Violated]

PROJECTILE, HEAD_ON, PASS = "falling/projectile-v1", "collisions/head-on-v1", "occlusion/screen-pass-v1"
WHERE = {  # tasks in which each group has something to violate
    "forces": (PROJECTILE, "orbits/flyby-v1", "orbits/decay-v1", "falling/spring-v1"),
    "contacts": (HEAD_ON, "falling/incline-v1"),
    "motion": (PROJECTILE, "occlusion/screen-lift-v1"),
    "looks": (PROJECTILE, "collisions/billiards-v1"),
    "return": (PASS, "occlusion/screen-stop-v1"),
}


def main(violation: Violation) -> str:
    return Act(violation, violation.main).id


def applied(violation: Violation, clip_of: Clips, wrong: Wrong) -> tuple[Clip, Violated]:
    for task in WHERE.get(violation.group, (PROJECTILE,)):
        for seed in range(3):
            try:
                clip = clip_of(task, seed=seed)
                return clip, wrong(clip, main(violation))
            except Inapplicable:
                continue
    raise AssertionError(f"{violation.name} applies nowhere")


@pytest.mark.parametrize("violation", others_slow(REGISTRY.values(), 5), ids=lambda v: v.name)
def test_nothing_changes_before_the_event_and_something_behind_it(
    clip_of: Clips, wrong: Wrong, violation: Violation
) -> None:
    clip, world = applied(violation, clip_of, wrong)
    (event,) = world.events
    assert 0 <= event.onset <= event.time <= 0.8 * clip.scene.horizon
    assert event.body is None or clip.scene.bodies[clip.scene.index(event.body)].role == "moving"
    states, before = world.states(clip.times), clip.times <= event.onset + 1e-9
    assert np.array_equal(states[before], clip.states[before])
    world.refuse_unseen(clip.times, clip.states)
    last = int(np.flatnonzero(clip.times <= event.time + 1e-9)[-1])
    some = np.unique([clip.handover - 7, clip.handover, last, last + 1, last + 4])
    frames = world.frames(clip.times[some], clip.spec)
    same = (frames == clip.frames[some]).all(axis=(1, 2, 3))
    assert same[some <= last].all() and not same.all()


@pytest.mark.parametrize("violation", REGISTRY.values(), ids=lambda v: v.name)
def test_declarations_say_what_a_severity_does(violation: Violation) -> None:
    assert re.search(r"\bs\b", violation.meaning)
    assert violation.main in violation.severities and len(set(violation.severities)) == len(violation.severities)
    assert violation.doc.endswith(".")
    assert [act.id for act in violation.acts] == [f"{violation.name}:{s:g}" for s in violation.severities]


def test_severities_share_the_moment_and_other_keys_do_not(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(PROJECTILE)
    events = [wrong(clip, f"kick:{s:g}").events for s in REGISTRY["kick"].severities]
    assert len(set(events)) == 1
    assert len({wrong(clip_of(PROJECTILE, seed=seed), "kick").events[0].time for seed in range(4)}) > 1


def test_a_violation_is_the_same_at_every_size_and_rate(clip_of: Clips, wrong: Wrong) -> None:
    small, large = clip_of(PROJECTILE), clip_of(PROJECTILE, size=128, fps=30.0)
    worlds = [wrong(clip, "teleport") for clip in (small, large)]
    assert worlds[0].events == worlds[1].events
    assert np.array_equal(worlds[0].states(small.times), worlds[1].states(large.times)[::2])
    assert worlds[1].frames(large.times[-3:], large.spec).shape == (3, 128, 128, 3)


def test_a_hue_of_the_palette_is_drawn_as_the_renderer_would(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(PROJECTILE)
    world = wrong(clip, "hue:72")
    look = world.plan.appearances[0]
    other = next(h for h in range(len(PALETTE)) if h != clip.scene.bodies[0].hue)
    exact = replace(world, plans=(replace(world.plans[0], appearances=(replace(look, colour=PALETTE[other]),)),))
    bodies = (replace(clip.scene.bodies[0], hue=other), *clip.scene.bodies[1:])
    late = clip.times > world.events[0].time + 1e-9
    expected = render(replace(clip.scene, bodies=bodies), clip.times[late], clip.states[late], clip.spec).frames
    assert np.array_equal(exact.frames(clip.times, clip.spec)[late], expected)


def test_hues_are_turned_by_so_many_degrees(clip_of: Clips) -> None:
    body = clip_of(PROJECTILE).scene.bodies[0]
    assert body.hue is not None
    assert turned(body, 360) == pytest.approx(PALETTE[body.hue])
    assert sorted(turned(body, 120)) == pytest.approx(sorted(PALETTE[body.hue]))
    assert turned(body, 30) != pytest.approx(PALETTE[body.hue])


@pytest.mark.parametrize("text", ["hue:72", "duplicate:2"])
def test_a_scene_with_places_of_chance_is_drawn_violated(clip_of: Clips, wrong: Wrong, text: str) -> None:
    """Such a scene holds one body with a hue; the violated picture holds none, or two."""
    clip = clip_of("chance/galton-v1")
    world = wrong(clip, text)
    late = clip.times > world.events[0].time + 1e-9
    frames = world.frames(clip.times, clip.spec)
    assert np.array_equal(frames[~late], clip.frames[~late])
    assert not np.array_equal(frames[late], clip.frames[late])


def chroma(frames: np.ndarray) -> np.ndarray:
    """Mass of colour in each frame."""
    return np.ptp(frames.astype(np.float64), axis=-1).sum(axis=(1, 2))


@pytest.mark.parametrize(("text", "ratio"), [("size:1.25", 1.25**2), ("duplicate:2", 2.0), ("vanish", 0.0)])
def test_so_much_more_of_a_body_is_seen(clip_of: Clips, wrong: Wrong, text: str, ratio: float) -> None:
    clip = clip_of(PROJECTILE)
    world = wrong(clip, text)
    first = int(np.argmax(clip.times > world.events[0].time + 1e-9))
    frames = world.frames(clip.times[first : first + 1], clip.spec)
    assert chroma(frames) / chroma(clip.frames[first : first + 1]) == pytest.approx(ratio, rel=0.06)


@pytest.mark.parametrize("task", [PROJECTILE, pytest.param("falling/stack-v1", marks=pytest.mark.slow)])
def test_another_shape_covers_as_much_of_the_picture(clip_of: Clips, wrong: Wrong, task: str) -> None:
    clip = clip_of(task, size=128)
    world = wrong(clip, "shape")
    first = int(np.argmax(clip.times > world.events[0].time + 1e-9))
    (there,), lawful = world.frames(clip.times[first : first + 1], clip.spec), clip.frames[first]
    coloured = [(np.ptp(frame.astype(np.float64), axis=-1) > 60).sum() for frame in (there, lawful)]
    assert coloured[0] == pytest.approx(coloured[1], rel=0.1)  # the rim of a ball is dark
    assert (there != lawful).any(axis=-1).sum() > 20


def test_exchanged_hues_are_those_of_the_other(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(HEAD_ON)
    world = wrong(clip, "exchange")
    (event,) = world.events
    one, two = (clip.scene.index(str(name)) for name in (event.body, event.other))
    bodies = list(clip.scene.bodies)
    bodies[one], bodies[two] = replace(bodies[one], hue=bodies[two].hue), replace(bodies[two], hue=bodies[one].hue)
    late = clip.times > event.time + 1e-9
    exact = render(replace(clip.scene, bodies=tuple(bodies)), clip.times[late], clip.states[late], clip.spec).frames
    assert np.array_equal(world.frames(clip.times, clip.spec)[late], exact)


def test_what_blinks_is_back_where_it_should_be(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(PROJECTILE)
    world = wrong(clip, "blink:0.3")
    frames, time = world.frames(clip.times, clip.spec), world.events[0].time
    gone = (clip.times > time + 1e-9) & (clip.times <= time + 0.3 + 1e-9)
    assert not chroma(frames[gone]).any() and 4 <= gone.sum() <= 5
    assert np.array_equal(frames[~gone], clip.frames[~gone])


def test_what_never_returns_is_never_seen_again(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(PASS)
    world = wrong(clip, "return-never")
    assert not chroma(world.frames(clip.times, clip.spec)[clip.times > world.events[0].time]).any()


def test_violations_compose(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(PROJECTILE)
    both, one, other = (wrong(clip, text) for text in ("gravity:0.9+hue:72", "gravity:0.9", "hue:72"))
    assert both.events == one.events + other.events and both.id == "gravity:0.9+hue:72"
    assert np.array_equal(both.states(clip.times), one.states(clip.times))
    seen, plain = both.frames(clip.times, clip.spec), one.frames(clip.times, clip.spec)
    late = clip.times > other.events[0].time + 1e-9
    assert np.array_equal(seen[~late], plain[~late])
    assert (seen[late] != plain[late]).any(axis=(1, 2, 3)).all()
    assert chroma(seen[late]) == pytest.approx(chroma(plain[late]), rel=0.03)


def test_a_kick_in_slow_motion_comes_later(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(PROJECTILE)
    slow, kick = wrong(clip, "slow-time:0.5").events[0], wrong(clip, "kick").events[0]
    both = wrong(clip, "slow-time:0.5+kick").events[1]
    later = kick.time + max(kick.time - slow.time, 0.0)
    assert both.time == pytest.approx(later, abs=2 / 1200) and both.body == kick.body


def test_where_there_is_nothing_to_violate_it_says_why(clip_of: Clips, wrong: Wrong) -> None:
    for task, text, reason in (
        (HEAD_ON, "gravity", "there is no gravity"),
        (PROJECTILE, "momentum", "no two moving bodies"),
        (PROJECTILE, "return-late", "wholly hidden"),
        (PROJECTILE, "force-exponent", "no central field"),
    ):
        with pytest.raises(Inapplicable, match=reason):
            wrong(clip_of(task), text)
    clip = clip_of(PASS)
    with pytest.raises(Inapplicable, match="moves nothing in view") as nothing:
        wrong(clip, "gravity").refuse_unseen(clip.times, clip.states)
    assert not isinstance(nothing.value, Unseen)


def test_what_moves_things_a_little_is_unseen(clip_of: Clips, wrong: Wrong) -> None:
    clip = clip_of(PROJECTILE)
    with pytest.raises(Unseen, match="by more than"):
        wrong(clip, "teleport:0.02").refuse_unseen(clip.times, clip.states)


def test_names_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no violation 'telport'.*teleport"):
        find_acts("telport:1")
    with pytest.raises(UsageError, match="expected a number"):
        find_acts("teleport:far")
    with pytest.raises(UsageError, match="hue is there twice"):
        find_acts("hue:30+hue:72")
    assert find_acts("teleport")[0].severity == REGISTRY["teleport"].main


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fade:150", "from 0.1 to 100"),
        ("fade:0", "from 0.1 to 100"),
        ("shrink:-5", "from 0.1 to 50"),
        ("breathe:0", "from 0.1 to 50"),
        ("slow-time:1", "to 0.999"),
        ("fast-time:0.8", "from 1.001"),
        ("size:0", "from 0.1 to 5"),
        ("stutter:0.6", "to 0.499 s"),
        ("noise:-1", "from 0"),
        ("restitution:-1", "from 0"),
        ("speed-gain:-300", "from -50"),
        ("gravity:nan", "from -10"),
        ("kick:inf", "to 20"),
        ("vanish:0.3", "no severity: it is there or not"),
    ],
)
def test_severities_without_a_meaning_are_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_acts(text)


@pytest.mark.parametrize(
    "text",
    others_slow(["blur:1", "noise:8", "flicker:10", "colour-drift:5", "fade:10"], ("blur:1", "fade:10")),
)
def test_pictures_suffer_by_so_much(clip_of: Clips, wrong: Wrong, text: str) -> None:
    clip = clip_of(PROJECTILE)
    frames = wrong(clip, text).frames(clip.times, clip.spec)[clip.times > 0].astype(np.float64)
    truth = clip.frames[clip.times > 0].astype(np.float64)
    if text.startswith("noise"):
        assert np.std(frames - truth) == pytest.approx(8, rel=0.05)
    elif text.startswith("flicker"):
        assert np.std(frames.mean(axis=(1, 2, 3)) / truth.mean(axis=(1, 2, 3))) == pytest.approx(0.1, rel=0.25)
    elif text.startswith("fade"):
        strong = np.abs(truth[-1] - 127.5) > 20  # a difference of half a level is rounded
        left = np.abs(frames[-1] - 127.5)[strong] / np.abs(truth[-1] - 127.5)[strong]
        assert left.mean() == pytest.approx(0.9**4, rel=0.02)
    elif text.startswith("colour"):
        assert frames.mean(axis=-1) == pytest.approx(truth.mean(axis=-1), abs=1.0)
        assert np.abs(frames - truth).max() > 30
    else:
        assert frames.mean() == pytest.approx(truth.mean(), abs=0.1)
        assert np.abs(np.diff(frames, axis=1)).max() < 0.6 * np.abs(np.diff(truth, axis=1)).max()
