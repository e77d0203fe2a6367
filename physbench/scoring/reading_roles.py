"""Finds readings by the roles that scorers declare, so that no other module has to know their names."""

from __future__ import annotations

from functools import cache

from physbench.errors import PhysbenchError
from physbench.plugins.entry_points import entries, load
from physbench.scoring.score_clip import SCORER_GROUP
from physbench.scoring.scorer_protocol import ReadingRole, Scorer


def reading_name(scorer: str, key: str) -> str:
    """ "laws/gravity" and "sideways" -> "laws/gravity.sideways", the name in tables; "" is the scorer's own reading."""
    return f"{scorer}.{key}" if key else scorer


@cache
def builtin_scorers() -> tuple[Scorer, ...]:
    """The scorers that come with physbench, sorted by id."""
    return tuple(
        load(SCORER_GROUP, name)
        for name, point in entries(SCORER_GROUP).items()
        if point.value.startswith(f"{SCORER_GROUP}.")
    )


@cache
def scorer_of(role: ReadingRole) -> Scorer:
    """The scorer that declares a role."""
    found = [each for each in builtin_scorers() if role in dict(each.roles).values()]
    if len(found) != 1:  # the code was replaced, and its list of scorers was not
        raise PhysbenchError(
            f"{len(found)} scorers of physbench have the role '{role}': what is installed is of another version than "
            "the code. Install physbench again (pip install -e .)."
        )
    return found[0]


@cache
def reading_of(role: ReadingRole) -> str:
    """Name of the reading that has a role, as it stands in score tables."""
    found = scorer_of(role)
    (key,) = (key for key, own in found.roles if own == role)
    return reading_name(found.id, key)
