"""Says what is wrong where `physbench/tasks`, `scorers` and `leaderboard` are not the links that they are in git.

An installed physbench needs no links. A checkout that is used without being installed does, and git writes the target
of a link into a text file where links are switched off, as they often are on Windows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

LINKS = ("tasks", "scorers", "leaderboard")


class LinkFinder:
    """The last of Python's finders: it is asked for a module only if no other one has found it, and finds none."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Raise BrokenLinkError where a link is missing in a checkout."""
        package, _, link = name.rpartition(".")
        if package != "physbench" or link not in LINKS:
            return
        from pathlib import Path

        from physbench.support.errors import BrokenLinkError

        restore = f"git config core.symlinks true && git checkout -- {' '.join(f'physbench/{each}' for each in LINKS)}"
        for folder in map(Path, path or ()):
            if (folder.parent / link / "__init__.py").is_file():
                raise BrokenLinkError(
                    f"{folder / link} should be a link to ../{link}, but git made no links in this checkout. "
                    f"Run `pip install -e .`, which needs none, or `{restore}`.",
                    name=name,
                )


def install() -> None:
    """Ask LinkFinder, too."""
    if LinkFinder not in sys.meta_path:
        sys.meta_path.append(LinkFinder)
