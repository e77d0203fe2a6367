"""The page of violations lists those that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from physbench.validity.altered_pictures import FRAME_SHIFTS, FrameShift
from physbench.validity.violations import REGISTRY, Violation

PAGE = Path(__file__).parents[3] / "docs" / "design" / "violations.md"


@pytest.mark.parametrize("violation", REGISTRY.values(), ids=lambda v: v.name)
def test_the_page_has_it_with_its_severities(violation: Violation) -> None:
    degrees = ", ".join(f"**{s:g}**" if s == violation.main else f"{s:g}" for s in violation.severities)
    row = f"| `{violation.name}` | {violation.meaning} | {degrees} | {violation.unit} |"
    assert row in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("shift", FRAME_SHIFTS.values(), ids=lambda shift: shift.name)
def test_the_page_has_frames_at_wrong_times(shift: FrameShift) -> None:
    degrees = ", ".join(f"**{s:g}**" if s == shift.main else f"{s:g}" for s in shift.severities)
    assert f"| `{shift.name}` | {shift.meaning} | {degrees} |" in PAGE.read_text(encoding="utf-8")


def test_the_page_has_no_other() -> None:
    lines = PAGE.read_text(encoding="utf-8").split("## Lawful alternatives")[0].splitlines()
    assert sum(line.startswith("| `") for line in lines) == len(REGISTRY)
