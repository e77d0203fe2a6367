"""The README and the docs say what is there: commands, code, links."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def test_the_readme_has_two_set_up_commands() -> None:
    assert [len(block.splitlines()) for block in blocks("sh")] == [1, 1]


def test_your_model_in_15_lines_is_the_example_that_the_tests_run() -> None:
    (code,) = blocks("python")
    assert code == (ROOT / "examples" / "my_model.py").read_text(encoding="utf-8")
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(('"""', "import", "from"))]
    assert len(lines) <= 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    made = ("generated/", "../generated/")  # pages that the docs' build writes, and checks itself
    missing = [link for link in links if "://" not in link and not link.startswith(made)]
    missing = [link for link in missing if not (page.parent / link).exists()]
    assert missing == []


def test_every_command_that_the_readme_names_exists() -> None:
    from physbench.cli.main import COMMANDS

    named = set(re.findall(r"(?:`|\$ |&& )physbench ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named and named <= set(COMMANDS)


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    """The script that CI gives the output of the first command to."""
    spec = spec_from_file_location("readme_output", ROOT / ".ci" / "readme_output.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lines(compare: ModuleType) -> list[str]:
    """What the README shows of its first command."""
    return list(compare.shown((ROOT / "README.md").read_text(encoding="utf-8")))


def test_the_readme_shows_a_row_for_each_family_and_task(compare: ModuleType, lines: list[str]) -> None:
    from physbench.clips.suite import find_suite

    tasks = find_suite("smoke").tasks
    names = {task.split("/")[0] for task in tasks} | {re.sub(r".*/|-v[0-9]+$", "", task) for task in tasks}
    sums = {"all families", "constant velocity", "memory, 1,500 clips", "beyond memory"}
    assert set(compare.table(lines)) == names | sums


def changed(lines: list[str], old: str, new: str) -> list[str]:
    text = "\n".join(lines)
    assert len(re.findall(old, text, re.MULTILINE)) == 1
    return re.sub(old, new, text, flags=re.MULTILINE).split("\n")


def test_output_of_the_same_shape_is_what_the_readme_shows(compare: ModuleType, lines: list[str]) -> None:
    assert compare.differences(lines, lines) == []
    first = lines[0]
    log = [
        "Loading reference:objects ...",
        first,
        "Interrupted.",
        "pip says much",
        first,
        "After 60 s: 3 of 56",
        *lines[1:],
    ]
    assert compare.relevant("\n".join(log)) == lines  # the last evaluation, without progress
    slower = changed(lines, r"^Done in .*", "Done in 59 min. Model 1 min.")
    slower = changed(slower, r"whole run [0-9]+ min", "whole run 9999 s")
    assert compare.differences(lines, slower) == []
    row = compare.table(lines)["billiards"]["consistency"]
    near = changed(lines, rf"^(  billiards +[0-9.]+ +){row}", rf"\g<1>{float(row) - 0.05:.2f}")
    assert compare.differences(lines, near) == []


def test_other_output_is_not_what_the_readme_shows(compare: ModuleType, lines: list[str]) -> None:
    row = compare.table(lines)["billiards"]["consistency"]
    overall = compare.overall(lines)["overall"][""]
    for old, new, words in (
        (rf"^(  billiards +[0-9.]+ +){row}", rf"\g<1>{float(row) - 0.06:.2f}", "billiards consistency"),
        (rf"^overall {overall}", f"overall {float(overall) + 0.06:.2f}", "overall : README.md has"),
        (r"^  projectile .*\n", "", "only README.md has: projectile all; projectile consistency"),
        (r"^Loses [0-9]+ %.*\n", "", "shows"),
        (r"model frames/s", "frames a second", "shows"),
    ):
        found = compare.differences(lines, changed(lines, old, new))
        assert len(found) == 1 and words in found[0]
    with pytest.raises(SystemExit, match="did not end"):
        compare.relevant("\n".join(lines[:-1]))


@pytest.mark.slow
def test_the_readme_shows_what_its_first_command_prints(compare: ModuleType, lines: list[str], tmp_path: Path) -> None:
    """CI compares the output of the command itself, in an environment of its own."""
    command = [sys.executable, "-c", "from physbench.cli.main import main; main()"]
    done = subprocess.run(
        [*command, "eval", "reference:objects", "--suite", "smoke"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    missing = re.compile(r"\S+(?: and \S+)? (?:is|are) unavailable: .*?\)")  # which extras are installed
    mine, theirs = (
        [missing.sub("", line) for line in each] for each in (lines, compare.relevant(done.stderr + done.stdout))
    )
    assert compare.differences(mine, theirs) == []
