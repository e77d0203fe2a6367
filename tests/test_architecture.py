"""The arrows of the design point one way, and the packaging knows every folder."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = ROOT / "physbench"

# In the order of the data: a package imports those before it only, lazily or not.
ORDER = (
    "plugins",
    "storage",
    "world",
    "clips",
    "data",
    "dynamics",
    "tasks",
    "adapters",
    "reference",
    "rollouts",
    "tracks",
    "shadowing",
    "scoring",
    "scorers",
    "baselines",
    "results",
    "report",
    "run",
    "checks",
    "validation",
    "leaderboard",
    "cli",
)
PARTS = ("tasks", "scorers", "leaderboard")  # folders at the top of the checkout


def modules() -> Iterator[tuple[str, Path]]:
    """(package, file) of every module, those outside the engine's folder too."""
    for package in ORDER:
        folder = ROOT / package if package in PARTS else ENGINE / package
        for path in sorted(folder.rglob("*.py")):
            yield package, path


def imports(path: Path, *, at_top: bool = False) -> set[str]:
    """Full names of what a module imports; `at_top`: only what importing the module itself imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes: list[ast.AST] = []

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if at_top and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            nodes.append(child)
            visit(child)

    visit(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages_of(names: set[str]) -> set[str]:
    """Packages of physbench among imported names."""
    return {name.split(".")[1] for name in names if name.startswith("physbench.") and name.split(".")[1] in ORDER}


@pytest.mark.parametrize(("package", "path"), list(modules()), ids=lambda value: getattr(value, "stem", value))
def test_imports_follow_the_arrows(package: str, path: Path) -> None:
    reverse = packages_of(imports(path)) - set(ORDER[: ORDER.index(package) + 1])
    assert not reverse, f"{path.relative_to(ROOT)} imports {reverse}, and comes before"


@pytest.mark.parametrize(("package", "path"), list(modules()), ids=lambda value: getattr(value, "stem", value))
def test_only_the_world_imports_pybullet(package: str, path: Path) -> None:
    if package != "world":
        assert not [name for name in imports(path) if name.split(".")[0] in ("pybullet", "pybullet_data")]


def test_the_package_list_equals_the_folders() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = set()
    for top, name in (
        (ENGINE, "physbench"),
        *((ROOT / part, f"physbench.{part}") for part in PARTS),
    ):
        for init in top.rglob("__init__.py"):
            parts = init.parent.relative_to(top).parts
            if top is ENGINE and parts and parts[0] in PARTS:
                continue  # the links
            folders.add(".".join((name, *parts)))
        for sources in top.rglob("*.py"):
            assert (sources.parent / "__init__.py").exists() or sources.parent.is_symlink(), (
                f"{sources.parent} has none"
            )
    assert set(project["packages"]) == folders


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_imported_by_its_full_name_only(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"physbench.{name}" in done.stderr


def test_few_modules_stand_beside_the_packages() -> None:
    """Every package may use them."""
    assert {path.stem for path in ENGINE.glob("*.py")} == {"__init__", "errors", "links", "progress", "worker_pool"}


def test_links_are_relative() -> None:
    for name in PARTS:
        assert str((ENGINE / name).readlink()) == f"../{name}"


LONGEST = 400  # lines


@pytest.mark.parametrize(("package", "path"), list(modules()), ids=lambda value: getattr(value, "stem", value))
def test_no_module_is_long(package: str, path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST, f"{package}: split {path.name}"


HEAVY = ("torch", "numpy", "pandas", "pyarrow", "matplotlib", "pybullet", "lpips", "scipy", "numba")


def heavy_after(code: str) -> set[str]:
    """Heavy libraries that a fresh interpreter has loaded after `code`."""
    script = f"import sys\n{code}\nprint(*[m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["eval", "--help"], ["--version"], ["tasks", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert heavy_after(f"from physbench.cli.main import run; assert run({arguments}) == 0") == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert heavy_after("import physbench") == set()


def test_the_models_process_imports_neither_pybullet_nor_lpips() -> None:
    """A machine with a GPU needs nothing but torch and a folder of clips."""
    code = "import physbench.rollouts.model_process, physbench.baselines.baseline_adapter, physbench.clips.store"
    assert heavy_after(code) & {"pybullet", "lpips", "pandas", "matplotlib"} == set()
