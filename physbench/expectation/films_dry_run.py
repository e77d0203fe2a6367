"""What a run of the suite `expectation` would take, from a few films of two clips. No run folder is made."""

from __future__ import annotations

from dataclasses import dataclass

from physbench.clips.clip import Row
from physbench.clips.suite import EXPECTATION_SUITE
from physbench.expectation.expectation_run import (
    ExpectationRun,
    Say,
    agree_on_model,
    ask_model,
    asked_films,
    films_for,
)
from physbench.expectation.film_surprise import probed_batch_size
from physbench.expectation.films import POSSIBLE
from physbench.rollouts.rollout_engine import RolloutEngine
from physbench.run.dry_run import Plan
from physbench.run.options import Options
from physbench.run.peak_memory import PeakMemory
from physbench.run.run_lock import default_folder
from physbench.run.run_model import engine_of
from physbench.storage.run_folder import RunFolder
from physbench.worker_pool import worker_count

FILMS_TRIED = 2  # beside the possible one, of each of two clips


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
    """What the possible film of a clip took, and each of the others, in s."""

    model: tuple[float, float]
    making: tuple[float, float]
    failure: str


def films_dry_run(options: Options, say: Say, out: str | None = None) -> FilmsDryRun:
    """Load the model, make and show a few films of two clips, and say what all would take.

    Raises:
        UsageError: As `evaluate_expectation`.
        ModelError: The model cannot be loaded.
    """
    pairs, asked = asked_films(options, say)
    folder = default_folder(options.short_name, EXPECTATION_SUITE, False)
    run = ExpectationRun(RunFolder(folder), options, pairs, asked, say, worker_count(options.workers))
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
        batch_size=run.manifest["batch"],
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
    few = run.sources(row)[: 1 + FILMS_TRIED]
    alone, all_films = (films_for(engine.card, row, names, known=False) for names in ((POSSIBLE,), few))
    run.manifest.setdefault(
        "batch", run.options.batch_size or probed_batch_size(engine, all_films, run.options.samples)
    )
    one, more = ask_model(run, engine, alone), ask_model(run, engine, all_films)
    others = max(1, len(all_films.films) - 1)
    return Tried(
        model=(one.seconds, max(0.0, more.seconds - one.seconds) / others),
        making=(alone.seconds, max(0.0, all_films.seconds - alone.seconds) / others),
        failure=next(iter((one.failures | more.failures).values()), ""),
    )
