"""Write the validity page: what the published tables of `physbench scorers check` say of the readings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from published_tables import IMAGE, MAIN, Published, published
from validity_curves import curves, draw
from validity_sections import (
    alternatives,
    bars,
    beside,
    false_breaks,
    gaming,
    losses,
    low_rate,
    one_context_frame,
    places,
    run_of,
    strength,
    told_apart,
)

if TYPE_CHECKING:  # the tests make the page without the libraries of the docs
    from sphinx.application import Sphinx

INTRODUCTION = """# Validity

A score is worth something only if it falls when a law is broken and stays when the future is merely another one. So the
readings are shown ground truth in which one thing is wrong by a known amount, lawful futures that are not the recorded
one, and futures that are made to please a scorer. What each of these is, and how the figures are computed, is in
[Violations, lawful alternatives and gaming baselines](../design/violations.md).
"""
NOT_YET = """The table of this version is not there yet. `physbench scorers check` makes one.
"""
STYLE = """<style>
article table.docutils { font-size: .85em }
article td :is(small, code) { white-space: nowrap }
</style>
"""
STRENGTH_TEXT = """The *strength* of a clip is the smallest tolerance, in diameters, at which it breaks no law. A figure
is the chance (AUROC) that a clip with the violation has a larger strength than a lawful one: 1 is always, 0.5 is blind.
Below it are its 95 % interval and the number of clips. A bar is met (✓) if the figure reaches it and the lower end of
the interval is at most 0.02 below it, or else not (✗); *?*: so few clips could not tell. Empty: the violation has
nothing to do there."""
PERMANENCE_TEXT = """The same chance for the quality of object permanence. Where everything is still there and still
itself it should be near 0.5."""
LOCATED_TEXT = """Share of the clips in which the first break is read within 0.2 s of the violation, and on its body.
An object that is gone has no break: permanence sees it."""
BREAKS_TEXT = """Lawful clips that read as if they broke a law: those whose ground truth, or one of whose two near
alternatives, has a strength above a tolerance (in diameters)."""
ALTERNATIVES_TEXT = """Mean quality of lawful futures that are not the recorded one, and how far they get from it (*near
only*: less than a diameter). Consistency and permanence should stay at 1, accuracy should not where the context tells
the future. `stranger-far` makes one declared jump at the hand-over, which is a break; in `stranger-far-waived` the
context does not show that it is one."""
RATE_TEXT = """Violations that last, at the usual rate and at 4 frames/s: leaving frames out must not help."""

IMAGE_TEXT = """A single frame shows neither velocities nor how strongly things are pulled. The chance (AUROC) that a
clip with the violation reads worse than a lawful one: by consistency under the scene's own constants, by that with one
free factor on gravity or central mass, and by permanence."""


CURVES = "validity-curves.svg"
CURVES_TEXT = f"""![Skill against severity, a panel a violation: it falls the further, the more is wrong]({CURVES})

Skill by severity of the violations that have three and more, over the tasks in which they have something to do: 1 is
ground truth, 0 the frozen frame, a ring the severity at which nothing is wrong. The more is wrong, the less is left,
until what is lost is lost (hue, hanging). Blur, noise and flicker cost nothing before tracking suffers. Below 0 is who
loses what a frozen frame keeps: under tilted gravity things slide that should rest. Intervals stand in the tables."""


def page(tables: dict[str, Published]) -> str:
    """The page as Markdown."""
    if MAIN not in tables:
        return f"{INTRODUCTION}\n{NOT_YET}"
    main, every = tables[MAIN], list(tables.values())
    videos = [table for name, table in tables.items() if name != IMAGE]
    sections = (
        ("What was run", "", run_of(every)),
        ("In short", f"At {main.title}.", bars(main)),
        ("What strength sees", STRENGTH_TEXT, strength(main)),
        ("What permanence sees", PERMANENCE_TEXT, told_apart(main, "permanence/intact")),
        ("Located", LOCATED_TEXT, places(main)),
        ("What a violation costs", CURVES_TEXT if curves(main) else "", losses(main)),
        ("False breaks", BREAKS_TEXT, false_breaks(main)),
        ("Lawful alternatives", ALTERNATIVES_TEXT, alternatives(main)),
        ("Gaming baselines", "Skill of futures that know nothing of physics.", gaming(main)),
        ("Few frames", RATE_TEXT, low_rate(main)),
        ("Smaller pictures, and H.264", "Mean over families; bars are for the first column only.", beside(videos)),
        ("One context frame", IMAGE_TEXT, one_context_frame(tables[IMAGE]) if IMAGE in tables else ""),
    )
    parts = [f"## {title}\n\n{text}\n\n{body}" for title, text, body in sections if body]
    return "\n".join((INTRODUCTION, STYLE, *parts))


def write(app: Sphinx) -> None:
    target = Path(app.srcdir) / "generated" / "validity.md"
    target.parent.mkdir(exist_ok=True)
    tables = published(Path(app.srcdir) / "validity")
    target.write_text(page(tables), encoding="utf-8")
    if MAIN in tables and (found := curves(tables[MAIN])):
        draw(found, target.with_name(CURVES))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
