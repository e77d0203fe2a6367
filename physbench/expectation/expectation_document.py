"""result.json of a run on the suite `expectation`: the axes are empty, and `expectation` holds what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench import __version__
from physbench.adapters.state_card import StateCard
from physbench.adapters.surprise_card import SurpriseCard
from physbench.clips.clip import Row
from physbench.clips.suite import EXPECTATION_SUITE
from physbench.errors import UsageError
from physbench.expectation.expectation_kinds import IMPOSSIBLE_KINDS
from physbench.expectation.expectation_readings import expectation_result
from physbench.expectation.expectation_run import IN_TRACKS, UNTRAINED, read_part
from physbench.expectation.expectation_text import expectation_sentences
from physbench.expectation.film_pairs import FilmPair, find_pairs, pairs_hash
from physbench.expectation.film_surprise import asked_pairs, sight
from physbench.expectation.physicist_golden import NOT_PUBLISHED, PHYSICIST_NAME, published_readings
from physbench.expectation.pixel_baselines import PIXEL_BASELINES
from physbench.expectation.solved_sizes import fixed_solved
from physbench.expectation.state_films import STATE_BASELINES
from physbench.expectation.surprise_series import PairReading, read_pair
from physbench.results.expectation_schema import ExpectationResult
from physbench.results.read_run import read_manifest
from physbench.results.schema import Counts, Failure, ResultDocument, SkillValue, SuiteInfo
from physbench.results.schema_parts import ModelInfo, Speed
from physbench.run.run_manifest import card_from
from physbench.storage.run_folder import RunFolder
from physbench.storage.sealed_file import write_sealed_json
from physbench.world.scene import RenderSpec

Array = NDArray[np.float64]

NO_AXES = "the suite expectation asks for surprise and has no axes"
MODEL_FILMS = "films"  # of a part: what the model makes of the films
UNTRAINED_COPY = "untrained copy"
MODEL_IN_TRACKS = "in tracks"
PIXELS = "squared error of pixels, white = 1"
DIAMETERS = "diameters"


def write_expectation(
    folder: RunFolder, pairs: Sequence[FilmPair], manifest: Mapping[str, Any], *, report: bool = True
) -> ResultDocument:
    """Write result.json and the report of a run all of whose films were shown; the result alone with report=False."""
    from physbench.expectation.expectation_page import write_expectation_page

    document, model, parts = expectation_document(folder, pairs, manifest)
    write_sealed_json(folder.result, document.model_dump(mode="json"))
    if report:
        write_expectation_page(folder, document, model, parts, card_from(manifest["model"]["card"]).spec)
    return document


def pairs_of(manifest: Mapping[str, Any]) -> tuple[FilmPair, ...]:
    """The pairs of a stored run."""
    options = manifest.get("options") or {}
    return find_pairs(options.get("limit"), options.get("tasks"))


def rewrite_expectation(folder: RunFolder) -> None:
    """Make result and report of a run again. Raises UsageError where it is not finished, or of another suite."""
    write_expectation(folder, *_stored_run(folder))


def expectation_of(folder: RunFolder) -> ResultDocument:
    """The same result without writing it. Raises UsageError as `rewrite_expectation` does."""
    return expectation_document(folder, *_stored_run(folder))[0]


def _stored_run(folder: RunFolder) -> tuple[tuple[FilmPair, ...], dict[str, Any]]:
    """Pairs and manifest of a run of this suite, as this version has it."""
    manifest = read_manifest(folder)
    if manifest["suite"]["name"] != EXPECTATION_SUITE:
        raise UsageError(f"{folder.path} is no run of the suite {EXPECTATION_SUITE}.")
    pairs = pairs_of(manifest)
    if manifest["suite"]["hash"] != pairs_hash(pairs):
        raise UsageError(
            f"{folder.path} shows other pairs than this version of the suite has. Run it again with --fresh."
        )
    return pairs, manifest


def expectation_document(
    folder: RunFolder, pairs: Sequence[FilmPair], manifest: Mapping[str, Any]
) -> tuple[ResultDocument, list[PairReading], dict[Row, dict[str, Any]]]:
    """The result document of a run, what the model makes of each pair, and what the parts hold, by clip."""
    card = card_from(manifest["model"]["card"])
    unasked = {pair.kind for pair in pairs if not pair.control}
    pairs = asked_pairs(pairs, card)
    unasked -= {pair.kind for pair in pairs}
    parts: dict[Row, dict[str, Any]] = {}
    for row in dict.fromkeys(pair.row for pair in pairs):
        part = read_part(folder.part(row.id))
        if part is None:
            raise UsageError(f"{folder.path} is not finished: films of {row.id} were not shown. Use --resume.")
        parts[row] = part
    pairs = [pair for pair in pairs if not {pair.possible, pair.impossible} & parts[pair.row]["absent"].keys()]
    model = readings(pairs, parts)
    states, stated = isinstance(card, StateCard), isinstance(card, SurpriseCard)
    asked = {"shown": " ".join(manifest.get("notes") or ()) or "whole films"} if stated else {}
    beside, missing = _beside(manifest, pairs, parts, None if states else card.spec)
    unit, way = (DIAMETERS, "error of the predicted states") if states else (PIXELS, "error of the predicted frames")
    result = expectation_result(
        model,
        {name: readings(pairs, parts, name) for name in (STATE_BASELINES if states else PIXEL_BASELINES)},
        **asked,
        sees=sight(card),
        ahead=card.ahead if isinstance(card, SurpriseCard) else 0.0,
        beside=beside,
        absent=missing,
        solved=None if states else fixed_solved(card.spec),
        unit=card.unit if isinstance(card, SurpriseCard) else unit,
        way="surprise as the model states it" if stated else way,
        baseline="state baseline" if states else "pixel baseline",
        not_shown=sorted({IMPOSSIBLE_KINDS[kind].noun for kind in unasked}),
    )
    failures = [
        Failure(clip=f"{row.id}|{film}", sample=0, reason=reason)
        for row, part in parts.items()
        for film, reason in part["failures"].items()
    ]
    absent = {f"{row.id}|{film}": reason for row, part in parts.items() for film, reason in part["absent"].items()}
    return _document(manifest, parts, result, failures, absent), model, parts


def _beside(
    manifest: Mapping[str, Any],
    pairs: Sequence[FilmPair],
    parts: Mapping[Row, Mapping[str, Any]],
    spec: RenderSpec | None,
) -> tuple[dict[str, list[PairReading]], dict[str, str]]:
    """What physicist, model in tracks and untrained copy make of pairs, and why one of them makes nothing of any.

    spec: of the pictures; None of films of states.
    """
    found: dict[str, list[PairReading]] = {}
    reasons: dict[str, str] = {}
    published = published_readings(pairs, spec) if spec else []
    if published:
        found[PHYSICIST_NAME] = published
    else:
        reasons[PHYSICIST_NAME] = NOT_PUBLISHED
    if all(IN_TRACKS in part for part in parts.values()):
        found[MODEL_IN_TRACKS] = readings(pairs, parts, IN_TRACKS)
    if all(UNTRAINED in part for part in parts.values()):
        found[UNTRAINED_COPY] = readings(pairs, parts, UNTRAINED)
    else:
        reasons[UNTRAINED_COPY] = str(manifest.get(UNTRAINED) or "not asked: --untrained-copy")
    return found, reasons


def readings(
    pairs: Sequence[FilmPair], parts: Mapping[Row, Mapping[str, Any]], observer: str = MODEL_FILMS
) -> list[PairReading]:
    """What the model (in pixels or tracks), its untrained copy or a pixel baseline makes of each pair."""
    found = []
    series = {row: _series(part, observer) for row, part in parts.items()}
    for pair in pairs:
        times, films = series[pair.row]
        event = parts[pair.row].get("events", {}).get(pair.impossible)
        shown = pair if event is None else replace(pair, event=event, seen=None)  # nothing is hidden in states
        found.append(read_pair(shown, films, times))
    return found


def _series(part: Mapping[str, Any], observer: str) -> tuple[Array, dict[str, Array]]:
    """Times (N,) and surprise (N,) by film."""
    asked = observer in (MODEL_FILMS, IN_TRACKS, UNTRAINED)
    times = part["times" if asked else "baseline_times"]
    films = part[observer] if asked else part["baselines"][observer]
    return np.array(times, dtype=np.float64), {
        name: np.array([np.nan if value is None else value for value in values]) for name, values in films.items()
    }


def _document(
    manifest: Mapping[str, Any],
    parts: Mapping[Row, Mapping[str, Any]],
    result: ExpectationResult,
    failures: list[Failure],
    absent: dict[str, str],
) -> ResultDocument:
    suite, model, speed = manifest["suite"], manifest["model"], manifest.get("speed") or {}
    failed = {failure.clip.partition("|")[0] for failure in failures}
    return ResultDocument(
        schema_version=1,
        physbench_version=__version__,
        provisional=bool(suite.get("in_development")),
        note=f"a look, not a score: {result.everything.pairs} pairs" if suite["partial"] else "",
        model=ModelInfo(
            name=str(model["name"]),
            target=str(model["target"]),
            sha256=model.get("sha256"),
            track=model["card"]["track"],
            chained=1,
            card=model["card"],
            args={str(key): str(value) for key, value in (model.get("args") or {}).items()},
        ),
        suite=SuiteInfo(
            name=str(suite["name"]),
            version=int(suite["version"]),
            hash=str(suite["hash"]),
            local=bool(suite.get("local", False)),
            clips=len(parts),
            of=len({pair.row for pair in find_pairs()}),
            tasks=sorted({row.task for row in parts}),
            complete=not suite["partial"],
        ),
        render_spec=str(manifest["render_spec"]),
        context=int(manifest["context"]),
        sentences=expectation_sentences(result),
        overall=SkillValue(skill=None, interval=None, reason=NO_AXES),
        axes={},
        families={},
        tasks={},
        splits={},
        references={},
        first_breaks={},
        lawful=None,
        readings={},
        counts=Counts(
            clips=len(parts),
            samples=int((manifest.get("options") or {}).get("samples", 1)),
            scored=len(parts) - len(failed),
            failed=len(failed),
        ),
        failures=failures,
        unavailable=absent,  # films that could not be made
        expectation=result,
        speed=Speed(**{name: speed.get(name) for name in Speed.model_fields}),
    )
