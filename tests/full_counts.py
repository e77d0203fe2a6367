"""The counts of long tests, and slices of them: PHYSBENCH_TEST_<WHAT> says how many, PHYSBENCH_TEST_SEED from where."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

SEED = int(os.environ.get("PHYSBENCH_TEST_SEED", "1"))  # two slices are two seeds


def asked(what: str, full: int) -> int:
    """How many are asked for; without PHYSBENCH_TEST_<WHAT> the full count."""
    return int(os.environ.get(f"PHYSBENCH_TEST_{what}", full))


@contextmanager
def repeatable(what: str, seed: int) -> Iterator[None]:
    """Whatever is raised in here says how it is repeated alone."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"Repeat this one: PHYSBENCH_TEST_SEED={seed} PHYSBENCH_TEST_{what}=1")
        raise
