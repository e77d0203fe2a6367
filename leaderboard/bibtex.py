"""Entries of a board for a list of references: BibTeX, one item an entry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from physbench.leaderboard.entry import Entry
from physbench.leaderboard.ranking import Rank
from physbench.results import number_format

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",  # BibTeX counts braces, whatever stands before them
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "#$%&_"},
}


def bibtex(found: Sequence[Entry], ranks: Mapping[str, Rank | None]) -> str:
    """What to cite of each entry: model, submitter, year, suite, overall skill with its interval, rank and link.

    ranks: By the name of the entry; None where it has none.
    """
    return "\n".join(_item(entry, ranks.get(entry.name)) for entry in found)


def _item(entry: Entry, rank: Rank | None) -> str:
    result, about = entry.result, entry.about
    suite = result.suite_label
    skill = (
        f"overall skill {number_format.fixed(result.overall.skill)} {number_format.bracket(result.overall.interval)}"
    )
    place = "without a rank" if rank is None else f"rank {rank}"
    links = about.submission.links
    fields = {
        "title": f"{{{_escaped(result.model.name)} on physbench {_escaped(suite)}}}",
        "author": f"{{{_escaped(about.submission.submitter)}}}" if about.submission.submitter else "",
        "year": about.date[:4] if re.fullmatch(r"\d{4}-\d\d-\d\d", about.date) else "",
        "howpublished": "{physbench board, entry " + entry.name + "}",
        "note": _escaped(f"{skill}, {place}, {about.badge}"),
        "url": (links.get("paper") or links.get("code") or "").replace("{", "%7B").replace("}", "%7D"),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{physbench:{entry.name},", *lines, "}\n"])


def _escaped(text: str) -> str:
    """The text for TeX, in one line: its own signs escaped, in ASCII dashes."""
    text = " ".join(text.split())
    return re.sub(r"[\\{}~^#$%&_]", lambda sign: SPECIAL[sign[0]], text.replace("–", "--").replace("−", "-"))
