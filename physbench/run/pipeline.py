"""Clips are made, rolled out, tracked and scored at the same time, or one stage of that alone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

from physbench.clips.clip import Clip, Row
from physbench.result.formats import counted
from physbench.result.read import ClipSource, clips_of
from physbench.rollout.batches import BatchItem
from physbench.rollout.engine import BatchResult, RolloutEngine
from physbench.rollout.store import SharedRollout, drop_rollout
from physbench.run import rollouts, worker
from physbench.run.finalize import drop_results, prepare_finish
from physbench.run.jobs import Jobs, first_of_each_task, in_turn, rows_in_turn, splits_mixed
from physbench.run.progress import Announced, Outlook, StatusLines, legs, stops_at
from physbench.run.rollouts import calls_along_time, model_of
from physbench.run.state import Run, batches_of_shard
from physbench.support.errors import PhysbenchError
from physbench.support.processes import WorkerPool, short_switch_interval
from physbench.support.progress import Progress

BATCHES_AHEAD, CLIPS_AHEAD = 1, 2  # that are prepared in advance: batches a device, and clips a worker


def roll_and_score(run: Run, pool: WorkerPool | None) -> int:
    """Bring rollouts, parts and references of all clips into the folder, as far as `run.stages` go.

    Without a pool nothing is scored, and no clip is made. Returns the model's peak device memory.
    """
    memory = 0
    for shares in (True, False):
        if run.salt and "rollout" in run.stages:
            memory = max(memory, _roll_unseen(run, pool))
        # On fresh seeds nothing is rolled out any more: clips are stored now.
        with model_of(run, pool) if not run.salt else contextlib.nullcontext() as engine:
            lost = do_missing(run, pool, engine, shares=shares)
            memory = max(memory, engine.peak_accelerator if engine else 0)
        if run.salt and "rollout" in run.stages and run.missing():
            continue
        if not lost:
            return memory
        for item in lost:
            drop_rollout(run.folder, item.row.id, item.sample)
        if "rollout" not in run.stages:
            again = run.options.rollout_command(run.folder.path)
            raise PhysbenchError(
                f"{counted(len(lost), 'stored rollout')} cannot be read. Make them again, then score them:\n  {again}"
            )
        run.say(f"{len(lost)} stored rollouts cannot be read and are made again.")
    raise PhysbenchError(f"Rollouts in {run.folder.path} cannot be read after they were written. Check the disk.")


def _roll_unseen(run: Run, pool: WorkerPool | None) -> int:
    """Make all rollouts on fresh seeds before any file shows what follows. Returns what the function above does."""
    if run.planned and not run.missing() and not run.unanswered:
        return 0
    with rollouts.unseen(run.folder), model_of(run) as engine:
        if engine is None:
            return 0
        assert pool is not None, "clips of fresh seeds are in no archive"
        # Four clips beside one for each worker are made in advance and kept in memory
        clips = rollouts.UnseenClips(pool, run.card.spec, engine.devices * (run.workers + 4))
        roll_unseen(run, pool, engine, clips)
        return engine.peak_accelerator


def do_missing(
    run: Run, pool: WorkerPool | None, engine: RolloutEngine | None, *, shares: bool = True
) -> list[BatchItem]:
    """Do all that is missing. Returns items whose stored rollout cannot be read.

    shares: frames lie in memory with the workers, where these can see it.
    """
    scores = "score" in run.stages
    source = clips_of(run.folder, run.manifest) if engine is not None or scores else None
    drop_results(run)
    if run.shard is not None and engine is not None and not run.planned:
        plan(run, engine, partial(_needed, run, engine, source))  # which clips there are to make is known from it
    todo = {item for item in run.items if not run.scored(item)}
    absent = source.missing(run.rows, run.card.spec) if source is not None else []
    if scores:
        expected, beside = {"clip": len(absent), "references": len(run.rows), "score": len(todo)}, 0
    else:
        todo = {item for item in todo if not run.rolled(item)}
        expected, beside = {"clip": len(absent)}, len(todo)
    what = "clips, rollouts, scores" if len(run.stages) > 1 else f"{run.stages[0]}s"
    with Progress(f"{run.suite.name}: {what}", sum(expected.values()) + beside, lines=False) as progress:
        jobs = Jobs(progress, run.workers, expected)
        noticed = pool.noticed if pool is not None else None
        outlook = Outlook(
            run,
            progress,
            jobs,
            len(todo),
            rolls=engine is not None,
            scores=scores,
            clips=len(absent),
            noticed=noticed,
        )
        words = "Compiling the motion analysis, once on this machine: about a minute ..."
        compiling = contextlib.nullcontext() if noticed is None else Announced(run.say, words, noticed)
        with StatusLines(run.say, outlook.status), compiling:
            clips = rollouts.ClipPreparation(run, pool, jobs, source if absent else None, set(absent), scores)
            shown = rollouts.ShownClips(partial(_needed, run, engine, source), clips)
            pipeline = Pipeline(run, pool, engine, jobs, outlook, shown, todo, shares=shares, scores=scores)
            results = pipeline.work(clips)
    hashes = {done.row: done.state_hash for done in results if isinstance(done, worker.Referenced)}
    run.note_states(shown.states | hashes)
    for name, seconds in worker.seconds_of(results).items():
        run.count_time(f"{name}_seconds", seconds)
    return [
        BatchItem(done.row, done.sample) for done in results if isinstance(done, worker.Scored) and not done.readable
    ]


def roll_unseen(run: Run, pool: WorkerPool | None, engine: RolloutEngine, clips: rollouts.UnseenClips) -> None:
    """Make the rollouts that are missing, of clips that lie in no file, and nothing else."""
    shown = rollouts.ShownClips(partial(_needed, run, engine, None), clips)
    if not run.planned:
        plan(run, engine, shown.get)
    batches = run.batches()
    clips.expect([item.row for index in in_turn(batches, run.missing()) for item in batches[index].items])
    todo = {item for item in run.items if not run.has(item)}
    with Progress(f"{run.suite.name}: rollouts", len(todo), lines=False) as progress:
        jobs = Jobs(progress, run.workers, {})
        outlook = Outlook(run, progress, jobs, len(todo), rolls=True, scores=False)
        with StatusLines(run.say, outlook.status):
            Pipeline(run, pool, engine, jobs, outlook, shown, todo, shares=False, scores=False).roll(engine)
    run.note_states(shown.states)


def _needed(run: Run, engine: RolloutEngine | None, source: ClipSource | None, row: Row) -> Clip:
    """Parts of a stored clip that the model needs."""
    assert engine is not None and source is not None
    return engine.needed(source.get(row, run.card.spec))


def plan(run: Run, engine: RolloutEngine, clip: Callable[[Row], Clip]) -> None:
    """Fix which clips share a batch, and write it down before the first one. clip: what the model is shown."""
    o = run.options
    rows = run.suite.rows if o.until is None else splits_mixed(run.suite.rows)  # looks see every split
    batches = engine.plan(rows, batch_size=o.batch_size, samples=o.samples, load=clip, horizon=run.horizon)
    if run.shard is not None:
        batches_of_shard(len(batches), *run.shard)  # refused before anything is written
    chained = calls_along_time(run.card, max(batch.horizon for batch in batches)) if o.chain else 1
    run.manifest.batches = [list(batch.ids) for batch in batches]
    run.manifest.events, run.manifest.speed = [], {"chained": chained}
    run.save_manifest()
    model, many = run.manifest.model, counted(len(batches), "batch")
    if run.shard:
        many += f", of which shard {o.shard} makes {len(run.own_batches())}"
    run.say(
        f"{model.name} on {run.suite.name}: {counted(len(rows), 'clip')} of {run.manifest.render_spec} in "
        f"{many} on {model.device}, into {run.folder.path}"
    )


class Pipeline:
    """The model makes rollouts batch by batch; each goes to a worker as soon as it is there, and is kept by then.

    Args:
        run: What is missing in its folder is done.
        pool: Scores; None: nothing is scored.
        engine: The model; None: no rollout is missing.
        jobs, outlook: Of this session.
        shown: Clips for the model.
        todo: Rollouts that are missing, or their scores. Those that are on their way are taken out.
        shares: Whether frames lie in memory with the workers, where these can see it.
        scores: Whether rollouts are scored as soon as they are there.
    """

    def __init__(
        self,
        run: Run,
        pool: WorkerPool | None,
        engine: RolloutEngine | None,
        jobs: Jobs,
        outlook: Outlook,
        shown: rollouts.ShownClips,
        todo: set[BatchItem],
        *,
        shares: bool,
        scores: bool,
    ) -> None:
        self.run, self.pool, self.engine = run, pool, engine
        self.jobs, self.outlook, self.shown, self.todo, self.scores = jobs, outlook, shown, set(todo), scores
        self._shares = shares and scores and pool is not None and pool.shares_memory
        self._keeping: rollouts.RolloutKeeping | None = None
        self._storing = rollouts.BeingStored()
        self._sent: list[Future[Any]] = []  # scores of rollouts that the workers store

    def work(self, clips: rollouts.ClipPreparation) -> list[Any]:
        """Make clips, rollouts, scores and references. Returns what the jobs returned."""
        run, engine = self.run, self.engine
        absent = [row for row in run.rows if row in clips.absent]
        prepare_finish(run)
        if absent and self.pool and run.workers > 1 and clips.references:
            self.pool.submit(worker.compile_functions)  # in one; others make clips, and wait for it, or raise its error
        if engine is not None and not run.planned:
            if absent:  # the probe of the batch size asks for the longest first
                clips.make([max(absent, key=run.horizon), *first_of_each_task(absent)])
            plan(run, engine, self.shown.get)
        batches = run.batches()
        first = {item.row for index in run.missing() for item in batches[index].items}  # that the model waits for
        most = max((len(batch.items) for batch in batches), default=1) * (engine.devices if engine else 1)
        clips.expect(
            sorted(rows_in_turn(batches, run.rows), key=lambda row: row not in first),
            BATCHES_AHEAD * most + CLIPS_AHEAD * run.workers,
        )
        if run.options.until is not None or "rollout" not in run.stages:  # a look needs the references of all clips
            clips.rest()
        if "rollout" not in run.stages:  # references tell whether these are the clips that were rolled out
            results = self.jobs.results(lambda: None)
            run.refuse_other_clips(
                {done.row: done.state_hash for done in results if isinstance(done, worker.Referenced)}
            )
        if self.scores:
            stored = [item for item in run.items if item in self.todo and run.rolled(item)]
            clips.make(item.row for item in stored)
            for item in stored:
                self._score(item)
                self.todo.discard(item)
        if engine is not None:
            self.roll(engine)
            engine.close()  # while its rollouts are scored, its memory is free
            if clips.references:
                self.jobs.expect_fewer("score", len(self.todo))  # where the run ends early
        if run.budget_spent:
            self._end_early(clips)
        else:
            clips.rest()
        self.outlook.rolling = 0.0
        return self.jobs.results(self.outlook.estimate)

    def roll(self, engine: RolloutEngine) -> None:
        """Roll out what is missing, keep it, and have it scored; no more of it than the run may."""
        with short_switch_interval(), rollouts.encoders(self.run.workers) as pool:
            o = self.run.options  # a model whose time counts, or whose scores come last, does not wait
            longest = 0.0 if o.budget is not None or o.until is not None else rollouts.patience(self.run.workers)
            self._keeping = rollouts.RolloutKeeping(
                self.run.folder, self.run.card.fps, self.jobs, self._shares, pool, longest
            )
            with self._storing:
                self._roll_legs(engine)
            self._settle()

    def _roll_legs(self, engine: RolloutEngine) -> None:
        """Roll out leg by leg; between two of them all that was begun is scored."""
        run, outlook = self.run, self.outlook
        batches = run.batches()
        begun, made, missing = time.monotonic(), 0, len(run.missing())
        notes = rollouts.RolloutNotes(run, engine)
        for leg in legs(run, batches):
            if run.budget_spent:
                return
            running = contextlib.closing(engine.run(batches, self.shown.get, only=leg.batches))
            ahead = self.shown.read_ahead([batches[index] for index in leg.batches], engine.devices)
            with ahead, running as results:
                for result in results:
                    made += 1
                    self._keep(result, notes)
                    del result  # its frames, before those of the next batch come
                    notes.note_down()
                    self.jobs.raise_failure()
                    outlook.rolling = (time.monotonic() - begun) / made * (missing - made)
                    outlook.estimate()
                    if run.budget_spent:  # the model is ended: it may have begun another batch
                        return
            if leg.rows:
                self._settle()
                self.jobs.results(outlook.estimate)
                if stops_at(run, outlook.skill, leg):
                    return

    def _keep(self, result: BatchResult, notes: rollouts.RolloutNotes) -> None:
        """Keep the rollouts of a batch, and have them scored."""
        run = self.run
        run.refuse_deleted()
        new = [item for item in result.batch.items if not run.has(item)]
        notes.write_down(result, new, self.shown.states)  # before them: who reads a rollout finds how it was made
        own = [rollout for item, rollout in zip(result.batch.items, result.rollouts, strict=True) if item in new]
        storing: list[tuple[BatchItem, Future[None]]] = []
        assert self._keeping is not None
        with contextlib.closing(self._keeping.kept(own)) as keeping:
            for item in result.batch.items:
                kept = next(keeping) if item in new else None
                if isinstance(kept, Future):
                    storing.append((item, kept))
                else:
                    self._go_on(item, kept)
        self._storing.add(storing, result.seconds / 4)  # meanwhile the model is at work on the next
        self._settle(rollouts.WAITING.batches)

    def _settle(self, besides: int = 0) -> None:
        """Wait for rollouts that are being stored, and have them scored; not for so many of the last batches."""
        for item in self._storing.stored(besides):
            self._go_on(item)

    def _go_on(self, item: BatchItem, shared: SharedRollout | None = None) -> None:
        """A rollout is stored, or a worker may store it: have it scored."""
        if item not in self.todo:
            return
        self.todo.discard(item)
        self.outlook.rolled += 1
        if self.scores:
            self._score(item, shared)
        else:
            self.outlook.progress.advance()

    def _score(self, item: BatchItem, shared: SharedRollout | None = None) -> None:
        """Have a rollout scored that is stored, or that the worker stores."""
        run, (row, sample) = self.run, (item.row, item.sample)
        assert self.pool is not None
        future = self.pool.submit(worker.score, run.folder.path, row, sample, run.card, run.options.scorers, shared)
        self.jobs.add("score", future)
        if shared is not None:
            assert self._keeping is not None
            self._keeping.scoring(shared, future)
            self._sent.append(future)

    def _end_early(self, clips: rollouts.ClipPreparation) -> None:
        """End with what is rolled out where the time was spent before all is, and give up the other clips."""
        run = self.run
        wait(self._sent)
        done = {row for row in run.suite.rows if all(run.has(item) for item in run.samples_of(row))}
        if len(done) == len(run.suite.rows):
            clips.rest()
            return
        if not done:
            raise PhysbenchError(
                f"--budget {run.options.budget}: the time was spent before a clip was rolled out. {run.further()}"
            )
        clips.give_up_all_but(done)
        run.stop("budget", str(run.options.budget), [row for row in run.suite.rows if row in done])
        run.say(f"The time of --budget {run.options.budget} is spent: {run.ended()}")
