"""The pages about tasks and scorers of one's own show the code of the examples, and templates work as they are."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from physbench.cli.main import run
from physbench.clips.generate import make_params
from physbench.validity.task_checks.check_task import check_task
from physbench.world.scene import Contact

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("page", "example"), [("task", "task"), ("scorer", "scorer")])
def test_the_page_shows_the_example(page: str, example: str) -> None:
    text = (ROOT / "docs" / f"your-{page}.md").read_text(encoding="utf-8")
    code = (ROOT / "examples" / f"my_{example}.py").read_text(encoding="utf-8")
    assert code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) < 80


def test_the_page_shows_force_and_law_of_the_example() -> None:
    text = (ROOT / "docs" / "your-task.md").read_text(encoding="utf-8")
    (block,) = (each for each in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "pb.SceneLaw" in each)
    assert "pb.ForceField" in block and block in (ROOT / "examples" / "my_law.py").read_text(encoding="utf-8")


def written(kind: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, ModuleType]:
    """A template and its test, imported."""
    assert run((f"{kind}s", "new", "some-thing", "--out", str(folder))) == 0
    path, test = (Path(line) for line in capsys.readouterr().out.split())
    assert (path.name, test.name) == ("some_thing.py", "test_some_thing.py")
    spec = spec_from_file_location(f"written_{kind}", test)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return path, module


def test_a_template_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, module = written("task", tmp_path / "new", capsys)
    module.test_follows_the_closed_form_up_to_the_contact()
    # Its test looks at something, or says that it does not: here the ball is never in flight before a contact.
    clip = module.make_clip
    monkeypatch.setattr(
        module, "make_clip", lambda *arguments: replace(clip(*arguments), contacts=(Contact(-0.39, "ball", "x"),))
    )
    monkeypatch.setattr(module, "make_params", lambda row: {**make_params(row), "release": -0.4})
    with pytest.raises(AssertionError, match="there is nothing to compare"):
        module.test_follows_the_closed_form_up_to_the_contact()
    before = path.read_text()
    assert run(("tasks", "new", "some_thing", "--out", str(tmp_path / "new"))) == 2
    assert "not overwritten" in capsys.readouterr().err and path.read_text() == before


def test_the_template_of_a_scorer_passes_its_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, module = written("scorer", tmp_path, capsys)
    module.test_ground_truth_is_at_the_noise_floor()
    text = path.read_text()
    last = "return Reading(float(np.median(np.abs(speeds - truth)[both])))"
    assert text.count(last) == 1
    path.write_text(text.replace(last, f'return {{"": {last.removeprefix("return ")}, "worst": Reading(9.0)}}'))
    module.test_ground_truth_is_at_the_noise_floor()  # of a scorer that returns a dict, too
    module.test_a_frozen_picture_is_seen()


@pytest.mark.slow
def test_the_template_of_a_task_passes_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written("task", tmp_path, capsys)[1].test_is_fit_to_be_measured_with()


def test_wrong_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, says in ((("1st",), "no name"), (("a", "--family", "A/b"), "no family")):
        assert run(("tasks", "new", *arguments, "--out", str(tmp_path))) == 2
        assert says in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert run(("tasks", "new", "a", "--out", str(tmp_path / "file"))) == 2
    assert "Choose another --out" in capsys.readouterr().err


@pytest.mark.slow
def test_the_shipped_tasks_pass() -> None:
    for task in ("projectile", "screen-pass", "kepler"):
        report = check_task(task, clips=1)
        assert report.passed, [finding.text for finding in report.findings if finding.state == "failed"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tasks", "new", "kepler", "--family", "orbits"), "There is a task 'orbits/kepler-v1' already"),
        (("scorers", "new", "gravity", "--family", "laws"), "There is a scorer 'laws/gravity' already"),
        (("scorers", "new", "class"), "'class' has a meaning in the file already"),
        (("tasks", "new", "none"), "'None' has a meaning"),
        (("scorers", "new", "moving"), "'moving' has a meaning"),
        (("tasks", "new", "scene"), "'Scene' has a meaning"),
    ],
)
def test_a_name_that_is_taken_is_refused(
    arguments: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run((*arguments, "--out", str(tmp_path / "here"))) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "here").exists()
