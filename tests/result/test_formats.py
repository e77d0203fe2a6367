"""How numbers and names are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from physbench.result.formats import ahead, bracket, counted, fixed, joined, number, plain, short, unit


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6.214, "6.21"),
        (123.4, "123"),
        (0.01234, "0.0123"),
        (0.0001234, "0.0001"),
        (-9.81, "−9.81"),
        (-1e-9, "0"),
        (0, "0"),
        (0.9996, "1.00"),  # as 1.0004
        (-9.996, "−10.0"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_does_not_exist(value: float | None) -> None:
    assert number(value) == fixed(value) == "–"


@given(st.floats(-1e6, 1e6))
def test_numbers_read_back(value: float) -> None:
    assert float(number(value).replace("−", "-")) == pytest.approx(value, rel=0.006, abs=0.6e-4)
    assert float(fixed(value).replace("−", "-")) == pytest.approx(value, abs=0.006)
    assert not fixed(value).startswith("−0.00")


def test_names() -> None:
    assert short("falling/projectile-v1") == "projectile"
    assert short("my-task") == "my-task"
    assert plain("laws/areal-velocity.spread") == "areal velocity spread"
    assert unit("m/s2") == "m/s²"
    assert unit("1") == ""
    assert bracket((0.1, -0.004)) == "[0.10, 0.00]"
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"


def test_a_negative_lead_is_a_lag() -> None:
    assert ahead(0.25, (0.16, 0.31)) == "ahead by 0.25 [0.16, 0.31]"
    assert ahead(-0.13, (-0.16, -0.10)) == "behind by 0.13 [0.10, 0.16]"


def test_numbers_of_things_are_written_in_singular_and_plural() -> None:
    assert [counted(many, thing) for thing in ("clip", "batch") for many in (0, 1, 2)] == [
        *("0 clips", "1 clip", "2 clips"),
        *("0 batches", "1 batch", "2 batches"),
    ]
