"""Parametrised tests of which some cases run by default, and the others with `-m slow`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest

Param = type(pytest.param())


def others_slow(cases: Iterable[Any], default: int | Collection[Any] | Callable[[Any], bool] = 1) -> list[Any]:
    """Cases for `pytest.mark.parametrize`, all of them slow but those of `default`: as many first ones that are not
    slow already, those in it, or those that it holds of."""
    chosen = []
    for case in cases:
        if isinstance(default, int):
            runs = sum(not _is_slow(each) for each in chosen) < default
        else:
            runs = default(case) if callable(default) else case in default
        chosen.append(case if runs else _slow(case))
    return chosen


def _is_slow(case: Any) -> bool:
    return isinstance(case, Param) and any(mark.name == "slow" for mark in case.marks)


def _slow(case: Any) -> Any:
    if isinstance(case, Param):
        return pytest.param(*case.values, marks=(*case.marks, pytest.mark.slow), id=case.id)
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
