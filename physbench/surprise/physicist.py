"""The ceiling: what shadowing, which is given the laws, makes of the films of a pair; published for the suite.

    python -m physbench.surprise.physicist --limit 60 --kinds teleport,gravity

prints for each kind and size how many pairs it tells apart. Its surprise at a film is its strength: the smallest
distance in diameters within which the whole motion is lawful. It judges motion and presence, not looks, and takes
seconds a film, so that it is no part of a run. With --publish its strengths are kept for reports; what is kept
already is not computed again.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from physbench.clips.clip import Clip, Row
from physbench.clips.store import clip_store
from physbench.clips.suite import SUITE_VERSION
from physbench.result.formats import ascii_minus, fixed
from physbench.result.task_roles import picture_class
from physbench.rollout.store import Rollout
from physbench.score.score_clip import reading_of, score_clip, scorer_of
from physbench.support.arrays import Image
from physbench.support.files import write_text
from physbench.support.processes import scheduled
from physbench.surprise.ask import PairReading
from physbench.surprise.films import POSSIBLE, film_of
from physbench.surprise.pairs import IMPOSSIBLE_KINDS, FilmPair, all_pairs, find_pairs, of_this_suite, pairs_hash
from physbench.surprise.readings import fitted, fitted_text, over_kinds
from physbench.world.scene import RenderSpec

# What the physicist makes of the films of the suite, published for a version of it and a class of picture sizes.
#
# It is computed once, as it takes seconds a film: `python -m physbench.surprise.physicist --publish` writes clip
# after clip into the file of this package, and goes on where it stopped.

PHYSICIST_NAME = "physicist"
PHYSICIST_FILE = "physicist.json"
NOT_PUBLISHED = "not published"

Strengths = Mapping[str, float | None]  # diameters, by name of the film; None where nothing of it is shadowed


@dataclass(frozen=True)
class PublishedStrengths:
    """Strengths of the films of a suite in one class of pictures.

    Attributes:
        made: With what they were made: the hash of all pairs, size and rate, context. Others are not gone on with.
        films: By id of the clip.
    """

    inputs: Mapping[str, Any]
    films: Mapping[str, Strengths] = field(default_factory=dict)


def inputs_of(spec: RenderSpec, context: int) -> dict[str, Any]:
    """Inputs of the strengths of the present suite."""
    return {"pairs": pairs_hash(all_pairs()), "films_of": str(spec), "context": context}


def judged(pairs: Sequence[FilmPair]) -> list[FilmPair]:
    """The pairs that the physicist is asked about: those whose possible film is the clip itself."""
    return [pair for pair in pairs if not pair.control and pair.possible == POSSIBLE]


def read_pairs(pairs: Sequence[FilmPair], strengths: Mapping[str, Strengths]) -> list[PairReading]:
    """Readings of pairs by shadowing, as far as both films are shadowed; `strengths` by id of the clip."""
    pairs_read = []
    for pair in judged(pairs):
        known = strengths.get(pair.row.id, {})
        possible, impossible = known.get(POSSIBLE), known.get(pair.impossible)
        if possible is not None and impossible is not None:
            pairs_read.append(PairReading(pair, possible, impossible))
    return pairs_read


def published_readings(pairs: Sequence[FilmPair], spec: RenderSpec) -> list[PairReading]:
    """Readings of pairs by the physicist in pictures of this class; empty where they are not published."""
    published = of_this_suite(_golden()).get(picture_class(spec))
    if published is None or published.inputs["pairs"] != pairs_hash(all_pairs()):
        return []
    return read_pairs(pairs, published.films)


@cache
def _golden() -> dict[str, dict[str, PublishedStrengths]]:
    """By version and class."""
    text = files("physbench.surprise").joinpath("golden", PHYSICIST_FILE).read_text(encoding="utf-8")
    return parsed(json.loads(text))


def parsed(document: Mapping[str, Any]) -> dict[str, dict[str, PublishedStrengths]]:
    """By version and class."""
    return {
        version: {name: PublishedStrengths(each["made"], each["films"]) for name, each in classes.items()}
        for version, classes in document["versions"].items()
    }


def kept_strengths(path: Path, spec: RenderSpec, provenance: Mapping[str, Any]) -> dict[str, Strengths]:
    """Strengths in a file, of films of this version and class, made in the same way; by id of the clip."""
    if not path.exists():
        return {}
    known = parsed(json.loads(path.read_text(encoding="utf-8"))).get(str(SUITE_VERSION), {}).get(picture_class(spec))
    return dict(known.films) if known is not None and known.inputs == provenance else {}


def write_strengths(
    path: Path, spec: RenderSpec, provenance: Mapping[str, Any], strengths: Mapping[str, Strengths]
) -> None:
    """Put strengths into a file, beside other versions and classes."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"versions": {}}
    classes = stored["versions"].setdefault(str(SUITE_VERSION), {})
    rounded = {
        row: {name: None if value is None else round(value, 4) for name, value in films.items()}
        for row, films in sorted(strengths.items())
    }
    classes[picture_class(spec)] = {"made": dict(provenance), "films": rounded}
    physicist_command = "python -m physbench.surprise.physicist --publish --size SIDE --fps RATE"
    write_text(path, json.dumps({"made_by": physicist_command, **stored}, indent=1) + "\n")


GOLDEN = Path(__file__).parent / "golden" / PHYSICIST_FILE


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
    values = {source: film_strength(clip, film_of(clip, source, context).frames, context) for source in sources}
    return {source: value if np.isfinite(value) else None for source, value in values.items()}


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
    with scheduled(work, jobs, workers=workers, preload=("physbench.run.preload",), label="clips") as measured:
        for (row, _), values in zip(jobs, measured, strict=True):
            yield row.id, {**known.get(row.id, {}), **values}


def physicist_table(readings: Sequence[PairReading]) -> str:
    """Lines of text: accuracy by kind and size, thresholds, and accuracy where the track shows the violation."""
    seen_from = 0.08  # diameters; a track that leaves every lawful path by that much shows the violation
    lines = []
    for kind in IMPOSSIBLE_KINDS.values():
        own = [reading for reading in readings if reading.pair.kind == kind.name]
        if not own:
            continue
        cells = []
        for size in kind.sizes:
            right = [reading.right for reading in own if reading.pair.size == size]
            cells.append(f"{size:g}: {fixed(float(np.mean(right)))} of {len(right)}" if right else "")
        lines.append(f"{kind.noun}: {fitted_text(kind, fitted(kind, own))}  " + ", ".join(filter(None, cells)))
    shown = [reading for reading in readings if reading.impossible >= seen_from]
    for name, some in (("all pairs", readings), (f"pairs whose track shows it at {seen_from:g} diameters", shown)):
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
    provenance = inputs_of(spec, options.context)
    pairs = judged(find_pairs(options.limit, options.kinds))
    known = kept_strengths(options.file, spec, provenance) if options.publish else {}
    for clip, values in clip_strengths(pairs, spec, options.context, options.workers, known):
        known[clip] = values
        if options.publish:
            write_strengths(options.file, spec, provenance, known)
    print(physicist_table(read_pairs(pairs, known)))


if __name__ == "__main__":
    from physbench.surprise import physicist  # workers find functions by the name of a module, not __main__

    physicist.main()
