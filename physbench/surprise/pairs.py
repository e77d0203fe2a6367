"""The pairs of the suite `expectation`: kinds of impossible events, their sizes, and which films are compared."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from physbench.clips.clip import Row, Split
from physbench.clips.generate import HASH_ROUNDING, STATE_HZ, grid_states, make_scene, state_hash
from physbench.clips.suite import SUITE_VERSION, find_suite
from physbench.support.arrays import Array
from physbench.support.errors import UsageError, nearest
from physbench.surprise.films import BACK_AGAIN, OTHER_LOOK, POSSIBLE
from physbench.validity.violations import Inapplicable, Violated, candidate_events, find_acts, violate
from physbench.world.scene import HISTORY, PHYSICS_HZ, Scene

# What is impossible in the films of the suite `expectation`, and by how much: kinds, their sizes, their words.

Scale = Literal["as it is", "below 1", "above 1", "below 2"]  # how a violation's severity becomes an amount
# The severity at which nothing is wrong, and whether faults rise (1) or fall (-1) from there.
SCALES: Mapping[Scale, tuple[float, int]] = {
    "as it is": (0.0, 1),
    "below 1": (1.0, -1),
    "above 1": (1.0, 1),
    "below 2": (2.0, -1),
}


@dataclass(frozen=True)
class ImpossibleKind:
    """One kind of impossible film: a violation at several sizes.

    The amount of a violation is 0 where nothing is wrong and rises with how much is: psychometric curves run over it.
    """

    name: str  # of the violation
    sizes: tuple[float, ...]  # its severities from small to large; one alone where it is there or not
    noun: str  # what is noticed, in the sentence of a result
    threshold: str = ""  # how a threshold is said, with {} in the place of its severity
    unit: str = ""  # of the severity
    scale: Scale = "as it is"
    quadruple: bool = False  # both orders of two looks are shown, so that every frame is as often possible
    look: bool = False  # of looks or of presence: states of bodies show nothing of it

    @property
    def sized(self) -> bool:
        return len(self.sizes) > 1

    def amount(self, size: float) -> float:
        """Size of the fault, above 0."""
        lawful, sign = SCALES[self.scale]
        return sign * (size - lawful)

    def severity(self, amount: float) -> float:
        """The severity of an amount: the inverse of `amount`, for thresholds between the sizes."""
        lawful, sign = SCALES[self.scale]
        return lawful + sign * amount


BELOW: tuple[str, Scale] = ("times", "below 1")  # unit and scale of factors below 1, and above it
ABOVE: tuple[str, Scale] = ("times", "above 1")
_HUES = (10.0, 20.0, 45.0, 90.0, 180.0)
_KINDS = (
    ImpossibleKind("teleport", (0.1, 0.2, 0.4, 0.8, 1.6), "jumps", "from {} diameters on", "diameters"),
    ImpossibleKind("kick", (0.1, 0.2, 0.5, 1.0, 2.0), "kicks out of nothing", "from {} m/s on", "m/s"),
    ImpossibleKind("start", (0.1, 0.2, 0.5, 1.0, 2.0), "motion out of rest", "from {} m/s on", "m/s"),
    ImpossibleKind("freeze", (0.1, 0.2, 0.4, 0.8, 1.6), "stops in mid-motion", "from {} s on", "s"),
    ImpossibleKind("gravity", (0.9, 0.75, 0.5, 0.25, 0.0, -1.0), "gravity", "below × {}", *BELOW),
    ImpossibleKind("gravity-tilt", (5.0, 10.0, 20.0, 40.0, 80.0), "gravity that is tilted", "from {}° on", "deg"),
    ImpossibleKind("force-exponent", (1.8, 1.5, 1.0, 0.5, 0.0), "a force law", "below 1/r^{}", "exponent", "below 2"),
    ImpossibleKind("central-mass", (0.9, 0.75, 0.5, 0.25, 0.0), "a star’s pull", "below × {}", *BELOW),
    ImpossibleKind("slow-time", (0.9, 0.75, 0.5, 0.25, 0.1), "slow motion", "below × {}", *BELOW),
    ImpossibleKind("reverse-time", (0.1, 0.2, 0.4, 0.8, 1.6), "time that runs backwards", "from {} s on", "s"),
    ImpossibleKind("momentum", (0.25, 0.5, 1.0, 2.0, 4.0), "momentum from nowhere", "from {} impulses on", "impulses"),
    ImpossibleKind("mass-ratio", (1.5, 2.0, 4.0, 8.0, 16.0), "masses that do not fit", "from × {} on", *ABOVE),
    ImpossibleKind("restitution", (1.1, 1.3, 1.6, 2.0, 3.0), "bounces with more energy", "from × {} on", *ABOVE),
    ImpossibleKind("hue", _HUES, "a change of hue", "from {}° on", "deg", quadruple=True, look=True),
    ImpossibleKind("exchange", (1.0,), "hues that are exchanged", quadruple=True, look=True),
    ImpossibleKind("shape", (1.0,), "another shape", look=True),
    ImpossibleKind("size", (1.1, 1.2, 1.4, 1.8, 2.5), "growth", "from × {} on", *ABOVE, look=True),
    ImpossibleKind("blink", (0.1, 0.2, 0.4, 0.8, 1.6), "absence", "from {} s on", "s", look=True),
    ImpossibleKind("return-late", (0.1, 0.2, 0.4, 0.8, 1.6), "a late return", "from {} s on", "s"),
    ImpossibleKind("return-early", (0.05, 0.1, 0.2, 0.3, 0.4), "an early return", "from {} s on", "s"),
    ImpossibleKind("return-hue", _HUES, "another hue behind a screen", "from {}° on", "deg", quadruple=True, look=True),
    ImpossibleKind(
        "return-size", (0.9, 0.8, 0.65, 0.5, 0.35), "shrinking behind a screen", "below × {}", *BELOW, look=True
    ),
    ImpossibleKind("vanish", (1.0,), "vanishing", look=True),
    ImpossibleKind("duplicate", (1.25,), "a double that appears", look=True),
    ImpossibleKind("pass-through", (1.0,), "passing through"),
    ImpossibleKind("return-never", (1.0,), "loss behind a screen", look=True),
    ImpossibleKind("return-wrong-side", (1.0,), "return on the wrong side"),
    ImpossibleKind("return-through-wall", (1.0,), "passing a wall behind a screen"),
)
IMPOSSIBLE_KINDS: Mapping[str, ImpossibleKind] = {kind.name: kind for kind in _KINDS}

# Lawful and new, and what each shows. Surprise at these is a false alarm.
CONTROLS: Mapping[str, str] = {
    "stranger-near": "another future that the context allows",
    "flicker:10": "light that flickers by 10 %",
    "fade:10": "contrast that fades by 10 % a second",
    "colour-drift:5": "hues of the whole picture that drift by 5 degrees a second",
    "blur:1": "a picture out of focus by 1 px",
    "noise:8": "noise of 8 levels of 255",
}


PAIRS_FILE = "pairs.json"
Published = TypeVar("Published")


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
        """True if the second film is lawful too."""
        return self.kind in CONTROLS

    @property
    def hidden(self) -> float:
        """For how long (s) the evidence is out of sight before the event."""
        return 0.0 if self.seen is None else max(self.event - self.seen, 0.0)


@cache
def all_pairs() -> tuple[FilmPair, ...]:
    """Every pair and control of the suite, in the order of its clips."""
    document = json.loads(files("physbench.surprise").joinpath("golden", PAIRS_FILE).read_text(encoding="utf-8"))
    pairs = [pair for entry in document["pairs"] for pair in read_entry(entry)]
    pairs += [control_pair(Row(task, split, seed), name) for task, split, seed, name in document["controls"]]
    return tuple(sorted(pairs, key=lambda pair: pair.row))


def read_entry(entry: Sequence[object]) -> list[FilmPair]:
    """The pairs of one clip and kind: [task, split, seed, kind, [[size, event, seen, hash of states], ...]]."""
    task, split, seed, kind, sizes = entry
    row = Row(task, split, seed)  # type: ignore[arg-type]
    pairs = []
    for size, event, seen, states in sizes:  # type: ignore[attr-defined]
        source = f"{kind}:{size:g}"
        pairs.append(FilmPair(row, str(kind), size, event, seen, POSSIBLE, source, states))
        if IMPOSSIBLE_KINDS[str(kind)].quadruple:
            pairs.append(FilmPair(row, str(kind), size, event, seen, source + OTHER_LOOK, source + BACK_AGAIN, states))
    return pairs


def control_pair(row: Row, name: str) -> FilmPair:
    """A clip beside a lawful film of it that is new."""
    return FilmPair(row, name, 0.0, 0.0, None, POSSIBLE, name)  # controls differ from the hand-over on


def find_pairs(limit: int | None = None, kinds: str | None = None) -> tuple[FilmPair, ...]:
    """The pairs of the suite, or a part of them.

    Args:
        limit: Pairs, at most; taken from kinds in turn, so that these stay balanced. Controls come in addition, in
            proportion to the whole suite and one of each at least.
        kinds: Names of kinds, separated by commas; None: all.

    Raises UsageError: there is no such kind, or no pair is left.
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
        share = limit / (len(every) - len(controls))
        pairs = balanced(pairs, limit)
        rows = {pair.row for pair in pairs}  # controls of these clips come first: no other films of others need be made
        near = [pair for pair in controls if pair.row in rows]
        rest = [pair for pair in controls if pair.row not in rows]
        many = max(len(CONTROLS), round(share * len(controls)))
        controls = [*balanced(near, many), *balanced(rest, many)]
        first = {pair.kind: [p for p in controls if p.kind == pair.kind] for pair in controls}
        controls = [pair for turn in zip_longest(*first.values()) for pair in turn if pair is not None][:many]
    return tuple(sorted((*pairs, *controls), key=lambda pair: pair.row))


def balanced(pairs: Iterable[FilmPair], limit: int) -> list[FilmPair]:
    """At most `limit` pairs, the same number (or one more) of each kind, spread over tasks.

    Of a clip all sizes are taken, and both pairs of a quadruple, as far as the limit goes.
    """
    clips: dict[str, dict[Row, list[FilmPair]]] = {}  # by kind
    for pair in pairs:
        clips.setdefault(pair.kind, {}).setdefault(pair.row, []).append(pair)
    queues = []
    for kind, rows in clips.items():
        tasks = sorted({row.task for row in rows})
        first = sum(map(ord, kind)) % len(tasks)  # not every kind begins with the same task
        seen = dict.fromkeys(tasks, 0)
        order = []
        for row in rows:
            order.append((seen[row.task], (tasks.index(row.task) - first) % len(tasks), row))
            seen[row.task] += 1
        queues.append([pair for _, _, row in sorted(order) for pair in rows[row]])
    chosen: list[FilmPair] = []
    for turn in range(max(map(len, queues), default=0)):
        chosen += [queue[turn] for queue in queues if turn < len(queue)]
    return chosen[:limit]


def shown_in_states(pairs: Iterable[FilmPair]) -> tuple[FilmPair, ...]:
    """The pairs that differ in states of bodies, in a way that no law allows.

    Looks and presence are no part of states. Controls are changes of the picture, or begin off the true states by the
    noise of a tracker, which exact states do not have.
    """
    return tuple(pair for pair in pairs if not pair.control and not IMPOSSIBLE_KINDS[pair.kind].look)


def pairs_hash(pairs: Iterable[FilmPair]) -> str:
    """Hash of pairs with the states of their impossible worlds, in their order."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.id}|{pair.possible}|{pair.event:.6f}|{pair.states}\n".encode())
    return digest.hexdigest()


def of_this_suite(versions: Mapping[str, Mapping[str, Published]]) -> Mapping[str, Published]:
    """Published results, by class, for the suite's version; while that is in development, for the newest before it."""
    known = [version for version in versions if int(version) <= SUITE_VERSION]
    return versions[max(known, key=int)] if known else {}


# Chooses the pairs of the suite `expectation` and writes them down, with hashes of the states of impossible worlds.
#
# `python -m physbench.surprise.pairs` writes the file of this package anew; it takes some minutes.

TURNS: tuple[tuple[Split, int], ...] = (
    ("test", 0), ("ood", 0), ("test", 1), ("test", 2), ("ood", 1), ("test", 3), ("test", 4), ("test", 5),
)  # fmt: skip


def grid(scene: Scene) -> Array:
    """Times (T,) s at STATE_HZ from the start of the history to the end of the horizon."""
    return np.arange(-round(HISTORY * STATE_HZ), round(scene.horizon * STATE_HZ) + 1) / STATE_HZ


def measured(row: Row, kind: ImpossibleKind, size: float) -> FilmPair:
    """The pair of a clip with a kind and size. Raises Inapplicable, also where nothing of it could be seen."""
    scene = make_scene(row)
    world = violate(scene, find_acts(f"{kind.name}:{size:g}"), row.id)
    times = grid(scene)
    states = world.states(times)
    world.refuse_unseen(times, _lawful(row))
    first = min(world.events, key=lambda event: event.time)
    seen = _last_seen(world, first.body, first.hidden_since)
    event = float(np.floor(first.time * PHYSICS_HZ + 1e-6) / PHYSICS_HZ)
    digest = state_hash(states)[:16]
    return FilmPair(row, kind.name, size, round(event, 6), seen, "truth", f"{kind.name}:{size:g}", digest)


@lru_cache(maxsize=128)
def _lawful(row: Row) -> Array:
    """States (T, N, 13) of a clip on the grid."""
    return grid_states(make_scene(row))


def _last_seen(world: Violated, body: str | None, hidden_since: float | None) -> float | None:
    """Time (s) when a body that changes out of sight was last visible; None where nothing is out of sight."""
    if body is None or hidden_since is None:
        return None
    candidates = candidate_events(world.scene)
    hidden = candidates.hidden(world.scene.index(body))
    at = int(np.searchsorted(candidates.times, hidden_since + 1e-9, side="right")) - 1
    open_ = np.flatnonzero(~hidden[: at + 1])
    return round(float(candidates.times[open_[-1]]), 6) if len(open_) else 0.0


def chosen(kind: ImpossibleKind, tasks: tuple[str, ...]) -> Iterator[list[FilmPair]]:
    """Clips of a kind with all their sizes, from the tasks in turn."""
    kept, refused = 0, dict.fromkeys(tasks, 0)
    start = sum(map(ord, kind.name)) % len(tasks)  # so that not all kinds take the clips of the same tasks
    for split, seed in TURNS:
        for task in (*tasks[start:], *tasks[:start]):
            if kept == 12 or refused[task] >= 3:  # clips a kind; clips of a task on which it finds nothing
                continue
            pairs = []
            for size in reversed(kind.sizes):  # where the largest does not apply, none need be tried
                try:
                    pairs.append(measured(Row(task, split, seed), kind, size))
                except Inapplicable:
                    if size == kind.sizes[-1]:
                        break
            if len(pairs) < min(4, len(kind.sizes)):  # that a clip must show of a kind with sizes
                refused[task] += 1
                continue
            kept += 1
            yield pairs[::-1]


def write_pairs(path: Path) -> None:
    """Choose pairs of all kinds and write them."""
    tasks = find_suite("expectation").tasks
    entries = []
    for kind in IMPOSSIBLE_KINDS.values():
        for pairs in chosen(kind, tasks):
            row = pairs[0].row
            sizes = [[pair.size, pair.event, pair.seen, pair.states] for pair in pairs]
            entries.append([row.task, row.split, row.seed, kind.name, sizes])
        print(kind.name, sum(entry[3] == kind.name for entry in entries), "clips", flush=True)
    controls = [
        [task, split, seed, name]
        for number, name in enumerate(CONTROLS)
        for task, split, seed in _spread(tasks, number)
    ]
    head = {
        "suite": "expectation",
        "version": SUITE_VERSION,
        "made_by": "python -m physbench.surprise.pairs",
        "columns": [
            "task",
            "split",
            "seed",
            "kind",
            f"[size, s of the event, s at which the evidence is last seen, sha256 of the states at {STATE_HZ} Hz "
            f"rounded to {HASH_ROUNDING:g}] of each size",
        ],
    }
    lines = ",\n  ".join(map(json.dumps, entries))
    more = ",\n  ".join(map(json.dumps, controls))
    text = json.dumps(head, indent=1)[:-2] + f',\n "pairs": [\n  {lines}\n ],\n "controls": [\n  {more}\n ]\n}}\n'
    path.write_text(text, encoding="utf-8")


def _spread(tasks: tuple[str, ...], number: int) -> list[tuple[str, Split, int]]:
    """Clips of a control: from all tasks in turn, other ones for each control."""
    every = [(task, split, seed) for split, seed in TURNS for task in tasks]
    clips_a_control = 24
    start = number * clips_a_control % len(every)
    return [every[(start + k) % len(every)] for k in range(clips_a_control)]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        raise SystemExit("Takes no arguments; writes a golden file.")
    write_pairs(Path(__file__).parent / "golden" / PAIRS_FILE)
