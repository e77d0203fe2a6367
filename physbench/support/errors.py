"""The error tree. The user can correct what a PhysbenchError reports: one or two lines, shown without a traceback."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

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


class BrokenLinkError(PhysbenchError, ImportError):
    """A part of physbench that a checkout without symbolic links does not find."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" with the closest known names, or a list of all of them."""
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    return f" Known: {', '.join(known)}." if known else ""
