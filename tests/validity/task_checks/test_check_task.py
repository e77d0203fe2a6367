"""Broken tasks are refused, each for its own reason; the examples pass; what is printed can be acted upon."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import broken_tasks as broken
import numpy as np
import pytest

from physbench.cli.main import run
from physbench.cli.tasks import clips_of
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_params, make_scene
from physbench.clips.task import find_task
from physbench.models.protocol import ModelCard
from physbench.score.score_clip import find_scorers
from physbench.support.progress import Progress
from physbench.validity.task_checks import check_task as check_module
from physbench.validity.task_checks.check_task import COST, SPEC, check_declaration, check_scene, check_task, rows_of
from physbench.validity.task_checks.clip_protocol import check_seen, check_view, outside, touched
from physbench.validity.task_checks.finding import Finding, Shot, failed, save
from physbench.validity.task_checks.physics import check_energy
from physbench.validity.task_checks.task_readings import axis_readings, check_axes, measure
from physbench.world.bullet import simulate
from physbench.world.drawing import render
from physbench.world.scene import Body, Camera, RenderSpec, Scene

EXAMPLE = Path(__file__).parents[3] / "examples" / "my_task.py"
Write = Callable[[str, str], Path]


def failures(path: Path, pictures: Path | None = None, clips: int = 1) -> list[Finding]:
    report = check_task(str(path), clips=clips, pictures=pictures)
    return [finding for finding in report.findings if finding.state == "failed"]


@pytest.mark.parametrize(
    ("name", "check", "says"),
    [
        ("OVERLAPPING", "overlap", "ball and other are 0.50 m inside each other"),
        pytest.param("OUT_OF_VIEW", "view", "out of the window", marks=pytest.mark.slow),
        ("NONDETERMINISTIC", "determinism", "differs in its scene"),
        pytest.param("BY_HASH", "determinism", "differs in its scene", marks=pytest.mark.slow),
        ("EXPLODING", "energy", "from nowhere"),
        ("SPRUNG", "explosion", "ball reaches "),
        pytest.param("UNSEEN", "visible", "floor is touched at", marks=pytest.mark.slow),
        pytest.param("UNDRAWN", "visible", "is not seen at any time before 0", marks=pytest.mark.slow),
    ],
)
def test_broken_tasks_are_refused_with_a_picture(
    written: Write, tmp_path: Path, name: str, check: str, says: str
) -> None:
    found = failures(written(name.lower(), getattr(broken, name)), tmp_path / "pictures")
    assert found[0].check == check and says in found[0].text
    if name == "EXPLODING":
        assert "ball 1.3 x floor" in found[0].remedy and "product" in found[0].remedy
    if name == "SPRUNG":
        assert found[0].remedy.startswith("Springs have a period of ")
        assert "from knob to ball softer than " in found[0].remedy and "(now 1e+08)" in found[0].remedy
    for finding in found:
        assert finding.remedy and finding.clip and finding.picture
        assert Path(finding.picture).read_bytes().startswith(b"\x89PNG")


def test_the_check_that_runs_is_said(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    left: list[int] = []

    class Shown(Progress):
        def advance(self, count: int = 1, note: str = "") -> None:
            super().advance(count, note)
            notes.extend([note] if note else [])
            if note == "readings":
                assert self.total is not None
                left.append(self.total - self.done)

    monkeypatch.setattr("physbench.validity.task_checks.check_task.Progress", Shown)
    failures(written("overlapping", broken.OVERLAPPING))
    before = ["declaration and splits", "scenes", "simulation", "the same clips in a fresh process"]
    assert notes == [*before, "states and frames", "readings"]
    assert left[0] >= 2 * COST.futures, "of test and of ood, each twice its making"


def test_the_time_left_follows_from_later_readings_and_not_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one imports libraries and compiles: 20 s here, where the seven others take 1 s."""
    now, estimates = [0.0], []

    class Shown(Progress):
        def advance(self, count: int = 1, note: str = "") -> None:
            super().advance(count, note)
            assert self.total is not None
            estimates.append(now[0] / self.done * self.total)  # s in all, as its line has it

    def measured(*given: object) -> None:
        now[0] += 20.0 if now[0] < 10 else 1.0

    monkeypatch.setattr(check_module.time, "process_time", lambda: now[0])
    monkeypatch.setattr("physbench.validity.task_checks.task_readings.measure", measured)
    work = check_module._Work(find_task("projectile"), Path(__file__), began=0.0, reading=10)
    now[0] = 2.0  # s: clips were made, each in 0.1 s
    clips = [make_clip(row, SPEC) for row in rows_of("falling/projectile-v1", 1)[:1]] * 8
    assert len(list(check_module._measured(work, clips, Shown("checking", 100)))) == 8
    assert now[0] == 29.0 and all(abs(each / now[0] - 1) < 0.1 for each in estimates), estimates


@pytest.mark.slow
def test_a_frozen_picture_that_is_as_good_as_the_truth_leaves_nothing_to_predict(written: Write) -> None:
    found = failures(written("slow", broken.SLOW))
    assert [finding.check for finding in found] == ["nothing to predict"] and "frozen" in found[0].text


def test_what_straight_motion_solves_is_refused_unless_the_task_says_so() -> None:
    clip = make_clip(Row("occlusion/screen-pass-v1", "test", 901), SPEC)
    scorers = tuple(each for each in find_scorers() if each.headline)
    measured = [measure(clip, ModelCard("check", (64, 64), 15.0, 8), scorers)]
    axes = axis_readings(measured)
    assert {axis.kind for axis in axes.values()} == {"informative"}
    (refused,) = check_axes(measured, axes)
    assert (refused.check, refused.state) == ("straight motion", "failed")
    assert "consistency 1.00 of 1.00" in refused.text
    assert "straight_motion = True" in refused.remedy and refused.shot is not None
    assert getattr(find_task(clip.row.task), "straight_motion", False)
    (declared,) = check_axes(measured, axes, straight=True)
    assert declared.state == "ok" and declared.text.startswith(refused.text)
    slower = {name: replace(axis, constant_velocity=0.9) for name, axis in axes.items()}
    assert not [*check_axes(measured, slower)]


@pytest.mark.parametrize(
    ("changes", "check", "says"),
    [
        ({"law": "    Rule: "}, "declaration", "does not say: Law"),
        ({"kind": 'radius=Parameter("m", "free",'}, "declaration", "radius is free"),
        ({"radius": '(0.40, 0.52), "of the ball", ood=(0.50, 0.66)'}, "declaration", "overlaps that of train"),
        ({"radius": '(0.20, 0.22), "of the ball"'}, "scene", "px at 64 px"),
        (broken.WRONG_MASS, "scene", "its size says"),
        ({"accepts": "return p['heigth'] > 0"}, "splits", "KeyError in line 52 (accepts)"),
        ({"accepts": "return False"}, "splits", "`accepts` refused all of 20,000 draws of the split train"),
        ({"bodies": "bodies=[thrown, floor()]"}, "scene", "lists or arrays"),
        ({"place": '(0.0, 0.0, float("nan")),'}, "scene", "not finite"),
    ],
)
def test_declarations_and_code_are_looked_at_first(
    written: Write, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], check: str, says: str
) -> None:
    monkeypatch.setattr("physbench.validity.task_checks.check_task._check_readings", lambda work, clips, progress: None)
    found = failures(written("wrong", broken.source("wrong", **changes)))
    assert found[0].check == check and says in found[0].text, found


def test_all_that_is_wrong_is_listed(written: Write) -> None:
    """In words, in numbers and in the simulation: one group of checks does not hide the next."""
    source = broken.source("wrong", law="    Rule: ", radius='(0.20, 0.22), "of the ball"')
    assert [finding.check for finding in failures(written("wrong", source))] == ["declaration", "scene"]
    overlapping = failures(written("overlapping", broken.OVERLAPPING))
    assert [finding.check for finding in overlapping] == ["overlap"], "what is thrown out leaves the window, too"


def test_of_clips_whose_bodies_overlap_nothing_else_is_said(written: Write) -> None:
    """In all clips a ball leaves the window; in those of a hue with an odd index it begins in another one."""
    source = broken.source(
        "sometimes",
        floor="(thrown, other, floor(), ",
        velocity='velocity=(3.5, 0.0, p["velocity"]),',
        scene="""\
        position = (-0.3 if p["hue"] % 2 else -1.5, 0.0, p["height"] + p["radius"])
        other = ball("other", 0.5, position, int(p["hue"] + 2) % 5, release=p["release"])
"""
        + broken.PIECES["scene"],
    )
    found = {finding.check: finding.clip or "" for finding in failures(written("sometimes", source), clips=3)}
    hues = {row.id: int(make_params(row)["hue"]) for row in rows_of("own/sometimes-v1", 3)}
    assert found["overlap"] == next(iter(hues)) and hues[found["overlap"]] % 2 == 1 and hues[found["view"]] % 2 == 0


def test_of_a_scene_that_is_refused_nothing_is_scored(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lawful paths of bodies that start inside each other are sought for minutes."""
    asked: list[object] = []
    monkeypatch.setattr(
        "physbench.validity.task_checks.check_task._check_readings", lambda work, clips, progress: asked.append(clips)
    )
    for name in ("OVERLAPPING", "OUT_OF_VIEW"):
        last = check_task(str(written(name.lower(), getattr(broken, name))), clips=1).findings[-1]
        assert not asked
        assert (last.check, last.state) == ("readings", "note")
        assert (last.text, last.remedy) == ("not asked: the scene was refused", "Mend first what failed.")


def test_a_group_that_breaks_on_what_is_refused_is_noted(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(work: object, clips: object, progress: object) -> None:
        raise ZeroDivisionError("no frame is left")

    monkeypatch.setattr("physbench.validity.task_checks.check_task._check_readings", breaks)
    path = written("wrong", broken.source("wrong", law="    Rule: "))
    last = check_task(str(path), clips=1).findings[-1]
    assert (last.check, last.state) == ("readings", "note") and "no frame is left" in last.text
    with pytest.raises(ZeroDivisionError):  # of a task that nothing refuses, it is a mistake of the checks
        check_task(str(EXAMPLE), clips=1)


def test_the_example_passes_and_is_informative() -> None:
    report = check_task(str(EXAMPLE), clips=1)
    assert report.passed, [finding.text for finding in report.findings]
    assert report.axes["consistency"].kind == report.axes["drift"].kind == "informative"
    assert report.axes["permanence"].kind == "guard"
    assert clips_of(report) == "3 clips: 1 of test, 1 of ood, 1 of train" and report.document()["clips"] == 3
    (seen,) = [finding for finding in report.findings if finding.check == "visible"]
    assert seen.state == "ok" and "floor stands out by 20 of 255" in seen.text
    assert all((axis.truth or 0) >= 0.95 for axis in report.axes.values())


def test_what_a_task_names_and_has_not_is_told() -> None:
    class Wrong(type(find_task("falling/pendulum-v1"))):
        levels: ClassVar = {"difficulty": "lenght", "events": "angle"}
        evenly = "angel"

    told = [(each.text, each.remedy) for each in check_declaration(Wrong()) if each.state == "failed"]
    told = told[1:]  # the first one is about its docstring, which it has not
    assert [text.split(".")[0] for text, _ in told] == [
        "`evenly` names 'angel', which is no parameter",
        "`levels` names 'lenght', which is no parameter",
        "`levels` has no kind 'events'",
    ]
    assert "Did you mean length?" in told[1][0] and "difficulty and event" in told[2][1]


def test_a_rod_that_is_longer_than_its_bodies_are_apart_is_named() -> None:
    scene = make_scene(Row("falling/pendulum-v1", "test", 0))
    (rod,) = scene.fields
    longer = replace(scene, fields=(replace(rod, length=rod.length + 0.3),), prompt="")
    (first, second) = (each for each in check_scene(longer) if each.state == "failed")
    assert first.text.startswith("the rod from knob to ball is ") and "the prompt" in second.text
    assert not [each for each in check_scene(scene) if each.state == "failed"]


def test_a_rod_that_ends_with_its_knob_gives_no_energy() -> None:
    """From then on the ball flies: the force of the rod is not asked for any more."""
    clip = make_clip(Row("falling/pendulum-v1", "test", 0), SPEC)
    bodies = tuple(replace(each, until=0.5) if each.name == "knob" else each for each in clip.scene.bodies)
    scene = replace(clip.scene, bodies=bodies)
    flies = replace(clip, scene=scene, states=simulate(scene, clip.times).states)
    assert [each.state for each in check_energy(flies)] == ["ok"]


def test_what_is_hidden_at_the_handover_counts_as_it_was_seen_before() -> None:
    clip = make_clip(Row("occlusion/screen-stop-v1", "test", 0), SPEC)
    scene, walls = clip.scene, [body.name for body in clip.scene.bodies if body.name == "wall"]
    assert walls and {scene.bodies[i].name for i in touched(clip)} <= {"floor", *walls}
    assert [finding.state for finding in check_seen(clip)] == ["ok"]


def test_a_picture_shows_no_frame_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("matplotlib.axes.Axes.set_xlabel", lambda self, label, **_: shown.append(label))
    clip = make_clip(Row("orbits/kepler-v1", "test", 0), SPEC)
    save(failed("view", "x", "y", clip, Shot(clip, (-2.0, -2.0, 0.01, -1.6, 0.0))), tmp_path / "a.png")
    assert shown == ["-2.00 s", "-1.60 s", "0.00 s"]


def test_the_command_says_what_failed_in_words_and_as_json(
    written: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both forms, of one check."""
    monkeypatch.setattr("physbench.validity.task_checks.check_task.check_task", functools.cache(check_task))
    path = written("nothing_left", broken.NOTHING_LEFT)
    wanted = ("tasks", "check", str(path), "--clips", "1", "--out", str(tmp_path))
    assert run(wanted) == 1
    out = capsys.readouterr().out
    assert "failed nothing to predict" in out and "nothing happens" in out
    assert "Let something decide the clip" in out and ".png" in out
    assert run((*wanted, "--json")) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is False and document["task"] == "own/nothing-left-v1"
    first = next(each for each in document["findings"] if each["state"] == "failed")
    assert Path(first["picture"]).is_file() and first["remedy"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Name a task"),
        (("kepler", "--all"), "Name a task"),
        (("nowhere.py",), "There is no file 'nowhere.py'"),
        (("keppler",), "Did you mean orbits/kepler-v1"),
        (("kepler", "--clips", "0"), "1 to 100"),
        (("kepler", "--out", __file__), "is a file"),
    ],
)
def test_wrong_use(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str) -> None:
    assert run(("tasks", "check", *arguments)) == 2
    assert says in capsys.readouterr().err


def test_the_ends_of_a_long_body_are_in_the_window_too() -> None:
    """A plank of 2.8 x 0.4 m turns by a quarter, 1.2 m above the middle of a window of 5.12 m: .04 m of it leave."""
    plank = Body("plank", "box", (1.4, 0.1, 0.2), "moving", (0.0, 0.0, 1.2), hue=1, flat=True)
    scene, spec = Scene((plank,), Camera("front", (0.0, 0.0, 0.0))), RenderSpec(64, 64, 15.0)
    angle, states = np.array([0.0, np.pi / 2]), np.zeros((2, 1, 13))
    states[:, 0, 2], states[:, 0, 4], states[:, 0, 6] = 1.2, np.sin(angle / 2), np.cos(angle / 2)
    times = np.array([-0.1, 0.1])
    picture = render(scene, times, states, spec)
    clip = Clip(
        Row("own/plank-v1", "test", 0), scene, spec, times, picture.frames, states,
        picture.visible_area, picture.full_area, (),
    )  # fmt: skip
    inside, over = outside(clip, 0)
    assert inside < 0 and over == pytest.approx(0.04 / 1.4)
    (finding,) = check_view(replace(clip, times=times + 0.2))
    assert finding.check == "view" and "plank" in finding.text


def halved() -> str:
    """The example with half the lengths, so that the same picture is seen in a window of half the size."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for lengths in ("9.81,", "(0.40, 0.46)", "(0.54, 0.62)", "(0.66, 0.74)", "(0.6, 2.2)", "(1.5, 4.5)", "(4.6, 5.2)"):
        assert text.count(lengths) == 1
        text = text.replace(lengths, re.sub(r"[\d.]+", lambda number: str(float(number[0]) / 2), lengths))
    for whole, half in (
        ("CENTER_Z = 2.2", "CENTER_Z = 1.1"),
        ('("a", -1.2), ("b", 1.2)', '("a", -0.6), ("b", 0.6)'),
        ('p["radius_b"])\n        return', 'p["radius_b"], 0.02, width=2.56)\n        return'),
        ("(0.0, 0.0, CENTER_Z))", "(0.0, 0.0, CENTER_Z), width=2.56)"),
        ('p["release"])]', 'p["release"], 0.1)]'),
    ):
        assert text.count(whole) == 1
        text = text.replace(whole, half)
    return text


def test_a_window_of_half_the_size_with_balls_of_half_the_size_passes(written: Write) -> None:
    path = written("halved", halved())
    report = check_task(str(path), clips=1)
    assert report.passed, [finding.text for finding in report.findings]
    assert all((axis.truth or 0) >= 0.95 for axis in report.axes.values())
    scene = make_scene(Row(f"{path}:TwoBalls", "test", 0))
    assert not [finding for finding in check_scene(scene) if finding.state == "failed"]
    ball, *others = scene.bodies
    tiny = replace(ball, size=(0.19,), mass=ball.mass * (0.19 / ball.size[0]) ** 3)
    (finding,) = [each for each in check_scene(replace(scene, bodies=(tiny, *others))) if each.state == "failed"]
    assert "0.19 m, 4.8 px at 64 px" in finding.text and "at least 0.2 m (5 px)" in finding.remedy
