"""What the physicist makes of the films of the suite, published for a version of it and a class of picture sizes.

It is computed once, as it takes seconds a film: `python -m physbench.expectation.physicist_films --publish` writes clip
after clip into the file of this package, and goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from physbench.clips.suite import SUITE_VERSION
from physbench.expectation.film_pairs import FilmPair, all_pairs, of_this_suite, pairs_hash
from physbench.expectation.films import POSSIBLE
from physbench.expectation.surprise_series import PairReading
from physbench.results.task_roles import picture_class
from physbench.storage.atomic_write import write_text
from physbench.world.scene import RenderSpec

PHYSICIST_NAME = "physicist"
PHYSICIST_FILE = "physicist.json"
PHYSICIST_COMMAND = "python -m physbench.expectation.physicist_films --publish --size SIDE --fps RATE"
NOT_PUBLISHED = "not published"
STRENGTH_DIGITS = 4  # of a strength

Strengths = Mapping[str, float | None]  # diameters, by name of the film; None where nothing of it is shadowed


@dataclass(frozen=True)
class PublishedStrengths:
    """Strengths of the films of a suite in one class of pictures.

    Attributes:
        made: With what they were made: the hash of all pairs, size and rate, context. Others are not gone on with.
        films: By id of the clip.
    """

    made: Mapping[str, Any]
    films: Mapping[str, Strengths] = field(default_factory=dict)


def made_with(spec: RenderSpec, context: int) -> dict[str, Any]:
    """What strengths of the suite as it is are made with."""
    return {"pairs": pairs_hash(all_pairs()), "films_of": str(spec), "context": context}


def judged(pairs: Sequence[FilmPair]) -> list[FilmPair]:
    """The pairs that the physicist is asked about: those whose possible film is the clip itself."""
    return [pair for pair in pairs if not pair.control and pair.possible == POSSIBLE]


def read_pairs(pairs: Sequence[FilmPair], strengths: Mapping[str, Strengths]) -> list[PairReading]:
    """What shadowing makes of pairs, as far as both films are shadowed; `strengths` by id of the clip."""
    found = []
    for pair in judged(pairs):
        known = strengths.get(pair.row.id, {})
        possible, impossible = known.get(POSSIBLE), known.get(pair.impossible)
        if possible is not None and impossible is not None:
            found.append(PairReading(pair, possible, impossible))
    return found


def published_readings(pairs: Sequence[FilmPair], spec: RenderSpec) -> list[PairReading]:
    """What the physicist makes of pairs in pictures of this class; empty where that is not published."""
    published = of_this_suite(_golden()).get(picture_class(spec))
    if published is None or published.made["pairs"] != pairs_hash(all_pairs()):
        return []
    return read_pairs(pairs, published.films)


@cache
def _golden() -> dict[str, dict[str, PublishedStrengths]]:
    """By version and class."""
    text = files("physbench.expectation").joinpath("golden", PHYSICIST_FILE).read_text(encoding="utf-8")
    return parsed(json.loads(text))


def parsed(document: Mapping[str, Any]) -> dict[str, dict[str, PublishedStrengths]]:
    """By version and class."""
    return {
        version: {name: PublishedStrengths(each["made"], each["films"]) for name, each in classes.items()}
        for version, classes in document["versions"].items()
    }


def kept_strengths(path: Path, spec: RenderSpec, made: Mapping[str, Any]) -> dict[str, Strengths]:
    """What a file has of the films of this version and class, made in the same way; by id of the clip."""
    if not path.exists():
        return {}
    known = parsed(json.loads(path.read_text(encoding="utf-8"))).get(str(SUITE_VERSION), {}).get(picture_class(spec))
    return dict(known.films) if known is not None and known.made == made else {}


def write_strengths(path: Path, spec: RenderSpec, made: Mapping[str, Any], strengths: Mapping[str, Strengths]) -> None:
    """Put strengths into a file, beside other versions and classes."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"versions": {}}
    classes = stored["versions"].setdefault(str(SUITE_VERSION), {})
    rounded = {
        row: {name: None if value is None else round(value, STRENGTH_DIGITS) for name, value in films.items()}
        for row, films in sorted(strengths.items())
    }
    classes[picture_class(spec)] = {"made": dict(made), "films": rounded}
    write_text(path, json.dumps({"made_by": PHYSICIST_COMMAND, **stored}, indent=1) + "\n")
