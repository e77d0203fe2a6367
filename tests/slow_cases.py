"""Parametrised tests of which some cases run by default, and the others with `-m slow`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest


def others_slow(cases: Iterable[Any], default: Collection[Any] | Callable[[Any], bool]) -> list[Any]:
    """Cases for `pytest.mark.parametrize`. Those that are not in `default`, or that it does not hold of, are slow."""
    runs = default if callable(default) else default.__contains__
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=() if runs(case) else pytest.mark.slow)
        for case in cases
    ]
