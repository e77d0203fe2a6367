"""Source files that decide a result: for each purpose a few entry modules, and all that these import.

A hash of these files is part of cache keys and guards the resumption of a run. Imports are read from the text, lazy
ones inside functions too, without running it. What an entry point leads to, or a module whose name is computed
(`import_module`), is not seen: PURPOSES names it. Data files do not count.

- `from package import name` leads to `package/__init__.py` and to all that this imports. Where the package hands the
  name out lazily, it also leads to the module from which `if TYPE_CHECKING` takes the name. Everywhere else imports for
  type checkers decide nothing.
- `import package.module` does not lead to `package/__init__.py`: its list of public names would otherwise tie every
  module of the package to every other one.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class Purpose:
    """Entry modules of a purpose; dotted names of modules, or of packages with all modules in them."""

    entries: tuple[str, ...]
    without: tuple[str, ...] = ()  # is not followed, although something imports it


INIT = "__init__.py"
# Decide no value anywhere: messages, progress, how plug-ins are found (they are hashed themselves), files, and hashing.
NEVER: tuple[str, ...] = ("physbench.run.versions", "physbench.support")
# Decides nothing in the plain look. Keys of clips in another look name the code of that look themselves.
NATURAL = "physbench.world.styles.natural.frames"
PLUG_INS = ("physbench.scorers", "physbench.tasks", "physbench.laws")  # by entry points
VIOLATIONS = "physbench.validity.violations"  # imports its modules by computed names
BARS_MODULE = "physbench.validity.thresholds"  # which sources are shown depends on them, but not what these read

PURPOSES: Mapping[str, Purpose] = MappingProxyType(
    {
        # What other looks than the plain one draw.
        "natural": Purpose(("physbench.world.styles.natural",)),
        # A scene becomes a clip. How a task makes the scene does not count: the scene is in the key of the clip.
        "clips": Purpose(("physbench.clips.generate",), (NATURAL, "physbench.clips.task")),
        # The clip is in the key, too.
        "predictability": Purpose(("physbench.score.predictability",), (NATURAL,)),
        # Readings of ground truth and of the baselines that need no entry point. `load_model` leads to every model.
        "references": Purpose(
            ("physbench.run.references", "physbench.baselines.baseline_adapter", *PLUG_INS),
            (NATURAL, "physbench.models.load_model"),
        ),
        # All that a rollout and its scores can depend on, with everything that a name of a model leads to. How a
        # reference model was trained does not count: the hash of its weights is in the manifest.
        "runs": Purpose(
            (
                "physbench.models",
                "physbench.baselines",
                "physbench.reference",
                "physbench.rollout",
                "physbench.run.references",
                "physbench.score",
                "physbench.validity.saboteur_adapter",
                VIOLATIONS,
                *PLUG_INS,
            ),
            (BARS_MODULE, NATURAL, "physbench.reference.train"),
        ),
        # One part of a validity table: one source on one clip. How a table is made of parts does not count.
        "validity": Purpose(("physbench.validity.measure", VIOLATIONS, *PLUG_INS), (BARS_MODULE, NATURAL)),
        # The films of the suite `expectation`, and what pixel baselines make of them; the clip is in the key.
        "expectation": Purpose(
            ("physbench.surprise.films", "physbench.surprise.clip_films", "physbench.laws", VIOLATIONS),
            (BARS_MODULE, NATURAL),
        ),
        # What `baseline:memory` keeps of a clip of the `train` split, whose scene is not in a key.
        "memory": Purpose(("physbench.baselines.recorded_motion", "physbench.tasks"), (NATURAL,)),
        # Compiled functions and the constants in them. The columns of `planar_motion` are those of a `PlanarScene`.
        "kernels": Purpose(
            (
                "physbench.laws.drive_motion",
                "physbench.laws.event_loop",
                "physbench.laws.field_motion",
                "physbench.laws.kepler",
                "physbench.laws.pendulum_motion",
                "physbench.laws.point_distances",
                "physbench.track.compiled_registration",
                "physbench.world.compiled_rods",
                "physbench.world.styles.natural.compiled_shadows",
            ),
            ("physbench.laws.planar_scene",),
        ),
    }
)


@cache
def fingerprint(purpose: str) -> str:
    """Hash of the sources that decide `purpose`, one of PURPOSES, as they were when it was first asked for.

    Raises ModuleNotFoundError where a module that is named there, or imported by one of them, does not exist.
    """
    return digest(sources(purpose))


def sources(purpose: str) -> dict[str, Path]:
    """The modules that decide `purpose`, one of PURPOSES, with their files."""
    chosen = PURPOSES[purpose]
    return follow(chosen.entries, (*NEVER, *chosen.without))


def digest(modules: Mapping[str, Path]) -> str:
    """Hash of files under the names of their modules; their order and their places do not matter."""
    whole = hashlib.sha256()
    for name, path in sorted(modules.items()):
        whole.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def follow(entries: Sequence[str], without: Sequence[str] = ()) -> dict[str, Path]:
    """The modules of `entries` and all that these import from their own top-level package, with their files.

    Args:
        entries: Dotted names of modules, or of packages with all modules in them.
        without: Names of modules and packages at which to stop.

    Raises ModuleNotFoundError where one of the names, or what a module imports, does not exist.
    """
    tree = _Tree()
    stops = tuple(f"{tree.checked(name, 'a fingerprint leaves out')}." for name in without)
    waiting = [module for entry in entries for module in tree.modules(entry)]
    files: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        if name not in files and not f"{name}.".startswith(stops):
            files[name] = tree.path(name)
            waiting += tree.imports(name)
    return files


class _Tree:
    """Modules by their dotted names, as they lie on disk now."""

    def __init__(self) -> None:
        self._paths: dict[str, Path | None] = {}

    def _find(self, name: str) -> Path | None:
        """The file of a module; that of a package is its `__init__.py`. None where there is none."""
        if name not in self._paths:
            self._paths[name] = self._look_up(name)
        return self._paths[name]

    def _look_up(self, name: str) -> Path | None:
        parent, _, last = name.rpartition(".")
        if "." not in parent:  # an installation may map a package to a folder elsewhere: ask Python
            spec = find_spec(name) if not parent or self._is_package(parent) else None
            return Path(spec.origin) if spec and spec.origin else None
        if not self._is_package(parent):
            return None
        folder = self.path(parent).parent
        return next((path for path in (folder / last / INIT, folder / f"{last}.py") if path.is_file()), None)

    def _is_package(self, name: str) -> bool:
        path = self._find(name)
        return path is not None and path.name == INIT

    def path(self, name: str) -> Path:
        """The file of a module that is there."""
        path = self._find(name)
        assert path is not None, name
        return path

    def checked(self, name: str, user: str) -> str:
        """The name of a module that is there."""
        if self._find(name) is None:
            raise ModuleNotFoundError(f"There is no module '{name}', which {user}. Was it moved?", name=name)
        return name

    def modules(self, entry: str) -> Iterator[str]:
        """The module of that name, or all modules of the package."""
        yield self.checked(entry, "a fingerprint starts from")
        if self._is_package(entry):
            folder = self.path(entry).parent
            for file in folder.rglob("*.py"):
                parts = file.relative_to(folder).with_suffix("").parts
                yield ".".join((entry, *(parts[:-1] if file.name == INIT else parts)))

    def imports(self, name: str) -> Iterator[str]:
        """Modules that a module imports."""
        for module, member in _imported(self.path(name).read_bytes(), name, self._is_package(name)):
            yield from self._lead(module, member, f"{name} imports")

    def _lead(self, module: str, member: str | None, user: str) -> Iterator[str]:
        self.checked(module, user)
        if member and self._is_package(module):
            eager, lazy = _handed_out(self.path(module).read_bytes(), module)
            if member in lazy:
                yield from self._lead(*lazy[member], f"{module} imports")
            elif member not in eager and self._find(f"{module}.{member}"):
                module = f"{module}.{member}"
        yield module


@cache
def _imported(text: bytes, name: str, is_package: bool) -> tuple[tuple[str, str | None], ...]:
    """Imports of a module's text from its top-level package: (module, name in it, or None for the module)."""
    try:  # to parse whole modules takes ten times as long
        tree = ast.parse(_import_statements(text, name.partition(".")[0]))
    except SyntaxError:  # a line of a docstring looked like an import
        tree = ast.parse(text)
    return tuple((module, member) for module, member, _ in _names(tree, name, is_package))


@cache
def _handed_out(text: bytes, name: str) -> tuple[set[str], dict[str, tuple[str, str]]]:
    """Names that the `__init__` of a package imports, and those that it hands out lazily: (module, name there)."""
    tree = ast.parse(text)
    eager = {label for module, _, label in _names(tree, name, True) if module != name}
    every = {label: (module, member) for module, member, label in _names(tree, name, True, typing=True) if member}
    return eager, {label: origin for label, origin in every.items() if label not in eager and origin[0] != name}


def _names(
    tree: ast.AST, name: str, is_package: bool, *, typing: bool = False
) -> Iterator[tuple[str, str | None, str]]:
    """(module, name in it, name here) of all imports of the own top-level package; `typing`: also for type checkers."""
    top = name.partition(".")[0]
    for node in _nodes(tree, typing):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == top:
                    yield alias.name, None, alias.asname or alias.name
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                package = name.split(".")[: (1 if is_package else 0) - node.level or None]
                module = ".".join((*package, *([module] if module else ())))
            if module.partition(".")[0] == top:
                for alias in node.names:
                    yield module, alias.name, alias.asname or alias.name


def _nodes(node: ast.AST, typing: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and not typing and ast.unparse(child.test).rpartition(".")[2] == "TYPE_CHECKING":
            for other in child.orelse:
                yield other
                yield from _nodes(other, typing)
        elif not isinstance(child, ast.expr):
            yield child
            yield from _nodes(child, typing)


def _import_statements(text: bytes, top: str) -> bytes:
    """The statements that import from the package `top`, at whatever depth; not those for type checkers."""
    begins, statements, lines = _beginning(top), [], iter(text.splitlines())
    typing: int | None = None  # indentation of an `if TYPE_CHECKING:` that is open
    for line in lines:
        match = begins.match(line)
        if typing is not None and line.strip():
            if len(line) - len(line.lstrip()) > typing:
                continue
            typing = None
        if match and match["typing"]:
            typing = len(match["indent"])
        elif match:
            statement = line.strip()
            while statement.count(b"(") > statement.count(b")") or statement.endswith(b"\\"):
                statement += b"\n" + next(lines, b")")
            statements.append(statement)
    return b"\n".join(statements)


@cache
def _beginning(top: str) -> re.Pattern[bytes]:
    name = re.escape(top)
    typing = r"(?P<typing>if[ \t]+(?:\w+\.)?TYPE_CHECKING[ \t]*:)"
    text = rf"(?P<indent>[ \t]*)(?:{typing}|from[ \t]+(?:\.|{name}\b)|import\b.*\b{name}\b)"
    return re.compile(text.encode())
