"""One evaluation: clips, rollouts, scores, references, result, report, resumable; or what it would take.

The stages of a run that was begun, alone and on another machine, are in `stages.py`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
from physbench.clips.packed import opened_archive, pack_command
from physbench.clips.store import ClipStore
from physbench.clips.suite import EXPECTATION_SUITE
from physbench.models.load_model import check_target, live_sha256, model_sha256, preflight
from physbench.models.protocol import Model, ModelCard
from physbench.result.diagnosis.worlds import find_changed_worlds
from physbench.result.findings import own_laws_document
from physbench.result.formats import counted
from physbench.result.manifest import Manifest, NamedArchive, Stopped, read_manifest
from physbench.rollout.batches import Batch
from physbench.rollout.engine import ClipLoader, RolloutEngine
from physbench.rollout.store import Rollout, store_rollout
from physbench.run import state
from physbench.run.finalize import drop_results
from physbench.run.interruption import PeakMemory, explained, interruptible
from physbench.run.manifest import (
    left_out,
    refuse_other_scoring,
    refuse_other_settings,
    requested_manifest,
    requested_suite,
)
from physbench.run.options import LIVE_NOT_RESUMED, Options, live_again
from physbench.run.ray_cluster import check_cluster
from physbench.run.rollouts import calls_along_time, check_card, engine_of
from physbench.run.versions import foreign_code_hash, versions
from physbench.score.protocol import Scorer
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support import plugins
from physbench.support.errors import UsageError
from physbench.support.processes import worker_count
from physbench.support.run_folder import RunFolder, other_contents

# What an evaluation would do, from one batch that is rolled out and two clips that are scored. Nothing is written but
# clips in the cache, and these only of a suite.

TIMES_TRIED = 2  # times; the first one imports and compiles


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Common part of all plans of a run. The model and the workers, where there are some, are busy at the same time."""

    model: str
    device: str
    dtype: str
    model_seconds: float  # for all rollouts, or films
    worker_seconds: float  # for what the workers do, if the cache holds none of it
    workers: int
    peak_memory: int  # bytes of all processes so far
    device_memory: int  # bytes of the accelerator; 0 where there is none
    out: str
    failure: str  # of what was tried, or ""

    @property
    def seconds(self) -> float:
        """Estimate for the whole run."""
        if not self.workers:
            return self.model_seconds + self.worker_seconds
        return max(self.model_seconds, self.worker_seconds / self.workers)


@dataclass(frozen=True, kw_only=True)
class DryRun(Plan):
    """A plan of an evaluation, and what it was estimated from. Workers make clips, tracks, scores and references."""

    suite: str  # "smoke 3", "core 3-dev"
    clips: int
    tasks: int
    rollouts: int
    render_spec: str  # "64x64@15"
    context_frames: int
    horizon: tuple[int, int]  # frames, least and most
    calls: int  # along time for the longest clip
    to_make: int  # clips that the cache lacks
    batches: int
    batch_size: int
    disk: int  # bytes of the rollouts while the run lasts


def dry_run(options: Options, say: state.Say, out: str | None = None) -> DryRun:
    """Load the model, roll one batch out twice, make and score two clips, and say what all would take.

    Raises:
        UsageError: As `evaluate`.
        ModelError: The model cannot be loaded.
    """
    options.check()
    suite, salt = requested_suite(options)
    scorers = find_scorers(options.scorers)
    check_target(options.model, trust_code=options.trust_code, view=options.view, model_args=options.model_arg)
    if few := left_out(suite, options):
        say(few)
    for line in preflight(options.model, suite, options.samples, options.model_arg):
        say(line)
    rows, workers = suite.rows, worker_count(options.workers)
    say(f"Loading {options.model} ...")
    with PeakMemory() as peak, engine_of(options, salt) as engine:
        info, card = engine.info, engine.card
        check_card(options, card, rows)
        horizons = {row: engine.horizon(row) for row in rows}
        store = ClipStore()
        missing = list(rows) if salt else store.missing(rows, card.spec)
        # Of fresh seeds nothing is stored: another run on them may be at work.
        clip = cache(partial(make_clip, spec=card.spec)) if salt else partial(store.get, spec=card.spec)
        say("Making clips and rolling a batch out ...")
        making = _seconds_of_a_clip(clip, missing)
        batches = engine.plan(rows, batch_size=options.batch_size, samples=options.samples, load=clip)
        tried = batches[0]
        rollouts, took = _rolled_out(engine, tried, clip)
        failure = next((each.failure for each in rollouts if each.failure), "") or ""
        steps = sum(each.steps for each in rollouts) or 1
        frames = sum(batch.horizon * len(batch.items) for batch in batches)
        scoring, reading = _seconds_of_scores(clip, tried, rollouts, card, scorers)
        stored = _stored_bytes(rollouts, card.fps)
    longest = max(horizons.values())
    return DryRun(
        model=card.name,
        device=f"{info.device} ({info.device_name})",
        dtype=info.dtype,
        suite=suite.label,
        clips=len(rows),
        tasks=len(suite.tasks),
        rollouts=len(rows) * options.samples,
        render_spec=str(card.spec),
        context_frames=card.scored_context,
        horizon=(min(horizons.values()), longest),
        calls=calls_along_time(card, longest) if options.chain else 1,
        to_make=len(missing),
        batches=len(batches),
        batch_size=max(len(batch.items) for batch in batches),
        model_seconds=took / steps * frames / min(engine.devices, len(batches)),
        worker_seconds=len(missing) * making + len(rows) * (options.samples * scoring + reading),
        workers=workers,
        peak_memory=peak.bytes,
        device_memory=engine.peak_accelerator,
        disk=round(stored / steps * frames),
        out=out or str(state.default_folder(options.short_name, options.suite_name, False)),
        failure=failure,
    )


def _seconds_of_a_clip(clip: ClipLoader, missing: Sequence[Row]) -> float:
    """Seconds that making a clip takes, without what is imported for the first one; 0 where none is missing."""
    took = 0.0
    for row in missing[:TIMES_TRIED]:
        started = time.monotonic()
        clip(row)
        took = time.monotonic() - started
    return took


def _rolled_out(engine: RolloutEngine, batch: Batch, clip: ClipLoader) -> tuple[Sequence[Rollout], float]:
    """Rollouts of a batch, and the seconds of a second call, which compiles nothing."""
    took = 0.0
    rollouts: tuple[Rollout, ...] = ()
    for _ in range(TIMES_TRIED):
        [result] = engine.run([batch], clip)
        rollouts, took = tuple(result.rollouts), result.seconds
        if any(each.failure for each in rollouts):
            break
    return rollouts, took


def _seconds_of_scores(
    load: ClipLoader, batch: Batch, rollouts: Sequence[Rollout], card: ModelCard, scorers: Sequence[Scorer]
) -> tuple[float, float]:
    """Seconds that tracking and scoring a rollout takes, and the references of a clip; each is done twice."""
    from physbench.run.references import REFERENCE_BASELINES, reference_rollout  # with torch

    scoring = reading = 0.0
    for item, rollout in list(zip(batch.items, rollouts, strict=True))[:TIMES_TRIED]:
        clip = load(item.row)
        started = time.monotonic()
        score_clip(clip, rollout, card.scored_context, scorers)
        scored = time.monotonic()
        for name in REFERENCE_BASELINES:
            score_clip(clip, reference_rollout(name, clip, card), card.scored_context, scorers)
        scoring, reading = scored - started, time.monotonic() - scored
    return scoring, reading


def _stored_bytes(rollouts: Sequence[Rollout], fps: float) -> int:
    """Size of rollouts on disk."""
    with tempfile.TemporaryDirectory() as place:
        for rollout in rollouts:
            store_rollout(RunFolder(Path(place)), rollout, fps)
        return sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file())


def evaluate(
    options: Options,
    *,
    out: Path | None = None,
    resume: bool = False,
    fresh: bool = False,
    debug: bool = False,
    say: state.Say = state.say_on_stderr,
    model: Model | None = None,
    report: bool = True,
    settings: Mapping[str, object] | None = None,
    stages: tuple[state.Stage, ...] = state.RUN_STAGES,
) -> RunFolder:
    """Evaluate a model on a suite and return the run folder with scores, result and report.

    Of `stages` the last ones may be left out; a shard is never finished alone.

    `model` is one that lives in this process and is rolled out here; `options.model` is then only its name. Such a run
    can be resumed with the same weights. Without `report` the result is all that is written. `settings`
    are those that came from a file, for the manifest.
    Raises UsageError or ModelError (exit 2) for what was asked wrongly, PhysbenchError (1) for a full disk or a killed
    worker and Interrupted (130) for Ctrl-C; in the last two cases everything scored so far stays in the folder.
    """
    started = time.monotonic()
    options.check()
    if options.suite == EXPECTATION_SUITE:
        raise UsageError("The suite expectation shows films: run `physbench eval MODEL --suite expectation`.")
    if options.shard is not None:
        stages = tuple(stage for stage in stages if stage != "finish")
    path = out or (state.default_folder(options.short_name, options.suite_name, resume) if resume else None)
    clips = None if options.clips is None else opened_archive(options.clips)
    for name in ("look", "view"):
        requested = getattr(options, name)
        if clips and requested not in (None, getattr(clips.spec, name)):
            requested_spec = replace(clips.spec, **{name: requested})
            raise UsageError(
                f"--clips: {clips.name} holds clips of {clips.spec}, and --{name} asks for {requested}. Leave --{name} "
                f"out, or pack clips of that {name}: {pack_command(options.suite_words, requested_spec)}"
            )
    suite, salt = requested_suite(options, path if resume else None, live=model is not None)
    suite = clips.known(suite) if clips else suite
    if model is None:
        view = options.view or (None if clips is None else clips.spec.view)
        check_target(options.model, trust_code=options.trust_code, view=view, model_args=options.model_arg)
    if options.executor == "ray" and not resume:
        check_cluster(options.address)
    scorers = find_scorers(options.scorers)
    if plugins.registered_files():
        find_changed_worlds()  # those of the user's laws, too: what is wrong there is said before anything is made
    if model is None:
        for line in preflight(options.model, suite, options.samples, options.model_arg):
            say(line)
    sha256 = model_sha256(options.model) if model is None else live_sha256(model)
    if model is not None and resume and sha256 is None:
        raise UsageError(LIVE_NOT_RESUMED)
    requested = requested_manifest(
        options,
        suite,
        sha256,
        versions(purpose="runs"),
        foreign_code_hash(scorers),
        own_laws_document(scorers),
        salt=salt,
        clips=clips,
    )
    requested.started = datetime.now(UTC).isoformat(timespec="seconds")
    created: tuple[Path, ...] = ()
    stopped: Stopped | None = None
    served = options.model.startswith(("http://", "https://"))
    if path is None:
        path, created = state.claimed_folder(options.short_name, options.suite_name)
    with interruptible(), state.opened(path, resume=resume, fresh=fresh, created=created) as folder:
        if folder.manifest.exists():
            stored = read_manifest(folder)
            refuse_other_settings(stored, requested, path)
            if "score" in stages:
                refuse_other_scoring(stored, requested, path)
            waiting = served and state.unanswered(folder, suite.rows, options.samples)
            if (
                resume
                and report
                and "finish" in stages
                and not waiting
                and is_done(folder, stored, requested, settings)
            ):
                say("Nothing is left to do: the run is finished, and nothing of it has changed.")
                return folder
            stopped, stored.options = stored.stopped, requested.options
            stored.stopped = stored.contents = None  # of the run as it was finished before
            requested = stored
        if clips:
            requested.clips = NamedArchive.model_validate(clips.document())  # the same archive may lie elsewhere now
        if settings:
            requested.settings_file = dict(settings)
        if not resume and (few := left_out(suite, options)):
            say(few)
        workers = worker_count(options.workers)
        run = state.Run(folder, options, suite, requested, say, workers, debug, model, report, stages, started=started)
        verb = "rollout" if stages == ("rollout",) else "eval"
        again = options.resume_command(path, verb) if model is None else live_again(path, sha256)
        run.leftovers = stopped is not None
        if resume:
            state.drop_drafts(folder)
            damaged = state.drop_damaged(folder, suite.rows, options.samples)
            if damaged:
                say(f"Files of {counted(damaged, 'sample')} are damaged or lost: scored again.")
            run.unanswered = len(state.unanswered(folder, suite.rows, options.samples)) if served else 0
            say(run.standing() if run.planned else f"Nothing to resume in {path}: starting.")
        if clips and run.planned:
            drop_results(run)
            run.save_manifest()  # workers read in it where the archive is now
        from physbench.run.stages import work  # with torch and all that reads pictures: seconds

        with explained(again, run.kept, folder.path):
            work(run)
            lost = len(state.unanswered(folder, suite.rows, options.samples)) if served else 0
            if lost:
                many = counted(lost, "rollout")
                say(f"{many} failed as the server did not answer. Once it runs, repeat with:\n  {again}")
    return folder


def is_done(folder: RunFolder, stored: Manifest, requested: Manifest, settings: Mapping[str, object] | None) -> bool:
    """True if a run is finished just as it is requested now, and its files are those with which it was finished."""
    alike = _decided(stored, stored.settings_file) == _decided(requested, settings)
    return alike and bool(stored.contents) and stored.stopped is None and not other_contents(folder, stored.contents)


def _decided(manifest: Manifest, settings: Mapping[str, object] | None) -> object:
    """Parts of a manifest that decide more than speed, as JSON values."""
    # these change how long a run takes, and nothing that it finds
    speed_options = ("workers", "timeout", "executor", "address")
    options = {**manifest.options.model_dump(mode="json"), **dict.fromkeys(speed_options)}
    clips = manifest.clips and manifest.clips.model_dump(mode="json", exclude_unset=True)
    return json.loads(json.dumps([options, manifest.versions, clips, dict(settings) if settings else None]))
