"""The pairs of the suite `expectation`: which two films are compared, what is impossible in one, since when."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from physbench.clips.clip import Row
from physbench.errors import UsageError, nearest
from physbench.expectation.expectation_kinds import CONTROLS, IMPOSSIBLE_KINDS
from physbench.expectation.films import BACK_AGAIN, OTHER_LOOK, POSSIBLE

PAIRS_FILE = "pairs.json"
CONTROL_EVENT = 0.0  # s; controls differ from the hand-over on


@dataclass(frozen=True)
class FilmPair:
    """A possible and an impossible film that are bit-identical until the event; or a lawful control in its place."""

    row: Row  # the clip
    kind: str  # of IMPOSSIBLE_KINDS, or a name of CONTROLS
    size: float  # severity of the violation; 0 for a control
    event: float  # s; frames up to and at it are the same in both films
    seen: float | None  # s; since then what the event needs is out of sight; None: it is in sight until the event
    possible: str  # names of films
    impossible: str
    states: str = ""  # hash of the states of the impossible world; "" for a control

    @property
    def id(self) -> str:
        """ "falling.projectile-v1.test.3|teleport:0.4"."""
        return f"{self.row.id}|{self.impossible}"

    @property
    def control(self) -> bool:
        """Whether the second film is lawful too."""
        return self.kind in CONTROLS

    @property
    def hidden(self) -> float:
        """For how long (s) the evidence is out of sight before the event."""
        return 0.0 if self.seen is None else max(self.event - self.seen, 0.0)


@cache
def all_pairs() -> tuple[FilmPair, ...]:
    """Every pair and control of the suite, in the order of its clips."""
    document = json.loads(files("physbench.expectation").joinpath("golden", PAIRS_FILE).read_text(encoding="utf-8"))
    pairs = [pair for entry in document["pairs"] for pair in read_entry(entry)]
    pairs += [control_pair(Row(task, split, seed), name) for task, split, seed, name in document["controls"]]
    return tuple(sorted(pairs, key=lambda pair: pair.row))


def read_entry(entry: Sequence[object]) -> list[FilmPair]:
    """The pairs of one clip and kind: [task, split, seed, kind, [[size, event, seen, hash of states], ...]]."""
    task, split, seed, kind, sizes = entry
    row = Row(task, split, seed)  # type: ignore[arg-type]
    found = []
    for size, event, seen, states in sizes:  # type: ignore[attr-defined]
        source = f"{kind}:{size:g}"
        found.append(FilmPair(row, str(kind), size, event, seen, POSSIBLE, source, states))
        if IMPOSSIBLE_KINDS[str(kind)].quadruple:
            found.append(FilmPair(row, str(kind), size, event, seen, source + OTHER_LOOK, source + BACK_AGAIN, states))
    return found


def control_pair(row: Row, name: str) -> FilmPair:
    """A clip beside a lawful film of it that is new."""
    return FilmPair(row, name, 0.0, CONTROL_EVENT, None, POSSIBLE, name)


def find_pairs(limit: int | None = None, kinds: str | None = None) -> tuple[FilmPair, ...]:
    """The pairs of the suite, or a part of them.

    Args:
        limit: Pairs, at most; taken from kinds and sizes in turn, so that these stay balanced. Controls come in
            addition, one for each of their names and ten pairs at least, and in proportion.
        kinds: Names of kinds, separated by commas; None: all.

    Raises:
        UsageError: There is no such kind, or no pair is left.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"Expected at least one pair but got --limit {limit}.")
    wanted = [name.strip() for name in kinds.split(",")] if kinds is not None else list(IMPOSSIBLE_KINDS)
    for name in wanted:
        if name not in IMPOSSIBLE_KINDS:
            raise UsageError(f"There is no kind of impossible film named '{name}'.{nearest(name, IMPOSSIBLE_KINDS)}")
    every = all_pairs()
    pairs = [pair for pair in every if pair.kind in wanted]
    controls = [pair for pair in every if pair.control]
    if limit is not None and limit < len(pairs):
        share = limit / len(pairs)
        pairs = balanced(pairs, limit)
        controls = balanced(controls, max(len(CONTROLS), round(share * len(controls))))
    return tuple(sorted((*pairs, *controls), key=lambda pair: pair.row))


def balanced(pairs: Iterable[FilmPair], limit: int) -> list[FilmPair]:
    """At most `limit` pairs, the same number (or one more) of each kind and size.

    All sizes of a kind are taken from the same clips, and both pairs of a quadruple, as far as the limit goes.
    """
    pairs = list(pairs)
    clips: dict[str, list[Row]] = {}  # by kind
    order = []
    for position, pair in enumerate(pairs):
        known = clips.setdefault(pair.kind, [])
        if pair.row not in known:
            known.append(pair.row)
        turn = sum(other.kind == pair.kind and other.row == pair.row for other in pairs[:position])
        order.append((known.index(pair.row), turn, position))
    return [pairs[position] for _, _, position in sorted(order)[:limit]]


def pairs_hash(pairs: Iterable[FilmPair]) -> str:
    """Hash of pairs with the states of their impossible worlds, in their order."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.id}|{pair.possible}|{pair.event:.6f}|{pair.states}\n".encode())
    return digest.hexdigest()
