"""Suites whose prompts say in words how things move: the clips of another suite, under a name of their own.

Their results are a track of their own. A model that is told how things move is asked for more than one that sees only
an image, so that no figure of the two can be set side by side; and as clips and suite have other names, none is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from physbench.clips.clip import Row
from physbench.clips.scene_changes import TOLD
from physbench.clips.suite import EXPECTATION_SUITE, SUITE_CHANGES, Suite, find_suite
from physbench.errors import UsageError

TOLD_SUFFIX = "-prompt-motion"  # after the name of a suite with such prompts
TOLD_OPTION = "--prompt-motion"


def check_told(suite: str, context: int = 1) -> None:
    """Refuse what cannot be told: pairs of clips, films, and contexts of several frames, which show how things move."""
    if suite == EXPECTATION_SUITE or suite in SUITE_CHANGES:
        raise UsageError(f"{TOLD_OPTION}: the suite {suite} compares clips with each other. Choose another --suite.")
    if context > 1:
        raise UsageError(f"{TOLD_OPTION}: {context} frames show already how things move. Leave it out, or --context 1.")


def told_suite(suite: Suite) -> Suite:
    """The suite with words for motion in its prompts; its states, and the golden ones, stay as they are."""
    golden = {_told(row): known for row, known in suite.golden.items()}
    return replace(
        suite, name=f"{suite.name}{TOLD_SUFFIX}", rows=tuple(_told(row) for row in suite.rows), golden=golden
    )


def split_name(name: str) -> tuple[str, bool]:
    """The name of a suite without the mark of such prompts, and whether it has the mark."""
    return name.removesuffix(TOLD_SUFFIX), name.endswith(TOLD_SUFFIX)


def chosen_suite(name: str, limit: int | None, tasks: str | None, told: bool) -> Suite:
    """As `find_suite`, with words for motion where `told`."""
    if not told:
        return find_suite(name, limit, tasks)
    check_told(name)
    return told_suite(find_suite(name, limit, tasks))


def untold_rows(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The same clips without the words."""
    return tuple(row.unchanged if row.change == TOLD else row for row in rows)


def _told(row: Row) -> Row:
    return replace(row, change=TOLD)
