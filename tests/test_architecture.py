"""The arrows of the design point one way, and the packaging knows every folder."""

from __future__ import annotations

import ast
import gc
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = ROOT / "physbench"

# In the order of the data: a package imports those before it only, lazily or not.
ORDER = (
    "support",
    "world",
    "clips",
    "data",
    "laws",
    "tasks",
    "envs",
    "models",
    "rollout",
    "reference",
    "track",
    "shadowing",
    "score",
    "scorers",
    "recording",
    "baselines",
    "result",
    "run",
    "validity",
    "surprise",
    "probes",
    "api",
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


@pytest.fixture(scope="module", autouse=True)
def _trees_are_kept() -> Iterator[None]:
    """The garbage collector would go through them again and again."""
    gc.disable()
    yield
    gc.enable()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> set[str]:
    """Full names of what a module imports, when it is imported or later."""
    found: set[str] = set()

    def visit(statements: Iterable[ast.AST]) -> None:
        for node in statements:
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            else:
                for inner in ("body", "orelse", "finalbody", "handlers", "cases"):  # imports are statements
                    visit(getattr(node, inner, ()))

    visit(parsed(path).body)
    return found


def words_of(tree: ast.Module) -> set[str]:
    """Names, and words of strings, of a module's code: not those of docstrings and comments."""
    found: set[str] = set()
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {id(node.body[0].value) for node in ast.walk(tree)
            if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and id(node) not in docs:
                found.update(re.findall(r"\w+", node.value))
            continue
        named = (getattr(node, name, None) for name in ("id", "attr", "arg", "name", "asname"))
        found.update(part for name in named if isinstance(name, str) for part in name.split("."))
    return found


def test_docstrings_and_comments_name_what_there_is() -> None:
    """Files (`NAME.py`), and names with an underscore in backticks, which stand somewhere in code as well."""
    sources = {path: path.read_text(encoding="utf-8") for _, path in modules()}
    stems = {path.stem for top in ("benchmarks", "docs", "examples", "tests") for path in (ROOT / top).rglob("*.py")}
    stems |= {part for path in sources for part in (path.stem, path.parent.name)} | {"file", "mine", "test_NAME"}
    words = stems | {"boundary_ratio"}  # a value in an index of diffusers
    words.update(re.findall(r"\w+", (ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    for path in sources:
        words.update(words_of(parsed(path)))
    gone = []
    for path, text in sources.items():
        gone += [(path.name, f"{stem}.py") for stem in re.findall(r"\b([a-z]\w*)\.py\b", text) if stem not in stems]
        for name in re.findall(r"`([a-zA-Z_][\w.]*)`", text):
            parts = name.removesuffix(".py").split(".")
            gone += [(path.name, name) for part in parts if "_" in part and part not in words]
    assert not gone, "named, and not in the code"


def packages_of(names: set[str]) -> set[str]:
    """Packages of physbench among imported names."""
    return {name.split(".")[1] for name in names if name.startswith("physbench.") and name.split(".")[1] in ORDER}


def test_imports_follow_the_arrows() -> None:
    reverse = {
        path.relative_to(ROOT): later
        for package, path in modules()
        if (later := packages_of(imports(path)) - set(ORDER[: ORDER.index(package) + 1]))
    }
    assert not reverse, "a module imports packages that come after its own"


def module_name(path: Path) -> str:
    """The dotted name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "physbench" else ("physbench", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_modules_import_each_other() -> None:
    """Neither directly nor in a circle, lazily or not."""
    names = {module_name(path) for _, path in modules()}
    graph = {}
    for _, path in modules():
        found = {name if name in names else name.rpartition(".")[0] for name in imports(path)}
        graph[module_name(path)] = (found & names) - {module_name(path)}
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize(
    "folder", [init.parent for init in ENGINE.glob("*/*/__init__.py")], ids=lambda folder: folder.name
)
def test_arrows_between_a_sub_package_and_the_modules_beside_it_point_one_way(folder: Path) -> None:
    own, parent = module_name(folder / "__init__.py"), module_name(folder.parent / "__init__.py")

    def found(paths: Iterable[Path]) -> set[str]:
        return {name for path in paths for name in imports(path)}

    outwards = {n for n in found(folder.rglob("*.py")) if n.startswith(f"{parent}.") and not n.startswith(own)}
    inwards = {n for n in found(folder.parent.glob("*.py")) if n.startswith(f"{own}.")}
    assert not (outwards and inwards), f"{own} imports {outwards}, and is imported as {inwards}"


def test_every_package_says_what_is_in_it() -> None:
    architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(?:physbench/)?([a-z]+)/` ", architecture, re.MULTILINE)
    assert listed == list(ORDER), "docs/architecture.md lists the packages in the order of the data"
    for package in ORDER:
        init = (ROOT if package in PARTS else ENGINE) / package / "__init__.py"
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), f"{init} says nothing"


def test_tests_mirror_the_tree() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(ORDER)


def test_only_the_world_imports_pybullet() -> None:
    roots = {path: {name.split(".")[0] for name in imports(path)} for package, path in modules() if package != "world"}
    assert not [path for path, names in roots.items() if names & {"pybullet", "pybullet_data"}]


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


def test_no_module_stands_beside_the_packages() -> None:
    assert {path.stem for path in ENGINE.glob("*.py")} == {"__init__"}


def test_links_are_relative() -> None:
    for name in PARTS:
        assert str((ENGINE / name).readlink()) == f"../{name}"


AGES_OF_FILES = {"store.py", "cache.py"}  # compare the clock of the day with times of files


def test_durations_are_of_clocks_that_do_not_jump() -> None:
    """The clock of the day may be set while a run is at work; `time.monotonic` and `time.perf_counter` go on."""
    found = set()
    clock = re.compile(r"\btime\.time\b|\btime\.time_ns\b|\butcnow\b|\bfrom time import .*\btime\b")
    for path in (path for _, path in modules() if clock.search(path.read_text("utf-8"))):
        for node in ast.walk(parsed(path)):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("time.time", "time.time_ns", "datetime.utcnow") or (
                isinstance(node, ast.ImportFrom) and node.module == "time" and {"time"} & {x.name for x in node.names}
            ):
                found.add(path.name)
    assert found == AGES_OF_FILES


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of the strings of a module without docstrings and without help texts of the command line."""
    left_out, nodes = set(), list(ast.walk(parsed(path)))
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr):
                left_out.add(first.value)
        elif isinstance(node, ast.keyword) and node.arg == "help" and path.parent == ENGINE / "cli":
            left_out |= set(ast.walk(node.value))
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in left_out:
            yield node.lineno, node.value


def own_names() -> re.Pattern[str]:
    """Ids of the scorers and tasks that come with physbench, and names of further readings."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    names = [*groups["physbench.scorers"], *groups["physbench.tasks"]]
    return re.compile(rf"(?<![\w/-])({'|'.join(map(re.escape, names))})(?![\w-])")


def test_the_engine_knows_no_scorer_and_no_task_by_name() -> None:
    """Phrases, thresholds and roles are declared beside the scorers (see `score.score_clip`)."""
    named = own_names()
    engine = [
        path
        for package, path in modules()
        if package not in ("tasks", "scorers") and named.search(path.read_text(encoding="utf-8"))
    ]
    found = [f"{path}:{line} {text!r:.60}" for path in engine for line, text in strings(path) if named.search(text)]
    assert not found, "only tasks/ and scorers/ may name these"


def test_no_page_names_a_scorer_or_a_task() -> None:
    named = own_names()
    pages = [page for folder in (ENGINE / "result" / "report", ROOT / "leaderboard") for page in folder.rglob("*.j2")]
    assert len(pages) >= 3
    assert not [page.name for page in pages if named.search(page.read_text(encoding="utf-8"))]


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
    code = "import physbench.rollout.model_process, physbench.baselines.baseline_adapter, physbench.clips.store"
    assert heavy_after(code) & {"pybullet", "lpips", "pandas", "matplotlib"} == set()
