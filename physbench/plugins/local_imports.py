"""The files that a Python file imports from its own folder. They decide what it does, so they are hashed with it.

The imports are read from the text, without running it: a module whose name is computed is not found.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

INSTALL_FOLDERS = ("site-packages", "dist-packages")


def local_imports(path: Path) -> tuple[Path, ...]:
    """Find the files that `path` imports from its folder, directly or through each other.

    Args:
        path: A Python file.

    Returns:
        Files beside `path`, or in packages beside it, sorted and without `path` itself.
    """
    start = path.resolve()
    folder, seen, found, waiting = start.parent, {start}, [], [start]
    while waiting:
        for file in _imports_of_file(waiting.pop(), folder):
            if file.resolve() not in seen:  # a link counts under the name that is imported, wherever it leads
                seen.add(file.resolve())
                found.append(file)
                waiting.append(file)
    return tuple(sorted(found))


def sources_hash(path: Path, imports: tuple[Path, ...] | None = None) -> str:
    """Hash a file together with its local imports.

    Args:
        path: A Python file.
        imports: Its local imports, if they are known already.

    Returns:
        sha256 of the file where it has no local imports, else of the hashes of all files and their relative paths.
    """
    text = path.read_bytes()
    imported = local_imports(path) if imports is None else imports
    if not imported:
        return hashlib.sha256(text).hexdigest()
    digest = hashlib.sha256(hashlib.sha256(text).digest())
    for file in imported:
        digest.update(file.relative_to(path.resolve().parent).as_posix().encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _imports_of_file(file: Path, folder: Path) -> Iterator[Path]:
    """Files below `folder` that one file imports."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):
        return  # reported when the file is imported
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module_files(folder, alias.name)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                base, name = folder, node.module or ""
            elif len(file.parents) >= node.level and file.parents[node.level - 1].is_relative_to(folder):
                base, name = file.parents[node.level - 1], node.module or ""
            else:
                continue
            for alias in node.names:
                yield from _module_files(base, f"{name}.{alias.name}".strip("."), relative=node.level > 0)


def _module_files(base: Path, name: str, *, relative: bool = False) -> Iterator[Path]:
    """Files that are read where `name` ("a.b.c") is imported from `base`; what follows a module is a name in it."""
    first = name.partition(".")[0]
    if not relative and (base.name in INSTALL_FOLDERS or _is_not_local(first, base)):
        return
    path = base
    for word in name.split("."):
        path = path / word
        if (path / "__init__.py").is_file():
            yield path / "__init__.py"
        elif path.with_suffix(".py").is_file():
            yield path.with_suffix(".py")
            return
        elif not path.is_dir():
            return


def _is_not_local(name: str, folder: Path) -> bool:
    """Whether a module of that name is found outside the folder, such as in the standard library."""
    if name in sys.builtin_module_names or name in sys.stdlib_module_names:
        return True
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    origins = [spec.origin] if spec and spec.origin else list(spec.submodule_search_locations or ()) if spec else []
    return bool(origins) and not any(Path(origin).resolve().is_relative_to(folder) for origin in origins)
