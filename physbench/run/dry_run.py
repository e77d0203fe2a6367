"""What an evaluation would do, from one batch that is rolled out and two clips that are scored. Nothing is written but
clips in the cache, and these only of a suite.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from physbench.adapters.load_model import check_target, preflight
from physbench.adapters.model_protocol import ModelCard
from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore
from physbench.rollouts.batch_plan import Batch
from physbench.rollouts.rollout import Rollout
from physbench.rollouts.rollout_engine import ClipLoader, RolloutEngine
from physbench.rollouts.rollout_store import store_rollout
from physbench.run.fresh_seeds import asked_suite, left_out
from physbench.run.options import Options
from physbench.run.peak_memory import PeakMemory
from physbench.run.references import REFERENCE_BASELINES, reference_rollout
from physbench.run.run_lock import default_folder
from physbench.run.run_model import calls_along_time, check_told_model, engine_of
from physbench.run.run_state import Say
from physbench.scoring.score_clip import find_scorers, score_clip
from physbench.scoring.scorer_protocol import Scorer
from physbench.storage.run_folder import RunFolder
from physbench.worker_pool import worker_count

TIMES_TRIED = 2  # times; the first one imports and compiles


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every plan of a run says. The model and the workers, where there are some, are busy at the same time."""

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


def dry_run(options: Options, say: Say, out: str | None = None) -> DryRun:
    """Load the model, roll one batch out twice, make and score two clips, and say what all would take.

    Raises:
        UsageError: As `evaluate`.
        ModelError: The model cannot be loaded.
    """
    options.check()
    suite, salt = asked_suite(options)
    scorers = find_scorers(options.scorers)
    check_target(options.model, trust_code=options.trust_code)
    if few := left_out(suite, options):
        say(few)
    for line in preflight(options.model, suite, options.samples, options.model_arg):
        say(line)
    rows, workers = suite.rows, worker_count(options.workers)
    say(f"Loading {options.model} ...")
    with PeakMemory() as peak, engine_of(options, salt) as engine:
        info, card = engine.info, engine.card
        check_told_model(options, card)
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
        out=out or str(default_folder(options.short_name, options.suite_name, False)),
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
