"""A result as Jupyter shows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from physbench.report.page_environment import page_environment
from physbench.report.skill_table import skill_rows
from physbench.results.number_format import AXIS_NAMES, GUARD_MEANING, bracket, fixed, suite_name


def notebook_html(result: Mapping[str, Any], report: Path | None) -> str:
    """The answer in words and the table of skills, with a link to the report where there is one."""
    environment = page_environment("physbench.report", fixed=fixed, bracket=bracket)
    return environment.get_template("notebook.html.j2").render(
        result=result,
        suite=suite_name(result),
        columns=["overall", *(AXIS_NAMES[axis] for axis in result["axes"])],
        rows=skill_rows(result),
        guards=GUARD_MEANING,
        report=None if report is None else report.absolute().as_uri(),
    )
