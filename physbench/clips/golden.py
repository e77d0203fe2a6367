"""Golden states: hashes of the states of the suites, and whether this machine reproduces them.

python -m physbench.clips.golden          writes the golden states of the suites anew
python -m physbench.clips.golden full     those of the suites that are named
python -m physbench.clips.golden train    the hashes of the lists of clips to learn from, for which it simulates 15,000
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from physbench.clips.clip import Row
from physbench.clips.generate import CLIP_PRELOAD, STATE_HZ, grid_states, make_scene, state_hash
from physbench.clips.suite import (
    GOLDEN_SUITES,
    SUITE_VERSION,
    TRAIN,
    Golden,
    Suite,
    find_suite,
    golden_rows,
    golden_tasks,
    suite_hash,
)
from physbench.support.processes import scheduled

GOLDEN_COMMAND = "python -m physbench.clips.golden"
TRAIN_LISTS = (150, 1500, 15000)  # clips of `train`: sizes at which trainings are compared


@dataclass(frozen=True)
class GoldenMismatch:
    """Deviation of this machine from the golden states of one clip."""

    row: Row
    same: bool  # the state hashes agree
    distance: float  # m, largest over the bodies at the end of the horizon


def compute_golden(row: Row) -> Golden:
    """Simulate a clip on the 20 Hz grid."""
    scene = make_scene(row)
    states = grid_states(scene)
    final = {}
    for body, position in zip(scene.bodies, states[-1, :, :3].tolist(), strict=True):
        x, y, z = (round(value, 6) + 0.0 for value in position)
        final[body.name] = (x, y, z)
    return Golden(state_hash(states), final)


def verify(suite: Suite, workers: int = 2) -> Iterator[GoldenMismatch]:
    """Compare each clip of a suite with its golden states, in order."""
    with scheduled(compute_golden, suite.rows, workers=workers, preload=CLIP_PRELOAD) as computed:
        for row, here in zip(suite.rows, computed, strict=True):
            golden = suite.golden[row]
            same_bodies = golden.final.keys() == here.final.keys()
            distance = (
                max(math.dist(golden.final[body], here.final[body]) for body in golden.final)
                if same_bodies
                else math.inf
            )
            yield GoldenMismatch(row, golden.state_hash == here.state_hash, distance)


def write_golden(folder: Path, names: Sequence[str] = tuple(GOLDEN_SUITES)) -> None:
    """Write the golden files of the suites `names` into `folder`."""
    suites = {name: golden_rows(name, golden_tasks(name)) for name in names}
    rows = sorted({row for suite in suites.values() for row in suite})
    with scheduled(compute_golden, rows, workers=2, preload=CLIP_PRELOAD) as computed:
        golden = dict(zip(rows, computed, strict=True))
    for name, suite in suites.items():
        clips = [(row, golden[row]) for row in suite]
        head = {
            "suite": name,
            "version": SUITE_VERSION,
            "hash": suite_hash((row, clip.state_hash) for row, clip in clips),
            "made_by": GOLDEN_COMMAND,
            "columns": [
                "task",
                "split",
                "seed",
                f"sha256 of positions and velocities at {STATE_HZ} Hz, rounded to 1e-6",
                "m, final position of each body",
                *(["what is changed, where something is"] if any(row.change for row in suite) else []),
            ],
        }
        lines = [
            json.dumps([row.task, row.split, row.seed, clip.state_hash, clip.final, *filter(None, [row.change])])
            for row, clip in clips
        ]
        text = json.dumps(head, indent=1)[:-2] + ',\n "clips": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
        (folder / f"{name}.json").write_text(text)


def state_hashes(rows: Sequence[Row], workers: int = 2) -> dict[Row, str]:
    """Hashes of the states of clips as this machine simulates them, in their order, with progress."""
    with scheduled(compute_golden, rows, workers=workers, preload=CLIP_PRELOAD, label="states") as computed:
        return {row: golden.state_hash for row, golden in zip(rows, computed, strict=True)}


@cache
def published_lists(name: str) -> Mapping[int, str]:
    """Hashes of the lists of TRAIN_LISTS by their number of clips; of another suite or version there are none."""
    if name != TRAIN:
        return {}
    document = json.loads(files("physbench.clips").joinpath("golden", f"{TRAIN}.json").read_text())
    same = document["version"] == SUITE_VERSION
    return {int(clips): digest for clips, digest in document["lists"].items()} if same else {}


def write_train_lists(folder: Path) -> None:
    """Write the hashes of the lists of clips to learn from into `folder`."""
    suites = [find_suite(TRAIN, limit=clips) for clips in TRAIN_LISTS]
    states = state_hashes(suites[-1].rows)  # the largest list holds the others
    lists = {str(len(suite.rows)): suite_hash((row, states[row]) for row in suite.rows) for suite in suites}
    document = {"suite": TRAIN, "version": SUITE_VERSION, "made_by": f"{GOLDEN_COMMAND} {TRAIN}", "lists": lists}
    (folder / f"{TRAIN}.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    from physbench.clips import golden  # a worker finds its functions there, not in __main__

    place, chosen = Path(__file__).parent / "golden", sys.argv[1:]
    if chosen == [TRAIN]:
        golden.write_train_lists(place)
    else:
        golden.write_golden(place, names=chosen or tuple(GOLDEN_SUITES))
