"""The ceiling: what shadowing, which is given the laws, makes of the films of a pair.

    python -m physbench.expectation.physicist_films --limit 60 --kinds teleport,gravity

prints for each kind and size how many pairs it tells apart. Its surprise at a film is its strength: the smallest
distance in diameters within which the whole motion is lawful. It judges motion and presence, not looks, and takes
seconds a film, so that it is no part of a run. With --publish its strengths are kept for reports, see
`physicist_golden`; what is kept already is not computed again.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.clips.store import clip_store
from physbench.expectation.expectation_kinds import IMPOSSIBLE_KINDS
from physbench.expectation.expectation_readings import fitted, over_kinds, said_of
from physbench.expectation.film_pairs import FilmPair, find_pairs
from physbench.expectation.films import POSSIBLE, film_of
from physbench.expectation.physicist_golden import (
    PHYSICIST_FILE,
    Strengths,
    judged,
    kept_strengths,
    made_with,
    read_pairs,
    write_strengths,
)
from physbench.expectation.surprise_series import PairReading
from physbench.progress import Progress
from physbench.results.number_format import ascii_minus, fixed
from physbench.rollouts.rollout import Rollout
from physbench.scoring.reading_roles import reading_of, scorer_of
from physbench.scoring.score_clip import score_clip
from physbench.worker_pool import ordered, worker_pool
from physbench.world.scene import RenderSpec

Image = NDArray[np.uint8]

GOLDEN = Path(__file__).parent / "golden" / PHYSICIST_FILE
SEEN_FROM = 0.08  # diameters; a track that leaves every lawful path by that much shows the violation


def film_strength(clip: Clip, frames: Image, context: int) -> float:
    """Within which distance (diameters) a film (T, H, W, 3) of a clip is lawful; NaN where none is read."""
    rollout = Rollout(clip.id, 0, frames[clip.handover + 1 :])
    rows, _ = score_clip(clip, rollout, context, (scorer_of("strength"),))
    (value,) = (row.value for row in rows if row.reading == reading_of("strength"))
    return float("nan") if value is None else float(value)


def strengths(spec: RenderSpec, context: int, job: tuple[Row, Sequence[str]]) -> dict[str, float | None]:
    """In a worker: the strength of films of a clip, by name; None where nothing is shadowed."""
    row, sources = job
    clip = clip_store().get(row, spec)
    found = {source: film_strength(clip, film_of(clip, source, context).frames, context) for source in sources}
    return {source: value if np.isfinite(value) else None for source, value in found.items()}


def clip_strengths(
    pairs: Sequence[FilmPair], spec: RenderSpec, context: int, workers: int, known: Mapping[str, Strengths]
) -> Iterator[tuple[str, Strengths]]:
    """Strengths of the films of each clip that has some which are not known: its id, and those with what is known."""
    jobs = []
    for row in dict.fromkeys(pair.row for pair in pairs):
        films = dict.fromkeys((POSSIBLE, *(pair.impossible for pair in pairs if pair.row == row)))
        if unknown := tuple(name for name in films if name not in known.get(row.id, {})):
            jobs.append((row, unknown))
    if not jobs:
        return
    work = functools.partial(strengths, spec, context)
    with worker_pool(workers, len(jobs), ("physbench.run.preload",)) as pool, Progress("clips", len(jobs)) as progress:
        for (row, _), found in zip(jobs, ordered(pool, work, jobs), strict=True):
            progress.advance()
            yield row.id, {**known.get(row.id, {}), **found}


def physicist_table(readings: Sequence[PairReading]) -> str:
    """Lines of text: accuracy by kind and size, thresholds, and accuracy where the track shows the violation."""
    lines = []
    for kind in IMPOSSIBLE_KINDS.values():
        own = [reading for reading in readings if reading.pair.kind == kind.name]
        if not own:
            continue
        cells = []
        for size in kind.sizes:
            right = [reading.right for reading in own if reading.pair.size == size]
            cells.append(f"{size:g}: {fixed(float(np.mean(right)))} of {len(right)}" if right else "")
        lines.append(f"{kind.noun}: {said_of(kind, fitted(kind, own))}  " + ", ".join(filter(None, cells)))
    shown = [reading for reading in readings if reading.impossible >= SEEN_FROM]
    for name, some in (("all pairs", readings), (f"pairs whose track shows it at {SEEN_FROM:g} diameters", shown)):
        lines.append(f"{name}: {fixed(over_kinds(list(some)).accuracy)} of {len(some)} (mean over kinds)")
    return ascii_minus("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, help="pairs, at most")
    parser.add_argument("--kinds", help="names, separated by commas")
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--context", type=int, default=8, help="frames")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--publish", action="store_true", help="keep strengths for reports, and go on with what is kept"
    )
    parser.add_argument("--file", type=Path, default=GOLDEN, help="where they are kept")
    options = parser.parse_args()
    spec = RenderSpec(options.size, options.size, options.fps)
    made = made_with(spec, options.context)
    pairs = judged(find_pairs(options.limit, options.kinds))
    known = kept_strengths(options.file, spec, made) if options.publish else {}
    for clip, found in clip_strengths(pairs, spec, options.context, options.workers, known):
        known[clip] = found
        if options.publish:
            write_strengths(options.file, spec, made, known)
    print(physicist_table(read_pairs(pairs, known)))


if __name__ == "__main__":
    from physbench.expectation import physicist_films  # workers find functions by the name of a module, not __main__

    physicist_films.main()
