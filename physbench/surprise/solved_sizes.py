"""Kinds and sizes that a pixel baseline solves, fixed for a version of the suite and a class of picture sizes.

They are decided once, from all pairs of the suite, so that the mean of a run does not depend on the few clips that it
shows. `python -m physbench.surprise.solved_sizes --size 64 --fps 15` writes them into the file of this package.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from physbench.clips.clip import Row
from physbench.clips.suite import SUITE_VERSION
from physbench.result.task_roles import picture_class
from physbench.support.files import write_text
from physbench.support.processes import cores
from physbench.support.schedule import scheduled
from physbench.surprise.ask import PairReading, Solved, read_pair
from physbench.surprise.clip_films import FILM_PRELOAD, ClipFilms, clip_films
from physbench.surprise.films import POSSIBLE
from physbench.surprise.pairs import FilmPair, all_pairs, of_this_suite
from physbench.surprise.pixel_baselines import PIXEL_BASELINES, SPRITE_FRAMES
from physbench.surprise.readings import solved_sizes
from physbench.world.scene import RenderSpec

SOLVED_FILE = "solved.json"
SOLVED_COMMAND = "python -m physbench.surprise.solved_sizes --size SIDE --fps RATE"


def fixed_solved(spec: RenderSpec) -> Solved | None:
    """Solved kinds and sizes in pictures of this class; None where they are not fixed, so that a run decides."""
    return of_this_suite(_golden()).get(picture_class(spec))


@cache
def _golden() -> dict[str, dict[str, Solved]]:
    """By version and class."""
    text = files("physbench.surprise").joinpath("golden", SOLVED_FILE).read_text(encoding="utf-8")
    return {
        version: {
            name: {(kind, size): tuple(solved) for kind, sizes in kinds.items() for size, solved in sizes}
            for name, kinds in classes.items()
        }
        for version, classes in json.loads(text)["versions"].items()
    }


def solved_in_suite(spec: RenderSpec, workers: int) -> Solved:
    """Show the films of the whole suite to all pixel baselines."""
    pairs = [pair for pair in all_pairs() if not pair.control]
    rows = list(dict.fromkeys(pair.row for pair in pairs))
    readings: dict[str, list[PairReading]] = {name: [] for name in PIXEL_BASELINES}
    jobs = [(row, [pair for pair in pairs if pair.row == row]) for row in rows]
    show = functools.partial(_films, spec)
    with scheduled(show, jobs, workers=workers, preload=FILM_PRELOAD, label="clips", long=True) as shown:
        for (_, own), films in zip(jobs, shown, strict=True):
            there = [pair for pair in own if not {pair.possible, pair.impossible} & films.absent.keys()]
            for name, series in films.baselines.items():
                readings[name] += [read_pair(pair, series, films.pixel_grid.times) for pair in there]
    return solved_sizes(readings)


def _films(spec: RenderSpec, job: tuple[Row, Sequence[FilmPair]]) -> ClipFilms:
    row, own = job
    names = (POSSIBLE, *(name for pair in own for name in (pair.possible, pair.impossible)))
    return clip_films(row, spec, SPRITE_FRAMES, tuple(dict.fromkeys(names)))


def write_solved(classes: Iterable[tuple[RenderSpec, Solved]], path: Path) -> None:
    """Put what was found for some sizes into the file, beside other versions and classes."""
    stored: dict[str, Any] = (
        json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"made_by": SOLVED_COMMAND, "versions": {}}
    )
    for spec, solved in classes:
        kinds: dict[str, list[Any]] = {}
        for (kind, size), names in sorted(solved.items()):
            kinds.setdefault(kind, []).append([size, list(names)])
        stored["versions"].setdefault(str(SUITE_VERSION), {})[picture_class(spec)] = kinds
    write_text(path, json.dumps(stored, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, required=True, help="px")
    parser.add_argument("--fps", type=float, required=True)
    parser.add_argument("--workers", type=int, default=cores())
    options = parser.parse_args()
    spec = RenderSpec(options.size, options.size, options.fps)
    write_solved([(spec, solved_in_suite(spec, options.workers))], Path(__file__).parent / "golden" / SOLVED_FILE)


if __name__ == "__main__":
    main()
