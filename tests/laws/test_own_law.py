"""A user's file with a force, its law and a task: against the closed form, shadowed, diagnosed, checked."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_scenes import START, Edit, problem, truth

from physbench.cli.main import run
from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.clips.task import own_ids
from physbench.laws.changes import WorldChange
from physbench.laws.closed_form import two_bodies
from physbench.laws.scene_law import SceneLaw, find_laws, scene_law
from physbench.laws.support_check import Unsupported
from physbench.models.protocol import ModelCard
from physbench.result.diagnosis import Evidence, diagnose_family, find_changed_worlds
from physbench.run.references import _own_files, reference_rollout
from physbench.run.versions import code_hash
from physbench.score.score_clip import find_scorers, score_clip
from physbench.shadowing.levels import at_levels
from physbench.support import plugins
from physbench.support.errors import LawError, UsageError
from physbench.validity.task_checks.check_task import check_task
from physbench.validity.violations.violation_apply import ChangeLaws, ShiftState, simulate_hooked
from physbench.validity.violations.violation_plan import StepHook
from physbench.world.scene import PHYSICS_HZ, ForceField, Outcome, Scene

Array = NDArray[np.float64]

FILE = Path(__file__).parents[2] / "examples" / "my_law.py"
TASK = "own/ball-on-spring-v1"


@pytest.fixture(autouse=True)
def named() -> Iterator[None]:
    own_ids(str(FILE))
    yield
    truth.cache_clear()


def hooked(*hooks: StepHook) -> Edit:
    """PyBullet's states with hooks."""

    def edit(scene: Scene, times: Array, states: Array) -> Array:
        return simulate_hooked(scene, hooks, np.round(times * PHYSICS_HZ).astype(np.int64))

    return edit


def test_it_swings_as_hooke_says() -> None:
    scene, times, states = truth(TASK, 3)
    (ball,) = (body for body in scene.bodies if body.role == "moving")
    (spring,) = scene.fields
    rate = spring.rate  # type: ignore[attr-defined]
    since = times - ball.release
    free = since >= 0
    # Euler's velocity at the release is that of half a step ago, where the spring is at rest: it costs nothing.
    expected = ball.velocity[0] / rate * np.sin(rate * since)
    assert np.abs(states[free, 0, 0] - expected[free]).max() < 1e-3
    assert np.ptp(states[free, 0, 0]) > 1.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_truth_is_lawful_and_changes_are_found(seed: int) -> None:
    assert all(level.explained == 1.0 and not level.breaks for level in at_levels(problem(TASK, seed)))
    kick = ShiftState(0.8, 0, np.zeros(3), np.array([0.0, 0.4, 0.0]), np.zeros(3))
    for change in (ChangeLaws(0.0, WorldChange(central_mass=0.8)), kick):
        smallest = at_levels(problem(TASK, seed, hooked(change)))[0]
        assert smallest.breaks
        assert change.start <= smallest.breaks[0].time < change.start + 1.0
        assert smallest.shadowed < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.75, pytest.param(1.3, marks=pytest.mark.slow)])
def test_diagnosis_tells_another_stiffness(factor: float) -> None:
    evidence = []
    for seed in range(4):
        found = problem(TASK, seed, hooked(ChangeLaws(0.0, WorldChange(central_mass=factor))))
        evidence.append(Evidence(f"{TASK}.{seed}", TASK, found.law, found.seen))
    (law,) = diagnose_family(evidence, find_changed_worlds()).laws
    assert law.id == "stiffness"
    assert law.value == pytest.approx(factor, rel=0.02)
    assert law.interval is not None
    assert law.interval[0] < factor < law.interval[1]


@pytest.mark.slow
def test_the_checker_says_which_law() -> None:
    report = check_task(str(FILE), clips=1)
    assert report.passed
    (shadowing,) = (finding for finding in report.findings if finding.check == "shadowing")
    assert "the law spring" in shadowing.text


def test_a_scene_without_a_law_is_refused() -> None:
    class Wind(ForceField):
        pass

    scene = make_scene(Row(TASK, "test", 0))
    with pytest.raises(TypeError, match="no dataclass"):
        replace(scene, fields=(Wind(),))
    plugins.adopt_in_worker("")
    assert {law.name for law in find_laws()} == {
        "planar",
        "central",
        "fields",
        "springs",
        "pendulum",
        "chain",
        "drive",
        "bullet",
    }
    assert scene_law(scene, START).name == "bullet"
    with pytest.raises(Unsupported, match="no law covers a scene with Spring"):
        scene_law(replace(scene, outcomes=(Outcome("hangs", None),)), START)


def test_a_field_reaches_other_processes() -> None:
    scene = make_scene(Row(TASK, "test", 0))
    arrived = pickle.loads(pickle.dumps(scene))
    assert arrived == scene
    assert arrived.fields[0].accelerations(scene, np.zeros((3, 3)), np.zeros((3, 3)), 0.0).shape == (3, 3)


FIELDS = """
from dataclasses import dataclass, field
import numpy as np
import physbench as pb

class Forces:
    @dataclass(frozen=True, kw_only=True)
    class Wind(pb.ForceField):
        strength: float
        doubled: float = field(init=False)

        def __post_init__(self):
            object.__setattr__(self, "doubled", 2 * self.strength)

        def accelerations(self, scene, position, velocity, time):
            return np.zeros_like(position)

WIND = Forces.Wind(strength=3.0)
"""


def test_a_field_of_any_dataclass_reaches_other_processes_and_another_version_does_not(tmp_path: Path) -> None:
    """Named values, values that it computes, a class in a class; and the file may change meanwhile."""
    path = tmp_path / "fields.py"
    path.write_text(FIELDS, encoding="utf-8")
    ((file, _),) = plugins.open_files(str(path))
    wind = file.module.WIND
    sent = pickle.dumps(wind)
    arrived = pickle.loads(sent)
    assert arrived == wind == copy.deepcopy(wind) and arrived.doubled == 6.0
    path.write_text(FIELDS + "# edited", encoding="utf-8")
    assert pickle.loads(sent) == wind, "this process goes on with what it read"
    program = f"import pickle; pickle.loads({sent!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "has changed while it was in use" in done.stderr


def with_laws(tmp_path: Path, more: str) -> None:
    """A file with laws beside that of the spring."""
    path = tmp_path / "more.py"
    path.write_text(f"from dataclasses import dataclass\nimport physbench as pb\n{more}", encoding="utf-8")
    ((file, _),) = plugins.open_files(str(path))
    plugins.register_file(file)


TWO = """
@dataclass(frozen=True)
class Strut(pb.ForceField):
    rate: float

class Strutted(pb.SceneLaw):
    name, fields = "strut", (Strut,)
    constants = (pb.LawConstant("{id}", "the spring were {{value}} times as stiff", "stiffness"),)
"""


def test_two_laws_may_share_a_constant(tmp_path: Path) -> None:
    before = {world.id for world in find_changed_worlds()}
    with_laws(tmp_path, TWO.format(id="stiffness"))
    assert {law.name for law in find_laws()} >= {"spring", "strut"}
    assert {world.id for world in find_changed_worlds()} == before


def test_a_constant_with_a_name_that_is_taken_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_laws(tmp_path, TWO.format(id="drag"))
    with pytest.raises(UsageError, match="'drag' is the name of another change"):
        find_changed_worlds()
    assert run(["eval", "baseline:freeze", "--tasks", str(FILE), "--limit", "1", "--out", str(tmp_path / "run")]) == 2
    assert "'drag' is the name of another change" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_two_bodies_with_another_force_have_no_closed_form() -> None:
    (spring,) = make_scene(Row(TASK, "test", 0)).fields
    scene = make_scene(Row("orbits/binary-v1", "test", 0))
    assert two_bodies(scene)
    body = next(each.name for each in scene.bodies if each.role == "moving")
    assert not two_bodies(replace(scene, fields=(*scene.fields, replace(spring, body=body))))


def test_names_of_laws_are_their_own(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(FILE.read_text(encoding="utf-8").replace(TASK, "own/other-v1"), encoding="utf-8")
    own_ids(str(other))
    with pytest.raises(UsageError, match="a law 'spring' already"):
        find_laws()


def test_the_text_of_a_law_is_in_the_keys_of_readings() -> None:
    """Of all tasks: it may move scenes that no other law moves. The code of physbench stays what it is."""
    with_law, code = _own_files("falling/stack-v1"), code_hash()
    assert with_law
    plugins.adopt_in_worker("")
    assert not _own_files("falling/stack-v1")
    assert code_hash() == code


def test_a_force_has_the_text_of_its_file_in_its_name(tmp_path: Path) -> None:
    """What a force does is not in its numbers: clips that another text has made are others."""
    other = tmp_path / "other.py"
    other.write_text(FILE.read_text(encoding="utf-8").replace(TASK, "own/other-v1") + "\n# more\n", encoding="utf-8")
    own_ids(str(other))
    here, there = (make_scene(Row(task, "test", 0)) for task in (TASK, "own/other-v1"))
    assert repr(here.fields) != repr(there.fields)
    assert repr(here.fields) == repr(make_scene(Row(TASK, "test", 0)).fields)


@pytest.fixture
def raising(tmp_path: Path) -> Path:
    """A file whose law divides by zero when it is to move anything."""
    plugins.adopt_in_worker("")
    source, returned = FILE.read_text(encoding="utf-8"), "        return np.concatenate([position, "
    assert source.count(returned) == 1
    path = tmp_path / "wrong.py"
    path.write_text(source.replace(returned, f"        1 / 0\n{returned}"), encoding="utf-8")
    return path


RAISED = "simulate() raised ZeroDivisionError in line 41 (simulate): division by zero."
FAULT = f"The law spring (wrong.py) is at fault: {RAISED}"


def test_a_reading_blames_the_law(raising: Path) -> None:
    own_ids(str(raising))
    clip, card = make_clip(Row(TASK, "test", 0), render_spec(64, 15.0)), ModelCard("check", (64, 64), 15.0, 8)
    (shadowing,) = find_scorers("consistency/shadowing")
    (row, *_), _ = score_clip(clip, reference_rollout("freeze", clip, card), card.scored_context, [shadowing])
    assert (row.status, row.quality) == ("failed", 0.0)
    assert row.reason == f"consistency/shadowing cannot be read. {FAULT}"


@pytest.mark.parametrize("mixed", [False, True], ids=["own", "mixin"])
@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("@classmethod\n    def covers(cls, scene)", lambda law: None),
        ("@staticmethod\n    def covers(scene)", lambda law: None),
        ("def __init__(self, *arguments)", lambda law: None),
        ("def charts(self, body, position, size)", lambda law: law.charts(0, np.zeros((1, 2)), 1.0)),
        ("@functools.cached_property\n    def linked(self)", lambda law: law.linked),
        ("@property\n    def cost(self)", lambda law: law.cost),
    ],
)
def test_whatever_a_law_raises_is_its_own_fault(
    raising: Path, method: str, call: Callable[[SceneLaw], object], mixed: bool
) -> None:
    """Of any kind of method, the law's own or one that it has from a class that is no law."""
    source = FILE.read_text(encoding="utf-8").replace("import numpy", "import functools\n\nimport numpy")
    lines = f"    {method}:\n        return 1 / 0\n\n"
    if mixed:
        wrong = source.replace("class SpringLaw(", f"class Mixin:\n{lines}\nclass SpringLaw(Mixin, ")
    else:
        wrong = source.replace("    def simulate(", f"{lines}    def simulate(")
    raising.write_text(wrong, encoding="utf-8")
    own_ids(str(raising))
    with pytest.raises(
        LawError, match=r"law spring \(wrong.py\) is at fault: \w+\(\) raised ZeroDivisionError in line"
    ):
        call(scene_law(make_scene(Row(TASK, "test", 0)), START))


def test_a_constant_has_values(raising: Path) -> None:
    source = FILE.read_text(encoding="utf-8").replace('"stiffness"),)', '"stiffness", values=()),)')
    raising.write_text(source, encoding="utf-8")
    with pytest.raises(UsageError, match="LawConstant 'stiffness': expected factors to try in `values`, but got none"):
        own_ids(str(raising))


def test_another_shape_than_asked_for_is_told(raising: Path) -> None:
    raising.write_text(raising.read_text(encoding="utf-8").replace("1 / 0", "return position"), encoding="utf-8")
    own_ids(str(raising))
    law = scene_law(make_scene(Row(TASK, "test", 0)), START)
    with pytest.raises(LawError, match=r"at fault: simulate\(\) was given states \(1, 1, 4\) and 2 times: expected"):
        law.acceleration(np.zeros((1, 2)))


@pytest.mark.slow
def test_a_run_blames_the_law(raising: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--suite", "smoke", "--limit", "1", "--workers", "1", "--out", str(tmp_path / "run")]
    assert run(["eval", "baseline:freeze", "--tasks", str(raising), *options]) == 1
    said = capsys.readouterr().err
    assert f"The diagnosis failed, which scores do not need. {FAULT}" in said
    assert (
        f"No clip could be scored. own.ball-on-spring-v1.test.0: consistency/shadowing cannot be read. {FAULT}" in said
    )
    assert "tasks check" in said and "models check" not in said and "should not happen" not in said
