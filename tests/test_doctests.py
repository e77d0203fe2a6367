"""Examples in docstrings are true."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("physbench", "tasks", "scorers", "leaderboard")


def modules_with_examples() -> list[str]:
    """Dotted names of the modules that hold an example."""
    found = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            if ">>> " in path.read_text(encoding="utf-8"):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found.add(name if folder == "physbench" else f"physbench.{name}")
    return sorted(found)


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name: str) -> None:
    module = import_module(name)
    runner, finder = doctest.DocTestRunner(), doctest.DocTestFinder(recurse=False)
    for label, value in vars(module).items():
        function = getattr(value, "py_func", value)  # of a compiled function
        if getattr(function, "__module__", None) == name and getattr(function, "__doc__", None):
            for test in finder.find(function, label, module=False, globs=dict(vars(module))):
                runner.run(test)
    assert runner.summarize(verbose=False).attempted and not runner.failures
