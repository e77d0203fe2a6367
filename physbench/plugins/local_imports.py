"""Files that a Python file imports from its own folder: they decide what it does, and are hashed with it.

Read from the text, without running it: what a name is computed for is not seen.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

INSTALLED = ("site-packages", "dist-packages")


def local_imports(path: Path) -> tuple[Path, ...]:
    """The files beside `path`, or in packages beside it, that it imports, and that those import; sorted, without it."""
    start = path.resolve()
    folder, seen, found, waiting = start.parent, {start}, [], [start]
    while waiting:
        for file in _imported(waiting.pop(), folder):
            if file.resolve() not in seen:  # a link has the name that it is imported by, wherever it leads
                seen.add(file.resolve())
                found.append(file)
                waiting.append(file)
    return tuple(sorted(found))


def sources_hash(path: Path, beside: tuple[Path, ...] | None = None) -> str:
    """sha256 of a file, and of its neighbours where it has some (`beside`, if they are known)."""
    text = path.read_bytes()
    others = local_imports(path) if beside is None else beside
    if not others:
        return hashlib.sha256(text).hexdigest()
    digest = hashlib.sha256(hashlib.sha256(text).digest())
    for other in others:
        digest.update(other.relative_to(path.resolve().parent).as_posix().encode())
        digest.update(hashlib.sha256(other.read_bytes()).digest())
    return digest.hexdigest()


def _imported(file: Path, folder: Path) -> Iterator[Path]:
    """Files below `folder` that one of them imports."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):
        return  # whoever imports it will say so
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module(folder, alias.name)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                base, name = folder, node.module or ""
            elif len(file.parents) >= node.level and file.parents[node.level - 1].is_relative_to(folder):
                base, name = file.parents[node.level - 1], node.module or ""
            else:
                continue
            for alias in node.names:
                yield from _module(base, f"{name}.{alias.name}".strip("."), relative=node.level > 0)


def _module(base: Path, name: str, *, relative: bool = False) -> Iterator[Path]:
    """Files that are read where `name` ("a.b.c") is imported from `base`; what is behind a module is a name in it."""
    first = name.partition(".")[0]
    if not relative and (base.name in INSTALLED or _is_elsewhere(first, base)):
        return
    place = base
    for part in name.split("."):
        place = place / part
        if (place / "__init__.py").is_file():
            yield place / "__init__.py"
        elif place.with_suffix(".py").is_file():
            yield place.with_suffix(".py")
            return
        elif not place.is_dir():
            return


def _is_elsewhere(name: str, folder: Path) -> bool:
    """Whether a module of that name comes from another place than the folder, as what is installed does."""
    if name in sys.builtin_module_names or name in sys.stdlib_module_names or name == __package__:
        return True
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    places = [spec.origin] if spec and spec.origin else list(spec.submodule_search_locations or ()) if spec else []
    return bool(places) and not any(Path(place).resolve().is_relative_to(folder) for place in places)
