"""Rates at which frames fall on physics steps."""

from __future__ import annotations

import pytest

from physbench.world.scene import PHYSICS_HZ, RenderSpec, whole_rates, wrong_rate


def test_rates_that_divide_are_taken_and_all_whole_ones_are_named() -> None:
    assert whole_rates(1) == (1, 2, 3, *whole_rates())
    assert all(wrong_rate(rate) is None and PHYSICS_HZ % rate == 0 for rate in whole_rates())
    assert wrong_rate(7.5) is None and wrong_rate(1, least=1) is None
    assert wrong_rate(7) == (
        "expected 4 to 60 frames/s, a rate that divides 1200, got 7. "
        "Use 4, 5, 6, 8, 10, 12, 15, 16, 20, 24, 25, 30, 40, 48, 50 or 60."
    )


@pytest.mark.parametrize("fps", [3, 61, 0, -15, float("nan"), float("inf")])
def test_rates_out_of_range_are_refused(fps: float) -> None:
    assert "4 to 60" in str(wrong_rate(fps))


def test_a_whole_rate_names_the_same_stored_clips() -> None:
    assert repr(RenderSpec(64, 64, 15)) == repr(RenderSpec(64, 64, 15.0))
