"""What importing the package does to the machine: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Names files that are opened for writing and folders that are made, and says at the end that it got there.
WATCHED = """
import os, sys
touched = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
        touched.append(arguments[0])
    elif event in ("os.mkdir", "os.rename", "os.remove"):
        touched.append(str(arguments[0]))
sys.addaudithook(watch)
{imports}
print("touched", touched)
"""
EVERY_MODULE = """
import importlib, pkgutil
import physbench
from physbench.support.errors import PhysbenchError
for module in pkgutil.walk_packages(physbench.__path__, "physbench."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:  # of a library that is not installed here
        assert not error.name.startswith("physbench"), error
print("every module")
"""


def output_of(imports: str, tmp_path: Path) -> str:
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    words = [sys.executable, "-c", WATCHED.format(imports=imports)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_and_the_program_write_nothing_when_they_are_imported(tmp_path: Path) -> None:
    assert output_of("import physbench, physbench.cli.main", tmp_path) == "touched []\n"
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_no_module_ends_the_process_or_compiles_when_it_is_imported(tmp_path: Path) -> None:
    """Numba looks for a folder that can be written to. It compiles, and keeps what it compiled, at the first call."""
    assert "every module" in output_of(EVERY_MODULE, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".nbi", ".nbc")]
    assert {path.name for path in tmp_path.iterdir()} <= {"numba"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("eval baseline:freez --suite smoke", "Did you mean freeze"),
        ("eval baseline:freeze --suite smok", "Did you mean smoke"),
        ("eval baseline:freeze --tasks faling/*", "Did you mean falling/"),
        ("eval baseline:freeze --clips 4", "A number of clips is --limit 4"),
        ("rollout baseline:freez --suite smoke", "Did you mean freeze"),
        ("compare none other", "there is no such folder"),
        ("diagnose none", "there is no such folder"),
        ("report none", "there is no such folder"),
        ("status none", "there is no such folder"),
        ("leaderboard preview none", "there is no such folder"),
    ],
)
def test_a_mistyped_word_is_refused_before_seconds_of_imports(tmp_path: Path, words: str, reason: str) -> None:
    program = (
        "import sys; from physbench.cli.main import main\n"
        f"sys.argv = ['physbench', *{words.split()!r}]\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code)\n"
        "print({'numba', 'scipy.optimize', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert reason in done.stderr and done.stdout == "2\nset()\n"


def test_what_directs_an_evaluation_imports_neither_torch_nor_statistics(tmp_path: Path) -> None:
    """The model's process and the workers do: two seconds of a processor, which a third process would take again."""
    program = "import sys, physbench.run.evaluate; print({'scipy.stats', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout == "set()\n", done.stderr
