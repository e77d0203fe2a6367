"""Laws of users that break what others rely on are refused, each for its own reason; those of physbench pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from physbench.cli.main import run
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.clips.task import own_ids
from physbench.shadowing.shadow import scene_law_of
from physbench.validity.task_checks.check_task import SPEC
from physbench.validity.task_checks.law import LawProbe, check_law, fault_of

EXAMPLE = Path(__file__).parents[3] / "examples" / "my_law.py"
TASK = "own/ball-on-spring-v1"
Write = Callable[[str, str], Path]

STIFFNESS, AWAY = "np.sqrt(constants[:, 0])", "states[:, None, :, :2] - anchor"
RETURNED = "return np.concatenate([position, velocity * np.cos(angle) - away * rate * np.sin(angle)], axis=-1)"
SABOTAGES = {  # what is replaced in the example, by what, and words of the finding
    "signature": ("times, constants):", "times):", "simulate() raised TypeError: SpringLaw.simulate() takes 3"),
    "raising": (RETURNED, "return 1 / 0", "simulate() raised ZeroDivisionError in line 41 (simulate): division"),
    "shape": (RETURNED, "return position", "expected states (4, 269, 1, 4) but got (4, 269, 1, 2)"),
    "nan": (
        "angle, anchor = rate",
        "angle, anchor = np.sqrt(1 - times[:, None, None]) * rate",
        "gives NaN for ball at 1.",
    ),
    "nan where time stands": (
        "velocity / rate * np.sin(angle)",
        "velocity * np.sin(angle) / angle * (times - times[0])[:, None, None]",
        "gives NaN for ball at the first time, which is given twice",
    ),
    "company": (AWAY, f"({AWAY}) * np.sign(states[:1, None, :, 2:3])", "candidates otherwise together than alone"),
    "constants of others": (f"{STIFFNESS}[:, None, None, None]", "np.sqrt(constants[0, 0])", "constants of others"),
    "first state": ("(times - times[0])", "times", "begins with another position than the given one"),
    "first velocity": ("velocity * np.cos(angle) -", "0.9 * velocity * np.cos(angle) -", "with another velocity than"),
    "velocity": (" - away * rate * np.sin(angle)]", "]", "velocities that are not the change of its positions"),
    "in place": (RETURNED, f"velocity *= 1; {RETURNED}", "ValueError in line 41 (simulate): output array is read-only"),
    "infinity": (
        RETURNED,
        f"position = np.where(states[:, None, :, 3:] > 0.5, np.inf, position); {RETURNED}",
        "gives infinite numbers for ball pushed by 1 m/s right and up at all times",
    ),
    "even times": (
        "(times - times[0])",
        "((times[-1] - times[-2]) * np.maximum(np.arange(len(times)) - 1, 0))",
        "otherwise where other times are asked",
    ),
    "steps of the frames": (
        "(times - times[0])",
        "np.cumsum(np.diff(times, prepend=times[0]) * (0.95 + 3 * np.diff(times, prepend=times[0])))",
        "otherwise where other times are asked",
    ),
    "time since the first": (
        "simulate(self, states, times, constants):",
        "simulate(self, states, times, constants):\n"
        "        times = times + 0.05 * (times - times[0]) ** 2\n"
        "        moved = self.uniform(states, times, constants)\n"
        "        moved[..., 2:] *= np.sqrt(1 + 0.2 * (times - times[0]))[:, None, None]\n"
        "        return moved\n\n"
        "    def uniform(self, states, times, constants):",
        "otherwise when it goes on from a state halfway",
    ),
    "constant": (STIFFNESS, "np.sqrt(np.ones_like(constants[:, 0]))", "a constant 'stiffness' without effect"),
}


def clips(task: str) -> list[Clip]:
    return [make_clip(Row(task, "test", seed), SPEC) for seed in (900, 901)]


@pytest.mark.parametrize(("before", "after", "says"), SABOTAGES.values(), ids=SABOTAGES)
def test_wrong_laws_are_refused(written: Write, before: str, after: str, says: str) -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert source.count(before) == 1
    own_ids(str(written("wrong", source.replace(before, after))))
    (finding,) = check_law(clips(TASK))
    assert finding.state == "failed" and finding.text.startswith("the law spring (wrong.py) ")
    assert says in finding.text and finding.remedy, finding


def test_the_example_passes() -> None:
    own_ids(str(EXAMPLE))
    (finding,) = check_law(clips(TASK))
    assert finding.state == "ok" and "the law spring (my_law.py)" in finding.text


@pytest.mark.parametrize(
    ("task", "law"),
    [
        ("falling/drop-bounce-v1", "planar"),
        ("orbits/binary-v1", "central"),
        pytest.param("orbits/decay-v1", "fields", marks=pytest.mark.slow),
        pytest.param("falling/spring-v1", "springs", marks=pytest.mark.slow),
        pytest.param("collisions/cradle-v1", "pendulum", marks=pytest.mark.slow),
        pytest.param("collisions/pusher-v1", "drive", marks=pytest.mark.slow),
        pytest.param("combo/throw-v1", "bullet", marks=pytest.mark.slow),
    ],
)
def test_the_laws_of_physbench_pass(task: str, law: str) -> None:
    probes = [LawProbe(clip, own) for clip in clips(task) if (own := scene_law_of(clip))]
    assert {probe.law.name for probe in probes} == {law}
    assert fault_of(probes) is None
    assert not list(check_law(clips(task))), "those of users are checked"


def test_what_follows_from_a_wrong_law_is_not_checked(
    written: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("physbench.validity.task_checks.check_task._check_readings", None)
    before, after, says = SABOTAGES["nan"]
    file = written("wrong", EXAMPLE.read_text(encoding="utf-8").replace(before, after))
    assert run(["tasks", "check", str(file), "--clips", "1"]) == 1
    shown = capsys.readouterr().out
    assert says in shown and "Mend the law first" in shown and "1 of the checks failed" in shown
