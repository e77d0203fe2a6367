"""Write the scorer reference from the declarations and docstrings of the installed scorers."""

from __future__ import annotations

import inspect
from pathlib import Path

from sphinx.application import Sphinx

from physbench.scoring.score_clip import find_scorers
from physbench.scoring.scorer_protocol import AXES, Scorer

INTRODUCTION = """# Scorers

Made from the code: what `physbench scorers show` prints. A *headline* reading makes the quality of its axis; the others
are diagnostics, which stand beside and enter no mean. Every noise floor is what ground truth itself reads through the
same chain.
"""


def page() -> str:
    """The reference as Markdown: headlines by axis, then diagnostics by group."""
    scorers = sorted(
        find_scorers(costly=True), key=lambda s: (not s.headline, AXES.index(s.axis) if s.axis else 9, s.id)
    )
    groups: dict[str, list[Scorer]] = {}
    for each in scorers:
        groups.setdefault("Headline readings" if each.headline else each.id.split("/")[0].capitalize(), []).append(each)
    parts = [INTRODUCTION]
    for group, members in groups.items():
        parts.append(f"## {group}\n")
        parts += [section(each) for each in members]
    return "\n".join(parts)


def section(scorer: Scorer) -> str:
    """One scorer: its declaration as a table, its docstring as text."""
    axis = scorer.axis or "none: a diagnostic"
    rows = (
        ("axis", axis),
        ("unit", "a pure number" if scorer.unit == "1" else scorer.unit),
        ("better", scorer.better),
        ("noise floor", scorer.noise_floor),
        ("source", scorer.source),
    )
    table = "\n".join(f"| {name} | {plain(value)} |" for name, value in rows)
    return f"### `{scorer.id}`\n\n{plain(inspect.cleandoc(scorer.doc))}\n\n| | |\n| --- | --- |\n{table}\n"


def plain(text: str) -> str:
    """Text in which Markdown has nothing to mark up: formulas hold *, _ and |."""
    for mark in "\\*_|<[$":
        text = text.replace(mark, "\\" + mark)
    return text


def write(app: Sphinx) -> None:
    target = Path(app.srcdir) / "generated" / "scorers.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text(page(), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
