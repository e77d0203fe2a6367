"""The error tree. The user can correct what a PhysbenchError reports: one or two lines, shown without a traceback."""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # of an OSError
# What is to be done at a limit that the system sets, by errno.
SYSTEM_LIMITS = {
    errno.EMFILE: "Raise the limit of open files (ulimit -n) or use fewer --workers",
    errno.ENFILE: "Raise the limit of open files of this machine (sysctl fs.file-max) or use fewer --workers",
    errno.EFBIG: "Raise the limit of the size of files (ulimit -f)",
}


MESSAGE_START, MESSAGE_END = 1000, 800  # characters that are shown of a message that is longer


class PhysbenchError(Exception):
    """An error that the user can correct. The message says what was wrong, where, and what to do."""

    exit_code = 1

    def __str__(self) -> str:
        """The message, without its middle where it quotes pages of a damaged file; what to do stands at the end."""
        message = super().__str__()
        if len(message) <= MESSAGE_START + MESSAGE_END:
            return message
        return f"{message[:MESSAGE_START]} ... {message[-MESSAGE_END:]}"


class UsageError(PhysbenchError):
    """Arguments or files are wrong: the command exits with 2."""

    exit_code = 2


class ModelError(PhysbenchError):
    """A model cannot be loaded or does not keep the protocol of models: the command exits with 2."""

    exit_code = 2


LAW_FAULT = "is at fault: "  # in the words of a LawError, and so in the reasons of clips that it fails


class LawError(PhysbenchError):
    """A law of the user's raises, or does not keep the protocol of `SceneLaw`: the command exits with 2."""

    exit_code = 2


class BrokenLinkError(PhysbenchError, ImportError):
    """A part of physbench that a checkout without symbolic links does not find."""


def nearest(name: str, known: Iterable[str], *, listed: bool = True) -> str:
    """Return " Did you mean ...?" with the closest known names; else, where `listed`, a list of all of them, or ""."""
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    return f" Known: {', '.join(known)}." if known and listed else ""


LINKS = ("tasks", "scorers", "leaderboard")


class LinkFinder:
    """The last of Python's finders: it is asked for a module only if no other one has found it, and finds none.

    An installed physbench needs no links. A checkout that is used without being installed does, and git writes the
    target of a link into a text file where links are switched off, as they often are on Windows.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Raise BrokenLinkError where a link is missing in a checkout."""
        package, _, link = name.rpartition(".")
        if package != "physbench" or link not in LINKS:
            return
        from pathlib import Path

        restore = f"git config core.symlinks true && git checkout -- {' '.join(f'physbench/{each}' for each in LINKS)}"
        for folder in map(Path, path or ()):
            if (folder.parent / link / "__init__.py").is_file():
                raise BrokenLinkError(
                    f"{folder / link} should be a link to ../{link}, but git made no links in this checkout. "
                    f"Run `pip install -e .`, which needs none, or `{restore}`.",
                    name=name,
                )


def explain_broken_links() -> None:
    """Ask LinkFinder, too."""
    if LinkFinder not in sys.meta_path:
        sys.meta_path.append(LinkFinder)
