"""Versions that decide scores beside the settings: code and libraries. A hash of them keys caches and guards resume."""

from __future__ import annotations

import hashlib
import inspect
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from physbench import __version__
from physbench.laws.scene_law import find_laws
from physbench.score.protocol import Scorer
from physbench.support import plugins
from physbench.support.fingerprint import fingerprint
from physbench.support.plugins import local_imports


def library_version(name: str) -> str | None:
    """Installed version without importing the library; None where it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def code_hash(scorers: Sequence[Scorer] = (), purpose: str | None = "references") -> str:
    """Hash of the sources that decide `purpose`, if one is given, and of scorers that do not come with physbench.

    With a purpose, laws of scenes in other installed packages are among them; files of the user's are in the manifest.
    """
    digest = hashlib.sha256(fingerprint(purpose).encode() if purpose else b"")
    paths: set[Path] = set()
    for law in find_laws() if purpose else ():
        source = inspect.getsourcefile(law)
        if source and not law.__module__.startswith("physbench.") and not plugins.owns(law.__module__):
            paths |= {Path(source).resolve(), *local_imports(Path(source))}
    for item in sorted(scorers, key=lambda scorer: scorer.id):
        digest.update(f"{item.id} {item.version}".encode())
        source = inspect.getsourcefile(item.function)
        if source and not _comes_with_physbench(item):
            paths |= {Path(source).resolve(), *local_imports(Path(source))}
    for name, source_bytes in sorted((path.name, path.read_bytes()) for path in paths):
        digest.update(name.encode() + source_bytes)
    return digest.hexdigest()[:16]


def _comes_with_physbench(scorer: Scorer) -> bool:
    return scorer.function.__module__.startswith("physbench.")


def foreign_code_hash(scorers: Sequence[Scorer]) -> str | None:
    """Hash of the sources of scorers that do not come with physbench; None where there are none.

    They are diagnostics and decide no skill: runs with and without them compare, but a resumed run needs the same ones.
    """
    foreign = [each for each in scorers if not _comes_with_physbench(each)]
    return code_hash(foreign, None) if foreign else None


def versions(scorers: Sequence[Scorer] = (), purpose: str = "references") -> dict[str, str | None]:
    """For cache keys, and with the purpose "runs" for manifest.json."""
    deciding = ("torch", "numpy", "scipy", "scikit-image", "pybullet", "lpips", "torchvision")
    libraries = {name: library_version(name) for name in deciding}
    code = code_hash(scorers, purpose)
    return {"physbench": __version__, "python": platform.python_version(), **libraries, "code": code}
