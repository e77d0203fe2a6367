"""What the docs tell people to type exists: every command, option and file of the repository that a page names."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from physbench.score.protocol import ANALYSES, INPUTS, Observation

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "models").glob("*.md")),
    *sorted((ROOT / "docs" / "design").glob("*.md")),
]


def commands(page: Path) -> Iterator[str]:
    """Every `physbench ...` line of a page's code blocks, and those in its text."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;|\|", line.removeprefix("$ ").split("   #")[0]):
                if part.strip().startswith("physbench "):
                    yield part.strip()
    for span in re.findall(r"`(physbench [a-z]+[^`]*)`", text):
        yield " ".join(span.split())


EVERY = [(page, line) for page in PAGES for line in dict.fromkeys(commands(page))]


@pytest.fixture(scope="module")
def program() -> Any:
    from physbench.cli.main import build

    return typer.main.get_command(build())


@pytest.mark.parametrize(("page", "line"), EVERY, ids=lambda value: getattr(value, "stem", value))
def test_commands_and_options_exist(program: Any, page: Path, line: str) -> None:
    words = shlex.split(line)[1:]
    command = program
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{page.name}: there is no command '{line}'"
        command, words = command.commands[words[0]], words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    asked = {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)}
    assert asked <= known | {"--help", "--debug"}, f"{page.name}: '{line}' has options that do not exist"


@pytest.mark.slow
def test_every_formula_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A formula that only TeX understands fails the build of the pages, which comes last."""
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    from formulas import drawn

    texts = [
        re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.M | re.S) for page in PAGES
    ]
    found = {
        formula for text in texts for pair in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", text, re.S) for formula in pair
    } - {""}
    assert len(found) > 20
    for formula in found:
        assert "<svg" in drawn(formula, 11.5), formula


def test_the_examples_of_the_methodology_hold() -> None:
    """One namespace for all blocks, in the order of the page: each asserts what its formula gives."""
    page = (ROOT / "docs" / "methodology.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert sum("assert" in block for block in blocks) >= 8
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, f"methodology.md: {block.splitlines()[0]}", "exec"), names)


def test_the_first_page_says_what_the_findings_do() -> None:
    first, findings = (
        " ".join((ROOT / "docs" / page).read_text(encoding="utf-8").split()) for page in ("index.md", "findings.md")
    )
    (seconds,) = re.findall(r"keeps to the laws for ([0-9.]+) of ([0-9.]+) seconds", first)
    assert "is physical for {} s of {} s".format(*seconds) in findings
    ahead = re.findall(r"`[a-z-]+`", findings.partition("Ahead of constant velocity for sure:")[2].partition(".")[0])
    assert "seven of nine are not ahead" in first and "9 small world models" in findings and len(ahead) <= 2


def test_the_first_page_says_how_large_the_models_of_the_board_are() -> None:
    entries = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "board/entries").glob("*/about.json")]
    sizes = {each["submission"]["parameters"] for each in entries} - {None}
    words = f"at most {max(sizes) / 1e6:.1f} million numbers (`objects`: {min(sizes):,})"
    assert words in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_links_to_boards_are_of_those_that_the_site_holds() -> None:
    """They are no pages of the docs, so that no build of these checks them."""
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")]
    linked = {name for text in pages for name in re.findall(r'href="([\w-]+)/index.html"', text)}
    (held,) = re.findall(r"^for board in (.*); do$", (ROOT / ".ci" / "site").read_text(encoding="utf-8"), re.MULTILINE)
    assert linked == set(held.split())


def test_the_page_about_scorers_lists_every_need() -> None:
    page = (ROOT / "docs" / "your-scorer.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| need \| .*\n\| --- .*\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert re.findall(r"^\| `(\w+)` \| ", table, re.MULTILINE) == [*INPUTS, *ANALYSES]


def test_the_api_page_lists_what_each_need_yields() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\.\. autoclass:: physbench\.[\w.]*\.(\w+)$", page, re.MULTILINE))
    for name in ANALYSES:
        yielded = set(re.findall(r"\b[A-Z]\w+", getattr(Observation, name).make.__annotations__["return"]))
        assert yielded - {"None", "Mapping", "Mask"} <= listed, name


def test_the_api_page_lists_every_public_name() -> None:
    import physbench

    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    # `physbench.score` is a package as well: its page is that of the function.
    listed = re.findall(r"^\.\. auto\w+:: physbench\.(?:api\.one_clip\.)?(\w+)$", page, re.MULTILINE)
    assert sorted(listed) == sorted(set(listed)) == sorted(physbench._HOMES)
