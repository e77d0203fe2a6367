"""The README and the docs say what is there: commands, code, links."""

from __future__ import annotations

import re
from pathlib import Path

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
