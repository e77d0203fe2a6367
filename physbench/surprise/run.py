"""One evaluation on the suite `expectation`: films, surprise, readings, result, report; or what it would take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from physbench.clips.clip import Row
from physbench.clips.suite import EXPECTATION_SUITE, Suite, find_suite
from physbench.models.http.connection import NO_ANSWER
from physbench.models.load_model import check_target, live_sha256, model_sha256, preflight, what_is_handed
from physbench.models.protocol import Model, ModelCard
from physbench.result.formats import counted
from physbench.result.manifest import Manifest, read_manifest, write_manifest
from physbench.rollout.device_names import device_kind
from physbench.rollout.engine import RolloutEngine
from physbench.run.evaluate import Plan
from physbench.run.interruption import PeakMemory, explained, interruptible
from physbench.run.manifest import other_settings, refuse_other_settings, requested_manifest
from physbench.run.options import LIVE_NOT_RESUMED, Options, live_again
from physbench.run.rollouts import engine_of, live_engine
from physbench.run.state import claimed_folder, default_folder, opened
from physbench.run.versions import versions
from physbench.support.errors import ModelError, UsageError
from physbench.support.files import write_sealed_json
from physbench.support.fingerprint import fingerprint
from physbench.support.processes import scheduled, worker_count
from physbench.support.progress import duration
from physbench.support.run_folder import RunFolder
from physbench.surprise.ask import IN_TRACKS, UNTRAINED, ClipSurprise, FrameObserver, observer_of, read_part
from physbench.surprise.clip_films import FILM_PRELOAD, ClipFilms
from physbench.surprise.films import POSSIBLE
from physbench.surprise.pairs import FilmPair, find_pairs, pairs_hash
from physbench.world.scene import PLAIN

# What a run of the suite `expectation` would take, from a few films of two clips. No run folder is made.


@dataclass(frozen=True, kw_only=True)
class FilmsDryRun(Plan):
    """A plan of a run that shows films. Workers make the films and show them to pixel baselines."""

    pairs: int
    controls: int
    clips: int
    films: int
    render_spec: str  # "64x64@15"
    context_frames: int
    batch_size: int  # windows, or films


@dataclass(frozen=True)
class Tried:
    """Time that the possible film of a clip took, and each of the others, in s."""

    model: tuple[float, float]
    making: tuple[float, float]
    failure: str


def films_dry_run(options: Options, say: Say, out: str | None = None) -> FilmsDryRun:
    """Load the model, make and show a few films of two clips, and say what all would take.

    Raises:
        UsageError: As `evaluate_expectation`.
        ModelError: The model cannot be loaded.
    """
    pairs, requested = requested_films(options, say)
    folder = default_folder(options.short_name, EXPECTATION_SUITE, False)
    run = ExpectationRun(RunFolder(folder), options, pairs, requested, say, worker_count(options.workers))
    say(f"Loading {options.model} ...")
    with PeakMemory() as peak, engine_of(options, "") as engine:
        agree_on_model(run, engine)
        say("Making films and showing them ...")
        rows = (run.rows[0], run.rows[len(run.rows) // 2])  # the first one imports and compiles
        both = [_try_films(run, engine, row) for row in rows]
        info, card = engine.info, engine.card
    films = sum(len(run.sources(row)) for row in run.rows)
    clips, controls = len(run.rows), sum(pair.control for pair in run.pairs)
    times = (both[-1].model, both[-1].making)
    times_shown = 1 + options.untrained_copy
    model, making = (times_shown * (one * clips + other * (films - clips)) for one, other in times)
    return FilmsDryRun(
        model=card.name,
        device=f"{info.device} ({info.device_name})",
        dtype=info.dtype,
        pairs=len(run.pairs) - controls,
        controls=controls,
        clips=clips,
        films=films,
        render_spec=str(card.spec),
        context_frames=card.scored_context,
        batch_size=run.batch_size,
        model_seconds=model,
        worker_seconds=making,
        workers=run.workers,
        peak_memory=peak.bytes,
        device_memory=engine.peak_accelerator,
        out=out or str(folder),
        failure=next((tried.failure for tried in both if tried.failure), ""),
    )


def _try_films(run: ExpectationRun, engine: RolloutEngine, row: Row) -> Tried:
    """Make the first films of a clip and show them to the model.

    Windows before an event are those of the possible film and are not shown again, so that it takes longer.
    """
    few = run.sources(row)[:3]  # the possible one and two others, of each of two clips
    observer, o = observer_of(engine.card), run.options
    alone, all_films = (observer.films(row, names, known=False) for names in ((POSSIBLE,), few))
    if run.manifest.batch is None:
        run.manifest.batch = o.batch_size or observer.batch_size(engine, all_films, o.samples)
    one, more = ask_model(run, engine, alone), ask_model(run, engine, all_films)
    others = max(1, len(all_films.films) - 1)
    return Tried(
        model=(one.seconds, max(0.0, more.seconds - one.seconds) / others),
        making=(alone.seconds, max(0.0, all_films.seconds - alone.seconds) / others),
        failure=next(iter((one.failures | more.failures).values()), ""),
    )


Say = Callable[[str], None]


@dataclass
class ExpectationRun:
    """A run at work."""

    folder: RunFolder
    options: Options
    pairs: tuple[FilmPair, ...]
    manifest: Manifest
    say: Say
    workers: int
    debug: bool = False
    model: Model | None = None  # one that lives in this process; None: it is loaded from options.model
    report: bool = True  # write the report, not only the result
    seconds: float = 0.0  # of the model
    frames: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The clips whose films are shown."""
        return tuple(dict.fromkeys(pair.row for pair in self.pairs))

    def sources(self, row: Row) -> tuple[str, ...]:
        """The films of a clip, the clip itself first."""
        names = [name for pair in self.pairs if pair.row == row for name in (pair.possible, pair.impossible)]
        return tuple(dict.fromkeys((POSSIBLE, *names)))

    @property
    def batch_size(self) -> int:
        """Films, or windows, that the model is shown at a time."""
        assert self.manifest.batch is not None, "the model was not probed yet"
        return self.manifest.batch

    def part(self, row: Row) -> Path:
        return self.folder.part(row.id)

    def missing(self, untrained: bool = False) -> list[Row]:
        """Clips that a model, or its untrained copy, was not asked about, or on which its server did not answer."""
        parts = {row: read_part(self.part(row)) for row in self.rows}
        if untrained:
            return [row for row, part in parts.items() if part is None or UNTRAINED not in part]
        return [row for row, part in parts.items() if part is None or _unanswered(part)]

    def kept(self) -> str:
        done = len(self.rows) - len(self.missing())
        return f"{done} of {counted(len(self.rows), 'clip')} are done and kept in {self.folder.path}"


def _unanswered(part: Mapping[str, Any]) -> bool:
    """True if a film failed because the model's server did not answer, which is no failure of the model."""
    return any(NO_ANSWER in str(reason) for reason in part.get("failures", {}).values())


def evaluate_expectation(
    options: Options,
    *,
    out: Path | None = None,
    resume: bool = False,
    fresh: bool = False,
    debug: bool = False,
    say: Say,
    settings: Mapping[str, object] | None = None,
    model: Model | None = None,
    report: bool = True,
) -> RunFolder:
    """Show a model the films of the suite, and write result and report into the run folder.

    `model` is one that lives in this process; `options.model` is then only its name.
    Raises UsageError or ModelError for what was asked wrongly, Interrupted for Ctrl-C; what is done is kept.
    """
    pairs, requested = requested_films(options, say, live=model is not None)
    if model is not None:
        requested.model.sha256 = live_sha256(model)
        if resume and requested.model.sha256 is None:
            raise UsageError(LIVE_NOT_RESUMED)
    path = out or (default_folder(options.short_name, EXPECTATION_SUITE, resume) if resume else None)
    created: tuple[Path, ...] = ()
    if path is None:
        path, created = claimed_folder(options.short_name, EXPECTATION_SUITE)
    with interruptible(), opened(path, resume=resume, fresh=fresh, created=created) as folder:
        if folder.manifest.exists():
            stored = read_manifest(folder)
            refuse_other_settings(stored, requested, path)
            stored.options = requested.options
            requested = stored
        if settings:
            requested.settings_file = dict(settings)
        run = ExpectationRun(
            folder, options, pairs, requested, say, worker_count(options.workers), debug, model, report
        )
        sha256 = requested.model.sha256
        again = options.resume_command(path) if model is None else live_again(path, sha256)
        with explained(again, run.kept, folder.path):
            _work(run)
    return folder


def requested_films(options: Options, say: Say, live: bool = False) -> tuple[tuple[FilmPair, ...], Manifest]:
    """The pairs that are asked for, and the manifest of a run that begins. Raises UsageError and ModelError.

    live: the model lives in this process, and nothing is to be loaded.
    """
    options.check()
    _refuse_options(options, live)
    pairs = find_pairs(options.limit, options.tasks)
    suite = suite_of(pairs)
    if not live:
        check_target(options.model, trust_code=options.trust_code, model_args=options.model_arg)
        for line in preflight(options.model, suite, options.samples, options.model_arg):
            say(line)
    known = versions(purpose="runs") | {"expectation": fingerprint("expectation")[:16]}
    requested = requested_manifest(options, suite, None if live else model_sha256(options.model), known)
    requested.suite.hash, requested.suite.pairs = pairs_hash(pairs), len(pairs)
    requested.started = datetime.now(UTC).isoformat(timespec="seconds")
    return pairs, requested


def suite_of(pairs: Sequence[FilmPair]) -> Suite:
    """The clips of some pairs as a suite."""
    whole = find_suite(EXPECTATION_SUITE)
    rows = tuple(dict.fromkeys(pair.row for pair in pairs))
    partial = len(pairs) < len(find_pairs())
    return Suite(whole.name, whole.version, rows, partial=partial, golden=whole.golden)


def _refuse_options(options: Options, live: bool) -> None:
    """Options that mean something else, or nothing, where films are shown."""
    if options.scorers is not None:
        raise UsageError("--scorers: the suite expectation reads surprise and has no scorers. Leave it out.")
    if options.keep_rollouts == "all":
        raise UsageError("--keep-rollouts all: of the suite expectation surprise is kept, and no frames. Leave it out.")
    if options.fresh_seeds is not None:
        raise UsageError("--fresh-seeds: the films of the suite expectation are fixed. Leave it out.")
    if live and options.untrained_copy:
        raise UsageError("untrained_copy: its weights can be drawn anew of a MODEL to load, not of an object.")
    if not live and what_is_handed(options.model) == "id":
        raise UsageError(
            f"{options.model} holds answers to clips, and the films of the suite expectation are others. It asks "
            "models that can be run."
        )


def _work(run: ExpectationRun) -> None:
    from physbench.surprise.document import write_expectation  # with charts, which workers do not need

    wanted = run.pairs
    if card := run.manifest.model.card:  # of a run that goes on
        run.pairs = observer_of(card).pairs(run.pairs)
    missing = run.missing()
    if missing:
        if len(missing) < len(run.rows):
            run.say(f"Resuming: {run.kept()}.")
        run.say(f"Loading {run.options.model} ...")
        with _engine(run) as engine:
            agree_on_model(run, engine)
            _show(run, engine, run.missing())
        if lost := run.missing():
            run.say(f"The server did not answer on {counted(len(lost), 'clip')}: --resume asks for them again.")
    else:
        run.say("All films were shown already: only result and report are made again.")
    if run.options.untrained_copy:
        _ask_untrained(run)
    write_expectation(run.folder, wanted, run.manifest, report=run.report)
    run.say(f"Done in {duration(time.monotonic() - run.started)}.")


def _engine(run: ExpectationRun) -> RolloutEngine:
    if run.model is not None:
        return live_engine(run.model, run.options, "")
    return engine_of(run.options, "", debug=run.debug)


def _ask_untrained(run: ExpectationRun) -> None:
    """Show the films to the untrained copy of the model. Where there is none, the result says why."""
    run.manifest.untrained = None
    missing = run.missing(untrained=True)
    if missing:
        run.say("Drawing the weights anew for the untrained copy ...")
        try:
            with engine_of(run.options, "", debug=run.debug, untrained=True) as engine:
                _show_untrained(run, engine, missing)
        except ModelError as reason:
            run.manifest.untrained = str(reason)
            run.say(str(reason))
    write_manifest(run.folder, run.manifest)


def _show_untrained(run: ExpectationRun, engine: RolloutEngine, missing: Sequence[Row]) -> None:
    """Show the films of all clips that are missing to the untrained copy, and keep its surprise beside the model's."""
    failed: list[str] = []
    with _films(run, engine.card, missing, "clips, untrained") as shown:
        for films in shown:
            surprise = ask_model(run, engine, films)
            path = run.part(films.clip.row)
            values = {name: listed(series) for name, series in surprise.films.items()}
            write_sealed_json(path, {**(read_part(path) or {}), UNTRAINED: values})
            failed += surprise.failures.values()
    if failed:
        run.say(f"The untrained copy failed on {counted(len(failed), 'film')}: {failed[0]}")


def agree_on_model(run: ExpectationRun, engine: RolloutEngine) -> None:
    """Complete the manifest with the model, or see that it is the one of the stored manifest."""
    info = engine.info
    card = info.card
    if info.privileged or info.recorded:
        raise UsageError(
            f"{card.name} is handed whole clips, so that nothing surprises it. The suite expectation asks models that "
            "see frames, or the states of a context."
        )
    pairs = observer_of(card).pairs(run.pairs)
    if not pairs:
        raise UsageError(
            f"{card.name} answers with states of bodies, which show none of these pairs. Ask for other "
            "kinds (--tasks), or for more pairs (--limit)."
        )
    run.pairs = pairs
    if card.spec.picture != PLAIN:
        raise UsageError(
            f"The suite expectation has films of the look {PLAIN} alone, and the model asks for {card.spec.picture}."
        )
    model, kind = run.manifest.model, device_kind(info.device)
    known = (model.name, model.card, device_kind(str(model.device)), model.dtype, model.settings)
    if run.manifest.batch and known != (card.name, card, kind, info.dtype, info.settings or model.settings):
        raise other_settings(run.folder.path, f"The model was {model.name}, now its card or device is another one")
    for note in info.notes:
        run.say(note)
    model.name, model.card, model.device, model.dtype = card.name, card, info.device, info.dtype
    if info.settings:
        model.settings = dict(info.settings)
    run.manifest.render_spec = str(card.spec)
    run.manifest.context = card.scored_context
    run.manifest.device = f"{info.device} ({info.device_name})"
    run.manifest.notes = list(info.notes)


def _show(run: ExpectationRun, engine: RolloutEngine, missing: Sequence[Row]) -> None:
    """Show the films of all clips that are missing, and keep what the model makes of them."""
    card = engine.card
    noted = 0
    with _films(run, card, missing, "clips with their films") as shown:
        for number, films in enumerate(shown):
            if run.manifest.batch is None:
                size = run.options.batch_size or observer_of(card).batch_size(engine, films, run.options.samples)
                run.manifest.batch = size
                write_manifest(run.folder, run.manifest)
                what = counted(size, observer_of(card).noun)
                controls = sum(pair.control for pair in run.pairs)
                run.say(
                    f"{card.name} on {EXPECTATION_SUITE}: {counted(len(run.pairs) - controls, 'pair')} and "
                    f"{counted(controls, 'control')} of {counted(len(run.rows), 'clip')} at {card.spec}, {what} at a "
                    f"time on {engine.info.device}, into {run.folder.path}"
                )
            _mark_local(run, films)
            surprise = ask_model(run, engine, films)
            _keep(run, films, surprise)
            for note in engine.notes[noted:]:
                run.say(note)
            noted = len(engine.notes)
            run.manifest.notes = list(dict.fromkeys((*run.manifest.notes, *engine.notes)))
            if number == min(3, len(missing) - 1) and len(missing) > 8:
                left = (time.monotonic() - run.started) / (number + 1) * (len(missing) - number - 1)
                run.say(f"Films: about {duration(left)} left.")
    speed = dict(run.manifest.speed)
    speed["model_seconds"] = round((speed.get("model_seconds") or 0.0) + run.seconds, 3)
    speed["total_seconds"] = round((speed.get("total_seconds") or 0.0) + time.monotonic() - run.started, 3)
    speed["model_frames_per_s"] = round(run.frames / run.seconds, 1) if run.seconds > 0 else None
    run.manifest.speed = speed
    write_manifest(run.folder, run.manifest)


def _mark_local(run: ExpectationRun, films: ClipFilms) -> None:
    """Mark the run as local where this machine does not reproduce the states of a clip: its films are others, too."""
    row, suite = films.clip.row, run.manifest.suite
    golden = find_suite(EXPECTATION_SUITE).golden
    if row in golden and golden[row].state_hash != films.clip.state_hash and not suite.local:
        suite.local = True
        run.say(f"Warning: this machine simulates {row.id} differently from the suite: the result is marked local.")


def _films(
    run: ExpectationRun, card: ModelCard, rows: Sequence[Row], label: str
) -> AbstractContextManager[Iterator[ClipFilms]]:
    """The films of clips in order, made by the workers while the model is at the ones before."""
    jobs = [(row, run.sources(row)) for row in rows]
    # 2 clips' films are made before the model asks for them, beside one for each worker
    make, ahead = partial(_films_of, observer_of(card)), run.workers + 2
    return scheduled(
        make, jobs, workers=run.workers, preload=FILM_PRELOAD, label=label, long=True, beside=True, ahead=ahead
    )


def _films_of(observer: FrameObserver, job: tuple[Row, Sequence[str]]) -> ClipFilms:
    """In a worker: the films of a clip, as an observer is shown them."""
    return observer.films(*job)


def ask_model(run: ExpectationRun, engine: RolloutEngine, films: ClipFilms) -> ClipSurprise:
    """Surprise of a model, or its untrained copy, at the films of a clip."""
    surprise = observer_of(engine.card).ask(engine, films, run.batch_size, run.options.samples)
    return replace(surprise, seconds=surprise.seconds / engine.devices)  # which work at the same time


def listed(values: np.ndarray[Any, Any]) -> list[float | None]:
    """Numbers for JSON: None where one is not finite."""
    return [float(value) if np.isfinite(value) else None for value in values]


def _keep(run: ExpectationRun, films: ClipFilms, surprise: ClipSurprise) -> None:
    """Write down what the model and the pixel baselines make of the films of a clip."""
    run.seconds += surprise.seconds
    run.frames += surprise.frames
    write_sealed_json(
        run.part(films.clip.row),
        {
            "times": listed(surprise.times),
            "films": {name: listed(values) for name, values in surprise.films.items()},
            "baseline_times": listed(films.pixel_grid.times),
            "baselines": {
                name: {film: listed(values) for film, values in each.items()} for name, each in films.baselines.items()
            },
            "absent": films.absent,
            "failures": surprise.failures,
            **(
                {IN_TRACKS: {name: listed(values) for name, values in surprise.tracks.items()}}
                if surprise.tracks
                else {}
            ),
            **({"events": films.events} if films.events else {}),
        },
    )
