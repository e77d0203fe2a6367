"""A comparison in one plain sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from physbench.results.number_format import AXIS_NAMES, fixed, joined

if TYPE_CHECKING:
    from physbench.results.run_comparison import Against, SkillDifference


def told_apart(runs: Sequence[tuple[str, str]]) -> list[str]:
    """Names of runs from (name of the model, path): with the path where two models share a name."""
    names = [name for name, _ in runs]
    return [f"{name} ({path})" if names.count(name) > 1 else name for name, path in runs]


def sentence(first: str, against: Against) -> str:
    """ "objects is ahead of constant-velocity by 0.25 [0.16, 0.31]; most in orbits; not distinguishable in permanence."

    Where there is no interval, a sign test over the clips says whether they differ.
    """
    other, whole = against.other.name, against.overall
    if whole.ahead is None:
        head = f"{first} and {other} have no overall skill to compare here ({whole.reason})"
        if all(found.interval is None for found in against.axes.values()):
            return f"{head}; {_by_clips(first, against)}."
    elif whole.interval is None:
        values = f"overall {fixed(whole.first)} and {fixed(whole.other)}"
        return f"{_by_clips(first, against)}; {values}, on too few clips to tell by how much."
    elif whole.sign == 0:
        head = f"{first} and {other} cannot be told apart overall: {_size(whole, signed=True)}"
    else:
        way = "ahead of" if whole.sign > 0 else "behind"
        head = f"{first} is {way} {other} by {_size(whole)}"
    parts = [head]
    families = {name: found["overall"] for name, found in against.families.items()}
    if whole.sign:
        most = [name for name, found in families.items() if found.sign == whole.sign]
        if len(families) > 1 and most:
            parts.append(f"most in {max(most, key=lambda name: abs(families[name].ahead or 0.0))}")
        parts += _others(families, -whole.sign)
        parts += _others(_named(against.axes), -whole.sign)
    else:
        for direction in (1, -1):
            parts += _others({**_named(against.axes), **families}, direction)
    axes = {name: found for name, found in _named(against.axes).items() if found.ahead is not None}
    unclear = [name for name, found in axes.items() if found.interval is not None and found.sign == 0]
    few = [name for name, found in axes.items() if found.interval is None]
    if few:
        parts.append(f"too few clips to tell in {joined(few)}")
    if unclear and len(unclear) < len(against.axes):
        parts.append(f"not distinguishable in {joined(unclear)}")
    return "; ".join(parts) + "."


def _by_clips(first: str, against: Against) -> str:
    """ "objects is ahead of constant-velocity in 12 of 14 clips (sign test, p = 0.013)"."""
    found, other = against.clips, against.other.name
    total = found.ahead + found.behind + found.equal
    more, way = max((found.ahead, "ahead of"), (found.behind, "behind"))
    equal = f", equal in {found.equal}" if found.equal else ""
    odds = f"(sign test, {'p < 0.001' if found.p < 0.001 else f'p = {found.p:.2g}'}{equal})"
    if found.sign:
        return f"{first} is {way} {other} in {more} of {total} clips {odds}"
    counts = f"ahead in {found.ahead} and behind in {found.behind} of {total} clips"
    return f"{first} and {other} cannot be told apart: {counts} {odds}"


def _named(axes: Mapping[str, SkillDifference]) -> dict[str, SkillDifference]:
    return {AXIS_NAMES.get(axis, axis): found for axis, found in axes.items()}


def _others(found: Mapping[str, SkillDifference], sign: int) -> list[str]:
    """ "behind in falling by 0.10 [0.02, 0.18]" for what differs in this direction."""
    named = [f"{name} by {_size(one)}" for name, one in found.items() if one.sign == sign]
    return [f"{'ahead' if sign > 0 else 'behind'} in {joined(named)}"] if named else []


def _size(found: SkillDifference, *, signed: bool = False) -> str:
    """ "0.25 [0.16, 0.31]", turned so that it is positive unless `signed`."""
    ahead, (low, high) = found.ahead or 0.0, found.interval or (0.0, 0.0)
    if ahead < 0 and not signed:
        ahead, low, high = -ahead, -high, -low
    return f"{fixed(ahead)} [{fixed(low)}, {fixed(high)}]"
