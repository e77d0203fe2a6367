"""What decides scores beside the settings: the code and the libraries. A hash of them keys caches and guards resume."""

from __future__ import annotations

import hashlib
import inspect
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import physbench
from physbench import __version__
from physbench.plugins.local_imports import local_imports
from physbench.scoring.scorer_protocol import Scorer

LIBRARIES = ("torch", "numpy", "scipy", "scikit-image", "pybullet", "lpips", "torchvision")
# Readings of a given clip; its task, since predictability looks at what else the task could have drawn.
DECIDING = ("world", "clips", "tasks", "dynamics", "tracks", "shadowing", "scoring", "scorers", "rollouts", "baselines")
# Which rollouts, too: all that a name like baseline:physicist or saboteur:kick:0.5 leads to.
ALL_DECIDING = (*DECIDING, "adapters", "reference", "validation")


def library_version(name: str) -> str | None:
    """Installed version without importing the library; None where it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _sources(parts: Iterable[str]) -> list[Path]:
    root = Path(physbench.__file__).parent
    found: list[Path] = []
    for part in parts:
        place = root / part
        found += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return [path for path in found if path.is_file()]


def code_hash(scorers: Sequence[Scorer] = (), parts: Sequence[str] = DECIDING) -> str:
    """Hash of the sources in `parts` of the package, and of the scorers' own."""
    paths = {path.resolve() for path in _sources(parts)}
    digest = hashlib.sha256()
    for item in sorted(scorers, key=lambda scorer: scorer.id):
        digest.update(f"{item.id} {item.version}".encode())
        source = inspect.getsourcefile(item.function)
        if source:
            paths.add(Path(source).resolve())
            if not item.function.__module__.startswith(f"{physbench.__name__}."):
                paths.update(local_imports(Path(source)))
    for name, source_bytes in sorted((path.name, path.read_bytes()) for path in paths):
        digest.update(name.encode() + source_bytes)
    return digest.hexdigest()[:16]


def foreign_code_hash(scorers: Sequence[Scorer]) -> str | None:
    """Hash of the sources of scorers that do not come with physbench; None where there are none.

    They are diagnostics and decide no skill: runs with and without them compare, but a resumed run needs the same ones.
    """
    foreign = [each for each in scorers if not each.function.__module__.startswith(f"{physbench.__name__}.")]
    return code_hash(foreign, ()) if foreign else None


def versions(scorers: Sequence[Scorer] = (), parts: Sequence[str] = DECIDING) -> dict[str, str | None]:
    """For cache keys, and with ALL_DECIDING for manifest.json."""
    libraries = {name: library_version(name) for name in LIBRARIES}
    code = code_hash(scorers, parts)
    return {"physbench": __version__, "python": platform.python_version(), **libraries, "code": code}
